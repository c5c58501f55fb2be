"""The tables behind the files: the ranked cohort list, and every user with what became of them."""

from collections.abc import Mapping, Sequence

import polars as pl

from dagster_project.strategy.catalogue import LOCALES, Catalogue, Strategy

COHORTS = {
    "rank": pl.Int64,
    "user_id": pl.String,
    "cohort": pl.String,
    "stage": pl.String,
    "days_silent": pl.Int32,
    "churned_on": pl.Date,
    "reason": pl.String,
    "reason_confidence": pl.Float64,
    "p_return": pl.Float64,
    "p_return_low": pl.Float64,
    "p_return_high": pl.Float64,
    "expected_return_on": pl.Date,
    "value_if_returned": pl.Float64,
    "uplift": pl.Float64,
    "uplift_low": pl.Float64,
    "uplift_high": pl.Float64,
    "evidence_grade": pl.String,
    "expected_profit": pl.Float64,
    "strategy_id": pl.String,
    "channel": pl.String,
    "fallback_channel": pl.String,
    "send_at": pl.String,
    "max_touches": pl.Int32,
    "offer": pl.String,
    "template_id": pl.String,
    "locale": pl.String,
    "consent_basis": pl.String,
    "arm": pl.String,
    "explanation": pl.String,
}
USERS = {
    "user_id": pl.String,
    "stage": pl.String,
    "previous_stage": pl.String,
    "phase": pl.String,
    "is_churned": pl.Boolean,
    "days_silent": pl.Int32,
    "churn_factor": pl.Float64,
    "p_active": pl.Float64,
    "p_return": pl.Float64,
    "p_churn": pl.Float64,
    "expected_events": pl.Float64,
    "expected_value": pl.Float64,
    "value_if_returned": pl.Float64,
    "relapse_probability": pl.Float64,
    "reason": pl.String,
    "reason_confidence": pl.Float64,
    "trust_index": pl.Float64,
    "reachable_channels": pl.String,
    "strategy_id": pl.String,
    "channel": pl.String,
    "arm": pl.String,
    "rank": pl.Int64,
}

# What the candidates say of a user; the other columns are the decision's.
_FACTS_OF_CONTACTS = {
    "usual_gap_days": pl.Float64,
    "n_gaps": pl.Int32,
    **{
        name: COHORTS[name]
        for name in (
            "stage",
            "days_silent",
            "churned_on",
            "reason",
            "reason_confidence",
            "p_return",
            "p_return_low",
            "p_return_high",
            "expected_return_on",
            "value_if_returned",
            "locale",
        )
    },
}
_FACTS_OF_USERS = {
    name: dtype
    for name, dtype in USERS.items()
    if name not in {"reachable_channels", "strategy_id", "channel", "arm", "rank"}
}


def rank_cohorts(
    exported: pl.DataFrame,
    candidates: pl.DataFrame,
    *,
    catalogue: Catalogue,
    default_locale: str = "en",
    moved_by: pl.DataFrame | None = None,
    left_for: pl.DataFrame | None = None,
) -> pl.DataFrame:
    """One row per user to contact, `rank` 1 first: by `expected_profit` falling, then `user_id`.

    `exported` comes from `decide`; `candidates` gives each user's stage, numbers and locale. A locale that
    has no templates becomes `default_locale`. `left_for` (user_id, why_left), `moved_by` (user_id, sentence) and
    `offer_basis` are added to the explanation. Columns that nothing fills yet are there and null.
    """
    known = candidates.select("user_sk", *_facts(candidates, _FACTS_OF_CONTACTS))
    why, told = _told(left_for, "why_left"), _told(moved_by, "sentence")
    return (
        exported.join(known, on="user_sk", how="left")
        .join(told, on="user_id", how="left")
        .join(why, on="user_id", how="left")
        .sort("expected_profit", "user_id", descending=[True, False])
        .with_row_index("rank", offset=1)
        .with_columns(
            pl.format("{}__{}", "strategy_id", "channel").alias("cohort"),
            _served_locale(default_locale).alias("locale"),
            _per_strategy({one.id: _offer(one) for one in catalogue.strategies}).alias("offer"),
            pl.concat_str(
                _explanation(catalogue), "why_left", "sentence", "offer_basis", separator=" ", ignore_nulls=True
            ).alias("explanation"),
        )
        .select([pl.col(name).cast(dtype) for name, dtype in COHORTS.items()])
    )


