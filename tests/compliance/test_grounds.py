"""Every rule that can close a channel or a night says on what it rests, whoever made it."""

import polars as pl

from dagster_project.compliance.grounds import ends_with, own_ground
from dagster_project.reach.contact_points import RULE_ORDER


def _grounds(*rules: str | None) -> list[str | None]:
    frame = pl.DataFrame({"rule_id": list(rules)}, schema={"rule_id": pl.String})
    return frame.select(own_ground(pl.col("rule_id"), channel=pl.lit("sms"))).to_series().to_list()


def test_each_rule_of_the_gate_has_a_ground_of_its_own_or_of_its_family() -> None:
    assert not [
        rule for rule, ground in zip(RULE_ORDER, _grounds(*RULE_ORDER), strict=True) if ground == "Our own rule"
    ]


def test_the_narrower_ground_is_named_and_the_channel_with_it() -> None:
    assert _grounds("cap.channel", "cap.week", "cap.law", "reach.gone", "odd.rule", None) == [
        "Setting channels.sms.max_touches_per_week",
        "Setting caps.max_touches_per_week",
        "Setting [caps]",
        "Our own records: reach.endpoints",
        "Our own rule",
        None,
    ]


def test_a_rule_without_a_day_says_what_ends_it() -> None:
    frame = pl.DataFrame(
        {
            "rule_id": ["deletion.stop", "user.paused", "user.paused", "measurement_gap", "cap.day"],
            "until": ["", "2026-06-03", "", "", ""],
        }
    ).with_columns(pl.col("until").str.to_date(strict=False))
    told = frame.select(ends_with(pl.col("rule_id"), pl.col("until"))).to_series().to_list()
    assert told == ["never", "day", "user", "facts", "settings"]
