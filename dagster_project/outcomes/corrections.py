"""Many looks at many things: p values corrected for how many comparisons there were."""

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


def benjamini_hochberg(p_values: npt.ArrayLike) -> Floats:
    """Adjusted p per comparison, in the order given: rejecting those below q keeps the share of false ones below q.

    NaN stays NaN and counts as no comparison. Source: Benjamini & Hochberg 1995.
    """
    p = np.asarray(p_values, dtype=np.float64)
    adjusted = np.full(p.shape, np.nan)
    known = np.flatnonzero(~np.isnan(p))
    if not known.size:
        return adjusted
    order = known[np.argsort(p[known], kind="stable")]
    ranks = np.arange(1, order.size + 1)
    stepped = np.minimum.accumulate((p[order] * order.size / ranks)[::-1])[::-1]
    adjusted[order] = np.minimum(stepped, 1)
    return adjusted


def holm(p_values: npt.ArrayLike) -> Floats:
    """Adjusted p per comparison, in the order given: rejecting those below q is wrong anywhere with chance q at most.

    Source: Holm 1979.
    """
    p = np.asarray(p_values, dtype=np.float64)
    order = np.argsort(p, kind="stable")
    adjusted = np.empty(p.shape)
    adjusted[order] = np.minimum(np.maximum.accumulate(p[order] * np.arange(p.size, 0, -1)), 1)
    return adjusted
