"""Which form of a message a channel can carry, and how long one may be there. The table is `channels.toml`."""

import tomllib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

Form = Literal["text", "picture", "video", "card"]
FORMS: tuple[Form, ...] = get_args(Form)
FILE = Path(__file__).with_name("channels.toml")


class ChannelForms(BaseModel):
    """What one channel carries. `max_characters`, by language: of title, body, next step and way out together."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    forms: Annotated[tuple[Form, ...], Field(min_length=1)]
    max_characters: Mapping[str, int] = {}
    source: Annotated[str, Field(min_length=1)]


@cache
def known_channels() -> Mapping[str, ChannelForms]:
    """Every channel of the table, by its name."""
    content = tomllib.loads(FILE.read_text(encoding="utf-8"))
    return MappingProxyType(TypeAdapter(dict[str, ChannelForms]).validate_python(content))


def carries(channel: str, form: Form) -> bool:
    """Whether a message of the form can go out on the channel; one that the table does not know carries text alone."""
    known = known_channels().get(channel)
    return form == "text" if known is None else form in known.forms


def longest(channel: str, locale: str) -> int | None:
    """How many characters are read on the channel at once; None: it sets no limit."""
    known = known_channels().get(channel)
    return None if known is None else known.max_characters.get(locale)
