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


@pytest.mark.parametrize(
    "text",
    [
        "not bored at all",
        "never boring",
        "it never crashes",
        "nice customer service",
        "the content is great",
        "I love the content",
        "hardly any bugs",
        "一点都不无聊",
        "从不闪退",
        "客服很好",
        "内容非常好",
        "没有故障",
        "没有bug",
    ],
)
def test_praise_and_negation_take_service_content_and_interest_back(text: str) -> None:
    assert topics(text=text) == []


@pytest.mark.parametrize(
    ("text", "topic"),
    [
        ("no good content", "content"),
        ("I don't like the content", "content"),
        ("the content isn't great", "content"),
        ("nothing relevant, no new content", "content"),
        ("not relevant content", "content"),
        ("not happy with customer service", "service"),
        ("it does not work", "service"),
        ("no, it never works, crashes", "service"),
        ("no motivation", "interest"),
        ("I don't use it", "interest"),
        ("服务不好，闪退", "service"),
        ("客服不太好", "service"),
        ("打不开闪退", "service"),
        ("不喜欢内容", "content"),
        ("没什么用", "interest"),
        ("很多bug", "service"),
        ("不便宜", "price"),
    ],
)
def test_a_complaint_that_is_made_with_a_negator_stands(text: str, topic: str) -> None:
    assert topics(text=text) == [topic]


def test_the_text_is_read_only_where_the_category_says_nothing() -> None:
    assert topics("price", "the app crashes") == ["price"]
    assert topics("other", "the app crashes") == ["service"]


def test_rows_keep_their_order_and_number() -> None:
    said = pl.DataFrame({"words": ["price", None, "price"], "text": [None, "spam", None], "n": [1, 2, 3]})

    assert with_topics(said).select("n", "topics").rows() == [(1, ["price"]), (2, ["frequency"]), (3, ["price"])]
