"""The J1939 groups: published vectors, cantools by the DBC, and every refusal."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cantools
import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.dbw.errors import (
    CrcError,
    ErrorIndicatedError,
    FrameLengthError,
    NotAvailableError,
    ReservedValueError,
    ValueRangeError,
)
from protocol.j1939 import codec
from protocol.j1939.codec import (
    BrakeDemand,
    BrakeMode,
    BrakePedal,
    Checksum,
    EngineCommand,
    EngineState,
    OverrideMode,
    VehicleSpeed,
)

DBC: Any = cantools.database.load_file(
    Path(__file__).parents[2] / "configs" / "dbc" / "j1939_adapter.dbc"
)
TSC1_ID, XBR_ID = 0x0C000027, 0x0C040B2A
A, B, NONE = Checksum.A, Checksum.B, Checksum.NONE
FAST = EngineCommand(OverrideMode.SPEED, speed_rpm=1200.0)
SLOW = BrakeDemand(BrakeMode.ADDITION, 2.0)
RAW: dict[str, Any] = {"decode_choices": False, "scaling": False}


def seen(name: str, data: bytes) -> dict[str, Any]:
    decoded: dict[str, Any] = DBC.get_message_by_name(name).decode(data, decode_choices=False)
    return decoded


def resealed(data: bytes, changes: dict[int, int], variant: Checksum = A) -> bytes:
    """Another frame whose checksum is right."""
    body = bytearray(data)
    for at, byte in changes.items():
        body[at] = byte
    counter = body[7] & 0x0F
    body[7] = codec.tsc1_checksum(TSC1_ID, bytes(body), counter, variant) << 4 | counter
    return bytes(body)


def resealed_xbr(data: bytes, changes: dict[int, int]) -> bytes:
    body = bytearray(data)
    for at, byte in changes.items():
        body[at] = byte
    counter = body[7] & 0x0F
    body[7] = codec.xbr_checksum(XBR_ID, bytes(body), counter) << 4 | counter
    return bytes(body)


# Golden vectors: reference/hil.md 1.1


@pytest.mark.parametrize(
    ("variant", "counter", "last"),
    [(A, 0, 0x00), (A, 1, 0x11), (A, 7, 0x07), (B, 0, 0x40), (B, 1, 0x51), (B, 7, 0x47)],
)
def test_tsc1__published_vector(variant: Checksum, counter: int, last: int) -> None:
    whole = bytes.fromhex("F18025FFFFFFFF") + bytes((last,))
    assert codec.encode_tsc1(TSC1_ID, FAST, counter, variant) == whole
    assert codec.decode_tsc1(TSC1_ID, whole, variant) == (FAST, counter)


@pytest.mark.parametrize(("counter", "last"), [(0, 0xC0), (1, 0xD1), (15, 0xCF)])
def test_xbr__published_vector(counter: int, last: int) -> None:
    whole = bytes.fromhex("7F6DD0FFFFFFFF") + bytes((last,))
    assert codec.encode_xbr(XBR_ID, SLOW, counter) == whole
    demand, counted = codec.decode_xbr(XBR_ID, whole)
    assert counted == counter
    assert (demand.mode, demand.priority) == (BrakeMode.ADDITION, 0)
    assert demand.decel_mps2 == pytest.approx(2.0, abs=1 / 2048)


def test_no_braking__is_the_published_zero() -> None:
    data = codec.encode_xbr(XBR_ID, BrakeDemand(BrakeMode.OFF), 0)
    assert int.from_bytes(data[:2], "little") == 32127
    assert codec.decode_xbr(XBR_ID, data)[0] == BrakeDemand(BrakeMode.OFF, 0.0, 0)


def test_zero_of_a_sender_that_counts_in_1_4096__is_refused_and_never_an_acceleration() -> None:
    data = resealed_xbr(codec.encode_xbr(XBR_ID, SLOW, 3), {0: 64254 & 0xFF, 1: 64254 >> 8})
    with pytest.raises(ValueRangeError, match=r"^XBR: \+15.687 m/s² would accelerate$"):
        codec.decode_xbr(XBR_ID, data)


@pytest.mark.parametrize("raw", [32129, 32130])
def test_demand_more_than_a_count_above_zero__is_refused(raw: int) -> None:
    data = resealed_xbr(codec.encode_xbr(XBR_ID, SLOW, 3), {0: raw & 0xFF, 1: raw >> 8})
    with pytest.raises(ValueRangeError, match="would accelerate"):
        codec.decode_xbr(XBR_ID, data)


@pytest.mark.parametrize("raw", [32126, 32127, 32128])
def test_demand_within_a_count_of_zero__brakes_by_no_more_than_it(raw: int) -> None:
    data = resealed_xbr(codec.encode_xbr(XBR_ID, SLOW, 3), {0: raw & 0xFF, 1: raw >> 8})
    assert 0.0 <= codec.decode_xbr(XBR_ID, data)[0].decel_mps2 <= 1 / 2048


@pytest.mark.parametrize("code", [0xFB00, 0xFE00, 0xFF00])
def test_brake_demand_that_is_no_value__is_refused(code: int) -> None:
    data = resealed_xbr(codec.encode_xbr(XBR_ID, SLOW, 3), {0: code & 0xFF, 1: code >> 8})
    with pytest.raises(
        (ReservedValueError, ErrorIndicatedError, NotAvailableError), match="external acceleration"
    ):
        codec.decode_xbr(XBR_ID, data)


# By the DBC


@given(
    speed_rpm=st.floats(0, 8031.875),
    torque_share=st.floats(-1.25, 1.25),
    priority=st.integers(0, 3),
    counter=st.integers(0, 7),
    mode=st.sampled_from(OverrideMode),
)
def test_tsc1__is_what_cantools_reads(
    speed_rpm: float, torque_share: float, priority: int, counter: int, mode: OverrideMode
) -> None:
    command = EngineCommand(mode, speed_rpm, torque_share, priority)
    data = codec.encode_tsc1(TSC1_ID, command, counter, A)
    read = seen("TSC1", data)
    assert read["EngOverrideCtrlMode"] == mode
    assert read["EngRqedSpeedCtrlConditions"] == 0
    assert read["OverrideCtrlModePriority"] == priority
    assert read["EngRqedSpeed"] == pytest.approx(speed_rpm, abs=0.0626)
    assert read["EngRqedTorque"] == pytest.approx(100 * torque_share, abs=0.501)
    assert read["Tsc1Counter"] == counter
    assert (read["Tsc1Rate"], read["Tsc1Purpose"], read["EngRqedTorqueHighRes"]) == (7, 31, 255)
    back, counted = codec.decode_tsc1(TSC1_ID, data, A)
    assert (back.mode, back.priority, counted) == (mode, priority, counter)
    assert back.torque_share == pytest.approx(torque_share, abs=0.00501)
    assert back.speed_rpm == pytest.approx(speed_rpm, abs=0.0626)


@given(
    decel_mps2=st.floats(0, 15.687),
    priority=st.integers(0, 3),
    counter=st.integers(0, 15),
    mode=st.sampled_from(BrakeMode),
)
def test_xbr__is_what_cantools_reads(
    decel_mps2: float, priority: int, counter: int, mode: BrakeMode
) -> None:
    data = codec.encode_xbr(XBR_ID, BrakeDemand(mode, decel_mps2, priority), counter)
    read = seen("XBR", data)
    assert read["ExternalAccelDemand"] == pytest.approx(-decel_mps2, abs=0.51 / 2048)
    assert (read["XbrCtrlMode"], read["XbrPriority"], read["XbrEbiMode"]) == (mode, priority, 0)
    assert (read["XbrCounter"], read["XbrUrgency"]) == (counter, pytest.approx(102.0))
    assert data[4:7] == b"\xff\xff\xff"
    back, counted = codec.decode_xbr(XBR_ID, data)
    assert (back.mode, back.priority, counted) == (mode, priority, counter)
    assert back.decel_mps2 == pytest.approx(decel_mps2, abs=0.51 / 2048)


@pytest.mark.parametrize("gear", [-125, -1, 0, 1, 7, 125])
def test_gears__are_what_cantools_reads(gear: int) -> None:
    asked, engaged = codec.encode_tc1(gear), codec.encode_etc2(gear)
    assert seen("TC1", asked)["RqedGear"] == gear == codec.decode_tc1(asked)
    assert seen("ETC2", engaged)["CurrentGear"] == gear == codec.decode_etc2(engaged)
    assert asked[:2] + asked[3:] == b"\xff" * 7
    assert engaged[:3] + engaged[4:] == b"\xff" * 7


def test_engine__is_what_cantools_reads() -> None:
    data = codec.encode_eec1(EngineState(-0.25, 1850.5))
    read = seen("EEC1", data)
    assert (read["ActualEngPercentTorque"], read["EngSpeed"]) == (-25, 1850.5)
    assert data[:2] + data[5:] == b"\xff" * 5
    assert codec.decode_eec1(data) == EngineState(-0.25, 1850.5)


@pytest.mark.parametrize(("park", "brake"), [(True, False), (False, True), (None, None)])
def test_speed__is_what_cantools_reads(park: bool | None, brake: bool | None) -> None:
    data = codec.encode_ccvs1(VehicleSpeed(10.0, park, brake))
    read = seen("CCVS1", data)
    codes = {False: 0, True: 1, None: 3}
    assert read["WheelBasedVehicleSpeed"] == pytest.approx(36.0, abs=0.002)
    assert (read["ParkingBrakeSwitch"], read["BrakeSwitch"]) == (codes[park], codes[brake])
    assert (data[0] | 0x0C, data[3] | 0x30, data[4:]) == (0xFF, 0xFF, b"\xff" * 4)
    back = codec.decode_ccvs1(data)
    assert back.speed_mps == pytest.approx(10.0, abs=0.0006)
    assert (back.park_applied, back.brake_pressed) == (park, brake)


@pytest.mark.parametrize("switch", [True, False, None])
def test_pedal__is_what_cantools_reads(switch: bool | None) -> None:
    data = codec.encode_ebc1(BrakePedal(0.5, switch))
    read = seen("EBC1", data)
    assert read["BrakePedalPosition"] == pytest.approx(50.0)
    assert read["EbsBrakeSwitch"] == {False: 0, True: 1, None: 3}[switch]
    assert (data[0] | 0xC0, data[2:]) == (0xFF, b"\xff" * 6)
    assert codec.decode_ebc1(data) == BrakePedal(0.5, switch)


def test_group_numbers__are_the_published_ones() -> None:
    by_name = {m.name: m.frame_id >> 8 & 0x3FFFF for m in DBC.messages}
    ours = {"TSC1": 0, "TC1": 0x103, "XBR": 0x40B, "EEC1": 61444}
    ours |= {"EBC1": 61441, "CCVS1": 65265, "ETC2": 61445}
    assert by_name == ours
    assert (codec.TSC1, codec.TC1, codec.XBR) == (0, 256, 1024)
    assert (codec.EEC1, codec.EBC1, codec.ETC2, codec.CCVS1) == (61444, 61441, 61445, 65265)
    assert (codec.TSC1_COUNTERS, codec.XBR_COUNTERS, codec.NO_COUNTER) == (8, 16, 15)


# Refusals


@pytest.mark.parametrize("variant", [A, B])
def test_tsc1_with_the_other_checksum__is_refused(variant: Checksum) -> None:
    other = B if variant is A else A
    data = codec.encode_tsc1(TSC1_ID, FAST, 0, other)
    with pytest.raises(CrcError, match=r"^TSC1: checksum \d does not fit$"):
        codec.decode_tsc1(TSC1_ID, data, variant)


@pytest.mark.parametrize("at", range(7))
def test_one_byte_changed_by_one__is_refused(at: int) -> None:
    spoiled = bytearray(codec.encode_tsc1(TSC1_ID, FAST, 2, A))
    spoiled[at] ^= 1
    with pytest.raises(CrcError):
        codec.decode_tsc1(TSC1_ID, bytes(spoiled), A)
    spoiled = bytearray(codec.encode_xbr(XBR_ID, SLOW, 2))
    spoiled[at] ^= 1
    with pytest.raises(CrcError, match=r"^XBR: checksum \d+ does not fit$"):
        codec.decode_xbr(XBR_ID, bytes(spoiled))


def test_content_under_another_id__is_refused() -> None:
    with pytest.raises(CrcError):
        codec.decode_tsc1(TSC1_ID + 1, codec.encode_tsc1(TSC1_ID, FAST, 0, A), A)
    with pytest.raises(CrcError):
        codec.decode_xbr(XBR_ID + 1, codec.encode_xbr(XBR_ID, SLOW, 0))


@pytest.mark.parametrize("counter", [8, 15])
def test_reserved_counter__is_refused(counter: int) -> None:
    data = codec.encode_tsc1(TSC1_ID, FAST, 0, A)[:7] + bytes((counter,))
    with pytest.raises(ReservedValueError, match=f"^TSC1: counter {counter} is reserved$"):
        codec.decode_tsc1(TSC1_ID, data, A)


def test_profile_without_counter__knows_none_and_takes_none() -> None:
    data = codec.encode_tsc1(TSC1_ID, FAST, 5, NONE)
    assert data == bytes.fromhex("F18025FFFFFFFFFF")
    assert codec.decode_tsc1(TSC1_ID, data, NONE) == (FAST, codec.NO_COUNTER)
    with pytest.raises(ReservedValueError, match=r"^TSC1: this engine's profile knows no counter$"):
        codec.decode_tsc1(TSC1_ID, codec.encode_tsc1(TSC1_ID, FAST, 5, A), NONE)


@pytest.mark.parametrize(
    ("mode", "speed", "torque"),
    [
        (OverrideMode.SPEED, None, 0.5),
        (OverrideMode.TORQUE, 1000.0, None),
        (OverrideMode.LIMIT, None, 0.5),
        (OverrideMode.LIMIT, 1000.0, None),
    ],
)
def test_mode_without_its_value__is_neither_sent_nor_taken(
    mode: OverrideMode, speed: float | None, torque: float | None
) -> None:
    with pytest.raises(ValueRangeError, match=f"^TSC1: mode {mode.name} without its value$"):
        codec.encode_tsc1(TSC1_ID, EngineCommand(mode, speed, torque), 0, A)
    whole = codec.encode_tsc1(TSC1_ID, EngineCommand(OverrideMode.OFF, speed, torque), 0, A)
    with pytest.raises(NotAvailableError, match=r"^(engine speed|torque): "):
        codec.decode_tsc1(TSC1_ID, resealed(whole, {0: 0xF0 | mode}), A)


def test_mode_off__needs_no_value() -> None:
    data = codec.encode_tsc1(TSC1_ID, EngineCommand(OverrideMode.OFF), 0, A)
    assert data[:7] == bytes.fromhex("F0FFFFFFFFFFFF")
    assert codec.decode_tsc1(TSC1_ID, data, A) == (EngineCommand(OverrideMode.OFF), 0)


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({1: 0x00, 2: 0xFE}, ErrorIndicatedError),
        ({1: 0x00, 2: 0xFB}, ReservedValueError),
        ({1: 0xFF, 2: 0xFF}, NotAvailableError),
    ],
)
def test_speed_that_is_none__is_no_command(changes: dict[int, int], error: type[Exception]) -> None:
    data = resealed(codec.encode_tsc1(TSC1_ID, FAST, 0, A), changes)
    with pytest.raises(error, match=r"^engine speed: "):
        codec.decode_tsc1(TSC1_ID, data, A)


@pytest.mark.requirement("HF-ADPT-03")
@pytest.mark.parametrize("code", [0xFB, 0xFE, 0xFF])
def test_torque_that_is_none__is_no_command(code: int) -> None:
    torque = EngineCommand(OverrideMode.TORQUE, torque_share=0.1)
    data = resealed(codec.encode_tsc1(TSC1_ID, torque, 0, A), {3: code})
    with pytest.raises(
        (ReservedValueError, ErrorIndicatedError, NotAvailableError), match=r"^torque: "
    ):
        codec.decode_tsc1(TSC1_ID, data, A)


@pytest.mark.parametrize(
    ("command", "counter", "said"),
    [
        (EngineCommand(OverrideMode.TORQUE, torque_share=1.26), 0, "torque"),
        (EngineCommand(OverrideMode.SPEED, speed_rpm=8032.0), 0, "engine speed"),
        (EngineCommand(OverrideMode.OFF, priority=4), 0, "TSC1 priority"),
        (FAST, 8, "TSC1 counter"),
        (FAST, -1, "TSC1 counter"),
    ],
)
def test_tsc1_that_cannot_be_said__is_not_sent(
    command: EngineCommand, counter: int, said: str
) -> None:
    with pytest.raises(ValueRangeError, match=f"^{said}: "):
        codec.encode_tsc1(TSC1_ID, command, counter, A)


@pytest.mark.parametrize(
    ("demand", "counter", "said"),
    [
        (BrakeDemand(BrakeMode.MAXIMUM, 15.7), 0, "external acceleration: "),
        (BrakeDemand(BrakeMode.MAXIMUM, -0.001), 0, "XBR: -0.001 would accelerate"),
        (BrakeDemand(BrakeMode.MAXIMUM, 1.0, 4), 0, "XBR priority: "),
        (BrakeDemand(BrakeMode.MAXIMUM, 1.0), 16, "XBR counter: "),
    ],
)
def test_xbr_that_cannot_be_said__is_not_sent(demand: BrakeDemand, counter: int, said: str) -> None:
    with pytest.raises(ValueRangeError, match=f"^{said}"):
        codec.encode_xbr(XBR_ID, demand, counter)


def test_reserved_control_mode__is_refused() -> None:
    data = resealed_xbr(codec.encode_xbr(XBR_ID, SLOW, 0), {2: 0xF0})
    with pytest.raises(ReservedValueError, match=r"^XBR: control mode 3 is reserved$"):
        codec.decode_xbr(XBR_ID, data)


@pytest.mark.parametrize("cut", range(8))
def test_every_prefix__is_refused(cut: int) -> None:
    whole = codec.encode_tsc1(TSC1_ID, FAST, 0, A)[:cut]
    decoders = {
        "TSC1": lambda data: codec.decode_tsc1(TSC1_ID, data, A),
        "XBR": lambda data: codec.decode_xbr(XBR_ID, data),
        "TC1": codec.decode_tc1,
        "EEC1": codec.decode_eec1,
        "CCVS1": codec.decode_ccvs1,
        "EBC1": codec.decode_ebc1,
        "ETC2": codec.decode_etc2,
    }
    for name, decode in decoders.items():
        with pytest.raises(FrameLengthError, match=f"^{name}: {cut} bytes, not 8$"):
            decode(whole)


def test_what_a_machine_cannot_tell__is_unknown() -> None:
    nothing = b"\xff" * 8
    assert codec.decode_eec1(nothing) == EngineState(None, None)
    assert codec.decode_ccvs1(nothing) == VehicleSpeed(None, None, None)
    assert codec.decode_ebc1(nothing) == BrakePedal(None, None)
    assert codec.decode_etc2(nothing) is None
    assert codec.encode_eec1(EngineState(None, None)) == nothing
    assert codec.encode_ccvs1(VehicleSpeed(None, None, None)) == nothing
    assert codec.encode_ebc1(BrakePedal(None, None)) == nothing
    assert codec.encode_etc2(None) == nothing


@pytest.mark.parametrize("code", [0xFB, 0xFE, 0xFF])
def test_gear_that_is_none__is_no_request(code: int) -> None:
    with pytest.raises(
        (ReservedValueError, ErrorIndicatedError, NotAvailableError), match=r"^gear: "
    ):
        codec.decode_tc1(b"\xff\xff" + bytes((code,)) + b"\xff" * 5)


@pytest.mark.parametrize(
    ("encode", "said"),
    [
        (lambda: codec.encode_ccvs1(VehicleSpeed(69.73, None, None)), "wheel-based speed"),
        (lambda: codec.encode_ebc1(BrakePedal(1.01, None)), "brake pedal"),
        (lambda: codec.encode_tc1(126), "gear"),
        (lambda: codec.encode_etc2(-126), "gear"),
    ],
)
def test_value_that_a_group_cannot_carry__is_refused_by_name(encode: Any, said: str) -> None:
    with pytest.raises(ValueRangeError, match=f"^{said}: "):
        encode()


@pytest.mark.parametrize(
    ("name", "said", "at", "decode"),
    [
        ("EEC1", "torque", 2, codec.decode_eec1),
        ("EEC1", "engine speed", 4, codec.decode_eec1),
        ("CCVS1", "wheel-based speed", 2, codec.decode_ccvs1),
        ("EBC1", "brake pedal", 1, codec.decode_ebc1),
        ("ETC2", "gear", 3, codec.decode_etc2),
    ],
)
def test_reserved_code_in_what_is_told__is_refused(
    name: str, said: str, at: int, decode: Any
) -> None:
    data = bytearray(b"\xff" * 8)
    data[at] = 0xFB
    with pytest.raises(ReservedValueError, match=f"^{said}: "):
        decode(bytes(data))


def digits(can_id: int, data: bytes, counter: int) -> int:
    """The sum that both checksums are made of, by its definition."""
    whole = can_id.to_bytes(4, "big") + data[:7] + bytes((counter,))
    return sum(whole)


@given(
    can_id=st.integers(0, 2**29 - 1), data=st.binary(min_size=7, max_size=7), n=st.integers(0, 15)
)
def test_checksums__are_what_their_definitions_say(can_id: int, data: bytes, n: int) -> None:
    total = digits(can_id, data, n)
    low = (total // 8 + total) % 8
    assert codec.tsc1_checksum(can_id, data, n, A) == (total // 64 % 4 + low) % 8
    assert codec.tsc1_checksum(can_id, data, n, B) == (total // 64 + low) % 8
    assert codec.xbr_checksum(can_id, data, n) == (total // 16 + total) % 16


def test_names_and_numbers_of_a_profile__are_these() -> None:
    assert [str(variant) for variant in Checksum] == ["A", "B", "none"]
    assert [int(mode) for mode in BrakeMode] == [0, 1, 2]
    assert [int(mode) for mode in OverrideMode] == [0, 1, 2, 3]


def test_speed_conditions__are_no_part_of_the_mode() -> None:
    data = resealed(codec.encode_tsc1(TSC1_ID, FAST, 0, A), {0: 0xF5})
    assert codec.decode_tsc1(TSC1_ID, data, A)[0].mode is OverrideMode.SPEED
