"""Trials whose effect per user is known."""

import numpy as np

from dagster_project.models.uplift.trials import Floats, Trial, trial_of_people


def simulated_trial(
    n: int, *, seed: int, slope: float, mean: float = 0.05, treat_share: float = 0.5, by_row: bool = False
) -> tuple[Trial, Floats]:
    """(the trial, the true effect of each row): mean + slope × the third feature; the first two move the outcome.

    `by_row`: the chance of treatment differs between rows and follows what moves the outcome.
    """
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 5)).astype(np.float32)
    alone = 1 / (1 + np.exp(-(-1.2 + 0.6 * x[:, 0] - 0.4 * x[:, 1])))
    effect = mean + slope * np.clip(x[:, 2], -2, 2)
    chance = np.clip(treat_share + 0.25 * np.tanh(x[:, 0]), 0.1, 0.9) if by_row else np.full(n, treat_share)
    treated = rng.random(n) < chance
    outcome = rng.random(n) < np.clip(alone + treated * effect, 0, 1)
    return trial_of_people(x, treated, outcome, chance), effect.astype(np.float64)
