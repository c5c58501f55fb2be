"""Competing ways of ending: which reasons there are, and which of them an end at a given tenure would have.

The hazard of a cause is the hazard of ending × P(cause | an end, tenure, contract): an exact factorisation of
cause-specific discrete hazards, so the causes' probabilities add to that of ending whatever model won.
"""

import re
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from dagster_project.models.contracts.design import (
    MISSING_WORDS,
    Floats,
    Term,
    plan_terms,
    restricted_cubic,
    spread_knots,
    terms_matrix,
)

FEWEST_ENDS_OF_CAUSE = 20
MOST_CAUSES = 6
INVOLUNTARY, OTHER, UNKNOWN = "involuntary", "other", "unknown"
PAYMENT_FAILED = re.compile(
    r"pay\w*[\W_]*(fail|declin|reject|overdue|late|miss|error)|declin|dunning|charge.?back|non.?pay|unpaid|arrears"
    r"|delinquen|insufficient|(card|billing)\w*[\W_]*(fail|expir|error|declin|invalid)|(fail|expir)\w*[\W_]*(card|pay)"
    r"|involuntary",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class CauseModel:
    """P(cause | an end) as a multinomial logistic; a lone cause has it all."""

    causes: tuple[str, ...]
    terms: tuple[Term, ...] = ()
    knots: tuple[float, ...] = ()
    centre: Floats | None = None
    spread: Floats | None = None
    logistic: Any = None

    def shares(self, rows: pl.DataFrame, tenure: Floats) -> Floats:
        """One row per row, one column per cause; each row adds to 1."""
        if self.logistic is None or self.centre is None or self.spread is None:
            return np.ones((rows.height, len(self.causes)))
        design = (_cause_design(rows, tenure, self.terms, self.knots) - self.centre) / self.spread
        shares: Floats = self.logistic.predict_proba(design)
        return shares


def with_causes(spans: pl.DataFrame) -> pl.DataFrame:
    """The spans with `cause`: null unless `event`.

    Whatever tells of a failed payment is "involuntary"; other reasons keep their own word in lower case. At most six,
    those with fewer than 20 ends being "other"; no reason given is "unknown".
    """
    words = [cause_of(reason) for reason in spans["end_reason"].cast(pl.String).to_list()]
    named = spans.with_columns(pl.Series("cause", words, dtype=pl.String))
    counted = named.filter("event").group_by("cause").agg(pl.len()).sort(["len", "cause"], descending=[True, False])
    kept = counted.filter(pl.col("len") >= FEWEST_ENDS_OF_CAUSE)["cause"].head(MOST_CAUSES).to_list()
    pooled = pl.when(pl.col("cause").is_in(kept)).then("cause").otherwise(pl.lit(OTHER))
    return named.with_columns(cause=pl.when("event").then(pooled))


def cause_of(reason: str | None) -> str:
    """The group of one `end_reason`."""
    word = (reason or "").strip().lower()
    if word in MISSING_WORDS:
        return UNKNOWN
    return INVOLUNTARY if PAYMENT_FAILED.search(word) else word


def fit_causes(rows: pl.DataFrame, columns: tuple[str, ...]) -> CauseModel:
    """Learnt from the ended rows; `rows` needs `cause`."""
    from sklearn.linear_model import LogisticRegression

    ended = rows.filter("event")
    causes = tuple(sorted(ended["cause"].unique()))
    if len(causes) < 2:
        return CauseModel(causes or (UNKNOWN,))
    terms = plan_terms(ended, columns, is_curved=False)
    tenure = ended["duration"].cast(pl.Float64).to_numpy()
    knots = spread_knots(tenure)
    design = _cause_design(ended, tenure, terms, knots)
    centre, spread = design.mean(axis=0), np.maximum(design.std(axis=0), 1e-12)
    logistic = LogisticRegression(max_iter=1000).fit((design - centre) / spread, ended["cause"].to_list())
    return CauseModel(tuple(logistic.classes_.tolist()), terms, knots, centre, spread, logistic)


def _cause_design(rows: pl.DataFrame, tenure: Floats, terms: tuple[Term, ...], knots: tuple[float, ...]) -> Floats:
    within = np.clip(tenure, knots[0], knots[-1]) if knots else tenure
    bends = restricted_cubic(within, knots) if knots else np.zeros((rows.height, 0))
    return np.column_stack([terms_matrix(rows, terms), within, bends])
