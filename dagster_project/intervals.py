"""Confidence intervals that several layers share."""

import numpy as np
import numpy.typing as npt

NORMAL_975 = 1.959963984540054  # the normal quantile that leaves 2.5 % above it

Floats = npt.NDArray[np.float64]


def wilson_interval(n_successes: npt.ArrayLike, n_trials: npt.ArrayLike) -> tuple[Floats, Floats]:
    """(low, high) of Wilson's 95 % score interval of a share, element by element; 0 to 1 where there was no trial.

    Never empty, never outside 0 to 1. Source: Wilson 1927.
    """
    k, n = np.asarray(n_successes, dtype=np.float64), np.maximum(np.asarray(n_trials, dtype=np.float64), 1e-12)
    centre = (k + NORMAL_975**2 / 2) / (n + NORMAL_975**2)
    half = NORMAL_975 * np.sqrt(k * (n - k) / n + NORMAL_975**2 / 4) / (n + NORMAL_975**2)
    none = np.asarray(n_trials) <= 0
    return np.where(none, 0.0, np.maximum(centre - half, 0)), np.where(none, 1.0, np.minimum(centre + half, 1))
