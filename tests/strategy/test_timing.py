from dataclasses import replace
from datetime import date, datetime, timedelta

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dagster_project.compliance.packs import LawBook, shipped_law_book
from dagster_project.errors import SettingsError
from dagster_project.strategy.catalogue import Catalogue, load_catalogue
from dagster_project.strategy.priors import Beliefs, load_priors
from dagster_project.strategy.rules import ChannelRules, DecisionRules
from dagster_project.strategy.timing import send_times, without_hours

# A pack whose quiet hours are none, to see the hours of channels alone.
_HOUSE = shipped_law_book().law(None).packs[0]
_RULES = tuple(rule for rule in _HOUSE.rules if rule.limits != "quiet_hours")
NO_LAW = LawBook({"none": _HOUSE.model_copy(update={"id": "none", "rules": _RULES})}, chosen="none")


def _send_at(
    zone: str | None,
    strategy_id: str,
    catalogue: Catalogue,
    rules: DecisionRules,
    as_of: date = date(2026, 6, 1),
    *,
    country: str | None = None,
    own: tuple[int | None, int | None] = (None, None),
) -> str:
    contacts = pl.DataFrame(
        [(zone, country, strategy_id, "email", *own)],
        schema={
            **dict.fromkeys(("timezone", "country", "strategy_id", "channel"), pl.String),
            **dict.fromkeys(("quiet_start", "quiet_end"), pl.Int32),
        },
        orient="row",
    )
    times = send_times(contacts, catalogue=catalogue, rules=rules, as_of=as_of)
    assert times.name == "send_at"
    return str(times.item())


def test_the_hour_is_that_of_the_user_with_its_offset(catalogue: Catalogue, rules: DecisionRules) -> None:
    assert _send_at("Asia/Shanghai", "guided_restart", catalogue, rules) == "2026-06-02T18:00:00+08:00"
    assert _send_at("America/New_York", "guided_restart", catalogue, rules) == "2026-06-02T18:00:00-04:00"


@pytest.mark.parametrize("zone", [None, "", "Mars/Olympus", "America", "../etc/passwd", "a\0b"])
def test_an_unknown_zone_falls_back_to_the_business(
    zone: str | None, catalogue: Catalogue, rules: DecisionRules
) -> None:
    assert _send_at(zone, "guided_restart", catalogue, rules) == "2026-06-02T18:00:00+01:00"


def test_the_hour_is_moved_inside_the_hours_of_the_channel(catalogue: Catalogue, rules: DecisionRules) -> None:
    morning = replace(rules, channels={"email": ChannelRules(cost=0, open_hour=9, close_hour=12)})
    evening = replace(rules, channels={"email": ChannelRules(cost=0, open_hour=20, close_hour=22)})
    assert _send_at(None, "guided_restart", catalogue, morning) == "2026-06-02T11:00:00+01:00"
    assert _send_at("Europe/London", "guided_restart", catalogue, evening) == "2026-06-02T20:00:00+01:00"


def test_an_hour_already_past_when_the_lists_are_out_moves_to_the_next_day(
    catalogue: Catalogue, rules: DecisionRules
) -> None:
    # 10:00 in Auckland on 2 June is 23:00 in London on 1 June.
    assert _send_at("Pacific/Auckland", "sunset", catalogue, rules) == "2026-06-03T10:00:00+12:00"


def test_a_day_whose_open_hour_the_clocks_skip_is_passed_over(catalogue: Catalogue, rules: DecisionRules) -> None:
    night = replace(
        rules, book=NO_LAW, channels={"email": ChannelRules(cost=0, open_hour=2, close_hour=3)}, ready_hour=0
    )
    sent = _send_at("Europe/Berlin", "guided_restart", catalogue, night, as_of=date(2026, 3, 28))
    assert sent == "2026-03-30T02:00:00+02:00"


def test_an_hour_that_the_clocks_repeat_is_taken_the_first_time(catalogue: Catalogue, rules: DecisionRules) -> None:
    night = replace(
        rules, book=NO_LAW, channels={"email": ChannelRules(cost=0, open_hour=2, close_hour=3)}, ready_hour=0
    )
    sent = _send_at("Europe/Berlin", "guided_restart", catalogue, night, as_of=date(2026, 10, 24))
    assert sent == "2026-10-25T02:00:00+02:00"


