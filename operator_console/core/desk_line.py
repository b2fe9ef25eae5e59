"""What passes between the input process and the console: snapshots one way, the machine back.

Both are JSON datagrams between two processes of one computer. A snapshot's age counts from when
the devices were read, by the clock that both share, and not from when it arrived.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

from operator_console.core.desk import Counts, DeskSnapshot, Fault, Feedback
from operator_console.core.inputs import (
    INPUT_MAX_AGE_NS,
    SEQUENCE_GAP_MAX,
    DriverInput,
    read_input,
)

DATAGRAM_MAX_BYTES = 2048
U32_MAX = (1 << 32) - 1
STAMP_MAX_US = (1 << 63) // 1000 - 1
NAMES_MAX = 8


class SnapshotRefusal(StrEnum):
    """Why a snapshot did not count."""

    MALFORMED = "desk_malformed"
    BACKWARDS = "desk_backwards"
    FUTURE = "desk_future"
    OLD = "desk_old"


class SnapshotRefused(ValueError):
    """Raised when a datagram is no snapshot."""


@dataclass(frozen=True, slots=True)
class Dated:
    """A snapshot with who made it, and when.

    Attributes:
        run: random at each start of the input process. sequence: +1 for each snapshot.
        at_us: monotonic time at which the devices were read.
        event_us: time stamp of the newest input event in it, 0 for none.
    """

    run: int
    sequence: int
    at_us: int
    event_us: int
    snapshot: DeskSnapshot


# ---- snapshots ---------------------------------------------------------------------------


def encode_snapshot(dated: Dated) -> bytes:
    """Return a snapshot as a datagram."""
    snapshot, counts = dated.snapshot, dated.snapshot.counts
    controls = snapshot.controls
    return json.dumps(
        {
            "run": dated.run,
            "seq": dated.sequence,
            "at_us": dated.at_us,
            "event_us": dated.event_us,
            "fault": snapshot.fault.value,
            "device": snapshot.device,
            "unproven": list(snapshot.unproven),
            "stops": counts.stops,
            "confirms": counts.confirms,
            "disarms": counts.disarms,
            "controls": None if controls is None else _controls(controls),
        }
    ).encode()


def _controls(controls: DriverInput) -> dict[str, object]:
    return {
        "seq": controls.sequence,
        "steer": round(controls.steer, 5),
        "throttle": round(controls.throttle, 5),
        "brake": round(controls.brake, 5),
        "enable": controls.enable,
        "gear": controls.gear,
        "park": controls.park,
        "horn": controls.horn,
        "lights": controls.lights,
        "implement": round(controls.implement, 5),
    }


def decode_snapshot(data: bytes) -> Dated:
    """Return the snapshot in a datagram; every field must be there.

    Raises:
        SnapshotRefused: it is none.
    """
    content = _object(data)
    controls = content.get("controls", ())
    try:
        fault = Fault(_text(content, "fault"))
        read = None if controls is None else read_input(_mapping(controls))
    except ValueError as error:
        raise SnapshotRefused(str(error)) from error
    snapshot = DeskSnapshot(
        read,
        fault,
        _text(content, "device"),
        _names(content.get("unproven")),
        Counts(*(_whole(content, name, U32_MAX) for name in ("stops", "confirms", "disarms"))),
    )
    return Dated(
        _whole(content, "run", U32_MAX),
        _whole(content, "seq", U32_MAX),
        _whole(content, "at_us", STAMP_MAX_US),
        _whole(content, "event_us", STAMP_MAX_US),
        snapshot,
    )


def _object(data: bytes) -> Mapping[str, object]:
    try:
        return _mapping(json.loads(data))
    except (ValueError, RecursionError) as error:
        raise SnapshotRefused("no JSON object") from error


def _mapping(value: object) -> Mapping[str, object]:
    if not isinstance(value, dict):
        raise SnapshotRefused("no JSON object")
    return value


def _whole(content: Mapping[str, object], name: str, high: int) -> int:
    value = content.get(name)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= high:
        raise SnapshotRefused(f"{name}: no whole number in 0..{high}")
    return value


def _text(content: Mapping[str, object], name: str) -> str:
    value = content.get(name)
    if not isinstance(value, str):
        raise SnapshotRefused(f"{name}: no text")
    return value


def _names(value: object) -> tuple[str, ...]:
    if not isinstance(value, list) or len(value) > NAMES_MAX:
        raise SnapshotRefused("unproven: no short list")
    if not all(isinstance(name, str) for name in value):
        raise SnapshotRefused("unproven: no text")
    return tuple(value)


class DeskSlot:
    """Holds the newest snapshot of the desk and tells what of it still counts."""

    def __init__(self) -> None:
        self.newest: Dated | None = None

    def offer(self, new: Dated, now_ns: int) -> SnapshotRefusal | None:
        """Take a snapshot; return why it does not count, None when it does.

        One that is older than 60 ms, or read in the future, brings nothing into force.
        """
        before = self.newest
        if before is not None and before.run == new.run:
            ahead = (new.sequence - before.sequence) & U32_MAX
            if not 0 < ahead < SEQUENCE_GAP_MAX:
                return SnapshotRefusal.BACKWARDS
        age_ns = now_ns - new.at_us * 1000
        if age_ns < 0:
            return SnapshotRefusal.FUTURE
        if age_ns > INPUT_MAX_AGE_NS:
            return SnapshotRefusal.OLD
        self.newest = new
        return None

    def clear(self) -> None:
        """The input process is gone: nothing it said counts."""
        self.newest = None

    def age_ms(self, now_ns: int) -> float | None:
        """Age of the newest snapshot in ms, None when there is none."""
        return None if self.newest is None else (now_ns - self.newest.at_us * 1000) / 1e6

    def current(self, now_ns: int) -> DeskSnapshot | None:
        """The snapshot in force, None when there is none young enough."""
        if self.newest is None or not 0 <= now_ns - self.newest.at_us * 1000 <= INPUT_MAX_AGE_NS:
            return None
        return self.newest.snapshot


class Presses:
    """Tells what was pressed since the last snapshot, from counts that lost messages keep.

    Of a run that is new, STOPs count from its start on; what confirms or disarms counts only
    when it happens from now on.
    """

    def __init__(self) -> None:
        self._newest: Dated | None = None

    def new_in(self, dated: Dated) -> Counts:
        """Return how often each button acted since the last call."""
        counts = dated.snapshot.counts
        before = replace(counts, stops=0)
        if self._newest is not None and self._newest.run == dated.run:
            before = self._newest.snapshot.counts
        self._newest = dated
        return Counts(
            max(0, counts.stops - before.stops),
            max(0, counts.confirms - before.confirms),
            max(0, counts.disarms - before.disarms),
        )


# ---- the machine back --------------------------------------------------------------------


def encode_feedback(feedback: Feedback) -> bytes:
    """Return what the machine does as a datagram."""
    return json.dumps(
        {
            "at_ns": feedback.at_ns,
            "speed_mps": feedback.speed_mps,
            "steer": feedback.steer,
            "movable": feedback.movable,
            "active": feedback.active,
            "state_age_ms": feedback.state_age_ms,
        }
    ).encode()


def decode_feedback(data: bytes) -> Feedback:
    """Return what the machine does.

    Raises:
        SnapshotRefused: the datagram does not fit.
    """
    content = _object(data)
    return Feedback(
        at_ns=_whole(content, "at_ns", STAMP_MAX_US * 1000),
        speed_mps=_figure(content, "speed_mps", 100.0),
        steer=_figure(content, "steer", 2.0),
        movable=_truth(content, "movable"),
        active=_truth(content, "active"),
        state_age_ms=_figure(content, "state_age_ms", 1e9),
    )


def _figure(content: Mapping[str, object], name: str, size: float) -> float | None:
    value = content.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise SnapshotRefused(f"{name}: no number")
    if not -size <= value <= size:  # NaN compares false
        raise SnapshotRefused(f"{name}: not within {size}")
    return float(value)


def _truth(content: Mapping[str, object], name: str) -> bool:
    value = content.get(name)
    if not isinstance(value, bool):
        raise SnapshotRefused(f"{name}: no true or false")
    return value
