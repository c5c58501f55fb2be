"""Facts joined for trust, saturation and damage, on literal rows."""

from datetime import date, datetime, timedelta

import polars as pl

from dagster_project.reach.conduct import BREACHES_SCHEMA
from dagster_project.reach.fatigue import CHARGE_SCHEMA, HARM_SCHEMA
from dagster_project.reach.records import dosed, lapsed_weeks, opt_outs_in_force, trust_records, user_weeks

CUTOFF = date(2026, 2, 28)
NOON = datetime(2026, 3, 1, 12)  # noqa: DTZ001
FAILURES = {
    "user_sk": pl.Int64,
    "channel": pl.String,
    "failure_class": pl.String,
    "n_failed": pl.Int64,
    "sent_on": pl.Date,
}


def failures(*rows: tuple[int, str, str, int, date]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema=FAILURES, orient="row")


def harms(*rows: tuple[int, str, str | None, datetime]) -> pl.DataFrame:
    return pl.DataFrame([(*row[:3], None, row[3]) for row in rows], schema=HARM_SCHEMA, orient="row")


def test_only_failures_that_are_our_fault_count_against_us_and_a_revoked_permission_is_an_opt_out() -> None:
    names = (
        "n_sent",
        "n_arrived",
        "n_responded",
        "n_complained",
        "n_duplicates",
        "n_sent_7d",
        "n_sent_28d",
        "n_sent_90d",
    )
    record = pl.DataFrame([{"user_sk": 1, "channel": "push", **dict.fromkeys(names, 0), "n_sent": 9}])
    failed = failures(
        (1, "push", "server_fault", 2, CUTOFF),
        (1, "push", "quota", 1, CUTOFF),
        (1, "push", "endpoint_dead", 4, CUTOFF),
        (1, "push", "permission_revoked", 1, CUTOFF),
    )
    outs = pl.DataFrame({"user_sk": [2, 1], "channel": ["email", "push"]})
    breaches = pl.DataFrame([(1, "push", 3)], schema=BREACHES_SCHEMA, orient="row")

    made = trust_records(record, failed, outs, breaches)

    told = made.select("user_sk", "channel", "n_sent", "n_failed_ours", "n_opted_out", "n_quiet_breaches")
    assert told.rows() == [(1, "push", 9, 3, 1, 3), (2, "email", 0, 0, 1, 0)]


def test_a_later_consent_lifts_an_opt_out_and_one_of_the_same_instant_does_not() -> None:
    said = harms((1, "opt_out", "email", NOON), (2, "opt_out", "email", NOON), (3, "opt_out", "sms", NOON))
    consents = pl.DataFrame(
        {
            "user_sk": [1, 2, 3],
            "channel": ["email", "Email ", "email"],
            "status": ["granted", "granted", "granted"],
            "changed_at": [NOON + timedelta(days=1), NOON, NOON + timedelta(days=1)],
        }
    )

    assert opt_outs_in_force(said, consents).rows() == [(2, "email"), (3, "sms")]
    assert opt_outs_in_force(said, None).rows() == [(1, "email"), (2, "email"), (3, "sms")]
    assert opt_outs_in_force(harms((1, "uninstall", None, NOON)), None).is_empty()


def test_a_consent_for_all_channels_lifts_an_opt_out_of_each() -> None:
    said = harms((1, "opt_out", "email", NOON), (1, "opt_out", "sms", NOON))
    after = NOON + timedelta(days=1)
    consents = pl.DataFrame({"user_sk": [1], "channel": ["all"], "status": ["granted"], "changed_at": [after]})

    assert opt_outs_in_force(said, consents).is_empty()


WINDOW = {
    "user_sk": 1, "window_index": 0, "cutoff_on": CUTOFF, "n_arrived_7d": 2, "n_arrived_28d": 5, "n_irrelevant_7d": 1,
    "n_clicked_7d": 0, "n_active_days_before": 3, "n_active_days_after": 0, "back_after_days": 9, "is_closed": True,
}  # fmt: skip
STAGE = {
    "cutoff_on": CUTOFF, "user_sk": 1, "user_id": "a", "stage": "dormant", "phase": "declining", "days_silent": 12
}  # fmt: skip


def weeks(*, charged_at: datetime, failed_on: date) -> pl.DataFrame:
    charge = pl.DataFrame(
        [(1, "opt_out", "push", "m", charged_at, 0.25), (1, "uninstall", "push", None, None, 1.0)],
        schema=CHARGE_SCHEMA,
        orient="row",
    )
    failed = failures((1, "push", "network", 2, failed_on))
    not_yet_known = {**WINDOW, "user_sk": 2}
    return user_weeks(pl.DataFrame([WINDOW, not_yet_known]), pl.DataFrame([STAGE]), failed, charge)


def test_a_week_holds_what_was_charged_to_its_own_messages() -> None:
    inside = weeks(charged_at=NOON + timedelta(days=6), failed_on=CUTOFF + timedelta(days=1)).row(0, named=True)
    before = weeks(charged_at=NOON - timedelta(days=1), failed_on=CUTOFF).row(0, named=True)
    after = weeks(charged_at=NOON + timedelta(days=7), failed_on=CUTOFF + timedelta(days=8)).row(0, named=True)

    columns = ("n_failed_ours", "opt_outs_7d", "opt_outs_28d", "uninstalls_7d")
    assert [tuple(row[name] for name in columns) for row in (inside, before, after)] == [
        (2.0, 0.25, 0.25, 0.0),
        (0.0, 0.0, 0.25, 0.0),
        (0.0, 0.0, 0.0, 0.0),
    ]


def test_users_not_visible_on_the_cutoff_are_left_out() -> None:
    assert weeks(charged_at=NOON, failed_on=CUTOFF)["user_id"].to_list() == ["a"]


def test_a_return_is_no_response_unless_it_is_within_a_week() -> None:
    row = weeks(charged_at=NOON, failed_on=CUTOFF).row(0, named=True)

    assert (row["is_response"], row["is_back"]) == (False, True)


def test_the_dose_is_that_of_the_window() -> None:
    made = weeks(charged_at=NOON, failed_on=CUTOFF)

    assert dosed(made, window_days=7)["n_messages"].to_list() == [2]
    assert dosed(made, window_days=28)["n_messages"].to_list() == [5]


def test_damage_looks_at_the_closed_weeks_of_those_silent_beyond_their_gap() -> None:
    made = weeks(charged_at=NOON, failed_on=CUTOFF)
    caps = pl.DataFrame({"stage": ["dormant"], "max_per_week": [3]})
    values = pl.DataFrame({"user_sk": [1], "value_if_returned": [7.5]})

    found = lapsed_weeks(made, caps, values)

    assert found.select("n_arrived", "n_irrelevant", "max_per_week", "value_if_returned").rows() == [(2, 1, 3, 7.5)]
    assert lapsed_weeks(made.with_columns(phase=pl.lit("engaged")), caps, values).is_empty()
    assert lapsed_weeks(made.with_columns(is_closed=False), caps, values).is_empty()
