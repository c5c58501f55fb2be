"""Files of the wrong shape: an error of ours that names file, column and fix, and nothing taken in."""

import gzip
from datetime import time
from pathlib import Path

import polars as pl
import pyarrow as pa
import pytest
from workbench import EVENT_COLUMNS, Workbench, reading

from dagster_project.errors import SourceError
from dagster_project.ingest.files import InputFile, content_hash, match_remote
from dagster_project.ingest.raw import Layout

PARQUET = Layout(format="parquet", delimiter=None, header=True, names=(), encoding="utf-8", null_values=("",))
GOOD = "id,at\n" + "".join(f"user {n},2024-01-01 10:{n % 60:02}\n" for n in range(5000))


def refused(workbench: Workbench) -> tuple[str, str]:
    with pytest.raises(SourceError) as caught:
        workbench.take_in()
    assert workbench.arrivals.active("events") == ()
    return caught.value.problem.replace(str(workbench.folder), "<folder>"), caught.value.fix


def zstd(data: bytes) -> bytes:
    return bytes(pa.compress(data, codec="zstd", asbytes=True))


def test_a_path_that_matches_nothing_is_named(workbench: Workbench) -> None:
    workbench.pattern = "raw/*.csv"

    problem, fix = refused(workbench)

    assert problem == "sources.events.path: no file matches 'raw/*.csv' (looked in <folder>)"
    assert "relative to their folder" in fix


def test_a_file_of_no_bytes_is_refused_but_one_with_only_a_header_holds_no_rows(workbench: Workbench) -> None:
    workbench.deliver("events.csv", "")

    assert refused(workbench)[0] == "sources.events: events.csv is empty (0 bytes)"
    assert workbench.rows_of("id,at\n").is_empty()


@pytest.mark.parametrize("head", ["\n", "\r\nid,at\n", " , \nid,at\n"])
def test_a_header_without_names_is_refused(workbench: Workbench, head: str) -> None:
    workbench.deliver("events.csv", head)

    assert "has columns without a name" in refused(workbench)[0]


