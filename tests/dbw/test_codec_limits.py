"""Every message's exact bytes, every code's edge, and every refusal in its exact words."""

from __future__ import annotations

import math
import re
import struct
from typing import Any

import pytest

from protocol.dbw import codec, matrix
from protocol.dbw.codec import (
    BodyCommand,
    BodyFeedback,
    BodyFunction,
    BrakeCommand,
    BrakeFeedback,
    BrakeSource,
    ContactState,
    DriveCommand,
    DriveFeedback,
    E2eStat,
    Echo,
    EcuMode,
    EcuState,
    ExitReason,
    Message,
    Motion,
    ParkState,
    SafetyIo,
    SteerCommand,
    SteerFeedback,
    SupCommand,
    decode,
    encode,
    spec_of,
)
from protocol.dbw.e2e import protect
from protocol.dbw.errors import (
    CrcError,
    DbwError,
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

SUP = SupCommand(EcuMode.ACTIVE, True, False, True, 0x1234, 12, 0x5678)
STEER = SteerCommand(0.125, 45, True, 12.5)
DRIVE = DriveCommand(0.5, 5.0, -1)
BRAKE = BrakeCommand(1.5, True, 0.5)
BODY = BodyCommand(-3, True, False, 0.4, BodyFunction.BED | BodyFunction.PTO)
STATE = EcuState(EcuMode.SAFE_STOP, 9, ExitReason.COMMAND_TIMEOUT, 77, 0b10110, 0x1234)
CLOSED, OPEN = ContactState.CLOSED, ContactState.OPEN
SAFETY = SafetyIo(CLOSED, OPEN, True, CLOSED, True, False, 24.0, ContactState.ERROR)
STEER_FB = SteerFeedback(18000 * math.pi / 18000 / 10, -0.125, 2, 12.5)
DRIVE_FB = DriveFeedback(-1.5, 900.0, 3, -0.5)
BRAKE_FB = BrakeFeedback(1.5, 80.0, ParkState.MOVING, 0b10110)
MOTION = Motion(-0.5, 0.25, 0.1, -0.2, -0.75)
OTHER_MOTION = Motion(-0.5, -0.3, -0.2, -0.4, -0.4)
"""All negative and even: a sign that runs into the next field would be seen."""
ONE_COUNT = Motion(0.001, 0.05, 0.002, 0.002, 0.05)
"""The lowest bit of each field."""
BODY_FB = BodyFeedback(-0.4, False, True, BodyFunction.HITCH | BodyFunction.DRUM)
ECHO = Echo(0x1234, 0x5678, 0x9ABC)
STAT = E2eStat(3, 11, 22, 33, 44, 55, 400)

BYTES: list[tuple[Message, int, str]] = [
    (SUP, 0x04FF1080, "0C 05 8B 34 12 03 78 56"),
    (STEER, 0x08FF1280, "8A 05 8C 7B 2D 04 7D 00"),
    (DRIVE, 0x08FF1180, "6D 05 F4 01 88 13 02 00"),
    (BRAKE, 0x04FF1380, "5C 05 DC 05 01 7D 00 00"),
    (BODY, 0x10FF1480, "C5 05 FD 01 11 AF 00 00"),
    (STATE, 0x04FF2081, "BF 05 95 05 4D 16 34 12"),
    (SAFETY, 0x04FF2681, "70 05 51 09 78 00 00 00"),
    (STEER_FB, 0x0CFF2181, "BB 05 08 07 74 7F 7D 02"),
    (DRIVE_FB, 0x0CFF2281, "D4 05 24 FA 20 1C 03 F6"),
    (BRAKE_FB, 0x0CFF2381, "00 05 DC 05 40 1F 02 16"),
    (MOTION, 0x0CFF2481, "05 05 0C 5E 10 2F 03 E7"),
    (OTHER_MOTION, 0x0CFF2481, "BD 05 0C AE 8F CF 39 CE"),
    (ONE_COUNT, 0x0CFF2481, "09 05 01 10 10 10 40 00"),
    (BODY_FB, 0x18FF2581, "99 05 4B 44 04 00 00 00"),
    (ECHO, 0x18FF2881, "00 00 34 12 78 56 BC 9A"),
    (STAT, 0x18FF2781, "77 35 0B 16 21 2C 37 64"),
]


def sealed(spec: matrix.FrameSpec, payload: bytes, head: int = 0) -> bytes:
    if spec.data_ids is None:
        return b"\0\0" + payload
    return protect(bytes([head]) + payload, spec.data_ids)


def with_raw(message: Message, at: int, raw: int, size: str) -> tuple[int, bytes]:
    """The frame of ``message`` with a field of the payload replaced."""
    can_id, data = encode(message, 0)
    body = bytearray(data)
    struct.pack_into(f"<{size}", body, at, raw)
    return can_id, sealed(matrix.BY_ID[can_id], bytes(body[2:]), body[1])


def refused(error: type[DbwError], text: str) -> Any:
    return pytest.raises(error, match=f"^{re.escape(text)}$")


# --- exact bytes --------------------------------------------------------------------------------


@pytest.mark.parametrize(("message", "can_id", "data"), BYTES, ids=lambda v: type(v).__name__)
def test_message__is_these_bytes_under_this_id(message: Message, can_id: int, data: str) -> None:
    assert encode(message, 5) == (can_id, bytes.fromhex(data))
    assert decode(can_id, bytes.fromhex(data)) == message
    assert spec_of(type(message)) is matrix.BY_ID[can_id]


def test_every_kind_of_message__has_its_bytes_here() -> None:
    assert {type(message) for message, _, _ in BYTES} == set(Message.__args__)
    assert {can_id for _, can_id, _ in BYTES} == set(matrix.BY_ID)


def test_fields_not_given__say_nothing() -> None:
    assert SteerCommand(0.0, 0, False).speed_basis_mps is None
    assert BodyCommand(0, False, False, 0.0).functions is BodyFunction.NONE
    assert BodyFeedback(0.0, False, False).functions is BodyFunction.NONE
    assert SteerFeedback(0.0, 0.0, 0).actuator_current_a is None
    assert Motion(0.0, 0.0, 0.0, 0.0).ay_mps2 is None
    bare = SafetyIo(CLOSED, CLOSED, False, CLOSED, True, False, 24.0)
    assert bare.door_seat is ContactState.UNKNOWN


def test_numbers_of_codes__do_not_change() -> None:
    assert [(mode.name, mode.value) for mode in EcuMode] == [
        ("INIT", 0),
        ("STANDBY", 1),
        ("ARMED", 2),
        ("ACTIVE", 3),
        ("DEGRADED", 4),
        ("SAFE_STOP", 5),
        ("ESTOP", 6),
        ("FAULT", 7),
    ]
    assert {reason.name: reason.value for reason in ExitReason} == {
        "CLEAR": 0,
        "OPERATOR_PRESENCE": 1,
        "RELEASED": 2,
        "OPERATOR_OVERRIDE": 3,
        "CONTROL_POSITION": 4,
        "COMMAND_TIMEOUT": 5,
        "OUT_OF_RANGE": 6,
        "NOT_CALIBRATED": 7,
        "OPERATOR_CONTROL_FAULT": 8,
        "FUNCTION_FAULT": 9,
        "GEAR": 22,
        "SPEED_LOW": 23,
        "SPEED_HIGH": 24,
        "OTHER_GUIDANCE": 25,
        "DIAGNOSTIC": 26,
        "ERROR": 62,
        "NOT_AVAILABLE": 63,
    }
    assert [state.name for state in sorted(ContactState)] == ["OPEN", "CLOSED", "ERROR", "UNKNOWN"]
    assert [state.value for state in ContactState] == [0, 1, 2, 3]
    assert [state.name for state in ParkState] == ["RELEASED", "APPLIED", "MOVING", "UNKNOWN"]
    assert [state.value for state in ParkState] == [0, 1, 2, 3]
    assert {part.name: part.value for part in BodyFunction} == {
        "BED": 1,
        "HITCH": 2,
        "PTO": 4,
        "DRUM": 8,
    }
    assert {source.name: source.value for source in BrakeSource} == {
        "COMMAND": 1,
        "ECU_STOP": 2,
        "ESTOP": 4,
        "RETARDER": 8,
        "PARK": 16,
    }
    assert (BodyFunction.NONE.value, BrakeSource.NONE.value) == (0, 0)


# --- codes --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("codes", "inside", "reserved", "error", "absent"),
    [
        (codec._U8, (0, 250), (-1, 251, 253, 256), (254, 254), (255, 255)),
        (
            codec._U16,
            (0, 0xFAFF),
            (-1, 0xFB00, 0xFDFF, 0x10000),
            (0xFE00, 0xFEFF),
            (0xFF00, 0xFFFF),
        ),
        (codec._S8, (-125, 125), (-126, 128), (126, 126), (127, 127)),
        (codec._S10, (-500, 500), (-501, 501, 509, 512), (510, 510), (511, 511)),
        (codec._S12, (-2000, 2000), (-2001, 2001, 2045, 2048), (2046, 2046), (2047, 2047)),
        (
            codec._S16,
            (-32000, 32000),
            (-32001, 32001, 32765, 32768),
            (32766, 32766),
            (32767, 32767),
        ),
    ],
)
def test_codes_of_a_width__value_error_and_not_available_to_the_count(
    codes: codec._Codes,
    inside: tuple[int, ...],
    reserved: tuple[int, ...],
    error: tuple[int, ...],
    absent: tuple[int, ...],
) -> None:
    def told(raw: int) -> type[BaseException] | None:
        try:
            codec._unpack_int("x", raw, codes)
        except DbwError as refusal:
            return type(refusal)
        return None

    assert {told(raw) for raw in inside} == {None}
    assert {told(raw) for raw in reserved} == {ReservedValueError}
    assert {told(raw) for raw in error} == {ErrorIndicatedError}
    assert {told(raw) for raw in absent} == {NotAvailableError}
    assert codec._unpack_int_optional("x", inside[1], codes) == inside[1]
    assert codec._unpack_int_optional("x", error[0], codes) is None
    assert codec._unpack_int_optional("x", absent[1], codes) is None


