"""What a night says of an outage: where, from when to when, in columns and in a sentence."""

import polars as pl

from dagster_project.outages.night import OutageNight, Sent, find_outages
from outages.builders import flows
from outages.sends import N_DAYS, Rows, at, by_hour, failed, on, outcomes, sent

AS_OF = on(N_DAYS - 1)
HOURS = range(8, 18)


def night(rows: Rows, hourly: pl.DataFrame) -> OutageNight:
    seen = {"user_sk": [90_900, 91_200], "user_id": ["a", "b"], "last_on": [on(80), on(80)]}
    place = {"platform": ["ios", "ios"], "app_version": ["2.0", "2.0"], "country": ["DE", "DE"]}
    thresholds = pl.DataFrame({"user_sk": [90_900, 91_200], "churn_threshold_days": [30.0, 30.0]})
    sent_by = Sent(outcomes(rows), hourly)
    nobody = flows(lambda *_: False, n_days=1)
    return find_outages(nobody, pl.DataFrame({**seen, **place}), sent_by, thresholds, as_of=AS_OF)


def well(*, but: int) -> Rows:
    return [row for day in range(N_DAYS) if day != but for row in sent(day, 40)]


def test_hours_of_an_outage_stand_in_columns_and_in_its_sentence_and_only_their_users_are_silenced() -> None:
    refused = [row for hour in (9, 10, 11) for row in failed(90, 4, "UNAVAILABLE", hour=hour)]
    found = night([*well(but=90), *sent(90, 28), *refused, *failed(91, 1, "UNAVAILABLE")], by_hour(HOURS, 4))

    assert found.outages.select("outage_id", "start_on", "end_on", "start_at", "end_at", "n_users").rows() == [
        (f"messages:*:*:*:push:{on(90)}T09", on(90), on(91), at(90, 9), at(90, 12), 1)
    ]
    assert found.outages["explanation"].to_list() == [
        f"12 messages by push were refused, where 0 are usual from {on(90)} 09:00 to 12:00 UTC."
    ]
    assert found.silenced["user_id"].to_list() == ["a"]


def test_the_hours_of_an_outage_that_runs_have_no_end() -> None:
    last = N_DAYS - 1
    refused = [row for hour in (15, 16, 17) for row in failed(last, 4, "UNAVAILABLE", hour=hour)]
    found = night([*well(but=last), *sent(last, 28), *refused], by_hour(HOURS, 4)).outages

    assert found.select("start_at", "end_on", "end_at").rows() == [(at(last, 15), None, None)]
    assert found["explanation"].item().endswith(f"from {AS_OF} 15:00 UTC on.")


def test_a_log_without_a_clock_has_days_and_no_hours() -> None:
    found = night([*well(but=90), *failed(90, 40, "UNAVAILABLE", hour=0)], by_hour([0], 40))

    assert found.outages.select("start_on", "end_on", "start_at", "end_at").rows() == [(on(90), on(91), None, None)]
    assert found.outages["explanation"].item().endswith(f"usual on {on(90)}.")
    assert found.daily.filter(pl.col("dt") == on(90)).select("observed").item() == 40