@pytest.mark.parametrize(("suffix", "pack"), [("gz", gzip.compress), ("zst", zstd)])
def test_a_compressed_file_that_breaks_off_is_refused(workbench: Workbench, suffix: str, pack: object) -> None:
    whole = pack(GOOD.encode())  # type: ignore[operator]
    workbench.pattern = f"*.{suffix}"
    workbench.deliver(f"events.csv.{suffix}", whole[: len(whole) // 2])

    problem, fix = refused(workbench)

    assert f"events.csv.{suffix} is not a whole {'gzip' if suffix == 'gz' else 'zstd'} file" in problem
    assert fix == "deliver the file again; nothing of it was taken in"


@pytest.mark.parametrize("suffix", ["gz", "zst"])
def test_a_file_that_is_not_what_its_suffix_says_is_refused(workbench: Workbench, suffix: str) -> None:
    workbench.pattern = f"*.{suffix}"
    workbench.deliver(f"events.csv.{suffix}", GOOD)

    assert "is not a whole" in refused(workbench)[0]


def test_a_compressed_file_without_the_suffix_is_refused(workbench: Workbench) -> None:
    workbench.deliver("events.csv", gzip.compress(GOOD.encode()))

    assert "the first line of events.csv is not text in the encoding of the settings" in refused(workbench)[0]


def test_a_missing_column_is_named_with_the_nearest_one(workbench: Workbench) -> None:
    workbench.reading = reading(columns={**EVENT_COLUMNS, "user_id": "CustomerID"})
    workbench.deliver("events.csv", "Customer_ID,at\na,2024-01-01\n")

    problem, fix = refused(workbench)

    assert problem == ("sources.events.columns.user_id: events.csv has no column 'CustomerID'; it has Customer_ID, at")
    assert fix.startswith("did you mean 'Customer_ID'?")


def test_one_file_of_several_with_another_header_is_named(workbench: Workbench) -> None:
    workbench.deliver("a.csv", "id,at\na,2024-01-01\n")
    workbench.deliver("b.csv", "user,at\na,2024-01-01\n")

    assert "b.csv has no column 'id'" in refused(workbench)[0]


def test_a_column_that_stands_twice_is_refused_whatever_its_case(workbench: Workbench) -> None:
    workbench.deliver("events.csv", "id,at,ID\na,2024-01-01,b\n")

    assert refused(workbench)[0].endswith("names twice ['ID', 'id']")


def test_a_quote_that_is_never_closed_is_refused_with_its_line(workbench: Workbench) -> None:
    workbench.deliver("events.csv", 'id,at\na,2024-01-01\n"b,2024-01-01\nc,2024-01-01\nd,2024-01-01')

    assert refused(workbench)[0] == (
        "sources.events: events.csv line 3: a quote is opened and never closed; 2 lines after it cannot be read"
    )


def test_a_quote_that_swallows_megabytes_is_refused(workbench: Workbench) -> None:
    workbench.deliver("events.csv", 'id,at\n"b,2024-01-01\n' + "a" * 30 + ",2024-01-01 10:00\n" * 300_000)

    assert refused(workbench)[0].startswith("sources.events: events.csv")


def test_names_that_do_not_fit_the_columns_are_refused(workbench: Workbench) -> None:
    workbench.layout = Layout(
        format="csv", delimiter=None, header=False, names=("id", "at", "x"), encoding="utf-8", null_values=("",)
    )
    workbench.deliver("events.csv", "a,2024-01-01\n")

    assert refused(workbench)[0] == "sources.events: events.csv has 2 columns, sources.events.names gives 3"


def test_an_expression_that_cannot_be_computed_is_named(workbench: Workbench) -> None:
    workbench.reading = reading(columns={**EVENT_COLUMNS, "occurred_at": "nonsense(at)"})
    workbench.deliver("events.csv", "id,at\na,2024-01-01\n")

    assert refused(workbench)[0].startswith(
        "sources.events.columns.occurred_at = 'nonsense(at)' cannot be computed on events.csv"
    )


def test_a_parquet_file_that_is_none_is_refused(workbench: Workbench) -> None:
    workbench.pattern, workbench.layout = "*.parquet", PARQUET
    workbench.deliver("events.parquet", "id,at\n")

    assert refused(workbench)[0].startswith("sources.events: events.parquet cannot be read as parquet")


def test_a_parquet_file_with_broken_pages_is_refused(workbench: Workbench) -> None:
    workbench.pattern, workbench.layout = "*.parquet", PARQUET
    path = parquet(workbench, pl.DataFrame({"id": [f"u{n}" for n in range(5000)], "at": ["2024-01-01"] * 5000}))
    data = bytearray(path.read_bytes())
    data[20:2000] = bytes(1980)
    path.write_bytes(bytes(data))

    problem, _ = refused(workbench)
    assert problem.startswith("sources.events: events.parquet cannot be read")


@pytest.mark.parametrize("value", [[1, 2], 1293840000, True, 2.5, time(10)])
def test_a_parquet_column_of_a_type_that_is_no_time_makes_bad_rows(workbench: Workbench, value: object) -> None:
    workbench.pattern, workbench.layout = "*.parquet", PARQUET
    parquet(workbench, pl.DataFrame({"id": ["a"], "at": [value]}))

    workbench.take_in()

    assert workbench.fates() == {"quarantined": 1}


def test_a_file_that_cannot_be_opened_is_named(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"sources\.events: gone\.csv cannot be opened"):
        content_hash(InputFile("gone.csv", tmp_path / "gone.csv"), source="events")


def test_an_object_store_that_nobody_knows_is_refused(workbench: Workbench) -> None:
    workbench.pattern = "ftp://host/*.csv"

    problem, fix = refused(workbench)

    assert problem.startswith("sources.events.path: 'ftp://host/*.csv' cannot be read")
    assert "s3://" in fix


def test_bytes_that_an_encoding_cannot_hold_are_refused(workbench: Workbench) -> None:
    workbench.layout = Layout(format="csv", delimiter=None, header=True, names=(), encoding="utf-16", null_values=("",))
    workbench.deliver("events.csv", "id,at\na,2024-01-01\n".encode("utf-16") + b"x")

    assert "events.csv is not utf-16" in refused(workbench)[0]


def parquet(workbench: Workbench, frame: pl.DataFrame) -> Path:
    path = workbench.folder / "events.parquet"
    frame.write_parquet(path, use_pyarrow=False)
    return path


def test_an_object_store_that_fails_without_a_word_is_refused_by_the_name_of_its_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: str, *, landing: Path) -> None:
        raise NotImplementedError

    monkeypatch.setattr("dagster_project.ingest.files.copied", fail)

    with pytest.raises(SourceError) as caught:
        match_remote("s3://bucket/*.csv", landing=tmp_path, source="events")

    assert caught.value.problem.endswith("cannot be read: NotImplementedError")