@pytest.mark.parametrize(
    ("raw", "error", "text"),
    [
        (251, ReservedValueError, "x: code 251 is reserved"),
        (254, ErrorIndicatedError, "x: code 254 says error"),
        (255, NotAvailableError, "x: code 255 says not available"),
    ],
)
def test_code_without_a_value__says_which(raw: int, error: type[DbwError], text: str) -> None:
    with refused(error, text):
        codec._unpack_int("x", raw, codec._U8)
    with refused(error, text):
        codec._Scale("x", 1.0, codec._U8).unpack(raw)


def test_optional_code__is_none_from_error_upwards_and_a_refusal_below() -> None:
    scale = codec._Scale("x", 2.0, codec._U8, zero=100)
    assert [scale.unpack_optional(raw) for raw in (0, 100, 250, 254, 255)] == [
        -50.0,
        0.0,
        75.0,
        None,
        None,
    ]
    for call in (
        scale.unpack_optional,
        lambda raw: codec._unpack_int_optional("x", raw, codec._U8),
    ):
        with refused(ReservedValueError, "x: code 253 is reserved"):
            call(253)


@pytest.mark.parametrize("raw", [0, 100, 250])
def test_scale__packs_what_it_unpacks(raw: int) -> None:
    scale = codec._Scale("x", -2.0, codec._U8, zero=100)
    value = scale.unpack(raw)

    assert value == (100 - raw) / 2
    assert math.copysign(1.0, scale.unpack(100)) == 1.0
    assert scale.pack(value) == scale.pack_optional(value) == raw
    assert scale.pack_optional(None) == 255


