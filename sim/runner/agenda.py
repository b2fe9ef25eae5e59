"""What happens next under a simulated clock: integer nanoseconds, one order for every run."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from enum import IntEnum

Happening = Callable[[int], None]
"""Called with the time at which it happens, ns."""


class Rank(IntEnum):
    """The order of what happens at the same nanosecond."""

    LINK = 0
    SCREEN = 1
    COCKPIT = 2
    FAULT = 3
    CAMERA = 4


class Agenda:
    """A queue of happenings by time, then rank, then the order in which they were entered.

    Attributes:
        now_ns: the time of what happens now.
    """

    __slots__ = ("_count", "_heap", "now_ns")

    def __init__(self, start_ns: int) -> None:
        self._heap: list[tuple[int, Rank, int, Happening]] = []
        self._count = 0
        self.now_ns = start_ns

    def at(self, when_ns: int, rank: Rank, happening: Happening) -> None:
        """Let it happen at ``when_ns``, at once when that has passed."""
        self._count += 1
        entry = (max(when_ns, self.now_ns), rank, self._count, happening)
        heapq.heappush(self._heap, entry)

    def every(self, start_ns: int, period_ns: int, rank: Rank, happening: Happening) -> None:
        """Let it happen at ``start_ns`` and then once in each period, for ever."""

        def again(now_ns: int) -> None:
            self.at(now_ns + period_ns, rank, again)
            happening(now_ns)

        self.at(start_ns, rank, again)

    def run_until(self, end_ns: int) -> None:
        """Let everything happen that is due up to and at ``end_ns``; it is ``end_ns`` then."""
        heap = self._heap
        while heap and heap[0][0] <= end_ns:
            when_ns, _, _, happening = heapq.heappop(heap)
            self.now_ns = when_ns
            happening(when_ns)
        self.now_ns = end_ns
