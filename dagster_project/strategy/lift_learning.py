"""How outcomes of contacted and of held-out users change the belief on the lift.

The method is Bayes' rule on a mixture of normals, the logistic likelihood taken as its second-order expansion
(Laplace): each combination of better, nothing and worse is weighed by how well it foretold the outcomes.
"""

from dataclasses import dataclass, replace

import numpy as np
import polars as pl

from dagster_project.errors import WinbackError
from dagster_project.strategy.lift import Floats, Grade, LiftBelief, log_odds

DRIFT_SD = 0.5  # log-odds by which p_return may be off for everybody: the held-out measure it
EXPANSION_SD = 1.0  # keeps the point of expansion finite where every outcome is alike
OBSERVATIONAL_SHARE = 0.1  # of a row's weight where nobody was left out at random
LEAST_PROPENSITY = 0.01  # rarer arms would outweigh hundreds of others
N_STEPS = 25
TINY = 1e-300  # a weight that outcomes have driven to zero has no logarithm


@dataclass(frozen=True)
class _Likelihood:
    """log-likelihood ≈ constant + slope · θ − θ' curvature θ / 2; θ is the drift, then the parts."""

    slope: Floats
    curvature: Floats


def learned(belief: LiftBelief, outcomes: pl.DataFrame, *, is_randomised: bool = True) -> LiftBelief:
    """The belief after outcomes of one strategy. The order of the rows means nothing.

    `outcomes`: one row per user of an experiment, p_return (without contact, as predicted before), is_treated,
    is_return, propensity (of the arm that the user got, null: equal for all), and per part of the belief the fit
    (-1 to 1). Rows whose horizon is still open must not be among them. Users not contacted measure how far p_return
    is off for everybody.

    `grade` becomes randomised once the outcomes tell more of the first part, the strategy's own, than the belief did
    (half its variance gone). Outcomes of users who were not left out at random count OBSERVATIONAL_SHARE each; give
    them only where there are no others.
    Raises WinbackError: a column is missing, or p_return or a fit is null.
    """
    if outcomes.is_empty():
        return belief
    design, offset, is_return, weights = _design(belief, outcomes)
    seen = _expand(design, offset, is_return, weights * (1.0 if is_randomised else OBSERVATIONAL_SHARE))
    after = _updated(belief, seen)
    grade = _grade(belief, after) if is_randomised else "observational"
    return replace(after, grade=grade, n_outcomes=belief.n_outcomes + outcomes.height)


def _grade(before: LiftBelief, after: LiftBelief) -> Grade:
    own = np.eye(len(before.parts))[0]
    dominates = after.variance(own) < before.variance(own) / 2
    return "randomised" if dominates else before.grade


def _design(belief: LiftBelief, outcomes: pl.DataFrame) -> tuple[Floats, Floats, Floats, Floats]:
    wanted = ["p_return", "is_treated", "is_return", "propensity", *belief.parts]
    if missing := [name for name in wanted if name not in outcomes.columns]:
        raise WinbackError(f"outcomes have no column {missing[0]}", fix=f"give {', '.join(wanted)}")
    if gaps := [name for name in wanted if name != "propensity" and outcomes[name].null_count()]:
        raise WinbackError(f"outcomes hold nulls in {gaps[0]}", fix="leave out users about whom it is not known")
    treated = outcomes["is_treated"].cast(pl.Float64).to_numpy()
    fits = outcomes.select(pl.col(list(belief.parts)).cast(pl.Float64)).to_numpy()
    design = np.column_stack([np.ones(len(treated)), treated[:, None] * fits])
    offset = log_odds(outcomes["p_return"].cast(pl.Float64).to_numpy())
    return design, offset, outcomes["is_return"].cast(pl.Float64).to_numpy(), _weights(outcomes["propensity"], treated)


def _weights(propensity: pl.Series, treated: Floats) -> Floats:
    """Inverse propensities, scaled within each arm to the number of its users."""
    inverse = 1 / np.maximum(propensity.cast(pl.Float64).fill_null(1.0).to_numpy(), LEAST_PROPENSITY)
    for arm in (0.0, 1.0):
        of_arm = treated == arm
        if of_arm.any():
            inverse[of_arm] /= inverse[of_arm].mean()
    return np.asarray(inverse)


def _expand(design: Floats, offset: Floats, is_return: Floats, weights: Floats) -> _Likelihood:
    """The second-order expansion of the log-likelihood where it is highest under a wide prior around zero."""
    theta, broad = np.zeros(design.shape[1]), np.eye(design.shape[1]) / EXPANSION_SD**2
    for _ in range(N_STEPS):
        slope, curvature = _derivatives(theta, design, offset, is_return, weights)
        step = np.linalg.solve(curvature + broad, slope - broad @ theta)
        theta = theta + np.clip(step, -1.0, 1.0)
        if np.abs(step).max() < 1e-10:
            break
    slope, curvature = _derivatives(theta, design, offset, is_return, weights)
    return _Likelihood(slope=slope + curvature @ theta, curvature=curvature)


def _derivatives(
    theta: Floats, design: Floats, offset: Floats, is_return: Floats, weights: Floats
) -> tuple[Floats, Floats]:
    p = 1 / (1 + np.exp(-(offset + design @ theta)))
    curvature = design.T @ (design * (weights * p * (1 - p))[:, None])
    return design.T @ (weights * (is_return - p)), curvature


def _updated(belief: LiftBelief, seen: _Likelihood) -> LiftBelief:
    """Each component's posterior, and its weight by how well it foretold what was seen."""
    n = len(belief.parts)
    precisions = np.zeros((len(belief.weights), n + 1, n + 1))
    precisions[:, 0, 0] = 1 / DRIFT_SD**2
    precisions[:, 1:, 1:] = np.linalg.inv(belief.covariances)
    before = np.concatenate([np.zeros((len(belief.weights), 1)), belief.means], axis=1)
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
    weighed = np.log(np.maximum(belief.weights, TINY)) + evidence
    weights = np.exp(weighed - weighed.max())
    return replace(belief, weights=weights / weights.sum(), means=means[:, 1:], covariances=covariances[:, 1:, 1:])
