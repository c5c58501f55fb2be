"""Building: only what changed is made again, and nothing that breaks its tests is put in place."""

from dataclasses import replace
from datetime import date

import pytest
from workbench import MODELS, Workbench

from dagster_project.errors import LakeError
from dagster_project.lake.audit import AuditError
from dagster_project.lake.build import DAYS_AT_ONCE, ROWS_AT_ONCE, in_chunks
from dagster_project.lake.sql_model import parse_test

DAY = date(2024, 1, 2)


@pytest.fixture
def built(workbench: Workbench) -> Workbench:
    workbench.rows_of("id,at\nb,2024-01-01\na,2024-01-02\n")
    workbench.build_past()
    workbench.build("intermediate.user_states", as_of=DAY)
    for table in ("staging.users", "staging.links", "staging.message_events"):
        workbench.build(table)
    return workbench


def test_an_unchanged_table_is_not_made_again(built: Workbench) -> None:
    assert built.build("intermediate.user_states", as_of=DAY).written == ()
    assert built.build("staging.events").written == ()


def test_a_changed_query_makes_its_table_again(built: Workbench) -> None:
    model = MODELS["intermediate.user_days"]
    built.models = {**MODELS, model.table: replace(model, query=model.query.replace("count(*) as", "1 * count(*) as"))}

    assert built.build("intermediate.user_days").written == ("2024-01-01", "2024-01-02")


def test_rows_that_break_a_test_leave_the_table_as_it_was(built: Workbench) -> None:
    broken = replace(
        MODELS["intermediate.user_days"], tests=(parse_test("n_events > 1"),), query="select 9 as n_events"
    )
    model = MODELS["intermediate.user_days"]
    before = built.lake.index(model.table)
    query = model.query.replace("count(*) as", "0 * count(*) as")
    built.models = {**MODELS, model.table: replace(broken, query=query)}

    with pytest.raises(AuditError) as caught:
        built.build("intermediate.user_days")

    assert caught.value.problem == "intermediate.user_days 2024-01-01 to 2024-01-02 breaks n_events_gt_1 (2 rows)"
    assert [(result.name, result.n_failing) for result in caught.value.results] == [("n_events_gt_1", 2)]
    assert built.lake.index(model.table) == before


def test_a_mart_is_sorted_by_the_users_own_id(built: Workbench) -> None:
    built.build("marts.users", as_of=DAY)

    assert built.lake.read("marts.users", key="2024-01-02").select("user_sk", "user_id").rows() == [(2, "a"), (1, "b")]


def test_a_table_that_needs_another_says_which(built: Workbench) -> None:
    with pytest.raises(LakeError, match=r"intermediate\.user_states has no partition 2024-01-01"):
        built.build("marts.users", as_of=date(2024, 1, 1))


def test_a_night_before_all_events_and_one_after_them_can_be_made(built: Workbench) -> None:
    for night in (date(2020, 1, 1), date(2030, 1, 1)):
        for table in ("marts.users", "marts.user_features", "marts.daily_activity"):
            built.builder().build_with_inputs(table, as_of=night)

    assert built.lake.read("marts.users", key="2020-01-01").is_empty()
    assert built.lake.read("marts.user_features", key="2030-01-01")["silence_days"].to_list() == [2191, 2192]


def test_days_are_made_together_until_they_are_too_many_or_their_rows_are() -> None:
    days = [str(DAY.replace(month=1 + n // 28, day=1 + n % 28)) for n in range(DAYS_AT_ONCE + 1)]
    half = ROWS_AT_ONCE // 2

    assert [len(chunk) for chunk in in_chunks(days, n_rows={})] == [DAYS_AT_ONCE, 1]
    assert in_chunks(days[:4], n_rows=dict.fromkeys(days, half)) == [days[:2], days[2:4]]
    assert in_chunks(days[:3], n_rows={days[1]: 9 * half}) == [days[:1], days[1:2], days[2:3]]
    assert in_chunks([], n_rows={}) == []


def test_the_rows_of_a_day_are_those_that_arrived_and_were_kept(built: Workbench) -> None:
    assert built.arrivals.n_rows("ingest.events") == {"2024-01-01": 1, "2024-01-02": 1}
    assert built.arrivals.n_rows("ingest.user_keys") == {}
