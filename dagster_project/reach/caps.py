"""Who has had enough messages of late: caps by rolling hours, counted from what was sent and what we put on lists."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

import polars as pl

_KEY = ["user_sk", "channel"]
SENDS = pl.Schema({"user_sk": pl.Int64(), "channel": pl.String(), "sent_at": pl.Datetime("us")})
CAPPED = pl.Schema(
    {
        "user_sk": pl.Int64(),
        "channel": pl.String(),
        "cap_rule": pl.String(),
        "cap_citation": pl.String(),
        "cap_until": pl.Date(),
    }
)
# A list may be sent until two days after it is made; a message of that time is the one that the ledger names.
LIST_LASTS = timedelta(days=3)
WEEK_HOURS = 168


@dataclass(frozen=True, kw_only=True)
class Cap:
    """At most `max_messages` in any `hours` that follow one another, over `channels` together (None: all).

    `laws` are the laws under which it holds, `stages` those of the users whom it protects; None: all of them.
    """

    rule_id: str
    max_messages: int
    hours: int
    channels: frozenset[str] | None = None
    citation: str | None = None
    laws: frozenset[str] | None = None
    stages: frozenset[str] | None = None


def counted_sends(sends: pl.DataFrame | None, listed: pl.DataFrame | None, *, exempt: frozenset[str]) -> pl.DataFrame:
    """Every message that a cap counts, as `SENDS`, sorted.

    `sends` are messages known to be sent (`category` among `exempt`: not counted). `listed` are contacts of earlier
    nights (`user_sk`, `channel`, `assigned_at`): one that no message of the days after confirms counts as sent at
    the end of its first day, so that a sender whose facts come late is not written to twice.
    """
    known = SENDS.to_frame() if sends is None else _counted(sends, exempt)
    if listed is None or listed.is_empty():
        return known.sort(SENDS.names())
    contacts = listed.select(*_KEY, pl.col("assigned_at").dt.replace_time_zone(None).cast(pl.Datetime("us"))).unique()
    seen = contacts.join(known, on=_KEY, how="inner").filter(
        (pl.col("sent_at") >= pl.col("assigned_at")) & (pl.col("sent_at") < pl.col("assigned_at") + LIST_LASTS)
    )
    unseen = contacts.join(seen, on=[*_KEY, "assigned_at"], how="anti")
    planned = unseen.select(*_KEY, (pl.col("assigned_at") + timedelta(days=1)).alias("sent_at"))
    return pl.concat([known, planned]).sort(SENDS.names())


def capped_points(
    sends: pl.DataFrame, users: pl.DataFrame, *, caps: Sequence[Cap], channels: Sequence[str], at: datetime
) -> pl.DataFrame:
    """One row per user × channel where one more message at `at` (UTC, naive) would break a cap, as `CAPPED`.

    `cap_until` is the first day on which it would not; null where no message is allowed at all. Of several caps the
    one that lasts longest is named. `users` has `user_sk`, `law` and, where a cap names stages, `stage`.
    """
    found = [_capped(sends, users, cap, channels, at) for cap in caps]
    return _longest(pl.concat([CAPPED.to_frame(), *found]))


def own_limits(sends: pl.DataFrame, choices: pl.DataFrame, *, at: datetime) -> pl.DataFrame:
    """One row per user × channel whose own weekly maximum is reached, as `CAPPED`. `choices`: `max_per_week`."""
    limits = choices.filter(pl.col("max_per_week").is_not_null()).select(*_KEY, "max_per_week")
    newest_first = pl.col("sent_at").sort(descending=True)
    counts = (
        _within(sends, WEEK_HOURS, at)
        .join(limits, on=_KEY, how="inner")
        .group_by(_KEY)
        .agg(newest_first.alias("times"), pl.col("max_per_week").first())
        .filter((pl.col("max_per_week") > 0) & (pl.col("times").list.len() >= pl.col("max_per_week")))
        .select(*_KEY, pl.col("times").list.get(pl.col("max_per_week") - 1).alias("binding_at"))
    )
    never = limits.filter(pl.col("max_per_week") <= 0).select(*_KEY)
    return _longest(
        pl.concat(
            [
                _named(counts.with_columns(_free_on("binding_at", WEEK_HOURS, at)), "user.weekly_maximum", None),
                _named(never.with_columns(_never()), "user.weekly_maximum", None),
            ]
        )
    )


def _capped(sends: pl.DataFrame, users: pl.DataFrame, cap: Cap, channels: Sequence[str], at: datetime) -> pl.DataFrame:
    bound = users if cap.laws is None else users.filter(pl.col("law").is_in(sorted(cap.laws)))
    bound = bound if cap.stages is None else bound.filter(pl.col("stage").is_in(sorted(cap.stages)))
    covered = [channel for channel in channels if cap.channels is None or channel in cap.channels]
    points = pl.DataFrame({"channel": covered}, schema={"channel": pl.String})
    if cap.max_messages == 0:
        everyone = bound.select("user_sk").join(points, how="cross")
        return _named(everyone.with_columns(_never()), cap.rule_id, cap.citation)
    counted = sends if cap.channels is None else sends.filter(pl.col("channel").is_in(sorted(cap.channels)))
    binding = (
        _within(counted, cap.hours, at)
        .join(bound.select("user_sk"), on="user_sk", how="semi")
        .group_by("user_sk")
        .agg(pl.col("sent_at").sort(descending=True))
        .filter(pl.col("sent_at").list.len() >= cap.max_messages)
        .select("user_sk", pl.col("sent_at").list.get(cap.max_messages - 1).alias("binding_at"))
    )
    freed = binding.with_columns(_free_on("binding_at", cap.hours, at)).join(points, how="cross")
    return _named(freed, cap.rule_id, cap.citation)


def _counted(sends: pl.DataFrame, exempt: frozenset[str]) -> pl.DataFrame:
    category = pl.col("category").str.to_lowercase().fill_null("")
    return sends.filter(~category.is_in(sorted(exempt))).select(*_KEY, pl.col("sent_at").cast(pl.Datetime("us")))


def _within(sends: pl.DataFrame, hours: int, at: datetime) -> pl.DataFrame:
    # Without an upper end: a contact that an earlier list plans for later today counts as well.
    return sends.filter(pl.col("sent_at") > at - timedelta(hours=hours))


def _free_on(binding: str, hours: int, at: datetime) -> pl.Expr:
    """First day that begins after the message that binds has left the window, and after the day of `at`."""
    free_at = pl.col(binding) + timedelta(hours=hours)
    first = (
        pl.when(free_at.dt.truncate("1d") == free_at)
        .then(free_at.dt.date())
        .otherwise(free_at.dt.date().dt.offset_by("1d"))
    )
    return pl.max_horizontal(first, pl.lit(at.date() + timedelta(days=1))).alias("cap_until")


def _never() -> pl.Expr:
    return pl.lit(None, dtype=pl.Date).alias("cap_until")


def _named(points: pl.DataFrame, rule_id: str, citation: str | None) -> pl.DataFrame:
    return points.select(
        *_KEY,
        pl.lit(rule_id).alias("cap_rule"),
        pl.lit(citation, dtype=pl.String).alias("cap_citation"),
        "cap_until",
    )


def _longest(capped: pl.DataFrame) -> pl.DataFrame:
    far = pl.col("cap_until").fill_null(date.max)
    return (
        capped.with_columns(far.alias("far"))
        .sort(*_KEY, "far", "cap_rule", descending=[False, False, True, False])
        .unique(subset=_KEY, keep="first", maintain_order=True)
        .drop("far")
        .match_to_schema(CAPPED)
    )
