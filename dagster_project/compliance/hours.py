"""When a message may go out: inside the channel's hours and outside all quiet hours, on every clock that counts."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from dagster_project.compliance.rules import MINUTES_PER_DAY, minutes_of
from dagster_project.compliance.zones import Place, zone

Window = tuple[int, int]

# Every zone's offset of today is a multiple of a quarter of an hour, so no local full hour falls between two steps.
STEP_MINUTES = 15
DAYS_AHEAD = 4
N_STEPS = (DAYS_AHEAD + 1) * MINUTES_PER_DAY // STEP_MINUTES


@dataclass(frozen=True)
class Hours:
    """`opens` and `closes` of a channel and `quiet` windows, in minutes after local midnight; ends are outside.

    A quiet window whose end is not after its start runs over midnight; equal ends are the whole day.
    """

    opens: int
    closes: int
    quiet: tuple[Window, ...] = ()

    def allow(self, minute: int, *, caution_minutes: int = 0) -> bool:
        """Whether a message may arrive at this minute of the local day, by any clock up to the caution away."""
        return bool(self.allowed(np.asarray([minute]), caution_minutes=caution_minutes)[0])

    def allowed(self, minutes: NDArray[np.int64], *, caution_minutes: int) -> NDArray[np.bool_]:
        """The same of many minutes."""
        allowed = (self.opens <= minutes) & (minutes < self.closes)
        for start, end in self.quiet:
            for shift in {-caution_minutes, 0, caution_minutes}:
                allowed &= ~_inside((minutes + shift) % MINUTES_PER_DAY, start, end)
        return allowed


def send_moment(place: Place, hours: Hours, *, wanted_minute: int, ready_at: datetime) -> datetime | None:
    """The moment to send, on the clock of the place's first zone; None if there is none in the days ahead.

    On each local day the full hour nearest to `wanted_minute` is taken (or the quarter, where no full hour is
    allowed), and the first such moment not before `ready_at` wins. We step through instants, so an hour that the
    clocks skip is never chosen, and one that they repeat is judged both times.
    """
    ready = _quarter(ready_at)
    start = ready - timedelta(days=1)
    minutes, days = _local(place.zones[0], start)
    open_at = _open(place, hours, start)
    if not open_at.any():
        return None
    at = np.flatnonzero(open_at)
    order = np.lexsort((at, np.abs(minutes[at] - wanted_minute), minutes[at] % 60 != 0, days[at]))
    at = at[order]
    best = at[np.unique(days[at], return_index=True)[1]]
    later = best[best >= (ready - start) // timedelta(minutes=STEP_MINUTES)]
    if not later.size:
        return None
    moment = start + timedelta(minutes=STEP_MINUTES * int(later[0]))
    return moment.astimezone(zone(place.zones[0]))


def open_moments(place: Place, hours: Hours, *, ready_at: datetime) -> list[datetime]:
    """Every full hour of the days ahead, not before `ready_at`, at which a message may arrive; in their order."""
    start = _quarter(ready_at)
    minutes, _ = _local(place.zones[0], start)
    found = np.flatnonzero(_open(place, hours, start) & (minutes % 60 == 0))
    clock = zone(place.zones[0])
    return [(start + timedelta(minutes=STEP_MINUTES * int(step))).astimezone(clock) for step in found]


def has_open_hour(place: Place, hours: Hours, *, ready_at: datetime) -> bool:
    """Whether `send_moment` finds one for every wanted hour: some later day than that of `ready_at` is open."""
    start = _quarter(ready_at) - timedelta(days=1)
    _, days = _local(place.zones[0], start)
    ready_day = days[(24 * 60) // STEP_MINUTES]
    return bool(_open(place, hours, start)[days > ready_day].any())


def open_hours(place: Place, hours: Hours, *, ready_at: datetime) -> NDArray[np.bool_]:
    """Which of the 24 full hours, on the clock of the place's first zone, are open on one of the days ahead."""
    start = _quarter(ready_at) - timedelta(days=1)
    minutes, _ = _local(place.zones[0], start)
    found = np.zeros(24, dtype=np.bool_)
    found[minutes[_open(place, hours, start) & (minutes % 60 == 0)] // 60] = True
    return found


def minutes_open(place: Place, hours: Hours, *, at: datetime) -> int:
    """How many minutes after `at`, an allowed moment, a message may still arrive within the same clock hour."""
    later = np.arange(60 - at.minute)
    is_open = np.ones(later.size, dtype=np.bool_)
    for name in place.zones:
        clock = at.astimezone(zone(name))
        minutes = (clock.hour * 60 + clock.minute + later) % MINUTES_PER_DAY
        is_open &= hours.allowed(minutes, caution_minutes=place.caution_minutes)
    return int((~is_open).argmax() if not is_open.all() else later.size) - 1


def is_allowed(place: Place, hours: Hours, *, at: datetime) -> bool:
    """Whether a message may arrive at this instant, on every clock that the user may live by."""
    clocks = [at.astimezone(zone(name)) for name in place.zones]
    minutes = {clock.hour * 60 + clock.minute for clock in clocks}
    return all(hours.allow(minute, caution_minutes=place.caution_minutes) for minute in minutes)


def _open(place: Place, hours: Hours, start: datetime) -> NDArray[np.bool_]:
    open_at = np.ones(N_STEPS, dtype=np.bool_)
    for name in place.zones:
        open_at &= hours.allowed(_local(name, start)[0], caution_minutes=place.caution_minutes)
    return open_at


@lru_cache(maxsize=2048)
def _local(name: str, start: datetime) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Minute of the local day and number of the local day of each step from `start` (UTC) on."""
    clock = zone(name)
    local = [(start + timedelta(minutes=STEP_MINUTES * step)).astimezone(clock) for step in range(N_STEPS)]
    return (
        np.asarray([moment.hour * 60 + moment.minute for moment in local], dtype=np.int64),
        np.asarray([moment.toordinal() for moment in local], dtype=np.int64),
    )


def _inside(minutes: NDArray[np.int64], start: int, end: int) -> NDArray[np.bool_]:
    if start < end:
        return (start <= minutes) & (minutes < end)
    return (minutes >= start) | (minutes < end)


def _quarter(moment: datetime) -> datetime:
    """The first quarter of an hour, in UTC, not before the moment."""
    utc = moment.astimezone(UTC)
    floor = utc.replace(minute=utc.minute - utc.minute % STEP_MINUTES, second=0, microsecond=0)
    return floor if floor == utc else floor + timedelta(minutes=STEP_MINUTES)


def clock_windows(quiet_start: str | None, quiet_end: str | None) -> tuple[Window, ...]:
    """The user's own quiet hours as a window; none if neither end is given.

    Raises:
        ValueError: one end without the other, or a text that is no clock time.
    """
    if not quiet_start and not quiet_end:
        return ()
    if not quiet_start or not quiet_end:
        raise ValueError("quiet hours with one end only")
    return ((minutes_of(quiet_start), minutes_of(quiet_end)),)
