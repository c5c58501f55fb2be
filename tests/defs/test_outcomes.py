"""Experiments read back on a night of the simulated company, and broken ones set aside while it goes on."""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import polars as pl

from dagster_project.defs.outcomes import OutcomeNight, experiment_facts, make_outcomes
from dagster_project.outcomes.tables import TABLES
from dagster_project.reports.outcomes import PAGES
from dagster_project.strategy.ledger import ASSIGNMENTS
from defs.worlds import NIGHT, PLAIN, Company, plain

IMPORTED = """
[sources.assignments]
path = "assigned.csv"
columns = { user_id = "uid", experiment_id = "test", arm = "arm", assigned_at = "at" }
"""
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
    assert experiments["strategy.price_save"]["n_users"] == experiments["global_holdout"]["n_users"] - 1
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
    facts = experiment_facts(project, NIGHT, made)
    assert set(facts) == {f"experiment {name}" for name in experiments}
    assert "**Broken, since " in str(facts["experiment strategy.sunset"])
    assert "Gains over time: came back" in str(facts["experiment winback_past"])


def test_a_decision_keeps_the_night_on_which_it_changed_however_often_a_night_is_run(copied: Company) -> None:
    project, first, last = copied.project, NIGHT - timedelta(days=9), NIGHT - timedelta(days=1)
    told = project.read("outcomes.experiments", as_of=NIGHT)
    assert told["decided_on"].to_list() == [NIGHT]
    project.write("strategy.assignments", ASSIGNMENTS.to_frame(), as_of=last)  # a backfilled night would have none

    project.write("outcomes.experiments", told.with_columns(pl.lit(first).alias("decided_on")), as_of=last)
    assert make_outcomes(project, NIGHT)["outcomes.experiments"]["decided_on"].to_list() == [first]
    project.write("outcomes.experiments", told, as_of=NIGHT + timedelta(days=1))  # a later night changes nothing
    assert make_outcomes(project, NIGHT)["outcomes.experiments"]["decided_on"].to_list() == [first]

    turned = told.with_columns(pl.lit(first).alias("decided_on"), pl.lit("broken").alias("decision"))
    project.write("outcomes.experiments", turned, as_of=last)
    assert make_outcomes(project, NIGHT)["outcomes.experiments"]["decided_on"].to_list() == [NIGHT]

    project.write("outcomes.experiments", told.drop("decided_on"), as_of=last)  # of a version that kept none
    assert make_outcomes(project, NIGHT)["outcomes.experiments"]["decided_on"].to_list() == [last]


def test_of_too_many_experiments_the_metadata_name_how_many_are_left_out(past: Company) -> None:
    made = make_outcomes(past.project, NIGHT)
    one = made["outcomes.experiments"]
    many = [one.with_columns(pl.lit(f"e{place:03d}").alias("experiment_id")) for place in range(200)]

    facts = experiment_facts(past.project, NIGHT, {**made, "outcomes.experiments": pl.concat(many)})

    assert len(facts) == PAGES + 1
    assert str(facts["experiments without a page"]).startswith(f"{PAGES} of 200 have a page: ")


def test_a_night_sees_no_ledger_of_its_own_or_later(copied: Company) -> None:
    project = copied.project
    users = project.read("marts.users", as_of=NIGHT).select("user_sk", "user_id")
    late = NIGHT + timedelta(days=1)
    project.write(
        "strategy.assignments", ledger([(users["user_id"][0], "treat")], experiment_id="later", on=late), as_of=late
    )

    assert OutcomeNight(project, NIGHT).portions() == [["winback_past"]]


def test_users_whom_only_the_assignment_names_are_counted_and_break_an_import_that_they_make_up(tmp_path: Path) -> None:
    visits = "".join(f"u{i},2024-01-{1 + i % 28:02d}T10:00:00,visit\n" for i in range(40))
    company = plain(tmp_path / "bare", visits, settings=PLAIN + IMPORTED)
    assigned = "".join(f"new{i},winter,{'treat' if i % 2 else 'control'},2024-01-05T12:00:00\n" for i in range(60))
    (company.folder / "assigned.csv").write_text(f"uid,test,arm,at\n{assigned}", encoding="utf-8")

    company.run(date(2024, 1, 28))

    found = company.project.read("outcomes.experiments", as_of=date(2024, 1, 28)).row(0, named=True)
    assert (found["n_users"], found["n_unknown"], found["arms"]) == (60, 60, "control 30, treat 30")
    assert (found["faults"], found["decision"]) == ("users unknown", "broken")
    entries = company.project.read("outcomes.entries", as_of=date(2024, 1, 28))
    assert entries["returned_after"].null_count() == 60
    assert entries["is_known"].sum() == 0


