"""A small literal night."""

from datetime import date, timedelta

import polars as pl
import pytest

from dagster_project.reports import ReportContent

STAGE_ROWS = [
    # stage, phase, users, churn factor, days silent
    ("prospect", "onboarding", 60, None, None),
    ("new", "onboarding", 45, 0.4, 3),
    ("onboarding_stalled", "onboarding", 38, 1.4, 19),
    ("growing", "engaged", 52, 0.3, 3),
    ("active", "engaged", 310, 0.5, 6),
    ("cooling", "declining", 96, 1.3, 17),
    ("at_risk", "declining", 71, 2.1, 29),
    ("dormant", "declining", 44, 3.0, 41),
    ("churned_early", "churned", 58, 4.2, 60),
    ("churned_mid", "churned", 83, 6.5, 105),
    ("churned_late", "churned", 120, 11.0, 190),
    ("lost", "churned", 205, 25.0, 420),
    ("reactivated_trial", "returned", 17, 0.4, 5),
    ("reactivated_sustained", "returned", 11, 0.6, 9),
    ("relapsed", "churned", 9, 5.0, 77),
]


@pytest.fixture(scope="session")
def night() -> ReportContent:
    """Everything that a report can hold, small."""
    return ReportContent(
        as_of=date(2026, 3, 2),
        currency="EUR",
        horizon_days=60,
        notice="Simulated data: no real person or company.",
        headline={
            "n_users": 1219,
            "n_churned": 475,
            "n_exported": 24,
            "n_held_out": 31,
            "n_suppressed": 57,
            "expected_profit": 325.2,
        },
        stages=_stages(),
        migration=_migration(),
        dwell=_dwell(),
        daily_activity=_daily_activity(),
        parameters=_parameters(),
        definition_agreement=_agreement(),
        regret=_regret(),
        km_curves=_km_curves(),
        evaluations=_evaluations(),
        reliability=_reliability(),
        notes=("Weibull AFT did not converge and was left out.",),
        cohort=_cohort(),
        strategies=_strategies(),
        arms=pl.DataFrame({"arm": ["treat", "explore", "control"], "n_users": [266, 14, 31]}),
        suppressed_counts=_suppressed(),
        quality=_quality(),
        quarantine_reasons=_quarantine_reasons(),
        missing_tables=(
            "consents: every configured channel counts as allowed.",
            "subscriptions: no contract end.",
        ),
    )


def _stages() -> pl.DataFrame:
    rows = []
    for stage, phase, n_users, factor, silent in STAGE_ROWS:
        for place in range(n_users):
            spread = 0.7 + 0.6 * place / n_users
            rows.append(
                {
                    "stage": stage,
                    "phase": phase,
                    "churn_factor": None if factor is None else factor * spread,
                    "days_silent": None if silent is None else round(silent * spread),
                }
            )
    return pl.DataFrame(rows, infer_schema_length=None)


def _migration() -> pl.DataFrame:
    moves = [(stage, stage, n_users - 6) for stage, _, n_users, _, _ in STAGE_ROWS]
    moves += [
        (None, "prospect", 6),
        (None, "new", 4),
        ("prospect", "new", 2),
        ("new", "onboarding_stalled", 6),
        ("growing", "active", 3),
        ("active", "cooling", 6),
        ("cooling", "at_risk", 6),
        ("at_risk", "dormant", 6),
        ("dormant", "churned_early", 6),
        ("churned_early", "churned_mid", 4),
        ("churned_mid", "reactivated_trial", 3),
        ("reactivated_trial", "relapsed", 3),
        ("churned_late", "lost", 6),
    ]
    n_before = {stage: n_users for stage, _, n_users, _, _ in STAGE_ROWS}
    return pl.DataFrame(
        {
            "previous_stage": [before for before, _, _ in moves],
            "stage": [after for _, after, _ in moves],
            "n_users": [n for _, _, n in moves],
            "share_of_previous": [None if before is None else n / n_before[before] for before, _, n in moves],
        }
    )


def _dwell() -> pl.DataFrame:
    return pl.DataFrame(
        {
            "stage": [stage for stage, *_ in STAGE_ROWS][::-1],
            "n_users": [row[2] for row in STAGE_ROWS][::-1],
            "median_days_in_stage": [float(3 * place + 4) for place in range(len(STAGE_ROWS))],
            "p90_days_in_stage": [float(9 * place + 10) for place in range(len(STAGE_ROWS))],
            "left_share": [0.03 * place for place in range(len(STAGE_ROWS))],
        }
    )


