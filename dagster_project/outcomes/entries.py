"""Who entered which experiment, when and in which arm: the first row of each user, and who is set aside.

What makes an experiment unreadable is the matter of `faults`.
"""

from dataclasses import dataclass, field
from datetime import date
from functools import cached_property

import polars as pl

from dagster_project.outcomes.vocabulary import CONTROL, HORIZONS, TREAT, WORDS, is_control_word
from dagster_project.reach.fatigue import exact_sum

LEDGER, IMPORTED = "ledger", "imported"
KEY = ["experiment_id", "user_id"]
MOST_ASIDE = 0.01  # of an experiment's users; more in two arms, and its arms were not kept. An opinion
ALL_BUT_SOME = 1 - 1e-9
ENTRIES = pl.Schema(
    {
        "experiment_id": pl.String(),
        "user_id": pl.String(),
        "arm": pl.String(),
        "assigned_on": pl.Date(),
        "propensity": pl.Float64(),
        "origin": pl.String(),
        "strategy_id": pl.String(),
        "channel": pl.String(),
        "template_id": pl.String(),
        "stage": pl.String(),
        "reason": pl.String(),
        "value_tier": pl.String(),
        "p_return": pl.Float64(),
        "uplift": pl.Float64(),
        "value_if_returned": pl.Float64(),
        "fit_content": pl.Float64(),
        "fit_reason": pl.Float64(),
        "is_churned": pl.Boolean(),
        "is_contacted": pl.Boolean(),
        **{f"cost_{days}": pl.Float64() for days in HORIZONS},
    }
)
SHARED = pl.Schema({"user_id": pl.String(), "user_sk": pl.Int64()})
ROWS = pl.Schema(
    {
        **{name: kind for name, kind in ENTRIES.items() if not name.startswith("cost_")},
        "assigned_at": pl.Datetime("us", "UTC"),
        "outcome_at": pl.Datetime("us", "UTC"),
        "step": pl.Int32(),
        "expected_cost": pl.Float64(),
    }
)
"""What is read of an assignment. Only user_id, experiment_id, arm and assigned_on must be there."""

OF_USER = ("user " + pl.col("user_id")).alias("person")
OF_PERSON = ("person " + pl.col("user_sk").cast(pl.String)).alias("person")


@dataclass(frozen=True)
class Assignments:
    """The assignments of some experiments: `rows` as ROWS, sorted by KEY, and who cannot be read by them.

    `records_from`: the first day of which the store has an event; None where nobody asks. `shared`: user_id, user_sk
    (of the person) of the accounts that share a person (see `persons.shared_accounts`).
    """

    rows: pl.DataFrame
    records_from: date | None = None
    shared: pl.DataFrame = field(default_factory=SHARED.to_frame)

    @cached_property
    def early(self) -> pl.DataFrame:
        """experiment_id, user_id of those who entered before the records begin, `is_few`: fewer than all.

        Whether they came back is not known: the days on which they could have done are not all on record. The day of
        entry knows of no arm, so the others can be read without them, however many they are.
        """
        first = self.records_from
        before = self.rows.clear() if first is None else self.rows.filter(pl.col("assigned_on") < first)
        return _with_is_few(before.select(*KEY, OF_USER).unique(), self.rows, most=ALL_BUT_SOME)

    @cached_property
    def moved(self) -> pl.DataFrame:
        """experiment_id, user_id of those in two arms, `person`, `is_few`: few enough for the others to be read.

        Of an import also the accounts of persons who stand in one arm by one and in another by the other. In the
        ledger a person's arm lasts from before the accounts were known to be one's, so there they are left alone.
        """
        moved, imported = _moved(self.rows), self._imported_shared
        if imported.is_empty():
            return _with_is_few(moved, self.rows)
        person = ["experiment_id", "user_sk"]
        in_two = imported.group_by(person).agg(pl.col("arm").n_unique().alias("n")).filter(pl.col("n") > 1)
        theirs = imported.join(in_two, on=person, how="semi").select(*KEY, OF_PERSON).unique()
        both = pl.concat([theirs, moved.join(theirs, on=KEY, how="anti")])
        return _with_is_few(both, self.rows, imported)

    @cached_property
    def _imported_shared(self) -> pl.DataFrame:
        """The rows of imports whose users are accounts that share a person, with `user_sk` of the person."""
        if self.shared.is_empty():
            return self.rows.clear().with_columns(pl.lit(None, dtype=pl.Int64).alias("user_sk"))
        imported = self.rows.filter(pl.col("origin") == IMPORTED).select(*KEY, "arm")
        return imported.join(self.shared, on="user_id", how="inner")


