"""Several accounts of one person are one entry."""

from datetime import date

import polars as pl

from dagster_project.outcomes.entries import first_entries
from dagster_project.outcomes.persons import known_persons, one_per_person
from outcomes.builders import rows

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


def test_an_account_without_any_key_is_still_counted() -> None:
    found = one_per_person(first_entries(rows({"user_id": "stranger"})), known_persons(KEYS, USERS))

    assert found.select("user_id", "user_sk", "is_known").rows() == [("stranger", None, False)]
