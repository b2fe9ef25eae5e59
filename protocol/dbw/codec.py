"""The hot by-wire codec: frozen messages in SI units to the bytes of HF-DBW v1 and back.

Written for speed with struct and proven equal to cantools on ``headframe_dbw_v1.dbc``. What is out
of range, reserved or not a number is refused on both sides and never clamped; a signal that says
"not available" or "error" becomes None where the field allows it and a refusal where it does not.

Signs: curvature, angles and yaw are positive to the left (ISO 8855) in Python. On the bus the
curvature alone is positive to the right (ISO 11783-7 Guidance System Command); this module flips
it and nothing else does.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum, IntFlag
from functools import lru_cache
from struct import Struct
from typing import Any, NamedTuple

from protocol.dbw import matrix
from protocol.dbw.e2e import crc_fits, protect
from protocol.dbw.errors import (
    CrcError,
    ErrorIndicatedError,
    FrameLengthError,
    InverseMismatchError,
    NotAvailableError,
    ReservedBitsError,
    ReservedValueError,
    UnknownFrameError,
    UnsupportedKindError,
    ValueRangeError,
)
from protocol.dbw.matrix import COUNTER_STATES, FrameSpec

# --- Codes and scales -------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Codes:
    """Raw codes of one width: the valid range, then "error" and "not available" at the top.

    Codes above "error" up to ``absent`` say "not available"; ``absent`` itself is sent.
    """

    low: int
    high: int
    error_low: int
    error_high: int
    absent: int


_U8 = _Codes(0, 250, 0xFE, 0xFE, 0xFF)
_U16 = _Codes(0, 0xFAFF, 0xFE00, 0xFEFF, 0xFFFF)
_S8 = _Codes(-125, 125, 126, 126, 127)
_S10 = _Codes(-500, 500, 510, 510, 511)
_S12 = _Codes(-2000, 2000, 2046, 2046, 2047)
_S16 = _Codes(-32000, 32000, 32766, 32766, 32767)


_FLOAT_NOISE = 1e-6
"""Counts by which a value may lie outside from the rounding of floats alone."""


def _refuse_code(name: str, raw: int, codes: _Codes) -> Exception:
    if not codes.error_low <= raw <= codes.absent:
        return ReservedValueError(f"{name}: code {raw} is reserved")
    if raw <= codes.error_high:
        return ErrorIndicatedError(f"{name}: code {raw} says error")
    return NotAvailableError(f"{name}: code {raw} says not available")


class _Scale:
    """A signal: ``raw = value · counts + zero`` to the nearest count, with its width's codes."""

    __slots__ = (
        "_absent",
        "_codes",
        "_counts",
        "_error",
        "_high",
        "_least",
        "_low",
        "_most",
        "_name",
        "_zero",
    )

    def __init__(self, name: str, counts: float, codes: _Codes, zero: int = 0) -> None:
        self._name, self._counts, self._codes, self._zero = name, counts, codes, zero
        self._low, self._high = codes.low, codes.high
        self._least, self._most = codes.low - _FLOAT_NOISE, codes.high + _FLOAT_NOISE
        self._error, self._absent = codes.error_low, codes.absent

    def pack(self, value: float | None) -> int:
        """Return the raw code of a value that must be there."""
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise ValueRangeError(f"{self._name}: {value!r} is not a number")
        try:
            counts = value * self._counts + self._zero
        except OverflowError as error:
            raise ValueRangeError(f"{self._name}: {value!r} is out of range") from error
        # NaN fails the comparison.
        if not self._least <= counts <= self._most:
            raise ValueRangeError(f"{self._name}: {value!r} is out of range")
        return round(counts)

    def pack_optional(self, value: float | None) -> int:
        """Return the raw code of a value; None becomes "not available"."""
        return self._absent if value is None else self.pack(value)

    def unpack(self, raw: int) -> float:
        """Return the value of a code that must have one."""
        if not self._low <= raw <= self._high:
            raise _refuse_code(self._name, raw, self._codes)
        return (raw - self._zero) / self._counts + 0.0

    def unpack_optional(self, raw: int) -> float | None:
        """Return the value of a code; None for "error" and "not available"."""
        return None if raw >= self._error else self.unpack(raw)


