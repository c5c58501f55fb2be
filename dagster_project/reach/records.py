"""What trust, saturation and damage are worked out from: facts of the night joined, faults told apart."""

from datetime import date

import polars as pl

from dagster_project.reach.consents import WITHDRAWN, for_each_channel, status_word
from dagster_project.reach.trust import COUNTS

OUR_FAULT = ("server_fault", "network", "blocked", "quota", "window")
"""Classes of failure that we or our providers brought on: a dead or full box is the user's side, no fault of ours."""
REVOKED = "permission_revoked"
WEEK_DAYS = 7


def trust_records(
    records: pl.DataFrame, failures: pl.DataFrame, opt_outs: pl.DataFrame, breaches: pl.DataFrame
) -> pl.DataFrame:
    """One row per user and channel with COUNTS, as `trust_of_users` takes it.

    `records`: marts.message_records. `failures`: user_sk, channel, failure_class, n_failed. `opt_outs`: user_sk,
    channel, of those in force. `breaches`: user_sk, channel, n_quiet_breaches. A permission revoked in the device is
    an opt-out of that channel, known by the refusal; several words of one user on one channel are one opt-out.
    """
    ours = failures.filter(pl.col("failure_class").is_in(OUR_FAULT)).group_by("user_sk", "channel")
    revoked = failures.filter(pl.col("failure_class") == REVOKED).select("user_sk", "channel")
    out = pl.concat([opt_outs.select("user_sk", "channel"), revoked]).unique().with_columns(n_opted_out=pl.lit(1))
    joined = (
        records.join(ours.agg(pl.col("n_failed").sum().alias("n_failed_ours")), on=["user_sk", "channel"], how="left")
        .join(breaches, on=["user_sk", "channel"], how="left")
        .join(out, on=["user_sk", "channel"], how="full", coalesce=True)
    )
    return joined.select("user_sk", "channel", pl.col(COUNTS).fill_null(0).cast(pl.Int64)).sort("user_sk", "channel")


def opt_outs_in_force(harms: pl.DataFrame, consents: pl.DataFrame | None) -> pl.DataFrame:
    """user_sk, channel of the opt-outs that no later word has taken back.

    `harms`: as `find_harms` gives them. `consents`: user_sk, channel, status, changed_at. A consent given after an
    opt-out lifts it, one for all channels on each; of an opt-out and a consent of one instant the opt-out stands.
    """
    key = ["user_sk", "channel"]
    said = harms.filter(pl.col("kind") == "opt_out", pl.col("channel").is_not_null())
    newest = said.group_by(key).agg(pl.col("happened_at").max())
    if consents is None:
        return newest.select(key).sort(key)
    lifted = (
        for_each_channel(consents, channels=newest["channel"].unique())
        .filter(~status_word().is_in(WITHDRAWN))
        .group_by(key)
        .agg(pl.col("changed_at").cast(pl.Datetime("us")).max())
    )
    stands = pl.col("changed_at").is_null() | (pl.col("changed_at") <= pl.col("happened_at"))
    return newest.join(lifted, on=key, how="left").filter(stands).select(key).sort(key)


def user_weeks(
    windows: pl.DataFrame, stages: pl.DataFrame, failures: pl.DataFrame, charges: pl.DataFrame
) -> pl.DataFrame:
    """One row per user and past week, as `fit_saturation` and `damage_account` take them, but for the dose.

    `windows`: marts.pressure_windows. `stages`: cutoff_on, user_sk, user_id, stage, phase, days_silent, as on
    cutoff_on; a user not visible then is left out. `failures`: user_sk, sent_on, failure_class, n_failed. `charges`: as
    `charge_harms` gives them. Adds n_failed_ours, opt_outs_7d, opt_outs_28d (complaints among them), uninstalls_7d,
    uninstalls_28d (charged to the messages of those days), is_response, is_back.
    """
    keys = windows.select("user_sk", "cutoff_on")
    ours = failures.filter(pl.col("failure_class").is_in(OUR_FAULT)).select(
        "user_sk", pl.col("sent_on").alias("on"), pl.col("n_failed").cast(pl.Float64).alias("amount")
    )
    joined = windows.join(stages, on=["user_sk", "cutoff_on"], how="inner")
    sums = {"n_failed_ours": _within(ours, keys, first=1)}
    for name, kinds in (("opt_outs", ("opt_out", "complaint")), ("uninstalls", ("uninstall",))):
        charged = charges.filter(pl.col("kind").is_in(kinds), pl.col("message_id").is_not_null()).select(
            "user_sk", pl.col("sent_at").dt.date().alias("on"), pl.col("charge").alias("amount")
        )
        sums[f"{name}_7d"] = _within(charged, keys, first=1)
        sums[f"{name}_28d"] = _within(charged, keys, first=1 - 3 * WEEK_DAYS)
    for name, frame in sums.items():
        joined = joined.join(frame.rename({"amount": name}), on=["user_sk", "cutoff_on"], how="left")
    return joined.with_columns(
        pl.col(list(sums)).fill_null(0.0),
        ((pl.col("n_clicked_7d") > 0) | (pl.col("n_active_days_after") > 0)).alias("is_response"),
        pl.col("back_after_days").is_not_null().alias("is_back"),
    ).sort("cutoff_on", "user_id")


def dosed(weeks: pl.DataFrame, *, window_days: int) -> pl.DataFrame:
    """The weeks with n_messages, n_opt_outs and n_uninstalls of the last 7 or 28 days, for `fit_saturation`."""
    return weeks.with_columns(
        pl.col(f"n_arrived_{window_days}d").alias("n_messages"),
        pl.col(f"opt_outs_{window_days}d").alias("n_opt_outs"),
        pl.col(f"uninstalls_{window_days}d").alias("n_uninstalls"),
    )


def lapsed_weeks(weeks: pl.DataFrame, caps: pl.DataFrame, values: pl.DataFrame) -> pl.DataFrame:
    """The closed weeks of users who were silent beyond their usual gap, for `damage_account`.

    `caps`: stage, max_per_week. `values`: user_sk, value_if_returned.
    """
    away = pl.col("phase").is_in(["declining", "churned"])
    return (
        weeks.filter(pl.col("is_closed"), away)
        .join(caps, on="stage", how="left")
        .join(values.select("user_sk", "value_if_returned"), on="user_sk", how="left")
        .with_columns(
            pl.col("n_arrived_7d").alias("n_arrived"),
            pl.col("n_irrelevant_7d").alias("n_irrelevant"),
        )
        .sort("cutoff_on", "user_id")
    )


def _within(dated: pl.DataFrame, keys: pl.DataFrame, *, first: int) -> pl.DataFrame:
    """Sums of `amount` per user and cutoff, over the days from `first` after it to the week's last; to a millionth."""
    after = (pl.col("on") - pl.col("cutoff_on")).dt.total_days()
    exact = (pl.col("amount") * 1e6).round().cast(pl.Int64).sum() / 1e6
    return (
        keys.join(dated, on="user_sk", how="inner")
        .filter(after.is_between(first, WEEK_DAYS))
        .group_by("user_sk", "cutoff_on")
        .agg(exact.alias("amount"))
    )


def outcome_cutoffs(windows: pl.DataFrame, *, first_day: date) -> list[date]:
    """The days on which the stages of the users of `windows` are wanted, oldest first."""
    days: list[date] = windows["cutoff_on"].unique().sort().to_list()
    return [day for day in days if day >= first_day]
