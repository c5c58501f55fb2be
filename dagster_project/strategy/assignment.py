"""The night's decision: every churned user is written to, held out, or left alone for a stated reason."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

import polars as pl

from dagster_project.strategy.allocation import gates
from dagster_project.strategy.catalogue import Catalogue
from dagster_project.strategy.eligibility import cases_of
from dagster_project.strategy.holdout import assign_arms, hash_draws
from dagster_project.strategy.market import Market, clear_market, market_report, night_limits, with_room_for_draws
from dagster_project.strategy.options import best_options, drawn_options, price_options
from dagster_project.strategy.rules import DecisionRules
from dagster_project.strategy.series import NO_PAST, Past, next_options, pauses, standings
from dagster_project.strategy.suppression import suppressed_rows
from dagster_project.strategy.timing import send_times

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
ASSIGNMENTS = pl.Schema(
    {
        "user_id": pl.String(),
        "experiment_id": pl.String(),
        "arm": pl.String(),
        "assigned_at": pl.Datetime("us", "UTC"),
        "propensity": pl.Float64(),
        "strategy_id": pl.String(),
        "channel": pl.String(),
        "as_of": pl.Date(),
        "step": pl.Int32(),
        "template_id": pl.String(),
    }
)


@dataclass(frozen=True, kw_only=True)
class Decisions:
    """The churned users of one night, each in exactly one of `exported`, `holdout` and `suppressed`.

    `assignments` are the ledger rows of the exported and the held out. A held-out row names the strategy and
    channel that it would have had; its arm says that nothing was sent. All frames are sorted by `user_id`, but for
    `prices`: what each limit of the night was worth.
    """

    exported: pl.DataFrame
    holdout: pl.DataFrame
    suppressed: pl.DataFrame
    assignments: pl.DataFrame
    prices: pl.DataFrame


def decide(
    candidates: pl.DataFrame,
    contact_points: pl.DataFrame,
    *,
    catalogue: Catalogue,
    rules: DecisionRules,
    as_of: date,
    past: Past = NO_PAST,
    send_hours: pl.DataFrame | None = None,
) -> Decisions:
    """Who is written to the day after `as_of`, with what, and who is not and why.

    `candidates` are users joined with their stage and scores (rows that are not churned are passed over).
    `past` tells of earlier contacts and answers. `send_hours` has `user_sk`, `hour_shares`, `timezone`: who is not in
    it is written to at the strategy's hour.

    Arms are drawn before anything is allocated. Closed channels, pauses and the profit test come next and are
    the same for every arm; so are the prices of budget and capacity, found with room for those held out, and the
    order in which places are given: by what each user's option earns after prices, until a limit is reached.
    The explore arm then gets one of the user's options at random, whatever it is priced at; its `propensity`,
    like every other, is the chance before the draw of this arm with this strategy.
    """
    cases = cases_of(candidates, contact_points, catalogue=catalogue, rules=rules, as_of=as_of)
    standing = standings(past, catalogue=catalogue, min_days_between=rules.min_days_between)
    priced = price_options(cases, catalogue=catalogue, rules=rules, as_of=as_of)
    options = next_options(priced, standing, past, catalogue=catalogue)
    cases = _with_pauses(cases, standing, priced, options, as_of)
    cases = cases.join(best_options(options), on="user_sk", how="left", maintain_order="left")
    arms = assign_arms(cases, salt=rules.salt, control_share=rules.control_share, explore_share=rules.explore_share)
    cases = cases.join(arms.drop("user_id"), on="user_sk", how="left", maintain_order="left")
    passed = cases.filter((pl.col("expected_profit") > 0) & pl.col("cool_until").is_null())
    reachable = passed.filter(pl.col("arm") != "control")["user_sk"]
    market = _market(options, passed, scale=passed.height / max(len(reachable), 1), rules=rules)
    cases = _with_choice(cases, market)
    cases = _with_gate(cases, _contenders(cases, options, market, rules), rules)
    out, held = pl.col("outcome") == "exported", pl.col("outcome") == "holdout"
    contacts = _with_hours(_contacts(cases.filter(out), contact_points, options, rules), send_hours)
    exported = _timed(contacts, catalogue, rules, as_of)
    held_out = cases.filter(held)
    return Decisions(
        exported=exported,
        holdout=_holdout(held_out, rules),
        suppressed=suppressed_rows(cases.filter(~out & ~held), catalogue=catalogue, as_of=as_of),
        assignments=_assignments(exported, held_out, rules, as_of),
        prices=market_report(market, exported, reachable, rules=rules),
    )


def _with_pauses(
    cases: pl.DataFrame, standing: pl.DataFrame, priced: pl.DataFrame, options: pl.DataFrame, as_of: date
) -> pl.DataFrame:
    """`cool_until` where it is too soon to write again, and whether all that fits has been said before."""
    said_all = priced.join(options, on="user_sk", how="anti").select("user_sk").unique()
    return cases.join(pauses(standing, options, as_of=as_of), on="user_sk", how="left", maintain_order="left").join(
        said_all.with_columns(pl.lit(value=True).alias("is_all_said")), on="user_sk", how="left", maintain_order="left"
    )


def _market(options: pl.DataFrame, passed: pl.DataFrame, *, scale: float, rules: DecisionRules) -> Market:
    """The night's market, with room for the held out, who use nothing up, and for what exploring costs."""
    limits = {name: limit * scale for name, limit in night_limits(rules).items()}
    market = clear_market(options, passed, limits=limits)
    served = market.chosen.filter("is_allocated").join(passed.select("user_sk", "arm"), on="user_sk", how="left")
    explorers = served.filter(pl.col("arm") == "explore").sort("user_id")
    if explorers.is_empty():
        return market
    drawn = _explored(explorers, options, rules)
    return clear_market(options, passed, limits=with_room_for_draws(limits, chosen=explorers, drawn=drawn))


