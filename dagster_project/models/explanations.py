"""Which features moved a user's score most: a fact about the model, not about what made the user leave.

Saying it in a sentence is `wording`'s work.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from dagster_project.errors import WinbackError
from dagster_project.models.activity import ActivityModel, log_odds
from dagster_project.models.features import to_matrix

Floats = npt.NDArray[np.float64]

NEAR_DUPLICATE = 0.9  # |Spearman| above which two features tell one story, and neither moves without the other
FEWEST_SHARED_ROWS = 30  # below this a rank correlation of .9 is no evidence
USERS_PER_BATCH = 50_000  # 50 columns of float64: 20 MB a batch
SMALLEST_EFFECT = 1e-9  # log-odds: less is rounding, not a reason

EXPLANATION_SCHEMA = pl.Schema(
    {
        "user_id": pl.String,
        "position": pl.Int32,
        "feature": pl.String,
        "value": pl.Float64,
        "typical": pl.Float64,
        "effect_log_odds": pl.Float64,
    }
)


@dataclass(frozen=True)
class FeatureGroup:
    """Features that move together. `leader` gives the name; `members` holds it first."""

    leader: str
    members: tuple[str, ...]


def explain_scores(
    model: ActivityModel,
    users: pl.DataFrame,
    reference: pl.DataFrame,
    *,
    columns: tuple[str, ...],
    n_top: int = 3,
) -> pl.DataFrame:
    """Up to `n_top` rows per user: EXPLANATION_SCHEMA, sorted by (user_id, position), position from 1.

    Estimand: by how much the model's log-odds for this user would change if this one feature (with its
    near-duplicates) were typical and all else stayed. effect_log_odds = own - typical: above zero, the
    user's own value raises the score. Ranked by |effect|, ties by feature name; a feature that changes
    nothing is no reason and is left out, so a wholly typical user has no row.

    `users`: the rows to explain (only those exported are worth it), each user_id once. `reference`:
    training rows of comparable users, such as the lapsed for the lapsed; it sets what is typical (see
    `typical_values`) and which features go together (see `feature_groups`). `columns`: the features to
    try, the plainest first, for the first of a group names it (`wording.in_plain_order`).

    Cost: users × (groups + 1) predictions and nothing else, in batches of 50,000 users. Boosting of 150
    trees on 40 columns makes about 200,000 a CPU second: 10,000 exported users × 40 groups take two.

    Limits: not causal; features are moved one at a time, so a joint effect is not shared out, effects
    do not add up to the score, and a replaced value may be one that no real user combines. A feature
    that the model ignores never shows. Method: one-at-a-time replacement, the single-feature case of
    prediction difference analysis (Robnik-Sikonja and Kononenko 2008) with the median in the role of
    the unknown value.

    Raises WinbackError: `columns` are absent from a frame, `reference` has no row, or a user_id repeats.
    """
    _require_inputs(users, reference, columns=columns)
    typical = typical_values(reference, columns=columns)
    groups = feature_groups(reference, columns=columns)
    ordered = users.sort("user_id")
    batches = [
        _explain_batch(model, batch, groups=groups, typical=typical, n_top=n_top)
        for batch in ordered.iter_slices(USERS_PER_BATCH)
        if not batch.is_empty() and groups
    ]
    return pl.concat([EXPLANATION_SCHEMA.to_frame(), *batches])


def typical_values(reference: pl.DataFrame, *, columns: tuple[str, ...]) -> dict[str, float | None]:
    """Per feature the lower median of its known values; None (unknown) where most rows do not know it.

    The lower median is a value that occurs: a count stays whole, and of two values the commoner wins.
    """
    values = to_matrix(reference, columns).astype(np.float64)
    return {name: _typical(values[:, place]) for place, name in enumerate(columns)}


def feature_groups(reference: pl.DataFrame, *, columns: tuple[str, ...]) -> tuple[FeatureGroup, ...]:
    """The features as groups of near-duplicates, in the order of `columns`.

    A feature joins the first leader whose |Spearman| with it is above .9 and otherwise leads a group
    of its own. Joining leaders only, not members, keeps a chain of look-alikes from becoming one group.
    """
    likeness = np.abs(rank_correlations(reference, columns=columns))
    members: dict[int, list[str]] = {}
    for place, name in enumerate(columns):
        leader = next((other for other in members if likeness[other, place] > NEAR_DUPLICATE), place)
        members.setdefault(leader, []).append(name)
    return tuple(FeatureGroup(names[0], tuple(names)) for names in members.values())


def rank_correlations(reference: pl.DataFrame, *, columns: tuple[str, ...]) -> Floats:
    """Columns × columns: Spearman correlations over the rows that know both, 0 where fewer than 30 do.

    Ranks are those among each column's own known values, so that all pairs come from five matrix products.
    """
    values = to_matrix(reference, columns).astype(np.float64)
    known = (~np.isnan(values)).astype(np.float64)
    ranks = np.column_stack([_centred_ranks(values[:, i]) for i in range(len(columns))] or [np.empty((len(values), 0))])
    shared = known.T @ known
    n = np.maximum(shared, 1)
    sums, squares = ranks.T @ known, (ranks**2).T @ known
    covariance = ranks.T @ ranks / n - (sums / n) * (sums.T / n)
    variance = squares / n - (sums / n) ** 2
    scale = np.sqrt(np.maximum(variance * variance.T, 0))
    is_measurable = (shared >= FEWEST_SHARED_ROWS) & (scale > SMALLEST_EFFECT)
    return np.where(is_measurable, covariance / np.where(is_measurable, scale, 1), 0.0)


def _explain_batch(
    model: ActivityModel,
    users: pl.DataFrame,
    *,
    groups: tuple[FeatureGroup, ...],
    typical: Mapping[str, float | None],
    n_top: int,
) -> pl.DataFrame:
    own = log_odds(model.predict(users))
    effects = [own - log_odds(model.predict(_with_typical(users, group.members, typical=typical))) for group in groups]
    leaders = tuple(group.leader for group in groups)
    long = pl.DataFrame(
        {
            "user_id": users["user_id"].gather(np.repeat(np.arange(users.height), len(groups))),
            "feature": leaders * users.height,
            "value": _finite(users, leaders),
            "typical": [typical[name] for name in leaders] * users.height,
            "effect_log_odds": np.column_stack(effects).ravel(),
        },
        schema_overrides={"typical": pl.Float64},
    )
    return _strongest(long, n_top=n_top)


def _strongest(long: pl.DataFrame, *, n_top: int) -> pl.DataFrame:
    # Rounded before ranking: twelve digits in, two machines' sums may differ.
    strength = pl.col("effect_log_odds").abs().round(9)
    return (
        long.filter(strength > SMALLEST_EFFECT)
        .sort("user_id", -strength, "feature")
        .with_columns(position=pl.int_range(1, pl.len() + 1, dtype=pl.Int32).over("user_id"))
        .filter(pl.col("position") <= n_top)
        .select(EXPLANATION_SCHEMA.names())
    )


def _with_typical(
    users: pl.DataFrame, members: tuple[str, ...], *, typical: Mapping[str, float | None]
) -> pl.DataFrame:
    return users.with_columns(pl.lit(typical[name]).cast(users.schema[name]).alias(name) for name in members)


def _finite(users: pl.DataFrame, leaders: tuple[str, ...]) -> pl.Series:
    # Straight from the frame: the learners' float32 would turn 19.99 into 19.98999977.
    values = users.select(pl.col(leaders).cast(pl.Float64)).to_numpy().ravel()
    return pl.Series(values=np.where(np.isfinite(values), values, np.nan)).fill_nan(None)


def _typical(values: Floats) -> float | None:
    known = values[~np.isnan(values)]
    if 2 * len(known) < len(values) or not len(known):
        return None
    return float(np.quantile(known, 0.5, method="lower"))


def _centred_ranks(values: Floats) -> Floats:
    """Mid-ranks of the known values, scaled to -0.5 to 0.5; 0 for the unknown."""
    known = ~np.isnan(values)
    _, place, size = np.unique(values[known], return_inverse=True, return_counts=True)
    ranks = np.zeros(len(values))
    middle = np.cumsum(size) - (size - 1) / 2
    ranks[known] = middle[place] / (known.sum() + 1) - 0.5
    return ranks


def _require_inputs(users: pl.DataFrame, reference: pl.DataFrame, *, columns: tuple[str, ...]) -> None:
    for name, frame in (("users", users), ("reference", reference)):
        absent = [column for column in columns if column not in frame.columns]
        if absent:
            raise WinbackError(
                f"the {name} frame to explain scores with lacks {', '.join(absent)}",
                fix="name only features that both frames hold",
            )
    if reference.is_empty():
        raise WinbackError(
            "there is no reference row, so nothing is typical", fix="pass training rows of comparable users"
        )
    repeated = users["user_id"].filter(users["user_id"].is_duplicated())
    if len(repeated):
        raise WinbackError(
            f"user {sorted(repeated)[0]} stands in more than one row",
            fix="pass each user once",
        )
