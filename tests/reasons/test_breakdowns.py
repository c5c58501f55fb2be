"""Who left why: merged cells, intervals, tests and their correction."""

from datetime import date

import numpy as np
import polars as pl
import pytest

from dagster_project.reasons.breakdowns import BREAKDOWN_SCHEMA, benjamini_hochberg, break_down, dimensions_of


def left(*groups: tuple[str | None, str, int]) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Users by (plan, reason, how many)."""
    rows = [(plan, reason) for plan, reason, n in groups for _ in range(n)]
    keys = list(range(len(rows)))
    reasons = pl.DataFrame({"user_sk": keys, "reason": [reason for _, reason in rows]})
    plans = pl.DataFrame({"user_sk": keys, "plan": [plan for plan, _ in rows]}, schema_overrides={"plan": pl.String})
    return reasons, plans


def test_a_share_comes_with_its_interval_and_its_difference_to_all_others() -> None:
    made = break_down(*left(("a", "price", 30), ("a", "unknown", 10), ("b", "price", 10), ("b", "unknown", 30)))
    row = made.filter((pl.col("value") == "a") & (pl.col("reason") == "price")).row(0, named=True)

    assert made.schema == BREAKDOWN_SCHEMA
    assert (row["dimension"], row["n_left"], row["n_users"], row["share"], row["difference"]) == (
        "plan",
        40,
        30,
        0.75,
        0.5,
    )
    assert (row["share_low"], row["share_high"]) == pytest.approx((0.598, 0.858), abs=1e-3)
    assert row["p_value"] < 1e-4
    assert made.group_by("value").agg(pl.col("share").sum())["share"].to_list() == [1.0, 1.0]


def test_values_with_few_users_are_merged_and_the_unnamed_are_kept_apart() -> None:
    made = break_down(*left(("a", "price", 40), ("b", "price", 29), ("c", "price", 12), (None, "price", 30)))

    assert made.select("value", "n_left").rows() == [("a", 40), ("not known", 30), ("other", 41)]


def test_a_merged_rest_that_is_small_itself_takes_the_next_smallest_value_in() -> None:
    made = break_down(*left(("nurse", "price", 200), ("teacher", "price", 40), ("bishop", "privacy_concern", 5)))

    assert made.select("value", "reason", "n_left", "n_users").rows() == [
        ("nurse", "price", 200, 200),
        ("nurse", "privacy_concern", 200, 0),
        ("other", "price", 45, 40),
        ("other", "privacy_concern", 45, 5),
    ]


def test_few_users_beside_one_large_value_are_not_told_apart_at_all() -> None:
    assert break_down(*left(("nurse", "unknown", 200), ("bishop", "privacy_concern", 5))).is_empty()


def test_a_value_that_the_source_calls_other_is_the_rest() -> None:
    made = break_down(*left(("a", "price", 40), ("other", "price", 35), ("b", "price", 5)))

    assert made.select("value", "n_left").rows() == [("a", 40), ("other", 40)]


def test_one_value_alone_tells_nothing() -> None:
    assert break_down(*left(("a", "price", 40), ("a", "unknown", 40))).schema == BREAKDOWN_SCHEMA
    assert break_down(*left(("a", "price", 40), ("a", "unknown", 40))).is_empty()
    assert break_down(*left()).is_empty()


def test_corrected_p_values_are_those_of_the_textbook() -> None:
    # Benjamini and Hochberg 1995, by hand: p × m ÷ rank, made to rise from the largest down.
    found = benjamini_hochberg(np.asarray([0.04, 0.01, np.nan, 0.03, 0.5]))

    assert found[[1, 3, 0, 4]].tolist() == pytest.approx([0.04, 0.16 / 3, 0.16 / 3, 0.5])
    assert np.isnan(found[2])


def test_no_difference_between_groups_is_seldom_called_one() -> None:
    rng = np.random.default_rng(3)
    n = 2000
    reasons = pl.DataFrame({"user_sk": range(n), "reason": rng.choice(["a", "b", "c"], n)})
    dimensions = pl.DataFrame({"user_sk": range(n), **{f"d{k}": rng.choice(["x", "y", "z"], n) for k in range(9)}})

    assert (break_down(reasons, dimensions)["p_adjusted"] < 0.05).sum() == 0


def test_dimensions_are_bands_of_what_is_known() -> None:
    users = pl.DataFrame(
        {
            "user_sk": [1, 2],
            "birth_on": [date(1990, 1, 1), None],
            "gender": ["f", None],
            "country": ["DE", None],
            "region": ["Bayern", None],
            "occupation": [None, None],
            "acquisition_channel": ["ads", None],
            "n_active_days": [1, 20],
        },
        schema_overrides={"occupation": pl.String},
    )
    traits = pl.DataFrame({"user_sk": [1], "platform": ["ios"], "plan": ["plus"], "satisfaction": ["low"]})

    assert dimensions_of(users, traits=traits, as_of=date(2024, 6, 1)).rows() == [
        (1, "25 to 34", "f", "DE / Bayern", None, "ads", "ios", "plus", "one day", "low"),
        (2, None, None, None, None, None, None, None, "15 days or more", None),
    ]
