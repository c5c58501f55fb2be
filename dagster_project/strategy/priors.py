"""What is believed of the lift before any outcome: the file of priors, and the parts that it gives a strategy.

The reasons are those of the package `reasons`; which content a strategy speaks of stands in the catalogue. How
outcomes of all strategies change the beliefs stands in `learning`.
"""

import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import numpy as np
import polars as pl
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from dagster_project.errors import CatalogueError
from dagster_project.reasons.vocabulary import REASONS
from dagster_project.strategy.catalogue import Prior, Strategy
from dagster_project.strategy.lift import FLOOR, Deviation, Floats, LiftBelief, Part, declared

PATH = Path(__file__).with_name("priors.toml")
STRATEGY, CONTENT, REASON = "strategy", "content", "reason"
PARTS = (STRATEGY, CONTENT, REASON)
CHANNEL = "channel"
FACETS = ("stage", "reason", "value_tier")  # kinds of users whose lifts may deviate; columns of the same names
DEVIATIONS_OF_FOUR_FIFTHS = 1.2816  # standard deviations from the middle of a normal to its 90 % quantile

Weight = Annotated[float, Field(ge=FLOOR, le=1 - 2 * FLOOR, allow_inf_nan=False)]
Size = Annotated[float, Field(ge=-3, le=3, allow_inf_nan=False)]
Spread = Annotated[float, Field(gt=0, le=3, allow_inf_nan=False)]
Fit = Annotated[float, Field(ge=-1, le=1, allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
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


class _Deviations(_Table):
    source: Source
    channel: Spread
    stage: Spread
    reason: Spread
    value_tier: Spread

    def of(self, facet: str) -> float:
        """The standard deviation of one kind of deviation."""
        return float(getattr(self, facet))


class _Common(_Table):
    source: Source
    level_sd: Spread
    strategy: Share
    content: Share
    reason: Share


class _File(_Table):
    strategy: _StrategyPart
    content: _SizedPart
    reason: _SizedPart
    channels: _Channels
    deviations: _Deviations
    common: _Common
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

    def parts(self, prior: Prior, *, common_sd: float = 0.0) -> tuple[Part, ...]:
        """Strategy, content and reason: the parts of the lift of a strategy with this prior, its channel left out.

        `common_sd` is the spread of its size that is told elsewhere.
        """
        left = self.spread(prior) ** 2 - self.channel_sd(prior) ** 2 - common_sd**2
        least = min(self.file.strategy.least_sd, self.spread(prior)) / 2**0.5
        return self.three_parts(size=prior.tau, sd=max(left, least**2) ** 0.5, source=prior.source)

    def three_parts(self, *, size: float, sd: float, source: str) -> tuple[Part, ...]:
        """The parts of a strategy of this size."""
        own, said = self.file.strategy, self.file
        return (
            Part(STRATEGY, size, sd, own.weights, source),
            Part(CONTENT, said.content.size, said.content.sd, said.content.weights, said.content.source),
            Part(REASON, said.reason.size, said.reason.sd, said.reason.weights, said.reason.source),
        )

    def spread(self, prior: Prior) -> float:
        """The standard deviation of a strategy's size on one channel, as its file tells it."""
        said = (prior.tau_high - prior.tau_low) / (2 * DEVIATIONS_OF_FOUR_FIFTHS)
        return max(said, self.file.strategy.least_sd)

    def channel_sd(self, prior: Prior) -> float:
        """Of that spread, what is a channel's own: at most half of its variance."""
        return float(min(self.file.deviations.channel, self.spread(prior) / 2**0.5))

    def channels(self, names: Iterable[str], *, sd: float) -> list[Deviation]:
        """What is believed of each channel of a strategy: its shift, give or take `sd`."""
        shift = self.file.channels.shift
        return [Deviation(f"{CHANNEL}={name}", shift.get(name, 0.0), sd) for name in sorted(names)]

    def kinds(self, facet: str, levels: Iterable[str]) -> list[Deviation]:
        """What is believed of kinds of users: that they do not deviate, give or take."""
        sd = self.file.deviations.of(facet)
        return [Deviation(f"{facet}={level}", 0.0, sd) for level in sorted(levels)]

    def reason_fits(self, strategy_id: str) -> Mapping[str, float]:
        """How far the strategy answers each reason, -1 to 1; what is not named is beside the point: 0."""
        found = self.file.fits.get(strategy_id, {})
        return {} if isinstance(found, str) else found


@dataclass(frozen=True)
class Taught:
    """A belief after outcomes: PARTS, then deviations; and how large a share of the contacted each of those was of."""

    belief: LiftBelief
    shares: Mapping[str, float]


@dataclass(frozen=True)
class Beliefs:
    """What is believed of every strategy's lift: the priors and, by strategy id, what outcomes have made of them.

    `taught` comes from `learning.beliefs_from`.
    """

    priors: Priors
    taught: Mapping[str, Taught] = field(default_factory=dict)

    def of(self, strategy: Strategy, *, channel: str, by_kind: bool = False) -> LiftBelief:
        """The belief on one strategy on one channel; its `grade` says what spoke.

        Its parts are PARTS, of which the first holds the channel's deviation too. With `by_kind` there follow the
        deviations of kinds of users, whose fits `part_fits` tells; without, the first is that of a user of average
        kind.
        """
        joint, kept = self.joint(strategy), self.parts_by_kind(strategy) if by_kind else list(PARTS)
        return joint.belief.along(self.loadings(strategy, channel=channel, kept=kept), kept)

    def parts_by_kind(self, strategy: Strategy) -> list[str]:
        """PARTS, then the deviations of kinds of users that outcomes tell of."""
        return [*PARTS, *(name for name in self.joint(strategy).belief.parts if kind_of(name) in FACETS)]

    def joint(self, strategy: Strategy) -> Taught:
        """The belief on one strategy on all its channels at once: PARTS, then deviations, channels first."""
        if strategy.id in self.taught:
            return self.taught[strategy.id]
        channels = self.priors.channels(strategy.channels, sd=self.priors.channel_sd(strategy.prior))
        return Taught(declared(self.priors.parts(strategy.prior), channels), {})

    def loadings(self, strategy: Strategy, *, channel: str, kept: Sequence[str]) -> Floats:
        """What each of the parts `kept` of the belief on one channel adds up of those of the joint belief."""
        joint = self.joint(strategy)
        rows = np.asarray([[float(part == name) for part in joint.belief.parts] for name in kept])
        for place, part in enumerate(joint.belief.parts):
            if part == f"{CHANNEL}={channel}":
                rows[0, place] = 1.0
            elif kind_of(part) in FACETS and part not in kept:
                rows[0, place] = joint.shares.get(part, 0.0)
        return rows


def kind_of(part: str) -> str:
    """What a deviation is by: channel, stage, reason or value_tier; nothing for the other parts."""
    kind, is_deviation, _ = part.partition("=")
    return kind if is_deviation else ""


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


def part_fits(parts: Sequence[str], *, content: pl.Expr, reason: pl.Expr, columns: frozenset[str]) -> list[pl.Expr]:
    """How far each part of a belief counts for a user, as one expression per part, of the part's name.

    `content` and `reason` are the fits of those parts (null: 0). Deviations read the columns `channel`, `stage`,
    `reason` and `value_tier`; where a user's kind is null, or its column is not among `columns`, none applies.
    """
    known = {STRATEGY: pl.lit(1.0), CONTENT: content.fill_null(0.0), REASON: reason.fill_null(0.0)}
    return [
        (known[part] if part in known else _is_of_kind(part, columns)).cast(pl.Float64).alias(part) for part in parts
    ]


def _is_of_kind(part: str, columns: frozenset[str]) -> pl.Expr:
    kind, _, level = part.partition("=")
    return (pl.col(kind) == level).fill_null(value=False) if kind in columns else pl.lit(0.0)


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
