"""The ISOBUS parameter groups that drive a tractor: guidance, machine selected speed, heartbeat.

Layouts and scales: ISO 11783-7 as in reference/hil.md 1.2. On the bus a curvature is positive to
the right; in Python, and only outside this module, it is positive to the left (ISO 8855).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, IntEnum

from protocol.dbw.codec import ExitReason
from protocol.dbw.errors import ReservedValueError, ValueRangeError
from protocol.j1939.slots import (
    HIGH_U16,
    Slot,
    bits,
    check_choice,
    check_length,
    flag,
    flag_code,
    flag_optional,
)

GUIDANCE_COMMAND, GUIDANCE_STATE = 0xAD00, 0xAC00
SPEED_COMMAND, SELECTED_SPEED = 0xFD43, 0xF022
WHEEL_SPEED, HEARTBEAT = 0xFE48, 0xF0E4

_CURVATURE = Slot("curvature", -4000.0, 8.032, HIGH_U16)
_SPEED = Slot("speed", 1000.0, 0.0, HIGH_U16)
_LIMIT_STATUS_ABSENT = 7

BEAT_FIRST, BEAT_LAST = 251, 250
BEAT_ERROR, BEAT_SHUTDOWN = 254, 255


class Steering(IntEnum):
    """Status of a guidance command; the other two codes say error and not available."""

    NOT_INTENDED = 0
    INTENDED = 1


@dataclass(frozen=True, slots=True)
class GuidanceState:
    """Guidance machine info, in the layout of 2015.

    Attributes:
        curvature_per_m: estimated, positive left. locked_out: by the mechanical switch.
        ready: the steering takes commands. limit_status: 0 not limited, 1 by the operator,
            2 high, 3 low, 6 fault; None is not told. exit_reason: why it last let go.
    """

    curvature_per_m: float | None
    locked_out: bool | None
    ready: bool | None
    limit_status: int | None
    exit_reason: ExitReason


@dataclass(frozen=True, slots=True)
class SpeedCommand:
    """Machine selected speed command: set_point_mps and limit_mps 0…64.255; forwards or not."""

    set_point_mps: float
    limit_mps: float
    forwards: bool


@dataclass(frozen=True, slots=True)
class SelectedSpeed:
    """Machine selected speed: what the machine drives by, a magnitude, and why it last let go."""

    speed_mps: float | None
    exit_reason: ExitReason
    forwards: bool | None


@dataclass(frozen=True, slots=True)
class WheelSpeed:
    """Wheel-based speed: a magnitude, its direction, and whether the key is on."""

    speed_mps: float | None
    forwards: bool | None
    key_on: bool | None


def encode_guidance(curvature_per_m: float, steering: Steering) -> bytes:
    """Return the guidance system command's bytes.

    Raises:
        ValueRangeError: the curvature has no code: it is never made one that says something else.
    """
    raw = _CURVATURE.pack(curvature_per_m)
    return bytes((raw & 0xFF, raw >> 8, 0xFC | steering)) + b"\xff" * 5


def decode_guidance(data: bytes) -> tuple[float, Steering]:
    """Return the wanted curvature, positive left, and whether steering is intended.

    Raises:
        DbwError: length, a status that says error or not available, or a curvature that is none.
    """
    check_length("guidance command", data)
    intended = flag("guidance status", bits(data, 2, 0, 2))
    return _CURVATURE.unpack(data[0] | data[1] << 8), Steering(int(intended))


def encode_guidance_state(state: GuidanceState) -> bytes:
    """Return guidance machine info's bytes.

    Raises:
        ValueRangeError: a value has no code.
    """
    raw = _CURVATURE.pack_optional(state.curvature_per_m)
    limited = state.limit_status
    status = _LIMIT_STATUS_ABSENT if limited is None else check_choice("limit status", limited, 6)
    switches = 0xF0 | flag_code(state.ready) << 2 | flag_code(state.locked_out)
    return bytes(
        (
            raw & 0xFF,
            raw >> 8,
            switches,
            0x1F | status << 5,
            0xC0 | state.exit_reason,
            0xFF,
            0xFF,
            0xFF,
        )
    )


def decode_guidance_state(data: bytes) -> GuidanceState:
    """Return what the steering tells.

    Raises:
        DbwError: length, or a reserved code.
    """
    check_length("guidance machine info", data)
    status = data[3] >> 5
    return GuidanceState(
        _CURVATURE.unpack_optional(data[0] | data[1] << 8),
        flag_optional(bits(data, 2, 0, 2)),
        flag_optional(bits(data, 2, 2, 2)),
        None if status == _LIMIT_STATUS_ABSENT else status,
        _exit_reason(bits(data, 4, 0, 6)),
    )


def _exit_reason(code: int) -> ExitReason:
    try:
        return ExitReason(code)
    except ValueError:
        raise ReservedValueError(f"exit reason: code {code} is reserved") from None


def encode_speed_command(command: SpeedCommand) -> bytes:
    """Return the machine selected speed command's bytes.

    Raises:
        ValueRangeError: a value has no code, or the set point lies above its limit.
    """
    if command.set_point_mps > command.limit_mps:
        raise ValueRangeError("speed command: the set point lies above the limit")
    point, limit = _SPEED.pack(command.set_point_mps), _SPEED.pack(command.limit_mps)
    return bytes(
        (
            point & 0xFF,
            point >> 8,
            limit & 0xFF,
            limit >> 8,
            0xFF,
            0xFF,
            0xFF,
            0xFC | flag_code(command.forwards),
        )
    )


def decode_speed_command(data: bytes) -> SpeedCommand:
    """Return the commanded speed.

    Raises:
        DbwError: length, a value that is none, or a set point above its limit.
    """
    check_length("speed command", data)
    command = SpeedCommand(
        _SPEED.unpack(data[0] | data[1] << 8),
        _SPEED.unpack(data[2] | data[3] << 8),
        flag("direction", bits(data, 7, 0, 2)),
    )
    if command.set_point_mps > command.limit_mps:
        raise ValueRangeError("speed command: the set point lies above the limit")
    return command


def encode_selected_speed(selected: SelectedSpeed) -> bytes:
    """Return machine selected speed's bytes; distance, source and limit are not told.

    Raises:
        ValueRangeError: a value has no code.
    """
    raw = _SPEED.pack_optional(selected.speed_mps)
    last = bytes((0xC0 | selected.exit_reason, 0xFC | flag_code(selected.forwards)))
    return bytes((raw & 0xFF, raw >> 8)) + b"\xff" * 4 + last


def decode_selected_speed(data: bytes) -> SelectedSpeed:
    """Return what the machine drives by.

    Raises:
        DbwError: length, or a reserved code.
    """
    check_length("selected speed", data)
    return SelectedSpeed(
        _SPEED.unpack_optional(data[0] | data[1] << 8),
        _exit_reason(bits(data, 6, 0, 6)),
        flag_optional(bits(data, 7, 0, 2)),
    )


def encode_wheel_speed(speed: WheelSpeed) -> bytes:
    """Return wheel-based speed's bytes; distance and power time are not told.

    Raises:
        ValueRangeError: a value has no code.
    """
    raw = _SPEED.pack_optional(speed.speed_mps)
    states = 0xF0 | flag_code(speed.key_on) << 2 | flag_code(speed.forwards)
    return bytes((raw & 0xFF, raw >> 8)) + b"\xff" * 5 + bytes((states,))


def decode_wheel_speed(data: bytes) -> WheelSpeed:
    """Return the measured speed.

    Raises:
        DbwError: length, or a reserved code.
    """
    check_length("wheel speed", data)
    return WheelSpeed(
        _SPEED.unpack_optional(data[0] | data[1] << 8),
        flag_optional(bits(data, 7, 0, 2)),
        flag_optional(bits(data, 7, 2, 2)),
    )


# --- Heartbeat --------------------------------------------------------------------------------


class Beat(Enum):
    """What a heartbeat says of its sender."""

    ALIVE = "alive"
    REPEATED = "repeated"
    """The same number again: nothing new is known of it."""
    JUMPED = "jumped"
    ERROR = "error"
    SHUTDOWN = "shutdown"


def next_beat(beat: int) -> int:
    """Return the number after ``beat``: 251 at the start, then 0…250 and round again."""
    return 0 if beat >= BEAT_LAST else beat + 1


def encode_beat(beat: int) -> bytes:
    """Return the heartbeat's byte.

    Raises:
        ValueRangeError: 252 and 253 are reserved, and there are no others.
    """
    if beat not in (*range(BEAT_FIRST + 1), BEAT_ERROR, BEAT_SHUTDOWN):
        raise ValueRangeError(f"heartbeat: {beat!r} has no meaning")
    return bytes((beat,))


def judge_beat(last: int | None, data: bytes) -> tuple[Beat, int]:
    """Return what a heartbeat says after ``last`` (None: the first one), and its number.

    Raises:
        FrameLengthError, ReservedValueError: it is none.
    """
    check_length("heartbeat", data, 1)
    beat = data[0]
    if beat in (252, 253):
        raise ReservedValueError(f"heartbeat: {beat} is reserved")
    if beat == BEAT_ERROR:
        return Beat.ERROR, beat
    if beat == BEAT_SHUTDOWN:
        return Beat.SHUTDOWN, beat
    if beat == last:
        return Beat.REPEATED, beat
    if last is None or last > BEAT_FIRST or beat in (BEAT_FIRST, next_beat(last)):
        return Beat.ALIVE, beat
    return Beat.JUMPED, beat
