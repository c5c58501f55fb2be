"""What each reason of leaving means in a simulated world: one row of traits per reason.

The seventeen names are those that the product diagnoses; here they are causes, there they are findings.
"""

from collections.abc import Mapping
from dataclasses import dataclass

STRATEGIES = ("remind", "content", "discount", "apology", "payment_help")


@dataclass(frozen=True)
class ReasonTraits:
    """How people who leave for one reason behave afterwards.

    `share` is the weight among leavers; `daily_return_hazard` the mean chance a day of coming back unaided;
    `interest_kept` the share of interest that survives leaving; `lift` the mean change of the log-odds of a
    return, per strategy in the order of STRATEGIES, when a message of it arrives.
    """

    share: float
    daily_return_hazard: float
    interest_kept: float
    lift: tuple[float, float, float, float, float]


# Sizes are opinions, chosen so that the reasons differ in the best message and some are harmed by any.
REASON_TRAITS: Mapping[str, ReasonTraits] = {
    # Caused by the planted outages, so without a share: these users never left.
    "measurement_gap": ReasonTraits(0.00, 0.0000, 1.0, (0.2, 0.2, 0.2, 0.0, 0.0)),
    "identity_switch": ReasonTraits(0.03, 0.0000, 1.0, (0.0, 0.0, 0.0, 0.0, 0.0)),
    "delivery_dead": ReasonTraits(0.10, 0.0040, 0.9, (1.6, 1.3, 1.4, 0.3, 0.0)),
    "uninstalled": ReasonTraits(0.08, 0.0015, 0.4, (0.4, 0.5, 0.9, 0.2, 0.0)),
    "permission_revoked": ReasonTraits(0.06, 0.0030, 0.6, (0.5, 0.7, 0.6, 0.1, 0.0)),
    "message_fatigue": ReasonTraits(0.07, 0.0025, 0.5, (-0.6, -0.2, -0.1, 0.0, -0.3)),
    "payment_failure": ReasonTraits(0.06, 0.0040, 0.9, (0.7, 0.3, 0.7, 0.2, 1.8)),
    "price_or_plan": ReasonTraits(0.09, 0.0020, 0.6, (0.2, 0.2, 1.6, 0.1, 0.0)),
    "service_failure": ReasonTraits(0.08, 0.0020, 0.6, (0.1, 0.1, 0.8, 1.5, 0.0)),
    "privacy_concern": ReasonTraits(0.03, 0.0005, 0.2, (-0.8, -0.8, -0.6, 0.0, -0.5)),
    "never_activated": ReasonTraits(0.09, 0.0010, 0.3, (0.5, 0.8, 0.8, 0.0, 0.0)),
    "content_irrelevant": ReasonTraits(0.06, 0.0015, 0.4, (0.1, 1.4, 0.4, 0.0, 0.0)),
    "value_decay": ReasonTraits(0.09, 0.0020, 0.3, (0.4, 0.6, 0.9, 0.0, 0.0)),
    "goal_completed_or_seasonal": ReasonTraits(0.05, 0.0030, 0.5, (0.4, 0.9, 0.3, 0.0, 0.0)),
    "competitor_or_life_change": ReasonTraits(0.04, 0.0010, 0.2, (0.1, 0.1, 0.5, 0.0, 0.0)),
    "explicit_stop": ReasonTraits(0.04, 0.0005, 0.1, (-0.5, -0.3, 0.1, 0.0, 0.0)),
    "unknown": ReasonTraits(0.12, 0.0020, 0.5, (0.4, 0.4, 0.7, 0.0, 0.0)),
}
REASONS = tuple(REASON_TRAITS)
LIFT_WHILE_ENGAGED = (0.1, 0.1, 0.2, 0.0, 0.0)


def reason_code(reason: str) -> int:
    """Return the position of a reason in REASONS: how arrays of this package name reasons (-1: none)."""
    return REASONS.index(reason)
