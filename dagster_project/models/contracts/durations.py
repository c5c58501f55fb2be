"""From dated subscriptions to spans of tenure: entry, duration, event, and what was known of the contract then.

A **span** is a stretch of one contract with constant terms; a contract whose price changed has several. Tenure counts
from the contract's start in whole units (days or calendar months): whole units make ties, and lifelines is 20 to 50
times faster on them (METHODS).
"""

from datetime import date
from typing import Literal

import numpy as np
import polars as pl

from dagster_project.errors import DataQualityError

Unit = Literal["day", "month"]

REQUIRED = ("user_sk", "user_id", "started_on", "ended_on")
DATES = ("started_on", "ended_on", "observed_from")
SPAN_COLUMNS = (
    "user_sk",
    "user_id",
    "contract_on",
    "entry",
    "duration",
    "event",
    "end_reason",
    "is_running",
    "is_last",
)
RENEWAL_DAYS = 1  # a contract that starts within a day of another's end carries on from it
DAYS_PER_MONTH = 365.25 / 12
N_NAMED = 3


def measure_spans(contracts: pl.DataFrame, *, as_of: date, unit: Unit = "day") -> pl.DataFrame:
    """One row per subscription, as a span of its contract's tenure, sorted by user_id, contract_on, entry.

    Added columns: `contract_on` (first day of the whole contract), `entry` and `duration` (units since then, observed
    in (entry, duration]), `event` (the contract ended at `duration`; otherwise it is censored there), `is_running`
    (at as_of) and `is_last` (of its contract). Attribute columns are those of the span. `duration` <= `entry`
    means that nothing of the span was observed: such rows can be scored, not learnt from.

    A subscription that starts at most one day before or after another one of the same user ends is a renewal: one
    contract goes on, on new terms, and the first end is no event. An end counts the unit begun (day 1 at least), a
    running contract only the units completed. `observed_from` (left truncation) moves `entry` up; what ended before
    is not a fair sample and left out.

    Raises DataQualityError: a needed column or date is absent, an end before its start, a date after as_of.
    """
    _check(contracts, as_of=as_of)
    dated = contracts.with_columns(pl.col("user_id").cast(pl.String))
    absent = [pl.lit(None, dtype=pl.Date).alias("observed_from")] if "observed_from" not in contracts.columns else []
    absent += [pl.lit(None, dtype=pl.String).alias("end_reason")] if "end_reason" not in contracts.columns else []
    rest = sorted(set(contracts.columns) - {*REQUIRED, "end_reason", "observed_from"})
    ordered = dated.with_columns(absent).sort("user_id", "started_on", "ended_on", "end_reason", *rest, nulls_last=True)
    spans = _continued(ordered).with_columns(
        is_running=pl.col("ended_on").is_null(),
        event=pl.col("ended_on").is_not_null() & pl.col("is_last"),
    )
    measured = spans.with_columns(
        entry=_completed_units(pl.col("started_on"), unit=unit),
        duration=pl.when(pl.col("event"))
        .then(_begun_units(pl.col("ended_on"), unit=unit))
        .otherwise(_completed_units(pl.coalesce("next_started_on", "ended_on", pl.lit(as_of)), unit=unit)),
    )
    truncated = _left_truncated(measured, unit=unit)
    return truncated.select(*SPAN_COLUMNS, *rest).sort("user_id", "contract_on", "entry", "duration", *rest)


def observed(spans: pl.DataFrame) -> pl.DataFrame:
    """The spans of which at least one unit was seen: those to learn from."""
    return spans.filter(pl.col("duration") > pl.col("entry"))


def horizon_units(horizon_days: int, *, unit: Unit) -> float:
    """The horizon in units of tenure."""
    return float(horizon_days) if unit == "day" else horizon_days / DAYS_PER_MONTH


