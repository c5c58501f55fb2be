from pathlib import Path

import polars as pl
import pytest

from dagster_project.cohorts.decisions import DECISIONS
from dagster_project.cohorts.destinations import Destination
from dagster_project.cohorts.dictionary import DICTIONARY, data_dictionary
from dagster_project.cohorts.export import CsvForm, exact_text, write_csv
from dagster_project.cohorts.ranking import COHORTS, USERS
from dagster_project.reach.recalls import RECALLED
from dagster_project.strategy.assignment import HANDOVER

LISTS = {
    "cohorts": pl.Schema(COHORTS),
    "holdout": pl.Schema({"user_id": pl.String, "experiment_id": pl.String, "arm": pl.String}),
    "suppressed": pl.Schema({"user_id": pl.String, "until": pl.Date}),
    "handover": HANDOVER,
    "awaiting_approval": pl.Schema(COHORTS),
    "recalled": RECALLED,
}
WHOLE = {"users": pl.Schema(USERS), "decisions": DECISIONS}
GOOGLE = Destination(
    name="google",
    channels=("email",),
    strategies=None,
    hashed_as="email_sha256",
    columns=("email_sha256", "expected_profit"),
    headers={"email_sha256": "Email"},
    csv=CsvForm(),
)


def _dictionary(form: CsvForm = CsvForm(), destinations: tuple[Destination, ...] = ()) -> pl.DataFrame:  # noqa: B008
    return data_dictionary(LISTS, whole=WHOLE, form=form, destinations=destinations)


def test_every_column_of_every_file_is_told() -> None:
    told = _dictionary(destinations=(GOOGLE,))
    by_file = {file: rows["column"].to_list() for (file,), rows in told.group_by("file", maintain_order=True)}
    assert by_file == {
        "cohorts.csv": list(COHORTS),
        "cohorts/<strategy>__<channel>.csv": list(COHORTS),
        "cohorts.parquet": list(COHORTS),
        "holdout.csv": ["user_id", "experiment_id", "arm"],
        "holdout.parquet": ["user_id", "experiment_id", "arm"],
        "suppressed.csv": ["user_id", "until"],
        "suppressed.parquet": ["user_id", "until"],
        "handover.csv": list(HANDOVER),
        "handover.parquet": list(HANDOVER),
        "awaiting_approval.csv": list(COHORTS),
        "awaiting_approval.parquet": list(COHORTS),
        "recalled.csv": list(RECALLED),
        "recalled.parquet": list(RECALLED),
        "users.parquet": list(USERS),
        "decisions.parquet": list(DECISIONS),
        "destinations/google.csv": ["Email", "expected_profit"],
    }
    assert told["meaning"].null_count() == 0


def test_type_unit_and_meaning_are_those_of_the_tables() -> None:
    told = _dictionary(destinations=(GOOGLE,))
    wanted = {"rank", "churned_on", "p_return", "expected_profit", "user_id"}
    assert told.filter(pl.col("file") == "cohorts.csv", pl.col("column").is_in(wanted)).rows() == [
        ("cohorts.csv", "rank", "whole number", None, "1 is first", None),
        (
            "cohorts.csv",
            "user_id",
            "text",
            None,
            "the user's own id",
            "import as text; exact: without one leading ' where there is one",
        ),
        ("cohorts.csv", "churned_on", "date", None, "first day of silence beyond the threshold", None),
        (
            "cohorts.csv",
            "p_return",
            "number",
            "0 to 1",
            "chance to come back within the horizon without contact",
            None,
        ),
        (
            "cohorts.csv",
            "expected_profit",
            "number",
            "currency",
            "what contact is expected to cause, costs taken off",
            None,
        ),
    ]
    assert told.row(-2) == (
        "destinations/google.csv",
        "Email",
        "text",
        "hex digits",
        "SHA-256 of the user's e-mail address, trimmed and in small letters",
        None,
    )


@pytest.mark.parametrize(
    ("form", "note"),
    [
        (CsvForm(ids_as_text="quote"), "exact: without the leading '"),
        (CsvForm(ids_as_text="formula"), 'exact: without =" and " around it, else without the leading \''),
    ],
)
def test_how_ids_are_made_exact_again_is_told_for_the_form(form: CsvForm, note: str) -> None:
    told = _dictionary(form).filter(pl.col("column") == "user_id")
    assert dict(told.select("file", "note").rows())["holdout.csv"] == note
    assert dict(told.select("file", "note").rows())["holdout.parquet"] is None


def test_the_dictionary_itself_holds_nothing_that_a_spreadsheet_runs(tmp_path: Path) -> None:
    path = tmp_path / DICTIONARY
    told = _dictionary(CsvForm(ids_as_text="formula"), (GOOGLE,))
    write_csv(told, path)
    read = pl.read_csv(path, infer_schema=False)
    assert [[exact_text(cell or "") for cell in row] for row in read.rows()] == [
        [cell or "" for cell in row] for row in told.rows()
    ]
    assert [cell for row in read.rows() for cell in row if cell is not None and cell[0] in "=+-@"] == []
