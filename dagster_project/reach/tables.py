"""What the table of this layer says of itself."""

from dagster_project.lake.table_doc import table_doc

CONTACT_POINTS = table_doc(
    "reach.contact_points",
    """
One row per user and channel of which something is known: whether a message may and can go there.

grain: user_sk, channel
tests: not_null user_sk, channel, reach; unique user_sk, channel
columns:
  user_sk: the user's key inside the store
  channel: email, push, sms, ...
  reach: ok, stale, dead, revoked, capped, suppressed or unknown
  consent_basis: on what the permission rests
  rule_id: set = the channel must not be used
  citation: the law or standard behind the rule; null for our own rules
  until (date): first day on which it may be used again; null: until the user or the facts change
  code: the provider's own reason of a dead endpoint
  quiet_start (minutes): after local midnight, from when on the user wants no message
  quiet_end (minutes): after local midnight, until when
""",
)
