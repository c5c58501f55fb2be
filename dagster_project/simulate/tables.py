"""The columns of the canonical tables, and the way from arrays to such a table."""

from collections.abc import Mapping

import numpy as np
import polars as pl
from numpy.typing import NDArray

AT = pl.Datetime("us")
TABLE_SCHEMAS: Mapping[str, Mapping[str, pl.DataType | type[pl.DataType]]] = {
    "events": {
        "user_id": pl.String, "occurred_at": AT, "event_type": pl.String, "amount": pl.Float64,
        "item": pl.String, "category": pl.String, "platform": pl.String, "app_version": pl.String,
        "event_id": pl.String,
    },
    "users": {
        "user_id": pl.String, "signed_up_at": AT, "birth_on": pl.Date, "gender": pl.String,
        "country": pl.String, "region": pl.String, "timezone": pl.String, "locale": pl.String,
        "occupation": pl.String, "acquisition_channel": pl.String, "person_key": pl.String,
    },
    "subscriptions": {
        "user_id": pl.String, "started_at": AT, "ended_at": AT, "plan": pl.String, "price": pl.Float64,
        "end_reason": pl.String,
    },
    "message_events": {
        "user_id": pl.String, "message_id": pl.String, "channel": pl.String, "event": pl.String,
        "occurred_at": AT, "campaign_id": pl.String, "strategy_id": pl.String, "content_id": pl.String,
        "category": pl.String, "code": pl.String, "endpoint": pl.String,
    },
    "consents": {
        "user_id": pl.String, "channel": pl.String, "status": pl.String, "changed_at": AT,
        "basis": pl.String, "source": pl.String, "categories": pl.String, "quiet_start": pl.String,
        "quiet_end": pl.String, "max_per_week": pl.Int64,
    },
    "feedback": {
        "user_id": pl.String, "occurred_at": AT, "kind": pl.String, "score": pl.Float64,
        "category": pl.String, "text": pl.String,
    },
    "links": {
        "user_id": pl.String, "other_user_id": pl.String, "kind": pl.String, "since": pl.Date,
    },
    "assignments": {
        "user_id": pl.String, "experiment_id": pl.String, "arm": pl.String, "assigned_at": AT,
        "propensity": pl.Float64, "strategy_id": pl.String, "channel": pl.String,
    },
}  # fmt: skip


def conform(frame: pl.DataFrame, *, table: str) -> pl.DataFrame:
    """Return the frame with exactly the canonical columns of `table`: absent ones null, all typed."""
    columns = [
        (pl.col(name) if name in frame.columns else pl.lit(None)).cast(dtype).alias(name)
        for name, dtype in TABLE_SCHEMAS[table].items()
    ]
    return frame.select(columns)


def named(codes: NDArray[np.int64] | NDArray[np.int32], names: tuple[str, ...]) -> pl.Series:
    """Return the names at these positions; null where the code is negative."""
    positions = pl.Series("name", np.where(codes < 0, len(names), codes), dtype=pl.UInt32)
    return pl.Series("name", [*names, None], dtype=pl.String).gather(positions)


def user_ids(users: NDArray[np.int64]) -> pl.Series:
    """Return the text ids of user positions: `u` and seven digits, so that text order is number order."""
    return numbered(users, prefix="u", n_digits=7)


def numbered(numbers: NDArray[np.int64], *, prefix: str, n_digits: int) -> pl.Series:
    """Return ids made of a prefix and zero-padded numbers."""
    text = pl.Series("id", numbers, dtype=pl.Int64).cast(pl.String).str.zfill(n_digits)
    return pl.select((pl.lit(prefix) + pl.lit(text)).alias("id")).to_series()
