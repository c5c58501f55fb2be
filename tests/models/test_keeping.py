import json
import os
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dagster_project.errors import LakeError, WinbackError
from dagster_project.models import keeping
from dagster_project.models.activity import LogisticModel
from dagster_project.models.boosting import BoostingModel
from dagster_project.models.drift import DriftReport
from dagster_project.models.keeping import (
    ModelCard,
    cards_like,
    forget_model,
    keep_model,
    library_versions,
    load_model,
    model_in_service,
    read_cards,
    should_retrain,
)
from tests.models.simulated import training_frame, users_now

NIGHT = date(2024, 6, 1)
WARNING = DriftReport("warn", "On the newest closed window all went wrong.", {}, ())
CARD = ModelCard(
    name="boosting",
    trained_as_of=NIGHT,
    horizon_days=28,
    cutoffs=(date(2024, 5, 4), date(2024, 4, 20)),
    features=("silence_days", "interest"),
    seed=7,
    settings_hash="a" * 64,
    data_hash="b" * 64,
    metrics={"auc": 1 / 3, "auc_low": float("nan")},
    profile=({"feature": "interest", "mean": 0.1},),
)


def trained(days_before: int, **changes: object) -> ModelCard:
    day = NIGHT - timedelta(days=days_before)
    return replace(CARD, trained_as_of=day, versions=library_versions(), **changes)  # type: ignore[arg-type]


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


