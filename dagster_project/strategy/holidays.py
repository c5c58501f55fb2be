"""The holidays of countries: a file of rules, and the days that they give. Users are matched to them in `occasions`."""

import tomllib
from collections.abc import Iterator, Mapping
from datetime import date, timedelta
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, model_validator

FILE = Path(__file__).with_name("holidays.toml")

Church = Literal["western", "eastern"]
Country = Annotated[str, Field(pattern=r"^[A-Z]{2}$")]


class Holiday(BaseModel):
    """One rule for some countries; exactly one of a fixed day, a weekday of a month, a day by Easter, or the dates."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
    en: Annotated[str, Field(min_length=1)]
    zh: Annotated[str, Field(min_length=1)]
    countries: Annotated[tuple[Country, ...], Field(min_length=1)]
    source: Annotated[str, Field(min_length=1)]
    month: Annotated[int, Field(ge=1, le=12)] | None = None
    day: Annotated[int, Field(ge=1, le=31)] | None = None
    weekday: Annotated[int, Field(ge=1, le=7)] | None = None
    nth: Annotated[int, Field(ge=-1, le=4)] | None = None
    easter_days: int | None = None
    church: Church | None = None
    dates: tuple[date, ...] = ()

    @model_validator(mode="after")
    def _has_one_rule(self) -> Self:
        given = {name for name, value in self if name in _RULE_KEYS and value not in (None, ())}
        if given not in _RULES:
            raise ValueError(f"{self.id}: the keys {', '.join(sorted(given)) or '(none)'} are no rule")
        return self

    def days(self, year: int) -> Iterator[date]:
        """The days of the year, if any: of tabulated ones none beyond the table."""
        if self.dates:
            yield from (day for day in self.dates if day.year == year)
        elif self.church is not None and self.easter_days is not None:
            yield easter(year, church=self.church) + timedelta(days=self.easter_days)
        elif self.month is not None and self.weekday is not None and self.nth is not None:
            yield _nth_weekday(year, self.month, weekday=self.weekday, nth=self.nth)
        elif self.month is not None and self.day is not None:
            yield date(year, self.month, self.day)


_RULES = ({"month", "day"}, {"month", "weekday", "nth"}, {"easter_days", "church"}, {"dates"})
_RULE_KEYS = frozenset().union(*_RULES)


@cache
def load_holidays(path: Path = FILE) -> tuple[Holiday, ...]:
    """Every rule, in the order of the file."""
    rows = tomllib.loads(path.read_text(encoding="utf-8"))["holidays"]
    return TypeAdapter(tuple[Holiday, ...]).validate_python(rows)


@cache
def holidays_of(year: int) -> Mapping[date, tuple[tuple[str, str], ...]]:
    """By day of the year, each (country, holiday id) that falls on it."""
    found: dict[date, list[tuple[str, str]]] = {}
    for holiday in load_holidays():
        for day in holiday.days(year):
            found.setdefault(day, []).extend((country, holiday.id) for country in holiday.countries)
    return MappingProxyType({day: tuple(sorted(pairs)) for day, pairs in found.items()})


def easter(year: int, *, church: Church) -> date:
    """Easter Sunday in the civil calendar (Meeus, Astronomical Algorithms, 2nd ed., ch. 8), for 1900 to 2099."""
    if church == "eastern":
        d = (19 * (year % 19) + 15) % 30
        e = (2 * (year % 4) + 4 * (year % 7) - d + 34) % 7
        month, day = divmod(d + e + 114, 31)
        return date(year, month, day + 1) + timedelta(days=13)
    century, in_century = divmod(year, 100)
    golden = year % 19
    leap, rest = divmod(century, 4)
    moon = (19 * golden + century - leap - (century - (century + 8) // 25 + 1) // 3 + 15) % 30
    week = (32 + 2 * rest + 2 * (in_century // 4) - moon - in_century % 4) % 7
    late = (golden + 11 * moon + 22 * week) // 451
    month, day = divmod(moon + week - 7 * late + 114, 31)
    return date(year, month, day + 1)


def _nth_weekday(year: int, month: int, *, weekday: int, nth: int) -> date:
    if nth > 0:
        first = date(year, month, 1)
        return first + timedelta(days=(weekday - first.isoweekday()) % 7 + 7 * (nth - 1))
    last = date(year + month // 12, month % 12 + 1, 1) - timedelta(days=1)
    return last - timedelta(days=(last.isoweekday() - weekday) % 7)
