"""`python -m benchmarks.cold_start`: what declared priors earn on the MineThatData e-mail test, before and with data.

64,000 buyers of the last year, a third each: mail on women's goods, mail on men's, no mail; the outcome is a visit in
two weeks. Nothing of it went into the priors: base +0.25 (sd 0.25) and content ±0.50 (sd 0.15) log-odds, weights
0.6 / 0.3 / 0.1, were fixed before. A user's content is what they bought of; who bought both kinds fits both mails.

Per mail, twelve random halves: P(visit without mail) is a logistic regression on the first half's unmailed, the past
that a firm has before it mails anybody; experiment rows come from the first half, the figure from the second. AUUC:
mean over budgets of 5, 10, … 100 % of the incremental visits per 1,000 eligible.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl

from benchmarks.bars import Verdict, show_verdicts
from benchmarks.measure import REPOSITORY
from benchmarks.tables import table
from dagster_project.strategy.lift import LiftBelief, Part, declared, uplift
from dagster_project.strategy.lift_learning import likelihood, updated
from dagster_project.strategy.options import best_options

Floats = npt.NDArray[np.float64]

N_HALVES = 12
SIZES = (0, 500, 1_000, 2_000, 5_000, 10_000)
NO_MAIL = "No E-Mail"
MAILS = {"mens": "Mens E-Mail", "womens": "Womens E-Mail"}
RIGHT, WRONG = (0.6, 0.3, 0.1), (0.1, 0.3, 0.6)
BARS = {"womens": 29.5, "mens": 43.2}
BAR_WRONG, ROWS_WRONG, BAR_CHOICE = 27.5, 2_000, 78.0


@dataclass(frozen=True)
class Half:
    """One random half of the users: who is in which, and P(visit without mail) as the first half tells it."""

    first: npt.NDArray[np.int64]
    second: npt.NDArray[np.int64]
    p: Floats


def believed(weights: tuple[float, float, float]) -> LiftBelief:
    """The declared prior, or one whose expert has every direction wrong."""
    return declared(
        [
            Part("strategy", 0.25, 0.25, weights, "fixed before any run"),
            Part("content", 0.50, 0.15, weights, "fixed before any run"),
        ]
    )


def read_log(path: Path) -> pl.DataFrame:
    """The users of the test in the order of the file."""
    return pl.read_csv(path, infer_schema_length=None)


def features(log: pl.DataFrame) -> Floats:
    """What was known before the mail, standardised."""
    plain = [log["recency"], log["history"].log(), log["mens"], log["womens"], log["newbie"]]
    kinds = [log[name] == kind for name in ("zip_code", "channel") for kind in sorted(log[name].unique())[1:]]
    x = np.column_stack([column.cast(pl.Float64).to_numpy() for column in (*plain, *kinds)])
    return np.asarray((x - x.mean(axis=0)) / x.std(axis=0))


def draw_half(log: pl.DataFrame, *, seed: int) -> Half:
    """A random half, and the response model of its unmailed."""
    from sklearn.linear_model import LogisticRegression

    order = np.random.default_rng(seed).permutation(log.height)
    first, second = order[: log.height // 2], order[log.height // 2 :]
    x, y = features(log), log["visit"].to_numpy()
    past = first[(log["segment"] == NO_MAIL).to_numpy()[first]]
    return Half(first, second, LogisticRegression().fit(x[past], y[past]).predict_proba(x)[:, 1])


def content_fits(log: pl.DataFrame, mail: str) -> Floats:
    """The fits of every user with a mail: strategy 1, content 1 or -1."""
    return np.column_stack([np.ones(log.height), 2.0 * log[mail].to_numpy() - 1])


def scores(log: pl.DataFrame, half: Half, *, mail: str, belief: LiftBelief, n_rows: int) -> Floats:
    """Expected uplift of the second half after so many rows of an experiment in the first."""
    fits = content_fits(log, mail)
    if n_rows:
        rows = experiment(log, half, mail=mail).head(n_rows)
        belief = updated(belief, likelihood(rows, parts=belief.parts))
    return uplift(half.p[half.second], fits[half.second], belief=belief, caution=0.5).mean


def experiment(log: pl.DataFrame, half: Half, *, mail: str) -> pl.DataFrame:
    """The rows of one mail and of no mail in the first half, in their random order, as outcomes."""
    fits = content_fits(log, mail)
    rows = log.with_columns(
        pl.Series("p_return", half.p),
        pl.Series("content", fits[:, 1]),
        pl.lit(1.0).alias("strategy"),
        (pl.col("segment") == MAILS[mail]).alias("is_treated"),
        (pl.col("visit") == 1).alias("is_return"),
        pl.lit(0.5).alias("propensity"),
    )[half.first]
    return rows.filter(pl.col("segment").is_in([MAILS[mail], NO_MAIL]))


def auuc(log: pl.DataFrame, half: Half, score: Floats, *, mail: str) -> float:
    """Mean over budgets of incremental visits per 1,000 eligible, of the second half."""
    segment, y = log["segment"].to_numpy()[half.second], log["visit"].to_numpy()[half.second]
    is_in = (segment == MAILS[mail]) | (segment == NO_MAIL)
    order = np.argsort(-score[is_in], kind="stable")
    y, treated = y[is_in][order], (segment[is_in] == MAILS[mail])[order]
    n = len(y)
    reached = [round(n * share / 100) for share in range(5, 101, 5)]
    gains = [(y[:k][treated[:k]].mean() - y[:k][~treated[:k]].mean()) * k / n for k in reached]
    return float(1000 * np.mean(gains))


def learning_curve(log: pl.DataFrame, halves: Sequence[Half], *, mail: str, belief: LiftBelief) -> list[float]:
    """The mean AUUC over the halves, per number of rows."""
    return [
        float(np.mean([auuc(log, h, scores(log, h, mail=mail, belief=belief, n_rows=n), mail=mail) for h in halves]))
        for n in SIZES
    ]


def references(log: pl.DataFrame, halves: Sequence[Half], *, mail: str) -> dict[str, float]:
    """AUUC of plain rankings: at random, by risk, by the chance of a visit."""
    scored: dict[str, list[float]] = {"random": [], "risk first": [], "P0": []}
    for half in halves:
        p = half.p[half.second]
        for name, score in (("random", np.random.default_rng(1).random(len(p))), ("risk first", -p), ("P0", p)):
            scored[name].append(auuc(log, half, score, mail=mail))
    return {name: float(np.mean(values)) for name, values in scored.items()}


def chosen_mails(log: pl.DataFrame, p: Floats) -> pl.Series:
    """The mail of highest expected uplift per user, ties as the night breaks them: by the strategy's id."""
    belief = believed(RIGHT)
    options = [
        pl.DataFrame(
            {
                "user_sk": np.arange(log.height),
                "strategy_id": mail,
                "channel": "email",
                "expected_profit": uplift(p, content_fits(log, mail), belief=belief, caution=0.5).mean,
            }
        )
        for mail in MAILS
    ]
    return best_options(pl.concat(options)).sort("user_sk")["strategy_id"].replace_strict(MAILS)


