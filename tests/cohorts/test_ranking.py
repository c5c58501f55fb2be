import polars as pl
import pytest

from dagster_project.cohorts.ranking import COHORTS, USERS, every_user, rank_cohorts
from dagster_project.strategy.catalogue import load_catalogue

DESIGN_COHORTS = (
    "rank, user_id, cohort, stage, days_silent, churned_on, reason, reason_confidence, p_return, p_return_low, "
    "p_return_high, expected_return_on, value_if_returned, uplift, uplift_low, uplift_high, evidence_grade, "
    "expected_profit, strategy_id, channel, fallback_channel, send_at, max_touches, offer, template_id, locale, "
    "consent_basis, arm, explanation"
)
DESIGN_USERS = (
    "user_id, stage, previous_stage, phase, is_churned, days_silent, churn_factor, p_active, p_return, p_churn, "
    "expected_events, expected_value, value_if_returned, relapse_probability, reason, reason_confidence, "
    "trust_index, reachable_channels, strategy_id, channel, arm, rank"
)

CANDIDATES = pl.DataFrame(
    {
        "user_sk": [1, 2, 3, 4],
        "user_id": ["d", "c", "b", "a"],
        "stage": ["churned_early", "churned_mid", "churned_late", "active"],
        "is_churned": [True, True, True, False],
        "days_silent": [60, 90, 120, None],
        "usual_gap_days": [14.0, None, 30.0, 7.0],
        "p_active": [0.2, 0.1, 0.05, 0.9],
        "p_return": [0.2, 0.1, 0.05, None],
        "value_if_returned": [100.0, None, 50.0, None],
        "locale": ["en-GB", "fr_FR", None, "en"],
    },
    schema_overrides={"days_silent": pl.Int32},
)
EXPORTED = pl.DataFrame(
    {
        "user_sk": [1, 2, 3],
        "user_id": ["d", "c", "b"],
        "arm": ["treat", "explore", "treat"],
        "strategy_id": ["price_save", "explore", "whats_new"],
        "channel": ["email", "push", "wechat"],
        "fallback_channel": ["sms", None, None],
        "uplift": [0.0615, 0.0, 0.01],
        "uplift_low": [0.01, -0.02, 0.0],
        "uplift_high": [0.1, 0.02, 0.02],
        "evidence_grade": ["prior"] * 3,
        "expected_cost": [0.5, 0.0, 0.0],
        "expected_profit": [2.6, 0.25, 0.25],
        "n_options": [7, 4, 3],
        "propensity": [0.85, 0.0125, 0.85],
        "send_at": ["2026-06-02T18:00:00+08:00"] * 3,
        "max_touches": [1, 1, 1],
        "template_id": ["price_save_letter", "explore_note", "whats_new_note"],
        "consent_basis": ["opt_in", None, None],
        "offer_basis": pl.Series([None, None, None], dtype=pl.String),
    }
)


@pytest.fixture(scope="module")
def ranked() -> pl.DataFrame:
    return rank_cohorts(EXPORTED, CANDIDATES, catalogue=load_catalogue())


def test_the_columns_are_those_of_the_design_in_its_order(ranked: pl.DataFrame) -> None:
    assert ", ".join(ranked.columns) == DESIGN_COHORTS
    assert ranked.schema == pl.Schema(COHORTS)
    assert ", ".join(USERS) == DESIGN_USERS


def test_rank_is_by_profit_and_ties_are_broken_by_user_id(ranked: pl.DataFrame) -> None:
    assert ranked.select("rank", "user_id", "cohort").rows() == [
        (1, "d", "price_save__email"),
        (2, "b", "whats_new__wechat"),
        (3, "c", "explore__push"),
    ]


def test_dose_offer_template_and_locale_come_from_the_catalogue(ranked: pl.DataFrame) -> None:
    assert ranked.select("user_id", "max_touches", "offer", "template_id", "locale").rows() == [
        ("d", 1, "discount 5.00", "price_save_letter", "en"),
        ("b", 1, "none", "whats_new_note", "en"),
        ("c", 1, "none", "explore_note", "en"),
    ]


def test_the_explanation_holds_this_users_numbers(ranked: pl.DataFrame) -> None:
    assert ranked["explanation"].to_list() == [
        (
            "Silent for 60 days against a usual gap of 14.0; 20.0 % likely to return unaided; Price save by email "
            "is believed to add 6.2 points (evidence: prior) and to earn 2.60 after costs: a return is unlikely "
            "unaided and worth more than the discount costs."
        ),
        (
            "Silent for 120 days against a usual gap of 30.0; 5.0 % likely to return unaided; What is new by "
            "wechat is believed to add 1.0 points (evidence: prior) and to earn 0.25 after costs: news from the "
            "category this user liked gives a reason to look again."
        ),
        (
            "Silent for 90 days; 10.0 % likely to return unaided; Explore by push is believed to add 0.0 points "
            "(evidence: prior) and to earn 0.25 after costs: drawn at random from 4 options, to learn."
        ),
    ]


