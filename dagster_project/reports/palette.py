"""Order, names and colours of stages and phases, for pictures and tables alike."""

from __future__ import annotations

from dagster_project.lifecycle import PHASE_OF_STAGE

PHASE_SHADES = {
    "onboarding": ("#8fb3d9", "#5f8fc4", "#3d6ea8"),
    "engaged": ("#6cbf9c", "#2f9470"),
    "declining": ("#e3bd5b", "#d99a2b", "#b87514"),
    "churned": ("#e09a8b", "#cf6f5e", "#b34c42", "#8a3a36", "#9a5a9e"),
    "returned": ("#a698d6", "#7b69bd"),
}
"""Light to dark along a phase. Mid-tones, so that they hold on a white and on a dark page."""

NEUTRAL = "#8a94a3"
ACCENT = "#3d6ea8"
FIRST_SEEN = "first seen"


def in_lifecycle_order(stages: set[str]) -> list[str]:
    """The given stages in the order of a user's life; names that are no stage follow, by name."""
    known = [stage for stage in PHASE_OF_STAGE if stage in stages]
    return known + sorted(stages - set(known))


def stage_colour(stage: str) -> str:
    """The stage's shade of its phase's colour; grey for anything that is no stage."""
    phase = PHASE_OF_STAGE.get(stage)
    if phase is None:
        return NEUTRAL
    members = [other for other, its_phase in PHASE_OF_STAGE.items() if its_phase == phase]
    return PHASE_SHADES[phase][members.index(stage)]


def phase_colour(phase: str) -> str:
    """The middle shade of a phase; grey for an unknown one."""
    shades = PHASE_SHADES.get(phase)
    return shades[len(shades) // 2] if shades else NEUTRAL


def translucent(colour: str, opacity: float) -> str:
    """A #rrggbb colour as rgba(), opacity 0 to 1."""
    red, green, blue = (int(colour[start : start + 2], 16) for start in (1, 3, 5))
    return f"rgba({red},{green},{blue},{opacity:g})"


def words(name: str | None) -> str:
    """A stage, rule or candidate as a reader would write it: `at_risk` → "at risk"."""
    return "–" if name is None else name.replace("_", " ")
