"""Out-of-time judgement of the candidates, and the rule by which one of them ships.

Judged on the newest closed window, learned from cutoffs whose windows had closed when it opened.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import asdict, dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from dagster_project.models import metrics
from dagster_project.models.activity import BASELINE, CandidateError, FitSetup, Probabilities, outcomes
from dagster_project.models.blend import mean_log_odds
from dagster_project.models.candidates import BACKBONE, Candidate
from dagster_project.models.cutoffs import split_out_of_time
from dagster_project.models.features import sample_rows, stable_hash

MAX_TEST_ROWS = 50_000  # 100 resamples of this many rows cost about a second for all candidates together
SURE_SHARE = 0.95
FEWEST_TO_DECIDE = 200
FEWEST_RETURNS = 100  # Twilio and Klaviyo publish the like; below it a ranking of the lapsed is noise
TIE = 0.0005  # of log-loss: less than a hundredth of what recency alone explains; a return curve is worth more
SHIPPED = "shipped"
SILENCE_BUCKETS: tuple[tuple[str, float, float], ...] = (
    ("silent_0_to_1_horizons", 0, 1),
    ("silent_1_to_2_horizons", 1, 2),
    ("silent_2_to_4_horizons", 2, 4),
    ("silent_over_4_horizons", 4, float("inf")),
)

EVALUATION_SCHEMA = pl.Schema(
    {
        "candidate": pl.String,
        "population": pl.String,
        "is_winner": pl.Boolean,
        "n": pl.Int64,
        "base_rate": pl.Float64,
        "auc": pl.Float64,
        "auc_low": pl.Float64,
        "auc_high": pl.Float64,
        "average_precision": pl.Float64,
        "log_loss": pl.Float64,
        "log_loss_low": pl.Float64,
        "log_loss_high": pl.Float64,
        "brier": pl.Float64,
        "ece": pl.Float64,
        "top_decile_lift": pl.Float64,
        "observed_over_expected": pl.Float64,
    }
)
RELIABILITY_SCHEMA = pl.Schema(
    {
        "candidate": pl.String,
        "population": pl.String,
        "bin": pl.Int64,
        "mean_predicted": pl.Float64,
        "observed": pl.Float64,
        "n": pl.Int64,
    }
)


@dataclass(frozen=True)
class Evaluation:
    """What the newest closed window says of each candidate.

    `winner` is the candidate for the lapsed, `winner_others` for the rest; `failures`: why a candidate is missing.
    `evaluations`: one row per candidate × population (figures null where they cannot be measured).
    `reliability`: one row per candidate × population (all, lapsed) × bin that holds rows.
    `test`: the judged rows, sorted by user_id; `predictions`: per candidate, in the same order.
    """

    winner: str
    winner_others: str
    decided_on: str
    reason: str
    failures: Mapping[str, str]
    evaluations: pl.DataFrame
    reliability: pl.DataFrame
    test: pl.DataFrame
    predictions: Mapping[str, Probabilities]


@dataclass(frozen=True)
class _Judged:
    """One population of the test rows: who is in it, and the resamples that all candidates share."""

    name: str
    mask: npt.NDArray[np.bool_]
    weights: npt.NDArray[np.uint16]


def evaluate_candidates(
    training: pl.DataFrame,
    *,
    candidates: tuple[Candidate, ...],
    horizon_days: int,
    seed: int,
    max_rows: int,
    n_resamples: int,
) -> Evaluation:
    """Fit every candidate on the past, judge it on the newest cutoff, choose the winner.

    Estimand: the figures that next-window activity would have given, had the candidate been used at
    that cutoff. Not the effect of contacting anybody. Figures are those of the model as fitted,
    before the recalibration that `calibration` adds when it ships. `training` needs both sides of
    `split_out_of_time` and an `is_lapsed` column; one row per user and cutoff.
    """
    learn, test, was_young = _rows_to_judge_with(training, horizon_days=horizon_days, seed=seed)
    n_returns = int((learn["is_lapsed"].fill_null(False) & learn["is_active"]).sum())
    learn = sample_rows(learn, max_rows=max_rows, seed=seed)
    test = sample_rows(test, max_rows=MAX_TEST_ROWS, seed=seed)
    setup = FitSetup(seed=seed, horizon_days=horizon_days)
    predictions, failures = _predictions(learn, test, candidates=candidates, setup=setup)
    outcome = outcomes(test)
    populations = [
        _Judged(name, mask, metrics.resample_weights(int(mask.sum()), n_resamples=n_resamples, seed=seed))
        for name, mask in _populations(test, horizon_days=horizon_days)
    ]
    losses = {name: metrics.log_losses(outcome, probability) for name, probability in predictions.items()}
    curves = frozenset(c.name for c in candidates if c.brings_curve)
    lapsed = test["is_lapsed"].fill_null(False).to_numpy()
    decisive = _decisive_population(outcome, populations)
    winner, reason = _winner_on(losses, decisive, curves=curves)
    if decisive.name == "lapsed" and n_returns < FEWEST_RETURNS:
        winner = BASELINE
        reason = f"only {n_returns} returns of lapsed users to learn from, a model of them needs {FEWEST_RETURNS}"
    winner_others = winner
    if decisive.name == "lapsed":
        winner_others = _winner_of_others({name: loss[~lapsed] for name, loss in losses.items()}, otherwise=winner)
    if was_young:
        reason += "; judged on held-out users, as the log was younger than one horizon at the last honest cutoff"
    return Evaluation(
        winner=winner,
        winner_others=winner_others,
        decided_on=decisive.name,
        reason=reason,
        failures=failures,
        evaluations=_evaluation_rows(outcome, predictions, populations, winner=winner),
        reliability=_reliability_rows(outcome, predictions, populations[:2]),
        test=test,
        predictions=predictions,
    )


def _rows_to_judge_with(
    training: pl.DataFrame, *, horizon_days: int, seed: int
) -> tuple[pl.DataFrame, pl.DataFrame, bool]:
    """(learn, test, whether the log was too young to judge out of time).

    Where no honest cutoff had a horizon of log before it, models learnt there show the log's youth, not their worth.
    Then a third of the users is held out at every cutoff and judged on the newest by models of the others.
    """
    learn, test = split_out_of_time(training, horizon_days=horizon_days)
    if not learn.is_empty() and int(learn["tenure_days"].max() or 0) >= horizon_days:  # type: ignore[arg-type]
        return learn, test, False
    held_out = pl.Series(stable_hash(training["user_id"], seed=seed) % 3 == 0)
    newest = test["cutoff"].max()
    return training.filter(~held_out), training.filter(held_out & (training["cutoff"] == newest)), True


def _winner_of_others(losses: Mapping[str, npt.NDArray[np.float64]], *, otherwise: str) -> str:
    """The blend, which METHODS found best on twelve cuts of four logs, unless recency alone does better here."""
    if BACKBONE not in losses or not len(losses[BACKBONE]):
        return otherwise
    return BACKBONE if losses[BACKBONE].mean() < losses[BASELINE].mean() else BASELINE


def judge_shipped(
    test: pl.DataFrame, probability: Probabilities, *, horizon_days: int, n_resamples: int, seed: int
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """(evaluations, reliability) of the candidate "shipped" on the judged rows."""
    outcome = outcomes(test)
    populations = [
        _Judged(name, mask, metrics.resample_weights(int(mask.sum()), n_resamples=n_resamples, seed=seed))
        for name, mask in _populations(test, horizon_days=horizon_days)
    ]
    return (
        _evaluation_rows(outcome, {SHIPPED: probability}, populations, winner=""),
        _reliability_rows(outcome, {SHIPPED: probability}, populations[:2]),
    )


def choose_winner(
    losses: Mapping[str, npt.NDArray[np.float64]],
    *,
    weights: npt.NDArray[np.uint16],
    curves: Collection[str] = (),
) -> tuple[str, str]:
    """(winner, why). `losses`: log-loss of each judged row under each candidate, the same rows for all.

    A challenger stands when its mean log-loss is below recency's in at least 95 % of the paired
    resamples. If none stands, recency ships: a model that cannot be told from the simple curve has not
    earned its complexity. Where the blend stands, only those stand beside it that are below it, too, in
    95 %: the luckiest of many on one window is rarely the best on the next (on 21 cuts of three logs, it cost
    .0005 of log-loss and .005 of AUC). Of those left, the lowest mean log-loss ships, or the best of `curves`
    (those that bring a return curve) if it is within .0005.
    """
    baseline = losses[BASELINE]
    standing = {
        name: float(loss.mean())
        for name, loss in losses.items()
        if name != BASELINE and _beats(loss, baseline, weights=weights)
    }
    if not standing:
        return BASELINE, "no challenger beat recency in 95 % of the resamples"
    all_lowest = min(standing.values())
    if BACKBONE in standing:
        blended = losses[BACKBONE]
        kept = {name for name in standing if name == BACKBONE or _beats(losses[name], blended, weights=weights)}
        standing = {name: mean for name, mean in standing.items() if name in kept}
    lowest = min(standing.values())
    tied = [name for name in standing if standing[name] <= lowest + (TIE if name in curves else 0)]
    winner = min(tied, key=lambda name: (name not in curves, standing[name], name))
    saved = float(baseline.mean()) - standing[winner]
    lead = "lowest log-loss" if standing[winner] == all_lowest else "log-loss tied with the lowest"
    return winner, f"{lead}, {saved:.4f} below recency, ahead in at least 95 % of the resamples"


def _winner_on(
    losses: Mapping[str, npt.NDArray[np.float64]], judged: _Judged, *, curves: Collection[str]
) -> tuple[str, str]:
    return choose_winner(
        {name: loss[judged.mask] for name, loss in losses.items()}, weights=judged.weights, curves=curves
    )


def _predictions(
    learn: pl.DataFrame, test: pl.DataFrame, *, candidates: tuple[Candidate, ...], setup: FitSetup
) -> tuple[dict[str, Probabilities], dict[str, str]]:
    predictions: dict[str, Probabilities] = {}
    failures: dict[str, str] = {}
    for candidate in candidates:
        try:
            if candidate.members and predictions.keys() >= set(candidate.members):
                predictions[candidate.name] = _blended(candidate, predictions, rows=test)
            else:
                predictions[candidate.name] = candidate.build(setup).fit(learn).predict(test)
        except CandidateError as error:
            failures[candidate.name] = error.problem
    return predictions, failures


def _blended(candidate: Candidate, predictions: Mapping[str, Probabilities], *, rows: pl.DataFrame) -> Probabilities:
    """What the candidate would say, from what its members said."""
    probability = mean_log_odds([predictions[name] for name in candidate.members])
    if candidate.members_of_others and predictions.keys() >= set(candidate.members_of_others):
        others = ~rows["is_lapsed"].fill_null(False).to_numpy()
        probability[others] = mean_log_odds([predictions[name][others] for name in candidate.members_of_others])
    return probability


def _beats(
    loss: npt.NDArray[np.float64], baseline: npt.NDArray[np.float64], *, weights: npt.NDArray[np.uint16]
) -> bool:
    saved = metrics.resampled_means(baseline - loss, weights=weights)
    return bool(len(saved)) and float((saved > 0).mean()) >= SURE_SHARE


def _populations(test: pl.DataFrame, *, horizon_days: int) -> Iterator[tuple[str, npt.NDArray[np.bool_]]]:
    """All, the lapsed, then the lapse buckets: silence in [low, high) horizons."""
    yield "all", np.ones(test.height, dtype=np.bool_)
    yield "lapsed", test["is_lapsed"].fill_null(False).to_numpy()
    silence = test["silence_days"].cast(pl.Float64).to_numpy() / horizon_days
    for name, low, high in SILENCE_BUCKETS:
        yield name, (silence >= low) & (silence < high)


def _decisive_population(outcome: npt.NDArray[np.float64], populations: list[_Judged]) -> _Judged:
    everyone, lapsed = populations[:2]
    return lapsed if _can_decide(outcome[lapsed.mask]) else everyone


def _can_decide(outcome: npt.NDArray[np.float64]) -> bool:
    return len(outcome) >= FEWEST_TO_DECIDE and 0 < outcome.sum() < len(outcome)


def _evaluation_rows(
    outcome: npt.NDArray[np.float64],
    predictions: Mapping[str, Probabilities],
    populations: list[_Judged],
    *,
    winner: str,
) -> pl.DataFrame:
    rows = [
        {"candidate": name, "population": judged.name, "is_winner": name == winner}
        | measure(outcome[judged.mask], probability[judged.mask], weights=judged.weights)
        for name, probability in predictions.items()
        for judged in populations
    ]
    return pl.DataFrame(rows, schema=EVALUATION_SCHEMA)


def measure(
    outcome: npt.NDArray[np.float64],
    probability: Probabilities,
    *,
    weights: npt.NDArray[np.uint16],
) -> dict[str, float | int | None]:
    """Every figure of EVALUATION_SCHEMA for one candidate and population; all null without rows."""
    if not len(outcome):
        return {"n": 0}
    losses = metrics.log_losses(outcome, probability)
    auc_ends = asdict(metrics.auc_interval(outcome, probability, weights=weights))
    loss_ends = asdict(metrics.mean_interval(losses, weights=weights))
    return {
        "n": len(outcome),
        "base_rate": float(outcome.mean()),
        "auc": metrics.auc(outcome, probability),
        "auc_low": auc_ends["low"],
        "auc_high": auc_ends["high"],
        "average_precision": metrics.average_precision(outcome, probability),
        "log_loss": float(losses.mean()),
        "log_loss_low": loss_ends["low"],
        "log_loss_high": loss_ends["high"],
        "brier": float(((outcome - probability) ** 2).mean()),
        "ece": metrics.calibration_error(outcome, probability),
        "top_decile_lift": metrics.top_decile_lift(outcome, probability),
        "observed_over_expected": float(outcome.sum() / probability.sum()),
    }


def _reliability_rows(
    outcome: npt.NDArray[np.float64], predictions: Mapping[str, Probabilities], populations: list[_Judged]
) -> pl.DataFrame:
    curves = [
        _reliability_curve(outcome[judged.mask], probability[judged.mask]).select(
            pl.lit(name).alias("candidate"), pl.lit(judged.name).alias("population"), pl.all()
        )
        for name, probability in predictions.items()
        for judged in populations
    ]
    return pl.concat([RELIABILITY_SCHEMA.to_frame(), *curves])


def _reliability_curve(outcome: npt.NDArray[np.float64], probability: Probabilities) -> pl.DataFrame:
    bins = metrics.equal_count_bins(probability)
    return (
        pl.DataFrame({"bin": bins + 1, "probability": probability, "outcome": outcome})
        .group_by("bin")
        .agg(
            mean_predicted=pl.col("probability").mean(),
            observed=pl.col("outcome").mean(),
            n=pl.len().cast(pl.Int64),
        )
        .sort("bin")
    )
