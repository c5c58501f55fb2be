import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic_core import PydanticCustomError

from dagster_project.settings.expressions import row_expression


@pytest.mark.parametrize(
    "text",
    [
        "CustomerID",
        '"Customer ID"',
        "'purchase'",
        "'a;b -- c'",
        "date",
        "set",
        "Quantity * UnitPrice",
        "case when InvoiceNo like 'C%' then null else CustomerID end",
        "strptime(d || ' ' || t, '%d/%m/%Y %H:%M')",
        "try_cast(amount as decimal(18, 2))",
        "to_timestamp(ts / 1000)",
        "payload ->> '$.user.id'",
        "string_split(categories, ',')",
        "list_transform(string_split(c, ','), lambda x: trim(x))",
        "coalesce(nullif(trim(a), ''), b)",
        "a in ('x', 'y') and b between 1 and 3",
        "timezone('Europe/Paris', at)",
        "at at time zone 'UTC' + interval 1 day",
        "regexp_extract(path, '/(\\d+)/', 1)::integer",
        "greatest(a, b)",
        "md5(email)",
        "split_part(a, '-', 1)",
    ],
)
def test_one_expression_over_a_row_is_taken(text):
    assert row_expression(f" {text}\n") == text


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "is an empty SQL expression"),
        ("  ", "is an empty SQL expression"),
        ("cast(a as", "is not a SQL expression"),
        ("a)", "is not a SQL expression"),
        ("'a", "is not a SQL expression"),
        ("drop table x", "is not a SQL expression"),
        ("a; drop table x", "several statements"),
        ("(select 1)", "a subquery"),
        ("a in (select b from c)", "a subquery"),
        ("exists(from t)", "a subquery"),
        ("a from t", "the clause from"),
        ("a where b", "the clause where"),
        ("a, b", "several columns"),
        ("a as b", "an alias"),
        ("*", "a star"),
        ("columns('x.*')", "a star"),
        ("$1", "a parameter"),
        ("?", "a parameter"),
        ("a -- the id", "a comment"),
        ("/* id */ a", "a comment"),
        ("sum(a)", "an aggregate"),
        ("row_number() over (order by a)", "a window function"),
        ("now()", "a clock or a random number"),
        ("current_date", "a clock or a random number"),
        ("today() - 1", "a clock or a random number"),
        ("random()", "a clock or a random number"),
        ("uuid()", "a clock or a random number"),
    ],
)
def test_anything_else_is_refused(text, problem):
    with pytest.raises(PydanticCustomError) as caught:
        row_expression(text)
    assert problem in caught.value.message()


@given(st.text(max_size=40))
def test_any_text_is_taken_or_refused_but_never_crashes(text):
    try:
        assert row_expression(text) == text.strip()
    except PydanticCustomError as error:
        assert error.context is not None
        assert error.context["fix"]
