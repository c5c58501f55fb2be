"""Why users left: evidence near the leaving, an ordered cascade, a posterior over all reasons, who left why.

Judgements only: the facts are stated in `sql/`, and what follows from a reason is decided in `strategy`.
"""

from dagster_project.reasons.vocabulary import REASONS, UNKNOWN

__all__ = ["REASONS", "UNKNOWN"]
