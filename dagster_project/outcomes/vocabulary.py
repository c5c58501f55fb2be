"""The metrics that a readout reads, the days at which it reads them, and the parts of the users it looks at."""

import re
from dataclasses import dataclass
from typing import Literal

HORIZONS = (1, 7, 14, 28, 60, 180)  # days from the day of entry, that day included
LONGEST = HORIZONS[-1]
# By `python -m benchmarks.fading`: near the best both with few outcomes a week and with many.
HALF_LIFE_DAYS = 120.0
DAYS_BEFORE = 28  # over which arms are compared before anything was done to anybody

CONTROL = "control"
CONTROL_WORDS = (
    CONTROL,
    "controls",
    "control_group",
    "ctrl",
    "ctrl_group",
    "holdout",
    "hold_out",
    "held_out",
    "holdout_group",
    "hold_out_group",
    "held_out_group",
    "baseline",
    "placebo",
    "none",
    "untreated",
    "not_treated",
    "no_treatment",
    "no_contact",
    "not_contacted",
    "uncontacted",
    "no_message",
    "no_email",
    "no_mail",
    "no_sms",
    "no_push",
    "对照",
    "对照组",
    "空白组",
    "空白对照组",
)
"""What imported files call that arm, in small letters, with _ for spaces and hyphens. Only what cannot well mean
another arm: `0`, `false`, `a` or `c` may be any."""


def is_control_word(arm: str) -> bool:
    """Whether a file means the held out by this name of an arm."""
    return re.sub(r"[\s_-]+", "_", arm.strip().lower()) in CONTROL_WORDS


TREAT = "treat"
EXPLORE = "explore"
WORDS = "words."  # experiments on words: each arm but control is written to

ALL = "all"
DIMENSIONS = ("strategy_id", "channel", "stage", "reason", "value_tier")
CROSS = "strategy × channel × stage × reason × value tier"
NOT_NOTED = "not noted"
DRAWN_DIMENSIONS = ("strategy_id", "channel")
"""What chance gave the arm `explore`: nobody knows which of the held out could have had the same."""


@dataclass(frozen=True)
class Metric:
    """One outcome. `after`: the first day on which it happened. `sum` and `mean`: per horizon.

    A `total` is a sum of which the spread is not asked.
    """

    name: str
    kind: Literal["after", "sum", "mean", "total"]
    is_good: bool
    title: str

    def column(self, horizon_days: int) -> str:
        """Where the entries keep it."""
        return f"{self.name}_after" if self.kind == "after" else f"{self.name}_{horizon_days}"


METRICS = (
    Metric("returned", "after", True, "came back"),
    Metric("spend", "sum", True, "spent"),
    Metric("opened", "after", True, "opened a message"),
    Metric("clicked", "after", True, "clicked"),
    Metric("shared", "after", True, "shared or referred"),
    Metric("satisfaction", "mean", True, "satisfaction, of those who told"),
    Metric("opted_out", "after", False, "opted out"),
    Metric("complained", "after", False, "complained"),
    Metric("app_removed", "after", False, "removed the app"),
    Metric("relapsed", "after", False, "came back and left again"),
)
RETURNED, SPEND, RELAPSED = METRICS[0], METRICS[1], METRICS[-1]
HARMS = tuple(metric for metric in METRICS if not metric.is_good and metric is not RELAPSED)
"""What is held against an arm. A relapse is not: only who came back can leave again."""
BY_NAME = {metric.name: metric for metric in METRICS}
AFTER = tuple(metric for metric in METRICS if metric.kind == "after")
PROFIT = Metric("profit", "sum", True, "earned less cost")
"""Derived: margin × spend (or the worth of the return where nobody's spending is known) less what contact cost."""
