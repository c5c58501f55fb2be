from datetime import date, timedelta

import polars as pl

from dagster_project.models.relapse import fit_relapse
from dagster_project.models.returns import past_returns
from dagster_project.models.second_life import relapse_chances

AS_OF = date(2024, 6, 30)


def users(n: int) -> pl.DataFrame:
    """Everybody was gone for 40 days until 100 days ago; every second one then came no more."""
    back_on = AS_OF - timedelta(days=100)
    gap = {"ended_on": back_on, "gap_days": 40, "n_active_days_before": 3}
    return pl.DataFrame(
        {
            "user_id": [f"u{i:03d}" for i in range(n)],
            "last_on": [back_on if i % 2 else AS_OF - timedelta(days=2) for i in range(n)],
            "long_gaps": [[gap]] * n,
        }
    )


def stages(n: int) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "user_id": [f"u{i:03d}" for i in range(n)],
            "churn_threshold_days": [30.0] * n,
            "phase": ["churned" if i % 2 else "returned" for i in range(n)],
            "returned_on": [None if i % 2 else AS_OF - timedelta(days=100) for i in range(n)],
        }
    )


def test_only_those_who_are_back_have_a_chance_to_relapse() -> None:
    returns = past_returns(users(60), stages(60), as_of=AS_OF)
    chances = relapse_chances(stages(60), returns, relapse=fit_relapse(returns), as_of=AS_OF, horizon_days=30)
    assert chances["user_id"].to_list() == [f"u{i:03d}" for i in range(0, 60, 2)]
    assert chances["relapse_probability"].is_between(0, 1).all()


def test_too_few_returns_give_no_chance_at_all() -> None:
    returns = past_returns(users(6), stages(6), as_of=AS_OF)
    chances = relapse_chances(stages(6), returns, relapse=fit_relapse(returns), as_of=AS_OF, horizon_days=30)
    assert chances["relapse_probability"].null_count() == 3
