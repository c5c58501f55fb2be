"""Who entered what, and what makes an experiment unreadable."""

import re
from dataclasses import replace
from datetime import date
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from dagster_project.outcomes.entries import Assignments, assignment_rows, first_entries, set_aside
from dagster_project.outcomes.faults import find_faults
from dagster_project.outcomes.vocabulary import CONTROL_WORDS
from outcomes.builders import NIGHT, at, rows


def faults(given: pl.DataFrame) -> dict[str, str]:
    found = find_faults(given, first_entries(given), as_of=NIGHT)
    return dict(found.select("fault", "explanation").iter_rows())


SOUND = ({"user_id": "a"}, {"user_id": "b", "arm": "control"})


def test_a_user_enters_with_the_first_row_and_what_was_known_then() -> None:
    entered = first_entries(
        rows(
            {"user_id": "a", "assigned_on": date(2024, 3, 9), "strategy_id": "later", "p_return": 0.9},
            {"user_id": "a", "assigned_on": date(2024, 3, 2), "strategy_id": "first", "p_return": 0.1},
            {"user_id": "b", "arm": "control", "strategy_id": "first"},
        )
    )

    assert entered.select("user_id", "arm", "assigned_on", "strategy_id", "p_return").rows() == [
        ("a", "treat", date(2024, 3, 2), "first", 0.1),
        ("b", "control", date(2024, 3, 1), "first", None),
    ]


def test_cost_is_that_of_contacts_begun_within_the_horizon_a_series_once_and_nought_for_control() -> None:
    cost = {"user_id": "a", "expected_cost": 1.0}
    entered = first_entries(
        rows(
            {**cost, "assigned_on": date(2024, 3, 1), "step": 1},
            {**cost, "assigned_on": date(2024, 3, 4), "step": 2},
            {**cost, "assigned_on": date(2024, 3, 8), "step": 1},
            {"user_id": "b", "arm": "control", "expected_cost": 1.0},
            {"user_id": "c"},
        )
    )

    assert entered.select("cost_1", "cost_7", "cost_14").rows() == [(1.0, 1.0, 2.0), (0.0, 0.0, 0.0), (None,) * 3]


def test_files_of_other_words_and_fewer_columns_are_read_alike() -> None:
    made = assignment_rows(
        pl.DataFrame({"user_id": ["a"], "experiment_id": ["e"], "arm": [" Holdout "], "assigned_on": [NIGHT]}),
        pl.DataFrame({"user_id": ["b"], "experiment_id": ["e"], "arm": ["TREAT"], "assigned_on": [NIGHT]}),
    )

    assert made.rows["arm"].to_list() == ["control", "treat"]
    assert made.rows["propensity"].to_list() == [None, None]


@pytest.mark.parametrize(
    "word",
    ["Control group", "ctrl", "hold-out group", "Baseline", "no contact", "not  contacted", "no_email", "对照组"],
)
def test_whatever_a_file_calls_the_held_out_is_the_control(word: str) -> None:
    assert faults(rows({"user_id": "a"}, {"user_id": "b", "arm": word})) == {}


@pytest.mark.parametrize("word", ["0", "c", "false", "a", "b", "grouped", "control mail"])
def test_a_word_that_may_mean_anything_is_an_arm_of_its_own(word: str) -> None:
    assert list(faults(rows({"user_id": "a"}, {"user_id": "b", "arm": word}))) == ["no control"]


def test_without_a_control_the_arms_found_the_words_for_it_and_the_setting_are_named() -> None:
    given = [{"user_id": name, "arm": f"Variant {name}"} for name in "gfedcba"]

    said = faults(rows(*given))["no control"]

    assert "Its arms are: variant a, variant b, variant c, variant d, variant e and 2 more. Of these" in said
    assert f"as these do: {', '.join(CONTROL_WORDS)}." in said
    assert "sources.assignments.columns: arm = \"case when arm = 'your word' then 'control' else arm end\"" in said
    own = faults(rows(*({**row, "origin": "ledger"} for row in given)))
    assert own["no control"] == "Nobody was held out, so there is nothing to compare with."


def test_the_words_for_the_held_out_stand_in_the_docs() -> None:
    page = Path(__file__).parents[2] / "docs" / "outcomes.md"
    if not page.exists():
        pytest.skip("docs/ is not part of an installed package")

    told = re.split("\n## ", page.read_text(encoding="utf-8"))
    words = next(part for part in told if part.startswith("What imports call")).split("\n\n")[0].split("parts:")[1]

    assert tuple(re.findall("`([^`]+)`", words)) == CONTROL_WORDS