_CURVATURE = _Scale("curvature", -4000.0, _U16, zero=32128)
_SPEED_BASIS = _Scale("speed basis", 10.0, _U8)
_ACCEL_COMMAND = _Scale("acceleration", 1000.0, _S16)
_SPEED_LIMIT = _Scale("speed limit", 1000.0, _U16)
_DECEL = _Scale("deceleration", 1000.0, _U16)
_RETARDER = _Scale("retarder", 250.0, _U8)
_IMPLEMENT = _Scale("implement", 125.0, _U8, zero=125)
_SUPPLY = _Scale("supply", 5.0, _U8)
_ANGLE = _Scale("angle", 18000.0 / math.pi, _S16)
_CURRENT = _Scale("actuator current", 10.0, _U8)
_SPEED = _Scale("speed", 1000.0, _S16)
_RPM = _Scale("engine speed", 8.0, _U16)
_ACCEL_ECHO = _Scale("acceleration echo", 20.0, _S8)
_PRESSURE = _Scale("pressure", 100.0, _U16)
_YAW_RATE = _Scale("yaw rate", 1000.0, _S12)
_ACCEL_MOTION = _Scale("body acceleration", 20.0, _S8)
_TILT = _Scale("tilt", 500.0, _S10)

MS_PER_AGE_COUNT = 4


