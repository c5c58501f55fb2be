"""What users themselves said of each channel: yes or no, a pause, topics, hours, how many a week."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

import polars as pl

from dagster_project.compliance.hours import clock_windows

GRANTED = ("granted", "opted_in", "subscribed")
WITHDRAWN = ("withdrawn", "revoked", "opted_out", "unsubscribed", "denied", "refused")
PAUSED = ("paused", "snoozed")
# Words for every channel at once; a row that carries one speaks for each of those configured.
ALL_CHANNELS = ("all", "any", "*")
GRANT, UNCLEAR, WITHDRAWAL = 0, 1, 2

_KEY = ["user_sk", "channel"]
CHOICES = pl.Schema(
    {
        "user_sk": pl.Int64(),
        "channel": pl.String(),
        "severity": pl.Int32(),
        "bases": pl.List(pl.String),
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
    terms = latest.group_by(_KEY).agg(
        pl.col("severity").max(),
        pl.col("basis").drop_nulls().unique().sort().alias("bases"),
        pl.col("consented_at").first(),
        pl.col("is_covered").all(),
        pl.col("max_per_week").min(),
        (pl.col("is_hours_clear").all() & (_window().drop_nulls().n_unique() <= 1)).alias("is_hours_clear"),
        pl.col("quiet_start").max(),
        pl.col("quiet_end").max(),
        (pl.col("severity").n_unique() > 1).alias("is_conflicting"),
    )
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


def _tidy(consents: pl.DataFrame, reading: ChoiceReading) -> pl.DataFrame:
    status = pl.col("status").str.strip_chars().str.to_lowercase()
    severity = pl.when(status.is_in(WITHDRAWN)).then(WITHDRAWAL).when(status.is_in(GRANTED)).then(GRANT)
    channel = pl.col("channel").str.strip_chars().str.to_lowercase()
    spoken_for = (
        pl.when(channel.is_in(ALL_CHANNELS)).then(pl.lit(list(reading.channels))).otherwise(pl.concat_list(channel))
    )
    return (
        consents.select(
            "user_sk",
            spoken_for.alias("channel"),
            severity.otherwise(UNCLEAR).alias("severity"),
            status.is_in(PAUSED).fill_null(value=False).alias("is_pause"),
            pl.col("changed_at").cast(pl.Datetime("us")).alias("consented_at"),
            _given(consents, "basis", pl.String).str.strip_chars().str.to_lowercase().alias("basis"),
            _covers(consents, reading.categories).alias("is_covered"),
            _given(consents, "max_per_week", pl.Int64).alias("max_per_week"),
            _given(consents, "paused_until", pl.Date).alias("paused_until"),
            _given(consents, "quiet_start", pl.String).alias("start_text"),
            _given(consents, "quiet_end", pl.String).alias("end_text"),
        )
        .explode("channel")
        .pipe(_with_windows)
    )


def _with_windows(rows: pl.DataFrame) -> pl.DataFrame:
    """The user's own hours in minutes; a text that cannot be read leaves `is_hours_clear` false."""
    texts = rows.select("start_text", "end_text").unique()
    read = [_window_of(start, end) for start, end in texts.iter_rows()]
    schema = {"is_hours_clear": pl.Boolean, "quiet_start": pl.Int32, "quiet_end": pl.Int32}
    windows = texts.hstack(pl.DataFrame(read, schema=schema, orient="row"))
    return rows.join(windows, on=["start_text", "end_text"], how="left", nulls_equal=True)


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


def _covers(consents: pl.DataFrame, categories: frozenset[str]) -> pl.Expr:
    """True where the user named no topics, or one of the words that mean messages like ours."""
    if "categories" not in consents.columns:
        return pl.lit(value=True)
    topics = pl.col("categories")
    if not isinstance(consents.schema["categories"], pl.List):
        topics = topics.cast(pl.String).str.replace_all("[;|，；、]", ",").str.split(",")
    word = pl.element().str.strip_chars().str.to_lowercase()
    named = topics.cast(pl.List(pl.String)).list.eval(word.filter(word != ""))
    ours = named.list.set_intersection(pl.lit(sorted(categories), dtype=pl.List(pl.String)))
    return (named.list.len().fill_null(0) == 0) | (ours.list.len() > 0)


def _given(frame: pl.DataFrame, column: str, kind: type[pl.DataType]) -> pl.Expr:
    return pl.col(column).cast(kind) if column in frame.columns else pl.lit(None, dtype=kind)
