"""From entries of experiments to comparisons of one treatment with being left alone.

What makes an experiment unreadable is found in `outcomes`; what it set aside is set aside here, for its reason.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta

import polars as pl

from dagster_project.outcomes.entries import is_of_words
from dagster_project.outcomes.vocabulary import CONTROL, EXPLORE, HORIZONS, LONGEST

POOLED = "*"  # any contact at all
MOST_SNAPSHOTS = 24
WHOLE = 0.98  # two arms' chances that add up to this leave no third arm

ROWS = pl.Schema(
    {
        "user_sk": pl.Int64(),
        "user_id": pl.String(),
        "experiment_id": pl.String(),
        "arm": pl.String(),
        "propensity": pl.Float64(),
        "strategy_id": pl.String(),
        "assigned_on": pl.Date(),
        "is_contacted": pl.Boolean(),
        "is_randomised": pl.Boolean(),
        "is_return": pl.Boolean(),
        "cost": pl.Float64(),
        "value": pl.Float64(),
        "spend": pl.Float64(),
    }
)
PAIRS = pl.Schema(
    {
        "strategy_id": pl.String(),
        "experiment_id": pl.String(),
        "user_sk": pl.Int64(),
        "user_id": pl.String(),
        "assigned_on": pl.Date(),
        "is_treated": pl.Boolean(),
        "propensity": pl.Float64(),
        "arm_propensity": pl.Float64(),
        "is_drawn": pl.Boolean(),
        "is_return": pl.Boolean(),
        "cost": pl.Float64(),
        "value": pl.Float64(),
        "spend": pl.Float64(),
    }
)
_IS_CONTROL = pl.col("arm") == CONTROL


@dataclass(frozen=True)
class History:
    """`pairs` (PAIRS): rows of every sound comparison, by strategy; `faults`: strategy → why some were set aside.

    A row has the `propensity` of the treatment among the two, and of its own arm in the whole experiment. `is_drawn`:
    chance chose the treatment, too, not only whether there was one.
    """

    pairs: pl.DataFrame
    faults: dict[str, list[str]]


def closed_rows(entries: pl.LazyFrame, users: pl.DataFrame, *, horizon_days: int) -> pl.DataFrame:
    """ROWS of the entries whose outcome is known: their horizon, which begins on the day of the entry, is over.

    `entries`: outcomes.entries. Experiments on words compare messages of one strategy, whose users are in the
    experiment of all, and are passed over. `users`: user_sk and user_id; who is in no table of users is left out. The
    cost and the spend are those of the shortest readout that holds the horizon; `value` is what a return was thought to
    be worth at entry.
    """
    horizon = min(horizon_days, LONGEST)
    costed = next((days for days in HORIZONS if days >= horizon), LONGEST)
    known = users.select("user_id", pl.col("user_sk").cast(pl.Int64))
    return (
        entries.filter((pl.col("n_days_seen") >= horizon) & ~is_of_words())
        .join(known.lazy(), on="user_id", how="inner")
        .with_columns(
            (pl.col("returned_after") < horizon).fill_null(value=False).alias("is_return"),
            pl.col(f"cost_{costed}").alias("cost"),
            pl.col("value_if_returned").alias("value"),
            pl.col(f"spend_{costed}").alias("spend"),
        )
        .select(list(ROWS))
        .collect()
        .cast(ROWS)
        .sort("user_id", "experiment_id")
    )


def comparisons(rows: pl.DataFrame, *, reasons: Mapping[str, str]) -> History:
    """Each treatment against its control, within each experiment, and any treatment (POOLED) against all controls.

    A treatment is named by its strategy, else by experiment/arm: two experiments that call an arm alike need not have
    done the same in it. Where the held out carry the strategy that they would have
    had, a strategy is compared within it; the arm that drew its strategy then counts for POOLED alone. Who was to be
    treated but held out by the strategy's own control is in that control's experiment alone, and lowers the chance of
    the others. Set aside, with a reason: experiments that are not randomised (`reasons`: experiment → why), treatments
    without a control or with propensities that are no chances.
    """
    found: list[pl.DataFrame] = [PAIRS.to_frame()]
    faults: dict[str, list[str]] = {}
    for experiment in rows.sort("experiment_id", "user_id").partition_by("experiment_id", maintain_order=True):
        name = str(experiment["experiment_id"][0])
        is_sound = experiment["is_randomised"].all()
        for strategy_id, pair in _pairs(experiment).items():
            reason = _fault(pair) if is_sound else reasons.get(name, "it was not randomised")
            if reason:
                faults.setdefault(strategy_id, []).append(f"{name}: {reason}")
            else:
                found.append(pair.select(list(PAIRS)))
    return History(pl.concat(found).sort("strategy_id", "user_id", "experiment_id"), faults)


def snapshot_days(assigned_on: pl.Series, *, most: int = MOST_SNAPSHOTS) -> list[date]:
    """Days to look at users from, ascending: each the day before some assignment, evenly many assignments apart."""
    eves = (assigned_on - timedelta(days=1)).sort()
    distinct: list[date] = eves.unique().sort().to_list()
    if len(distinct) <= most:
        return distinct
    return sorted({eves[i * len(eves) // most] for i in range(most)})


def with_snapshot_day(pairs: pl.DataFrame, days: list[date]) -> pl.DataFrame:
    """The pairs with `snapshot_on`: the last of the days before the assignment."""
    known = pl.DataFrame({"snapshot_on": days}, schema={"snapshot_on": pl.Date}).with_columns(
        (pl.col("snapshot_on") + pl.duration(days=1)).alias("usable_from")
    )
    return (
        pairs.sort("assigned_on", "strategy_id", "user_id", "experiment_id")
        .join_asof(known, left_on="assigned_on", right_on="usable_from", strategy="backward")
        .drop("usable_from")
        .sort("strategy_id", "user_id", "experiment_id")
    )


def _pairs(rows: pl.DataFrame) -> dict[str, pl.DataFrame]:
    """Of one experiment: strategy → its rows and its controls', with the chance of the treatment among the two."""
    treated, control = _contacted(rows.filter(~_IS_CONTROL)), rows.filter(_IS_CONTROL)
    if treated.is_empty():
        return {}
    would_be = control["strategy_id"].is_not_null().any()
    own_name = pl.concat_str("experiment_id", "arm", separator="/")
    named = treated.with_columns(pl.coalesce("strategy_id", own_name).alias("label"))
    own = named.filter(pl.col("arm") != EXPLORE) if would_be else named
    made = {POOLED: _pair(POOLED, treated, control, chance=1 - _mean_chance(control), is_drawn=False)}
    for label in sorted(own["label"].unique()):
        mine = own.filter(pl.col("label") == label)
        others = control.filter(pl.col("strategy_id") == label) if would_be else control
        if not would_be and treated["arm"].n_unique() == 1:
            # the arm's chance says nothing of which of its treatments was drawn
            mine = mine.with_columns(pl.col("propensity") * (mine.height / treated.height))
        arms = mine["arm"].unique().to_list()
        is_arm = len(arms) == 1 and named.filter(pl.col("arm") == arms[0])["label"].n_unique() == 1
        made[label] = _pair(label, mine, others, chance=_chance(mine, others), is_drawn=is_arm and not would_be)
    return made


