"""What messages and habits say of each user's last days, as numbers that evidence is read from."""

from dataclasses import dataclass, replace

import numpy as np
import polars as pl

from dagster_project.reasons.deaths import Rates, cause_probabilities, fit_rates, watched_channels

# APNs' word for an app that was removed. FCM writes it in capitals, for any token that is no more.
APP_GONE_CODES = ("Unregistered",)
# Without a code, or with one that nobody knows: this often in a row without one delivery is dead.
MANY_FAILURES = 3
# A day's messages say which channel is the main one only over some weeks.
LEAST_MAIN_DAYS = 28
# Of long pauses that were no leavings one in five has a cause as leavings do. An opinion.
PAUSE_WEIGHT = 0.2
PLAIN, BEGUN, EXPLAINED = range(3)
# Three standard messages of a Poisson stream are needed before a crowd can be told from chance.
FEWEST_CROWDED = 3
HARDLY_BEGUN_DAYS = 4
# Of so many gaps more than the user's own is the variance of all users worth. An opinion.
SHRUNK_FREEDOM = 8
# Where interest fades each gap is longer than the one before by some fifth. An opinion.
GROWTH_PER_GAP = 0.2


@dataclass(frozen=True)
class Leavings:
    """What is known of leavings beside messages.

    `current`: one row per user, with left_on, usual_gap_days, is_churned; `returned`: leavings that a return ended,
    with user_sk, left_on, until_on, usual_gap_days; `paused`: pauses that were long, but no leavings, likewise.
    `explained`: user_sk of those whose signals tell why they left; `removed`: of those who removed the app; `begun`: of
    those who hardly began.
    """

    current: pl.DataFrame
    returned: pl.DataFrame
    paused: pl.DataFrame
    explained: pl.Series
    removed: pl.Series
    begun: pl.Series


def message_measures(messages: pl.DataFrame, endpoints: pl.DataFrame, leavings: Leavings) -> pl.DataFrame:
    """One row per user of `messages` (marts.departure_messages): user_sk, death_probability,
    returned_death_probability, paused_death_probability, is_other_dead, is_app_gone, n_main_delivered_since,
    pressure_ratio.

    `endpoints` is reach.endpoints. The main channel is that of most messages while it lived. `death_probability`: the
    chance that its death is why the user left (see `deaths`), 0 while it is not dead. If it died before, the user came
    for a while without being reached: the `returned_` chance is that of an earlier leaving, the `paused_` one that of a
    long pause. `n_main_delivered_since` is null where the main channel died: when it did says more. `pressure_ratio`:
    messages of the last 28 active days over the average user's.
    """
    usual = pl.max_horizontal(pl.col("n_sent_28d").mean(), pl.lit(FEWEST_CROWDED / 2.5))
    channels = _channels(messages.join(leavings.current, on="user_sk", how="inner"), endpoints, leavings)
    watched = watched_channels(channels)
    rates = fit_rates(watched)
    dead, main = pl.col("died_on").is_not_null(), pl.col("is_main")
    return (
        channels.with_columns(pl.Series("cause_probability", cause_probabilities(watched, rates)))
        .group_by("user_sk", maintain_order=True)
        .agg(
            pl.col("cause_probability").filter(main).max().alias("death_probability"),
            (dead & ~main).any().alias("is_other_dead"),
            (dead & pl.col("is_gone")).any().alias("is_app_gone"),
            pl.col("n_delivered_since").filter(main).sum().alias("n_main_delivered_since"),
            (dead & main).any().alias("is_main_dead"),
            pl.col("n_sent_28d").sum(),
        )
        .with_columns(
            pl.when(~pl.col("is_main_dead")).then("n_main_delivered_since").alias("n_main_delivered_since"),
            (pl.col("n_sent_28d") / usual).alias("pressure_ratio"),
        )
        .drop("n_sent_28d", "is_main_dead")
        .join(_at_earlier(channels, leavings.returned, rates, name="returned"), on="user_sk", how="left")
        .join(
            _at_earlier(channels, leavings.paused, replace(rates, share=rates.share * PAUSE_WEIGHT), name="paused"),
            on="user_sk",
            how="left",
        )
        .with_columns(pl.col("returned_death_probability", "paused_death_probability").fill_null(0.0))
    )


def _channels(seen: pl.DataFrame, endpoints: pl.DataFrame, leavings: Leavings) -> pl.DataFrame:
    """`seen` by user and channel with when it died and is_main, is_gone, is_judged, kind, and channel as a position.

    A channel that the user shut, at the provider or here, has not died: that is the user's wish.
    """
    unknown = pl.col("failure_class").fill_null("unknown") == "unknown"
    many = unknown & (pl.col("n_failed_since_delivered") >= MANY_FAILURES)
    known = endpoints.select(
        "user_sk",
        "channel",
        "reach",
        "first_seen_on",
        "last_seen_on",
        "last_delivered_on",
        pl.col("code").is_in(APP_GONE_CODES).fill_null(value=False).alias("is_gone"),
        pl.coalesce("died_on", pl.when(many).then("first_failed_on")).alias("died_on"),
    )
    of_kind = [pl.col("user_sk").is_in(users.implode()) for users in (leavings.explained, leavings.begun)]
    return (
        seen.join(known, on=["user_sk", "channel"], how="left")
        .sort("user_sk", "channel")
        .with_columns(
            is_main(),
            pl.when(of_kind[0]).then(EXPLAINED).when(of_kind[1]).then(BEGUN).otherwise(PLAIN).alias("kind"),
            pl.col("channel").rank("dense") - 1,
        )
        .with_columns(
            (pl.col("is_main") & pl.col("is_churned") & ~pl.col("user_sk").is_in(leavings.removed.implode())).alias(
                "is_judged"
            )
        )
    )


