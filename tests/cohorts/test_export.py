import csv
import re
from datetime import date
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from dagster_project.cohorts.export import CsvForm, exact_text, write_cohorts, write_csv


def _read(path: Path) -> list[list[str]]:
    with path.open(encoding="utf-8", newline="") as lines:
        return list(csv.reader(lines))


def test_the_bytes_of_a_small_file(tmp_path: Path) -> None:
    frame = pl.DataFrame(
        {
            "user_id": ["a", 'say "hi"', "x,y", None],
            "p_return": [1 / 3, 0.0000004, 1.0, None],
            "expected_profit": [-3.2049, 1234567.891, 0.1, None],
            "churned_on": [date(2026, 1, 2), None, None, None],
            "rank": [1, 2, 3, 4],
            "is_churned": [True, False, None, None],
        }
    )
    write_csv(frame, tmp_path / "out.csv")
    assert (tmp_path / "out.csv").read_bytes() == (
        b"user_id,p_return,expected_profit,churned_on,rank,is_churned\n"
        b"a,0.333333,-3.2,2026-01-02,1,true\n"
        b'"say ""hi""",0,1234567.89,,2,false\n'
        b'"x,y",1,0.1,,3,\n'
        b",,,,4,\n"
    )


@pytest.mark.parametrize("start", list("=+-@\t\r\n\x00'＝＋－＠"))
def test_a_text_cell_that_a_spreadsheet_could_run_gets_a_quote(tmp_path: Path, start: str) -> None:
    write_csv(pl.DataFrame({"user_id": [f"{start}1+1"]}), tmp_path / "out.csv")
    assert _read(tmp_path / "out.csv") == [["user_id"], [f"'{start}1+1"]]


def test_negative_numbers_stay_numbers(tmp_path: Path) -> None:
    write_csv(pl.DataFrame({"uplift_low": [-3.2], "rank": [-1]}), tmp_path / "out.csv")
    assert _read(tmp_path / "out.csv")[1] == ["-3.2", "-1"]


def test_small_probabilities_are_not_written_in_scientific_form(tmp_path: Path) -> None:
    write_csv(pl.DataFrame({"p_return": [0.000001]}), tmp_path / "out.csv")
    assert _read(tmp_path / "out.csv")[1] == ["0.000001"]


_HOSTILE = st.text(alphabet=st.sampled_from("=+-@\t\r\n\x00'\",;|!ab 中😀"), min_size=1, max_size=8)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.one_of(_HOSTILE, st.text(min_size=1, max_size=20)), min_size=1, max_size=5))
@example(["=cmd|' /C calc'!A0", "''", "-3.2", "\r\n=1", "\x00=1"])
def test_hostile_ids_come_back_exactly_by_taking_one_quote_off(tmp_path: Path, ids: list[str]) -> None:
    write_csv(pl.DataFrame({"user_id": ids, "n": range(len(ids))}), tmp_path / "out.csv")
    cells = [row[0] for row in _read(tmp_path / "out.csv")[1:]]
    assert [cell.removeprefix("'") for cell in cells] == ids
    assert [cell for cell in cells if cell[0] in "=+-@\t\r\n\x00"] == []


IDS = ["00123", "12345678901234567", "1E5", "3-4", "-7", "用户①", 'say "hi"', "a;b", "'q"]


@pytest.mark.parametrize(
    ("ids_as_text", "cells"),
    [
        ("plain", ["00123", "12345678901234567", "1E5", "3-4", "'-7", "用户①", 'say "hi"', "a;b", "''q"]),
        ("quote", ["'00123", "'12345678901234567", "'1E5", "'3-4", "'-7", "'用户①", '\'say "hi"', "'a;b", "''q"]),
        (
            "formula",
            ['="00123"', '="12345678901234567"', '="1E5"', '="3-4"', "'-7", '="用户①"', '\'say "hi"', '="a;b"', "''q"],
        ),
    ],
)
def test_ids_stand_as_the_form_says(tmp_path: Path, ids_as_text: Any, cells: list[str]) -> None:
    frame = pl.DataFrame({"user_id": IDS, "offer": "00123"})
    write_csv(frame, tmp_path / "out.csv", form=CsvForm(ids_as_text=ids_as_text))
    assert _read(tmp_path / "out.csv")[1:] == [[cell, "00123"] for cell in cells]


