"""Buy-till-you-die models, by maximum likelihood on nothing but counts: BG/NBD and MBG/NBD.

A user is active at a Gamma-distributed pace until they drop out, with a Beta-distributed chance after each activity
(BG/NBD: Fader, Hardie & Lee 2005) and once more right after the first (MBG/NBD: Batislam, Denizel & Filiztekin 2007).
P(alive) of BG/NBD is 1 for whoever came once: rank by the chance of an event within a horizon instead.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt
import polars as pl

from dagster_project.models.activity import (
    CandidateError,
    FitSetup,
    Probabilities,
    RecencyModel,
    bounded,
    has_both_classes,
    outcomes,
)
from dagster_project.models.cutoffs import newest_cutoff

Floats = npt.NDArray[np.float64]

DAYS_PER_UNIT = 7.0  # weeks, as in the papers: keeps α of the order of ten
LOG_BOUNDS = (-9.0, 12.0)


@dataclass(frozen=True)
class Counts:
    """Per user: events after the first, and the times of the last event and of observation, from the first on."""

    repeats: Floats
    last: Floats
    observed: Floats


@dataclass(frozen=True)
class Btyd:
    """A fitted model: Gamma(r, rate α) for the pace, Beta(a, b) for drop-out; `drops_at_first` makes it MBG/NBD."""

    r: float
    alpha: float
    a: float
    b: float
    drops_at_first: bool

    def p_active(self, counts: Counts, *, within: float) -> Probabilities:
        """P(at least one event in the next `within` time units) = 1 - L(x, tx, T + within) / L(x, tx, T)."""
        later = Counts(counts.repeats, counts.last, counts.observed + within)
        ratio = log_likelihood(self, later) - log_likelihood(self, counts)
        return bounded(-np.expm1(np.minimum(ratio, 0)))


class MbgNbdModel:
    """MBG/NBD on the active days of the newest cutoff's users. It learns from no outcome."""

    def __init__(self, setup: FitSetup) -> None:
        self._setup = setup

    def fit(self, training: pl.DataFrame) -> Self:
        """Raises CandidateError: nobody came twice, or the likelihood has no maximum within reach."""
        newest = training.filter(pl.col("cutoff") == newest_cutoff(training)) if training.height else training
        self.model = fit_btyd(active_day_counts(newest), drops_at_first=True)
        return self

    def predict(self, features: pl.DataFrame) -> Probabilities:
        """P(an active day within the horizon)."""
        within = self._setup.horizon_days / DAYS_PER_UNIT
        return self.model.p_active(active_day_counts(features), within=within)


class PlainModel:
    """Recency alone for the lapsed, MBG/NBD for the rest, and recency for all where no MBG/NBD can be fitted.

    It is recency for all, too, where every outcome is the same: counts would tell users apart that nothing tells apart.

    Counts order the lapsed worse than silence does (METHODS: AUC .68 against .72), and the others better (.84, .83).
    """

    def __init__(self, setup: FitSetup) -> None:
        self._silence, self._counts = RecencyModel(), MbgNbdModel(setup)

    def fit(self, training: pl.DataFrame) -> Self:
        """Recency learns from every row, MBG/NBD from the newest cutoff's."""
        self._silence.fit(training)
        self._has_counts = has_both_classes(outcomes(training))
        try:
            self._counts.fit(training)
        except CandidateError:
            self._has_counts = False
        return self

    def predict(self, features: pl.DataFrame) -> Probabilities:
        """Each row by its own; a row whose lapse is not known counts as not lapsed."""
        probability = self._silence.predict(features)
        others = ~features["is_lapsed"].fill_null(False)
        if self._has_counts and others.any():
            probability[others.to_numpy()] = self._counts.predict(features.filter(others))
        return probability


def active_day_counts(features: pl.DataFrame) -> Counts:
    """Counts in weeks from silence_days, tenure_days and n_active_days; the last event lies within the tenure."""
    days = features.select(
        repeats=pl.col("n_active_days").fill_null(1) - 1,
        observed=pl.col("tenure_days").fill_null(0),
        silence=pl.col("silence_days").fill_null(0),
    ).cast(pl.Float64)
    repeats, observed, silence = (np.maximum(days[name].to_numpy(), 0) for name in days.columns)
    last = np.where(repeats > 0, np.maximum(observed - silence, 0), 0.0)
    return Counts(repeats, last / DAYS_PER_UNIT, observed / DAYS_PER_UNIT)


def fit_btyd(counts: Counts, *, drops_at_first: bool) -> Btyd:
    """Maximum likelihood by L-BFGS over the logs of r, α, a, b; equal users count once, with their number.

    Raises CandidateError: see MbgNbdModel.
    """
    from scipy.optimize import minimize

    if not counts.repeats.any():
        raise CandidateError("nobody was active on a second day", fix="wait for a longer log")
    rows = np.column_stack([counts.repeats, counts.last, counts.observed])
    unique, number = np.unique(rows, axis=0, return_counts=True)
    known = Counts(unique[:, 0], unique[:, 1], unique[:, 2])

    def loss(logs: Floats) -> float:
        return -float(number @ log_likelihood(_btyd(logs, drops_at_first), known)) / len(rows)

    start = np.log([1.0, max(1.0, float(counts.observed.mean())), 1.0, 2.0])
    found = minimize(loss, start, method="L-BFGS-B", bounds=[LOG_BOUNDS] * 4, options={"maxiter": 500, "ftol": 1e-12})
    if not np.isfinite(found.fun):
        raise CandidateError(f"the likelihood has no maximum: {found.message}", fix="look at the users' counts")
    return _btyd(found.x, drops_at_first)


def _btyd(logs: Floats, drops_at_first: bool) -> Btyd:
    r, alpha, a, b = (float(value) for value in np.exp(logs))
    return Btyd(r, alpha, a, b, drops_at_first)


def log_likelihood(model: Btyd, counts: Counts) -> Floats:
    """Of each user's record: still there at the end of observation, or dropped out after the last event."""
    from scipy.special import betaln, gammaln

    x, extra = counts.repeats, 1.0 if model.drops_at_first else 0.0
    pace = gammaln(model.r + x) - gammaln(model.r) + model.r * np.log(model.alpha)
    stays = betaln(model.a, model.b + x + extra) - (model.r + x) * np.log(model.alpha + counts.observed)
    can_leave = (x > 0) | model.drops_at_first
    chances = np.where(can_leave, x + extra, 1.0)  # of dropping out; 1 where there was none keeps the logs finite
    leaves = betaln(model.a + 1, model.b + chances - 1) - (model.r + x) * np.log(model.alpha + counts.last)
    whole = np.where(can_leave, np.logaddexp(stays, leaves), stays)
    return np.asarray(pace + whole - betaln(model.a, model.b), dtype=np.float64)
