"""Event ids that came again on another day: which copies to leave out. Repeats within a day are seen in staging.

The earliest day keeps the event. Only ids of new deliveries are compared, against one column of the old ones.
"""

from collections.abc import Sequence

from dagster_project.ingest.ledger import Delivery
from dagster_project.lake.build import Connect
from dagster_project.lake.duck import file_list, frame
from dagster_project.lake.store import WHOLE, Lake, fingerprint

REPEATS = "ingest.repeated_events"


def record_repeats(
    source: str, active: Sequence[Delivery], *, new: Sequence[Delivery], lake: Lake, connect: Connect
) -> None:
    """Bring the table of repeats (event_id, dt: a day on which the event is a copy) up to date."""
    table = f"ingest.{source}"
    everything = file_list(lake.paths(table, [delivery.key for delivery in active]))
    fresh = file_list(lake.paths(table, [delivery.key for delivery in new]))
    known = file_list(lake.paths(REPEATS))
    with connect() as con:
        con.execute(
            f"create table ids as select distinct event_id from read_parquet({fresh}) where event_id is not null"
        )
        old = f"from read_parquet({known}) anti join ids using (event_id)" if known != "[]" else None
        copies = frame(
            con,
            f"with seen as (select distinct event_id, dt "
            f"from read_parquet({everything}) semi join ids using (event_id)), "
            "first_seen as (select event_id, min(dt) as first_on from seen group by event_id), "
            "copies as (select seen.event_id, seen.dt from seen join first_seen using (event_id) "
            "where seen.dt > first_seen.first_on) "
            f"select event_id, dt from copies {f'union all select event_id, dt {old}' if old else ''} "
            "order by dt, event_id",
        )
    lake.write(REPEATS, copies, key=WHOLE, fingerprint=fingerprint(copies.rows()))
