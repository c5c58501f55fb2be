"""Rows that cannot be what their columns say: kept out, counted, and shown with file, row number and reason."""

from datetime import date, datetime
from decimal import Decimal

import pytest
from workbench import EVENT_COLUMNS, Workbench, reading

from dagster_project.errors import DataQualityError
from dagster_project.ingest.raw import Layout

WITH_AMOUNT = {**EVENT_COLUMNS, "amount": "amount"}


def reasons(workbench: Workbench) -> list[tuple[int, str]]:
    return [(row["row_number"], row["reason"].split(";")[0]) for row in workbench.quarantine().iter_rows(named=True)]


def test_a_bad_row_is_shown_with_its_file_its_row_number_its_reason_and_its_text(workbench: Workbench) -> None:
    workbench.rows_of("id,at\na,2024-01-01\nb,yesterday\n")

    assert workbench.quarantine().to_dicts() == [
        {
            "source_table": "events",
            "source_file": "events.csv",
            "row_number": 3,
            "reason": 'occurred_at: "yesterday" is not a time; other forms than 2024-03-31 12:30:00 need '
            "strptime(<column>, '<format>')",
            "raw_text": "b,yesterday",
            "dt": None,
        }
    ]


def test_row_numbers_count_unreadable_and_blank_lines_before(workbench: Workbench) -> None:
    workbench.rows_of("id,at\na,bad\nb\nc,2024-01-01,too,many\n\n\nd,bad\ne\nf,bad\n")

    assert [row for row, _ in reasons(workbench)] == [2, 3, 4, 7, 8, 9]


def test_a_row_with_too_many_or_too_few_columns_is_bad(workbench: Workbench) -> None:
    kept = workbench.rows_of("id,at\na,2024-01-01\nb\nc,2024-01-01,x\n")

    assert kept["user_id"].to_list() == ["a"]
    assert reasons(workbench) == [
        (3, "line: Expected Number of Columns: 2 Found: 1"),
        (4, "line: Expected Number of Columns: 2 Found: 3"),
    ]


@pytest.mark.parametrize("blank", ["", "   ", "\t", "\u00a0", "\u3000 "])
def test_rows_with_a_blank_user_are_anonymous_and_counted_apart(workbench: Workbench, blank: str) -> None:
    kept = workbench.rows_of(f"id,at\na,2024-01-01\n{blank},2024-01-01\n")

    assert kept["user_id"].to_list() == ["a"]
    assert workbench.fates() == {"anonymous": 1, "kept": 1}
    assert workbench.quarantine().is_empty()


def test_a_user_id_that_the_expression_cannot_convert_is_bad_not_anonymous(workbench: Workbench) -> None:
    workbench.reading = reading(columns={**EVENT_COLUMNS, "user_id": "cast(id as bigint)"})
    workbench.rows_of("id,at\n7,2024-01-01\nx7,2024-01-01\n")

    assert reasons(workbench) == [(3, 'user_id: "x7" is not a number or date')]


def test_days_that_nobody_believes_are_bad(workbench: Workbench) -> None:
    workbench.rows_of("id,at\na,1899-12-31\na,2199-01-01\na,2024-01-01\na,infinity\na,294247-01-10 04:00:54\n")

    assert reasons(workbench) == [
        (2, "occurred_at 1899-12-31 is beyond quality.earliest_on 1970-01-01"),
        (3, "occurred_at 2199-01-01 is beyond quality.latest_on 2100-01-01"),
        (5, 'occurred_at: "infinity" is not a time'),
        (6, "occurred_at 294247-01-10 is beyond quality.latest_on 2100-01-01"),
    ]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("inf", 'amount: "inf" is not a finite amount'),
        ("nan", 'amount: "nan" is not a finite amount'),
        ("-Infinity", 'amount: "-Infinity" is not a finite amount'),
        ('"1,234.50"', 'amount: "1,234.50" is not a finite amount'),
        ("12 EUR", 'amount: "12 EUR" is not a finite amount'),
        ("1e400", 'amount: "1e400" is not a finite amount'),
        ("99999999999999999999", 'amount: "99999999999999999999" is not a finite amount'),
        ("-5", "amount -5.0000 is negative on the core event visit"),
    ],
)
def test_an_amount_that_is_none_is_bad(workbench: Workbench, text: str, reason: str) -> None:
    workbench.reading = reading(columns=WITH_AMOUNT)
    workbench.rows_of(f"id,at,amount\na,2024-01-01,{text}\nb,2024-01-01,5\n")

    assert reasons(workbench) == [(2, reason)]


def test_a_negative_amount_is_fine_on_an_event_that_is_not_core(workbench: Workbench) -> None:
    workbench.reading = reading(columns={**WITH_AMOUNT, "event_type": "kind"}, core_events=("purchase",))
    kept = workbench.rows_of("id,at,amount,kind\na,2024-01-01,-5,refund\nb,2024-01-01,-5,purchase\n")

    assert kept.select("user_id", "amount").rows() == [("a", Decimal("-5.0000"))]


