from dataclasses import replace
from datetime import date, datetime, timedelta

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dagster_project.errors import SettingsError
from dagster_project.strategy.catalogue import Catalogue, load_catalogue
from dagster_project.strategy.rules import ChannelRules, DecisionRules
from dagster_project.strategy.timing import send_times


def _send_at(
    zone: str | None, strategy_id: str, catalogue: Catalogue, rules: DecisionRules, as_of: date = date(2026, 6, 1)
) -> str:
    contacts = pl.DataFrame(
        {"timezone": [zone], "strategy_id": [strategy_id], "channel": ["email"]},
        schema_overrides={"timezone": pl.String},
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
    assert _send_at(None, "guided_restart", catalogue, evening) == "2026-06-02T20:00:00+01:00"


def test_an_hour_already_past_when_the_lists_are_out_moves_to_the_next_day(
    catalogue: Catalogue, rules: DecisionRules
) -> None:
    # 10:00 in Auckland on 2 June is 23:00 in London on 1 June.
    assert _send_at("Pacific/Auckland", "sunset", catalogue, rules) == "2026-06-03T10:00:00+12:00"


def test_an_hour_that_the_clocks_skip_becomes_the_next_one(catalogue: Catalogue, rules: DecisionRules) -> None:
    night = replace(rules, channels={"email": ChannelRules(cost=0, open_hour=2, close_hour=3)}, ready_hour=0)
    sent = _send_at("Europe/Berlin", "guided_restart", catalogue, night, as_of=date(2026, 3, 28))
    assert sent == "2026-03-29T03:00:00+02:00"


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
        business_timezone="UTC",
    )
    sent = datetime.fromisoformat(_send_at(zone, "guided_restart", load_catalogue(), rules, as_of=as_of))
    assert open_hour <= sent.hour < close_hour
    assert timedelta(0) <= sent - datetime.fromisoformat(f"{as_of}T03:00:00+00:00") - timedelta(days=1) < timedelta(2)
