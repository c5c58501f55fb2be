"""What the table of this layer says of itself."""

from dagster_project.lake.table_doc import table_doc

ENDPOINTS = table_doc(
    "reach.endpoints",
    """
One row per user and channel known from messages or consents: whether a message can arrive there, and how we know.

grain: user_sk, channel
tests:
  not_null user_sk, user_id, channel, reach, is_active_after, explanation; unique user_sk, channel;
  reach in ('ok', 'stale', 'dead', 'revoked', 'capped', 'suppressed', 'unknown'); first_seen_on <= last_seen_on;
  first_failed_on <= last_failed_on
columns:
  user_sk: the user's key inside the store
  user_id: the user's own id
  channel: email, push, sms, ...
  endpoint: address or device token of the best one known; null where the source tells none
  reach: ok, stale, dead, revoked, capped, suppressed or unknown
  failure_class: class of the failure that decided, since the last proof of life; null without one
  is_permanent: whether that failure is permanent; null where its code does not tell
  code: the provider's own reason for it
  rule_id: the rule of reach/failures that read the code; null where none knows it
  until (date): first day on which a quota that holds messages back is over; null where the user's next act opens it
  first_seen_on (date): first message event of the endpoint, in the business zone
  last_seen_on (date): newest message event of the endpoint
  last_delivered_on (date): newest proof of life: delivered, opened, clicked or converted
  first_failed_on (date): first failure since then
  last_failed_on (date): newest failure since then
  died_on (date): the first failure that told of the endpoint's death, whatever the user said; null if none did
  n_failed_since_delivered (messages): failed since then
  is_active_after: the user was seen after the endpoint died or was shut: a technical failure, not lost interest
  explanation: one sentence

A permanent failure of a dead or moved endpoint kills it until something arrives there again; transient failures never
do, but three in a row over two weeks make it stale, as do three messages without a proof of life in thirty days. One
endpoint that answers is enough for the channel. The user's own words stand above: a complaint, an opt-out or a STOP
told to the provider that no later grant lifts; a consent for all channels speaks for each. A fact of delivery and a
record of consent; what follows from law is in reach.contact_points.
""",
)

FAILURE_CODES = table_doc(
    "reach.failure_codes",
    """
One row per channel, kind of failure and code seen so far: what the rules make of it. `unknown` is listed, not guessed.

grain: channel, event, code
tests: not_null channel, event, code, failure_class, n_messages; unique channel, event, code
columns:
  channel: email, push, sms, ...
  event: failed or bounced
  code: the provider's own reason, addresses and long ids taken out; empty where it gave none
  failure_class: as in reach.endpoints: endpoint_dead, network, quota, ...; unknown where no rule knows the code
  is_permanent: whether sending again is useless; null where the code does not tell
  rule_id: the rule of reach/failures that decided; null where none knows the code
  n_messages (messages): failed with it so far
  n_users (users): whose messages these were
  last_failed_on (date): the newest, in UTC
""",
)

CONTACT_POINTS = table_doc(
    "reach.contact_points",
    """
One row per user and channel of which something is known: whether a message may and can go there.

grain: user_sk, channel
tests: not_null user_sk, channel, reach; unique user_sk, channel; (rule_id is null) = (citation is null)
columns:
  user_sk: the user's key inside the store
  channel: email, push, sms, ...
  reach: ok, stale, dead, revoked, capped, suppressed or unknown
  consent_basis: on what the permission rests
  rule_id: set = the channel must not be used
  citation: law, standard or provider's page behind the rule, else the user's choice, setting or record; null: no rule
  until (date): first day on which it may be used again; null: until the user or the facts change
  code: the provider's own reason of an endpoint that is dead, revoked or capped
  quiet_start (minutes): after local midnight, from when on the user wants no message
  quiet_end (minutes): after local midnight, until when
""",
)

RECALLED = table_doc(
    "reach.recalled",
    """
One row per contact of an earlier list that is not due yet and must not be sent any more: tonight its channel is closed.

grain: user_id, channel, strategy_id, listed_on
tests:
  not_null user_id, channel, strategy_id, listed_on, rule_id, citation;
  unique user_id, channel, strategy_id, listed_on
columns:
  user_id: the user's own id
  channel: email, push, sms, ...
  strategy_id: what was to be sent
  listed_on (date): the night whose list holds the contact
  send_at: when it is due, on the user's clock; null if that night's list is no longer kept
  rule_id: which rule closes the channel
  citation: the law or standard behind it, else the user's own choice or the record of ours
  said_on (date): day on which the user said stop, in the business zone; null where the rule is another
  honour_by (date): last day that the law leaves to honour it; null where the rule is another

The gate forgets nothing of what it let out: whoever sends later than the night strikes these rows first. Caps take
nothing back, since they count the contact itself.
""",
)

LATE_MESSAGES = table_doc(
    "reach.late_messages",
    """
One row per message of the last 31 days that was sent after the last day that the law leaves to honour a stop.

grain: user_id, channel, message_id
tests: not_null user_id, channel, message_id, sent_on, stop, citation, said_on, honour_by; sent_on > honour_by;
  unique user_id, channel, message_id
columns:
  user_id: the user's own id
  channel: email, push, sms, ...
  message_id: the provider's id of the message
  sent_on (date): day of sending, in the business zone
  stop: withdrawal, complaint or deletion
  citation: where the deadline is written
  said_on (date): day on which the user said it, in the business zone
  honour_by (date): last day that the law leaves

Of several packs that bind the user the shortest deadline counts. Messages of exempt categories, such as receipts, are
left out; whoever sent them, and whether we listed them, is not asked.
""",
)
