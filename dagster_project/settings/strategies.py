"""The [strategies] section: which may be used, how much, and who has to say yes first."""

from collections.abc import Mapping
from typing import Annotated

from pydantic import AfterValidator, Field, PlainSerializer

from dagster_project.settings.frozen import FrozenMapping
from dagster_project.settings.kinds import Day, Name, Section, Strings

_Frozen = (AfterValidator(FrozenMapping), PlainSerializer(dict))


class Strategies(Section):
    """Which strategies may be used, how much, and who has to say yes first. Each key names strategies by their id."""

    disabled: Strings = Field((), description="Never used.", examples=[["exit_survey"]])
    enabled: Strings = Field(
        (), description="Used although compliance.industry leaves them out.", examples=[["price_save"]]
    )
    folder: str | None = Field(
        None,
        min_length=1,
        description="Folder of strategies of your own (*.toml), relative to the settings file; one with the id of a"
        " shipped strategy replaces it.",
    )
    pinned: Strings = Field(
        (),
        description="Whom one of these fits, on an open channel, gets no other strategy; the first before the next.",
        examples=[["repair_reach"]],
    )
    approval: Strings = Field(
        (),
        description="Wait for somebody's approval: their contacts stand in awaiting_approval.csv and not in the lists.",
        examples=[["concierge"]],
    )
    approved_until: Annotated[Mapping[Name, Day], *_Frozen] = Field(
        default_factory=lambda: FrozenMapping({}),
        description="Strategy = last night for which it is approved.",
        examples=[{"concierge": "2025-12-31"}],
    )
    max_contacts: Annotated[Mapping[Name, Annotated[int, Field(ge=1)]], *_Frozen] = Field(
        default_factory=lambda: FrozenMapping({}),
        description="Strategy = contacts a night at most.",
        examples=[{"concierge": 50}],
    )
    control_shares: Annotated[Mapping[Name, Annotated[float, Field(gt=0, lt=1)]], *_Frozen] = Field(
        default_factory=lambda: FrozenMapping({}),
        description="Strategy = share (0 to 1) of its users whom it holds out itself, beside holdout.control_share, for"
        " an experiment of its own.",
        examples=[{"price_save": 0.3}],
    )
    retried_from: Annotated[Mapping[Name, Day], *_Frozen] = Field(
        default_factory=lambda: FrozenMapping({}),
        description="Strategy = night from which one that was stopped by rule is tried and judged anew.",
        examples=[{"exit_survey": "2026-01-15"}],
    )
    early_warning_share: float = Field(
        0.2,
        ge=0,
        le=1,
        description="Share (0 to 1) of a night's contacts that may go to users who are still here.",
    )
    equal_offers: bool = Field(
        False,
        description="In a stage all who fit an offer get it, equally deep, or nobody does, also where no law asks.",
    )

    @property
    def named(self) -> Mapping[str, tuple[str, ...]]:
        """Every strategy that is named, by key."""
        return {
            "disabled": self.disabled,
            "enabled": self.enabled,
            "pinned": self.pinned,
            "approval": self.approval,
            "approved_until": tuple(self.approved_until),
            "max_contacts": tuple(self.max_contacts),
            "control_shares": tuple(self.control_shares),
            "retried_from": tuple(self.retried_from),
        }
