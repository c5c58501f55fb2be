"""Who may be considered at all: churned users and those about to be, and the triggers that fit them."""

from datetime import date, timedelta

import polars as pl

from dagster_project.reasons.vocabulary import REASONS
from dagster_project.strategy.catalogue import Catalogue, Strategy, by_precedence
from dagster_project.strategy.closures import with_channels
from dagster_project.strategy.evidence import column_of
from dagster_project.strategy.rules import DecisionRules

# Only these, lest fifty columns of a user be copied by every join on the way.
_FACTS = ["user_sk", "user_id", "stage", "is_churned", "days_silent", "churned_on", "p_return", "value_if_returned"]
_OPTIONAL_FACTS = ("timezone", "country", "person_key", "locale")
# Said of some users by tables that need not be there; `options` takes what it finds.
PRICED_BY = ("fatigue_probability", "categories", "n_gaps", "reason", *(f"p_{reason}" for reason in REASONS))


def cases_of(
    candidates: pl.DataFrame,
    contact_points: pl.DataFrame,
    *,
    catalogue: Catalogue,
    rules: DecisionRules,
    as_of: date,
) -> pl.DataFrame:
    """The users of `candidates` whom the night may decide on, sorted by `user_id`, with what stands in the way.

    These are the churned, those whose silence is of our making, and of those who are still here the ones for whom a
    strategy triggers: `is_churned` tells them apart. For users who are still here `p_return` is their `p_active`, the
    chance of being active without a message, and `value_if_returned`, where null, their `expected_value`.

    Beside the facts that a decision needs: `law` (the packs that bind the user), `needs_equal_offers`,
    `is_measurement_gap` (silenced by an outage of ours) and `is_unreached` (nothing has reached them since a purge or a
    provider's outage; both kinds of users are here whatever their stage), `rule.<channel>`
    per configured channel (the rule that closes it; null = open), `silenced_by` (strategy of deliberate silence that
    fits, the first that makes way for no other), `is_triggered` (some sending strategy fits), and of the strongest
    rule `block_rule`, `block_citation`, `block_until`. A channel on which no hour is allowed is closed by `hours.none`.

    Triggers ask for columns that need not be there: p_<reason>, `evidence.<fact>` (boolean), `occasions` (list of
    text). Without the column nobody is known to fit. The facts of reach are looked up here.
    """
    known = _with_asked_facts(_as_cases(candidates), catalogue)
    cases = known.sort("user_id").filter(_may_be_case(catalogue))
    cases = with_channels(_bound(cases, rules), contact_points, rules=rules, as_of=as_of)
    considered = pl.col("stage").is_in(sorted(rules.excluded_stages)).not_() & ~is_ours()
    return cases.with_columns(
        _silenced_by(catalogue, as_of).alias("silenced_by"),
        (considered & _any_of([fits(one, as_of=as_of) for one in catalogue.sending])).alias("is_triggered"),
    ).filter(pl.col("is_churned") | is_ours() | pl.col("is_triggered"))


def is_ours() -> pl.Expr:
    """Whether a case's silence is of our making: events were lost, or every message."""
    return pl.col("is_measurement_gap") | pl.col("is_unreached")


def fits(strategy: Strategy, *, as_of: date) -> pl.Expr:
    """True where the strategy's trigger holds at `as_of`. An unknown value fails the bound that asks.

    A strategy for churned users fits nobody who is still here, and the other way round. Where law forbids that an
    offer hangs on a prediction, a strategy with an offer that is not shown to hang on none fits nobody: the user gets
    what everybody of the stage can get.
    """
    trigger = strategy.trigger
    bounds = [
        pl.col("stage").is_in(list(trigger.stages)),
        *_between("days_silent", trigger.min_days_silent, trigger.max_days_silent),
        *_between("value_if_returned", trigger.min_value_if_returned, None),
        *_between("p_return", trigger.min_p_return, trigger.max_p_return),
    ]
    if trigger.is_for_lapsed or trigger.is_for_present:
        bounds.append(pl.col("is_churned") == trigger.is_for_lapsed)
    if strategy.is_unequal:
        bounds.append(~pl.col("needs_equal_offers"))
    if strategy.timing.days_after_churn:
        latest = as_of - timedelta(days=strategy.timing.days_after_churn)
        bounds.append(pl.col("churned_on") <= latest)
    if trigger.reasons or trigger.evidence:
        likely = [pl.col(f"p_{reason}") >= trigger.min_reason_probability for reason in trigger.reasons]
        signs = [*likely, *(pl.col(column_of(fact)) for fact in trigger.evidence)]
        bounds.append(pl.any_horizontal([sign.fill_null(value=False) for sign in signs]))
    if trigger.occasions:
        bounds.append(_any_of([pl.col("occasions").list.contains(name) for name in trigger.occasions]))
    return pl.all_horizontal(bounds).fill_null(value=False)


