"""Which pieces of evidence each user shows, around the leaving that is judged and around earlier ones.

Time decides: a thing counts only near a leaving. When a user is first seen to be away nobody knows on which day of the
silence they left, so windows after the last active day are longer by two usual gaps of the user.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np
import polars as pl
from numpy.typing import NDArray

from dagster_project.reasons.evidence import Evidence
from dagster_project.reasons.lexicon import with_topics

Flags = NDArray[np.bool_]
GAPS_AFTER = 2
CONSENT_SIGNALS = ("consent_withdrawn",)
SCORED = ("nps", "csat")
LOW_SCORE_SHARE = 0.25
# Of ten points, detractors give six or less and promoters nine or more (Reichheld 2003).
NPS_LOW, NPS_HIGH = 6.0, 9.0
# Of five points, or of as many as the log has if they are more, the usual cuts of satisfaction: two and four.
CSAT_TOP, CSAT_LOW, CSAT_HIGH = 5.0, 0.4, 0.8
# The golden ratio's fraction spreads any number of days evenly: no seed, no order of keys.
EVEN_STEP = 0.6180339887498949


@dataclass(frozen=True)
class Observed:
    """Users × evidence, rows as in the users asked for: whether it is there, whether it could be seen at all, and on
    which day it was (days since 1970; meaningless where it is not there, or where it has no day)."""

    is_there: Flags
    is_known: Flags
    day: NDArray[np.int32]


def current_departures(stages: pl.DataFrame, *, as_of: date, unreached: pl.DataFrame | None = None) -> pl.DataFrame:
    """One row per user with an active day, by user_id: user_sk, user_id, left_on (the last active day), until_on (the
    night), usual_gap_days, is_churned. `stages` is lifecycle.stages as of `as_of`.

    Of the `unreached` (user_sk, silent_since) the clock stands still, so their last active day is `silent_since`.
    """
    known = stages.filter(pl.col("days_silent").is_not_null())
    counted_on = (pl.lit(as_of) - pl.duration(days=pl.col("days_silent"))).cast(pl.Date)
    left_on = counted_on
    if unreached is not None:
        since = unreached.group_by("user_sk").agg(pl.col("silent_since").min())
        known = known.join(since, on="user_sk", how="left")
        left_on = pl.coalesce("silent_since", counted_on)
    return known.sort("user_id").select(
        "user_sk",
        "user_id",
        left_on.alias("left_on"),
        pl.lit(as_of).alias("until_on"),
        "usual_gap_days",
        "is_churned",
    )


def earlier_departures(users: pl.DataFrame, stages: pl.DataFrame, *, gaps: float | None = None) -> pl.DataFrame:
    """One row per return: user_sk, left_on (the last active day before it), until_on (the return), usual_gap_days.

    A return ends a gap beyond the user's churn threshold, or beyond so many usual `gaps`. `users` is marts.users,
    `stages` lifecycle.stages.
    """
    least = pl.col("churn_threshold_days") if gaps is None else gaps * pl.col("usual_gap_days")
    ended = (
        users.select("user_sk", "long_gaps")
        .join(stages.select("user_sk", "usual_gap_days", "churn_threshold_days"), on="user_sk", how="inner")
        .explode("long_gaps", empty_as_null=False, keep_nulls=False)
        .unnest("long_gaps")
        .filter(pl.col("gap_days") > least)
    )
    began = (pl.col("ended_on") - pl.duration(days=pl.col("gap_days"))).cast(pl.Date).alias("left_on")
    return ended.select("user_sk", began, pl.col("ended_on").alias("until_on"), "usual_gap_days")


def imagined_departures(departures: pl.DataFrame, users: pl.DataFrame, *, as_of: date, spare_days: int) -> pl.DataFrame:
    """Those who stayed, each as if they had left on some day of their past: what evidence is worth is told by them.

    Days are spread evenly over each user's time up to `spare_days` before the night, so that the windows after them
    are over. Only users who have been here for longer than `spare_days` and are not churned.
    """
    first = users.select("user_sk", "first_on")
    stayed = departures.filter(~pl.col("is_churned")).join(first, on="user_sk", how="inner", maintain_order="left")
    days = (pl.lit(as_of) - pl.col("first_on")).dt.total_days() - spare_days
    share = (pl.int_range(pl.len()) * EVEN_STEP) % 1
    on = pl.col("first_on") + pl.duration(days=(share * pl.col("days")).floor().cast(pl.Int64))
    return (
        stayed.with_columns(days.alias("days"))
        .filter(pl.col("days") > 0)
        .with_columns(on.cast(pl.Date).alias("left_on"))
        .select(departures.columns)
    )


def told_signals(signals: pl.DataFrame) -> pl.DataFrame:
    """marts.reason_signals with `topics`, and a signal `low_score` for scores in the lowest quarter of their kind.

    A consent's words say where it was taken back, all others what it was about. Words beside a score are a complaint
    only where the score is low, in its kind or by the usual cuts. A promoter's score is never low.
    """
    is_consent = pl.col("signal").is_in(CONSENT_SIGNALS)
    scored = signals.with_columns(_is_low().alias("is_low"), _is_complaint().alias("is_complaint"))
    low = scored.filter("is_low").with_columns(pl.lit("low_score").alias("signal"))
    plain = pl.concat([scored.filter(~is_consent), low])
    told = pl.concat([with_topics(plain), with_topics(scored.filter(is_consent), vocabulary="consent_sources")])
    no_topics = pl.lit([], dtype=pl.List(pl.String))
    return told.select(
        "user_sk", "happened_on", "signal", pl.when("is_complaint").then("topics").otherwise(no_topics).alias("topics")
    )


def _is_low() -> pl.Expr:
    """Whether a score lies in the lowest quarter of its kind, and is no promoter's."""
    rank = pl.col("score").rank("average").over("signal") / pl.col("score").count().over("signal")
    low = pl.col("signal").is_in(SCORED) & (rank <= LOW_SCORE_SHARE) & (pl.col("score") < _cut(NPS_HIGH, CSAT_HIGH))
    return low.fill_null(value=False)