def is_main() -> pl.Expr:
    """Whether a channel gets most messages of its user per day, one that died or was shut until it was given up.

    Who stops writing to one address writes to another: counted over all days that one would seem to be the main.
    """
    first, last = pl.col("first_seen_on").min().over("user_sk"), pl.col("last_seen_on").max().over("user_sk")
    is_shut = pl.col("died_on").is_not_null() | pl.col("reach").is_in(["revoked", "suppressed"])
    until = pl.when(is_shut.fill_null(value=False)).then("last_seen_on").otherwise(last)
    daily = pl.col("n_sent") / pl.max_horizontal((until - first).dt.total_days() + 1, pl.lit(LEAST_MAIN_DAYS))
    return (daily == daily.max().over("user_sk")).fill_null(value=False).alias("is_main")


def _at_earlier(channels: pl.DataFrame, leavings: pl.DataFrame, rates: Rates, *, name: str) -> pl.DataFrame:
    """user_sk and the chance that the main channel's death is why the user left, at the likeliest earlier leaving."""
    dead = channels.filter("is_main", pl.col("died_on") <= pl.col("left_on")).drop("left_on", "usual_gap_days")
    then = dead.join(leavings, on="user_sk", how="inner").filter(pl.col("died_on") > pl.col("left_on"))
    then = then.sort("user_sk", "channel", "left_on")
    chance = pl.Series("chance", cause_probabilities(watched_channels(then), rates))
    return (
        then.with_columns(chance)
        .group_by("user_sk", maintain_order=True)
        .agg(pl.col("chance").max().alias(f"{name}_death_probability"))
    )


def habit_measures(habits: pl.DataFrame, usual_gaps: pl.DataFrame) -> pl.DataFrame:
    """One row per user of `habits` (marts.departure_habits): user_sk, gap_growth_log_odds, missed_z, is_seasonal,
    is_hardly_begun. `usual_gaps` has user_sk and usual_gap_days.

    `gap_growth_log_odds`: how much likelier the gaps are if they grow than if they do not, as a logarithm; about 0
    where few visits tell little. `missed_z`: how many standard errors the share of the user's own category in the last
    weeks lies below the share before (a binomial of the late events); null where either is unknown. `is_seasonal`:
    active around the same day of the year before, and few days in between.
    """
    early = pl.col("own_category_share_early").clip(0.05, 0.95)
    n = pl.col("n_late_categorised")
    error = (early * (1 - early) / n).sqrt()
    is_old = (pl.col("last_on") - pl.col("first_on")).dt.total_days() >= 320
    known = habits.join(usual_gaps.select("user_sk", "usual_gap_days"), on="user_sk", how="left", maintain_order="left")
    return known.select(
        "user_sk",
        _growth_log_odds(known).alias("gap_growth_log_odds"),
        pl.when(n > 0).then((early - pl.col("own_category_share_late")) / error).alias("missed_z"),
        (is_old & (pl.col("n_days_season_ago") * 3 >= pl.col("n_active_days"))).cast(pl.Int8).alias("is_seasonal"),
        is_hardly_begun().cast(pl.Int8).alias("is_hardly_begun"),
    )


def _growth_log_odds(habits: pl.DataFrame) -> pl.Series:
    """Logarithm of the Bayes factor of growing gaps: slopes half-normal about 0 against no slope (Wakefield 2009).

    The variance of the logarithms of gaps is shrunk to that of all users: of few gaps some lie near a line by chance,
    and any slope would seem sure (moderated t statistic, Smyth 2004).
    """
    from scipy.special import log_ndtr

    freedom, squares = habits["n_gaps"].to_numpy() - 2.0, habits["gap_residual_ss"].cast(pl.Float64).to_numpy()
    days_ss, slope = (habits[name].cast(pl.Float64).to_numpy() for name in ("gap_days_ss", "gap_growth_per_day"))
    has_slope = np.isfinite(squares) & (np.nan_to_num(days_ss) > 0) & np.isfinite(slope)
    of_all = squares[has_slope].sum() / max(freedom[has_slope].sum(), 1.0)
    variance = (squares + SHRUNK_FREEDOM * of_all) / (freedom + SHRUNK_FREEDOM)
    has_slope &= np.nan_to_num(variance) > 0
    error = np.sqrt(variance / np.where(has_slope, days_ss, 1), where=has_slope, out=np.ones_like(slope))
    size = GROWTH_PER_GAP / np.maximum(habits["usual_gap_days"].cast(pl.Float64).to_numpy(), 1.0)
    share = size**2 / (size**2 + error**2)
    z = np.where(has_slope, slope, 0.0) / error
    odds = 0.5 * np.log1p(-share) + z**2 / 2 * share + log_ndtr(z * np.sqrt(share)) + np.log(2)
    return pl.Series(np.where(has_slope, odds, np.nan)).fill_nan(None)


def is_hardly_begun() -> pl.Expr:
    """Whether a user of marts.departure_habits came once or twice in the first days and never again."""
    tenure = (pl.col("last_on") - pl.col("first_on")).dt.total_days()
    return (tenure < HARDLY_BEGUN_DAYS) & (pl.col("n_active_days") <= 2)
