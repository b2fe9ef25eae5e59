"""What survives a restart of the guardian: the fencing epoch and the latched stop."""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass

_SLOT = struct.Struct("<4sQI8s")
_MAGIC = b"HFR1"
SLOT_BYTES = _SLOT.size + 4


@dataclass(frozen=True, slots=True)
class Record:
    """One durable record.

    Attributes:
        generation: +1 at each write; the higher valid slot wins.
        epoch: the highest epoch that may have been used.
        latch: event id of the stop that stands, or None.
    """

    generation: int
    epoch: int
    latch: str | None


FIRST = Record(generation=0, epoch=0, latch=None)


def encode_record(record: Record) -> bytes:
    """Return one slot's bytes: content and CRC-32."""
    latch = (record.latch or "").encode("ascii")
    if len(latch) > 8:
        raise ValueError(f"latch id {record.latch!r} is longer than 8 bytes")
    body = _SLOT.pack(_MAGIC, record.generation, record.epoch, latch)
    return body + zlib.crc32(body).to_bytes(4, "little")


def decode_record(slot: bytes) -> Record | None:
    """Return the record of one slot, or None when the slot is torn, empty or foreign."""
    body, crc = slot[: _SLOT.size], slot[_SLOT.size :]
    # Four bytes that fit: a slot of another length never passes.
    if zlib.crc32(body).to_bytes(4, "little") != crc:
        return None
    magic, generation, epoch, latch = _SLOT.unpack(body)
    if magic != _MAGIC:
        return None
    try:
        text = latch.rstrip(b"\0").decode("ascii")
    except UnicodeDecodeError:
        return None
    return Record(generation, epoch, text or None)


def newest(slots: tuple[bytes, bytes]) -> Record | None:
    """Return the valid record of the higher generation, or None when neither is valid."""
    records = [record for record in map(decode_record, slots) if record is not None]
    return max(records, key=lambda record: record.generation, default=None)
