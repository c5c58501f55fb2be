"""What is believed of the lift before any outcome: the file of priors, and the parts that it gives a strategy.

The reasons are those of the package `reasons`; which content a strategy speaks of stands in the catalogue.
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import polars as pl
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from dagster_project.errors import CatalogueError
from dagster_project.reasons.vocabulary import REASONS
from dagster_project.strategy.catalogue import Prior, Strategy
from dagster_project.strategy.lift import FLOOR, LiftBelief, Part, declared
from dagster_project.strategy.lift_learning import learned

PATH = Path(__file__).with_name("priors.toml")
STRATEGY, CONTENT, REASON = "strategy", "content", "reason"
PARTS = (STRATEGY, CONTENT, REASON)
DEVIATIONS_OF_FOUR_FIFTHS = 1.2816  # standard deviations from the middle of a normal to its 90 % quantile

Weight = Annotated[float, Field(ge=FLOOR, le=1 - 2 * FLOOR, allow_inf_nan=False)]
Size = Annotated[float, Field(ge=-3, le=3, allow_inf_nan=False)]
Spread = Annotated[float, Field(gt=0, le=3, allow_inf_nan=False)]
Fit = Annotated[float, Field(ge=-1, le=1, allow_inf_nan=False)]
Source = Annotated[str, Field(min_length=1)]


class _Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class _Mixture(_Table):
    better: Weight
    nothing: Weight
    worse: Weight
    source: Source

    @property
    def weights(self) -> tuple[float, float, float]:
        return self.better, self.nothing, self.worse


class _StrategyPart(_Mixture):
    least_sd: Spread


class _SizedPart(_Mixture):
    size: Size
    sd: Spread


class _Channels(_Table):
    source: Source
    shift: Mapping[str, Size] = {}


class _File(_Table):
    strategy: _StrategyPart
    content: _SizedPart
    reason: _SizedPart
    channels: _Channels
    fits: Mapping[str, str | Mapping[str, Fit]]

    @field_validator("fits")
    @classmethod
    def _reasons_are_known(
        cls, fits: Mapping[str, str | Mapping[str, float]]
    ) -> Mapping[str, str | Mapping[str, float]]:
        named = {reason for one in fits.values() if not isinstance(one, str) for reason in one}
        if unknown := sorted(named - set(REASONS)):
            raise ValueError(f"no reason is called {unknown[0]!r}")
        return fits


@dataclass(frozen=True)
class Priors:
    """The file of priors, checked."""

    file: _File

    def parts(self, prior: Prior, *, channel: str) -> tuple[Part, ...]:
        """Strategy, content and reason: the parts of the lift of a strategy with this prior on a channel."""
        own, said = self.file.strategy, self.file
        spread = (prior.tau_high - prior.tau_low) / (2 * DEVIATIONS_OF_FOUR_FIFTHS)
        size = prior.tau + self.file.channels.shift.get(channel, 0.0)
        return (
            Part(STRATEGY, size, max(spread, own.least_sd), own.weights, prior.source),
            Part(CONTENT, said.content.size, said.content.sd, said.content.weights, said.content.source),
            Part(REASON, said.reason.size, said.reason.sd, said.reason.weights, said.reason.source),
        )

    def reason_fits(self, strategy_id: str) -> Mapping[str, float]:
        """How far the strategy answers each reason, -1 to 1; what is not named is beside the point: 0."""
        found = self.file.fits.get(strategy_id, {})
        return {} if isinstance(found, str) else found


@dataclass(frozen=True)
class Beliefs:
    """What is believed of every strategy's lift: the priors, and what outcomes have taught since.

    By strategy id: `randomised` are outcomes of contacted and held-out users, `observed` those of users of whom
    nobody was left out at random, read only where there are no others. Their columns: see `lift_learning.learned`.
    """

    priors: Priors
    randomised: Mapping[str, pl.DataFrame] = field(default_factory=dict)
    observed: Mapping[str, pl.DataFrame] = field(default_factory=dict)

    def of(self, strategy: Strategy, *, channel: str) -> LiftBelief:
        """The belief on one strategy on one channel; its `grade` says which spoke."""
        belief = declared(self.priors.parts(strategy.prior, channel=channel))
        if strategy.id in self.randomised:
            return learned(belief, self.randomised[strategy.id])
        if strategy.id in self.observed:
            return learned(belief, self.observed[strategy.id], is_randomised=False)
        return belief


def load_priors(path: Path = PATH) -> Priors:
    """The priors of a file.

    Raises:
        CatalogueError: it is no TOML, has an unknown key or reason, a weight below the floor, weights that do not
            add up to 1, or no source. It names file, key and fix.
    """
    try:
        file = _File.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise CatalogueError(f"{path.name}: not readable as TOML: {error}", fix="mend the file's syntax") from error
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        key = ".".join(str(part) for part in first["loc"] if part != "constrained-str")
        raise CatalogueError(f"{path.name}: {key}: {first['msg']}", fix=f"correct {key}") from error
    for name, part in ((STRATEGY, file.strategy), (CONTENT, file.content), (REASON, file.reason)):
        if abs(sum(part.weights) - 1) > 1e-9:
            raise CatalogueError(
                f"{path.name}: {name}: better, nothing and worse add up to {sum(part.weights):g}",
                fix="write three weights that add up to 1",
            )
    return Priors(file)


def reason_fit(fits: Mapping[str, float], *, columns: frozenset[str]) -> pl.Expr:
    """How far a strategy answers why the user left, -1 to 1: the mean over the reasons by their probability.

    An uncertain reason moves little, an unknown one nothing. `columns`: those at hand, p_<reason> among them.
    """
    known = [pl.col(f"p_{reason}").fill_null(0.0) * fit for reason, fit in fits.items() if f"p_{reason}" in columns]
    return pl.sum_horizontal(known) if known else pl.lit(0.0)


def content_fit(content: tuple[str, ...], *, categories: str) -> pl.Expr:
    """1 where the user has chosen from the content that the message is about, -1 where from others only, else 0.

    `categories` names a list column of the user's own categories in lower case; null or empty: not known.
    """
    if not content:
        return pl.lit(0.0)
    own = pl.col(categories)
    matches = own.list.eval(pl.element().is_in([word.lower() for word in content])).list.any()
    known = own.list.len().fill_null(0) > 0
    return pl.when(known).then(pl.when(matches).then(1.0).otherwise(-1.0)).otherwise(0.0)
