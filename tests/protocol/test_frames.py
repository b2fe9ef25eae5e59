"""Command and state frames: exact bytes, and every way of being wrong told apart."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from protocol import frames
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
    CommandFrame,
    CommandKind,
    StateFrame,
    check_enable_pair,
    decode_command,
    decode_state,
    frame_tag,
    session_keys,
    vehicle_id,
)
from tests.rig import prefixes

GOLDEN = Path(__file__).parents[1] / "golden"
KEY = bytes(range(32))
KEYS = {7: KEY}
COMMAND = CommandFrame(
    kind=CommandKind.DRIVE,
    vehicle_id=vehicle_id("TRUCK-07"),
    key_id=7,
    ttl_ms=250,
    epoch=0x01020304,
    sequence=0x11121314,
    boot_tag=0x21222324,
    echo_hold_us=12_345,
    source_stamp_us=0x3132333435363738,
    echo_stamp_us=0x4142434445464748,
    view_stamp_us=0x5152535455565758,
    steer=-10_000,
    throttle=1234,
    brake=0,
    gear=-1,
    camera=3,
    view_age_ms=87,
    implement=-1,
    enable=True,
    display_ok=True,
    lights=True,
)
STATE = StateFrame(
    leased=True,
    vehicle_id=vehicle_id("TRUCK-07"),
    key_id=7,
    epoch=0x01020304,
    sequence=0x11121314,
    boot_tag=0x21222324,
    stamp_us=0x4142434445464748,
    json=b'{"st":"ACTIVE"}',
)


def retagged(data: bytes, at: int, value: bytes) -> bytes:
    """``data`` with bytes replaced and a tag that fits again."""
    body = data[:at] + value + data[at + len(value) : -16]
    return body + frame_tag(KEY, body)


def test_command_frame__has_exactly_the_golden_bytes() -> None:
    assert COMMAND.encode(KEY) == (GOLDEN / "command_v1.bin").read_bytes()


def test_state_frame__has_exactly_the_golden_bytes() -> None:
    assert STATE.encode(KEY) == (GOLDEN / "state_v1.bin").read_bytes()


def test_command_frame__fields_stand_at_the_offsets_of_the_contract() -> None:
    data = COMMAND.encode(KEY)

    assert len(data) == 88
    assert data[0:2] == bytes([1, 1])
    assert int.from_bytes(data[2:4], "little") == 0b1001001
    assert data[4:8] == hashlib.sha256(b"TRUCK-07").digest()[:4]
    assert int.from_bytes(data[12:16], "little") == 0x01020304
    assert int.from_bytes(data[16:20], "little") == 0x11121314
    assert int.from_bytes(data[36:44], "little") == 0x4142434445464748
    assert int.from_bytes(data[52:54], "little", signed=True) == -10_000
    assert int.from_bytes(data[58:59], "little", signed=True) == -1
    assert int.from_bytes(data[62:64], "little", signed=True) == -1
    assert data[64:72] == bytes(8)


def test_command_frame__round_trips() -> None:
    assert decode_command(COMMAND.encode(KEY), KEYS) == COMMAND


commands = st.builds(
    CommandFrame,
    kind=st.sampled_from(CommandKind),
    vehicle_id=st.integers(0, 2**32 - 1),
    key_id=st.just(7),
    ttl_ms=st.integers(1, 250),
    epoch=st.integers(0, 2**32 - 1),
    sequence=st.integers(0, 2**32 - 1),
    boot_tag=st.integers(0, 2**32 - 1),
    echo_hold_us=st.integers(0, 2**32 - 1),
    source_stamp_us=st.integers(0, 2**64 - 1),
    echo_stamp_us=st.integers(0, 2**64 - 1),
    view_stamp_us=st.integers(0, 2**64 - 1),
    steer=st.integers(-10_000, 10_000),
    throttle=st.integers(0, 10_000),
    brake=st.integers(0, 10_000),
    gear=st.integers(-1, 1),
    camera=st.integers(0, 255),
    view_age_ms=st.integers(0, 65_535),
    implement=st.integers(-10_000, 10_000),
    enable=st.booleans(),
    neutral=st.booleans(),
    display_ok=st.booleans(),
    park_brake=st.booleans(),
    horn=st.booleans(),
    lights=st.booleans(),
)


@given(commands.filter(lambda made: not (made.kind is CommandKind.PARKED and made.enable)))
def test_any_command__round_trips_and_passes_its_own_checks(command: CommandFrame) -> None:
    data = command.encode(KEY)
    check_enable_pair(data)

    again = decode_command(data, KEYS)
    again.check_values()

    assert again == command


def test_every_prefix_of_a_command__is_too_short() -> None:
    for data in prefixes(COMMAND.encode(KEY)):
        with pytest.raises(FrameShort):
            decode_command(data, KEYS)


def test_command_with_a_byte_more__is_too_long() -> None:
    with pytest.raises(FrameLong):
        decode_command(COMMAND.encode(KEY) + b"\0", KEYS)


@pytest.mark.requirement("HF-CMD-01")
def test_every_flipped_bit_of_a_command__is_refused() -> None:
    data = COMMAND.encode(KEY)
    for bit in range(len(data) * 8):
        flipped = bytearray(data)
        flipped[bit // 8] ^= 1 << bit % 8
        with pytest.raises(ProtocolError):
            decode_command(bytes(flipped), KEYS)


def test_every_flipped_bit_of_a_state__is_refused_or_not_authentic() -> None:
    data = STATE.encode(KEY)
    for bit in range(len(data) * 8):
        flipped = bytearray(data)
        flipped[bit // 8] ^= 1 << bit % 8
        try:
            envelope = decode_state(bytes(flipped), KEYS)
        except ProtocolError:
            continue
        assert not envelope.authentic


@pytest.mark.parametrize(
    ("at", "value", "error"),
    [
        (0, b"\x02", UnknownVersion),
        (0, b"\x00", UnknownVersion),
        (1, b"\x00", UnknownKind),
        (1, b"\x04", UnknownKind),
        (1, b"\x10", UnknownKind),
        (2, b"\x81", ReservedBits),
        (3, b"\x80", ReservedBits),
        (64, b"\x01", ReservedBits),
        (71, b"\x01", ReservedBits),
        (8, b"\x08", UnknownKey),
    ],
)
def test_command_wrong_in_one_field__names_that_field(
    at: int, value: bytes, error: type[ProtocolError]
) -> None:
    with pytest.raises(error):
        decode_command(retagged(COMMAND.encode(KEY), at, value), KEYS)


@pytest.mark.requirement("HF-CMD-01")
def test_command_under_another_key__has_a_bad_tag() -> None:
    with pytest.raises(BadTag):
        decode_command(COMMAND.encode(bytes(32)), KEYS)


@pytest.mark.parametrize("pair", [b"\x00\x00", b"\x03\x00"])
@pytest.mark.requirement("HF-CMD-07")
def test_enable_and_its_inverse_agree__mismatch(pair: bytes) -> None:
    with pytest.raises(EnableMismatch):
        check_enable_pair(retagged(COMMAND.encode(KEY), 2, pair))


@pytest.mark.parametrize(
    ("field", "values"),
    [
        ("steer", (-10_001, 10_001, -32_768)),
        ("throttle", (10_001, 65_535)),
        ("brake", (10_001, 65_535)),
        ("gear", (-2, 2, 127)),
        ("implement", (-10_001, 10_001)),
        ("ttl_ms", (0, 251, 65_535)),
    ],
)
@pytest.mark.requirement("HF-CMD-06")
def test_value_outside_its_range__refused_by_both_ends_and_never_clamped(
    field: str, values: tuple[int, ...]
) -> None:
    for value in values:
        change: dict[str, Any] = {field: value}
        wrong = COMMAND._replace(**change)
        with pytest.raises(OutOfRange, match=field):
            wrong.check_values()
        with pytest.raises(OutOfRange):
            wrong.encode(KEY)


def test_parked_command_with_enable__refused() -> None:
    with pytest.raises(OutOfRange, match="parked"):
        COMMAND._replace(kind=CommandKind.PARKED).encode(KEY)


def test_value_that_does_not_fit_its_type__refused() -> None:
    with pytest.raises(OutOfRange):
        COMMAND._replace(sequence=2**32).encode(KEY)


def test_state_without_a_lease__has_the_zero_tag_and_is_never_authentic() -> None:
    idle = STATE._replace(leased=False, key_id=0)
    data = idle.encode(None)

    assert data[-16:] == bytes(16)
    assert not decode_state(data, KEYS).authentic


def test_state_without_a_lease_but_with_a_tag__refused() -> None:
    idle = STATE._replace(leased=False)
    with pytest.raises(BadTag):
        decode_state(idle.encode(KEY), KEYS)


def test_state_of_another_holder__readable_and_not_authentic() -> None:
    envelope = decode_state(STATE.encode(KEY), {})

    assert envelope.frame == STATE
    assert not envelope.authentic


def test_every_prefix_of_a_state__is_too_short() -> None:
    for data in prefixes(STATE.encode(KEY)):
        with pytest.raises(FrameShort):
            decode_state(data, KEYS)


def test_state_with_a_byte_more__is_too_long() -> None:
    with pytest.raises(FrameLong):
        decode_state(STATE.encode(KEY) + b"\0", KEYS)


@pytest.mark.requirement("HF-GUARD-07")
def test_state_json_longer_than_the_limit__refused() -> None:
    with pytest.raises(OutOfRange):
        STATE._replace(json=b" " * (frames.STATE_JSON_MAX_BYTES + 1)).encode(KEY)


def test_two_ends_of_an_exchange__derive_the_same_two_keys() -> None:
    ours, theirs = X25519PrivateKey.generate(), X25519PrivateKey.generate()
    raw = (Encoding.Raw, PublicFormat.Raw)
    left = session_keys(ours, theirs.public_key().public_bytes(*raw), 5, 6)
    right = session_keys(theirs, ours.public_key().public_bytes(*raw), 5, 6)

    assert left == right
    assert left.command != left.state
    assert len(left.command) == len(left.state) == 32


@pytest.mark.parametrize(("boot", "epoch"), [(5, 7), (6, 6)])
def test_another_boot_or_epoch__gives_other_keys(boot: int, epoch: int) -> None:
    ours, theirs = X25519PrivateKey.generate(), X25519PrivateKey.generate()
    public = theirs.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)

    assert session_keys(ours, public, boot, epoch) != session_keys(ours, public, 5, 6)


def test_session_keys__equal_the_golden_derivation() -> None:
    ours = X25519PrivateKey.from_private_bytes(bytes(range(32)))
    theirs = X25519PrivateKey.from_private_bytes(bytes(range(32, 64)))
    public = theirs.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)

    keys = session_keys(ours, public, 0x21222324, 0x01020304)

    assert keys.command + keys.state == (GOLDEN / "session_keys_v1.bin").read_bytes()
