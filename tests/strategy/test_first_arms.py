"""Arms that last: who began an experiment in an arm keeps it, whatever is learned of the person or the salt later."""

from collections.abc import Callable
from dataclasses import replace
from datetime import date, timedelta

import polars as pl
import pytest

from dagster_project.outcomes.entries import assignment_rows, first_entries
from dagster_project.outcomes.faults import find_faults
from dagster_project.strategy.assignment import Decisions, decide
from dagster_project.strategy.catalogue import Catalogue
from dagster_project.strategy.hands import Hands
from dagster_project.strategy.holdout import experiment_of
from dagster_project.strategy.ledger import ASSIGNMENTS, contacts, first_arms
from dagster_project.strategy.rules import DecisionRules
from dagster_project.strategy.series import ANSWERS, Past

FIRST_ON = date(2026, 6, 1)
LATER_ON = date(2026, 7, 20)
EMPTY = ASSIGNMENTS.to_frame()
Frame = Callable[..., pl.DataFrame]
Night = Callable[..., Decisions]


@pytest.fixture
def night(contact_points: Frame, catalogue: Catalogue, rules: DecisionRules) -> Night:
    def run(
        users: pl.DataFrame, *, as_of: date = FIRST_ON, ledger: pl.DataFrame = EMPTY, **changes: object
    ) -> Decisions:
        told = replace(rules, **{"control_share": 0.3, "explore_share": 0.1} | changes)  # type: ignore[arg-type]
        past = Past(
            contacts=contacts(ledger, users, catalogue=catalogue),
            answers=ANSWERS.to_frame(),
            arms=first_arms(ledger, users, rules=told),
        )
        return decide(users, contact_points(), catalogue=catalogue, rules=told, as_of=as_of, past=past)

    return run


def _arms(ledger: pl.DataFrame, experiment_id: str = "global_holdout") -> dict[str, str]:
    return dict(ledger.filter(pl.col("experiment_id") == experiment_id).select("user_id", "arm").iter_rows())


def _faults(*nights: Decisions) -> list[str]:
    ledger = pl.concat([one.assignments for one in nights])
    rows = assignment_rows(
        ledger.with_columns(
            (pl.col("as_of") + timedelta(days=1)).alias("assigned_on"), pl.lit("ledger").alias("origin")
        )
    )
    return find_faults(rows, first_entries(rows), as_of=LATER_ON)["fault"].to_list()


def test_users_whose_person_becomes_known_keep_their_arm(candidates: Frame, night: Night) -> None:
    users = candidates(*({"value_if_returned": 180.0} for _ in range(300)))
    first = night(users)
    known = users.with_columns(("p" + pl.col("user_id")).alias("person_key"))

    second = night(known, as_of=LATER_ON, ledger=first.assignments)

    both = _arms(first.assignments).items() & _arms(second.assignments).items()
    assert len(_arms(second.assignments)) == 300
    assert len(both) == 300
    # Without the ledger the draw of the person is another one.
    assert _arms(night(known, as_of=LATER_ON).assignments) != _arms(first.assignments)
    assert "two arms" not in _faults(first, second)


def test_another_account_of_a_person_gets_the_arm_of_the_one_that_came_first(candidates: Frame, night: Night) -> None:
    one = candidates(*({"value_if_returned": 180.0} for _ in range(60)))
    first = night(one)
    named = one.with_columns(("p" + pl.col("user_id")).alias("person_key"))
    twins = named.with_columns(pl.col("user_sk") + 1000, ("twin " + pl.col("user_id")).alias("user_id"))

    second = _arms(night(pl.concat([named, twins]), as_of=LATER_ON, ledger=first.assignments).assignments)

    arms = _arms(first.assignments)
    assert {name: second[f"twin {name}"] for name in arms} == arms


def test_new_shares_draw_everybody_anew_and_one_way_only(candidates: Frame, night: Night) -> None:
    users = candidates(*({"value_if_returned": 180.0} for _ in range(300)))
    first = night(users)
    second = night(users, as_of=LATER_ON, ledger=first.assignments, control_share=0.5)

    before, after = (
        {name for name, arm in _arms(one.assignments).items() if arm == "control"} for one in (first, second)
    )
    assert before < after
    third = night(users, as_of=LATER_ON, ledger=first.assignments, control_share=0.0)
    assert "control" not in _arms(third.assignments).values()


def test_another_salt_is_another_experiment(candidates: Frame, night: Night) -> None:
    renamed = experiment_of("pepper", usual="s")
    assert experiment_of("s", usual="s") == "global_holdout"
    assert renamed.startswith("global_holdout.")
    assert renamed != experiment_of("salt", usual="s")

    users = candidates(*({"value_if_returned": 180.0} for _ in range(300)))
    first = night(users)
    second = night(users, as_of=LATER_ON, ledger=first.assignments, salt="pepper", experiment_id=renamed)

    assert _arms(second.assignments, renamed) != _arms(first.assignments)
    assert "two arms" not in _faults(first, second)


def test_a_strategys_own_controls_stay_held_out(candidates: Frame, night: Night) -> None:
    users = candidates(*({"value_if_returned": 180.0} for _ in range(300)))
    hands = {"hands": Hands(control_shares={"price_save": 0.4, "whats_new": 0.4, "loyalty_points": 0.4})}
    first = night(users, **hands)
    known = users.with_columns(("p" + pl.col("user_id")).alias("person_key"))

    second = night(known, as_of=LATER_ON, ledger=first.assignments, **hands)

    own = set(first.assignments["experiment_id"].unique()) - {"global_holdout"}
    shared = [name for name in own if name.startswith("strategy.")]
    assert shared
    for name in shared:
        before, after = _arms(first.assignments, name), _arms(second.assignments, name)
        both = before.keys() & after.keys()
        assert {user: before[user] for user in both} == {user: after[user] for user in both}


def test_words_are_compared_on_a_users_first_contact_by_the_strategy_alone(candidates: Frame, night: Night) -> None:
    users = candidates(*({"value_if_returned": 180.0} for _ in range(300)))
    ledger, nights = EMPTY, []
    for week in range(4):
        made = night(users, as_of=FIRST_ON + timedelta(days=50 * week), ledger=ledger)
        nights.append(made)
        ledger = pl.concat([one.assignments for one in nights])

    words = ledger.filter(pl.col("experiment_id").str.starts_with("words."))
    assert words.height > 200
    assert words.select("user_id", "strategy_id").is_unique().all()
    assert (words["experiment_id"] == "words." + words["strategy_id"] + "." + words["channel"]).all()
    assert "two arms" not in _faults(*nights)
