"""`python -m benchmarks.outages`: how many planted outages are found, and on how many quiet nights one is seen.

Worlds are drawn with other sizes, rhythms and seasons than the demo's; the facts come from the queries of sql/.
"""

import argparse
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import date, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import duckdb
import numpy as np
import polars as pl

from benchmarks.tables import table
from dagster_project.intervals import wilson_interval
from dagster_project.lake.duck import connect, frame
from dagster_project.lake.sql_model import load_models
from dagster_project.outages.deliveries import DeliveryOutage, find_delivery_outages
from dagster_project.outages.flows import Grid, count_flows
from dagster_project.outages.night import SEND_DAYS
from dagster_project.outages.recorders import Outage, find_recorder_outages
from dagster_project.simulate import Outage as Planted
from dagster_project.simulate import WorldSpec, simulate_world

CORE = ["app_open", "view", "purchase"]
STEP_DAYS = 7


@dataclass(frozen=True)
class Log:
    """A log in a database: nights can be looked at one after the other."""

    con: duckdb.DuckDBPyConnection

    def grid(self, as_of: date) -> Grid | None:
        """The returns that a night may see."""
        query = load_models()["marts.return_flows"].query.replace("intermediate.platform_days", "seen_days")
        self.con.execute(f"create or replace view seen_days as from days where dt <= date '{as_of}'")
        return count_flows(frame(self.con, query, {"as_of": as_of}), as_of=as_of)

    def outages(self, as_of: date) -> list[tuple[Outage, date, date]]:
        """What the night finds, with first day and day after the last."""
        grid = self.grid(as_of)
        found = find_recorder_outages(grid) if grid else []
        return [(outage, grid.day(outage.fall.start), grid.day(outage.fall.end)) for outage in found] if grid else []

    def deliveries(self, as_of: date) -> list[DeliveryOutage]:
        """What the night finds wrong with messages."""
        self.con.execute(f"create or replace view intermediate.message_steps as from steps where dt <= date '{as_of}'")
        self.con.execute(f"create or replace view intermediate.platform_days as from days where dt <= date '{as_of}'")
        sends, hourly = (
            frame(self.con, load_models()[table].query, {"as_of": as_of})
            for table in ("marts.send_outcomes", "marts.hourly_sends")
        )
        return find_delivery_outages(sends, hourly, first_on=first_seen(as_of), as_of=as_of)


def first_seen(as_of: date) -> date:
    """The first day of the messages that a night looks at."""
    return as_of - timedelta(days=SEND_DAYS - 1)


@contextmanager
def opened(events: pl.DataFrame, users: pl.DataFrame, messages: pl.DataFrame | None = None) -> Iterator[Log]:
    """A log of canonical events (user_id, occurred_at, event_type, platform, app_version) and users (country)."""
    with TemporaryDirectory() as folder, connect(spill=Path(folder), threads=2) as con:
        keys = events.select("user_id").unique().sort("user_id").with_row_index("user_sk")
        staged = events.join(keys, on="user_id").select(
            pl.col("user_sk").cast(pl.Int64),
            "occurred_at",
            _business_day(),
            "event_type",
            "platform",
            "app_version",
            pl.int_range(pl.len()).cast(pl.String).alias("row_hash"),
        )
        known = keys.join(users, on="user_id", how="left").select(
            pl.col("user_sk").cast(pl.Int64), "user_id", "country"
        )
        con.execute("create schema staging; create schema marts")
        con.register("staged", staged)
        con.register("known", known)
        con.execute("create table staging.events as from staged")
        con.execute("create table marts.users as from known")
        query = load_models()["intermediate.platform_days"].query
        days = frame(con, query, {"core_events": CORE, "counts_all": False})
        con.register("made", days)
        con.execute("create table days as from made order by dt, user_sk")
        if messages is not None:
            sent = messages.join(keys, on="user_id").with_columns(
                pl.col("user_sk").cast(pl.Int64), _business_day(), pl.int_range(pl.len()).alias("row_hash")
            )
            con.register("sent", sent)
            con.execute("create schema intermediate; create table staging.message_events as from sent")
            made = frame(con, load_models()["intermediate.message_steps"].query)
            con.register("steps_made", made)
            con.execute("create table steps as from steps_made")
        yield Log(con)


def _business_day() -> pl.Expr:
    """The day in the zone of the simulated company, as ingestion dates it."""
    at = pl.col("occurred_at").dt.replace_time_zone("UTC").dt.convert_time_zone(WorldSpec().business_timezone)
    return at.dt.date().alias("dt")


