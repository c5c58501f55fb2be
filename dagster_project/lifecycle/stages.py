"""The stage of every user: one of fifteen, by silence, the user's own yardsticks and the last return.

The yardsticks come from `definitions` and `parameters`; how users move between stages is in `migration`.
"""

from datetime import date
from typing import NamedTuple

import polars as pl

from dagster_project.lifecycle.definitions import churn_labels
from dagster_project.lifecycle.parameters import StageRules

PHASE_OF_STAGE: dict[str, str] = {
    "prospect": "onboarding",
    "new": "onboarding",
    "onboarding_stalled": "onboarding",
    "growing": "engaged",
    "active": "engaged",
    "cooling": "declining",
    "at_risk": "declining",
    "dormant": "declining",
    "churned_early": "churned",
    "churned_mid": "churned",
    "churned_late": "churned",
    "lost": "churned",
    "reactivated_trial": "returned",
    "reactivated_sustained": "returned",
    "relapsed": "churned",
}
STAGES: tuple[str, ...] = tuple(PHASE_OF_STAGE)
PHASES: tuple[str, ...] = ("onboarding", "engaged", "declining", "churned", "returned")

SILENCED_FLAGS = ("is_measurement_gap", "is_unreached")
# Twice is chance, three active days are a habit taken up again.
SUSTAINED_ACTIVE_DAYS = 3

STAGE_COLUMNS: tuple[str, ...] = (
    "user_sk",
    "user_id",
    "stage",
    "previous_stage",
    "phase",
    "is_churned",
    "days_silent",
    "usual_gap_days",
    "churn_threshold_days",
    "churn_factor",
    "churned_on",
    "stage_entered_on",
    "days_in_stage",
    "is_churned_calendar",
    "is_churned_cadence",
    "is_churned_data_driven",
    "n_returns",
    "returned_on",
    "is_measurement_gap",
    "is_unreached",
)


class _StageRule(NamedTuple):
    """A stage, the condition that makes it so once all earlier rules have failed, and its first day."""

    stage: str
    holds: pl.Expr
    entered_on: pl.Expr


def assign_stages(
    users: pl.DataFrame, *, as_of: date, rules: StageRules, paused: pl.DataFrame | None = None
) -> pl.DataFrame:
    """lifecycle.stages: one row per row of `users`, sorted by user_id, columns STAGE_COLUMNS.

    `users` is marts.users as of `as_of`. A return is the end of a long gap that today's churn threshold of
    the user would have called churn; gaps under 7 days are not kept, so none of them counts as one.
    `churn_factor` is silence ÷ usual gap; `churned_on` the first day of silence beyond the threshold.

    `stage_entered_on` is measured by today's yardsticks, not by those of the night it happened. It does not
    see excursions shorter than 7 days, and takes active days since a return as evenly spread where more
    than three hide the third. It is null for a prospect without a date. `previous_stage` is null until
    `with_previous`.

    `paused` (outages.silenced_users, one row or more per user): whose silence is of our making, and how many of its
    days say nothing. Their clock stands still on those days: `days_silent` and every date that follows from the last
    active day are moved on by as many. Where events were lost `is_measurement_gap` is set; where nothing has reached
    the user since a purge or a provider's outage, `is_unreached`. Nobody else's row changes.

    Raises DataQualityError when `users` holds a core event after `as_of`.
    """
    counted = _with_paused_clock(users, paused, as_of=as_of)
    labels = churn_labels(counted, as_of=as_of, rules=rules)
    judged = counted.select(
        *SILENCED_FLAGS, "known_on", "first_on", "second_on", "last_on", "n_active_days", "long_gaps"
    ).with_columns(labels.get_columns())
    described = judged.drop("long_gaps").join(_long_gap_facts(judged), on="user_sk", how="left")
    stage_rules = _stage_rules(rules, as_of=as_of)
    entered = described.with_columns(
        _first_that_holds(stage_rules, [pl.lit(rule.stage) for rule in stage_rules]).alias("stage"),
        _first_that_holds(stage_rules, [rule.entered_on for rule in stage_rules]).alias("stage_entered_on"),
        pl.col("n_returns").fill_null(0).cast(pl.Int32),
    )
    return (
        entered.with_columns(
            pl.lit(None, dtype=pl.String).alias("previous_stage"),
            pl.col("stage").replace_strict(PHASE_OF_STAGE, return_dtype=pl.String).alias("phase"),
            (pl.col("days_silent") / pl.col("usual_gap_days")).alias("churn_factor"),
            pl.when("is_churned").then(_first_day_beyond(pl.col("churn_threshold_days"))).alias("churned_on"),
            _days_until(pl.col("stage_entered_on"), as_of=as_of).cast(pl.Int32).alias("days_in_stage"),
        )
        .select(STAGE_COLUMNS)
        .sort("user_id")
    )


