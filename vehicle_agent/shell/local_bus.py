"""A bus without hardware: datagrams fanned out over a folder of Unix sockets, and CAN on top.

Each node binds one socket in the folder; what a node sends reaches every other node, as on a wire.
Nobody ever waits: a node that does not read loses the frames that its queue has no room for, as a
CAN controller does, and the sender counts them.
"""

from __future__ import annotations

import contextlib
import errno
import os
import select
import socket
from collections.abc import Callable
from itertools import count
from pathlib import Path
from struct import Struct
from typing import Any

import can

from vehicle_agent.shell.clock import monotonic_ns

RESCAN_NS = 100_000_000
BUFFER_BYTES = 256 * 1024
DATAGRAM_MAX_BYTES = 64 * 1024
_SUFFIX = ".sock"
_FULL = frozenset({errno.EAGAIN, errno.ENOBUFS})
_GONE = frozenset({errno.ECONNREFUSED, errno.ENOENT})


class DatagramFanout:
    """One node on a folder of Unix datagram sockets.

    Args:
        directory: the folder; made (0700) when missing. Keep the path short (107 bytes).
        name: this node's, unique among those alive.
        now_ns: monotonic clock, decides only when the folder is looked at again.

    Attributes:
        dropped: datagrams that a neighbour's full queue did not take.

    Raises:
        OSError: ``name`` is in use by a live node, or the folder cannot be used.
    """

    def __init__(
        self, directory: Path, name: str, now_ns: Callable[[], int] = monotonic_ns
    ) -> None:
        self._directory = directory
        self._path = directory / f"{name}{_SUFFIX}"
        self._now_ns = now_ns
        self._neighbours: dict[str, int] = {}
        self._scanned_ns: int | None = None
        self._folder_mtime_ns = -1
        self._settled = False
        self.dropped = 0
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._socket = _bound_socket(self._path)

    def fileno(self) -> int:
        """Return the descriptor, readable when a datagram waits."""
        return self._socket.fileno()

    def send(self, data: bytes) -> int:
        """Send to every other node without waiting; return how many took it."""
        self._rescan()
        taken = 0
        for path in tuple(self._neighbours):
            try:
                self._socket.sendto(data, path)
            except OSError as error:
                self._note_failure(path, error)
            else:
                taken += 1
        return taken

    def recv(self) -> bytes | None:
        """Return the next datagram, or None when none waits."""
        try:
            return self._socket.recv(DATAGRAM_MAX_BYTES)
        except (BlockingIOError, InterruptedError):
            return None

    def close(self) -> None:
        """Leave the folder. A second call does nothing."""
        if self._socket.fileno() < 0:
            return
        with contextlib.suppress(FileNotFoundError):
            self._path.unlink()
        self._socket.close()

    def _note_failure(self, path: str, error: OSError) -> None:
        if error.errno in _FULL:
            self.dropped += 1
        elif error.errno in _GONE:
            self._forget(path)
        else:
            raise error

    def _forget(self, path: str) -> None:
        """Drop a node that is no more, and its socket file unless a new node has taken it."""
        inode = self._neighbours.pop(path)
        file = Path(path)
        with contextlib.suppress(FileNotFoundError):
            if file.lstat().st_ino == inode:
                file.unlink()

    def _rescan(self) -> None:
        """Look at the folder again when it changed, and once more after: its time is coarse."""
        now_ns = self._now_ns()
        if self._scanned_ns is not None and now_ns - self._scanned_ns < RESCAN_NS:
            return
        self._scanned_ns = now_ns
        mtime_ns = self._directory.stat().st_mtime_ns
        changed = mtime_ns != self._folder_mtime_ns
        if not changed and self._settled:
            return
        self._settled = not changed
        self._folder_mtime_ns = mtime_ns
        own = self._path.name
        with os.scandir(self._directory) as entries:
            self._neighbours = {
                entry.path: entry.inode()
                for entry in entries
                if entry.name.endswith(_SUFFIX) and entry.name != own
            }


def _bound_socket(path: Path) -> socket.socket:
    """Return a non-blocking datagram socket bound to ``path``, over a dead one if need be."""
    node = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    try:
        node.setblocking(False)
        node.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER_BYTES)
        node.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, BUFFER_BYTES)
        try:
            node.bind(str(path))
        except OSError as error:
            if error.errno != errno.EADDRINUSE or _is_alive(path):
                raise OSError(error.errno, f"{path}: {error.strerror}") from error
            path.unlink(missing_ok=True)
            node.bind(str(path))
    except BaseException:
        node.close()
        raise
    return node


