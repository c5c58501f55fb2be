"""What of its rows makes an experiment unreadable.

What is wrong is named per experiment, never mended: a broken experiment is shown and not read. Arms that chance should
have filled otherwise, and arms that differed before, are found by the readout.
"""

from datetime import date, timedelta

import polars as pl

from dagster_project.outcomes.entries import IMPORTED, Assignments, is_of_words
from dagster_project.outcomes.vocabulary import CONTROL, CONTROL_WORDS, EXPLORE

FAULTS = pl.Schema({"experiment_id": pl.String(), "fault": pl.String(), "explanation": pl.String()})
ARMS_NAMED = 5
# Of the users of an import; more, and its ids are hardly those of the events. An opinion. Fewer may well be sound: of
# users who left before the records begin only those who come back are ever known.
MOST_UNKNOWN = 0.99


def find_faults(assigned: Assignments, entries: pl.DataFrame, *, as_of: date) -> pl.DataFrame:
    """What of the rows themselves makes an experiment unreadable (FAULTS); several faults are several rows.

    `entries`: ENTRIES; without a column `is_known` nobody asks whether its users are known.
    """
    arms = _by_arm(entries)
    found = [
        _no_control(arms),
        _empty_arms(arms),
        _two_arms(assigned.moved),
        _unknown_users(arms),
        _before_the_records(assigned.early, assigned.records_from),
        _impossible_propensities(arms),
        _of_another_arm(arms, entries),
        _in_the_future(assigned.rows, as_of),
        _after_the_outcome(assigned.rows),
    ]
    return pl.concat([FAULTS.to_frame(), *found]).sort(list(FAULTS))


def _named(frame: pl.DataFrame, fault: str, explanation: pl.Expr) -> pl.DataFrame:
    whole = frame.rechunk()  # polars 2.1 panics in `pl.format` where a filter has left the first chunk empty
    return whole.select("experiment_id", pl.lit(fault).alias("fault"), explanation.alias("explanation")).cast(FAULTS)


def _by_arm(entries: pl.DataFrame) -> pl.DataFrame:
    p = pl.col("propensity")
    is_known = pl.col("is_known") if "is_known" in entries.columns else pl.lit(value=True)
    return entries.group_by("experiment_id", "arm").agg(
        pl.len().alias("n"),
        p.max(),
        p.null_count().alias("n_null"),
        ((p <= 0) | (p >= 1) | p.is_nan()).sum().alias("n_odd"),
        ((p.min() == p.max()) & (p.null_count() == 0)).fill_null(value=False).alias("is_constant"),
        (pl.col("origin") == IMPORTED).all().alias("is_imported"),
        (~is_known).sum().alias("n_unknown"),
    )


def _no_control(arms: pl.DataFrame) -> pl.DataFrame:
    """Experiments without a control; of imports also which arms were found, and how to say which of them it is."""
    arm = pl.col("arm").sort()
    told = arms.group_by("experiment_id").agg(
        (arm == CONTROL).any().alias("has_control"),
        pl.col("is_imported").all(),
        pl.format("{}{}", arm.head(ARMS_NAMED).str.join(", "), _more(pl.len().cast(pl.Int64) - ARMS_NAMED)).alias(
            "found"
        ),
    )
    without = told.filter(~pl.col("has_control") & ~is_of_words())
    plain = "Nobody was held out, so there is nothing to compare with."
    how = (
        f"{plain} Its arms are: {{}}. Of these words none means the held out, as these do: {', '.join(CONTROL_WORDS)}. "
        "If one of its arms is that, say so in the settings, sources.assignments.columns: "
        "arm = \"case when arm = 'your word' then 'control' else arm end\"."
    )
    said = pl.when("is_imported").then(pl.format(how, "found")).otherwise(pl.lit(plain))
    return _named(without, "no control", said)


def _more(n: pl.Expr) -> pl.Expr:
    return pl.when(n > 0).then(pl.format(" and {} more", n)).otherwise(pl.lit(""))


def _empty_arms(arms: pl.DataFrame) -> pl.DataFrame:
    """Experiments of one arm, and imported ones whose constant propensities leave more than 2 % to nobody.

    In the ledger treat and control leave room for explorers, of whom a small night may have none.
    """
    told = (
        arms.group_by("experiment_id")
        .agg(
            pl.len().alias("n_arms"),
            pl.col("arm").sort().first().alias("only"),
            pl.col("propensity").sort().sum().alias("share"),
            pl.col("is_constant").all(),
            (pl.col("is_imported").all() & (pl.col("arm") != EXPLORE).all()).alias("is_told"),
        )
        .with_columns((pl.col("is_constant") & pl.col("is_told") & (pl.col("share") < 0.98)).alias("is_short"))
    )
    one = told.filter(pl.col("n_arms") == 1)
    short = told.filter((pl.col("n_arms") > 1) & pl.col("is_short"))
    said = pl.format("The shares of the arms add up to {}: an arm has no users.", pl.col("share").round(2))
    return pl.concat(
        [
            _named(one, "empty arm", pl.format("Only the arm {} has users.", pl.col("only"))),
            _named(short, "empty arm", said),
        ]
    )


