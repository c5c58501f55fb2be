"""The window of days in which a count fell furthest below what its own past and everybody else's day predict."""

from dataclasses import dataclass

import numpy as np

from dagster_project.outages.flows import Flags, Floats, Ints

BASELINE_DAYS = 56
"""Eight of each weekday: long enough for a weekly pattern, short enough to follow a trend."""

# Fewer expected returns than these leave an empty window to chance, or the share of the past to guesses.
MIN_BASELINE = 20.0
MIN_EXPECTED = 8.0
WEEKDAY_PRIOR = 10.0
# Shares of a place drift by more than chance; a tenth is what quiet logs show at the least.
MIN_DRIFT = 0.10
MAX_OVERDISPERSION = 6.0
# Kulldorff's scan without the exact tail: below this the p-value cannot be small enough to be looked up.
MIN_LOG_RATIO = 6.0
# An outage is over when that is twenty times likelier than that it goes on.
ENDED_LOG_RATIO = 3.0


@dataclass(frozen=True)
class Fall:
    """Days [start, end) of a stratum with `observed` returns where `expected` were due; `sd` of that difference."""

    start: int
    end: int
    observed: float
    expected: float
    sd: float
    p_value: float
    log_ratio: float

    @property
    def z(self) -> float:
        """Standard deviations from what was expected; negative: below."""
        return (self.observed - self.expected) / self.sd


def deepest_fall(
    observed: Floats, due: Floats, others: tuple[Floats, Floats], *, weekdays: Ints, alpha: float
) -> Fall | None:
    """The most likely window of a fall with a p-value below `alpha`; None if there is none.

    `observed` and `due` are daily returns of a stratum as in `flows.Grid`, `others` the same two of everybody else,
    0 on days that are to be left out. What the rest does on a day (season, holiday, growth) is taken as given; the
    stratum's share of it, by weekday, is that of the 56 days before the window, so a window knows only its past.
    A fall counts if it is deep: to three tenths in windows under a week, to half in longer ones. Shallower falls are
    changes of habit, however significant in large counts.

    The statistic is the likelihood ratio of the scan over all windows (Kulldorff 2001); the p-value is the lower
    tail of a negative binomial whose variance holds the counts' own overdispersion, the drift of the share, and
    the noise of both baselines.
    """
    expected, noise = _expected_by_window(observed, due, others, weekdays=weekdays)
    cumulated = np.concatenate([[0.0], np.cumsum(observed)])
    seen = cumulated[None, :] - cumulated[:, None]
    days = np.arange(observed.size + 1)
    length = days[None, :] - days[:, None]
    deep = seen <= np.where(length < 7, 0.3, 0.5) * expected
    log_ratio = np.where(deep & (length > 0) & (expected >= MIN_EXPECTED), _log_ratio(seen, expected), 0.0)
    starts, ends = np.nonzero(log_ratio >= MIN_LOG_RATIO)
    if not starts.size:
        return None
    mean, dispersion = expected[starts, ends], _overdispersion(observed, due, others)
    variance = dispersion * mean + noise[starts, ends] * mean**2
    p_value = _lower_tail(seen[starts, ends], mean, variance)
    if not (p_value < alpha).any():
        return None
    best = _still_running(log_ratio[starts, ends], p_value < alpha, starts=starts, ends=ends, last=observed.size)
    return Fall(
        start=int(starts[best]),
        end=int(ends[best]),
        observed=float(seen[starts[best], ends[best]]),
        expected=float(mean[best]),
        sd=float(np.sqrt(variance[best])),
        p_value=float(p_value[best]),
        log_ratio=float(log_ratio[starts[best], ends[best]]),
    )


def _still_running(log_ratio: Floats, proven: Flags, *, starts: Ints, ends: Ints, last: int) -> int:
    """The likeliest window; if the one with the same start that goes on to the night is nearly as likely, that one."""
    best = int(np.argmax(np.where(proven, log_ratio, -1.0)))
    going_on = np.flatnonzero(proven & (starts == starts[best]) & (ends == last))
    if going_on.size and log_ratio[going_on[0]] >= log_ratio[best] - ENDED_LOG_RATIO:
        return int(going_on[0])
    return best


