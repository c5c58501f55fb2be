"""The trust index: literal records, and what must hold of every record."""

from datetime import date

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dagster_project.reach.saturation import SATURATION_SCHEMA
from dagster_project.reach.trust import (
    COUNTS,
    MOST_STRENGTH,
    TRUST_SCHEMA,
    USUAL_STRENGTH,
    shrinkage_strength,
    trust_of_users,
    trust_of_weeks,
)

USERS = pl.DataFrame({"user_sk": [1, 2, 3], "user_id": ["b", "a", "c"], "stage": ["active", "lost", "active"]})
RECORD = {"user_sk": pl.Int64, "channel": pl.String, **dict.fromkeys(COUNTS, pl.Int64)}
PARTS = ["trust_index", "attention", "permission", "delivery", "conduct"]
NO_CURVE = SATURATION_SCHEMA.to_frame()


def records(*rows: dict[str, object]) -> pl.DataFrame:
    filled = [dict.fromkeys(COUNTS, 0) | {"channel": "email"} | row for row in rows]
    return pl.DataFrame([{name: row[name] for name in RECORD} for row in filled], schema=RECORD)


def record(user_sk: int, n_sent: int, n_responded: int, **more: int) -> dict[str, object]:
    return {"user_sk": user_sk, "n_sent": n_sent, "n_arrived": n_sent, "n_responded": n_responded} | more


def index_of(table: pl.DataFrame, user_id: str, column: str = "trust_index") -> float:
    return float(table.filter(pl.col("user_id") == user_id)[column][0])


def test_a_user_who_does_as_everybody_has_attention_of_one_half() -> None:
    made = trust_of_users(USERS, records(record(1, 20, 5), record(2, 20, 5)), NO_CURVE)

    assert index_of(made, "a", "attention") == 0.5
    assert index_of(made, "a", "permission") == index_of(made, "a", "delivery") == index_of(made, "a", "conduct") == 1.0
    assert index_of(made, "a") == pytest.approx(0.6 * 0.5 + 0.2 + 0.2)


def test_who_opens_more_than_their_channels_give_is_trusted_more() -> None:
    rows = [record(1, 40, 30), record(2, 40, 2), record(3, 40, 4) | {"channel": "sms"}]

    made = trust_of_users(USERS, records(*rows), NO_CURVE)

    assert index_of(made, "b", "attention") > 0.6 > 0.4 > index_of(made, "a", "attention")
    assert index_of(made, "c", "attention") == 0.5  # few answers, but that is what sms gets from anybody


def test_an_opt_out_halves_and_a_complaint_quarters() -> None:
    plain = [record(1, 10, 3), record(2, 10, 3)]
    told = [record(1, 10, 3, n_opted_out=1), record(2, 10, 3, n_complained=1)]

    before, after = (trust_of_users(USERS, records(*rows), NO_CURVE) for rows in (plain, told))

    assert index_of(after, "b") == pytest.approx(index_of(before, "b") / 2)
    assert index_of(after, "a") == pytest.approx(index_of(before, "a") / 4)


def test_our_own_failures_lower_only_delivery() -> None:
    ours = record(2, 20, 5, n_failed_ours=10)

    made = trust_of_users(USERS, records(record(1, 20, 5), ours), NO_CURVE)

    assert index_of(made, "a", "delivery") < index_of(made, "b", "delivery")
    assert index_of(made, "a", "attention") == index_of(made, "b", "attention")
    assert index_of(made, "a", "permission") == 1.0


def test_quiet_hours_and_repeated_content_lower_conduct() -> None:
    bad = record(2, 20, 5, n_duplicates=5, n_quiet_breaches=5)

    made = trust_of_users(USERS, records(record(1, 20, 5), bad), NO_CURVE)

    assert index_of(made, "a", "conduct") < index_of(made, "b", "conduct")


def test_without_a_message_the_index_is_the_populations_and_says_so() -> None:
    made = trust_of_users(USERS, records(record(1, 20, 5), record(2, 20, 5)), NO_CURVE)

    silent = made.filter(pl.col("user_id") == "c").row(0, named=True)
    assert (silent["is_prior"], silent["trust_index"], silent["n_messages_90d"]) == (True, pytest.approx(0.7), 0)
    assert silent["explanation"] == "No message in 180 days: the index is what the population's record suggests."
    assert (silent["fatigue_probability"], silent["max_per_week"]) == (None, None)


def test_nobody_was_ever_written_to() -> None:
    made = trust_of_users(USERS, records(), NO_CURVE)

    assert made.schema == TRUST_SCHEMA
    assert made["user_id"].to_list() == ["a", "b", "c"]
    assert made["trust_index"].to_list() == [pytest.approx(0.7)] * 3
    assert made["is_prior"].all()