def assignment_rows(
    *frames: pl.DataFrame, records_from: date | None = None, shared: pl.DataFrame | None = None
) -> Assignments:
    """The rows of several files in one form: absent columns are null, arms in small letters, held-out words called
    `control`."""
    told = [frame.select([name for name in ROWS if name in frame.columns]) for frame in frames]
    rows = pl.concat([ROWS.to_frame(), *told], how="diagonal_relaxed").select(list(ROWS)).cast(ROWS)
    arms = rows["arm"].drop_nulls().unique()
    called = {told: CONTROL if is_control_word(told) else told.strip().lower() for told in arms}
    renamed = rows[_order(rows)].with_columns(pl.col("arm").replace(called))
    return Assignments(renamed, records_from, SHARED.to_frame() if shared is None else shared)


def _order(rows: pl.DataFrame) -> pl.Series:
    """The places of rows sorted by KEY, equal ones as they stood. Nights come sorted by user, which costs little to
    see, where a sort by both columns costs the most of all that is done to a row."""
    names = sorted(rows["experiment_id"].unique())
    by_user = rows["user_id"].arg_sort()
    experiment = rows["experiment_id"].cast(pl.Enum(names)).to_physical()
    return by_user.gather(experiment.gather(by_user).to_numpy().argsort(kind="stable"))


def first_entries(assigned: Assignments) -> pl.DataFrame:
    """One row per user and experiment, as ENTRIES: the user's first assignment in it, with what was known then.

    By intention to treat a user counts where the user began, whatever came later, and was or was not sent.
    `cost_<days>` sums the expected cost of the user's contacts within those days of the entry (a series once, at its
    first step); null where no cost is noted, nought for the held out. Users who moved from arm to arm, or entered
    before the records begin, are left out where they are few (see `set_aside`). Sorted by KEY.
    """
    few = pl.concat([found.filter("is_few").select(KEY) for found in (assigned.moved, assigned.early)])
    kept = assigned.rows.join(few, on=KEY, how="anti", maintain_order="left") if few.height else assigned.rows
    is_one_of_several = _is_one_of_several(kept)
    several = kept.filter(is_one_of_several)  # few as a rule: to sort and add up all rows is most of the work
    alone = _with_own_costs(kept.filter(~is_one_of_several)).select(list(ENTRIES))
    if several.is_empty():
        return alone
    order = [*KEY, "assigned_on", "assigned_at", "arm", "strategy_id", "channel", "step", "template_id"]
    first = several.sort(order, nulls_last=True).unique(KEY, keep="first", maintain_order=True)
    entered = first.join(_costs(several, first), on=KEY, how="left", maintain_order="left").select(list(ENTRIES))
    both = pl.concat([alone, entered])
    return both[_order(both)]


def _is_one_of_several(rows: pl.DataFrame) -> pl.Series:
    again = pl.all_horizontal(pl.col(KEY) == pl.col(KEY).shift(1)).fill_null(value=False)
    return rows.select(again | again.shift(-1, fill_value=False)).to_series()


def set_aside(assigned: Assignments) -> pl.DataFrame:
    """experiment_id, reason, n_users (each person once) of those who are left out, where they are few. Sorted."""
    reasons = {"being in two arms": assigned.moved, "having entered before the records begin": assigned.early}
    counted = [
        found.filter("is_few")
        .group_by("experiment_id", pl.lit(reason).alias("reason"))
        .agg(pl.col("person").n_unique().cast(pl.Int64).alias("n_users"))
        for reason, found in reasons.items()
    ]
    return pl.concat(counted).sort("experiment_id", "reason")


def is_of_words() -> pl.Expr:
    """Whether an experiment is on words alone: its arms are written to, and a control is not needed."""
    return pl.col("experiment_id").str.starts_with(WORDS)


def _began() -> pl.Expr:
    return (pl.col("arm") != CONTROL) & (pl.col("step").fill_null(1) == 1)


