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
        probes: (time, value) by name, of what no bus carries; empty on a real machine.
        marks: (time, text) for people.
    """

    frames: list[Seen] = field(default_factory=list)
    errors: list[tuple[int, str]] = field(default_factory=list)
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

    def slice_asc(self, path: Path, from_ns: int, to_ns: int) -> int:
        """Write the frames of a span as Vector's ASCII log; return how many."""
        chosen = [s for s in self.frames if from_ns <= s.t_ns <= to_ns]
        with can.ASCWriter(path) as writer:
            for seen in chosen:
                writer(
                    can.Message(
                        timestamp=(seen.t_ns - from_ns) / _NS_PER_S,
                        arbitration_id=seen.can_id,
                        is_extended_id=seen.extended,
                        data=seen.data,
                        channel=0,
                        is_rx=seen.sender != "agent",
                    )
                )
        return len(chosen)


def _fields() -> dict[str, frozenset[str]]:
    from protocol.dbw import codec  # noqa: PLC0415 - the table of kinds, read once

    kinds = [kind for kind in vars(codec).values() if isinstance(kind, type)]
    found = {}
    for kind in kinds:
        names = getattr(kind, "__dataclass_fields__", None)
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
