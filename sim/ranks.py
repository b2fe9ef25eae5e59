"""Nearest-rank percentiles: each is a sample that was really seen."""

from __future__ import annotations

import math
from collections.abc import Sequence


def nearest_rank(ordered: Sequence[float], percent: float) -> float:
    """Return the smallest sample below or at which ``percent`` (0…100) of them lie.

    Args:
        ordered: at least one, ascending.
    """
    return ordered[max(0, math.ceil(percent * len(ordered) / 100) - 1)]
