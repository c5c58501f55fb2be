"""On what a rule rests that no law made: the user's own word, a setting, our records, our judgement; and what ends it.

What a law says is cited by its pack; where both speak, the law is named.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal

import polars as pl

End = Literal["never", "user", "settings", "facts"]
_CHOICE = "The user's own choice"
_FAMILY = r"^([a-z_]+)"

# Rule, or the family before its first dot, with its ground and what ends it where no day is known. {channel}: the
# channel that it closes, {strategy}: the strategy that was to be used.
GROUNDS: Mapping[str, tuple[str, End]] = MappingProxyType(
    {
        "deletion": (f"{_CHOICE}: feedback", "never"),
        "complaint": (f"{_CHOICE}: feedback or message_events", "never"),
        "consent": (f"{_CHOICE}: consents", "user"),
        "user": (f"{_CHOICE}: consents", "user"),
        "user.paused": (f"{_CHOICE}: consents.status, consents.paused_until", "user"),
        "user.topics": (f"{_CHOICE}: consents.categories", "user"),
        "user.hours_unclear": (f"{_CHOICE}: consents.quiet_start, consents.quiet_end", "user"),
        "user.weekly_maximum": (f"{_CHOICE}: consents.max_per_week", "user"),
        "minors": ("Our own records: users.birth_on", "facts"),
        "complaints": ("Our own records: marts.channel_complaints", "facts"),
        "cap": ("Setting [caps]", "settings"),
        "cap.week": ("Setting caps.max_touches_per_week", "settings"),
        "cap.day": ("Setting caps.max_touches_per_day", "settings"),
        "cap.channel": ("Setting channels.{channel}.max_touches_per_week", "settings"),
        "cap.stage": ("Our own records: reach.saturation", "facts"),
        "cap.cool_down": ("Setting caps.min_days_between", "settings"),
        "hours": ("Setting channels.{channel}.hours", "facts"),
        "reach": ("Our own records: reach.endpoints", "facts"),
        "measurement_gap": ("Our own records: outages.outages", "facts"),
        "unreached": ("Our own records: outages.silenced_users", "facts"),
        "person": ("Our own records: users.person_key", "facts"),
        "content": ("Our own records: strategy.assignments", "facts"),
        "capacity": ("Setting channels.{channel}.capacity", "settings"),
        "capacity.hour": ("Setting channels.{channel}.hourly_capacity", "settings"),
        "budget": ("Setting budget.per_night or budget.max_contacts", "settings"),
        "strategy": ("Our own judgement: strategies", "facts"),
        "strategy.none_eligible": ("Our own judgement: the triggers of the strategies", "facts"),
        "strategy.none_profitable": ("Our own judgement: expected profit, setting value.caution", "facts"),
        "strategy.later": ("Our own judgement: models.return_curves", "facts"),
        "strategy.capped": ("Setting strategies.max_contacts.{strategy}", "settings"),
        "strategy.awaits_approval": ("Setting strategies.approval", "settings"),
    }
)
_OTHER: tuple[str, End] = ("Our own rule", "facts")


def own_ground(rule_id: pl.Expr, *, channel: pl.Expr, strategy: pl.Expr | None = None) -> pl.Expr:
    """On what each rule of our own rests; null only where there is no rule."""
    text = _of(rule_id, 0)
    named = text.str.replace("{channel}", channel.fill_null("<channel>"), literal=True)
    other = pl.lit("<strategy>") if strategy is None else strategy.fill_null("<strategy>")
    return named.str.replace("{strategy}", other, literal=True)


def ends_with(rule_id: pl.Expr, until: pl.Expr) -> pl.Expr:
    """What ends a rule: `day` where `until` tells it, else never, user, settings or facts."""
    return pl.when(until.is_not_null()).then(pl.lit("day")).otherwise(_of(rule_id, 1))


def _of(rule_id: pl.Expr, place: Literal[0, 1]) -> pl.Expr:
    told = {name: one[place] for name, one in GROUNDS.items()}
    exact = rule_id.replace_strict(told, default=None, return_dtype=pl.String)
    family = rule_id.str.extract(_FAMILY, 1).replace_strict(told, default=_OTHER[place], return_dtype=pl.String)
    return pl.when(rule_id.is_not_null()).then(pl.coalesce(exact, family))
