import numpy as np
import polars as pl
import pytest

from dagster_project.models.contracts.causes import cause_of, with_causes
from dagster_project.models.contracts.curves import cumulative_incidence, kaplan_meier
from dagster_project.models.contracts.durations import measure_spans, observed
from dagster_project.models.contracts.ranking import concordance

from .simulated import AS_OF, weibull_contracts


def test_kaplan_meier_equals_the_values_by_hand() -> None:
    spans = pl.DataFrame({"entry": [0, 0, 0, 2], "duration": [1, 2, 3, 4], "event": [True, False, True, True]})
    curve = kaplan_meier(spans)
    assert curve["n_at_risk"].to_list() == [0, 3, 2, 2, 1]
    assert curve["survival_share"].to_list() == pytest.approx([1, 2 / 3, 2 / 3, 1 / 3, 0])


def test_left_truncation_removes_the_bias_of_contracts_that_survived_to_be_seen() -> None:
    rng = np.random.default_rng(5)
    life, entry = rng.geometric(0.05, 20_000), rng.integers(0, 40, 20_000)
    seen = life > entry
    spans = pl.DataFrame({"entry": entry[seen], "duration": life[seen], "event": np.ones(seen.sum(), dtype=bool)})
    truth = 0.95**20
    naive = kaplan_meier(spans.with_columns(entry=pl.lit(0, dtype=pl.Int64)))["survival_share"][20]
    assert kaplan_meier(spans)["survival_share"][20] == pytest.approx(truth, abs=0.02)
    assert naive > truth + 0.1


def test_incidences_of_the_causes_add_to_what_kaplan_meier_lost() -> None:
    spans = with_causes(observed(measure_spans(weibull_contracts(800), as_of=AS_OF)))
    total = cumulative_incidence(spans).group_by("tenure").agg(pl.col("incidence_share").sum()).sort("tenure")
    lost = 1 - kaplan_meier(spans)["survival_share"]
    assert total["incidence_share"].to_list() == pytest.approx(lost.to_list())


@pytest.mark.parametrize(
    ("reason", "cause"),
    [
        ("payment_failed", "involuntary"),
        ("Card declined", "involuntary"),
        ("expired card", "involuntary"),
        ("too_expensive", "too_expensive"),
        ("unhappy with payment options", "unhappy with payment options"),
        (" ", "unknown"),
        (None, "unknown"),
    ],
)
def test_failed_payments_are_involuntary(reason: str | None, cause: str) -> None:
    assert cause_of(reason) == cause


def test_concordance_equals_lifelines_without_late_entry() -> None:
    from lifelines.utils import concordance_index

    rng = np.random.default_rng(6)
    duration, event, risk = rng.integers(1, 20, 300), rng.random(300) < 0.6, rng.integers(0, 9, 300).astype(float)
    ours = concordance(np.zeros(300, dtype=np.int64), duration, event, risk)
    assert ours == pytest.approx(concordance_index(duration, -risk, event))