def _continued(ordered: pl.DataFrame) -> pl.DataFrame:
    """`contract_on`, `is_last` and `next_started_on`: which subscription goes on from which."""
    rows = ordered.with_row_index("row")
    before = rows.select("user_id", previous="row", previous_start="started_on", ended="ended_on").drop_nulls("ended")
    offers = [
        before.with_columns(started_on=pl.col("ended").dt.offset_by(f"{k}d"), away=pl.lit(abs(k)))
        for k in range(-RENEWAL_DAYS, RENEWAL_DAYS + 1)
    ]
    pairs = (
        rows.select("user_id", "started_on", "row")
        .join(pl.concat(offers), on=["user_id", "started_on"], how="inner")
        # strictly earlier: two subscriptions of one day must not continue each other in a ring
        .filter(pl.col("previous_start") < pl.col("started_on"))
        .sort("away", "row", "previous")
        .unique("row", keep="first", maintain_order=True)
        .unique("previous", keep="first", maintain_order=True)
    )
    root = np.arange(rows.height)
    root[pairs["row"].to_numpy()] = pairs["previous"].to_numpy()
    while not np.array_equal(root, root[root]):
        root = root[root]
    followed = pairs.select(row="previous", next_started_on="started_on")
    linked = rows.join(followed, on="row", how="left", validate="1:1", maintain_order="left")
    return linked.with_columns(
        contract_on=linked["started_on"].gather(root), is_last=pl.col("next_started_on").is_null()
    )


def _completed_units(day: pl.Expr, *, unit: Unit) -> pl.Expr:
    if unit == "day":
        return (day - pl.col("contract_on")).dt.total_days()
    months = (day.dt.year() - pl.col("contract_on").dt.year()) * 12
    months = months + day.dt.month().cast(pl.Int32) - pl.col("contract_on").dt.month().cast(pl.Int32)
    is_short = (day.dt.day() < pl.col("contract_on").dt.day()).cast(pl.Int32)
    return (months - is_short).cast(pl.Int64)


def _begun_units(day: pl.Expr, *, unit: Unit) -> pl.Expr:
    completed = _completed_units(day, unit=unit)
    if unit == "day":
        return pl.max_horizontal(completed, pl.lit(1, dtype=pl.Int64))
    is_odd = (day.dt.day() != pl.col("contract_on").dt.day()).cast(pl.Int64)
    return pl.max_horizontal(completed + is_odd, pl.lit(1, dtype=pl.Int64))


def _left_truncated(measured: pl.DataFrame, *, unit: Unit) -> pl.DataFrame:
    seen = measured.filter(
        pl.col("observed_from").is_null()
        | pl.col("ended_on").is_null()
        | (pl.col("ended_on") > pl.col("observed_from"))
    )
    known_since = _completed_units(pl.col("observed_from"), unit=unit)
    entry = pl.max_horizontal("entry", known_since, pl.lit(0, dtype=pl.Int64))
    # an end in the unit in which the contract came into view was seen: it must lie after its entry
    is_same_unit = pl.col("event") & (pl.col("duration") <= entry)
    return seen.with_columns(entry=pl.when(is_same_unit).then(pl.col("duration") - 1).otherwise(entry))


def _check(contracts: pl.DataFrame, *, as_of: date) -> None:
    absent = [name for name in REQUIRED if name not in contracts.columns]
    if absent:
        raise DataQualityError(
            f"the contracts lack the column {', '.join(absent)}", fix="add it where the frame is built"
        )
    undated = [name for name in DATES if name in contracts.columns and contracts.schema[name] not in (pl.Date, pl.Null)]
    if undated:
        raise DataQualityError(f"the contracts' {', '.join(undated)} is no date", fix="cast it to a date")
    faults = (
        (pl.col("started_on").is_null() | pl.col("user_id").is_null(), "without a start or a user", "leave them out"),
        (pl.col("ended_on") < pl.col("started_on"), "with a negative duration (ended before they started)",
         "correct the dates, or send the rows to quarantine"),
        (pl.max_horizontal("started_on", "ended_on") > as_of, f"dated after {as_of}", "mask what as_of cannot see"),
    )  # fmt: skip
    for is_bad, wording, fix in faults:
        bad = contracts.filter(is_bad)
        if bad.height:
            named = ", ".join(str(user) for user in bad["user_id"].cast(pl.String).sort().head(N_NAMED))
            raise DataQualityError(f"{bad.height} contracts {wording}, such as those of user {named}", fix=fix)
