"""The header of a SQL file: what it says, and what is refused."""

from pathlib import Path

import pytest

from dagster_project.errors import SqlModelError
from dagster_project.lake.sql_model import ColumnDoc, SqlModel, load_model, load_models, parse_test, sql_root

GOOD = """-- One row per user: how long the user has been
-- silent.
--
-- grain:      user_sk
-- partition:  as_of
-- params:     $as_of (date): the night
-- tests:
--   not_null user_sk; unique user_sk;
--   silence_days >= 0
-- columns:
--   user_sk: the user
--   silence_days (days): since the last
--
-- The rule: as it is.
-- And more of it.

with days as (select * from intermediate.user_days)
select user_sk, date_diff('day', max(dt), $as_of) as silence_days from days group by user_sk
"""


def model(tmp_path: Path, text: str = GOOD) -> SqlModel:
    path = tmp_path / "marts" / "silences.sql"
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    return load_model(path)


def test_the_header_is_read(tmp_path: Path) -> None:
    made = model(tmp_path)

    assert (made.table, made.schema, made.name) == ("marts.silences", "marts", "silences")
    assert made.description == "One row per user: how long the user has been silent."
    assert (made.grain, made.partition, made.params) == (("user_sk",), "as_of", ("as_of",))
    assert made.reads == ("intermediate.user_days",)
    assert made.columns == {"user_sk": ColumnDoc("the user", None), "silence_days": ColumnDoc("since the last", "days")}
    assert made.prose == "The rule: as it is.\nAnd more of it."
    assert [test.name for test in made.tests] == ["not_null_user_sk", "unique_user_sk", "silence_days_gteq_0"]


def test_tests_count_the_rows_that_break_them() -> None:
    assert parse_test("not_null a, b").failing == 'select count(*) from {table} where "a" is null or "b" is null'
    assert parse_test("unique a, b").failing == 'select count(*) - count(distinct ("a", "b")) from {table}'
    assert parse_test("a <= b").failing == "select count(*) from {table} where not (a <= b)"


def test_the_version_changes_with_the_query_not_with_its_layout(tmp_path: Path) -> None:
    plain = model(tmp_path).code_version

    assert model(tmp_path, GOOD.replace("select user_sk,", "SELECT\n  user_sk, -- key\n")).code_version == plain
    assert model(tmp_path, GOOD.replace("max(dt)", "min(dt)")).code_version != plain


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("One row per user", "Silences", "does not begin with 'One row per ...'"),
        ("partition:  as_of", "partition:  weekly", "partition 'weekly'"),
        ("grain:      user_sk", "grain:      user_id", "grain ['user_id']"),
        ("-- grain:      user_sk\n", "", "grain []"),
        ("--   user_sk: the user\n", "", "columns without a description ['user_sk']"),
        ("--   user_sk: the user\n", "--   user_sk: the user\n--   x: none\n", "described but not selected ['x']"),
        ("$as_of (date)", "the date", "params [] described, ['as_of'] used"),
        ("max(dt), $as_of", "max(dt), date '2024-01-01'", "params ['as_of'] described, [] used"),
        ("group by user_sk", "group by user_sk; select 1", "not exactly one select"),
        ("with days as", "drop table x; with days as", "not exactly one select"),
        ("group by user_sk", "group by (", "silences.sql"),
        ("-- params:", "-- lookback:   2 days\n-- params:", "lookback '2 days'"),
    ],
)
def test_a_header_and_a_query_that_disagree_are_refused(tmp_path: Path, old: str, new: str, problem: str) -> None:
    assert old in GOOD
    with pytest.raises(SqlModelError) as caught:
        model(tmp_path, GOOD.replace(old, new, 1))

    assert problem in caught.value.problem
    assert caught.value.fix


def test_an_empty_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SqlModelError):
        model(tmp_path, "")


def test_the_models_of_the_package_are_all_read() -> None:
    models = load_models()

    assert len(models) == len(list(sql_root().glob("*/*.sql")))
    assert {made.schema for made in models.values()} == {"staging", "intermediate", "marts"}
