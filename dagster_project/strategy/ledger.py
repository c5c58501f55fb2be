"""The ledger of arms: what a night adds to it, which night may, and which contacts it tells of.

Who gets which arm is drawn in `holdout` and `words`; reading outcomes back is the matter of `outcomes`.
"""

from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta

import polars as pl

from dagster_project.outcomes.vocabulary import WORDS
from dagster_project.strategy.catalogue import Catalogue
from dagster_project.strategy.holdout import ARMS, CONTROL, EXPLORE, OF_STRATEGY, TREAT
from dagster_project.strategy.rules import DecisionRules
from dagster_project.strategy.series import CONTACTS, step_words

SHARE_STEP = 1e-6  # shares that differ by less are the same, but for rounding

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
        "is_contacted": pl.Boolean(),
        "is_churned": pl.Boolean(),
        "stage": pl.String(),
        "reason": pl.String(),
        "value_tier": pl.String(),
        "p_return": pl.Float64(),
        "value_if_returned": pl.Float64(),
        "expected_cost": pl.Float64(),
        "uplift": pl.Float64(),
        "fit_content": pl.Float64(),
        "fit_reason": pl.Float64(),
    }
)


def may_write(nights: Sequence[str], *, as_of: date, is_backtest: bool) -> bool:
    """Whether the night `as_of` may write: it is no backtest, and no later night (ISO dates) has written.

    The newest night may write again: it was made again, and its files with it.
    """
    return not is_backtest and as_of.isoformat() >= max(nights, default="")


def night_rows(
    assigned: pl.DataFrame, *, rules: DecisionRules, as_of: date, before: pl.DataFrame | None = None
) -> pl.DataFrame:
    """What a night adds to the ledger, as ASSIGNMENTS, sorted by user and experiment.

    `assigned`: the contacted and the held out, with `arm` and `propensity` in the experiment of all, `own_arm` and
    `own_propensity` in that of their strategy (null where it holds nobody out itself), `n_words` (templates among
    which theirs was drawn; below 2: no experiment) and `is_contacted`.

    The experiment of all is read by intention to treat: whom a strategy holds out itself is in its arm `treat`, and
    not contacted. In an experiment of words, one per strategy and channel, each template is an arm; the held out are
    the control. Whom `before` (`series.CONTACTS`, of earlier nights) knows with the strategy takes no part: their words
    were drawn among fewer, and what they did since hangs on the words that they had.
    """
    of_all = assigned.with_columns(pl.lit(rules.experiment_id).alias("experiment_id"))
    own = assigned.filter(pl.col("own_arm").is_not_null()).with_columns(
        (OF_STRATEGY + pl.col("strategy_id")).alias("experiment_id"),
        pl.col("own_arm").alias("arm"),
        pl.col("own_propensity").alias("propensity"),
    )
    assigned_at = datetime.combine(as_of + timedelta(days=1), time(0), tzinfo=UTC)
    return (
        pl.concat([of_all, own, _of_words(_first_time(assigned, before), rules)])
        .with_columns(
            pl.lit(assigned_at, dtype=pl.Datetime("us", "UTC")).alias("assigned_at"),
            pl.lit(as_of).alias("as_of"),
            pl.when("is_contacted").then("expected_cost").otherwise(0.0).alias("expected_cost"),
        )
        .select(pl.col(name).cast(dtype) for name, dtype in ASSIGNMENTS.items())
        .sort("user_id", "experiment_id")
    )


def propensity(rules: DecisionRules) -> pl.Expr:
    """The chance, before any draw, of the arm in the experiment of all, with the strategy that came with it."""
    return (
        pl.when(pl.col("arm") == CONTROL)
        .then(rules.control_share)
        .when(pl.col("arm") == EXPLORE)
        .then(rules.explore_share * pl.col("chance"))
        .otherwise(1 - rules.control_share - rules.explore_share)
    )


def assigned(exported: pl.DataFrame, held_out: pl.DataFrame, *, rules: DecisionRules) -> pl.DataFrame:
    """Those who take part in the night's experiments, with what was believed of them when they were assigned."""
    held_out = held_out.with_columns(pl.lit(None, dtype=pl.Float64).alias("chance"))
    told = [name for name in exported.columns if name in held_out.columns and name != "propensity"]
    both = pl.concat(
        [
            exported.select(*told, "propensity", pl.lit(value=True).alias("is_contacted")),
            held_out.select(*told, propensity(rules).alias("propensity"), pl.lit(value=False).alias("is_contacted")),
        ]
    )
    share = pl.col("strategy_id").replace_strict(
        dict(rules.hands.control_shares), default=None, return_dtype=pl.Float64
    )
    own = pl.when(pl.col("own_arm") == CONTROL).then(share).otherwise(1 - share)
    known = [] if "reason" in both.columns else ["reason"]
    return both.with_columns(own.alias("own_propensity"), *(pl.lit(None).alias(name) for name in known))


