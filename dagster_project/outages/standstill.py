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
# Christmas to New Year, with the bridge days around them, at businesses that close at all.
LONGEST_YEAR_END = 21


def standstills(active: Floats, *, first_on: date, weekdays: Ints) -> list[tuple[Fall, Floats]]:
    """Stretches of days with almost no active user, each with the users usual per day, oldest first.

    Usual is the median of the same weekday in the 56 days before that were not empty themselves. A log that was
    never empty on a day of eight weeks is suspect after one such day. One that has been (a shop closed on Sundays)
    is suspect only after eight days and twice its longest closure so far; a stretch that holds Christmas Day or New
    Year's Day and lasts up to three weeks is a holiday to it. Nothing is said in the first eight weeks.
    """
    usual = _usual_by_day(active, weekdays=weekdays)
    daily = _trailing_median(active)
    empty = active <= NEAR_NOTHING * daily
    found, start = [], None
    for day in range(active.size + 1):
        is_empty = day < active.size and bool(empty[day]) and daily[day] > 0
        if is_empty and start is None:
            start = day
        if not is_empty and start is not None:
            if _is_outage(start, day, empty, usual, first_on=first_on):
                found.append((_fall(start, day, active, usual), usual))
            start = None
    return found


def _is_outage(start: int, end: int, empty: Flags, usual: Floats, *, first_on: date) -> bool:
    if start < USUAL_DAYS or usual[start:end].sum() < MIN_USUAL:
        return False
    longest = _longest_run(empty[:start])
    if not longest:
        return bool(usual[start:end].mean() >= MIN_USUAL)
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


def _usual_by_day(active: Floats, *, weekdays: Ints) -> Floats:
    usual = np.zeros(active.size)
    for day in range(USUAL_DAYS, active.size):
        before = np.arange(day - USUAL_DAYS, day)
        usual[day] = np.median(active[before[weekdays[before] == weekdays[day]]])
    return usual


def _trailing_median(active: Floats) -> Floats:
    """The median day of the 56 before each day; 0 where there is no full past."""
    medians = np.zeros(active.size)
    for day in range(7, active.size):
        medians[day] = np.median(active[max(day - USUAL_DAYS, 0) : day])
    return medians


def _fall(start: int, end: int, active: Floats, usual: Floats) -> Fall:
    observed, expected = float(active[start:end].sum()), float(usual[start:end].sum())
    ratio = expected - observed + (observed * np.log(observed / expected) if observed else 0.0)
    # Days of one stretch are not independent; a log-normal day with a spread of a third is behind this sd.
    sd = float(np.sqrt(expected + (expected / 3) ** 2))
    return Fall(start, end, observed, expected, sd, float(np.exp(-ratio)), ratio)
