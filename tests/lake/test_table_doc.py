import polars as pl
import pytest

from dagster_project.lake import audit
from dagster_project.lake.table_doc import audit_frame, table_doc

DOC = table_doc(
    "models.scores",
    """
One row per user.

grain: user_id
tests: p_active between 0 and 1
columns:
  user_id: the user's own id
  p_active (0 to 1): chance
  value (currency): money
""",
)


def scores(*, p_active: list[float | None], value: list[float | None]) -> pl.DataFrame:
    return pl.DataFrame(
        {"user_id": ["u1", "u2"], "p_active": p_active, "value": value},
        schema={"user_id": pl.String, "p_active": pl.Float64, "value": pl.Float64},
    )


def test_numbers_and_nulls_pass() -> None:
    results = audit_frame(scores(p_active=[0.5, None], value=[None, 3.0]), DOC)

    assert [result.name for result in results][-1] == "finite"
    assert all(result.passed for result in results)


@pytest.mark.parametrize("odd", [float("nan"), float("inf"), float("-inf")])
def test_a_number_that_is_none_is_refused_in_any_column(odd: float) -> None:
    with pytest.raises(audit.AuditError, match=r"models\.scores as made breaks finite \(1 rows\)") as raised:
        audit_frame(scores(p_active=[0.5, 0.5], value=[1.0, odd]), DOC)

    assert raised.value.results[-1] == audit.TestResult("finite", 1)
