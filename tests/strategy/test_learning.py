from collections.abc import Mapping
from datetime import date, timedelta

import numpy as np
import polars as pl
import pytest
from outcomes.builders import entries

from dagster_project.errors import WinbackError
from dagster_project.outcomes.learning import learning_rows
from dagster_project.strategy.catalogue import Catalogue
from dagster_project.strategy.learning import NO_OUTCOMES, OUTCOMES, beliefs_from, with_base_rates
from dagster_project.strategy.lift import LiftBelief
from dagster_project.strategy.priors import Beliefs, load_priors

AS_OF = date(2026, 6, 1)
OWN = np.array([1.0, 0.0, 0.0])


def _outcomes(
    n: int,
    *,
    lift: float,
    strategy_id: str | None = "whats_new",
    content: float = 0.0,
    by_stage: Mapping[str, float] | None = None,
    drift: float = 0.0,
    assigned_on: date | None = AS_OF - timedelta(days=30),
    seed: int = 1,
) -> pl.DataFrame:
    """A fair experiment in a world where the lift is `lift`, more or less where content fits and by stage."""
    rng = np.random.default_rng(seed)
    p, treated = rng.beta(2, 6, n), rng.random(n) < 0.5
    fit = rng.choice([-1.0, 1.0], n)
    stages = by_stage or {"churned_early": 0.0}
    stage = rng.choice(sorted(stages), n)
    lifts = lift + content * fit + np.array([stages[one] for one in stage])
    odds = np.log(p / (1 - p)) + drift + treated * lifts
    known = {
        "strategy_id": [strategy_id] * n,
        "channel": ["email"] * n,
        "stage": stage,
        "experiment_id": ["test"] * n,
        "assigned_on": [assigned_on] * n,
        "p_return": p,
        "is_treated": treated,
        "is_return": rng.random(n) < 1 / (1 + np.exp(-odds)),
        "propensity": [0.5] * n,
        "fit_content": fit,
        "is_randomised": [True] * n,
    }
    return pl.DataFrame({name: known.get(name, [None] * n) for name in OUTCOMES}, schema=OUTCOMES)


def _after(rows: pl.DataFrame, catalogue: Catalogue, *, half_life_days: float = 1e6) -> Beliefs:
    return beliefs_from(load_priors(), rows, catalogue=catalogue, as_of=AS_OF, half_life_days=half_life_days)


def _of(beliefs: Beliefs, catalogue: Catalogue, strategy_id: str = "whats_new") -> LiftBelief:
    return beliefs.of(catalogue.by_id[strategy_id], channel="email")


def _own(beliefs: Beliefs, catalogue: Catalogue, strategy_id: str = "whats_new") -> float:
    return _of(beliefs, catalogue, strategy_id).mean(OWN)


def test_without_outcomes_the_priors_speak(catalogue: Catalogue) -> None:
    none = _after(NO_OUTCOMES, catalogue)
    for strategy in catalogue.sending:
        plain = Beliefs(load_priors()).of(strategy, channel="email")
        assert none.of(strategy, channel="email").means == pytest.approx(plain.means)
        assert none.of(strategy, channel="email").grade == "prior"


def test_the_strategy_that_was_tried_is_known_best(catalogue: Catalogue) -> None:
    after = _after(_outcomes(20_000, lift=0.6, content=0.4), catalogue)
    belief = _of(after, catalogue)
    assert belief.mean(OWN) == pytest.approx(0.6, abs=0.12)
    assert float(belief.weights @ belief.means[:, 1]) == pytest.approx(0.4, abs=0.1)
    assert (belief.grade, belief.n_outcomes) == ("randomised", 20_000)


def test_a_strategy_without_outcomes_borrows_softly_from_the_others(catalogue: Catalogue) -> None:
    before = Beliefs(load_priors())
    good = _after(_outcomes(20_000, lift=0.6), catalogue)
    bad = _after(_outcomes(20_000, lift=-0.4), catalogue)
    for other in ("price_save", "loyalty_points"):
        low, plain, high = (_own(one, catalogue, other) for one in (bad, before, good))
        assert low < plain < high
        assert high - plain < (0.6 - _own(before, catalogue)) / 2
        assert _of(good, catalogue, other).grade == "prior"


def test_a_campaign_that_the_catalogue_does_not_know_tells_of_all(catalogue: Catalogue) -> None:
    before = Beliefs(load_priors())
    after = _after(_outcomes(20_000, lift=0.5, strategy_id="discount"), catalogue)
    assert all(_own(after, catalogue, one.id) > _own(before, catalogue, one.id) for one in catalogue.sending)
    assert "discount" not in after.taught


