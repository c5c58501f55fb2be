import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dagster_project.errors import WinbackError
from dagster_project.models.survival import (
    ReturnClock,
    fit_cox,
    kaplan_meier_curves,
)
from dagster_project.models.timing import SharedTiming, return_curves, return_days

from .simulated import spells_frame

H = 28


def spells(*rows: tuple[str, int, bool]) -> pl.DataFrame:
    frame = pl.DataFrame(rows, schema=["stage", "duration_days", "returned"], orient="row")
    return frame.with_columns(
        user_id=pl.int_range(pl.len()).cast(pl.String),
        silence_days=pl.lit(40),
        n_active_days=pl.lit(3),
        usual_gap_days=pl.lit(9.0),
    )


def test_kaplan_meier_equals_the_values_by_hand() -> None:
    frame = spells(("a", 1, True), ("a", 2, True), ("a", 2, False), ("a", 3, True), ("a", 5, False))
    curve = kaplan_meier_curves(frame, days=(0, 1, 2, 3, 5, 9)).filter(stage="a")
    # after the return among 5 on day 1: 4/5; day 2: × 3/4; day 3: × 1/2 of those two left at risk
    assert curve["day"].to_list() == [0, 1, 2, 3, 5]
    assert curve["p_returned"].to_list() == pytest.approx([0.0, 0.2, 0.4, 0.7, 0.7])
    assert curve["n_at_risk"].to_list() == [5, 5, 4, 2, 1]


def test_ties_on_one_day_count_together() -> None:
    frame = spells(*[("a", 4, True)] * 3, *[("a", 6, False)] * 9)
    curve = kaplan_meier_curves(frame, days=(3, 4, 6)).filter(stage="a")
    assert curve["p_returned"].to_list() == pytest.approx([0.0, 0.25, 0.25])


def test_stages_come_after_all_in_alphabetical_order() -> None:
    curves = kaplan_meier_curves(spells(("b", 3, True), ("a", 3, False)), days=(1,))
    assert curves["stage"].to_list() == ["all", "a", "b"]


def test_nobody_back_and_everybody_back_have_finite_bounds() -> None:
    frame = spells(("none", 9, False), ("none", 9, False), ("every", 2, True), ("every", 2, True))
    curves = kaplan_meier_curves(frame, days=(2, 9))
    assert curves.select(pl.col("p_returned", "low", "high").is_finite().all()).row(0) == (True, True, True)
    assert curves.filter(stage="none")["p_returned"].to_list() == [0.0, 0.0]
    assert curves.filter(stage="every")["p_returned"].to_list() == [1.0]


def test_cox_finds_that_longer_silence_means_a_later_return() -> None:
    clock = fit_cox(spells_frame(2000), horizon_days=H)
    by_name = {row["covariate"]: row for row in clock.summary.to_dicts()}
    assert clock.kind == "cox"
    assert clock.note is None
    assert by_name["log_silence"]["coef"] == pytest.approx(-1.0, abs=0.25)  # the true hazard is 1 / silence
    assert by_name["log_silence"]["high"] < 1
    assert by_name["log_usual_gap"]["low"] < 1 < by_name["log_usual_gap"]["high"]


@pytest.mark.parametrize(
    ("frame", "why"),
    [
        (spells(*[("a", 5, True)] * 19, ("a", 9, False)), "Only 19 returns were seen"),
        (spells(*[("a", 5, True)] * 40, ("a", 9, False)), "No covariate varies"),
        (spells(*[("a", 60, False)] * 30), "Only 0 returns were seen"),
        (spells(("a", 60, False)).clear(), "Only 0 returns were seen"),
        (spells(("a", 0, False)), "Only 0 returns were seen"),
    ],
)
def test_where_cox_cannot_be_fitted_one_curve_serves_and_says_why(frame: pl.DataFrame, why: str) -> None:
    clock = fit_cox(frame, horizon_days=H)
    assert clock.kind == "kaplan_meier"
    assert clock.note is not None
    assert clock.note.startswith(why)
    assert clock.summary.is_empty()
    assert clock.cumulative_hazard[0] == 0
    assert clock.cumulative_hazard[H] > 0
    assert (np.diff(clock.cumulative_hazard) >= 0).all()


def test_the_curve_at_the_horizon_is_p_return_and_never_falls() -> None:
    clock = fit_cox(spells_frame(800), horizon_days=H)
    users = pl.DataFrame({"user_sk": [9, 8], "user_id": ["b", "a"], "p_return": [0.05, 0.6]})
    curves = return_curves(SharedTiming(clock, horizon_days=H), users, days=(7, 14, 28, 56, 182))
    assert curves["user_id"].to_list() == ["a"] * 4 + ["b"] * 4
    assert curves.filter(day=H)["p_returned"].to_list() == pytest.approx([0.6, 0.05])
    for _, curve in curves.group_by("user_id"):
        steps = curve.sort("day")["p_returned"].to_numpy()
        assert (np.diff(steps) >= 0).all()
        assert 0 <= steps[0] <= steps[-1] <= 1


@given(
    p=st.lists(st.floats(1e-6, 1 - 1e-6), min_size=1, max_size=10),
    jumps=st.lists(st.floats(0, 2), min_size=H, max_size=60),
)
def test_half_of_p_return_is_reached_on_the_day_named_and_not_before(p: list[float], jumps: list[float]) -> None:
    hazard = np.concatenate([[0.0], np.cumsum(np.array(jumps) + 1e-6)])
    clock = ReturnClock("cox", pl.DataFrame(), hazard, None)
    probability = np.array(p)
    days = return_days(SharedTiming(clock, horizon_days=H), probability, part=0.5)
    assert ((days >= 1) & (days <= H)).all()
    share = hazard / hazard[H]
    assert (1 - (1 - probability) ** share[days] >= probability / 2 - 1e-9).all()
    assert (1 - (1 - probability) ** share[days - 1] <= probability / 2 + 1e-9).all()


def test_a_steady_hazard_halves_a_small_chance_midway() -> None:
    clock = fit_cox(spells(*[("a", 60, False)] * 3), horizon_days=H)
    timing = SharedTiming(clock, horizon_days=H)
    assert return_days(timing, np.array([1e-6, 0.9]), part=0.5).tolist() == [14, 8]


def test_a_negative_duration_is_refused() -> None:
    with pytest.raises(WinbackError, match="1 return spells last less than no day"):
        kaplan_meier_curves(spells(("a", -1, True)), days=(7,))
