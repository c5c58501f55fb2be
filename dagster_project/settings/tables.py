"""The eight canonical tables that a source can be mapped to: their columns, types and time column.

Which expression fills a column is the user's business and lives in the settings (`model.Source`).
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

ColumnType = Literal["text", "timestamp", "date", "money", "float", "integer", "text_list"]

# What can become of a message; any other word is refused row by row.
MESSAGE_EVENTS = (
    "sent",
    "delivered",
    "opened",
    "clicked",
    "converted",
    "failed",
    "bounced",
    "unsubscribed",
    "complained",
)
# What a piece of feedback can be, with the other words that sources use for it. Any other word is refused row by row:
# a request to be deleted that nobody understood would stop nothing.
FEEDBACK_KINDS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "nps": ("net_promoter_score", "nps_survey"),
        "csat": ("customer_satisfaction", "satisfaction", "csat_survey", "满意度"),
        "ticket": ("tickets", "support_ticket", "support_request", "support_case", "case", "工单"),
        "refund": ("refunds", "refund_request", "refunded", "退款"),
        "exit_survey": ("cancellation_survey", "churn_survey", "leaving_survey", "exit_interview"),
        "complaint": ("complaints", "complained", "complaint_form", "spam_complaint", "spam_report", "投诉"),
        "deletion_request": (
            *("deletion", "deletion_requests", "delete", "delete_request", "delete_me", "delete_account"),
            *("account_deletion", "account_deletion_request", "data_deletion", "data_deletion_request"),
            *("erasure", "erasure_request", "right_to_erasure", "right_to_be_forgotten", "forget_me"),
            *("gdpr_deletion", "gdpr_delete", "gdpr_erasure", "ccpa_deletion", "ccpa_delete"),
            *("删除", "删除请求", "删除申请", "注销", "注销账号", "注销账户", "注销申请"),
        ),
    }
)
UNPIVOTED = ("event", "occurred_at")  # what a wide export of messages has no columns for

ATTRIBUTE_NAME = re.compile(r"[a-z][a-z0-9_]*")
RESERVED_NAMES = frozenset({"user_sk"})  # the store's own join key

# What a night does without when a table is absent; events is the only one that must be there.
SWITCHED_OFF: Mapping[str, str] = MappingProxyType(
    {
        "users": "there are no profiles, no prospects, and no user has a time zone or language of their own",
        "subscriptions": "contractual churn is not modelled",
        "message_events": "nobody knows which messages arrived; reach is unknown",
        "consents": "consent is not checked: export only to users who agreed to be contacted",
        "feedback": "what users told us plays no part",
        "links": "whether friends are still here plays no part",
        "assignments": "effects rest on priors alone: no past randomised campaign is known",
    }
)

_TYPES: Mapping[str, ColumnType] = {
    "occurred_at": "timestamp",
    "changed_at": "timestamp",
    "started_at": "timestamp",
    "ended_at": "timestamp",
    "signed_up_at": "timestamp",
    "assigned_at": "timestamp",
    "since": "timestamp",
    "birth_on": "date",
    "paused_until": "date",
    "amount": "money",
    "price": "money",
    "score": "float",
    "propensity": "float",
    "max_per_week": "integer",
    "categories": "text_list",
}


@dataclass(frozen=True)
class CanonicalColumn:
    """One column of a canonical table; `is_required` = a mapping must fill it."""

    name: str
    type: ColumnType
    is_required: bool


@dataclass(frozen=True)
class CanonicalTable:
    """One canonical table. `columns` keep the order of the design, required ones first.

    `time_column` dates a row: a row dated after `as_of` is not visible. It may be null in a row, or not be
    mapped, where it is not required. `is_event_like`: rows are things that happened at `time_column`, are
    only ever added, and are kept by event day; otherwise rows are facts that a newer delivery may replace.
    `takes_attributes`: a mapping may name further columns, which become features and breakdowns.
    """

    name: str
    columns: Mapping[str, CanonicalColumn]
    time_column: str
    is_event_like: bool
    takes_attributes: bool

    @property
    def required(self) -> tuple[str, ...]:
        """Names of the columns that a mapping must fill."""
        return tuple(column.name for column in self.columns.values() if column.is_required)

    def accepts(self, name: str) -> bool:
        """Whether a mapping may name this column, as a canonical one or as an attribute."""
        if name in self.columns:
            return True
        is_attribute = ATTRIBUTE_NAME.fullmatch(name) is not None and name not in RESERVED_NAMES
        return self.takes_attributes and is_attribute


def _table(
    name: str, *, required: str, optional: str, time: str, event_like: bool = False, attributes: bool = False
) -> CanonicalTable:
    columns = {
        column: CanonicalColumn(column, _TYPES.get(column, "text"), column in required.split())
        for column in f"{required} {optional}".split()
    }
    return CanonicalTable(name, MappingProxyType(columns), time, event_like, attributes)


CANONICAL: Mapping[str, CanonicalTable] = MappingProxyType(
    {
        table.name: table
        for table in (
            _table(
                "events",
                required="user_id occurred_at event_type",
                optional="amount item category platform app_version event_id",
                time="occurred_at",
                event_like=True,
            ),
            _table(
                "users",
                required="user_id",
                optional="signed_up_at birth_on gender country region timezone locale occupation"
                " acquisition_channel person_key",
                time="signed_up_at",
                attributes=True,
            ),
            _table(
                "subscriptions",
                required="user_id started_at",
                optional="ended_at plan price end_reason",
                time="started_at",
                attributes=True,
            ),
            _table(
                "message_events",
                required="user_id message_id channel event occurred_at",
                optional="campaign_id strategy_id content_id category code endpoint",
                time="occurred_at",
                event_like=True,
            ),
            _table(
                "consents",
                required="user_id channel status changed_at",
                optional="basis source categories quiet_start quiet_end max_per_week paused_until",
                time="changed_at",
                event_like=True,
            ),
            _table(
                "feedback",
                required="user_id occurred_at kind",
                optional="score category text",
                time="occurred_at",
                event_like=True,
            ),
            _table("links", required="user_id other_user_id kind", optional="since", time="since"),
            _table(
                "assignments",
                required="user_id experiment_id arm assigned_at",
                optional="propensity strategy_id channel",
                time="assigned_at",
                event_like=True,
                attributes=True,
            ),
        )
    }
)