def test_the_bytes_of_a_file_for_a_spreadsheet(tmp_path: Path) -> None:
    frame = pl.DataFrame({"rank": [1, 2], "user_id": ["007", "王;芳"], "explanation": ["好, 来", "=1"]})
    form = CsvForm(bom=True, delimiter=";", ids_as_text="formula")
    write_csv(frame, tmp_path / "out.csv", form=form)
    assert (tmp_path / "out.csv").read_bytes() == (
        b"\xef\xbb\xbfrank;user_id;explanation\n"
        b'1;"=""007""";\xe5\xa5\xbd, \xe6\x9d\xa5\n'
        b'2;"=""\xe7\x8e\x8b;\xe8\x8a\xb3""";\'=1\n'
    )
    assert pl.read_csv(tmp_path / "out.csv", separator=";", infer_schema=False).rows() == [
        ("1", '="007"', "好, 来"),
        ("2", '="王;芳"', "'=1"),
    ]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.one_of(_HOSTILE, st.text(min_size=1, max_size=140)), min_size=1, max_size=5),
    st.builds(
        CsvForm,
        bom=st.booleans(),
        delimiter=st.sampled_from(",;\t"),
        ids_as_text=st.sampled_from(["plain", "quote", "formula"]),
    ),
)
@example(['="1"', '"', "=", '="', "1" * 128], CsvForm(ids_as_text="formula"))
def test_every_id_is_given_back_exactly_in_every_form(tmp_path: Path, ids: list[str], form: CsvForm) -> None:
    write_csv(pl.DataFrame({"user_id": ids, "n": range(len(ids))}), tmp_path / "out.csv", form=form)
    with (tmp_path / "out.csv").open(encoding="utf-8-sig" if form.bom else "utf-8", newline="") as lines:
        cells = [row[0] for row in csv.reader(lines, delimiter=form.delimiter)][1:]
    assert [exact_text(cell) for cell in cells] == ids
    assert [cell for cell in cells if cell[0] in "+-@\t\r\n\x00"] == []
    assert [cell for cell in cells if cell[0] == "=" and re.fullmatch(r'="[^"]+"', cell) is None] == []


def test_the_set_of_a_night_has_one_file_per_cohort_with_the_same_columns(tmp_path: Path) -> None:
    cohorts = pl.DataFrame(
        {"rank": [1, 2, 3], "user_id": ["c", "a", "b"], "cohort": ["s__email", "t__push", "s__email"]}
    )
    nobody = pl.DataFrame(schema={"user_id": pl.String})
    write_cohorts(tmp_path, cohorts=cohorts, holdout=nobody, suppressed=nobody)
    assert sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.*")) == [
        "cohorts.csv",
        "cohorts.parquet",
        "cohorts/s__email.csv",
        "cohorts/t__push.csv",
        "holdout.csv",
        "holdout.parquet",
        "suppressed.csv",
        "suppressed.parquet",
    ]
    assert pl.read_parquet(tmp_path / "cohorts.parquet").equals(cohorts)
    assert _read(tmp_path / "cohorts" / "s__email.csv") == [
        ["rank", "user_id", "cohort"],
        ["1", "c", "s__email"],
        ["3", "b", "s__email"],
    ]
    assert (tmp_path / "holdout.csv").read_bytes() == b"user_id\n"


def test_a_night_without_cohorts_still_has_its_header(tmp_path: Path) -> None:
    nobody = pl.DataFrame(schema={"rank": pl.Int64, "cohort": pl.String})
    write_cohorts(tmp_path, cohorts=nobody, holdout=nobody, suppressed=nobody)
    assert (tmp_path / "cohorts.csv").read_bytes() == b"rank,cohort\n"
