"""Forgetting what no night needs any more: days that were made to learn from, models trained again since."""

from datetime import date, timedelta

from dagster_project.cohorts.tables import DECISIONS
from dagster_project.models.keeping import forget_model, read_cards
from dagster_project.models.tables import VERDICTS
from dagster_project.outcomes.tables import ENTRIES
from dagster_project.project import Project
from dagster_project.strategy.tables import CONSIDERED, GATED

KEPT_NIGHTS = 35
# Tables of functions with a row or more per user that no later night reads; their nights can be made again.
BULKY = (CONSIDERED.table, GATED.table, DECISIONS.table, ENTRIES.table)


def prune(project: Project, *, newest: date) -> None:
    """Forget partitions of past days, and superseded models.

    Kept: the last KEPT_NIGHTS, and month ends of the states, from which any day can be folded again.
    """
    oldest = (newest - timedelta(days=KEPT_NIGHTS)).isoformat()
    for model in project.models.values():
        if model.partition in ("as_of", "state"):
            keys = [key for key in project.lake.index(model.table) if key < oldest]
            gone = [key for key in keys if model.partition == "as_of" or not is_month_end(key)]
            project.lake.commit(model.table, {}, dropped=gone)
    for table in BULKY:
        project.lake.commit(table, {}, dropped=[key for key in project.lake.index(table) if key < oldest])
    forget_superseded_models(project)


def forget_superseded_models(project: Project) -> None:
    """Forget models of nights that were trained again since, unless some night still names them."""
    nights = list(project.lake.index(VERDICTS.table))

    def key_of(night: str) -> str | None:
        row = project.lake.read(VERDICTS.table, key=night).row(0, named=True)
        return str(row["model_key"]) if row["model_key"] else None

    cards = [card for card in read_cards(project.kept_models) if card.trained_as_of.isoformat() in nights]
    superseded = [card for card in cards if key_of(card.trained_as_of.isoformat()) != card.key]
    oldest = min((card.trained_as_of.isoformat() for card in superseded), default="9999")
    named = {key_of(night) for night in nights if night >= oldest}
    for card in superseded:
        if card.key not in named:
            forget_model(project.kept_models, card)


def is_month_end(day: str) -> bool:
    """Whether an ISO date is the last of its month."""
    return (date.fromisoformat(day) + timedelta(days=1)).day == 1
