"""What failed delivery, over-messaging and irrelevance are associated with in lost returns. No effect is claimed."""

from dataclasses import dataclass

import numpy as np
import polars as pl

from dagster_project.reach.curves import Floats, resampled

SILENCE_BANDS = (7, 14, 30, 60, 120)  # days, each about twice the one before
ACTIVITY_BANDS = (1, 4)  # active days of the 28 before
DOSE_BANDS = (2, 3)
FEWEST_MATCHED = 100  # user-weeks on each side
FEWEST_RETURNS = 10  # on both sides together
FEWEST_ALIKE = 5  # user-weeks on each side, for a cell to count

DAMAGE_SCHEMA = pl.Schema(
    {
        "cause": pl.String,
        "n_user_weeks": pl.Int64,
        "n_matched": pl.Int64,
        "returned_share": pl.Float64,
        "alike_returned_share": pl.Float64,
        "difference": pl.Float64,
        "difference_low": pl.Float64,
        "difference_high": pl.Float64,
        "lost_returns": pl.Float64,
        "lost_returns_low": pl.Float64,
        "lost_returns_high": pl.Float64,
        "lost_value": pl.Float64,
        "lost_value_low": pl.Float64,
        "lost_value_high": pl.Float64,
        "verdict": pl.String,
        "explanation": pl.String,
    }
)

_FAILED, _ARRIVED = pl.col("n_failed_ours"), pl.col("n_arrived")
_IRRELEVANT, _CAP = pl.col("n_irrelevant"), pl.col("max_per_week")
CAUSES: tuple[tuple[str, str, pl.Expr, pl.Expr, bool], ...] = (
    (
        "failed_delivery",
        "Weeks in which messages were sent and all were lost by our fault",
        (_FAILED > 0) & (_ARRIVED == 0),
        (_FAILED == 0) & (_ARRIVED > 0),
        False,
    ),
    (
        "over_messaging",
        "Weeks with more messages than the recommended maximum",
        _ARRIVED > _CAP,
        (_ARRIVED > 0) & (_ARRIVED <= _CAP),
        False,
    ),
    (
        "irrelevance",
        "Weeks in which every message was repeated or of a content that nobody clicks",
        (_ARRIVED > 0) & (_IRRELEVANT >= _ARRIVED),
        (_ARRIVED > 0) & (_IRRELEVANT == 0),
        True,
    ),
)
"""Cause, its words, weeks it befell, weeks to compare with, whether these must have equal numbers of messages."""


@dataclass(frozen=True)
class DamageChoices:
    """`horizon_days`: within which a return counts. The bootstrap draws groups of users."""

    horizon_days: int
    n_groups: int = 50
    n_resamples: int = 400
    seed: int = 0


@dataclass(frozen=True)
class _Cells:
    """(batch, cell, side): user-weeks, returns and value of what befell (0) and of those alike (1)."""

    weeks: Floats
    returns: Floats
    value: Floats


def damage_account(weeks: pl.DataFrame, *, choices: DamageChoices) -> pl.DataFrame:
    """One row per cause, in the order of CAUSES: how fewer of those it befell came back than of those alike.

    `weeks`: user-weeks, closed by a whole horizon, of users silent beyond their usual gap: user_id, stage and
    days_silent (on the day before the week), n_active_days_before (in the 28 days before), n_arrived, n_failed_ours,
    n_irrelevant, max_per_week (of the stage; null: not known), is_back (a core event within the horizon after the
    week), value_if_returned. Alike: equal in stage, band of silence, band of earlier activity (and for irrelevance
    of number of messages). difference: share returned of those alike, weighted as those befallen, less the share of
    those befallen; positive = a loss. Intervals: 95 %, bootstrap over groups of users. lost_returns = difference ×
    n_matched, and lost_value, only where the interval is above zero; otherwise nothing is claimed. A
    comparison of what happened to be, not of arms: "associated with".
    """
    rows = [
        _account(weeks, name=name, words=words, befell=befell, alike=alike, by_dose=by_dose, choices=choices)
        for name, words, befell, alike, by_dose in CAUSES
    ]
    return pl.DataFrame(rows, schema=DAMAGE_SCHEMA, orient="row")