def test_a_blank_amount_is_no_amount(workbench: Workbench) -> None:
    workbench.reading = reading(columns=WITH_AMOUNT)

    assert workbench.rows_of("id,at,amount\na,2024-01-01,\n")["amount"].to_list() == [None]


def test_a_bad_number_inside_a_larger_expression_is_bad_not_null(workbench: Workbench) -> None:
    amount = "case when kind = 'refund' then -cast(replace(price, ',', '.') as double) else price * qty end"
    workbench.reading = reading(columns={**EVENT_COLUMNS, "event_type": "kind", "amount": amount}, core_events=("buy",))
    kept = workbench.rows_of(
        'id,at,kind,price,qty\na,2024-01-01,refund,"1,5",x\nb,2024-01-01,buy,2,3\nc,2024-01-01,buy,2,x\n'
    )

    assert kept.select("user_id", "amount").rows() == [("a", Decimal("-1.5000")), ("b", Decimal("6.0000"))]
    assert reasons(workbench) == [(4, 'amount: "x" is not a finite amount')]


def test_a_row_that_the_condition_cannot_judge_is_bad_not_left_out(workbench: Workbench) -> None:
    workbench.reading = reading(where="qty > 0")
    kept = workbench.rows_of("id,at,qty\na,2024-01-01,1\nb,2024-01-01,0\nc,2024-01-01,many\n")

    assert kept["user_id"].to_list() == ["a"]
    assert workbench.fates() == {"filtered": 1, "kept": 1, "quarantined": 1}
    assert reasons(workbench) == [(4, 'where: "many" is not a number or date')]


def test_a_number_as_time_is_bad_and_the_reason_says_how_to_read_it(workbench: Workbench) -> None:
    workbench.rows_of("id,at\na,1293840000\n")

    assert "to_timestamp(cast(<column> as double))" in workbench.quarantine()["reason"][0]

    workbench.reading = reading(columns={**EVENT_COLUMNS, "occurred_at": "to_timestamp(cast(at as double))"})
    workbench.take_in()
    assert workbench.kept()["occurred_at"].to_list() == [datetime.fromisoformat("2011-01-01")]


def test_a_byte_of_another_encoding_costs_only_its_line(workbench: Workbench) -> None:
    kept = workbench.rows_of(b"id,at\ncaf\xe9,2024-01-01\nb,2024-01-01\n")

    assert kept["user_id"].to_list() == ["b"]
    assert reasons(workbench) == [
        (2, "line: Invalid unicode (byte sequence mismatch) detected. This file is not utf-8 encoded.")
    ]


def test_lines_that_are_no_json_objects_are_bad(workbench: Workbench) -> None:
    workbench.pattern = "*.ndjson"
    workbench.layout = Layout(
        format="ndjson", delimiter=None, header=True, names=(), encoding="utf-8", null_values=("",)
    )
    kept = workbench.rows_of(
        '{"id": "a", "at": "2024-01-01"}\n{"id": "b", "at": \n\n[1]\n"x"\n{"at": "bad", "id": "c"}\n'
        '{"at":"2024-01-02"}\n',
        name="events.ndjson",
    )

    assert kept["user_id"].to_list() == ["a"]
    assert [(row, reason) for row, reason in reasons(workbench)] == [
        (2, "line: not a JSON object"),
        (4, "line: not a JSON object"),
        (5, "line: not a JSON object"),
        (6, 'occurred_at: "bad" is not a time'),
    ]
    assert workbench.fates()["anonymous"] == 1


def test_too_many_bad_rows_stop_and_nothing_is_taken_in(workbench: Workbench) -> None:
    workbench.max_quarantine_share = 0.05
    workbench.deliver("events.csv", "id,at\n" + "a,2024-01-01\n" * 9 + "a,bad\n")

    with pytest.raises(DataQualityError) as caught:
        workbench.take_in()

    assert caught.value.problem.startswith(
        "sources.events: 1 of 10 rows are bad (10.0%, allowed 5.0%); "
        'the first is events.csv row 11: occurred_at: "bad" is not a time'
    )
    assert "max_quarantine_share" in caught.value.fix
    assert workbench.arrivals.active("events") == ()
    assert workbench.kept().is_empty()
    assert workbench.quarantine()["raw_text"].to_list() == ["a,bad"]


def test_the_corrected_file_is_taken_in_after_a_stop(workbench: Workbench) -> None:
    workbench.max_quarantine_share = 0.05
    workbench.deliver("events.csv", "id,at\na,2024-01-01\na,bad\n")
    with pytest.raises(DataQualityError):
        workbench.take_in()

    kept = workbench.rows_of("id,at\na,2024-01-01\na,2024-01-02\n")

    assert kept["dt"].to_list() == [date(2024, 1, 1), date(2024, 1, 2)]
    assert workbench.fates() == {"kept": 2}


def test_rows_that_are_all_anonymous_stop_the_night(workbench: Workbench) -> None:
    workbench.deliver("events.csv", "id,at\n,2024-01-01\n,2024-01-02\n")

    with pytest.raises(DataQualityError, match=r"each of 2 rows has a blank user id"):
        workbench.take_in()

    assert workbench.arrivals.active("events") == ()
