from datetime import UTC, date, datetime

import polars as pl

from dagster_project.models.offers import CONTACT_SCHEMA, campaign_contacts, offers_before
from dagster_project.models.returns import OFFER_SCHEMA

OFFERS = {"discount": True, "reminder": False}
AS_OF = date(2024, 6, 30)


def assignments(*rows: tuple[str, str, int, str | None], attributes: list[str | None] | None = None) -> pl.DataFrame:
    """user, arm, day of June, strategy."""
    frame = pl.DataFrame(
        {
            "user_id": [row[0] for row in rows],
            "arm": [row[1] for row in rows],
            "assigned_at": [datetime(2024, 6, row[2], 9, tzinfo=UTC) for row in rows],
            "strategy_id": pl.Series([row[3] for row in rows], dtype=pl.String),
        },
        schema_overrides={"user_id": pl.String, "arm": pl.String, "assigned_at": pl.Datetime("us", "UTC")},
    )
    return frame if attributes is None else frame.with_columns(pl.Series("attributes", attributes, dtype=pl.String))


def returns(*rows: tuple[str, int]) -> pl.DataFrame:
    """user, day of June."""
    return pl.DataFrame(
        {"user_id": [row[0] for row in rows], "returned_on": [date(2024, 6, row[1]) for row in rows]},
        schema={"user_id": pl.String, "returned_on": pl.Date},
    )


def contacts(*rows: tuple[str, int, bool | None]) -> pl.DataFrame:
    """user, day of June (0 and below: of May), whether an offer was made."""
    days = [date(2024, 6, row[1]) if row[1] > 0 else date(2024, 5, 31 + row[1]) for row in rows]
    return pl.DataFrame(
        {"user_id": [row[0] for row in rows], "contacted_on": days, "has_offer": [row[2] for row in rows]},
        schema_overrides={"has_offer": pl.Boolean},
    )


def test_the_catalogue_tells_which_strategies_make_an_offer_and_the_held_out_got_none() -> None:
    ledger = assignments(
        ("a", "treat", 1, "discount"),
        ("b", "explore", 2, "reminder"),
        ("c", "control", 3, "discount"),
        ("d", "treat", 4, "of another house"),
        ("e", "treat", 5, None),
    )
    assert campaign_contacts(ledger, offers=OFFERS).rows() == [
        ("a", date(2024, 6, 1), True),
        ("b", date(2024, 6, 2), False),
        ("c", date(2024, 6, 3), False),
        ("d", date(2024, 6, 4), None),
        ("e", date(2024, 6, 5), None),
    ]


def test_an_imported_attribute_says_more_than_the_strategy() -> None:
    imported = assignments(
        *[(user, "treat", 1, "discount" if user in "bd" else "x") for user in "abcde"],
        attributes=['{"offer": "10% off"}', '{"offer": " None "}', '{"tier": "gold"}', None, '{"offer": null}'],
    )
    assert campaign_contacts(imported, offers=OFFERS)["has_offer"].to_list() == [True, False, None, True, None]


def test_the_last_contact_of_the_month_before_a_return_decides() -> None:
    came = returns(("a", 20), ("b", 20), ("c", 20), ("d", 20), ("e", 20), ("f", 20))
    seen = contacts(
        ("a", 1, False), ("a", 19, True),  # the later one made the offer
        ("b", 1, True), ("b", 20, False),  # on the day of the return itself, without one
        ("c", -11, True),  # 31 days before
        ("d", 21, True),  # after
        ("e", 18, None),
    )  # fmt: skip
    assert offers_before(came, seen, as_of=AS_OF).rows() == [
        ("a", date(2024, 6, 20), True),
        ("b", date(2024, 6, 20), False),
        ("e", date(2024, 6, 20), None),
    ]


def test_thirty_days_before_is_within_the_window() -> None:
    assert offers_before(returns(("a", 20)), contacts(("a", -10, True)), as_of=AS_OF)["came_by_offer"].to_list() == [
        True
    ]


def test_an_offer_among_several_contacts_of_one_day_counts_then_the_unknown() -> None:
    seen = contacts(("a", 5, False), ("a", 5, True), ("a", 5, None), ("b", 5, False), ("b", 5, None))
    told = offers_before(returns(("a", 6), ("b", 6)), seen, as_of=AS_OF)
    assert told["came_by_offer"].to_list() == [True, None]


def test_contacts_after_the_night_are_not_seen_and_each_return_has_its_own() -> None:
    seen = contacts(("a", 2, True), ("a", 12, False), ("a", 25, True))
    told = offers_before(returns(("a", 26), ("a", 3), ("a", 15)), seen, as_of=date(2024, 6, 24))
    assert told["came_by_offer"].to_list() == [True, False, False]


def test_without_contacts_nothing_is_known() -> None:
    none = offers_before(returns(("a", 3)), CONTACT_SCHEMA.to_frame(), as_of=AS_OF)
    assert (none.height, none.schema) == (0, OFFER_SCHEMA)
