import polars as pl
import pytest

from dagster_project.reports import figures
from dagster_project.reports.content import ReportContent
from dagster_project.reports.palette import PHASE_SHADES

ACTIVE_STAYS = {"previous_stage": ["active"], "stage": ["active"], "n_users": [7], "share_of_previous": [1.0]}


def test_stage_bars_start_with_the_first_stage_on_top_and_are_coloured_by_phase() -> None:
    stages = pl.DataFrame({"stage": ["active", "lost"], "phase": ["engaged", "churned"]})

    figure = figures.stage_bars(stages)

    assert figure.layout.yaxis.categoryarray[-1] == "prospect"
    assert {bar.name: bar.marker.color for bar in figure.data}["engaged"] == PHASE_SHADES["engaged"][1]
    assert dict(zip(figure.data[1].y, figure.data[1].x, strict=True)) == {"growing": 0, "active": 1}


def test_sankey_keeps_staying_as_a_grey_labelled_band() -> None:
    figure = figures.stage_sankey(pl.DataFrame(ACTIVE_STAYS))

    sankey = figure.data[0]
    assert sankey.node.label == ("active 7", "active 7")
    assert sankey.link.customdata == ("stayed active: 7 (100.0% of that stage)",)
    assert sankey.link.color == ("rgba(138,148,163,0.18)",)


def test_sankey_nodes_stand_in_lifecycle_order_on_both_sides() -> None:
    migration = pl.DataFrame(
        {
            "previous_stage": ["lost", "active", "active", None],
            "stage": ["lost", "cooling", "active", "prospect"],
            "n_users": [5, 2, 8, 1],
            "share_of_previous": [1.0, 0.2, 0.8, None],
        }
    )

    sankey = figures.stage_sankey(migration).data[0]

    assert sankey.node.label == (
        *("first seen 1", "active 10", "lost 5"),
        *("prospect 1", "active 8", "cooling 2", "lost 5"),
    )
    left, right = sankey.node.y[:3], sankey.node.y[3:]
    assert list(left) == sorted(left)
    assert list(right) == sorted(right)
    assert list(sankey.link.source) == [0, 1, 1, 2]
    assert list(sankey.link.target) == [3, 4, 5, 6]


def test_silence_is_drawn_from_the_tenth_to_the_ninetieth_percentile() -> None:
    stages = pl.DataFrame({"stage": ["lost"] * 11, "days_silent": list(range(300, 311))})

    dots = figures.silence_ranges(stages).data[0]

    assert dots.x == (305.0,)
    assert dots.error_x.array == (4.0,)
    assert dots.error_x.arrayminus == (4.0,)


def test_a_short_history_has_no_weekly_mean() -> None:
    daily = pl.select(active_on=pl.date_range(pl.date(2026, 1, 1), pl.date(2026, 1, 13))).with_columns(
        n_active_users=pl.lit(5), n_events=pl.lit(9)
    )

    assert len(figures.activity_line(daily).data) == 1


def test_return_curves_draw_a_band_only_where_there_is_an_interval() -> None:
    curves = pl.DataFrame(
        {
            "stage": ["churned_early", "churned_early", "lost", "lost"],
            "day": [0, 30, 0, 30],
            "p_returned": [0.0, 0.2, 0.0, 0.1],
            "low": [0.0, 0.1, None, None],
            "high": [0.0, 0.3, None, None],
            "n_at_risk": [10, 8, 10, 9],
        }
    )

    figure = figures.return_curves(curves)

    assert [trace.name for trace in figure.data] == [None, None, "churned early", "lost"]
    assert figure.data[2].y == (0.0, 0.2)


def test_the_winner_is_drawn_on_top_of_the_baseline_and_of_the_diagonal() -> None:
    reliability = pl.DataFrame(
        {
            "candidate": ["recency", "boosting"],
            "bin": [0, 0],
            "mean_predicted": [0.2, 0.3],
            "observed": [0.1, 0.31234567],
            "n": [10, 40],
        }
    )

    figure = figures.reliability_lines(reliability, candidates=["boosting", "recency"])

    assert [trace.name for trace in figure.data] == ["perfectly honest", "recency", "boosting"]
    assert figure.data[2].y == (0.3123,)


@pytest.mark.parametrize("draw", [figures.stage_bars, figures.silence_ranges])
def test_no_user_id_and_no_single_user_reaches_a_figure(draw: object, night: ReportContent) -> None:
    one_more = pl.concat([night.stages, night.stages])  # type: ignore[list-item]

    assert len(draw(one_more).to_json()) < 8_000  # type: ignore[operator]
