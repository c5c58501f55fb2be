"""The real data sets, whole: what is taken in equals what their own documentation counts."""

import re
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest

from dagster_project.project import Project

pytestmark = pytest.mark.real_data
EXAMPLES = Path(__file__).parents[2] / "data" / "examples"


def example(name: str, *, real_data: Path, folder: Path) -> Project:
    """The project of an example's settings, with its store in `folder`."""
    text = (EXAMPLES / f"{name}.toml").read_text(encoding="utf-8")
    moved = re.sub(r'"\.\./\.\./\.\./shared/data/', f'"{real_data}/', text)
    path = folder / f"{name}.toml"
    path.write_text(moved.replace(f'"../{name}"', '"store"'), encoding="utf-8")
    project = Project.load(path)
    project.take_in("events")
    project.build("staging.events")
    return project


@pytest.fixture(scope="module", params=["online_retail", "cdnow", "grocery"])
def project(
    request: pytest.FixtureRequest, real_data: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Project]:
    yield example(request.param, real_data=real_data, folder=tmp_path_factory.mktemp(request.param))


COUNTS = {
    "GBP": {"kept": (406_829, Decimal("8300065.8140")), "anonymous": (135_080, Decimal("1447682.1200"))},
    "USD": {"kept": (69_659, Decimal("2500315.6300"))},
    "EUR": {"kept": (10_483, None)},
}
USERS = {"GBP": 4_372, "USD": 23_570, "EUR": 1_525}
DAYS = {
    "GBP": ("2010-12-01", "2011-12-09"),
    "USD": ("1997-01-01", "1998-06-30"),
    "EUR": ("2006-01-01", "2007-12-30"),
}
EXACT_REPEATS = {"GBP": 5_225, "USD": 255, "EUR": 0}


def test_rows_and_amounts_equal_those_that_the_sets_own_documents_give(project: Project) -> None:
    counted = project.arrivals.row_counts("events").group_by("fate").agg(pl.col("n_rows").sum(), pl.col("amount").sum())
    has_amount = "amount" in project.sources["events"].reading.columns

    found = {fate: (n_rows, amount if has_amount else None) for fate, n_rows, amount in counted.iter_rows()}

    assert found == COUNTS[project.settings.currency]
    assert project.quarantine().is_empty()


def test_online_retail_adds_up_to_its_published_turnover() -> None:
    assert sum(amount for _, amount in COUNTS["GBP"].values() if amount) == Decimal("9747747.9340")


def test_users_and_days_are_those_of_the_set(project: Project) -> None:
    events = pl.read_parquet(project.lake.paths("staging.events"))
    first, last = project.event_days()

    assert events["user_sk"].n_unique() == USERS[project.settings.currency]
    assert (str(first), str(last)) == DAYS[project.settings.currency]


def test_only_rows_that_are_equal_in_every_column_are_dropped(project: Project) -> None:
    kept = COUNTS[project.settings.currency]["kept"][0]
    n_events = pl.read_parquet(project.lake.paths("staging.events")).height

    assert kept - n_events == EXACT_REPEATS[project.settings.currency]


def test_cancellations_are_no_activity(project: Project) -> None:
    if project.settings.currency != "GBP":
        return
    project.build("intermediate.user_days")
    days = pl.read_parquet(project.lake.paths("intermediate.user_days"))

    assert days.filter(pl.col("n_core_events") == 0)["amount"].max() <= 0  # refunds, and nothing else
    assert days.filter(pl.col("n_core_events") > 0)["user_sk"].n_unique() == 4_339


def test_a_second_night_reads_nothing(project: Project) -> None:
    assert project.take_in("events").new_files == ()  # type: ignore[union-attr]
    assert project.build("staging.events").written == ()
