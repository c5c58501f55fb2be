"""Does a score order the ends? Harrell's concordance, late entry included."""

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


def concordance(
    entry: npt.NDArray[np.int64], duration: npt.NDArray[np.int64], event: npt.NDArray[np.bool_], risk: Floats
) -> float:
    """Harrell's c: share of comparable pairs in which the one that ended first had the higher `risk`.

    A pair compares a contract that ends at t with one under observation at t (`entry` < t) that outlasts it; one
    censored at t counts as outlasting. Equal risks count half. .5 without a comparable pair.
    """
    later = np.argsort(duration, kind="stable")[::-1]
    entry, duration, event, risk = entry[later], duration[later], event[later], risk[later]
    right = pairs = 0.0
    for i in np.flatnonzero(event):
        end = duration[i]
        upto = int(np.searchsorted(-duration, -end, side="right"))
        others = risk[:upto][((duration[:upto] > end) | ~event[:upto]) & (entry[:upto] < end)]
        pairs += len(others)
        right += (others < risk[i]).sum() + 0.5 * (others == risk[i]).sum()
    return right / pairs if pairs else 0.5