def _two_arms(moved: pl.DataFrame) -> pl.DataFrame:
    """Users with two arms, unless they are few. In the ledger those whom new shares moved are none."""
    counted = (
        moved.filter(~pl.col("is_few"))
        .group_by("experiment_id")
        .agg(pl.col("person").n_unique().alias("n"), pl.col("user_id").n_unique().alias("n_accounts"))
    )
    of_persons = "{} of its persons, who have {} accounts, are in two arms: accounts of one person were drawn apart."
    said = (
        pl.when(pl.col("n") < pl.col("n_accounts"))
        .then(pl.format(of_persons, "n", "n_accounts"))
        .otherwise(pl.format("{} of its users are in two arms.", "n"))
    )
    return _named(counted, "two arms", said)


def _unknown_users(arms: pl.DataFrame) -> pl.DataFrame:
    """Imports hardly any of whose users has an event or a profile: most likely their ids are of another kind."""
    counted = arms.group_by("experiment_id").agg(pl.col("n", "n_unknown").sum(), pl.col("is_imported").all())
    unknown = counted.filter(pl.col("is_imported") & (pl.col("n_unknown") > MOST_UNKNOWN * pl.col("n")))
    said = (
        "{} of {} users are unknown: no event and no profile has their id. The ids of the import are likely of another "
        "kind, or written otherwise, than those of the events: see sources.assignments.columns, user_id."
    )
    return _named(unknown, "users unknown", pl.format(said, "n_unknown", "n"))


def _before_the_records(early: pl.DataFrame, records_from: date | None) -> pl.DataFrame:
    """Experiments that all users entered before the first day of events: silence then is no news of them."""
    counted = early.filter(~pl.col("is_few")).group_by("experiment_id").len()
    said = (
        f"All {{}} users entered before {records_from}, the first day with an event: whether they came back then is "
        "not known. Deliver older events."
    )
    return _named(counted, "before the records begin", pl.format(said, "len"))


def _impossible_propensities(arms: pl.DataFrame) -> pl.DataFrame:
    """0, 1 or beyond, and null beside known ones. An experiment that tells none at all goes by its own shares."""
    counted = arms.group_by("experiment_id").agg(pl.col("n_odd", "n_null", "n").sum())
    impossible = counted.filter(pl.col("n_odd") > 0)
    partly = counted.filter((pl.col("n_null") > 0) & (pl.col("n_null") < pl.col("n")))
    said = "{} of {} users had a chance of 0 or 1 of their arm: nothing was left to chance."
    unsaid = "{} of {} users have no propensity, the others do."
    return pl.concat(
        [
            _named(impossible, "impossible propensity", pl.format(said, "n_odd", "n")),
            _named(partly, "missing propensity", pl.format(unsaid, "n_null", "n")),
        ]
    )


def _of_another_arm(arms: pl.DataFrame, entries: pl.DataFrame) -> pl.DataFrame:
    """Imports whose constant shares add up to more than 1.02 on the day when most entered, the first such day of
    several: a chance of treatment on every row, as a rule. Arms that follow each other may well add up to more."""
    told = arms.group_by("experiment_id").agg(
        (pl.col("is_constant") & pl.col("is_imported") & (pl.col("n_odd") == 0)).all().alias("is_told"),
        (pl.col("arm") != EXPLORE).all().alias("is_plain"),
        pl.col("propensity").sort().sum().alias("share"),
    )
    suspected = told.filter(pl.col("is_told") & pl.col("is_plain") & (pl.col("share") > 1.02))["experiment_id"]
    theirs = entries.filter(pl.col("experiment_id").is_in(suspected.implode())) if suspected.len() else entries.clear()
    over = (
        theirs.group_by("experiment_id", "assigned_on", "arm")
        .agg(pl.len().alias("n"), pl.col("propensity").max())
        .group_by("experiment_id", "assigned_on")
        .agg(pl.col("n").sum(), pl.col("propensity").sort().sum().alias("share"))
        .sort("experiment_id", "n", "assigned_on", descending=[False, True, False])
        .unique("experiment_id", keep="first", maintain_order=True)
        .filter(pl.col("share") > 1.02)
    )
    said = (
        "The shares of the arms add up to {}: propensity means the chance of the arm that stands in the row, so a row "
        "of the control needs the chance of the control."
    )
    return _named(over, "impossible propensity", pl.format(said, pl.col("share").round(2)))


def _in_the_future(rows: pl.DataFrame, as_of: date) -> pl.DataFrame:
    """Rows that the night cannot know of. Read from the store there are none: a night sees no later row."""
    late = rows.filter(pl.col("assigned_on") > as_of + timedelta(days=1)).group_by("experiment_id").len()
    return _named(late, "assigned in the future", pl.format("{} assignments are dated after this night.", "len"))


def _after_the_outcome(rows: pl.DataFrame) -> pl.DataFrame:
    late = rows.filter(pl.col("outcome_at") < pl.col("assigned_at")).group_by("experiment_id").len()
    said = pl.format("{} users were assigned after the outcome that their own row tells of.", "len")
    return _named(late, "assigned after the outcome", said)