class Explosive:
    """Unpickling it makes a folder of the working directory."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (os.mkdir, ("exploded",))


def test_a_kept_model_predicts_the_same_to_the_bit(tmp_path: Path) -> None:
    training, users = training_frame(200), users_now(50)
    for model in (LogisticModel().fit(training), BoostingModel(seed=1).fit(training)):
        kept = keep_model(tmp_path, model, card=replace(CARD, name=type(model).__name__))
        again, card = load_model(tmp_path, kept.key)

        assert again.predict(users).tobytes() == model.predict(users).tobytes()
        assert card == kept


def test_the_card_tells_all_and_lies_beside_the_model(tmp_path: Path) -> None:
    kept = keep_model(tmp_path, {"weights": [1, 2]}, card=CARD)

    assert files(tmp_path) == sorted([f"{kept.key}.json", f"{kept.model_sha256}.joblib"])
    told = json.loads((tmp_path / f"{kept.key}.json").read_text())
    assert told["trained_as_of"] == "2024-06-01"
    assert told["cutoffs"] == ["2024-05-04", "2024-04-20"]
    assert told["metrics"] == {"auc": 0.333333, "auc_low": None}
    assert told["versions"].keys() == {"python", "joblib", "lifelines", "numpy", "polars", "scikit-learn", "scipy"}
    assert read_cards(tmp_path) == (kept,)


def test_keeping_again_changes_no_byte(tmp_path: Path) -> None:
    first = keep_model(tmp_path, [1], card=CARD)
    before = {path.name: path.stat().st_mtime_ns for path in tmp_path.iterdir()}

    assert keep_model(tmp_path, [1], card=CARD) == first
    assert {path.name: path.stat().st_mtime_ns for path in tmp_path.iterdir()} == before


def test_a_card_with_other_figures_replaces_the_one_of_its_key(tmp_path: Path) -> None:
    first = keep_model(tmp_path, [1], card=CARD)
    second = keep_model(tmp_path, [2], card=replace(CARD, metrics={"auc": 0.5}))

    assert second.key == first.key
    assert load_model(tmp_path, second.key)[0] == [2]
    assert len(files(tmp_path)) == 2


def test_a_damaged_model_is_refused_and_kept_anew_on_a_rerun(tmp_path: Path) -> None:
    kept = keep_model(tmp_path, [1], card=CARD)
    (tmp_path / f"{kept.model_sha256}.joblib").write_bytes(b"half")

    with pytest.raises(LakeError, match="is not the file that card") as raised:
        load_model(tmp_path, kept.key)
    assert raised.value.fix.startswith("delete ")
    keep_model(tmp_path, [1], card=CARD)
    assert load_model(tmp_path, kept.key)[0] == [1]


def test_nothing_is_unpickled_before_the_hash_is_right(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    kept = keep_model(tmp_path / "models", [1], card=CARD)
    evil = keep_model(tmp_path / "elsewhere", Explosive(), card=CARD)
    (tmp_path / "elsewhere" / f"{evil.model_sha256}.joblib").replace(
        tmp_path / "models" / f"{kept.model_sha256}.joblib"
    )

    with pytest.raises(LakeError):
        load_model(tmp_path / "models", kept.key)
    assert not (tmp_path / "exploded").exists()


def test_another_library_version_is_named_with_its_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = keep_model(tmp_path, [1], card=CARD)
    monkeypatch.setattr(keeping, "library_versions", lambda: {**library_versions(), "scikit-learn": "9.9.9"})

    with pytest.raises(LakeError, match=r"was trained with scikit-learn [\d.]+ \(now 9\.9\.9\)") as raised:
        load_model(tmp_path, kept.key)
    assert raised.value.fix.startswith(f"install scikit-learn=={kept.versions['scikit-learn']}, or delete ")


def test_absent_and_broken_cards_are_named(tmp_path: Path) -> None:
    with pytest.raises(LakeError, match="no model abc is kept"):
        load_model(tmp_path, "abc")
    kept = keep_model(tmp_path, [1], card=CARD)
    card = tmp_path / f"{kept.key}.json"
    card.write_text(card.read_text().replace("2024-06-01", "2024-06-02"))
    with pytest.raises(LakeError, match="holds the card of model"):
        read_cards(tmp_path)
    card.write_text("{")
    with pytest.raises(LakeError, match="is not a model card"):
        read_cards(tmp_path)


def test_what_cannot_be_pickled_is_named_and_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(WinbackError, match="a function cannot be kept"):
        keep_model(tmp_path, lambda: 1, card=CARD)
    assert files(tmp_path) == []


def test_no_folder_holds_no_cards(tmp_path: Path) -> None:
    assert read_cards(tmp_path / "none") == ()


def test_the_key_follows_the_inputs_and_not_the_results() -> None:
    assert replace(CARD, metrics={}, profile=(), model_sha256="c").key == CARD.key
    for change in ({"seed": 8}, {"data_hash": "c"}, {"settings_hash": "c"}, {"features": ("x",)}, {"name": "hazard"}):
        assert replace(CARD, **change).key != CARD.key  # type: ignore[arg-type]


def test_an_older_night_finds_the_model_that_it_had() -> None:
    cards = [trained(0), trained(14), trained(28)]

    assert model_in_service(cards, on=NIGHT) == trained(0)
    assert model_in_service(cards, on=NIGHT - timedelta(days=1)) == trained(14)
    assert model_in_service(cards, on=NIGHT - timedelta(days=28)) == trained(28)
    assert model_in_service(cards, on=NIGHT - timedelta(days=29)) is None


@given(st.permutations([trained(days, seed=seed) for days in (0, 5, 9) for seed in (1, 2)]), st.integers(0, 12))
def test_the_order_of_the_cards_never_matters(cards: list[ModelCard], days_before: int) -> None:
    night = NIGHT - timedelta(days=days_before)
    found = model_in_service(cards, on=night)

    assert found == model_in_service(sorted(cards, key=lambda card: card.key), on=night)
    assert found is None or found.trained_as_of <= night


def test_a_forgotten_model_leaves_neither_card_nor_file(tmp_path: Path) -> None:
    kept, other = keep_model(tmp_path, [1], card=CARD), keep_model(tmp_path, [2], card=replace(CARD, seed=8))

    forget_model(tmp_path, kept)

    assert read_cards(tmp_path) == (other,)
    assert len(files(tmp_path)) == 2


def test_two_cards_of_equal_bytes_share_a_file_until_both_are_forgotten(tmp_path: Path) -> None:
    first, second = (keep_model(tmp_path, [1], card=replace(CARD, settings_hash=told)) for told in ("one", "two"))
    assert first.model_sha256 == second.model_sha256

    forget_model(tmp_path, first)
    assert load_model(tmp_path, second.key)[0] == [1]
    forget_model(tmp_path, second)
    assert files(tmp_path) == []


@pytest.mark.parametrize(
    ("cards", "drift", "is_due", "reason"),
    [
        ([], None, True, "No model was trained by 2024-06-01."),
        ([trained(-1)], None, True, "No model was trained by 2024-06-01."),
        ([trained(28)], None, True, "The model is 28 days old; it is trained every 28 days."),
        ([trained(27)], None, False, "The model is 27 days old; the next is due in 1 day."),
        ([trained(27)], WARNING, True, "Drift: On the newest closed window all went wrong."),
        ([trained(27)], replace(WARNING, verdict="unjudged"), False, "The model is 27 days old"),
        ([trained(0)], WARNING, False, "The model was trained on 2024-06-01 itself."),
        ([replace(trained(3), versions={})], None, True, "Trained with another joblib and lifelines and"),
    ],
)
def test_training_is_due_by_absence_age_libraries_or_drift(
    cards: list[ModelCard], drift: DriftReport | None, is_due: bool, reason: str
) -> None:
    answer = should_retrain(cards, as_of=NIGHT, every_days=28, drift=drift)

    assert answer.is_due is is_due
    assert answer.reason.startswith(reason)


def test_models_of_another_horizon_or_other_settings_are_left_out() -> None:
    cards = [trained(0), trained(1, horizon_days=30), trained(2, settings_hash="other")]

    assert cards_like(cards, horizon_days=28) == (cards[0], cards[2])
    assert cards_like(cards, horizon_days=28, settings_hash="other") == (cards[2],)
