"""Countries and their time zones, from the tables of the IANA database that the package tzdata carries."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from types import MappingProxyType
from zoneinfo import ZoneInfo

# What sources write for a country beside its ISO 3166 code and the name in iso3166.tab.
_ALIASES = MappingProxyType(
    {
        "UK": "GB",
        "UNITED KINGDOM": "GB",
        "GREAT BRITAIN": "GB",
        "EL": "GR",
        "USA": "US",
        "UNITED STATES OF AMERICA": "US",
        "PRC": "CN",
        "CHN": "CN",
        "MAINLAND CHINA": "CN",
        "中国": "CN",
    }
)
# Somebody up to two hours east or west of the business must not be woken where nothing tells where they live.
CAUTION_MINUTES = 120


@dataclass(frozen=True)
class Place:
    """Where a user may be: in one of `zones`, whose first one's clock is shown. `known_by`: zone, country, business.

    `caution_minutes` widen quiet hours at both ends where only the business's zone is left to go by.
    """

    zones: tuple[str, ...]
    known_by: str
    caution_minutes: int = 0


def place(timezone: str | None, country: str | None, *, business_zone: str) -> Place:
    """Where a user is, by the zone on record, else by all zones of the country, else by the business's."""
    if timezone and zone(timezone) is not None:
        return Place((timezone,), "zone")
    code = country_code(country)
    zones = country_zones().get(code, ()) if code else ()
    if not zones:
        return Place((business_zone,), "business", CAUTION_MINUTES)
    first = [name for name in zones if name == business_zone]
    return Place((*first, *(name for name in zones if name != business_zone)), "country")


@cache
def zone(name: str) -> ZoneInfo | None:
    """The zone of this name, or None if there is none."""
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):  # unknown, malformed, or a folder of zones such as "America"
        return None


@cache
def zone_names() -> tuple[str, ...]:
    """The names of all zones, sorted: those of the package, so they are the same on every machine."""
    return tuple(sorted(files("tzdata").joinpath("zones").read_text("utf-8").split()))


@cache
def country_code(country: str | None) -> str | None:
    """The ISO 3166 code of a country by code or English name; None if it is neither."""
    text = (country or "").strip().upper()
    if text in country_zones():
        return text
    return _ALIASES.get(text) or _codes_by_name().get(text)


@cache
def country_zones() -> Mapping[str, tuple[str, ...]]:
    """Every country's zones by its code, in the order of the database: the most populous place comes early."""
    found: dict[str, list[str]] = {}
    for code, _, name, *_ in _rows("zone.tab"):
        found.setdefault(code, []).append(name)
    return MappingProxyType({code: tuple(names) for code, names in found.items()})


@cache
def _codes_by_name() -> Mapping[str, str]:
    return MappingProxyType({name.upper(): code for code, name, *_ in _rows("iso3166.tab")})


def _rows(table: str) -> list[list[str]]:
    text = files("tzdata").joinpath("zoneinfo", table).read_text("utf-8")
    return [line.split("\t") for line in text.splitlines() if line and not line.startswith("#")]
