from datetime import date

import polars as pl

from dagster_project.reports.content import ReportContent
from dagster_project.reports.messages import message_metrics, message_tables

QUALITY = pl.DataFrame(
    {
        "channel": ["pigeon", "email"],
        "n_messages": [2, 1200],
        "n_without_send": [2, 0],
        "n_out_of_order": [0, 3],
        "n_duplicate_content": [0, 40],
        "n_machine_opened": [0, 9],
        "n_machine_opened_only": [0, 7],
        "n_failed_without_code": [1, 0],
        "n_ids_of_several_users": [0, 1],
        "n_ids_of_several_channels": [0, 0],
    }
)
CODES = pl.DataFrame(
    {
        "channel": ["email", "email", "pigeon"],
        "event": ["bounced", "bounced", "failed"],
        "code": ["5.1.1", "oops", ""],
        "failure_class": ["endpoint_dead", "unknown", "unknown"],
        "is_permanent": [True, None, None],
        "rule_id": ["smtp.enhanced.address_bad", None, None],
        "n_messages": [70, 3, 1],
        "n_users": [60, 3, 1],
        "last_failed_on": [date(2026, 3, 1)] * 3,
    }
)


def content(**frames: pl.DataFrame) -> ReportContent:
    return ReportContent(as_of=date(2026, 3, 2), currency="EUR", horizon_days=60, **frames)


def test_unknown_codes_are_listed_before_known_ones() -> None:
    table = message_tables(content(failure_codes=CODES))["codes"]

    assert table is not None
    assert table.rows == (
        ("email", "bounced", "oops", "unknown", "not told", "3", "3"),
        ("pigeon", "failed", "none given", "unknown", "not told", "1", "1"),
        ("email", "bounced", "5.1.1", "endpoint dead", "for good", "70", "60"),
    )


def test_odd_messages_are_counted_by_channel() -> None:
    table = message_tables(content(message_quality=QUALITY))["odd"]

    assert table is not None
    assert table.rows[0] == ("email", "1,200", "0", "3", "40", "7", "0", "1", "0")


def test_without_messages_there_is_no_table() -> None:
    assert message_tables(content(message_quality=QUALITY.clear())) == {"odd": None, "codes": None}


def test_the_metrics_name_unknown_codes_and_channels_that_are_not_in_use() -> None:
    found = message_metrics(QUALITY, CODES, channels=["email", "push"])

    assert [row["code"] for row in found["unknown_codes"]] == ["oops", ""]
    assert found["channels_not_in_settings"] == [{"channel": "pigeon", "n_messages": 2}]
    assert [row["channel"] for row in found["by_channel"]] == ["email", "pigeon"]