def _with_choice(cases: pl.DataFrame, market: Market) -> pl.DataFrame:
    """The cases, those in the market with the option that is theirs at its prices instead of their best."""
    theirs = market.chosen.drop("user_id").with_columns(pl.lit(value=True).alias("is_in_market"))
    swapped = [name for name in theirs.columns if name in cases.columns and name != "user_sk"]
    joined = cases.join(theirs, on="user_sk", how="left", suffix=".theirs", maintain_order="left")
    in_market = pl.when("is_in_market")
    return joined.with_columns(
        in_market.then(pl.col(f"{name}.theirs")).otherwise(pl.col(name)).alias(name) for name in swapped
    ).select(cases.columns)


def _contenders(cases: pl.DataFrame, options: pl.DataFrame, market: Market, rules: DecisionRules) -> pl.DataFrame:
    """Those in the market, best first, with the channel and cost to come."""
    arms = market.chosen.join(cases.select("user_sk", "arm"), on="user_sk", how="left", maintain_order="left")
    drawn = _explored(arms, options, rules).select(
        "user_sk", pl.col("channel").alias("drawn_channel"), pl.col("expected_cost").alias("drawn_cost")
    )
    return arms.join(drawn, on="user_sk", how="left", maintain_order="left").select(
        "user_sk",
        pl.coalesce("drawn_channel", "channel").alias("channel"),
        pl.coalesce("drawn_cost", "expected_cost").alias("expected_cost"),
        (pl.col("arm") == "control").alias("is_held_out"),
    )


def _explored(cases: pl.DataFrame, options: pl.DataFrame, rules: DecisionRules) -> pl.DataFrame:
    explorers = cases.filter(pl.col("arm") == "explore")
    # A stream of its own: the draw that made the arm must not also choose the strategy.
    draws = hash_draws(explorers["user_id"], salt=f"{rules.salt}/explore").alias("draw")
    return drawn_options(options, explorers.select("user_sk").with_columns(draws))


def _with_gate(cases: pl.DataFrame, contenders: pl.DataFrame, rules: DecisionRules) -> pl.DataFrame:
    gated = contenders.select(
        "user_sk",
        gates(contenders, rules=rules),
        pl.col("channel").alias("gate_channel"),
        pl.lit(value=True).alias("contends"),
    )
    outcome = (
        pl.when(pl.col("contends").is_null() | pl.col("gate").is_not_null())
        .then(pl.lit("suppressed"))
        .when(pl.col("arm") == "control")
        .then(pl.lit("holdout"))
        .otherwise(pl.lit("exported"))
    )
    return cases.join(gated, on="user_sk", how="left", maintain_order="left").with_columns(outcome.alias("outcome"))


