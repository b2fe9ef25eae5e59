"""When a sensor measures, and when what it measured arrives."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable


class Pace:
    """A grid of measurements, each on its way for a while; what was missed is not made good.

    Args:
        start_ns: of the first one. period_ns: between two. delay_ns: until one has come.
    """

    def __init__(self, start_ns: int, period_ns: int, delay_ns: int) -> None:
        self._period_ns, self._delay_ns = period_ns, delay_ns
        self._due_ns = start_ns
        self._on_the_way: deque[tuple[int, bytes]] = deque()

    def step(self, now_ns: int, measure: Callable[[], bytes]) -> tuple[bytes, ...]:
        """Return what has come by now; measure when it is time."""
        if now_ns >= self._due_ns:
            self._due_ns += self._period_ns * (1 + (now_ns - self._due_ns) // self._period_ns)
            self._on_the_way.append((now_ns + self._delay_ns, measure()))
        come = []
        while self._on_the_way and self._on_the_way[0][0] <= now_ns:
            come.append(self._on_the_way.popleft()[1])
        return tuple(come)
