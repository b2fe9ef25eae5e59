"""An emulated machine behind a DBC of its own: what the kit is tried on before it meets a real one.

It takes enable on an edge, with the heartbeat going on; it lets go when a frame is late, when the
heartbeat stands, jumps or leaves its range, and when enable ends. Each quantity follows its command
with a lag. Its defects are what the kit must find in a machine.
"""

from __future__ import annotations

import math
from enum import StrEnum

from hil.conform.mapping import ForeignCodec

STEP_NS = 5_000_000
LAG_S = 0.1
FEEDBACK_NS = 20_000_000
IDLE = 0
BEAT_STEPS = (1, 2)
"""One lost frame is borne."""


class ForeignDefect(StrEnum):
    """What can be wrong with a machine; none of it is on a good one."""

    NO_TIMEOUT = "no_timeout"
    NO_HEARTBEAT_CHECK = "no_heartbeat_check"
    IGNORES_DISARM = "ignores_disarm"
    NO_LIMIT = "no_limit"
    MOVES_UNARMED = "moves_unarmed"
    STEERS_THE_OTHER_WAY = "steers_the_other_way"
    HALF_THE_SCALE = "half_the_scale"


class ForeignMachine:
    """One power-up.

    Args:
        codec: the machine's own truth. defects: of this one.
    """

    def __init__(
        self, codec: ForeignCodec, defects: frozenset[ForeignDefect] = frozenset()
    ) -> None:
        self._codec, self._defects = codec, defects
        self._mapping = codec.mapping
        self.active = False
        self._wanted = dict.fromkeys(self._mapping.quantities, 0.0)
        self._given = dict.fromkeys(self._mapping.quantities, 0.0)
        self._heard_ns: dict[str, int] = {}
        self._beat: int | None = None
        self._disable_heard = False
        self._due_ns: int | None = None

    def on_frame(self, now_ns: int, can_id: int, data: bytes) -> None:
        """Take a frame from the bus, whatever it is."""
        signals = self._codec.decode(can_id, data)
        if not signals:
            return
        frame = next(iter(signals))[0]
        if frame in self._mapping.cycles_ms and self._whole(signals):
            self._heard_ns[frame] = now_ns
            self._take_beat(signals)
            self._take_enable(signals)
            self._take_commands(signals)

    def _whole(self, signals: dict[tuple[str, str], float]) -> bool:
        """Refuse a frame that asks for more than the machine may do."""
        if ForeignDefect.NO_LIMIT in self._defects:
            return True
        for quantity in self._mapping.quantities.values():
            asked = signals.get((quantity.command.frame, quantity.command.signal), 0.0)
            if abs(asked / quantity.per_unit) > quantity.limit * (1.0 + 0.5 * quantity.tolerance):
                return False
        return True

    def _take_beat(self, signals: dict[tuple[str, str], float]) -> None:
        name = self._mapping.heartbeat
        beat = signals.get((name.frame, name.signal))
        if beat is None:
            return
        last, self._beat = self._beat, int(beat)
        round_of = self._codec.beat_last + 1
        good = beat < round_of and (last is None or (self._beat - last) % round_of in BEAT_STEPS)
        if not good and ForeignDefect.NO_HEARTBEAT_CHECK not in self._defects:
            self._let_go()

    def _take_enable(self, signals: dict[tuple[str, str], float]) -> None:
        enable = self._mapping.enable
        code = signals.get((enable.frame, enable.signal))
        if code is None:
            return
        if code != enable.enabled:
            self._disable_heard = True
            if ForeignDefect.IGNORES_DISARM not in self._defects:
                self.active = False
        elif self._disable_heard and set(self._heard_ns) == set(self._mapping.cycles_ms):
            self._disable_heard, self.active = False, True

    def _take_commands(self, signals: dict[tuple[str, str], float]) -> None:
        for name, quantity in self._mapping.quantities.items():
            asked = signals.get((quantity.command.frame, quantity.command.signal))
            if asked is not None:
                self._wanted[name] = asked / quantity.per_unit

    def _let_go(self) -> None:
        self.active, self._disable_heard = False, False

    def step(self, now_ns: int) -> list[tuple[int, bytes]]:
        """Live for one step; return the feedback that is due."""
        timeout_ns = self._mapping.timeout_ms * 1_000_000
        late = any(now_ns - at_ns > timeout_ns for at_ns in self._heard_ns.values())
        if late and ForeignDefect.NO_TIMEOUT not in self._defects:
            self._let_go()
        obeys = self.active or ForeignDefect.MOVES_UNARMED in self._defects
        share = 1.0 - math.exp(-STEP_NS * 1e-9 / LAG_S)
        for name in self._given:
            target = self._obeyed(name) if obeys else 0.0
            self._given[name] += (target - self._given[name]) * share
        if self._due_ns is not None and now_ns < self._due_ns:
            return []
        self._due_ns = now_ns + FEEDBACK_NS
        return self._feedback()

    def _obeyed(self, name: str) -> float:
        wanted = self._wanted[name]
        first = name == next(iter(self._given))
        if first and ForeignDefect.STEERS_THE_OTHER_WAY in self._defects:
            wanted = -wanted
        return 0.5 * wanted if ForeignDefect.HALF_THE_SCALE in self._defects else wanted

    def _feedback(self) -> list[tuple[int, bytes]]:
        state = self._mapping.state
        frames: dict[str, dict[str, float]] = {state.frame: {}}
        frames[state.frame][state.signal] = state.active if self.active else IDLE
        for name, quantity in self._mapping.quantities.items():
            told = self._given[name] * quantity.per_unit
            frames.setdefault(quantity.feedback.frame, {})[quantity.feedback.signal] = told
        return [self._codec.encode(frame, values) for frame, values in frames.items()]