def test_an_import_from_before_the_first_event_is_not_read_as_if_nobody_came_back(tmp_path: Path) -> None:
    visits = "".join(f"u{i},2024-01-{1 + i % 28:02d}T10:00:00,visit\n" for i in range(40))
    company = plain(tmp_path / "late", visits, settings=PLAIN + IMPORTED)
    arms = [(f"u{i}", "treat" if i % 2 else "control") for i in range(40)]
    days = {"old": "2023-12-31", "new": "2024-01-01"}
    assigned = "".join(f"{user},{name},{arm},{day}T12:00:00\n" for user, arm in arms for name, day in days.items())
    (company.folder / "assigned.csv").write_text(f"uid,test,arm,at\n{assigned}", encoding="utf-8")

    company.run(date(2024, 1, 28))

    found = company.project.read("outcomes.experiments", as_of=date(2024, 1, 28))
    assert found.select("experiment_id", "faults", "balance_p").rows() == [
        ("new", None, None),
        ("old", "before the records begin", None),
    ]
    randomised = company.project.read("outcomes.entries", as_of=date(2024, 1, 28)).filter("is_randomised")
    assert randomised["experiment_id"].unique().to_list() == ["new"]


def test_assignments_dated_after_the_night_are_not_read_yet_and_an_experiment_of_them_alone_is_not_shown(
    tmp_path: Path,
) -> None:
    visits = "".join(f"u{i},2024-01-{1 + i % 28:02d}T10:00:00,visit\n" for i in range(40))
    company = plain(tmp_path / "ahead", visits, settings=PLAIN + IMPORTED)
    arms = [(f"u{i}", "treat" if i % 2 else "control") for i in range(40)]
    rows = [f"{user},coming,{arm},2024-02-01T12:00:00" for user, arm in arms]
    rows += [
        f"{user},partly,{arm},2024-{'01-20' if at < 30 else '02-01'}T12:00:00" for at, (user, arm) in enumerate(arms)
    ]
    (company.folder / "assigned.csv").write_text("\n".join(["uid,test,arm,at", *rows, ""]), encoding="utf-8")

    company.run(date(2024, 1, 28))

    found = company.project.read("outcomes.experiments", as_of=date(2024, 1, 28))
    assert found.select("experiment_id", "n_users", "faults").rows() == [("partly", 30, None)]


def test_persons_whose_accounts_an_import_has_in_two_arms_are_found(tmp_path: Path) -> None:
    visits = "".join(f"u{i},2024-01-{1 + i % 28:02d}T10:00:00,visit\n" for i in range(40))
    users = '[sources.users]\npath = "users.csv"\ncolumns = { user_id = "uid", person_key = "person" }\n'
    company = plain(tmp_path / "twins", visits, settings=PLAIN + IMPORTED + users)
    told = ["uid,person", *(f"u{i},p{i // 2}" for i in range(40)), ""]
    (company.folder / "users.csv").write_text("\n".join(told), encoding="utf-8")
    rows = [f"u{i},apart,{'treat' if (i + i // 2) % 2 else 'control'},2024-01-20T12:00:00" for i in range(40)]
    rows += [f"u{i},together,{'treat' if i // 2 % 2 else 'control'},2024-01-20T12:00:00" for i in range(40)]
    (company.folder / "assigned.csv").write_text("\n".join(["uid,test,arm,at", *rows, ""]), encoding="utf-8")

    company.run(date(2024, 1, 28))

    found = company.project.read("outcomes.experiments", as_of=date(2024, 1, 28))
    assert found.select("experiment_id", "n_users", "faults").rows() == [
        ("apart", 20, "two arms"),
        ("together", 20, None),
    ]
    assert "20 of its persons, who have 40 accounts, are in two arms" in found["explanation"][0]


