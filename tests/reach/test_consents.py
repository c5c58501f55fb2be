"""Which channels a consent speaks of."""

import polars as pl
import pytest

from dagster_project.reach.consents import for_each_channel


@pytest.mark.parametrize("word", ["all", " ALL ", "any", "*"])
def test_a_word_for_all_channels_becomes_a_row_for_each(word: str) -> None:
    given = pl.DataFrame({"user_sk": [1, 2], "channel": [word, " Email "], "status": ["granted", "withdrawn"]})

    made = for_each_channel(given, channels=["sms", "email", "sms", "all"])

    assert made.rows() == [(2, "email", "withdrawn"), (1, "email", "granted"), (1, "sms", "granted")]


def test_spread_once_they_stay_as_they_are() -> None:
    given = pl.DataFrame({"user_sk": [1, 1], "channel": ["all", None], "status": ["granted", "odd"]})

    once = for_each_channel(given, channels=["email"])

    assert for_each_channel(once, channels=["email", "push"]).equals(once)
    assert once["channel"].to_list() == [None, "email"]
