"""Frames at the exact edge of each limit, and every refusal in its exact words."""

from __future__ import annotations

import re
import struct
from typing import Any

import pytest

from protocol.errors import (
    BadTag,
    EnableMismatch,
    FrameLong,
    FrameShort,
    OutOfRange,
    ProtocolError,
    ReservedBits,
    UnknownKey,
    UnknownKind,
    UnknownVersion,
)
from protocol.frames import (
    CommandFlag,
    CommandFrame,
    CommandKind,
    StateEnvelope,
    StateFlag,
    StateFrame,
    check_enable_pair,
    decode_command,
    decode_state,
    frame_tag,
    vehicle_id,
)

KEY = bytes(range(32))
KEYS = {7: KEY}
COMMAND = CommandFrame(
    kind=CommandKind.DRIVE,
    vehicle_id=0x0A0B0C0D,
    key_id=7,
    ttl_ms=200,
    epoch=0x01020304,
    sequence=0x11121314,
    boot_tag=0x21222324,
    echo_hold_us=12_345,
    source_stamp_us=0x3132333435363738,
    echo_stamp_us=0x4142434445464748,
    view_stamp_us=0x5152535455565758,
    steer=-9_999,
    throttle=1234,
    brake=4321,
    gear=-1,
    camera=3,
    view_age_ms=87,
    implement=-2,
)
STATE = StateFrame(
    leased=True,
    vehicle_id=0x0A0B0C0D,
    key_id=7,
    epoch=0x01020304,
    sequence=0x11121314,
    boot_tag=0x21222324,
    stamp_us=0x4142434445464748,
    json=b'{"st":"ACTIVE"}',
)
IDLE = STATE._replace(leased=False, key_id=0)


def tagged(body: bytes) -> bytes:
    return body + frame_tag(KEY, body)


def with_bytes(data: bytes, at: int, value: bytes) -> bytes:
    """``data`` with bytes replaced and a tag that fits again."""
    return tagged(data[:at] + value + data[at + len(value) : -16])


def refused(error: type[ProtocolError], text: str) -> Any:
    return pytest.raises(error, match=f"^{re.escape(text)}$")


# --- commands -----------------------------------------------------------------------------------


def test_command__is_these_fields_in_this_order() -> None:
    body = struct.pack(
        "<BBHIHHIIIIQQQhHHbBHh8s",
        1,
        1,
        2,
        0x0A0B0C0D,
        7,
        200,
        0x01020304,
        0x11121314,
        0x21222324,
        12_345,
        0x3132333435363738,
        0x4142434445464748,
        0x5152535455565758,
        -9_999,
        1234,
        4321,
        -1,
        3,
        87,
        -2,
        bytes(8),
    )

    assert COMMAND.encode(KEY) == tagged(body)
    assert decode_command(tagged(body), KEYS) == COMMAND


def test_command_with_its_identity_only__has_all_controls_at_rest() -> None:
    plain = CommandFrame(CommandKind.STOP, 1, 7, 3, 4, 5, 6, 7, 8, 9, 10)

    assert plain == CommandFrame(
        kind=CommandKind.STOP,
        vehicle_id=1,
        key_id=7,
        ttl_ms=3,
        epoch=4,
        sequence=5,
        boot_tag=6,
        echo_hold_us=7,
        source_stamp_us=8,
        echo_stamp_us=9,
        view_stamp_us=10,
        steer=0,
        throttle=0,
        brake=0,
        gear=0,
        camera=0,
        view_age_ms=0,
        implement=0,
        enable=False,
        neutral=False,
        display_ok=False,
        park_brake=False,
        horn=False,
        lights=False,
    )


@pytest.mark.parametrize(
    ("kind", "number"), [(CommandKind.DRIVE, 1), (CommandKind.STOP, 2), (CommandKind.PARKED, 3)]
)
def test_kind__travels_as_its_number(kind: CommandKind, number: int) -> None:
    data = COMMAND._replace(kind=kind).encode(KEY)

    assert data[1] == number
    assert decode_command(data, KEYS).kind is kind


@pytest.mark.parametrize(
    ("name", "bits"),
    [
        ("enable", 0b000_0001),
        ("neutral", 0b000_0110),
        ("display_ok", 0b000_1010),
        ("park_brake", 0b001_0010),
        ("horn", 0b010_0010),
        ("lights", 0b100_0010),
    ],
)
def test_flag__has_its_own_bit_and_the_inverse_of_enable_beside_it(name: str, bits: int) -> None:
    change: dict[str, Any] = {name: True}
    flagged = COMMAND._replace(**change)
    data = flagged.encode(KEY)

    assert flagged.flags == bits
    assert data[2:4] == bits.to_bytes(2, "little")
    assert decode_command(data, KEYS) == flagged