def test_a_sound_experiment_has_no_fault() -> None:
    assert faults(rows(*SOUND)) == {}


@pytest.mark.parametrize(
    ("given", "fault", "said"),
    [
        (({"user_id": "a"}, {"user_id": "b", "arm": "other"}), "no control", "Its arms are: other, treat. Of these"),
        (({"user_id": "a"}, {"user_id": "b"}), "empty arm", "Only the arm treat has users"),
        (
            ({"user_id": "a", "propensity": 0.3}, {"user_id": "b", "arm": "control", "propensity": 0.3}),
            "empty arm",
            "add up to 0.6: an arm has no users",
        ),
        ((*SOUND, {"user_id": "a", "arm": "control"}), "two arms", "1 of its users are in two arms"),
        ((*SOUND, {"user_id": "c", "propensity": 1.0}), "impossible propensity", "1 of 3 users had a chance of 0 or 1"),
        ((*SOUND, {"user_id": "c", "propensity": 0.0}), "impossible propensity", "1 of 3 users had a chance of 0 or 1"),
        ((*SOUND, {"user_id": "c", "propensity": None}), "missing propensity", "1 of 3 users have no propensity"),
        ((*SOUND, {"user_id": "c", "assigned_on": date(2024, 6, 3)}), "assigned in the future", "1 assignments"),
        (
            (*SOUND, {"user_id": "c", "assigned_at": at(5), "outcome_at": at(4)}),
            "assigned after the outcome",
            "1 users were assigned after the outcome",
        ),
    ],
)
def test_what_makes_an_experiment_unreadable_is_named(given: tuple[dict, ...], fault: str, said: str) -> None:
    found = faults(rows(*given))

    assert said in found[fault]


def test_an_experiment_that_notes_no_propensity_at_all_is_no_fault() -> None:
    assert faults(rows(*({**row, "propensity": None} for row in SOUND))) == {}


def test_experiments_on_words_need_no_control() -> None:
    words = {"experiment_id": "words.whats_new", "arm": "one"}

    assert faults(rows({**words, "user_id": "a"}, {**words, "user_id": "b", "arm": "two"})) == {}


def test_a_user_whom_new_shares_of_our_own_moved_counts_where_they_began() -> None:
    old, new = {"assigned_on": date(2024, 3, 1)}, {"assigned_on": date(2024, 4, 1)}
    moved = (
        {"user_id": "a", "arm": "treat", "propensity": 0.9, **old},
        {"user_id": "b", "arm": "control", "propensity": 0.1, **old},
        {"user_id": "a", "arm": "control", "propensity": 0.3, **new},
        {"user_id": "c", "arm": "treat", "propensity": 0.7, **new},
    )

    assert "two arms" not in faults(rows(*({**row, "origin": "ledger"} for row in moved)))
    assert "two arms" in faults(rows(*moved))


def test_of_two_experiments_only_the_faulty_one_is_named() -> None:
    given = rows(*SOUND, {"experiment_id": "f", "user_id": "a"}, {"experiment_id": "f", "user_id": "b"})

    found = find_faults(given, first_entries(given), as_of=NIGHT)

    assert set(found["experiment_id"]) == {"f"}
    assert sorted(found["fault"]) == ["empty arm", "no control"]


