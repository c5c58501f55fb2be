import polars as pl
import pytest

from dagster_project.lifecycle.migration import migration_matrix, stage_dwell
from dagster_project.lifecycle.stages import STAGES


def stages_frame(*rows: tuple[str | None, str, int | None]) -> pl.DataFrame:
    return pl.DataFrame(
        rows,
        schema={"previous_stage": pl.String, "stage": pl.String, "days_in_stage": pl.Int32},
        orient="row",
    )


MOVES = stages_frame(
    ("active", "active", 10),
    ("active", "cooling", 0),
    ("active", "active", 20),
    ("active", "active", 40),
    ("dormant", "lost", 0),
    (None, "new", 0),
    (None, "prospect", None),
)


def test_moves_are_counted_in_stage_order_with_newcomers_last():
    assert migration_matrix(MOVES).rows() == [
        ("active", "active", 3, 0.75),
        ("active", "cooling", 1, 0.25),
        ("dormant", "lost", 1, 1.0),
        ("not_seen", "prospect", 1, 0.5),
        ("not_seen", "new", 1, 0.5),
    ]


def test_all_users_are_in_the_matrix_once():
    every_move = stages_frame(*((before, after, 1) for before in (None, *STAGES) for after in STAGES))
    matrix = migration_matrix(every_move)

    assert matrix.height == 16 * 15
    assert matrix["n_users"].sum() == every_move.height
    assert matrix.group_by("previous_stage").agg(pl.col("share_of_previous").sum())[
        "share_of_previous"
    ].to_list() == pytest.approx([1.0] * 16)


def test_dwell_lists_all_stages_in_order_whether_or_not_anybody_is_there():
    dwell = stage_dwell(MOVES)
    rows = {row["stage"]: row for row in dwell.iter_rows(named=True)}

    assert dwell["stage"].to_list() == list(STAGES)
    assert rows["active"] == {
        "stage": "active",
        "n_users": 3,
        "median_days_in_stage": 20.0,
        "p90_days_in_stage": 36.0,
        "left_share": 0.25,
    }
    assert (rows["dormant"]["n_users"], rows["dormant"]["left_share"]) == (0, 1.0)
    assert (rows["prospect"]["n_users"], rows["prospect"]["median_days_in_stage"]) == (1, None)
    assert (rows["growing"]["n_users"], rows["growing"]["left_share"]) == (0, None)


def test_a_first_night_has_dwell_times_but_nobody_who_left():
    first_night = stages_frame((None, "new", 3), (None, "active", 5))

    assert stage_dwell(first_night)["left_share"].null_count() == 15
    assert migration_matrix(first_night)["previous_stage"].unique().to_list() == ["not_seen"]
