"""The reason of every churned user: cascade first, posterior where nothing is strong, unknown where it is not sure."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np
import polars as pl

from dagster_project.reasons.cascade import NOBODY, first_strong
from dagster_project.reasons.confidence import Knots, confidences, load_knots
from dagster_project.reasons.evidence import Evidence, load_evidence
from dagster_project.reasons.measures import Leavings, habit_measures, is_hardly_begun, message_measures
from dagster_project.reasons.observed import (
    Flags,
    Observed,
    current_departures,
    earlier_departures,
    imagined_departures,
    observe,
    told_signals,
)
from dagster_project.reasons.posterior import Chances, Floats, weigh_evidence
from dagster_project.reasons.vocabulary import REASONS, UNKNOWN

# A posterior that does not beat all others together names no reason.
LEAST_POSTERIOR = 0.5
# So long after the imagined leaving of somebody who stayed, most windows are over.
SPARE_DAYS = 60
# A pause beyond so many usual gaps may have been a leaving, though it was short of the churn threshold.
PAUSE_GAPS = 2.0
POSTERIOR = "posterior"

REASON_SCHEMA = pl.Schema(
    {
        "user_sk": pl.Int64,
        "user_id": pl.String,
        "reason": pl.String,
        "reason_confidence": pl.Float64,
        "decided_by": pl.String,
        **{f"p_{reason}": pl.Float64 for reason in REASONS},
        "evidence": pl.String,
    }
)


@dataclass(frozen=True)
class Facts:
    """What a night knows, each as of the night.

    `users`: marts.users; `stages`: lifecycle.stages; `signals`: marts.reason_signals; `messages`:
    marts.departure_messages; `endpoints`: reach.endpoints; `habits`: marts.departure_habits; `tables`: the canonical
    sources that are mapped. Of outages.silenced_users, each or None: `silenced` (user_sk) by lost events, `unreached`
    (user_sk, silent_since) since a purge or a provider's outage.
    """

    users: pl.DataFrame
    stages: pl.DataFrame
    signals: pl.DataFrame
    messages: pl.DataFrame
    endpoints: pl.DataFrame
    habits: pl.DataFrame
    tables: Collection[str]
    silenced: pl.DataFrame | None = None
    unreached: pl.DataFrame | None = None

    @property
    def ours(self) -> pl.DataFrame:
        """user_sk of those whose silence is of our making: they are judged though they have not churned."""
        given = [users.select("user_sk") for users in (self.silenced, self.unreached) if users is not None]
        return pl.concat([pl.DataFrame(schema={"user_sk": pl.Int64}), *given])


@dataclass(frozen=True)
class Weighed:
    """Everything known of those who left, row by row of `departures`, before the confidence is put on it."""

    departures: pl.DataFrame
    seen: Observed
    earlier: Observed
    chances: Chances
    posterior: Floats
    decided: np.ndarray
    way: tuple[str, ...]
    reason: np.ndarray

    @property
    def chosen_posterior(self) -> Floats:
        """The posterior of the reason that was named."""
        return np.asarray(self.posterior[np.arange(self.reason.size), self.reason], dtype=np.float64)


def judge_reasons(facts: Facts, *, as_of: date, knots: Knots | None = None) -> pl.DataFrame:
    """reasons.reasons: one row per user who churned or whose silence is of our making, sorted by user_id.

    `reason_confidence` is the chance that the named reason is right (of `unknown`: that nothing to be found tells
    it); `p_<reason>` sum to 1 and agree with it. `decided_by` is the strong piece that decided, or `posterior`.
    `evidence` lists as JSON every piece found: id, on, is_strong, is_earlier, says. Reads nothing after `as_of`.
    """
    evidence = load_evidence()
    weighed = weigh(facts, as_of=as_of, evidence=evidence)
    if weighed.departures.is_empty():
        return REASON_SCHEMA.to_frame()
    confidence = confidences(weighed.chosen_posterior, weighed.way, knots=load_knots() if knots is None else knots)
    given = _agreeing(weighed.posterior, weighed.reason, confidence)
    decided = [evidence[place].id if place != NOBODY else POSTERIOR for place in weighed.decided]
    return (
        weighed.departures.select("user_sk", "user_id")
        .with_columns(
            pl.Series("reason", [REASONS[place] for place in weighed.reason], dtype=pl.String),
            pl.Series("reason_confidence", confidence),
            pl.Series("decided_by", decided, dtype=pl.String),
            *(pl.Series(f"p_{reason}", given[:, place]) for place, reason in enumerate(REASONS)),
            _told(weighed, evidence).alias("evidence"),
        )
        .select(REASON_SCHEMA.names())
        .sort("user_id")
    )


def weigh(facts: Facts, *, as_of: date, evidence: Sequence[Evidence]) -> Weighed:
    """What is seen of everybody who left, its chances on this log, the posterior and what decides."""
    everyone = current_departures(facts.stages, as_of=as_of, unreached=facts.unreached)
    before = earlier_departures(facts.users, facts.stages)
    told = told_signals(facts.signals)
    measures = _measures(facts, everyone, told, before, evidence=evidence)
    away = everyone.filter(pl.col("is_churned") | pl.col("user_sk").is_in(facts.ours["user_sk"].implode()))

    def look(departures: pl.DataFrame) -> Observed:
        return observe(departures, told, measures, evidence=evidence, tables=facts.tables)

    imagined = imagined_departures(everyone, facts.users, as_of=as_of, spare_days=SPARE_DAYS)
    seen = look(away)
    earlier = _before(away, before, told, evidence=evidence, tables=facts.tables)
    posterior, chances = weigh_evidence(evidence, seen=seen, stayed=look(imagined), earlier=earlier)
    decided, way, reason = _decide(seen, earlier, chances, posterior, evidence)
    return Weighed(away, seen, earlier, chances, posterior, decided, tuple(way.tolist()), reason)


def _decide(
    seen: Observed, earlier: Observed, chances: Chances, posterior: Floats, evidence: Sequence[Evidence]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Per user: the deciding piece (-1: none), the way (see `confidence.WAYS`), the reason's position."""
    now = first_strong(seen, chances.usual, evidence=evidence)
    before = first_strong(earlier, chances.usual, evidence=evidence)
    decided = np.where(now == NOBODY, before, now)
    best = posterior.argmax(axis=1)
    unknown = REASONS.index(UNKNOWN)
    is_likely = (posterior.max(axis=1) >= LEAST_POSTERIOR) & (best != unknown)
    named = np.asarray([REASONS.index(piece.strong_for) if piece.strong_for else unknown for piece in evidence])
    reason = np.where(decided != NOBODY, named[decided], np.where(is_likely, best, unknown))
    is_chance = np.asarray([piece.is_chance for piece in evidence])[now]
    way = np.where(before != NOBODY, "earlier", "posterior")
    way = np.where(now != NOBODY, np.where(is_chance, "likely", "strong"), way)
    return decided, np.where((decided == NOBODY) & ~is_likely, "unknown", way), reason


