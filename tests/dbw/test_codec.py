"""The hot codec equals cantools on the DBC, and refuses what it must, each thing by its name."""

from __future__ import annotations

import math
import struct
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol.dbw import codec, matrix
from protocol.dbw.codec import (
    BodyCommand,
    BodyFeedback,
    BrakeCommand,
    BrakeFeedback,
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
from protocol.dbw.matrix import FrameSpec
from tests.dbw.samples import DATABASE, MESSAGES, any_message, on_bus

SUP = SupCommand(EcuMode.ACTIVE, True, False, False, 7, 12, 99)
STEER = SteerCommand(0.125, 45, True)
DRIVE = DriveCommand(0.5, 5.0, 1)
BRAKE = BrakeCommand(1.0, False, 0.5)
BODY = BodyCommand(1, True, False, 0.0)
BODY_FB = BodyFeedback(0.0, False, False)
_CLOSED = ContactState.CLOSED
SAFETY = SafetyIo(_CLOSED, _CLOSED, False, _CLOSED, False, False, 24.0, ContactState.OPEN)


def _head(spec: FrameSpec) -> dict[str, float]:
    head = {f"{spec.name}_Crc": 0.0, f"{spec.name}_Counter": 0.0, f"{spec.name}_Mode": 0.0}
    if spec is matrix.E2E_STAT:
        head.pop("E2E_STAT_Mode")
    return {} if spec is matrix.ECHO else head


def _sealed(spec: FrameSpec, payload: bytes, head: int = 0) -> bytes:
    if spec.data_ids is None:
        return b"\0\0" + payload
    return protect(bytes([head]) + payload, spec.data_ids)


@given(message=any_message(), counter=st.integers(0, 15))
@settings(max_examples=1500)
@pytest.mark.requirement("HF-BUS-06")
def test_encode__payload_equals_cantools(message: Message, counter: int) -> None:
    can_id, data = encode(message, counter)
    spec = matrix.BY_ID[can_id]
    peer = DATABASE.get_message_by_frame_id(can_id).encode(
        on_bus(message) | _head(spec), scaling=True, strict=True
    )
    assert data[2:] == peer[2:]
    if spec.data_ids is not None:
        assert data[1] & 15 == counter
        assert data[1] >> 4 == peer[1] >> 4


@given(message=any_message(), counter=st.integers(0, 15))
@settings(max_examples=1500)
def test_decode_of_a_cantools_frame__gives_the_message_within_one_count(
    message: Message, counter: int
) -> None:
    spec = codec.spec_of(type(message))
    head = _head(spec) | ({f"{spec.name}_Counter": float(counter)} if spec.data_ids else {})
    peer = DATABASE.get_message_by_frame_id(spec.can_id).encode(on_bus(message) | head)
    data = _sealed(spec, peer[2:], peer[1])
    _assert_close(decode(spec.can_id, data), message)


_COUNT = {
    "curvature_per_m": 0.00025,
    "angle_rad": math.radians(0.01),
    "speed_basis_mps": 0.1,
    "actuator_current_a": 0.1,
    "accel_mps2": 0.05,
    "speed_limit_mps": 0.001,
    "decel_mps2": 0.001,
    "retarder": 0.004,
    "implement": 0.008,
    "supply_v": 0.2,
    "speed_mps": 0.001,
    "engine_rpm": 0.125,
    "pressure_bar": 0.01,
    "yaw_rate_radps": 0.001,
    "ax_mps2": 0.05,
    "ay_mps2": 0.05,
    "pitch_rad": 0.002,
    "roll_rad": 0.002,
    "link_age_ms": 8,
    "max_gap_ms": 8,
}


def _assert_close(got: Message, wanted: Message) -> None:
    assert type(got) is type(wanted)
    for name in wanted._fields:
        mine, other = getattr(got, name), getattr(wanted, name)
        if other is None or name not in _COUNT:
            assert mine == other, name
        else:
            assert mine == pytest.approx(other, rel=0, abs=_COUNT[name] / 2 + 1e-9)


@given(data=st.data(), counter=st.integers(0, 15))
@settings(max_examples=1500)
def test_any_payload__is_refused_or_means_what_cantools_says(
    data: st.DataObject, counter: int
) -> None:
    spec = data.draw(st.sampled_from(matrix.FRAMES))
    payload = data.draw(st.binary(min_size=6, max_size=6))
    frame = _sealed(spec, payload, counter)
    try:
        message = decode(spec.can_id, frame)
    except DbwError:
        return
    peer = DATABASE.get_message_by_frame_id(spec.can_id).decode(frame, decode_choices=False)
    signals = on_bus(message)
    for name, value in peer.items():
        if name in signals and not _says_nothing(spec, name, frame):
            assert signals[name] == pytest.approx(value, rel=0, abs=1e-6), name


def _says_nothing(spec: FrameSpec, name: str, frame: bytes) -> bool:
    """True for "error" and "not available" of wide signals, which both become None."""
    message = DATABASE.get_message_by_frame_id(spec.can_id)
    raw = message.decode(frame, scaling=False, decode_choices=False)[name]
    signal = message.get_signal_by_name(name)
    top = (1 << signal.length - signal.is_signed) - 1
    return bool(signal.length > 3 and raw >= (0xFE00 if top == 0xFFFF else top - 1))


@given(message=any_message(), counter=st.integers(0, 15))
@settings(max_examples=1000)
def test_encode_of_a_decoded_frame__is_the_same_bytes(message: Message, counter: int) -> None:
    can_id, data = encode(message, counter)
    again = decode(can_id, data)
    assert encode(again, counter) == (can_id, data)


@pytest.mark.parametrize("kind", MESSAGES, ids=lambda k: k.__name__)
@given(data=st.data())
@settings(max_examples=5)
def test_every_truncation_and_extension__is_refused(
    kind: type[Message], data: st.DataObject
) -> None:
    can_id, frame = encode(data.draw(MESSAGES[kind]), 3)
    for length in range(8):
        with pytest.raises(FrameLengthError):
            decode(can_id, frame[:length])
    with pytest.raises(FrameLengthError):
        decode(can_id, frame + b"\0")


@pytest.mark.parametrize(
    "spec", [s for s in matrix.FRAMES if s.data_ids is not None], ids=lambda s: s.name
)
def test_content_under_another_frames_id__is_refused(spec: FrameSpec) -> None:
    for message in (SUP, STEER, DRIVE, BRAKE, BODY):
        for counter in range(16):
            can_id, frame = encode(message, counter)
            if can_id != spec.can_id:
                with pytest.raises(CrcError):
                    decode(spec.can_id, frame)


@pytest.mark.parametrize("can_id", [0, 0x04FF1081, 0x04FF10, 0x18FF1080, 0x1FFFFFFF])
def test_foreign_id__unknown_frame(can_id: int) -> None:
    with pytest.raises(UnknownFrameError):
        decode(can_id, bytes(8))


@given(message=any_message(), bit=st.integers(0, 63))
@settings(max_examples=500)
def test_one_bit_flipped__is_refused(message: Message, bit: int) -> None:
    can_id, data = encode(message, 5)
    if isinstance(message, Echo):
        return
    flipped = bytearray(data)
    flipped[bit // 8] ^= 1 << bit % 8
    with pytest.raises(CrcError):
        decode(can_id, bytes(flipped))


_NUMBERS = [
    (STEER, "curvature_per_m", -8.0318, 8.0321),
    (STEER, "speed_basis_mps", -0.01, 25.01),
    (DRIVE, "accel_mps2", -32.0001, 32.0001),
    (DRIVE, "speed_limit_mps", -0.0001, 64.2551),
    (BRAKE, "decel_mps2", -0.0001, 64.2551),
    (BRAKE, "retarder", -0.001, 1.001),
    (BODY, "implement", -1.001, 1.001),
    (SteerFeedback(0.0, 0.0, 0, 0.0), "angle_rad", -5.6, 5.6),
    (SteerFeedback(0.0, 0.0, 0, 0.0), "actuator_current_a", -0.1, 25.1),
    (DriveFeedback(0.0, 0.0, 0, 0.0), "speed_mps", -32.001, 32.001),
    (DriveFeedback(0.0, 0.0, 0, 0.0), "engine_rpm", -1.0, 8032.0),
    (DriveFeedback(0.0, 0.0, 0, 0.0), "accel_mps2", -6.3, 6.3),
    (BrakeFeedback(0.0, 0.0, ParkState.APPLIED, 0), "pressure_bar", -0.01, 642.56),
    (Motion(0.0, 0.0, 0.0, 0.0), "yaw_rate_radps", -2.001, 2.001),
    (Motion(0.0, 0.0, 0.0, 0.0), "ax_mps2", -6.3, 6.3),
    (Motion(0.0, 0.0, 0.0, 0.0), "pitch_rad", -1.002, 1.002),
    (Motion(0.0, 0.0, 0.0, 0.0), "roll_rad", -1.002, 1.002),
]


@pytest.mark.parametrize(("message", "name", "low", "high"), _NUMBERS)
@pytest.mark.requirement("HF-BUS-08")
def test_number_not_finite_or_out_of_range__encode_refuses(
    message: Any, name: str, low: float, high: float
) -> None:
    for value in (low, high, math.nan, math.inf, -math.inf, True, "1", 1e300, 10**400):
        with pytest.raises(ValueRangeError):
            encode(message._replace(**{name: value}), 0)


@pytest.mark.parametrize(
    ("message", "name", "values"),
    [
        (SUP, "mode_request", (0, 6, 7, 8, -1)),
        (SUP, "enable", (1, 0, None)),
        (SUP, "estop_request", (1, None)),
        (SUP, "fault_ack", (1, None)),
        (SUP, "session", (-1, 65536, 1.0, True)),
        (SUP, "link_age_ms", (-1, 1001, 1.5)),
        (SUP, "sequence", (-1, 65536)),
        (STEER, "rate_limit", (-1, 251, 1.0, None)),
        (STEER, "valid", (1, None)),
        (STEER, "curvature_per_m", (None,)),
        (DRIVE, "direction", (-2, 2, 0.0, None, True)),
        (DRIVE, "accel_mps2", (None,)),
        (BRAKE, "park", (1, None)),
        (BODY, "gear", (-126, 126, None)),
        (BODY, "functions", (16, -1)),
        (SteerFeedback(0.0, 0.0, 0), "limit_status", (4, 5, 7, 8, -1, True)),
        (EcuState(EcuMode.INIT, 0, ExitReason.CLEAR, 0, 0, 0), "state", (8, -1)),
        (EcuState(EcuMode.INIT, 0, ExitReason.CLEAR, 0, 0, 0), "sub_state", (16,)),
        (EcuState(EcuMode.INIT, 0, ExitReason.CLEAR, 0, 0, 0), "reason", (10, 21, 64)),
        (EcuState(EcuMode.INIT, 0, ExitReason.CLEAR, 0, 0, 0), "first_cause", (251,)),
        (EcuState(EcuMode.INIT, 0, ExitReason.CLEAR, 0, 0, 0), "timeout_bits", (32,)),
        (BrakeFeedback(0.0, 0.0, ParkState.APPLIED, 0), "source_bits", (32,)),
        (BrakeFeedback(0.0, 0.0, ParkState.APPLIED, 0), "park", (4,)),
        (E2eStat(0, 0, 0, 0, 0, 0, 0), "frame", (5, -1)),
        (E2eStat(0, 0, 0, 0, 0, 0, 0), "lost", (251, -1)),
        (E2eStat(0, 0, 0, 0, 0, 0, 0), "max_gap_ms", (1001,)),
        (Echo(0, 0, 0), "hold_us", (65536, -1)),
    ],
)
def test_field_outside_its_codes__encode_refuses(
    message: Any, name: str, values: tuple[Any, ...]
) -> None:
    for value in values:
        with pytest.raises(ValueRangeError):
            encode(message._replace(**{name: value}), 0)


@pytest.mark.parametrize("counter", [-1, 16, True])
def test_counter_outside_its_nibble__encode_refuses(counter: int) -> None:
    with pytest.raises(ValueRangeError):
        encode(SUP, counter)


def _with(spec: FrameSpec, message: Message, at: int, raw: int, size: str) -> bytes:
    _, data = encode(message, 0)
    body = bytearray(data)
    struct.pack_into(f"<{size}", body, at, raw)
    return _sealed(spec, bytes(body[2:]), body[1])


_WIDE_U16: list[tuple[int, type[DbwError]]] = [
    (0xFB00, ReservedValueError),
    (0xFDFF, ReservedValueError),
]
_U16_NOTHING: list[tuple[int, type[DbwError]]] = [
    (0xFE00, ErrorIndicatedError),
    (0xFEFF, ErrorIndicatedError),
]
_U16_ABSENT: list[tuple[int, type[DbwError]]] = [
    (0xFF00, NotAvailableError),
    (0xFFFF, NotAvailableError),
]


@pytest.mark.parametrize(
    ("message", "at"), [(STEER, 2), (DRIVE, 4), (BRAKE, 2)], ids=["curvature", "limit", "decel"]
)
@pytest.mark.parametrize(("raw", "error"), _WIDE_U16 + _U16_NOTHING + _U16_ABSENT)
def test_wide_command_code_without_a_value__refused_by_name(
    message: Message, at: int, raw: int, error: type[DbwError]
) -> None:
    spec = codec.spec_of(type(message))
    with pytest.raises(error):
        decode(spec.can_id, _with(spec, message, at, raw, "H"))


@pytest.mark.parametrize(
    ("raw", "error"),
    [
        (-32768, ReservedValueError),
        (-32001, ReservedValueError),
        (32001, ReservedValueError),
        (32765, ReservedValueError),
        (32766, ErrorIndicatedError),
        (32767, NotAvailableError),
    ],
)
def test_signed_command_code_without_a_value__refused_by_name(
    raw: int, error: type[DbwError]
) -> None:
    with pytest.raises(error):
        decode(matrix.DRIVE_CMD.can_id, _with(matrix.DRIVE_CMD, DRIVE, 2, raw, "h"))


@pytest.mark.parametrize(
    ("message", "at", "raw", "error"),
    [
        (SUP, 2, 0x1B, InverseMismatchError),
        (SUP, 2, 0x03, InverseMismatchError),
        (SUP, 2, 0x08, ReservedValueError),
        (SUP, 2, 0x0E, ReservedValueError),
        (SUP, 2, 0x0F, ReservedValueError),
        (SUP, 2, 0x4B, ErrorIndicatedError),
        (SUP, 2, 0x6B, NotAvailableError),
        (SUP, 5, 251, ReservedValueError),
        (STEER, 4, 251, ReservedValueError),
        (STEER, 4, 254, ErrorIndicatedError),
        (STEER, 4, 255, NotAvailableError),
        (STEER, 5, 0x05, UnsupportedKindError),
        (STEER, 5, 0x07, UnsupportedKindError),
        (STEER, 5, 0x08, ErrorIndicatedError),
        (STEER, 5, 0x0C, NotAvailableError),
        (STEER, 5, 0x14, ReservedBitsError),
        (STEER, 6, 252, ReservedValueError),
        (STEER, 7, 1, ReservedBitsError),
        (DRIVE, 6, 0x03, NotAvailableError),
        (DRIVE, 6, 0x05, UnsupportedKindError),
        (DRIVE, 6, 0x11, ReservedBitsError),
        (DRIVE, 7, 0x80, ReservedBitsError),
        (BRAKE, 4, 0x02, ErrorIndicatedError),
        (BRAKE, 4, 0x03, NotAvailableError),
        (BRAKE, 4, 0x04, UnsupportedKindError),
        (BRAKE, 4, 0x10, ReservedBitsError),
        (BRAKE, 5, 251, ReservedValueError),
        (BRAKE, 6, 1, ReservedBitsError),
        (BODY, 2, 126, ErrorIndicatedError),
        (BODY, 2, 127, NotAvailableError),
        (BODY, 2, 0x80, ReservedValueError),
        (BODY, 3, 0x02, ErrorIndicatedError),
        (BODY, 3, 0x0C, NotAvailableError),
        (BODY, 4, 0x02, ErrorIndicatedError),
        (BODY, 5, 255, NotAvailableError),
        (BODY, 6, 1, ReservedBitsError),
    ],
)
def test_command_byte_without_a_meaning__refused_by_name(
    message: Message, at: int, raw: int, error: type[DbwError]
) -> None:
    spec = codec.spec_of(type(message))
    with pytest.raises(error):
        decode(spec.can_id, _with(spec, message, at, raw, "B"))


@pytest.mark.parametrize(
    ("message", "at", "raw"),
    [
        (EcuState(EcuMode.INIT, 0, ExitReason.CLEAR, 0, 0, 0), 2, 0x08),
        (EcuState(EcuMode.INIT, 0, ExitReason.CLEAR, 0, 0, 0), 3, 10),
        (EcuState(EcuMode.INIT, 0, ExitReason.CLEAR, 0, 0, 0), 4, 251),
        (EcuState(EcuMode.INIT, 0, ExitReason.CLEAR, 0, 0, 0), 5, 0x20),
        (SteerFeedback(0.0, 0.0, 0), 7, 4),
        (SteerFeedback(0.0, 0.0, 0), 7, 5),
        (SteerFeedback(0.0, 0.0, 0), 7, 8),
        (SteerFeedback(0.0, 0.0, 0), 5, 0xFB),
        (DriveFeedback(0.0, 0.0, 0, 0.0), 6, 0x80),
        (BrakeFeedback(0.0, 0.0, ParkState.APPLIED, 0), 6, 4),
        (BrakeFeedback(0.0, 0.0, ParkState.APPLIED, 0), 7, 0x20),
        (BODY_FB, 2, 251),
        (BODY_FB, 3, 0x02),
        (BODY_FB, 4, 0x10),
        (BODY_FB, 6, 1),
        (BODY_FB, 7, 1),
        (SAFETY, 2, 0x20),
        (SAFETY, 3, 0x02),
        (SAFETY, 3, 0x20),
        (SAFETY, 3, 0x40),
        (SAFETY, 4, 251),
        (SAFETY, 5, 1),
        (SAFETY, 7, 1),
    ],
)
def test_feedback_byte_without_a_meaning__refused(message: Message, at: int, raw: int) -> None:
    spec = codec.spec_of(type(message))
    with pytest.raises(DbwError):
        decode(spec.can_id, _with(spec, message, at, raw, "B"))


@pytest.mark.parametrize("nibble", range(1, 16))
def test_mode_nibble_not_zero__reserved_bits(nibble: int) -> None:
    _, data = encode(DRIVE, 0)
    with pytest.raises(ReservedBitsError):
        decode(matrix.DRIVE_CMD.can_id, _sealed(matrix.DRIVE_CMD, data[2:], nibble << 4))


@pytest.mark.parametrize("index", range(5, 16))
def test_stat_of_no_command_frame__reserved(index: int) -> None:
    with pytest.raises(ReservedValueError):
        decode(matrix.E2E_STAT.can_id, _sealed(matrix.E2E_STAT, bytes(6), index << 4))


def test_echo_with_bits_in_its_spare_bytes__reserved_bits() -> None:
    with pytest.raises(ReservedBitsError):
        decode(matrix.ECHO.can_id, b"\1" + bytes(7))


def test_error_and_absent_of_feedback__are_none() -> None:
    for raw in (0xFE00, 0xFEFF, 0xFF00, 0xFFFF):
        data = _with(matrix.STEER_FB, SteerFeedback(0.0, 0.0, 0), 4, raw, "H")
        message = decode(matrix.STEER_FB.can_id, data)
        assert isinstance(message, SteerFeedback)
        assert message.curvature_per_m is None


@pytest.mark.requirement("HF-BUS-05")
def test_curvature_to_the_left__is_negative_on_the_bus_only() -> None:
    can_id, data = encode(SteerCommand(0.1, 0, True), 0)
    signals = DATABASE.get_message_by_frame_id(can_id).decode(data)
    assert signals["CurvatureCommand"] == -100.0
    message = decode(can_id, data)
    assert isinstance(message, SteerCommand)
    assert message.curvature_per_m == 0.1


def test_angle_and_yaw_to_the_left__stay_positive_on_the_bus() -> None:
    steer = encode(SteerFeedback(0.1, 0.1, 0), 0)
    motion = encode(Motion(0.1, 0.0, 0.0, 0.0), 0)
    assert DATABASE.decode_message(*steer)["SteerAngle"] > 0
    assert DATABASE.decode_message(*motion)["YawRate"] > 0


def test_straight_ahead__is_plain_zero_and_iso_raw_0x7d80() -> None:
    can_id, data = encode(SteerCommand(0.0, 0, True), 0)
    message = decode(can_id, data)
    assert data[2:4] == b"\x80\x7d"
    assert isinstance(message, SteerCommand)
    assert math.copysign(1.0, message.curvature_per_m) == 1.0


@pytest.mark.parametrize(("age_ms", "sent_ms"), [(0, 0), (1, 4), (4, 4), (5, 8), (1000, 1000)])
def test_link_age__is_never_sent_younger(age_ms: int, sent_ms: int) -> None:
    message = decode(*encode(SUP._replace(link_age_ms=age_ms), 0))
    assert isinstance(message, SupCommand)
    assert message.link_age_ms == sent_ms


def test_golden_bytes__do_not_change() -> None:
    assert encode(SUP, 1) == (0x04FF1080, bytes.fromhex(GOLDEN["SUP_CMD"]))
    assert encode(STEER, 2) == (0x08FF1280, bytes.fromhex(GOLDEN["STEER_CMD"]))
    assert encode(DRIVE, 3) == (0x08FF1180, bytes.fromhex(GOLDEN["DRIVE_CMD"]))
    assert encode(BRAKE, 4) == (0x04FF1380, bytes.fromhex(GOLDEN["BRAKE_CMD"]))


GOLDEN = {
    "SUP_CMD": "61 01 0B 07 00 03 63 00",
    "STEER_CMD": "BF 02 8C 7B 2D 04 FF 00",
    "DRIVE_CMD": "41 03 F4 01 88 13 01 00",
    "BRAKE_CMD": "2B 04 E8 03 00 7D 00 00",
}
