"""What the tables of this layer say of themselves."""

from dagster_project.lake.table_doc import table_doc

OUTAGES = table_doc(
    "outages.outages",
    """
One row per outage of the last year that a night knows of: what of ours was broken, where and when.

grain: outage_id
tests:
  not_null outage_id, kind, start_on, n_users, expected, observed, explanation; unique outage_id; start_on < end_on;
  start_at < end_at;
  expected >= 0; observed >= 0; n_users >= 0
columns:
  outage_id: kind, place and first day, or first hour (UTC), in one word
  kind: events (not recorded), messages (refused by the provider) or token_purge (addresses that died in mass)
  platform: where it was; null: on all
  app_version: of the app; null: all
  country: of the users; null: all
  channel: of the messages; null for events
  start_on (date): first day of it
  end_on (date): day after the last; null: still running
  start_at (UTC): hour from which messages were refused; null where only days are known
  end_at (UTC): hour from which they got through again, or none was sent; null: still running, or only days are known
  n_users (users): silenced by it, as outages.silenced_users has them
  expected: active days (events), failures (messages) or deaths around the day (token_purge) as usual
  observed: the same as seen
  z: standard deviations from expected to observed
  explanation: the same in a sentence

A fall of everybody alike is no outage of anyone, since each place is compared with the rest of the same day. The list
is made anew every night from what is known by then: a young outage may get another first day when more is known.
""",
)

DAILY_COUNTS = table_doc(
    "outages.daily_counts",
    """
One row per outage and day from four weeks before it to four weeks after: what was seen and what was due.

grain: outage_id, dt
tests: not_null outage_id, dt, observed, expected; unique outage_id, dt
columns:
  outage_id: the outage
  dt (date): the day
  observed: active users (events), failed messages (messages), deaths in spans that hold the day (token_purge)
  expected: the same as usual on such a day
""",
)

SILENCED_USERS = table_doc(
    "outages.silenced_users",
    """
One row per user and outage: whose silence is of our making, for something of ours was broken.

grain: user_sk, outage_id
tests: not_null user_sk, user_id, outage_id, kind, silent_since; unique user_sk, outage_id; paused_days >= 0
columns:
  user_sk: the user's key inside the store
  user_id: the user's own id
  outage_id: the outage
  kind: events, messages or token_purge
  silent_since (date): the last active day
  paused_days (days): days since then on which silence says nothing: those of an event outage, or those without a way
  reached_on (date): first day on which a message got through again; null: not yet, or events were lost

Users who had lapsed before the outage are not on the list. They leave it with their next event, or when their silence
without the paused days is longer than their own churn threshold. Of an outage of messages only those are on it whom no
other channel can or could reach, and who shut none themselves: their days are paused until any message gets through.
Whom a provider refused leaves it 90 days after the outage at the latest.
""",
)

TABLES = (OUTAGES, DAILY_COUNTS, SILENCED_USERS)
