"""What outcomes of some strategies tell of the others: a common level, common directions, a common drift.

Each strategy's size is its own plus a level common to all; whether a part is better, nothing or worse is common to all
with some probability, else each strategy's own. The common is held on a grid, so that a strategy hears of all others
without hearing itself: what its own outcomes tell is left out of what it is told.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from dagster_project.strategy.lift import Floats, LiftBelief, Part
from dagster_project.strategy.lift_learning import DRIFT_SD, Likelihood, Normal, evidence_by_level

N_LEVELS = 33
WIDEST = 4.0  # standard deviations of the level that the grid reaches to
OWN_DRIFT_SD = 0.15  # of DRIFT_SD, what is not common to all: p_return may be off for the users of one strategy


@dataclass(frozen=True)
class Common:
    """The grid of what strategies have in common, before any outcome.

    `levels` (log-odds); `log_weights`: levels × common directions; `own_given_common`: common directions × the
    components of a strategy. The directions are in the order of `lift.declared`.
    """

    levels: Floats
    log_weights: Floats
    own_given_common: Floats

    def told(self, belief: LiftBelief, heard: Floats) -> LiftBelief:
        """The belief of one strategy (level left out of it) after what the others tell, summed: `heard`."""
        joint = np.exp((posterior := self.log_weights + heard) - posterior.max())
        by_component = joint @ self.own_given_common
        weights = by_component.sum(axis=0)
        mean = self.levels @ by_component / weights
        variance = self.levels**2 @ by_component / weights - mean**2
        means, covariances = belief.means.copy(), belief.covariances.copy()
        means[:, 0] += mean
        covariances[:, 0, 0] += np.maximum(variance, 0.0)
        return replace(belief, weights=weights / weights.sum(), means=means, covariances=covariances)

    def tells(self, belief: LiftBelief, seen: Likelihood, *, drift: Normal) -> Floats:
        """What one strategy's outcomes tell of the common: log-probability per level and common direction."""
        evidence = evidence_by_level(belief, seen, levels=self.levels, drift=drift)
        highest = evidence.max()
        return np.asarray(highest + np.log(np.exp(evidence - highest) @ self.own_given_common.T + 1e-300))


def common_of(parts: Sequence[Part], *, level_sd: float, shares: Sequence[float]) -> Common:
    """`parts`: those of any strategy, for their weights; `shares`: per part, how far its direction is common."""
    levels = np.linspace(-WIDEST * level_sd, WIDEST * level_sd, N_LEVELS)
    weights = [np.asarray(part.weights) for part in parts]
    of_own = [share * np.eye(3) + (1 - share) * one[None, :] for one, share in zip(weights, shares, strict=True)]
    log_level = -0.5 * (levels / level_sd) ** 2
    return Common(
        levels=levels,
        log_weights=log_level[:, None] + np.log(_product(weights))[None, :],
        own_given_common=_product(of_own),
    )


def _product(of_parts: Sequence[Floats]) -> Floats:
    """Of independent parts: every combination, in the order of `lift.declared`."""
    found = np.ones(1) if of_parts[0].ndim == 1 else np.ones((1, 1))
    for one in of_parts:
        found = np.asarray(np.kron(found, one), dtype=np.float64)
    return found


def told_by_others(
    beliefs: Mapping[str, LiftBelief], seen: Mapping[str, Likelihood], drifts: Mapping[str, Normal], *, common: Common
) -> dict[str, LiftBelief]:
    """Every strategy's belief after the outcomes of all others, its own left out. `seen`: of those with outcomes."""
    told = {name: common.tells(beliefs[name], seen[name], drift=drifts[name]) for name in sorted(seen)}
    everybody = sum(told.values(), np.zeros_like(common.log_weights))
    return {name: common.told(belief, everybody - told.get(name, 0.0)) for name, belief in beliefs.items()}


def drifts_by_others(held_out: Mapping[str, Likelihood]) -> dict[str, Normal]:
    """What is believed of the drift of p_return in each strategy by the held out of all others.

    `held_out`: the likelihood of the drift alone, from users without contact.
    """
    common_sd = (DRIFT_SD**2 - OWN_DRIFT_SD**2) ** 0.5
    precisions, pulls = {}, {}
    for name in sorted(held_out):
        curvature, slope = float(held_out[name].curvature[0, 0]), float(held_out[name].slope[0])
        precisions[name] = 1 / (1 / curvature + OWN_DRIFT_SD**2) if curvature > 0 else 0.0
        pulls[name] = precisions[name] * slope / curvature if curvature > 0 else 0.0
    found = {}
    for name in held_out:
        precision = 1 / common_sd**2 + sum(precisions.values()) - precisions[name]
        mean = (sum(pulls.values()) - pulls[name]) / precision
        found[name] = Normal(mean, (1 / precision + OWN_DRIFT_SD**2) ** 0.5)
    return found
