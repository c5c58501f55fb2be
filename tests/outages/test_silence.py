"""Whom an outage silences, and for how long."""

from datetime import date, datetime, time
from typing import Any

import polars as pl

from dagster_project.outages.night import OUTAGES
from dagster_project.outages.silence import known_by, silenced_by_events, silenced_by_messages, spoilt_users
from dagster_project.outages.ways import Ways
from outages.sends import outcomes

START = date(2024, 3, 1)


def outages(*rows: dict[str, Any]) -> pl.DataFrame:
    plain = {**dict.fromkeys(OUTAGES.names()), "outage_id": "o", "kind": "events", "start_on": START}
    return pl.DataFrame([{**plain, **row} for row in rows], schema=OUTAGES)


def seen(*rows: tuple[int, str, str | None, date]) -> pl.DataFrame:
    return pl.DataFrame(
        [
            {
                "user_sk": sk,
                "user_id": f"u{sk}",
                "last_on": on,
                "platform": platform,
                "app_version": version,
                "country": "DE",
            }
            for sk, platform, version, on in rows
        ],
        schema_overrides={"user_sk": pl.Int64, "app_version": pl.String},
    )


def sends(*rows: dict[str, Any]) -> pl.DataFrame:
    return outcomes({"is_failed": True, "n_messages": 1, **row} for row in rows)


def hour(number: int) -> datetime:
    return datetime.combine(START, time(number))


def thresholds(*days: float) -> pl.DataFrame:
    return pl.DataFrame({"user_sk": range(1, len(days) + 1), "churn_threshold_days": days})


def test_users_of_the_place_who_had_not_lapsed_are_silenced_while_it_runs() -> None:
    users = seen(
        (1, "ios", "1.0", date(2024, 2, 20)),
        (2, "web", None, date(2024, 2, 20)),
        (3, "ios", "2.0", date(2024, 2, 20)),
        (4, "ios", "1.0", date(2024, 1, 1)),
        (5, "ios", "1.0", date(2024, 3, 3)),
    )
    broken = outages({"platform": "ios", "app_version": "1.0"})

    made = silenced_by_events(broken, users, thresholds(30, 30, 30, 30, 30), as_of=date(2024, 6, 8))

    assert made.rows() == [
        (1, "u1", "o", "events", date(2024, 2, 20), 100, None),
        (5, "u5", "o", "events", date(2024, 3, 3), 97, None),
    ]


def test_a_closed_outage_gives_back_its_days_until_the_threshold_has_passed_without_them() -> None:
    users = seen((1, "ios", None, date(2024, 2, 29)), (2, "ios", None, date(2024, 2, 29)))
    broken = outages({"platform": "ios", "end_on": date(2024, 3, 11)})

    made = silenced_by_events(broken, users, thresholds(30, 29), as_of=date(2024, 4, 9))

    assert made.select("user_sk", "paused_days").rows() == [(1, 10)]


def test_who_was_seen_again_after_the_outage_is_not_silenced() -> None:
    users = seen((1, "ios", None, date(2024, 3, 11)))

    made = silenced_by_events(outages({"end_on": date(2024, 3, 11)}), users, thresholds(30), as_of=date(2024, 3, 20))

    assert made.rows() == []


BEFORE, AFTER, PURGED_ON = date(2024, 2, 25), date(2024, 3, 2), date(2024, 3, 1)
PURGE = {"kind": "token_purge", "channel": "push", "platform": "ios", "end_on": date(2024, 3, 2)}
REFUSED = {"kind": "messages", "channel": "email", "end_on": date(2024, 3, 2)}
WAY = {"user_sk": 1, "channel": "email", "known_on": date(2023, 1, 1), "died_on": None, "shut_on": None}


def dead_tokens(*users: int, alive_on: date = BEFORE) -> pl.DataFrame:
    """One failed message each, on 9 March, to a token that was alive on 25 February."""
    fixed = {"channel": "push", "platform": "ios", "dt": date(2024, 3, 9), "code": "BadDeviceToken"}
    return sends(*({**fixed, "user_sk": user, "alive_on": alive_on} for user in users))


def refused_mails(*days: date, code: str = "4.4.2") -> pl.DataFrame:
    """Failed messages to user 1."""
    return sends(*({"channel": "email", "platform": "ios", "code": code, "user_sk": 1, "dt": day} for day in days))


def hit_by(outage: dict[str, Any], failed: pl.DataFrame, *users: tuple[int, str]) -> list[str]:
    """Whom an outage of messages silenced, of users (user_sk, app_version) last seen on 20 February."""
    made = silenced_by_messages(
        outages(outage),
        seen(*((user, "ios", version, date(2024, 2, 20)) for user, version in users)),
        failed,
        thresholds(*[30] * len(users)),
        ways=Ways(),
        as_of=date(2024, 3, 10),
    )
    return made["user_id"].to_list()