def _is_alive(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            return False
        except FileNotFoundError:
            return False
    return True


_FRAME = Struct("<IBBQ8s")
_EXTENDED = 1
_REMOTE = 2
_ERROR = 4
_KNOWN_FLAGS = _EXTENDED | _REMOTE | _ERROR
_CAN_DATA_MAX = 8
_STANDARD_ID_MAX = 0x7FF
_EXTENDED_ID_MAX = 0x1FFFFFFF
_NS_PER_S = 1_000_000_000
_NODE_NUMBERS = count()


class LocalCanBus(can.BusABC):
    """Classic CAN over a :class:`DatagramFanout`: python-can interface ``headframe_local``.

    A node never hears its own frames. Stamps are the sender's monotonic clock, which all processes
    of one computer share. There is no bit time, no arbitration and no error state.

    Args:
        channel: path of the folder that is the wire.
        can_filters: python-can filters.
        name: node name; by default process id and a number.

    Attributes:
        malformed: datagrams that were no CAN frame; they are skipped.
    """

    def __init__(
        self,
        channel: Any,
        can_filters: can.typechecking.CanFilters | None = None,
        name: str | None = None,
        **kwargs: object,
    ) -> None:
        self.malformed = 0
        self._fanout = DatagramFanout(
            Path(str(channel)), name or f"{os.getpid()}-{next(_NODE_NUMBERS)}"
        )
        self.channel_info = f"headframe_local {channel}"
        super().__init__(channel=channel, can_filters=can_filters, **kwargs)

    @property
    def dropped(self) -> int:
        """Frames that a neighbour's full queue did not take."""
        return self._fanout.dropped

    def send(self, msg: can.Message, timeout: float | None = None) -> None:  # noqa: ARG002
        """Put one classic frame on the wire; never waits.

        Raises:
            can.CanOperationError: it is no classic CAN frame, or the folder is gone.
        """
        if msg.is_fd or len(msg.data) > _CAN_DATA_MAX:
            raise can.CanOperationError("headframe_local carries classic CAN only")
        flags = (
            _EXTENDED * msg.is_extended_id
            | _REMOTE * msg.is_remote_frame
            | _ERROR * msg.is_error_frame
        )
        frame = _FRAME.pack(msg.arbitration_id, flags, msg.dlc, monotonic_ns(), bytes(msg.data))
        try:
            self._fanout.send(frame)
        except OSError as error:
            raise can.CanOperationError(f"headframe_local: {error}", error.errno) from error

    def _recv_internal(self, timeout: float | None) -> tuple[can.Message | None, bool]:
        while True:
            datagram = self._fanout.recv()
            if datagram is not None:
                message = self._parsed(datagram)
                if message is not None:
                    return message, False
                self.malformed += 1
                continue
            if timeout == 0:
                return None, False
            if not select.select([self._fanout], [], [], timeout)[0]:
                return None, False

    def _parsed(self, datagram: bytes) -> can.Message | None:
        if len(datagram) != _FRAME.size:
            return None
        can_id, flags, dlc, stamp_ns, data = _FRAME.unpack(datagram)
        id_max = _EXTENDED_ID_MAX if flags & _EXTENDED else _STANDARD_ID_MAX
        if flags & ~_KNOWN_FLAGS or dlc > _CAN_DATA_MAX or can_id > id_max:
            return None
        remote = bool(flags & _REMOTE)
        return can.Message(
            timestamp=stamp_ns / _NS_PER_S,
            arbitration_id=can_id,
            is_extended_id=bool(flags & _EXTENDED),
            is_remote_frame=remote,
            is_error_frame=bool(flags & _ERROR),
            channel=self.channel_info,
            dlc=dlc,
            data=None if remote else data[:dlc],
        )

    def fileno(self) -> int:
        """Return the descriptor, readable when a frame waits."""
        return self._fanout.fileno()

    def shutdown(self) -> None:
        """Leave the wire. A second call does nothing."""
        super().shutdown()
        self._fanout.close()

    @staticmethod
    def _detect_available_configs() -> list[can.typechecking.AutoDetectedConfig]:
        return []
