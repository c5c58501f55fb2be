"""Every form that a file may come in gives the same rows."""

import gzip
from dataclasses import replace
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path

import polars as pl
import pyarrow as pa
import pytest
from workbench import EVENT_COLUMNS, LAYOUT, Workbench, reading

CSV = 'id,at,item\n00001,2024-01-01 10:00,"tea, green"\n用户,2024-01-02 11:00,naïve\n'
ROWS = [("00001", "2024-01-01 10:00:00", "tea, green"), ("用户", "2024-01-02 11:00:00", "naïve")]
WITH_ITEM = {**EVENT_COLUMNS, "item": "item"}
NDJSON = (
    '{"id": "00001", "at": "2024-01-01T10:00:00", "item": "tea, green"}\n'
    '{"item": "naïve", "id": "用户", "at": "2024-01-02 11:00"}\n'
)


def packed(text: str, suffix: str) -> bytes:
    data = text.encode()
    if suffix == ".gz":
        return gzip.compress(data)
    return bytes(pa.compress(data, codec="zstd", asbytes=True)) if suffix == ".zst" else data


def read(workbench: Workbench, name: str, content: str | bytes, **layout: object) -> list[tuple[str, str, str]]:
    workbench.pattern = name
    workbench.layout = replace(LAYOUT, **layout)  # type: ignore[arg-type]
    workbench.reading = replace(workbench.reading, columns=WITH_ITEM)
    kept = workbench.rows_of(content, name=name)
    assert workbench.quarantine().is_empty(), workbench.quarantine().to_dicts()
    return kept.select("user_id", pl.col("occurred_at").dt.to_string("%F %T"), "item").rows()


@pytest.mark.parametrize("suffix", ["", ".gz", ".zst"])
def test_csv_and_ndjson_are_read_packed_or_not(workbench: Workbench, suffix: str) -> None:
    assert read(workbench, f"events.csv{suffix}", packed(CSV, suffix)) == ROWS

    other = Workbench(workbench.folder / "json")
    assert read(other, f"events.ndjson{suffix}", packed(NDJSON, suffix), format="ndjson") == ROWS


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-32", "gb18030"])
def test_any_encoding_is_read(workbench: Workbench, encoding: str) -> None:
    assert read(workbench, "events.csv", CSV.encode(encoding), encoding=encoding) == ROWS
    assert not list((workbench.folder / "store").rglob("*.utf8"))


def test_windows_text_is_read_and_a_byte_that_it_does_not_have_costs_its_line(workbench: Workbench) -> None:
    workbench.layout = replace(LAYOUT, encoding="cp1252")
    kept = workbench.rows_of("id,at\n€ué,2024-01-01\n".encode("cp1252") + b"a\x81,2024-01-01\nb,2024-01-02\n")

    assert kept["user_id"].to_list() == ["€ué", "b"]
    assert workbench.quarantine()["row_number"].to_list() == [3]


@pytest.mark.parametrize(
    "text",
    [
        CSV.replace("\n", "\r\n"),
        CSV.replace("\n", "\r\n").removesuffix("\r\n"),
        "\ufeff" + CSV,
        CSV + "\n\n",
        'id;at;item\n00001;2024-01-01 10:00;tea, green\n"用户";2024-01-02 11:00;naïve\n',
        "id\tat\titem\n00001\t2024-01-01 10:00\ttea, green\n用户\t2024-01-02 11:00\tnaïve\n",
        " at |item|ID\n2024-01-01 10:00|tea, green|00001\n2024-01-02 11:00|naïve| 用户 \n",
    ],
    ids=["crlf", "no end", "byte-order mark", "blank lines", "semicolon", "tab", "pipe, other order and case"],
)
def test_line_ends_marks_and_delimiters_are_found(workbench: Workbench, text: str) -> None:
    assert read(workbench, "events.csv", text) == ROWS


@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_a_file_without_header_takes_its_names_from_the_settings(workbench: Workbench, mark: str) -> None:
    text = mark + CSV.split("\n", 1)[1]

    assert read(workbench, "events.csv", text, header=False, names=("id", "at", "item")) == ROWS


def test_columns_that_runs_of_blanks_separate(workbench: Workbench) -> None:
    text = " id   at  item\n 00001 20240101  tea\n00002 20240102\ttea\n\n 00001  20240101 tea\n"
    workbench.reading = reading(columns={**WITH_ITEM, "occurred_at": "strptime(at, '%Y%m%d')"})
    workbench.layout = replace(LAYOUT, delimiter="whitespace")

    kept = workbench.rows_of(text)

    assert kept.select("user_id", "dt").rows() == [
        ("00001", date(2024, 1, 1)),
        ("00001", date(2024, 1, 1)),
        ("00002", date(2024, 1, 2)),
    ]
    assert kept["row_hash"].n_unique() == 2


