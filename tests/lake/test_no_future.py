"""Nothing dated after a night can reach it, whether it came before the night was first made or after."""

from datetime import date

import pytest
from polars.testing import assert_frame_equal
from workbench import EVENT_COLUMNS, Workbench, reading

NIGHT = date(2024, 2, 1)
PAST = "id,at,amount\na,2024-01-01,5\na,2024-01-20,7\nb,2024-02-01 23:59,1\n"
FUTURE = "id,at,amount\na,2024-02-02 00:00,100\nb,2024-03-01,100\nc,2024-02-02,100\n"
READING = reading(columns={**EVENT_COLUMNS, "amount": "amount"})
MARTS = ("intermediate.user_states", "marts.users", "marts.user_features", "marts.daily_activity")


def make_night(workbench: Workbench) -> None:
    workbench.reading = READING
    workbench.take_in()
    workbench.build_past()
    for table in ("staging.users", "staging.links", "staging.message_events"):
        workbench.build(table)
    for table in MARTS:
        workbench.builder().build_with_inputs(table, as_of=NIGHT)


@pytest.fixture
def past(workbench: Workbench) -> Workbench:
    workbench.deliver("past.csv", PAST)
    make_night(workbench)
    return workbench


def rows(workbench: Workbench, table: str) -> object:
    if table == "marts.daily_activity":
        return workbench.lake.read(table, key=NIGHT.isoformat())
    made = workbench.lake.read(table, key=NIGHT.isoformat())
    return made if "user_id" not in made.columns else made.drop("user_sk").sort("user_id")


@pytest.mark.parametrize("table", MARTS)
def test_a_lake_that_knows_the_future_makes_the_same_night(past: Workbench, table: str) -> None:
    knowing = Workbench(past.folder / "knowing")
    knowing.deliver("a future.csv", FUTURE)
    knowing.deliver("past.csv", PAST)
    make_night(knowing)

    if table == "intermediate.user_states":
        assert_frame_equal(knowing.table(table, as_of=NIGHT), past.table(table, as_of=NIGHT))
    else:
        assert_frame_equal(rows(knowing, table), rows(past, table))  # type: ignore[arg-type]


def test_the_same_lake_replays_the_night_to_the_same_rows(past: Workbench) -> None:
    before = {table: past.lake.read(table, key=NIGHT.isoformat()) for table in MARTS}

    past.deliver("future.csv", FUTURE)
    make_night(past)

    for table, rows_before in before.items():
        assert_frame_equal(past.lake.read(table, key=NIGHT.isoformat()), rows_before, check_exact=True)


def test_a_user_of_the_future_is_not_there_yet(past: Workbench) -> None:
    past.deliver("future.csv", FUTURE)
    make_night(past)

    assert past.lake.read("marts.users", key=NIGHT.isoformat())["user_id"].sort().to_list() == ["a", "b"]