def with_previous(today: pl.DataFrame, yesterday: pl.DataFrame) -> pl.DataFrame:
    """`today` with previous_stage: the stage in `yesterday`, lifecycle.stages of the day before.

    Null for users not visible then. Each night used its own yardsticks, so a user can change stage without
    having done anything. Sorted by user_id.
    """
    before = yesterday.select("user_sk", pl.col("stage").alias("previous_stage"))
    return today.drop("previous_stage").join(before, on="user_sk", how="left").select(STAGE_COLUMNS).sort("user_id")


def _with_paused_clock(users: pl.DataFrame, paused: pl.DataFrame | None, *, as_of: date) -> pl.DataFrame:
    """`users` with SILENCED_FLAGS, and `last_on` moved on by the paused days."""
    if paused is None:
        return users.with_columns(pl.lit(value=False).alias(flag) for flag in SILENCED_FLAGS)
    is_of_events = pl.col("kind") == "events"
    by_events = pl.col("paused_days").filter(is_of_events).sum()
    # The ways to a user are lost on the same days, however many outages took one.
    by_messages = pl.col("paused_days").filter(~is_of_events).max().fill_null(0)
    days = paused.group_by("user_sk").agg(
        (by_events + by_messages).alias("paused_days"),
        is_of_events.any().alias("is_measurement_gap"),
        (~is_of_events & pl.col("reached_on").is_null()).any().alias("is_unreached"),
    )
    joined = users.join(days, on="user_sk", how="left", maintain_order="left")
    silence = _days_until(pl.col("last_on"), as_of=as_of)
    return joined.with_columns(
        *(pl.col(flag).fill_null(value=False) for flag in SILENCED_FLAGS),
        _plus_days("last_on", pl.min_horizontal(pl.col("paused_days").fill_null(0), silence)),
    )


def _stage_rules(rules: StageRules, *, as_of: date) -> list[_StageRule]:
    """All fifteen, in the order of precedence; the last one takes whoever is left."""
    silence, gap, threshold = pl.col("days_silent"), pl.col("usual_gap_days"), pl.col("churn_threshold_days")
    horizon, third = rules.horizon_days, (threshold - gap) / 3
    has_returned = pl.col("returned_on").is_not_null()
    is_recent_return = (_days_until(pl.col("returned_on"), as_of=as_of) <= 2 * horizon).fill_null(value=False)
    is_one_day_user = pl.col("n_active_days") == 1
    is_young = _days_until(pl.col("first_on"), as_of=as_of) <= horizon
    return_settled_on = _plus_days("returned_on", 2 * horizon + 1)

    def beyond(stage: str, days: pl.Expr) -> _StageRule:
        return _StageRule(stage, silence > days, _first_day_beyond(days))

    def declining(stage: str, *, start: pl.Expr, end: pl.Expr) -> _StageRule:
        return _StageRule(stage, silence <= end, pl.max_horizontal(_first_day_beyond(start), return_settled_on))

    return [
        _StageRule("prospect", silence.is_null(), pl.col("known_on")),
        beyond("lost", threshold + 6 * horizon),
        beyond("churned_late", threshold + 2 * horizon),
        beyond("churned_mid", threshold + horizon),
        _StageRule("relapsed", (silence > threshold) & has_returned, _first_day_beyond(threshold)),
        beyond("churned_early", threshold),
        _StageRule(
            "reactivated_trial",
            is_recent_return & (pl.col("n_active_days_since_return") < SUSTAINED_ACTIVE_DAYS),
            pl.col("returned_on"),
        ),
        _StageRule("reactivated_sustained", is_recent_return, _sustained_on()),
        _StageRule("new", is_one_day_user & (silence <= rules.cadence.usual_gap_days), pl.col("first_on")),
        _StageRule("onboarding_stalled", is_one_day_user, _first_day_beyond(pl.lit(rules.cadence.usual_gap_days))),
        _StageRule("growing", is_young & (silence <= gap), pl.max_horizontal("second_on", "resumed_on")),
        _StageRule(
            "active",
            (silence <= gap) | (threshold <= gap),
            pl.max_horizontal("second_on", "resumed_on", _plus_days("first_on", horizon + 1), return_settled_on),
        ),
        declining("cooling", start=gap, end=gap + third),
        declining("at_risk", start=gap + third, end=gap + 2 * third),
        declining("dormant", start=gap + 2 * third, end=threshold),
    ]


