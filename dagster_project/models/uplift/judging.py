"""Whether anybody should be chosen by uplift: learners judged on users they have not seen, one shipped or none.

The default is named before any look at the data, so its test needs no correction; a challenger takes its place only
if it causes more by an interval corrected for how many challengers there are. Shipping wants more than doing the same
for everyone at the same budgets, and more than ranking by the chance of a return.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from dagster_project.models.features import Matrix
from dagster_project.models.threads import on_one_thread
from dagster_project.models.uplift.calibration import (
    Line,
    SleepingDogs,
    best_line,
    mean_effect,
    out_of_fold_effects,
    sleeping_dogs,
)
from dagster_project.models.uplift.figures import Figure, quantile_of_normal
from dagster_project.models.uplift.gains import Gains, Repeat, measured_gains
from dagster_project.models.uplift.learners import CANDIDATES, DR, RANKINGS, Learner, S, Score, fit_p_return
from dagster_project.models.uplift.metrics import PER
from dagster_project.models.uplift.nuisances import fitted_nuisances, pseudo_effects
from dagster_project.models.uplift.trials import Floats, Trial, deal_folds

N_REPEATS, N_FOLDS = 2, 5
LEAST_ROWS, LEAST_OUTCOMES = 2_000, 100  # per arm
ROWS_FOR_TREES = 10_000  # below, a default of regressions alone: METHODS found trees behind them there
CONFIDENCE = 0.95
EIGHT_TENTHS = 0.8  # of what is believed of one user's effect lies between low and high, as with believed lifts
EVERYONE, P_RETURN = "everyone", "p_return"
Decision = Literal["ships", "average", "thin"]


@dataclass(frozen=True)
class Scorer:
    """The calibrated effect of any rows: the mean of the models of the first deal's folds, on the best line.

    `doubt`: by how much the other learners differ from it, as a standard deviation in units of the outcome.
    """

    models: tuple[Score, ...]
    line: Line
    doubt: float

    def effects(self, x: Matrix) -> tuple[Floats, Floats, Floats]:
        """(effect, low, high) per row, in units of the outcome; eight tenths of what is believed lie between.

        The spread over the models, each without another fifth of the persons, is the score's own error (grouped
        jackknife), beside that of the line. What no model of its kind can say is told by the doubt.
        """
        scores = np.array([model(x) for model in self.models])
        k = len(self.models)
        spread = np.sqrt((k - 1) / k * ((scores - scores.mean(axis=0)) ** 2).sum(axis=0))
        mean = scores.mean(axis=0)
        effect = np.clip(self.line.effect(mean), -1, 1)
        sd = np.hypot(self.line.sd(mean, score_sd=spread), self.doubt)
        half = quantile_of_normal(EIGHT_TENTHS) * sd
        return effect, np.maximum(effect - half, -1), np.minimum(effect + half, 1)


@dataclass(frozen=True)
class OutOfFold:
    """Every learner's scores of users it has not seen, by deal; and the first deal's models."""

    repeats: list[Repeat]
    models: dict[str, tuple[Score, ...]]

    def score(self, name: str) -> Floats:
        """The mean score over the deals."""
        return np.asarray(np.mean([repeat.scores[name] for repeat in self.repeats], axis=0))

    @property
    def effects(self) -> Floats:
        """The mean honest effect over the deals."""
        return np.asarray(np.mean([repeat.effects for repeat in self.repeats], axis=0))


@dataclass(frozen=True)
class Findings:
    """What was found of one treatment. `average` is the mean effect on anybody.

    Per 1,000 eligible: `gain`, the learner's policy value (mean over budgets) less that of everyone at the same
    budgets; `gain_over_p_return`, less that of ranking by the chance of a return; `policy`, what contacting those with
    an effect above nought causes; `best_fixed`, the better of contacting all and none. `slope`: of the best line;
    above zero, effects differ as the learner says.
    """

    learner: str
    out_of_fold: OutOfFold
    gains: Gains
    average: Figure
    gain: Figure
    gain_over_p_return: Figure
    slope: Figure
    policy: Figure
    best_fixed: float
    dogs: SleepingDogs


@dataclass(frozen=True)
class Judgement:
    """The decision on one treatment. `findings` is null where it is thin; `scorer` is there where a learner ships."""

    decision: Decision
    n_treated: int
    n_control: int
    findings: Findings | None = None
    scorer: Scorer | None = None


@on_one_thread()
def judge(trial: Trial, *, seed: int, n_judged: int = 1, learners: tuple[Learner, ...] = CANDIDATES) -> Judgement:
    """Fit, judge out of fold and decide. `n_judged`: treatments judged beside this one, for which levels are corrected.

    `thin` below LEAST_ROWS rows or LEAST_OUTCOMES outcomes in an arm; nothing is fitted then.
    """
    n_treated, n_control = int(trial.is_treated.sum()), int((~trial.is_treated).sum())
    default = DR if trial.n >= ROWS_FOR_TREES else S
    if is_thin(trial):
        return Judgement("thin", n_treated, n_control)
    seen = out_of_fold(trial, learners=learners, seed=seed)
    gains = measured_gains(trial, seen.repeats, seed=seed)
    chosen = best_challenger(gains, default=default.name, names=[one.name for one in learners])
    confidence = 1 - (1 - CONFIDENCE) / max(1, n_judged)
    findings, line = _found(trial, seen, gains, chosen=chosen, confidence=confidence, seed=seed)
    if findings.gain.is_positive and findings.gain_over_p_return.is_positive:
        others = [one.name for one in learners if one.name not in (chosen, *(plain.name for plain in RANKINGS))]
        scorer = Scorer(seen.models[chosen], line, doubt=_doubt(seen, trial, chosen=chosen, others=others))
        return Judgement("ships", n_treated, n_control, findings, scorer)
    return Judgement("average", n_treated, n_control, findings)


def is_thin(trial: Trial) -> bool:
    """Whether an arm holds too few rows or outcomes to tell users apart."""
    arms = (trial.is_treated, ~trial.is_treated)
    return any(arm.sum() < LEAST_ROWS or (trial.outcome[arm] > 0).sum() < LEAST_OUTCOMES for arm in arms)


def out_of_fold(
    trial: Trial, *, learners: tuple[Learner, ...], seed: int, n_folds: int = N_FOLDS, n_repeats: int = N_REPEATS
) -> OutOfFold:
    """Scores (everyone and p_return among them) and honest effects of every row by what has not seen its person."""
    repeats: list[Repeat] = []
    models: dict[str, tuple[Score, ...]] = {}
    for repeat in range(n_repeats):
        fold = deal_folds(trial, n_folds=n_folds, seed=seed + repeat)
        effects = np.empty(trial.n)
        scores = {name: np.zeros(trial.n) for name in (EVERYONE, P_RETURN, *(one.name for one in learners))}
        fitted: dict[str, list[Score]] = {one.name: [] for one in learners}
        for k in range(n_folds):
            learn, asked, mine = trial.take(fold != k), trial.take(fold == k), fold == k
            effects[mine] = pseudo_effects(asked, fitted_nuisances(learn, asked))
            scores[P_RETURN][mine] = fit_p_return(learn)(asked.x)
            for one in learners:
                model = one.fit(learn, seed + repeat)
                scores[one.name][mine] = model(asked.x)
                fitted[one.name].append(model)
        repeats.append(Repeat(effects, scores))
        models = models or {name: tuple(found) for name, found in fitted.items()}
    return OutOfFold(repeats, models)


def best_challenger(gains: Gains, *, default: str, names: list[str]) -> str:
    """The learner that causes most among those that cause more than the default beyond noise; else the default."""
    challengers = sorted(name for name in names if name != default)
    confidence = 1 - (1 - CONFIDENCE) / max(1, len(challengers))
    better = [name for name in challengers if gains.beyond(name, default, confidence=confidence).is_positive]
    return max(better, key=lambda name: (gains.values[name], name), default=default)


def _doubt(seen: OutOfFold, trial: Trial, *, chosen: str, others: list[str]) -> float:
    """The root of the median, over the other learners, of the mean squared difference of calibrated effects."""

    def effects(name: str) -> Floats:
        score = seen.score(name)
        return best_line(score, seen.effects, person=trial.person, fade=trial.fade).effect(score)

    ours = effects(chosen)
    return float(np.sqrt(np.median([np.mean((effects(name) - ours) ** 2) for name in others]))) if others else 0.0


def _found(
    trial: Trial, seen: OutOfFold, gains: Gains, *, chosen: str, confidence: float, seed: int
) -> tuple[Findings, Line]:
    score, effects, person, fade = seen.score(chosen), seen.effects, trial.person, trial.fade
    fold = deal_folds(trial, n_folds=N_FOLDS, seed=seed)
    predicted = out_of_fold_effects(score, effects, fold=fold, person=person, fade=fade)
    line = best_line(score, effects, person=person, fade=fade)
    findings = Findings(
        learner=chosen,
        out_of_fold=seen,
        gains=gains,
        average=mean_effect(effects, person, confidence=CONFIDENCE, fade=fade),
        gain=gains.beyond(chosen, EVERYONE, confidence=confidence),
        gain_over_p_return=gains.beyond(chosen, P_RETURN, confidence=confidence),
        slope=line.slope_figure(confidence=CONFIDENCE),
        policy=_per_thousand(mean_effect(effects * (predicted > 0), person, confidence=CONFIDENCE, fade=fade)),
        best_fixed=PER * max(0.0, float(np.average(effects, weights=fade))),
        dogs=sleeping_dogs(predicted, effects, trial, confidence=CONFIDENCE),
    )
    return findings, line


def _per_thousand(figure: Figure) -> Figure:
    return Figure(PER * figure.value, PER * figure.low, PER * figure.high)