def _moved(n_moved: int, n: int = 400) -> Assignments:
    """A ledger of one experiment, a tenth held out, of whom so many were drawn again as treated a night later."""
    held = [{"user_id": f"c{at}", "arm": "control", "propensity": 0.1} for at in range(n // 10)]
    treated = [{"user_id": f"t{at}", "propensity": 0.85} for at in range(n - n // 10)]
    again = [{"user_id": f"c{at}", "propensity": 0.85, "assigned_on": date(2024, 3, 8)} for at in range(n_moved)]
    return rows(*({**row, "origin": "ledger"} for row in (*held, *treated, *again)))


def test_a_few_users_who_moved_from_arm_to_arm_are_set_aside_and_counted() -> None:
    given = _moved(4)

    assert faults(given) == {}
    assert set_aside(given).rows() == [("e", "being in two arms", 4)]
    entered = first_entries(given)
    assert entered.height == 396
    assert not entered["user_id"].is_in(["c0", "c1", "c2", "c3"]).any()


def test_many_users_who_moved_break_the_experiment_and_stay_in_it() -> None:
    given = _moved(5)

    assert faults(given) == {"two arms": "5 of its users are in two arms."}
    assert set_aside(given).is_empty()
    assert first_entries(given).height == 400


def test_a_chance_of_treatment_on_every_row_is_named_as_such() -> None:
    given = [{"user_id": f"u{at}", "arm": "control" if at < 10 else "treat", "propensity": 0.9} for at in range(100)]

    found = faults(rows(*given))

    assert list(found) == ["impossible propensity"]
    assert found["impossible propensity"].startswith(
        "The shares of the arms add up to 1.8: propensity means the chance"
    )


def test_arms_that_follow_each_other_may_add_up_to_more_than_one() -> None:
    later = {"assigned_on": date(2024, 4, 1)}
    old, new = {"arm": "a"}, {"arm": "b", **later}
    users = (old, {"arm": "control"}, new, {"arm": "control", **later})

    assert faults(rows(*({"user_id": f"u{at}", **user} for at, user in enumerate(users)))) == {}


def _known(*known: bool, origin: str = "imported") -> dict[str, str]:
    arms = [{"user_id": f"u{at}", "arm": ("treat", "control")[at % 2], "origin": origin} for at in range(len(known))]
    given = rows(*arms)
    entered = first_entries(given).with_columns(pl.Series("is_known", known))
    return dict(find_faults(given, entered, as_of=NIGHT).select("fault", "explanation").iter_rows())


def test_an_import_hardly_any_of_whose_users_is_known_is_named_with_their_number_and_the_likely_cause() -> None:
    strangers = [False] * 199
    found = _known(True, *strangers)

    assert list(found) == ["users unknown"]
    assert found["users unknown"].startswith("199 of 200 users are unknown: no event and no profile has their id.")
    assert _known(True, True, *strangers[1:]) == {}
    assert _known(True, *strangers, origin="ledger") == {}


def _since_march(n_early: int, n: int = 400) -> Assignments:
    """An import of one experiment, half held out, of which so many entered before the records begin."""
    early = [{"assigned_on": date(2024, 2, 29)} if at < n_early else {} for at in range(n)]
    given = [{"user_id": f"u{at:03d}", "arm": ("treat", "control")[at % 2], **early[at]} for at in range(n)]
    return replace(rows(*given), records_from=date(2024, 3, 1))


@pytest.mark.parametrize("n", [1, 4, 300])
def test_who_entered_before_the_records_begin_is_set_aside_and_counted(n: int) -> None:
    given = _since_march(n)

    assert faults(given) == {}
    assert set_aside(given).rows() == [("e", "having entered before the records begin", n)]
    assert first_entries(given).height == 400 - n
    assert first_entries(given)["assigned_on"].unique().to_list() == [date(2024, 3, 1)]


def test_an_experiment_wholly_before_the_records_is_broken() -> None:
    found = faults(_since_march(400))

    assert list(found) == ["before the records begin"]
    assert found["before the records begin"].startswith("All 400 users entered before 2024-03-01, the first day")


def test_who_entered_before_the_records_and_again_later_is_no_entry_of_the_later_day() -> None:
    early = _since_march(1)
    again = early.rows.filter(pl.col("user_id") == "u000").with_columns(assigned_on=date(2024, 4, 1))

    entered = first_entries(assignment_rows(early.rows, again, records_from=early.records_from))

    assert entered.height == 399
    assert "u000" not in entered["user_id"]


def test_experiments_of_one_arm_are_named_whatever_parts_the_frame_is_in() -> None:
    # Polars 2.1 panics in `pl.format` where a filter has left the first chunk of its column empty: one of these in ten.
    for seed in range(100):
        rng = np.random.default_rng(seed)
        given = rows(
            *(
                {
                    "user_id": f"u{at}",
                    "experiment_id": f"e{rng.integers(12)}",
                    "arm": ("treat", "control")[rng.integers(2)],
                }
                for at in range(30)
            )
        )
        entered = first_entries(given)
        arms = entered.group_by("experiment_id").agg(pl.col("arm").n_unique().alias("n"))

        found = find_faults(given, entered, as_of=NIGHT).filter(pl.col("explanation").str.starts_with("Only"))

        assert found["experiment_id"].to_list() == arms.filter(pl.col("n") == 1)["experiment_id"].sort().to_list()
