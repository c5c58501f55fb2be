"""How long those who came back stayed, and what may be learned from."""

import polars as pl
import pytest

from dagster_project.outcomes.learning import learning_rows
from dagster_project.outcomes.second_life import second_lives
from outcomes.builders import entries


def test_a_second_life_ends_when_the_user_leaves_and_is_censored_where_the_night_is() -> None:
    frame = entries(
        5,
        arm=["treat", "treat", "control", "control", "control"],
        returned_after=[2, 10, 0, 4, None],
        relapsed_after=[42, None, 50, None, None],
        n_days_seen=[100, 41, 100, 35, 100],
    )

    found = second_lives(frame)

    # treated: one left on day 40, one was seen for 30 days; control: one left on day 50, one was seen for 30
    assert found.select("arm", "day", "n_at_risk", "p_still_here").rows() == [
        ("control", 0, 2, 1.0),
        ("control", 7, 2, 1.0),
        ("control", 14, 2, 1.0),
        ("control", 28, 2, 1.0),
        ("treat", 0, 2, 1.0),
        ("treat", 7, 2, 1.0),
        ("treat", 14, 2, 1.0),
        ("treat", 28, 2, 1.0),
    ]
    assert found["n_returned"].unique().to_list() == [2]


def test_the_share_still_here_falls_by_those_who_left_of_those_at_risk() -> None:
    frame = entries(4, returned_after=0, relapsed_after=[10, 20, None, None], n_days_seen=200)

    found = dict(second_lives(frame).select("day", "p_still_here").iter_rows())

    assert [found[day] for day in (7, 14, 28, 150)] == pytest.approx([1.0, 0.75, 0.5, 0.5])


def test_where_nobody_came_back_there_is_no_second_life() -> None:
    assert second_lives(entries(3)).is_empty()


def test_only_users_whose_horizon_is_over_are_learned_from() -> None:
    frame = entries(
        6,
        arm=["treat", "control", "explore", "treat", "treat", "treat"],
        strategy_id=["a", "a", "b", "a", None, "a"],
        returned_after=[3, None, 29, None, 1, 40],
        n_days_seen=[30, 30, 30, 29, 30, 300],
        propensity=0.25,
    ).with_columns(pl.lit(value=True).alias("is_randomised"))

    found = learning_rows(frame.lazy(), horizon_days=30)

    assert found.select("user_id", "strategy_id", "is_treated", "is_return", "propensity").rows() == [
        ("u00000", "a", True, True, 0.25),
        ("u00001", "a", False, False, 0.25),
        ("u00002", "b", True, True, 0.25),
        ("u00005", "a", True, False, 0.25),
    ]


def test_a_control_that_names_no_strategy_is_kept_beside_treated_who_name_theirs() -> None:
    def learnt(experiment_id: str, *strategies: str | None) -> list[tuple[str, str | None]]:
        arms = ["treat", "control", "control"]
        frame = entries(3, experiment_id=experiment_id, arm=arms, strategy_id=list(strategies)).with_columns(
            pl.lit(value=True).alias("is_randomised")
        )
        return learning_rows(frame.lazy(), horizon_days=28).select("user_id", "strategy_id").rows()

    assert learnt("e", "a", None, None) == [("u00000", "a"), ("u00001", None), ("u00002", None)]
    assert learnt("e", "a", "a", None) == [("u00000", "a"), ("u00001", "a")]
    assert learnt("e", None, None, None) == []
    assert learnt("words.a", "a", None, None) == []


def test_who_is_held_out_of_two_experiments_that_name_nothing_counts_in_both() -> None:
    one = entries(2, arm=["treat", "control"], strategy_id=["a", None])
    two = entries(2, experiment_id="f", arm=["treat", "control"], strategy_id=["b", None])
    frame = pl.concat([one, two]).with_columns(pl.lit(value=True).alias("is_randomised"))

    assert learning_rows(frame.lazy(), horizon_days=28).select("experiment_id", "user_id").rows() == [
        ("e", "u00000"),
        ("e", "u00001"),
        ("f", "u00000"),
        ("f", "u00001"),
    ]


def test_experiments_on_words_say_nothing_of_strategies() -> None:
    frame = entries(2, experiment_id="words.a", strategy_id="a").with_columns(pl.lit(value=True).alias("is_randomised"))

    assert learning_rows(frame.lazy(), horizon_days=28).is_empty()


def test_broken_experiments_are_told_apart() -> None:
    frame = entries(1, strategy_id="a").with_columns(pl.lit(value=False).alias("is_randomised"))

    assert learning_rows(frame.lazy(), horizon_days=28)["is_randomised"].to_list() == [False]


@pytest.mark.parametrize("horizon", [1, 200])
def test_a_horizon_beyond_what_is_counted_is_the_longest(horizon: int) -> None:
    frame = entries(1, strategy_id="a", n_days_seen=180).with_columns(pl.lit(value=True).alias("is_randomised"))

    assert learning_rows(frame.lazy(), horizon_days=horizon).height == 1


def test_a_broken_experiment_has_no_second_lives() -> None:
    both = pl.concat(
        [entries(3, returned_after=1), entries(3, returned_after=1, experiment_id="f")],
    )

    assert second_lives(both, broken=["f"])["experiment_id"].unique().to_list() == ["e"]
    assert second_lives(both)["experiment_id"].unique().sort().to_list() == ["e", "f"]


def test_harms_within_the_horizon_are_handed_on_and_unknown_where_nothing_tells_of_them() -> None:
    frame = entries(3, strategy_id="a", opted_out_after=[3, 40, None], complained_after=[None, 0, None])
    frame = frame.with_columns(pl.lit(value=True).alias("is_randomised"))

    told = learning_rows(frame.lazy(), horizon_days=28)
    assert told.select("is_opted_out", "is_complained", "is_app_removed").rows() == [
        (True, False, False),
        (False, True, False),
        (False, False, False),
    ]

    bare = frame.lazy().drop("opted_out_after", "complained_after", "app_removed_after")
    unknown = learning_rows(bare, horizon_days=28)
    assert unknown["is_opted_out"].to_list() == [None, None, None]