def incremental_visits(log: pl.DataFrame, chosen: pl.Series) -> float:
    """Visits per 1,000 by the choice less those without mail, each by inverse propensity (a third each)."""
    visits, segment = log["visit"], log["segment"]
    by_choice = float((visits * (segment == chosen)).sum()) * 3
    unmailed = float((visits * (segment == NO_MAIL)).sum()) * 3
    return 1000 * (by_choice - unmailed) / log.height


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the curves and the bars; 1 if one is missed."""
    flags = argparse.ArgumentParser(prog="python -m benchmarks.cold_start", description=__doc__)
    default = os.environ.get("WINBACK_REAL_DATA", REPOSITORY.parent / "shared" / "data")
    flags.add_argument("--real-data", type=Path, default=Path(default))
    path = flags.parse_args(arguments).real_data / "hillstrom" / "hillstrom.csv"
    if not path.exists():
        print(f"NOT MEASURED: {path} is not there; set WINBACK_REAL_DATA", file=sys.stderr)
        return 1
    log = read_log(path)
    halves = [draw_half(log, seed=seed) for seed in range(N_HALVES)]
    curves = {
        (mail, name): learning_curve(log, halves, mail=mail, belief=believed(weights))
        for mail in MAILS
        for name, weights in (("right", RIGHT), ("wrong", WRONG))
    }
    rows = [(mail, name, *(f"{value:.1f}" for value in curve)) for (mail, name), curve in curves.items()]
    print(table(("AUUC of", "expert", *(f"{n:,} rows" for n in SIZES)), rows), end="\n\n")
    plain = {mail: references(log, halves, mail=mail) for mail in MAILS}
    choice = incremental_visits(log, chosen_mails(log, halves[0].p))
    return 0 if show_verdicts(verdicts(curves, plain, choice)) else 1


def verdicts(
    curves: dict[tuple[str, str], list[float]], plain: dict[str, dict[str, float]], choice: float
) -> list[Verdict]:
    """The four bars."""

    def verdict(subject: str, figure: float, low: float, mail: str) -> Verdict:
        best, level = max(plain[mail].items(), key=lambda one: one[1])
        return Verdict(subject, figure, low, reference=f"{best} {level:.1f}", is_met=figure >= low)

    found = [verdict(f"{mail} mail, priors alone", curves[mail, "right"][0], BARS[mail], mail) for mail in BARS]
    late = curves["womens", "wrong"][SIZES.index(ROWS_WRONG)]
    found.append(verdict(f"womens mail, expert wrong, {ROWS_WRONG:,} rows", late, BAR_WRONG, "womens"))
    return [*found, Verdict("which mail, visits per 1,000", choice, BAR_CHOICE, is_met=choice >= BAR_CHOICE)]


if __name__ == "__main__":
    sys.exit(main())