def _daily_activity() -> pl.DataFrame:
    days = [date(2025, 8, 1) + timedelta(days=place) for place in range(214)]
    users = [180 + 40 * (place % 7 < 5) + place // 4 + (place * 37) % 23 for place in range(214)]
    return pl.DataFrame({"active_on": days, "n_active_users": users, "n_events": [3 * n for n in users]})


def _parameters() -> pl.DataFrame:
    return pl.DataFrame(
        {
            "as_of": [date(2026, 3, 2)],
            "n_users_with_gaps": [1020],
            "usual_gap_days": [12.4],
            "log_gap_mean": [2.5],
            "log_gap_sd_within": [0.8],
            "log_gap_sd_between": [0.5],
            "horizon_days": [60],
            "calendar_days": [90],
            "data_driven_days": [112],
            "primary_definition": ["cadence"],
        }
    )


def _agreement() -> pl.DataFrame:
    return pl.DataFrame(
        {
            "definition": ["calendar", "calendar", "cadence"],
            "other_definition": ["cadence", "data_driven", "data_driven"],
            "agreement_share": [0.91, 0.97, 0.89],
            "cohen_kappa": [0.81, 0.93, 0.77],
            "n_users": [1159, 1159, 1159],
        }
    )


def _regret() -> pl.DataFrame:
    return pl.DataFrame(
        {
            "definition": ["data_driven", "calendar", "cadence"],
            "n_churned": [372, 402, 430],
            "n_returned": [36, 45, 53],
            "regret_rate": [0.0968, 0.1119, 0.1233],
            "regret_rate_low": [0.071, 0.085, 0.096],
            "regret_rate_high": [0.131, 0.147, 0.158],
        }
    )


def _km_curves() -> pl.DataFrame:
    frames = []
    for place, stage in enumerate(["churned_early", "churned_mid", "churned_late", "lost"]):
        days = list(range(181))
        returned = [(0.42 - 0.1 * place) * (1 - 0.985**day) for day in days]
        frames.append(
            pl.DataFrame(
                {
                    "stage": [stage] * 181,
                    "day": days,
                    "p_returned": returned,
                    "low": [0.85 * p for p in returned],
                    "high": [1.15 * p for p in returned],
                    "n_at_risk": [400 - 2 * day for day in days],
                }
            )
        )
    return pl.concat(frames)


def _evaluations() -> pl.DataFrame:
    candidates = ["recency_only", "snapshot_boosting", "cox", "recency_only", "snapshot_boosting", "cox"]
    return pl.DataFrame(
        {
            "candidate": candidates,
            "population": ["all"] * 3 + ["lapsed"] * 3,
            "n": [1159] * 3 + [430] * 3,
            "base_rate": [0.46] * 3 + [0.123] * 3,
            "auc": [0.840, 0.859, 0.851, 0.688, 0.714, 0.705],
            "auc_low": [0.82, 0.84, 0.83, 0.63, 0.66, None],
            "auc_high": [0.86, 0.88, 0.87, 0.74, 0.76, None],
            "average_precision": [0.79, 0.82, 0.81, 0.25, 0.29, 0.27],
            "log_loss": [0.361, 0.313, 0.325, 0.3412, 0.3307, 0.3361],
            "brier": [0.112, 0.099, 0.102, 0.1011, 0.0985, 0.0999],
            "ece": [0.03, 0.01, 0.02, 0.021, 0.012, 0.018],
            "top_decile_lift": [2.0, 2.1, 2.05, 2.4, 2.9, 2.6],
            "observed_over_expected": [0.95, 1.01, 0.98, 0.92, 1.03, 0.97],
            "is_winner": [False] * 4 + [True, False],
        }
    )


def _reliability() -> pl.DataFrame:
    rows = []
    for population, top in (("all", 0.9), ("lapsed", 0.35)):
        for candidate, bend in (("snapshot_boosting", 1.05), ("recency_only", 0.75), ("cox", 0.9)):
            rows += [
                {
                    "candidate": candidate,
                    "population": population,
                    "bin": place,
                    "mean_predicted": top * (place + 0.5) / 10,
                    "observed": min(1.0, top * bend * (place + 0.4) / 10),
                    "n": 80 - 7 * place,
                }
                for place in range(10)
            ]
    return pl.DataFrame(rows)


def _cohort() -> pl.DataFrame:
    places = range(24)
    return pl.DataFrame(
        {
            "rank": [place + 1 for place in places],
            "user_id": [f"customer-{17000 + 7 * place}" for place in places],
            "cohort": ["second_purchase_lapsed"] * 24,
            "stage": ["churned_early" if place % 2 else "churned_mid" for place in places],
            "days_silent": [61 + 3 * place for place in places],
            "reason": ["unknown"] * 24,
            "p_return": [0.31 - 0.01 * place for place in places],
            "p_return_low": [0.24 - 0.01 * place for place in places],
            "p_return_high": [0.39 - 0.01 * place for place in places],
            "value_if_returned": [210.5 - 4 * place for place in places],
            "uplift": [None] * 24,
            "expected_profit": [19.3 - 0.5 * place for place in places],
            "strategy_id": ["reminder_of_the_last_category" if place % 3 else "we_miss_you" for place in places],
            "channel": ["push" if place % 4 == 0 else "email" for place in places],
            "send_at": ["2026-03-03T19:00:00+01:00"] * 24,
            "arm": ["treat"] * 24,
            "explanation": [
                f"Bought {4 + place} times, usually every 12 days, and has been silent for {61 + 3 * place}; "
                "that is five times their own gap."
                for place in places
            ],
        }
    )


def _strategies() -> pl.DataFrame:
    return pl.DataFrame(
        {
            "strategy_id": ["we_miss_you", "reminder_of_the_last_category"],
            "title": ["A short note without an offer", "New in the category they bought last"],
            "n_users": [8, 16],
            "expected_profit": [108.4, 216.8],
        }
    )


def _suppressed() -> pl.DataFrame:
    return pl.DataFrame(
        {
            "rule_id": ["no_consent", "hard_bounce", "complaint"],
            "n_users": [41, 13, 3],
            "citation": [
                "GDPR art. 6(1)(a); ePrivacy Directive art. 13",
                "The address no longer exists.",
                None,
            ],
        }
    )


def _quality() -> pl.DataFrame:
    return pl.DataFrame(
        {
            "table": ["events", "users"],
            "n_files": [13, 1],
            "n_rows_read": [541909, 1219],
            "n_kept": [392729, 1219],
            "n_duplicates": [5225, 0],
            "n_anonymous": [135080, 0],
            "n_filtered": [8872, 0],
            "n_quarantined": [3, 0],
        }
    )


def _quarantine_reasons() -> pl.DataFrame:
    return pl.DataFrame({"table": ["events"], "reason": ["occurred_at is not a time"], "n_rows": [3]})
