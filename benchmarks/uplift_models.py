"""`python -m benchmarks.uplift_models`: whom an e-mail moves, on the MineThatData test, each bar met or not.

64,000 buyers, a third each: mail on women's goods, mail on men's, none; visits, purchases and money in two weeks. Two
deals of five folds, everything out of fold. With `--references`, causalml, econml and scikit-uplift are fitted to the
same rows of the first deal, one thread for all, in an environment of their own (`.venv-references`, made by pip).
"""

import argparse
import os
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from benchmarks.bars import Verdict, level_verdict, show_verdicts
from benchmarks.cold_start import MAILS, NO_MAIL, features, read_log
from benchmarks.measure import REPOSITORY
from benchmarks.tables import table
from benchmarks.uplift_references import MODELS, References, measured_references
from dagster_project.models.threads import on_one_thread
from dagster_project.models.uplift.judging import P_RETURN, Judgement, judge
from dagster_project.models.uplift.learners import DR, LEARNERS
from dagster_project.models.uplift.metrics import N_RESAMPLES, auuc, incremental, qini
from dagster_project.models.uplift.policies import ArmedTrial, arm_outcomes, one_against_control, policy_value
from dagster_project.models.uplift.trials import Floats, Trial, deal_folds, resampled_rows, trial_of_people
from dagster_project.models.uplift.wording import outcome_to_learn, verdict_sentence

SEED = 0
N_FOLDS = 5
OUTCOMES = ("visit", "conversion", "spend")
ANY = "any"
LEAST_QINI, LEAST_AUUC, LEAST_RATIO = 0.058, 30.5, 1.5
LEAST_QINI_ANY, LEAST_AUUC_MENS = 0.032, 42.5
BUDGET = np.array([0.3])


@dataclass(frozen=True)
class Ranking:
    """Figures of one score, the mean over the deals."""

    qini: float
    auuc: float
    at_budget: float


def mail_trial(log: pl.DataFrame, mail: str, outcome: str = "visit") -> Trial:
    """A mail (or any) against none."""
    segment = log["segment"].to_numpy()
    is_treated = segment != NO_MAIL if mail == ANY else segment == MAILS[mail]
    is_in = is_treated | (segment == NO_MAIL)
    x = features(log).astype(np.float32)
    share = 2 / 3 if mail == ANY else 1 / 2
    return trial_of_people(x[is_in], is_treated[is_in], log[outcome].to_numpy()[is_in], share)


def rankings(trial: Trial, scores: Mapping[str, Sequence[Floats]]) -> dict[str, Ranking]:
    """The figures of every score; each has one entry per deal."""

    def of(deals: Sequence[Floats]) -> Ranking:
        rows = [(qini(trial, s) or 0.0, auuc(trial, s), float(incremental(trial, s, shares=BUDGET)[0])) for s in deals]
        return Ranking(*(float(mean) for mean in np.mean(rows, axis=0)))

    return {name: of(deals) for name, deals in scores.items()}


def judged_scores(judged: Judgement) -> dict[str, list[Floats]]:
    """Every learner's scores by deal, with the plain orders."""
    assert judged.findings is not None
    deals = judged.findings.out_of_fold.repeats
    scores = {name: [deal.scores[name] for deal in deals] for name in deals[0].scores}
    return {**scores, "risk first": [-p for p in scores[P_RETURN]]}


def measured(log: pl.DataFrame, mail: str) -> tuple[Trial, Judgement, dict[str, Ranking]]:
    """One mail judged on visits, its figures printed."""
    trial = mail_trial(log, mail)
    started = time.perf_counter()
    judged = judge(trial, seed=SEED, n_judged=len(MAILS), learners=LEARNERS)
    found = rankings(trial, judged_scores(judged))
    print(f"## {mail} mail, visits, {time.perf_counter() - started:.0f} s\n")
    rows = [(name, f"{r.qini:.4f}", f"{r.auuc:.1f}", f"{r.at_budget:.1f}") for name, r in found.items()]
    print(table(("score", "Qini", "AUUC", "at 30 %"), rows), end="\n\n")
    print(f"{judged.decision}: {verdict_sentence(judged)}\n", flush=True)
    return trial, judged, found


