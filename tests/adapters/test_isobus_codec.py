"""The ISOBUS groups: vectors by hand, cantools by the DBC, every refusal, and the heartbeat."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cantools
import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.dbw.codec import ExitReason
from protocol.dbw.errors import (
    ErrorIndicatedError,
    FrameLengthError,
    NotAvailableError,
    ReservedValueError,
    ValueRangeError,
)
from protocol.isobus import codec
from protocol.isobus.codec import (
    Beat,
    GuidanceState,
    SelectedSpeed,
    SpeedCommand,
    Steering,
    WheelSpeed,
)

DBC: Any = cantools.database.load_file(
    Path(__file__).parents[2] / "configs" / "dbc" / "isobus_adapter.dbc"
)
CODES = {False: 0, True: 1, None: 3}
FLAGS = st.sampled_from([False, True, None])


def seen(name: str, data: bytes) -> dict[str, Any]:
    decoded: dict[str, Any] = DBC.get_message_by_name(name).decode(data, decode_choices=False)
    return decoded


@pytest.mark.parametrize(
    ("curvature_per_m", "steering", "data"),
    [
        # Zero is 32128 = 0x7D80 (reference/hil.md 1.2); 0.1/m to the left is 400 counts less.
        (0.0, Steering.INTENDED, "807DFDFFFFFFFFFF"),
        (0.0, Steering.NOT_INTENDED, "807DFCFFFFFFFFFF"),
        (0.1, Steering.INTENDED, "F07BFDFFFFFFFFFF"),
        (-0.1, Steering.INTENDED, "107FFDFFFFFFFFFF"),
        (8.032, Steering.INTENDED, "0000FDFFFFFFFFFF"),
        (-8.03175, Steering.INTENDED, "FFFAFDFFFFFFFFFF"),
    ],
)
def test_guidance__vector(curvature_per_m: float, steering: Steering, data: str) -> None:
    whole = bytes.fromhex(data)
    assert codec.encode_guidance(curvature_per_m, steering) == whole
    back, status = codec.decode_guidance(whole)
    assert back == pytest.approx(curvature_per_m)
    assert status is steering
    assert seen("GuidanceSystemCommand", whole)["CurvatureCommand"] == pytest.approx(
        -1000 * curvature_per_m
    )


@pytest.mark.requirement("HF-ADPT-03")
@pytest.mark.parametrize("curvature_per_m", [8.0324, -8.032, 100.0, float("nan")])
def test_curvature_beyond_its_codes__is_refused_and_no_reserved_code_is_sent(
    curvature_per_m: float,
) -> None:
    with pytest.raises(ValueRangeError, match=r"^curvature: "):
        codec.encode_guidance(curvature_per_m, Steering.INTENDED)


@pytest.mark.requirement("HF-ADPT-03")
@pytest.mark.parametrize(
    ("data", "error"),
    [
        ("00FBFDFFFFFFFFFF", ReservedValueError),
        ("00FEFDFFFFFFFFFF", ErrorIndicatedError),
        ("FFFFFDFFFFFFFFFF", NotAvailableError),
        ("807DFEFFFFFFFFFF", ErrorIndicatedError),
        ("807DFFFFFFFFFFFF", NotAvailableError),
    ],
)
def test_guidance_that_is_none__is_refused(data: str, error: type[Exception]) -> None:
    with pytest.raises(error, match=r"^(curvature|guidance status): "):
        codec.decode_guidance(bytes.fromhex(data))


@given(
    curvature_per_m=st.floats(-8.03175, 8.032) | st.none(),
    locked=FLAGS,
    ready=FLAGS,
    limit=st.integers(0, 6) | st.none(),
    reason=st.sampled_from(ExitReason),
)
def test_guidance_state__is_what_cantools_reads(
    curvature_per_m: float | None,
    locked: bool | None,
    ready: bool | None,
    limit: int | None,
    reason: ExitReason,
) -> None:
    data = codec.encode_guidance_state(GuidanceState(curvature_per_m, locked, ready, limit, reason))
    read = seen("GuidanceMachineInfo", data)
    assert read["MechanicalLockout"] == CODES[locked]
    assert read["SteeringReadiness"] == CODES[ready]
    assert read["LimitStatus"] == (7 if limit is None else limit)
    assert read["GuidanceExitReason"] == reason
    assert (data[2] | 0x0F, data[3] | 0xE0, data[4] | 0x3F) == (0xFF, 0xFF, 0xFF)
    assert data[5:] == b"\xff" * 3
    back = codec.decode_guidance_state(data)
    assert (back.locked_out, back.ready, back.limit_status) == (locked, ready, limit)
    assert back.exit_reason is reason
    assert back.curvature_per_m == (
        None if curvature_per_m is None else pytest.approx(curvature_per_m, abs=0.000126)
    )


def test_limit_status__has_three_bits_and_a_fault_is_a_fault() -> None:
    state = GuidanceState(0.0, False, True, 6, ExitReason.CLEAR)
    assert codec.decode_guidance_state(codec.encode_guidance_state(state)).limit_status == 6
    with pytest.raises(ValueRangeError, match=r"^limit status: 7 is not one of 0…6$"):
        codec.encode_guidance_state(GuidanceState(0.0, False, True, 7, ExitReason.CLEAR))


@pytest.mark.parametrize("code", [10, 21, 27, 61])
def test_reserved_exit_reason__is_refused(code: int) -> None:
    state = codec.encode_guidance_state(GuidanceState(0.0, False, True, 0, ExitReason.CLEAR))
    with pytest.raises(ReservedValueError, match=f"^exit reason: code {code} is reserved$"):
        codec.decode_guidance_state(state[:4] + bytes((0xC0 | code,)) + state[5:])
    told = codec.encode_selected_speed(SelectedSpeed(1.0, ExitReason.CLEAR, True))
    with pytest.raises(ReservedValueError, match=r"^exit reason: "):
        codec.decode_selected_speed(told[:6] + bytes((code,)) + told[7:])


@given(
    limit_mps=st.floats(0, 64.255),
    share=st.floats(0, 1),
    forwards=st.booleans(),
)
def test_speed_command__is_what_cantools_reads(
    limit_mps: float, share: float, forwards: bool
) -> None:
    command = SpeedCommand(share * limit_mps, limit_mps, forwards)
    data = codec.encode_speed_command(command)
    read = seen("MachineSelectedSpeedCommand", data)
    assert read["SpeedSetPoint"] == pytest.approx(command.set_point_mps, abs=0.00051)
    assert read["SpeedLimit"] == pytest.approx(limit_mps, abs=0.00051)
    assert read["DirectionCommand"] == int(forwards)
    assert (data[4:7], data[7] | 0x03) == (b"\xff\xff\xff", 0xFF)
    back = codec.decode_speed_command(data)
    assert back.set_point_mps == pytest.approx(command.set_point_mps, abs=0.00051)
    assert back.limit_mps == pytest.approx(limit_mps, abs=0.00051)
    assert back.forwards is forwards


def test_speed_command__vector() -> None:
    data = bytes.fromhex("DC05A00FFFFFFFFD")  # 1.5 m/s of at most 4 m/s, forwards
    assert codec.encode_speed_command(SpeedCommand(1.5, 4.0, True)) == data
    assert codec.decode_speed_command(data) == SpeedCommand(1.5, 4.0, True)


@pytest.mark.parametrize(
    ("data", "error", "said"),
    [
        ("00FBA00FFFFFFFFD", ReservedValueError, "speed: "),
        ("00FEA00FFFFFFFFD", ErrorIndicatedError, "speed: "),
        ("FFFFA00FFFFFFFFD", NotAvailableError, "speed: "),
        ("DC0500FEFFFFFFFD", ErrorIndicatedError, "speed: "),
        ("DC05FFFFFFFFFFFD", NotAvailableError, "speed: "),
        ("DC05A00FFFFFFFFE", ErrorIndicatedError, "direction: "),
        ("DC05A00FFFFFFFFF", NotAvailableError, "direction: "),
        ("A10FA00FFFFFFFFD", ValueRangeError, "speed command: the set point lies above"),
    ],
)
def test_speed_command_that_is_none__is_refused(
    data: str, error: type[Exception], said: str
) -> None:
    with pytest.raises(error, match=f"^{said}"):
        codec.decode_speed_command(bytes.fromhex(data))


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (SpeedCommand(4.001, 4.0, True), "speed command: the set point lies above the limit$"),
        (SpeedCommand(-0.001, 4.0, True), "speed: "),
        (SpeedCommand(1.0, 64.256, True), "speed: "),
        (SpeedCommand(float("nan"), 4.0, True), "speed: "),
    ],
)
def test_speed_command_that_cannot_be_said__is_not_sent(command: SpeedCommand, said: str) -> None:
    with pytest.raises(ValueRangeError, match=f"^{said}"):
        codec.encode_speed_command(command)


def test_set_point_at_its_limit__is_sent_and_taken() -> None:
    command = SpeedCommand(4.0, 4.0, False)
    assert codec.decode_speed_command(codec.encode_speed_command(command)) == command


@given(
    speed_mps=st.floats(0, 64.255) | st.none(),
    reason=st.sampled_from(ExitReason),
    forwards=FLAGS,
    key=FLAGS,
)
def test_speeds_told__are_what_cantools_reads(
    speed_mps: float | None, reason: ExitReason, forwards: bool | None, key: bool | None
) -> None:
    near = None if speed_mps is None else pytest.approx(speed_mps, abs=0.00051)
    data = codec.encode_selected_speed(SelectedSpeed(speed_mps, reason, forwards))
    read = seen("MachineSelectedSpeed", data)
    assert (read["SpeedExitReason"], read["SelectedDirection"]) == (reason, CODES[forwards])
    assert (data[2:6], data[6] | 0x3F, data[7] | 0x03) == (b"\xff" * 4, 0xFF, 0xFF)
    selected = codec.decode_selected_speed(data)
    assert (selected.speed_mps, selected.exit_reason) == (near, reason)
    assert selected.forwards is forwards
    data = codec.encode_wheel_speed(WheelSpeed(speed_mps, forwards, key))
    read = seen("WheelBasedSpeed", data)
    assert (read["WheelDirection"], read["KeySwitch"]) == (CODES[forwards], CODES[key])
    assert (data[2:7], data[7] | 0x0F) == (b"\xff" * 5, 0xFF)
    wheels = codec.decode_wheel_speed(data)
    assert (wheels.speed_mps, wheels.forwards, wheels.key_on) == (near, forwards, key)


def test_speed_told__vector() -> None:
    told = codec.encode_wheel_speed(WheelSpeed(1.5, True, False))
    assert told == bytes.fromhex("DC05FFFFFFFFFFF1")
    picked = codec.encode_selected_speed(SelectedSpeed(1.5, ExitReason.COMMAND_TIMEOUT, True))
    assert picked == bytes.fromhex("DC05FFFFFFFFC5FD")


@pytest.mark.parametrize("cut", range(8))
def test_every_prefix__is_refused(cut: int) -> None:
    decoders = {
        "guidance command": codec.decode_guidance,
        "guidance machine info": codec.decode_guidance_state,
        "speed command": codec.decode_speed_command,
        "selected speed": codec.decode_selected_speed,
        "wheel speed": codec.decode_wheel_speed,
    }
    for name, decode in decoders.items():
        with pytest.raises(FrameLengthError, match=f"^{name}: {cut} bytes, not 8$"):
            decode(bytes(cut))


@pytest.mark.parametrize(
    ("said", "decode"),
    [
        ("curvature", codec.decode_guidance_state),
        ("speed", codec.decode_selected_speed),
        ("speed", codec.decode_wheel_speed),
    ],
)
def test_reserved_code_in_what_is_told__is_refused(said: str, decode: Any) -> None:
    with pytest.raises(ReservedValueError, match=f"^{said}: code 0xfbff is reserved$"):
        decode(bytes.fromhex("FFFBFFFFFFFFFFFF"))


def test_group_numbers__are_the_published_ones() -> None:
    assert (codec.GUIDANCE_COMMAND, codec.GUIDANCE_STATE) == (44288, 44032)
    assert (codec.SPEED_COMMAND, codec.SELECTED_SPEED) == (64835, 61474)
    assert (codec.WHEEL_SPEED, codec.HEARTBEAT) == (65096, 61668)


# Heartbeat


def test_heartbeat__begins_with_251_and_wraps_from_250_to_0() -> None:
    assert [codec.next_beat(beat) for beat in (251, 0, 1, 249, 250)] == [0, 1, 2, 250, 0]
    assert (codec.BEAT_FIRST, codec.BEAT_LAST) == (251, 250)
    assert (codec.BEAT_ERROR, codec.BEAT_SHUTDOWN) == (254, 255)


def test_whole_round__is_alive_at_every_step() -> None:
    beat, last, said = 251, None, set()
    for _ in range(600):
        judged, last = codec.judge_beat(last, codec.encode_beat(beat))
        said.add(judged)
        beat = codec.next_beat(beat)
    assert said == {Beat.ALIVE}


@pytest.mark.parametrize(
    ("last", "beat", "judged"),
    [
        (None, 17, Beat.ALIVE),
        (None, 0, Beat.ALIVE),
        (17, 18, Beat.ALIVE),
        (17, 17, Beat.REPEATED),
        (17, 19, Beat.JUMPED),
        (17, 16, Beat.JUMPED),
        (250, 0, Beat.ALIVE),
        (250, 1, Beat.JUMPED),
        (251, 0, Beat.ALIVE),
        (251, 1, Beat.JUMPED),
        (251, 251, Beat.REPEATED),
        (17, 251, Beat.ALIVE),
        (0, 1, Beat.ALIVE),
        (0, 2, Beat.JUMPED),
        (17, 254, Beat.ERROR),
        (254, 254, Beat.ERROR),
        (17, 255, Beat.SHUTDOWN),
        (255, 255, Beat.SHUTDOWN),
        (254, 17, Beat.ALIVE),
        (255, 17, Beat.ALIVE),
    ],
)
def test_beat__says(last: int | None, beat: int, judged: Beat) -> None:
    assert codec.judge_beat(last, bytes((beat,))) == (judged, beat)


@pytest.mark.parametrize("beat", [252, 253])
def test_reserved_beat__is_neither_sent_nor_taken(beat: int) -> None:
    with pytest.raises(ValueRangeError, match=f"^heartbeat: {beat} has no meaning$"):
        codec.encode_beat(beat)
    with pytest.raises(ReservedValueError, match=f"^heartbeat: {beat} is reserved$"):
        codec.judge_beat(1, bytes((beat,)))


@pytest.mark.parametrize("beat", [-1, 256])
def test_beat_that_is_no_byte__is_refused(beat: int) -> None:
    with pytest.raises(ValueRangeError, match="has no meaning"):
        codec.encode_beat(beat)


@pytest.mark.parametrize("beat", [0, 250, 251, 254, 255])
def test_beat_with_a_meaning__is_one_byte(beat: int) -> None:
    assert codec.encode_beat(beat) == bytes((beat,))


@pytest.mark.parametrize("length", [0, 2, 8])
def test_heartbeat_of_another_length__is_refused(length: int) -> None:
    with pytest.raises(FrameLengthError, match=f"^heartbeat: {length} bytes, not 1$"):
        codec.judge_beat(None, bytes(length))


def test_words_of_a_heartbeat__are_these() -> None:
    words = ["alive", "repeated", "jumped", "error", "shutdown"]
    assert [beat.value for beat in Beat] == words
