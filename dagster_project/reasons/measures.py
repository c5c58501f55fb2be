"""What messages and habits say of each user's last days, as numbers that evidence is read from."""

import polars as pl

from dagster_project.reach.failures import verdict_of

# Failures of these kinds end a channel; one that the user shut at the provider (WeChat's unfollowing) does so too.
ENDING = ("endpoint_dead", "endpoint_moved", "permission_revoked")
# APNs' word for an app that was removed. FCM writes it in capitals, for any token that is no more.
APP_GONE_CODES = ("Unregistered",)
# Without a code, or with one that nobody knows: this often in a row without one delivery is dead.
MANY_FAILURES = 3
DIED_BEFORE_DAYS = 14
# A channel that still delivered so long into the silence died too late to be its cause.
LATE_GAPS, LATE_DAYS = 4, 45
# Three standard messages of a Poisson stream are needed before a crowd can be told from chance.
FEWEST_CROWDED = 3
HARDLY_BEGUN_DAYS = 4


def message_measures(
    messages: pl.DataFrame, departures: pl.DataFrame, *, returned: pl.Series, paused: pl.Series
) -> pl.DataFrame:
    """One row per user of `messages` (marts.departure_messages): user_sk, is_main_dead, is_main_dead_returned,
    is_main_dead_paused, is_main_dead_late, is_other_dead, is_app_gone, n_main_delivered_since, pressure_ratio.

    The main channel is that of most messages; of several that have as many, each is. A channel is dead if its
    failures are permanent and no delivery followed: `is_main_dead` if they began about the last active day or later;
    `_late` if the channel still delivered well into the silence. If they began long before, the user came for a while
    without being reached: `_returned` for those who left once before (user_sk), `_paused` for those who only paused.
    `pressure_ratio`: messages of the last 28 active days over the average user's. `departures` gives the last active
    day, `left_on`, and the usual gap.
    """
    usual = pl.max_horizontal(pl.col("n_sent_28d").mean(), pl.lit(FEWEST_CROWDED / 2.5))
    dead, main, before = pl.col("is_dead"), pl.col("is_main"), pl.col("died_before")
    has_returned = pl.col("user_sk").is_in(returned.unique().implode())
    has_paused = pl.col("user_sk").is_in(paused.unique().implode()) & ~has_returned
    return (
        _judged_channels(messages.join(departures, on="user_sk", how="inner"))
        .group_by("user_sk", maintain_order=True)
        .agg(
            (dead & main & ~before & ~pl.col("died_late")).any().alias("is_main_dead"),
            (dead & main & before).any().alias("is_main_dead_before"),
            (dead & main & pl.col("died_late")).any().alias("is_main_dead_late"),
            (dead & ~main).any().alias("is_other_dead"),
            (dead & pl.col("is_gone")).any().alias("is_app_gone"),
            pl.col("n_delivered_since").filter(main).sum().alias("n_main_delivered_since"),
            pl.col("n_sent_28d").sum(),
        )
        .with_columns(
            (pl.col("is_main_dead_before") & has_returned).alias("is_main_dead_returned"),
            (pl.col("is_main_dead_before") & has_paused).alias("is_main_dead_paused"),
            (pl.col("n_sent_28d") / usual).alias("pressure_ratio"),
        )
        .drop("n_sent_28d", "is_main_dead_before")
    )


def _with_verdicts(seen: pl.DataFrame) -> pl.DataFrame:
    """`seen` with is_permanent: whether the commonest code since the last delivery ends the channel for good."""
    codes = seen.select("channel", "failed_code").drop_nulls().unique().sort("channel", "failed_code")
    verdicts = [verdict_of(channel, code) for channel, code in codes.iter_rows()]
    ends = [bool(said.is_permanent) and said.failure_class in ENDING for said in verdicts]
    told = codes.with_columns(pl.Series("is_permanent", ends, dtype=pl.Boolean))
    return seen.join(told, on=["channel", "failed_code"], how="left", maintain_order="left").with_columns(
        pl.col("is_permanent").fill_null(value=False)
    )


def _judged_channels(seen: pl.DataFrame) -> pl.DataFrame:
    code = pl.col("failed_code")
    many = (pl.col("n_failed_in_row") >= MANY_FAILURES) & pl.col("n_delivered_since").eq(0)
    failing_after_days = (pl.col("first_failed_on") - pl.col("left_on")).dt.total_days()
    alive_days = (pl.col("last_delivered_on") - pl.col("left_on")).dt.total_days()
    late = alive_days > pl.max_horizontal(LATE_GAPS * pl.col("usual_gap_days"), pl.lit(LATE_DAYS))
    return (
        _with_verdicts(seen)
        .sort("user_sk", "channel")
        .select(
            "user_sk",
            "n_delivered_since",
            "n_sent_28d",
            (pl.col("n_sent") == pl.col("n_sent").max().over("user_sk")).alias("is_main"),
            (pl.col("first_failed_on").is_not_null() & (pl.col("is_permanent") | many)).alias("is_dead"),
            (failing_after_days < -DIED_BEFORE_DAYS).fill_null(value=False).alias("died_before"),
            late.fill_null(value=False).alias("died_late"),
            code.is_in(APP_GONE_CODES).fill_null(value=False).alias("is_gone"),
        )
    )


def habit_measures(habits: pl.DataFrame) -> pl.DataFrame:
    """One row per user of `habits` (marts.departure_habits): user_sk, gap_growth_z, last_gap_ratio, missed_z,
    is_seasonal, is_hardly_begun.

    `missed_z`: how many standard errors the share of the user's own category in the last weeks lies below the share
    before (a binomial of the late events); null where either is unknown. `is_seasonal`: active around the same day of
    the year before, and few days in between.
    """
    early = pl.col("own_category_share_early").clip(0.05, 0.95)
    n = pl.col("n_late_categorised")
    error = (early * (1 - early) / n).sqrt()
    tenure = (pl.col("last_on") - pl.col("first_on")).dt.total_days()
    is_old = tenure >= 320
    return habits.select(
        "user_sk",
        "gap_growth_z",
        "last_gap_ratio",
        pl.when(n > 0).then((early - pl.col("own_category_share_late")) / error).alias("missed_z"),
        (is_old & (pl.col("n_days_season_ago") * 3 >= pl.col("n_active_days"))).cast(pl.Int8).alias("is_seasonal"),
        ((tenure < HARDLY_BEGUN_DAYS) & (pl.col("n_active_days") <= 2)).cast(pl.Int8).alias("is_hardly_begun"),
    )
