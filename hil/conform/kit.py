"""The kit's checks: scale, sign, saturation, heartbeat, silence, disarm, nothing without arming.

Each check powers the bus up anew, arms, asks for something and looks at what the machine shows. It
judges DBC, mapping and machine together: what it finds is wrong in one of them. A mistake that
command and feedback share (both ten times too large) cannot be seen from the bus.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from hil.conform.mapping import ForeignCodec, Quantity

_MS = 1_000_000
TICK_NS = 10 * _MS
ARMING_MS = 500
LATE_MARGIN_MS = 60
"""Feedback period, a tick, and a cycle, beyond the machine's own time-out."""
STANDS_SHARE = 0.02
SHARES = (0.05, 0.25, 0.5)
"""Of the limit, small ones first: a command that is ten times too large is still obeyed at one."""
BEYOND_SHARE = 1.25


class Way(Protocol):
    """Where frames go and come from, and how time passes: lock-step or real."""

    def send(self, can_id: int, data: bytes) -> None:
        """Put a frame on the bus."""
        ...

    def heard(self) -> list[tuple[int, bytes]]:
        """Return the frames that came since the last call."""
        ...

    def advance(self, to_ns: int) -> None:
        """Let time pass, since the start."""
        ...

    def restart(self) -> None:
        """Power the machine up anew, or ask whoever can."""
        ...


@dataclass(slots=True)
class Session:
    """One talk with the machine, from power-up.

    Attributes:
        commands: wanted values, SI, by quantity. enabled: asked for. muted: frames not sent.
        beat: of the newest heartbeat. stuck: the heartbeat stands.
    """

    codec: ForeignCodec
    way: Way
    commands: dict[str, float] = field(default_factory=dict)
    enabled: bool = False
    muted: frozenset[str] = frozenset()
    stuck: bool = False
    beat: int = -1
    now_ns: int = 0
    _due_ns: dict[str, int] = field(default_factory=dict)
    _seen: dict[tuple[str, str], float] = field(default_factory=dict)

    def run(self, ms: float, until: Callable[[], bool] = lambda: False) -> float:
        """Send in cycle and listen, for a time or until something; return how long, ms."""
        begun_ns = self.now_ns
        while self.now_ns - begun_ns < ms * _MS and not until():
            self.now_ns += TICK_NS
            self._send()
            self.way.advance(self.now_ns)
            for can_id, data in self.way.heard():
                self._seen |= self.codec.decode(can_id, data)
        return (self.now_ns - begun_ns) / _MS

    def _send(self) -> None:
        for frame, cycle_ms in self.codec.mapping.cycles_ms.items():
            if self.now_ns < self._due_ns.get(frame, 0) or frame in self.muted:
                continue
            self._due_ns[frame] = self.now_ns + cycle_ms * _MS
            self.way.send(*self.codec.encode(frame, self._values(frame)))

    def _values(self, frame: str) -> dict[str, float]:
        mapping = self.codec.mapping
        values = {
            q.command.signal: self.commands.get(name, 0.0) * q.per_unit
            for name, q in mapping.quantities.items()
            if q.command.frame == frame
        }
        if mapping.enable.frame == frame:
            enable = mapping.enable
            values[enable.signal] = enable.enabled if self.enabled else enable.disabled
        if mapping.heartbeat.frame == frame:
            if not self.stuck:
                self.beat = 0 if self.beat >= self.codec.beat_last else self.beat + 1
            values[mapping.heartbeat.signal] = self.beat
        return values

    @property
    def active(self) -> bool:
        """Whether the machine says that it is driven remotely."""
        state = self.codec.mapping.state
        return self._seen.get((state.frame, state.signal)) == state.active

    def shown(self, quantity: Quantity) -> float:
        """Return what the machine shows of a quantity, SI; nothing heard is nothing done."""
        name = quantity.feedback
        return self._seen.get((name.frame, name.signal), 0.0) / quantity.per_unit

    def arm(self) -> bool:
        """Go from disabled to active."""
        self.run(ARMING_MS)
        self.enabled = True
        self.run(ARMING_MS, lambda: self.active)
        return self.active


@dataclass(frozen=True, slots=True)
class Finding:
    """What a check found; ``wrong`` is empty when all is well."""

    check: str
    wrong: tuple[str, ...] = ()


