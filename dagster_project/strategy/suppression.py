"""Why a churned user is not written to: the rule, its citation, until when, and a sentence."""

from datetime import date, timedelta

import polars as pl

from dagster_project.strategy.catalogue import Catalogue
from dagster_project.strategy.holdout import CONTROL
from dagster_project.strategy.places import AWAITS_APPROVAL

SUPPRESSED = {
    "user_id": pl.String,
    "rule_id": pl.String,
    "citation": pl.String,
    "until": pl.Date,
    "explanation": pl.String,
}

GAP = "measurement_gap"
_CLOSED_BECAUSE = {
    "deletion.stop": "Asked to be deleted: nothing is sent on any channel.",
    "complaint.stop": "Complained: nothing is sent on any channel.",
    "consent.withdrawn": "Withdrew consent: the channels of the fitting strategies stay closed.",
    "user.paused": "Asked for a pause.",
    "user.topics": "Chose topics, and messages like ours are not among them.",
    "user.hours_unclear": "Set quiet hours that cannot be read, so no hour is known to be welcome.",
    "user.weekly_maximum": "Set a weekly maximum of messages, which is reached.",
    "minors.age": "Is younger than the law allows to write to without a parent's consent.",
    "consent.basis": "The permission on record rests on a ground that the user's law does not accept here.",
    "complaints.rate": "Too many complain about messages on the channel: it is closed to all until the rate falls.",
    "cap.law": "Got as many messages as the rules allow in the time.",
    "cap.week": "Got as many messages as the settings allow in seven days.",
    "cap.day": "Got as many messages as the settings allow in a day.",
    "cap.stage": "Got as many messages as users of this stage bear before one more is shown to cost.",
    "hours.none": "No hour is left that the channel, the law and the user all allow.",
    GAP: "Fell silent when our own records did: an outage, not a decision of the user.",
    "consent.unclear": "The consent record has a status that we do not know, so it is not taken for consent.",
    "consent.missing": "No consent on record for any channel that could be used.",
    "reach.dead": "The last message failed for good and none arrived since: technical, not lost interest.",
}


def suppressed_rows(cases: pl.DataFrame, *, catalogue: Catalogue, as_of: date) -> pl.DataFrame:
    """`user_id`, `rule_id`, `citation`, `until`, `explanation`: one row per case, sorted by `user_id`.

    The first of these that holds is named: an outage of ours, nothing left to say, closed channels, a pause after the
    last contact, deliberate silence or no fitting strategy (`strategy.none_eligible`), a later day that earns more, no
    profit in any, and last what closes tonight only: capacities, caps, budget, and a strategy that waits for approval.
    `until` null means until the user decides otherwise, or until the facts change.
    """
    rule = _rule([name for name in cases.columns if name.startswith("rule.")])
    return (
        cases.with_columns(rule.alias("rule_id"))
        .with_columns(
            pl.when(_by_block()).then(pl.col("block_citation")).alias("citation"),
            _until(as_of).alias("until"),
            _explanation(catalogue).alias("explanation"),
        )
        .select(list(SUPPRESSED))
        .sort("user_id")
    )


def _rule(rule_columns: list[str]) -> pl.Expr:
    all_closed = pl.all_horizontal([pl.col(name).is_not_null() for name in rule_columns] or [pl.lit(False)])
    is_capped = pl.any_horizontal([pl.col(name).str.starts_with("cap.") for name in rule_columns] or [pl.lit(False)])
    no_option = pl.col("expected_profit").is_null() & pl.col("p_return").is_not_null()
    none_open = pl.col("is_triggered") & pl.col("silenced_by").is_null() & no_option
    return (
        pl.when("is_measurement_gap")
        .then(pl.lit(GAP))
        # Our own pause after a list outlasts the caps that count the same list: but for them a channel were open.
        .when(pl.col("cool_until").is_not_null() & is_capped)
        .then(pl.lit("cap.cool_down"))
        .when(pl.col("is_all_said").fill_null(value=False) & pl.col("cool_until").is_null())
        .then(pl.lit("content.all_said"))
        .when((all_closed | none_open) & pl.col("block_rule").is_not_null())
        .then(pl.col("block_rule"))
        .when(pl.col("cool_until").is_not_null())
        .then(pl.lit("cap.cool_down"))
        .when(pl.col("expected_profit").is_null())
        .then(pl.lit("strategy.none_eligible"))
        .when(pl.col("wait_until").is_not_null())
        .then(pl.lit("strategy.later"))
        .when(pl.col("expected_profit") <= 0)
        .then(pl.lit("strategy.none_profitable"))
        .otherwise(pl.col("gate"))
    )


