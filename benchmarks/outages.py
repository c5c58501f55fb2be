"""`python -m benchmarks.outages`: how many planted outages are found, and on how many quiet nights one is seen.

Worlds are drawn with other sizes, rhythms and seasons than the demo's; the facts come from the queries of sql/.
"""

import argparse
from collections.abc import Iterator, Sequence
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import polars as pl

from benchmarks.outage_logs import Log, drawn_spec, opened, place
from benchmarks.outage_messages import delivery_nights, purge_nights
from benchmarks.tables import table
from dagster_project.intervals import wilson_interval
from dagster_project.outages.recorders import Outage
from dagster_project.simulate import Outage as Planted
from dagster_project.simulate import WorldSpec, simulate_world

STEP_DAYS = 7


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


def false_nights(seed: int, *, n_users: int) -> tuple[int, int]:
    """Nights looked at and nights flagged, of a world in which nothing breaks."""
    spec = drawn_spec(seed, outages=(), n_users=n_users)
    world = simulate_world(spec)
    with opened(world.tables["events"], world.tables["users"]) as log:
        return count_flagged(log, spec.first_on, days=range(30, spec.n_days, STEP_DAYS))


def count_flagged(log: Log, first_on: date, *, days: Sequence[int]) -> tuple[int, int]:
    """Nights looked at, nights flagged."""
    return len(days), sum(bool(log.outages(first_on + timedelta(days=day))) for day in days)


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
