"""The console's end of the input process: starts it, hears it, tells it of the machine."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import sys
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path

from operator_console.core.desk import Feedback
from operator_console.core.desk_line import DATAGRAM_MAX_BYTES, encode_feedback
from operator_console.shell.line_process import ended, started

LOGGER = logging.getLogger(__name__)

FEEDBACK_S = 0.02
RESTART_AFTER_S = 0.5
RESTARTS_MAX, RESTART_WINDOW_S = 5, 60.0


def inputd_command(desk: Path, *, simulated: bool) -> tuple[str, ...]:
    """Return the command of the input process, without its line."""
    module = (sys.executable, "-m", "operator_console.shell.inputd", "--desk", str(desk))
    return (*module, "--simulated") if simulated else module


class DeskProcess:
    """Keeps one input process up until cancelled.

    Args:
        command: of the process; ``--line N`` is added.
        on_snapshot: called in the loop with each datagram, oldest first.
        on_gone: called when the process ended. feedback: what it is to know of the machine.
    """

    def __init__(
        self,
        command: Sequence[str],
        on_snapshot: Callable[[bytes], None],
        on_gone: Callable[[], None],
        feedback: Callable[[], Feedback],
    ) -> None:
        self._command = command
        self._on_snapshot = on_snapshot
        self._on_gone = on_gone
        self._feedback = feedback
        self.pid: int | None = None

    async def run(self) -> None:
        """Start the process, and again when it ends, five times a minute at most."""
        loop = asyncio.get_running_loop()
        starts: deque[float] = deque(maxlen=RESTARTS_MAX)
        while len(starts) < RESTARTS_MAX or loop.time() - starts[0] > RESTART_WINDOW_S:
            starts.append(loop.time())
            await self._once()
            await asyncio.sleep(RESTART_AFTER_S)
        LOGGER.error("input process ended %d times within a minute: no more", RESTARTS_MAX)
        await asyncio.Event().wait()

    async def _once(self) -> None:
        try:
            process, ours = await started(self._command)
        except OSError as error:  # the console goes on without it
            LOGGER.error("input process cannot be started: %s", error.strerror or error)
            self._on_gone()
            return
        with ours:
            self.pid = process.pid
            try:
                await self._serve(ours)
            finally:
                self.pid = None
                self._on_gone()
                ours.close()  # it ends when its line does
                await ended(process)

    async def _serve(self, line: socket.socket) -> None:
        """Hear and tell until the process is gone."""
        gone = asyncio.Event()
        loop = asyncio.get_running_loop()
        loop.add_reader(line, self._hear, line, gone)
        try:
            while not gone.is_set():
                with contextlib.suppress(BlockingIOError, ConnectionError):
                    line.send(encode_feedback(self._feedback()))
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(FEEDBACK_S):
                        await gone.wait()
        finally:
            loop.remove_reader(line)

    def _hear(self, line: socket.socket, gone: asyncio.Event) -> None:
        """Take in all that waits: a STOP in an older snapshot counts as well."""
        while True:
            try:
                data = line.recv(DATAGRAM_MAX_BYTES)
            except BlockingIOError:
                return
            except OSError:
                data = b""
            if not data:
                self._on_gone()
                gone.set()
                return
            self._on_snapshot(data)
