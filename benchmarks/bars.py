"""The levels that a benchmark must reach, and how the verdict on each is said: figure, bar, best reference, met."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from benchmarks.tables import table

TIE = 0.005  # of an AUC or a Gini: gaps below it are no gaps
INFINITE = float("inf")


@dataclass(frozen=True)
class Verdict:
    """One bar: `figure` wanted within [low, high], and what the best reference of the same run reaches."""

    subject: str
    figure: float
    low: float = -INFINITE
    high: float = INFINITE
    reference: str = ""
    is_met: bool = True
    is_tie: bool = False

    @property
    def wanted(self) -> str:
        """The bar in words."""
        if self.low == -INFINITE:
            return "" if self.high == INFINITE else f"≤ {self.high:g}"
        return f"≥ {self.low:g}" if self.high == INFINITE else f"{self.low:g} to {self.high:g}"

    @property
    def answer(self) -> str:
        """Whether it is met; "tie" where only the width of a tie meets it."""
        return ("tie" if self.is_tie else "yes") if self.is_met else "NO"


def ranking_verdict(subject: str, figure: float, *, low: float = -INFINITE, rivals: Mapping[str, float]) -> Verdict:
    """Of an AUC or a Gini: missed by more than a tie under its bar, or under the best of the references."""
    best, level = max(rivals.items(), key=lambda item: (item[1], item[0]))
    wanted = max(low, level)
    is_met = figure >= wanted - TIE
    return Verdict(subject, figure, low, INFINITE, f"{best} {level:.4f}", is_met, is_tie=is_met and figure < wanted)


def level_verdict(
    subject: str,
    figure: float,
    *,
    low: float = -INFINITE,
    high: float = INFINITE,
    rivals: Mapping[str, float] | None = None,
) -> Verdict:
    """Of a loss, an error or a ratio: missed outside [low, high]. The reference shown is the lowest of `rivals`."""
    best = min(rivals.items(), key=lambda item: (item[1], item[0])) if rivals else None
    reference = f"{best[0]} {best[1]:.4f}" if best else ""
    return Verdict(subject, figure, low, high, reference, is_met=low <= figure <= high)


def below_verdict(subject: str, figure: float, *, rivals: Mapping[str, float]) -> Verdict:
    """Missed unless the figure is below every rival's: of a loss that a plainer forecast must not reach."""
    best, level = min(rivals.items(), key=lambda item: (item[1], item[0]))
    return Verdict(subject, figure, high=level, reference=f"{best} {level:.4f}", is_met=figure < level)


def show_verdicts(verdicts: Iterable[Verdict]) -> bool:
    """Print them as a table; whether all are met."""
    known = list(verdicts)
    rows = [
        (verdict.subject, f"{verdict.figure:.4f}", verdict.wanted, verdict.reference, verdict.answer)
        for verdict in known
    ]
    print(table(("bar", "figure", "wanted", "best reference", "met"), rows), end="\n\n")
    return all(verdict.is_met for verdict in known)
