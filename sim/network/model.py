"""A seeded link model: when, and whether, a packet sent now comes out. Pure; time is passed in.

One random stream for each purpose, so that an outage pattern stays the same whatever traffic
runs through it (as FlowEmu keeps it).
"""

from __future__ import annotations

from collections import Counter, deque
from enum import StrEnum
from random import Random
from typing import NamedTuple, Protocol

from sim.network.air import Air
from sim.network.capacity import Capacity, Rate, Trace, Unlimited
from sim.network.course import Course
from sim.network.parameters import DirectionParameters, GapMode
from sim.network.spells import gap_spells, loss_spells


class Verdict(StrEnum):
    """What became of a packet."""

    CARRIED = "carried"
    REPEATED = "repeated"
    """Of a stream: lost, and delivered after being sent again."""
    QUEUE_FULL = "queue_full"
    IN_GAP = "in_gap"
    LOST = "lost"


class Decision(NamedTuple):
    """What the link does with one packet.

    Attributes:
        deliveries: when it comes out, ns; empty when it does not, two when it is doubled.
    """

    verdict: Verdict
    deliveries: tuple[int, ...] = ()


class Decider(Protocol):
    """Whatever says what becomes of packets, in the order in which they are sent."""

    def decide(self, now_ns: int, size_bytes: int) -> Decision:
        """Return what becomes of a packet of ``size_bytes`` that is sent at ``now_ns``."""
        ...


class Radio:
    """When one direction loses, by time alone; asked about times that never go back.

    Two of one seed and name lose in the same spells, whoever asks. What depends on the machine's
    place comes through ``air``.
    """

    def __init__(
        self,
        parameters: DirectionParameters,
        seed: int,
        name: str,
        start_ns: int,
        air: Air | None = None,
    ) -> None:
        bursts = parameters.bursts
        self._loss = parameters.loss
        self._bad_loss = parameters.loss if bursts is None else bursts.loss
        self._air = air
        self._bad = loss_spells(parameters.bursts, dice(seed, name, "states"), start_ns)
        self._gaps = gap_spells(parameters.gaps, dice(seed, name, "gaps"), start_ns)
        self.course = Course(parameters.course, start_ns)
        self.stalls = parameters.gaps is not None and parameters.gaps.mode is GapMode.STALL

    def gap_ends_ns(self, at_ns: int) -> int | None:
        """Return the end of the gap that ``at_ns`` lies in; None when it lies in none."""
        own_ns = self._gaps.ends_ns(at_ns)
        if self._air is None or at_ns >= self._air.gap_until_ns:
            return own_ns
        return max(own_ns or 0, self._air.gap_until_ns)

    def loss(self, at_ns: int) -> float:
        """Return the share of packets lost there, gaps aside."""
        state = self._loss if self._bad.ends_ns(at_ns) is None else self._bad_loss
        lost = 1.0 - (1.0 - state) * (1.0 - self.course.loss(at_ns))
        return lost if self._air is None else 1.0 - (1.0 - lost) * (1.0 - self._air.loss)


def dice(seed: int, name: str, purpose: str) -> Random:
    """Return the random stream of one purpose in one direction."""
    return Random(f"{seed}/{name}/{purpose}")  # noqa: S311 - repeatable, not secret


class LinkModel:
    """One direction of a link.

    Args:
        parameters: what it does.
        seed: the same seed, times and sizes give the same decisions.
        name: of the direction; both directions of one seed differ by it.
        start_ns: when courses, traces and spells begin.
        air: what the radio does where the machine is; None for a link without a place.
    """

    def __init__(
        self,
        parameters: DirectionParameters,
        seed: int,
        name: str = "",
        start_ns: int = 0,
        air: Air | None = None,
    ) -> None:
        self._parameters = parameters
        self._air = air
        self._jitter = dice(seed, name, "jitter").uniform
        self._chance = dice(seed, name, "loss").random
        self._order = dice(seed, name, "reorder").random
        self._double = dice(seed, name, "duplicate").random
        self._radio = Radio(parameters, seed, name, start_ns, air)
        self._capacity = _capacity(parameters, self._radio.course, start_ns, air)
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
        self._advance(now_ns)
        decision = self._decide(now_ns, size_bytes)
        self.counts[decision.verdict] += 1
        return decision

    def leaves_ns(self, now_ns: int, size_bytes: int) -> int:
        """Take a packet that is never dropped; return when its last bit is on the air.

        For what shares the link's rate with the datagrams and has rules of its own.

        Raises:
            ValueError: time went backwards.
        """
        self._advance(now_ns)
        return self._leaves(now_ns, size_bytes)

    def _advance(self, now_ns: int) -> None:
        if now_ns < self._now_ns:
            raise ValueError(f"{now_ns} ns is before {self._now_ns} ns")
        self._now_ns = now_ns

    def _decide(self, now_ns: int, size_bytes: int) -> Decision:
        if not self._fits(now_ns, size_bytes):
            return Decision(Verdict.QUEUE_FULL)
        leaves_ns = self._leaves(now_ns, size_bytes)
        if not self._radio.stalls and self._radio.gap_ends_ns(leaves_ns) is not None:
            return Decision(Verdict.IN_GAP)
        if self._chance() < self._radio.loss(leaves_ns):
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
        if self._radio.stalls:
            begin_ns = self._radio.gap_ends_ns(begin_ns) or begin_ns
        self._left_ns = self._capacity.leaves_ns(begin_ns, size_bytes)
        if self._left_ns > now_ns:
            self._waiting.append((self._left_ns, size_bytes))
            self._waiting_bytes += size_bytes
        return self._left_ns

    def _deliveries(self, leaves_ns: int) -> tuple[int, ...]:
        parameters = self._parameters
        delay_ns, jitter_ns = parameters.delay_ns, parameters.jitter_ns
        if self._air is not None:
            delay_ns, jitter_ns = delay_ns + self._air.delay_ns, jitter_ns + self._air.jitter_ns
        shift_ns = round(self._jitter(-1.0, 1.0) * jitter_ns)
        due_ns = leaves_ns + max(0, delay_ns + shift_ns)
        held_back = self._order() < parameters.reorder
        due_ns = max(due_ns, self._out_ns)
        if held_back:
            due_ns += parameters.reorder_ns
        else:
            self._out_ns = due_ns
        twice = self._double() < parameters.duplicate
        return (due_ns, due_ns) if twice else (due_ns,)


def _capacity(
    parameters: DirectionParameters, course: Course, start_ns: int, air: Air | None
) -> Capacity:
    if parameters.trace_ms:
        return Trace(parameters.trace_ms, start_ns)
    if parameters.rate_bps is None and not course.has_rate and air is None:
        return Unlimited()
    return Rate(parameters.rate_bps, course, air)
