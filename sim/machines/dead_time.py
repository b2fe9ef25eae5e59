"""Dead time: a value comes out unchanged, a fixed time after it went in."""

from __future__ import annotations

from collections import deque
from typing import Generic, TypeVar

T = TypeVar("T")


class DeadTime(Generic[T]):
    """A line of ``delay_s``; only changes are stored.

    Attributes:
        value: what came out last.
    """

    __slots__ = ("_delay_ns", "_last", "_queue", "value")

    def __init__(self, delay_s: float, value: T) -> None:
        self._delay_ns = round(delay_s * 1e9)
        self._queue: deque[tuple[int, T]] = deque()
        self._last = value
        self.value = value

    def pass_through(self, now_ns: int, value: T) -> T:
        """Put ``value`` in at ``now_ns``, take out what is due."""
        if value != self._last:
            self._last = value
            self._queue.append((now_ns + self._delay_ns, value))
        while self._queue and self._queue[0][0] <= now_ns:
            self.value = self._queue.popleft()[1]
        return self.value
