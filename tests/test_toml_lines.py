import tomllib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dagster_project.toml_lines import KeyPath, line_of

TEXT = '''# a comment
id = "x"   # [not_a_table]
list = [
    "one", # ]
    "[two]",
]
prose = """
key = 1
[header]
"""
"quoted key" = 1
a.b = 2

[table]
key = "a \\" ] b"

[[rows]]
id = 1
  [rows.inner]
  deep = { x = 1, y = [ 2 ] }

[[rows]]
id = 2
  [rows.inner]
  deep = 3
'''


@pytest.mark.parametrize(
    ("path", "line"),
    [
        (("id",), 2),
        (("list", 1), 3),
        (("prose",), 7),
        (("quoted key",), 11),
        (("a", "b"), 12),
        (("table",), 14),
        (("table", "key"), 15),
        (("table", "missing"), 14),
        (("rows", 0), 17),
        (("rows", 0, "inner", "deep", "x"), 20),
        (("rows", 1, "id"), 23),
        (("rows", 1, "inner", "deep"), 25),
        (("rows", 1, "inner", "missing"), 24),
        (("nowhere",), None),
        ((), None),
    ],
)
def test_a_key_is_found_on_its_line_or_on_that_of_what_holds_it(path: KeyPath, line: int | None) -> None:
    tomllib.loads(TEXT)
    assert line_of(TEXT, path) == line


_VALUES = st.sampled_from(["1", '"#"', '"["', "'''\n[t]\nk = 1\n'''", '[\n"]",\n]', "{ a = 1 }", '"""a\\"""b"""'])


@settings(deadline=None)
@given(st.lists(st.tuples(st.sampled_from("abcdefgh"), _VALUES), unique_by=lambda pair: pair[0], max_size=8))
def test_whatever_the_values_each_key_is_found_where_it_was_written(pairs: list[tuple[str, str]]) -> None:
    lines: list[str] = ["[table]"]
    expected = {}
    for key, value in pairs:
        expected[key] = len(lines) + 1
        lines += f"{key} = {value}".splitlines()
    text = "\n".join(lines)
    assert set(tomllib.loads(text)["table"]) == set(expected)
    assert {key: line_of(text, ("table", key)) for key in expected} == expected
