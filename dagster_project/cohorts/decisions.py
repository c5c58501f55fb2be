"""The whole decision about each user as one JSON object: what was known and considered, and what would change it.

The sentence that a marketer reads stands in `ranking` and in `strategy.suppression`; here is the record behind it.
"""

import polars as pl

DECISIONS = pl.Schema({"user_id": pl.String, "outcome": pl.String, "decision": pl.String})

_EVIDENCE = pl.List(
    pl.Struct({"id": pl.String, "on": pl.String, "is_strong": pl.Boolean, "is_earlier": pl.Boolean, "says": pl.String})
)
_FACTS = {
    "stage": pl.String,
    "days_silent": pl.Int32,
    "churned_on": pl.Date,
    "p_return": pl.Float64,
    "value_if_returned": pl.Float64,
}
_CHOSEN = ("strategy_id", "channel", "template_id", "step", "send_at", "hour_basis", "fallback_channel", "propensity")
_PLACES = 6


def decision_records(
    gated: pl.DataFrame,
    considered: pl.DataFrame,
    *,
    exported: pl.DataFrame,
    candidates: pl.DataFrame,
    reasons: pl.DataFrame,
) -> pl.DataFrame:
    """One row per user of `gated`, as DECISIONS, sorted by user_id.

    `decision` is a JSON object: the user's stage and numbers, `reason` with all its evidence, `options` (the best of
    those considered, of `n_options`), `gates` in their order with what closed them, `chosen` (null unless exported or
    waiting), `why_channel`, `why_hour` and `would_change`. The frames are tables of the night: strategy.gated,
    strategy.considered, strategy.exported with strategy.awaiting, and reasons.reasons; `candidates` are all users.
    """
    known = gated.join(_facts(candidates), on="user_sk", how="left").join(_why(reasons), on="user_sk", how="left")
    told = (
        known.join(_options(considered), on="user_sk", how="left")
        .join(_chosen(exported), on="user_sk", how="left")
        .join(_rivals(considered), on=["user_sk", "strategy_id", "channel"], how="left")
    )
    chosen = pl.col("chosen")
    return (
        told.with_columns(
            pl.concat_list(_gates()).alias("gates"),
            pl.when(chosen.is_not_null()).then(_why_channel()).alias("why_channel"),
            pl.when(chosen.is_not_null()).then(_why_hour()).alias("why_hour"),
            _would_change().alias("would_change"),
        )
        .select(
            "user_id",
            "outcome",
            pl.struct(
                *("user_id", "outcome", "arm", "own_arm", *_FACTS, "value_tier", "reason", "n_options", "options"),
                *("gates", "chosen", "why_channel", "why_hour", "would_change"),
            )
            .struct.json_encode()
            .alias("decision"),
        )
        .sort("user_id")
    )


def _facts(candidates: pl.DataFrame) -> pl.DataFrame:
    return candidates.select(
        "user_sk",
        *(
            (pl.col(name) if name in candidates.columns else pl.lit(None)).cast(dtype).alias(name)
            for name, dtype in _FACTS.items()
        ),
    ).with_columns(pl.col(pl.Float64).round(_PLACES))


def _why(reasons: pl.DataFrame) -> pl.DataFrame:
    reason = pl.struct(
        pl.col("reason").alias("name"),
        pl.col("reason_confidence").round(_PLACES).alias("confidence"),
        "decided_by",
        pl.col("evidence").str.json_decode(_EVIDENCE),
    )
    return reasons.select("user_sk", reason.alias("reason"))


def _options(considered: pl.DataFrame) -> pl.DataFrame:
    one = pl.struct(pl.all().exclude("user_sk", "place"))
    rounded = considered.sort("user_sk", "place").with_columns(pl.col(pl.Float64).round(_PLACES))
    return rounded.group_by("user_sk", maintain_order=True).agg(one.alias("options"))


def _chosen(exported: pl.DataFrame) -> pl.DataFrame:
    return exported.select(
        "user_sk",
        pl.struct(*_CHOSEN).alias("chosen"),
        *(pl.col(name).alias(f"chosen.{name}") for name in ("strategy_id", "channel", "hour_basis")),
        (pl.col("expected_cost") + pl.col("expected_harm")).alias("chosen.spent"),
        pl.col("uplift_cautious").alias("chosen.uplift"),
        pl.col("expected_profit").alias("chosen.profit"),
    )


def _rivals(considered: pl.DataFrame) -> pl.DataFrame:
    """Per option of a user: the profit of the next best of any kind, and of the same strategy on another channel."""
    profit = pl.col("expected_profit")
    ranked = considered.sort("user_sk", "place")
    next_best = profit.shift(-1).over("user_sk")
    other = considered.select(
        "user_sk", "strategy_id", pl.col("channel").alias("other"), profit.alias("other_profit")
    ).join(considered.select("user_sk", "strategy_id", "channel"), on=["user_sk", "strategy_id"], how="inner")
    rival = (
        other.filter(pl.col("other") != pl.col("channel"))
        .sort("user_sk", "strategy_id", "channel", "other_profit", "other", descending=[False] * 3 + [True, False])
        .unique(["user_sk", "strategy_id", "channel"], keep="first", maintain_order=True)
    )
    return ranked.select("user_sk", "strategy_id", "channel", next_best.alias("next_profit")).join(
        rival, on=["user_sk", "strategy_id", "channel"], how="left"
    )


