"""The night's decision: every churned user is written to, held out, or left alone for a stated reason.

Users who are still here are written to where a strategy of early warning fits them, and passed over otherwise.
"""

from dataclasses import dataclass
from datetime import date, timedelta

import polars as pl

from dagster_project.strategy.budget_curve import budget_curve
from dagster_project.strategy.catalogue import Catalogue
from dagster_project.strategy.eligibility import cases_of, is_ours
from dagster_project.strategy.exclusions import compatible_options
from dagster_project.strategy.hands import allowed_options, hand_report
from dagster_project.strategy.holdout import CONTROL, EXPLORE, OF_STRATEGY, assign_arms, hash_draws
from dagster_project.strategy.ledger import assigned, night_rows, propensity
from dagster_project.strategy.market import market_report, night_limits
from dagster_project.strategy.options import best_options, price_options
from dagster_project.strategy.parity import equal_offers
from dagster_project.strategy.places import (
    EXPORT,
    HOLD,
    SUPPRESS,
    WAIT,
    clear_night,
    contenders,
    explored,
    with_choice,
    with_few_who_are_here,
    with_one_account_each,
    with_outcome,
)
from dagster_project.strategy.rules import DecisionRules
from dagster_project.strategy.series import NO_PAST, Past, next_options, pauses, standings
from dagster_project.strategy.suppression import suppressed_rows
from dagster_project.strategy.tiers import value_tiers
from dagster_project.strategy.timing import send_times
from dagster_project.strategy.waiting import ReturnCurves, waits

EXPORTED = pl.Schema(
    {
        "user_sk": pl.Int64,
        "user_id": pl.String,
        "arm": pl.String,
        "strategy_id": pl.String,
        "channel": pl.String,
        "fallback_channel": pl.String,
        "uplift": pl.Float64,
        "uplift_low": pl.Float64,
        "uplift_high": pl.Float64,
        "uplift_cautious": pl.Float64,
        "evidence_grade": pl.String,
        "expected_cost": pl.Float64,
        "expected_harm": pl.Float64,
        "expected_profit": pl.Float64,
        "n_options": pl.Int32,
        "propensity": pl.Float64,
        "send_at": pl.String,
        "hour_basis": pl.String,
        "step": pl.Int32,
        "max_touches": pl.Int32,
        "template_id": pl.String,
        "consent_basis": pl.String,
        "law": pl.String,
        "offer_basis": pl.String,
    }
)
HOLDOUT = pl.Schema(
    {
        "user_id": pl.String,
        "experiment_id": pl.String,
        "arm": pl.String,
        "would_be_strategy": pl.String,
    }
)
CONSIDERED = pl.Schema(
    {
        "user_sk": pl.Int64,
        "place": pl.Int32,
        "strategy_id": pl.String,
        "channel": pl.String,
        "uplift": pl.Float64,
        "uplift_cautious": pl.Float64,
        "attention": pl.Float64,
        "expected_cost": pl.Float64,
        "expected_harm": pl.Float64,
        "expected_profit": pl.Float64,
    }
)
GATED = pl.Schema(
    {
        "user_sk": pl.Int64,
        "user_id": pl.String,
        "outcome": pl.String,
        "arm": pl.String,
        "own_arm": pl.String,
        "closed_channels": pl.String,
        "block_rule": pl.String,
        "block_until": pl.Date,
        "silenced_by": pl.String,
        "cool_until": pl.Date,
        "wait_until": pl.Date,
        "n_options": pl.Int32,
        "strategy_id": pl.String,
        "channel": pl.String,
        "expected_profit": pl.Float64,
        "gate": pl.String,
        "value_tier": pl.String,
    }
)
APART_DAYS = 28  # strategies that exclude each other do not follow each other sooner; an opinion
HANDOVER = pl.Schema(
    {
        "user_id": pl.String,
        "strategy_id": pl.String,
        "handover": pl.String,
        "stage": pl.String,
        "explanation": pl.String,
    }
)
ADS = "ads"  # the channel whose rules say who may be in an ad audience
MOST_CONSIDERED = 5  # options of a user that are told; the count of all is told beside


@dataclass(frozen=True, kw_only=True)
class Known:
    """What a night may know beyond stages, scores and permissions; each may be missing.

    `send_hours` (user_sk, hour_shares, timezone): who is not in it is written to at the strategy's hour. `attention`:
    see `attention.attention`. `curves`: when users come back unaided; without them nobody is made to wait. `scores`:
    uplifts by models of strategies' own experiments (`options.SCORES`).
    """

    send_hours: pl.DataFrame | None = None
    attention: pl.DataFrame | None = None
    curves: ReturnCurves | None = None
    scores: pl.DataFrame | None = None