class Kit:
    """All checks on one machine.

    Args:
        codec: the DBC and mapping under test. way: to the machine.
    """

    def __init__(self, codec: ForeignCodec, way: Way) -> None:
        self._codec, self._way = codec, way
        self._quantities = codec.mapping.quantities

    def check(self, name: str) -> Finding:
        """Run one of :data:`CHECKS`."""
        return Finding(name, tuple(CHECKS[name](self)))

    def _session(self, commands: dict[str, float] | None = None) -> Session:
        self._way.restart()
        return Session(self._codec, self._way, commands=dict(commands or {}))

    def _armed(self) -> Session | None:
        session = self._session()
        return session if session.arm() else None

    def _responses(self, name: str, quantity: Quantity) -> list[tuple[float, float]] | None:
        """Return what was asked and what was shown, both SI; None: it was not to be armed."""
        signs = (1.0, -1.0) if quantity.both_ways else (1.0,)
        out = []
        for asked in [sign * share * quantity.limit for share in SHARES for sign in signs]:
            session = self._armed()
            if session is None:
                return None
            session.commands = {name: asked}
            session.run(quantity.settle_ms)
            out.append((asked, session.shown(quantity)))
        return out

    def scale(self) -> list[str]:
        """The machine moves as far as it is asked to."""
        wrong = []
        for name, quantity in self._quantities.items():
            responses = self._responses(name, quantity)
            if responses is None:
                return [NOT_ARMED]
            factors = [abs(shown / asked) for asked, shown in responses]
            moved = next((factor for factor in factors if factor > STANDS_SHARE), None)
            signal = quantity.command.signal
            if moved is None:
                wrong.append(f"{name}: {signal} moves nothing, or is refused")
            elif any(abs(factor - 1.0) > quantity.tolerance for factor in factors):
                wrong.append(f"{name}: {signal} asks for {moved:.3g} times what is wanted")
        return wrong

    def sign(self) -> list[str]:
        """The machine moves to the side that it is asked to."""
        wrong = []
        for name, quantity in self._quantities.items():
            responses = self._responses(name, quantity)
            if responses is None:
                return [NOT_ARMED]
            if any(asked * shown < 0.0 for asked, shown in responses):
                wrong.append(f"{name}: {quantity.command.signal} goes the other way")
        return wrong

    def saturation(self) -> list[str]:
        """The limit can be asked for; beyond it nothing more is done."""
        wrong = []
        for name, quantity in self._quantities.items():
            signal, edge = quantity.command.signal, quantity.limit * quantity.per_unit
            edges = (edge, -edge) if quantity.both_ways else (edge,)
            if not all(self._codec.covers(quantity.command, value) for value in edges):
                wrong.append(f"{name}: the DBC's range of {signal} ends below the limit")
            session = self._armed()
            if session is None:
                return [NOT_ARMED]
            session.commands = {name: BEYOND_SHARE * quantity.limit}
            session.run(quantity.settle_ms)
            shown = abs(session.shown(quantity))
            if shown > quantity.limit * (1.0 + quantity.tolerance):
                share = shown / quantity.limit
                wrong.append(f"{name}: {signal} beyond the limit is obeyed, {share:.2f} times it")
        return wrong

    def heartbeat(self) -> list[str]:
        """The counter goes round without the machine letting go; one that stands ends control."""
        session = self._armed()
        if session is None:
            return [NOT_ARMED]
        signal, cycle_ms = self._heartbeat
        session.run(2.2 * (self._codec.beat_last + 1) * cycle_ms, lambda: not session.active)
        if not session.active:
            return [f"{signal}: the machine lets go at {session.beat}: its counter wraps before"]
        session.stuck = True
        session.run(self._let_go_ms + 2 * cycle_ms, lambda: not session.active)
        return [f"{signal}: a counter that stands is not noticed"] if session.active else []

    @property
    def _heartbeat(self) -> tuple[str, int]:
        name = self._codec.mapping.heartbeat
        return name.signal, self._codec.mapping.cycles_ms[name.frame]

    @property
    def _let_go_ms(self) -> float:
        mapping = self._codec.mapping
        return mapping.timeout_ms + max(mapping.cycles_ms.values()) + LATE_MARGIN_MS

    def _moving(self) -> Session | None:
        session = self._armed()
        if session is None:
            return None
        session.commands = {name: 0.5 * q.limit for name, q in self._quantities.items()}
        session.run(max(q.settle_ms for q in self._quantities.values()))
        return session

    def _still_moves(self, session: Session) -> list[str]:
        session.run(max(q.settle_ms for q in self._quantities.values()))
        return [
            name
            for name, q in self._quantities.items()
            if abs(session.shown(q)) > STANDS_SHARE * q.limit + q.tolerance * q.limit
        ]

    def silence(self) -> list[str]:
        """Any frame that ends, and all of them, end remote control within the time-out."""
        wrong = []
        frames = frozenset(self._codec.mapping.cycles_ms)
        for muted in (*(frozenset({frame}) for frame in sorted(frames)), frames):
            session = self._moving()
            if session is None:
                return [NOT_ARMED]
            session.muted = muted
            took_ms = session.run(self._let_go_ms, lambda s=session: not s.active)  # type: ignore[misc]
            what = "all frames" if muted == frames and len(frames) > 1 else next(iter(muted))
            if session.active:
                wrong.append(f"{what} silent for {took_ms:.0f} ms: the machine goes on")
            elif moves := self._still_moves(session):
                wrong.append(f"{what} silent: {', '.join(moves)} is still given")
        return wrong

    def disarm(self) -> list[str]:
        """Enable that ends ends remote control, and nothing is given afterwards."""
        session = self._moving()
        if session is None:
            return [NOT_ARMED]
        session.enabled = False
        session.run(self._let_go_ms, lambda: not session.active)
        if session.active:
            return ["the machine goes on without enable"]
        moves = self._still_moves(session)
        return [f"{', '.join(moves)} is still given without enable"] if moves else []

    def unarmed(self) -> list[str]:
        """Commands without enable move nothing."""
        session = self._session({name: 0.5 * q.limit for name, q in self._quantities.items()})
        moves = self._still_moves(session)
        return [f"{', '.join(moves)} is given without arming"] if moves else []


NOT_ARMED = "the machine was not to be armed"
CHECKS: dict[str, Callable[[Kit], list[str]]] = {
    "scale": Kit.scale,
    "sign": Kit.sign,
    "saturation": Kit.saturation,
    "heartbeat": Kit.heartbeat,
    "silence": Kit.silence,
    "disarm": Kit.disarm,
    "unarmed": Kit.unarmed,
}
