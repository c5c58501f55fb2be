"""Sentences about one user, in the language of their messages: texts as data, filled in by columns.

What is said stands in `sentences/<locale>.toml`; when it is said is decided where it is asked for.
"""

import tomllib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from string import Formatter
from typing import Any

import polars as pl

from dagster_project.strategy.catalogue import LOCALES

FOLDER = Path(__file__).with_name("sentences")
DEFAULT_LOCALE = "en"


def served_locale(default: str = DEFAULT_LOCALE) -> pl.Expr:
    """The language of `locale` (any case, with or without a region) if there are words in it, else the default."""
    language = pl.col("locale").str.to_lowercase().str.extract(r"^([a-z]+)", 1)
    return pl.when(language.is_in(list(LOCALES))).then(language).otherwise(pl.lit(default))


def said(section: str, key: str, *, locale: pl.Expr, **values: pl.Expr | Mapping[str, pl.Expr]) -> pl.Expr:
    """The sentence of `section.key` in each row's language.

    `values` fill its names in braces; one that differs by language is a mapping of locales. A null value makes the
    whole sentence null.
    """
    spoken: dict[str, pl.Expr] = {one: _filled(sentence(section, key, locale=one), one, values) for one in LOCALES}
    chosen: pl.Expr = spoken[DEFAULT_LOCALE]
    for one in LOCALES:
        chosen = pl.when(locale == one).then(spoken[one]).otherwise(chosen)
    return chosen


def named(section: str, column: str) -> dict[str, pl.Expr]:
    """The words of a section for the values of a column, by locale; a value without a word is itself."""
    return {
        one: pl.col(column).replace_strict(words, default=pl.col(column), return_dtype=pl.String)
        if (words := _texts(one).get(section))
        else pl.col(column)
        for one in LOCALES
    }


def is_told(key: str) -> bool:
    """Whether there is a sentence for a rule that suppresses."""
    return key in _texts(DEFAULT_LOCALE)["suppressed"]


def sentence(section: str, key: str, *, locale: str) -> str:
    """The text as it stands in the file of a locale."""
    return _texts(locale)[section][key]


def _filled(text: str, locale: str, values: Mapping[str, Any]) -> pl.Expr:
    """The text with each name in braces replaced by its column."""
    pieces, columns = "", []
    for literal, name, _, _ in Formatter().parse(text):
        pieces += literal
        if name is not None:
            given = values[name]
            columns.append(given[locale] if isinstance(given, Mapping) else given)
            pieces += "{}"
    return pl.format(pieces, *columns) if columns else pl.lit(pieces)


@cache
def _texts(locale: str) -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = tomllib.loads((FOLDER / f"{locale}.toml").read_text(encoding="utf-8"))
    return found
