"""MQTT packets in a byte stream, as far as a relay needs them: where each ends, what is published.

MQTT 3.1.1 and 5, section 2: one byte of type and flags, the remaining length in one to four
bytes of seven bits, the rest.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

PUBLISH = 3
_CONTINUES = 0x80


class PacketCutter:
    """Cuts a stream into whole packets; what is incomplete waits for the rest."""

    def __init__(self) -> None:
        self._waiting = bytearray()

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Yield the packets that are complete with ``data``."""
        self._waiting += data
        while (end := _end_of_packet(self._waiting)) is not None and end <= len(self._waiting):
            packet = bytes(self._waiting[:end])
            del self._waiting[:end]
            yield packet


def _end_of_packet(data: bytearray) -> int | None:
    """Return where the first packet ends; None while its length is not there yet."""
    length = 0
    for index in range(1, min(5, len(data))):
        length |= (data[index] & ~_CONTINUES) << 7 * (index - 1)
        if not data[index] & _CONTINUES:
            return 1 + index + length
    return None


@dataclass(frozen=True, slots=True)
class Publish:
    """A PUBLISH packet of MQTT 3.1.1.

    Attributes:
        head: type and flags. identified: topic and packet id as they stand before the payload.
    """

    head: int
    topic: str
    identified: bytes
    payload: bytes

    def packet(self, payload: bytes) -> bytes:
        """Return the same packet with another payload."""
        body = self.identified + payload
        return bytes([self.head]) + _remaining_length(len(body)) + body


def parse_publish(packet: bytes) -> Publish | None:
    """Return what a whole packet publishes; None when it is of another type."""
    if packet[0] >> 4 != PUBLISH:
        return None
    body = packet[len(packet) - _body_bytes(packet) :]
    topic_end = 2 + int.from_bytes(body[:2], "big")
    payload_at = topic_end + (2 if packet[0] & 0x06 else 0)
    topic = body[2:topic_end].decode(errors="replace")
    return Publish(packet[0], topic, body[:payload_at], body[payload_at:])


def _body_bytes(packet: bytes) -> int:
    head_bytes = next(index for index in range(1, 5) if not packet[index] & _CONTINUES) + 1
    return len(packet) - head_bytes


def _remaining_length(length: int) -> bytes:
    encoded = bytearray()
    while True:
        length, low = divmod(length, _CONTINUES)
        encoded.append(low | (_CONTINUES if length else 0))
        if not length:
            return bytes(encoded)
