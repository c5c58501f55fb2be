import numpy as np
import polars as pl
import pytest

from dagster_project.errors import WinbackError
from dagster_project.strategy.lift import LiftBelief, Part, declared, uplift
from dagster_project.strategy.lift_learning import Normal, likelihood, updated

RIGHT, WRONG = (0.6, 0.3, 0.1), (0.1, 0.3, 0.6)
ALONG = np.array([[1.0, 1.0], [1.0, -1.0]])


def _belief(weights: tuple[float, float, float] = RIGHT) -> LiftBelief:
    return declared([Part("strategy", 0.25, 0.25, weights, "s"), Part("content", 0.5, 0.15, weights, "s")])


def _outcomes(n: int, *, base: float, content: float, drift: float = 0.0, seed: int = 1) -> pl.DataFrame:
    """A fair experiment in a world where the lift is base + content × fit."""
    rng = np.random.default_rng(seed)
    p = rng.beta(2, 6, n)
    treated, fit = rng.random(n) < 0.5, rng.choice([-1.0, 1.0], n)
    truth = 1 / (1 + np.exp(-(np.log(p / (1 - p)) + drift + treated * (base + content * fit))))
    return pl.DataFrame(
        {
            "p_return": p,
            "is_treated": treated,
            "is_return": rng.random(n) < truth,
            "propensity": np.full(n, 0.5),
            "strategy": np.ones(n),
            "content": fit,
        }
    )


def learned(belief: LiftBelief, rows: pl.DataFrame) -> LiftBelief:
    return updated(belief, likelihood(rows, parts=belief.parts))


def _lifts(belief: LiftBelief) -> list[float]:
    return [float(belief.weights @ (belief.means @ fit)) for fit in ALONG]


def _width(belief: LiftBelief) -> float:
    found = uplift(np.array([0.2]), ALONG[:1], belief=belief, caution=0.4)
    return float(found.high[0] - found.low[0])


def test_a_wrong_expert_is_overruled_by_two_to_five_thousand_outcomes() -> None:
    wrong = _belief(WRONG)
    assert _lifts(wrong)[0] < 0
    for seed in range(5):
        after = learned(wrong, _outcomes(5000, base=0.25, content=0.5, seed=seed))
        assert after.part_weights("content")["better"] > 0.9
        assert _lifts(after) == pytest.approx([0.75, -0.25], abs=0.25)


def test_an_expert_who_is_right_is_confirmed() -> None:
    after = learned(_belief(), _outcomes(3000, base=0.25, content=0.5))
    assert after.part_weights("content")["better"] > 0.99
    assert _lifts(after) == pytest.approx([0.75, -0.25], abs=0.25)


def test_a_message_that_does_nothing_is_found_out() -> None:
    after = learned(_belief(), _outcomes(20_000, base=0.0, content=0.0))
    assert after.part_weights("content")["nothing"] > 0.95
    assert _lifts(after) == pytest.approx([0.0, 0.0], abs=0.1)


def test_weights_add_up_to_one_however_many_outcomes() -> None:
    for n in (1, 10, 50_000):
        after = learned(_belief(), _outcomes(n, base=1.0, content=-1.0))
        assert after.weights.sum() == pytest.approx(1)
        assert (after.weights >= 0).all()
        assert np.isfinite(after.means).all()


def test_more_outcomes_narrow_the_interval() -> None:
    widths = [_width(_belief())]
    widths += [_width(learned(_belief(), _outcomes(n, base=0.25, content=0.5))) for n in (1000, 10_000, 100_000)]
    assert widths == sorted(widths, reverse=True)
    assert widths[-1] < widths[0] / 5


def test_the_order_of_the_rows_means_nothing() -> None:
    rows = _outcomes(2000, base=0.25, content=0.5)
    there, back = learned(_belief(), rows), learned(_belief(), rows.reverse())
    assert there.weights == pytest.approx(back.weights, abs=1e-9)
    assert there.means == pytest.approx(back.means, abs=1e-9)


def test_a_forecast_that_is_off_for_everybody_is_not_taken_for_an_effect() -> None:
    after = learned(_belief(), _outcomes(20_000, base=0.25, content=0.5, drift=0.6))
    assert _lifts(after) == pytest.approx([0.75, -0.25], abs=0.15)


