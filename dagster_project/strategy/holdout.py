"""Who is held out, who explores, who is treated: sticky randomisation by salted hash."""

from collections.abc import Mapping
from hashlib import sha256

import numpy as np
import polars as pl

from dagster_project.errors import SettingsError

TREAT, CONTROL, EXPLORE = "treat", "control", "explore"
OF_ALL = "global_holdout"  # the experiment of all
OF_STRATEGY = "strategy."  # what the ids of strategies' own experiments begin with
ARMS = pl.Schema(
    {
        "user_sk": pl.Int64(),
        "user_id": pl.String(),
        "experiment_id": pl.String(),
        "arm": pl.String(),
        "assigned_at": pl.Datetime("us", "UTC"),
    }
)
NO_ARMS = ARMS.to_frame()


def experiment_of(salt: str, *, usual: str) -> str:
    """The id of the experiment of all: another one for each salt but the usual, since each draws everybody anew."""
    return OF_ALL if salt == usual else f"{OF_ALL}.{sha256(b'experiment' + bytes(1) + salt.encode()).hexdigest()[:8]}"


def assign_arms(
    users: pl.DataFrame, *, salt: str, control_share: float, explore_share: float, earlier: pl.DataFrame = NO_ARMS
) -> pl.DataFrame:
    """`user_sk`, `user_id`, `arm` and `assignment_draw` (0 to 1), one row per user, sorted by `user_id`.

    `earlier` (ARMS of this experiment, see `ledger.first_arms`): who is in it keeps that arm, though more or other
    things be known of the person by now; another account of the same person gets the arm of the account that came
    first. Else the draw decides, which depends on the salt and on the person alone: not on the night, the row order or
    the other users. Accounts that share a `person_key` share an arm. `control` are the draws below `control_share`,
    `explore` the next `explore_share`, `treat` the rest; so a share that grows moves users one way only.

    Raises:
        SettingsError: a share outside 0 to 1, or shares that add up to more than 1.
    """
    _check_shares(control_share, explore_share)
    who = users.select("user_sk", "user_id", _person(users).alias("who"))
    draw = pl.col("assignment_draw")
    drawn = (
        pl.when(draw < control_share)
        .then(pl.lit(CONTROL))
        .when(draw < control_share + explore_share)
        .then(pl.lit(EXPLORE))
        .otherwise(pl.lit(TREAT))
    )
    return (
        _with_earlier(who.with_columns(hash_draws(who["who"], salt=salt).alias("assignment_draw")), earlier)
        .with_columns(pl.coalesce("own_earlier", "persons_earlier", drawn).alias("arm"))
        .select("user_sk", "user_id", "arm", "assignment_draw")
        .sort("user_id")
    )


def own_controls(
    users: pl.DataFrame, *, salt: str, shares: Mapping[str, float], earlier: pl.DataFrame = NO_ARMS
) -> pl.Series:
    """Per row control or treat in the experiment of the user's strategy; null where it has none, or is not theirs.

    `users`: user_sk, user_id, arm (in the experiment of all; only `treat` takes part), strategy_id. `shares`: part held
    out by strategy id. The draw is another one than that of the experiment of all, and as sticky; `earlier` as in
    `assign_arms`, of the strategies' experiments.
    """
    share = pl.col("strategy_id").replace_strict(dict(shares), default=None, return_dtype=pl.Float64)
    numbered = users.select(
        "user_sk", "strategy_id", "arm", _person(users).alias("who"), share.alias("share")
    ).with_row_index()
    drawn = [pl.DataFrame(schema={"index": pl.UInt32, "own_arm": pl.String})]
    for strategy_id in sorted(shares):
        of_strategy = numbered.filter((pl.col("strategy_id") == strategy_id) & (pl.col("arm") == TREAT))
        draws = hash_draws(of_strategy["who"], salt=f"{salt}/strategy.{strategy_id}")
        arm = pl.when(draws < pl.col("share")).then(pl.lit(CONTROL)).otherwise(pl.lit(TREAT))
        before = earlier.filter(pl.col("experiment_id") == f"{OF_STRATEGY}{strategy_id}")
        told = _with_earlier(of_strategy.with_columns(arm.alias("drawn")), before)
        drawn.append(told.select("index", pl.coalesce("own_earlier", "persons_earlier", "drawn").alias("own_arm")))
    return numbered.join(pl.concat(drawn), on="index", how="left", maintain_order="left")["own_arm"]


def _with_earlier(users: pl.DataFrame, earlier: pl.DataFrame) -> pl.DataFrame:
    """The users (user_sk, who) with `own_earlier` and `persons_earlier`, null where there is none. Order kept."""
    own = earlier.select("user_sk", pl.col("arm").alias("own_earlier"))
    known = users.select("user_sk", "who").join(earlier, on="user_sk", how="inner")
    of_person = known.sort("assigned_at", "user_id").unique("who", keep="first", maintain_order=True)
    return users.join(own, on="user_sk", how="left", maintain_order="left").join(
        of_person.select("who", pl.col("arm").alias("persons_earlier")), on="who", how="left", maintain_order="left"
    )


def _person(users: pl.DataFrame) -> pl.Expr:
    """Accounts of one person are drawn together."""
    if "person_key" not in users.columns:
        return pl.col("user_id")
    return pl.col("person_key").replace("", None).fill_null(pl.col("user_id"))


def hash_draws(keys: pl.Series, *, salt: str) -> pl.Series:
    """A draw in [0, 1) per key: the first eight bytes of sha256(salt NUL key), over 2^64."""
    distinct = keys.unique()
    start = sha256(salt.encode() + b"\0")
    digests = bytearray()
    for key in distinct:
        one = start.copy()
        one.update(key.encode())
        digests += one.digest()[:8]
    draws = np.frombuffer(bytes(digests), dtype=">u8").astype(np.float64) / 2.0**64
    draws = np.minimum(draws, np.nextafter(1.0, 0.0))  # the topmost integers round up to 1
    drawn = pl.DataFrame({"key": distinct, "draw": pl.Series(draws, dtype=pl.Float64)})
    return keys.to_frame("key").join(drawn, on="key", how="left", maintain_order="left")["draw"]


def _check_shares(control_share: float, explore_share: float) -> None:
    for name, share in (("control_share", control_share), ("explore_share", explore_share)):
        if not 0 <= share <= 1:
            raise SettingsError(f"holdout.{name} is {share}", fix="a share from 0 to 1")
    if control_share + explore_share > 1:
        raise SettingsError(
            f"holdout.control_share + explore_share is {control_share + explore_share}",
            fix="shares of 1 in all",
        )
