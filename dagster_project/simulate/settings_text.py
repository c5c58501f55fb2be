"""The winback.toml of a simulated world, as text. What the keys mean is told by the settings themselves."""

from collections.abc import Mapping
from datetime import timedelta

from dagster_project.simulate.spec import SIMULATED_NOTICE, WorldSpec
from dagster_project.simulate.tables import TABLE_SCHEMAS

PATHS: Mapping[str, str] = {
    "events": "data/raw/events/*.csv.gz",
    "users": "data/raw/users/*.parquet",
    "subscriptions": "data/raw/subscriptions/*.csv",
    "message_events": "data/raw/message_events/*.ndjson.zst",
    "consents": "data/raw/consents/*.csv",
    "feedback": "data/raw/feedback/*.csv",
    "links": "data/raw/links/*.csv",
    "assignments": "data/raw/assignments/*.csv",
}
# The nights that a calendar of partitions offers: two weeks up to the last day.
N_NIGHTS = 14
HEAD = """# {notice}
# Drawn by the simulator of winback with seed {seed}; the truth lies in truth/ and is not read.
notice = "{notice}"
timezone = "{timezone}"
currency = "EUR"
first_as_of = {first_as_of}
# Renewals, errors and removals of the app are recorded without anybody using anything.
core_events = ["purchase", "view", "app_open"]

[compliance]
postal_address = "Simulated Ltd, 1 Example Street, Nowhere"

[value]
margin_share = 0.3

[budget]
per_night = {per_night}
max_contacts = {max_contacts}

[channels.push]
cost = 0.0005
hours = "09:00-21:00"

[channels.email]
cost = 0.002

[channels.sms]
cost = 0.06
capacity = {sms_capacity}
hours = "10:00-19:00"

[channels.wechat]
cost = 0.01
hours = "09:00-21:00"
"""


def settings_text(spec: WorldSpec, *, event_columns: Mapping[str, str]) -> str:
    """Return the settings that map every file of the world; `event_columns`: its own names of event columns."""
    last_on = spec.first_on + timedelta(days=spec.n_days - 1)
    head = HEAD.format(
        notice=SIMULATED_NOTICE,
        seed=spec.seed,
        timezone=spec.business_timezone,
        first_as_of=last_on - timedelta(days=N_NIGHTS - 1),
        per_night=float(max(spec.n_users // 200, 10)),
        max_contacts=max(spec.n_users // 10, 20),
        sms_capacity=max(spec.n_users // 40, 5),
    )
    sources = [_source(table, spec=spec, event_columns=event_columns) for table in TABLE_SCHEMAS]
    return "\n".join([head, *sources])


def _source(table: str, *, spec: WorldSpec, event_columns: Mapping[str, str]) -> str:
    names = event_columns if table == "events" else {name: name for name in TABLE_SCHEMAS[table]}
    # A section, not an inline table: lines of those may not be broken in TOML 1.0.
    columns = "\n".join(f'{name} = "{source}"' for name, source in names.items())
    zone = spec.business_timezone if table == "events" else "UTC"
    return f'[sources.{table}]\npath = "{PATHS[table]}"\ntimezone = "{zone}"\n\n[sources.{table}.columns]\n{columns}\n'
