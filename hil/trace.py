"""What a bench saw, in order: frames, bus errors, marks of the injector and probes of the plant.

Only what stands here is evidence. A frame's time is its end on the wire.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path

import can

from protocol.dbw.codec import E2eStat, EcuState, Message, decode
from protocol.dbw.errors import DbwError
from protocol.dbw.matrix import BY_ID, COMMANDS
from protocol.events import EVENTS
from sim.ecu import FirstCause

_NS_PER_MS = 1_000_000
_NS_PER_S = 1_000_000_000
Value = float | str | bool | None
_CAUSES = {cause.value: cause.name for cause in FirstCause}


@dataclass(frozen=True, slots=True)
class Seen:
    """A frame on the wire, by its sender's node."""

    t_ns: int
    sender: str
    can_id: int
    data: bytes
    extended: bool = True


@dataclass(slots=True)
class Trace:
    """Everything a run saw.

    Attributes:
        frames: of the wire. errors: (time, sender) of disturbed frames.
        handed: (time, id, data) of what the ECU gave to its controller, before any fault.
        probes: (time, value) by name, of what no bus carries; empty on a real machine.
        marks: (time, text) for people.
    """

    frames: list[Seen] = field(default_factory=list)
    errors: list[tuple[int, str]] = field(default_factory=list)
    handed: list[tuple[int, int, bytes]] = field(default_factory=list)
    probes: dict[str, list[tuple[int, Value]]] = field(default_factory=dict)
    marks: list[tuple[int, str]] = field(default_factory=list)

    def probe(self, t_ns: int, name: str, value: Value) -> None:
        """Note a probe's value."""
        self.probes.setdefault(name, []).append((t_ns, value))

    def messages(self, name: str, since_ns: int) -> Iterator[tuple[int, Message]]:
        """Yield (time, message) of the frames of a row that decode, from ``since_ns`` on."""
        for seen in self.frames:
            spec = BY_ID.get(seen.can_id)
            if seen.t_ns >= since_ns and spec is not None and spec.name == name:
                try:
                    yield seen.t_ns, decode(seen.can_id, seen.data)
                except DbwError:
                    continue

    def samples(self, signal: str, since_ns: int) -> list[tuple[int, Value]]:
        """Return (time, value) of ``FRAME.field`` or of a probe, from ``since_ns`` on.

        Raises:
            KeyError: it is no signal of the matrix, and no probe of this bench.
        """
        if signal in self.probes:
            return [(t, value) for t, value in self.probes[signal] if t >= since_ns]
        if signal.startswith("E2E."):
            return self._counts(signal, since_ns)
        frame, _, name = signal.partition(".")
        if frame not in _FIELDS or name not in _FIELDS[frame]:
            raise KeyError(signal)
        return [(t, plain(m, name)) for t, m in self.messages(frame, since_ns)]

    def _counts(self, signal: str, since_ns: int) -> list[tuple[int, Value]]:
        """``E2E.ROW.count`` as the ECU tells it, one row after another."""
        _, row, count = signal.split(".")
        index = [spec.name for spec in COMMANDS].index(row)
        return [
            (t, float(getattr(m, count)))
            for t, m in self.messages("E2E_STAT", since_ns)
            if isinstance(m, E2eStat) and m.frame == index
        ]

    def write_slice(self, path: Path, from_ns: int, to_ns: int) -> int:
        """Write the frames of a span as Vector logs, ``.asc`` and ``.blf``; return how many.

        Disturbed frames are error frames there. Stamps count from ``from_ns``.
        """
        frames = [(s.t_ns, s) for s in self.frames if from_ns <= s.t_ns <= to_ns]
        errors = [(t_ns, None) for t_ns, _ in self.errors if from_ns <= t_ns <= to_ns]
        chosen = sorted([*frames, *errors], key=lambda pair: pair[0])
        with (
            can.ASCWriter(path.with_suffix(".asc")) as asc,
            can.BLFWriter(path.with_suffix(".blf")) as blf,
        ):
            for t_ns, seen in chosen:
                message = _as_message((t_ns - from_ns) / _NS_PER_S, seen)
                asc(message)
                blf(message)
        return len(chosen)

    def story(self, from_ns: int, to_ns: int, t0_ns: int) -> tuple[str, ...]:
        """Return what happened in a span, in order, with ms from ``t0_ns``.

        Marks of injector and guardian, changes of the ECU's state with its reason, the first cause
        that it tells, and changes of the relay's contact.
        """
        told = [(t, _in_words(text)) for t, text in self.marks if from_ns <= t <= to_ns]
        for signal, what in _TOLD:
            try:
                samples = self.samples(signal, from_ns)
            except KeyError:
                continue
            last: Value = None
            for t_ns, value in samples:
                if t_ns <= to_ns and value != last and last is not None:
                    told.append((t_ns, f"{what} {value}"))
                last = value
        ordered = sorted(told, key=lambda pair: pair[0])
        return tuple(f"{(t - t0_ns) / _NS_PER_MS:+.1f} ms {text}" for t, text in ordered)


def _in_words(mark: str) -> str:
    """Return a mark as people read it: an event of the catalogue with what happened."""
    event = EVENTS.get(mark.removeprefix("event "))
    return mark if event is None else f"guardian tells {event.id}: {event.en.partition(' - ')[0]}"


_TOLD = (
    ("ECU_STATE.state", "ECU is"),
    ("ECU_STATE.reason", "ECU's reason:"),
    ("ECU_STATE.first_cause", "ECU's first cause:"),
    ("agent.mode", "guardian is"),
    ("relay.contact", "relay is"),
)


def _as_message(at_s: float, seen: Seen | None) -> can.Message:
    """Return a frame for a log; None is a disturbed one."""
    if seen is None:
        return can.Message(timestamp=at_s, is_error_frame=True, channel=0)
    return can.Message(
        timestamp=at_s,
        arbitration_id=seen.can_id,
        is_extended_id=seen.extended,
        data=seen.data,
        channel=0,
        is_rx=seen.sender != "agent",
    )


def _fields() -> dict[str, frozenset[str]]:
    from protocol.dbw import codec  # noqa: PLC0415 - the table of kinds, read once

    kinds = [kind for kind in vars(codec).values() if isinstance(kind, type)]
    found = {}
    for kind in kinds:
        names = getattr(kind, "_fields", None)
        if names is not None and kind in codec.Message.__args__:
            found[codec.spec_of(kind).name] = frozenset(names)
    return found


_FIELDS = _fields()


def plain(message: Message, name: str) -> Value:
    """Return a field as a case file names it: codes by their names."""
    value = getattr(message, name)
    if isinstance(message, EcuState) and name == "first_cause":
        return _CAUSES.get(int(value), str(value))
    if isinstance(value, Enum):
        return value.name
    return value if isinstance(value, bool | str) or value is None else float(value)
