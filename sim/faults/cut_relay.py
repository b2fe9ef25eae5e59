"""A TCP relay on loopback whose two directions can be cut one at a time, and mended.

A cut direction carries nothing, not even the end of a connection; what the ends had sent waits
in their buffers and comes out when it is mended, as on a real line.

It is a process of its own: what it carries must not wait for anything that the program which cuts
it does. (A garbage collection of a large program holds all of its threads for 0.1 to 0.3 s, long
enough to stop a truck whose commands go through one of them.)
"""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterable
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

    Raises:
        OSError: its process could not be started or has ended.
    """

    def __init__(self, niceness: int = 0) -> None:
        """Start it.

        Args:
            niceness: of its process, where this user may set it.
        """
        self._process = subprocess.Popen(
            [sys.executable, "-m", __name__, str(niceness)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        try:
            self.port = self._answer()
        except OSError:
            self.__exit__()
            raise

    def __enter__(self) -> CutRelay:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate()

    def aim(self, port: int) -> None:
        """Carry connections on to this port of 127.0.0.1; before that none is taken."""
        self._ask(f"aim {port}")

    def cut(self, direction: Direction) -> int:
        """Carry nothing more this way; return since when, monotonic ns."""
        return self._ask(f"cut {direction}")

    def mend(self, direction: Direction) -> None:
        """Carry again, beginning with what waited."""
        self._ask(f"mend {direction}")

    def _ask(self, order: str) -> int:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{order}\n")
        self._process.stdin.flush()
        return self._answer()

    def _answer(self) -> int:
        assert self._process.stdout is not None
        answer = self._process.stdout.readline()
        if not answer:
            raise OSError("the relay's process has ended")
        return int(answer)


class _Carrier:
    """What the relay's process does."""

    def __init__(self) -> None:
        self._listener = socket.create_server((HOST, 0))
        self.port = int(self._listener.getsockname()[1])
        self._target: int | None = None
        self._whole = {direction: threading.Event() for direction in Direction}
        self._closing = threading.Event()
        self._sockets: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        for way in self._whole.values():
            way.set()

    def __enter__(self) -> _Carrier:
        self._start(threading.Thread(target=self._accept, name="cut relay", daemon=True))
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.set()
        for way in self._whole.values():
            way.set()
        _end(self._listener)
        for each in self._sockets:
            _end(each)
        for thread in self._threads:
            thread.join()

    def obey(self, order: str, to: str) -> None:
        """Do as :class:`CutRelay` asks."""
        match order:
            case "aim":
                self._target = int(to)
            case "cut":
                self._whole[Direction(to)].clear()
            case "mend":
                self._whole[Direction(to)].set()

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


def _serve(orders: Iterable[str]) -> None:
    """Relay until the orders end; answer with the port, then each with the time it was done."""
    with _Carrier() as carrier:
        _say(carrier.port)
        for line in orders:
            carrier.obey(*line.split())
            _say(clock.monotonic_ns())


def _say(number: int) -> None:
    sys.stdout.write(f"{number}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    with contextlib.suppress(PermissionError):
        os.nice(int(sys.argv[1]))
    _serve(sys.stdin)
