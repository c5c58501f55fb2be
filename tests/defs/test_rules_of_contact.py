"""The night and the rules of contact: a breach that slips past the gate stops it before anything leaves."""

import dagster as dg
import polars as pl

from dagster_project.defs.proof import CHECK, find_breaches
from dagster_project.defs.resources import ProjectResource
from defs.worlds import NIGHT, QUIET, Company, definitions

LISTS = [
    dg.AssetKey(["cohorts", "contacts"]),
    dg.AssetKey(["cohorts", "awaiting_approval"]),
    dg.AssetKey(["cohorts", "users"]),
    dg.AssetKey(["cohorts", "decisions"]),
    dg.AssetKey(["reports", "night_files"]),
]


def _plant(company: Company) -> str:
    """One exported message is moved to three at night; whose."""
    exported = company.project.read("strategy.exported", as_of=NIGHT)
    first = exported["user_id"].min()
    at_night = pl.col("send_at").str.replace(r"T\d\d:\d\d", "T03:00")
    planted = exported.with_columns(
        pl.when(pl.col("user_id") == first).then(at_night).otherwise("send_at").alias("send_at")
    )
    company.project.write("strategy.exported", planted, as_of=NIGHT)
    return str(first)


def test_a_planted_breach_fails_the_night_and_nothing_leaves(copied: Company) -> None:
    planted, before = _plant(copied), copied.hashes(NIGHT)

    loaded = definitions()
    result = dg.materialize(
        [*(loaded.assets or ()), *(loaded.asset_checks or ())],
        selection=dg.AssetSelection.assets(*LISTS),
        partition_key=NIGHT.isoformat(),
        run_config=QUIET,
        raise_on_error=False,
        resources={"winback": ProjectResource(path=str(copied.settings))},
    )

    assert not result.success
    failed = [one for one in result.get_asset_check_evaluations() if not one.passed]
    assert [(one.asset_key, one.check_name) for one in failed] == [(LISTS[0], CHECK)]
    assert f"{planted} by " in (failed[0].description or "")
    assert copied.hashes(NIGHT) == before


def test_what_the_night_exported_breaks_no_rule_and_what_the_gate_closed_would(past: Company) -> None:
    project = past.project
    exported = project.read("strategy.exported", as_of=NIGHT)
    assert exported.height > 0
    assert find_breaches(project, exported, NIGHT) == []
    points, users = project.read("reach.contact_points", as_of=NIGHT), project.read("marts.users", as_of=NIGHT)
    withdrawn = points.filter(pl.col("rule_id").is_in(["consent.withdrawn", "complaint.stop", "deletion.stop"]))
    planted = withdrawn.join(users.select("user_sk", "user_id"), on="user_sk").select(
        "user_id",
        "channel",
        pl.lit("explore").alias("strategy_id"),
        pl.lit("2024-06-19T12:00:00+02:00").alias("send_at"),
    )
    found = {(one.user_id, one.channel) for one in find_breaches(project, planted, NIGHT)}
    assert planted.height > 0
    assert found == set(planted.select("user_id", "channel").iter_rows())


def test_a_stop_that_slips_past_the_gate_is_found_in_the_messages(copied: Company) -> None:
    project = copied.project
    day = max(project.lake.index("staging.message_events"))
    messages = project.lake.read("staging.message_events", key=day)
    exported = project.read("strategy.exported", as_of=NIGHT)
    users = project.read("marts.users", as_of=NIGHT)
    consents = project.seen("staging.consents", as_of=NIGHT).filter(channel="sms", status="granted")
    first = users.join(exported, on="user_id", how="semi").join(consents, on="user_sk", how="semi").sort("user_id")
    user_sk, user_id = first.select("user_sk", "user_id").row(0)
    stop = messages.head(1).with_columns(
        pl.lit(user_sk).cast(messages.schema["user_sk"]).alias("user_sk"),
        pl.lit("sms").alias("channel"),
        pl.lit("failed").alias("event"),
        pl.lit('{"status":400,"code":21610}').alias("code"),
    )
    project.lake.put("staging.message_events", pl.concat([messages, stop]), key=day)
    planted = pl.DataFrame(
        {"user_id": [user_id], "channel": ["sms"], "strategy_id": ["explore"], "send_at": ["2024-06-19T12:00:00+02:00"]}
    )

    found = {one.rule_id for one in find_breaches(project, planted, NIGHT)}

    assert "consent.revoked_at_provider" in found


def test_suppressed_users_say_rule_citation_and_end(past: Company) -> None:
    suppressed = past.csv(NIGHT, "suppressed.csv")
    by_law = suppressed.filter(pl.col("rule_id").str.contains(r"^(consent|complaint|deletion|minors)\."))
    assert by_law.height > 0
    assert suppressed.null_count().select("rule_id", "citation", "explanation", "ends_with").row(0) == (0, 0, 0, 0)
    told = past.metrics(NIGHT)["compliance"]
    assert isinstance(told, dict)
    assert told["notice"] == "The packs are not legal advice."
    counted = {(row["rule_id"], row["citation"]): row["n_users"] for row in told["kept_back"]}
    assert (
        sum(n for (rule_id, _), n in counted.items() if rule_id.startswith("consent."))
        == by_law.filter(pl.col("rule_id").str.starts_with("consent.")).height
    )
    assert "Kept back by rule" in (past.reports(NIGHT) / "report.html").read_text(encoding="utf-8")


def test_the_proof_hears_a_stop_said_by_another_account_of_the_person(copied: Company) -> None:
    project = copied.project
    points, users = project.read("reach.contact_points", as_of=NIGHT), project.read("marts.users", as_of=NIGHT)
    stopped = points.filter(pl.col("rule_id") == "deletion.stop")["user_sk"].min()
    exported = project.read("strategy.exported", as_of=NIGHT).sort("user_id").head(1)
    same_person = pl.col("user_sk").is_in([stopped, exported["user_sk"].item()])
    merged = users.with_columns(pl.when(same_person).then(pl.lit("one")).otherwise("person_key").alias("person_key"))
    assert find_breaches(project, exported, NIGHT) == []

    project.write("marts.users", merged, as_of=NIGHT)

    found = find_breaches(project, exported, NIGHT)
    assert "stop" in {one.rule_id for one in found}
    assert {one.user_id for one in found} == {exported["user_id"].item()}
