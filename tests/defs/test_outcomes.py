"""Experiments read back on a night of the simulated company, and broken ones set aside while it goes on."""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import polars as pl

from dagster_project.defs.outcomes import experiment_facts, known_assignments, make_outcomes
from dagster_project.outcomes.tables import TABLES
from dagster_project.strategy.ledger import ASSIGNMENTS
from defs.worlds import NIGHT, Company, plain

BEFORE = NIGHT - timedelta(days=40)


def ledger(rows: list[tuple[str, str]], *, experiment_id: str, on: date) -> pl.DataFrame:
    """Rows of one night of the ledger: user and arm."""
    made = pl.DataFrame(rows, schema=["user_id", "arm"], orient="row").with_columns(
        pl.lit(experiment_id).alias("experiment_id"),
        pl.lit(datetime(on.year, on.month, on.day, tzinfo=UTC) + timedelta(days=1)).alias("assigned_at"),
        pl.lit(0.5).alias("propensity"),
        pl.lit(on).alias("as_of"),
    )
    return pl.concat([ASSIGNMENTS.to_frame(), made], how="diagonal_relaxed").select(list(ASSIGNMENTS)).cast(ASSIGNMENTS)


def test_the_imported_campaign_is_read_and_tonights_own_decisions_are_not(past: Company) -> None:
    experiments = past.project.read("outcomes.experiments", as_of=NIGHT)
    entries = past.project.read("outcomes.entries", as_of=NIGHT)
    assigned = past.project.seen("staging.assignments", as_of=NIGHT)

    assert experiments["experiment_id"].to_list() == ["winback_past"]
    assert experiments["decision"][0] != "broken"
    assert entries.height == assigned.height
    assert entries["n_days_seen"].unique().to_list() == [(NIGHT - assigned["dt"][0]).days + 1]


def test_returns_are_the_active_days_from_the_day_of_entry_on(past: Company) -> None:
    entries = past.project.read("outcomes.entries", as_of=NIGHT)
    users = past.project.read("marts.users", as_of=NIGHT).select("user_id", "user_sk")
    days = past.project.seen("intermediate.user_days", as_of=NIGHT).filter(pl.col("n_core_events") > 0)
    since = (pl.col("dt") - pl.col("assigned_on")).dt.total_days()

    expected = (
        entries.select("user_id", "assigned_on")
        .join(users, on="user_id")
        .join(days, on="user_sk")
        .filter(since >= 0)
        .group_by("user_id")
        .agg(since.min().alias("returned_after"))
        .sort("user_id")
    )

    told = entries.filter(pl.col("returned_after").is_not_null()).select("user_id", "returned_after").sort("user_id")
    assert told.rows() == expected.rows()
    assert told.height > 3


def test_a_broken_experiment_of_the_ledger_is_named_and_the_others_are_read(copied: Company) -> None:
    project = copied.project
    users = project.read("marts.users", as_of=NIGHT)["user_id"].to_list()
    arms = [(user, "treat" if place % 2 else "control") for place, user in enumerate(users[:200])]
    sound = ledger(arms, experiment_id="global_holdout", on=BEFORE)
    moved = [(users[at], "treat") for at in (0, 2, 4)]
    twice = ledger([*arms, *moved], experiment_id="strategy.whats_new", on=BEFORE)
    once = ledger([*arms, *moved[:1]], experiment_id="strategy.price_save", on=BEFORE)
    alone = ledger([(users[1], "treat")], experiment_id="strategy.sunset", on=BEFORE)
    project.write("strategy.assignments", pl.concat([sound, twice, once, alone]), as_of=BEFORE)

    made = make_outcomes(project, NIGHT)

    experiments = {row["experiment_id"]: row for row in made["outcomes.experiments"].iter_rows(named=True)}
    assert experiments["strategy.whats_new"]["faults"] == "two arms"
    assert experiments["strategy.price_save"]["n_users"] == 199
    assert experiments["strategy.price_save"]["explanation"].endswith("Users set aside, being in two arms: 1.")
    assert experiments["strategy.sunset"]["faults"] == "empty arm; no control"
    assert experiments["global_holdout"]["decision"] != "broken"
    assert experiments["global_holdout"]["started_on"] == BEFORE + timedelta(days=1)
    assert set(made["outcomes.readouts"]["experiment_id"]) == {"global_holdout", "strategy.price_save", "winback_past"}
    randomised = made["outcomes.entries"].group_by("experiment_id").agg(pl.col("is_randomised").all())
    assert dict(randomised.iter_rows()) == {
        "global_holdout": True,
        "strategy.price_save": True,
        "strategy.sunset": False,
        "strategy.whats_new": False,
        "winback_past": True,
    }
    facts = experiment_facts(made["outcomes.experiments"])
    assert "strategy.sunset: broken" in facts


def test_a_night_sees_no_ledger_of_its_own_or_later(copied: Company) -> None:
    project = copied.project
    users = project.read("marts.users", as_of=NIGHT).select("user_sk", "user_id")
    late = NIGHT + timedelta(days=1)
    project.write(
        "strategy.assignments", ledger([(users["user_id"][0], "treat")], experiment_id="later", on=late), as_of=late
    )

    assert set(known_assignments(project, users, NIGHT)["experiment_id"]) == {"winback_past"}


def test_without_ledger_and_imports_the_tables_are_empty_and_the_report_says_so(tmp_path: Path) -> None:
    rows = "".join(f"u{i},2024-01-{1 + i % 28:02d}T10:00:00,visit\n" for i in range(40))
    company = plain(tmp_path / "bare", rows)

    company.run(date(2024, 1, 28))

    made = {doc.table: company.project.read(doc.table, as_of=date(2024, 1, 28)) for doc in TABLES}
    assert {table: frame.height for table, frame in made.items()} == {doc.table: 0 for doc in TABLES}
    report = (company.reports(date(2024, 1, 28)) / "report.html").read_text(encoding="utf-8")
    assert "There is no experiment to read yet" in report