NOTHING_MORE = Known()


@dataclass(frozen=True, kw_only=True)
class Decisions:
    """The churned users of one night, each in exactly one of `exported`, `holdout` and `suppressed`.

    Users who are still here may be in the first two, never in the third.
    `awaiting` are contacts that would be in `exported`, had somebody approved their strategy; until then their users
    are in `suppressed`. `assignments` are the ledger rows of the exported and the held out. A held-out row names the
    strategy and channel that it would have had; its arm says that nothing was sent. `handover`: users to whom nothing
    is sent and whom somebody else takes on (repairs of data, an ad audience). `considered`: each user's best options,
    `gated` where each user's decision ended, `curve` what other budgets would earn, `hands` what people's settings
    did, `prices` what each limit of the night was worth. All frames of users are sorted by `user_id`, but for
    `considered` (user_sk, place).
    """

    exported: pl.DataFrame
    holdout: pl.DataFrame
    suppressed: pl.DataFrame
    awaiting: pl.DataFrame
    assignments: pl.DataFrame
    handover: pl.DataFrame
    considered: pl.DataFrame
    gated: pl.DataFrame
    prices: pl.DataFrame
    curve: pl.DataFrame
    hands: pl.DataFrame


def decide(
    candidates: pl.DataFrame,
    contact_points: pl.DataFrame,
    *,
    catalogue: Catalogue,
    rules: DecisionRules,
    as_of: date,
    past: Past = NO_PAST,
    known: Known = NOTHING_MORE,
) -> Decisions:
    """Who is written to the day after `as_of`, with what, and who is not and why.

    `candidates` are users joined with their stage and scores (see `eligibility.cases_of` for whom it takes).
    `past` tells of earlier contacts and answers, and in which arms users began.

    Arms are drawn before anything is allocated. Closed channels, pauses, waits and the profit test come next and are
    the same for every arm; so are the prices of budget and capacity, found with room for those held out, and the
    order in which places are given: by what each user's option earns after prices, until a limit is reached.
    The explore arm then gets one of the user's options by Thompson's rule, as often as it is likely to be the best;
    its `propensity`, like every other, is the chance before the draw of this arm with this strategy.
    """
    cases = cases_of(candidates, contact_points, catalogue=catalogue, rules=rules, as_of=as_of)
    arms = assign_arms(
        cases,
        salt=rules.salt,
        control_share=rules.control_share,
        explore_share=rules.explore_share,
        earlier=past.arms.filter(pl.col("experiment_id") == rules.experiment_id),
    )
    cases = cases.join(arms.drop("user_id"), on="user_sk", how="left", maintain_order="left")
    cases = cases.with_columns(value_tiers(cases["value_if_returned"]).alias("value_tier"))
    standing = standings(past, catalogue=catalogue, min_days_between=rules.min_days_between)
    priced = price_options(
        cases, catalogue=catalogue, rules=rules, as_of=as_of, attention=known.attention, scores=known.scores
    )
    priced = allowed_options(priced, hands=rules.hands)
    priced = equal_offers(priced, cases, catalogue=catalogue, rules=rules)
    apart_since = as_of - timedelta(days=APART_DAYS)
    priced = compatible_options(priced, past.contacts, catalogue=catalogue, since=apart_since)
    options = next_options(priced, standing, past, catalogue=catalogue, draws=_word_draws(cases, rules))
    drawn = explored(cases, options, catalogue=catalogue, rules=rules, as_of=as_of)
    best = best_options(options)
    cases = _with_pauses(cases, standing, priced, options, as_of)
    cases = cases.join(best, on="user_sk", how="left", maintain_order="left")
    cases = cases.join(
        waits(cases, known.curves, catalogue=catalogue, rules=rules, as_of=as_of),
        on="user_sk",
        how="left",
        maintain_order="left",
    )
    is_free = pl.col("cool_until").is_null() & pl.col("wait_until").is_null()
    may_pass = with_few_who_are_here(cases.filter((pl.col("expected_profit") > 0) & is_free), rules=rules)
    passed = with_one_account_each(may_pass)
    others = may_pass.join(passed, on="user_sk", how="anti")["user_sk"]
    cases = cases.with_columns(pl.col("user_sk").is_in(others.implode()).alias("is_other_account"))
    reachable = passed.filter(pl.col("arm") != CONTROL)["user_sk"]
    market = clear_night(options, passed, drawn=drawn, rules=rules)
    cases = with_choice(cases, market)
    cases = with_outcome(cases, contenders(cases, market, drawn=drawn, rules=rules, earlier=past.arms), rules)
    chosen = _chosen(cases, contact_points, drawn)
    timed = _timed(_with_hours(chosen, known.send_hours), catalogue, rules, as_of)
    cases = _without_moment(cases, timed)
    timed = timed.filter(pl.col("send_at").is_not_null())
    exported = timed.filter(pl.col("outcome") == EXPORT)
    awaiting = timed.filter((pl.col("outcome") == WAIT) & (pl.col("arm") != CONTROL))
    held_out = cases.filter(pl.col("outcome") == HOLD)
    lapsed = cases.filter(pl.col("is_churned") | is_ours())
    suppressed = lapsed.filter(pl.col("outcome").is_in([SUPPRESS, WAIT]))
    own = held_out.filter(pl.col("arm") != CONTROL)
    return Decisions(
        exported=exported.select(list(EXPORTED)),
        holdout=_holdout(held_out, rules),
        suppressed=suppressed_rows(suppressed, catalogue=catalogue, as_of=as_of),
        awaiting=awaiting.select(list(EXPORTED)),
        assignments=night_rows(
            assigned(exported, held_out, rules=rules), rules=rules, as_of=as_of, before=past.contacts
        ),
        handover=_handed_over(lapsed, catalogue=catalogue, may_advertise=ADS in rules.channels),
        considered=_considered(options),
        gated=_gated(lapsed, channels=sorted(rules.channels)),
        prices=market_report(market, exported, reachable, rules=rules),
        curve=budget_curve(
            options, reachable, limits=night_limits(rules), spent=float(exported["expected_cost"].sum())
        ),
        hands=hand_report(exported, awaiting, own, hands=rules.hands),
    )