def _by_block() -> pl.Expr:
    return (pl.col("rule_id") == pl.col("block_rule")).fill_null(value=False)


def _until(as_of: date) -> pl.Expr:
    # Tonight's gates close tonight only: the day of the next list is the day after the send day.
    next_list_on = pl.lit(as_of + timedelta(days=2))
    return (
        pl.when(_by_block())
        .then(pl.col("block_until"))
        .when(pl.col("rule_id") == "cap.cool_down")
        .then(pl.col("cool_until"))
        .when(pl.col("rule_id") == "strategy.later")
        .then(pl.col("wait_until"))
        .when(pl.col("gate").is_not_null() & (pl.col("gate") != AWAITS_APPROVAL))
        .then(next_list_on)
    )


def _explanation(catalogue: Catalogue) -> pl.Expr:
    titles = {one.id: one.title for one in catalogue.strategies}
    silences = {one.id: f"{one.title}: {one.why_chosen}." for one in catalogue.silent}
    rule = pl.col("rule_id")
    title = pl.col("strategy_id").replace_strict(titles, default=None, return_dtype=pl.String)
    silence = pl.col("silenced_by").replace_strict(silences, default=None, return_dtype=pl.String)
    profit = pl.col("expected_profit").cast(pl.Decimal(38, 2)).cast(pl.String)
    return (
        pl.when(_by_block() | pl.col("is_measurement_gap"))
        .then(rule.replace_strict(_CLOSED_BECAUSE, default="A rule closes every channel that could be used."))
        .when((rule == "cap.cool_down") & (pl.col("arm") == CONTROL).fill_null(value=False))
        .then(pl.format("Held out, and in the pause that a message would have brought, until {}.", "cool_until"))
        .when(rule == "cap.cool_down")
        .then(pl.format("Written to lately: the next message may go out from {}.", pl.col("cool_until")))
        .when(rule == "content.all_said")
        .then(pl.lit("Has had every message that fits, or did not answer the strategies that would send another."))
        .when(rule == "strategy.none_profitable")
        .then(
            pl.format(
                "The best option, {} by {}, would earn {} after costs: nothing is sent.",
                title,
                "channel",
                profit,
            )
        )
        .when(rule == "capacity.channel")
        .then(pl.format("No room left on {} at this rank ({} would earn {}).", "gate_channel", title, profit))
        .when(rule == "capacity.hour")
        .then(pl.format("No allowed hour has room left on {} ({} would earn {}).", "gate_channel", title, profit))
        .when(rule == "strategy.capped")
        .then(pl.format("{} has reached its limit of tonight (this contact would earn {}).", title, profit))
        .when(rule == AWAITS_APPROVAL)
        .then(pl.format("{} by {} would earn {}, and waits for somebody's approval.", title, "channel", profit))
        .when(rule == "strategy.later")
        .then(pl.format("{} by {} is expected to earn more from {} on.", title, "channel", "wait_until"))
        .when(rule == "budget.night")
        .then(pl.format("Below the end of tonight's budget ({} by {} would earn {}).", title, "channel", profit))
        .when(silence.is_not_null())
        .then(silence)
        .when(pl.col("p_return").is_null())
        .then(pl.lit("The chance of a return could not be estimated, so no strategy could be priced."))
        .otherwise(pl.lit("No strategy with a configured channel is meant for this stage and silence."))
    )
