"""Whether the model in service still fits the world: judged on the newest closed window, never by shifted inputs alone.

Why the thresholds are what they are: METHODS, section H. Keeping and retraining models is `keeping`'s work.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import polars as pl

from dagster_project.errors import WinbackError
from dagster_project.intervals import wilson_interval
from dagster_project.models import metrics
from dagster_project.models.activity import Probabilities, bounded, outcomes
from dagster_project.models.features import to_matrix
from dagster_project.models.report import json_ready
from dagster_project.models.wording import plain_number

Floats = npt.NDArray[np.float64]
Verdict = Literal["ok", "warn", "unjudged"]

N_PSI_BINS = 10
N_NAMED = 3
EMPTY_BIN_SHARE = 1e-4  # the customary floor: an empty bin must not make the index infinite

PROFILE_SCHEMA = pl.Schema(
    {
        "feature": pl.String(),
        "n": pl.Int64(),
        "unknown_share": pl.Float64(),
        "mean": pl.Float64(),
        "sd": pl.Float64(),
        "edges": pl.List(pl.Float64()),
        "shares": pl.List(pl.Float64()),
    }
)


@dataclass(frozen=True)
class DriftSpec:
    """What counts as drift.

    `least_relative_gap`: champion's excess log-loss over the challenger's, as a share of the latter.
    Measured losses by staleness were 1.9 % (harmless), 2.8 % and 15.5 %: 2 % parts them.
    `low`, `high`: the band that observed ÷ expected must touch with its 95 % interval.
    `fewest_users`, `fewest_of_a_kind`: below them the window says nothing.
    """

    least_relative_gap: float = 0.02
    low: float = 0.85
    high: float = 1.15
    fewest_users: int = 200
    fewest_of_a_kind: int = 20
    n_resamples: int = 200
    seed: int = 20260101


@dataclass(frozen=True)
class DriftReport:
    """`reason`: one sentence. `figures`: what was measured. `features`: one row each, most moved first. JSON-ready."""

    verdict: Verdict
    reason: str
    figures: Mapping[str, float | int | None]
    features: tuple[Mapping[str, Any], ...]

    @property
    def has_drifted(self) -> bool:
        """Whether the model should be trained anew."""
        return self.verdict == "warn"


def read_report(told: Mapping[str, Any]) -> DriftReport:
    """The report whose fields were written as JSON."""
    return DriftReport(told["verdict"], told["reason"], told["figures"], tuple(told["features"]))


def feature_profile(rows: pl.DataFrame, *, columns: tuple[str, ...]) -> pl.DataFrame:
    """One row per feature, in the order of `columns`: what these rows look like, small enough to keep with a model.

    mean and sd are of the known values (null without one). `edges` are the inner tenths (each once),
    `shares` the shares of known values in the bins that they make, a value on an edge in the lower bin.
    """
    values = to_matrix(rows, columns).astype(np.float64)
    return pl.DataFrame([_profile(values[:, i], name) for i, name in enumerate(columns)], schema=PROFILE_SCHEMA)


def drift_report(
    window: pl.DataFrame,
    *,
    champion: Probabilities,
    challenger: Probabilities,
    profile: pl.DataFrame,
    spec: DriftSpec | None = None,
) -> DriftReport:
    """Whether the champion (in service) still does as well as a challenger fitted afresh; warn calls for training.

    `window`: rows of the newest closed window with `is_active`; `champion` and `challenger`: their
    probabilities, row by row. Leakage boundary: both must have learned only from windows closed by the
    window's cutoff, or the one that saw more is flattered. `profile`: `feature_profile` of the rows that
    the champion learned from.

    Warn when either (1) the champion's log-loss is higher by at least `least_relative_gap` and the 95 %
    bootstrap interval of the paired difference lies above zero, or (2) the Wilson interval of observed ÷
    expected misses the band low to high. Features that moved (shift of the mean in the champion's standard
    deviations) are named to help the reader; neither they nor the population stability index ever raise an
    alarm, for growing features move them without any loss. Not a test of what caused the change.

    Raises WinbackError: the probabilities are not one per row.
    """
    spec = spec or DriftSpec()
    _require_one_per_row(window, champion=champion, challenger=challenger)
    outcome = outcomes(window)
    features = moved_features(window, profile=profile)
    n_active = int(outcome.sum())
    if len(outcome) < spec.fewest_users or min(n_active, len(outcome) - n_active) < spec.fewest_of_a_kind:
        figures: dict[str, float | int | None] = {"n": len(outcome), "n_active": n_active}
        return DriftReport("unjudged", _too_few(len(outcome), n_active, spec=spec), figures, features)
    figures = _loss_figures(outcome, bounded(champion), bounded(challenger), spec=spec)
    figures |= observed_over_expected(outcome, bounded(champion))
    faults = _faults(figures, spec=spec)
    reason = _warning(faults, features) if faults else _all_well(figures)
    return DriftReport("warn" if faults else "ok", reason, json_ready(figures), features)


def observed_over_expected(outcome: Floats, probability: Probabilities) -> dict[str, float | int | None]:
    """Active users ÷ sum of probabilities, with the ends of Wilson's 95 % interval of the observed share."""
    low, high = wilson_interval(outcome.sum(), len(outcome))
    expected = float(probability.mean())
    return {
        "observed_over_expected": float(outcome.mean()) / expected,
        "observed_over_expected_low": float(low) / expected,
        "observed_over_expected_high": float(high) / expected,
    }


