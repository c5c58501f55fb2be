"""What a marketer is told about choosing by uplift, in one sentence or two."""

from dataclasses import replace

import numpy as np

from dagster_project.models.uplift.calibration import SleepingDogs
from dagster_project.models.uplift.judging import LEAST_OUTCOMES, LEAST_ROWS, Judgement
from dagster_project.models.uplift.learners import LEARNERS
from dagster_project.models.uplift.trials import Floats, Trial

WORDINGS = {learner.name: learner.wording for learner in LEARNERS}


def verdict_sentence(judged: Judgement) -> str:
    """What to do with a treatment, and the figure behind it."""
    found = judged.findings
    if found is None:
        return (
            f"Too thin to tell users apart: {judged.n_treated:,} contacted and {judged.n_control:,} held out; "
            f"each wants {LEAST_ROWS:,} rows and {LEAST_OUTCOMES} returns. The average effect serves."
        )
    gain, over = found.gain, found.gain_over_p_return
    said = f"{gain.value:+.1f} returns per 1,000 eligible ({gain.low:+.1f} to {gain.high:+.1f}) beyond anybody"
    beside = f"{over.value:+.1f} ({over.low:+.1f} to {over.high:+.1f}) beyond the likeliest to return"
    if judged.decision == "ships":
        return f"Choose by uplift ({WORDINGS[found.learner]}): {said} at the same budgets, {beside}.{_dogs(found.dogs)}"
    return (
        f"Do not target by uplift: heterogeneity not established. {said} at the same budgets, {beside}. "
        f"The average effect serves, and the order is p_return × value.{_dogs(found.dogs)}"
    )


def _dogs(dogs: SleepingDogs) -> str:
    if dogs.effect is None:
        return ""
    effect = f"{100 * dogs.effect.value:+.1f} points ({100 * dogs.effect.low:+.1f} to {100 * dogs.effect.high:+.1f})"
    if dogs.is_established:
        return f" Contact keeps {100 * dogs.share:.0f} % away: {effect}."
    return (
        f" That contact keeps anybody away is not established: {effect} among the {100 * dogs.share:.0f} % predicted."
    )


def distance_from_noise(trial: Trial) -> float:
    """The average effect in its own standard errors; what cannot be told from noise cannot be told apart by user."""
    arms = (trial.outcome[trial.is_treated], trial.outcome[~trial.is_treated])
    error = float(np.sqrt(sum(arm.var(ddof=1) / len(arm) for arm in arms)))
    return float(arms[0].mean() - arms[1].mean()) / error if error > 0 else 0.0


def outcome_to_learn(trial: Trial, outcomes: dict[str, Floats]) -> tuple[str, str]:
    """(the outcome to learn uplift on, the sentence that says why): the one whose average effect is clearest of noise.

    Telling users apart takes many times the rows that an average takes, so a rare or ragged outcome (a purchase, its
    amount) is better had as effect on the frequent one upstream times what that is worth. `outcomes`: name → one
    number per row of the trial, the most upstream first; ties go to it. Assumes that a contact does not change what
    an upstream outcome is worth; readouts of money test that.
    """
    clear = {name: distance_from_noise(replace(trial, outcome=one)) for name, one in outcomes.items()}
    best = max(clear, key=lambda name: abs(clear[name]))
    others = ", ".join(f"{name} {abs(far):.1f}" for name, far in clear.items() if name != best)
    return best, (
        f"Learns on {best} and multiplies by value: its average effect is {abs(clear[best]):.1f} standard errors from "
        f"nought, so that users can be told apart by it soonest ({others or 'no other outcome'})."
    )
