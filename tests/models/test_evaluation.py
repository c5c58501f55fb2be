import numpy as np
import polars as pl
import pytest

from dagster_project.models.activity import CANDIDATES, ActivityModel, Candidate, Probabilities
from dagster_project.models.evaluation import Evaluation, choose_winner, evaluate_candidates
from dagster_project.models.metrics import resample_weights

from .simulated import HORIZON_DAYS, training_frame


def evaluated(training: pl.DataFrame, *, candidates: tuple[Candidate, ...] = CANDIDATES) -> Evaluation:
    return evaluate_candidates(
        training, candidates=candidates, horizon_days=HORIZON_DAYS, seed=1, max_rows=10_000, n_resamples=50
    )


def test_recency_ships_when_only_recency_matters() -> None:
    evaluation = evaluated(training_frame(1500))
    assert evaluation.winner == "recency"
    assert evaluation.reason == "no challenger beat recency in 95 % of the resamples"


def test_a_challenger_ships_when_another_feature_matters_much() -> None:
    evaluation = evaluated(training_frame(1500, interest_effect=2.0))
    assert evaluation.winner in {"logistic", "boosting"}
    assert evaluation.decided_on == "lapsed"
    lapsed = evaluation.evaluations.filter(population="lapsed")
    losses = dict(lapsed.select("candidate", "log_loss").iter_rows())
    assert losses[evaluation.winner] == min(losses.values())
    assert lapsed.filter("is_winner")["candidate"].to_list() == [evaluation.winner]


def test_every_candidate_is_measured_on_every_population_and_buckets_add_up() -> None:
    rows = evaluated(training_frame(600)).evaluations
    assert rows.height == len(CANDIDATES) * 6
    recency = dict(rows.filter(candidate="recency").select("population", "n").iter_rows())
    assert recency["all"] == 600
    assert sum(n for name, n in recency.items() if name.startswith("silent_")) == 600


def test_the_intervals_hold_their_figure() -> None:
    rows = evaluated(training_frame(600)).evaluations
    for figure in ("auc", "log_loss"):
        inside = rows.select(pl.col(figure).is_between(f"{figure}_low", f"{figure}_high"))
        assert inside.to_series().all()


def test_an_empty_population_keeps_its_row_with_nulls() -> None:
    training = training_frame(600).filter(pl.col("silence_days") < 56)
    row = evaluated(training).evaluations.filter(candidate="recency", population="silent_over_4_horizons").to_dicts()[0]
    assert row["n"] == 0
    assert {row[f] for f in ("auc", "log_loss", "brier", "ece", "base_rate")} == {None}


def test_few_lapsed_users_leave_the_decision_to_everyone() -> None:
    training = training_frame(600).with_columns(is_lapsed=pl.col("silence_days") > 300)
    assert evaluated(training).decided_on == "all"


def test_reliability_of_a_calibrated_model_lies_near_the_diagonal() -> None:
    curve = evaluated(training_frame(3000)).reliability.filter(candidate="recency", population="all")
    assert curve["n"].sum() == 3000
    assert curve["bin"].is_sorted()
    assert curve.select((pl.col("observed") - pl.col("mean_predicted")).abs().max()).item() < 0.1


def test_no_model_sees_the_window_it_is_judged_on() -> None:
    seen: list[pl.DataFrame] = []

    class Spy:
        def fit(self, training: pl.DataFrame) -> "Spy":
            seen.append(training)
            return self

        def predict(self, features: pl.DataFrame) -> Probabilities:
            return np.full(features.height, 0.5)

    def build(_seed: int) -> ActivityModel:
        return Spy()

    training = training_frame(100)
    evaluated(training, candidates=(Candidate("recency", "a spy", build),))
    newest = training["cutoff"].max()
    assert seen[0].select((pl.lit(newest) - pl.col("cutoff").max()).dt.total_days()).item() >= HORIZON_DAYS


@pytest.mark.parametrize(("saving", "winner"), [(0.1, "challenger"), (-0.1, "recency")])
def test_the_lower_loss_wins_when_it_is_lower_for_everybody(saving: float, winner: str) -> None:
    losses = {"recency": np.full(50, 0.6), "challenger": np.full(50, 0.6 - saving)}
    weights = resample_weights(50, n_resamples=20, seed=1)
    assert choose_winner(losses, weights=weights)[0] == winner


def test_a_gain_within_the_noise_does_not_ship() -> None:
    noise = np.random.default_rng(1).normal(0.002, 0.5, 400)
    losses = {"recency": np.full(400, 0.6), "challenger": 0.6 - noise}
    weights = resample_weights(400, n_resamples=100, seed=1)
    assert choose_winner(losses, weights=weights)[0] == "recency"
