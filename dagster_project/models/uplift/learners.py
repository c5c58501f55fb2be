"""Learners of the effect of a contact per user: each is fitted to a trial and then scores any rows.

None is trusted for its name: `judging` says which one ships, if any.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from dagster_project.models.boosting import in_passes
from dagster_project.models.features import Matrix
from dagster_project.models.threads import threads_for
from dagster_project.models.uplift.bends import BentLines
from dagster_project.models.uplift.nuisances import (
    Design,
    Regression,
    arm_regressions,
    cross_fitted,
    outcome_regression,
    pseudo_effects,
)
from dagster_project.models.uplift.trials import Flags, Floats, Trial

MOST_ROWS = 500_000  # that any learner is fitted to
N_TREES, N_LAST_TREES = 60, 20
LEAST_LEAF_SHARE = 0.05  # of the rows: an effect is a difference of two rare shares, and small leaves hold noise
Score = Callable[[Matrix], Floats]


@dataclass(frozen=True)
class Learner:
    """`fit(trial, seed)` gives the score of any rows, higher = contact first; `wording` names it to a reader.

    Scores are in units of the outcome for the learners of effects; `response` and `random` only rank.
    """

    name: str
    wording: str
    fit: Callable[[Trial, int], Score]


def fit_dr(trial: Trial, seed: int) -> Score:
    """Doubly robust learner: effects on what two cross-fitted regressions differ by, then bent lines on the rest.

    Source: Kennedy 2023. Where effects follow the outcome's own odds the regressions know them best; what they cannot
    say, a sum over features can in most cases, with less noise than trees (`python -m benchmarks.uplift_worlds`).
    """
    parts = _doubly_robust(trial, seed)
    lines = BentLines.fit(parts.rows, parts.rest)

    def score(x: Matrix) -> Floats:
        rows = parts.design.rows(x)
        return np.asarray(parts.straight(rows) + lines(rows))

    return score


def fit_boosted_dr(trial: Trial, seed: int) -> Score:
    """Doubly robust learner with small boosted trees on the rest: for effects where two features must meet."""
    parts = _doubly_robust(trial, seed)
    trees = _trees(trial.x, parts.rest, seed=seed, n_trees=N_LAST_TREES)
    return lambda x: parts.straight(parts.design.rows(x)) + trees(x)


@dataclass(frozen=True)
class _DoublyRobust:
    """The design, the trial's rows by it, what the two regressions say of such rows, and what they left unsaid."""

    design: Design
    rows: Floats
    straight: Callable[[Floats], Floats]
    rest: Floats


def _doubly_robust(trial: Trial, seed: int) -> _DoublyRobust:
    design, rows = Design.of(trial.x)
    arms = arm_regressions(trial, rows)
    nuisances = cross_fitted(trial, rows, seed=seed, arms=arms)
    effects, contrast = pseudo_effects(trial, nuisances), nuisances.contacted - nuisances.alone
    slope, (alone, contacted) = shrunken_slope(contrast, effects), arms
    return _DoublyRobust(
        design, rows, lambda asked: slope * (contacted(asked) - alone(asked)), effects - slope * contrast
    )


def fit_r(trial: Trial, seed: int) -> Score:
    """Small trees on the residual loss, regressions cross-fitted. Source: Nie and Wager 2021."""
    nuisances = cross_fitted(trial, Design.of(trial.x)[1], seed=seed)
    surprise = trial.is_treated - trial.propensity
    ratio = (trial.outcome - nuisances.mean(trial.propensity)) / surprise
    return _trees(trial.x, ratio, seed=seed, weights=surprise**2)


def fit_x(trial: Trial, seed: int) -> Score:
    """Small trees per arm on effects imputed by the other arm's regression. Source: Künzel et al. 2019."""
    nuisances = cross_fitted(trial, Design.of(trial.x)[1], seed=seed)
    treated, chance = trial.is_treated, float(trial.propensity.mean())
    imputed = np.where(treated, trial.outcome - nuisances.alone, nuisances.contacted - trial.outcome)
    by_treated, by_control = (_trees(trial.x[arm], imputed[arm], seed=seed) for arm in (treated, ~treated))
    return lambda x: (1 - chance) * by_treated(x) + chance * by_control(x)


def fit_t(trial: Trial, seed: int) -> Score:  # noqa: ARG001 - nothing is drawn
    """The difference of two regressions, one per arm."""
    design, rows = Design.of(trial.x)
    alone, contacted = arm_regressions(trial, rows)

    def score(x: Matrix) -> Floats:
        asked = design.rows(x)
        return np.asarray(contacted(asked) - alone(asked))

    return score


def fit_s(trial: Trial, seed: int) -> Score:  # noqa: ARG001 - nothing is drawn
    """One regression with the treatment and its interactions, all shrunk alike."""
    design, rows = Design.of(trial.x)
    model = outcome_regression(_interacted(rows, trial.is_treated), trial.outcome)
    return lambda x: _contrast(model, design.rows(x))


