"""The dense integer that stands for a user inside: given once, kept for ever, never shown and never sorted by."""

import duckdb

from dagster_project.lake.duck import file_list, frame
from dagster_project.lake.store import Lake

USER_KEYS = "ingest.user_keys"


def add_user_keys(con: duckdb.DuckDBPyConnection, lake: Lake) -> None:
    """Make the table `keys` (user_id, user_sk) of all users of `typed`, giving keys to those seen first."""
    view_user_keys(con, lake)
    con.execute("create table keys as select user_id, user_sk from known_keys semi join typed using (user_id)")
    new = frame(
        con,
        "with fresh as (select user_id, min(dt) as first_on from typed where fate = 'kept' group by user_id), "
        "last as (select coalesce(max(user_sk), 0) as user_sk from known_keys) "
        "select row_number() over (order by first_on nulls last, user_id) + last.user_sk as user_sk, user_id "
        "from fresh anti join known_keys using (user_id) cross join last order by user_sk",
    )
    if new.is_empty():
        return
    number = len(lake.index(USER_KEYS)) + 1
    lake.write(USER_KEYS, new, key=f"{number:06d}", fingerprint=str(new.height))
    con.register("new_keys", new)
    con.execute("insert into keys select user_id, user_sk from new_keys")


def view_user_keys(con: duckdb.DuckDBPyConnection, lake: Lake) -> None:
    """Make the view `known_keys` (user_sk, user_id) of every key given so far."""
    paths = lake.paths(USER_KEYS)
    source = (
        f"from read_parquet({file_list(paths)})"
        if paths
        else "select null::bigint as user_sk, null::varchar as user_id where false"
    )
    con.execute(f"create or replace view known_keys as {source}")
