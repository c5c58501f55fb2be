"""The pieces of evidence as shipped, and what a wrong file is told."""

from pathlib import Path

import pytest

from dagster_project.errors import WinbackError
from dagster_project.reasons import REASONS, UNKNOWN
from dagster_project.reasons.evidence import load_evidence

PIECE = """
[[evidence]]
id = "one"
signals = ["ticket"]
table = "feedback"
speaks_for = { price_or_plan = 0.5 }
usual = 0.1
group = "g"
says = "said so"
source = "opinion"
"""


def test_every_reason_but_unknown_has_evidence_of_its_own() -> None:
    spoken_for = {reason for piece in load_evidence() for reason in piece.speaks_for}

    assert spoken_for == set(REASONS) - {UNKNOWN}


def test_every_piece_says_what_it_means_and_where_it_is_from() -> None:
    assert all(piece.says and piece.source and not piece.says.endswith(".") for piece in load_evidence())


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (("price_or_plan", "prize"), "prize"),
        (("0.5", "1.5"), "between 0 and 1"),
        (('signals = ["ticket"]\n', ""), "neither or both"),
        (('"said so"', '"said so"\nunless = ["two"]'), "two"),
    ],
)
def test_a_wrong_piece_is_named(tmp_path: Path, change: tuple[str, str], complaint: str) -> None:
    path = tmp_path / "evidence.toml"
    path.write_text(PIECE.replace(*change), encoding="utf-8")

    with pytest.raises(WinbackError, match=complaint):
        load_evidence(path)


def test_two_pieces_may_not_share_an_id(tmp_path: Path) -> None:
    path = tmp_path / "evidence.toml"
    path.write_text(PIECE + PIECE, encoding="utf-8")

    with pytest.raises(WinbackError, match="share an id"):
        load_evidence(path)
