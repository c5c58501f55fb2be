"""The settings file that `winback init` writes, to be filled in."""

from pathlib import Path

from dagster_project.errors import SettingsError
from dagster_project.settings.load import SETTINGS_FILE

TEMPLATE = """\
# Settings of winback. Only [sources.events] must be there; every key is described in docs/settings.md.
# A column is filled by a SQL expression over one row of your file.

timezone = "UTC"                  # of the business: its midnight starts a day
currency = "EUR"
# core_events = ["purchase"]      # event types that count as use; unset: all of them

[sources.events]
path = "data/raw/events/*.csv"    # csv, parquet or ndjson; .gz and .zst too; relative to this file
# timezone = "Europe/Berlin"      # of timestamps that carry none; unset: that of the business
# where = "status <> 'test'"      # rows to keep

[sources.events.columns]
user_id = "user_id"
occurred_at = "occurred_at"       # strptime(day, '%d.%m.%Y') for other forms
event_type = "event_type"         # or a constant: "'purchase'"
# amount = "quantity * unit_price"
# item = "product"
# event_id = "id"                 # lets an event that is delivered twice count once

# [sources.users]                 # profiles: path, columns (user_id, signed_up_at, country, timezone, locale, ...)
# [sources.consents]              # who may be written to: without it consent is not checked
# [sources.message_events]        # what became of earlier messages

[channels.email]
cost = 0.002                      # per contact, in the currency
hours = "09:00-20:00"             # of the user's local day

# [budget]
# per_night = 250.0

# [export]                        # for a spreadsheet: docs/exports.md
# bom = true                      # Excel then knows UTF-8
# ids_as_text = "formula"         # and keeps 00123 as it is
"""


def write_template(folder: Path) -> Path:
    """The path of the new settings file.

    Raises:
        SettingsError: the folder has one already.
    """
    path = folder / SETTINGS_FILE
    if path.exists():
        raise SettingsError(f"{path} exists", fix="edit that file, or name another folder")
    (folder / "data" / "raw" / "events").mkdir(parents=True, exist_ok=True)
    path.write_text(TEMPLATE, encoding="utf-8", newline="\n")
    return path