def _pack_int(name: str, value: int | None, low: int, high: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueRangeError(f"{name}: {value!r} is not an integer")
    if not low <= value <= high:
        raise ValueRangeError(f"{name}: {value!r} is out of range")
    return int(value)


def _unpack_int(name: str, raw: int, codes: _Codes) -> int:
    if not codes.low <= raw <= codes.high:
        raise _refuse_code(name, raw, codes)
    return raw


def _unpack_int_optional(name: str, raw: int, codes: _Codes) -> int | None:
    return None if raw >= codes.error_low else _unpack_int(name, raw, codes)


def _pack_age_ms(name: str, age_ms: int | None) -> int:
    """Return an age in counts of 4 ms, rounded up: an age is never made younger."""
    if age_ms is None:
        return _U8.absent
    _pack_int(name, age_ms, 0, _U8.high * MS_PER_AGE_COUNT)
    return -(-age_ms // MS_PER_AGE_COUNT)


def _unpack_age_ms(name: str, raw: int) -> int | None:
    counts = _unpack_int_optional(name, raw, _U8)
    return None if counts is None else counts * MS_PER_AGE_COUNT


def _pack_flag(name: str, value: bool) -> int:
    if value is True:
        return 1
    if value is False:
        return 0
    raise ValueRangeError(f"{name}: {value!r} is neither on nor off")


def _unpack_flag(name: str, code: int) -> bool:
    """Return a two-bit flag: 0 off, 1 on; 2 is error and 3 not available."""
    if code == 2:
        raise ErrorIndicatedError(f"{name}: code 2 says error")
    if code == 3:
        raise NotAvailableError(f"{name}: code 3 says not available")
    return code == 1


def _check_clear(name: str, bits: int) -> None:
    if bits:
        raise ReservedBitsError(f"{name}: reserved bits are not zero")


# --- Messages ---------------------------------------------------------------------------------


class EcuMode(IntEnum):
    """States of the by-wire ECU; also what SUP_CMD may ask for (STANDBY … SAFE_STOP)."""

    INIT = 0
    STANDBY = 1
    ARMED = 2
    ACTIVE = 3
    DEGRADED = 4
    SAFE_STOP = 5
    ESTOP = 6
    FAULT = 7


REQUESTABLE = frozenset(
    {EcuMode.STANDBY, EcuMode.ARMED, EcuMode.ACTIVE, EcuMode.DEGRADED, EcuMode.SAFE_STOP}
)
"""Modes that SUP_CMD may carry; the ECU alone enters the others."""


class ExitReason(IntEnum):
    """Why remote control ended, in the words of ISO 11783-7's exit reason codes."""

    CLEAR = 0
    OPERATOR_PRESENCE = 1
    RELEASED = 2
    OPERATOR_OVERRIDE = 3
    CONTROL_POSITION = 4
    COMMAND_TIMEOUT = 5
    OUT_OF_RANGE = 6
    NOT_CALIBRATED = 7
    OPERATOR_CONTROL_FAULT = 8
    FUNCTION_FAULT = 9
    GEAR = 22
    SPEED_LOW = 23
    SPEED_HIGH = 24
    OTHER_GUIDANCE = 25
    DIAGNOSTIC = 26
    ERROR = 62
    NOT_AVAILABLE = 63


class ContactState(IntEnum):
    """A contact with its own diagnosis; only CLOSED is a closed contact."""

    OPEN = 0
    CLOSED = 1
    ERROR = 2
    UNKNOWN = 3


class ParkState(IntEnum):
    """The park brake as measured."""

    RELEASED = 0
    APPLIED = 1
    MOVING = 2
    UNKNOWN = 3


class BodyFunction(IntFlag):
    """Functions of the body that are switched rather than moved."""

    NONE = 0
    BED = 1
    HITCH = 2
    PTO = 4
    DRUM = 8


class SupCommand(NamedTuple):
    """Supervision: what the agent asks of the ECU, and that it is alive.

    Attributes:
        mode_request: an :class:`EcuMode` out of :data:`REQUESTABLE`.
        enable: travels with its inverse.
        estop_request: asks for the ECU's stop.
        fault_ack: the ECU acts on its rising edge.
        session: 1…65535, new for each enable edge; 0 is none.
        link_age_ms: age of the operator's last command, 0…1000, sent rounded up to 4 ms.
        sequence: of the frame, 0…65535; ECHO returns it.
    """

    mode_request: int
    enable: bool
    estop_request: bool
    fault_ack: bool
    session: int
    link_age_ms: int | None
    sequence: int


class SteerCommand(NamedTuple):
    """Wanted path curvature.

    Attributes:
        curvature_per_m: positive left, −8.03175…8.032.
        rate_limit: fastest change, 0…250 in 0.001 1/(m·s); 0 holds the steering.
        valid: steering is intended.
        speed_basis_mps: speed that the curvature was chosen for, 0…25; None not told.
    """

    curvature_per_m: float
    rate_limit: int
    valid: bool
    speed_basis_mps: float | None = None


class DriveCommand(NamedTuple):
    """Traction.

    Attributes:
        accel_mps2: −32…32. speed_limit_mps: 0…64.255. direction: −1, 0, 1.
    """

    accel_mps2: float
    speed_limit_mps: float
    direction: int


class BrakeCommand(NamedTuple):
    """Brakes.

    Attributes:
        decel_mps2: 0…64.255. park: park brake asked. retarder: 0…1 of its power.
    """

    decel_mps2: float
    park: bool
    retarder: float


class BodyCommand(NamedTuple):
    """Gear, lights, horn and implement.

    Attributes:
        gear: −125…125. implement: −1…1, hold to run. functions: switched on.
    """

    gear: int
    lights: bool
    horn: bool
    implement: float
    functions: BodyFunction = BodyFunction.NONE


class EcuState(NamedTuple):
    """What the ECU is doing and why.

    Attributes:
        sub_state: 0…15, see sim/ecu.py. first_cause: 0…250, latched at the stop.
        timeout_bits: bit by index in :data:`matrix.COMMANDS`. session_echo: the latched one.
    """

    state: EcuMode
    sub_state: int
    reason: ExitReason
    first_cause: int
    timeout_bits: int
    session_echo: int


class SafetyIo(NamedTuple):
    """Contacts and supply as the ECU sees them; supply_v is 0…50."""

    estop_a: ContactState
    estop_b: ContactState
    discrepancy: bool
    relay_feedback: ContactState
    key_remote: bool
    manual_override: bool
    supply_v: float | None
    door_seat: ContactState = ContactState.UNKNOWN


class SteerFeedback(NamedTuple):
    """Measured steering.

    Attributes:
        angle_rad: joint angle (articulated) or mean wheel angle, positive left, ±5.585.
        curvature_per_m: positive left.
        limit_status: ISO 11783-7: 0 not limited, 1 by the operator, 2 high, 3 low, 6 fault.
        actuator_current_a: 0…25.
    """

    angle_rad: float | None
    curvature_per_m: float | None
    limit_status: int | None
    actuator_current_a: float | None = None


class DriveFeedback(NamedTuple):
    """Measured driveline.

    Attributes:
        speed_mps: signed, ±32. engine_rpm: 0…8031.875. gear: engaged, −125…125.
        accel_mps2: traction demand in force, ±6.25.
    """

    speed_mps: float | None
    engine_rpm: float | None
    gear: int | None
    accel_mps2: float | None


class BrakeSource(IntFlag):
    """What makes the brake act."""

    NONE = 0
    COMMAND = 1
    ECU_STOP = 2
    ESTOP = 4
    RETARDER = 8
    PARK = 16


class BrakeFeedback(NamedTuple):
    """Measured brakes.

    Attributes:
        decel_mps2: 0…64.255. pressure_bar: 0…642.55. source_bits: :class:`BrakeSource`.
    """

    decel_mps2: float | None
    pressure_bar: float | None
    park: ParkState
    source_bits: int


class Motion(NamedTuple):
    """Body motion of the front unit.

    Attributes:
        yaw_rate_radps: positive left, ±2. ax_mps2, ay_mps2: ±6.25, forwards and left.
        pitch_rad, roll_rad: ±1, nose up and right side down positive.
    """

    yaw_rate_radps: float | None
    ax_mps2: float | None
    pitch_rad: float | None
    roll_rad: float | None
    ay_mps2: float | None = None


class BodyFeedback(NamedTuple):
    """Measured body functions; implement is −1…1."""

    implement: float | None
    lights: bool
    horn: bool
    functions: BodyFunction = BodyFunction.NONE


class Echo(NamedTuple):
    """The newest accepted SUP_CMD, given back for latency measuring.

    Attributes:
        sequence: of that SUP_CMD. ecu_rx_us: low 16 bits of the ECU's clock at its arrival.
        hold_us: from its arrival to this frame, 0…65535.
    """

    sequence: int
    ecu_rx_us: int
    hold_us: int


class E2eStat(NamedTuple):
    """Reception counters of one command frame; 250 stands for 250 or more.

    Attributes:
        frame: index in :data:`matrix.COMMANDS`. max_gap_ms: 0…1000, rounded up to 4 ms.
    """

    frame: int
    crc: int
    repeat: int
    lost: int
    late: int
    burst: int
    max_gap_ms: int | None


Message = (
    SupCommand
    | SteerCommand
    | DriveCommand
    | BrakeCommand
    | BodyCommand
    | EcuState
    | SafetyIo
    | SteerFeedback
    | DriveFeedback
    | BrakeFeedback
    | Motion
    | BodyFeedback
    | Echo
    | E2eStat
)

# --- Packing, one pair per message; payload is bytes 2…7 -----------------------------------------
# Content that often stays as it was is kept decoded: the same bytes give the same frozen message.

_SUP = Struct("<BHBH")
_STEER = Struct("<HBBBB")
_DRIVE = Struct("<hHBB")
_BRAKE = Struct("<HBBH")
_BODY = Struct("<bBBBH")
_STATE = Struct("<BBBBH")
_SAFETY = Struct("<BBBBH")
_STEER_FB = Struct("<hHBB")
_DRIVE_FB = Struct("<hHbb")
_BRAKE_FB = Struct("<HHBB")
_BODY_FB = Struct("<BBBBH")
_ECHO = Struct("<HHH")
_STAT = Struct("<BBBBBB")

_KIND = 0
"""Code of the only kinds there are: curvature, acceleration, deceleration."""
_DIRECTION_CODE = {0: 0, 1: 1, -1: 2}
_DIRECTION = (0, 1, -1)
_EXIT_REASONS = frozenset(ExitReason)
_LIMIT_STATUS = frozenset({0, 1, 2, 3, 6})
_LIMIT_ABSENT = 7
_TIMEOUT_BITS = (1 << len(matrix.COMMANDS)) - 1
_SOURCE_BITS = int(
    BrakeSource.COMMAND
    | BrakeSource.ECU_STOP
    | BrakeSource.ESTOP
    | BrakeSource.RETARDER
    | BrakeSource.PARK
)


def _pack_sup(m: SupCommand) -> bytes:
    if m.mode_request not in REQUESTABLE:
        raise ValueRangeError(f"mode request: {m.mode_request!r} cannot be asked for")
    enable = _pack_flag("enable", m.enable)
    bits = (
        int(m.mode_request)
        | enable << 3
        | (1 - enable) << 4
        | _pack_flag("stop request", m.estop_request) << 5
        | _pack_flag("fault ack", m.fault_ack) << 7
    )
    return _SUP.pack(
        bits,
        _pack_int("session", m.session, 0, 0xFFFF),
        _pack_age_ms("link age", m.link_age_ms),
        _pack_int("sequence", m.sequence, 0, 0xFFFF),
    )


def _unpack_sup(payload: bytes) -> SupCommand:
    bits, session, age, sequence = _SUP.unpack(payload)
    mode = bits & 7
    if mode not in REQUESTABLE:
        raise ReservedValueError(f"mode request: code {mode} cannot be asked for")
    enable = bool(bits & 8)
    if enable == bool(bits & 16):
        raise InverseMismatchError("enable and its inverse agree")
    return SupCommand(
        mode,
        enable,
        _unpack_flag("stop request", bits >> 5 & 3),
        bool(bits & 0x80),
        session,
        _unpack_age_ms("link age", age),
        sequence,
    )


def _pack_steer(m: SteerCommand) -> bytes:
    return _STEER.pack(
        _CURVATURE.pack(m.curvature_per_m),
        _pack_int("rate limit", m.rate_limit, 0, _U8.high),
        _pack_flag("steer valid", m.valid) << 2,
        _SPEED_BASIS.pack_optional(m.speed_basis_mps),
        0,
    )


@lru_cache(maxsize=64)
def _unpack_steer(payload: bytes) -> SteerCommand:
    curvature, rate, bits, basis, spare = _STEER.unpack(payload)
    if bits & 3 != _KIND:
        raise UnsupportedKindError(f"steer kind: code {bits & 3} is not curvature")
    _check_clear("STEER_CMD", bits >> 4 | spare)
    return SteerCommand(
        curvature_per_m=_CURVATURE.unpack(curvature),
        rate_limit=_unpack_int("rate limit", rate, _U8),
        valid=_unpack_flag("steer valid", bits >> 2 & 3),
        speed_basis_mps=_SPEED_BASIS.unpack_optional(basis),
    )


def _pack_drive(m: DriveCommand) -> bytes:
    direction = _pack_int("direction", m.direction, -1, 1)
    return _DRIVE.pack(
        _ACCEL_COMMAND.pack(m.accel_mps2),
        _SPEED_LIMIT.pack(m.speed_limit_mps),
        _DIRECTION_CODE[direction],
        0,
    )


@lru_cache(maxsize=64)
def _unpack_drive(payload: bytes) -> DriveCommand:
    accel, limit, bits, spare = _DRIVE.unpack(payload)
    if bits >> 2 & 3 != _KIND:
        raise UnsupportedKindError(f"drive kind: code {bits >> 2 & 3} is not acceleration")
    _check_clear("DRIVE_CMD", bits & 0xF0 | spare)
    if bits & 3 == 3:
        raise NotAvailableError("direction: code 3 says not available")
    return DriveCommand(
        accel_mps2=_ACCEL_COMMAND.unpack(accel),
        speed_limit_mps=_SPEED_LIMIT.unpack(limit),
        direction=_DIRECTION[bits & 3],
    )


def _pack_brake(m: BrakeCommand) -> bytes:
    return _BRAKE.pack(
        _DECEL.pack(m.decel_mps2),
        _pack_flag("park", m.park),
        _RETARDER.pack(m.retarder),
        0,
    )


@lru_cache(maxsize=64)
def _unpack_brake(payload: bytes) -> BrakeCommand:
    decel, bits, retarder, spare = _BRAKE.unpack(payload)
    if bits >> 2 & 3 != _KIND:
        raise UnsupportedKindError(f"brake kind: code {bits >> 2 & 3} is not deceleration")
    _check_clear("BRAKE_CMD", bits & 0xF0 | spare)
    return BrakeCommand(
        decel_mps2=_DECEL.unpack(decel),
        park=_unpack_flag("park", bits & 3),
        retarder=_RETARDER.unpack(retarder),
    )


@lru_cache(maxsize=16, typed=True)
def _pack_functions(functions: BodyFunction) -> int:
    value = _pack_int("functions", functions, 0, 15)
    return sum(bool(value & part) << 2 * bit for bit, part in enumerate(BodyFunction))


def _unpack_functions(bits: int) -> BodyFunction:
    names = ("bed", "hitch", "pto", "drum")
    return BodyFunction(
        sum(_unpack_flag(name, bits >> 2 * bit & 3) << bit for bit, name in enumerate(names))
    )


def _pack_body(m: BodyCommand) -> bytes:
    return _BODY.pack(
        _pack_int("gear", m.gear, _S8.low, _S8.high),
        _pack_flag("lights", m.lights) | _pack_flag("horn", m.horn) << 2,
        _pack_functions(m.functions),
        _IMPLEMENT.pack(m.implement),
        0,
    )


@lru_cache(maxsize=64)
def _unpack_body(payload: bytes) -> BodyCommand:
    gear, bits, functions, position, spare = _BODY.unpack(payload)
    _check_clear("BODY_CMD", bits & 0xF0 | spare)
    return BodyCommand(
        gear=_unpack_int("gear", gear, _S8),
        lights=_unpack_flag("lights", bits & 3),
        horn=_unpack_flag("horn", bits >> 2 & 3),
        implement=_IMPLEMENT.unpack(position),
        functions=_unpack_functions(functions),
    )


def _pack_state(m: EcuState) -> bytes:
    if m.reason not in _EXIT_REASONS:
        raise ValueRangeError(f"exit reason: {m.reason!r} is none")
    timeouts = _pack_int("timeout bits", m.timeout_bits, 0, _TIMEOUT_BITS)
    return _STATE.pack(
        _pack_int("state", m.state, 0, 7) | _pack_int("sub-state", m.sub_state, 0, 15) << 4,
        int(m.reason),
        _pack_int("first cause", m.first_cause, 0, _U8.high),
        timeouts,
        _pack_int("session echo", m.session_echo, 0, 0xFFFF),
    )


@lru_cache(maxsize=64)
def _unpack_state(payload: bytes) -> EcuState:
    bits, reason, cause, timeouts, session = _STATE.unpack(payload)
    mode = bits & 15
    if mode > EcuMode.FAULT:
        raise ReservedValueError(f"state: code {mode} is reserved")
    if reason not in _EXIT_REASONS:
        raise ReservedValueError(f"exit reason: code {reason} is reserved")
    _check_clear("ECU_STATE", timeouts & ~_TIMEOUT_BITS)
    return EcuState(
        state=EcuMode(mode),
        sub_state=bits >> 4,
        reason=ExitReason(reason),
        first_cause=_unpack_int("first cause", cause, _U8),
        timeout_bits=timeouts,
        session_echo=session,
    )


def _pack_safety(m: SafetyIo) -> bytes:
    contacts = (
        _pack_int("E-stop A", m.estop_a, 0, 3)
        | _pack_int("E-stop B", m.estop_b, 0, 3) << 2
        | _pack_flag("discrepancy", m.discrepancy) << 4
        | _pack_int("relay feedback", m.relay_feedback, 0, 3) << 6
    )
    switches = (
        _pack_flag("key", m.key_remote)
        | _pack_int("door or seat", m.door_seat, 0, 3) << 2
        | _pack_flag("manual override", m.manual_override) << 4
    )
    return _SAFETY.pack(contacts, switches, _SUPPLY.pack_optional(m.supply_v), 0, 0)


@lru_cache(maxsize=64)
def _unpack_safety(payload: bytes) -> SafetyIo:
    contacts, switches, supply, spare, spare_too = _SAFETY.unpack(payload)
    _check_clear("SAFETY_IO", switches >> 6 | spare | spare_too)
    return SafetyIo(
        estop_a=ContactState(contacts & 3),
        estop_b=ContactState(contacts >> 2 & 3),
        discrepancy=_unpack_flag("discrepancy", contacts >> 4 & 3),
        relay_feedback=ContactState(contacts >> 6),
        key_remote=_unpack_flag("key", switches & 3),
        manual_override=_unpack_flag("manual override", switches >> 4 & 3),
        supply_v=_SUPPLY.unpack_optional(supply),
        door_seat=ContactState(switches >> 2 & 3),
    )


def _pack_steer_fb(m: SteerFeedback) -> bytes:
    status = m.limit_status
    if status is not None and (isinstance(status, bool) or status not in _LIMIT_STATUS):
        raise ValueRangeError(f"limit status: {status!r} is none")
    return _STEER_FB.pack(
        _ANGLE.pack_optional(m.angle_rad),
        _CURVATURE.pack_optional(m.curvature_per_m),
        _CURRENT.pack_optional(m.actuator_current_a),
        _LIMIT_ABSENT if status is None else status,
    )


def _unpack_steer_fb(payload: bytes) -> SteerFeedback:
    angle, curvature, current, status = _STEER_FB.unpack(payload)
    _check_clear("STEER_FB", status >> 3)
    if status != _LIMIT_ABSENT and status not in _LIMIT_STATUS:
        raise ReservedValueError(f"limit status: code {status} is reserved")
    return SteerFeedback(
        _ANGLE.unpack_optional(angle),
        _CURVATURE.unpack_optional(curvature),
        None if status == _LIMIT_ABSENT else status,
        _CURRENT.unpack_optional(current),
    )


def _pack_drive_fb(m: DriveFeedback) -> bytes:
    return _DRIVE_FB.pack(
        _SPEED.pack_optional(m.speed_mps),
        _RPM.pack_optional(m.engine_rpm),
        _S8.absent if m.gear is None else _pack_int("gear", m.gear, _S8.low, _S8.high),
        _ACCEL_ECHO.pack_optional(m.accel_mps2),
    )


def _unpack_drive_fb(payload: bytes) -> DriveFeedback:
    speed, rpm, gear, accel = _DRIVE_FB.unpack(payload)
    return DriveFeedback(
        _SPEED.unpack_optional(speed),
        _RPM.unpack_optional(rpm),
        _unpack_int_optional("gear", gear, _S8),
        _ACCEL_ECHO.unpack_optional(accel),
    )


def _pack_brake_fb(m: BrakeFeedback) -> bytes:
    sources = _pack_int("brake sources", m.source_bits, 0, _SOURCE_BITS)
    return _BRAKE_FB.pack(
        _DECEL.pack_optional(m.decel_mps2),
        _PRESSURE.pack_optional(m.pressure_bar),
        _pack_int("park state", m.park, 0, 3),
        sources,
    )


@lru_cache(maxsize=64)
def _unpack_brake_fb(payload: bytes) -> BrakeFeedback:
    decel, pressure, park, sources = _BRAKE_FB.unpack(payload)
    _check_clear("BRAKE_FB", park >> 2 | sources & ~_SOURCE_BITS)
    return BrakeFeedback(
        decel_mps2=_DECEL.unpack_optional(decel),
        pressure_bar=_PRESSURE.unpack_optional(pressure),
        park=ParkState(park),
        source_bits=sources,
    )


def _pack_motion(m: Motion) -> bytes:
    bits = (
        _YAW_RATE.pack_optional(m.yaw_rate_radps) & 0xFFF
        | (_ACCEL_MOTION.pack_optional(m.ax_mps2) & 0xFF) << 12
        | (_ACCEL_MOTION.pack_optional(m.ay_mps2) & 0xFF) << 20
        | (_TILT.pack_optional(m.pitch_rad) & 0x3FF) << 28
        | (_TILT.pack_optional(m.roll_rad) & 0x3FF) << 38
    )
    return bits.to_bytes(6, "little")


def _unpack_motion(payload: bytes) -> Motion:
    """Turning the sign's bit and taking its weight off again extends it."""
    bits = int.from_bytes(payload, "little")
    return Motion(
        _YAW_RATE.unpack_optional((bits & 0xFFF ^ 0x800) - 0x800),
        _ACCEL_MOTION.unpack_optional((bits >> 12 & 0xFF ^ 0x80) - 0x80),
        _TILT.unpack_optional((bits >> 28 & 0x3FF ^ 0x200) - 0x200),
        _TILT.unpack_optional((bits >> 38 ^ 0x200) - 0x200),
        _ACCEL_MOTION.unpack_optional((bits >> 20 & 0xFF ^ 0x80) - 0x80),
    )


def _pack_body_fb(m: BodyFeedback) -> bytes:
    return _BODY_FB.pack(
        _IMPLEMENT.pack_optional(m.implement),
        _pack_functions(m.functions),
        _pack_flag("lights", m.lights) | _pack_flag("horn", m.horn) << 2,
        0,
        0,
    )


@lru_cache(maxsize=64)
def _unpack_body_fb(payload: bytes) -> BodyFeedback:
    position, functions, bits, spare, spare_too = _BODY_FB.unpack(payload)
    _check_clear("BODY_FB", bits & 0xF0 | spare | spare_too)
    return BodyFeedback(
        implement=_IMPLEMENT.unpack_optional(position),
        lights=_unpack_flag("lights", bits & 3),
        horn=_unpack_flag("horn", bits >> 2 & 3),
        functions=_unpack_functions(functions),
    )


def _pack_echo(m: Echo) -> bytes:
    return _ECHO.pack(
        _pack_int("sequence", m.sequence, 0, 0xFFFF),
        _pack_int("ECU receive time", m.ecu_rx_us, 0, 0xFFFF),
        _pack_int("hold time", m.hold_us, 0, 0xFFFF),
    )


def _unpack_echo(payload: bytes) -> Echo:
    sequence, rx_us, hold_us = _ECHO.unpack(payload)
    return Echo(sequence, rx_us, hold_us)


def _pack_stat(m: E2eStat) -> bytes:
    counts = (m.crc, m.repeat, m.lost, m.late, m.burst)
    return _STAT.pack(
        *(_pack_int("count", count, 0, _U8.high) for count in counts),
        _pack_age_ms("longest gap", m.max_gap_ms),
    )


def _unpack_stat(frame: int, payload: bytes) -> E2eStat:
    if frame >= len(matrix.COMMANDS):
        raise ReservedValueError(f"frame index: code {frame} is reserved")
    *counts, gap = _STAT.unpack(payload)
    crc, repeat, lost, late, burst = (_unpack_int("count", count, _U8) for count in counts)
    return E2eStat(
        frame=frame,
        crc=crc,
        repeat=repeat,
        lost=lost,
        late=late,
        burst=burst,
        max_gap_ms=_unpack_age_ms("longest gap", gap),
    )


# --- Frames -----------------------------------------------------------------------------------

_PACK: dict[type, tuple[FrameSpec, Callable[[Any], bytes]]] = {
    SupCommand: (matrix.SUP_CMD, _pack_sup),
    SteerCommand: (matrix.STEER_CMD, _pack_steer),
    DriveCommand: (matrix.DRIVE_CMD, _pack_drive),
    BrakeCommand: (matrix.BRAKE_CMD, _pack_brake),
    BodyCommand: (matrix.BODY_CMD, _pack_body),
    EcuState: (matrix.ECU_STATE, _pack_state),
    SafetyIo: (matrix.SAFETY_IO, _pack_safety),
    SteerFeedback: (matrix.STEER_FB, _pack_steer_fb),
    DriveFeedback: (matrix.DRIVE_FB, _pack_drive_fb),
    BrakeFeedback: (matrix.BRAKE_FB, _pack_brake_fb),
    Motion: (matrix.MOTION, _pack_motion),
    BodyFeedback: (matrix.BODY_FB, _pack_body_fb),
    Echo: (matrix.ECHO, _pack_echo),
    E2eStat: (matrix.E2E_STAT, _pack_stat),
}

_UNPACK: dict[int, Callable[[bytes], Message]] = {
    matrix.SUP_CMD.can_id: _unpack_sup,
    matrix.STEER_CMD.can_id: _unpack_steer,
    matrix.DRIVE_CMD.can_id: _unpack_drive,
    matrix.BRAKE_CMD.can_id: _unpack_brake,
    matrix.BODY_CMD.can_id: _unpack_body,
    matrix.ECU_STATE.can_id: _unpack_state,
    matrix.SAFETY_IO.can_id: _unpack_safety,
    matrix.STEER_FB.can_id: _unpack_steer_fb,
    matrix.DRIVE_FB.can_id: _unpack_drive_fb,
    matrix.BRAKE_FB.can_id: _unpack_brake_fb,
    matrix.MOTION.can_id: _unpack_motion,
    matrix.BODY_FB.can_id: _unpack_body_fb,
}


CAN_IDS: dict[type[Message], int] = {kind: spec.can_id for kind, (spec, _) in _PACK.items()}
"""Under which id messages of a type travel."""


def spec_of(message_type: type[Message]) -> FrameSpec:
    """Return the matrix row that carries messages of this type."""
    return _PACK[message_type][0]


def encode(message: Message, counter: int) -> tuple[int, bytes]:
    """Return the CAN id and the protected bytes of ``message``.

    Args:
        message: values in SI units.
        counter: E2E counter 0…15; ECHO has none and ignores it.

    Raises:
        ValueRangeError: a value is no finite number inside its range; nothing is clamped.
    """
    spec, pack = _PACK[type(message)]
    head = _pack_int("counter", counter, 0, COUNTER_STATES - 1)
    payload = pack(message)
    data_ids = spec.data_ids
    if data_ids is None:
        return spec.can_id, b"\0\0" + payload
    if isinstance(message, E2eStat):
        head |= _pack_int("frame index", message.frame, 0, len(matrix.COMMANDS) - 1) << 4
    return spec.can_id, protect(bytes((head,)) + payload, data_ids)


def decode(can_id: int, data: bytes) -> Message:
    """Return the message in one frame after checking length, CRC and every code.

    The counter's sequence is not looked at: that is the receiver's part, see endpoint.py.

    Raises:
        DbwError: one of its kinds, with the signal and the code in the text.
    """
    spec = matrix.BY_ID.get(can_id)
    if spec is None:
        raise UnknownFrameError(f"id {can_id:08X} is none of HF-DBW v1")
    if len(data) != spec.dlc:
        raise FrameLengthError(f"{spec.name}: {len(data)} bytes instead of {spec.dlc}")
    if spec.data_ids is not None and not crc_fits(data, spec.data_ids):
        raise CrcError(f"{spec.name}: wrong CRC")
    return decode_checked(spec, bytes(data))


def decode_checked(spec: FrameSpec, data: bytes) -> Message:
    """Return the message in a frame whose length and CRC are known to be good.

    Raises:
        DbwError: as :func:`decode`.
    """
    if spec is matrix.ECHO:
        _check_clear("ECHO", data[0] | data[1])
        return _unpack_echo(data[2:])
    if spec is matrix.E2E_STAT:
        return _unpack_stat(data[1] >> 4, data[2:])
    if data[1] >> 4:
        raise ReservedBitsError(f"{spec.name}: mode nibble is not zero")
    return _UNPACK[spec.can_id](bytes(data[2:]))
