"""Sentences as data: the same keys and names in every language, filled in by columns."""

from string import Formatter

import polars as pl

from dagster_project.strategy.wording import _texts, named, said, served_locale
from dagster_project.strategy.words import LOCALES

OPTIONAL = ("channels", "grades", "reasons")  # English has the words of the tables themselves


def test_every_language_says_the_same_with_the_same_names() -> None:
    english = _texts("en")
    for locale in LOCALES:
        other = {name: texts for name, texts in _texts(locale).items() if name not in OPTIONAL}
        assert {name: set(texts) for name, texts in other.items()} == {
            name: set(texts) for name, texts in english.items()
        }
        for section, texts in other.items():
            for key, text in texts.items():
                assert _names(text) == _names(english[section][key]), (locale, section, key)


def test_each_row_is_told_in_its_language_and_unknown_words_stay() -> None:
    rows = pl.DataFrame({"locale": ["en-GB", "ZH_cn", "fr", None], "channel": ["email", "email", "sms", "fax"]})
    made = rows.with_columns(served_locale().alias("locale")).select(
        said(
            "suppressed",
            "capacity.channel",
            locale=pl.col("locale"),
            gate_channel=named("channels", "channel"),
            title={"en": pl.lit("Sunset"), "zh": pl.lit("告别")},
            profit=pl.lit("1.00"),
        ).alias("said")
    )
    assert made["said"].to_list() == [
        "No room left on email at this rank (Sunset would earn 1.00).",
        "邮件在此名次已没有余量（“告别”预计带来 1.00）。",
        "No room left on sms at this rank (Sunset would earn 1.00).",
        "No room left on fax at this rank (Sunset would earn 1.00).",
    ]


def _names(text: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(text) if name is not None}
