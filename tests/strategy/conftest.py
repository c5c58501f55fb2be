from collections.abc import Callable
from datetime import date
from typing import Any

import polars as pl
import pytest

from dagster_project.compliance.packs import shipped_law_book
from dagster_project.strategy.catalogue import Catalogue, load_catalogue
from dagster_project.strategy.priors import Beliefs, load_priors
from dagster_project.strategy.rules import ChannelRules, DecisionRules

CANDIDATES = {
    "user_sk": pl.Int64,
    "user_id": pl.String,
    "stage": pl.String,
    "is_churned": pl.Boolean,
    "days_silent": pl.Int32,
    "usual_gap_days": pl.Float64,
    "churned_on": pl.Date,
    "p_return": pl.Float64,
    "value_if_returned": pl.Float64,
    "timezone": pl.String,
    "country": pl.String,
    "locale": pl.String,
    "person_key": pl.String,
}
CONTACT_POINTS = {
    "user_sk": pl.Int64,
    "channel": pl.String,
    "reach": pl.String,
    "consent_basis": pl.String,
    "rule_id": pl.String,
    "citation": pl.String,
    "until": pl.Date,
    "code": pl.String,
    "quiet_start": pl.Int32,
    "quiet_end": pl.Int32,
}
USUAL = {
    "stage": "churned_early",
    "is_churned": True,
    "days_silent": 60,
    "usual_gap_days": 10.0,
    "churned_on": date(2026, 4, 1),
    "p_return": 0.2,
    "value_if_returned": 100.0,
}


def candidate_frame(*rows: dict[str, Any]) -> pl.DataFrame:
    """Users in the given order; what a row leaves out is that of a usual churned user."""
    filled = [
        dict.fromkeys(CANDIDATES) | USUAL | {"user_sk": sk, "user_id": f"u{sk}"} | row
        for sk, row in enumerate(rows, start=1)
    ]
    return pl.DataFrame(filled, schema=CANDIDATES)


def contact_point_frame(*rows: dict[str, Any]) -> pl.DataFrame:
    filled = [dict.fromkeys(CONTACT_POINTS) | {"reach": "ok"} | row for row in rows]
    return pl.DataFrame(filled, schema=CONTACT_POINTS)


@pytest.fixture(scope="session")
def candidates() -> Callable[..., pl.DataFrame]:
    return candidate_frame


@pytest.fixture(scope="session")
def contact_points() -> Callable[..., pl.DataFrame]:
    return contact_point_frame


@pytest.fixture(scope="session")
def catalogue() -> Catalogue:
    return load_catalogue()


@pytest.fixture(scope="session")
def rules() -> DecisionRules:
    """Nobody held out, nobody explored, no limits, every message free: tests narrow it with `replace`."""
    return DecisionRules(
        salt="s",
        book=shipped_law_book(),
        beliefs=Beliefs(load_priors()),
        channels={"email": ChannelRules(cost=0.0), "push": ChannelRules(cost=0.0)},
        margin_share=0.5,
        business_timezone="Europe/London",
        control_share=0.0,
        explore_share=0.0,
    )