def _account(
    weeks: pl.DataFrame,
    *,
    name: str,
    words: str,
    befell: pl.Expr,
    alike: pl.Expr,
    by_dose: bool,
    choices: DamageChoices,
) -> dict[str, object]:
    side = pl.when(befell).then(0).when(alike).then(1)
    sided = weeks.with_columns(side.alias("side")).filter(pl.col("side").is_not_null())
    n_befallen = int((sided["side"] == 0).sum())
    row: dict[str, object] = dict.fromkeys(DAMAGE_SCHEMA) | {"cause": name, "n_user_weeks": n_befallen, "n_matched": 0}
    cells = _cells(sided, by_dose=by_dose, choices=choices) if 0 < n_befallen < sided.height else None
    if cells is None:
        return row | {"verdict": "cannot tell", "explanation": f"{words}: too few to compare."}
    n_matched, shares, difference, value = _compared(cells)
    low, high = np.quantile(difference[1:], [0.025, 0.975])
    is_thin = min(n_matched[0], cells.weeks[0, :, 1].sum()) < FEWEST_MATCHED or cells.returns[0].sum() < FEWEST_RETURNS
    verdict = "cannot tell" if is_thin or low <= 0 <= high else "loss" if low > 0 else "no loss"
    row |= {
        "n_matched": int(n_matched[0]),
        "returned_share": shares[0],
        "alike_returned_share": shares[1],
        "difference": float(difference[0]),
        "difference_low": float(min(low, difference[0])),
        "difference_high": float(max(high, difference[0])),
        "verdict": verdict,
        "explanation": _explained(words, verdict=verdict, difference=float(difference[0]), choices=choices),
    }
    return row | (_losses(difference * n_matched, value) if verdict == "loss" else {})


def _cells(sided: pl.DataFrame, *, by_dose: bool, choices: DamageChoices) -> _Cells | None:
    cell = [
        pl.col("stage"),
        _band(pl.col("days_silent"), SILENCE_BANDS).alias("silence"),
        _band(pl.col("n_active_days_before"), ACTIVITY_BANDS).alias("activity"),
        _band(pl.col("n_arrived") if by_dose else pl.lit(0), DOSE_BANDS).alias("dose"),
    ]
    keyed = sided.select(
        pl.struct(cell).rank("dense").cast(pl.Int64).alias("cell") - 1,
        (pl.col("user_id").rank("dense") % choices.n_groups).cast(pl.Int64).alias("group"),
        pl.col("side").cast(pl.Int64),
        pl.col("is_back").cast(pl.Int64),
        (pl.col("value_if_returned").cast(pl.Float64).fill_null(0) * 100).round().cast(pl.Int64).alias("cents"),
    )
    sums = keyed.group_by("group", "cell", "side").agg(pl.len(), pl.col("is_back", "cents").sum())
    shape = (choices.n_groups, int(keyed["cell"].max()) + 1, 2)  # type: ignore[arg-type]  # a column of integers
    at = tuple(sums[axis].to_numpy() for axis in ("group", "cell", "side"))
    tensors = []
    for column in ("len", "is_back", "cents"):
        tensor = np.zeros(shape)
        tensor[at] = sums[column].to_numpy().astype(np.float64)
        tensors.append(tensor)
    both = (tensors[0].sum(axis=0) >= FEWEST_ALIKE).all(axis=1)
    if not both.any():
        return None
    drawn = [resampled(t[:, both], n_resamples=choices.n_resamples, seed=choices.seed) for t in tensors]
    return _Cells(weeks=drawn[0], returns=drawn[1], value=drawn[2] / 100)


def _compared(cells: _Cells) -> tuple[Floats, tuple[float, float], Floats, Floats]:
    """Matched weeks, the two shares (of the data as they are), the difference, and the money of the lost returns."""
    has_both = (cells.weeks > 0).all(axis=2)
    befallen = np.where(has_both, cells.weeks[:, :, 0], 0.0)
    n_matched = befallen.sum(axis=1)
    shares = cells.returns / np.maximum(cells.weeks, 1)
    per_cell = np.where(has_both, shares[:, :, 1] - shares[:, :, 0], 0.0)
    of_all = np.maximum(n_matched, 1)
    of_befallen, of_alike = (float((befallen[0] * shares[0, :, side]).sum() / of_all[0]) for side in (0, 1))
    worth = cells.value[:, :, 0] / np.maximum(cells.weeks[:, :, 0], 1)
    difference = (befallen * per_cell).sum(axis=1) / of_all
    return n_matched, (of_befallen, of_alike), difference, (befallen * per_cell * worth).sum(axis=1)


def _losses(returns: Floats, value: Floats) -> dict[str, float]:
    found: dict[str, float] = {}
    for name, samples in (("lost_returns", returns), ("lost_value", value)):
        low, high = np.quantile(samples[1:], [0.025, 0.975])
        found |= {name: float(samples[0]), f"{name}_low": float(low), f"{name}_high": float(high)}
    return found


def _explained(words: str, *, verdict: str, difference: float, choices: DamageChoices) -> str:
    within = f"within {choices.horizon_days} days"
    match verdict:
        case "loss":
            return f"{words} are associated with {difference * 100:.1f} points fewer returns {within} than weeks alike."
        case "no loss":
            return f"{words} are associated with no fewer returns {within} than weeks alike."
        case _:
            return f"{words}: whether fewer come back {within} cannot be told from these data."


def _band(value: pl.Expr, starts: tuple[int, ...]) -> pl.Expr:
    return pl.sum_horizontal([(value >= start).cast(pl.Int64) for start in starts])
