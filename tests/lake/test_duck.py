"""Connections share one DuckDB and nothing else."""

from pathlib import Path

import duckdb
import pytest

from dagster_project.lake.build import exists
from dagster_project.lake.duck import connect


def test_a_connection_sees_nothing_of_another_before_it_or_beside_it(tmp_path: Path) -> None:
    with connect(spill=tmp_path) as before:
        before.execute("create schema staging; create table staging.users as select 1 as user_sk")
    with connect(spill=tmp_path) as one, connect(spill=tmp_path) as other:
        other.execute("create schema staging; create table staging.users as select 2 as user_sk")
        assert not exists(one, "staging.users")
        assert exists(other, "staging.users")
        with pytest.raises(duckdb.CatalogException):
            one.execute("from staging.users")


def test_what_a_connection_made_goes_with_it_even_if_it_failed(tmp_path: Path) -> None:
    with pytest.raises(duckdb.ConversionException), connect(spill=tmp_path) as failing:
        failing.execute("begin; create table made as select 1 as n; select cast('x' as integer)")
    with connect(spill=tmp_path) as con:
        kept = con.execute("select database_name from duckdb_databases() where not internal").fetchall()
        own = con.execute("select current_database()").fetchall()
        assert sorted(kept) == sorted([("memory",), *own])


def test_every_connection_is_in_utc_and_has_the_threads_that_it_asked_for(tmp_path: Path) -> None:
    asked = "select current_setting('TimeZone'), current_setting('threads')"
    for threads in (1, 2, 1):
        with connect(spill=tmp_path, threads=threads) as con:
            assert con.execute(asked).fetchall() == [("UTC", threads)]