def _first_time(assigned: pl.DataFrame, before: pl.DataFrame | None) -> pl.DataFrame:
    """The rows of users who never had the strategy, on any channel."""
    return assigned if before is None else assigned.join(before, on=["user_sk", "strategy_id"], how="anti")


def _of_words(assigned: pl.DataFrame, rules: DecisionRules) -> pl.DataFrame:
    """The rows of the experiments of words. Explorers are left out: their strategy was drawn, not earned."""
    shown = (1 - rules.control_share - rules.explore_share) / pl.col("n_words")
    is_held_out = pl.col("arm") == "control"
    return (
        assigned.filter((pl.col("n_words") > 1) & (pl.col("arm") != "explore"))
        .filter(is_held_out | pl.col("is_contacted"))
        .with_columns(
            (WORDS + pl.col("strategy_id") + "." + pl.col("channel")).alias("experiment_id"),
            pl.when(is_held_out).then(pl.lit("control")).otherwise("template_id").alias("arm"),
            pl.when(is_held_out)
            .then(rules.control_share)
            .otherwise(shown * (1 - _own_share(rules)))
            .alias("propensity"),
        )
    )


def _own_share(rules: DecisionRules) -> pl.Expr:
    shares = dict(rules.hands.control_shares)
    return pl.col("strategy_id").replace_strict(shares, default=0.0, return_dtype=pl.Float64)


def listed_contacts(assignments: pl.DataFrame, users: pl.DataFrame) -> pl.DataFrame:
    """user_sk, channel, assigned_at of every contact that earlier nights put on a list, sorted.

    `assignments` are rows of the ledger; `users` gives user_sk and user_id.
    """
    return (
        assignments.filter(_is_contacted())
        .join(users.select("user_sk", "user_id"), on="user_id", how="inner")
        .select("user_sk", "channel", "assigned_at")
        .unique()
        .sort("user_sk", "channel", "assigned_at")
    )


def contacts(assignments: pl.DataFrame, users: pl.DataFrame, *, catalogue: Catalogue) -> pl.DataFrame:
    """Every contact of earlier nights, as `series.CONTACTS`, those that the held out would have had included. Sorted.

    A held-out user rests as long as one who was written to: otherwise the control group would come up every night,
    the treated once in a while, and the two could not be compared. `assignments` are rows of the ledger; `users`
    gives user_sk and user_id. Nights that did not note step and words sent each strategy's first.
    """
    first = step_words(catalogue).filter((pl.col("step") == 1) & (pl.col("word") == 1))
    words = first.select("strategy_id", "channel", pl.col("template_id").alias("first_words"))
    return (
        assignments.filter(pl.col("strategy_id").is_not_null())
        .join(users.select("user_sk", "user_id"), on="user_id", how="inner")
        .join(words, on=["strategy_id", "channel"], how="left")
        .with_columns(
            pl.col("assigned_at").dt.date().alias("contact_on"),
            pl.col("step").fill_null(1),
            pl.coalesce("template_id", "first_words").alias("template_id"),
        )
        .select(list(CONTACTS))
        .unique()
        .sort(list(CONTACTS))
    )


def first_arms(assignments: pl.DataFrame, users: pl.DataFrame, *, rules: DecisionRules) -> pl.DataFrame:
    """The arm in which each user began each running experiment with arms of its own, as `holdout.ARMS`, sorted.

    Running are that of all and those of the strategies that hold users out. Rows of nights before the shares last
    changed do not count: who comes up again is drawn anew, by the new shares. `assignments` are rows of the ledger;
    `users` gives user_sk and user_id.
    """
    chances = [
        (rules.experiment_id, TREAT, 1 - rules.control_share - rules.explore_share),
        (rules.experiment_id, CONTROL, rules.control_share),
        (rules.experiment_id, EXPLORE, None),  # noted with the strategy's own chance
        *(
            (f"{OF_STRATEGY}{name}", arm, chance)
            for name, share in rules.hands.control_shares.items()
            for arm, chance in ((TREAT, 1 - share), (CONTROL, share))
        ),
    ]
    schema = {"experiment_id": pl.String, "arm": pl.String, "chance": pl.Float64}
    running = assignments.join(
        pl.DataFrame(chances, schema=schema, orient="row"), on=["experiment_id", "arm"], how="inner"
    )
    differs = ((pl.col("propensity") - pl.col("chance")).abs() > SHARE_STEP).fill_null(value=False)
    changed_on = pl.col("as_of").filter(differs).max().over("experiment_id")
    return (
        running.filter((pl.col("as_of") > changed_on).fill_null(value=True))
        .sort("user_id", "experiment_id", "assigned_at")
        .unique(["user_id", "experiment_id"], keep="first", maintain_order=True)
        .join(users.select("user_sk", "user_id"), on="user_id", how="inner", maintain_order="left")
        .select(list(ARMS))
    )


def _is_contacted() -> pl.Expr:
    # Nights that did not note it contacted everybody who was not held out.
    return pl.coalesce("is_contacted", pl.col("arm") != "control")
