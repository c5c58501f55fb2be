"""Kinds of feedback: the same word however it is written, other words for it, and words that are none."""

import pytest
from workbench import Workbench, reading

from dagster_project.settings.tables import FEEDBACK_KINDS

COLUMNS = {"user_id": "id", "occurred_at": "at", "kind": "kind"}


@pytest.mark.parametrize(
    ("written", "kind"),
    [
        ("deletion_request", "deletion_request"),
        ("Deletion Request", "deletion_request"),
        (" DELETION-REQUEST ", "deletion_request"),
        ("erasure", "deletion_request"),
        ("Right to be forgotten", "deletion_request"),
        ("注销账号", "deletion_request"),
        ("Spam complaint", "complaint"),
        ("NPS", "nps"),
        ("exit  survey", "exit_survey"),
    ],
)
def test_a_kind_is_known_by_other_words_and_however_it_is_written(
    workbench: Workbench, written: str, kind: str
) -> None:
    workbench.reading = reading("feedback", columns=COLUMNS)

    assert workbench.rows_of(f"id,at,kind\na,2024-01-01,{written}\n")["kind"].to_list() == [kind]
    assert workbench.quarantine().is_empty()


def test_an_unknown_kind_is_quarantined_and_named(workbench: Workbench) -> None:
    workbench.reading = reading("feedback", columns=COLUMNS)

    rows = workbench.rows_of("id,at,kind\na,2024-01-01,ticket\na,2024-01-02,Praise me\na,2024-01-03,\n")

    assert rows["kind"].to_list() == ["ticket"]
    assert workbench.quarantine().sort("row_number")["reason"].to_list() == [
        f'kind: "Praise me" is none of {", ".join(FEEDBACK_KINDS)}',
        "kind is blank",
    ]


def test_no_word_stands_for_two_kinds() -> None:
    words = [word for kind, others in FEEDBACK_KINDS.items() for word in (kind, *others)]
    assert len(words) == len(set(words))
