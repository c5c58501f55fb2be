from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from dagster_project.models import keeping
from dagster_project.models.candidates import CANDIDATES
from dagster_project.models.drift import DriftReport
from dagster_project.models.keeping import library_versions, read_cards
from dagster_project.models.service import Before, Served, Service, serve
from dagster_project.models.shipping import ModelSpec

from .simulated import AS_OF, HORIZON_DAYS, snapshot, training_frame, users_now

PLAIN = tuple(candidate for candidate in CANDIDATES if candidate.name in ("recency", "logistic"))
SPEC = ModelSpec(as_of=AS_OF, horizon_days=HORIZON_DAYS, n_resamples=20, candidates=PLAIN)
WINDOW = timedelta(days=HORIZON_DAYS)


def service(folder: Path, *, data_hash: str = "rows", every_days: int = 7, before: Before | None = None) -> Service:
    return Service(folder, every_days, settings_hash="settings", data_hash=data_hash, before=before)


def night(folder: Path, days: int = 0, *, interest_effect: float = 1.0, **told: object) -> Served:
    """The night `days` after AS_OF, with the same training rows moved to its own windows."""
    moved = pl.col("cutoff") + timedelta(days=days)
    training = training_frame(500, interest_effect=interest_effect).with_columns(moved)
    spec = replace(SPEC, as_of=AS_OF + timedelta(days=days))
    return serve(training, users_now(500, interest_effect=interest_effect), spec=spec, service=service(folder, **told))  # type: ignore[arg-type]


def before(served: Served, *, data_hash: str = "rows") -> Before:
    assert served.card is not None
    return Before(served.card.key, data_hash, served.training, served.drift)


def keys(folder: Path) -> list[str]:
    return [card.key for card in read_cards(folder)]


def test_the_first_night_learns_and_keeps_what_it_learned(tmp_path: Path) -> None:
    first = night(tmp_path)

    assert first.card is not None
    assert first.training == "No model was trained by 2024-06-01."
    assert (first.drift.verdict, first.drift.figures) == ("unjudged", {})
    assert first.drift.reason == "Drift is not judged yet: no kept model was in service on 2024-05-04."
    assert keys(tmp_path) == [first.card.key]
    assert first.card.cutoffs == tuple(AS_OF - WINDOW - timedelta(days=14 * i) for i in (3, 2, 1, 0))
    assert {"interest", "silence_days"} <= set(first.card.features)
    assert first.card.versions == library_versions()
    assert 0.5 < first.card.metrics["shipped"]["all"]["auc"] < 1


def test_the_nights_of_its_rhythm_score_with_it_to_the_bit(tmp_path: Path) -> None:
    first, later = night(tmp_path), night(tmp_path, 6, data_hash="more rows")

    assert later.card == first.card
    assert later.training == "The model is 6 days old; the next is due in 1 day."
    assert first.learned is not None and later.learned is not None
    users = users_now(80)
    assert later.learned.shipped.predict(users).tobytes() == first.learned.shipped.predict(users).tobytes()
    assert later.learned.worth.forecast(users)[1].tobytes() == first.learned.worth.forecast(users)[1].tobytes()
    assert later.learned.evaluations.equals(first.learned.evaluations)


def test_a_model_is_trained_when_its_rhythm_is_up(tmp_path: Path) -> None:
    first, later = night(tmp_path), night(tmp_path, 7, data_hash="more rows")

    assert later.card is not None and later.card.trained_as_of == AS_OF + timedelta(days=7)
    assert later.training == "The model is 7 days old; it is trained every 7 days."
    assert keys(tmp_path) == [first.card.key, later.card.key]  # type: ignore[union-attr]


def test_an_older_night_never_takes_a_model_of_later_days(tmp_path: Path) -> None:
    later, older = night(tmp_path, 3), night(tmp_path)

    assert older.card is not None and older.card.trained_as_of == AS_OF
    assert night(tmp_path, before=before(older)).card == older.card
    assert night(tmp_path, 3, before=before(later)).card == later.card


def test_the_same_night_again_has_the_model_and_the_words_that_it_had(tmp_path: Path) -> None:
    first, later = night(tmp_path), night(tmp_path, 3, data_hash="more rows")
    broken_off, again = night(tmp_path), night(tmp_path, before=before(first))
    told = replace(before(later, data_hash="more rows"), drift=DriftReport("ok", "All was well.", {"n": 3}, ()))
    later_again = night(tmp_path, 3, data_hash="more rows", before=told)

    for same in (broken_off, again):
        assert (same.card, same.training, same.drift) == (first.card, first.training, first.drift)
    assert (later_again.card, later_again.training) == (first.card, later.training)
    assert later_again.drift.reason == "All was well."


def test_a_night_whose_rows_have_changed_learns_anew(tmp_path: Path) -> None:
    first = night(tmp_path)
    again = night(tmp_path, data_hash="late rows", before=before(first))

    assert first.card is not None and again.card is not None
    assert again.card.key != first.card.key
    assert again.card.trained_as_of == AS_OF


def test_a_new_library_trains_anew_instead_of_failing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = night(tmp_path)
    monkeypatch.setattr(keeping, "library_versions", lambda: {**library_versions(), "polars": "9.9"})
    again = night(tmp_path, before=before(first))

    assert again.training == "Trained with another polars."
    assert again.card is not None and again.card.versions["polars"] == "9.9"


def test_a_world_that_stays_is_no_drift_and_one_that_turns_is(tmp_path: Path) -> None:
    night(tmp_path)
    stayed = drifting(tmp_path, interest_effect=1.0)
    turned = drifting(tmp_path, interest_effect=-1.0)

    assert stayed.drift.verdict == "ok"
    assert stayed.training.startswith("The model is 28 days old; the next is due in")
    assert turned.drift.verdict == "warn"
    assert turned.training.startswith("Drift: On the newest closed window a freshly fitted model has a log-loss of")
    assert turned.card is not None and turned.card.trained_as_of == AS_OF + WINDOW


def drifting(folder: Path, *, interest_effect: float) -> Served:
    """The night a horizon later, whose windows since AS_OF - H were drawn with another effect."""
    cutoffs = [AS_OF - timedelta(days=14 * i) for i in range(5)]
    training = pl.concat(snapshot(1500, cutoff=c, interest_effect=interest_effect, seed=4) for c in cutoffs)
    spec = replace(SPEC, as_of=AS_OF + WINDOW)
    return serve(training, users_now(100), spec=spec, service=service(folder, data_hash="new", every_days=60))


def test_too_little_data_serves_nothing_and_keeps_nothing(tmp_path: Path) -> None:
    served = serve(training_frame(20), users_now(20), spec=SPEC, service=service(tmp_path / "models"))

    assert (served.learned, served.card, served.training) == (None, None, "")
    assert not (tmp_path / "models").exists()


def test_tonight_needs_none_of_the_columns_to_be_filled(tmp_path: Path) -> None:
    night(tmp_path)
    emptied = users_now(200).with_columns(interest=pl.lit(None, dtype=pl.Float64))
    served = serve(
        training_frame(500, interest_effect=1.0).with_columns(pl.col("cutoff") + timedelta(days=1)),
        emptied,
        spec=replace(SPEC, as_of=AS_OF + timedelta(days=1)),
        service=service(tmp_path, data_hash="more"),
    )

    assert served.learned is not None
    assert np.isfinite(served.learned.shipped.predict(emptied)).all()
