"""The watchdog relay's serial port: opened by path, read and stroked without ever waiting.

pyserial opens and configures the port. It does not read or write it: its write() goes round for
ever when a non-blocking port takes nothing, and a relay that does not read must not hold up a tick.

Nor does the tick look at the terminal itself: polling or reading one first waits for a worker of
the kernel, which has ordinary priority. With both cores busy that took up to half a second
(measured), whatever the priority of who asks. A thread waits there; the tick reads its pipe.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import select
import termios
import threading
from collections import Counter
from pathlib import Path

import serial

from protocol.relay import BAUD_RATE_BPS, DELIMITER, RelayWish
from protocol.signals import Timing
from vehicle_agent.core.relay import RelayLine, RelayStatus

_MS = 1_000_000
READ_MAX_BYTES = 4096
"""A tick's share, and all that a Linux terminal holds back."""
REOPEN_FIRST_NS = 100 * _MS
REOPEN_LAST_NS = 2_000 * _MS
"""Each failed opening doubles the pause before the next, up to this."""
CLOSED_WITHIN_S = 1.0


class Pump:
    """Carries what an open port says into a pipe, in a thread of its own, and closes the port.

    The pipe holds as little as the terminal does; when nobody reads it the terminal fills up.
    It ends when the port does.

    Attributes:
        descriptor: the pipe's end to read; reading never waits.
    """

    def __init__(self, port: serial.Serial) -> None:
        self._port = port
        self.descriptor, self._sink = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        fcntl.fcntl(self._sink, fcntl.F_SETPIPE_SZ, READ_MAX_BYTES)
        self._ended, self._end = os.pipe2(os.O_CLOEXEC)
        self._thread = threading.Thread(target=self._run, name="relay-port", daemon=True)
        self._thread.start()

    def let_go(self) -> None:
        """Nobody writes to the port any more: let it be closed."""
        os.close(self.descriptor)
        os.close(self._end)

    def join(self) -> None:
        """Wait until the port is closed."""
        self._thread.join(CLOSED_WITHIN_S)

    def _run(self) -> None:
        with contextlib.suppress(OSError):
            self._carry(self._port.fileno())
        os.close(self._sink)
        self._await(select.poll())
        with contextlib.suppress(OSError, termios.error):
            self._port.reset_output_buffer()  # closing would wait until what is queued has left
        with contextlib.suppress(OSError, termios.error):
            self._port.close()
        os.close(self._ended)

    def _carry(self, source: int) -> None:
        readable, writable = select.poll(), select.poll()
        readable.register(source, select.POLLIN)
        writable.register(self._sink, select.POLLOUT)
        while self._await(readable):
            data = os.read(source, READ_MAX_BYTES)
            if not data:  # hung up: readable, and nothing to read
                return
            if not self._await(writable):
                return
            os.write(self._sink, data)

    def _await(self, poll: select.poll) -> bool:
        """Wait for what ``poll`` waits for; False when it is to end."""
        poll.register(self._ended, select.POLLIN)
        return self._ended not in dict(poll.poll())


class RelayPort:
    """The relay at the end of a serial line that may come and go.

    Args:
        path: of the device; give one by id, which stays the same when it is plugged in again.
        timing: stroke period and silence. first_sequence: u16, random at each start.

    Attributes:
        events: ``opened``, ``open_failed``, ``lost``; strokes ``cut`` or ``not_taken``.
    """

    def __init__(self, path: Path, timing: Timing, first_sequence: int) -> None:
        self._path = path
        self._line = RelayLine(timing, first_sequence)
        self._pump: Pump | None = None
        self._descriptor = -1
        self._pause_ns = REOPEN_FIRST_NS
        self._reopen_ns: int | None = None
        self._cut = False
        self.events: Counter[str] = Counter()

    def fileno(self) -> int:
        """Return a descriptor, readable when a report waits or the port ended; -1 when shut."""
        return -1 if self._pump is None else self._pump.descriptor

    def receive(self, now_ns: int) -> RelayStatus | None:
        """Read what waits; return the relay's status. Open the port when it is time to."""
        if self._pump is None:
            self._open(now_ns)
        if self._pump is not None:
            self._read(now_ns, self._pump)
        return self._line.status(now_ns)

    def stroke(self, now_ns: int, wish: RelayWish, *, healthy: bool) -> None:
        """Send a stroke when one is due and every tick since the last one was healthy."""
        stroke = self._line.stroke(now_ns, wish, healthy=healthy)
        if stroke is None or self._pump is None:
            return
        data = DELIMITER + stroke if self._cut else stroke
        try:
            taken = os.write(self._descriptor, data)
        except BlockingIOError:
            self.events["not_taken"] += 1
        except OSError:
            self._lose(now_ns)
        else:
            self._cut = taken < len(data)
            self.events["cut"] += self._cut

    def summary(self) -> dict[str, object]:
        """Return the counters, for telemetry."""
        return {
            **self.events,
            **self._line.counts,
            "reports": self._line.decoder.frames,
            "corrupted": {
                fault.value: number for fault, number in self._line.decoder.faults.items()
            },
        }

    def close(self) -> None:
        """Leave the port; the relay notices the silence."""
        pump = self._pump
        self._let_go()
        if pump is not None:
            pump.join()

    def _let_go(self) -> None:
        pump, self._pump, self._descriptor = self._pump, None, -1
        if pump is not None:
            pump.let_go()

    def _open(self, now_ns: int) -> None:
        if self._reopen_ns is not None and now_ns < self._reopen_ns:
            return
        try:
            port = serial.Serial(
                str(self._path), BAUD_RATE_BPS, timeout=0, write_timeout=0, exclusive=True
            )
            descriptor, pump = port.fileno(), Pump(port)
        except (OSError, ValueError, RuntimeError, termios.error):
            self.events["open_failed"] += 1
            self._wait(now_ns)
            return
        self.events["opened"] += 1
        self._descriptor, self._pump = descriptor, pump
        self._cut = False

    def _read(self, now_ns: int, pump: Pump) -> None:
        try:
            data = os.read(pump.descriptor, READ_MAX_BYTES)
        except BlockingIOError:
            return
        if data:
            self._pause_ns = REOPEN_FIRST_NS
            self._line.take(now_ns, data)
        else:
            self._lose(now_ns)

    def _lose(self, now_ns: int) -> None:
        self.events["lost"] += 1
        self._let_go()
        self._line.forget()
        self._wait(now_ns)

    def _wait(self, now_ns: int) -> None:
        self._reopen_ns = now_ns + self._pause_ns
        self._pause_ns = min(2 * self._pause_ns, REOPEN_LAST_NS)
