"""Event ids that came again on another day: which copies to leave out. Repeats within a day are seen in staging.

The earliest day keeps the event. Only ids of deliveries that came or went are compared, against one column of
the others. A partition is named after the deliveries that it was made from, so that a reader who knows the
ledger finds the one that fits it, even if a run was killed between the two.
"""

from collections.abc import Sequence

from dagster_project.ingest.ledger import Delivery
from dagster_project.lake.build import Connect
from dagster_project.lake.duck import file_list, frame
from dagster_project.lake.store import Lake, fingerprint

REPEATS = "ingest.repeated_events"


def repeats_key(active: Sequence[Delivery]) -> str:
    """The partition of the repeats among those deliveries, all of one reading; "none" without any."""
    keys = sorted(delivery.key for delivery in active)
    return f"{active[0].reading[:8]}-{fingerprint(keys)[:16]}" if active else "none"


def record_repeats(
    source: str, active: Sequence[Delivery], *, before: Sequence[Delivery], lake: Lake, connect: Connect
) -> None:
    """Bring the table of repeats (event_id, dt: a day on which the event is a copy) in line with `active`.

    `before` are the deliveries that counted until now; the repeats among them need not be found again.
    """
    key, index = repeats_key(active), lake.index(REPEATS)
    if not active or key in index:
        return
    old_key = repeats_key(before)
    is_known = old_key in index
    changed = [
        delivery.key for delivery in (*active, *before) if (delivery in active) != (delivery in before) or not is_known
    ]
    table = f"ingest.{source}"
    everything = file_list(lake.paths(table, [delivery.key for delivery in active]))
    touched = file_list(lake.paths(table, changed))
    old = f"from read_parquet({file_list(lake.paths(REPEATS, [old_key]))}) anti join ids using (event_id)"
    with connect() as con:
        con.execute(
            f"create table ids as select distinct event_id from read_parquet({touched}) where event_id is not null"
        )
        copies = frame(
            con,
            f"with seen as (select distinct event_id, dt "
            f"from read_parquet({everything}) semi join ids using (event_id)), "
            "first_seen as (select event_id, min(dt) as first_on from seen group by event_id), "
            "copies as (select seen.event_id, seen.dt from seen join first_seen using (event_id) "
            "where seen.dt > first_seen.first_on) "
            f"select event_id, dt from copies {f'union all select event_id, dt {old}' if is_known else ''} "
            "order by dt, event_id",
        )
    lake.write(REPEATS, copies, key=key, fingerprint=fingerprint(copies.rows()))


def forget_other_repeats(active: Sequence[Delivery], *, lake: Lake) -> None:
    """Drop the partitions that fit no ledger any more: to be called when the ledger is written."""
    others = [key for key in lake.index(REPEATS) if key != repeats_key(active)]
    if others:
        lake.commit(REPEATS, {}, dropped=others)
