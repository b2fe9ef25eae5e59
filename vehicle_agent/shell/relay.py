"""The watchdog relay's serial port: opened by path, read and stroked without ever waiting.

pyserial opens and configures the port. It does not read or write it: its write() goes round for
ever when a non-blocking port takes nothing, and a relay that does not read must not hold up a tick.
"""

from __future__ import annotations

import contextlib
import os
import select
import termios
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
        self._port: serial.Serial | None = None
        self._descriptor = -1
        self._poll = select.poll()
        self._pause_ns = REOPEN_FIRST_NS
        self._reopen_ns: int | None = None
        self._cut = False
        self.events: Counter[str] = Counter()

    def fileno(self) -> int:
        """Return the open port's descriptor, readable when a report waits; -1 when it is shut."""
        return self._descriptor

    def receive(self, now_ns: int) -> RelayStatus | None:
        """Read what waits; return the relay's status. Open the port when it is time to."""
        if self._port is None:
            self._open(now_ns)
        if self._port is not None:
            self._read(now_ns)
        return self._line.status(now_ns)

    def stroke(self, now_ns: int, wish: RelayWish, *, healthy: bool) -> None:
        """Send a stroke when one is due and every tick since the last one was healthy."""
        stroke = self._line.stroke(now_ns, wish, healthy=healthy)
        if stroke is None or self._port is None:
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
        if self._port is None:
            return
        with contextlib.suppress(OSError, termios.error):
            self._port.reset_output_buffer()  # closing would wait until what is queued has left
        with contextlib.suppress(OSError, termios.error):
            self._port.close()
        self._port, self._descriptor = None, -1

    def _open(self, now_ns: int) -> None:
        if self._reopen_ns is not None and now_ns < self._reopen_ns:
            return
        try:
            self._port = serial.Serial(
                str(self._path), BAUD_RATE_BPS, timeout=0, write_timeout=0, exclusive=True
            )
        except (OSError, ValueError, termios.error):
            self.events["open_failed"] += 1
            self._wait(now_ns)
            return
        self.events["opened"] += 1
        self._descriptor = self._port.fileno()
        self._poll = select.poll()
        self._poll.register(self._descriptor, select.POLLIN)
        self._cut = False

    def _read(self, now_ns: int) -> None:
        ready = self._poll.poll(0)
        if not ready:
            return
        try:
            data = os.read(self._descriptor, READ_MAX_BYTES) if ready[0][1] & select.POLLIN else b""
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if data:
            self._pause_ns = REOPEN_FIRST_NS
            self._line.take(now_ns, data)
        else:  # hung up: readable, and nothing to read
            self._lose(now_ns)

    def _lose(self, now_ns: int) -> None:
        self.events["lost"] += 1
        self.close()
        self._line.forget()
        self._wait(now_ns)

    def _wait(self, now_ns: int) -> None:
        self._reopen_ns = now_ns + self._pause_ns
        self._pause_ns = min(2 * self._pause_ns, REOPEN_LAST_NS)
