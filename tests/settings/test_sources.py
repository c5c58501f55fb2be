import pytest

from dagster_project.settings import CANONICAL

REQUIRED = "user_id = 'id', occurred_at = 'at', event_type = 'kind'"


def _events(lines: str, *, path: str = "events.csv", columns: str = REQUIRED) -> str:
    return f'[sources.events]\npath = "{path}"\ncolumns = {{ {columns} }}\n{lines}\n'


@pytest.mark.parametrize(
    ("path", "file_format"),
    [
        ("a.csv", "csv"),
        ("a/*.CSV.GZ", "csv"),
        ("a.tsv.zst", "csv"),
        ("s3://bucket/year=*/x.parquet", "parquet"),
        ("a.ndjson.zst", "ndjson"),
        ("a.jsonl", "ndjson"),
    ],
)
def test_the_suffix_tells_the_format(load, path, file_format):
    assert load(_events("", path=path)).sources.events.file_format == file_format


@pytest.mark.parametrize(
    ("path", "lines", "problem"),
    [
        ("a.txt", "", 'sources.events.path = "a.txt": has a suffix that does not tell its format'),
        ("a.json", "", "has a suffix that does not tell its format"),
        ("folder/*", "", "has a suffix that does not tell its format"),
        ("", "", "holds an empty text"),
        ("a.csv", "header = false", "sources.events.header = false: leaves the columns without names"),
        ("a.csv", "names = ['a']", "goes only with header = false"),
        ("a.csv", "header = false\nnames = ['a', 'a']", "names a twice"),
        ("a.csv", "delimiter = ';;'", "is not a delimiter"),
        ("a.csv", "delimiter = ''", "is not a delimiter"),
        ("a.csv", "delimiter = '\"'", "is not a delimiter"),
        ("a.parquet", "delimiter = ';'", "has a meaning for csv files only"),
        ("a.csv", "encoding = 'utf-9'", "is not a text encoding"),
        ("a.csv", "encoding = 'hex'", "is not a text encoding"),
        ("a.csv", "format = 'xlsx'", 'must be one of "csv", "parquet", "ndjson"'),
        ("a.csv", "timezone = 'London'", "is not an IANA time zone"),
        ("a.csv", "where = 'x from y'", "holds the clause from"),
        ("a.csv", "table = 'users'", 'sources.events.table = "users": unknown key'),
    ],
)
def test_reading_options_that_cannot_be_are_refused(refused, path, lines, problem):
    problems, _ = refused(_events(lines, path=path))
    assert len(problems) == 1
    assert problem in problems[0]


def test_files_of_two_formats_in_one_source_are_refused(refused):
    text = _events("").replace('"events.csv"', '["a.csv", "b.parquet"]')
    problems, _ = refused(text)
    assert problems == ['winback.toml: sources.events.path = ["a.csv", "b.parquet"]: mixes formats']


@pytest.mark.parametrize("written", [r'"\t"', r"'\t'"])
def test_a_tab_may_be_written_either_way(load, written):
    assert load(_events(f"delimiter = {written}")).sources.events.delimiter == "\t"


def test_only_tables_that_take_attributes_accept_further_columns(load, refused):
    users = '[sources.users]\npath = "u.csv"\ncolumns = { user_id = "id", shoe_size = "size" }\n'
    assert "shoe_size" in load(_events("") + users).sources.users.columns
    problems, _ = refused(_events("", columns=f"{REQUIRED}, shoe_size = 'size'"))
    assert problems == ['winback.toml: sources.events.columns.shoe_size = "size": unknown column of events']


@pytest.mark.parametrize("name", ["ShoeSize", "2nd", "'shoe size'", "user_sk"])
def test_an_attribute_needs_a_plain_name(refused, name):
    users = f'[sources.users]\npath = "u.csv"\ncolumns = {{ user_id = "id", {name} = "size" }}\n'
    problems, fixes = refused(_events("") + users)
    assert "unknown column of users" in problems[0]
    assert "an attribute of your own" in fixes[0]


def test_the_eight_tables_are_those_of_the_design():
    assert {name: table.required for name, table in CANONICAL.items()} == {
        "events": ("user_id", "occurred_at", "event_type"),
        "users": ("user_id",),
        "subscriptions": ("user_id", "started_at"),
        "message_events": ("user_id", "message_id", "channel", "event", "occurred_at"),
        "consents": ("user_id", "channel", "status", "changed_at"),
        "feedback": ("user_id", "occurred_at", "kind"),
        "links": ("user_id", "other_user_id", "kind"),
        "assignments": ("user_id", "experiment_id", "arm", "assigned_at"),
    }
    assert [name for name, table in CANONICAL.items() if table.takes_attributes] == [
        "users",
        "subscriptions",
        "assignments",
    ]
    assert all(table.columns[table.time_column].type == "timestamp" for table in CANONICAL.values())
    assert CANONICAL["consents"].columns["categories"].type == "text_list"
    assert CANONICAL["events"].columns["amount"].type == "money"


WIDE = "user_id = 'id', message_id = 'm', channel = \"'email'\""


def _messages(lines: str, *, columns: str = WIDE) -> str:
    return _events("") + f'[sources.message_events]\npath = "m.csv"\ncolumns = {{ {columns} }}\n{lines}\n'


def test_a_wide_export_of_messages_names_the_time_of_each_event(load):
    source = load(_messages("events = { sent = ' sent_at ', opened = 'opened_at' }")).sources.message_events

    assert dict(source.events) == {"sent": "sent_at", "opened": "opened_at"}


@pytest.mark.parametrize(
    ("columns", "lines", "problem", "fix"),
    [
        (WIDE, "events = { open = 'x' }", 'events.open = "x": unknown event', "did you mean opened"),
        (WIDE, "events = {}", "is empty", "sent_at"),
        (WIDE, "events = { sent = 'count(x)' }", "holds an aggregate", "one expression"),
        (f"{WIDE}, event = 'e'", "events = { sent = 'x' }", "columns.event", "drop it"),
        (f"{WIDE}, occurred_at = 'e'", "events = { sent = 'x' }", "is told by events already", "drop it"),
    ],
)
def test_events_that_cannot_be_are_refused(refused, columns, lines, problem, fix):
    problems, fixes = refused(_messages(lines, columns=columns))
    assert len(problems) == 1
    assert problem in problems[0]
    assert fix in fixes[0]


def test_neither_form_of_messages_is_refused(refused):
    problems, _ = refused(_messages(""))
    assert [problem.split(": ")[1] for problem in problems] == [
        "sources.message_events.columns.event",
        "sources.message_events.columns.occurred_at",
    ]


def test_events_are_for_messages_only(refused):
    problems, _ = refused(_events("events = { sent = 'x' }"))
    assert len(problems) == 1
    assert "has a meaning for sources.message_events only" in problems[0]
