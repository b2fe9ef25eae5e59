"""A seeded link model: when, and whether, a packet sent now comes out. Pure; time is passed in.

One random stream for each purpose, so that an outage pattern stays the same whatever traffic
runs through it (as FlowEmu keeps it).
"""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass
from enum import StrEnum
from random import Random

from sim.network.capacity import Capacity, Rate, Trace, Unlimited
from sim.network.course import Course
from sim.network.parameters import DirectionParameters, GapMode
from sim.network.spells import gap_spells, loss_spells


class Verdict(StrEnum):
    """What became of a packet."""

    CARRIED = "carried"
    QUEUE_FULL = "queue_full"
    IN_GAP = "in_gap"
    LOST = "lost"


@dataclass(frozen=True, slots=True)
class Decision:
    """What the link does with one packet.

    Attributes:
        deliveries: when it comes out, ns; empty when it does not, two when it is doubled.
    """

    verdict: Verdict
    deliveries: tuple[int, ...] = ()


class LinkModel:
    """One direction of a link.

    Args:
        parameters: what it does.
        seed: the same seed, times and sizes give the same decisions.
        name: of the direction; both directions of one seed differ by it.
        start_ns: when courses, traces and spells begin.
    """

    def __init__(
        self, parameters: DirectionParameters, seed: int, name: str = "", start_ns: int = 0
    ) -> None:
        def dice(purpose: str) -> Random:
            return Random(f"{seed}/{name}/{purpose}")  # noqa: S311 - repeatable, not secret

        self._parameters = parameters
        self._jitter, self._chance = dice("jitter"), dice("loss")
        self._order, self._double = dice("reorder"), dice("duplicate")
        self._bad = loss_spells(parameters.bursts, dice("states"), start_ns)
        self._gaps = gap_spells(parameters.gaps, dice("gaps"), start_ns)
        self._stalls = parameters.gaps is not None and parameters.gaps.mode is GapMode.STALL
        self._course = Course(parameters.course, start_ns)
        self._capacity = _capacity(parameters, self._course, start_ns)
        self._waiting: deque[tuple[int, int]] = deque()
        self._waiting_bytes = 0
        self._left_ns = start_ns
        self._out_ns = start_ns
        self._now_ns = start_ns
        self.counts: Counter[Verdict] = Counter()

    def decide(self, now_ns: int, size_bytes: int) -> Decision:
        """Return what becomes of a packet of ``size_bytes`` that is sent at ``now_ns``.

        Raises:
            ValueError: time went backwards.
        """
        if now_ns < self._now_ns:
            raise ValueError(f"{now_ns} ns is before {self._now_ns} ns")
        self._now_ns = now_ns
        decision = self._decide(now_ns, size_bytes)
        self.counts[decision.verdict] += 1
        return decision

    def _decide(self, now_ns: int, size_bytes: int) -> Decision:
        if not self._fits(now_ns, size_bytes):
            return Decision(Verdict.QUEUE_FULL)
        leaves_ns = self._leaves(now_ns, size_bytes)
        if not self._stalls and self._gaps.ends_ns(leaves_ns) is not None:
            return Decision(Verdict.IN_GAP)
        if self._chance.random() < self._loss(leaves_ns):
            return Decision(Verdict.LOST)
        return Decision(Verdict.CARRIED, self._deliveries(leaves_ns))

    def _fits(self, now_ns: int, size_bytes: int) -> bool:
        """Whether the queue takes it; what has left by now waits no more."""
        while self._waiting and self._waiting[0][0] <= now_ns:
            self._waiting_bytes -= self._waiting.popleft()[1]
        limit = self._parameters.queue_bytes
        return limit is None or not self._waiting or self._waiting_bytes + size_bytes <= limit

    def _leaves(self, now_ns: int, size_bytes: int) -> int:
        """When its last bit is on the air, behind all that waits before it."""
        begin_ns = max(now_ns, self._left_ns)
        if self._stalls:
            begin_ns = self._gaps.ends_ns(begin_ns) or begin_ns
        self._left_ns = self._capacity.leaves_ns(begin_ns, size_bytes)
        if self._left_ns > now_ns:
            self._waiting.append((self._left_ns, size_bytes))
            self._waiting_bytes += size_bytes
        return self._left_ns

    def _loss(self, at_ns: int) -> float:
        bursts = self._parameters.bursts
        bad = bursts is not None and self._bad.ends_ns(at_ns) is not None
        state = bursts.loss if bursts is not None and bad else self._parameters.loss
        return 1.0 - (1.0 - state) * (1.0 - self._course.loss(at_ns))

    def _deliveries(self, leaves_ns: int) -> tuple[int, ...]:
        parameters = self._parameters
        shift_ns = round(self._jitter.uniform(-1.0, 1.0) * parameters.jitter_ns)
        due_ns = leaves_ns + max(0, parameters.delay_ns + shift_ns)
        held_back = self._order.random() < parameters.reorder
        due_ns = max(due_ns, self._out_ns)
        if held_back:
            due_ns += parameters.reorder_ns
        else:
            self._out_ns = due_ns
        twice = self._double.random() < parameters.duplicate
        return (due_ns, due_ns) if twice else (due_ns,)


def _capacity(parameters: DirectionParameters, course: Course, start_ns: int) -> Capacity:
    if parameters.trace_ms:
        return Trace(parameters.trace_ms, start_ns)
    if parameters.rate_bps is None and not course.has_rate:
        return Unlimited()
    return Rate(parameters.rate_bps, course)
