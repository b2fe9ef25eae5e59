"""What a link does to a byte stream that shares it with datagrams: loss becomes waiting.

TCP delivers everything in order, so a lost segment holds up all that follow until it was sent
again (head-of-line blocking). Modelled: the repeat comes a round trip and 20 ms later, the
retransmission floor that ``headframe doctor`` asks for, and each further one after twice that,
at most a second (by then a link of Headframe's has given its connection up and tries a new one).
Congestion control is not modelled: commands are far below any rate where it matters.
"""

from __future__ import annotations

from sim.network.air import Air
from sim.network.model import Decision, LinkModel, Radio, Verdict, dice
from sim.network.parameters import DirectionParameters

FLOOR_NS = 20_000_000
LONGEST_NS = 1_000_000_000
HELD_UP_MAX_NS = 60_000_000_000
"""A course may lose everything for ever; nothing waits longer than this."""


class StreamModel:
    """One direction of a link for streams.

    Args:
        link: the datagrams' model; its rate and queue are shared.
        parameters: of this direction; it must not be dead. round_trip_ns: of both together.
        seed, name, start_ns, air: those of ``link``, so that both lose in the same spells.
    """

    def __init__(
        self,
        link: LinkModel,
        parameters: DirectionParameters,
        round_trip_ns: int,
        seed: int,
        name: str,
        start_ns: int,
        air: Air | None = None,
    ) -> None:
        self._link, self._parameters, self._air = link, parameters, air
        self._first_wait_ns = round_trip_ns + FLOOR_NS
        self._radio = Radio(parameters, seed, name, start_ns, air)
        self._chance = dice(seed, name, "stream loss")
        self._jitter = dice(seed, name, "stream jitter")
        self._head_ns = start_ns
        self._out_ns = start_ns

    def decide(self, now_ns: int, size_bytes: int) -> Decision:
        """Return when a segment comes out; it always does."""
        leaves_ns = self._link.leaves_ns(now_ns, size_bytes)
        at_ns, wait_ns, verdict = (
            max(leaves_ns, self._head_ns),
            self._first_wait_ns,
            Verdict.CARRIED,
        )
        while self._is_lost(at_ns) and at_ns - now_ns < HELD_UP_MAX_NS:
            at_ns += wait_ns
            wait_ns = min(2 * wait_ns, LONGEST_NS)
            verdict = Verdict.REPEATED
        self._head_ns = at_ns
        delay_ns, jitter_ns = self._parameters.delay_ns, self._parameters.jitter_ns
        if self._air is not None:
            delay_ns, jitter_ns = delay_ns + self._air.delay_ns, jitter_ns + self._air.jitter_ns
        shift_ns = round(self._jitter.uniform(-1.0, 1.0) * jitter_ns)
        self._out_ns = max(self._out_ns, at_ns + max(0, delay_ns + shift_ns))
        return Decision(verdict, (self._out_ns,))

    def _is_lost(self, at_ns: int) -> bool:
        if not self._radio.stalls and self._radio.gap_ends_ns(at_ns) is not None:
            return True
        return self._chance.random() < self._radio.loss(at_ns)