def test_scale_without_a_zero__starts_at_zero() -> None:
    assert codec._Scale("x", 1.0, codec._U8).pack(7) == 7


@pytest.mark.parametrize(
    ("value", "raw"), [(-1e-6, 0), (250 + 1e-6, 250), (1.49, 1), (1.51, 2), (3, 3)]
)
def test_value_within_the_noise_of_floats__is_the_nearest_code(value: float, raw: int) -> None:
    assert codec._Scale("x", 1.0, codec._U8).pack(value) == raw


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        (-1.1e-6, "is out of range"),
        (250 + 1.1e-6, "is out of range"),
        (math.nan, "is out of range"),
        (math.inf, "is out of range"),
        (10**400, "is out of range"),
        (True, "is not a number"),
        ("1", "is not a number"),
        (None, "is not a number"),
    ],
)
def test_value_outside__refused_with_its_name_and_value(value: Any, problem: str) -> None:
    with refused(ValueRangeError, f"x: {value!r} {problem}"):
        codec._Scale("x", 1.0, codec._U8).pack(value)


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        (4, "is out of range"),
        (11, "is out of range"),
        (5.0, "is not an integer"),
        (True, "is not an integer"),
        (None, "is not an integer"),
    ],
)
def test_integer_outside__refused_with_its_name_and_value(value: Any, problem: str) -> None:
    with refused(ValueRangeError, f"x: {value!r} {problem}"):
        codec._pack_int("x", value, 5, 10)


@pytest.mark.parametrize("value", [5, 10])
def test_integer_inside__is_a_plain_integer(value: int) -> None:
    assert codec._pack_int("x", value, 5, 10) == value
    assert type(codec._pack_int("x", EcuMode.FAULT, 5, 10)) is int


@pytest.mark.parametrize(
    ("age_ms", "code"), [(None, 255), (0, 0), (1, 1), (4, 1), (5, 2), (999, 250), (1000, 250)]
)
def test_age__is_packed_upwards_in_steps_of_four(age_ms: int | None, code: int) -> None:
    assert codec._pack_age_ms("x", age_ms) == code