def _with_own_costs(rows: pl.DataFrame) -> pl.DataFrame:
    """The rows of users who have one each, with what `_costs` would say."""
    own = (pl.col("expected_cost") * 1e6).round() / 1e6
    cost = pl.when(pl.col("arm") == CONTROL).then(0.0).when(_began()).then(own)
    return rows.with_columns(cost.alias(f"cost_{days}") for days in HORIZONS)


def _costs(rows: pl.DataFrame, first: pl.DataFrame) -> pl.DataFrame:
    paid = rows.filter(_began() & pl.col("expected_cost").is_not_null()).select(
        *KEY, pl.col("assigned_on").alias("paid_on"), "expected_cost"
    )
    since = (pl.col("paid_on") - pl.col("assigned_on")).dt.total_days()
    held = pl.col("arm") == CONTROL
    summed = (
        first.select(*KEY, "arm", "assigned_on")
        .join(paid, on=KEY, how="inner")
        .with_columns(
            pl.when(since < days).then("expected_cost").otherwise(0.0).alias(f"cost_{days}") for days in HORIZONS
        )
        .group_by(KEY)
        .agg(exact_sum(f"cost_{days}").alias(f"cost_{days}") for days in HORIZONS)
    )
    costs = first.select(*KEY, "arm").join(summed, on=KEY, how="left", maintain_order="left")
    return costs.select(
        *KEY,
        *(pl.when(held).then(0.0).otherwise(pl.col(f"cost_{days}")).alias(f"cost_{days}") for days in HORIZONS),
    )


def _moved(rows: pl.DataFrame) -> pl.DataFrame:
    """Who is in two arms by one account, of the rows that some user and experiment have several of."""
    again = rows.filter(_is_one_of_several(rows))
    several = again.group_by(KEY).agg(pl.col("arm").n_unique().alias("n")).filter(pl.col("n") > 1).select(KEY)
    if several.is_empty():
        return several.with_columns(OF_USER)
    told = again.join(several, on=KEY, how="semi").join(
        _shares_in_force(rows), on=["experiment_id", "assigned_on"], how="left"
    )
    within = told.group_by([*KEY, "shares"]).agg(pl.col("arm").n_unique().alias("n")).filter(pl.col("n") > 1)
    return within.select(KEY).unique().with_columns(OF_USER)


def _with_is_few(
    found: pl.DataFrame, rows: pl.DataFrame, shared: pl.DataFrame | None = None, *, most: float = MOST_ASIDE
) -> pl.DataFrame:
    """The users found (KEY, person), and whether the persons are so few of their experiment's that the others can be
    read without them: at most this share. `shared`: the rows of accounts that share a person."""
    if found.is_empty():
        return found.with_columns(pl.lit(value=True).alias("is_few"))
    ids = pl.col("user_id").n_unique()
    users = rows.group_by("experiment_id").agg(ids.alias("n_users"))
    if shared is not None:
        again = shared.group_by("experiment_id").agg((ids - pl.col("user_sk").n_unique()).alias("n_again"))
        users = users.join(again, on="experiment_id", how="left").with_columns(
            pl.col("n_users") - pl.col("n_again").fill_null(0)
        )
    persons = pl.col("person").n_unique().over("experiment_id")
    return found.join(users, on="experiment_id", how="left").select(
        *KEY, "person", (persons <= most * pl.col("n_users")).alias("is_few")
    )


def _shares_in_force(rows: pl.DataFrame) -> pl.DataFrame:
    """experiment_id, assigned_on, shares: a name for what a day of the ledger was drawn by; one for all days else."""
    days = rows.group_by("experiment_id", "assigned_on").agg(
        *(pl.col("propensity").filter(pl.col("arm") == arm).max().alias(arm) for arm in (TREAT, CONTROL)),
        (pl.col("origin") == LEDGER).all().alias("is_ledger"),
    )
    shares = pl.col(TREAT, CONTROL)
    filled = shares.forward_fill().over("experiment_id", order_by="assigned_on")
    whole = shares.backward_fill().over("experiment_id", order_by="assigned_on")
    name = pl.format("{} {}", pl.col(TREAT).round(6).fill_null(-1), pl.col(CONTROL).round(6).fill_null(-1))
    return (
        days.with_columns(filled)
        .with_columns(whole)
        .select("experiment_id", "assigned_on", pl.when("is_ledger").then(name).otherwise(pl.lit("")).alias("shares"))
    )
