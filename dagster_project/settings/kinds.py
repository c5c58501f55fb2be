"""The kinds of value that the settings are made of: zones, clock times, dates, names, sections."""

import re
from datetime import date, time
from functools import cache
from typing import Annotated

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema

from dagster_project.settings.faults import fault

_CLOCK_TIME = r"([01][0-9]|2[0-3]):[0-5][0-9]"


class Section(BaseModel):
    """A table of the settings file: frozen, no unknown key, no value silently converted, no infinity."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


@cache
def known_zones() -> tuple[str, ...]:
    """All IANA zone names, from the tzdata package, so that every machine knows the same ones."""
    from importlib.resources import files

    return tuple(files("tzdata").joinpath("zones").read_text("utf-8").split())


def _zone(name: str) -> str:
    if name not in known_zones():
        raise fault("is not an IANA time zone", fix=_closest_zone(name))
    return name


def _closest_zone(name: str) -> str:
    from difflib import get_close_matches

    by_lower = {zone.lower(): zone for zone in known_zones()}
    close = get_close_matches(name.lower(), by_lower, n=1)
    return f'did you mean "{by_lower[close[0]]}"?' if close else 'write a name like "Europe/London"'


def _currency(code: str) -> str:
    if re.fullmatch("[A-Z]{3}", code) is None:
        better = code.strip().upper()
        example = better if re.fullmatch("[A-Z]{3}", better) else "EUR"
        raise fault("is not an ISO 4217 code", fix=f'write three capital letters, e.g. "{example}"')
    return code


def _clock_time(text: str) -> str:
    if re.fullmatch(_CLOCK_TIME, text) is None:
        raise fault("is not a clock time", fix='write HH:MM from "00:00" to "23:59", e.g. "02:00"')
    return text


def _clock_range(text: str) -> str:
    if re.fullmatch(f"{_CLOCK_TIME}-{_CLOCK_TIME}", text) is None:
        raise fault("is not a range of hours", fix='write HH:MM-HH:MM, e.g. "09:00-20:00"')
    start, end = text.split("-")
    if start >= end:
        raise fault("ends before it starts", fix='write the earlier time first, e.g. "09:00-20:00"')
    return text


def _day(value: object) -> object:
    """Take a date in quotes too: TOML has dates, but few people know."""
    if isinstance(value, str):
        try:
            return date.fromisoformat(value)
        except ValueError as error:
            raise fault("is not a date", fix="write a date as YYYY-MM-DD, e.g. 2024-03-01") from error
    return value


def _distinct(texts: tuple[str, ...]) -> tuple[str, ...]:
    blank = [text for text in texts if not text.strip()]
    if blank:
        raise fault("holds an empty text", fix="take it out")
    twice = sorted({text for text in texts if texts.count(text) > 1})
    if twice:
        raise fault(f"names {twice[0]} twice", fix="write it once")
    return texts


def clock_times(text: str) -> tuple[time, time]:
    """Return the first and the last moment of a checked range of hours such as "09:00-20:00"."""
    start, end = text.split("-")
    return time.fromisoformat(start), time.fromisoformat(end)


Zone = Annotated[str, AfterValidator(_zone), Field(examples=["Europe/London"])]
Currency = Annotated[str, AfterValidator(_currency), WithJsonSchema({"type": "string", "pattern": "^[A-Z]{3}$"})]
ClockTime = Annotated[
    str, AfterValidator(_clock_time), WithJsonSchema({"type": "string", "pattern": f"^{_CLOCK_TIME}$"})
]
ClockRange = Annotated[
    str,
    AfterValidator(_clock_range),
    WithJsonSchema({"type": "string", "pattern": f"^{_CLOCK_TIME}-{_CLOCK_TIME}$"}),
]
Day = Annotated[date, BeforeValidator(_day)]
Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
RawStrings = Annotated[tuple[str, ...], Field(strict=False)]  # TOML arrays arrive as lists
Strings = Annotated[RawStrings, AfterValidator(_distinct)]