@pytest.mark.parametrize("age_ms", [-1, 1001])
def test_age_outside__refused(age_ms: int) -> None:
    with refused(ValueRangeError, f"x: {age_ms} is out of range"):
        codec._pack_age_ms("x", age_ms)


def test_age_code__is_steps_of_four_or_nothing() -> None:
    assert [codec._unpack_age_ms("x", raw) for raw in (0, 1, 250, 254)] == [0, 4, 1000, None]
    with refused(ReservedValueError, "x: code 251 is reserved"):
        codec._unpack_age_ms("x", 251)


def test_flag__is_off_on_error_or_not_available() -> None:
    assert [codec._unpack_flag("x", code) for code in (0, 1)] == [False, True]
    with refused(ErrorIndicatedError, "x: code 2 says error"):
        codec._unpack_flag("x", 2)
    with refused(NotAvailableError, "x: code 3 says not available"):
        codec._unpack_flag("x", 3)
    assert [codec._pack_flag("x", value) for value in (False, True)] == [0, 1]
    with refused(ValueRangeError, "x: 1 is neither on nor off"):
        codec._pack_flag("x", 1)  # type: ignore[arg-type]


# --- every field, packed ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("message", "field", "name", "low", "high"),
    [
        (STEER, "curvature_per_m", "curvature", -8.03175, 8.032),
        (STEER, "speed_basis_mps", "speed basis", 0.0, 25.0),
        (DRIVE, "accel_mps2", "acceleration", -32.0, 32.0),
        (DRIVE, "speed_limit_mps", "speed limit", 0.0, 64.255),
        (BRAKE, "decel_mps2", "deceleration", 0.0, 64.255),
        (BRAKE, "retarder", "retarder", 0.0, 1.0),
        (BODY, "implement", "implement", -1.0, 1.0),
        (SAFETY, "supply_v", "supply", 0.0, 50.0),
        (STEER_FB, "angle_rad", "angle", -32000 * math.pi / 18000, 32000 * math.pi / 18000),
        (STEER_FB, "curvature_per_m", "curvature", -8.03175, 8.032),
        (STEER_FB, "actuator_current_a", "actuator current", 0.0, 25.0),
        (DRIVE_FB, "speed_mps", "speed", -32.0, 32.0),
        (DRIVE_FB, "engine_rpm", "engine speed", 0.0, 8031.875),
        (DRIVE_FB, "accel_mps2", "acceleration echo", -6.25, 6.25),
        (BRAKE_FB, "decel_mps2", "deceleration", 0.0, 64.255),
        (BRAKE_FB, "pressure_bar", "pressure", 0.0, 642.55),
        (MOTION, "yaw_rate_radps", "yaw rate", -2.0, 2.0),
        (MOTION, "ax_mps2", "body acceleration", -6.25, 6.25),
        (MOTION, "ay_mps2", "body acceleration", -6.25, 6.25),
        (MOTION, "pitch_rad", "tilt", -1.0, 1.0),
        (MOTION, "roll_rad", "tilt", -1.0, 1.0),
        (BODY_FB, "implement", "implement", -1.0, 1.0),
    ],
)
def test_number__travels_from_edge_to_edge_and_no_further(
    message: Any, field: str, name: str, low: float, high: float
) -> None:
    for value in (low, high):
        again = decode(*encode(message._replace(**{field: value}), 0))
        assert getattr(again, field) == pytest.approx(value, rel=1e-12, abs=1e-12)
    for value in (low - 0.01, high + 0.01, math.nan):
        beyond = value if math.isnan(value) or abs(value) < 600 else math.copysign(9000.0, value)
        with refused(ValueRangeError, f"{name}: {beyond!r} is out of range"):
            encode(message._replace(**{field: beyond}), 0)


