"""What the page and metrics.json say of messages: odd ones by channel, and what the providers' codes mean.

What the codes mean is decided in `reach.failures`.
"""

from collections.abc import Sequence
from typing import Any

import polars as pl

from dagster_project.reports import formatting as fmt
from dagster_project.reports.content import ReportContent
from dagster_project.reports.tables import Column, Table

CODE_ROWS = 25
LASTS = {True: "for good", False: "for a while", None: "not told"}


def message_metrics(quality: pl.DataFrame, codes: pl.DataFrame, *, channels: Sequence[str]) -> dict[str, Any]:
    """The key `messages` of metrics.json: counts of what is odd by channel, unknown codes, channels not in use.

    `quality`: marts.message_quality; `codes`: reach.failure_codes; `channels`: those that the settings name. Messages
    on other channels are facts like all others, but nothing is ever sent there.
    """
    unknown = codes.filter(pl.col("failure_class") == "unknown")
    strangers = quality.filter(pl.col("channel").is_in(list(channels)).not_())
    return {
        "by_channel": quality.sort("channel").to_dicts(),
        "unknown_codes": unknown.drop("failure_class", "rule_id").to_dicts(),
        "channels_not_in_settings": strangers.select("channel", "n_messages").sort("channel").to_dicts(),
    }


def message_tables(content: ReportContent) -> dict[str, Table | None]:
    """`odd` and `codes`, each None where there is nothing to show."""
    return {"odd": odd_messages(content.message_quality), "codes": code_table(content.failure_codes)}


def odd_messages(quality: pl.DataFrame | None) -> Table | None:
    """Messages that are not as they should be, by channel."""
    if quality is None or quality.is_empty():
        return None
    counts = {
        "messages": "n_messages",
        "without a send": "n_without_send",
        "answered before sent": "n_out_of_order",
        "content repeated": "n_duplicate_content",
        "opened by a machine only": "n_machine_opened_only",
        "failed without a code": "n_failed_without_code",
        "ids of several users": "n_ids_of_several_users",
        "ids of several channels": "n_ids_of_several_channels",
    }
    columns = (text_column("channel", "channel"), *(count_column(label, name) for label, name in counts.items()))
    return shown("Messages of the last 180 days, and what is odd about them", quality.sort("channel"), columns)


def code_table(codes: pl.DataFrame | None) -> Table | None:
    """The codes of failed messages, those that no rule knows first."""
    if codes is None or codes.is_empty():
        return None
    is_known = pl.col("failure_class") != "unknown"
    first = codes.sort(
        is_known, "n_messages", "channel", "event", "code", descending=[False, True, False, False, False]
    )
    columns = (
        text_column("channel", "channel"),
        text_column("event", "event"),
        Column("code", lambda row: fmt.text(row["code"] or "none given"), False),
        Column("meaning", lambda row: fmt.text(row["failure_class"].replace("_", " ")), False),
        Column("lasts", lambda row: LASTS[row["is_permanent"]], False),
        count_column("messages", "n_messages"),
        count_column("users", "n_users"),
    )
    return shown("Why messages failed, by the providers' own codes; unknown ones first", first.head(CODE_ROWS), columns)


def shown(caption: str, rows: pl.DataFrame, columns: tuple[Column, ...]) -> Table:
    """The rows as the template prints them."""
    cells = tuple(tuple(column.cell(row) for column in columns) for row in rows.iter_rows(named=True))
    return Table(caption, columns, cells)


def text_column(label: str, key: str) -> Column:
    """A text as it stands."""
    return Column(label, lambda row: fmt.text(row[key]), False)


def count_column(label: str, key: str) -> Column:
    """A whole number."""
    return Column(label, lambda row: fmt.count(row[key]))
