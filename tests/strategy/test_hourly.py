"""No clock hour gets more messages than its channel carries."""

from collections import Counter
from dataclasses import replace
from datetime import UTC, date, datetime

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from dagster_project.compliance.packs import shipped_law_book
from dagster_project.strategy.catalogue import load_catalogue
from dagster_project.strategy.priors import Beliefs, load_priors
from dagster_project.strategy.rules import ChannelRules, DecisionRules
from dagster_project.strategy.timing import send_times

AS_OF = date(2026, 6, 1)
ZONES = ("Europe/Berlin", "Asia/Kolkata", "America/New_York", None)


def _contacts(zones: list[str | None], *, profits: list[float] | None = None) -> pl.DataFrame:
    n = len(zones)
    return pl.DataFrame(
        {
            "user_id": [f"u{at}" for at in range(n)],
            "timezone": zones,
            "country": [None] * n,
            "strategy_id": ["whats_new"] * n,
            "channel": ["email"] * n,
            "quiet_start": [None] * n,
            "quiet_end": [None] * n,
            "expected_profit": profits or [1.0] * n,
        },
        schema_overrides={
            **dict.fromkeys(("timezone", "country"), pl.String),
            **dict.fromkeys(("quiet_start", "quiet_end"), pl.Int32),
        },
    )


def _times(contacts: pl.DataFrame, rules: DecisionRules, limit: int | None) -> list[datetime | None]:
    channels = {"email": ChannelRules(cost=0, hourly_capacity=limit, open_hour=9, close_hour=20)}
    told = send_times(contacts, catalogue=load_catalogue(), rules=replace(rules, channels=channels), as_of=AS_OF)
    return [None if at is None else datetime.fromisoformat(at) for at in told]


def test_who_does_not_fit_moves_to_the_nearest_hour_and_the_most_profitable_stay(rules: DecisionRules) -> None:
    contacts = _contacts(["Europe/Berlin"] * 4, profits=[1.0, 4.0, 3.0, 2.0])
    (wanted,) = {at.hour for at in _times(contacts, rules, None) if at}
    hours = [at.hour for at in _times(contacts, rules, 1) if at]
    assert hours[1] == wanted
    assert sorted(hours) == sorted({wanted - 1, wanted, wanted + 1, hours[0]})
    assert abs(hours[0] - wanted) == 2


def test_where_no_hour_of_the_days_ahead_has_room_there_is_no_moment(rules: DecisionRules) -> None:
    times = _times(_contacts(["Europe/Berlin"] * 60), rules, 1)
    assert times.count(None) > 0
    assert len({at for at in times if at}) == 60 - times.count(None)


def test_without_a_limit_nothing_moves(rules: DecisionRules) -> None:
    contacts = _contacts(["Europe/Berlin"] * 50)
    assert _times(contacts, rules, None) == _times(contacts, rules, 50)


@settings(max_examples=25, deadline=None)
@given(zones=st.lists(st.sampled_from(ZONES), min_size=1, max_size=40), limit=st.integers(1, 6))
def test_no_hour_ever_holds_more_than_the_limit(zones: list[str | None], limit: int) -> None:
    rules = DecisionRules(
        salt="s",
        book=shipped_law_book(),
        beliefs=Beliefs(load_priors()),
        channels={},
        margin_share=1.0,
        business_timezone="Europe/Berlin",
    )
    times = [at for at in _times(_contacts(zones), rules, limit) if at]
    per_hour = Counter(at.astimezone(UTC).replace(minute=0) for at in times)
    assert max(per_hour.values(), default=0) <= limit


def test_the_held_out_take_no_room_and_have_no_moment_where_the_treated_have_none(rules: DecisionRules) -> None:
    contacts = _contacts(["Europe/Berlin"] * 90, profits=[float(-at) for at in range(90)])
    held = pl.Series("is_held_out", [at % 3 == 2 for at in range(90)])

    times = pl.Series("at", _times(contacts.with_columns(held), rules, 1)).is_not_null()
    alone = pl.Series("at", _times(contacts.filter(~held), rules, 1)).is_not_null()

    assert times.filter(~held).to_list() == alone.to_list()
    last = int(times.filter(~held).arg_true().max() or 0)  # the least worthy of the treated who found an hour
    rank_of_last = int((~held).arg_true()[last])
    assert times.filter(held).to_list() == [at < rank_of_last for at in held.arg_true()]
