"""A machine's way through the radio: loss and rate along it, repeating."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from sim.network.parameters import CoursePoint

_NS_PER_S = 1e9


class Course:
    """Linear between its points, from the first point's time (0) to the last one's, over again.

    Attributes:
        has_rate: some point sets a rate.
    """

    def __init__(self, points: Sequence[CoursePoint], start_ns: int) -> None:
        self._points = tuple(points)
        self._start_ns = start_ns
        self.has_rate = any(point.rate_bps is not None for point in self._points)

    def loss(self, at_ns: int) -> float:
        """Return the share of packets lost there."""
        if not self._points:
            return 0.0
        before, after, share = self._between(at_ns)
        return before.loss + share * (after.loss - before.loss)

    def rate_bps(self, at_ns: int) -> float | None:
        """Return the rate there; None where no rate is set."""
        if not self.has_rate:
            return None
        before, after, share = self._between(at_ns)
        if before.rate_bps is None or after.rate_bps is None:
            return None
        return before.rate_bps + share * (after.rate_bps - before.rate_bps)

    def _between(self, at_ns: int) -> tuple[CoursePoint, CoursePoint, float]:
        at_s = (at_ns - self._start_ns) / _NS_PER_S % self._points[-1].at_s
        for before, after in pairwise(self._points):
            if at_s < after.at_s:
                return before, after, (at_s - before.at_s) / (after.at_s - before.at_s)
        return self._points[-2], self._points[-1], 1.0
