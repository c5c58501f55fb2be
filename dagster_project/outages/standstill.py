"""Days on which nearly nothing came from anywhere: an outage of everything, or a business that was closed."""

from datetime import date, timedelta

import numpy as np

from dagster_project.outages.flows import Flags, Floats, Ints
from dagster_project.outages.scan import Fall

USUAL_DAYS = 56
NEAR_NOTHING = 0.05
# With twenty users due a day, a day of nothing is no chance even if activity swings threefold.
MIN_USUAL = 20.0
# A business that closes at times closes over long weekends too (Easter: four days).
SHORTEST_IF_IT_CLOSES = 8
MIN_USUAL_IF_IT_CLOSES = 5.0
# Christmas to New Year, with the bridge days around them, at businesses that close at all.
LONGEST_YEAR_END = 21


def standstills(active: Floats, *, first_on: date, weekdays: Ints) -> list[tuple[Fall, Floats]]:
    """Stretches of days with almost no active user, each with the users usual per day, oldest first.

    Usual is the median of the same weekday in the 56 days before that were not empty themselves. A log that was
    never empty on a day of eight weeks is suspect after one such day. One that has been (a shop closed on Sundays)
    is suspect only after eight days and twice its longest closure so far; a stretch that holds Christmas Day or New
    Year's Day and lasts up to three weeks is a holiday to it. Nothing is said in the first eight weeks.
    """
    usual, empty = np.zeros(active.size), np.zeros(active.size, dtype=np.bool_)
    found, start, level = [], None, 0.0
    for day in range(7, active.size + 1):
        if start is None and day < active.size:
            level = float(np.median(active[max(day - USUAL_DAYS, 0) : day]))
        is_empty = day < active.size and level > 0 and bool(active[day] <= NEAR_NOTHING * level)
        if is_empty:
            empty[day] = True
            start = day if start is None else start
            usual[day] = _usual(active[:start], weekdays[:start], weekday=int(weekdays[day]))
        elif start is not None:
            if _is_outage(start, day, empty, usual, first_on=first_on):
                found.append((_fall(start, day, active, usual), usual))
            start = None
    return found


def _is_outage(start: int, end: int, empty: Flags, usual: Floats, *, first_on: date) -> bool:
    if start < USUAL_DAYS:
        return False
    longest = _longest_run(empty[:start])
    if usual[start:end].mean() < (MIN_USUAL_IF_IT_CLOSES if longest else MIN_USUAL):
        return False
    if not longest:
        return True
    days = [first_on + timedelta(days=day) for day in range(start, end)]
    year_end = any((day.month, day.day) in ((12, 25), (1, 1)) for day in days)
    shortest = max(SHORTEST_IF_IT_CLOSES, 2 * longest + 1, LONGEST_YEAR_END + 1 if year_end else 0)
    return end - start >= shortest


def _longest_run(flags: Flags) -> int:
    longest = run = 0
    for flag in flags:
        run = run + 1 if flag else 0
        longest = max(longest, run)
    return longest


def _usual(before: Floats, weekdays: Ints, *, weekday: int) -> float:
    """The median user count of the same weekday in the eight weeks before a stretch of empty days."""
    same = before[-USUAL_DAYS:][weekdays[-USUAL_DAYS:] == weekday]
    return float(np.median(same)) if same.size else 0.0


def _fall(start: int, end: int, active: Floats, usual: Floats) -> Fall:
    observed, expected = float(active[start:end].sum()), float(usual[start:end].sum())
    ratio = expected - observed + (observed * np.log(observed / expected) if observed else 0.0)
    # Days of one stretch are not independent; a log-normal day with a spread of a third is behind this sd.
    sd = float(np.sqrt(expected + (expected / 3) ** 2))
    return Fall(start, end, observed, expected, sd, float(np.exp(-ratio)), ratio)