def _measures(
    facts: Facts, everyone: pl.DataFrame, told: pl.DataFrame, returned: pl.DataFrame, *, evidence: Sequence[Evidence]
) -> pl.DataFrame:
    signals = observe(everyone, told, None, evidence=evidence, tables=facts.tables).is_there
    names = [piece.strong_for not in (None, "uninstalled") for piece in evidence]
    removes = [piece.strong_for == "uninstalled" for piece in evidence]
    leavings = Leavings(
        current=everyone,
        returned=returned,
        paused=earlier_departures(facts.users, facts.stages, gaps=PAUSE_GAPS).join(
            returned, on=["user_sk", "left_on"], how="anti"
        ),
        explained=everyone["user_sk"].filter(pl.Series(signals[:, names].any(axis=1))),
        removed=everyone["user_sk"].filter(pl.Series(signals[:, removes].any(axis=1))),
        begun=facts.habits.filter(is_hardly_begun())["user_sk"],
    )
    made = everyone.select("user_sk").join(habit_measures(facts.habits, everyone), on="user_sk", how="left")
    made = made.join(message_measures(facts.messages, facts.endpoints, leavings), on="user_sk", how="left")
    if facts.silenced is None:
        return made
    is_silenced = pl.col("user_sk").is_in(facts.silenced["user_sk"].implode()).cast(pl.Int8)
    return made.with_columns(is_silenced.alias("is_silenced"))


