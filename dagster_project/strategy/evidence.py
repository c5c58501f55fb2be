"""Facts of single users that triggers may ask for, and how they are told from the night's tables.

Why somebody left is judged in the package `reasons`; these are plain facts, known of users who are still here too.
"""

from collections.abc import Mapping
from datetime import date, timedelta

import polars as pl

from dagster_project.reasons.observed import told_signals

EVIDENCE: Mapping[str, str] = {
    "friends_here": "a linked user was active in the last 30 days (table links)",
    "payment_failed": "a payment failed or a contract ended unpaid in the last 45 days (events, subscriptions)",
    "recent_trouble": "a ticket, complaint, refund, low score or error in the last 30 days (feedback, events)",
    "asked_to_stop": "asked to be deleted or to close the account in the last 365 days (feedback)",
    "privacy_complaint": "wrote about personal data in the last 365 days (feedback)",
    "new_account": "began another account in the last 365 days (users.person_key, links)",
    "under_contract": "a contract runs (subscriptions)",
    "silenced_by_outage": "fell silent with an outage of ours",
    "unreached": "nothing has got through since a purge of ours or an outage of a provider took the only way",
    "dead_channel": "cannot be reached any more on one channel, by its provider's word (message_events)",
    "only_dead_channels": "cannot be reached on any configured channel, for technical reasons alone",
}
# What the reach of the night tells; `eligibility` looks it up itself.
OF_REACH = ("dead_channel", "only_dead_channels", "silenced_by_outage", "unreached")

PAYMENT_DAYS, TROUBLE_DAYS, STOP_DAYS = 45, 30, 365  # opinions: how long each stays news
_TROUBLE = ("ticket", "complaint", "refund", "low_score", "app_error")
_FEEDBACK = ("ticket", "complaint", "exit_survey", "deletion_request")


def column_of(fact: str) -> str:
    """The column of candidates that holds the fact."""
    return f"evidence.{fact}"


def user_evidence(
    users: pl.DataFrame,
    *,
    as_of: date,
    signals: pl.DataFrame | None = None,
    links: pl.DataFrame | None = None,
    contracts: pl.DataFrame | None = None,
) -> pl.DataFrame:
    """Per row of `users` (`user_sk`), in its order: `user_sk` and a boolean `evidence.<fact>` for each that is known.

    `signals` is marts.reason_signals, `links` marts.user_links, `contracts` marts.contracts, of the night: nothing in
    them may be dated after `as_of`. Facts of a table that is None have no column: who asks for them finds nobody.
    Facts of reach are none of these.
    """
    found = users.select("user_sk")
    for fact, holders in _holders(as_of, signals, links, contracts).items():
        flag = holders.select("user_sk").unique().with_columns(pl.lit(value=True).alias(column_of(fact)))
        found = found.join(flag, on="user_sk", how="left", maintain_order="left")
    return found.with_columns(pl.col("^evidence[.].*$").fill_null(value=False))


def _holders(
    as_of: date, signals: pl.DataFrame | None, links: pl.DataFrame | None, contracts: pl.DataFrame | None
) -> Mapping[str, pl.DataFrame]:
    """The users of whom each fact holds."""
    found = {}
    if links is not None:
        found["friends_here"] = links.filter(pl.col("n_active_links") > 0)
    if contracts is not None:
        found["under_contract"] = contracts.filter(pl.col("ended_on").is_null())
    if signals is not None:
        told = told_signals(signals)
        found |= {fact: told.filter(holds) for fact, holds in _signs(as_of).items()}
    return found


def _signs(as_of: date) -> Mapping[str, pl.Expr]:
    """What a row of the told signals must say for each fact."""
    signal, topics = pl.col("signal"), pl.col("topics")
    has_failed = (signal == "payment_failed") | ((signal == "contract_ended") & topics.list.contains("payment"))
    has_said = signal.is_in(_FEEDBACK)
    return {
        "payment_failed": has_failed & _within(as_of, PAYMENT_DAYS),
        "recent_trouble": signal.is_in(_TROUBLE) & _within(as_of, TROUBLE_DAYS),
        "asked_to_stop": ((signal == "deletion_request") | (has_said & topics.list.contains("stop")))
        & _within(as_of, STOP_DAYS),
        "privacy_complaint": has_said & topics.list.contains("privacy") & _within(as_of, STOP_DAYS),
        "new_account": (signal == "new_account") & _within(as_of, STOP_DAYS),
    }


def _within(as_of: date, days: int) -> pl.Expr:
    return pl.col("happened_on") > as_of - timedelta(days=days)
