import numpy as np
import polars as pl
import pytest

from dagster_project.models.activity import ActivityModel, CandidateError, FitSetup, Probabilities
from dagster_project.models.blend import mean_log_odds
from dagster_project.models.candidates import CANDIDATES, Candidate
from dagster_project.models.cutoffs import split_out_of_time
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
    assert evaluation.winner in {"logistic", "boosting", "hazard", "blend"}
    assert evaluation.decided_on == "lapsed"
    lapsed = evaluation.evaluations.filter(population="lapsed")
    losses = dict(lapsed.select("candidate", "log_loss").iter_rows())
    assert losses[evaluation.winner] < min(losses.values()) + 0.001 < losses["recency"] - 0.1
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

    def build(_setup: FitSetup) -> ActivityModel:
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


def test_a_tie_goes_to_the_model_that_brings_a_curve() -> None:
    losses = {"recency": np.full(50, 0.6), "logistic": np.full(50, 0.5), "blend": np.full(50, 0.5004)}
    weights = resample_weights(50, n_resamples=20, seed=1)
    assert choose_winner(losses, weights=weights, curves=("blend",))[0] == "blend"
    assert choose_winner(losses, weights=weights)[0] == "logistic"
    assert choose_winner(losses | {"blend": np.full(50, 0.5006)}, weights=weights, curves=("blend",))[0] == "logistic"


def test_what_luck_alone_puts_ahead_of_the_blend_gives_way_to_it() -> None:
    noise = np.random.default_rng(1).normal(0.0, 0.5, 400)
    losses = {"recency": np.full(400, 0.6), "blend": np.full(400, 0.5), "cox": 0.498 + noise - noise.mean()}
    weights = resample_weights(400, n_resamples=100, seed=1)
    assert choose_winner(losses, weights=weights)[0] == "blend"
    assert choose_winner(losses | {"cox": np.full(400, 0.49)}, weights=weights)[0] == "cox"


def test_the_blend_follows_silence_among_the_lapsed_and_counts_among_the_rest() -> None:
    training = training_frame(400)
    learn, test = split_out_of_time(training, horizon_days=HORIZON_DAYS)
    told = evaluated(training).predictions
    setup = FitSetup(seed=1, horizon_days=HORIZON_DAYS)
    built = next(candidate for candidate in CANDIDATES if candidate.name == "blend").build(setup)
    np.testing.assert_allclose(told["blend"], built.fit(learn).predict(test.sort("user_id")), atol=1e-9)
    fourth = {True: "recency", False: "mbg_nbd"}
    for is_lapsed, name in fourth.items():
        rows = (test.sort("user_id")["is_lapsed"] == is_lapsed).to_numpy()
        members = [told[each][rows] for each in ("logistic", "boosting", "hazard", name)]
        np.testing.assert_allclose(told["blend"][rows], mean_log_odds(members))


def test_a_candidate_that_cannot_be_fitted_is_named_and_left_out() -> None:
    def build(_setup: FitSetup) -> ActivityModel:
        raise CandidateError("nothing to hold on to", fix="nothing")

    evaluation = evaluated(training_frame(300), candidates=(CANDIDATES[0], Candidate("broken", "broken", build)))
    assert dict(evaluation.failures) == {"broken": "nothing to hold on to"}
    assert set(evaluation.evaluations["candidate"]) == {"recency"}


def test_too_few_returns_leave_the_lapsed_to_recency_and_say_so() -> None:
    is_return = pl.col("is_lapsed") & (pl.col("interest") > 1.5)
    training = training_frame(1500, interest_effect=2.0).with_columns(
        is_active=pl.when("is_lapsed").then(is_return).otherwise("is_active")
    )
    evaluation = evaluated(training)
    assert evaluation.decided_on == "lapsed"
    assert evaluation.winner == "recency"
    assert evaluation.winner_others == "blend"
    assert "returns of lapsed users to learn from, a model of them needs 100" in evaluation.reason


def test_a_log_younger_than_a_horizon_is_judged_on_users_held_out() -> None:
    training = training_frame(900).with_columns(tenure_days=pl.lit(HORIZON_DAYS - 1))
    evaluation = evaluated(training)
    assert "judged on held-out users" in evaluation.reason
    assert 0 < evaluation.test["user_id"].n_unique() < 500
    assert evaluation.test["cutoff"].n_unique() == 1


def test_learning_rows_know_nothing_later_than_the_judged_cutoff() -> None:
    followed = training_frame(50).with_columns(
        next_active_in_days=pl.lit(60, dtype=pl.Int32), follow_up_days=pl.lit(70, dtype=pl.Int32)
    )
    learn, _ = split_out_of_time(followed, horizon_days=HORIZON_DAYS)
    assert sorted(set(learn["follow_up_days"])) == [28, 42]
    assert learn["next_active_in_days"].null_count() == learn.height