def test_the_hour_is_moved_out_of_the_quiet_hours_of_the_law_and_of_the_user(
    catalogue: Catalogue, rules: DecisionRules
) -> None:
    late = replace(rules, channels={"email": ChannelRules(cost=0, open_hour=0, close_hour=24)})
    # at ten, when the lists are out in London, eight in Shanghai has passed
    concierge, morning = "concierge", (9 * 60, 14 * 60 + 30)
    assert _send_at("Asia/Shanghai", concierge, catalogue, late, own=morning) == "2026-06-03T08:00:00+08:00"
    afternoon = (0, 14 * 60 + 30)
    assert _send_at("Asia/Shanghai", concierge, catalogue, late, own=afternoon) == "2026-06-02T15:00:00+08:00"
    quarter = (15 * 60, 14 * 60 + 30)
    assert _send_at("Asia/Shanghai", concierge, catalogue, late, own=quarter) == "2026-06-02T14:30:00+08:00"


def test_without_a_zone_the_hours_of_every_zone_of_the_country_must_agree(
    catalogue: Catalogue, rules: DecisionRules
) -> None:
    # ten in the morning in New York is four at night in Honolulu; from three in the afternoon all states are awake
    assert _send_at(None, "sunset", catalogue, rules, country="US") == "2026-06-02T14:00:00-04:00"
    assert _send_at("No/Where", "sunset", catalogue, rules, country="DE") == "2026-06-02T10:00:00+02:00"


def test_without_zone_and_country_quiet_hours_are_two_hours_longer_at_both_ends(
    catalogue: Catalogue, rules: DecisionRules
) -> None:
    wide = replace(rules, channels={"email": ChannelRules(cost=0, open_hour=0, close_hour=24)})
    assert _send_at(None, "exit_survey", catalogue, wide) == "2026-06-02T18:00:00+01:00"


def test_a_channel_with_no_hour_left_is_found_beforehand_and_never_timed(
    catalogue: Catalogue, rules: DecisionRules
) -> None:
    night = replace(rules, channels={"email": ChannelRules(cost=0, open_hour=22, close_hour=24)})
    points = pl.DataFrame(
        {
            "timezone": ["Asia/Tokyo"],
            "country": ["JP"],
            "channel": ["email"],
            "quiet_start": [None],
            "quiet_end": [None],
        },
        schema_overrides={"quiet_start": pl.Int32, "quiet_end": pl.Int32},
    )
    shut = without_hours(points, rules=night, as_of=date(2026, 6, 1))
    assert shut["citation"].to_list() == ["House rule after 47 CFR 64.1200(c)(1)"]
    assert without_hours(points, rules=rules, as_of=date(2026, 6, 1)).is_empty()
    timed = points.with_columns(pl.lit("sunset").alias("strategy_id"))
    assert send_times(timed, catalogue=catalogue, rules=night, as_of=date(2026, 6, 1)).to_list() == [None]


def test_the_offset_follows_the_clock_change(catalogue: Catalogue, rules: DecisionRules) -> None:
    before = _send_at("Europe/Berlin", "guided_restart", catalogue, rules, as_of=date(2026, 10, 23))
    after = _send_at("Europe/Berlin", "guided_restart", catalogue, rules, as_of=date(2026, 10, 24))
    assert (before, after) == ("2026-10-24T18:00:00+02:00", "2026-10-25T18:00:00+01:00")


def test_a_business_zone_that_does_not_exist_is_refused(catalogue: Catalogue, rules: DecisionRules) -> None:
    with pytest.raises(SettingsError, match="timezone 'Nowhere' does not exist"):
        _send_at(None, "sunset", catalogue, replace(rules, business_timezone="Nowhere"))


def test_hours_that_close_before_they_open_are_refused() -> None:
    with pytest.raises(SettingsError, match="channel hours 22 to 7"):
        ChannelRules(cost=0.0, open_hour=22, close_hour=7)


@given(
    st.dates(date(2020, 1, 1), date(2030, 1, 1)),
    st.sampled_from(["Asia/Shanghai", "Europe/London", "America/Los_Angeles", "Pacific/Kiritimati", "Pacific/Apia"]),
    st.integers(6, 12),
    st.integers(13, 23),
)
def test_nothing_is_timed_outside_hours_or_before_the_lists_are_out(
    as_of: date, zone: str, open_hour: int, close_hour: int
) -> None:
    rules = DecisionRules(
        salt="s",
        channels={"email": ChannelRules(cost=0.0, open_hour=open_hour, close_hour=close_hour)},
        margin_share=1.0,
        book=NO_LAW,
        beliefs=Beliefs(load_priors()),
        business_timezone="UTC",
    )
    sent = datetime.fromisoformat(_send_at(zone, "guided_restart", load_catalogue(), rules, as_of=as_of))
    assert open_hour <= sent.hour < close_hour
    assert timedelta(0) <= sent - datetime.fromisoformat(f"{as_of}T03:00:00+00:00") - timedelta(days=1) < timedelta(2)