def moved_features(window: pl.DataFrame, *, profile: pl.DataFrame) -> tuple[dict[str, Any], ...]:
    """One JSON-ready row per profiled feature that the window holds, by |shift_sd|, then name.

    shift_sd: (mean now - mean then) ÷ sd then; null where either mean is unknown, and where a feature
    that was constant no longer is the same (such rows come first). psi: context only.
    """
    then = {row["feature"]: row for row in profile.iter_rows(named=True) if row["feature"] in window.columns}
    values = to_matrix(window, tuple(then)).astype(np.float64)
    rows = [_movement(values[:, i], row) for i, row in enumerate(then.values())]
    ordered = sorted(rows, key=lambda row: (-_size(row), row["feature"]))
    return tuple(json_ready(row) for row in ordered)


def population_stability(then: Sequence[float], now: Sequence[float]) -> float:
    """Σ (now - then) ln(now ÷ then) over bins of shares, each at least .0001. 0 = alike; no upper bound."""
    old, new = (np.maximum(np.asarray(shares, dtype=np.float64), EMPTY_BIN_SHARE) for shares in (then, now))
    return float(((new - old) * np.log(new / old)).sum())


def _profile(values: Floats, name: str) -> dict[str, Any]:
    known = values[~np.isnan(values)]
    edges = np.unique(np.quantile(known, np.arange(1, N_PSI_BINS) / N_PSI_BINS)) if len(known) else np.empty(0)
    return {
        "feature": name,
        "n": len(values),
        "unknown_share": 1 - len(known) / len(values) if len(values) else None,
        "mean": float(known.mean()) if len(known) else None,
        "sd": float(known.std()) if len(known) else None,
        "edges": edges.tolist(),
        "shares": _bin_shares(known, edges).tolist(),
    }


def _bin_shares(known: Floats, edges: Floats) -> Floats:
    counts = np.bincount(np.searchsorted(edges, known, side="left"), minlength=len(edges) + 1)
    return np.asarray(counts / max(1, len(known)), dtype=np.float64)


def _movement(values: Floats, then: Mapping[str, Any]) -> dict[str, Any]:
    now = _profile(values, then["feature"])
    known = values[~np.isnan(values)]
    can_bin = bool(len(known)) and then["mean"] is not None
    return {
        "feature": then["feature"],
        "mean_then": then["mean"],
        "mean_now": now["mean"],
        "shift_sd": _shift(then, now["mean"]),
        "unknown_share_then": then["unknown_share"],
        "unknown_share_now": now["unknown_share"],
        "psi": population_stability(
            then["shares"], _bin_shares(known, np.asarray(then["edges"], dtype=np.float64)).tolist()
        )
        if can_bin
        else None,
    }