def ways(
    *channels: dict[str, Any],
    arrivals: tuple[date, ...] = (),
    stopped: tuple[int, ...] = (),
    removed: tuple[date, ...] = (),
) -> Ways:
    """Ways of user 1."""
    plain = Ways()
    return Ways(
        channels=pl.DataFrame([{**WAY, **one} for one in channels], schema=plain.channels.schema),
        arrivals=pl.DataFrame({"user_sk": [1] * len(arrivals), "dt": arrivals}, schema=plain.arrivals.schema),
        stopped=pl.DataFrame({"user_sk": stopped}, schema={"user_sk": pl.Int64}),
        removals=pl.DataFrame({"user_sk": [1] * len(removed), "dt": removed}, schema=plain.removals.schema),
    )


def purged(
    known: Ways | None = None, *, as_of: date = date(2024, 5, 1), last_on: date = date(2024, 2, 20)
) -> list[tuple[int, date | None]]:
    """paused_days and reached_on of user 1, whose token died in the purge of 1 March."""
    made = silenced_by_messages(
        outages(PURGE),
        seen((1, "ios", None, last_on)),
        dead_tokens(1),
        thresholds(30),
        ways=known or Ways(),
        as_of=as_of,
    )
    return made.select("paused_days", "reached_on").rows()


def test_a_dead_token_of_the_purge_is_ours_until_the_user_is_active_again() -> None:
    users = seen(
        (1, "ios", None, date(2024, 2, 20)), (2, "ios", None, date(2024, 3, 20)), (3, "ios", None, date(2024, 2, 20))
    )
    sends = pl.concat([dead_tokens(1, 2), dead_tokens(3, alive_on=AFTER)])

    made = silenced_by_messages(
        outages(PURGE), users, sends, thresholds(30, 30, 30), ways=Ways(), as_of=date(2024, 3, 31)
    )

    assert made.rows() == [(1, "u1", "o", "token_purge", date(2024, 2, 20), 31, None)]


def test_the_clock_stands_still_from_the_purge_to_the_night() -> None:
    assert purged(as_of=date(2024, 5, 1)) == [(62, None)]
    assert purged(as_of=date(2025, 2, 1)) == [(338, None)]
    assert purged(last_on=date(2024, 3, 5)) == [(57, None)]


def test_who_had_lapsed_before_the_purge_was_not_silenced_by_it() -> None:
    assert purged(last_on=date(2024, 1, 30)) == [(62, None)]
    assert purged(last_on=date(2024, 1, 29)) == []


def test_a_message_that_gets_through_sets_the_clock_running_again() -> None:
    arrived = ways(arrivals=(date(2024, 3, 5), date(2024, 3, 9), date(2024, 4, 10), date(2024, 4, 20)))

    # Silent since 20 February: 9 days before the purge, then 40 paused, so that day 31 comes on 1 May.
    assert purged(arrived, as_of=date(2024, 4, 30)) == [(40, date(2024, 4, 10))]
    assert purged(arrived, as_of=date(2024, 5, 1)) == []


def test_whoever_another_channel_reaches_was_not_silenced() -> None:
    assert purged(ways({})) == []
    assert purged(ways({"channel": "sms", "known_on": None})) == []


def test_another_channel_that_was_open_when_the_token_died_was_a_way() -> None:
    assert purged(ways({"died_on": date(2024, 4, 1)})) == []
    assert purged(ways({"shut_on": date(2024, 4, 1)})) == []
    assert purged(ways({"died_on": PURGED_ON})) == [(62, None)]
    assert purged(ways({"shut_on": date(2024, 2, 1)})) == [(62, None)]
    assert purged(ways({"known_on": date(2024, 3, 20), "died_on": date(2024, 4, 1)})) == [(62, None)]


def test_whoever_shut_the_channel_or_asked_to_be_left_alone_was_not_silenced_by_us() -> None:
    push = {"channel": "push", "died_on": date(2024, 3, 9)}

    assert purged(ways(push)) == [(62, None)]
    assert purged(ways({**push, "shut_on": date(2024, 3, 10)})) == []
    assert purged(ways(push, stopped=(1,))) == []
    assert purged(ways(push, removed=(date(2024, 2, 20),))) == []
    assert purged(ways(push, removed=(date(2024, 2, 19),))) == [(62, None)]