def visit_bars(results: Mapping[str, tuple[Trial, Judgement, dict[str, Ranking]]]) -> Iterator[Verdict]:
    """The bars on visits."""
    trial, womens, found = results["womens"]
    assert womens.findings is not None
    ours, risk = found[womens.findings.learner], found["risk first"]
    yield level_verdict("womens mail: Qini", ours.qini, low=LEAST_QINI)
    yield level_verdict("womens mail: AUUC", ours.auuc, low=LEAST_AUUC)
    yield level_verdict("womens mail: gain over everyone, low end", womens.findings.gain.low, low=0.0)
    yield level_verdict("womens mail: ships (1 = yes)", float(womens.decision == "ships"), low=1)
    yield level_verdict("womens mail: at 30 % over risk first", ours.at_budget / risk.at_budget, low=LEAST_RATIO)
    print_ratio(trial, judged_scores(womens)[womens.findings.learner], judged_scores(womens)["risk first"])
    _, any_mail, of_any = results[ANY]
    assert any_mail.findings is not None
    yield level_verdict("any mail: Qini", of_any[any_mail.findings.learner].qini, low=LEAST_QINI_ANY)
    _, mens, of_mens = results["mens"]
    is_refused = "heterogeneity not established" in verdict_sentence(mens)
    yield level_verdict("mens mail: heterogeneity not established (1 = yes)", float(is_refused), low=1)
    yield level_verdict(
        "mens mail: AUUC of p_return × value, all values alike", of_mens[P_RETURN].auuc, low=LEAST_AUUC_MENS
    )


def print_ratio(trial: Trial, ours: Sequence[Floats], risk: Sequence[Floats]) -> None:
    """Within which bounds nine tenths of the bootstrap samples have the ratio at 30 %."""

    def at_budget(sample: Trial, rows: np.ndarray, deals: Sequence[Floats]) -> float:
        return float(np.mean([incremental(sample, one[rows], shares=BUDGET)[0] for one in deals]))

    ratios = [at_budget(sample, rows, ours) / at_budget(sample, rows, risk) for sample, rows in resampled(trial)]
    low, high = np.quantile(ratios, [0.05, 0.95])
    print(f"at 30 % over risk first: nine tenths of the bootstrap samples between {low:.2f} and {high:.2f}\n")


def rare_bars(log: pl.DataFrame, visits: Sequence[Floats]) -> Iterator[Verdict]:
    """Purchases and money of the women's mail: ranked by uplift learnt on visits × value, beside learning on them."""
    trials = {name: mail_trial(log, "womens", name) for name in OUTCOMES}
    trial = trials["visit"]
    rows = []
    for name in OUTCOMES[1:]:
        upstream = {one: trials[one].outcome for one in ("visit", name)}
        best, said = outcome_to_learn(trial, upstream)
        print(f"{name}: {said}")
        worth = value_per_visit(trials["visit"], trials[name])
        direct = direct_scores(trials[name])
        for label, deals in (("visits × value", [s * worth for s in visits]), ("directly", direct)):
            rows.append((name, label, f"{np.mean([auuc(trials[name], one) for one in deals]):.2f}"))
        yield level_verdict(f"{name}: learns on visits (1 = yes)", float(best == "visit"), low=1)
    print(table(("outcome", "learnt on", "AUUC"), rows), end="\n\n")


def value_per_visit(visits: Trial, amounts: Trial) -> Floats:
    """What a visit is worth, by a shrunken line through visitors, out of fold; never below a tenth of the mean."""
    from sklearn.linear_model import RidgeCV

    fold = deal_folds(visits, n_folds=N_FOLDS, seed=SEED)
    found = np.empty(visits.n)
    for k in range(N_FOLDS):
        seen = (fold != k) & (visits.outcome > 0)
        model = RidgeCV(alphas=np.logspace(1, 5, 9)).fit(visits.x[seen], amounts.outcome[seen])
        mean = float(amounts.outcome[seen].mean())
        found[fold == k] = np.maximum(model.predict(visits.x[fold == k]), 0.1 * mean)
    return found


@on_one_thread()
def direct_scores(trial: Trial) -> list[Floats]:
    """The default learner on the outcome itself, by deal."""
    deals = []
    for deal in range(2):
        fold = deal_folds(trial, n_folds=N_FOLDS, seed=SEED + deal)
        score = np.empty(trial.n)
        for k in range(N_FOLDS):
            score[fold == k] = DR.fit(trial.take(fold != k), SEED + deal)(trial.x[fold == k])
        deals.append(score)
    return deals


@on_one_thread()
def print_choice_of_mail(log: pl.DataFrame) -> None:
    """Which mail for whom, beside the best mail for all."""
    arms = (NO_MAIL, MAILS["mens"], MAILS["womens"])
    arm = log["segment"].replace_strict({name: i for i, name in enumerate(arms)}, return_dtype=pl.Int64).to_numpy()
    x = features(log).astype(np.float32)
    trial = ArmedTrial(x, arm, log["visit"].to_numpy().astype(float), np.full((log.height, 3), 1 / 3), np.zeros(3))
    choice = one_against_control(trial, seed=SEED)[:, 1:].argmax(axis=1) + 1
    found = policy_value(arm_outcomes(trial, seed=SEED), choice, confidence=0.95)
    rows = [("learnt per user", found.chosen), *zip(arms[1:], found.fixed[1:], strict=True)]
    rows.append((f"learnt less {arms[found.best_fixed]}", found.beyond_best))
    shown = [(name, *(f"{1000 * one:.1f}" for one in (f.value, f.low, f.high))) for name, f in rows]
    print(table(("which mail, visits per 1,000", "value", "low", "high"), shown), end="\n\n")