def test_quoted_values_hold_line_ends_delimiters_and_quotes(workbench: Workbench) -> None:
    text = 'id,at,item\r\n"O\'Neil ""x""",2024-01-01 10:00,"two\r\nlines, one"\r\n'

    assert read(workbench, "events.csv", text) == [('O\'Neil "x"', "2024-01-01 10:00:00", "two\r\nlines, one")]


def test_texts_that_mean_no_value(workbench: Workbench) -> None:
    workbench.reading = reading(columns=WITH_ITEM)
    workbench.layout = replace(LAYOUT, null_values=("", "NULL", "n/a"))

    kept = workbench.rows_of("id,at,item\na,2024-01-01,NULL\nNULL,2024-01-01,x\nb,2024-01-01,n/a\n")

    assert kept.select("user_id", "item").rows() == [("a", None), ("b", None)]


def test_column_names_may_be_anything(workbench: Workbench) -> None:
    workbench.reading = reading(
        columns={"user_id": '"用户 编号"', "occurred_at": '"the ""time"""', "event_type": "comment", "item": "rowid"}
    )
    kept = workbench.rows_of('用户 编号,"the ""time""",comment,rowid,line\na,2024-01-01,visit,9,z\n')

    assert kept.select("user_id", "event_type", "item").rows() == [("a", "visit", "9")]


def test_keys_of_ndjson_may_be_anything(workbench: Workbench) -> None:
    workbench.pattern, workbench.layout = "*.ndjson", replace(LAYOUT, format="ndjson")
    workbench.reading = reading(
        columns={
            "user_id": "id",
            "occurred_at": "line",
            "event_type": '"the ""kind"""',
            "item": "json_extract_string(json, '$.deep.item')",
            "category": '"a.b"',
        }
    )
    kept = workbench.rows_of(
        '{"id": 7, "line": "2024-01-01", "the \\"kind\\"": "visit", "deep": {"item": "tea"}, "a.b": null}\n'
        '{"ID": "00007", "line": "2024-01-02", "the \\"kind\\"": "visit", "a.b": 1.5, "json": 1, "": 2}\n',
        name="events.ndjson",
    )

    assert kept.select("user_id", "item", "category").rows() == [("7", "tea", None), ("00007", None, "1.5")]


@pytest.mark.parametrize(
    ("ids", "expected"),
    [
        (pl.Series([17850.0, None, float("nan"), 0.5]), ["0.5", "17850"]),
        (pl.Series([17850, None, 2**62], dtype=pl.Int64), ["17850", "4611686018427387904"]),
        (pl.Series(["00001", " ", "x" * 5000]), ["00001", "x" * 5000]),
    ],
    ids=["float", "integer", "text"],
)
def test_ids_keep_their_form(workbench: Workbench, ids: pl.Series, expected: list[str]) -> None:
    workbench.pattern, workbench.layout = "*.parquet", replace(LAYOUT, format="parquet")
    pl.DataFrame({"id": ids, "at": [datetime.fromisoformat("2024-01-01")] * len(ids)}).write_parquet(
        workbench.folder / "events.parquet"
    )
    workbench.take_in()

    assert sorted(workbench.kept()["user_id"].to_list()) == expected


def test_ids_with_quotes_and_sql_in_them_stay_as_they_are(workbench: Workbench) -> None:
    ids = ["Robert'); drop table typed;--", '"', "'", "$id", "{x}"]
    text = "id|at\n" + "".join(f'"{user.replace(chr(34), chr(34) * 2)}"|2024-01-01\n' for user in ids)

    assert sorted(workbench.rows_of(text)["user_id"].to_list()) == sorted(ids)


@pytest.mark.parametrize(
    ("text", "utc"),
    [
        ("2024-07-01 10:00", "2024-07-01 09:00:00"),
        ("2024-07-01T10:00:00Z", "2024-07-01 10:00:00"),
        ("2024-07-01T10:00:00.5+02:00", "2024-07-01 08:00:00"),
        ("2024-07-01 10:00:00-0530", "2024-07-01 15:30:00"),
        ("2024-07-01 10:00:00+02 ", "2024-07-01 08:00:00"),
        ("2024-07-01 10:00:00 UTC", "2024-07-01 10:00:00"),
        ("2024-07-01 10:00:00 Asia/Tokyo", "2024-07-01 01:00:00"),
        ("2024-01-01 10:00", "2024-01-01 10:00:00"),
        ("2024-03-31 01:30", "2024-03-31 01:30:00"),  # an hour that London does not have: read as after it
        ("2024-10-27 01:30", "2024-10-27 01:30:00"),  # an hour that London has twice: the second
        ("2024-07-01", "2024-06-30 23:00:00"),
    ],
)
def test_a_time_without_zone_is_of_the_source_and_one_with_it_is_not(workbench: Workbench, text: str, utc: str) -> None:
    workbench.reading = reading(source_zone="Europe/London", business_zone="Europe/London")

    kept = workbench.rows_of(f"id,at\na,{text}\n")

    assert kept["occurred_at"].dt.to_string("%F %T").to_list() == [utc]


