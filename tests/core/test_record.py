"""One slot of the durable record: its exact bytes, and that nothing else counts as a record."""

from __future__ import annotations

import zlib

import pytest

from vehicle_agent.core.record import (
    FIRST,
    SLOT_BYTES,
    Record,
    decode_record,
    encode_record,
    newest,
)

USED = Record(7, 12, "L102")
BODY = (
    b"HFR1"
    b"\x07\x00\x00\x00\x00\x00\x00\x00"  # generation
    b"\x0c\x00\x00\x00"  # epoch
    b"L102\x00\x00\x00\x00"
)


def sealed(body: bytes) -> bytes:
    return body + zlib.crc32(body).to_bytes(4, "little")


def test_record__has_exactly_these_bytes() -> None:
    assert encode_record(USED) == sealed(BODY)
    assert len(encode_record(USED)) == SLOT_BYTES == 28


def test_first_record__is_epoch_0_without_a_latch() -> None:
    assert (FIRST.generation, FIRST.epoch, FIRST.latch) == (0, 0, None)


@pytest.mark.parametrize(
    "record", [FIRST, USED, Record(2**64 - 1, 2**32 - 1, "ABCDEFGH"), Record(1, 2, "X0X")]
)
def test_record__round_trips(record: Record) -> None:
    assert decode_record(encode_record(record)) == record


def test_latch_id_longer_than_its_field__refused() -> None:
    with pytest.raises(ValueError, match=r"^latch id 'ABCDEFGHI' is longer than 8 bytes$"):
        encode_record(Record(1, 1, "ABCDEFGHI"))


def test_every_flipped_bit__is_no_record() -> None:
    slot = sealed(BODY)
    for bit in range(len(slot) * 8):
        torn = bytearray(slot)
        torn[bit // 8] ^= 1 << bit % 8
        assert decode_record(bytes(torn)) is None


@pytest.mark.parametrize(
    "slot",
    [
        b"",
        bytes(SLOT_BYTES),
        sealed(BODY)[:-1],
        sealed(BODY) + b"\0",
        sealed(b"HFR2" + BODY[4:]),
        sealed(BODY[:-1] + b"\xff"),
    ],
    ids=["empty", "zeros", "short", "long", "foreign", "not text"],
)
def test_slot_that_is_no_record__none(slot: bytes) -> None:
    assert decode_record(slot) is None


def test_two_slots__the_higher_valid_generation_wins() -> None:
    low, high = encode_record(Record(4, 99, None)), encode_record(Record(5, 10, "L102"))

    assert newest((low, high)) == Record(5, 10, "L102")
    assert newest((high, low)) == Record(5, 10, "L102")


def test_one_slot_valid__it_counts() -> None:
    low = encode_record(Record(4, 9, None))

    assert newest((low, b"")) == newest((b"", low)) == Record(4, 9, None)


def test_no_slot_valid__none() -> None:
    assert newest((b"", bytes(SLOT_BYTES))) is None
