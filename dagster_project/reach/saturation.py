"""Where one more message stops paying and where it starts costing, per stage. Associations, not effects."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from dagster_project.reach.curves import Floats, fit_curves, resampled
from dagster_project.reach.fatigue import exact_sum

ALL_STAGES = "all"
ACTIVITY_BANDS = (1, 4, 12)  # active days of the 28 before: none, 1 to 3, 4 to 11, more
FEWEST_USER_WEEKS = 100  # with so many messages or more; below it nothing is said of a step
FEWEST_RESPONSES = 10
LEAST_PER_WEEK = 1  # an association is no ground to stop writing altogether; the held-out arm is
TOP_SHARE = 0.99  # of user-weeks lie at or under the last step, which stands for all larger numbers

SATURATION_SCHEMA = pl.Schema(
    {
        "stage": pl.String,
        "window_days": pl.Int32,
        "n_messages": pl.Int32,
        "n_user_weeks": pl.Int64,
        "observed_share": pl.Float64,
        "response_share": pl.Float64,
        "response_low": pl.Float64,
        "response_high": pl.Float64,
        "opt_out_share": pl.Float64,
        "opt_out_low": pl.Float64,
        "opt_out_high": pl.Float64,
        "uninstall_share": pl.Float64,
        "marginal_value": pl.Float64,
        "marginal_low": pl.Float64,
        "marginal_high": pl.Float64,
        "verdict": pl.String,
        "best_messages": pl.Int32,
        "best_low": pl.Int32,
        "best_high": pl.Int32,
        "stops_paying_at": pl.Int32,
        "starts_costing_at": pl.Int32,
        "max_per_week": pl.Int32,
        "explanation": pl.String,
    }
)


@dataclass(frozen=True)
class SaturationChoices:
    """`window_days`: over which messages are counted. `horizon_days`: for how long an opt-out is mourned."""

    window_days: int
    horizon_days: int
    most_messages: int = 20
    n_groups: int = 50
    n_resamples: int = 200
    seed: int = 0


@dataclass(frozen=True)
class _Counts:
    """Sums by (group of users, stage, stratum, dose)."""

    stages: list[str]
    doses: Floats
    weeks: Floats
    responses: Floats
    opt_outs: Floats
    uninstalls: Floats


def fit_saturation(weeks: pl.DataFrame, *, choices: SaturationChoices) -> pl.DataFrame:
    """One row per stage (and `all`) and number of messages from 0: response, harm, what one more is worth.

    `weeks`: one row per user and past window, of users to whom messages went: user_id, stage (on the day before
    the week), n_messages (that arrived in the window of `window_days`), n_active_days_before (in the 28 days
    before the week), is_response (clicked, or active in the 7 days after), n_opt_outs and n_uninstalls (charged
    to the messages of the window; fractions).

    response_share: standardised to the stage's own mix of earlier activity. opt_out_share, uninstall_share: per
    user-week that got as far as this message, charged to it. marginal_value, in responses per user-week: the gain
    in response_share by this message, less its opt-outs (each costs, for the weeks of the horizon, what a first
    message gains) and uninstalls (each costs the whole response). Intervals: 95 %, bootstrap over groups of users.
    verdict: pays (interval above 0), costs (below), cannot tell. max_per_week: messages that all pay, from the
    first; no fewer than LEAST_PER_WEEK. Those who are active get more messages and come more often: stage and
    earlier activity take out a part of that, the rest stays. Read it as "associated with".
    """
    if weeks.is_empty():
        return SATURATION_SCHEMA.to_frame()
    counts = _count(weeks, choices)
    n_samples = choices.n_resamples
    trials, responses, opt_outs, uninstalls = (
        resampled(by_group, n_resamples=n_samples, seed=choices.seed)
        for by_group in (counts.weeks, counts.responses, counts.opt_outs, counts.uninstalls)
    )
    strata = trials[0].sum(axis=2)
    weights = (strata + 1e-9) / (strata + 1e-9).sum(axis=1, keepdims=True)
    sizes = strata.sum(axis=1) / strata.sum()
    response = fit_curves(trials, responses, doses=counts.doses).shares(counts.doses, weights=weights)
    reached = trials.sum(axis=2)[..., ::-1].cumsum(axis=2)[..., ::-1]
    opt_out = _hazard(reached, opt_outs.sum(axis=2), doses=counts.doses)
    uninstall = _hazard(reached, uninstalls.sum(axis=2), doses=counts.doses)
    curves = [_with_all(curve, sizes) for curve in (response, opt_out, uninstall)]
    marginal = _marginal(*curves, n_weeks=choices.horizon_days / 7)
    seen = _with_total(trials[0].sum(axis=1))
    answered = _with_total(responses[0].sum(axis=1))
    rows = [
        row
        for place, stage in enumerate([*counts.stages, ALL_STAGES])
        for row in _rows(
            stage,
            seen=seen[place],
            answered=answered[place],
            curves=[curve[:, place] for curve in curves],
            marginal=marginal[:, place],
            window_days=choices.window_days,
        )
    ]
    return pl.DataFrame(rows, schema=SATURATION_SCHEMA, orient="row").sort("stage", "n_messages")


def max_per_week(saturation: pl.DataFrame) -> pl.DataFrame:
    """stage, max_per_week: what a cap of one week may be, from the curve over 7 days. `all` serves unknown stages."""
    weekly = saturation.filter(pl.col("window_days") == 7)
    return weekly.select("stage", "max_per_week").unique().sort("stage")


def costing_caps(saturation: pl.DataFrame) -> pl.DataFrame:
    """stage, window_days, max_messages: how many messages a window may hold before one more is shown to cost.

    Only where the curve says so, its interval below nought: an undecided curve caps nobody, the settings do. A stage
    whose own curve cannot tell has the cap of all stages together. Sorted.
    """
    known = (
        saturation.group_by("window_days", "stage")
        .agg(pl.col("starts_costing_at").first())
        .join(
            saturation.filter(pl.col("stage") == ALL_STAGES)
            .select("window_days", pl.col("starts_costing_at").alias("of_all"))
            .unique(),
            on="window_days",
            how="left",
        )
    )
    cap = pl.max_horizontal(pl.coalesce("starts_costing_at", "of_all") - 1, pl.lit(LEAST_PER_WEEK))
    return (
        known.filter(pl.col("stage") != ALL_STAGES)
        .filter(pl.coalesce("starts_costing_at", "of_all").is_not_null())
        .select("stage", pl.col("window_days").cast(pl.Int64), cap.cast(pl.Int64).alias("max_messages"))
        .sort("stage", "window_days")
    )


def _count(weeks: pl.DataFrame, choices: SaturationChoices) -> _Counts:
    top = int(weeks["n_messages"].quantile(TOP_SHARE, interpolation="higher") or 0)
    top = max(1, min(top, choices.most_messages))
    stages = sorted(weeks["stage"].unique())
    shape = (choices.n_groups, len(stages), len(ACTIVITY_BANDS) + 1, top + 1)
    names = ("weeks", "responses", "opt_outs", "uninstalls")
    cells = (
        weeks.select(
            (pl.col("user_id").rank("dense") % choices.n_groups).cast(pl.Int64).alias("group"),
            pl.col("stage").replace_strict(stages, list(range(len(stages))), return_dtype=pl.Int64),
            _band(pl.col("n_active_days_before")).alias("stratum"),
            pl.col("n_messages").clip(0, top).cast(pl.Int64).alias("dose"),
            pl.col("is_response", "n_opt_outs", "n_uninstalls").cast(pl.Float64),
        )
        .group_by("group", "stage", "stratum", "dose")
        .agg(
            pl.len().cast(pl.Float64),
            pl.col("is_response").sum(),
            exact_sum("n_opt_outs").alias("n_opt_outs"),
            exact_sum("n_uninstalls").alias("n_uninstalls"),
        )
        .sort("group", "stage", "stratum", "dose")
    )
    at = tuple(cells[axis].to_numpy() for axis in ("group", "stage", "stratum", "dose"))
    tensors = {}
    for name, column in zip(names, cells.columns[4:], strict=True):
        tensors[name] = np.zeros(shape)
        tensors[name][at] = cells[column].to_numpy()
    return _Counts(stages=stages, doses=np.arange(top + 1, dtype=np.float64), **tensors)


def _band(n_days: pl.Expr) -> pl.Expr:
    return pl.sum_horizontal([(n_days >= start).cast(pl.Int64) for start in ACTIVITY_BANDS])


def _hazard(reached: Floats, harms: Floats, *, doses: Floats) -> Floats:
    """(batch, stage, dose): harm per user-week that got to its m-th message; 0 for no message."""
    at_risk, harmed = reached[:, :, None, 1:], np.minimum(harms, reached)[:, :, None, 1:]
    curves = fit_curves(at_risk, harmed, doses=doses[1:], is_straight=True)
    shares = curves.shares(doses[1:], weights=np.ones((reached.shape[1], 1)))
    none_at_all = harms[0].sum() == 0
    padded = np.concatenate([np.zeros((*shares.shape[:2], 1)), shares], axis=2)
    return np.zeros_like(padded) if none_at_all else padded


def _with_all(curve: Floats, sizes: Floats) -> Floats:
    return np.concatenate([curve, np.einsum("bsd,s->bd", curve, sizes)[:, None]], axis=1)


def _with_total(by_stage: Floats) -> Floats:
    return np.vstack([by_stage, by_stage.sum(axis=0)])


def _marginal(response: Floats, opt_out: Floats, uninstall: Floats, *, n_weeks: float) -> Floats:
    gain = np.diff(response, axis=2, prepend=response[:, :, :1])
    per_opt_out = n_weeks * np.maximum(gain[:, :, 1:2], 0)
    per_uninstall = n_weeks * response[:, :, 1:2]
    return np.asarray(gain - opt_out * per_opt_out - uninstall * per_uninstall, dtype=np.float64)


def _rows(
    stage: str, *, seen: Floats, answered: Floats, curves: list[Floats], marginal: Floats, window_days: int
) -> list[tuple[object, ...]]:
    response, opt_out, uninstall = curves
    reached = seen[::-1].cumsum()[::-1]
    is_thin = (reached < FEWEST_USER_WEEKS) | (answered.sum() < FEWEST_RESPONSES)
    low, high = _interval(marginal)
    verdicts = [
        "cannot tell" if thin else "pays" if lower > 0 else "costs" if upper < 0 else "cannot tell"
        for thin, lower, upper in zip(is_thin, low, high, strict=True)
    ]
    n_paying = next((m - 1 for m in range(1, len(verdicts)) if verdicts[m] != "pays"), len(verdicts) - 1)
    stops = n_paying + 1 if n_paying + 1 < len(verdicts) else None
    costs = next((m for m in range(1, len(verdicts)) if verdicts[m] == "costs"), None)
    per_week = max(LEAST_PER_WEEK, round(n_paying * 7 / window_days))
    best = np.argmax(marginal.cumsum(axis=1), axis=1)
    best_range = (int(best[0]), *(int(end) for end in np.quantile(best[1:], [0.025, 0.975], method="nearest")))
    said = _explained(stage, n_paying=n_paying, costs=costs, per_week=per_week, window_days=window_days)
    (response_low, response_high), (opt_out_low, opt_out_high) = _interval(response), _interval(opt_out)
    return [
        (
            stage,
            window_days,
            m,
            int(seen[m]),
            float(answered[m] / seen[m]) if seen[m] else None,
            *(float(v[m]) for v in (response[0], response_low, response_high)),
            *(float(v[m]) for v in (opt_out[0], opt_out_low, opt_out_high)),
            float(uninstall[0, m]),
            *((float(v[m]) if m else None) for v in (marginal[0], low, high)),
            verdicts[m] if m else None,
            *best_range,
            stops,
            costs,
            per_week,
            said,
        )
        for m in range(len(seen))
    ]


def _interval(samples: Floats) -> tuple[Floats, Floats]:
    """95 % ends over the bootstrap, widened to hold the estimate itself."""
    ends: npt.NDArray[np.float64] = np.quantile(samples[1:], [0.025, 0.975], axis=0)
    return np.minimum(ends[0], samples[0]), np.maximum(ends[1], samples[0])


def _explained(stage: str, *, n_paying: int, costs: int | None, per_week: int, window_days: int) -> str:
    whom = "all stages together" if stage == ALL_STAGES else stage.replace("_", " ")
    span = f"in {window_days} days"
    if n_paying == 0:
        return (
            f"For {whom}, no number of messages {span} is clearly associated with more response: cannot tell, "
            f"so the smaller dose, {per_week} a week."
        )
    more = f"; from {costs} on, one more is associated with a loss" if costs else ""
    some = "one message" if n_paying == 1 else f"each of up to {n_paying} messages"
    return f"For {whom}, {some} {span} is associated with more response{more}."
