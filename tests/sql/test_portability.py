"""The SQL models use only what other engines compute equally: Spark runs them through sqlglot."""

import re

import sqlglot
from sqlglot import exp

from dagster_project.lake.sql_model import load_models

MODELS = load_models()
SILENTLY_DIFFERENT = (
    exp.PercentileCont,
    exp.PercentileDisc,
    exp.Quantile,
    exp.Log,
    exp.DayOfWeek,
    exp.DayOfWeekIso,
    exp.ILike,
    exp.Pivot,
    exp.Columns,
)
FORBIDDEN_NAMES = frozenset(
    {
        *("quantile_cont", "quantile_disc", "percentile_cont", "percentile_disc", "dayname", "hash", "entropy"),
        *("generate_series", "range", "to_days", "epoch_ms", "isodow", "timezone", "list_slice", "getvariable"),
        *("dayofweek", "date_part", "len", "read_parquet", "read_csv", "current_date", "now", "random"),
    }
)


def faults(query: str) -> list[str]:
    """What an engine other than DuckDB would compute differently or not at all."""
    tree = sqlglot.parse_one(query, dialect="duckdb")
    found = [type(node).__name__ for node in tree.find_all(*SILENTLY_DIFFERENT)]
    called = {name.lower() for name in re.findall(r"(\w+)\s*\(", query)}
    found += sorted(called & FORBIDDEN_NAMES)
    found += ["list with order" for node in tree.find_all(exp.ArrayAgg) if isinstance(node.this, exp.Order)]
    found += ["cast of a double to an integer" for node in tree.find_all(exp.Cast) if is_rounding(node)]
    found += ["qualify with a star" for node in tree.find_all(exp.Select) if node.args.get("qualify") and node.is_star]
    found += [f"bare {node.sql('duckdb')}" for node in tree.find_all(exp.Sub) if is_day_arithmetic(node)]
    return found


def is_rounding(node: exp.Cast) -> bool:
    """Whether a cast to an integer rounds here and truncates elsewhere."""
    return bool(node.to.is_type("bigint", "integer")) and node.this.find(exp.Div) is not None


def is_day_arithmetic(node: exp.Sub) -> bool:
    """Whether a date minus an interval is left as a timestamp."""
    return node.find(exp.Interval) is not None and not isinstance(node.parent, exp.Cast)


def test_no_model_uses_what_other_engines_compute_differently() -> None:
    assert {table: found for table, model in MODELS.items() if (found := faults(model.query))} == {}


def test_every_model_can_be_written_for_spark() -> None:
    for model in MODELS.values():
        assert sqlglot.transpile(model.query, read="duckdb", write="spark", unsupported_level=sqlglot.ErrorLevel.RAISE)


def test_the_check_finds_what_it_forbids() -> None:
    assert faults("select log(a), quantile_cont(a, 0.5), date_part('dow', d), len(x) from t.t") != []
    assert faults("select list(a order by b) from t.t") == ["list with order"]
    assert faults("select d - interval 1 day from t.t") == ["bare d - INTERVAL '1' DAY"]
    assert faults("select cast(d - interval 1 day as date), count(*) from t.t") == []


def test_models_know_a_night_only_in_marts_and_later() -> None:
    early = [table for table, model in MODELS.items() if "as_of" in model.params and model.schema != "marts"]

    assert early == []


def test_models_read_only_tables_that_exist() -> None:
    ingested = {"ingest.user_keys", "ingest.repeated_events"}
    strangers = {
        read
        for model in MODELS.values()
        for read in model.reads
        if read not in MODELS and read != model.before and read not in ingested and not read.startswith("ingest.")
    }

    assert strangers == set()