def _send_to(
    likeliest: int | None,
    rules: DecisionRules,
    *,
    zone: str = "Europe/Berlin",
    clock: str = "Europe/Berlin",
    own: tuple[int | None, int | None] = (None, None),
    second: int = 11,
    as_of: date = date(2026, 6, 1),
) -> str:
    """To a user who is mostly here at one hour of the clock, else at the second."""
    shares = None if likeliest is None else [0.5 if h == likeliest else 0.2 if h == second else 0.01 for h in range(24)]
    contacts = pl.DataFrame(
        [(zone, None, "guided_restart", "email", *own, shares, None if shares is None else clock)],
        schema={
            **dict.fromkeys(("timezone", "country", "strategy_id", "channel"), pl.String),
            **dict.fromkeys(("quiet_start", "quiet_end"), pl.Int32),
            "hour_shares": pl.List(pl.Float32),
            "hours_timezone": pl.String,
        },
        orient="row",
    )
    return str(send_times(contacts, catalogue=load_catalogue(), rules=rules, as_of=as_of).item())


def test_the_users_likeliest_hour_goes_before_the_strategys(rules: DecisionRules) -> None:
    assert _send_to(14, rules) == "2026-06-02T14:00:00+02:00"
    assert _send_to(None, rules) == "2026-06-02T18:00:00+02:00"


def test_of_a_users_hours_the_likeliest_open_one_is_taken_not_the_nearest(rules: DecisionRules) -> None:
    assert _send_to(4, rules) == "2026-06-02T11:00:00+02:00"
    assert _send_to(14, rules, own=(13 * 60, 16 * 60)) == "2026-06-02T11:00:00+02:00"


def test_hours_told_on_another_clock_are_moved_to_the_users(rules: DecisionRules) -> None:
    assert _send_to(14, rules, zone="America/New_York", clock="Europe/Berlin", second=23) == "2026-06-02T08:00:00-04:00"
    assert _send_to(14, rules, zone="Asia/Shanghai", clock="Europe/Berlin") == "2026-06-02T20:00:00+08:00"


def test_a_users_hour_stays_the_same_hour_over_a_clock_change(rules: DecisionRules) -> None:
    sent = [_send_to(14, rules, as_of=date(2026, 10, day)) for day in (23, 24)]

    assert sent == ["2026-10-24T14:00:00+02:00", "2026-10-25T14:00:00+01:00"]


def test_each_user_has_a_minute_of_the_hour_that_is_the_same_every_night(rules: DecisionRules) -> None:
    n = 600
    ids = [f"u{i}" for i in range(n)]
    contacts = pl.DataFrame(
        {"user_id": ids, "timezone": "Europe/Berlin", "strategy_id": "guided_restart", "channel": "email"}
    ).with_columns(
        country=pl.lit(None, dtype=pl.String),
        quiet_start=pl.lit(18 * 60 + 30, dtype=pl.Int32),
        quiet_end=pl.lit(20 * 60, dtype=pl.Int32),
    )
    shuffled = contacts.sample(fraction=1, shuffle=True, seed=1)

    sent = send_times(contacts, catalogue=load_catalogue(), rules=rules, as_of=date(2026, 6, 1))
    again = send_times(shuffled, catalogue=load_catalogue(), rules=rules, as_of=date(2026, 6, 1))

    minutes = sent.str.slice(14, 2).cast(pl.Int64)
    assert set(sent.str.head(14)) == {"2026-06-02T18:"}
    assert set(sent.str.slice(16)) == {":00+02:00"}
    assert (minutes.min(), minutes.max()) == (0, 29)
    assert minutes.n_unique() == 30
    assert dict(zip(shuffled["user_id"], again, strict=True)) == dict(zip(ids, sent, strict=True))


@given(st.lists(st.floats(0, 1, width=32), min_size=24, max_size=24), st.integers(0, 23), st.integers(1, 24))
def test_no_hours_of_a_user_break_the_channels(shares: list[float], opens: int, n_hours: int) -> None:
    rules = DecisionRules(
        salt="s",
        channels={"email": ChannelRules(cost=0.0, open_hour=opens, close_hour=min(24, opens + n_hours))},
        margin_share=1.0,
        book=NO_LAW,
        beliefs=Beliefs(load_priors()),
        business_timezone="UTC",
    )
    contacts = pl.DataFrame(
        {
            "user_id": ["a"],
            "timezone": ["Asia/Kolkata"],
            "country": [None],
            "strategy_id": ["guided_restart"],
            "channel": ["email"],
            "quiet_start": [None],
            "quiet_end": [None],
            "hour_shares": [shares],
            "hours_timezone": ["Asia/Kolkata"],
        },
        schema_overrides={"country": pl.String, "quiet_start": pl.Int32, "quiet_end": pl.Int32},
    )
    sent = send_times(contacts, catalogue=load_catalogue(), rules=rules, as_of=date(2026, 6, 1)).item()
    assert opens <= datetime.fromisoformat(sent).hour < min(24, opens + n_hours)
