"""How fast bits leave: at once, at a rate, or by the opportunities of a mahimahi trace."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from typing import Protocol

from sim.network.air import Air
from sim.network.course import Course

OPPORTUNITY_BYTES = 1500
"""What may leave at each line of a mahimahi trace (mm-link(1))."""

_NS_PER_MS = 1_000_000
_NS_PER_S = 1_000_000_000


class Capacity(Protocol):
    """When the last bit of a packet has left."""

    def leaves_ns(self, begin_ns: int, size_bytes: int) -> int:
        """Return when a packet has left whose turn comes at ``begin_ns``."""
        ...


class Unlimited:
    """Everything leaves at once."""

    def leaves_ns(self, begin_ns: int, size_bytes: int) -> int:
        """Return ``begin_ns``."""
        del size_bytes
        return begin_ns


class Rate:
    """So many bits a second, along a course or always the same.

    Args:
        rate_bps: where the course sets none; None is unlimited there.
        course: may set a rate by time. air: may set a lower one by place.
    """

    def __init__(self, rate_bps: float | None, course: Course, air: Air | None = None) -> None:
        self._rate_bps = rate_bps
        self._course = course
        self._air = air

    def leaves_ns(self, begin_ns: int, size_bytes: int) -> int:
        """Return when the packet has left at the rate that holds as it begins."""
        rate_bps = self._course.rate_bps(begin_ns) or self._rate_bps
        if self._air is not None and self._air.rate_bps is not None:
            rate_bps = min(self._air.rate_bps, rate_bps or self._air.rate_bps)
        if rate_bps is None:
            return begin_ns
        return begin_ns + round(size_bytes * 8 * _NS_PER_S / rate_bps)


class Trace:
    """Opportunities of 1500 bytes at the times of a mahimahi trace, which repeats.

    An opportunity that finds nothing waiting is lost; packets that wait share one.
    """

    def __init__(self, times_ms: Sequence[int], start_ns: int) -> None:
        self._times_ms = tuple(times_ms)
        self._period_ms = self._times_ms[-1]
        self._start_ns = start_ns
        self._number = 0
        self._left_bytes = OPPORTUNITY_BYTES

    def leaves_ns(self, begin_ns: int, size_bytes: int) -> int:
        """Return the time of the opportunity that takes the packet's last byte."""
        self._skip_to(begin_ns)
        while size_bytes > self._left_bytes:
            size_bytes -= self._left_bytes
            self._next(self._number + 1)
        self._left_bytes -= size_bytes
        leaves_ns = self._time_ns(self._number)
        if self._left_bytes == 0:
            self._next(self._number + 1)
        return leaves_ns

    def _next(self, number: int) -> None:
        self._number = number
        self._left_bytes = OPPORTUNITY_BYTES

    def _time_ns(self, number: int) -> int:
        rounds, index = divmod(number, len(self._times_ms))
        return self._start_ns + (rounds * self._period_ms + self._times_ms[index]) * _NS_PER_MS

    def _skip_to(self, at_ns: int) -> None:
        """Go to the first opportunity at ``at_ns`` or later."""
        if self._time_ns(self._number) >= at_ns:
            return
        rounds, within_ns = divmod(at_ns - self._start_ns, self._period_ms * _NS_PER_MS)
        index = bisect_left(self._times_ms, -(-within_ns // _NS_PER_MS))
        self._next(rounds * len(self._times_ms) + index)
