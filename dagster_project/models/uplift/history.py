"""From records of who was assigned what to comparisons of one treatment with being left alone.

The ledger of our own nights and imported campaigns have one form here. Features and outcomes are joined elsewhere.
"""

from dataclasses import dataclass
from datetime import date, timedelta

import polars as pl

from dagster_project.outcomes.vocabulary import CONTROL_WORDS, WORDS

POOLED = "*"  # any contact at all
DRAWN_ARM = "explore"  # of our ledger: its strategy was drawn, so those held out would mostly have had another
MOST_SNAPSHOTS = 24
LEAST_P = 0.001  # of a sample-ratio test: below, the arms were not drawn as they say. Fabijan et al. 2019
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
    }
)
_IS_CONTROL = pl.col("arm").str.strip_chars().str.to_lowercase().is_in(CONTROL_WORDS)


@dataclass(frozen=True)
class History:
    """`pairs` (PAIRS): rows of every sound comparison, by strategy; `faults`: strategy → why some were set aside."""

    pairs: pl.DataFrame
    faults: dict[str, list[str]]


def assigned_rows(imported: pl.DataFrame, ledger: pl.DataFrame, users: pl.DataFrame) -> pl.DataFrame:
    """One row (ROWS) per user and experiment, the first assignment: all later ones follow from it.

    `imported`: staging.assignments. `ledger`: rows of strategy.assignments, whose contacts go out the day after their
    night; its experiments on words compare messages of one strategy, whose users are in the experiment of all, and are
    passed over. `users`: user_sk and user_id; who is in no table of users is left out.
    """
    ledger = ledger.filter(~pl.col("experiment_id").str.starts_with(WORDS))
    known = users.select("user_sk", "user_id").with_columns(pl.col("user_sk").cast(pl.Int64))
    of_ledger = ledger.with_columns((pl.col("as_of") + pl.duration(days=1)).alias("assigned_on"))
    of_imported = imported.with_columns(pl.col("dt").alias("assigned_on"), pl.col("user_sk").cast(pl.Int64))
    joined = (
        of_ledger.join(known, on="user_id", how="inner"),
        of_imported.drop("user_id", strict=False).join(known, on="user_sk", how="inner"),
    )
    return (
        pl.concat([frame.select(list(ROWS)).cast(ROWS) for frame in joined])
        .sort("user_id", "experiment_id", "assigned_on", "arm", "strategy_id")
        .unique(subset=["user_id", "experiment_id"], keep="first", maintain_order=True)
    )


def closed_rows(rows: pl.DataFrame, *, as_of: date, horizon_days: int) -> pl.DataFrame:
    """The rows whose outcome is known: the horizon that begins with the day of the assignment is over."""
    return rows.filter(pl.col("assigned_on") + pl.duration(days=horizon_days - 1) <= as_of)


def comparisons(rows: pl.DataFrame) -> History:
    """Each treatment against its control, within each experiment, and any treatment (POOLED) against all controls.

    A treatment is named by its strategy, else by its arm. Where the held out carry the strategy that they would have
    had, a strategy is compared within it; the arm that drew its strategy then counts for POOLED alone. Set aside, with
    a reason: no control, propensities that are no chances, a sample ratio that contradicts the propensities.
    """
    found: list[pl.DataFrame] = [PAIRS.to_frame()]
    faults: dict[str, list[str]] = {}
    for experiment in rows.sort("experiment_id", "user_id").partition_by("experiment_id", maintain_order=True):
        for strategy_id, pair in _pairs(experiment).items():
            reason = _fault(pair)
            if reason:
                faults.setdefault(strategy_id, []).append(f"{experiment['experiment_id'][0]}: {reason}")
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
    treated, control = rows.filter(~_IS_CONTROL), rows.filter(_IS_CONTROL)
    if treated.is_empty():
        return {}
    would_be = control["strategy_id"].is_not_null().any()
    named = treated.with_columns(pl.coalesce("strategy_id", "arm").alias("label"))
    own = named.filter(pl.col("arm").str.to_lowercase() != DRAWN_ARM) if would_be else named
    made = {POOLED: _pair(POOLED, treated, control, chance=1 - _mean_chance(control))}
    for label in sorted(own["label"].unique()):
        mine = own.filter(pl.col("label") == label)
        others = control.filter(pl.col("strategy_id") == label) if would_be else control
        if not would_be and treated["arm"].n_unique() == 1:
            # the arm's chance says nothing of which of its treatments was drawn
            mine = mine.with_columns(pl.col("propensity") * (mine.height / treated.height))
        made[label] = _pair(label, mine, others, chance=_chance(mine, others))
    return made


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


def _pair(strategy_id: str, treated: pl.DataFrame, control: pl.DataFrame, *, chance: pl.Expr) -> pl.DataFrame:
    """Both arms' rows; where a chance is not on record, the share that was found stands in and cannot be tested."""
    arms = ((treated, True), (control, False))
    both = pl.concat([rows.select(list(ROWS)).with_columns(is_treated=pl.lit(value=arm)) for rows, arm in arms])
    share = treated.height / both.height
    return both.with_columns(
        pl.lit(strategy_id).alias("strategy_id"),
        pl.col("propensity").alias("chance_of_arm"),
        chance.fill_null(share).alias("propensity"),
    )


def _fault(pair: pl.DataFrame) -> str | None:
    """Why a comparison must not be read; null if it may be."""
    n_treated = int(pair["is_treated"].sum())
    if n_treated == pair.height:
        return "no control group"
    told = pair["chance_of_arm"].drop_nulls()
    if ((told <= 0) | (told >= 1)).any() or ((pair["propensity"] <= 0) | (pair["propensity"] >= 1)).any():
        return "a propensity of 0 or 1: nothing was drawn"
    if len(told) and ratio_p_value(pair["propensity"], n_treated=n_treated) < LEAST_P:
        expected = float(pair["propensity"].sum())
        return f"{n_treated} were treated where the propensities make {expected:.0f} of {pair.height} likely"
    return None


def ratio_p_value(propensity: pl.Series, *, n_treated: int) -> float:
    """P(arms at least so uneven) if every row was treated with its propensity; the normal two-sided test."""
    from scipy.special import erfc

    p = propensity.to_numpy()
    sd = float((p * (1 - p)).sum()) ** 0.5
    return float(erfc(abs(n_treated - p.sum()) / sd / 2**0.5)) if sd > 0 else 1.0