def _word_draws(cases: pl.DataFrame, rules: DecisionRules) -> pl.DataFrame:
    draws = hash_draws(cases["user_id"], salt=f"{rules.salt}/words").alias("draw")
    return cases.select("user_sk", draws)


def _with_pauses(
    cases: pl.DataFrame, standing: pl.DataFrame, priced: pl.DataFrame, options: pl.DataFrame, as_of: date
) -> pl.DataFrame:
    """`cool_until` where it is too soon to write again, and whether all that fits has been said before."""
    said_all = priced.join(options, on="user_sk", how="anti").select("user_sk").unique()
    return cases.join(pauses(standing, options, as_of=as_of), on="user_sk", how="left", maintain_order="left").join(
        said_all.with_columns(pl.lit(value=True).alias("is_all_said")), on="user_sk", how="left", maintain_order="left"
    )


def _chosen(cases: pl.DataFrame, contact_points: pl.DataFrame, drawn: pl.DataFrame) -> pl.DataFrame:
    """Those to write to, waiting for it or held out, the explorers with the option that was drawn for them, with what
    is known of the channel.
    """
    chosen = cases.filter(pl.col("outcome").is_in([EXPORT, WAIT, HOLD]))
    chosen = chosen.with_columns(pl.lit(None, dtype=pl.Float64).alias("chance"))
    swapped = [name for name in drawn.columns if name != "user_sk"]
    explore = chosen.filter(pl.col("arm") == EXPLORE).drop(swapped).join(drawn, on="user_sk", how="inner")
    others = chosen.filter(pl.col("arm") != EXPLORE)
    contacts = pl.concat([others, explore.select(others.columns)]).sort("user_id")
    of_channel = contact_points.select("user_sk", "channel", "consent_basis", "quiet_start", "quiet_end")
    return contacts.join(of_channel, on=["user_sk", "channel"], how="left", maintain_order="left")


def _with_hours(contacts: pl.DataFrame, send_hours: pl.DataFrame | None) -> pl.DataFrame:
    if send_hours is None:
        return contacts.with_columns(pl.lit("strategy").alias("hour_basis"))
    own = send_hours.select("user_sk", "hour_shares", pl.col("timezone").alias("hours_timezone"))
    basis = pl.when(pl.col("hour_shares").is_null()).then(pl.lit("strategy")).otherwise(pl.lit("user"))
    joined = contacts.join(own, on="user_sk", how="left", maintain_order="left")
    return joined.with_columns(basis.alias("hour_basis"))


