"""From a frame of user features to a matrix: which columns, in which order, for which rows."""

from hashlib import blake2b

import numpy as np
import numpy.typing as npt
import polars as pl

Matrix = npt.NDArray[np.float32]

OUTCOME_COLUMNS = ("is_active", "n_active_days_next", "amount_next", "next_active_in_days", "follow_up_days")
# Of a user with one active day the shrunken gap is the population's, which grows with the log: it tells the cutoff, not
# the user. A logistic regression followed it out of what it had learnt (Online Retail: log-loss .628, without it .597).
CLOCKS = ("shrunk_gap_days",)
NOT_FEATURES = frozenset({"user_sk", *CLOCKS, *OUTCOME_COLUMNS})
LARGEST_VALUE = 1e30  # beyond it a float32 becomes infinite, which no learner accepts: treated as unknown


def feature_columns(frame: pl.DataFrame) -> tuple[str, ...]:
    """Every numeric column that may be a feature, in alphabetical order (the frame's own does not matter)."""
    return tuple(sorted(n for n, t in frame.schema.items() if t.is_numeric() and n not in NOT_FEATURES))


def shared_features(training: pl.DataFrame, features_now: pl.DataFrame) -> pl.DataFrame:
    """`training` without the features of which tonight's users know nothing (absent or wholly null)."""
    if features_now.is_empty():
        return training
    known = {c for c in feature_columns(features_now) if features_now[c].null_count() < features_now.height}
    return training.drop([c for c in feature_columns(training) if c not in known])


def usable_features(training: pl.DataFrame) -> tuple[str, ...]:
    """The features that tell training rows apart: neither wholly null nor constant.

    A column with one value and some nulls stays: being unknown may be telling.
    """
    columns = feature_columns(training)
    finite = training.select(_finite(columns))
    return tuple(c for c in columns if finite[c].null_count() < finite.height and finite[c].n_unique() > 1)


def to_matrix(frame: pl.DataFrame, columns: tuple[str, ...]) -> Matrix:
    """Rows × columns as float32; unknown and non-finite values are NaN."""
    if not columns:
        return np.empty((frame.height, 0), dtype=np.float32)
    return frame.select(_finite(columns).cast(pl.Float32)).to_numpy().astype(np.float32, copy=False)


def sample_rows(training: pl.DataFrame, *, max_rows: int, seed: int) -> pl.DataFrame:
    """At most `max_rows` rows, sorted by (cutoff, user_id).

    Rows are drawn by a hash of (seed, cutoff, user_id): the same rows come out whatever order or
    company they arrive in, and a user kept at one cutoff is not thereby kept at the next.
    """
    ordered = training.sort("cutoff", "user_id")
    if ordered.height <= max_rows:
        return ordered
    labels = ordered.select(pl.format("{}|{}", pl.col("cutoff").cast(pl.String), "user_id")).to_series()
    kept = np.argsort(stable_hash(labels, seed=seed), kind="stable")[:max_rows]
    return ordered[np.sort(kept)]


def evenly_drawn(users: pl.DataFrame, *, max_users: int) -> pl.DataFrame:
    """Every k-th user in order of user_id, `max_users` at most: the same ones whatever order they arrive in."""
    if users.height <= max_users:
        return users
    return users[users["user_id"].arg_sort().gather_every(-(-users.height // max_users))]


def stable_hash(labels: pl.Series, *, seed: int) -> npt.NDArray[np.uint64]:
    """64-bit hashes of text that stay the same across versions and machines (polars' own promise neither)."""
    digests = (blake2b(f"{seed}|{label}".encode(), digest_size=8).digest() for label in labels)
    return np.frombuffer(b"".join(digests), dtype=">u8").astype(np.uint64)


def _finite(columns: tuple[str, ...]) -> pl.Expr:
    value = pl.col(columns).cast(pl.Float64)
    return pl.when(value.abs() < LARGEST_VALUE).then(value)
