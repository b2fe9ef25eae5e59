"""A serial box of contacts at its port: opened by name, read without ever waiting.

pyserial opens and configures the port. A thread reads it, as the guardian's does its relay's: even
asking a terminal whether it has something waits for a worker of the kernel, for up to half a second
on a busy computer (measured there), and the wheel must not wait for the box.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import select
import termios
import threading
from collections.abc import Callable
from pathlib import Path

import serial

from operator_console.core.box_line import BAUD_RATE_BPS, BoxReader
from operator_console.core.desk import Fault
from operator_console.core.devices import Identity
from operator_console.core.evdev import Controls
from operator_console.shell.clock import monotonic_ns
from operator_console.shell.evdev_source import EventSource, Finder

READ_MAX_BYTES = 4096
"""All that a Linux terminal holds back, and all that the pipe behind the thread does."""

GONE = frozenset({errno.ENOENT, errno.ENODEV, errno.ENXIO, errno.EIO})
"""What opening a port says that is not there."""


class BoxPort:
    """One open port.

    Raises:
        OSError: it cannot be opened; from :meth:`read`, when it is gone.
    """

    def __init__(self, path: Path) -> None:
        self._port = serial.Serial(str(path), BAUD_RATE_BPS, timeout=0, exclusive=True)
        self._out, self._sink = os.pipe2(os.O_CLOEXEC)
        os.set_blocking(self._out, False)
        fcntl.fcntl(self._out, fcntl.F_SETPIPE_SZ, READ_MAX_BYTES)
        self._ended, self._end = os.pipe2(os.O_CLOEXEC)
        self._thread = threading.Thread(target=self._run, name="box", daemon=True)
        self._thread.start()

    def fileno(self) -> int:
        """The descriptor that becomes readable with a line, or when the port is gone."""
        return self._out

    def read(self) -> bytes:
        """Return what waits, empty when nothing does."""
        try:
            data = os.read(self._out, READ_MAX_BYTES)
        except BlockingIOError:
            return b""
        if not data:
            raise OSError(errno.ENODEV, "the port is gone")
        return data

    def close(self) -> None:
        """Let the port go."""
        os.close(self._out)
        os.close(self._end)
        self._thread.join()

    def _run(self) -> None:
        with contextlib.suppress(OSError):
            self._carry(self._port.fileno())
        os.close(self._sink)
        with contextlib.suppress(OSError, termios.error):
            self._port.close()
        os.close(self._ended)

    def _carry(self, source: int) -> None:
        """Bring what the port says into the pipe, until it hangs up or is let go."""
        poll = select.poll()
        for each in (source, self._ended):
            poll.register(each, select.POLLIN)
        while self._ended not in dict(poll.poll()):
            data = os.read(source, READ_MAX_BYTES)
            if not data:
                return
            os.write(self._sink, data)


class BoxDevice:
    """A port with its reader; of the input process's devices the one without axes and force.

    Args:
        source: the open port.

    Raises:
        OSError: from :meth:`drain` and :meth:`check`, when the port is gone.
    """

    def __init__(self, source: BoxPort, clock_ns: Callable[[], int] = monotonic_ns) -> None:
        self.source = source
        self.reader = BoxReader()
        self._clock_ns = clock_ns

    def drain(self) -> int:
        """Take in what waits; return how often contacts changed."""
        return self.reader.feed(self.source.read(), self._clock_ns())

    def check(self) -> None:
        """It is not asked whether it lives: it says so by itself."""
        self.drain()

    @property
    def state(self) -> Controls | Fault:
        """The contacts, or that they do not count now."""
        return self.reader.state(self._clock_ns())


def open_box(path: Path, clock_ns: Callable[[], int] = monotonic_ns) -> BoxDevice | Fault:
    """Return the box at a port, or why it is not there."""
    try:
        return BoxDevice(BoxPort(path), clock_ns)
    except (OSError, ValueError, termios.error) as error:
        gone = isinstance(error, OSError) and error.errno in GONE
        return Fault.ABSENT if gone else Fault.DENIED


class DeskFinder:
    """Finds a layout's devices: those of the kernel's, and boxes on serial lines.

    Args:
        known: each device's identity. events: finds the kernel's. clock_ns: that boxes live by.
    """

    def __init__(
        self,
        known: dict[str, Identity],
        events: Callable[[dict[str, Identity]], Finder] = Finder,
        clock_ns: Callable[[], int] = monotonic_ns,
    ) -> None:
        self._clock_ns = clock_ns
        self._boxes = {name: Path(each.port) for name, each in known.items() if each.serial}
        self._events = events(
            {name: each for name, each in known.items() if name not in self._boxes}
        )

    def find(self, wanted: set[str]) -> dict[str, EventSource | BoxDevice | Fault]:
        """Return what there is of the wanted devices, and why there is not."""
        found: dict[str, EventSource | BoxDevice | Fault] = {
            name: open_box(self._boxes[name], self._clock_ns) for name in wanted & set(self._boxes)
        }
        others = wanted - set(found)
        return found | (self._events.find(others) if others else {})
