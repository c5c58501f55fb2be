"""A hand on the catalogue: strategies that people cap, pin, hold out by themselves or approve, or that a rule stops.

Strategies that are switched off never reach here: they are not in the catalogue.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date

import polars as pl

HANDS = pl.Schema({"strategy_id": pl.String, "hand": pl.String, "n_users": pl.Int64, "effect": pl.String})


@dataclass(frozen=True, kw_only=True)
class Hands:
    """What people decided of strategies, by strategy id.

    `pinned`, the first before the next: whom it fits on an open channel gets no other strategy. `max_contacts`: at most
    so many a night. `waiting`: nothing goes out before somebody approves. `control_shares`: part of its users whom the
    strategy holds out for an experiment of its own, beside the control group of all. `switched_off` and `sitting_out`
    (why) are only told of. `stopped` are those that the rule of `stopping` has found to harm, and why: nobody gets
    them before the settings let them be tried again.
    """

    pinned: tuple[str, ...] = ()
    max_contacts: Mapping[str, int] = field(default_factory=dict)
    waiting: frozenset[str] = frozenset()
    control_shares: Mapping[str, float] = field(default_factory=dict)
    switched_off: tuple[str, ...] = ()
    sitting_out: Mapping[str, str] = field(default_factory=dict)
    stopped: Mapping[str, str] = field(default_factory=dict)


NO_HANDS = Hands()


def is_waiting(approval: tuple[str, ...], approved_until: Mapping[str, date], *, as_of: date) -> frozenset[str]:
    """The strategies of `approval` that the night `as_of` may not use: never approved, or approved for earlier."""
    return frozenset(one for one in approval if approved_until.get(one, date.min) < as_of)


def allowed_options(options: pl.DataFrame, *, hands: Hands) -> pl.DataFrame:
    """The options of no stopped strategy; of users who have one of a pinned strategy those alone. Order kept."""
    left = options.filter(~pl.col("strategy_id").is_in(sorted(hands.stopped)))
    place = pl.col("strategy_id").replace_strict(
        {one: at for at, one in enumerate(hands.pinned)}, default=None, return_dtype=pl.Int64
    )
    first = place.min().over("user_sk")
    return left.filter(first.is_null() | (place == first).fill_null(value=False))


def hand_report(
    exported: pl.DataFrame, withheld: pl.DataFrame, held_out: pl.DataFrame, *, hands: Hands
) -> pl.DataFrame:
    """One row per strategy and hand, as HANDS, sorted: on how many users tonight, and what it did.

    `exported` are tonight's contacts, `withheld` those whose strategy waits, `held_out` the strategies' own controls
    (all with `strategy_id`).
    """
    counts = {name: _counts(frame) for name, frame in (("out", exported), ("wait", withheld), ("own", held_out))}
    rows = [
        *((one, "switched off", 0, "Never used.") for one in hands.switched_off),
        *((one, "sits out", 0, why) for one, why in hands.sitting_out.items()),
        *((one, "stopped by rule", 0, why) for one, why in hands.stopped.items()),
        *(
            (one, "pinned", n, "Those whom it fits get no other strategy.")
            for one in hands.pinned
            for n in (counts["out"].get(one, 0),)
        ),
        *(_capped(one, counts["out"].get(one, 0), most) for one, most in hands.max_contacts.items()),
        *(
            (
                one,
                "waits for approval",
                counts["wait"].get(one, 0),
                "Nothing of it goes out: see awaiting_approval.csv.",
            )
            for one in hands.waiting
        ),
        *(
            (
                one,
                "holds out",
                counts["own"].get(one, 0),
                f"A share of {share:g} of its users is its own control group.",
            )
            for one, share in hands.control_shares.items()
        ),
    ]
    return pl.DataFrame(rows, schema=HANDS, orient="row").sort("strategy_id", "hand")


def _capped(strategy_id: str, n: int, most: int) -> tuple[str, str, int, str]:
    effect = "The limit was reached." if n >= most else "The limit was not reached."
    return strategy_id, "capped", n, f"At most {most} contacts a night. {effect}"


def _counts(frame: pl.DataFrame) -> dict[str, int]:
    return dict(frame.group_by("strategy_id").len().iter_rows())