def _gates() -> list[pl.Expr]:
    """The gates in their order: name, whether it let the user pass, and what it says."""

    def gate(name: str, passed: pl.Expr, says: pl.Expr) -> pl.Expr:
        is_passed = passed.fill_null(value=True)
        return pl.struct(pl.lit(name).alias("gate"), is_passed.alias("passed"), says.alias("says"))

    closed = pl.col("closed_channels").replace("", None)
    pays = pl.col("expected_profit") > 0
    return [
        gate("law, wishes and reach", pl.col("n_options").fill_null(0) > 0, closed),
        gate("deliberate silence", pl.col("silenced_by").is_null(), pl.col("silenced_by")),
        gate("pause after contacts", pl.col("cool_until").is_null(), pl.format("until {}", "cool_until")),
        gate("better day", pl.col("wait_until").is_null(), pl.format("from {}", "wait_until")),
        gate("profit", pays.fill_null(value=False), _money("expected_profit")),
        gate("limits of the night", pl.col("gate").is_null(), pl.col("gate")),
        gate("control group", pl.col("outcome") != "holdout", pl.coalesce("own_arm", "arm")),
    ]


def _why_channel() -> pl.Expr:
    more = pl.col("chosen.profit") - pl.col("other_profit")
    return (
        pl.when(pl.col("arm") == "explore")
        .then(pl.lit("Drawn at random among the user's options, to learn."))
        .when(pl.col("other").is_null())
        .then(pl.format("{} is the only channel of this strategy among the best options.", "chosen.channel"))
        .when(more >= 0)
        .then(pl.format("{} is expected to earn {} more than {}.", "chosen.channel", _money(more), "other"))
        .otherwise(pl.format("{} would earn more, but its places are worth more to others tonight.", "other"))
    )


def _why_hour() -> pl.Expr:
    own = pl.lit("The user's likeliest active hour of those that law, channel and the user leave open.")
    return (
        pl.when(pl.col("chosen.hour_basis") == "user")
        .then(own)
        .otherwise(pl.lit("The strategy's own hour, moved into the open ones: the user's hours are not known."))
    )


def _would_change() -> pl.Expr:
    """What would have to be otherwise for another decision."""
    # profit = uplift × worth − spent, so an uplift of spent ÷ worth would earn nothing.
    worth = (pl.col("chosen.profit") + pl.col("chosen.spent")) / pl.col("chosen.uplift")
    even = _money(100 * pl.col("chosen.spent") / worth)
    outcome, gate = pl.col("outcome"), pl.col("gate")
    return (
        pl.when(outcome == "exported")
        .then(
            pl.format(
                "An uplift below {} points would not pay; another option must earn more than {} (the next: {}).",
                even.fill_null("any"),
                _money("chosen.profit"),
                _money("next_profit").fill_null("none"),
            )
        )
        .when(outcome == "holdout")
        .then(pl.lit("Nothing: the draw that holds the user out stays the same from night to night."))
        .when(outcome == "waiting")
        .then(pl.lit("An entry in strategies.approved_until for a day from this night on."))
        .when(pl.col("silenced_by").is_not_null())
        .then(pl.lit("Another stage or silence: the strategy of deliberate silence fits while these stay."))
        .when(pl.col("cool_until").is_not_null())
        .then(pl.format("The end of the pause on {}, or an answer of the user.", "cool_until"))
        .when(pl.col("wait_until").is_not_null())
        .then(pl.format("The day: from {} on contact is expected to earn more.", "wait_until"))
        .when((pl.col("n_options").fill_null(0) == 0) & pl.col("block_rule").is_not_null())
        .then(
            pl.when(pl.col("block_until").is_null())
            .then(pl.format("The end of {}, which only the user or the facts can bring.", "block_rule"))
            .otherwise(pl.format("The end of {} on {}.", "block_rule", "block_until"))
        )
        .when(pl.col("n_options").fill_null(0) == 0)
        .then(pl.lit("A strategy whose trigger fits the user, on an open channel, with words not used yet."))
        .when(pl.col("expected_profit") <= 0)
        .then(pl.format("An option that earns {} more than the best one.", _money(-pl.col("expected_profit"))))
        .when(gate == "person.other_account")
        .then(pl.lit("A night in which no other account of the same person earns more."))
        .otherwise(pl.format("A night in which {} has room.", gate))
    )


def _money(value: str | pl.Expr) -> pl.Expr:
    """Two decimals, four below 1: an e-mail costs thousandths."""
    number = pl.col(value) if isinstance(value, str) else value
    coarse, fine = (number.cast(pl.Decimal(38, places), strict=False).cast(pl.String) for places in (2, 4))
    return pl.when(number.abs() < 1).then(fine).otherwise(coarse)
