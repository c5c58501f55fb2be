"""What a contact adds to the chance of a return, as a belief: better, nothing or worse, each with its weight.

The lift is in log-odds, a sum of parts (the strategy itself, how its content fits the user, how it fits the reason
of leaving) and of small deviations for kinds of users. How outcomes change a belief stands in `lift_learning`, what
one strategy's tell of another in `pooling`, the numbers to begin with in `priors`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Literal

import numpy as np
import numpy.typing as npt

from dagster_project.errors import WinbackError

Floats = npt.NDArray[np.float64]
Grade = Literal["randomised", "observational", "prior"]

SIGNS = (1.0, 0.0, -1.0)  # better, nothing, worse
COMPONENTS = ("better", "nothing", "worse")
FLOOR = 0.10  # of every component's weight: an expert who leaves no room for error cannot be overruled
P_FLOOR = 1e-6  # a probability of 0 or 1 has no log-odds; beyond this no estimate of ours means anything
FIT_STEP = 0.05  # fits are rounded to it, so that users share profiles; 0.05 of a lift of 0.5 is 0.025
N_NODES = 16  # equally likely values of the lift whose mean stands for the expectation
LOW, HIGH = 0.10, 0.90
N_HALVINGS = 18  # the interval to begin with is about a log-odds wide: 4e-6 is left
LEAST_WEIGHT = 1e-4  # lighter components do not show in a price
PROFILE_SEED = 64
BLOCK_PROFILES = 4096  # times shares times components held at once: 17 MB


@dataclass(frozen=True)
class Part:
    """One part of the lift: `size` in log-odds if the expert is right, `sd` of each component, `weights` of the three.

    The part counts for a user as far as it fits: `size` at a fit of 1, its negative at -1, nothing at 0.
    Raises WinbackError: a size or sd that is not finite, an sd of zero, weights below FLOOR or not adding up to 1.
    """

    name: str
    size: float
    sd: float
    weights: tuple[float, float, float]
    source: str

    def __post_init__(self) -> None:
        if not (np.isfinite(self.size) and np.isfinite(self.sd) and self.sd > 0):
            raise WinbackError(
                f"prior of {self.name}: size {self.size}, sd {self.sd}", fix="give finite log-odds and an sd above zero"
            )
        if min(self.weights) < FLOOR - 1e-9 or abs(sum(self.weights) - 1) > 1e-9:
            raise WinbackError(
                f"prior of {self.name}: weights {', '.join(f'{w:g}' for w in self.weights)}",
                fix=f"give better, nothing and worse at least {FLOOR:g} each and 1 in all",
            )


@dataclass(frozen=True)
class Deviation:
    """By how much, in log-odds, the lift of one kind of users or on one channel may differ: normal, no direction."""

    name: str
    size: float
    sd: float


@dataclass(frozen=True)
class LiftBelief:
    """A mixture of normals over the parts' sizes. One component per combination of better, nothing and worse.

    weights (components), signs (components × the parts that have a direction, which come first), means (components ×
    parts), covariances (components × parts × parts). `grade` says what spoke: the prior, or outcomes that weigh more
    than it; `n_outcomes` those that were read.
    """

    parts: tuple[str, ...]
    signs: Floats
    weights: Floats
    means: Floats
    covariances: Floats
    grade: Grade = "prior"
    n_outcomes: int = 0

    def part_weights(self, part: str) -> dict[str, float]:
        """The weights of better, nothing and worse for one part. They add up to 1."""
        signs = self.signs[:, self.parts.index(part)]
        return {name: float(self.weights[signs == sign].sum()) for name, sign in zip(COMPONENTS, SIGNS, strict=True)}

    def variance(self, fits: Floats) -> float:
        """Of the lift in log-odds of a user with these fits (one per part)."""
        centres, spreads = _along(self, np.atleast_2d(fits))
        centre = float(self.weights @ centres[0])
        return float(self.weights @ (spreads[0] ** 2 + (centres[0] - centre) ** 2))

    def mean(self, fits: Floats) -> float:
        """Expected lift in log-odds of a user with these fits (one per part)."""
        return float(self.weights @ (self.means @ fits))

    def chance_below(self, lift: float, fits: Floats) -> float:
        """Probability that the lift in log-odds of a user with these fits is below `lift`."""
        from scipy.special import ndtr

        centres, spreads = _along(self, np.atleast_2d(fits))
        return float(self.weights @ ndtr((lift - centres[0]) / np.maximum(spreads[0], 1e-12)))

    def draws(self, n: int, *, seed: int) -> Floats:
        """So many draws of all parts at once: n × parts."""
        rng = np.random.default_rng(seed)
        component = rng.choice(len(self.weights), size=n, p=self.weights / self.weights.sum())
        roots = np.linalg.cholesky(self.covariances)[component]
        noise = rng.standard_normal((n, len(self.parts)))
        return np.asarray(self.means[component] + np.einsum("nkl,nl->nk", roots, noise))

    def along(self, loadings: Floats, parts: Sequence[str]) -> "LiftBelief":
        """The belief on sums of parts: `loadings` (new parts × parts) say what each of the new `parts` adds up.

        The parts that have a direction must stay in their places.
        """
        return replace(
            self,
            parts=tuple(parts),
            means=self.means @ loadings.T,
            covariances=np.einsum("ik,ckl,jl->cij", loadings, self.covariances, loadings),
        )


@dataclass(frozen=True)
class Uplift:
    """Rise of P(return) by contact, per user: `mean`, the LOW and HIGH quantiles, and the one named `cautious`."""

    mean: Floats
    low: Floats
    high: Floats
    cautious: Floats


def declared(parts: Sequence[Part], deviations: Sequence[Deviation] = ()) -> LiftBelief:
    """The belief before any outcome; the deviations come last."""
    combinations = list(product(range(len(SIGNS)), repeat=len(parts)))
    signs = np.asarray([[SIGNS[place] for place in one] for one in combinations], dtype=np.float64)
    chances = [[part.weights[place] for part, place in zip(parts, one, strict=True)] for one in combinations]
    spreads = [part.sd for part in parts] + [one.sd for one in deviations]
    apart = np.repeat(np.asarray([[one.size for one in deviations]]), len(combinations), axis=0)
    return LiftBelief(
        parts=(*(part.name for part in parts), *(one.name for one in deviations)),
        signs=signs,
        weights=np.prod(np.asarray(chances), axis=1),
        means=np.concatenate([signs * np.asarray([part.size for part in parts]), apart], axis=1),
        covariances=np.repeat(np.diag(np.square(spreads))[None], len(combinations), axis=0),
    )


def uplift(p_return: Floats, fits: Floats, *, belief: LiftBelief, caution: float) -> Uplift:
    """σ(logit p_return + τ) − p_return under the belief on τ, the sum of the parts as far as each fits.

    `fits`: users × parts, -1 to 1, rounded to FIT_STEP. `cautious` is the `caution` quantile: the rise is believed
    to be larger with probability 1 − caution. This is a belief until `belief.grade` is randomised.
    """
    logits = log_odds(p_return)
    profiles, of_user = _profiles(np.round(fits / FIT_STEP).astype(np.int64))
    nodes = (np.arange(N_NODES) + 0.5) / N_NODES
    shares = np.append(nodes, [LOW, HIGH, caution])
    taus = lift_quantiles(belief, (profiles * FIT_STEP).astype(np.float64), shares=shares)[of_user]
    mean = np.zeros(len(logits))
    for node in range(N_NODES):
        mean += rise(logits, taus[:, node]) / N_NODES
    low, high, cautious = (rise(logits, taus[:, N_NODES + place]) for place in range(3))
    return Uplift(mean=mean, low=np.minimum(low, mean), high=np.maximum(high, mean), cautious=cautious)


def lift_quantiles(belief: LiftBelief, fits: Floats, *, shares: Floats) -> Floats:
    """Quantiles of the lift in log-odds: profiles × shares, by halving the interval that holds them.

    That of a mixture lies between the least and the greatest of its components'.
    """
    heavy = belief.weights > LEAST_WEIGHT
    weights = belief.weights[heavy] / belief.weights[heavy].sum()
    found = np.empty((len(fits), len(shares)))
    for first in range(0, len(fits), BLOCK_PROFILES):
        rows = slice(first, first + BLOCK_PROFILES)
        centres, spreads = _along(belief, fits[rows])
        found[rows] = _quantiles(weights, centres[:, heavy], np.maximum(spreads[:, heavy], 1e-12), shares)
    return found


def _quantiles(weights: Floats, centres: Floats, spreads: Floats, shares: Floats) -> Floats:
    from scipy.special import ndtr, ndtri

    of_components = centres[:, None] + spreads[:, None] * ndtri(shares)[None, :, None]
    low, high = of_components.min(axis=2), of_components.max(axis=2)
    for _ in range(N_HALVINGS):
        middle = (low + high) / 2
        below = ndtr((middle[:, :, None] - centres[:, None]) / spreads[:, None]) @ weights
        low, high = np.where(below < shares, middle, low), np.where(below < shares, high, middle)
    return np.asarray((low + high) / 2)


def log_odds(p: Floats) -> Floats:
    """logit of a probability, kept within P_FLOOR of 0 and 1."""
    kept = np.clip(np.asarray(p, dtype=np.float64), P_FLOOR, 1 - P_FLOOR)
    return np.asarray(np.log(kept) - np.log1p(-kept))


def _along(belief: LiftBelief, fits: Floats) -> tuple[Floats, Floats]:
    """(means, standard deviations) of the lift: profiles × components."""
    variances = np.einsum("nk,ckl,nl->nc", fits, belief.covariances, fits)
    return fits @ belief.means.T, np.sqrt(np.maximum(variances, 0.0))


def _profiles(steps: npt.NDArray[np.int64]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """(the distinct rows, the place of each row among them). One number per row sorts ten times faster than rows.

    The number is a sum with random 64-bit factors: two different rows of the small numbers that fits are get the same
    one with a chance of 2^-64.
    """
    factors = np.random.default_rng(PROFILE_SEED).integers(np.iinfo(np.int64).max, size=steps.shape[1])
    _, first, of_user = np.unique(steps @ factors, return_index=True, return_inverse=True)
    return steps[first], of_user


def rise(logits: Floats, taus: Floats) -> Floats:
    """σ(logit + τ) − σ(logit) in a form that is exactly zero at τ = 0 and loses no digits near it."""
    e = np.exp(-np.abs(logits))
    p_small = e / (1 + e)  # of the rarer of the two
    p = np.where(logits >= 0, 1 - p_small, p_small)
    grown = np.expm1(np.clip(taus, -30, 30))
    return np.asarray(p * (1 - p) * grown / (1 + p * grown))
