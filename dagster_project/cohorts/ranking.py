"""The tables behind the files: the ranked cohort list, and every user with what became of them."""

from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from dagster_project.reasons.vocabulary import UNKNOWN
from dagster_project.reasons.wording import SAYABLE
from dagster_project.strategy.catalogue import LOCALES, Catalogue, Strategy
from dagster_project.strategy.wording import DEFAULT_LOCALE, named, said, served_locale

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
    "is_churned": pl.Boolean,
    "p_active": pl.Float64,
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
    `offer_basis` are added to the explanation, which is in the language of the row's locale: in another than English it
    names the reason of leaving alone. Columns that nothing fills yet are there and null.
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
            served_locale(default_locale).alias("locale"),
            _per_strategy({one.id: _offer(one) for one in catalogue.strategies}).alias("offer"),
        )
        .with_columns(
            pl.concat_str(
                _explanation(catalogue),
                _why_left(),
                _in_english("why_left"),
                _in_english("sentence"),
                _equal_offers(),
                separator=" ",
                ignore_nulls=True,
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


def _per_strategy(values: dict[str, int] | dict[str, str]) -> pl.Expr:
    return pl.col("strategy_id").replace_strict(values)


def _offer(strategy: Strategy) -> str:
    return "none" if strategy.offer.kind == "none" else f"{strategy.offer.kind} {strategy.offer.cost:.2f}"


def _explanation(catalogue: Catalogue) -> pl.Expr:
    """One sentence with this user's own numbers; an unknown number drops its clause, not the sentence."""
    locale = pl.col("locale")
    titles = {one: _per_strategy({s.id: s.titled(one) for s in catalogue.strategies}) for one in LOCALES}
    reasons = {one: _per_strategy({s.id: s.reasoned(one) for s in catalogue.strategies}) for one in LOCALES}

    def clause(key: str, **values: Any) -> pl.Expr:
        return said("contact", key, locale=locale, **values)

    gap = _number("usual_gap_days", 1)
    is_first = pl.col("n_gaps") == 0
    cadence = pl.when(is_first).then(clause("cadence_typical", gap=gap)).otherwise(clause("cadence_own", gap=gap))
    days = pl.col("days_silent").cast(pl.String)
    silent = clause("silent", days_silent=days, cadence=cadence.fill_null("")).fill_null(clause("silent_unknown"))
    is_here = pl.col("is_churned").not_().fill_null(value=False)
    unaided = pl.when(is_here).then(pl.col("p_active")).otherwise(pl.col("p_return"))
    percent = _number(unaided * 100, 1)
    chance = (
        pl.when(is_here)
        .then(clause("still_here_chance", p_return=percent))
        .otherwise(clause("chance", p_return=percent))
    )
    lift = clause(
        "lift",
        title=titles,
        channel=named("channels", "channel"),
        points=_number(pl.col("uplift") * 100, 1),
        grade=named("grades", "evidence_grade"),
        profit=_number("expected_profit", 2),
    )
    explored = clause("explored", n_options=pl.col("n_options").cast(pl.String))
    why = pl.when(pl.col("arm") == "explore").then(explored).otherwise(clause("why", why=reasons))
    return pl.concat_str(silent, chance.fill_null(""), lift, why)


def _in_english(column: str) -> pl.Expr:
    """What is known in English only is left out of a sentence in another language."""
    return pl.when(pl.col("locale") == DEFAULT_LOCALE).then(pl.col(column))


def _equal_offers() -> pl.Expr:
    """What the row says of equal treatment; in other languages than English without the basis, which has no other."""
    citation = pl.col("offer_basis").str.extract(r"\((\S.*)\)\.$", 1)
    told = said("contact", "equal_offers", locale=pl.col("locale"), citation=citation)
    return pl.when(pl.col("locale") == DEFAULT_LOCALE).then("offer_basis").otherwise(told)


def _why_left() -> pl.Expr:
    """In other languages than English: the reason by its name, where it is as sure as the English sentence asks."""
    is_sure = (pl.col("reason") != UNKNOWN) & (pl.col("reason_confidence") >= SAYABLE)
    percent = (100 * pl.col("reason_confidence")).round(0).cast(pl.Int64).cast(pl.String)
    told = said(
        "contact",
        "reason",
        locale=pl.col("locale"),
        reason=named("reasons", "reason"),
        percent=percent,
        says=said("contact", "end", locale=pl.col("locale")),
    )
    return pl.when((pl.col("locale") != DEFAULT_LOCALE) & is_sure).then(told)


def _number(value: str | pl.Expr, places: int) -> pl.Expr:
    number = pl.col(value) if isinstance(value, str) else value
    return number.cast(pl.Decimal(38, places)).cast(pl.String)
