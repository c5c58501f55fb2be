"""One night of uplift: every comparison judged, and the night's churned users scored where a learner ships."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

import numpy as np
import polars as pl

from dagster_project.models.features import feature_columns, sample_rows, to_matrix, usable_features
from dagster_project.models.uplift.choices import Pricing, judge_choices
from dagster_project.models.uplift.figures import Figure
from dagster_project.models.uplift.history import PAIRS, POOLED
from dagster_project.models.uplift.judging import (
    CONFIDENCE,
    EVERYONE,
    LEAST_ROWS,
    P_RETURN,
    Findings,
    Judgement,
    Scorer,
    judge,
)
from dagster_project.models.uplift.learners import LEARNERS, MOST_ROWS
from dagster_project.models.uplift.metrics import auuc, bootstrapped_figures, qini, uplift_at
from dagster_project.models.uplift.tables import LEARNER_SCHEMA, SCORE_SCHEMA, VERDICT_SCHEMA
from dagster_project.models.uplift.trials import Trial
from dagster_project.models.uplift.wording import WORDINGS, verdict_sentence
from dagster_project.outcomes.vocabulary import HALF_LIFE_DAYS

ROWS_PER_BLOCK = 100_000
NOT_FEATURES = (*PAIRS, "snapshot_on")


@dataclass(frozen=True)
class UpliftNight:
    """`verdicts`: one row per treatment, `learners`: per treatment and learner, `choices`: per experiment of several
    treatments, all sorted. `scores`: by user_sk and strategy_id.
    """

    verdicts: pl.DataFrame
    learners: pl.DataFrame
    choices: pl.DataFrame
    scores: pl.DataFrame


def enough_rows(pairs: pl.DataFrame) -> pl.DataFrame:
    """strategy_id of the comparisons with enough rows in both arms to be worth features and outcomes."""
    arms = pairs.group_by("strategy_id").agg(n_treated=pl.col("is_treated").sum(), n=pl.len())
    least = pl.min_horizontal("n_treated", pl.col("n") - pl.col("n_treated"))
    return arms.filter(least >= LEAST_ROWS).select("strategy_id").sort("strategy_id")


def judge_night(
    pairs: pl.DataFrame,
    features_now: pl.DataFrame,
    *,
    faults: Mapping[str, list[str]],
    pricing: Pricing,
    as_of: date,
    seed: int,
) -> UpliftNight:
    """Verdicts, learners, choices and scores.

    `pairs`: history.PAIRS with the features of a day before the assignment (null where they were not looked up, for
    comparisons without enough rows). `features_now`: the same features of the night's churned users.
    """
    parts = {str(part["strategy_id"][0]): part for part in pairs.partition_by("strategy_id", maintain_order=True)}
    n_judged = max(1, len([name for name in parts if name != POOLED]))
    rows, learners, scores = [], [LEARNER_SCHEMA.to_frame()], [SCORE_SCHEMA.to_frame()]
    for strategy_id in sorted({*parts, *faults}):
        said = faults.get(strategy_id, [])
        part = parts.get(strategy_id)
        if part is None:
            rows.append(_broken(strategy_id, said))
            continue
        columns = _columns(part, features_now)
        trial = make_trial(part, columns=columns, as_of=as_of, seed=seed)
        judged = judge(trial, seed=seed, n_judged=n_judged, learners=LEARNERS)
        rows.append(_row(strategy_id, judged, trial, said))
        if judged.findings is not None:
            learners.append(learner_figures(strategy_id, judged.findings, trial, seed=seed))
        if judged.scorer is not None and strategy_id != POOLED:
            scores.append(_scores(strategy_id, judged.scorer, features_now, columns))
    verdicts = pl.DataFrame(rows, schema=VERDICT_SCHEMA).sort("strategy_id")
    choices = judge_choices(pairs, columns=_columns(pairs, features_now), pricing=pricing, seed=seed)
    ordered = pl.concat(learners).sort("strategy_id", "learner")
    return UpliftNight(verdicts, ordered, choices, pl.concat(scores).sort("user_sk", "strategy_id"))


def make_trial(part: pl.DataFrame, *, columns: tuple[str, ...], as_of: date, seed: int) -> Trial:
    """The rows of one comparison, at most MOST_ROWS, by user and experiment; one assigned HALF_LIFE_DAYS ago counts
    half where it is judged."""
    drawn = part.with_columns(pl.col("experiment_id").alias("cutoff"))
    ordered = sample_rows(drawn, max_rows=MOST_ROWS, seed=seed).sort("user_id", "experiment_id")
    age = ordered.select((pl.lit(as_of) - pl.col("assigned_on")).dt.total_days()).to_series().to_numpy()
    return Trial(
        x=to_matrix(ordered, columns),
        is_treated=ordered["is_treated"].to_numpy().astype(bool),
        outcome=ordered["is_return"].cast(pl.Float64).to_numpy(),
        propensity=ordered["propensity"].to_numpy(),
        person=ordered["user_id"].rank("dense").cast(pl.Int64).to_numpy(),
        fade=0.5 ** (age / HALF_LIFE_DAYS),
    )


def learner_figures(strategy_id: str, found: Findings, trial: Trial, *, seed: int) -> pl.DataFrame:
    """LEARNER_SCHEMA of one treatment: each learner's figures by the mean score over the deals, with intervals."""
    names = [one.name for one in LEARNERS if one.name in found.gains.values]
    scores = [found.out_of_fold.score(name) for name in names]
    figures = bootstrapped_figures(trial, scores, confidence=CONFIDENCE, seed=seed)
    rows = []
    for name, of_score in zip(names, figures, strict=True):
        told = of_score | {"policy_gain": found.gains.beyond(name, EVERYONE, confidence=CONFIDENCE)}
        ends = {key: value for one, figure in told.items() for key, value in _with_ends(one, figure).items()}
        plain = {"strategy_id": strategy_id, "learner": name, "wording": WORDINGS[name]}
        rows.append(plain | {"is_chosen": name == found.learner} | ends)
    return pl.DataFrame(rows, schema=LEARNER_SCHEMA)