def every_user(
    candidates: pl.DataFrame,
    cohorts: pl.DataFrame,
    holdout: pl.DataFrame,
    contact_points: pl.DataFrame,
    *,
    channels: Sequence[str],
) -> pl.DataFrame:
    """One row per user of `candidates`, churned or not, sorted by `user_id`.

    `p_churn` is that of contracts, null without one. `strategy_id`, `channel` and `rank` are set only for
    those written to; `arm` also for the held out. `reachable_channels` lists, comma-joined, the configured
    channels that no rule closes, a channel of which nothing is known included.
    """
    arms = pl.concat([cohorts.select("user_id", "arm"), holdout.select("user_id", "arm")])
    decided = cohorts.select("user_id", "strategy_id", "channel", "rank")
    return (
        candidates.select("user_sk", *_facts(candidates, _FACTS_OF_USERS))
        .join(_open_channels(contact_points, channels), on="user_sk", how="left")
        .join(decided, on="user_id", how="left")
        .join(arms, on="user_id", how="left")
        .with_columns(
            pl.col("reachable_channels").fill_null(",".join(sorted(channels))),
        )
        .select([pl.col(name).cast(dtype) for name, dtype in USERS.items()])
        .sort("user_id")
    )


def _told(sentences: pl.DataFrame | None, column: str) -> pl.DataFrame:
    return pl.DataFrame(schema={"user_id": pl.String, column: pl.String}) if sentences is None else sentences


def _facts(frame: pl.DataFrame, types: Mapping[str, pl.DataType | type[pl.DataType]]) -> list[pl.Expr]:
    """The columns of `types`; one that the frame does not have is null."""
    return [
        pl.col(name) if name in frame.columns else pl.lit(None, dtype=dtype).alias(name)
        for name, dtype in types.items()
    ]


def _open_channels(contact_points: pl.DataFrame, channels: Sequence[str]) -> pl.DataFrame:
    """Only users with a closed channel; everyone else has them all."""
    closed = contact_points.filter(pl.col("rule_id").is_not_null() & pl.col("channel").is_in(list(channels)))
    shut = closed.group_by("user_sk").agg(pl.col("channel").alias("shut"))
    left = [pl.when(pl.col("shut").list.contains(name).not_()).then(pl.lit(name)) for name in sorted(channels)]
    joined = pl.concat_str(left, separator=",", ignore_nulls=True) if left else pl.lit("")
    return shut.select("user_sk", joined.alias("reachable_channels"))


def _served_locale(default_locale: str) -> pl.Expr:
    language = pl.col("locale").str.to_lowercase().str.extract(r"^([a-z]+)", 1)
    return pl.when(language.is_in(list(LOCALES))).then(language).otherwise(pl.lit(default_locale))


def _per_strategy(values: dict[str, int] | dict[str, str]) -> pl.Expr:
    return pl.col("strategy_id").replace_strict(values)


def _offer(strategy: Strategy) -> str:
    return "none" if strategy.offer.kind == "none" else f"{strategy.offer.kind} {strategy.offer.cost:.2f}"


def _explanation(catalogue: Catalogue) -> pl.Expr:
    """One sentence with this user's own numbers; an unknown number drops its clause, not the sentence."""
    titles = {one.id: one.title for one in catalogue.strategies}
    reasons = {one.id: one.why_chosen for one in catalogue.strategies}
    gap = _number("usual_gap_days", 1)
    own = pl.format(" against a usual gap of {}", gap)
    against = (
        pl.when(pl.col("n_gaps") == 0)
        .then(pl.format(" after the only active day, where {} is usual", gap))
        .otherwise(own)
    )
    silent = pl.format("Silent for {} days{}", "days_silent", against.fill_null("")).fill_null("Silent")
    lift = pl.format(
        "{} by {} is believed to add {} points (evidence: {}) and to earn {} after costs",
        _per_strategy(titles),
        "channel",
        _number(pl.col("uplift") * 100, 1),
        "evidence_grade",
        _number("expected_profit", 2),
    )
    why = (
        pl.when(pl.col("arm") == "explore")
        .then(pl.format("drawn at random from {} options, to learn", "n_options"))
        .otherwise(_per_strategy(reasons))
    )
    chance = _number(pl.col("p_return") * 100, 1)
    return pl.format("{}; {} % likely to return unaided; {}: {}.", silent, chance, lift, why)


def _number(value: str | pl.Expr, places: int) -> pl.Expr:
    number = pl.col(value) if isinstance(value, str) else value
    return number.cast(pl.Decimal(38, places)).cast(pl.String)
