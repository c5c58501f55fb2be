"""Whether a channel died with the leaving, or by chance: the chance of each from the days between which it died.

A channel that died was last alive on one day and refused on a later one. Two explanations compete. Died with the
leaving: the day of death lies after the last active day as a memoryless gap of the user would (with the mean of the
usual gap, known from so many gaps: a Lomax distribution, Schmittlein, Morrison and Colombo 1987). Died by chance: at
the rate of the channel in this log, while users are active and, apart, about the leaving of others, for who leaves
also unfollows. Not causal: a death at the time of the leaving may be no reason of it.
"""

from dataclasses import dataclass

import polars as pl

# A span after the last active day, in usual gaps, within which channels given up by leavers are counted: at 4 gaps
# 98 % of all deaths with the leaving have happened.
NEAR_GAPS = 4
# Opinions that a log soon outweighs: one death in ten years of a channel; 5 % of leavings by 50 users.
FIRST_DEATHS, FIRST_DAYS = 1.0, 3650.0
FIRST_SHARE, SHARE_WEIGHT = 0.05, 50.0
EM_STEPS = 30


@dataclass(frozen=True)
class Leavings:
    """`left`: user_sk, first_on, left_on, usual_gap_days, n_gaps, is_churned of everybody with an active day.
    It has user_id and until_on (the night) too. `pauses`: user_sk, left_on, until_on, is_return of every earlier pause;
    a return ended a churn.
    """

    left: pl.DataFrame
    pauses: pl.DataFrame


def death_chances(channels: pl.DataFrame, leavings: Leavings) -> pl.DataFrame:
    """One row per churned user with messages: user_sk, p_died_leaving, from 0 to 1, sorted by user_id.

    `channels`: user_sk, channel, is_main, is_dead, n_sent, n_failed_in_row, last_delivered_on, first_failed_on. The
    main channel is that of most messages a day until it died. The share of those whose
    channel died with the leaving is fitted by expectation and maximisation. A leaving that the user came back from
    counts if the channel never lived again; a pause, by how little it is expected of the user's own gaps.
    """
    timed = _timed(channels, leavings.left)
    left = timed.filter("is_churned").join(_rates(timed), on="channel", how="left")
    ratios = _ratio_now(left).join(_ratios_before(left, leavings.pauses), on=["user_sk", "channel"], how="left")
    main = pl.col("share") == pl.col("share").max().over("user_sk")
    # Of several main channels each is as likely to be the one that mattered.
    users = (
        ratios.filter(main)
        .sort("user_id", "channel")
        .group_by("user_sk", "user_id", maintain_order=True)
        .agg(pl.col("now").mean(), pl.col("returned", "paused").fill_null(0).mean())
        .join(_opportunities(leavings.pauses), on="user_sk", how="left")
        .sort("user_id")
    )
    return users.select("user_sk", _posterior(users).alias("p_died_leaving"))


def _timed(channels: pl.DataFrame, left: pl.DataFrame) -> pl.DataFrame:
    """Days of proof of life and of the first refusal, counted from the last active day; the latter null if alive."""

    def day(name: str) -> pl.Expr:
        return (pl.col(name) - pl.col("left_on")).dt.total_days()

    return (
        channels.join(left, on="user_sk", how="inner")
        .with_columns(
            day("first_on").alias("began"),
            pl.coalesce(day("last_delivered_on"), day("first_on")).alias("alive"),
            pl.when("is_dead").then(day("first_failed_on")).alias("failed"),
            (NEAR_GAPS * pl.col("usual_gap_days")).alias("near"),
        )
        .with_columns(_share())
    )


def _share() -> pl.Expr:
    """The share of the messages of a day that went to the channel while it was not known to be dead."""
    n_lost = pl.when(pl.col("failed").is_not_null()).then(pl.col("n_failed_in_row") - 1).otherwise(0)
    days = pl.coalesce("failed", (pl.col("until_on") - pl.col("left_on")).dt.total_days()) - pl.col("began")
    a_day = (pl.col("n_sent") - n_lost).clip(0) / days.clip(1)
    return (a_day / a_day.sum().over("user_sk")).fill_nan(0).alias("share")


