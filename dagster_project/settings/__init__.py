"""winback.toml as one frozen, checked object. The JSON Schema of it is in `settings.schema`."""

from dagster_project.settings.fingerprint import settings_hash
from dagster_project.settings.load import SETTINGS_FILE, find_settings, load_settings
from dagster_project.settings.model import Channel, Settings
from dagster_project.settings.sources import Source, Sources
from dagster_project.settings.tables import CANONICAL, CanonicalColumn, CanonicalTable, ColumnType

__all__ = [
    "CANONICAL",
    "SETTINGS_FILE",
    "CanonicalColumn",
    "CanonicalTable",
    "Channel",
    "ColumnType",
    "Settings",
    "Source",
    "Sources",
    "find_settings",
    "load_settings",
    "settings_hash",
]
