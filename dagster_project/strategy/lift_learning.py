"""How outcomes of contacted and of held-out users change the belief on the lift of one strategy.

The method is Bayes' rule on a mixture of normals, the logistic likelihood taken as its second-order expansion
(Laplace): each combination of better, nothing and worse is weighed by how well it foretold the outcomes.
What outcomes of other strategies tell stands in `pooling`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import polars as pl

from dagster_project.errors import WinbackError
from dagster_project.strategy.lift import FIT_STEP, Floats, Grade, LiftBelief, log_odds

DRIFT_SD = 0.5  # log-odds by which p_return may be off for everybody: the held-out measure it
EXPANSION_SD = 1.0  # keeps the point of expansion finite where every outcome is alike
MOST_WEIGHT = 10.0  # of a row, in multiples of the lightest of its arm: rarer chances would outweigh hundreds of others
ODDS_STEP = 0.02  # log-odds of p_return are rounded to it, so that alike rows are counted instead of kept
N_STEPS = 25
TINY = 1e-300  # a weight that outcomes have driven to zero has no logarithm


@dataclass(frozen=True)
class Normal:
    """A belief on one number."""

    mean: float
    sd: float


@dataclass(frozen=True)
class Likelihood:
    """log-likelihood ≈ constant + slope · θ − θ' curvature θ / 2; θ is the drift, then the parts."""

    slope: Floats
    curvature: Floats
    n_outcomes: int


ANY_DRIFT = Normal(0.0, DRIFT_SD)


def grade(before: LiftBelief, after: LiftBelief, *, fits: Floats | None = None) -> Grade:
    """Randomised where outcomes have halved the variance of the lift at `fits` (default: of the first part alone).

    Else what it was before.
    """
    at = np.eye(len(before.parts))[0] if fits is None else fits
    return "randomised" if after.variance(at) < before.variance(at) / 2 else before.grade


def likelihood(outcomes: pl.DataFrame, *, parts: Sequence[str], share: float = 1.0) -> Likelihood:
    """What the outcomes of one strategy say, by themselves, of its parts and of the drift of p_return.

    The order of the rows means nothing.

    `outcomes`: one row per user of an experiment, p_return (without contact, as predicted before), is_treated,
    is_return, propensity (of the arm that the user got, null: equal for all), and per part the fit (-1 to 1). Rows
    whose horizon is still open must not be among them. Users not contacted measure how far p_return is off for
    everybody. Where there is a column `weight` (0 to 1), a row counts by so much; where there is `arm`, propensities
    are compared within it, else within the treated and within the others. Each row counts `share`.
    Raises WinbackError: a column is missing, or p_return or a fit is null.
    """
    design, offset, n, n_returns = _counted(outcomes, parts)
    slope, curvature = _expand(design, offset, n * share, n_returns * share)
    return Likelihood(slope, curvature, outcomes.height)


def updated(belief: LiftBelief, seen: Likelihood, *, drift: Normal = ANY_DRIFT) -> LiftBelief:
    """Each component's posterior, and its weight by how well it foretold what was seen. The grade stays."""
    means, covariances, evidence = _posterior(belief, seen, drift)
    weighed = np.log(np.maximum(belief.weights, TINY)) + evidence
    weights = np.exp(weighed - weighed.max())
    return replace(
        belief,
        weights=weights / weights.sum(),
        means=means[:, 1:],
        covariances=covariances[:, 1:, 1:],
        n_outcomes=belief.n_outcomes + seen.n_outcomes,
    )


def evidence_by_level(belief: LiftBelief, seen: Likelihood, *, levels: Floats, drift: Normal) -> Floats:
    """log-probability of what was seen, but for a constant, if the first part were higher by each of `levels`.

    Levels × components.
    """
    first = np.zeros(len(belief.parts))
    first[0] = 1.0
    shifted = (replace(belief, means=belief.means + level * first) for level in levels)
    return np.stack([_posterior(one, seen, drift)[2] for one in shifted])


