"""Fitted models on disk: kept with a card that says what they are, taken up again only if they still are that.

A kept model is a pickle, and unpickling runs code: load only from a folder that this program alone writes.
The hash in the card finds damage and mix-ups, not a forger, who could write a card as well. joblib rather
than skops: scikit-learn already brings it, and skops would want each of our own classes vouched for.
"""

import hashlib
import json
import pickle
import platform
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import date
from importlib.metadata import version
from pathlib import Path
from typing import Any

from dagster_project.errors import LakeError, WinbackError
from dagster_project.models.drift import DriftReport
from dagster_project.models.report import json_ready

LIBRARIES = ("joblib", "lifelines", "numpy", "polars", "scikit-learn", "scipy")
CARD_FORM = 1
KEY_DIGITS = 32


@dataclass(frozen=True)
class ModelCard:
    """What a kept model is. Everything but `metrics`, `profile` and `model_sha256` makes its key.

    `trained_as_of`: last day that training could see. The outcome window of each of `cutoffs` is
    (cutoff, cutoff + `horizon_days`]. `settings_hash` and `data_hash` are the caller's. `profile`: rows of
    `drift.feature_profile`. `versions` and `model_sha256` are filled in by `keep_model`.
    """

    name: str
    trained_as_of: date
    horizon_days: int
    cutoffs: tuple[date, ...]
    features: tuple[str, ...]
    seed: int
    settings_hash: str
    data_hash: str
    metrics: Mapping[str, Any] = field(default_factory=dict)
    profile: tuple[Mapping[str, Any], ...] = ()
    versions: Mapping[str, str] = field(default_factory=dict)
    model_sha256: str = ""

    @property
    def key(self) -> str:
        """32 hex digits; the same for a second training on the same inputs, whatever its bytes."""
        told = _as_json(self)
        for part in ("metrics", "profile", "model_sha256"):
            del told[part]
        return hashlib.sha256(_canonical(told)).hexdigest()[:KEY_DIGITS]


@dataclass(frozen=True)
class Retraining:
    """Whether a model is to be trained tonight, and why (or why not) in one sentence."""

    is_due: bool
    reason: str


def library_versions() -> dict[str, str]:
    """What a pickle leans on: Python and the libraries whose objects or arithmetic it holds."""
    return {"python": ".".join(platform.python_version_tuple()[:2])} | {name: version(name) for name in LIBRARIES}


def keep_model(folder: Path, model: object, *, card: ModelCard) -> ModelCard:
    """The completed card of a model now lying in `folder`: `<sha256>.joblib` and `<key>.json`.

    Both are written aside and renamed, the card last, so no card ever names a file that is not whole. A
    sound model under the same card stays as it is, and a rerun changes no byte; a superseded file is removed.
    Raises WinbackError: the model cannot be pickled (it holds a lambda or an open resource).
    """
    folder.mkdir(parents=True, exist_ok=True)
    # By way of JSON, so that the card handed back equals the one read later, to the rounded digit.
    card = _from_json(_as_json(replace(card, versions=library_versions(), model_sha256="")))
    before = _card_if_sound(folder, card.key)
    if before is not None and replace(before, model_sha256="") == card:
        return before
    aside = folder / f".{card.key}.joblib.new"
    _dump(model, aside)
    kept = replace(card, model_sha256=_sha256(aside))
    aside.replace(_model_path(folder, kept))
    card_aside = folder / f".{card.key}.json.new"
    card_aside.write_bytes(json.dumps(_as_json(kept), indent=2, sort_keys=True, allow_nan=False).encode() + b"\n")
    card_aside.replace(_card_path(folder, kept.key))
    if before is not None and before.model_sha256 != kept.model_sha256:
        _forget_file(folder, before)
    return kept


def load_model(folder: Path, key: str) -> tuple[Any, ModelCard]:
    """The model and its card; nothing is unpickled before hash and versions are found right.

    `folder` must be one that only this program writes (see the module).
    Raises LakeError: no card of this key, the card or the model's bytes are not what was kept, or a library
    has another version than in training (pickles do not carry over).
    """
    import joblib  # type: ignore[import-untyped]

    card = read_card(folder, key)
    path = _model_path(folder, card)
    if not path.is_file():
        raise LakeError(f"the model of card {key} is gone: {path}", fix=_retrain(folder, key))
    if _sha256(path) != card.model_sha256:
        raise LakeError(f"{path} is not the file that card {key} describes", fix=_retrain(folder, key))
    changed = changed_versions(card)
    if changed:
        told = ", ".join(f"{name} {then} (now {now})" for name, then, now in changed)
        pins = " ".join(f"{name}=={then}" for name, then, _ in changed)
        raise LakeError(f"model {key} was trained with {told}", fix=f"install {pins}, or {_retrain(folder, key)}")
    return joblib.load(path), card


def forget_model(folder: Path, card: ModelCard) -> None:
    """Remove a card and its model, the card first: no card may name a file that is gone."""
    _card_path(folder, card.key).unlink(missing_ok=True)
    _forget_file(folder, card)


def read_cards(folder: Path) -> tuple[ModelCard, ...]:
    """The cards in a folder, oldest training first, then by key; none if there is no folder."""
    keys = sorted(path.stem for path in folder.glob("*.json") if not path.name.startswith("."))
    return _in_order(read_card(folder, key) for key in keys)