def test_that_content_matters_is_learned_from_any_strategy(catalogue: Catalogue) -> None:
    matters = _after(_outcomes(20_000, lift=0.2, content=0.5), catalogue)
    does_not = _after(_outcomes(20_000, lift=0.2, content=0.0), catalogue)
    assert _of(matters, catalogue, "price_save").part_weights("content")["better"] > 0.75
    assert _of(does_not, catalogue, "price_save").part_weights("content")["nothing"] > 0.6


def test_own_outcomes_outvote_those_of_others(catalogue: Catalogue) -> None:
    others = _outcomes(20_000, lift=-0.4, strategy_id="price_save", seed=2)
    after = _after(pl.concat([_outcomes(20_000, lift=0.5), others]), catalogue)
    assert _own(after, catalogue) == pytest.approx(0.5, abs=0.12)
    assert _own(after, catalogue, "price_save") == pytest.approx(-0.4, abs=0.12)


def test_a_kind_of_users_deviates_where_many_tell_and_stays_where_few_do(catalogue: Catalogue) -> None:
    by_stage = {"churned_early": -0.15, "churned_mid": 0.15}
    many = _of_kind(_after(_outcomes(40_000, lift=0.4, by_stage=by_stage), catalogue), catalogue)
    few = _of_kind(_after(_outcomes(300, lift=0.4, by_stage=by_stage), catalogue), catalogue)
    assert many["stage=churned_mid"] - many["stage=churned_early"] == pytest.approx(0.3, abs=0.15)
    assert all(abs(deviation) < 0.06 for deviation in few.values()), few


def _of_kind(beliefs: Beliefs, catalogue: Catalogue) -> dict[str, float]:
    belief = beliefs.of(catalogue.by_id["whats_new"], channel="email", by_kind=True)
    means = belief.weights @ belief.means
    return {part: float(means[place]) for place, part in enumerate(belief.parts) if "=" in part}


def test_the_average_user_is_told_by_the_kinds_that_were_contacted(catalogue: Catalogue) -> None:
    by_stage = {"churned_early": -0.2, "churned_mid": 0.2}
    beliefs = _after(_outcomes(40_000, lift=0.4, by_stage=by_stage), catalogue)
    assert _own(beliefs, catalogue) == pytest.approx(0.4, abs=0.08)
    of_average = _of(beliefs, catalogue).variance(OWN)
    split = beliefs.of(catalogue.by_id["whats_new"], channel="email", by_kind=True)
    assert of_average < split.variance(np.eye(len(split.parts))[0])


def test_old_wins_do_not_outvote_new_losses(catalogue: Catalogue) -> None:
    old = _outcomes(20_000, lift=0.5, assigned_on=AS_OF - timedelta(days=720))
    new = _outcomes(5_000, lift=-0.3, assigned_on=AS_OF - timedelta(days=30), seed=2)
    fading = _own(_after(pl.concat([old, new]), catalogue, half_life_days=120), catalogue)
    kept = _own(_after(pl.concat([old, new]), catalogue), catalogue)
    assert fading == pytest.approx(-0.25, abs=0.15)
    assert kept > 0.15


def test_an_outcome_of_unknown_age_counts_half(catalogue: Catalogue) -> None:
    undated = _after(_outcomes(3000, lift=0.5, assigned_on=None), catalogue, half_life_days=100)
    half = _after(_outcomes(3000, lift=0.5, assigned_on=AS_OF - timedelta(days=100)), catalogue, half_life_days=100)
    assert _own(undated, catalogue) == pytest.approx(_own(half, catalogue))


def test_nothing_after_the_night_is_read(catalogue: Catalogue) -> None:
    known = _outcomes(3000, lift=0.5)
    later = _outcomes(3000, lift=-0.5, assigned_on=AS_OF + timedelta(days=1), seed=2)
    assert _own(_after(pl.concat([known, later]), catalogue), catalogue) == _own(_after(known, catalogue), catalogue)


def test_the_order_of_the_rows_means_nothing(catalogue: Catalogue) -> None:
    rows = pl.concat([_outcomes(2000, lift=0.5), _outcomes(2000, lift=0.1, strategy_id="price_save", seed=2)])
    there, back = _after(rows, catalogue), _after(rows.reverse(), catalogue)
    for strategy in catalogue.sending:
        one, other = (beliefs.of(strategy, channel="email") for beliefs in (there, back))
        assert one.weights == pytest.approx(other.weights, abs=1e-9)
        assert one.means == pytest.approx(other.means, abs=1e-9)