def _shift(then: Mapping[str, Any], mean_now: float | None) -> float | None:
    if then["mean"] is None or mean_now is None:
        return None
    difference = mean_now - float(then["mean"])
    if not then["sd"]:
        return 0.0 if difference == 0 else None
    return difference / float(then["sd"])


def _size(row: Mapping[str, Any]) -> float:
    if row["shift_sd"] is not None:
        return abs(float(row["shift_sd"]))
    return (
        float("inf") if (row["mean_then"] is None) != (row["mean_now"] is None) or row["mean_now"] is not None else 0.0
    )


def _loss_figures(
    outcome: Floats, champion: Probabilities, challenger: Probabilities, *, spec: DriftSpec
) -> dict[str, float | int | None]:
    ours, fresh = metrics.log_losses(outcome, champion), metrics.log_losses(outcome, challenger)
    weights = metrics.resample_weights(len(outcome), n_resamples=spec.n_resamples, seed=spec.seed)
    interval = metrics.mean_interval(ours - fresh, weights=weights)
    return {
        "n": len(outcome),
        "n_active": int(outcome.sum()),
        "champion_log_loss": float(ours.mean()),
        "challenger_log_loss": float(fresh.mean()),
        "log_loss_gap": float((ours - fresh).mean()),
        "log_loss_gap_low": interval.low,
        "log_loss_gap_high": interval.high,
        "relative_gap": float((ours - fresh).mean() / fresh.mean()),
    }


def _faults(figures: Mapping[str, Any], *, spec: DriftSpec) -> list[str]:
    faults = []
    is_surely_worse = figures["log_loss_gap_low"] is not None and figures["log_loss_gap_low"] > 0
    if is_surely_worse and figures["relative_gap"] >= spec.least_relative_gap:
        faults.append(
            f"a freshly fitted model has a log-loss of {figures['challenger_log_loss']:.4f} where the one in "
            f"service has {figures['champion_log_loss']:.4f} ({100 * figures['relative_gap']:.1f} % more)"
        )
    if figures["observed_over_expected_high"] < spec.low or figures["observed_over_expected_low"] > spec.high:
        faults.append(
            f"{figures['observed_over_expected']:.2f} times as many users were active as expected "
            f"({figures['observed_over_expected_low']:.2f} to {figures['observed_over_expected_high']:.2f}, "
            f"tolerated: {spec.low:g} to {spec.high:g})"
        )
    return faults


def _warning(faults: list[str], features: tuple[Mapping[str, Any], ...]) -> str:
    moved = "; ".join(_moved(row) for row in features[:N_NAMED] if _size(row) > 0)
    return f"On the newest closed window {', and '.join(faults)}. Moved most: {moved or 'no feature'}."


def _moved(row: Mapping[str, Any]) -> str:
    then, now = (_mean(row[key]) for key in ("mean_then", "mean_now"))
    by = "" if row["shift_sd"] is None else f" ({row['shift_sd']:+.2f} standard deviations)"
    return f"{row['feature']} from {then} to {now} on average{by}"


def _mean(value: float | None) -> str:
    return "unknown" if value is None else plain_number(round(value, 2))


def _all_well(figures: Mapping[str, Any]) -> str:
    return (
        f"The model in service holds: log-loss {figures['champion_log_loss']:.4f} against "
        f"{figures['challenger_log_loss']:.4f} freshly fitted, observed ÷ expected "
        f"{figures['observed_over_expected']:.2f}."
    )


def _too_few(n: int, n_active: int, *, spec: DriftSpec) -> str:
    return (
        f"Drift was not judged: the newest closed window has {n} users, {n_active} of them active; it takes "
        f"{spec.fewest_users}, with {spec.fewest_of_a_kind} active and {spec.fewest_of_a_kind} not."
    )


def _require_one_per_row(window: pl.DataFrame, *, champion: Probabilities, challenger: Probabilities) -> None:
    if not len(champion) == len(challenger) == window.height:
        raise WinbackError(
            f"{len(champion)} and {len(challenger)} probabilities were given for {window.height} rows",
            fix="predict with both models on the very frame that is passed",
        )
