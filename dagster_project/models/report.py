"""A night's model figures as plain dictionaries for metrics.json: rounded, with null for what is unknown."""

import math
from typing import Any

import polars as pl

N_DECIMALS = 6


def night_metrics(
    evaluations: pl.DataFrame, value_evaluation: pl.DataFrame, *, facts: dict[str, Any]
) -> dict[str, Any]:
    """`facts`, then `candidates` (name → population → figures) and `value` (measure → figures)."""
    candidates = _nested(evaluations, "candidate", "population")
    value = {row.pop("measure"): row for row in value_evaluation.to_dicts()}
    cleaned: dict[str, Any] = json_ready({**facts, "candidates": candidates, "value": value})
    return cleaned


def json_ready(value: Any) -> Any:
    """The same structure with floats rounded to six decimals and NaN or infinity turned to null."""
    if isinstance(value, dict):
        return {key: json_ready(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [json_ready(item) for item in value]
    if isinstance(value, float):
        return round(value, N_DECIMALS) if math.isfinite(value) else None
    return value


def _nested(rows: pl.DataFrame, outer: str, inner: str) -> dict[str, dict[str, Any]]:
    nested: dict[str, dict[str, Any]] = {}
    for row in rows.to_dicts():
        nested.setdefault(row.pop(outer), {})[row.pop(inner)] = row
    return nested
