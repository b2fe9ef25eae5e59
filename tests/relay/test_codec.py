"""Frames of the relay's line: what was sent comes back, and nothing else ever does."""

from __future__ import annotations

import random

import pytest
from cobs import cobs

from protocol.dbw.codec import ContactState
from protocol.relay import (
    DELIMITER,
    ENCODED_MAX_BYTES,
    FrameDecoder,
    OpenReason,
    Received,
    RelayFault,
    RelayFrameError,
    RelayReport,
    RelayStroke,
    RelayWish,
    answer_to,
    crc16,
    decode,
    encode,
)
from tests.rig import prefixes

STROKE = RelayStroke(0x0012_FF00, RelayWish.CLOSE)
REPORT = RelayReport(
    challenge=0xDEAD_00EF,
    estop_a=ContactState.CLOSED,
    estop_b=ContactState.OPEN,
    feedback=ContactState.UNKNOWN,
    closed=True,
    discrepancy=True,
    reason=OpenReason.ESTOP,
    last_accepted=0xBEEF,
    refused=3,
)
FRAMES = [encode(STROKE, 0x0102, 0x0304), encode(REPORT, 65_535, 65_535)]


def sealed(body: bytes) -> bytes:
    """A body under a right CRC, encoded."""
    return bytes(cobs.encode(body + crc16(body).to_bytes(2, "little")))


def body_of(frame: bytes) -> bytes:
    return bytes(cobs.decode(frame[:-1]))[:-2]


def fault_of(encoded: bytes) -> RelayFault:
    with pytest.raises(RelayFrameError) as raised:
        decode(encoded)
    return raised.value.fault


def test_crc__has_the_published_check_value() -> None:
    assert crc16(b"123456789") == 0x29B1


def test_stroke__is_these_bytes_on_the_wire() -> None:
    body = bytes.fromhex("01 40 0201 0403 00FF1200 02")
    assert body_of(FRAMES[0]) == body
    assert FRAMES[0] == sealed(body) + DELIMITER


def test_report__is_these_bytes_on_the_wire() -> None:
    body = bytes.fromhex("01 41 FFFF FFFF EF00ADDE F1 04 01 EFBE 0300")
    assert body_of(FRAMES[1]) == body


@pytest.mark.parametrize("message", [STROKE, REPORT, REPORT._replace(last_accepted=None)])
def test_message__comes_back_as_it_was(message: RelayStroke | RelayReport) -> None:
    assert decode(encode(message, 7, 70_000)[:-1]) == Received(message, 7, 70_000 - 65_536)


@pytest.mark.parametrize("frame", FRAMES)
def test_every_truncation__is_refused(frame: bytes) -> None:
    decoder = FrameDecoder()
    for part in prefixes(frame[:-1]):
        assert decoder.feed(part + DELIMITER) == ()
    assert decoder.faults.total() == len(frame) - 2  # all but the empty one
    assert decoder.frames == 0