def read_card(folder: Path, key: str) -> ModelCard:
    """One card. Raises LakeError: it is absent, unreadable, or not the one its name says."""
    path = _card_path(folder, key)
    try:
        card = _from_json(json.loads(path.read_bytes()))
    except FileNotFoundError as error:
        raise LakeError(f"no model {key} is kept in {folder}", fix="train it by running the night again") from error
    except (ValueError, KeyError, TypeError) as error:
        raise LakeError(f"{path} is not a model card: {error}", fix=_retrain(folder, key)) from error
    if card.key != key:
        raise LakeError(f"{path} holds the card of model {card.key}", fix=_retrain(folder, key))
    return card


def changed_versions(card: ModelCard) -> tuple[tuple[str, str, str], ...]:
    """(library, version in training, version now) where the two differ, by name."""
    now = library_versions()
    names = sorted({*card.versions, *now})
    pairs = ((name, card.versions.get(name, "none"), now.get(name, "none")) for name in names)
    return tuple((name, then, current) for name, then, current in pairs if then != current)


def cards_like(
    cards: Iterable[ModelCard], *, horizon_days: int, settings_hash: str | None = None
) -> tuple[ModelCard, ...]:
    """The cards of models that answer the same question: equal horizon and, if given, equal settings."""
    return tuple(
        card for card in cards if card.horizon_days == horizon_days and settings_hash in (None, card.settings_hash)
    )


def model_in_service(cards: Iterable[ModelCard], *, on: date) -> ModelCard | None:
    """The newest card trained by `on`, however old: with `on` a window's cutoff, drift's honest champion.

    Of two trained on one night the greater key counts.
    """
    known = [card for card in _in_order(cards) if card.trained_as_of <= on]
    return known[-1] if known else None


def should_retrain(
    cards: Iterable[ModelCard], *, as_of: date, every_days: int, drift: DriftReport | None = None
) -> Retraining:
    """Whether the night of `as_of` trains: no model yet, the rhythm is up, libraries changed, or drift.

    A model trained on the very night stays, whatever drift says: nothing newer could be learned.
    """
    cards = tuple(cards)
    newest = model_in_service(cards, on=as_of)
    if newest is None:
        return Retraining(True, f"No model was trained by {as_of}.")
    age = (as_of - newest.trained_as_of).days
    if age >= every_days:
        return Retraining(True, f"The model is {_days(age)} old; it is trained every {_days(every_days)}.")
    changed = changed_versions(newest)
    if changed:
        return Retraining(True, f"Trained with another {' and '.join(name for name, _, _ in changed)}.")
    if age == 0:
        return Retraining(False, f"The model was trained on {as_of} itself.")
    if drift is not None and drift.has_drifted:
        return Retraining(True, f"Drift: {drift.reason}")
    return Retraining(False, f"The model is {_days(age)} old; the next is due in {_days(every_days - age)}.")


def _card_if_sound(folder: Path, key: str) -> ModelCard | None:
    try:
        card = read_card(folder, key)
    except LakeError:
        return None
    path = _model_path(folder, card)
    return card if path.is_file() and _sha256(path) == card.model_sha256 else None


def _dump(model: object, path: Path) -> None:
    import joblib

    try:
        joblib.dump(model, path, compress=3)
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        path.unlink(missing_ok=True)
        raise WinbackError(
            f"a {type(model).__name__} cannot be kept: {error}",
            fix="hold functions of modules and plain values in it, no lambdas and no open files",
        ) from error


def _forget_file(folder: Path, card: ModelCard) -> None:
    """Remove a model's file unless another card names it: two trainings can come to the same bytes."""
    if all(other.model_sha256 != card.model_sha256 for other in read_cards(folder)):
        _model_path(folder, card).unlink(missing_ok=True)


def _as_json(card: ModelCard) -> dict[str, Any]:
    told: dict[str, Any] = asdict(card)
    told["form"] = CARD_FORM
    told["trained_as_of"] = card.trained_as_of.isoformat()
    told["cutoffs"] = [cutoff.isoformat() for cutoff in card.cutoffs]
    ready: dict[str, Any] = json_ready(told)
    return ready


def _from_json(told: dict[str, Any]) -> ModelCard:
    if told.pop("form") != CARD_FORM:
        raise ValueError("it has another form")
    return ModelCard(
        **told
        | {
            "trained_as_of": date.fromisoformat(told["trained_as_of"]),
            "cutoffs": tuple(date.fromisoformat(cutoff) for cutoff in told["cutoffs"]),
            "features": tuple(told["features"]),
            "profile": tuple(told["profile"]),
        }
    )


def _canonical(told: dict[str, Any]) -> bytes:
    return json.dumps(told, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()


def _in_order(cards: Iterable[ModelCard]) -> tuple[ModelCard, ...]:
    return tuple(sorted(cards, key=lambda card: (card.trained_as_of, card.key)))


def _model_path(folder: Path, card: ModelCard) -> Path:
    return folder / f"{card.model_sha256}.joblib"


def _card_path(folder: Path, key: str) -> Path:
    return folder / f"{key}.json"


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _retrain(folder: Path, key: str) -> str:
    return f"delete {_card_path(folder, key)} and run the night again, which trains a new model"


def _days(n: int) -> str:
    return f"{n} day" if n == 1 else f"{n} days"
