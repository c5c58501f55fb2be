"""The seventeen reasons, in the order in which the cascade asks for them."""

UNKNOWN = "unknown"
REASONS = (
    "measurement_gap",
    "identity_switch",
    "delivery_dead",
    "uninstalled",
    "permission_revoked",
    "message_fatigue",
    "payment_failure",
    "price_or_plan",
    "service_failure",
    "privacy_concern",
    "never_activated",
    "content_irrelevant",
    "value_decay",
    "goal_completed_or_seasonal",
    "competitor_or_life_change",
    "explicit_stop",
    UNKNOWN,
)