def _contacts(
    chosen: pl.DataFrame, contact_points: pl.DataFrame, options: pl.DataFrame, rules: DecisionRules
) -> pl.DataFrame:
    """Those to write to, the explorers with the option that was drawn for them, with what is known of the channel."""
    drawn = _explored(chosen, options, rules)
    swapped = [name for name in drawn.columns if name != "user_sk"]
    explore = chosen.filter(pl.col("arm") == "explore").drop(swapped).join(drawn, on="user_sk", how="inner")
    treat = chosen.filter(pl.col("arm") == "treat")
    contacts = pl.concat([treat, explore.select(treat.columns)]).sort("user_id")
    known = contact_points.select("user_sk", "channel", "consent_basis", "quiet_start", "quiet_end")
    return contacts.join(known, on=["user_sk", "channel"], how="left", maintain_order="left")


def _with_hours(contacts: pl.DataFrame, send_hours: pl.DataFrame | None) -> pl.DataFrame:
    if send_hours is None:
        return contacts.with_columns(pl.lit("strategy").alias("hour_basis"))
    known = send_hours.select("user_sk", "hour_shares", pl.col("timezone").alias("hours_timezone"))
    basis = pl.when(pl.col("hour_shares").is_null()).then(pl.lit("strategy")).otherwise(pl.lit("user"))
    joined = contacts.join(known, on="user_sk", how="left", maintain_order="left")
    return joined.with_columns(basis.alias("hour_basis"))


def _timed(contacts: pl.DataFrame, catalogue: Catalogue, rules: DecisionRules, as_of: date) -> pl.DataFrame:
    return contacts.with_columns(
        send_times(contacts, catalogue=catalogue, rules=rules, as_of=as_of),
        _propensity(rules).alias("propensity"),
        _offer_basis(catalogue, rules).alias("offer_basis"),
    ).select(list(EXPORTED))


def _offer_basis(catalogue: Catalogue, rules: DecisionRules) -> pl.Expr:
    """What the row says of equal treatment where a law asks for it."""
    bases = {one.id: one.offer.equal_basis or "everybody of the stage can get the same" for one in catalogue.sending}
    basis = pl.col("strategy_id").replace_strict(bases, default=None, return_dtype=pl.String)
    cited_by_law = {law.key: law.offers_citation for law in rules.book.every_law() if law.needs_equal_offers}
    citation = pl.col("law").replace_strict(cited_by_law, default=None, return_dtype=pl.String)
    said = pl.format("No offer hangs on a prediction about the user: {} ({}).", basis, citation)
    return pl.when("needs_equal_offers").then(said)


def _propensity(rules: DecisionRules) -> pl.Expr:
    return (
        pl.when(pl.col("arm") == "control")
        .then(rules.control_share)
        .when(pl.col("arm") == "explore")
        .then(rules.explore_share / pl.col("n_options"))
        .otherwise(1 - rules.control_share - rules.explore_share)
    )


def _holdout(held_out: pl.DataFrame, rules: DecisionRules) -> pl.DataFrame:
    return held_out.select(
        "user_id",
        pl.lit(rules.experiment_id).alias("experiment_id"),
        "arm",
        pl.col("strategy_id").alias("would_be_strategy"),
    ).select(list(HOLDOUT))


def _assignments(exported: pl.DataFrame, held_out: pl.DataFrame, rules: DecisionRules, as_of: date) -> pl.DataFrame:
    columns = ["user_id", "arm", "propensity", "strategy_id", "channel", "step", "template_id"]
    held = held_out.with_columns(_propensity(rules).alias("propensity"))
    assigned_at = datetime.combine(as_of + timedelta(days=1), time(0), tzinfo=UTC)
    return (
        pl.concat([exported.select(columns), held.select(columns)])
        .with_columns(
            pl.lit(rules.experiment_id).alias("experiment_id"),
            pl.lit(assigned_at, dtype=pl.Datetime("us", "UTC")).alias("assigned_at"),
            pl.lit(as_of).alias("as_of"),
        )
        .select(list(ASSIGNMENTS))
        .sort("user_id")
    )