def test_flags__are_these_bits() -> None:
    assert [(flag.name, flag.value) for flag in CommandFlag] == [
        ("ENABLE", 1),
        ("ENABLE_INVERSE", 2),
        ("NEUTRAL", 4),
        ("DISPLAY_OK", 8),
        ("PARK_BRAKE", 16),
        ("HORN", 32),
        ("LIGHTS", 64),
    ]


@pytest.mark.parametrize(
    ("name", "low", "high"),
    [
        ("ttl_ms", 1, 250),
        ("steer", -10_000, 10_000),
        ("throttle", 0, 10_000),
        ("brake", 0, 10_000),
        ("gear", -1, 1),
        ("implement", -10_000, 10_000),
    ],
)
def test_value__in_its_range_passes_and_one_step_outside_is_refused_by_name(
    name: str, low: int, high: int
) -> None:
    for value in (low, high):
        inside: dict[str, Any] = {name: value}
        COMMAND._replace(**inside).check_values()
    for value in (low - 1, high + 1):
        outside: dict[str, Any] = {name: value}
        with refused(OutOfRange, f"{name} {value} is outside {low}..{high}"):
            COMMAND._replace(**outside).check_values()


def test_parked_command_with_enable__refused_and_any_other_kind_not() -> None:
    with refused(OutOfRange, "a parked command with enable"):
        COMMAND._replace(kind=CommandKind.PARKED, enable=True).check_values()
    COMMAND._replace(kind=CommandKind.PARKED).check_values()
    COMMAND._replace(kind=CommandKind.STOP, enable=True).check_values()


def test_value_outside_its_range__nothing_is_encoded() -> None:
    with refused(OutOfRange, "gear 2 is outside -1..1"):
        COMMAND._replace(gear=2).encode(KEY)


def test_command_field_that_does_not_fit__refused_with_its_cause() -> None:
    with pytest.raises(OutOfRange, match=r"^command field does not fit its type: .+") as caught:
        COMMAND._replace(sequence=2**32).encode(KEY)

    assert isinstance(caught.value.__cause__, struct.error)


@pytest.mark.parametrize(
    ("data", "error", "text"),
    [
        (bytes(87), FrameShort, "command frame has 87 bytes, needs 88"),
        (bytes(89), FrameLong, "command frame has 89 bytes, needs 88"),
        (
            with_bytes(COMMAND.encode(KEY), 0, b"\2"),
            UnknownVersion,
            "command frame version 2, this program speaks 1",
        ),
        (with_bytes(COMMAND.encode(KEY), 1, b"\0"), UnknownKind, "command frame kind 0"),
        (with_bytes(COMMAND.encode(KEY), 1, b"\4"), UnknownKind, "command frame kind 4"),
        (
            with_bytes(COMMAND.encode(KEY), 2, b"\x82"),
            ReservedBits,
            "command frame has reserved bits set",
        ),
        (
            with_bytes(COMMAND.encode(KEY), 71, b"\1"),
            ReservedBits,
            "command frame has reserved bits set",
        ),
        (with_bytes(COMMAND.encode(KEY), 8, b"\x09\1"), UnknownKey, "no key under id 265"),
        (COMMAND.encode(bytes(32)), BadTag, "command frame's tag does not fit its bytes"),
    ],
)
def test_command_wrong_in_one_thing__refused_in_these_words(
    data: bytes, error: type[ProtocolError], text: str
) -> None:
    with refused(error, text):
        decode_command(data, KEYS)


@pytest.mark.parametrize("bit", range(7, 16))
def test_every_unknown_flag__is_reserved(bit: int) -> None:
    with pytest.raises(ReservedBits):
        decode_command(with_bytes(COMMAND.encode(KEY), 2, (1 << bit).to_bytes(2, "little")), KEYS)


@pytest.mark.parametrize("at", range(88))
def test_every_changed_byte__is_refused(at: int) -> None:
    data = bytearray(COMMAND.encode(KEY))
    data[at] ^= 0xFF

    with pytest.raises(ProtocolError):
        decode_command(bytes(data), KEYS)


@pytest.mark.parametrize(("pair", "text"), [(0, "00"), (3, "11")])
def test_enable_pair_that_agrees__refused_in_these_words(pair: int, text: str) -> None:
    for other_flags in (0x0000, 0xFFFC):
        data = with_bytes(COMMAND.encode(KEY), 2, (other_flags | pair).to_bytes(2, "little"))
        with refused(EnableMismatch, f"enable and its inverse agree: {text}"):
            check_enable_pair(data)


