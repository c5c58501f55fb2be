"""Tables as files for people and machines: CSV text that a spreadsheet will not execute, and a night's set.

The manifest and the move into place live in `publish`.
"""

from pathlib import Path

import polars as pl

# A cell that starts so is run as a formula by some spreadsheet (CWE-1236, OWASP ASVS 1.2.10, full-width forms
# included). The quote itself is in the list so that taking one leading ' off is always the exact inverse.
_EXECUTABLE_START = "^[=+\\-@\t\r\n\x00'＝＋－＠]"

_MONEY = ("value_if_returned", "expected_profit", "expected_value", "expected_cost")
_MONEY_PLACES = 2
_OTHER_PLACES = 6


def write_csv(frame: pl.DataFrame, path: Path) -> None:
    """Writes `frame` to `path` by RFC 4180: UTF-8, LF, a header, dates as ISO 8601, null as an empty cell.

    Money has 2 decimals at most, other floats 6. A text cell that a spreadsheet could run, or that begins
    with ', gets one ' in front: whoever needs the exact `user_id` takes off one leading ' where there is one.
    Numbers stay numbers.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    guarded = frame.select(
        [_guarded(name) if dtype == pl.String else _rounded(name, dtype) for name, dtype in frame.schema.items()]
    )
    guarded.write_csv(path, line_terminator="\n", quote_style="necessary", float_scientific=False)


def write_cohorts(folder: Path, *, cohorts: pl.DataFrame, holdout: pl.DataFrame, suppressed: pl.DataFrame) -> None:
    """Writes `cohorts.csv`, its parts `cohorts/<cohort>.csv`, `holdout.csv` and `suppressed.csv`."""
    write_csv(cohorts, folder / "cohorts.csv")
    for (cohort,), rows in sorted(cohorts.partition_by("cohort", as_dict=True).items()):
        write_csv(rows.sort("rank"), folder / "cohorts" / f"{cohort}.csv")
    write_csv(holdout, folder / "holdout.csv")
    write_csv(suppressed, folder / "suppressed.csv")


def _guarded(column: str) -> pl.Expr:
    text = pl.col(column)
    return pl.when(text.str.contains(_EXECUTABLE_START)).then(pl.format("'{}", text)).otherwise(text).alias(column)


def _rounded(column: str, dtype: pl.DataType) -> pl.Expr:
    if not dtype.is_float():
        return pl.col(column)
    rounded = pl.col(column).round(_MONEY_PLACES if column in _MONEY else _OTHER_PLACES)
    # a small loss rounds to -0.0, written as -0 in one file and 0 in the next; polars drops "+ 0.0" as a no-op
    return pl.when(rounded == 0).then(0.0).otherwise(rounded).alias(column)
