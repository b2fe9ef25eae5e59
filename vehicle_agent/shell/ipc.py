"""Datagrams between the machine's processes: one type byte, then the content.

Every socket is a bounded, non-blocking Unix datagram socket in the run folder: a full or dead
neighbour costs a dropped datagram and a count, never a wait.
"""

from __future__ import annotations

import contextlib
import socket
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path

DATAGRAM_MAX_BYTES = 64 * 1024
RECEIVE_BUFFER_BYTES = 256 * 1024

TO_GUARDIAN_COMMAND = b"C"
TO_GUARDIAN_REQUEST = b"R"
TO_GUARDIAN_STOP = b"S"
TO_GUARDIAN_RETAINED = b"X"
TO_LINK_STATE = b"s"
TO_LINK_ACK = b"k"
TO_LINK_AUTHORITY = b"a"
TO_LINK_EVENT = b"e"
TO_LINK_TELEMETRY = b"t"
TO_LINK_SIGNAL = b"n"
TO_MEDIA_SIGNAL = b"N"

GUARDIAN = "guardian.sock"
LINK = "link.sock"
MEDIA = "media.sock"


class CommandPath(IntEnum):
    """The two ways a command may come."""

    MQTT = 0
    DATA_CHANNEL = 1


@dataclass(frozen=True, slots=True)
class Addressed:
    """Content with the operator (or group) that it belongs to."""

    name: str
    content: bytes


def with_name(kind: bytes, name: str, content: bytes) -> bytes:
    """Return a datagram of ``kind`` for or from ``name``."""
    return kind + name.encode() + b"\0" + content


def split_name(body: bytes) -> Addressed | None:
    """Return name and content of a datagram's body; None when it is none."""
    name, separator, content = body.partition(b"\0")
    if not separator:
        return None
    try:
        return Addressed(name.decode("ascii"), content)
    except UnicodeDecodeError:
        return None


class Mailbox:
    """One bound datagram socket, and sends to neighbours in the same folder.

    Attributes:
        dropped: datagrams that a neighbour did not take, by its name.
    """

    def __init__(self, directory: Path, name: str) -> None:
        self._directory = directory
        self._path = directory / name
        with contextlib.suppress(FileNotFoundError):
            self._path.unlink()
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER_BYTES)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, RECEIVE_BUFFER_BYTES)
        self._socket.bind(str(self._path))
        self.dropped: dict[str, int] = {}

    def fileno(self) -> int:
        """Return the descriptor, for poll and add_reader."""
        return self._socket.fileno()

    def send(self, neighbour: str, data: bytes) -> bool:
        """Send without waiting; False (and a count) when it was not taken."""
        try:
            self._socket.sendto(data, str(self._directory / neighbour))
        except OSError:
            self.dropped[neighbour] = self.dropped.get(neighbour, 0) + 1
            return False
        return True

    def receive(self) -> bytes | None:
        """Return the next datagram, or None when there is none."""
        try:
            return self._socket.recv(DATAGRAM_MAX_BYTES)
        except (BlockingIOError, InterruptedError):
            return None

    def close(self) -> None:
        """Close and remove the socket."""
        self._socket.close()
        with contextlib.suppress(FileNotFoundError):
            self._path.unlink()
