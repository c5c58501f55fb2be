"""How much a user heeds each channel, against the others who get messages on it. Shrunk, never a raw ratio.

Whether a message may and can arrive is the matter of `reach`.
"""

import polars as pl

ATTENTION = pl.Schema({"user_sk": pl.Int64(), "channel": pl.String(), "attention": pl.Float64()})
LEAST, MOST = 0.25, 2.0  # nobody is written off, or believed in, by opens alone
LEAST_STRENGTH, MOST_STRENGTH = 5.0, 200.0  # messages that the channel's mean is worth
FEWEST_RESPONSES = 20  # of a channel; below it nothing is known of who heeds it


def attention(records: pl.DataFrame) -> pl.DataFrame:
    """Per user and channel with a message that arrived: P(response) against the channel's mean, LEAST to MOST; sorted.

    `records`: user_sk, channel, n_arrived, n_responded (opened by a human, clicked or converted). A user's own share is
    shrunk to the channel's by a beta-binomial whose strength, in messages, is found by the method of moments: where
    users differ little it is large. A channel that reports no responses, such as SMS, tells nothing: no rows.
    Who opens more also comes back more: read it as "associated with".
    Source of the moments: Kleinman (1973), "Proportions with extraneous variance", JASA 68(341).
    """
    arrived = records.filter(pl.col("n_arrived") > 0).select(
        "user_sk", "channel", pl.col("n_arrived", "n_responded").cast(pl.Float64)
    )
    channels = arrived.group_by("channel").agg(
        pl.col("n_arrived").sum().alias("n_all"), pl.col("n_responded").sum().alias("responses"), *_moments()
    )
    known = channels.filter(pl.col("responses") >= FEWEST_RESPONSES).select(
        "channel", (pl.col("responses") / pl.col("n_all")).alias("mean"), _strength().alias("strength")
    )
    own = (pl.col("n_responded") + pl.col("strength") * pl.col("mean")) / (pl.col("n_arrived") + pl.col("strength"))
    return (
        arrived.join(known, on="channel", how="inner")
        .with_columns((own / pl.col("mean")).clip(LEAST, MOST).alias("attention"))
        .select(pl.col(name).cast(dtype) for name, dtype in ATTENTION.items())
        .sort("user_sk", "channel")
    )


def _moments() -> list[pl.Expr]:
    """Per channel: users, Σ n², and Σ n (share − mean)², whose excess over chance tells how users differ."""
    n, x = pl.col("n_arrived"), pl.col("n_responded")
    mean = x.sum() / n.sum()
    return [
        pl.len().alias("n_users"),
        (n * n).sum().alias("n_squares"),
        (n * (x / n - mean) ** 2).sum().alias("spread"),
    ]


def _strength() -> pl.Expr:
    """(1 − ρ) / ρ, where ρ is the correlation between two messages of one user."""
    mean = pl.col("responses") / pl.col("n_all")
    chance = mean * (1 - mean)
    between = pl.col("spread") - chance * (pl.col("n_users") - 1)
    room = chance * (pl.col("n_all") - pl.col("n_squares") / pl.col("n_all") - (pl.col("n_users") - 1))
    rho = (between / room).fill_nan(0.0).clip(1e-9, 1 - 1e-9)
    return ((1 - rho) / rho).clip(LEAST_STRENGTH, MOST_STRENGTH)
