"""What is on its way: packets with the times at which they come out."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from typing import Generic, TypeVar

from sim.network.model import Decider, Decision

T = TypeVar("T")
Note = Callable[[int, int, Decision], None]


def forget(_now_ns: int, _size_bytes: int, _decision: Decision) -> None:
    """Write nothing down."""


class Wire(Generic[T]):
    """One direction of a link with the packets on it.

    Args:
        model: decides about each packet.
        note: is told each decision with its time and the packet's size.
    """

    def __init__(self, model: Decider, note: Note = forget) -> None:
        self._model = model
        self._note = note
        self._number = 0
        self._on_way: list[tuple[int, int, T, int]] = []
        self.held_bytes = 0

    def send(self, now_ns: int, packet: T, size_bytes: int) -> None:
        """Put a packet on the wire."""
        decision = self._model.decide(now_ns, size_bytes)
        self._note(now_ns, size_bytes, decision)
        for due_ns in decision.deliveries:
            heapq.heappush(self._on_way, (due_ns, self._number, packet, size_bytes))
            self._number += 1
            self.held_bytes += size_bytes

    def due(self, now_ns: int) -> T | None:
        """Take the next packet that has come out by now; None when there is none."""
        if not self._on_way or self._on_way[0][0] > now_ns:
            return None
        _, _, packet, size_bytes = heapq.heappop(self._on_way)
        self.held_bytes -= size_bytes
        return packet

    def next_ns(self) -> int | None:
        """Return when the next packet comes out; None when none is on its way."""
        return self._on_way[0][0] if self._on_way else None