@pytest.mark.parametrize(
    ("message", "field", "name", "low", "high"),
    [
        (SUP, "session", "session", 0, 0xFFFF),
        (SUP, "sequence", "sequence", 0, 0xFFFF),
        (SUP, "link_age_ms", "link age", 0, 1000),
        (STEER, "rate_limit", "rate limit", 0, 250),
        (DRIVE, "direction", "direction", -1, 1),
        (BODY, "gear", "gear", -125, 125),
        (BODY, "functions", "functions", 0, 15),
        (STATE, "state", "state", 0, 7),
        (STATE, "sub_state", "sub-state", 0, 15),
        (STATE, "first_cause", "first cause", 0, 250),
        (STATE, "timeout_bits", "timeout bits", 0, 31),
        (STATE, "session_echo", "session echo", 0, 0xFFFF),
        (SAFETY, "estop_a", "E-stop A", 0, 3),
        (SAFETY, "estop_b", "E-stop B", 0, 3),
        (SAFETY, "relay_feedback", "relay feedback", 0, 3),
        (SAFETY, "door_seat", "door or seat", 0, 3),
        (DRIVE_FB, "gear", "gear", -125, 125),
        (BRAKE_FB, "park", "park state", 0, 3),
        (BRAKE_FB, "source_bits", "brake sources", 0, 31),
        (BODY_FB, "functions", "functions", 0, 15),
        (ECHO, "sequence", "sequence", 0, 0xFFFF),
        (ECHO, "ecu_rx_us", "ECU receive time", 0, 0xFFFF),
        (ECHO, "hold_us", "hold time", 0, 0xFFFF),
        (STAT, "frame", "frame index", 0, 4),
        (STAT, "crc", "count", 0, 250),
        (STAT, "repeat", "count", 0, 250),
        (STAT, "lost", "count", 0, 250),
        (STAT, "late", "count", 0, 250),
        (STAT, "burst", "count", 0, 250),
        (STAT, "max_gap_ms", "longest gap", 0, 1000),
    ],
)
def test_integer__travels_from_edge_to_edge_and_no_further(
    message: Any, field: str, name: str, low: int, high: int
) -> None:
    for value in (low, high):
        again = decode(*encode(message._replace(**{field: value}), 0))
        assert getattr(again, field) == value
    for value in (low - 1, high + 1):
        with refused(ValueRangeError, f"{name}: {value!r} is out of range"):
            encode(message._replace(**{field: value}), 0)


@pytest.mark.parametrize(
    ("message", "field", "name"),
    [
        (SUP, "enable", "enable"),
        (SUP, "estop_request", "stop request"),
        (SUP, "fault_ack", "fault ack"),
        (STEER, "valid", "steer valid"),
        (BRAKE, "park", "park"),
        (BODY, "lights", "lights"),
        (BODY, "horn", "horn"),
        (SAFETY, "discrepancy", "discrepancy"),
        (SAFETY, "key_remote", "key"),
        (SAFETY, "manual_override", "manual override"),
        (BODY_FB, "lights", "lights"),
        (BODY_FB, "horn", "horn"),
    ],
)
def test_flag__travels_alone_and_nothing_but_a_flag(message: Any, field: str, name: str) -> None:
    for value in (False, True):
        changed = message._replace(**{field: value})
        assert decode(*encode(changed, 0)) == changed
    with refused(ValueRangeError, f"{name}: 1 is neither on nor off"):
        encode(message._replace(**{field: 1}), 0)


@pytest.mark.parametrize(
    "message", [SUP, STEER, SAFETY, STEER_FB, DRIVE_FB, BRAKE_FB, MOTION, BODY_FB, STAT]
)
def test_field_that_may_be_unknown__travels_as_none(message: Any) -> None:
    for name, kind in type(message).__annotations__.items():
        if "None" in str(kind):
            changed = message._replace(**{name: None})
            assert decode(*encode(changed, 0)) == changed, name


@pytest.mark.parametrize(("direction", "code"), [(0, 0), (1, 1), (-1, 2)])
def test_direction__travels_as_its_code(direction: int, code: int) -> None:
    can_id, data = encode(DRIVE._replace(direction=direction), 0)
    assert data[6] == code
    assert decode(can_id, data) == DRIVE._replace(direction=direction)


@pytest.mark.parametrize("mode", [1, 2, 3, 4, 5])
def test_mode_that_can_be_asked_for__travels(mode: int) -> None:
    message = SUP._replace(mode_request=mode)
    assert decode(*encode(message, 0)) == message


@pytest.mark.parametrize("mode", [EcuMode.INIT, EcuMode.ESTOP, EcuMode.FAULT, 8, -1])
def test_mode_that_the_ecu_alone_enters__cannot_be_asked_for(mode: int) -> None:
    with refused(ValueRangeError, f"mode request: {mode!r} cannot be asked for"):
        encode(SUP._replace(mode_request=mode), 0)


@pytest.mark.parametrize("reason", ExitReason)
def test_exit_reason__travels(reason: ExitReason) -> None:
    message = STATE._replace(reason=reason)
    assert decode(*encode(message, 0)) == message
    assert encode(message, 0) == with_raw(STATE, 3, reason.value, "B")


@pytest.mark.parametrize("reason", [10, 21, 27, 61, 64, 255])
def test_exit_reason_of_no_catalogue__refused_by_both_ends(reason: int) -> None:
    with refused(ReservedValueError, f"exit reason: code {reason} is reserved"):
        decode(*with_raw(STATE, 3, reason, "B"))
    with refused(ValueRangeError, f"exit reason: {reason!r} is none"):
        encode(STATE._replace(reason=reason), 0)  # type: ignore[arg-type]


