"""The three real logs, from their files to the night's lists, by the command that users type."""

from collections.abc import Callable
from functools import cache
from pathlib import Path

import polars as pl
import pytest

from dagster_project.lifecycle.stages import PHASE_OF_STAGE
from real.nights import Night, run, settings_of

pytestmark = pytest.mark.real_data
EXAMPLES = ("online_retail", "cdnow", "grocery")
NIGHTS = {"online_retail": "2011-12-09", "cdnow": "1998-06-30", "grocery": "2007-12-30"}
USERS = {"online_retail": 4_372, "cdnow": 23_570, "grocery": 1_525}
# rows read, without a user, repeated in every column, sum of the amounts: of the sets' own documents
ROWS = {
    "online_retail": (541_909, 135_080, 5_225, "9747747.9340"),
    "cdnow": (69_659, 0, 255, "2500315.6300"),
    "grocery": (10_483, 0, 0, None),
}
MOST_BYTES = 2 * 1024**3
PROBABILITIES = ("p_active", "p_return", "p_churn")
AMOUNTS = ("expected_events", "expected_value", "value_if_returned")


@pytest.fixture(scope="module")
def night_of(real_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Night]:
    """The newest night of an example, run once for all tests."""

    @cache
    def run_once(name: str) -> Night:
        return run(settings_of(name, real_data=real_data, folder=tmp_path_factory.mktemp(name)))

    return run_once


@pytest.fixture(params=EXAMPLES)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def night(name: str, night_of: Callable[[str], Night]) -> Night:
    return night_of(name)


def test_the_newest_night_is_the_last_day_of_the_log(name: str, night: Night) -> None:
    assert night.folder.name == NIGHTS[name]
    assert str(night.folder / "cohorts.csv") in night.said.replace("\n", "")


def test_rows_and_sums_are_those_of_the_sets_own_documents(name: str, night: Night) -> None:
    (events,) = night.metrics["data_quality"]
    n_read, n_anonymous, n_repeated, amount = ROWS[name]

    assert (events["n_rows_read"], events["n_anonymous"], events["amount_read"]) == (n_read, n_anonymous, amount)
    assert (events["n_duplicates"], events["n_filtered"], events["n_quarantined"]) == (n_repeated, 0, 0)
    assert events["n_kept"] == n_read - n_anonymous - n_repeated


def test_every_user_is_accounted_for_once(name: str, night: Night) -> None:
    users = night.users
    contacted, held_out, left_alone = (
        set(night.listed(f"{file}.csv")["user_id"]) for file in ("cohorts", "holdout", "suppressed")
    )

    assert users["user_id"].n_unique() == users.height == USERS[name]
    assert set(users["stage"]) <= set(PHASE_OF_STAGE)
    assert not contacted & held_out
    assert not contacted & left_alone
    assert not held_out & left_alone
    churned = set(users.filter("is_churned")["user_id"])
    here = set(users.filter(~pl.col("is_churned"), pl.col("stage").is_in(["cooling", "at_risk"]))["user_id"])
    assert churned <= contacted | held_out | left_alone <= churned | here
    assert left_alone <= churned


def test_no_figure_is_absurd(night: Night) -> None:
    figures = night.users.select(*PROBABILITIES, *AMOUNTS).cast(pl.Float64)
    known = figures.unpivot().drop_nulls()

    assert known.filter(~pl.col("value").is_finite()).is_empty()
    assert known.filter(pl.col("value") < 0).is_empty()
    assert known.filter(pl.col("variable").is_in(PROBABILITIES) & (pl.col("value") > 1)).is_empty()


def test_the_list_is_ranked_by_what_contacting_earns(night: Night) -> None:
    treated = night.listed("cohorts.csv").filter(pl.col("arm") == "treat").sort("rank")

    assert treated["expected_profit"].is_sorted(descending=True)
    assert (treated["expected_profit"] >= 0).all()
    assert (treated["p_return_low"] <= treated["p_return"]).all()
    assert (treated["p_return"] <= treated["p_return_high"]).all()


def test_the_winner_is_never_worse_than_recency_on_the_lapsed(night: Night) -> None:
    models = night.metrics["models"]
    candidates = models["candidates"]
    winner, recency = candidates[models["winner"]]["lapsed"], candidates["recency"]["lapsed"]

    assert winner["n"] == recency["n"] > 0
    assert winner["log_loss"] <= recency["log_loss"]


def test_the_evaluation_window_closed_before_the_night(night: Night) -> None:
    models = night.metrics["models"]
    horizon = pl.Series([models["test_cutoff"]]).str.to_date().dt.offset_by(f"{models['horizon_days']}d")

    assert str(horizon[0]) <= night.folder.name


def test_a_cancellation_is_no_activity(night_of: Callable[[str], Night]) -> None:
    users = night_of("online_retail").users
    never = users.filter(pl.col("days_silent").is_null())

    # 33 of the 4,372 customers have nothing but invoices that start with C
    assert (never.height, set(never["stage"]), never["p_active"].null_count()) == (33, {"prospect"}, 33)
    # customer 12346 bought once, on 2011-01-18, and cancelled it sixteen minutes later
    assert users.filter(pl.col("user_id") == "12346")["days_silent"].to_list() == [325]


def test_half_a_million_rows_take_less_than_two_gigabytes(night_of: Callable[[str], Night]) -> None:
    assert night_of("online_retail").peak_bytes < MOST_BYTES


def test_the_same_command_again_gives_the_same_bytes(night_of: Callable[[str], Night]) -> None:
    first = night_of("grocery")
    before = first.bytes_by_file()

    again = run(first.settings).bytes_by_file()

    assert again == before
    assert {"cohorts.csv", "users.parquet", "metrics.json", "manifest.json", "report.html"} <= set(before)
