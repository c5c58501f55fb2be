"""Values as a reader sees them. A null, NaN or infinite value is always an en dash, never a number."""

from __future__ import annotations

import math
import re
from datetime import date
from decimal import Decimal

MISSING = "–"
_TIMESTAMP = re.compile(r"^(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d)(?::\d\d(?:\.\d+)?)?\s*(.*)$")

Number = int | float | Decimal | None


def count(value: Number) -> str:
    """1234567 → "1,234,567"."""
    number = _finite(value)
    return MISSING if number is None else f"{round(number):,}"


def decimal(value: Number, *, places: int = 2) -> str:
    """1234.567 → "1,234.57"."""
    number = _finite(value)
    return MISSING if number is None else _fixed(number, places)


def percent(share: Number) -> str:
    """A share of 0 to 1 with one decimal: 0.1234 → "12.3%". What would round to zero says "<0.1%"."""
    number = _finite(share)
    if number is None:
        return MISSING
    if 0 < number < 0.0005:
        return "<0.1%"
    if 0.9995 <= number < 1:
        return ">99.9%"
    return f"{_fixed(number * 100, 1)}%"


def money(amount: Number, *, currency: str) -> str:
    """1234.5 → "1,234.50 EUR"; from 10,000 on without the cents, which nobody reads there."""
    number = _finite(amount)
    if number is None:
        return MISSING
    return f"{_fixed(number, 0 if abs(number) >= 10_000 else 2)} {currency}".strip()


def with_interval(value: Number, low: Number, high: Number) -> str:
    """A share with its interval, if there is one: "12.3% (8.1 to 17.0%)"."""
    if None in (_finite(value), _finite(low), _finite(high)):
        return percent(value)
    return f"{percent(value)} ({percent(low).removesuffix('%')} to {percent(high)})"


def day(value: date | None) -> str:
    """2026-03-02 → "2 March 2026"."""
    return MISSING if value is None else f"{value.day} {value:%B %Y}"


def timestamp(value: object) -> str:
    """A moment to the minute, offset kept: "2026-03-02T19:00:00+01:00" → "2026-03-02 19:00 +01:00"."""
    if value is None:
        return MISSING
    found = _TIMESTAMP.match(str(value))
    return " ".join(part for part in found.groups() if part) if found else str(value)


def text(value: object) -> str:
    """Any other value as it is; null and blank as an en dash."""
    return MISSING if value is None or not str(value).strip() else str(value)


def counted(value: Number, noun: str) -> str:
    """A count with its noun in the right number: (1, "user") → "1 user"."""
    return f"{count(value)} {noun}" + ("" if value == 1 else "s")


def _finite(value: Number) -> float | None:
    return float(value) if value is not None and math.isfinite(value) else None


def _fixed(number: float, places: int) -> str:
    # Adding zero turns the "-0.0" that rounding leaves into "0.0".
    return f"{round(number, places) + 0.0:,.{places}f}"
