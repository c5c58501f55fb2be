"""Which strategies are stopped because they harm, since when, and until when.

How harm is judged, and how many nights that takes, stands in `harm`.
"""

from collections.abc import Mapping
from datetime import date

import numpy as np
import polars as pl

from dagster_project.strategy.harm import HARMS, LEVEL, HarmEvidence, harm_evidence

STOPS = pl.Schema({"strategy_id": pl.String(), "stopped_on": pl.Date(), "explanation": pl.String()})
NO_STOPS = STOPS.to_frame()


def night_stops(
    kept: pl.DataFrame, outcomes: pl.DataFrame, *, retried_from: Mapping[str, date], as_of: date
) -> pl.DataFrame:
    """The stops in force on the night `as_of`, as STOPS, sorted by strategy_id.

    `kept`: those of the night before; each lasts, whatever outcomes say of it later or an experiment's being broken
    hides, until the night of `retried_from`, from which on the strategy is judged anew by what was assigned since.
    `outcomes`: as `stopped` reads them.
    """
    since = {name: first_on for name, first_on in retried_from.items() if first_on <= as_of}
    first_on = pl.col("strategy_id").replace_strict(since, default=None, return_dtype=pl.Date)
    lasting = kept.filter((pl.col("stopped_on") >= first_on).fill_null(value=True))
    found = {
        name: why for name, why in stopped(outcomes, since=since).items() if name not in set(lasting["strategy_id"])
    }
    new = pl.DataFrame([(name, as_of, why) for name, why in found.items()], schema=STOPS, orient="row")
    return pl.concat([lasting.select(list(STOPS)), new]).sort("strategy_id")


def stop_reasons(stops: pl.DataFrame) -> dict[str, str]:
    """Per stopped strategy, in the order of their ids, why, since when, and what lets it be tried again."""
    return {
        name: f"{why} Stopped on {stopped_on}, until strategies.retried_from names a later night."
        for name, stopped_on, why in stops.select(list(STOPS)).sort("strategy_id").iter_rows()
    }


def stopped(outcomes: pl.DataFrame, *, since: Mapping[str, date] | None = None, level: float = LEVEL) -> dict[str, str]:
    """Per strategy that is to be stopped, in the order of their ids, a sentence that says why.

    `outcomes` (see `learning.OUTCOMES`): one row per user and experiment whose horizon has passed. Only randomised
    rows are read that name a strategy, or are held out of all strategies of their experiment, and not those of arm
    `explore`: whom a draw gave the strategy is not alike to whom it was held back from. Each harm of HARMS is judged
    whose column is there. `since`: from which night on a strategy is judged, for one that is tried again.

    A strategy that does no harm is ever stopped with a chance of at most `level`, split evenly over the harms, however
    often this is asked. That a stop lasts is for `night_stops` to see to.
    """
    found: dict[str, str] = {}
    for harm in HARMS:
        for name, one in harm_evidence(outcomes, harm=harm, since=since).items():
            if one.log_evidence >= np.log(len(HARMS) / level):
                found.setdefault(name, _sentence(name, one, level=level))
    return dict(sorted(found.items()))


def _sentence(name: str, one: HarmEvidence, *, level: float) -> str:
    tolerated = one.harm.tolerated
    beyond = f" ({100 * tolerated:g} points more are tolerated)" if tolerated is not None else ""
    return (
        f"{name} is stopped: of {one.n_treated:,} contacted {100 * one.treated_share:.1f} % {one.harm.said}, of "
        f"{one.n_held_out:,} held out {100 * one.held_out_share:.1f} %{beyond}, and chance alone would stop a strategy "
        f"that does no harm in at most {100 * level:g} of 100 cases."
    )