def test_a_row_is_dated_in_the_zone_of_the_business(workbench: Workbench) -> None:
    workbench.reading = reading(source_zone="UTC", business_zone="Asia/Tokyo")

    assert workbench.rows_of("id,at\na,2024-01-01 16:00\n")["dt"].to_list() == [date(2024, 1, 2)]


def test_a_date_is_a_day_of_the_business_whatever_the_zone_of_the_source(workbench: Workbench) -> None:
    workbench.pattern, workbench.layout = "*.parquet", replace(LAYOUT, format="parquet")
    workbench.reading = reading(source_zone="UTC", business_zone="America/New_York")
    pl.DataFrame({"id": ["a"], "at": [date(2024, 1, 1)]}).write_parquet(workbench.folder / "events.parquet")
    workbench.take_in()

    assert workbench.kept()["dt"].to_list() == [date(2024, 1, 1)]


def test_nested_columns_of_parquet_can_be_mapped(workbench: Workbench) -> None:
    workbench.pattern, workbench.layout = "*.parquet", replace(LAYOUT, format="parquet")
    workbench.reading = reading(columns={"user_id": "who.id", "occurred_at": "at", "event_type": "'visit'"})
    pl.DataFrame({"who": [{"id": "a"}], "at": ["2024-01-01"]}).write_parquet(workbench.folder / "events.parquet")
    workbench.take_in()

    assert workbench.kept()["user_id"].to_list() == ["a"]


def test_files_of_a_glob_may_order_their_columns_differently(workbench: Workbench) -> None:
    workbench.deliver("a.csv", "id,at\na,2024-01-01\n")
    workbench.deliver("b.csv", "extra;at;id\n1;2024-01-02;b\n")
    workbench.take_in()

    assert workbench.kept()["user_id"].to_list() == ["a", "b"]


def test_brackets_in_the_folder_of_the_settings_are_no_pattern(tmp_path: Path) -> None:
    workbench = Workbench(tmp_path / "data [2024]", pattern=str(tmp_path / "data [2024]" / "*.csv"))

    assert workbench.rows_of("id,at\na,2024-01-01\n")["user_id"].to_list() == ["a"]


def test_an_address_is_read_through_a_copy(workbench: Workbench) -> None:
    workbench.deliver("in box/events 1.csv", "id,at\na,2024-01-01\n")
    workbench.pattern = f"file://{workbench.folder}/in box/*.csv"

    taken = workbench.take_in()

    assert taken.new_files == (f"file://{workbench.folder}/in box/events 1.csv",)
    assert workbench.kept()["user_id"].to_list() == ["a"]
    assert workbench.take_in().new_files == ()


def test_every_table_can_be_taken_in(workbench: Workbench) -> None:
    consents = {
        "user_id": "id",
        "channel": "'email'",
        "status": "'granted'",
        "changed_at": "at",
        "max_per_week": "n",
        "categories": "kinds",
    }
    workbench.reading = reading("consents", columns=consents)
    kept = workbench.rows_of("id,at,n,kinds\na,2024-01-01,3,news\nb,2024-01-01,lots,news\n")

    assert kept.select("user_id", "max_per_week", "categories").rows() == [("a", 3, "news")]
    assert workbench.quarantine()["reason"].to_list() == ['max_per_week: "lots" is not a whole number']


def test_further_columns_of_a_profile_are_attributes(workbench: Workbench) -> None:
    workbench.reading = reading("users", columns={"user_id": "id", "event_id": "x", "dt": "id"})

    assert workbench.rows_of("id,x\na,7\n")["attributes"].to_list() == ['{"event_id":"7","dt":"a"}']


def test_amounts_are_exact(workbench: Workbench) -> None:
    workbench.reading = reading(columns={**EVENT_COLUMNS, "amount": "price * qty"})

    assert workbench.rows_of("id,at,price,qty\na,2024-01-01,0.1,3\n")["amount"].to_list() == [Decimal("0.3000")]
