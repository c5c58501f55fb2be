from datetime import date

import polars as pl
from polars.testing import assert_frame_equal

from dagster_project.models.returns import RETURN_SCHEMA, past_returns, with_offers

LONG_GAPS = pl.List(pl.Struct({"ended_on": pl.Date, "gap_days": pl.Int32, "n_active_days_before": pl.Int32}))
AS_OF = date(2024, 6, 1)


def users(*rows: tuple[str, date, list[tuple[date, int, int]]]) -> pl.DataFrame:
    names = ("ended_on", "gap_days", "n_active_days_before")
    gaps = pl.Series([[dict(zip(names, gap, strict=True)) for gap in row[2]] for row in rows], dtype=LONG_GAPS)
    known = {"user_id": [row[0] for row in rows], "last_on": [row[1] for row in rows]}
    return pl.DataFrame(known, schema={"user_id": pl.String, "last_on": pl.Date}).with_columns(gaps.alias("long_gaps"))


def thresholds(**days: float | None) -> pl.DataFrame:
    schema = {"user_id": pl.String, "churn_threshold_days": pl.Float64}
    return pl.DataFrame({"user_id": list(days), "churn_threshold_days": list(days.values())}, schema=schema)


def test_a_return_lasts_until_the_threshold_after_its_last_active_day() -> None:
    twice = users(("a", date(2024, 5, 20), [(date(2024, 1, 31), 40, 2), (date(2024, 5, 1), 60, 5)]))
    # active until 2024-03-02 (60 days before 05-01), so beyond 30 days of silence on 2024-04-02
    assert past_returns(twice, thresholds(a=30.7), as_of=AS_OF).rows() == [
        ("a", date(2024, 1, 31), 62, True, 40, 2, 0, 30.7, None),
        ("a", date(2024, 5, 1), 31, False, 60, 5, 1, 30.7, None),
    ]


def test_who_is_silent_beyond_the_threshold_tonight_has_relapsed() -> None:
    gone = users(("a", date(2024, 3, 10), [(date(2024, 3, 1), 50, 3)]))
    assert past_returns(gone, thresholds(a=20.0), as_of=AS_OF)["spell_days", "relapsed"].rows() == [(30, True)]
    on_the_edge = date(2024, 3, 30)  # the twentieth day of silence is not beyond it
    assert past_returns(gone, thresholds(a=20.0), as_of=on_the_edge)["spell_days", "relapsed"].rows() == [(29, False)]


def test_gaps_within_the_threshold_and_users_without_one_are_no_returns() -> None:
    some = users(
        ("a", date(2024, 5, 1), [(date(2024, 4, 1), 30, 2)]),
        ("b", date(2024, 5, 1), [(date(2024, 4, 1), 31, 2)]),
        ("c", date(2024, 5, 1), [(date(2024, 4, 1), 90, 2)]),
        ("d", date(2024, 5, 1), []),
    )
    assert past_returns(some, thresholds(a=30.0, b=30.0, c=None, d=5.0), as_of=AS_OF)["user_id"].to_list() == ["b"]


def test_nobody_gives_the_empty_frame_and_order_does_not_matter() -> None:
    none = past_returns(users(), thresholds(), as_of=AS_OF)
    assert (none.height, none.schema) == (0, RETURN_SCHEMA)
    two = users(
        ("b", date(2024, 5, 1), [(date(2024, 4, 1), 90, 2)]),
        ("a", date(2024, 5, 9), [(date(2024, 2, 1), 50, 2), (date(2024, 4, 1), 35, 2)]),
    )
    limits = thresholds(a=30.0, b=30.0)
    expected = past_returns(two, limits, as_of=AS_OF)
    assert_frame_equal(past_returns(two.reverse(), limits.reverse(), as_of=AS_OF), expected)


def test_offers_are_known_of_the_returns_they_brought() -> None:
    two = users(("a", date(2024, 5, 9), [(date(2024, 2, 1), 50, 2), (date(2024, 4, 1), 35, 2)]))
    returns = past_returns(two, thresholds(a=30.0), as_of=AS_OF)
    offers = pl.DataFrame({"user_id": ["a"], "returned_on": [date(2024, 4, 1)], "came_by_offer": [True]})
    assert with_offers(returns, offers)["came_by_offer"].to_list() == [None, True]
