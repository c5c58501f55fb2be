"""The models that may say how likely a user is to be active within the horizon. A new one is a row of CANDIDATES."""

from collections.abc import Callable
from dataclasses import dataclass

from dagster_project.models.activity import BASELINE, ActivityModel, FitSetup, LogisticModel, RecencyModel
from dagster_project.models.blend import BlendModel, SplitModel
from dagster_project.models.boosting import BoostingModel
from dagster_project.models.btyd import MbgNbdModel, PlainModel
from dagster_project.models.durations import DurationModel
from dagster_project.models.hazard import HazardModel

BACKBONE = "blend"  # METHODS found it best on twelve cuts of four logs: what is told apart from it by luck alone waits


@dataclass(frozen=True)
class Candidate:
    """A model that may ship: `build(setup)` gives it unfitted, `wording` names it to a reader.

    `members`: the candidates that it blends for the lapsed; `members_of_others`: for the rest, where all of them could
    be fitted (else `members` again). Their predictions are not made twice. `brings_curve`: it holds a hazard, and so
    every user's own return curve.
    """

    name: str
    wording: str
    build: Callable[[FitSetup], ActivityModel]
    members: tuple[str, ...] = ()
    members_of_others: tuple[str, ...] = ()
    brings_curve: bool = False


_SINGLE = (
    Candidate(BASELINE, "logistic curve of the days of silence alone", lambda _setup: RecencyModel()),
    Candidate("logistic", "logistic regression on all features", lambda _setup: LogisticModel()),
    Candidate("boosting", "gradient boosting on all features", lambda setup: BoostingModel(seed=setup.seed)),
    Candidate("hazard", "discrete-time hazard by gradient boosting", HazardModel, brings_curve=True),
    Candidate("mbg_nbd", "MBG/NBD model of counts", MbgNbdModel),
    Candidate("cox", "Cox model", lambda setup: DurationModel(setup, fitter="CoxPHFitter")),
    Candidate("weibull_aft", "Weibull model", lambda setup: DurationModel(setup, fitter="WeibullAFTFitter")),
)
# METHODS blends boosting and hazard; a third member can follow features that outgrow the past, a fourth knows none, but
# counts (of the lapsed: silence). On 27 cuts of three of its logs, none of them a published one, the fourth took
# .0026 off the log-loss of all, .0029 off that of the lapsed, a seventh off the calibration error; AUC stayed. On two
# cuts of our simulated world, whose gaps are no Poisson process, it added .001.
_LEARNERS = ("logistic", "boosting", "hazard")


def _blend(setup: FitSetup) -> ActivityModel:
    learners = [candidate.build(setup) for candidate in _SINGLE if candidate.name in _LEARNERS]
    return BlendModel([*learners, PlainModel(setup)])


CANDIDATES: tuple[Candidate, ...] = (
    *_SINGLE,
    Candidate(
        BACKBONE,
        "blend of logistic regression, boosting, hazard and plain curves",
        _blend,
        members=(*_LEARNERS, BASELINE),
        members_of_others=(*_LEARNERS, "mbg_nbd"),
        brings_curve=True,
    ),
)


def hazard_of(model: ActivityModel) -> HazardModel | None:
    """The fitted hazard inside a model of the lapsed, if it has one."""
    if isinstance(model, SplitModel):
        return hazard_of(model.for_lapsed)
    if isinstance(model, BlendModel):
        return next((member for member in model.members if isinstance(member, HazardModel)), None)
    return model if isinstance(model, HazardModel) else None