def _before(
    away: pl.DataFrame,
    departures: pl.DataFrame,
    told: pl.DataFrame,
    *,
    evidence: Sequence[Evidence],
    tables: Collection[str],
) -> Observed:
    """The same rows as `away`: dated pieces around any earlier leaving of the user. Measures speak of now only."""
    owned = departures.join(away.with_row_index("owner").select("user_sk", "owner"), on="user_sk", how="inner").sort(
        "owner", "left_on"
    )
    each = observe(owned, told, None, evidence=evidence, tables=tables)
    n, owner = away.height, owned["owner"].to_numpy()
    there: Flags = np.zeros((n, len(evidence)), np.bool_)
    day = np.zeros((n, len(evidence)), np.int32)
    np.logical_or.at(there, owner, each.is_there)
    np.maximum.at(day, owner, np.where(each.is_there, each.day, 0))
    return Observed(there, there, day)


def _agreeing(posterior: Floats, reason: np.ndarray, confidence: Floats) -> Floats:
    """The posterior with the named reason at its confidence, the others in their proportions."""
    rows = np.arange(reason.size)
    others = posterior.copy()
    others[rows, reason] = 0
    left = others.sum(axis=1)
    given = others * np.where(left > 0, (1 - confidence) / np.where(left > 0, left, 1), 0)[:, None]
    given[rows, reason] = np.where(left > 0, confidence, 1.0)
    return np.asarray(given)


def _told(weighed: Weighed, evidence: Sequence[Evidence]) -> pl.Series:
    """The JSON list of each user's evidence, pieces of this leaving first, then in the order of the file."""
    parts = [_pieces(weighed.seen, evidence, is_earlier=False), _pieces(weighed.earlier, evidence, is_earlier=True)]
    found = pl.concat(parts).sort("row", "is_earlier", "place")
    fields = ("id", "on", "is_strong", "is_earlier", "says")
    texts = found.group_by("row", maintain_order=True).agg(pl.struct(fields).struct.json_encode().str.join(","))
    rows = pl.DataFrame({"row": np.arange(weighed.departures.height, dtype=np.int64)})
    joined = rows.join(texts, on="row", how="left", maintain_order="left")
    return joined.select(pl.format("[{}]", pl.col(fields[0]).fill_null(""))).to_series()


def _pieces(seen: Observed, evidence: Sequence[Evidence], *, is_earlier: bool) -> pl.DataFrame:
    row, place = np.nonzero(seen.is_there)
    ids = pl.Series([piece.id for piece in evidence], dtype=pl.String)
    day = pl.Series(seen.day[row, place]).cast(pl.Int32)
    return pl.DataFrame({"row": row.astype(np.int64), "place": place.astype(np.int64), "day": day}).select(
        "row",
        "place",
        ids.gather(place).alias("id"),
        pl.when(pl.col("day") > 0).then(pl.col("day").cast(pl.Date).cast(pl.String)).alias("on"),
        pl.Series([piece.strong_for is not None for piece in evidence]).gather(place).alias("is_strong"),
        pl.lit(is_earlier).alias("is_earlier"),
        pl.Series([piece.says for piece in evidence], dtype=pl.String).gather(place).alias("says"),
    )
