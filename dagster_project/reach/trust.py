"""The trust index: what a user's own record with our messages says of how much they still let us in.

Its definition in words is docs/trust.md. Whether a message may be sent is not decided here.
"""

import numpy as np
import numpy.typing as npt
import polars as pl

from dagster_project.reach.saturation import ALL_STAGES, max_per_week

WEIGHTS = {"attention": 0.6, "delivery": 0.2, "conduct": 0.2}
"""What each side of the record counts; an opinion, the user's own acts before our faults."""
KEPT_PER_OPT_OUT = 0.5  # an opt-out, by channel, halves what is left; an opinion
KEPT_PER_COMPLAINT = 0.25  # a complaint says it twice as loud
USUAL_STRENGTH = 10.0  # messages that the population's rate weighs where the data cannot tell
LEAST_STRENGTH, MOST_STRENGTH = 2.0, 200.0
WEEKLY_STRENGTH = 30.0
DECIMALS = 9  # far below what any figure means, and above the noise of adding in another order

TRUST_SCHEMA = pl.Schema(
    {
        "user_sk": pl.Int64,
        "user_id": pl.String,
        "trust_index": pl.Float64,
        "attention": pl.Float64,
        "permission": pl.Float64,
        "delivery": pl.Float64,
        "conduct": pl.Float64,
        "n_messages_180d": pl.Int64,
        "n_messages_90d": pl.Int64,
        "pressure_per_week": pl.Float64,
        "max_per_week": pl.Int32,
        "fatigue_probability": pl.Float64,
        "is_prior": pl.Boolean,
        "explanation": pl.String,
    }
)
COUNTS = (
    "n_sent", "n_arrived", "n_responded", "n_opted_out", "n_complained", "n_failed_ours", "n_duplicates",
    "n_quiet_breaches", "n_sent_7d", "n_sent_28d", "n_sent_90d",
)  # fmt: skip

Floats = npt.NDArray[np.float64]


def trust_of_users(users: pl.DataFrame, records: pl.DataFrame, saturation: pl.DataFrame) -> pl.DataFrame:
    """One row per user, sorted by user_id: `trust_index` and its parts, each 0 to 1, higher = lets us in more.

    `users`: user_sk, user_id, stage. `records`: one row per user and channel of the last 180 days with COUNTS;
    n_responded are messages opened by a human or clicked. attention: responses against what the user's mix of
    channels would get from anybody, .5 = as expected. permission: 1, times KEPT_PER_OPT_OUT for each opt-out or
    revoked permission, times KEPT_PER_COMPLAINT for each complaint. delivery: share not lost by our fault. conduct:
    share neither repeated nor sent in quiet hours. Rates are drawn to the population's (beta-binomial). The index
    is permission × the weighted mean of the others. Without a message the user has the population's, and
    `is_prior`. fatigue_probability: opt-out or removal of the app charged to one more message in the next week, by
    `saturation` for the stage; null where nothing is known of it, like max_per_week, the stage's recommended maximum.
    """
    parts = _by_user(records)
    joined = users.select("user_sk", "user_id", "stage").join(parts, on="user_sk", how="left").sort("user_id")
    counts = {name: joined[name].fill_null(0).to_numpy().astype(np.float64) for name in (*COUNTS, "n_expected")}
    rates = _population(records)
    components = {
        "attention": _attention(counts, rates["response"]),
        "delivery": _shrunken(counts["n_sent"] - counts["n_failed_ours"], counts["n_sent"], rates["delivery"]),
        "conduct": _shrunken(counts["n_sent"] - _faults(counts), counts["n_sent"], rates["conduct"]),
        "permission": KEPT_PER_OPT_OUT ** counts["n_opted_out"] * KEPT_PER_COMPLAINT ** counts["n_complained"],
    }
    index = components["permission"] * sum(weight * components[name] for name, weight in WEIGHTS.items())
    made = joined.with_columns(
        *(pl.Series(name, values).round(DECIMALS) for name, values in components.items()),
        pl.Series("trust_index", index).clip(0, 1).round(DECIMALS),
        pl.col("n_sent").fill_null(0).cast(pl.Int64).alias("n_messages_180d"),
        pl.col("n_sent_90d").fill_null(0).cast(pl.Int64).alias("n_messages_90d"),
        (pl.col("n_sent_28d").fill_null(0) / 4).alias("pressure_per_week"),
        (pl.col("n_sent").fill_null(0) == 0).alias("is_prior"),
    )
    return (
        _with_cap(_with_fatigue(made, saturation), max_per_week(saturation))
        .with_columns(_explanation().alias("explanation"))
        .select(TRUST_SCHEMA.names())
        .cast(TRUST_SCHEMA)
        .sort("user_id")
    )