def test_fatigue_is_that_of_one_more_message_in_the_stage() -> None:
    steps = [("active", 0, 0.0), ("active", 1, 0.01), ("active", 2, 0.03), ("all", 1, 0.02), ("all", 2, 0.05)]
    curve = pl.DataFrame(
        [
            dict.fromkeys(SATURATION_SCHEMA)
            | {"stage": stage, "window_days": 7, "n_messages": m, "opt_out_share": q, "uninstall_share": 0.0}
            | {"max_per_week": 3 if stage == "active" else 1}
            for stage, m, q in steps
        ],
        schema=SATURATION_SCHEMA,
    )

    made = trust_of_users(USERS, records(record(1, 4, 1, n_sent_7d=1), record(2, 4, 1, n_sent_7d=9)), curve)

    assert made.select("user_id", "fatigue_probability").rows() == [("a", 0.05), ("b", 0.03), ("c", 0.01)]
    assert made["max_per_week"].to_list() == [1, 3, 3]  # the stage of the first has no row of its own


some_record = st.fixed_dictionaries(
    {
        "n_sent": st.integers(0, 60),
        "n_arrived": st.integers(0, 60),
        "n_responded": st.integers(0, 60),
        "n_opted_out": st.integers(0, 4),
        "n_complained": st.integers(0, 3),
        "n_failed_ours": st.integers(0, 60),
        "n_duplicates": st.integers(0, 60),
        "n_quiet_breaches": st.integers(0, 60),
        "channel": st.sampled_from(["email", "push"]),
    }
)


@given(st.lists(some_record, min_size=1, max_size=3))
def test_every_part_is_a_share_in_whatever_order_the_rows_come(rows: list[dict[str, object]]) -> None:
    given_rows = records(*({"user_sk": place + 1, **row} for place, row in enumerate(rows)))

    made = trust_of_users(USERS, given_rows, NO_CURVE)

    for part in PARTS:
        assert made[part].is_between(0, 1).all()
    assert made.equals(trust_of_users(USERS.reverse(), given_rows.reverse(), NO_CURVE))


@given(some_record, some_record, st.integers(1, 3), st.sampled_from(["n_complained", "n_opted_out"]))
def test_one_more_complaint_or_opt_out_never_raises_the_index(
    own: dict[str, object], other: dict[str, object], more: int, which: str
) -> None:
    worse = own | {which: own[which] + more}  # type: ignore[operator]

    before, after = (
        trust_of_users(USERS, records({"user_sk": 1, **mine}, {"user_sk": 2, **other}), NO_CURVE)
        for mine in (own, worse)
    )

    assert index_of(after, "b") <= index_of(before, "b")
    assert index_of(after, "a") == index_of(before, "a")


@given(some_record, st.integers(1, 20))
def test_one_more_response_never_lowers_attention_among_many(own: dict[str, object], more: int) -> None:
    crowd = pl.DataFrame({"user_sk": range(1, 62), "user_id": [f"u{n:02d}" for n in range(61)], "stage": ["lost"] * 61})
    others = [record(n, 20, n % 5) for n in range(2, 62)]
    own = own | {"channel": "email", "n_arrived": 30, "n_responded": min(int(str(own["n_responded"])), 10)}
    better = own | {"n_responded": int(str(own["n_responded"])) + more}

    before, after = (
        trust_of_users(crowd, records({"user_sk": 1, **mine}, *others), NO_CURVE) for mine in (own, better)
    )

    assert index_of(after, "u00", "attention") >= index_of(before, "u00", "attention")


def test_shrinkage_finds_how_much_users_differ() -> None:
    rng = np.random.default_rng(4)
    n = np.full(4000, 20.0)
    alike = rng.binomial(20, 0.3, 4000).astype(float)
    different = rng.binomial(20, rng.beta(0.3 * 8, 0.7 * 8, 4000)).astype(float)  # a strength of eight messages

    assert shrinkage_strength(alike, n, np.full(4000, 0.3)) > 100
    assert shrinkage_strength(different, n, np.full(4000, 0.3)) == pytest.approx(8, rel=0.2)
    assert shrinkage_strength(np.zeros(0), np.zeros(0), np.zeros(0)) == USUAL_STRENGTH
    assert shrinkage_strength(n * 0.3, n, np.full(4000, 0.3)) == MOST_STRENGTH


def weeks(*rows: tuple[int, ...]) -> pl.DataFrame:
    names = ["n_users", "n_sent", "n_failed", "n_opened", "n_clicked", "n_unsubscribed", "n_complained", "n_duplicates"]
    starts = [date(2026, 1, 5 + 7 * place) for place in range(len(rows))]
    return pl.DataFrame(rows, schema=dict.fromkeys(names, pl.Int64), orient="row").with_columns(
        week_start=pl.Series(starts, dtype=pl.Date)
    )


def test_a_week_of_opt_outs_and_failures_has_less_trust() -> None:
    made = trust_of_weeks(weeks((100, 200, 0, 40, 10, 0, 0, 0), (100, 200, 100, 20, 5, 10, 2, 50)))

    assert made["trust_index"][0] == pytest.approx(0.7)
    assert made["permission"].to_list() == [1.0, pytest.approx(1 - (5 + 1.5) / 100)]
    assert made["delivery"].to_list() == [1.0, 0.5]
    assert made["trust_index"][1] < 0.6


def test_a_week_without_a_message_has_no_index() -> None:
    made = trust_of_weeks(weeks((0, 0, 0, 0, 0, 0, 0, 0)))

    assert made["trust_index"].to_list() == [None]
    assert trust_of_weeks(weeks()).is_empty()
