"""The console's end of its recorder: hands over what happens, waits for nothing, keeps it up.

What the line does not take now waits in a bounded store; when that is full the oldest goes and is
counted. Nothing here can hold up a command: each call takes a datagram or leaves it.
"""

from __future__ import annotations

import asyncio
import errno
import json
import logging
import socket
import sys
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from operator_console.core import cockpit_log
from operator_console.shell.clock import monotonic_ns
from operator_console.shell.line_process import ended, started

LOGGER = logging.getLogger(__name__)

BUFFER_BYTES = 1024 * 1024
DATAGRAM_MAX_BYTES = 96 * 1024
STORE_BYTES = 4 * 1024 * 1024
"""More than ten seconds of a drive: a recorder that was killed is up again by then."""
SENT_AT_ONCE = 32
RESTART_AFTER_S = 1.0
QUICK_MAX, QUICK_S = 5, 12.0
"""So many that each lived for less than so long: what ails them does not go in a second."""
SELDOM_AFTER_S = 60.0
ENDS_WITHIN_S = 5.0
"""At the end it writes what waits and signs its file."""


class Tap:
    """What waits for the recorder.

    Attributes:
        dropped: records that found no room, in all.
    """

    def __init__(self, store_bytes: int = STORE_BYTES) -> None:
        self._store_bytes = store_bytes
        self._waiting: deque[bytes] = deque()
        self._bytes = 0
        self._untold = 0
        self._line: socket.socket | None = None
        self.dropped = 0

    def to(self, line: socket.socket | None) -> None:
        """From now on this is the line, or there is none."""
        self._line = line

    def give(self, datagram: bytes) -> None:
        """Hand over one record, now or soon."""
        self._waiting.append(datagram)
        self._bytes += len(datagram)
        while self._bytes > self._store_bytes:
            self._bytes -= len(self._waiting.popleft())
            self._count_dropped()
        self.offer()

    def offer(self) -> None:
        """Let the line have what it takes now."""
        line = self._line
        if line is None:
            return
        for _ in range(SENT_AT_ONCE):
            if not self._waiting:
                self._tell_dropped(line)
                return
            if not self._send(line, self._waiting[0]):
                return
            self._bytes -= len(self._waiting.popleft())

    def _tell_dropped(self, line: socket.socket) -> None:
        if self._untold and self._send(line, cockpit_log.dropped(monotonic_ns(), self._untold)):
            self._untold = 0

    def _send(self, line: socket.socket, datagram: bytes) -> bool:
        """Return whether the datagram is done with."""
        try:
            line.send(datagram)
        except BlockingIOError:
            return False
        except OSError as error:
            if error.errno == errno.EMSGSIZE:
                self._count_dropped()
                return True
            self._line = None  # it is gone; whoever reads of it makes another one
            return False
        return True

    def _count_dropped(self) -> None:
        self.dropped += 1
        self._untold += 1


def recorder_command(config: Path) -> tuple[str, ...]:
    """Return the command of the recorder, without its line."""
    return (
        sys.executable,
        "-m",
        "operator_console.shell.cockpit_recorder",
        "--config",
        str(config),
    )


@dataclass(slots=True)
class Patience:
    """How long to wait for the next recorder: never for ever, or a shift has no log."""

    quick: int = 0

    def pause_s(self, lived_s: float) -> float:
        """Return the time to wait after one that lived for so long."""
        self.quick = self.quick + 1 if lived_s < QUICK_S else 0
        if self.quick == QUICK_MAX:
            LOGGER.error("recorder ended %d times at once: now tried once a minute", QUICK_MAX)
        return RESTART_AFTER_S if self.quick < QUICK_MAX else SELDOM_AFTER_S


class RecorderProcess:
    """Keeps one recorder up until cancelled, and lets it finish its file then.

    Args:
        command: of the process; ``--line N`` is added.
        on_word: called in the loop with what it says. on_gone: called when it ended.

    Attributes:
        tap: what it is told.
    """

    def __init__(
        self,
        command: Sequence[str],
        tap: Tap,
        on_word: Callable[[dict[str, Any]], None],
        on_gone: Callable[[], None],
    ) -> None:
        self._command, self.tap = command, tap
        self._on_word, self._on_gone = on_word, on_gone
        self.pid: int | None = None

    async def run(self) -> None:
        """Start the process, and again when it ends: soon, or once a minute when that is no use."""
        loop, patience = asyncio.get_running_loop(), Patience()
        while True:
            begun_s = loop.time()
            await self._once()
            self._on_gone()
            await asyncio.sleep(patience.pause_s(loop.time() - begun_s))

    async def _once(self) -> None:
        try:
            process, ours = await started(self._command, BUFFER_BYTES)
        except OSError as error:  # nobody drives worse for it
            LOGGER.error("recorder cannot be started: %s", error.strerror or error)
            return
        with ours:
            self.pid = process.pid
            try:
                await self._serve(ours)
            finally:
                self.pid = None
                self.tap.offer()
                self.tap.to(None)
                ours.close()  # it finishes its file and ends when its line does
                await ended(process, ENDS_WITHIN_S)

    async def _serve(self, line: socket.socket) -> None:
        gone = asyncio.Event()
        loop = asyncio.get_running_loop()
        loop.add_reader(line, self._hear, line, gone)
        try:
            self.tap.to(line)
            self.tap.offer()
            await gone.wait()
        finally:
            loop.remove_reader(line)

    def _hear(self, line: socket.socket, gone: asyncio.Event) -> None:
        try:
            data = line.recv(DATAGRAM_MAX_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            gone.set()
            return
        try:
            word = json.loads(data)
        except ValueError:
            return
        if isinstance(word, dict):
            self._on_word(word)
