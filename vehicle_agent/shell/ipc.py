"""Datagrams between the machine's processes: one type byte, then the content.

Every socket is a bounded, non-blocking Unix datagram socket in the run folder: a full or dead
neighbour costs a dropped datagram and a count, never a wait.
"""

from __future__ import annotations

import contextlib
import socket
from collections import deque
from dataclasses import dataclass
from enum import Enum, auto
from pathlib import Path

DATAGRAM_MAX_BYTES = 64 * 1024
RECEIVE_BUFFER_BYTES = 256 * 1024
KEPT_DATAGRAMS = 64
"""For each neighbour."""
KEPT_TRIES = 10
"""Linux lets some ten datagrams wait at a socket (net.unix.max_dgram_qlen). What must arrive once
is tried again, a tick apart; what was not taken after so many tries is out of date."""

TO_GUARDIAN_COMMAND = b"C"
TO_GUARDIAN_REQUEST = b"R"
TO_GUARDIAN_STOP = b"S"
TO_GUARDIAN_RETAINED = b"X"
TO_GUARDIAN_SCAN = b"P"
"""A range finder's scan, as core/clearance.py has it; from whatever program reads the scanner."""
TO_GUARDIAN_PLACE = b"L"
"""A locator's place, as core/place.py has it."""
TO_GUARDIAN_NEARBY = b"N"
"""Distances all round, as core/nearby.py has them."""
TO_LINK_STATE = b"s"
TO_LINK_ACK = b"k"
TO_LINK_AUTHORITY = b"a"
TO_LINK_EVENT = b"e"
TO_LINK_TELEMETRY = b"t"
TO_LINK_SIGNAL = b"n"
TO_MEDIA_SIGNAL = b"N"
TO_MEDIA_STATE = b"s"
TO_GUARDIAN_KEY = b"K"
"""The recorder begins a file and asks for the state that it begins from."""
TO_GUARDIAN_WRITTEN = b"W"
"""Which tick of which boot is with the operating system."""
TO_RECORDER_BOOT = b"B"
TO_RECORDER_KEY = b"K"
TO_RECORDER_TICK = b"T"
TO_RECORDER_FIGURES = b"t"
TO_RECORDER_EVENT = b"e"
TO_RECORDER_PICTURE = b"V"
TO_RECORDER_META = b"M"
TO_RECORDER_HEAD = b"H"
"""How far a cockpit's recorder had got, signed by it."""

SENSED = (TO_GUARDIAN_SCAN, TO_GUARDIAN_PLACE, TO_GUARDIAN_NEARBY)
"""What sensors' programs send."""
GUARDIAN = "guardian.sock"
LINK = "link.sock"
MEDIA = "media.sock"
RECORDER = "recorder.sock"


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


class Handed(Enum):
    """What became of a datagram: GONE says that nobody is there to take it."""

    TAKEN = auto()
    FULL = auto()
    GONE = auto()


@dataclass(slots=True, eq=False)
class _Kept:
    neighbour: str
    data: bytes
    tries: int = 0


class Mailbox:
    """One bound datagram socket, and sends to neighbours in the same folder.

    Attributes:
        dropped: datagrams that a neighbour did not take, by its name.
        too_long: datagrams that came and were longer than one may be.
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
        self.too_long = 0
        self._kept: deque[_Kept] = deque()

    def fileno(self) -> int:
        """Return the descriptor, for poll and add_reader."""
        return self._socket.fileno()

    def send(self, neighbour: str, data: bytes) -> bool:
        """Send without waiting; False (and a count) when it was not taken."""
        taken = self.offer(neighbour, data)
        if not taken:
            self._drop(neighbour)
        return taken

    def post(self, neighbour: str, data: bytes) -> None:
        """Send what is said once: when it is not taken it is kept for :meth:`flush`, in order."""
        waiting = [kept for kept in self._kept if kept.neighbour == neighbour]
        if not waiting and self.offer(neighbour, data):
            return
        if len(waiting) >= KEPT_DATAGRAMS:
            self._kept.remove(waiting[0])
            self._drop(neighbour)
        self._kept.append(_Kept(neighbour, data))

    def flush(self) -> bool:
        """Offer again what was posted and not taken; return whether something still waits."""
        waiting, self._kept = self._kept, deque()
        full: set[str] = set()
        for kept in waiting:
            if kept.neighbour in full:
                self._kept.append(kept)
                continue
            if self.offer(kept.neighbour, kept.data):
                continue
            full.add(kept.neighbour)
            kept.tries += 1
            if kept.tries >= KEPT_TRIES:
                self._drop(kept.neighbour)
            else:
                self._kept.append(kept)
        return bool(self._kept)

    def offer(self, neighbour: str, data: bytes) -> bool:
        """Send without waiting and without a count; False when it was not taken."""
        return self.hand(neighbour, data) is Handed.TAKEN

    def hand(self, neighbour: str, data: bytes) -> Handed:
        """Send without waiting and without a count; tell a full neighbour from one that is gone."""
        try:
            self._socket.sendto(data, str(self._directory / neighbour))
        except BlockingIOError:
            return Handed.FULL
        except OSError as error:
            gone = isinstance(error, (ConnectionRefusedError, FileNotFoundError))
            return Handed.GONE if gone else Handed.FULL
        return Handed.TAKEN

    def _drop(self, neighbour: str) -> None:
        self.dropped[neighbour] = self.dropped.get(neighbour, 0) + 1

    def receive(self) -> bytes | None:
        """Return the next datagram, or None when there is none; in place of one too long b""."""
        try:
            data = self._socket.recv(DATAGRAM_MAX_BYTES + 1)
        except (BlockingIOError, InterruptedError):
            return None
        if len(data) <= DATAGRAM_MAX_BYTES:
            return data
        self.too_long += 1
        return b""

    def close(self) -> None:
        """Close and remove the socket."""
        self._socket.close()
        with contextlib.suppress(FileNotFoundError):
            self._path.unlink()
