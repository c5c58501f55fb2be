"""How likely each reason is, from the evidence: naive Bayes over the seventeen, with base rates of the log itself.

Estimand: P(reason | evidence seen near the leaving), under the chances that `evidence.toml` names and the rates that
the log shows. Not causal: evidence says what went with the leaving, not what would have kept the user.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dagster_project.reasons.evidence import Evidence
from dagster_project.reasons.observed import Flags, Observed
from dagster_project.reasons.vocabulary import REASONS, UNKNOWN

Floats = NDArray[np.float64]
# As many users as the opinion of a usual rate counts for, against those of the log.
USUAL_WEIGHT = 50.0
# And as many as the first base rates count for. Opinions: of a third nothing is ever known; to fade away and never to
# have begun are three times as common as any other reason.
BASE_WEIGHT = 60.0
UNKNOWN_BASE = 0.3
COMMON = {"never_activated": 3.0, "value_decay": 3.0}
# Who says nothing says little: many never answer a survey, so an absent piece counts by less than its odds.
ABSENT_WEIGHT = 0.7
# Evidence of an earlier leaving of the same user, against that of this one.
EARLIER_WEIGHT = 0.5
EM_STEPS = 30
USUAL_STEPS = 4
LEAST_CHANCE = 1e-3


@dataclass(frozen=True)
class Chances:
    """Chance of each piece of evidence under each reason (evidence × REASONS), and its usual rate."""

    under: Floats
    usual: Floats


def measured_chances(
    evidence: Sequence[Evidence], *, left: Observed, stayed: Observed | None, posterior: Floats | None = None
) -> Chances:
    """The chances on this log. Usual is what those show who `stayed`; for measures that prove nothing, those who left.

    Each rate is shrunk to the opinion of its `usual` with the weight of 50 users. What a reason causes is never rarer
    under it than usual, unless the opinion says that it is (a message that arrived speaks against a dead endpoint).
    With a `posterior` of those who left, each counts for the usual rate of a measure by the chance that they left for
    no reason that the piece speaks for.
    """
    usual = np.empty(len(evidence))
    under = np.empty((len(evidence), len(REASONS)))
    for place, piece in enumerate(evidence):
        of_stayed = piece.column is None or piece.strong_for is not None
        weight = _not_named(piece, posterior) if posterior is not None and not of_stayed else None
        usual[place] = _rate(piece, place, stayed if of_stayed else left, weight)
        under[place] = usual[place]
        for reason, chance in piece.speaks_for.items():
            rises = chance > piece.usual
            more = usual[place] + (1 - usual[place]) * chance
            under[place, REASONS.index(reason)] = more if rises else min(chance, usual[place])
    return Chances(np.clip(under, LEAST_CHANCE, 1 - LEAST_CHANCE), usual)


def _not_named(piece: Evidence, posterior: Floats) -> Floats:
    named = [REASONS.index(reason) for reason in piece.speaks_for]
    return np.asarray(1 - posterior[:, named].sum(axis=1), dtype=np.float64)


def _rate(piece: Evidence, place: int, group: Observed | None, weight: Floats | None) -> float:
    if group is None:
        return piece.usual
    known = group.is_known[:, place] * (1.0 if weight is None else weight)
    n, k = float(known.sum()), float((group.is_there[:, place] * known).sum())
    return (k + USUAL_WEIGHT * piece.usual) / (n + USUAL_WEIGHT)


def weigh_evidence(
    evidence: Sequence[Evidence], *, seen: Observed, stayed: Observed | None, earlier: Observed | None = None
) -> tuple[Floats, Chances]:
    """The posterior of those who left (users × REASONS) and the chances under which it came out.

    Usual rates of measures and the posterior are found in turn, four times: expectation and maximisation over a
    mixture whose chances under the named reasons stand fast. Source: Dempster, Laird and Rubin 1977.
    """
    chances = measured_chances(evidence, left=seen, stayed=stayed)
    for _ in range(USUAL_STEPS):
        posterior, _ = posteriors(log_likelihoods(seen, chances, evidence=evidence, earlier=earlier))
        chances = measured_chances(evidence, left=seen, stayed=stayed, posterior=posterior)
    posterior, _ = posteriors(log_likelihoods(seen, chances, evidence=evidence, earlier=earlier))
    return posterior, chances


def log_likelihoods(
    seen: Observed, chances: Chances, *, evidence: Sequence[Evidence], earlier: Observed | None = None
) -> Floats:
    """Users × REASONS: ln P(evidence | reason), up to a constant of the user.

    Pieces of one group depend on one another: k of them that are there count by the power 1/√k each (tempering), and
    a piece that is missing counts only where the whole group is.
    """
    n = seen.is_there.shape[0]
    power, is_silent = _powers(seen.is_there, evidence)
    total = np.zeros((n, len(REASONS)))
    ratio = np.log(chances.under) - np.log(np.clip(chances.usual, LEAST_CHANCE, None))[:, None]
    absent = np.log1p(-chances.under) - np.log1p(-np.clip(chances.usual, None, 1 - LEAST_CHANCE))[:, None]
    for place in range(len(evidence)):
        there = (seen.is_there[:, place] * power[:, place])[:, None]
        missing = (seen.is_known[:, place] & is_silent[:, place])[:, None] * ABSENT_WEIGHT
        if earlier is not None:
            before = earlier.is_there[:, place] & ~seen.is_there[:, place]
            there = there + EARLIER_WEIGHT * before[:, None]
            missing = missing * ~before[:, None]
        total += there * ratio[place] + missing * absent[place]
    return total


def _powers(is_there: Flags, evidence: Sequence[Evidence]) -> tuple[Floats, Flags]:
    """Users × evidence: the power of each piece that is there, and whether its whole group is missing."""
    power = np.ones(is_there.shape)
    is_silent = np.ones(is_there.shape, np.bool_)
    groups = np.asarray([piece.group for piece in evidence])
    for group in sorted(set(groups.tolist())):
        members = groups == group
        n_there = is_there[:, members].sum(axis=1)
        power[:, members] = 1 / np.sqrt(np.maximum(n_there, 1))[:, None]
        is_silent[:, members] = (n_there == 0)[:, None]
    return power, is_silent


def first_base_rates() -> Floats:
    """What is believed of the reasons before any log."""
    weights = np.asarray([0.0 if reason == UNKNOWN else COMMON.get(reason, 1.0) for reason in REASONS])
    rates = (1 - UNKNOWN_BASE) * weights / weights.sum()
    rates[REASONS.index(UNKNOWN)] = UNKNOWN_BASE
    return np.asarray(rates, dtype=np.float64)


def posteriors(log_likelihood: Floats) -> tuple[Floats, Floats]:
    """(users × REASONS, rows summing to 1; base rates): the posterior under base rates fitted to these users.

    The base rates are those under which the log is likeliest, with the first ones as 300 users of a prior.
    Source: Saerens, Latinne and Decaestecker 2002 (adjusting outputs to new a priori probabilities by EM).
    """
    first = first_base_rates()
    base, given = first, np.empty_like(log_likelihood)
    for _ in range(EM_STEPS):
        given = _normal(log_likelihood + np.log(base))
        base = (given.sum(axis=0) + BASE_WEIGHT * first) / (given.shape[0] + BASE_WEIGHT)
    return given, base


def _normal(logs: Floats) -> Floats:
    shifted = np.exp(logs - logs.max(axis=1, keepdims=True, initial=-np.inf))
    return np.asarray(shifted / shifted.sum(axis=1, keepdims=True), dtype=np.float64)
