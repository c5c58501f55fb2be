"""The whole decision about a user: every fact of it, and what would change it."""

import json
from datetime import date
from typing import Any

import polars as pl

from dagster_project.cohorts.decisions import decision_records
from dagster_project.strategy.assignment import CONSIDERED, EXPORTED, GATED

CANDIDATES = pl.DataFrame(
    {
        "user_sk": [1, 2],
        "stage": ["churned_mid", "lost"],
        "days_silent": [60, 400],
        "churned_on": [date(2026, 4, 1), date(2025, 6, 1)],
        "p_return": [0.2, 0.01],
        "value_if_returned": [100.0, None],
    }
)
EVIDENCE = '[{"id": "told_us", "on": "2026-03-01", "is_strong": true, "is_earlier": false, "says": "told us so"}]'
REASONS = pl.DataFrame(
    {
        "user_sk": [1],
        "reason": ["price_or_plan"],
        "reason_confidence": [0.8],
        "decided_by": ["told_us"],
        "evidence": [EVIDENCE],
    }
)
OPTIONS = pl.DataFrame(
    [
        (1, 1, "price_save", "email", 0.05, 0.04, 1.0, 1.0, 0.0, 3.0),
        (1, 2, "whats_new", "email", 0.02, 0.02, 1.0, 0.0, 0.0, 2.0),
        (1, 3, "price_save", "push", 0.03, 0.02, 0.5, 1.0, 0.0, 1.0),
    ],
    schema=CONSIDERED,
    orient="row",
)
USUAL: dict[str, Any] = dict.fromkeys(GATED) | {
    "user_sk": 1,
    "user_id": "a",
    "outcome": "suppressed",
    "arm": "treat",
    "closed_channels": "",
    "n_options": 3,
    "strategy_id": "price_save",
    "channel": "email",
    "expected_profit": 3.0,
    "value_tier": "high",
}
CONTACT: dict[str, Any] = dict.fromkeys(EXPORTED) | {
    "user_sk": 1,
    "user_id": "a",
    "arm": "treat",
    "strategy_id": "price_save",
    "channel": "email",
    "uplift_cautious": 0.04,
    "expected_cost": 1.0,
    "expected_harm": 0.0,
    "expected_profit": 3.0,
    "template_id": "price_save_letter",
    "step": 1,
    "send_at": "2026-06-02T09:10:00+02:00",
    "hour_basis": "user",
    "propensity": 0.85,
}


def record(contacted: bool = False, **gated: object) -> dict[str, Any]:
    made = decision_records(
        pl.DataFrame([USUAL | gated], schema=GATED),
        OPTIONS,
        exported=pl.DataFrame([CONTACT] if contacted else [], schema=EXPORTED),
        candidates=CANDIDATES,
        reasons=REASONS,
    )
    assert made.columns == ["user_id", "outcome", "decision"]
    told: dict[str, Any] = json.loads(made["decision"][0])
    return told


def test_a_contact_tells_reason_options_gates_and_why_here_and_then() -> None:
    told = record(contacted=True, outcome="exported")

    assert told["reason"] == {
        "name": "price_or_plan",
        "confidence": 0.8,
        "decided_by": "told_us",
        "evidence": json.loads(EVIDENCE),
    }
    assert [(one["strategy_id"], one["channel"], one["expected_profit"]) for one in told["options"]] == [
        ("price_save", "email", 3.0),
        ("whats_new", "email", 2.0),
        ("price_save", "push", 1.0),
    ]
    assert {gate["gate"]: gate["passed"] for gate in told["gates"]} == {
        "law, wishes and reach": True,
        "deliberate silence": True,
        "pause after contacts": True,
        "better day": True,
        "profit": True,
        "limits of the night": True,
        "control group": True,
    }
    assert told["chosen"]["send_at"] == "2026-06-02T09:10:00+02:00"
    assert told["why_channel"] == "email is expected to earn 2.00 more than push."
    assert told["why_hour"].startswith("The user's likeliest active hour")
    # Worth 100 a return: of the 4 points by which it pays, 1 pays the cost.
    assert told["would_change"] == (
        "An uplift below 1.00 points would not pay; another option must earn more than 3.00 (the next: 2.00)."
    )


def test_each_outcome_says_what_would_change_it() -> None:
    until = date(2026, 7, 1)
    assert record(outcome="holdout", arm="control")["would_change"].startswith("Nothing: the draw")
    assert "approved_until" in record(outcome="waiting", gate="strategy.awaits_approval")["would_change"]
    assert "2026-07-01" in record(cool_until=until)["would_change"]
    assert record(wait_until=until)["would_change"] == "The day: from 2026-07-01 on contact is expected to earn more."
    assert record(expected_profit=-0.0312)["would_change"] == "An option that earns 0.0312 more than the best one."
    assert record(gate="person.other_account")["would_change"] == (
        "A night in which no other account of the same person earns more."
    )
    assert record(gate="budget.night")["would_change"] == "A night in which budget.night has room."
    closed = {"n_options": None, "expected_profit": None, "strategy_id": None, "channel": None}
    assert record(**closed, block_rule="cap.week", block_until=until)["would_change"] == (
        "The end of cap.week on 2026-07-01."
    )
    assert "only the user" in record(**closed, block_rule="consent.withdrawn")["would_change"]
    assert "trigger fits" in record(**closed)["would_change"]
    assert "deliberate silence" in record(**closed, silenced_by="quiet_period")["would_change"]


def test_a_gate_that_closed_says_by_what() -> None:
    told = record(n_options=None, expected_profit=None, closed_channels="email=consent.missing")
    closed = [(gate["gate"], gate["says"]) for gate in told["gates"] if not gate["passed"]]
    assert closed == [("law, wishes and reach", "email=consent.missing"), ("profit", None)]


def test_users_without_reason_or_options_have_a_record_too() -> None:
    told = record(user_sk=2, user_id="b", n_options=None, strategy_id=None, channel=None, expected_profit=None)
    assert (told["stage"], told["reason"], told["options"], told["chosen"]) == ("lost", None, None, None)
