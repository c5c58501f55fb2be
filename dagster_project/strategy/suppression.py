"""Why a churned user is not written to: the rule, its citation, until when, and a sentence."""

from datetime import date, timedelta
from typing import Any

import polars as pl

from dagster_project.compliance.grounds import ends_with, own_ground
from dagster_project.strategy.catalogue import Catalogue
from dagster_project.strategy.holdout import CONTROL
from dagster_project.strategy.places import AWAITS_APPROVAL
from dagster_project.strategy.wording import is_told, named, said, served_locale
from dagster_project.strategy.words import LOCALES, Locale

SUPPRESSED = {
    "user_id": pl.String,
    "rule_id": pl.String,
    "citation": pl.String,
    "until": pl.Date,
    "explanation": pl.String,
    "ends_with": pl.String,
}

GAP, UNREACHED = "measurement_gap", "unreached"
REPAIR = "repair_address"


def suppressed_rows(cases: pl.DataFrame, *, catalogue: Catalogue, as_of: date) -> pl.DataFrame:
    """`user_id`, `rule_id`, `citation`, `until`, `explanation`, `ends_with`: one row per case, sorted by `user_id`.

    Where no law is behind a rule, `citation` names the user's own choice, the setting or the record. The
    explanation is in the language of the user's `locale`, if there are words in it, else in English.

    The first of these that holds is named: an outage of ours, a purge that left no way to the user, nothing left to
    say, closed channels, a pause after the last contact, deliberate silence or no fitting strategy
    (`strategy.none_eligible`), a later day that earns more, no profit in any, and last what closes tonight only:
    capacities, caps, budget, and a strategy that waits for approval.
    `until` null means that no day is known; `ends_with` then says what ends it.
    """
    rule = _rule([name for name in cases.columns if name.startswith("rule.")])
    ruled = cases.with_columns(rule.alias("rule_id"), served_locale().alias("spoken"))
    return (
        ruled.with_columns(
            pl.coalesce(
                pl.when(_by_block()).then(pl.col("block_citation")),
                pl.when(pl.col("rule_id") == "strategy.none_eligible").then(
                    pl.format("Our own judgement: strategy {}", "silenced_by")
                ),
                own_ground(pl.col("rule_id"), channel=pl.col("gate_channel"), strategy=pl.col("strategy_id")),
            ).alias("citation"),
            _until(as_of).alias("until"),
            _explanation(catalogue, ruled["rule_id"].unique().drop_nulls().sort().to_list()).alias("explanation"),
        )
        .with_columns(ends_with(pl.col("rule_id"), pl.col("until")).alias("ends_with"))
        .select(list(SUPPRESSED))
        .sort("user_id")
    )


def _rule(rule_columns: list[str]) -> pl.Expr:
    all_closed = pl.all_horizontal([pl.col(name).is_not_null() for name in rule_columns] or [pl.lit(False)])
    is_capped = pl.any_horizontal([pl.col(name).str.starts_with("cap.") for name in rule_columns] or [pl.lit(False)])
    no_option = pl.col("expected_profit").is_null() & pl.col("p_return").is_not_null()
    none_open = pl.col("is_triggered") & pl.col("silenced_by").is_null() & no_option
    return (
        pl.when("is_measurement_gap")
        .then(pl.lit(GAP))
        # Who asked to be left alone is not to be asked for an address either.
        .when(pl.col("is_unreached") & (pl.col("silenced_by").fill_null(REPAIR) == REPAIR))
        .then(pl.lit(UNREACHED))
        # Our own pause after a list outlasts the caps that count the same list: but for them a channel were open.
        .when(pl.col("cool_until").is_not_null() & is_capped)
        .then(pl.lit("cap.cool_down"))
        .when(pl.col("is_all_said").fill_null(value=False) & pl.col("cool_until").is_null())
        .then(pl.lit("content.all_said"))
        .when((all_closed | none_open) & pl.col("block_rule").is_not_null())
        .then(pl.col("block_rule"))
        .when(pl.col("cool_until").is_not_null())
        .then(pl.lit("cap.cool_down"))
        .when(pl.col("expected_profit").is_null())
        .then(pl.lit("strategy.none_eligible"))
        .when(pl.col("wait_until").is_not_null())
        .then(pl.lit("strategy.later"))
        .when(pl.col("expected_profit") <= 0)
        .then(pl.lit("strategy.none_profitable"))
        .otherwise(pl.col("gate"))
    )


def _by_block() -> pl.Expr:
    return (pl.col("rule_id") == pl.col("block_rule")).fill_null(value=False)


def _until(as_of: date) -> pl.Expr:
    # Tonight's gates close tonight only: the day of the next list is the day after the send day.
    next_list_on = pl.lit(as_of + timedelta(days=2))
    return (
        pl.when(_by_block())
        .then(pl.col("block_until"))
        .when(pl.col("rule_id") == "cap.cool_down")
        .then(pl.col("cool_until"))
        .when(pl.col("rule_id") == "strategy.later")
        .then(pl.col("wait_until"))
        .when(pl.col("gate").is_not_null() & (pl.col("gate") != AWAITS_APPROVAL))
        .then(next_list_on)
    )


def _explanation(catalogue: Catalogue, rule_ids: list[str]) -> pl.Expr:
    """The sentence of the rule, in the language of the user's messages."""
    rule, locale = pl.col("rule_id"), pl.col("spoken")
    names = {one: _per_strategy("strategy_id", catalogue, one) for one in LOCALES}
    values: dict[str, Any] = {
        "title": names,
        "channel": named("channels", "channel"),
        "gate_channel": named("channels", "gate_channel"),
        "profit": pl.col("expected_profit").cast(pl.Decimal(38, 2)).cast(pl.String),
        "cool_until": pl.col("cool_until").cast(pl.String),
        "wait_until": pl.col("wait_until").cast(pl.String),
        "silence_title": {one: _per_strategy("silenced_by", catalogue, one) for one in LOCALES},
        "silence_why": {one: _per_strategy("silenced_by", catalogue, one, is_why=True) for one in LOCALES},
    }

    def sentence(key: str) -> pl.Expr:
        return said("suppressed", key, locale=locale, **values)

    is_held_out = (rule == "cap.cool_down") & (pl.col("arm") == CONTROL).fill_null(value=False)
    by_rule = pl.coalesce(
        [pl.lit(None, dtype=pl.String), *(pl.when(rule == one).then(sentence(one)) for one in rule_ids if is_told(one))]
    )
    return (
        pl.when(_by_block() & by_rule.is_null())
        .then(sentence("closed"))
        .when(is_held_out)
        .then(sentence("cap.cool_down.held_out"))
        .when(by_rule.is_not_null() & (rule != "strategy.none_eligible"))
        .then(by_rule)
        .when(pl.col("silenced_by").is_not_null())
        .then(sentence("silence"))
        .when(pl.col("p_return").is_null())
        .then(sentence("no_estimate"))
        .otherwise(sentence("strategy.none_eligible"))
    )


def _per_strategy(column: str, catalogue: Catalogue, locale: Locale, *, is_why: bool = False) -> pl.Expr:
    texts = {one.id: one.reasoned(locale) if is_why else one.titled(locale) for one in catalogue.strategies}
    return pl.col(column).replace_strict(texts, default=None, return_dtype=pl.String)
