import polars as pl

from dagster_project.reports.beliefs import about_beliefs, belief_rows, learner_tables, targeting
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
    assert targeting(verdicts) == ["Any contact: Not.", "b: By uplift."]
    assert targeting(None) == []


def test_learners_stand_by_treatment_the_best_order_first_and_the_judged_one_marked() -> None:
    ends = {"qini": 0.06, "auuc": 30.0, "uplift_at_10": 0.1, "uplift_at_20": 0.08, "uplift_at_30": 0.07}
    figures = {f"{name}{end}": value for name, value in ends.items() for end in ("", "_low", "_high")}
    gains = {"policy_gain": 2.0, "policy_gain_low": 1.0, "policy_gain_high": 3.0}
    plain = {"strategy_id": "*", "learner": "s", "wording": "one regression", "is_chosen": True} | figures | gains
    better = plain | {"learner": "t", "wording": "two regressions", "is_chosen": False, "auuc": 31.0, "qini": None}
    (table,) = learner_tables(pl.DataFrame([plain, better]))
    assert table.caption.startswith("Any contact")
    assert [row[:2] for row in table.rows] == [
        ("two regressions", ""),
        ("one regression", "0.060 (0.060 to 0.060)"),
    ]
    assert table.rows[0][-1] == "+2.0 (+1.0 to +3.0)" and table.marked == frozenset({1})
    assert learner_tables(None) == []
