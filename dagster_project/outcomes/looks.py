"""Intervals that stay right however often one looks: O'Brien-Fleming up to a plan, a confidence sequence beyond."""

from functools import lru_cache

import numpy as np
import numpy.typing as npt

from dagster_project.intervals import NORMAL_975

Floats = npt.NDArray[np.float64]

ALPHA = 0.05
LOOKS = 100  # of a plan, evenly spaced: as good as looking all the time
OBRIEN_FLEMING, SEQUENCE, WAITING = "obrien_fleming", "confidence_sequence", "too early"
_NORMAL_98750 = 2.241402727604947  # the normal quantile that leaves 1.25 % above it
_GRID = 401  # points of the numerical density


def looked_at(fraction: npt.ArrayLike) -> tuple[Floats, npt.NDArray[np.str_]]:
    """How many standard errors an interval of 95 % reaches after looking every night, and by which method.

    `fraction`: users over the planned number. Up to the plan the bound is O'Brien-Fleming's; beyond it no error is
    left to spend, and the always-valid sequence holds. Infinite before the first per cent that may stop anything.
    """
    t = np.asarray(fraction, dtype=np.float64)
    within = t <= 1 + 1e-9
    bound = np.where(within, obrien_fleming(np.minimum(t, 1)), sequence_width(t))
    method = np.where(within, np.where(np.isfinite(bound), OBRIEN_FLEMING, WAITING), SEQUENCE)
    return bound, method


def obrien_fleming(fraction: npt.ArrayLike, *, n_looks: int = LOOKS) -> Floats:
    """The bound on |z| at a share of the planned information, two-sided 5 % over all looks of a plan.

    Each side spends 2 − 2 Φ(z₀.₀₁₂₅ ÷ √t) (Lan & DeMets 1983 after O'Brien & Fleming 1979) over `n_looks` evenly
    spaced ones. Fewer looks only make it safer; the share is rounded down. Infinite where less than 1e-9 is to spend.
    """
    t = np.clip(np.asarray(fraction, dtype=np.float64), 0, 1)
    place = np.floor(t * n_looks + 1e-9).astype(np.int64)
    return np.asarray(_bounds(n_looks)[place])


def sequence_width(fraction: npt.ArrayLike) -> Floats:
    """Standard errors that an asymptotic 95 % confidence sequence reaches, tightest at fraction 1; valid for ever.

    Normal mixture (Robbins 1970) with a consistent variance: Waudby-Smith, Arbour, Sinha, Kennedy & Ramdas 2021,
    theorem 2.2, the mixture's scale set for the planned number of users.
    """
    t = np.maximum(np.asarray(fraction, dtype=np.float64), 1e-9)
    scale = -2 * np.log(ALPHA) + np.log(1 - 2 * np.log(ALPHA))
    spread = scale * t
    return np.asarray(np.sqrt(2 * (spread + 1) / spread * np.log(np.sqrt(spread + 1) / ALPHA)))


def p_after_looks(z: npt.ArrayLike, bound: npt.ArrayLike) -> Floats:
    """A p that is below .05 exactly where |z| is beyond its bound: that of z scaled as if the bound were 1.96."""
    from scipy.special import ndtr

    scaled = np.abs(np.asarray(z, dtype=np.float64)) * NORMAL_975 / np.asarray(bound, dtype=np.float64)
    return np.asarray(2 * ndtr(-scaled))


@lru_cache(maxsize=8)
def _bounds(n_looks: int) -> Floats:
    """The bound at 0, 1, … n_looks parts of the plan."""
    from scipy.special import ndtr

    t = np.arange(n_looks + 1) / n_looks
    with np.errstate(divide="ignore"):
        spent = 4 * ndtr(-_NORMAL_98750 / np.sqrt(t))
    bounds = np.full(n_looks + 1, np.inf)
    places: Floats | None = None
    density: Floats | None = None
    for look in range(1, n_looks + 1):
        if spent[look] < 1e-9:
            continue
        to_spend = spent[look] - (0 if density is None else spent[look - 1])
        limit, places, density = _next_look(places, density, t=t[look], step=1 / n_looks, to_spend=to_spend)
        bounds[look] = limit / np.sqrt(t[look])
    return bounds


def _next_look(
    places: Floats | None, density: Floats | None, *, t: float, step: float, to_spend: float
) -> tuple[float, Floats, Floats]:
    """The limit on |B(t)|, and the density of B(t) within it: one step of Armitage, McPherson & Rowe 1969.

    `places`, `density`: those of the look before, None for the first.
    """
    from scipy.optimize import brentq
    from scipy.special import ndtr

    if places is None or density is None:

        def beyond(limit: float) -> float:
            return float(2 * ndtr(-limit / np.sqrt(t)))
    else:
        weights = _weighed(places, density)

        def beyond(limit: float) -> float:
            above, below = ndtr((places - limit) / np.sqrt(step)), ndtr((-limit - places) / np.sqrt(step))
            return float((weights * (above + below)).sum())

    limit = brentq(lambda c: np.log(max(beyond(c), 1e-300)) - np.log(to_spend), 1e-3, 12 * np.sqrt(t))
    grid = np.linspace(-limit, limit, _GRID)
    if places is None or density is None:
        made = np.exp(-(grid**2) / (2 * t)) / np.sqrt(2 * np.pi * t)
    else:
        distance = (grid[:, None] - places[None, :]) / np.sqrt(step)
        made = (np.exp(-(distance**2) / 2) / np.sqrt(2 * np.pi * step)) @ _weighed(places, density)
    return float(limit), grid, made


def _weighed(places: Floats, density: Floats) -> Floats:
    """The density times the width that each place stands for: by trapezoids."""
    weights: Floats = density * (places[1] - places[0])
    weights[[0, -1]] /= 2
    return weights
