"""What users themselves said of each channel: yes or no, a pause, topics, hours, how many a week."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

import polars as pl

from dagster_project.compliance.hours import clock_windows
from dagster_project.reach.consents import GRANTED, PAUSED, WITHDRAWN, for_each_channel, status_word

GRANT, UNCLEAR, WITHDRAWAL = 0, 1, 2

_KEY = ["user_sk", "channel"]
_SEPARATOR = "[,;|，；、]"
CHOICES = pl.Schema(
    {
        "user_sk": pl.Int64(),
        "channel": pl.String(),
        "severity": pl.Int32(),
        "basis": pl.String(),
        "other_basis": pl.String(),
        "n_bases": pl.Int32(),
        "consented_at": pl.Datetime("us"),
        "is_paused": pl.Boolean(),
        "paused_until": pl.Date(),
        "is_covered": pl.Boolean(),
        "max_per_week": pl.Int64(),
        "is_hours_clear": pl.Boolean(),
        "quiet_start": pl.Int32(),
        "quiet_end": pl.Int32(),
        "is_conflicting": pl.Boolean(),
    }
)


@dataclass(frozen=True, kw_only=True)
class ChoiceReading:
    """How consents are read: the first day that a message could arrive, our channels, the words for our messages."""

    send_on: date
    channels: Sequence[str]
    categories: frozenset[str]


def stated_choices(consents: pl.DataFrame, *, reading: ChoiceReading) -> pl.DataFrame:
    """One row per user × channel with a consent row, as `CHOICES`; the latest instant decides.

    Rows that differ at that instant: the strictest of each term holds (`is_conflicting`). A pause keeps what was
    said before it, ends at `paused_until`, and is lifted by any later row. `severity` is null where only a pause is
    known. `consents` has `user_sk`, `channel`, `status`, `changed_at` (UTC) and may have the other columns.
    """
    rows = _tidy(consents, reading)
    said = rows.filter(~pl.col("is_pause"))
    latest = said.filter(pl.col("consented_at") == pl.col("consented_at").max().over(_KEY))
    several = pl.len().over(_KEY) > 1
    terms = pl.concat([_alone(latest.filter(~several)), _strictest(latest.filter(several))])
    return (
        terms.join(_pauses(rows), on=_KEY, how="full", coalesce=True)
        .with_columns(_is_paused(reading.send_on).fill_null(value=False).alias("is_paused"))
        .with_columns(
            pl.when("is_paused").then(pl.col("paused_until")).alias("paused_until"),
            pl.col("is_covered", "is_hours_clear").fill_null(value=True),
            pl.col("is_conflicting").fill_null(value=False),
        )
        .select([pl.col(name).cast(kind) for name, kind in CHOICES.items()])
        .sort(_KEY)
    )


def words_of_consent(consents: pl.DataFrame, *, reading: ChoiceReading) -> pl.DataFrame:
    """user_sk, channel, severity, consented_at: every word of yes or no ever given, pauses left out."""
    return _tidy(consents, reading).filter(~pl.col("is_pause")).select(*_KEY, "severity", "consented_at")


_TERMS: dict[str, type[pl.DataType] | pl.DataType] = {
    **dict.fromkeys(("severity", "n_bases", "quiet_start", "quiet_end"), pl.Int32),
    **dict.fromkeys(("basis", "other_basis"), pl.String),
    **dict.fromkeys(("is_covered", "is_hours_clear", "is_conflicting"), pl.Boolean),
    "consented_at": pl.Datetime("us"),
    "max_per_week": pl.Int64,
}


def _alone(rows: pl.DataFrame) -> pl.DataFrame:
    """The terms of rows that nothing of the same instant contradicts: nearly all, so without a group-by."""
    return _typed(
        rows.with_columns(
            pl.col("basis").alias("other_basis"),
            pl.col("basis").is_not_null().cast(pl.Int32).alias("n_bases"),
            pl.lit(value=False).alias("is_conflicting"),
        )
    )


def _strictest(rows: pl.DataFrame) -> pl.DataFrame:
    """The strictest of each term of rows of one instant. `basis` and `other_basis` are the last and first by name."""
    merged = rows.group_by(_KEY).agg(
        pl.col("severity").max(),
        pl.col("basis").max(),
        pl.col("basis").min().alias("other_basis"),
        pl.col("basis").drop_nulls().n_unique().alias("n_bases"),
        pl.col("consented_at").first(),
        pl.col("is_covered").all(),
        pl.col("max_per_week").min(),
        (pl.col("is_hours_clear").all() & (_window().drop_nulls().n_unique() <= 1)).alias("is_hours_clear"),
        pl.col("quiet_start").max(),
        pl.col("quiet_end").max(),
        (pl.col("severity").n_unique() > 1).alias("is_conflicting"),
    )
    return _typed(merged)


def _typed(terms: pl.DataFrame) -> pl.DataFrame:
    return terms.select(*_KEY, *(pl.col(name).cast(kind) for name, kind in _TERMS.items()))


def _tidy(consents: pl.DataFrame, reading: ChoiceReading) -> pl.DataFrame:
    status = status_word()
    severity = pl.when(status.is_in(WITHDRAWN)).then(WITHDRAWAL).when(status.is_in(GRANTED)).then(GRANT)
    rows = consents.select(
        "user_sk",
        "channel",
        severity.otherwise(UNCLEAR).alias("severity"),
        status.is_in(PAUSED).fill_null(value=False).alias("is_pause"),
        pl.col("changed_at").cast(pl.Datetime("us")).alias("consented_at"),
        _given(consents, "basis", pl.String).str.strip_chars().str.to_lowercase().replace("", None).alias("basis"),
        _topics(consents).alias("topics"),
        _given(consents, "max_per_week", pl.Int64).alias("max_per_week"),
        _given(consents, "paused_until", pl.Date).alias("paused_until"),
        _given(consents, "quiet_start", pl.String).alias("quiet_start"),
        _given(consents, "quiet_end", pl.String).alias("quiet_end"),
    )
    spoken = for_each_channel(rows, channels=reading.channels)
    return spoken.pipe(with_quiet_minutes).pipe(_with_cover, categories=reading.categories)


def with_quiet_minutes(rows: pl.DataFrame) -> pl.DataFrame:
    """The rows with the texts `quiet_start` and `quiet_end` as minutes after midnight, and `is_hours_clear`.

    Both are null where the user named no hours, and where a text cannot be read or stands alone, which leaves
    `is_hours_clear` false. 24:00 is 1440; equal ends are the whole day.
    """
    ends = ["quiet_start", "quiet_end"]
    texts = rows.select(ends).unique()
    read = [_window_of(start, end) for start, end in texts.iter_rows()]
    schema = {"is_hours_clear": pl.Boolean, "start_minute": pl.Int32, "end_minute": pl.Int32}
    windows = texts.hstack(pl.DataFrame(read, schema=schema, orient="row"))
    joined = rows.join(windows, on=ends, how="left", nulls_equal=True, maintain_order="left")
    return joined.drop(ends).rename({"start_minute": "quiet_start", "end_minute": "quiet_end"})


def _window_of(start: str | None, end: str | None) -> tuple[bool, int | None, int | None]:
    try:
        windows = clock_windows(start, end)
    except ValueError:
        return False, None, None
    return (True, *windows[0]) if windows else (True, None, None)


def _window() -> pl.Expr:
    return pl.col("quiet_start") * 10_000 + pl.col("quiet_end")


def _pauses(rows: pl.DataFrame) -> pl.DataFrame:
    """Per user × channel the latest pause; of several at one instant the longest, one without an end being that."""
    pauses = rows.filter("is_pause").filter(pl.col("consented_at") == pl.col("consented_at").max().over(_KEY))
    endless = pl.col("paused_until").is_null().any()
    return pauses.group_by(_KEY).agg(
        pl.col("consented_at").first().alias("paused_at"),
        pl.when(~endless).then(pl.col("paused_until").max()).alias("paused_until"),
    )


def _is_paused(send_on: date) -> pl.Expr:
    stands = pl.col("consented_at").is_null() | (pl.col("paused_at") >= pl.col("consented_at"))
    lasts = pl.col("paused_until").is_null() | (pl.col("paused_until") > send_on)
    return pl.col("paused_at").is_not_null() & stands & lasts


def _topics(consents: pl.DataFrame) -> pl.Expr:
    """The topics that the user chose as one text."""
    if "categories" in consents.columns and isinstance(consents.schema["categories"], pl.List):
        return pl.col("categories").cast(pl.List(pl.String)).list.join(",")
    return _given(consents, "categories", pl.String)


def _with_cover(rows: pl.DataFrame, *, categories: frozenset[str]) -> pl.DataFrame:
    """`is_covered`: the user named no topics, or one of the words that mean messages like ours."""
    texts = rows.select("topics").unique()
    named = [
        {word.strip().lower() for word in re.split(_SEPARATOR, text or "")} - {""} for text in texts["topics"].to_list()
    ]
    covers = pl.Series("is_covered", [not topics or bool(topics & categories) for topics in named], dtype=pl.Boolean)
    return rows.join(texts.with_columns(covers), on="topics", how="left", nulls_equal=True).drop("topics")


def _given(frame: pl.DataFrame, column: str, kind: type[pl.DataType]) -> pl.Expr:
    return pl.col(column).cast(kind) if column in frame.columns else pl.lit(None, dtype=kind)
