"""What earlier contacts say of tonight: the next step of a series, pauses that grow without answers, words used up."""

from dataclasses import dataclass, field, replace
from datetime import date, timedelta

import polars as pl

from dagster_project.reach.persons import of_persons
from dagster_project.strategy.catalogue import Catalogue
from dagster_project.strategy.holdout import NO_ARMS

# Opinions, all three: longer pauses first, other words then, silence at last.
LONGER_AFTER = 2
OTHER_STRATEGY_AFTER = 3
REST_AFTER = 4
REST_DAYS = 90
LEAST_DAYS = 2  # never two nights in a row
GOLDEN = 0.6180339887498949  # the number worst approached by fractions: its multiples fill [0, 1) evenly

CONTACTS = pl.Schema(
    {
        "user_sk": pl.Int64(),
        "contact_on": pl.Date(),
        "strategy_id": pl.String(),
        "channel": pl.String(),
        "step": pl.Int32(),
        "template_id": pl.String(),
    }
)
ANSWERS = pl.Schema({"user_sk": pl.Int64(), "answered_on": pl.Date()})
STANDING = pl.Schema(
    {
        "user_sk": pl.Int64(),
        "last_contact_on": pl.Date(),
        "n_unanswered": pl.Int64(),
        "series_id": pl.String(),
        "series_step": pl.Int32(),
        "series_on": pl.Date(),
        "free_on": pl.Date(),
        "unanswered_ids": pl.List(pl.String()),
    }
)


@dataclass(frozen=True, kw_only=True)
class Past:
    """Every contact of earlier nights (CONTACTS), each user's last active day, human open or click (ANSWERS), and the
    arms in which users began the experiments that run (`holdout.ARMS`).
    """

    contacts: pl.DataFrame
    answers: pl.DataFrame
    arms: pl.DataFrame = field(default_factory=NO_ARMS.clone)


NO_PAST = Past(contacts=CONTACTS.to_frame(), answers=ANSWERS.to_frame())


def known_to_every_account(past: Past, users: pl.DataFrame) -> Past:
    """The past of persons: it is the person who was written to and who answers, on whichever of their accounts.

    `users`: user_sk and person_key.
    """
    answers = of_persons(past.answers, users).group_by("user_sk").agg(pl.col("answered_on").max())
    contacts = of_persons(past.contacts, users).unique(maintain_order=True)
    return replace(past, contacts=contacts, answers=answers.sort("user_sk"))


def standings(past: Past, *, catalogue: Catalogue, min_days_between: int) -> pl.DataFrame:
    """One row per user ever written to: what may come next, and when. Sorted by user_sk.

    A contact is answered by anything on its day or later: that ends the series (the stop rule) and the growing of
    pauses.
    `series_id`, `series_step`, `series_on`: the strategy whose next step is due and from when, null if none runs.
    `free_on`: from when anything else may be sent. After LONGER_AFTER unanswered contacts the pause is twice
    `min_days_between`, after REST_AFTER it is REST_DAYS.
    """
    asked = past.contacts.join(past.answers, on="user_sk", how="left")
    is_open = (pl.col("contact_on") > pl.col("answered_on")).fill_null(value=True)
    last = asked.group_by("user_sk").agg(
        pl.col("contact_on").max().alias("last_contact_on"),
        is_open.sum().cast(pl.Int64).alias("n_unanswered"),
        pl.col("strategy_id", "step").sort_by("contact_on", "strategy_id", "channel").last(),
        pl.col("strategy_id").filter(is_open).unique().sort().alias("unanswered_ids"),
    )
    touches = {one.id: one.dose.max_touches for one in catalogue.sending}
    between = {one.id: max(one.dose.days_between, LEAST_DAYS) for one in catalogue.sending}
    runs = (pl.col("n_unanswered") > 0) & (pl.col("step") < _of_strategy(touches))
    return (
        last.with_columns(pl.when(runs).then("strategy_id").alias("series_id"))
        .with_columns(
            pl.when(runs).then(pl.col("step") + 1).cast(pl.Int32).alias("series_step"),
            pl.when(runs).then(_later("last_contact_on", _of_strategy(between))).alias("series_on"),
            _later("last_contact_on", _pause(min_days_between)).alias("free_on"),
        )
        .select(list(STANDING))
        .sort("user_sk")
    )


