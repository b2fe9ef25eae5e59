"""Sums of floats with the same bits on every Python: a run's digest must not tell them apart."""

from __future__ import annotations

import operator
from collections.abc import Iterable
from functools import reduce


def in_turn(values: Iterable[float]) -> float:
    """Return the values added one after the other; 0 of none.

    The built-in ``sum`` does so up to Python 3.11 and makes up for what rounding loses from 3.12
    on, which gives other last bits (docs.python.org, "Built-in Functions", ``sum``).
    """
    return reduce(operator.add, values, 0.0)