def trust_of_weeks(weeks: pl.DataFrame) -> pl.DataFrame:
    """Per week the population's index by the same weights: each side of the week's messages as one record.

    `weeks`: week_start, week_end, n_users (written to), n_sent, n_failed (bounces included), n_opened,
    n_clicked, n_unsubscribed, n_complained, n_duplicates, counted on the day of each event. attention: the
    week's share of answers against that of all weeks given, .5 = as usual. permission: mean over the users written to.
    A week without a message has no index.
    """
    arrived = (pl.col("n_sent") - pl.col("n_failed")).clip(0)
    answered = pl.max_horizontal("n_opened", "n_clicked")
    usual = weeks.select((answered.sum() / arrived.sum()).clip(0, 1)).item() if weeks.height else None
    usual = usual if usual is not None and np.isfinite(usual) else 0.0
    rate = ((answered + WEEKLY_STRENGTH * usual) / (arrived + WEEKLY_STRENGTH)).clip(0, 1)
    sent = pl.col("n_sent") > 0
    lost = (1 - KEPT_PER_OPT_OUT) * pl.col("n_unsubscribed") + (1 - KEPT_PER_COMPLAINT) * pl.col("n_complained")
    attention = rate / (rate + usual) if usual else pl.lit(0.5)
    mean = WEIGHTS["attention"] * pl.col("attention") + WEIGHTS["delivery"] * pl.col("delivery")
    return weeks.with_columns(
        pl.when(sent).then(attention).alias("attention"),
        pl.when(sent).then((1 - pl.col("n_failed") / pl.col("n_sent")).clip(0, 1)).alias("delivery"),
        pl.when(sent).then((1 - pl.col("n_duplicates") / pl.col("n_sent")).clip(0, 1)).alias("conduct"),
        pl.when(sent).then((1 - lost / pl.max_horizontal("n_users", 1)).clip(0, 1)).alias("permission"),
    ).with_columns((pl.col("permission") * (mean + WEIGHTS["conduct"] * pl.col("conduct"))).alias("trust_index"))


def shrinkage_strength(successes: Floats, trials: Floats, rates: Floats) -> float:
    """How many trials the population's rate weighs against a user's own: by the spread of users around it.

    Moments of the beta-binomial: users who differ no more than chance would have it are drawn in wholly
    (MOST_STRENGTH), users who differ much hardly. Rows without a trial, or whose rate is 0 or 1, say nothing.
    """
    known = (trials > 0) & (rates > 0) & (rates < 1)
    k, n, p = successes[known], trials[known], rates[known]
    if n.sum() <= n.size:
        return USUAL_STRENGTH
    spread = float(((k - n * p) ** 2 / (n * p * (1 - p))).sum())
    correlation = (spread - n.size) / float(n.sum() - n.size)
    if correlation <= 0:
        return MOST_STRENGTH
    return float(np.clip(1 / correlation - 1, LEAST_STRENGTH, MOST_STRENGTH))


def _population(records: pl.DataFrame) -> dict[str, float]:
    """Rates of everybody together; without a message nothing is known to be wrong."""
    total = {name: float(records[name].sum()) for name in COUNTS} if records.height else dict.fromkeys(COUNTS, 0.0)
    sent, arrived = max(total["n_sent"], 1.0), max(total["n_arrived"], 1.0)
    return {
        "response": min(total["n_responded"] / arrived, 1.0),
        "delivery": max(1 - total["n_failed_ours"] / sent, 0.0),
        "conduct": max(1 - (total["n_duplicates"] + total["n_quiet_breaches"]) / sent, 0.0),
    }