def drawn_spec(seed: int, *, outages: tuple[Planted, ...], n_users: int) -> WorldSpec:
    """A world whose rhythm, season and size come from the seed."""
    rng = np.random.default_rng(seed)
    return WorldSpec(
        n_users=n_users,
        seed=seed,
        first_on=date(2023, 1, 1) + timedelta(days=int(rng.integers(0, 365))),
        n_days=420,
        usual_gap_days=float(rng.uniform(5, 25)),
        gap_log_sd_between=float(rng.uniform(0.4, 1.0)),
        seasonal_amplitude=float(rng.uniform(0, 0.5)),
        stay_days=float(rng.uniform(60, 250)),
        leaver_share=float(rng.uniform(0.4, 0.9)),
        stuck_version_share=float(rng.uniform(0.04, 0.2)),
        outages=outages,
        campaign_day=200,
    )


def drawn_outages(seed: int) -> tuple[Planted, ...]:
    """One closed outage of a platform, one running outage of a version or a platform."""
    rng = np.random.default_rng(1000 + seed)
    start, length = int(rng.integers(120, 300)), int(rng.integers(2, 15))
    platform = ("ios", "android", "web")[seed % 3]
    other = ("android", "ios")[seed % 2]
    version = ("3.3.0", None)[seed // 2 % 2] if other != platform else "3.3.0"
    return (
        Planted(kind="events", start_day=start, end_day=start + length, platform=platform),
        Planted(kind="events", start_day=385, end_day=None, platform=other, app_version=version),
    )


def planted_and_found(seed: int, *, n_users: int) -> Iterator[tuple[str, ...]]:
    """One line per planted outage, as the last night sees it."""
    planted = drawn_outages(seed)
    spec = drawn_spec(seed, outages=planted, n_users=n_users)
    world = simulate_world(spec)
    last = spec.first_on + timedelta(days=spec.n_days - 1)
    with opened(world.tables["events"], world.tables["users"]) as log:
        found = log.outages(last)
        for outage in planted:
            start = spec.first_on + timedelta(days=outage.start_day)
            end = spec.first_on + timedelta(days=spec.n_days if outage.end_day is None else outage.end_day)
            hits = [f for f in found if is_hit(f, outage, start=start, end=end)]
            seen = f"{hits[0][1]} to {hits[0][2]}" if hits else "not found"
            lost = f"{hits[0][0].fall.expected:.0f}" if hits else ""
            yield str(seed), place(outage.platform, outage.app_version), f"{start} to {end}", seen, lost
        for outage_found, start, end in found:
            if not any(overlaps(outage_found, o, start, end, spec=spec) for o in planted):
                of = place(outage_found.platform, outage_found.app_version, outage_found.country)
                yield str(seed), of, "FALSE", f"{start} to {end}", f"{outage_found.fall.expected:.0f}"


def is_hit(found: tuple[Outage, date, date], planted: Planted, *, start: date, end: date) -> bool:
    """Whether a found outage is of the planted place, and overlaps its days by half of both at the least."""
    outage, first, after = found
    same = outage.platform == planted.platform and outage.app_version == planted.app_version
    common = (min(end, after) - max(start, first)).days
    return same and 2 * common >= max((end - start).days, (after - first).days)


def overlaps(found: Outage, planted: Planted, start: date, end: date, *, spec: WorldSpec) -> bool:
    """Whether a found outage has to do with a planted one at all."""
    first = spec.first_on + timedelta(days=planted.start_day)
    after = spec.first_on + timedelta(days=spec.n_days if planted.end_day is None else planted.end_day)
    return found.platform == planted.platform and start < after and first < end


def place(*names: str | None) -> str:
    """Platform, version and country in one word."""
    return "/".join(name for name in names if name) or "everywhere"


def false_nights(seed: int, *, n_users: int) -> tuple[int, int]:
    """Nights looked at and nights flagged, of a world in which nothing breaks."""
    spec = drawn_spec(seed, outages=(), n_users=n_users)
    world = simulate_world(spec)
    with opened(world.tables["events"], world.tables["users"]) as log:
        return count_flagged(log, spec.first_on, days=range(30, spec.n_days, STEP_DAYS))


def count_flagged(log: Log, first_on: date, *, days: Sequence[int]) -> tuple[int, int]:
    """Nights looked at, nights flagged."""
    return len(days), sum(bool(log.outages(first_on + timedelta(days=day))) for day in days)


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
    quiet = range(30, 250, 2 * STEP_DAYS)
    with opened(world.tables["events"], world.tables["users"], world.tables["message_events"]) as log:
        flagged = sum(bool(log.deliveries(spec.first_on + timedelta(days=day))) for day in quiet)
        found = log.deliveries(spec.first_on + timedelta(days=spec.n_days - 1))
    purge = Fault("token_purge", "push", 340, 341, platform="android")
    return len(quiet), flagged, told(seed, (*faults, purge), found, spec=spec)


def purge_nights(seed: int, *, n_users: int) -> tuple[int, int, list[tuple[str, ...]]]:
    """The same of a world in which three tenths of the tokens of some die at one stroke, and nothing else breaks."""
    spec = replace(drawn_spec(seed, outages=(), n_users=n_users), purge_day=340, purge_share=0.3)
    world = simulate_world(spec)
    quiet = range(60, 340, 4 * STEP_DAYS)
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


def real_logs(folder: Path) -> Iterator[tuple[str, pl.DataFrame]]:
    """user_id, on and country (null where the log has none) of three logs in which nothing is known to be broken."""
    retail = pl.read_parquet(folder / "online_retail" / "online_retail.parquet").filter(
        pl.col("CustomerID").is_not_null()
    )
    yield (
        "Online Retail",
        retail.select(
            pl.col("CustomerID").cast(pl.Int64).cast(pl.String).alias("user_id"),
            pl.col("InvoiceDate").cast(pl.Date).alias("on"),
            pl.col("Country").alias("country"),
        ),
    )
    lines = (folder / "cdnow" / "CDNOW_master.txt").read_text(encoding="utf-8").splitlines()
    cells = [line.split() for line in lines if line.split() and line.split()[0].isdigit()]
    yield (
        "CDNOW",
        pl.DataFrame({"user_id": [c[0] for c in cells], "on": [c[1] for c in cells]}).select(
            "user_id", pl.col("on").str.to_date("%Y%m%d"), pl.lit(None, dtype=pl.String).alias("country")
        ),
    )
    yield (
        "grocery",
        pl.read_csv(folder / "grocery_elog" / "groceryElog.csv").select(
            pl.col("cust").cast(pl.String).alias("user_id"),
            pl.col("date").str.to_date().alias("on"),
            pl.lit(None, dtype=pl.String).alias("country"),
        ),
    )


def real_false_nights(rows: pl.DataFrame, *, step_days: int = 2) -> tuple[int, int]:
    """Nights looked at and nights flagged of a real log."""
    events = rows.select(
        "user_id",
        pl.col("on").cast(pl.Datetime("us")).alias("occurred_at"),
        pl.lit("purchase").alias("event_type"),
        pl.lit(None, dtype=pl.String).alias("platform"),
        pl.lit(None, dtype=pl.String).alias("app_version"),
    )
    users = rows.select("user_id", "country").unique("user_id", keep="first", maintain_order=True)
    first, last = events.select(
        pl.col("occurred_at").dt.date().min().alias("first"), pl.col("occurred_at").dt.date().max().alias("last")
    ).row(0)
    with opened(events, users) as log:
        return count_flagged(log, first, days=range(7, (last - first).days + 1, step_days))


def main() -> None:
    """Print what was found and what was falsely found."""
    flags = argparse.ArgumentParser(prog="python -m benchmarks.outages")
    flags.add_argument("--worlds", type=int, default=12, help="drawn (default: %(default)s)")
    flags.add_argument("--users", type=int, default=3000, help="of each (default: %(default)s)")
    flags.add_argument("--real-data", type=Path, default=Path("../shared/data"))
    asked = flags.parse_args()
    lines = [line for seed in range(asked.worlds) for line in planted_and_found(seed, n_users=asked.users)]
    print(table(["world", "place", "planted", "found", "due returns"], lines), flush=True)
    planted = [line for line in lines if line[2] != "FALSE"]
    found = sum(line[3] != "not found" for line in planted)
    print(f"\n{found} of {len(planted)} found, {len(lines) - len(planted)} false\n", flush=True)
    quiet = [delivery_nights(seed, n_users=4 * asked.users) for seed in range(asked.worlds // 2)]
    sizes = (asked.users, asked.users * 5 // 3)
    quiet += [purge_nights(seed, n_users=n) for n in sizes for seed in range(20, 20 + asked.worlds)]
    shown = [line for _, _, lines in quiet for line in lines]
    print(table(["world", "users", "what", "planted", "found"], shown), flush=True)
    for what in ("messages", "token_purge"):
        planted = [line for line in shown if line[2].startswith(what) and line[3] != "FALSE"]
        false = sum(line[2].startswith(what) and line[3] == "FALSE" for line in shown)
        print(f"\n{what}: {sum(line[4] != 'not found' for line in planted)} of {len(planted)} found, {false} false")
    print(f"messages: {sum(q[1] for q in quiet)} of {sum(q[0] for q in quiet)} quiet nights flagged\n", flush=True)
    nights = [false_nights(seed, n_users=asked.users) for seed in range(100, 100 + asked.worlds)]
    nights += [real_false_nights(rows) for _, rows in real_logs(asked.real_data)]
    looked, flagged = (sum(pair[i] for pair in nights) for i in (0, 1))
    low, high = wilson_interval(flagged, looked)
    print(f"{flagged} of {looked} quiet nights flagged, {low:.4f} to {high:.4f}; by log: {nights}")


if __name__ == "__main__":
    main()
