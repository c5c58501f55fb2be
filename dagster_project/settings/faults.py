"""How a validator of the settings says what is wrong: where, with which value, and what to write instead."""

from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches

from pydantic_core import InitErrorDetails, PydanticCustomError, ValidationError

FAULT_TYPE = "winback_fault"


@dataclass(frozen=True)
class Fault:
    """One thing wrong. `where` starts at the model that finds it; `problem` is a phrase, `fix` an order."""

    where: tuple[str, ...]
    value: object
    problem: str
    fix: str


def fault(problem: str, *, fix: str) -> PydanticCustomError:
    """Return the error that a validator of one value raises."""
    return PydanticCustomError(FAULT_TYPE, "{problem}", {"problem": problem, "fix": fix})


def refuse(faults: Iterable[Fault]) -> None:
    """Raise all faults as one pydantic error, which keeps the place of each; do nothing without faults."""
    details = [
        InitErrorDetails(type=fault(found.problem, fix=found.fix), loc=found.where, input=found.value)
        for found in faults
    ]
    if details:
        raise ValidationError.from_exception_data("settings", details)


def suggest(name: str, valid: Iterable[str]) -> str:
    """Return the order to write one of the valid names, the likeliest first where one is close."""
    names = list(valid)
    by_lower = {known.lower(): known for known in names}
    close = get_close_matches(name.lower(), by_lower, n=1)
    listed = f"one of {', '.join(names)}"
    return f"did you mean {by_lower[close[0]]}? write {listed}" if close else f"write {listed}"
