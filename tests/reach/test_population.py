"""Trust of everybody together, on literal counts."""

from datetime import date

import polars as pl
import pytest

from dagster_project.reach.population import (
    DELIVERY_SCHEMA,
    FUNNEL_SCHEMA,
    TRUST_WEEKS_SCHEMA,
    delivery_outcomes,
    trust_funnel,
    trust_weeks,
)

COUNTS = ("n_sent", "n_arrived", "n_opened", "n_clicked", "n_stayed")


def outcome(
    channel: str, counts: tuple[int, ...], *, failure_class: str | None = None, **more: object
) -> dict[str, object]:
    place = {"channel": channel, "platform": "ios", "failure_class": failure_class, "is_closed": True}
    return {**place, **dict(zip(COUNTS, counts, strict=True)), **more}


OUTCOMES = pl.DataFrame(
    [
        outcome("push", (90, 90, 30, 15, 6)),
        outcome("push", (10, 0, 0, 0, 0), failure_class="network"),
        outcome("push", (50, 50, 9, 9, 9), is_closed=False),
        outcome("sms", (10, 10, 0, 0, 0), platform="web"),
    ]
)


def test_the_funnel_goes_down_step_by_step_over_messages_a_horizon_old() -> None:
    made = trust_funnel(OUTCOMES)

    push = made.filter(pl.col("channel") == "push")
    assert push.select("step", "n_messages", "share_of_sent").rows() == [
        ("sent", 100, 1.0),
        ("delivered", 90, 0.9),
        ("opened", 30, 0.3),
        ("clicked", 15, 0.15),
        ("stayed", 6, 0.06),
    ]
    assert push["share_of_previous"].to_list() == [None, 0.9, pytest.approx(1 / 3), 0.5, 0.4]
    assert made.filter(pl.col("channel") == "all")["n_messages"].to_list() == [110, 100, 30, 15, 6]
    assert made.filter(pl.col("channel") == "sms")["share_of_previous"].to_list() == [None, 1.0, 0.0, None, None]


def test_delivery_is_told_by_channel_platform_and_reason() -> None:
    made = delivery_outcomes(OUTCOMES)

    assert made.select("channel", "platform", "failure_class", "n_messages", "n_sent").rows() == [
        ("push", "ios", None, 140, 150),
        ("push", "ios", "network", 10, 150),
        ("sms", "web", None, 10, 10),
    ]
    assert made["share"].to_list() == [pytest.approx(140 / 150), pytest.approx(10 / 150), 1.0]
    assert (made["share_low"] < made["share"]).all()


def test_weeks_of_all_channels_are_told_oldest_first() -> None:
    zeros = {"n_failed": 0, "n_opened": 0, "n_clicked": 0, "n_unsubscribed": 0, "n_complained": 0, "n_duplicates": 0}
    later, earlier = date(2026, 3, 9), date(2026, 3, 2)
    rows = [
        {"week_start": later, "week_end": later, "channel": "all", "n_users": 4, "n_sent": 8}
        | zeros
        | {"n_complained": 1},
        {"week_start": earlier, "week_end": later, "channel": "all", "n_users": 4, "n_sent": 0} | zeros,
        {"week_start": earlier, "week_end": later, "channel": "sms", "n_users": 4, "n_sent": 9} | zeros,
    ]

    made = trust_weeks(pl.DataFrame(rows))

    assert made["week_start"].to_list() == [earlier, later]
    assert made["trust_index"].to_list() == [None, pytest.approx((1 - 0.75 / 4) * 0.7)]
    assert made["opt_out_share"].to_list() == [None, 0.125]


def test_without_messages_there_are_no_rows() -> None:
    weeks = pl.DataFrame(schema={"channel": pl.String, "week_start": pl.Date})

    assert trust_weeks(weeks).schema == TRUST_WEEKS_SCHEMA
    assert trust_funnel(OUTCOMES.clear()).schema == FUNNEL_SCHEMA
    assert (delivery_outcomes(OUTCOMES.clear()).schema, delivery_outcomes(OUTCOMES.clear()).height) == (
        DELIVERY_SCHEMA,
        0,
    )