def test_columns_that_nothing_fills_yet_are_null(ranked: pl.DataFrame) -> None:
    empty = ranked.select("reason", "reason_confidence", "p_return_low", "expected_return_on", "churned_on")
    assert empty.null_count().row(0) == (3,) * 5


def test_the_explanation_says_why_the_user_left_before_what_moved_the_score() -> None:
    left = pl.DataFrame({"user_id": ["d"], "why_left": ["Probably left for price or plan (88 % sure)."]})
    moved = pl.DataFrame({"user_id": ["d"], "sentence": ["Few days."]})
    ranked = rank_cohorts(EXPORTED, CANDIDATES, catalogue=load_catalogue(), moved_by=moved, left_for=left)
    assert ranked["explanation"][0].endswith("costs. Probably left for price or plan (88 % sure). Few days.")
    assert ranked["explanation"][1].endswith("look again.")


def test_nobody_to_contact_gives_an_empty_list_with_its_columns() -> None:
    ranked = rank_cohorts(EXPORTED.clear(), CANDIDATES.clear(), catalogue=load_catalogue())
    assert (ranked.height, ranked.schema) == (0, pl.Schema(COHORTS))


def test_every_user_has_a_row_with_what_became_of_them(ranked: pl.DataFrame) -> None:
    points = pl.DataFrame(
        {
            "user_sk": [1, 1, 4, 4, 2],
            "channel": ["email", "push", "email", "push", "fax"],
            "rule_id": ["reach.dead", None, "consent.missing", "consent.missing", "reach.dead"],
        }
    )
    holdout = pl.DataFrame(
        {"user_id": ["b"], "experiment_id": ["x"], "arm": ["control"], "would_be_strategy": ["whats_new"]}
    )
    cohorts = ranked.filter(pl.col("user_id") != "b")
    users = every_user(CANDIDATES, cohorts, holdout, points, channels=["push", "email"])
    assert users.schema == pl.Schema(USERS)
    assert users.select("user_id", "reachable_channels", "strategy_id", "channel", "arm", "rank").rows() == [
        ("a", "", None, None, None, None),
        ("b", "email,push", None, None, "control", None),
        ("c", "email,push", "explore", "push", "explore", 3),
        ("d", "push", "price_save", "email", "treat", 1),
    ]
    assert users["p_churn"].null_count() == 4  # nobody has a contract


def test_a_user_of_one_day_is_not_said_to_have_a_gap_of_their_own() -> None:
    once = CANDIDATES.with_columns(pl.lit(0, dtype=pl.Int32).alias("n_gaps"))
    explanation = rank_cohorts(EXPORTED, once, catalogue=load_catalogue())["explanation"][0]
    assert explanation.startswith("Silent for 60 days after the only active day, where 14.0 is usual; 20.0 % likely")


def test_the_explanation_speaks_the_language_of_the_users_messages() -> None:
    users = CANDIDATES.with_columns(
        locale=pl.lit("zh-Hans-CN"), reason=pl.lit("price_or_plan"), reason_confidence=pl.lit(0.88)
    )
    told = pl.DataFrame({"user_id": ["d"], "why_left": ["Probably left."]})

    basis = "No offer hangs on a prediction about the user: everybody can get the same (PIPL Art. 24(1))."
    bound = EXPORTED.head(1).with_columns(offer_basis=pl.lit(basis))

    made = rank_cohorts(bound, users, catalogue=load_catalogue(), left_for=told)

    assert made["locale"].item() == "zh"
    assert made["explanation"].item() == (
        "已 60 天没有活动（平时间隔 14.0 天）；不联系时回来的可能性为 20.0%；"
        "通过邮件使用“价格挽留”预计提高 6.2 个百分点（依据：先验判断），扣除成本后预计带来 2.60："
        "用户自己回来的可能性低，而回来的价值高于折扣成本。"
        " 离开的原因很可能是价格或方案（把握 88%）。"
        " 优惠不取决于对该用户的任何预测（PIPL Art. 24(1)）。"
    )


def test_users_who_are_still_here_are_told_by_their_chance_to_stay() -> None:
    here = CANDIDATES.head(1).with_columns(
        is_churned=pl.lit(value=False), p_active=pl.lit(0.4), p_return=pl.lit(None, dtype=pl.Float64)
    )
    made = rank_cohorts(EXPORTED.head(1), here, catalogue=load_catalogue())
    assert "; 40.0 % likely to stay active unaided; " in made["explanation"].item()
    assert made["p_return"].item() is None