@pytest.mark.parametrize("status", [0, 1, 2, 3, 6, None])
def test_limit_status__travels(status: int | None) -> None:
    message = STEER_FB._replace(limit_status=status)
    assert decode(*encode(message, 0)) == message


@pytest.mark.parametrize("status", [4, 5, 7, 8, True])
def test_limit_status_that_is_none__refused(status: int) -> None:
    with refused(ValueRangeError, f"limit status: {status!r} is none"):
        encode(STEER_FB._replace(limit_status=status), 0)


@pytest.mark.parametrize("counter", [-1, 16])
def test_counter_outside_its_nibble__refused(counter: int) -> None:
    with refused(ValueRangeError, f"counter: {counter} is out of range"):
        encode(DRIVE, counter)


@pytest.mark.parametrize("counter", [0, 15])
def test_counter__stands_in_the_low_nibble(counter: int) -> None:
    assert encode(DRIVE, counter)[1][1] == counter
    assert encode(STAT, counter)[1][1] == 0x30 | counter
    assert decode(*encode(DRIVE, counter)) == DRIVE
    assert decode(*encode(STAT, counter)) == STAT


# --- every field, unpacked ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("message", "at", "raw", "size", "error", "text"),
    [
        (SUP, 2, 0x8B + 0x10, "B", InverseMismatchError, "enable and its inverse agree"),
        (SUP, 2, 0x83, "B", InverseMismatchError, "enable and its inverse agree"),
        (SUP, 2, 0x88, "B", ReservedValueError, "mode request: code 0 cannot be asked for"),
        (SUP, 2, 0x8E, "B", ReservedValueError, "mode request: code 6 cannot be asked for"),
        (SUP, 2, 0x8F, "B", ReservedValueError, "mode request: code 7 cannot be asked for"),
        (SUP, 2, 0xCB, "B", ErrorIndicatedError, "stop request: code 2 says error"),
        (SUP, 2, 0xEB, "B", NotAvailableError, "stop request: code 3 says not available"),
        (SUP, 5, 251, "B", ReservedValueError, "link age: code 251 is reserved"),
        (STEER, 2, 0xFE00, "H", ErrorIndicatedError, "curvature: code 65024 says error"),
        (STEER, 4, 254, "B", ErrorIndicatedError, "rate limit: code 254 says error"),
        (STEER, 5, 0x05, "B", UnsupportedKindError, "steer kind: code 1 is not curvature"),
        (STEER, 5, 0x06, "B", UnsupportedKindError, "steer kind: code 2 is not curvature"),
        (STEER, 5, 0x08, "B", ErrorIndicatedError, "steer valid: code 2 says error"),
        (STEER, 5, 0x0C, "B", NotAvailableError, "steer valid: code 3 says not available"),
        (STEER, 5, 0x14, "B", ReservedBitsError, "STEER_CMD: reserved bits are not zero"),
        (STEER, 5, 0x84, "B", ReservedBitsError, "STEER_CMD: reserved bits are not zero"),
        (STEER, 6, 251, "B", ReservedValueError, "speed basis: code 251 is reserved"),
        (STEER, 7, 0x10, "B", ReservedBitsError, "STEER_CMD: reserved bits are not zero"),
        (DRIVE, 2, 32766, "h", ErrorIndicatedError, "acceleration: code 32766 says error"),
        (DRIVE, 4, 0xFE00, "H", ErrorIndicatedError, "speed limit: code 65024 says error"),
        (DRIVE, 6, 0x03, "B", NotAvailableError, "direction: code 3 says not available"),
        (DRIVE, 6, 0x05, "B", UnsupportedKindError, "drive kind: code 1 is not acceleration"),
        (DRIVE, 6, 0x09, "B", UnsupportedKindError, "drive kind: code 2 is not acceleration"),
        (DRIVE, 6, 0x11, "B", ReservedBitsError, "DRIVE_CMD: reserved bits are not zero"),
        (DRIVE, 7, 0x10, "B", ReservedBitsError, "DRIVE_CMD: reserved bits are not zero"),
        (BRAKE, 2, 0xFE00, "H", ErrorIndicatedError, "deceleration: code 65024 says error"),
        (BRAKE, 4, 0x02, "B", ErrorIndicatedError, "park: code 2 says error"),
        (BRAKE, 4, 0x03, "B", NotAvailableError, "park: code 3 says not available"),
        (BRAKE, 4, 0x04, "B", UnsupportedKindError, "brake kind: code 1 is not deceleration"),
        (BRAKE, 4, 0x08, "B", UnsupportedKindError, "brake kind: code 2 is not deceleration"),
        (BRAKE, 4, 0x10, "B", ReservedBitsError, "BRAKE_CMD: reserved bits are not zero"),
        (BRAKE, 5, 254, "B", ErrorIndicatedError, "retarder: code 254 says error"),
        (BRAKE, 6, 0x10, "H", ReservedBitsError, "BRAKE_CMD: reserved bits are not zero"),
        (BODY, 2, 126, "b", ErrorIndicatedError, "gear: code 126 says error"),
        (BODY, 3, 0x02, "B", ErrorIndicatedError, "lights: code 2 says error"),
        (BODY, 3, 0x03, "B", NotAvailableError, "lights: code 3 says not available"),
        (BODY, 3, 0x08, "B", ErrorIndicatedError, "horn: code 2 says error"),
        (BODY, 3, 0x0C, "B", NotAvailableError, "horn: code 3 says not available"),
        (BODY, 3, 0x10, "B", ReservedBitsError, "BODY_CMD: reserved bits are not zero"),
        (BODY, 4, 0x02, "B", ErrorIndicatedError, "bed: code 2 says error"),
        (BODY, 4, 0x08, "B", ErrorIndicatedError, "hitch: code 2 says error"),
        (BODY, 4, 0x20, "B", ErrorIndicatedError, "pto: code 2 says error"),
        (BODY, 4, 0xC0, "B", NotAvailableError, "drum: code 3 says not available"),
        (BODY, 5, 254, "B", ErrorIndicatedError, "implement: code 254 says error"),
        (BODY, 6, 0x10, "H", ReservedBitsError, "BODY_CMD: reserved bits are not zero"),
        (STATE, 2, 0x08, "B", ReservedValueError, "state: code 8 is reserved"),
        (STATE, 2, 0x5F, "B", ReservedValueError, "state: code 15 is reserved"),
        (STATE, 4, 254, "B", ErrorIndicatedError, "first cause: code 254 says error"),
        (STATE, 5, 0x20, "B", ReservedBitsError, "ECU_STATE: reserved bits are not zero"),
        (STATE, 5, 0x80, "B", ReservedBitsError, "ECU_STATE: reserved bits are not zero"),
        (SAFETY, 2, 0x20, "B", ErrorIndicatedError, "discrepancy: code 2 says error"),
        (SAFETY, 2, 0x30, "B", NotAvailableError, "discrepancy: code 3 says not available"),
        (SAFETY, 3, 0x02, "B", ErrorIndicatedError, "key: code 2 says error"),
        (SAFETY, 3, 0x03, "B", NotAvailableError, "key: code 3 says not available"),
        (SAFETY, 3, 0x20, "B", ErrorIndicatedError, "manual override: code 2 says error"),
        (SAFETY, 3, 0x30, "B", NotAvailableError, "manual override: code 3 says not available"),
        (SAFETY, 3, 0x40, "B", ReservedBitsError, "SAFETY_IO: reserved bits are not zero"),
        (SAFETY, 4, 251, "B", ReservedValueError, "supply: code 251 is reserved"),
        (SAFETY, 5, 0x10, "B", ReservedBitsError, "SAFETY_IO: reserved bits are not zero"),
        (SAFETY, 6, 0x10, "H", ReservedBitsError, "SAFETY_IO: reserved bits are not zero"),
        (STEER_FB, 2, -32001, "h", ReservedValueError, "angle: code -32001 is reserved"),
        (STEER_FB, 4, 0xFB00, "H", ReservedValueError, "curvature: code 64256 is reserved"),
        (STEER_FB, 6, 251, "B", ReservedValueError, "actuator current: code 251 is reserved"),
        (STEER_FB, 7, 4, "B", ReservedValueError, "limit status: code 4 is reserved"),
        (STEER_FB, 7, 5, "B", ReservedValueError, "limit status: code 5 is reserved"),
        (STEER_FB, 7, 8, "B", ReservedBitsError, "STEER_FB: reserved bits are not zero"),
        (DRIVE_FB, 2, -32001, "h", ReservedValueError, "speed: code -32001 is reserved"),
        (DRIVE_FB, 4, 0xFB00, "H", ReservedValueError, "engine speed: code 64256 is reserved"),
        (DRIVE_FB, 6, -126, "b", ReservedValueError, "gear: code -126 is reserved"),
        (DRIVE_FB, 7, -126, "b", ReservedValueError, "acceleration echo: code -126 is reserved"),
        (BRAKE_FB, 2, 0xFB00, "H", ReservedValueError, "deceleration: code 64256 is reserved"),
        (BRAKE_FB, 4, 0xFB00, "H", ReservedValueError, "pressure: code 64256 is reserved"),
        (BRAKE_FB, 6, 4, "B", ReservedBitsError, "BRAKE_FB: reserved bits are not zero"),
        (BRAKE_FB, 7, 0x20, "B", ReservedBitsError, "BRAKE_FB: reserved bits are not zero"),
        (MOTION, 2, 0x0801, "H", ReservedValueError, "yaw rate: code -2047 is reserved"),
        (BODY_FB, 2, 251, "B", ReservedValueError, "implement: code 251 is reserved"),
        (BODY_FB, 3, 0x20, "B", ErrorIndicatedError, "pto: code 2 says error"),
        (BODY_FB, 4, 0x02, "B", ErrorIndicatedError, "lights: code 2 says error"),
        (BODY_FB, 4, 0x03, "B", NotAvailableError, "lights: code 3 says not available"),
        (BODY_FB, 4, 0x08, "B", ErrorIndicatedError, "horn: code 2 says error"),
        (BODY_FB, 4, 0x0C, "B", NotAvailableError, "horn: code 3 says not available"),
        (BODY_FB, 4, 0x10, "B", ReservedBitsError, "BODY_FB: reserved bits are not zero"),
        (BODY_FB, 5, 0x10, "B", ReservedBitsError, "BODY_FB: reserved bits are not zero"),
        (BODY_FB, 6, 0x10, "H", ReservedBitsError, "BODY_FB: reserved bits are not zero"),
        (STAT, 2, 254, "B", ErrorIndicatedError, "count: code 254 says error"),
        (STAT, 7, 251, "B", ReservedValueError, "longest gap: code 251 is reserved"),
    ],
)
def test_code_without_a_meaning__refused_in_these_words(
    message: Message, at: int, raw: int, size: str, error: type[DbwError], text: str
) -> None:
    with refused(error, text):
        decode(*with_raw(message, at, raw, size))


