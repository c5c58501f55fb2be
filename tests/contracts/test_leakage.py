import numpy as np
import polars as pl
import pytest

from dagster_project.models.contracts.durations import measure_spans, observed
from dagster_project.models.contracts.leakage import refused_covariates

from .simulated import AS_OF, weibull_contracts


def spans(seed: int = 1, n: int = 1500) -> pl.DataFrame:
    return observed(measure_spans(weibull_contracts(n, seed=seed), as_of=AS_OF))


def refused(frame: pl.DataFrame) -> dict[str, str]:
    return dict(refused_covariates(frame, seed=1).select("column", "kind").iter_rows())


@pytest.mark.parametrize("seed", range(5))
def test_honest_covariates_pass(seed: int) -> None:
    assert refused(spans(seed)) == {}


def test_tenure_itself_is_refused() -> None:
    assert refused(spans().with_columns(tenure="duration")) == {"tenure": "clock"}


def test_price_times_tenure_is_refused_even_as_text_with_blanks() -> None:
    total = (pl.col("price") * pl.col("duration")).round(2).cast(pl.String)
    frame = spans().with_columns(total=pl.when(pl.int_range(pl.len()) % 50 > 0).then(total).otherwise(pl.lit(" ")))
    assert refused(frame) == {"total": "clock"}


def test_a_total_that_hides_behind_very_different_prices_is_found_by_the_ratio() -> None:
    rate = np.exp(np.random.default_rng(2).normal(0, 4, 1500))[: spans().height]
    frame = spans().with_columns(rate=pl.Series(rate)).with_columns(total=pl.col("rate") * pl.col("duration"))
    found = refused_covariates(frame, seed=1).row(0, named=True)
    assert (found["column"], found["kind"]) == ("total", "clock")
    assert "total ÷ rate" in found["reason"]


def test_the_day_of_joining_is_a_clock() -> None:
    assert refused(spans().with_columns(joined=pl.col("contract_on").cast(pl.Int32))) == {"joined": "clock"}


def test_a_field_filled_on_ending_is_refused() -> None:
    frame = spans().with_columns(
        exit_score=pl.when("event").then(pl.lit(3.0)),
        status=pl.when("event").then(pl.lit("cancelled")).otherwise(pl.lit("active")),
        next_bill=pl.when(~pl.col("event")).then(pl.lit("soon")),
    )
    found = refused_covariates(frame, seed=1)
    assert found["column"].to_list() == ["exit_score", "next_bill", "status"]
    assert found["kind"].unique().to_list() == ["outcome"]
    assert "only on contracts that still run" in found["reason"][1]


def test_a_noisy_copy_of_the_clock_is_caught_by_its_jump() -> None:
    frame = spans()
    noise = np.random.default_rng(4).normal(0, 40, frame.height)
    assert "copy" in refused(frame.with_columns(copy=pl.col("duration") + pl.Series(noise)))
