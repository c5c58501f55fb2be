"""What words are understood, in two languages, and what they are not mistaken for."""

import polars as pl
import pytest

from dagster_project.reasons.lexicon import with_topics


def topics(words: str | None = None, text: str | None = None) -> list[str]:
    said = pl.DataFrame({"words": [words], "text": [text]}, schema={"words": pl.String, "text": pl.String})
    found: list[str] = with_topics(said)["topics"].to_list()[0]
    return found


@pytest.mark.parametrize(
    ("category", "topic"),
    [
        ("Too expensive", "price"),
        ("PRICING", "price"),
        ("cost", "price"),
        ("payment_failed", "payment"),
        ("Customer-Support", "service"),
        ("gdpr", "privacy"),
        ("found a better app", "competitor"),
        ("account closure", "stop"),
        ("价格太高", "price"),
    ],
)
def test_a_category_is_understood_whoever_named_it(category: str, topic: str) -> None:
    assert topics(category) == [topic]


@pytest.mark.parametrize(
    ("text", "topic"),
    [
        ("Honestly it's way too expensive for what I get", "price"),
        ("The app keeps crashing", "service"),
        ("You email me too often!", "frequency"),
        ("Please delete my account", "stop"),
        ("I don't need it any more", "goal"),
        ("I've found a better deal elsewhere", "competitor"),
        ("we have moved abroad", "life_change"),
        ("nothing here for me", "content"),
        ("服务器总是闪退", "service"),
        ("短信太多了", "frequency"),
        ("太贵了", "price"),
    ],
)
def test_a_text_is_understood(text: str, topic: str) -> None:
    assert topics(text=text) == [topic]


@pytest.mark.parametrize("text", ["It is not too expensive", "no problems so far", "一点也不贵", "Great!", "", None])
def test_a_negated_or_empty_word_says_nothing(text: str | None) -> None:
    assert topics(text=text) == []


def test_the_text_is_read_only_where_the_category_says_nothing() -> None:
    assert topics("price", "the app crashes") == ["price"]
    assert topics("other", "the app crashes") == ["service"]


def test_rows_keep_their_order_and_number() -> None:
    said = pl.DataFrame({"words": ["price", None, "price"], "text": [None, "spam", None], "n": [1, 2, 3]})

    assert with_topics(said).select("n", "topics").rows() == [(1, ["price"]), (2, ["frequency"]), (3, ["price"])]
