from datetime import date, timedelta

import polars as pl

from dagster_project.strategy.evidence import EVIDENCE, OF_REACH, user_evidence

AS_OF = date(2026, 6, 1)
USERS = pl.DataFrame({"user_sk": [3, 1, 2]})
SIGNALS = {
    "user_sk": pl.Int64,
    "happened_on": pl.Date,
    "signal": pl.String,
    "channel": pl.String,
    "words": pl.String,
    "text": pl.String,
    "score": pl.Float64,
}


def holders(fact: str, *signals: tuple[int, int, str, str | None, str | None]) -> list[int]:
    """Users of whom the fact holds; signals are (user, days ago, signal, words, text)."""
    rows = [(sk, AS_OF - timedelta(days=ago), name, None, words, text, None) for sk, ago, name, words, text in signals]
    found = user_evidence(USERS, as_of=AS_OF, signals=pl.DataFrame(rows, schema=SIGNALS, orient="row"))
    assert found["user_sk"].to_list() == [3, 1, 2]
    return sorted(found.filter(pl.col(f"evidence.{fact}"))["user_sk"])


def test_a_failed_payment_is_news_for_a_while_and_an_unpaid_contract_counts_as_one() -> None:
    signals = (
        (1, 44, "payment_failed", "card_declined", None),
        (2, 45, "payment_failed", "card_declined", None),
        (3, 5, "contract_ended", "non payment", None),
        (2, 5, "contract_ended", "moved away", None),
    )
    assert holders("payment_failed", *signals) == [1, 3]


def test_trouble_is_a_ticket_a_complaint_a_refund_or_an_error_of_the_last_month() -> None:
    assert holders(
        "recent_trouble",
        (1, 3, "ticket", None, "it does not work"),
        (2, 30, "refund", None, None),
        (3, 0, "app_error", "crash", None),
    ) == [1, 3]
    assert holders("recent_trouble", (1, 3, "nps", None, None)) == []


def test_asking_to_be_deleted_or_to_stop_counts_for_a_year() -> None:
    signals = (
        (1, 364, "deletion_request", None, None),
        (2, 365, "deletion_request", None, None),
        (3, 10, "ticket", None, "please close my account"),
    )
    assert holders("asked_to_stop", *signals) == [1, 3]


def test_a_word_about_personal_data_is_told_apart_from_other_complaints() -> None:
    signals = (
        (1, 10, "complaint", "privacy", None),
        (2, 10, "complaint", "delivery", None),
    )
    assert holders("privacy_complaint", *signals) == [1]


def test_active_friends_are_evidence_and_absent_tables_give_no_column() -> None:
    links = pl.DataFrame({"user_sk": [1, 2], "n_links": [4, 1], "n_active_links": [2, 0]})
    found = user_evidence(USERS, as_of=AS_OF, links=links)
    assert found.columns == ["user_sk", "evidence.friends_here"]
    assert found.sort("user_sk")["evidence.friends_here"].to_list() == [True, False, False]


def test_a_running_contract_is_evidence() -> None:
    contracts = pl.DataFrame(
        {"user_sk": [1, 1, 2], "ended_on": [date(2025, 1, 1), None, date(2025, 1, 1)]},
        schema_overrides={"ended_on": pl.Date},
    )
    found = user_evidence(USERS, as_of=AS_OF, contracts=contracts)
    assert found.sort("user_sk")["evidence.under_contract"].to_list() == [True, False, False]


def test_every_fact_is_told_here_or_by_reach() -> None:
    everything = user_evidence(
        USERS,
        as_of=AS_OF,
        signals=pl.DataFrame(schema=SIGNALS),
        links=pl.DataFrame(schema={"user_sk": pl.Int64, "n_active_links": pl.Int64}),
        contracts=pl.DataFrame(schema={"user_sk": pl.Int64, "ended_on": pl.Date}),
    )
    told = {name.removeprefix("evidence.") for name in everything.columns[1:]}
    assert told.isdisjoint(OF_REACH)
    assert told | set(OF_REACH) == set(EVIDENCE)