def fit_class_transformation(trial: Trial, seed: int) -> Score:
    """Small trees on whether outcome and arm agree, by inverse propensity. Source: Jaśkowski, Jaroszewicz 2012.

    An outcome that is no yes or no is multiplied by its signed inverse propensity instead (Athey and Imbens 2016).
    """
    chance = np.where(trial.is_treated, trial.propensity, 1 - trial.propensity)
    if not trial.is_binary:
        return _trees(trial.x, np.where(trial.is_treated, 1, -1) * trial.outcome / chance, seed=seed)
    agrees = (trial.outcome == 1) == trial.is_treated
    agreement = _trees(trial.x, agrees.astype(np.float64), seed=seed, weights=1 / chance)
    return lambda x: 2 * agreement(x) - 1


def fit_response(trial: Trial, seed: int) -> Score:  # noqa: ARG001 - nothing is drawn
    """Who has the outcome after a contact: what many tools call uplift, and is none."""
    (design, rows), arm = Design.of(trial.x), trial.is_treated
    model = outcome_regression(rows[arm], trial.outcome[arm])
    return lambda x: model(design.rows(x))


def fit_random(trial: Trial, seed: int) -> Score:  # noqa: ARG001 - it learns nothing
    """Any order, seeded."""
    return lambda x: np.random.default_rng([seed, len(x)]).random(len(x))


def fit_p_return(trial: Trial) -> Score:
    """The outcome to expect without a contact: what the engine ranks by where no uplift ships."""
    (design, rows), arm = Design.of(trial.x), ~trial.is_treated
    model = outcome_regression(rows[arm], trial.outcome[arm])
    return lambda x: model(design.rows(x))


DR = Learner("dr", "doubly robust learner, regressions first and bent lines last", fit_dr)
S = Learner("s", "one regression with interactions", fit_s)
CANDIDATES: tuple[Learner, ...] = (
    DR,
    Learner("boosted_dr", "doubly robust learner, regressions first and small trees last", fit_boosted_dr),
    Learner("r", "residual learner, regressions first and small trees last", fit_r),
    Learner("x", "two models of imputed effects, regressions first and small trees last", fit_x),
    Learner("t", "two regressions, one per arm", fit_t),
    S,
    Learner("class", "class transformation by small trees", fit_class_transformation),
)
RANKINGS: tuple[Learner, ...] = (
    Learner("response", "response model: who comes after a contact", fit_response),
    Learner("random", "any order", fit_random),
)
LEARNERS = (*CANDIDATES, *RANKINGS)


def shrunken_slope(predicted: Floats, found: Floats) -> float:
    """By how much of itself a predicted effect shows in what was found, from 0 (noise) to 1 (all of it)."""
    spread = float(np.var(predicted))
    return float(np.clip(np.mean((predicted - predicted.mean()) * found) / spread, 0, 1)) if spread > 0 else 0.0


def _trees(x: Matrix, target: Floats, *, seed: int, weights: Floats | None = None, n_trees: int = N_TREES) -> Score:
    """Few shallow trees that read unknown values as they are."""
    if len(target) == 0 or np.ptp(target) == 0:
        constant = float(target[0]) if len(target) else 0.0
        return lambda rows: np.full(len(rows), constant)
    known = ~np.isnan(x).all(axis=0)  # no bins can be cut of a column without a value
    if not known.any():
        mean = float(np.average(target, weights=weights))
        return lambda rows: np.full(len(rows), mean)
    with threads_for(len(target)):
        model = small_trees(n_rows=len(target), n_trees=n_trees, seed=seed).fit(x[:, known], target, weights)
    return lambda rows: in_passes(model.predict, rows[:, known]) if len(rows) else np.empty(0)


def small_trees(*, n_rows: int, n_trees: int, seed: int) -> Any:
    """The unfitted final stage. No early stopping: it would set aside rows by their order."""
    from sklearn.ensemble import HistGradientBoostingRegressor

    return HistGradientBoostingRegressor(
        learning_rate=0.05,
        max_iter=n_trees,
        max_leaf_nodes=4,
        min_samples_leaf=max(20, int(LEAST_LEAF_SHARE * n_rows)),
        l2_regularization=1.0,
        max_bins=63,
        early_stopping=False,
        random_state=seed,
    )


def _interacted(rows: Floats, is_treated: Flags) -> Floats:
    treated = is_treated.astype(np.float64)[:, None]
    return np.column_stack([rows, treated, treated * rows])


def _contrast(model: Regression, rows: Floats) -> Floats:
    everyone = np.ones(len(rows), dtype=bool)
    return model(_interacted(rows, everyone)) - model(_interacted(rows, ~everyone))
