"""The limits of a night's decision, as values: money, channels, shares, pauses. Read from no file here."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from dagster_project.errors import SettingsError


@dataclass(frozen=True, kw_only=True)
class ChannelRules:
    """`cost` is money per message, `capacity` contacts a night (None: any number), hours local, half-open."""

    cost: float
    capacity: int | None = None
    open_hour: int = 8
    close_hour: int = 21

    def __post_init__(self) -> None:
        if not 0 <= self.open_hour < self.close_hour <= 24:
            raise SettingsError(
                f"channel hours {self.open_hour} to {self.close_hour}",
                fix="open before close, both within 0 to 24",
            )


@dataclass(frozen=True, kw_only=True)
class DecisionRules:
    """Everything that `decide` may not choose itself. Money is in the currency of the settings.

    `margin_share` is the part of a returned user's value that is profit. `value_if_unknown` stands in for
    `value_if_returned` where the data hold no money, so that a night without amounts still ranks by effect.
    `ready_hour` is the hour of the business day at which the lists are out: nothing is timed before it.
    """

    salt: str
    channels: Mapping[str, ChannelRules]
    margin_share: float
    business_timezone: str
    control_share: float = 0.10
    explore_share: float = 0.05
    experiment_id: str = "global_holdout"
    budget_per_night: float | None = None
    max_contacts: int | None = None
    min_days_between: int = 7
    value_if_unknown: float = 1.0
    ready_hour: int = 3
    excluded_stages: frozenset[str] = field(default_factory=frozenset)
