"""The limits of a night's decision, as values: money, channels, shares, pauses. Read from no file here."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta

import polars as pl

from dagster_project.compliance.hours import Hours, Window
from dagster_project.compliance.law import Law
from dagster_project.compliance.packs import LawBook
from dagster_project.compliance.zones import zone
from dagster_project.errors import SettingsError
from dagster_project.strategy.hands import NO_HANDS, Hands
from dagster_project.strategy.priors import Beliefs


@dataclass(frozen=True, kw_only=True)
class ChannelRules:
    """`cost` is money per message, `capacity` contacts a night and `hourly_capacity` messages in any clock hour
    (None: any number); hours are local, half-open.
    """

    cost: float
    capacity: int | None = None
    hourly_capacity: int | None = None
    open_hour: int = 8
    close_hour: int = 21

    def __post_init__(self) -> None:
        if not 0 <= self.open_hour < self.close_hour <= 24:
            raise SettingsError(
                f"channel hours {self.open_hour} to {self.close_hour}",
                fix="open before close, both within 0 to 24",
            )

    @property
    def nightly_capacity(self) -> int | None:
        """Contacts that a night can have at most: its own limit, or what the open hours of a day can carry."""
        by_hour = None if self.hourly_capacity is None else self.hourly_capacity * (self.close_hour - self.open_hour)
        return min((one for one in (self.capacity, by_hour) if one is not None), default=None)

    def hours(self, quiet: tuple[Window, ...]) -> Hours:
        """When the channel is open and none of the quiet windows is."""
        return Hours(opens=self.open_hour * 60, closes=self.close_hour * 60, quiet=quiet)


@dataclass(frozen=True, kw_only=True)
class DecisionRules:
    """Everything that `decide` may not choose itself. Money is in the currency of the settings.

    `margin_share` is the part of a returned user's value that is profit. `value_if_unknown` stands in for
    `value_if_returned` where the data hold no money, so that a night without amounts still ranks by effect.
    `ready_hour` is the hour of the business day at which the lists are out: nothing is timed before it.
    `closed_content` names, by strategy and channel, the laws under which its words may not be used.
    `caution` is the quantile of the believed uplift that a contact must pay by. `harm_if_unknown` is the chance that
    one message costs us the way to the user, where the user's own is not known; `reach_worth_share` the part of the
    profit of a return that is lost with it. `equal_offers_for_all`: within a stage everybody who fits an offer
    gets it or nobody does, not only where law asks for it. `early_warning_share` is the part of a night's contacts
    that may go to users who are still here.
    """

    salt: str
    book: LawBook
    beliefs: Beliefs
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
    caution: float = 0.4
    harm_if_unknown: float = 0.003
    reach_worth_share: float = 0.05
    ready_hour: int = 3
    excluded_stages: frozenset[str] = field(default_factory=frozenset)
    hands: Hands = NO_HANDS
    equal_offers_for_all: bool = False
    early_warning_share: float = 0.2
    closed_content: Mapping[tuple[str, str], frozenset[str]] = field(default_factory=dict)

    @property
    def worth(self) -> pl.Expr:
        """The profit of a user's return, from `value_if_returned`."""
        return pl.col("value_if_returned").fill_null(self.value_if_unknown) * self.margin_share

    def ready_at(self, as_of: date) -> datetime:
        """When the lists of the night `as_of` are out, on the business's clock.

        Raises:
            SettingsError: the business time zone does not exist.
        """
        clock = zone(self.business_timezone)
        if clock is None:
            raise SettingsError(
                f"timezone '{self.business_timezone}' does not exist", fix="an IANA name: Europe/London"
            )
        ready = datetime.combine(as_of + timedelta(days=1), time(self.ready_hour), tzinfo=clock)
        # By way of UTC: an hour that the clocks skip becomes the one after it, and gets the right offset.
        return ready.astimezone(UTC).astimezone(clock)

    def hours(self, channel: str, *, law: Law, own: Window | None) -> Hours:
        """When a user bound by `law`, with quiet hours of their `own`, may get a message on the channel."""
        quiet = law.quiet_windows(channel)
        return self.channels[channel].hours(quiet if own is None else (*quiet, own))
