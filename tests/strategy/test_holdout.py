from hashlib import sha256

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dagster_project.errors import SettingsError
from dagster_project.strategy.holdout import assign_arms, hash_draws


def _users(n: int, start: int = 0) -> pl.DataFrame:
    return pl.DataFrame({"user_sk": range(start, start + n), "user_id": [f"u{i:05d}" for i in range(start, start + n)]})


def _arms(users: pl.DataFrame, control_share: float = 0.1, explore_share: float = 0.05) -> dict[str, str]:
    arms = assign_arms(users, salt="s", control_share=control_share, explore_share=explore_share)
    return dict(arms.select("user_id", "arm").iter_rows())


def test_the_draw_is_the_first_eight_bytes_of_the_salted_hash() -> None:
    expected = int.from_bytes(sha256(b"pepper\0anna").digest()[:8], "big") / 2**64
    assert hash_draws(pl.Series(["anna"]), salt="pepper").to_list() == [expected]


def test_shares_lie_within_binomial_bounds() -> None:
    arms = list(_arms(_users(20_000)).values())
    # 20,000 draws: four standard errors are .0085 at .10 and .0062 at .05.
    assert abs(arms.count("control") / 20_000 - 0.10) < 0.0085
    assert abs(arms.count("explore") / 20_000 - 0.05) < 0.0062


def test_the_arm_depends_neither_on_row_order_nor_on_other_users() -> None:
    users = _users(500)
    alone = _arms(users.sample(fraction=0.3, shuffle=True, seed=1))
    together = _arms(users.reverse())
    assert alone == {user_id: together[user_id] for user_id in alone}


def test_the_order_and_values_of_user_sk_do_not_matter() -> None:
    users = _users(300)
    renumbered = users.with_columns((1000 - pl.col("user_sk") * 3).alias("user_sk"))
    assert _arms(users) == _arms(renumbered)


def test_accounts_of_one_person_share_an_arm() -> None:
    users = _users(200).with_columns(person_key=pl.lit("p-7"))
    assert len(set(_arms(users).values())) == 1


def test_an_empty_person_key_counts_as_none() -> None:
    users = _users(200)
    assert _arms(users.with_columns(person_key=pl.lit(""))) == _arms(users)


@given(st.floats(0, 0.5, allow_nan=False), st.floats(0, 0.5, allow_nan=False), st.floats(0, 0.25, allow_nan=False))
def test_a_growing_control_share_only_moves_users_into_control(a: float, b: float, explore: float) -> None:
    small, large = sorted((a, b))
    before, after = (_arms(_users(100), share, explore) for share in (small, large))
    assert {u for u, arm in before.items() if arm == "control"} <= {u for u, arm in after.items() if arm == "control"}


def test_another_salt_gives_another_draw() -> None:
    keys = pl.Series(["a", "b", "c"])
    assert hash_draws(keys, salt="x").to_list() != hash_draws(keys, salt="y").to_list()


def test_shares_above_one_are_refused() -> None:
    with pytest.raises(SettingsError, match=r"control_share \+ explore_share is 1\.1"):
        assign_arms(_users(1), salt="s", control_share=0.6, explore_share=0.5)
    with pytest.raises(SettingsError, match=r"holdout\.explore_share is -0\.1"):
        assign_arms(_users(1), salt="s", control_share=0.6, explore_share=-0.1)