def _posterior(belief: LiftBelief, seen: Likelihood, drift: Normal) -> tuple[Floats, Floats, Floats]:
    """(means, covariances, log-evidence) of the drift and the parts, per component."""
    n = len(belief.parts)
    precisions = np.zeros((len(belief.weights), n + 1, n + 1))
    precisions[:, 0, 0] = 1 / drift.sd**2
    precisions[:, 1:, 1:] = np.linalg.inv(belief.covariances)
    before = np.concatenate([np.full((len(belief.weights), 1), drift.mean), belief.means], axis=1)
    pulled = np.einsum("ckl,cl->ck", precisions, before)
    after = precisions + seen.curvature
    covariances: Floats = np.linalg.inv(after).astype(np.float64)
    means = np.einsum("ckl,cl->ck", covariances, pulled + seen.slope)
    evidence = 0.5 * (
        np.linalg.slogdet(precisions)[1]
        - np.linalg.slogdet(after)[1]
        - np.einsum("ck,ck->c", before, pulled)
        + np.einsum("ck,ckl,cl->c", means, after, means)
    )
    return means, covariances, np.asarray(evidence)


def _counted(outcomes: pl.DataFrame, parts: Sequence[str]) -> tuple[Floats, Floats, Floats, Floats]:
    """(design, offset, rows, returns): one line per kind of rows that are alike."""
    wanted = ["p_return", "is_treated", "is_return", "propensity", *parts]
    if missing := [name for name in wanted if name not in outcomes.columns]:
        raise WinbackError(f"outcomes have no column {missing[0]}", fix=f"give {', '.join(wanted)}")
    if gaps := [name for name in wanted if name != "propensity" and outcomes[name].null_count()]:
        raise WinbackError(f"outcomes hold nulls in {gaps[0]}", fix="leave out users about whom it is not known")
    treated = pl.col("is_treated").cast(pl.Float64)
    kinds = outcomes.select(
        pl.Series("odds", np.round(log_odds(outcomes["p_return"].cast(pl.Float64).to_numpy()) / ODDS_STEP)),
        treated.alias("treated"),
        *((treated * (pl.col(part).cast(pl.Float64) / FIT_STEP).round()).alias(f"fit.{part}") for part in parts),
        _weight(outcomes).alias("n"),
        (_weight(outcomes) * pl.col("is_return").cast(pl.Float64)).alias("n_returns"),
    )
    keys = ["odds", "treated", *(f"fit.{part}" for part in parts)]
    counted = kinds.sort(*keys, "n", "n_returns").group_by(keys, maintain_order=True).agg(pl.sum("n", "n_returns"))
    fits = counted.select(keys[2:]).to_numpy().reshape(counted.height, len(parts)) * FIT_STEP
    design = np.column_stack([np.ones(counted.height), fits])
    return design, counted["odds"].to_numpy() * ODDS_STEP, counted["n"].to_numpy(), counted["n_returns"].to_numpy()


def _weight(outcomes: pl.DataFrame) -> pl.Expr:
    """Inverse propensities within each arm, of sum the number of rows that would tell as much if all were alike.

    (Σw)² ÷ Σw²: Kish, Survey Sampling, 1965. Unequal weights tell less than their number.
    """
    arm = "arm" if "arm" in outcomes.columns else "is_treated"
    inverse = 1 / pl.col("propensity").cast(pl.Float64).fill_null(1.0).clip(1e-6)
    kept = inverse.clip(upper_bound=inverse.min().over(arm) * MOST_WEIGHT)
    scaled = kept * kept.sum().over(arm) / kept.pow(2).sum().over(arm)
    return scaled * pl.col("weight") if "weight" in outcomes.columns else scaled


def _expand(design: Floats, offset: Floats, n: Floats, n_returns: Floats) -> tuple[Floats, Floats]:
    """(slope, curvature) of the log-likelihood, expanded where it is highest under a wide prior around zero."""
    theta, broad = np.zeros(design.shape[1]), np.eye(design.shape[1]) / EXPANSION_SD**2
    for _ in range(N_STEPS):
        slope, curvature = _derivatives(theta, design, offset, n, n_returns)
        step = np.linalg.solve(curvature + broad, slope - broad @ theta)
        theta = theta + np.clip(step, -1.0, 1.0)
        if np.abs(step).max() < 1e-10:
            break
    slope, curvature = _derivatives(theta, design, offset, n, n_returns)
    return slope + curvature @ theta, curvature


def _derivatives(theta: Floats, design: Floats, offset: Floats, n: Floats, n_returns: Floats) -> tuple[Floats, Floats]:
    p = 1 / (1 + np.exp(-(offset + design @ theta)))
    curvature = design.T @ (design * (n * p * (1 - p))[:, None])
    return design.T @ (n_returns - n * p), curvature
