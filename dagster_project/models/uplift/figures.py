"""A figure with its interval."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Figure:
    """A figure with the ends of its interval."""

    value: float
    low: float
    high: float

    @property
    def is_positive(self) -> bool:
        """Whether the interval lies above zero."""
        return self.low > 0

    @property
    def is_negative(self) -> bool:
        """Whether the interval lies below zero."""
        return self.high < 0


def quantile_of_normal(confidence: float) -> float:
    """Half-width of a two-sided interval of this confidence, in standard errors."""
    from scipy.special import ndtri

    return float(ndtri(0.5 + confidence / 2))