def _is_complaint() -> pl.Expr:
    """Whether words may complain: those beside no score, or beside a low one."""
    is_scored = pl.col("signal").is_in(SCORED) & pl.col("score").is_not_null()
    is_poor = (pl.col("score") <= _cut(NPS_LOW, CSAT_LOW)).fill_null(value=False)
    return ~is_scored | _is_low() | is_poor


def _cut(nps: float, csat: float) -> pl.Expr:
    top = pl.max_horizontal(pl.col("score").max().over("signal"), pl.lit(CSAT_TOP))
    return pl.when(pl.col("signal") == "nps").then(nps).otherwise(csat * top)


def observe(
    departures: pl.DataFrame,
    told: pl.DataFrame,
    measures: pl.DataFrame | None,
    *,
    evidence: Sequence[Evidence],
    tables: Collection[str],
) -> Observed:
    """What is there of each piece, row by row of `departures` (user_sk, left_on, until_on, usual_gap_days).

    `told` comes from `told_signals`, `measures` has one row per user with the columns that the evidence names; None:
    pieces with a column cannot be seen. `tables` are the sources that exist: without its own a piece is not known.
    """
    rows = departures.select("user_sk", "left_on", "until_on", "usual_gap_days").with_row_index("row")
    near = _near(rows, told)
    wide = rows.select("user_sk") if measures is None else _aligned(rows, measures)
    shape = (departures.height, len(evidence))
    found = Observed(np.zeros(shape, np.bool_), np.zeros(shape, np.bool_), np.zeros(shape, np.int32))
    for place, piece in enumerate(evidence):
        if piece.table not in tables:
            continue
        if piece.column is None:
            _see_signals(found, place, near, piece)
        elif piece.column in wide.columns:
            _see_measure(found, place, wide[piece.column], piece)
    return found


def _near(rows: pl.DataFrame, told: pl.DataFrame) -> pl.DataFrame:
    joined = rows.join(told, on="user_sk", how="inner").filter(pl.col("happened_on") <= pl.col("until_on"))
    day = (pl.col("happened_on") - pl.col("left_on")).dt.total_days()
    return joined.select(
        "row",
        "signal",
        "topics",
        pl.col("happened_on").cast(pl.Int32).alias("day"),
        day.alias("offset"),
        "usual_gap_days",
    )


def _see_signals(found: Observed, place: int, near: pl.DataFrame, piece: Evidence) -> None:
    after = piece.after_days + GAPS_AFTER * pl.col("usual_gap_days")
    hits = near.filter(
        pl.col("signal").is_in(piece.signals), pl.col("offset") >= -piece.before_days, pl.col("offset") <= after
    )
    if piece.topics == ("",):
        hits = hits.filter(pl.col("topics").list.len() == 0)
    elif piece.topics:
        hits = hits.filter(pl.col("topics").list.set_intersection(list(piece.topics)).list.len() > 0)
    last = hits.group_by("row").agg(pl.col("day").max()).sort("row")
    row = last["row"].to_numpy()
    found.is_there[row, place] = True
    found.day[row, place] = last["day"].to_numpy()
    found.is_known[:, place] = True


def _see_measure(found: Observed, place: int, values: pl.Series, piece: Evidence) -> None:
    given = values.cast(pl.Float64)
    found.is_known[:, place] = given.is_not_null().to_numpy()
    within = (given >= piece.at_least) & (given < piece.below)
    found.is_there[:, place] = within.fill_null(value=False).to_numpy()


def _aligned(rows: pl.DataFrame, measures: pl.DataFrame) -> pl.DataFrame:
    return rows.select("user_sk").join(measures, on="user_sk", how="left", maintain_order="left")
