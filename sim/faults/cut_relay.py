"""A TCP relay on loopback whose two directions can be cut one at a time, and mended.

A cut direction carries nothing, not even the end of a connection; what the ends had sent waits
in their buffers and comes out when it is mended, as on a real line.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from enum import StrEnum

from vehicle_agent.shell import clock

HOST = "127.0.0.1"
CHUNK_BYTES = 4096


class Direction(StrEnum):
    """One way of a line."""

    UP = "up"
    """From the one who connects."""
    DOWN = "down"
    """Back to him."""


class CutRelay:
    """Carries every connection to its own port on to :meth:`aim`'s; a context manager.

    Attributes:
        port: where it listens, on 127.0.0.1.
    """

    def __init__(self) -> None:
        self._listener = socket.create_server((HOST, 0))
        self.port = int(self._listener.getsockname()[1])
        self._target: int | None = None
        self._whole = {direction: threading.Event() for direction in Direction}
        self._closing = threading.Event()
        self._sockets: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        for direction in Direction:
            self.mend(direction)

    def __enter__(self) -> CutRelay:
        self._start(threading.Thread(target=self._accept, name="cut relay", daemon=True))
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.set()
        for direction in Direction:
            self.mend(direction)
        _end(self._listener)
        for each in self._sockets:
            _end(each)
        for thread in self._threads:
            thread.join()

    def aim(self, port: int) -> None:
        """Carry connections on to this port of 127.0.0.1; before that none is taken."""
        self._target = port

    def cut(self, direction: Direction) -> int:
        """Carry nothing more this way; return since when, monotonic ns."""
        self._whole[direction].clear()
        return clock.monotonic_ns()

    def mend(self, direction: Direction) -> None:
        """Carry again, beginning with what waited."""
        self._whole[direction].set()

    def _start(self, thread: threading.Thread) -> None:
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while not self._closing.is_set():
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            if self._target is None:
                near.close()
                continue
            try:
                far = socket.create_connection((HOST, self._target))
            except OSError:
                near.close()
                continue
            self._sockets += [near, far]
            for each in (near, far):
                each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for source, sink, way in ((near, far, Direction.UP), (far, near, Direction.DOWN)):
                carry = threading.Thread(
                    target=self._carry, args=(source, sink, way), name=f"cut relay {way}"
                )
                self._start(carry)

    def _carry(self, source: socket.socket, sink: socket.socket, direction: Direction) -> None:
        """Carry one way until the source ends; its end is carried too."""
        with contextlib.suppress(OSError):
            while data := source.recv(CHUNK_BYTES):
                self._whole[direction].wait()
                if self._closing.is_set():
                    return
                sink.sendall(data)
        self._whole[direction].wait()
        _end(sink)
        _end(source)


def _end(either: socket.socket) -> None:
    """Close a socket, and wake whoever waits on it."""
    with contextlib.suppress(OSError):
        either.shutdown(socket.SHUT_RDWR)
    either.close()