def test_unequal_chances_of_the_arms_are_weighed_out() -> None:
    # Those with matching content were treated nine times in ten, the others once: a plain mean over the treated would
    # tell of the former alone. The belief has no part for content, so that only the weights can set it right.
    rows = _outcomes(40_000, base=0.0, content=0.8)
    rng = np.random.default_rng(3)
    chance = np.where(rows["content"].to_numpy() > 0, 0.9, 0.1)
    p = rows["p_return"].to_numpy()
    odds = np.log(p / (1 - p))
    treated = rng.random(rows.height) < chance
    truth = 1 / (1 + np.exp(-(odds + treated * 0.8 * rows["content"].to_numpy())))
    rows = rows.with_columns(
        pl.Series("is_treated", treated),
        pl.Series("is_return", rng.random(rows.height) < truth),
        pl.Series("propensity", np.where(treated, chance, 1 - chance)),
    )
    alone = declared([Part("strategy", 0.5, 0.25, RIGHT, "s")])
    weighed = learned(alone, rows)
    unweighed = learned(alone, rows.with_columns(pl.lit(0.5).alias("propensity")))
    assert float(weighed.weights @ weighed.means[:, 0]) == pytest.approx(0.0, abs=0.15)
    assert float(unweighed.weights @ unweighed.means[:, 0]) > 0.4


def test_outcomes_without_weight_tell_nothing_and_half_the_weight_tells_half() -> None:
    rows = _outcomes(4000, base=0.25, content=0.5)
    nothing = learned(_belief(), rows.with_columns(pl.lit(0.0).alias("weight")))
    assert nothing.means == pytest.approx(_belief().means, abs=1e-9)
    assert nothing.weights == pytest.approx(_belief().weights, abs=1e-9)
    halves = likelihood(rows.with_columns(pl.lit(0.5).alias("weight")), parts=("strategy", "content"))
    whole = likelihood(rows, parts=("strategy", "content"))
    assert halves.curvature == pytest.approx(whole.curvature / 2, rel=0.05)


def test_rows_of_unequal_weight_tell_less_than_their_number() -> None:
    rows = _outcomes(4000, base=0.25, content=0.5)
    alternating = rows.with_columns(pl.Series("propensity", np.tile([0.05, 0.45], 2000)))
    assert _width(learned(_belief(), alternating)) > _width(learned(_belief(), rows))


def test_one_rare_arm_does_not_outweigh_all_others() -> None:
    rows = _outcomes(4000, base=0.25, content=0.5)
    rare = rows.with_columns(pl.Series("propensity", np.where(np.arange(4000) % 100 == 0, 0.0005, 0.5)))
    assert _width(learned(_belief(), rare)) < 2 * _width(learned(_belief(), rows))


def test_a_drift_that_is_known_from_elsewhere_stands_in_for_the_held_out() -> None:
    rows = _outcomes(4000, base=0.0, content=0.0, drift=0.5).filter("is_treated")
    seen = likelihood(rows, parts=("strategy", "content"))
    blind, told = updated(_belief(), seen), updated(_belief(), seen, drift=Normal(0.5, 0.05))
    assert _lifts(blind)[0] > 0.15
    assert sum(_lifts(told)) == pytest.approx(0.0, abs=0.15)


@pytest.mark.parametrize("is_return", [True, False])
def test_outcomes_that_are_all_alike_leave_a_finite_belief(*, is_return: bool) -> None:
    rows = _outcomes(50, base=0.0, content=0.0).with_columns(
        pl.lit(is_return).alias("is_return"), pl.lit(1.0).alias("p_return")
    )
    after = learned(_belief(), rows)
    assert np.isfinite(after.means).all()
    assert after.weights.sum() == pytest.approx(1)


def test_unknown_outcomes_are_refused() -> None:
    rows = _outcomes(3, base=0.0, content=0.0)
    with pytest.raises(WinbackError, match="no column content"):
        learned(_belief(), rows.drop("content"))
    with pytest.raises(WinbackError, match="nulls in is_return"):
        learned(_belief(), rows.with_columns(pl.lit(None, dtype=pl.Boolean).alias("is_return")))