def test_two_channels_that_died_in_purges_of_one_day_are_no_way_for_each_other() -> None:
    both = outages(PURGE, {**PURGE, "outage_id": "p", "channel": "email"})
    sends = pl.concat([dead_tokens(1), dead_tokens(1).with_columns(channel=pl.lit("email"), code=pl.lit("5.1.1"))])
    died = date(2024, 3, 9)
    known = ways({"died_on": died}, {"channel": "push", "died_on": died})

    made = silenced_by_messages(
        both, seen((1, "ios", None, date(2024, 2, 20))), sends, thresholds(30), ways=known, as_of=date(2024, 5, 1)
    )

    assert made.select("outage_id", "paused_days").rows() == [("o", 62), ("p", 62)]


def refused(*days: date, known: Ways, as_of: date, code: str = "4.4.2") -> list[tuple[int, date | None]]:
    users, failed = seen((1, "ios", None, date(2024, 2, 20))), refused_mails(*days, code=code)
    made = silenced_by_messages(outages(REFUSED), users, failed, thresholds(30), ways=known, as_of=as_of)
    return made.select("paused_days", "reached_on").rows()


def test_a_message_refused_in_a_provider_outage_is_ours() -> None:
    days = {"as_of": date(2024, 5, 1), "known": ways({})}

    assert refused(date(2024, 3, 1), **days) == [(62, None)]
    assert refused(date(2024, 3, 2), **days) == []
    assert refused(date(2024, 3, 1), code="5.1.1", **days) == []


def test_a_refusal_of_eleven_months_ago_with_later_arrivals_silences_nobody() -> None:
    arrived = ways({}, arrivals=(date(2024, 3, 20), date(2024, 4, 20), date(2025, 1, 20)))

    assert refused(date(2024, 3, 1), known=arrived, as_of=date(2024, 4, 9)) == [(19, date(2024, 3, 20))]
    assert refused(date(2024, 3, 1), known=arrived, as_of=date(2025, 2, 1)) == []


def test_a_refusal_is_forgotten_a_quarter_after_the_outage_for_the_address_works() -> None:
    assert refused(date(2024, 3, 1), known=ways({}), as_of=date(2024, 5, 30)) == [(91, None)]
    assert refused(date(2024, 3, 1), known=ways({}), as_of=date(2024, 5, 31)) == []


def test_an_outage_of_some_hours_silences_only_those_who_were_written_to_within_them() -> None:
    users = [(user, "2.0") for user in (1, 2, 3)]
    fixed = {"channel": "push", "platform": "ios", "code": "UNAVAILABLE", "dt": START}
    failed = sends(*({**fixed, "user_sk": user, "hour_at": hour(7 + user)} for user, _ in users))
    running = {"kind": "messages", "channel": "push", "start_at": hour(9)}

    assert hit_by({**running, "end_on": date(2024, 3, 2), "end_at": hour(10)}, failed, *users) == ["u2"]
    assert hit_by(running, failed, *users) == ["u2", "u3"]


def test_an_outage_of_a_version_silences_those_who_had_it_when_they_were_written_to() -> None:
    fixed = {"channel": "push", "platform": "ios", "code": "UNAVAILABLE", "dt": START}
    failed = sends(
        {**fixed, "user_sk": 1, "app_version": "2.0"},
        {**fixed, "user_sk": 2, "app_version": "2.1"},
        {**fixed, "user_sk": 2, "app_version": None},
    )
    broken = {"kind": "messages", "channel": "push", "platform": "ios", "app_version": "2.0"}

    assert hit_by(broken, failed, (1, "2.0"), (2, "2.1")) == ["u1"]


def test_an_outage_that_ended_later_was_running_on_an_earlier_day() -> None:
    later = outages({"end_on": date(2024, 3, 11)}, {"outage_id": "p", "start_on": date(2024, 3, 9)})

    made = known_by(later, as_of=date(2024, 3, 5))

    assert made.select("outage_id", "end_on").rows() == [("o", None)]


def test_every_user_of_the_place_is_left_out_of_labels_whose_window_meets_the_outage() -> None:
    users = seen((1, "ios", None, date(2024, 2, 1)), (2, "web", None, date(2024, 2, 1)))
    broken = outages({"platform": "ios", "end_on": date(2024, 3, 11)})

    def spoilt(cutoff: date) -> list[int]:
        return spoilt_users(broken, users, cutoff=cutoff, horizon_days=30)["user_sk"].to_list()

    assert spoilt(date(2024, 1, 30)) == []
    assert spoilt(date(2024, 1, 31)) == [1]
    assert spoilt(date(2024, 3, 10)) == [1]
    assert spoilt(date(2024, 3, 11)) == []
