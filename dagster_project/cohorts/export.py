"""Tables as files for people and machines: CSV text that a spreadsheet will not execute, and a night's set.

The manifest and the move into place live in `publish`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Literal

import polars as pl

# A cell that starts so is run as a formula by some spreadsheet (CWE-1236, OWASP ASVS 1.2.10, full-width forms
# included). The quote itself is in the list so that taking one leading ' off is always the exact inverse.
_EXECUTABLE_START = "^[=+\\-@\t\r\n\x00'＝＋－＠]"
# What may stand inside ="..." with nothing to escape, within the 255 UTF-16 units of a text in an Excel formula.
_FITS_IN_FORMULA = r'^[^"\p{C}]{1,127}$'

_MONEY = ("value_if_returned", "expected_profit", "expected_value", "expected_cost")
_MONEY_PLACES = 2
_OTHER_PLACES = 6
_ID = "user_id"


@dataclass(frozen=True)
class CsvForm:
    """How a CSV file is written: with a byte order mark or not, between the cells, and ids.

    `ids_as_text`: "plain", as they are; "quote", one ' before each; "formula", as ="00123".
    """

    bom: bool = False
    delimiter: str = ","
    ids_as_text: Literal["plain", "quote", "formula"] = "plain"


PLAIN = CsvForm()
NO_OTHER_NAMES: Mapping[str, str] = MappingProxyType({})


def write_csv(
    frame: pl.DataFrame, path: Path, *, form: CsvForm = PLAIN, headers: Mapping[str, str] = NO_OTHER_NAMES
) -> None:
    """Writes `frame` to `path` by RFC 4180: UTF-8, LF, a header, dates as ISO 8601, null as an empty cell.

    Money has 2 decimals at most, other floats 6. A text cell that a spreadsheet could run, or that begins
    with ', gets one ' in front; `user_id` is written as `form` says. `exact_text` gives back what stood there.
    Numbers stay numbers. `headers`: names of columns in the file, where they differ.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    cells = [_cell(name, dtype, form=form).alias(headers.get(name, name)) for name, dtype in frame.schema.items()]
    frame.select(cells).write_csv(
        path,
        include_bom=form.bom,
        separator=form.delimiter,
        line_terminator="\n",
        quote_style="necessary",
        float_scientific=False,
    )


def exact_text(cell: str) -> str:
    """The text behind a cell of any of our CSV files: without ="..." around it, else without one leading '."""
    if cell.startswith('="') and cell.endswith('"'):
        return cell[2:-1]
    return cell.removeprefix("'")


def write_cohorts(folder: Path, *, cohorts: pl.DataFrame, form: CsvForm = PLAIN, **others: pl.DataFrame) -> None:
    """Writes `cohorts.csv`, its parts `cohorts/<cohort>.csv`, and a list of its name for each of `others`.

    Beside each whole list lies its Parquet twin, with the exact values.
    """
    for name, rows in {"cohorts": cohorts, **others}.items():
        write_csv(rows, folder / f"{name}.csv", form=form)
        rows.write_parquet(folder / f"{name}.parquet", compression="zstd")
    for (cohort,), rows in sorted(cohorts.partition_by("cohort", as_dict=True).items()):
        write_csv(rows.sort("rank"), folder / "cohorts" / f"{cohort}.csv", form=form)


def _cell(column: str, dtype: pl.DataType, *, form: CsvForm) -> pl.Expr:
    if dtype != pl.String:
        return _rounded(column, dtype)
    text = pl.col(column)
    quoted = pl.format("'{}", text)
    guarded = pl.when(text.str.contains(_EXECUTABLE_START)).then(quoted).otherwise(text)
    if column != _ID or form.ids_as_text == "plain":
        return guarded
    if form.ids_as_text == "quote":
        return quoted
    is_harmless = text.str.contains(_FITS_IN_FORMULA) & ~text.str.contains(_EXECUTABLE_START)
    return pl.when(is_harmless).then(pl.format('="{}"', text)).otherwise(quoted)


def _rounded(column: str, dtype: pl.DataType) -> pl.Expr:
    if not dtype.is_float():
        return pl.col(column)
    rounded = pl.col(column).round(_MONEY_PLACES if column in _MONEY else _OTHER_PLACES)
    # a small loss rounds to -0.0, written as -0 in one file and 0 in the next; polars drops "+ 0.0" as a no-op
    return pl.when(rounded == 0).then(0.0).otherwise(rounded)