def test_an_imported_test_is_read_with_what_its_file_tells(tmp_path: Path) -> None:
    """Every second of 80 is written to, for half a euro; the file names the strategy of these alone."""
    visits = "".join(f"u{i:02d},2024-01-{1 + i % 5:02d}T10:00:00,visit\n" for i in range(80))
    visits += "".join(f"u{i:02d},2024-01-15T10:00:00,visit\n" for i in range(0, 80, 4))
    known = ["strategy_id", "channel", "stage", "p_return", "value_if_returned", "expected_cost"]
    mapped = {"user_id": "uid", "experiment_id": "test", "arm": "arm", "assigned_at": "at"}
    mapped |= {one: one for one in known}
    columns = ", ".join(f'{name} = "{column}"' for name, column in mapped.items())
    source = f'\n[sources.assignments]\npath = "assigned.csv"\ncolumns = {{ {columns} }}\n'
    company = plain(tmp_path / "bare", visits, settings=PLAIN + source)
    written, held = "treat,2024-01-10T12:00:00,offer,email", "control,2024-01-10T12:00:00,,"
    assigned = "".join(
        f"u{i:02d},winter,{held if i % 2 else written},{'lost' if i < 60 else 'dormant'},{i / 100},20,0.5\n"
        for i in range(80)
    )
    (company.folder / "assigned.csv").write_text(f"{','.join(mapped.values())}\n{assigned}", encoding="utf-8")

    company.run(date(2024, 1, 28))

    entries = company.project.read("outcomes.entries", as_of=date(2024, 1, 28)).sort("user_id")
    assert set(entries.select("strategy_id", "channel").rows()) == {("offer", "email")}
    assert entries["p_return"].to_list() == [i / 100 for i in range(80)]
    readouts = company.project.read("outcomes.readouts", as_of=date(2024, 1, 28))
    of_returns = readouts.filter((pl.col("metric") == "returned") & (pl.col("horizon_days") == 14))
    assert of_returns.select("dimension", "value", "n_treated", "n_control").rows() == [
        ("all", "all", 40, 40),
        ("channel", "email", 40, 40),
        ("stage", "lost", 30, 30),
        ("strategy_id", "offer", 40, 40),
    ]
    money = company.project.read("outcomes.money", as_of=date(2024, 1, 28))
    told = money.filter((pl.col("dimension") == "all") & (pl.col("horizon_days") == 14)).row(0, named=True)
    assert (told["cost"], told["basis"]) == (20.0, "worth of a return")


def test_a_horizon_stays_as_an_earlier_night_named_it(copied: Company) -> None:
    project = copied.project
    before = project.read("outcomes.experiments", as_of=NIGHT)
    assert before["decision_days"].to_list() != [7]
    last, of_seven = NIGHT - timedelta(days=1), pl.lit(7, dtype=pl.Int64).alias("decision_days")
    project.write("outcomes.experiments", before.with_columns(of_seven), as_of=last)
    assert make_outcomes(project, NIGHT)["outcomes.experiments"]["decision_days"].to_list() != [7]  # a backfill's word
    project.write("strategy.assignments", ASSIGNMENTS.to_frame(), as_of=last)

    made = make_outcomes(project, NIGHT)

    assert made["outcomes.experiments"]["decision_days"].to_list() == [7]
    assert set(made["outcomes.readouts"].filter("is_primary")["horizon_days"]) == {7}


def test_a_night_knows_of_which_outcomes_its_sources_would_tell(past: Company) -> None:
    assert {"events", "message_events"} <= set(past.project.settings.sources.tables)

    assert {"opened", "clicked", "opted_out", "complained"} <= OutcomeNight(past.project, NIGHT).rules.measured


def test_a_relapse_goes_by_the_threshold_of_the_night_of_entry(copied: Company) -> None:
    project = copied.project
    stages = project.read("lifecycle.stages", as_of=NIGHT)
    user_sk = stages["user_sk"][0]
    project.write("lifecycle.stages", stages.with_columns(pl.lit(3.5).alias("churn_threshold_days")), as_of=BEFORE)
    entries = pl.DataFrame(
        {"user_sk": [user_sk] * 2, "assigned_on": [BEFORE + timedelta(days=1), BEFORE], "origin": "ledger"}
    )

    found = OutcomeNight(project, NIGHT).thresholds(entries)

    tonight = stages.filter(pl.col("user_sk") == user_sk)["churn_threshold_days"][0]
    assert found.to_list() == [3.5, tonight]


def test_without_ledger_and_imports_the_tables_are_empty_and_the_report_says_so(tmp_path: Path) -> None:
    rows = "".join(f"u{i},2024-01-{1 + i % 28:02d}T10:00:00,visit\n" for i in range(40))
    company = plain(tmp_path / "bare", rows)

    company.run(date(2024, 1, 28))

    made = {doc.table: company.project.read(doc.table, as_of=date(2024, 1, 28)) for doc in TABLES}
    assert {table: frame.height for table, frame in made.items()} == {doc.table: 0 for doc in TABLES}
    report = (company.reports(date(2024, 1, 28)) / "report.html").read_text(encoding="utf-8")
    assert "There is no experiment to read yet" in report