def test_held_out_users_of_no_strategy_are_compared_with_all_of_their_experiment(catalogue: Catalogue) -> None:
    rows = _outcomes(20_000, lift=0.4, drift=0.6)
    nobody = rows.with_columns(pl.when("is_treated").then("strategy_id").alias("strategy_id"))
    assert _own(_after(nobody, catalogue), catalogue) == pytest.approx(0.4, abs=0.12)


def test_an_import_whose_control_names_nothing_teaches_each_of_its_strategies(catalogue: Catalogue) -> None:
    """Of the held out a tenth comes back, five points more of those with one strategy, two fewer with the other."""
    rng = np.random.default_rng(4)
    arm = rng.choice(["a", "b", "control"], 30_000)
    gains = {"a": 0.05, "b": -0.02, "control": 0.0}
    strategies = {"a": "whats_new", "b": "price_save", "control": None}
    back = rng.random(len(arm)) < 0.1 + np.array([gains[one] for one in arm])
    told = entries(
        len(arm),
        arm=arm,
        strategy_id=[strategies[one] for one in arm],
        propensity=1 / 3,
        assigned_on=AS_OF - timedelta(days=30),
        returned_after=[3 if one else None for one in back],
    ).with_columns(pl.lit(value=True).alias("is_randomised"))

    after = _after(with_base_rates(learning_rows(told.lazy(), horizon_days=28)), catalogue)

    for name, truth in (("whats_new", np.log(0.15 / 0.85)), ("price_save", np.log(0.08 / 0.92))):
        assert _own(after, catalogue, name) == pytest.approx(truth - np.log(0.1 / 0.9), abs=0.12)
        assert _of(after, catalogue, name).grade == "randomised"


def test_the_held_out_of_other_strategies_tell_how_far_the_forecast_is_off(catalogue: Catalogue) -> None:
    other = _outcomes(20_000, lift=0.2, strategy_id="price_save", drift=0.6)
    alone = _outcomes(2000, lift=0.1, drift=0.6, seed=2).filter("is_treated")
    told = _own(_after(pl.concat([other, alone]), catalogue), catalogue)
    assert told == pytest.approx(0.1, abs=0.12)
    assert _own(_after(alone, catalogue), catalogue) > told


def test_outcomes_of_nobody_left_out_at_random_count_little_and_only_alone(catalogue: Catalogue) -> None:
    seen = _outcomes(3000, lift=1.5).with_columns(pl.lit(value=False).alias("is_randomised"))
    observed = _after(seen, catalogue)
    assert _of(observed, catalogue).grade == "observational"
    assert _own(observed, catalogue) < _own(_after(_outcomes(3000, lift=1.5), catalogue), catalogue)
    tried = _outcomes(3000, lift=0.1, seed=2)
    both = _after(pl.concat([seen, tried]), catalogue)
    assert _own(both, catalogue) == pytest.approx(_own(_after(tried, catalogue), catalogue))


def test_a_few_outcomes_leave_the_grade_with_the_prior(catalogue: Catalogue) -> None:
    assert _of(_after(_outcomes(60, lift=0.2), catalogue), catalogue).grade == "prior"


def test_a_wrong_author_is_overruled_by_two_to_five_thousand_outcomes(catalogue: Catalogue) -> None:
    for seed in range(3):
        after = _after(_outcomes(5000, lift=-0.4, strategy_id="price_save", seed=seed), catalogue)
        assert _own(after, catalogue, "price_save") < -0.1


def test_unknown_outcomes_are_refused(catalogue: Catalogue) -> None:
    rows = _outcomes(3, lift=0.0)
    with pytest.raises(WinbackError, match="no column fit_reason"):
        _after(rows.drop("fit_reason"), catalogue)
    with pytest.raises(WinbackError, match="nulls in is_return"):
        _after(rows.with_columns(pl.lit(None, dtype=pl.Boolean).alias("is_return")), catalogue)


def test_rows_without_a_prediction_have_the_rate_of_their_experiments_held_out() -> None:
    rows = pl.DataFrame(
        {
            "experiment_id": ["a", "a", "a", "b", "b"],
            "is_treated": [True, False, False, True, True],
            "is_return": [True, True, False, True, True],
            "p_return": [None, None, 0.3, None, 0.9],
        }
    )
    made = with_base_rates(rows)
    assert made["p_return"].to_list() == pytest.approx([1.5 / 3, 1.5 / 3, 0.3, 2.5 / 3, 0.9])
    assert made.columns == rows.columns