@pytest.mark.parametrize(("place", "name"), [(12, "body acceleration"), (20, "body acceleration")])
def test_reserved_code_of_eight_bits_in_motion__refused(place: int, name: str) -> None:
    payload = (0x80 << place).to_bytes(6, "little")
    with refused(ReservedValueError, f"{name}: code -128 is reserved"):
        decode(matrix.MOTION.can_id, sealed(matrix.MOTION, payload))


@pytest.mark.parametrize("place", [28, 38])
def test_reserved_code_of_ten_bits_in_motion__refused(place: int) -> None:
    payload = (0x200 << place).to_bytes(6, "little")
    with refused(ReservedValueError, "tilt: code -512 is reserved"):
        decode(matrix.MOTION.can_id, sealed(matrix.MOTION, payload))


@pytest.mark.parametrize("index", range(5, 16))
def test_counters_of_no_command_frame__refused(index: int) -> None:
    data = sealed(matrix.E2E_STAT, bytes(6), index << 4)
    with refused(ReservedValueError, f"frame index: code {index} is reserved"):
        decode(matrix.E2E_STAT.can_id, data)


@pytest.mark.parametrize("at", [0, 1])
def test_echo_with_a_bit_in_a_spare_byte__refused(at: int) -> None:
    data = bytearray(8)
    data[at] = 0x10
    with refused(ReservedBitsError, "ECHO: reserved bits are not zero"):
        decode(matrix.ECHO.can_id, bytes(data))


@pytest.mark.parametrize("nibble", [1, 8])
def test_mode_nibble__reserved(nibble: int) -> None:
    data = sealed(matrix.DRIVE_CMD, encode(DRIVE, 0)[1][2:], nibble << 4)
    with refused(ReservedBitsError, "DRIVE_CMD: mode nibble is not zero"):
        decode(matrix.DRIVE_CMD.can_id, data)


@pytest.mark.parametrize(
    ("can_id", "data", "error", "text"),
    [
        (0x123, bytes(8), UnknownFrameError, "id 00000123 is none of HF-DBW v1"),
        (0x08FF1180, bytes(7), FrameLengthError, "DRIVE_CMD: 7 bytes instead of 8"),
        (0x08FF1180, bytes(9), FrameLengthError, "DRIVE_CMD: 9 bytes instead of 8"),
        (0x08FF1180, bytes(8), CrcError, "DRIVE_CMD: wrong CRC"),
    ],
)
def test_frame_as_a_whole_wrong__refused_in_these_words(
    can_id: int, data: bytes, error: type[DbwError], text: str
) -> None:
    with refused(error, text):
        decode(can_id, data)
