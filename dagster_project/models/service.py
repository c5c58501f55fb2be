"""Which model a night scores with: the one that it had, the one in service, or one that it learns now.

What is kept and how is `keeping`'s, whether a model still fits `drift`'s, learning itself `shipping`'s.
"""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import polars as pl

from dagster_project.errors import LakeError
from dagster_project.models.cutoffs import newest_cutoff, split_out_of_time
from dagster_project.models.drift import PROFILE_SCHEMA, DriftReport, drift_report, feature_profile, read_report
from dagster_project.models.evaluation import MAX_TEST_ROWS
from dagster_project.models.features import sample_rows, shared_features, usable_features
from dagster_project.models.keeping import (
    ModelCard,
    cards_like,
    changed_versions,
    keep_model,
    load_model,
    model_in_service,
    read_cards,
    should_retrain,
)
from dagster_project.models.refusal import shortfalls
from dagster_project.models.shipping import Learned, ModelSpec, builder, learn
from dagster_project.models.threads import on_one_thread


@dataclass(frozen=True)
class Before:
    """What this very night decided when it was run last: its model, what it said of it, and what data it saw."""

    key: str
    data_hash: str
    training: str
    drift: DriftReport


@dataclass(frozen=True)
class Service:
    """Where models are kept and when they are trained anew. The hashes are tonight's."""

    folder: Path
    every_days: int
    settings_hash: str
    data_hash: str
    before: Before | None = None


@dataclass(frozen=True)
class Served:
    """The night's model, its card, and what is said of it. `training`: why it was trained, or was not, tonight.

    `learned` and `card` are null where the data cannot carry a model.
    """

    learned: Learned | None
    card: ModelCard | None
    drift: DriftReport
    training: str


@on_one_thread()
def serve(training: pl.DataFrame, features_now: pl.DataFrame, *, spec: ModelSpec, service: Service) -> Served:
    """The model of the night `spec.as_of`.

    A night run again over the same rows and settings has the model that it had, and nothing is judged anew.
    Otherwise the newest model trained by then serves, until `every_days` are up, a library has changed, or drift is
    found; then tonight learns, and what it learns is kept. Models trained later do not exist for an older night.
    Raises LakeError: a kept model is not what its card says.
    """
    training = training.sort("cutoff", "user_id")
    if shortfalls(training, horizon_days=spec.horizon_days):
        return Served(None, None, _unjudged("No model ships, so none can drift."), "")
    cards = cards_like(read_cards(service.folder), horizon_days=spec.horizon_days, settings_hash=service.settings_hash)
    again = _as_before(cards, spec=spec, service=service)
    if again is not None:
        return again
    usable = _usable(cards, spec=spec, service=service)
    due = should_retrain(usable, as_of=spec.as_of, every_days=service.every_days)
    drift = judge_drift(training, features_now, cards=cards, folder=service.folder, spec=spec)
    if not due.is_due:
        due = should_retrain(usable, as_of=spec.as_of, every_days=service.every_days, drift=drift)
    in_service = model_in_service(usable, on=spec.as_of)
    if in_service is None or due.is_due:
        return _learn(training, features_now, spec=spec, service=service, told=(due.reason, drift))
    return Served(load_model(service.folder, in_service.key)[0], in_service, drift, due.reason)


def judge_drift(
    training: pl.DataFrame,
    features_now: pl.DataFrame,
    *,
    cards: tuple[ModelCard, ...],
    folder: Path,
    spec: ModelSpec,
) -> DriftReport:
    """The model that was in service when the newest closed window opened, against one of its kind fitted freshly then.

    Both knew only windows that had closed by that day. Unjudged where nothing was in service yet, or where that
    model was trained with other library versions and cannot be read.
    """
    cutoff = newest_cutoff(training)
    card = model_in_service(cards, on=cutoff)
    if card is None:
        return _unjudged(f"Drift is not judged yet: no kept model was in service on {cutoff}.")
    try:
        champion: Learned = load_model(folder, card.key)[0]
    except LakeError as error:
        return _unjudged(f"Drift is not judged: {error.problem}.")
    learnt, window = split_out_of_time(training, horizon_days=spec.horizon_days)
    window = sample_rows(window, max_rows=MAX_TEST_ROWS, seed=spec.seed)
    challenger = builder(champion.winner, champion.winner_others, spec=spec)()
    learnt = sample_rows(shared_features(learnt, features_now), max_rows=spec.max_training_rows, seed=spec.seed)
    challenger.fit(learnt)
    return drift_report(
        window,
        champion=champion.shipped.predict(window),
        challenger=challenger.predict(window),
        profile=_profile(card),
    )


def _as_before(cards: tuple[ModelCard, ...], *, spec: ModelSpec, service: Service) -> Served | None:
    """What this night has had already over the same rows: a model of its own, or the one that its verdict names."""
    own = [c for c in cards if c.trained_as_of == spec.as_of and c.data_hash == service.data_hash]
    before = service.before if service.before and service.before.data_hash == service.data_hash else None
    card = own[-1] if own else next((c for c in cards if before and c.key == before.key), None)
    if card is None or changed_versions(card):
        return None
    learned: Learned = load_model(service.folder, card.key)[0]
    if own:
        return Served(learned, card, read_report(card.metrics["drift"]), card.metrics["training"])
    return Served(learned, card, before.drift, before.training) if before else None


def _usable(cards: tuple[ModelCard, ...], *, spec: ModelSpec, service: Service) -> tuple[ModelCard, ...]:
    """Without those that this very night trained on rows that have changed since."""
    return tuple(card for card in cards if card.trained_as_of < spec.as_of or card.data_hash == service.data_hash)


def _learn(
    training: pl.DataFrame,
    features_now: pl.DataFrame,
    *,
    spec: ModelSpec,
    service: Service,
    told: tuple[str, DriftReport],
) -> Served:
    """What tonight learns, kept with the words that go with it: a night that broke off says them again."""
    training = shared_features(training, features_now)
    learned = learn(training, features_now, spec=spec)
    features = usable_features(training)
    card = ModelCard(
        name=learned.winner,
        trained_as_of=spec.as_of,
        horizon_days=spec.horizon_days,
        cutoffs=tuple(training["cutoff"].unique().sort()),
        features=features,
        seed=spec.seed,
        settings_hash=service.settings_hash,
        data_hash=service.data_hash,
        metrics={
            "facts": dict(learned.facts),
            "shipped": _figures(learned),
            "training": told[0],
            "drift": asdict(told[1]),
        },
        profile=tuple(feature_profile(training, columns=features).to_dicts()),
    )
    return Served(learned, keep_model(service.folder, learned, card=card), told[1], told[0])


def _figures(learned: Learned) -> dict[str, Any]:
    rows = learned.evaluations.filter(pl.col("candidate") == "shipped")
    return {row["population"]: {k: v for k, v in row.items() if k != "candidate"} for row in rows.to_dicts()}


def _profile(card: ModelCard) -> pl.DataFrame:
    return pl.DataFrame(list(card.profile), schema=PROFILE_SCHEMA)


def _unjudged(reason: str) -> DriftReport:
    return DriftReport("unjudged", reason, {}, ())