def _by_user(records: pl.DataFrame) -> pl.DataFrame:
    """Sums over channels, and `n_expected` responses by each channel's own rate."""
    responded, arrived = pl.col("n_responded").sum(), pl.col("n_arrived").sum()
    rate = pl.when(arrived > 0).then(responded / arrived).otherwise(0.0).clip(0, 1)
    of_channels = records.group_by("channel").agg(rate.alias("rate"))
    return (
        records.join(of_channels, on="channel", how="left")
        .sort("user_sk", "channel")
        .group_by("user_sk", maintain_order=True)
        .agg(pl.col(COUNTS).sum(), (pl.col("n_arrived") * pl.col("rate")).sum().alias("n_expected"))
    )


def _attention(counts: dict[str, Floats], overall: float) -> Floats:
    n, k = counts["n_arrived"], np.minimum(counts["n_responded"], counts["n_arrived"])
    rates = np.where(n > 0, counts["n_expected"] / np.maximum(n, 1), overall)
    strength = shrinkage_strength(k, n, rates)
    own = (k + strength * rates) / (n + strength)
    return np.where(own + rates > 0, own / np.where(own + rates > 0, own + rates, 1), 0.5)


def _faults(counts: dict[str, Floats]) -> Floats:
    return np.minimum(counts["n_duplicates"] + counts["n_quiet_breaches"], counts["n_sent"])


def _shrunken(successes: Floats, trials: Floats, rate: float) -> Floats:
    rates = np.full(trials.shape, rate)
    strength = shrinkage_strength(np.maximum(successes, 0), trials, rates)
    return np.asarray((np.maximum(successes, 0) + strength * rate) / (trials + strength), dtype=np.float64)


def _with_fatigue(made: pl.DataFrame, saturation: pl.DataFrame) -> pl.DataFrame:
    weekly = saturation.filter(pl.col("window_days") == 7)
    if weekly.is_empty():
        return made.with_columns(fatigue_probability=pl.lit(None, dtype=pl.Float64))
    harm = weekly.select("stage", "n_messages", (pl.col("opt_out_share") + pl.col("uninstall_share")).alias("harm"))
    of_all = harm.filter(pl.col("stage") == ALL_STAGES).select("n_messages", pl.col("harm").alias("harm_of_all"))
    last = int(harm["n_messages"].max())  # type: ignore[arg-type]  # a column of integers
    step = (pl.col("n_sent_7d").fill_null(0) + 1).clip(upper_bound=last).cast(pl.Int32)
    return (
        made.with_columns(step.alias("n_messages"))
        .join(harm, on=["stage", "n_messages"], how="left")
        .join(of_all, on="n_messages", how="left")
        .with_columns(pl.coalesce("harm", "harm_of_all").clip(0, 1).round(DECIMALS).alias("fatigue_probability"))
    )


def _with_cap(made: pl.DataFrame, caps: pl.DataFrame) -> pl.DataFrame:
    of_all = caps.filter(pl.col("stage") == ALL_STAGES)["max_per_week"].to_list()
    usual = pl.lit(of_all[0] if of_all else None, dtype=pl.Int32)
    return made.join(caps, on="stage", how="left").with_columns(pl.col("max_per_week").fill_null(usual))


def _explanation() -> pl.Expr:
    told = pl.format(
        "{} messages in 180 days, {} of them opened or clicked{}{}{}.",
        pl.col("n_messages_180d"),
        pl.col("n_responded").fill_null(0),
        _clause("n_opted_out", "opted out"),
        _clause("n_complained", "complained"),
        _clause("n_failed_ours", "lost by our fault"),
    )
    none = pl.lit("No message in 180 days: the index is what the population's record suggests.")
    opted = pl.format("{} Opt-outs or complaints lower it.", none)
    said = pl.col("n_opted_out").fill_null(0) + pl.col("n_complained").fill_null(0) > 0
    return pl.when(~pl.col("is_prior")).then(told).when(said).then(opted).otherwise(none)


def _clause(column: str, words: str) -> pl.Expr:
    n = pl.col(column).fill_null(0)
    return pl.when(n > 0).then(pl.format(", {} " + words, n)).otherwise(pl.lit(""))
