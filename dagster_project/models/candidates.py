"""The models that may say how likely a user is to be active within the horizon. A new one is a row of CANDIDATES."""

from collections.abc import Callable
from dataclasses import dataclass

from dagster_project.models.activity import BASELINE, ActivityModel, FitSetup, LogisticModel, RecencyModel
from dagster_project.models.blend import BlendModel, SplitModel
from dagster_project.models.boosting import BoostingModel
from dagster_project.models.btyd import MbgNbdModel
from dagster_project.models.durations import DurationModel
from dagster_project.models.hazard import HazardModel


@dataclass(frozen=True)
class Candidate:
    """A model that may ship: `build(setup)` gives it unfitted, `wording` names it to a reader.

    `members`: the candidates that it blends; their predictions are not made twice. `brings_curve`: it
    holds a hazard, and so every user's own return curve.
    """

    name: str
    wording: str
    build: Callable[[FitSetup], ActivityModel]
    members: tuple[str, ...] = ()
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
# METHODS blends boosting and hazard; on its four real logs the logistic regression as a third member took
# .000 to .005 more AUC and .000 to .006 less log-loss: it alone can follow features that outgrow the past
_MEMBERS = ("logistic", "boosting", "hazard")


def _blend(setup: FitSetup) -> ActivityModel:
    return BlendModel([candidate.build(setup) for candidate in _SINGLE if candidate.name in _MEMBERS])


CANDIDATES: tuple[Candidate, ...] = (
    *_SINGLE,
    Candidate("blend", "blend of logistic regression, boosting and hazard", _blend, _MEMBERS, brings_curve=True),
)


def hazard_of(model: ActivityModel) -> HazardModel | None:
    """The fitted hazard inside a model of the lapsed, if it has one."""
    if isinstance(model, SplitModel):
        return hazard_of(model.for_lapsed)
    if isinstance(model, BlendModel):
        return next((member for member in model.members if isinstance(member, HazardModel)), None)
    return model if isinstance(model, HazardModel) else None