@pytest.mark.parametrize("frame", FRAMES)
def test_every_flipped_bit__is_refused(frame: bytes) -> None:
    decoder = FrameDecoder()
    for place in range(len(frame) * 8):
        bad = bytearray(frame)
        bad[place // 8] ^= 1 << place % 8
        assert decoder.feed(bytes(bad) + DELIMITER) == ()
    assert decoder.frames == 0


@pytest.mark.parametrize("frame", FRAMES)
def test_every_other_byte_in_every_place__is_refused(frame: bytes) -> None:
    decoder = FrameDecoder()
    for place in range(len(frame) - 1):
        for value in set(range(256)) - {frame[place]}:
            assert decoder.feed(frame[:place] + bytes([value]) + frame[place + 1 :]) == ()
    assert decoder.frames == 0


@pytest.mark.parametrize(
    ("encoded", "fault"),
    [
        (b"\x05\x01", RelayFault.COBS),
        (bytes(cobs.encode(b"short!!")), RelayFault.SHORT),
        (bytes(cobs.encode(body_of(FRAMES[0]) + b"\x12\x34")), RelayFault.CRC),
        (sealed(b"\x02" + body_of(FRAMES[0])[1:]), RelayFault.VERSION),
        (sealed(b"\x01\x10" + body_of(FRAMES[0])[2:]), RelayFault.TYPE),
        (sealed(body_of(FRAMES[0])[:-1]), RelayFault.LENGTH),
        (sealed(body_of(FRAMES[0]) + b"\x00"), RelayFault.LENGTH),
        (sealed(body_of(FRAMES[0])[:-1] + b"\x03"), RelayFault.RESERVED_VALUE),
        (sealed(body_of(FRAMES[1])[:11] + b"\x07" + body_of(FRAMES[1])[12:]),
         RelayFault.RESERVED_VALUE),
        (sealed(body_of(FRAMES[1])[:12] + b"\x03" + body_of(FRAMES[1])[13:]),
         RelayFault.RESERVED_BITS),
        (sealed(body_of(FRAMES[1])[:12] + b"\x00" + body_of(FRAMES[1])[13:]),
         RelayFault.RESERVED_BITS),
        (b"\x01" * (ENCODED_MAX_BYTES + 1), RelayFault.LONG),
    ],
)  # fmt: skip
def test_corruption__is_told_apart_by_decode_and_decoder(encoded: bytes, fault: RelayFault) -> None:
    assert fault_of(encoded) is fault
    decoder = FrameDecoder()
    assert decoder.feed(encoded + DELIMITER) == ()
    assert decoder.faults == {fault: 1}


def test_stream_in_any_pieces__gives_every_frame_once() -> None:
    stream = b"".join(FRAMES * 2)
    whole = FrameDecoder().feed(stream)
    assert len(whole) == 4
    for size in range(1, len(stream) + 1):
        decoder = FrameDecoder()
        pieces = [stream[at : at + size] for at in range(0, len(stream), size)]
        assert tuple(frame for piece in pieces for frame in decoder.feed(piece)) == whole
        assert not decoder.faults


def test_rubbish_without_end__is_bounded_counted_once_and_the_next_frame_counts() -> None:
    decoder = FrameDecoder()
    for _ in range(1000):
        assert decoder.feed(b"\x55" * 100) == ()
    assert decoder.faults == {RelayFault.LONG: 1}
    assert len(decoder.feed(DELIMITER + FRAMES[0])) == 1
    assert decoder.faults == {RelayFault.LONG: 1}


def test_forgotten_line__half_a_frame_does_not_spoil_the_next() -> None:
    decoder = FrameDecoder()
    decoder.feed(FRAMES[0][:5])
    decoder.forget()
    assert len(decoder.feed(FRAMES[1])) == 1
    assert not decoder.faults


def test_noise_of_1_in_1000_bytes_over_100_000_frames__no_wrong_frame_counts() -> None:
    rng = random.Random(20)
    decoder = FrameDecoder()
    accepted = 0
    for number in range(100_000):
        challenge = number * 2_654_435_761 & 0xFFFF_FFFF
        sent = REPORT._replace(challenge=challenge, refused=number & 0xFFFF)
        frame = bytearray(encode(sent, number, number * 20))
        for place in [place for place in range(len(frame)) if rng.random() < 1e-3]:
            frame[place] = (frame[place] + rng.randrange(1, 256)) & 0xFF
        if rng.random() < 1e-3:
            del frame[rng.randrange(len(frame))]
        cut = rng.randrange(len(frame) + 1)
        for got in (*decoder.feed(bytes(frame[:cut])), *decoder.feed(bytes(frame[cut:]))):
            accepted += 1
            assert got == Received(sent, number & 0xFFFF, number * 20 & 0xFFFF)
    assert decoder.frames == accepted
    assert 95_000 < accepted < 98_500
    assert decoder.faults.total() >= 100_000 - accepted - decoder.faults[RelayFault.LONG] - 100


def test_answer__changes_with_challenge_sequence_and_wish() -> None:
    answers = {
        answer_to(challenge, sequence, wish)
        for challenge in (1, 2, 0xFFFF_FFFF)
        for sequence in (0, 1, 65_535)
        for wish in RelayWish
    }
    assert len(answers) == 27
    assert answer_to(0x01020304, 0x0506, RelayWish.HOLD) == 0x2BC2_3C7C
