"""The damage account on worlds whose damage is known."""

import numpy as np
import polars as pl
import pytest

from dagster_project.reach.damage import CAUSES, DAMAGE_SCHEMA, DamageChoices, damage_account

CHOICES = DamageChoices(horizon_days=30, n_resamples=200, seed=2)
NAMES = [name for name, *_ in CAUSES]


def world(n: int, *, failed: float = 0.0, many: float = 0.0, repeated: float = 0.0, seed: int = 1) -> pl.DataFrame:
    """Weeks of lapsed users; each argument is by how much that cause lowers P(return). The longer silent fail more."""
    rng = np.random.default_rng(seed)
    silent = rng.choice([10, 40, 90], n)
    fails = rng.random(n) < np.where(silent == 90, 0.4, 0.1)
    arrived = np.where(fails, 0, rng.integers(1, 7, n))
    is_repeated = (rng.random(n) < 0.3) & ~fails
    p = 0.5 - 0.004 * silent - failed * fails - many * (arrived > 3) - repeated * is_repeated
    return pl.DataFrame(
        {
            "user_id": [f"u{row // 2:06d}" for row in range(n)],
            "stage": np.where(silent == 10, "dormant", "churned_early"),
            "days_silent": silent,
            "n_active_days_before": rng.integers(0, 6, n),
            "n_arrived": arrived,
            "n_failed_ours": fails.astype(int),
            "n_irrelevant": np.where(is_repeated, arrived, 0),
            "max_per_week": np.full(n, 3),
            "is_back": rng.random(n) < p,
            "value_if_returned": np.full(n, 20.0),
        }
    )


def row(table: pl.DataFrame, cause: str) -> dict[str, object]:
    return table.filter(pl.col("cause") == cause).row(0, named=True)


@pytest.mark.parametrize(
    ("cause", "harm"),
    [("failed_delivery", {"failed": 0.08}), ("over_messaging", {"many": 0.08}), ("irrelevance", {"repeated": 0.08})],
)
def test_a_known_loss_is_found_and_only_that(cause: str, harm: dict[str, float]) -> None:
    account = damage_account(world(30_000, **harm), choices=CHOICES)

    found = row(account, cause)
    assert found["difference"] == pytest.approx(0.08, abs=0.025)
    assert found["difference_low"] <= found["difference"] <= found["difference_high"]
    assert found["verdict"] == "loss"
    assert found["lost_returns"] == pytest.approx(found["difference"] * found["n_matched"])
    assert found["lost_value"] == pytest.approx(20 * found["lost_returns"])
    assert found["lost_value_low"] < found["lost_value"] < found["lost_value_high"]
    others = account.filter(pl.col("cause") != cause)
    assert others["lost_returns"].null_count() == 2


def test_where_nothing_does_harm_nothing_is_claimed() -> None:
    """Failures befall those silent for longer, who come back less: a plain comparison would see a loss."""
    weeks = world(20_000)
    plain = weeks.group_by(pl.col("n_arrived") == 0).agg(pl.col("is_back").mean()).sort("n_arrived")["is_back"]
    assert plain[0] - plain[1] > 0.05

    account = damage_account(weeks, choices=CHOICES)

    assert account["verdict"].to_list() == ["cannot tell"] * 3
    assert account["lost_returns"].null_count() == account["lost_value"].null_count() == 3
    assert "cannot be told" in str(row(account, "failed_delivery")["explanation"])


def test_ten_weeks_are_too_few() -> None:
    account = damage_account(world(10, failed=0.4), choices=CHOICES)

    assert account["cause"].to_list() == NAMES
    assert account["verdict"].unique().to_list() == ["cannot tell"]


def test_no_week_at_all_and_a_cap_not_known() -> None:
    empty = damage_account(world(10).clear(), choices=CHOICES)
    assert (empty.schema, empty["n_user_weeks"].to_list()) == (DAMAGE_SCHEMA, [0, 0, 0])

    unknown = damage_account(world(500).with_columns(max_per_week=pl.lit(None, dtype=pl.Int32)), choices=CHOICES)
    assert row(unknown, "over_messaging")["n_user_weeks"] == 0


def test_the_order_of_rows_changes_nothing() -> None:
    weeks = world(3_000, failed=0.1)

    assert damage_account(weeks, choices=CHOICES).equals(damage_account(weeks.reverse(), choices=CHOICES))
