"""What ``headframe link-test`` sends: frames as long as those of a drive, which no machine obeys.

There and back they stand on the topics and paths of a drive, so that brokers, access lists, queues
and radio treat them alike. Their version byte is one that no program of a drive speaks, so that
guardian and console refuse them at the first check (design 4.4, step 1) and count them; the key is
known to everyone, and no lease ever has it.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from protocol.errors import FrameShort, ProtocolError, Refusal, UnknownVersion

PROBE_VERSION = 0xFF
KEY, KEY_ID, EPOCH = bytes(range(32)), 1, 1
REFLECTION_BYTES = 500
"""As long as a state frame of a drive."""

_HEAD = struct.Struct("<BBHIIQQII")


def disguise(command: bytes) -> bytes:
    """Return a command frame that every machine refuses by its version."""
    return bytes([PROBE_VERSION]) + command[1:]


def is_probe(data: bytes) -> bool:
    """Whether these bytes belong to a link test."""
    return data[:1] == bytes([PROBE_VERSION])


def revealed(data: bytes) -> bytes:
    """Return the command frame in a probe, for a link test's own acceptance.

    Raises:
        UnknownVersion: it is no probe.
    """
    if not is_probe(data):
        raise UnknownVersion("not a frame of a link test")
    return b"\x01" + data[1:]


@dataclass(frozen=True, slots=True)
class Reflection:
    """What the machine's side of a link test says 50 times a second.

    Attributes:
        test: the number of the test that it answers, 0 for none. sequence: +1 for each.
        stamp_us: of the machine's side, monotonic.
        echo_us: the measuring side's stamp of the newest command that counted; 0 for none.
        echo_sequence: its sequence. hold_us: since when that was.
        json: what was counted so far.
    """

    test: int
    sequence: int
    stamp_us: int
    echo_us: int
    echo_sequence: int
    hold_us: int
    json: bytes

    def encode(self) -> bytes:
        """Return the bytes, as long as a state frame or longer."""
        head = _HEAD.pack(
            PROBE_VERSION,
            0,
            len(self.json),
            self.test,
            self.sequence,
            self.stamp_us,
            self.echo_us,
            self.echo_sequence,
            min(self.hold_us, 0xFFFFFFFF),
        )
        return (head + self.json).ljust(REFLECTION_BYTES, b"\0")


def decode_reflection(data: bytes) -> Reflection:
    """Return the reflection in ``data``.

    Raises:
        UnknownVersion, FrameShort, ProtocolError: it is none.
    """
    if not is_probe(data):
        raise UnknownVersion("not a frame of a link test")
    if len(data) < REFLECTION_BYTES:
        raise FrameShort(f"reflection has {len(data)} bytes")
    _, kind, length, test, sequence, stamp, echo, echo_sequence, hold = _HEAD.unpack_from(data)
    text = data[_HEAD.size : _HEAD.size + length]
    if kind != 0 or len(text) != length:
        raise ProtocolError("reflection does not fit", Refusal.MALFORMED)
    return Reflection(test, sequence, stamp, echo, echo_sequence, hold, text)
