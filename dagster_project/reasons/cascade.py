"""The ordered cascade: the first strong evidence, in the order of the reasons, names the reason."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from dagster_project.reasons.evidence import Evidence
from dagster_project.reasons.observed import Flags, Observed
from dagster_project.reasons.vocabulary import REASONS

# What more than this share of those who stayed shows too proves nothing: where everybody writes tickets, a ticket is
# no proof. An opinion.
MOST_USUAL = 0.03
NOBODY = -1


def first_strong(seen: Observed, usual: NDArray[np.float64], *, evidence: Sequence[Evidence]) -> NDArray[np.int64]:
    """Per user, the position in `evidence` of the strong piece that decides; -1 where none does.

    A piece is strong for the reason that it names, if it is rare (`usual` at most 3 %) or may be usual, and no piece of
    its `unless` is there. Of several, the one whose reason comes first in REASONS; of one reason, the first in the
    file.
    """
    ids = [piece.id for piece in evidence]
    order = sorted(
        (
            place
            for place, piece in enumerate(evidence)
            if piece.strong_for and (piece.may_be_usual or usual[place] <= MOST_USUAL)
        ),
        key=lambda place: (REASONS.index(str(evidence[place].strong_for)), place),
    )
    decided = np.full(seen.is_there.shape[0], NOBODY, dtype=np.int64)
    for place in order:
        holds: Flags = seen.is_there[:, place] & (decided == NOBODY)
        for other in evidence[place].unless:
            holds &= ~seen.is_there[:, ids.index(other)]
        decided[holds] = place
    return decided