def _with_ends(name: str, figure: Figure) -> dict[str, float]:
    return {name: figure.value, f"{name}_low": figure.low, f"{name}_high": figure.high}


def _columns(part: pl.DataFrame, features_now: pl.DataFrame) -> tuple[str, ...]:
    """The features that vary among the rows and that something is known of tonight."""
    known = {name for name in feature_columns(features_now) if features_now[name].is_not_null().any()}
    return tuple(name for name in usable_features(part.drop(NOT_FEATURES, strict=False)) if name in known)


def _scores(strategy_id: str, scorer: Scorer, features_now: pl.DataFrame, columns: tuple[str, ...]) -> pl.DataFrame:
    blocks = [SCORE_SCHEMA.to_frame()]
    for block in features_now.sort("user_id").iter_slices(ROWS_PER_BLOCK):
        effect, low, high = scorer.effects(to_matrix(block, columns))
        blocks.append(
            pl.DataFrame(
                {
                    "user_sk": block["user_sk"].cast(pl.Int64),
                    "strategy_id": [strategy_id] * block.height,
                    "uplift": effect,
                    "uplift_low": low,
                    "uplift_high": high,
                },
                schema=SCORE_SCHEMA,
            )
        )
    return pl.concat(blocks)


def _broken(strategy_id: str, faults: list[str]) -> dict[str, object]:
    return {
        "strategy_id": strategy_id,
        "verdict": "broken",
        "learner": "none",
        "n_treated": 0,
        "n_control": 0,
        "sentence": f"Set aside, nothing was read: {'; '.join(faults)}.",
        "faults": json.dumps(faults, ensure_ascii=False),
    }


def _row(strategy_id: str, judged: Judgement, trial: Trial, faults: list[str]) -> dict[str, object]:
    found = judged.findings
    plain: dict[str, object] = {
        "strategy_id": strategy_id,
        "verdict": judged.decision,
        "learner": found.learner if found else "none",
        "n_treated": judged.n_treated,
        "n_control": judged.n_control,
        "sentence": verdict_sentence(judged),
        "faults": json.dumps(faults, ensure_ascii=False),
    }
    return plain | _figures(found, trial) if found else plain


def _figures(found: Findings, trial: Trial) -> dict[str, object]:
    with_interval = {
        "average_effect": found.average,
        "gain": found.gain,
        "gain_over_p_return": found.gain_over_p_return,
        "slope": found.slope,
        "policy_value": found.policy,
        "sleeping_effect": found.dogs.effect,
    }
    figures: dict[str, object] = {}
    for name, figure in with_interval.items():
        if figure is not None:
            figures |= _with_ends(name, figure)
    score = found.out_of_fold.score(found.learner)
    return figures | {
        "n_returned_treated": int(trial.outcome[trial.is_treated].sum()),
        "n_returned_control": int(trial.outcome[~trial.is_treated].sum()),
        "qini": qini(trial, score),
        "auuc": auuc(trial, score),
        "auuc_everyone": auuc(trial, np.zeros(trial.n)),
        "auuc_p_return": auuc(trial, found.out_of_fold.score(P_RETURN)),
        **{f"uplift_at_{share}": uplift_at(trial, score, share=share / 100) for share in (10, 20, 30)},
        "best_fixed_value": found.best_fixed,
        "sleeping_share": found.dogs.share,
        "n_sleeping_dogs": round(found.dogs.share * trial.n) if found.dogs.is_established else 0,
    }
