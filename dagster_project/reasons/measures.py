"""What messages and habits say of each user's last days, as numbers that evidence is read from."""

import polars as pl

# Failures that will not pass: RFC 3463 (5.x.x), RFC 5321 (55x), FCM v1, APNs, SMPP 3.4 receipts, WeChat, web push.
PERMANENT_CODES = (
    r"^(?i)(unregistered|notregistered|not_registered|baddevicetoken|expiredtoken|devicetokennotfortopic"
    r"|invalid_?registration(_token)?|invalid_?argument|senderidmismatch|sender_id_mismatch|registration_token_not_registered"
    r"|5\.(1|2)\.[0-9]+|55[0134]([ -].*)?|undeliv(erable)?|rejectd|hard(_|-| )?bounce|43004|43019|40003|404|410|gone)$"
)
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


def message_measures(messages: pl.DataFrame, departures: pl.DataFrame, earlier: pl.DataFrame) -> pl.DataFrame:
    """One row per user of `messages` (marts.departure_messages): user_sk, is_main_dead, is_main_dead_since_earlier,
    is_other_dead, is_app_gone, n_main_delivered_since, pressure_ratio.

    The main channel is that of most messages. A channel is dead if its failures are permanent, no delivery followed,
    and they began about the last active day or later; one that delivered well into the silence died too late to be
    why. One that died in an earlier silence (`earlier`: left_on, until_on) of a user who came back by themselves and
    has not been reached since is told apart. `pressure_ratio`: messages of the last 28 active days over the average
    user's. `departures` gives the last active day, `left_on`, and the usual gap.
    """
    seen = messages.join(
        departures.select("user_sk", pl.col("left_on").alias("last_on"), "usual_gap_days"), on="user_sk", how="inner"
    )
    is_main = pl.int_range(pl.len()).over("user_sk") == 0
    code = pl.col("failed_code")
    permanent = code.str.contains(PERMANENT_CODES).fill_null(value=False)
    many = (pl.col("n_failed_in_row") >= MANY_FAILURES) & pl.col("n_delivered_since").eq(0) & ~permanent
    late = (pl.col("last_delivered_on") - pl.col("last_on")).dt.total_days() > pl.max_horizontal(
        LATE_GAPS * pl.col("usual_gap_days"), pl.lit(LATE_DAYS)
    )
    began = (pl.col("first_failed_on") - pl.col("last_on")).dt.total_days() >= -DIED_BEFORE_DAYS
    silent = (permanent | many).fill_null(value=False)
    is_dead = (silent & began & ~late.fill_null(value=False)).fill_null(value=False)
    judged = (
        _died_away(seen, earlier)
        .sort("user_sk", "n_sent", "channel", descending=[False, True, False])
        .with_columns(
            (silent & ~began & pl.col("died_away")).fill_null(value=False).alias("is_dead_since_earlier"),
            is_main.alias("is_main"),
            is_dead.alias("is_dead"),
            code.is_in(APP_GONE_CODES).fill_null(False).alias("is_gone"),
        )
    )
    per_user = judged.group_by("user_sk", maintain_order=True).agg(
        (pl.col("is_dead") & pl.col("is_main")).any().alias("is_main_dead"),
        (pl.col("is_dead_since_earlier") & pl.col("is_main")).any().alias("is_main_dead_since_earlier"),
        (pl.col("is_dead") & ~pl.col("is_main")).any().alias("is_other_dead"),
        (pl.col("is_dead") & pl.col("is_gone")).any().alias("is_app_gone"),
        pl.col("n_delivered_since").filter(pl.col("is_main")).sum().alias("n_main_delivered_since"),
        pl.col("n_sent_28d").sum(),
    )
    usual = pl.max_horizontal(pl.col("n_sent_28d").mean(), pl.lit(FEWEST_CROWDED / 2.5))
    return per_user.with_columns((pl.col("n_sent_28d") / usual).alias("pressure_ratio")).drop("n_sent_28d")


def _died_away(seen: pl.DataFrame, earlier: pl.DataFrame) -> pl.DataFrame:
    """`seen` with died_away: whether the channel began to fail in an earlier silence of the user."""
    spans = earlier.group_by("user_sk").agg(pl.struct("left_on", "until_on").alias("silences"))
    failed = seen.select("user_sk", "channel", "first_failed_on").drop_nulls().join(spans, on="user_sk", how="inner")
    within = (
        failed.explode("silences", empty_as_null=False, keep_nulls=False)
        .unnest("silences")
        .filter(pl.col("first_failed_on") > pl.col("left_on"), pl.col("first_failed_on") <= pl.col("until_on"))
    )
    died = within.select("user_sk", "channel", pl.lit(True).alias("died_away")).unique(["user_sk", "channel"])
    return seen.join(died, on=["user_sk", "channel"], how="left").with_columns(pl.col("died_away").fill_null(False))


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
