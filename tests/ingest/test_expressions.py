"""Expressions of the settings, made tolerant: what they become, and where a bad value shows."""

import duckdb
import pytest

from dagster_project.ingest.expressions import tolerant

TEXT = frozenset({"a", "b", "kind", "comment"})


def sql(expression: str, *, text: frozenset[str] = TEXT) -> str:
    return tolerant(expression, text_columns=text).sql


@pytest.mark.parametrize(
    ("given", "made"),
    [
        ("a", "a"),
        ("comment", "comment"),
        ("a * b", "TRY_CAST(a AS DOUBLE) * TRY_CAST(b AS DOUBLE)"),
        ("-(a)", "-(TRY_CAST(a AS DOUBLE))"),
        ("A > 0", "TRY_CAST(A AS DOUBLE) > 0"),
        ("a > 'x'", "a > 'x'"),
        ("coalesce(a, 0) + 1", "COALESCE(TRY_CAST(a AS DOUBLE), 0) + 1"),
        ("a::date", "TRY_CAST(a AS DATE)"),
        ("strptime(a, '%d.%m.%Y')", "TRY_STRPTIME(a, '%d.%m.%Y')"),
        ("cast(a as timestamp) - interval 1 day", "TRY_CAST(a AS TIMESTAMP) - INTERVAL '1' DAY"),
        ("concat(a, ' ', b)", "CONCAT(a, ' ', b)"),
        ("cast(strptime(a, '%Y') as date)", "TRY_CAST(TRY_STRPTIME(a, '%Y') AS DATE)"),
    ],
)
def test_conversions_become_tolerant_and_nothing_else_changes(given: str, made: str) -> None:
    assert sql(given) == made


def test_a_column_that_holds_numbers_is_computed_with_as_it_is() -> None:
    assert sql("a * b", text=frozenset({"b"})) == "a * TRY_CAST(b AS DOUBLE)"


def test_columns_are_named_by_their_root() -> None:
    assert tolerant('coalesce(who.id, b, "c d")', text_columns=TEXT).columns == ("who", "b", "c d")


@pytest.mark.parametrize("expression", ["a", "upper(a)", "'visit'", "try_cast(a as double)", "try_strptime(a, '%Y')"])
def test_what_is_not_converted_or_may_fail_by_wish_has_no_bad_text(expression: str) -> None:
    assert tolerant(expression, text_columns=TEXT).bad_text is None


@pytest.mark.parametrize(
    ("expression", "a", "bad"),
    [
        ("a * 2", "1", None),
        ("a * 2", "one", "one"),
        ("a * 2", None, None),
        ("a * 2", "  ", None),
        ("cast(replace(a, ',', '.') as double)", "1,5", None),
        ("cast(replace(a, ',', '.') as double)", "x,5", "x.5"),
        ("case when kind = 'n' then a * 2 else 0 end", "one", None),
        ("case when kind = 't' then a * 2 else 0 end", "one", "one"),
        ("case when kind = 'n' then 0 else a * 2 end", "one", "one"),
        ("case when a > 0 then 1 end", "one", "one"),
        ("case kind when 't' then a + 1 end", "one", "one"),
        ("if(kind = 'n', a + 1, 0)", "one", None),
        ("if(kind = 't', a + 1, 0)", "one", "one"),
        ("coalesce(try_strptime(a, '%Y'), try_strptime(a, '%Y-%m'))", "2024-01", None),
        ("cast(strptime(a, '%Y') as date)", "soon", "soon"),
    ],
)
def test_the_bad_text_is_that_on_the_rows_own_way(expression: str, a: str | None, bad: str | None) -> None:
    found = tolerant(expression, text_columns=TEXT).bad_text
    row = "select $a::varchar as a, 't' as kind"

    assert duckdb.execute(f"select {found or 'null'} from ({row})", {"a": a}).fetchall() == [(bad,)]
