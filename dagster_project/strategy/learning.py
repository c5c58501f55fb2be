"""The beliefs on all strategies after the outcomes of all: pooled, told apart by kinds of users, fading with age.

How one strategy's outcomes change its belief stands in `lift_learning`, what strategies have in common in `pooling`.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import date

import numpy as np
import polars as pl

from dagster_project.errors import WinbackError
from dagster_project.outcomes.vocabulary import HALF_LIFE_DAYS
from dagster_project.strategy.catalogue import Catalogue, Strategy
from dagster_project.strategy.lift import Deviation, LiftBelief, Part, declared
from dagster_project.strategy.lift_learning import Likelihood, grade, likelihood, updated
from dagster_project.strategy.pooling import Common, common_of, drifts_by_others, told_by_others
from dagster_project.strategy.priors import CHANNEL, FACETS, STRATEGY, Beliefs, Priors, Taught, kind_of, part_fits

OUTCOMES = pl.Schema(
    {
        "strategy_id": pl.String,
        "channel": pl.String,
        "reason": pl.String,
        "stage": pl.String,
        "value_tier": pl.String,
        "experiment_id": pl.String,
        "arm": pl.String,
        "assigned_on": pl.Date,
        "p_return": pl.Float64,
        "is_treated": pl.Boolean,
        "is_return": pl.Boolean,
        "propensity": pl.Float64,
        "fit_content": pl.Float64,
        "fit_reason": pl.Float64,
        "is_randomised": pl.Boolean,
    }
)
NO_OUTCOMES = OUTCOMES.to_frame()
OBSERVATIONAL_SHARE = 0.1  # of a row's weight where nobody was left out at random
_FIT = "fit."
_READ = ("p_return", "is_treated", "is_return", "propensity", "weight", "arm")
_CERTAIN = ("p_return", "is_treated", "is_return")


def beliefs_from(
    priors: Priors,
    outcomes: pl.DataFrame,
    *,
    catalogue: Catalogue,
    as_of: date,
    half_life_days: float = HALF_LIFE_DAYS,
) -> Beliefs:
    """What is believed of every sending strategy at `as_of`, after the outcomes of all.

    `outcomes` (OUTCOMES; `arm` may be missing): one row per user and experiment whose horizon has passed, contacted or
    held out. Only p_return, is_treated and is_return must be known. A held-out row of no strategy is compared with all
    strategies of its experiment; a strategy that the catalogue does not know tells of the others only. Outcomes
    assigned after `as_of` are not read. One that is `half_life_days` old counts half, so that a strategy that has
    stopped working fades; of unknown age: half. Where a strategy has randomised outcomes, its others are not read.
    Raises WinbackError: a column is missing, or one of the three is null.
    """
    rows = _dated(_sane(outcomes), as_of=as_of, half_life_days=half_life_days)
    known = {strategy.id: strategy for strategy in catalogue.sending}
    if rows.is_empty() or not known:
        return Beliefs(priors)
    groups = _by_strategy(rows)
    unknown, level_sd = _unknown_parts(priors, catalogue), priors.file.common.level_sd
    own = {name: priors.parts(strategy.prior, common_sd=level_sd) for name, strategy in known.items()}
    before = {
        name: declared(own.get(name, unknown), _deviations(priors, known.get(name), groups.get(name)))
        for name in known | groups
    }
    seen = {name: _likelihood(group, before[name].parts) for name, group in groups.items()}
    drifts = drifts_by_others({name: _of_held_out(group, name) for name, group in groups.items()})
    told = told_by_others(before, seen, drifts, common=_common(priors))
    after = {name: updated(told[name], seen[name], drift=drifts[name]) for name in known if name in seen}
    taught = {name: _graded(told[name], belief, groups[name]) for name, belief in after.items()}
    return Beliefs(priors, {name: taught.get(name, Taught(told[name], {})) for name in known})


def with_base_rates(outcomes: pl.DataFrame) -> pl.DataFrame:
    """The outcomes with a p_return for rows of which none was noted: that of their experiment's held out.

    By reason of shrinkage half a return and half a miss are added. An experiment of which nobody was held out has the
    share of its contacted: such rows can tell nothing of a lift, and little of anything else.
    """
    rate = (pl.col("is_return").cast(pl.Float64).sum() + 0.5) / (pl.len() + 1)
    held_out = outcomes.filter(~pl.col("is_treated")).group_by("experiment_id").agg(rate.alias("of_held_out"))
    contacted = outcomes.filter("is_treated").group_by("experiment_id").agg(rate.alias("of_contacted"))
    return (
        outcomes.join(held_out, on="experiment_id", how="left", nulls_equal=True, maintain_order="left")
        .join(contacted, on="experiment_id", how="left", nulls_equal=True, maintain_order="left")
        .with_columns(pl.coalesce("p_return", "of_held_out", "of_contacted").alias("p_return"))
        .drop("of_held_out", "of_contacted")
    )


def _sane(outcomes: pl.DataFrame) -> pl.DataFrame:
    wanted = [name for name in OUTCOMES if name != "arm"]
    if missing := [name for name in wanted if name not in outcomes.columns]:
        raise WinbackError(f"outcomes have no column {missing[0]}", fix=f"give {', '.join(wanted)}")
    if gaps := [name for name in _CERTAIN if outcomes[name].null_count()]:
        raise WinbackError(f"outcomes hold nulls in {gaps[0]}", fix="leave out users about whom it is not known")
    return outcomes


def _dated(outcomes: pl.DataFrame, *, as_of: date, half_life_days: float) -> pl.DataFrame:
    """The outcomes up to `as_of` with the `weight` that their age leaves them, and an arm for each."""
    age_days = (pl.lit(as_of) - pl.col("assigned_on")).dt.total_days().cast(pl.Float64)
    by_treatment = pl.when("is_treated").then(pl.lit("treat")).otherwise(pl.lit("control"))
    arm = pl.coalesce("arm", by_treatment) if "arm" in outcomes.columns else by_treatment
    return outcomes.filter((pl.col("assigned_on") <= as_of).fill_null(value=True)).with_columns(
        (0.5 ** (age_days.fill_null(half_life_days) / half_life_days)).alias("weight"),
        arm.alias("arm"),
        pl.col("is_randomised").fill_null(value=False),
    )


def _by_strategy(rows: pl.DataFrame) -> dict[str, pl.DataFrame]:
    """The rows of each strategy, `is_own`, and with them the held out of its experiments who were to get none.

    A control that several strategies share counts whole for each, which is right for each by itself. What strategies
    tell each other is summed as if their controls were apart: assumed is that a shared control's noise is small beside
    how strategies differ. A small one makes what they have in common look surer than it is.
    """
    of_nobody = rows.filter(~pl.col("is_treated") & pl.col("strategy_id").is_null()).with_columns(
        pl.lit(value=False).alias("is_own")
    )
    own = rows.filter(pl.col("is_treated") | pl.col("strategy_id").is_not_null()).with_columns(
        pl.coalesce("strategy_id", "experiment_id", pl.lit("unnamed")).alias("strategy_id"),
        pl.lit(value=True).alias("is_own"),
    )
    found = {}
    for (name,), group in own.sort("strategy_id").partition_by("strategy_id", as_dict=True).items():
        experiments = group.select("experiment_id").unique()
        shared = of_nobody.join(experiments, on="experiment_id", how="semi", nulls_equal=True)
        together = pl.concat([group, shared])
        found[str(name)] = together.filter("is_randomised") if group["is_randomised"].any() else together
    return found


def _unknown_parts(priors: Priors, catalogue: Catalogue) -> tuple[Part, ...]:
    """The parts of a campaign that the catalogue does not know: it may be any of those that it does."""
    sizes = np.asarray([strategy.prior.tau for strategy in catalogue.sending])
    spreads = np.asarray([priors.spread(strategy.prior) for strategy in catalogue.sending])
    sd = float(np.sqrt(sizes.var() + (spreads**2).mean()))
    return priors.three_parts(size=float(np.median(sizes)), sd=sd, source="any strategy of the catalogue")


def _deviations(priors: Priors, strategy: Strategy | None, group: pl.DataFrame | None) -> list[Deviation]:
    """Of each channel, and of each kind of users that outcomes tell of, where they tell of more than one."""
    channel_sd = priors.channel_sd(strategy.prior) if strategy else priors.file.deviations.channel
    channels = set(strategy.channels) if strategy else set()
    if group is None:
        return priors.channels(channels, sd=channel_sd)
    treated = group.filter("is_treated")
    found = priors.channels(channels | set(treated[CHANNEL].drop_nulls()), sd=channel_sd)
    for facet in FACETS:
        levels = set(treated[facet].drop_nulls())
        found += priors.kinds(facet, levels) if len(levels) > 1 else []
    return found


def _likelihood(group: pl.DataFrame, parts: Sequence[str]) -> Likelihood:
    columns = frozenset(group.columns)
    fits = part_fits(parts, content=pl.col("fit_content"), reason=pl.col("fit_reason"), columns=columns)
    # Under names of their own: the frame has a column `reason`, too, that is no fit.
    fitted = group.select(*_READ, *(fit.name.prefix(_FIT) for fit in fits))
    share = 1.0 if group["is_randomised"].any() else OBSERVATIONAL_SHARE
    return likelihood(fitted, parts=[_FIT + part for part in parts], share=share)


def _of_held_out(group: pl.DataFrame, name: str) -> Likelihood:
    """What the held out of the strategy itself tell of the drift of p_return."""
    return likelihood(group.filter(~pl.col("is_treated") & (pl.col("strategy_id") == name)), parts=())


def _common(priors: Priors) -> Common:
    said = priors.file.common
    parts = priors.three_parts(size=0.0, sd=1.0, source="weights alone are read")
    return common_of(parts, level_sd=said.level_sd, shares=(said.strategy, said.content, said.reason))


def _graded(before: LiftBelief, after: LiftBelief, group: pl.DataFrame) -> Taught:
    """The belief with its grade: whether outcomes tell more of the lift of the average contacted user than it did."""
    treated = group.filter("is_treated")
    shares = {
        part: float((treated[kind] == part.partition("=")[2]).fill_null(value=False).mean() or 0.0)  # type: ignore[arg-type]
        for part in after.parts
        if (kind := kind_of(part))
    }
    average = np.asarray([shares.get(part, float(part == STRATEGY)) for part in after.parts])
    said = grade(before, after, fits=average) if group["is_randomised"].any() else "observational"
    return Taught(replace(after, grade=said), shares)
