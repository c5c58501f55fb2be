"""Whether an offer came before a return: what the ledger and imported campaigns say of each user's last contact.

That the offer caused the return is not said: `strategy` holds users out to learn that.
"""

from collections.abc import Mapping
from datetime import date

import polars as pl

from dagster_project.models.returns import OFFER_SCHEMA
from dagster_project.outcomes.vocabulary import is_control_word

OFFER_WINDOW_DAYS = (
    30  # a contact counts for returns up to so many days after it: a month is the usual life of a voucher
)
OFFER_ATTRIBUTE = "offer"  # of imported assignments: what was offered, in the source's words
NO_OFFER_WORDS = ("", "none", "no", "false", "0")

CONTACT_SCHEMA = pl.Schema({"user_id": pl.String(), "contacted_on": pl.Date(), "has_offer": pl.Boolean()})


def campaign_contacts(assignments: pl.DataFrame, *, offers: Mapping[str, bool]) -> pl.DataFrame:
    """One row per assignment (CONTACT_SCHEMA): the day, and whether an offer was made; null where that is unknown.

    `assignments`: user_id, arm, assigned_at, strategy_id and, if imported, `attributes` (JSON). `offers`: strategy →
    whether it makes one. The held out got none. An attribute `offer` says more than the strategy's name does.
    """
    said = pl.lit(None, dtype=pl.String)
    if "attributes" in assignments.columns:
        said = pl.col("attributes").cast(pl.String).str.json_path_match(f"$.{OFFER_ATTRIBUTE}")
    words = said.str.strip_chars().str.to_lowercase()
    by_strategy = (
        pl.col("strategy_id").cast(pl.String).replace_strict(dict(offers), default=None, return_dtype=pl.Boolean)
    )
    is_held_out = pl.col("arm").is_in([arm for arm in assignments["arm"].drop_nulls().unique() if is_control_word(arm)])
    return assignments.select(
        "user_id",
        pl.col("assigned_at").dt.date().alias("contacted_on"),
        pl.when(is_held_out)
        .then(pl.lit(value=False))
        .otherwise(pl.coalesce(~words.is_in(NO_OFFER_WORDS), by_strategy))
        .alias("has_offer"),
    ).cast(CONTACT_SCHEMA)


def offers_before(returns: pl.DataFrame, contacts: pl.DataFrame, *, as_of: date) -> pl.DataFrame:
    """One row (OFFER_SCHEMA) per return with a contact in the 30 days up to it, for `returns.with_offers`.

    The last contact decides; of several on one day an offer counts, then what is unknown. A contact on the day of the
    return counts as before it. Contacts after `as_of` are not seen. Returns without a contact on record have no row:
    nobody knows what else was sent to them.
    """
    known = contacts.filter(pl.col("contacted_on") <= as_of)
    since = (pl.col("returned_on") - pl.col("contacted_on")).dt.total_days()
    return (
        returns.select("user_id", "returned_on")
        .join(known, on="user_id", how="inner")
        .filter(since.is_between(0, OFFER_WINDOW_DAYS))
        .filter(pl.col("contacted_on") == pl.col("contacted_on").max().over("user_id", "returned_on"))
        .group_by("user_id", "returned_on")
        .agg(pl.col("has_offer").any(ignore_nulls=False).alias("came_by_offer"))
        .select(OFFER_SCHEMA.names())
        .sort("user_id", "returned_on")
    )