def reference_bars(name: str, trial: Trial, judged: Judgement, found: References) -> Iterator[Verdict]:
    """Ours against the best of theirs on the first deal: Qini within one bootstrap standard error, and faster."""
    assert judged.findings is not None
    learner = next(one for one in LEARNERS if one.name == judged.findings.learner)
    fold = deal_folds(trial, n_folds=N_FOLDS, seed=SEED)
    score, seconds = np.empty(trial.n), 0.0
    with on_one_thread():
        for k in range(N_FOLDS):
            learn, asked = trial.take(fold != k), trial.take(fold == k)
            started = time.perf_counter()
            score[fold == k] = learner.fit(learn, SEED)(asked.x)
            seconds += (time.perf_counter() - started) / N_FOLDS
    ours = qini(trial, score) or 0.0
    theirs = {one: qini(trial, scores) or 0.0 for one, scores in found.scores.items()}
    rows = [(f"ours: {learner.name}", f"{ours:.4f}", f"{seconds:.2f}")]
    rows += [(one, f"{theirs[one]:.4f}", f"{found.seconds[one]:.2f}") for one in theirs]
    print(table((f"{name} mail, five folds", "Qini", "s/fold"), rows), end="\n\n")
    if missing := sorted(set(MODELS) - set(theirs)):
        print(f"NOT MEASURED: {', '.join(missing)}\n")
        yield Verdict(f"{name}: references measured", len(theirs), float(len(MODELS)), is_met=False)
    best = max(theirs, key=lambda one: (theirs[one], one))
    drawn = [
        (qini(sample, score[rows]) or 0.0) - (qini(sample, found.scores[best][rows]) or 0.0)
        for sample, rows in resampled(trial)
    ]
    error = float(np.std(drawn, ddof=1))
    reference = f"{best} {theirs[best]:.4f}"
    yield Verdict(
        f"{name}: Qini beside the references",
        ours,
        theirs[best] - error,
        reference=reference,
        is_met=ours >= theirs[best] - error,
    )
    yield Verdict(
        f"{name}: seconds a fold beside the best",
        seconds,
        high=found.seconds[best],
        reference=f"{best} {found.seconds[best]:.2f}",
        is_met=seconds < found.seconds[best],
    )


def resampled(trial: Trial) -> Iterator[tuple[Trial, np.ndarray]]:
    """Bootstrap samples, and their rows."""
    for weights in resampled_rows(trial, n_resamples=N_RESAMPLES // 2, seed=SEED):
        rows = np.repeat(np.arange(trial.n), weights.astype(np.int64))
        yield trial.take(rows), rows


def main(arguments: Sequence[str] | None = None) -> int:
    """Print figures and bars. The exit code is 1 if a bar is missed, 2 if the data are not there."""
    flags = argparse.ArgumentParser(prog="python -m benchmarks.uplift_models", description=__doc__)
    default = os.environ.get("WINBACK_REAL_DATA", REPOSITORY.parent / "shared" / "data")
    flags.add_argument("--real-data", type=Path, default=Path(default))
    flags.add_argument(
        "--references", action="store_true", help="fit the other libraries, too (some 10 minutes a mail)"
    )
    flags.add_argument("--mails", nargs="*", default=["womens", ANY], help="that the references are fitted to")
    asked = flags.parse_args(arguments)
    path = asked.real_data / "hillstrom" / "hillstrom.csv"
    if not path.exists():
        print(f"NOT MEASURED: {path} is not there; set WINBACK_REAL_DATA", file=sys.stderr)
        return 2
    log = read_log(path)
    results = {mail: measured(log, mail) for mail in (*MAILS, ANY)}
    verdicts = list(visit_bars(results))
    womens = judged_scores(results["womens"][1])[DR.name]
    verdicts += rare_bars(log, womens)
    print_choice_of_mail(log)
    for mail in asked.mails if asked.references else ():
        trial, judged, _ = results[mail]
        found = measured_references(trial, deal_folds(trial, n_folds=N_FOLDS, seed=SEED), seed=SEED)
        verdicts += reference_bars(mail, trial, judged, found)
    return 0 if show_verdicts(verdicts) else 1


if __name__ == "__main__":
    sys.exit(main())
