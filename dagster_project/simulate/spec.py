"""The parameters of a simulated world. What they do is told in `dagster_project.simulate`."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Literal

from dagster_project.errors import WinbackError
from dagster_project.simulate.reasons import REASON_TRAITS

CHANNELS = ("push", "email", "sms", "wechat")
PLATFORMS = ("ios", "android", "web")
SIMULATED_NOTICE = "Simulated data: no real person or company."
NEVER_DAY = 1 << 20


@dataclass(frozen=True)
class Outage:
    """Days [start_day, end_day) on which something of ours was broken; end_day None: broken to the last day.

    `events`: activity of the platform (and app version) happened and was not recorded.
    `messages`: the channel's provider refused every message to users of the platform (and app version), from
    `start_hour` of the first day to `end_hour` of the last, on the business's clock.
    """

    kind: Literal["events", "messages"]
    start_day: int
    end_day: int | None
    platform: str | None = None
    app_version: str | None = None
    channel: str | None = None
    start_hour: int = 0
    end_hour: int = 24

    def __post_init__(self) -> None:
        whole_days = (self.start_hour, self.end_hour) == (0, 24)
        if not (0 <= self.start_hour < 24 and 0 < self.end_hour <= 24) or (self.kind == "events" and not whole_days):
            raise WinbackError(
                f"an outage of {self.kind} cannot last from hour {self.start_hour} to hour {self.end_hour}",
                fix="give hours of the day from 0 to 24, and to outages of messages only",
            )


DEFAULT_OUTAGES = (
    Outage(kind="events", start_day=300, end_day=306, platform="ios"),
    Outage(kind="events", start_day=480, end_day=None, platform="android", app_version="3.3.0"),
    Outage(kind="messages", start_day=350, end_day=353, channel="email"),
)


@dataclass(frozen=True)
class WorldSpec:
    """What a world is drawn from. Days count from `first_on`; a shock past the last day does not happen.

    Shares and rates lie in [0, 1]; `_days` are means or medians of days; `_scale` multiplies the traits of
    every reason. Raises WinbackError on an impossible value.
    """

    n_users: int = 20_000
    seed: int = 7
    first_on: date = date(2024, 1, 1)
    n_days: int = 540
    business_timezone: str = "Europe/Berlin"

    prospect_share: float = 0.06
    leaver_share: float = 0.75
    reason_shares: Mapping[str, float] = field(
        default_factory=lambda: {reason: traits.share for reason, traits in REASON_TRAITS.items()}
    )
    evidence_share: float = 0.85
    stay_days: float = 110.0
    relapse_days: float = 60.0
    return_scale: float = 1.0
    response_scale: float = 1.0

    usual_gap_days: float = 16.0
    gap_log_sd_between: float = 0.7
    gap_log_sd_within: float = 0.6
    seasonal_amplitude: float = 0.2

    routine_sends_per_month: float = 0.85
    fatigue_send_factor: float = 4.0
    transient_failure_share: float = 0.012
    yearly_email_death_share: float = 0.03
    machine_open_share: float = 0.3
    background_opt_out_share: float = 0.04
    purge_day: int = 450
    purge_share: float = 0.3

    price_shock_day: int = 260
    price_shock_size: float = 0.15
    service_shock_day: int = 340
    service_shock_days: int = 5
    service_shock_share: float = 0.3
    stuck_version_share: float = 0.06
    outages: tuple[Outage, ...] = DEFAULT_OUTAGES

    campaign_day: int = 410
    campaign_horizon_days: int = 28
    campaign_min_silence_days: int = 45
    campaign_treat_share: float = 0.5
    campaign_strategies: tuple[str, ...] = ("remind", "discount")

    def __post_init__(self) -> None:
        if self.n_users < 1 or self.n_days < 60:
            raise WinbackError(
                f"a world of {self.n_users} users and {self.n_days} days cannot be simulated",
                fix="ask for at least one user and 60 days",
            )
        for name, value in vars(self).items():
            if name.endswith("_share") and not 0 <= value <= 1:
                raise WinbackError(f"{name} = {value} is not a share", fix="give a number from 0 to 1")
        unknown = sorted(set(self.reason_shares) - set(REASON_TRAITS))
        if unknown:
            raise WinbackError(
                f"reason_shares names unknown reasons: {', '.join(unknown)}",
                fix=f"use only {', '.join(REASON_TRAITS)}",
            )