def _contacted(treated: pl.DataFrame) -> pl.DataFrame:
    """Without those whom their strategy's own control held out, the chances of the others lowered by their share."""
    is_contacted = pl.col("is_contacted").fill_null(value=True)
    share = is_contacted.mean().over("strategy_id")
    return treated.with_columns(pl.col("propensity") * share).filter(is_contacted)


def _chance(treated: pl.DataFrame, control: pl.DataFrame) -> pl.Expr:
    """Of the treatment among the two arms. A row knows its own arm's; the other's is the rest, or that arm's mean."""
    of_treated, of_control = _mean_chance(treated), _mean_chance(control)
    is_treated, own = pl.col("is_treated"), pl.col("propensity")
    if sum(rows.select(pl.col("propensity").mean().fill_null(0.0)).item() for rows in (treated, control)) > WHOLE:
        return pl.when(is_treated).then(own).otherwise(1 - own)
    mine, theirs = pl.when(is_treated).then(own).otherwise(of_treated), pl.when(is_treated).then(of_control)
    return mine / (mine + theirs.otherwise(own))


def _mean_chance(rows: pl.DataFrame) -> pl.Expr:
    return pl.lit(rows["propensity"].mean(), dtype=pl.Float64)


def _pair(
    strategy_id: str, treated: pl.DataFrame, control: pl.DataFrame, *, chance: pl.Expr, is_drawn: bool
) -> pl.DataFrame:
    """Both arms' rows; where a chance is not on record, the share that was found stands in and cannot be tested."""
    arms = ((treated, True), (control, False))
    both = pl.concat([rows.select(list(ROWS)).with_columns(is_treated=pl.lit(value=arm)) for rows, arm in arms])
    share = treated.height / both.height
    return both.with_columns(
        pl.lit(strategy_id).alias("strategy_id"),
        pl.col("propensity").alias("arm_propensity"),
        pl.lit(is_drawn).alias("is_drawn"),
        chance.fill_null(share).alias("propensity"),
    )


def _fault(pair: pl.DataFrame) -> str | None:
    """Why a comparison must not be read; null if it may be."""
    if pair["is_treated"].all():
        return "no control group"
    told = pair["arm_propensity"].drop_nulls()
    if ((told <= 0) | (told >= 1)).any() or ((pair["propensity"] <= 0) | (pair["propensity"] >= 1)).any():
        return "a propensity of 0 or 1: nothing was drawn"
    return None
