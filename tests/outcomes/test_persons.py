"""Several accounts of one person are one entry."""

from dataclasses import replace
from datetime import date

import polars as pl

from dagster_project.outcomes.entries import Assignments, assignment_rows, first_entries, set_aside
from dagster_project.outcomes.faults import find_faults
from dagster_project.outcomes.persons import USERS as USERS_SCHEMA
from dagster_project.outcomes.persons import known_persons, one_per_person, shared_accounts
from outcomes.builders import NIGHT, rows

KEYS = pl.DataFrame({"user_sk": [1, 2, 3, 4], "user_id": ["d", "c", "b", "a"]})
USERS = pl.DataFrame({"user_sk": [1, 2, 3], "person_key": ["p", "", "p"]})


def test_accounts_of_a_person_share_a_key_and_who_was_only_assigned_is_unknown() -> None:
    found = known_persons(KEYS, USERS).sort("account_sk")

    assert found.rows() == [("d", 1, 1, True), ("c", 2, 2, True), ("b", 3, 1, True), ("a", 4, 4, False)]


def test_of_several_accounts_the_first_to_enter_stands_with_the_costs_of_all() -> None:
    entries = first_entries(
        rows(
            {"user_id": "d", "arm": "treat", "assigned_on": date(2024, 3, 2), "expected_cost": 0.5},
            {"user_id": "b", "arm": "treat", "assigned_on": date(2024, 3, 1), "expected_cost": 0.2},
            {"user_id": "c", "arm": "control", "expected_cost": 0.1},
            {"user_id": "a", "arm": "treat", "expected_cost": None},
            {"user_id": "d", "arm": "control", "experiment_id": "f"},
        )
    )

    found = one_per_person(entries, known_persons(KEYS, USERS))

    assert found.select("experiment_id", "user_id", "arm", "user_sk", "is_known", "cost_180").rows() == [
        ("e", "a", "treat", 4, False, None),
        ("e", "b", "treat", 1, True, 0.7),
        ("e", "c", "control", 2, True, 0.0),
        ("f", "d", "control", 1, True, 0.0),
    ]


def _two_accounts_each(n_apart: int, *, origin: str = "imported", n: int = 200) -> Assignments:
    """As many persons with two accounts each, of whom so many have them in two arms."""
    given, held = [], []
    for at in range(n):
        first, other = ("treat", "control") if at % 2 else ("control", "treat")
        arms = (first, other if at < n_apart else first)
        given += [
            {"user_id": f"{at}{name}", "arm": arm, "origin": origin} for name, arm in zip("ab", arms, strict=True)
        ]
        held += [(f"{at}a", 2 * at, 2 * at, True), (f"{at}b", 2 * at + 1, 2 * at, True)]
    persons = pl.DataFrame(held, schema=USERS_SCHEMA, orient="row")
    return replace(rows(*given), shared=shared_accounts(persons))


def _faults(given: Assignments) -> list[tuple[str, str]]:
    return find_faults(given, first_entries(given), as_of=NIGHT).select("fault", "explanation").rows()


def test_many_persons_whose_accounts_an_import_has_in_two_arms_break_it() -> None:
    said = "3 of its persons, who have 6 accounts, are in two arms: accounts of one person were drawn apart."

    assert _faults(_two_accounts_each(3)) == [("two arms", said)]
    assert first_entries(_two_accounts_each(3)).height == 400


def test_few_persons_whose_accounts_an_import_has_in_two_arms_are_set_aside_and_counted() -> None:
    given = _two_accounts_each(2)

    assert _faults(given) == []
    assert set_aside(given).rows() == [("e", "being in two arms", 2)]
    assert first_entries(given).height == 396
    assert not first_entries(given)["user_id"].is_in(["0a", "0b", "1a", "1b"]).any()


def test_arms_of_the_ledger_last_though_accounts_turn_out_to_be_one_persons() -> None:
    given = _two_accounts_each(100, origin="ledger")

    assert _faults(given) == []
    assert set_aside(given).is_empty()


def test_who_moved_by_one_account_and_by_several_counts_once() -> None:
    given = _two_accounts_each(2)
    again = given.rows.filter(pl.col("user_id") == "0a").with_columns(arm=pl.lit("treat"))

    both = replace(given, rows=assignment_rows(given.rows, again).rows)

    assert set_aside(both)["n_users"].to_list() == [2]


def test_an_account_without_any_key_is_still_counted() -> None:
    found = one_per_person(first_entries(rows({"user_id": "stranger"})), known_persons(KEYS, USERS))

    assert found.select("user_id", "user_sk", "is_known").rows() == [("stranger", None, False)]
