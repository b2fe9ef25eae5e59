"""The loop that every relay and bridge runs: read what came, release what is due, sleep till then.

A station is stepped with the time passed in, so that tests move its clock; only :func:`serve`
reads one. ``select`` is used because it waits in microseconds where epoll waits in milliseconds.
"""

from __future__ import annotations

import select
from collections.abc import Callable, Sequence
from typing import Protocol

LOOK_AGAIN_S = 0.1
"""How soon the end is noticed when nothing else happens."""


class Station(Protocol):
    """Something with descriptors on both sides and packets in between."""

    def readers(self) -> Sequence[int]:
        """Return the descriptors to read from now."""
        ...

    def writers(self) -> Sequence[int]:
        """Return the descriptors that something waits to be written to."""
        ...

    def read(self, now_ns: int, descriptor: int) -> None:
        """Take what ``descriptor`` has, at most a bounded part of it."""
        ...

    def release(self, now_ns: int) -> None:
        """Let out what is due by now, as far as it is taken."""
        ...

    def next_ns(self) -> int | None:
        """Return when something is due; None when nothing is on its way."""
        ...


def serve(station: Station, clock_ns: Callable[[], int], ended: Callable[[], bool]) -> None:
    """Step the station until ``ended``."""
    while not ended():
        due_ns = station.next_ns()
        wait_s = LOOK_AGAIN_S
        if due_ns is not None:
            wait_s = min(wait_s, max(0.0, (due_ns - clock_ns()) / 1e9))
        readable, _, _ = select.select(station.readers(), station.writers(), [], wait_s)
        now_ns = clock_ns()
        for descriptor in readable:
            station.read(now_ns, descriptor)
        station.release(clock_ns())