def _expected_by_window(
    observed: Floats, due: Floats, others: tuple[Floats, Floats], *, weekdays: Ints
) -> tuple[Floats, Floats]:
    """Expected returns of each window [start, end), and their relative variance beyond the counts' own."""
    awaited = due * _common_factor(others)
    before = _Baseline(observed, awaited)
    of_weekday = np.eye(7)[weekdays]
    total = _cumulated(awaited[:, None] * of_weekday)
    seen_by_weekday = _Baseline(observed[:, None] * of_weekday, awaited[:, None] * of_weekday)
    usable = before.due >= MIN_BASELINE
    share = np.where(usable, (before.seen + 1) / (before.due + 1), 0.0)
    factor = (seen_by_weekday.seen + WEEKDAY_PRIOR) / (share[:, None] * seen_by_weekday.due + WEEKDAY_PRIOR)
    weights = share[:, None] * factor
    expected = weights @ total.T - np.sum(weights * total, axis=1)[:, None]
    of_others = _cumulated(others[0])
    drift = _drift(observed, awaited * _trailing_share(before))
    noise = drift**2 + 1 / (before.seen[:, None] + 1) + 1 / (np.maximum(of_others[None, :] - of_others[:, None], 0) + 1)
    return expected, noise


class _Baseline:
    """Sums over the 56 days before each day; `due` is also what tells whether there is a past at all."""

    def __init__(self, seen: Floats, due: Floats) -> None:
        self.seen, self.due = _trailing(seen), _trailing(due)


def _trailing(values: Floats) -> Floats:
    sums = _cumulated(values)
    begin = np.maximum(np.arange(sums.shape[0]) - BASELINE_DAYS, 0)
    result: Floats = sums - sums[begin]
    return result


def _cumulated(values: Floats) -> Floats:
    return np.concatenate([np.zeros((1, *values.shape[1:])), np.cumsum(values, axis=0)])


def _common_factor(others: tuple[Floats, Floats]) -> Floats:
    returns, due = others
    factor: Floats = returns / np.maximum(due, 1e-9)
    return np.where(due > 0, factor, 0.0)


def _trailing_share(before: _Baseline) -> Floats:
    share: Floats = ((before.seen + 1) / (before.due + 1))[:-1]
    return share


def _drift(observed: Floats, expected: Floats) -> float:
    """Robust spread of the weekly ratio observed ÷ expected, less what counting alone gives; at least a tenth."""
    n_weeks = observed.size // 7
    weeks = [values[observed.size - 7 * n_weeks :].reshape(n_weeks, 7).sum(axis=1) for values in (observed, expected)]
    known = weeks[1] >= MIN_EXPECTED
    if known.sum() < 4:
        return 2 * MIN_DRIFT
    ratio = weeks[0][known] / weeks[1][known]
    spread = 1.4826 * float(np.median(np.abs(ratio - np.median(ratio))))
    excess = spread**2 - float(np.median(1 / weeks[1][known]))
    return float(np.sqrt(max(excess, MIN_DRIFT**2)))


def _overdispersion(observed: Floats, due: Floats, others: tuple[Floats, Floats]) -> float:
    """Pearson's variance ÷ mean of the daily counts, the tenth with the largest residuals left out; from 1 to 6."""
    awaited = due * _common_factor(others)
    expected = awaited * _trailing_share(_Baseline(observed, awaited))
    known = expected > 0.5
    if known.sum() < 28:
        return 1.5
    squares = np.sort((observed[known] - expected[known]) ** 2 / expected[known])
    kept = squares[: int(0.9 * squares.size)]
    # The lowest nine tenths of a chi-square with one degree of freedom have a mean of 0.62.
    return float(np.clip(kept.mean() / 0.62, 1.0, MAX_OVERDISPERSION))


def _log_ratio(seen: Floats, expected: Floats) -> Floats:
    mean = np.maximum(expected, 1e-9)
    some = np.maximum(seen, 1e-9)
    ratio: Floats = np.where(seen < mean, some * np.log(some / mean) + mean - some, 0.0)
    return ratio


def _lower_tail(seen: Floats, mean: Floats, variance: Floats) -> Floats:
    from scipy.stats import nbinom

    excess = np.maximum(variance - mean, 1e-6 * mean)
    tail: Floats = nbinom.cdf(seen, mean**2 / excess, mean / (mean + excess))
    return tail
