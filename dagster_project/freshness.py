"""How near the events come to a night: a delivery that stopped must not pass for users who left."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import pairwise

LOOK_BACK_DAYS = 90  # longer, and one Christmas break would hide every outage of the next year


@dataclass(frozen=True)
class Freshness:
    """`days_behind`: from the newest day with an event to the night. `usual_days`: longest step between such days."""

    newest_on: date
    days_behind: int
    usual_days: int

    @property
    def is_stale(self) -> bool:
        """Whether even an event on the day after the night would end a longer silence than any of late."""
        return self.days_behind > 0 and self.days_behind + 1 > self.usual_days

    @property
    def note(self) -> str | None:
        """A sentence for readers of the night, None if there is nothing to say."""
        if not self.is_stale:
            return None
        return (
            f"The newest event is of {self.newest_on}, {_days(self.days_behind)} before the night: if a delivery is "
            "missing, users look more silent than they are."
        )


def freshness(event_days: Iterable[date], *, as_of: date) -> Freshness:
    """How near the days with events come to `as_of`. Days after it are passed over.

    Raises:
        ValueError: no day is left.
    """
    days = sorted(day for day in event_days if day <= as_of)
    if not days:
        raise ValueError(f"no day with an event up to {as_of}")
    recent = [day for day in days if day >= days[-1] - timedelta(days=LOOK_BACK_DAYS)]
    steps = [(later - earlier).days for earlier, later in pairwise(recent)]
    return Freshness(days[-1], days_behind=(as_of - days[-1]).days, usual_days=max(steps, default=1))


def _days(n: int) -> str:
    return "1 day" if n == 1 else f"{n} days"