def _rates(timed: pl.DataFrame) -> pl.DataFrame:
    """Per channel, deaths a day by chance: `rate` while users were active, `rate_near` soon after they left.

    The latter is that of further channels of leavers whose main channel lived on: no dead delivery drove them off.
    """
    before = pl.when(pl.col("failed") <= 0).then("failed").otherwise(0) - pl.col("began")
    main_lives = (pl.col("is_main") & (pl.col("alive") > pl.col("usual_gap_days"))).any().over("user_sk")
    others = pl.col("is_other")
    middle = (pl.max_horizontal("alive", 0) + pl.col("failed")) / 2
    died_near = others & (pl.col("failed") > 0) & (middle <= pl.col("near"))
    watched = pl.min_horizontal(pl.max_horizontal(pl.coalesce("failed", "alive"), 0), "near")
    usual = ((pl.col("failed") <= 0).sum() + FIRST_DEATHS) / (before.clip(0).sum() + FIRST_DAYS)
    return (
        timed.with_columns((~pl.col("is_main") & pl.col("is_churned") & main_lives).alias("is_other"))
        .group_by("channel")
        .agg(usual.alias("rate"), died_near.sum().alias("n_near"), watched.filter(others).sum().alias("days_near"))
        # The rate of active days counts for one death.
        .with_columns(((pl.col("n_near") + 1) / (pl.col("days_near") + 1 / pl.col("rate"))).alias("rate_near"))
    )


def _ratio_now(mains: pl.DataFrame) -> pl.DataFrame:
    """How much likelier what is seen of the channel is if it died with this leaving than by chance."""
    died = _came_by("failed") - _came_by("alive")
    ratio = pl.when(pl.col("failed").is_not_null()).then(died / _by_chance()).otherwise(1 - _came_by("alive"))
    return mains.select("user_sk", "user_id", "channel", "share", ratio.alias("now"))


def _ratios_before(mains: pl.DataFrame, pauses: pl.DataFrame) -> pl.DataFrame:
    """The same, summed over the earlier pauses of the user: channels that still live did not die then."""
    began = (pl.col("paused_on") - pl.col("left_on")).dt.total_days()
    paused_days = (pl.col("paused_until") - pl.col("paused_on")).dt.total_days()
    joined = (
        mains.filter(pl.col("failed").is_not_null())
        .with_columns(_by_chance().alias("by_chance"))
        .join(pauses.rename({"left_on": "paused_on", "until_on": "paused_until"}), on="user_sk", how="inner")
        .with_columns(
            pl.min_horizontal(pl.col("failed") - began, paused_days).alias("failed"),
            (pl.col("alive") - began).alias("alive"),
            paused_days.alias("paused_days"),
        )
        .sort("user_id", "channel", "paused_on")
    )
    # So many of the user's own gaps are as long as this pause by habit alone.
    by_habit = pl.col("n_gaps") * (1 - _came_by("paused_days"))
    ratio = (_came_by("failed") - _came_by("alive")).clip(0) / pl.col("by_chance")
    is_return = pl.col("is_return")
    return joined.group_by("user_sk", "channel", maintain_order=True).agg(
        ratio.filter(is_return).sum().alias("returned"),
        ((1 - by_habit).clip(0) * ratio).filter(~is_return).sum().alias("paused"),
    )


def _opportunities(pauses: pl.DataFrame) -> pl.DataFrame:
    is_return = pl.col("is_return")
    return pauses.group_by("user_sk").agg(is_return.sum().alias("n_returned"), (~is_return).sum().alias("n_paused"))


def _came_by(name: str) -> pl.Expr:
    """P(a gap of the user is at most so many days)."""
    shape = pl.col("n_gaps") + 1
    return 1 - (1 + pl.col(name).clip(0) / (pl.col("usual_gap_days") * shape)) ** -shape


def _by_chance() -> pl.Expr:
    """Expected deaths by chance between the last proof of life and the first refusal; no span is below a day."""
    start, end = pl.col("alive"), pl.max_horizontal(pl.col("failed"), pl.col("alive") + 1)
    near = (pl.min_horizontal(end, "near") - pl.max_horizontal(start, 0)).clip(0)
    return pl.col("rate_near") * near + pl.col("rate") * (end - start - near)


def _posterior(users: pl.DataFrame) -> pl.Series:
    """The chance of a death with this leaving, or an earlier one, or a pause.

    The share of each of the three in which the channel dies is the one under which the log is likeliest.
    """
    ways = {"now": pl.len(), "returned": pl.col("n_returned").sum(), "paused": pl.col("n_paused").sum()}
    shares = dict.fromkeys(ways, FIRST_SHARE)
    died = pl.lit(0.0)
    for _ in range(EM_STEPS):
        odds = {way: shares[way] * pl.col(way) for way in ways}
        died = sum(odds.values(), pl.lit(0.0))
        every = died + 1 - shares["now"]
        made = users.select(
            (((odds[way] / every).sum() + SHARE_WEIGHT * FIRST_SHARE) / (n + SHARE_WEIGHT)).alias(way)
            for way, n in ways.items()
        )
        shares = dict(zip(ways, made.row(0), strict=True))
    return users.select((died / every).alias("chance")).to_series()