@pytest.mark.parametrize("pair", [1, 2])
def test_enable_pair_that_differs__passes(pair: int) -> None:
    for other_flags in (0x0000, 0xFFFC):
        flags = (other_flags | pair).to_bytes(2, "little")
        check_enable_pair(with_bytes(COMMAND.encode(KEY), 2, flags))


# --- states -------------------------------------------------------------------------------------


@pytest.mark.parametrize(("leased", "flags"), [(True, 1), (False, 0)])
def test_state__is_these_fields_in_this_order(leased: bool, flags: int) -> None:
    head = struct.pack(
        "<BBHIHHIIIQ",
        1,
        16,
        flags,
        0x0A0B0C0D,
        7,
        15,
        0x01020304,
        0x11121314,
        0x21222324,
        0x4142434445464748,
    )
    body = head + b'{"st":"ACTIVE"}'
    state = STATE._replace(leased=leased)

    assert state.encode(KEY) == tagged(body)
    assert state.encode(None) == body + bytes(16)


def test_state_of_ones_own_lease__authentic() -> None:
    assert decode_state(STATE.encode(KEY), KEYS) == StateEnvelope(STATE, authentic=True)


def test_state_of_anothers_lease__readable_and_not_authentic() -> None:
    assert decode_state(STATE.encode(KEY), {}) == StateEnvelope(STATE, authentic=False)
    assert decode_state(STATE.encode(KEY), {8: KEY}) == StateEnvelope(STATE, authentic=False)


def test_state_without_a_lease__never_authentic_though_a_key_is_held_under_its_id() -> None:
    assert decode_state(IDLE.encode(None), {0: KEY}) == StateEnvelope(IDLE, authentic=False)


def test_state_flags__leased_is_the_only_one() -> None:
    assert [(flag.name, flag.value) for flag in StateFlag] == [("LEASED", 1)]


@pytest.mark.parametrize("length", [0, 600])
def test_state_json__from_nothing_to_600_bytes_round_trips(length: int) -> None:
    state = STATE._replace(json=b"x" * length)

    assert decode_state(state.encode(KEY), KEYS).frame == state


def test_state_json_of_601_bytes__refused_by_both_ends() -> None:
    long = STATE._replace(json=b"x" * 601)
    with refused(OutOfRange, "state JSON has 601 bytes, limit 600"):
        long.encode(KEY)

    data = with_bytes(STATE.encode(KEY), 10, (601).to_bytes(2, "little"))
    with refused(FrameLong, "state JSON of 601 bytes, limit 600"):
        decode_state(data + bytes(586), KEYS)


def test_state_field_that_does_not_fit__refused_with_its_cause() -> None:
    with pytest.raises(OutOfRange, match=r"^state field does not fit its type: .+") as caught:
        STATE._replace(stamp_us=2**64).encode(KEY)

    assert isinstance(caught.value.__cause__, struct.error)


@pytest.mark.parametrize(
    ("data", "error", "text"),
    [
        (b"", FrameShort, "state frame has 0 bytes"),
        (bytes(47), FrameShort, "state frame has 47 bytes"),
        (
            STATE.encode(KEY)[:-1],
            FrameShort,
            "state frame has 62 bytes, needs 63",
        ),
        (
            STATE.encode(KEY) + b"\0",
            FrameLong,
            "state frame has 64 bytes, needs 63",
        ),
        (
            with_bytes(STATE.encode(KEY), 0, b"\2"),
            UnknownVersion,
            "state frame version 2, this program speaks 1",
        ),
        (with_bytes(STATE.encode(KEY), 1, b"\1"), UnknownKind, "state frame kind 1"),
        (
            with_bytes(STATE.encode(KEY), 2, b"\3"),
            ReservedBits,
            "state frame has reserved bits set",
        ),
        (
            with_bytes(STATE.encode(KEY), 3, b"\1"),
            ReservedBits,
            "state frame has reserved bits set",
        ),
        (STATE.encode(bytes(32)), BadTag, "state frame's tag does not fit its bytes"),
        (IDLE.encode(KEY), BadTag, "state frame without a lease carries a tag"),
    ],
)
def test_state_wrong_in_one_thing__refused_in_these_words(
    data: bytes, error: type[ProtocolError], text: str
) -> None:
    with refused(error, text):
        decode_state(data, KEYS)


def test_vehicle_id__is_the_first_four_bytes_of_the_names_hash_little_endian() -> None:
    assert vehicle_id("TRUCK-07") == int.from_bytes(bytes.fromhex("4d6dd7a7"), "little")
