"""29-bit J1939 identifiers: priority, parameter group, destination, source."""

from __future__ import annotations

from dataclasses import dataclass

GLOBAL_ADDRESS = 0xFF
"""Everybody; also what a group that is always for everybody counts as sent to."""


@dataclass(frozen=True, slots=True)
class Id:
    """An identifier taken apart.

    Attributes:
        priority: 0 (highest) … 7. pgn: parameter group number.
        source: address of the sender. destination: of the receiver.
    """

    priority: int
    pgn: int
    source: int
    destination: int = GLOBAL_ADDRESS

    def encode(self) -> int:
        """Return the 29 bits."""
        second = 0 if _is_broadcast(self.pgn) else self.destination
        return self.priority << 26 | (self.pgn | second) << 8 | self.source


def parse_id(can_id: int) -> Id:
    """Take a 29-bit identifier apart."""
    group = can_id >> 8 & 0x3FFFF
    source, priority = can_id & 0xFF, can_id >> 26 & 7
    if _is_broadcast(group):
        return Id(priority, group, source)
    return Id(priority, group & 0x3FF00, source, group & 0xFF)


def _is_broadcast(group: int) -> bool:
    """PDU formats from 240 on are for everybody; their second byte is a part of the group."""
    return group >> 12 & 0xF == 0xF