def open_channels(strategy: Strategy, *, rules: DecisionRules) -> dict[str, tuple[pl.Expr, pl.Expr]]:
    """Per configured channel of the strategy, in its order: whether it is open for the user, and the fallback.

    The fallback is the first other channel of the strategy that is open, or null. A channel for which the strategy's
    words may not be used under the user's law is not open.
    """
    usable = {
        channel: _if_open(channel, rules.closed_content.get((strategy.id, channel), frozenset()))
        for channel in strategy.channels
        if channel in rules.channels
    }
    return {
        channel: (
            is_open.is_not_null(),
            pl.coalesce([pl.lit(None, dtype=pl.String), *(e for other, e in usable.items() if other != channel)]),
        )
        for channel, is_open in usable.items()
    }


def _as_cases(candidates: pl.DataFrame) -> pl.DataFrame:
    """The facts of every candidate that a decision needs, on the scale of churned users for those still here too."""
    here = ~pl.col("is_churned")
    chance = _optional(candidates, "p_active", pl.Float64())
    value = pl.coalesce("value_if_returned", _optional(candidates, "expected_value", pl.Float64()))
    kept = [name for name in candidates.columns if name in PRICED_BY or name.startswith("evidence.")]
    kept += [name for name in ("occasions",) if name in candidates.columns]
    return candidates.select(
        *(pl.col(name) for name in _FACTS if name not in ("p_return", "value_if_returned")),
        pl.when(here).then(chance).otherwise("p_return").alias("p_return"),
        pl.when(here).then(value).otherwise("value_if_returned").alias("value_if_returned"),
        *kept,
        *(
            _optional(candidates, name, pl.Boolean()).fill_null(value=False).alias(name)
            for name in ("is_measurement_gap", "is_unreached")
        ),
        *(_optional(candidates, name, pl.String()).alias(name) for name in _OPTIONAL_FACTS),
    )


def _with_asked_facts(users: pl.DataFrame, catalogue: Catalogue) -> pl.DataFrame:
    """The users with a null for each fact that a trigger asks for and the night does not know."""
    triggers = [strategy.trigger for strategy in catalogue.strategies]
    asked: dict[str, pl.DataType] = {
        **{f"p_{reason}": pl.Float64() for trigger in triggers for reason in trigger.reasons},
        **{column_of(fact): pl.Boolean() for trigger in triggers for fact in trigger.evidence},
    }
    if any(trigger.occasions for trigger in triggers):
        asked["occasions"] = pl.List(pl.String)
    return users.with_columns(_optional(users, name, type_).cast(type_).alias(name) for name, type_ in asked.items())


def _may_be_case(catalogue: Catalogue) -> pl.Expr:
    stages = {stage for one in catalogue.sending if one.trigger.is_for_present for stage in one.trigger.stages}
    return pl.col("is_churned") | is_ours() | pl.col("stage").is_in(sorted(stages))


def _optional(frame: pl.DataFrame, name: str, dtype: pl.DataType) -> pl.Expr:
    return pl.col(name) if name in frame.columns else pl.lit(None, dtype=dtype)


def _bound(cases: pl.DataFrame, rules: DecisionRules) -> pl.DataFrame:
    laws = rules.book.laws(cases["country"])
    bound = pl.DataFrame(
        [(country, law.key, law.needs_equal_offers) for country, law in laws.items()],
        schema={"country": pl.String, "law": pl.String, "needs_equal_offers": pl.Boolean},
        orient="row",
    )
    return cases.join(bound, on="country", how="left", nulls_equal=True, maintain_order="left")


def _silenced_by(catalogue: Catalogue, as_of: date) -> pl.Expr:
    in_order = by_precedence(catalogue.silent)
    choices = [pl.when(fits(one, as_of=as_of)).then(pl.lit(one.id)) for one in in_order]
    return pl.coalesce(choices) if choices else pl.lit(None, dtype=pl.String)


def _if_open(channel: str, closed_laws: frozenset[str]) -> pl.Expr:
    is_open = pl.col(f"rule.{channel}").is_null() & ~pl.col("law").is_in(sorted(closed_laws))
    return pl.when(is_open).then(pl.lit(channel))


def _between(column: str, low: float | None, high: float | None) -> list[pl.Expr]:
    bounds = []
    if low is not None:
        bounds.append(pl.col(column) >= low)
    if high is not None:
        bounds.append(pl.col(column) <= high)
    return bounds


def _any_of(conditions: list[pl.Expr]) -> pl.Expr:
    return pl.any_horizontal(conditions) if conditions else pl.lit(value=False)
