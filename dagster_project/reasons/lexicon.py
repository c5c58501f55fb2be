"""What users and sources mean by their words: transparent phrases by topic, English and Chinese. No model.

The phrases lie in `lexicon/*.toml`. A category is taken at its word before the text is read.
"""

import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

import polars as pl

FOLDER = Path(__file__).parent / "lexicon"
Vocabulary = Literal["topics", "consent_sources"]
HAS_WORD_BOUNDARIES = {"en": True, "zh": False}
# "not at all too expensive": a negation reaches over two words, or two characters where words are not parted; over no
# comma, for what stands behind it is another thought.
REACH_WORDS = 2
NO_STOP = r"[^\s，。！？；、,.!?;]"
BETWEEN_WORDS = 3


@dataclass(frozen=True)
class Reading:
    """A pattern that is looked for once all matches of `without`, in their order, have been taken out."""

    pattern: str
    without: tuple[str, ...] = ()


@dataclass(frozen=True)
class Topic:
    """One topic in one language, as patterns of the regex engine of polars (no look-around).

    `category` matches a whole category, each of `readings` anywhere.
    """

    name: str
    category: str | None
    readings: tuple[Reading, ...]


@dataclass(frozen=True)
class _Language:
    """How one language takes back what it names, as patterns."""

    has_boundaries: bool
    negators: tuple[str, ...]
    praise: tuple[str, ...]

    @property
    def between(self) -> str:
        """What may stand between a word and what it speaks of."""
        return rf"\s+(?:\w+\s+){{0,{REACH_WORDS}}}" if self.has_boundaries else f"{NO_STOP}{{0,{REACH_WORDS}}}"

    def any_of(self, phrases: Sequence[str]) -> str:
        """A pattern of any of the phrases."""
        return _either(phrases, has_boundaries=self.has_boundaries)

    def negates_itself(self, phrase: str) -> bool:
        """Whether the phrase has a negator of its own, which is what makes it a complaint: "does not work"."""
        words = re.split(r"[\s*]+", phrase)
        return any(one in words if self.has_boundaries else one in phrase for one in self.negators)


@cache
def load_topics(vocabulary: Vocabulary = "topics") -> tuple[Topic, ...]:
    """Every topic of every language, in the order of the files; `consent_sources` are ways to take a consent back."""
    found: list[Topic] = []
    for name, has_boundaries in HAS_WORD_BOUNDARIES.items():
        content = tomllib.loads((FOLDER / f"{name}.toml").read_text(encoding="utf-8"))
        language = _Language(has_boundaries, tuple(content["negators"]), tuple(content["praise"]))
        found += [_topic(topic, given, language) for topic, given in content[vocabulary].items()]
    return tuple(found)


def with_topics(said: pl.DataFrame, *, vocabulary: Vocabulary = "topics") -> pl.DataFrame:
    """`said` with `topics`, the sorted names of what each row is about (an empty list if nothing was recognised).

    Column `words` is the source's category, end reason or the like, `text` free text; both may be null. The text is
    read only where the category says nothing. Rows and their order stay.
    """
    different = said.select("words", "text").unique(maintain_order=True)
    topics = load_topics(vocabulary)
    told = different.with_columns(
        _named(_normal(different["words"]), topics, whole=True).alias("of_category"),
        _named(_normal(different["text"]), topics, whole=False).alias("of_text"),
    )
    by_category = pl.col("of_category").list.len() > 0
    judged = told.select("words", "text", pl.when(by_category).then("of_category").otherwise("of_text").alias("topics"))
    return said.join(judged, on=["words", "text"], how="left", nulls_equal=True, maintain_order="left")


def _named(content: pl.Series, topics: Sequence[Topic], *, whole: bool) -> pl.Series:
    hits: dict[str, pl.Series] = {}
    for topic in topics:
        hit = _holds(content, topic.readings)
        if whole and topic.category is not None:
            hit = hit | content.str.contains(topic.category)
        hits[topic.name] = hits[topic.name] | hit if topic.name in hits else hit
    found = pl.DataFrame(hits).select(pl.all().fill_null(value=False))
    named = [pl.when(pl.col(name)).then(pl.lit(name)) for name in sorted(hits)]
    return found.select(pl.concat_list(named).list.drop_nulls()).to_series()


def _normal(content: pl.Series) -> pl.Series:
    """Lower case, one space between words, no apostrophes: "Don't_use" is "dont use"."""
    lower = content.str.to_lowercase().str.replace_all("['’`]", "")
    return lower.str.replace_all(r"[\s_\-/]+", " ").str.strip_chars()


def _holds(content: pl.Series, readings: Sequence[Reading]) -> pl.Series:
    hit = pl.repeat(value=False, n=content.len(), eager=True)
    for reading in readings:
        left = content
        for pattern in reading.without:
            left = left.str.replace_all(pattern, " ")
        hit = hit | left.str.contains(reading.pattern)
    return hit


def _topic(name: str, given: Mapping[str, Any], language: _Language) -> Topic:
    whole = given.get("categories", ())
    return Topic(
        name=name,
        category=f"^(?:{'|'.join(re.escape(one) for one in whole)})$" if whole else None,
        readings=tuple(_readings(given, language)),
    )


def _readings(given: Mapping[str, Any], language: _Language) -> Iterator[Reading]:
    phrases, between = given["phrases"], language.between
    if not given.get("negatable", False):
        yield Reading(language.any_of(phrases))
        return
    negators = language.any_of(language.negators)
    itself = [phrase for phrase in phrases if language.negates_itself(phrase)]
    plain = [phrase for phrase in phrases if phrase not in itself]
    if itself:
        pattern = language.any_of(itself)
        # Two negators side by side cancel out where words are not parted; where they are, the first is "No, ...".
        yield Reading(pattern, () if language.has_boundaries else (f"{negators}{pattern}",))
    if plain:
        pattern = language.any_of(plain)
        yield Reading(pattern, (f"{negators}{between}{pattern}",))
    if nouns := given.get("nouns"):
        noun, praise = language.any_of(nouns), language.any_of(language.praise)
        # "no good content" is no praise; "great content" and "the content is great" are.
        praised = f"(?:{praise}{between}{noun}|{noun}{between}{praise})"
        yield Reading(noun, (f"{negators}{between}{praise}", praised))


def _either(phrases: Sequence[str], *, has_boundaries: bool) -> str:
    # Longest first: alternation takes the first that fits.
    ordered = sorted(phrases, key=lambda phrase: (-len(phrase), phrase))
    patterns = "|".join(_pattern(one) for one in ordered)
    return rf"\b(?:{patterns})\b" if has_boundaries else f"(?:{patterns})"


def _pattern(phrase: str) -> str:
    between = rf"\s+(?:\w+\s+){{0,{BETWEEN_WORDS}}}"
    parts = [re.escape(part).replace(r"\*", r"\w*").replace(r"\ ", r"\s+") for part in phrase.split(" .. ")]
    return between.join(parts)
