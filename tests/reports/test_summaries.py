import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from dagster_project.lifecycle import PHASE_OF_STAGE
from dagster_project.reports import summaries


def test_every_stage_is_counted_in_lifecycle_order_even_without_users() -> None:
    stages = pl.DataFrame({"stage": ["lost", "active", "active"], "phase": ["churned", "engaged", "engaged"]})

    counts = summaries.count_stages(stages)

    assert counts["stage"].to_list() == list(PHASE_OF_STAGE)
    assert counts.filter(pl.col("n_users") > 0).rows() == [
        ("active", "engaged", 2, 2 / 3),
        ("lost", "churned", 1, 1 / 3),
    ]


def test_the_phase_that_the_table_gives_a_stage_wins() -> None:
    stages = pl.DataFrame({"stage": ["relapsed"], "phase": ["churned"]})

    counts = summaries.count_stages(stages)

    assert counts.filter(pl.col("stage") == "relapsed").rows() == [("relapsed", "churned", 1, 1.0)]


def test_moves_are_in_lifecycle_order_and_new_users_come_from_first_seen() -> None:
    migration = pl.DataFrame(
        {
            "previous_stage": ["lost", None, "active", "active"],
            "stage": ["lost", "new", "cooling", "active"],
            "n_users": [4, 1, 2, 3],
            "share_of_previous": [1.0, None, 0.4, 0.6],
        }
    )

    assert summaries.count_moves(migration).rows() == [
        ("first seen", "new", 1, None, False),
        ("active", "active", 3, 0.6, True),
        ("active", "cooling", 2, 0.4, False),
        ("lost", "lost", 4, 1.0, True),
    ]


def test_moves_of_nobody_are_left_out() -> None:
    migration = pl.DataFrame(
        {"previous_stage": ["active"], "stage": ["lost"], "n_users": [0], "share_of_previous": [0.0]}
    )

    assert summaries.count_moves(migration).is_empty()


def test_bins_count_users_per_stage_and_leave_out_nulls_and_infinities() -> None:
    users = pl.DataFrame(
        {
            "stage": ["cooling", "cooling", "at_risk", "at_risk", "at_risk"],
            "churn_factor": [1.01, 1.04, 1.26, None, float("inf")],
        }
    )

    bins, width = summaries.bin_by_stage(users, "churn_factor")

    assert width == 0.05
    assert bins.rows() == [("at_risk", 1.25, 1), ("cooling", 1.0, 2)]


def test_an_outlier_does_not_stretch_the_bins() -> None:
    users = pl.DataFrame({"stage": ["cooling"] * 1001, "churn_factor": [1.0 + k / 1000 for k in range(1000)] + [9e6]})

    bins, width = summaries.bin_by_stage(users, "churn_factor")

    assert width == 0.05
    assert bins["n_users"].sum() == 1001


@given(st.lists(st.floats(min_value=0, max_value=500), min_size=1, max_size=200))
def test_bins_lose_nobody_and_are_few(factors: list[float]) -> None:
    users = pl.DataFrame({"stage": ["dormant"] * len(factors), "churn_factor": factors})

    bins, _ = summaries.bin_by_stage(users, "churn_factor")

    assert bins["n_users"].sum() == len(factors)
    assert bins.height <= summaries.MAX_BINS


def test_silence_is_summed_up_per_stage_without_those_who_never_came() -> None:
    stages = pl.DataFrame({"stage": ["lost"] * 11 + ["prospect", "active"], "days_silent": [*range(300, 311), None, 2]})

    assert summaries.silence_quantiles(stages).rows() == [
        ("active", 1, 2.0, 2.0, 2.0),
        ("lost", 11, 301.0, 305.0, 309.0),
    ]


def test_a_long_curve_is_thinned_and_keeps_both_ends() -> None:
    curve = pl.DataFrame({"stage": ["lost"] * 1000, "day": list(range(1000))[::-1], "p_returned": [0.2] * 1000})

    thinned = summaries.thin_curves(curve)

    assert thinned.height == 100
    assert thinned["day"][0] == 0
    assert thinned["day"][-1] == 999
    assert thinned["day"].is_sorted()


def test_only_the_last_180_days_are_kept() -> None:
    daily = pl.select(active_on=pl.date_range(pl.date(2025, 1, 1), pl.date(2025, 12, 31))).with_columns(
        n_active_users=1
    )

    latest = summaries.latest_activity(daily)

    assert latest.height == 180
    assert str(latest["active_on"][-1]) == "2025-12-31"


def test_the_winner_on_the_lapsed_comes_first() -> None:
    evaluations = pl.DataFrame(
        {
            "candidate": ["cox", "boosting", "recency"],
            "population": ["all", "lapsed", "lapsed"],
            "is_winner": [True, True, False],
        }
    )

    assert summaries.winning_rows(evaluations)["candidate"].to_list() == ["boosting", "cox"]


def test_the_winner_is_compared_with_the_recency_baseline_on_its_own_population() -> None:
    evaluations = pl.DataFrame({"candidate": ["boosting"], "population": ["lapsed"], "is_winner": [True]})
    reliability = pl.DataFrame(
        {
            "candidate": ["boosting", "boosting", "recency_only", "cox"],
            "population": ["all", "lapsed", "lapsed", "lapsed"],
            "bin": [0, 0, 0, 0],
            "mean_predicted": [0.5, 0.1, 0.2, 0.3],
            "observed": [0.5, 0.1, 0.2, 0.3],
            "n": [10, 20, 30, 40],
        }
    )

    bins, candidates = summaries.bins_to_compare(reliability, evaluations)

    assert candidates == ["boosting", "recency_only"]
    assert bins["n"].to_list() == [20, 30]
