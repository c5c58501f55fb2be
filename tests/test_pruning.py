from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import polars as pl

from dagster_project.models.keeping import ModelCard, keep_model, read_cards
from dagster_project.project import Project
from dagster_project.pruning import BULKY, KEPT_NIGHTS, forget_superseded_models, prune

NIGHT, LATER = date(2024, 6, 1), date(2024, 6, 5)
SETTINGS = """
[sources.events]
path = "events.csv"
columns = { user_id = "uid", occurred_at = "at", event_type = "kind" }
"""
CARD = ModelCard(
    name="blend",
    trained_as_of=NIGHT,
    horizon_days=28,
    cutoffs=(date(2024, 5, 4),),
    features=("silence_days",),
    seed=7,
    settings_hash="a",
    data_hash="rows",
)


def project_with(folder: Path, *, verdicts: dict[date, str]) -> Project:
    (folder / "winback.toml").write_text(SETTINGS, encoding="utf-8")
    project = Project.load(folder / "winback.toml")
    for night, key in verdicts.items():
        project.write("models.verdicts", pl.DataFrame({"as_of": [night], "model_key": [key]}), as_of=night)
    return project


def two_trainings(folder: Path) -> tuple[ModelCard, ModelCard]:
    """The same night's models over the rows as they were, and as they are."""
    models = folder / "data" / "models"
    before = keep_model(models, ["before"], card=CARD)
    return before, keep_model(models, ["after"], card=replace(CARD, data_hash="late rows"))


def test_a_model_that_its_night_trained_again_is_forgotten(tmp_path: Path) -> None:
    before, after = two_trainings(tmp_path)
    project = project_with(tmp_path, verdicts={NIGHT: after.key, LATER: after.key})

    forget_superseded_models(project)

    assert read_cards(project.kept_models) == (after,)
    assert before.key != after.key


def test_a_model_that_some_night_still_names_is_kept(tmp_path: Path) -> None:
    before, after = two_trainings(tmp_path)
    project = project_with(tmp_path, verdicts={NIGHT: after.key, LATER: before.key})

    forget_superseded_models(project)

    assert {card.key for card in read_cards(project.kept_models)} == {before.key, after.key}


def test_bulky_tables_of_old_nights_are_forgotten_and_the_ledger_never_is(tmp_path: Path) -> None:
    project = project_with(tmp_path, verdicts={})
    old, kept = LATER - timedelta(days=KEPT_NIGHTS + 1), LATER - timedelta(days=KEPT_NIGHTS)
    for table in (*BULKY, "strategy.assignments"):
        for night in (old, kept, LATER):
            project.write(table, pl.DataFrame({"user_id": ["a"]}), as_of=night)

    prune(project, newest=LATER)

    for table in BULKY:
        assert list(project.lake.index(table)) == [kept.isoformat(), LATER.isoformat()]
    assert len(project.lake.index("strategy.assignments")) == 3