def _timed(contacts: pl.DataFrame, catalogue: Catalogue, rules: DecisionRules, as_of: date) -> pl.DataFrame:
    return contacts.with_columns(
        send_times(contacts, catalogue=catalogue, rules=rules, as_of=as_of),
        propensity(rules).alias("propensity"),
        _offer_basis(catalogue, rules).alias("offer_basis"),
    )


def _without_moment(cases: pl.DataFrame, timed: pl.DataFrame) -> pl.DataFrame:
    """The cases, suppressed where no hour had room left, or would have had for the held out."""
    late = timed.filter(pl.col("send_at").is_null()).select("user_sk", pl.lit("capacity.hour").alias("late"))
    return cases.join(late, on="user_sk", how="left", maintain_order="left").with_columns(
        pl.when(pl.col("late").is_not_null()).then(pl.lit(SUPPRESS)).otherwise("outcome").alias("outcome"),
        pl.coalesce("late", "gate").alias("gate"),
    )


def _offer_basis(catalogue: Catalogue, rules: DecisionRules) -> pl.Expr:
    """What a row with an offer says of equal treatment where a law asks for it."""
    bases = {one.id: one.offer.equal_basis for one in catalogue.sending if one.has_offer and not one.is_unequal}
    basis = pl.col("strategy_id").replace_strict(bases, default=None, return_dtype=pl.String)
    cited_by_law = {law.key: law.offers_citation for law in rules.book.every_law() if law.needs_equal_offers}
    citation = pl.col("law").replace_strict(cited_by_law, default=None, return_dtype=pl.String)
    said = pl.format("No offer hangs on a prediction about the user: {} ({}).", basis, citation)
    return pl.when("needs_equal_offers").then(said)


def _holdout(held_out: pl.DataFrame, rules: DecisionRules) -> pl.DataFrame:
    is_of_all = pl.col("arm") == CONTROL
    own = OF_STRATEGY + pl.col("strategy_id")
    return held_out.select(
        "user_id",
        pl.when(is_of_all).then(pl.lit(rules.experiment_id)).otherwise(own).alias("experiment_id"),
        pl.lit(CONTROL).alias("arm"),
        pl.col("strategy_id").alias("would_be_strategy"),
    ).select(list(HOLDOUT))


def _handed_over(lapsed: pl.DataFrame, *, catalogue: Catalogue, may_advertise: bool) -> pl.DataFrame:
    """Users of silent strategies whom somebody else takes on, as HANDOVER.

    Nobody enters an ad audience unless there is a channel `ads` and no rule closes it for the user.
    """
    takers = {one.id: one.handover for one in catalogue.silent if one.handover != "none"}
    taker = pl.col("silenced_by").replace_strict(takers, default=None, return_dtype=pl.String)
    is_open = pl.col(f"rule.{ADS}").is_null() if may_advertise else pl.lit(value=False)
    why = {one.id: f"{one.title}: {one.why_chosen}." for one in catalogue.silent}
    return (
        lapsed.with_columns(taker.alias("handover"))
        .filter((pl.col("handover") == "repairs") | ((pl.col("handover") == "audience") & is_open))
        .select(
            "user_id",
            pl.col("silenced_by").alias("strategy_id"),
            "handover",
            "stage",
            pl.col("silenced_by").replace_strict(why, default=None, return_dtype=pl.String).alias("explanation"),
        )
        .select(list(HANDOVER))
        .sort("user_id")
    )


def _gated(cases: pl.DataFrame, *, channels: list[str]) -> pl.DataFrame:
    """Where each case ended, and the gates before it, as GATED."""
    closed = [
        pl.when(pl.col(f"rule.{one}").is_not_null()).then(pl.format("{}={}", pl.lit(one), f"rule.{one}"))
        for one in channels
    ]
    return cases.with_columns(
        (pl.concat_str(closed, separator=",", ignore_nulls=True) if closed else pl.lit("")).alias("closed_channels"),
    ).select(list(GATED))


def _considered(options: pl.DataFrame) -> pl.DataFrame:
    """Each user's best options as CONSIDERED."""
    ranked = options.sort(
        "user_sk", "expected_profit", "strategy_id", "channel", descending=[False, True, False, False]
    )
    place = (pl.int_range(pl.len()).over("user_sk") + 1).cast(pl.Int32)
    return ranked.with_columns(place.alias("place")).filter(pl.col("place") <= MOST_CONSIDERED).select(list(CONSIDERED))
