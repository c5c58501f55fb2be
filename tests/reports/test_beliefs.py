import polars as pl

from dagster_project.reports.beliefs import about_beliefs, belief_rows, targeting
from dagster_project.strategy.belief_table import BELIEFS

PRIOR = ("whats_new", "email", 0.08, 0.08, 0.2, 0.3, 0, "prior", None)
LEARNED = ("price_save", "email", 0.2, -0.31, 0.05, 0.99, 4200, "randomised", 23)


def _beliefs(*rows: tuple[object, ...]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema=BELIEFS, orient="row")


def test_without_outcomes_of_their_own_all_is_called_opinion() -> None:
    assert about_beliefs(_beliefs(PRIOR)).startswith("No strategy has outcomes of its own yet")
    assert belief_rows(_beliefs(PRIOR)) is None


def test_what_was_learned_is_shown_and_likely_harm_is_marked() -> None:
    told = _beliefs(PRIOR, LEARNED)
    assert about_beliefs(told) == (
        "Of 2 strategies 1 went by outcomes of their own; "
        "for 1 of them randomised outcomes, not opinion, now say the most."
    )
    table = belief_rows(told)
    assert table is not None
    assert table.rows == (("price save", "email", "+0.20", "-0.31 ± 0.05", "99.0%", "4,200", "23", "randomised"),)
    assert table.marked == frozenset({0})


def test_targeting_by_uplift_is_told_where_it_could_be_judged() -> None:
    verdicts = pl.DataFrame(
        {
            "strategy_id": ["b", "*", "a"],
            "verdict": ["ships", "average", "thin"],
            "sentence": ["By uplift.", "Not.", "?"],
        }
    )
    assert targeting(verdicts) == ["Not.", "By uplift."]
    assert targeting(None) == []