def next_options(
    options: pl.DataFrame,
    standing: pl.DataFrame,
    past: Past,
    *,
    catalogue: Catalogue,
    draws: pl.DataFrame | None = None,
) -> pl.DataFrame:
    """The options that have something new to say, with `step`, `template_id` and `n_words`; order kept.

    No words go to a user twice. Of a running series only the next step is left, if there are words for it. Everything
    else begins at step 1: a series with its first words, a single message with words not used yet. Of several,
    `n_words` in number, the user's draw (`draws`: user_sk, `draw` in [0, 1)) takes one, each equally likely; without
    draws the first. After OTHER_STRATEGY_AFTER unanswered contacts a strategy that was not answered is no option
    either. `max_touches` of an option ends a series.
    """
    known = standing.select("user_sk", "n_unanswered", "series_id", "series_step", "unanswered_ids")
    is_next = (pl.col("strategy_id") == pl.col("series_id")).fill_null(value=False)
    is_stale = (pl.col("n_unanswered") >= OTHER_STRATEGY_AFTER) & pl.col("unanswered_ids").list.contains(
        pl.col("strategy_id")
    )
    worded = (
        options.with_row_index("place")
        .join(known, on="user_sk", how="left")
        .filter(is_next | ~is_stale.fill_null(value=False))
        .with_columns(pl.when(is_next).then("series_step").otherwise(pl.lit(1)).cast(pl.Int32).alias("step"))
        .filter(pl.col("step") <= pl.col("max_touches"))
        .join(step_words(catalogue), on=["strategy_id", "channel", "step"], how="inner")
        .join(past.contacts, on=["user_sk", "template_id"], how="anti")
        .filter(is_next | ~is_next.any().over("user_sk"))
        .sort("place", "word")
    )
    at = pl.int_range(pl.len()).over("place")
    return (
        worded.with_columns(pl.len().over("place").cast(pl.Int32).alias("n_words"))
        .with_columns(_drawn_word(worded, draws, past, catalogue))
        .filter(at == pl.col("drawn"))
        .select(*options.columns, "step", "template_id", "n_words")
    )


def _drawn_word(worded: pl.DataFrame, draws: pl.DataFrame | None, past: Past, catalogue: Catalogue) -> pl.Series:
    """Per row the place, among the words left for its option, of those that are drawn."""
    if draws is None:
        return pl.Series("drawn", [0] * worded.height, dtype=pl.Int64)
    before = past.contacts.group_by("user_sk").agg(pl.len().alias("n_before"))
    rows = (
        worded.select("user_sk", "strategy_id", "place")
        .join(draws, on="user_sk", how="left", maintain_order="left")
        .join(before, on="user_sk", how="left", maintain_order="left")
    )
    # One draw a user serves every strategy and every turn: moved on by a step that is nobody's multiple, round 1.
    turns = _of_strategy({one.id: at for at, one in enumerate(catalogue.sending)}) + pl.col("n_before").fill_null(0)
    moved = (pl.col("draw").fill_null(0.0) + turns * GOLDEN) % 1
    return rows.select((moved * pl.len().over("place")).floor().cast(pl.Int64).alias("drawn"))["drawn"]


def pauses(standing: pl.DataFrame, options: pl.DataFrame, *, as_of: date) -> pl.DataFrame:
    """`user_sk`, `cool_until` of users who are not written to the day after `as_of`. Sorted by user_sk.

    `options` come from `next_options`: a series with a next step there is waited for, however free the user is
    otherwise, and goes on although the user is not free for anything else.
    """
    running = options.select("user_sk", pl.col("strategy_id").alias("series_id"), pl.lit(value=True).alias("runs"))
    return (
        standing.join(running, on=["user_sk", "series_id"], how="left")
        .with_columns(pl.when("runs").then("series_on").otherwise("free_on").alias("cool_until"))
        .filter(pl.col("cool_until") > as_of + timedelta(days=1))
        .select("user_sk", "cool_until")
        .sort("user_sk")
    )


def step_words(catalogue: Catalogue) -> pl.DataFrame:
    """strategy_id, channel, step, word (order of trying), template_id: which words each step of a strategy may use.

    A series has its words in the order of the file; a strategy of one touch may use any that fit the channel.
    """
    rows = [
        (one.id, channel, 1 if one.dose.max_touches == 1 else place, place, template.template_id)
        for one in catalogue.sending
        for channel in one.channels
        for place, template in enumerate((t for t in one.templates if channel in t.channels), start=1)
        if one.dose.max_touches == 1 or place <= one.dose.max_touches
    ]
    schema = {"strategy_id": pl.String, "channel": pl.String, "step": pl.Int32, "word": pl.Int32}
    return pl.DataFrame(rows, schema=schema | {"template_id": pl.String}, orient="row")


def _of_strategy(values: dict[str, int]) -> pl.Expr:
    # A strategy that has left the catalogue has no next step.
    return pl.col("strategy_id").replace_strict(values, default=None, return_dtype=pl.Int64)


def _later(column: str, days: pl.Expr) -> pl.Expr:
    return (pl.col(column) + pl.duration(days=days)).cast(pl.Date)


def _pause(min_days_between: int) -> pl.Expr:
    usual = max(min_days_between, LEAST_DAYS)
    n = pl.col("n_unanswered")
    return (
        pl.when(n >= REST_AFTER)
        .then(pl.lit(max(REST_DAYS, usual)))
        .when(n >= LONGER_AFTER)
        .then(pl.lit(2 * usual))
        .otherwise(pl.lit(usual))
    )
