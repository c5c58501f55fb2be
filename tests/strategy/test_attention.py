import numpy as np
import polars as pl
import pytest

from dagster_project.strategy.attention import ATTENTION, LEAST, MOST, attention


def _records(*rows: tuple[int, str, int, int]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema=["user_sk", "channel", "n_arrived", "n_responded"], orient="row")


def test_who_opens_more_than_others_heeds_more_and_few_messages_tell_little() -> None:
    made = attention(_records((1, "email", 2, 0), (2, "email", 40, 0), (3, "email", 40, 36), (4, "email", 40, 4)))
    by_user = dict(made.select("user_sk", "attention").iter_rows())
    assert LEAST <= by_user[2] < by_user[4] < by_user[1] < 1 < by_user[3] <= MOST


def test_a_channel_without_responses_tells_nothing() -> None:
    assert attention(_records((1, "sms", 90, 0), (2, "sms", 90, 1))).equals(ATTENTION.to_frame())
    assert attention(_records()).schema == ATTENTION


def test_where_users_do_not_differ_everybody_is_nearly_usual() -> None:
    rng = np.random.default_rng(3)
    users = [(sk, "email", 10, int(rng.binomial(10, 0.3))) for sk in range(3000)]
    made = attention(_records(*users))["attention"]
    assert made.min() > 0.8
    assert made.max() < 1.3
    assert made.mean() == pytest.approx(1.0, abs=0.01)


def test_the_true_share_is_recovered_where_users_differ() -> None:
    rng = np.random.default_rng(4)
    shares = rng.beta(1.5, 4.5, 4000)
    sent = rng.integers(1, 40, 4000)
    users = [(sk, "email", int(n), int(rng.binomial(n, p))) for sk, (n, p) in enumerate(zip(sent, shares, strict=True))]
    made = attention(_records(*users)).sort("user_sk")["attention"].to_numpy() * (
        sum(row[3] for row in users) / sum(row[2] for row in users)
    )
    raw = np.asarray([x / n for _, _, n, x in users])
    inside = (shares > 0.08) & (shares < 0.45)  # where the bounds of attention do not bite
    assert np.mean((made - shares)[inside] ** 2) < 0.7 * np.mean((raw - shares)[inside] ** 2)