def _first_that_holds(stage_rules: list[_StageRule], values: list[pl.Expr]) -> pl.Expr:
    """The value beside the first rule that holds; the last rule's for whoever no rule caught.

    The last condition is not asked: (gap + 2/3 of the stretch, threshold] is all that remains, and float
    rounding must not leave anybody between two stages.
    """
    chosen = values[-1]
    for rule, value in zip(reversed(stage_rules[:-1]), reversed(values[:-1]), strict=True):
        chosen = pl.when(rule.holds).then(value).otherwise(chosen)
    return chosen


def _long_gap_facts(judged: pl.DataFrame) -> pl.DataFrame:
    """Per user with a long gap: n_returns, returned_on, n_active_days_since_return, resumed_on.

    `resumed_on` ended the latest gap that took the user out of the engaged stages.
    """
    gaps = (
        judged.select("user_sk", "n_active_days", "usual_gap_days", "churn_threshold_days", "long_gaps")
        .explode("long_gaps", empty_as_null=False, keep_nulls=False)
        .unnest("long_gaps")
    )
    is_return = pl.col("gap_days") > pl.col("churn_threshold_days")
    # The last night of a gap sees a silence one day shorter than the gap.
    is_break = is_return | (pl.col("gap_days") - 1 > pl.col("usual_gap_days"))
    days_before_return = pl.col("n_active_days_before").filter(is_return).max()
    return gaps.group_by("user_sk").agg(
        is_return.sum().alias("n_returns"),
        pl.col("ended_on").filter(is_return).max().alias("returned_on"),
        (pl.col("n_active_days").first() - days_before_return).alias("n_active_days_since_return"),
        pl.col("ended_on").filter(is_break).max().alias("resumed_on"),
    )


def _sustained_on() -> pl.Expr:
    """The third active day since the return, exact when there are three, else as if evenly spread."""
    n_intervals = pl.col("n_active_days_since_return") - 1
    stretch = _days_from_epoch("last_on") - _days_from_epoch("returned_on")
    return _plus_days("returned_on", (SUSTAINED_ACTIVE_DAYS - 1) * stretch // n_intervals)


def _first_day_beyond(days: pl.Expr) -> pl.Expr:
    """The first date on which the silence is longer than `days`."""
    return _plus_days("last_on", days.floor().cast(pl.Int32) + 1)


def _plus_days(column: str, days: pl.Expr | int) -> pl.Expr:
    return (_days_from_epoch(column) + days).cast(pl.Int32).cast(pl.Date)


def _days_from_epoch(column: str) -> pl.Expr:
    return pl.col(column).cast(pl.Int32)


def _days_until(day: pl.Expr, *, as_of: date) -> pl.Expr:
    return (pl.lit(as_of) - day).dt.total_days()
