"""Planted faults of messages: what the last night finds of each, and on how many quiet nights something is seen."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta

import numpy as np

from benchmarks.outage_logs import drawn_spec, first_seen, opened, place
from dagster_project.outages.deliveries import DeliveryOutage
from dagster_project.simulate import Outage as Planted
from dagster_project.simulate import WorldSpec, simulate_world


@dataclass(frozen=True)
class Fault:
    """A planted fault of messages, days counted from the world's first; hours of the business's day."""

    kind: str
    channel: str
    start_day: int
    end_day: int
    platform: str | None = None
    app_version: str | None = None
    hours: tuple[int, int] = (0, 24)

    @property
    def planted(self) -> Planted:
        """As a world is told of it."""
        return Planted(
            "messages",
            self.start_day,
            self.end_day,
            self.platform,
            self.app_version,
            self.channel,
            *self.hours,
        )


def drawn_faults(seed: int) -> tuple[Fault, ...]:
    """Two days of a provider, some hours of another, a version of the app that is refused for days."""
    rng = np.random.default_rng(2000 + seed)
    begin, length = int(rng.integers(9, 15)), int(rng.integers(3, 6))
    channels = ("email", "push")
    platform = ("ios", "android")[seed // 2 % 2]
    day = 250 + int(rng.integers(0, 30))
    return (
        Fault("messages", channels[seed % 2], 300, 302),
        Fault("messages", channels[1 - seed % 2], day, day + 1, hours=(begin, begin + length)),
        Fault("messages", "push", 380, 385, platform=platform, app_version="3.3.0"),
    )


def delivery_nights(seed: int, *, n_users: int) -> tuple[int, int, list[tuple[str, ...]]]:
    """Quiet nights looked at and flagged before anything is planted, and one line per planted fault of messages."""
    faults = drawn_faults(seed)
    spec = drawn_spec(seed, outages=tuple(fault.planted for fault in faults), n_users=n_users)
    spec = replace(spec, purge_day=340, purge_share=0.6)
    world = simulate_world(spec)
    quiet = range(30, 250, 14)
    with opened(world.tables["events"], world.tables["users"], world.tables["message_events"]) as log:
        flagged = sum(bool(log.deliveries(spec.first_on + timedelta(days=day))) for day in quiet)
        found = log.deliveries(spec.first_on + timedelta(days=spec.n_days - 1))
    purge = Fault("token_purge", "push", 340, 341, platform="android")
    return len(quiet), flagged, told(seed, (*faults, purge), found, spec=spec)


def purge_nights(seed: int, *, n_users: int) -> tuple[int, int, list[tuple[str, ...]]]:
    """The same of a world in which three tenths of the tokens of some die at one stroke, and nothing else breaks."""
    spec = replace(drawn_spec(seed, outages=(), n_users=n_users), purge_day=340, purge_share=0.3)
    world = simulate_world(spec)
    quiet = range(60, 340, 28)
    with opened(world.tables["events"], world.tables["users"], world.tables["message_events"]) as log:
        flagged = sum(bool(log.deliveries(spec.first_on + timedelta(days=day))) for day in quiet)
        found = log.deliveries(spec.first_on + timedelta(days=spec.n_days - 1))
    return (
        len(quiet),
        flagged,
        told(seed, (Fault("token_purge", "push", 340, 341, platform="android"),), found, spec=spec),
    )


def told(
    seed: int, faults: Sequence[Fault], found: Sequence[DeliveryOutage], *, spec: WorldSpec
) -> list[tuple[str, ...]]:
    """One line per planted fault: when it was, and what was found of it; then what was found of none."""
    first = first_seen(spec.first_on + timedelta(days=spec.n_days - 1))
    lines, left = [], list(found)
    for fault in faults:
        hits = [outage for outage in left if is_of(outage, fault, first_on=first, spec=spec)]
        left = [outage for outage in left if outage not in hits]
        seen = ", ".join(when(outage, first_on=first) for outage in hits) or "not found"
        what = f"{fault.kind} {place(fault.channel, fault.platform, fault.app_version)}"
        of = "".join(f"; {name_of(outage)}" for outage in hits if name_of(outage) != what)
        lines.append((str(seed), f"{spec.n_users}", what, planted_when(fault, spec=spec), seen + of))
    return lines + [
        (str(seed), f"{spec.n_users}", name_of(outage), "FALSE", when(outage, first_on=first)) for outage in left
    ]


def is_of(found: DeliveryOutage, fault: Fault, *, first_on: date, spec: WorldSpec) -> bool:
    """Whether a find is of the fault's kind and channel, of no other platform or version, and of its days or near."""
    start = (spec.first_on - first_on).days
    near = 7 if fault.kind == "token_purge" else 0
    meets = found.fall.start < start + fault.end_day + near and found.fall.end > start + fault.start_day - near
    stratum = found.stratum
    same = fault.kind == found.kind and fault.channel == stratum.channel and stratum.platform in (None, fault.platform)
    if fault.kind == "messages":
        same = same and (stratum.platform, stratum.app_version) == (fault.platform, fault.app_version)
    return same and meets


def name_of(found: DeliveryOutage) -> str:
    """Kind and place of a find."""
    stratum = found.stratum
    return f"{found.kind} {place(stratum.channel, stratum.platform, stratum.app_version)}"


def when(found: DeliveryOutage, *, first_on: date) -> str:
    """Its hours (UTC), or its days."""
    if found.start_at is None:
        return f"{first_on + timedelta(days=found.fall.start)} to {first_on + timedelta(days=found.fall.end)}"
    end = "the night" if found.end_at is None else f"{found.end_at:%Y-%m-%d %Hh}"
    return f"{found.start_at:%Y-%m-%d %Hh} to {end}"


def planted_when(fault: Fault, *, spec: WorldSpec) -> str:
    """The days of a fault, and its hours on the business's clock if they are not all."""
    days = f"{spec.first_on + timedelta(days=fault.start_day)} to {spec.first_on + timedelta(days=fault.end_day)}"
    return days if fault.hours == (0, 24) else f"{days}, {fault.hours[0]}h to {fault.hours[1]}h local"
