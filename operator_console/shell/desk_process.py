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
from operator_console.shell.desk_config import load_desk
from operator_console.shell.line_process import ended, started

LOGGER = logging.getLogger(__name__)

FEEDBACK_S = 0.02
RESTART_AFTER_S = 0.5
ENDS_MAX, ENDS_WINDOW_S = 5, 60.0
_TOO_OFTEN = "input process ended %d times within a minute: tried again in a minute"
SELDOM_AFTER_S = 60.0
"""What ends so often does not mend in half a second; a driver need not restart the console."""


def inputd_command(desk: Path, *, simulated: bool) -> tuple[str, ...]:
    """Return the command of the input process, without its line.

    It names what the file says now: each later process takes that and no other (cockpit rule 8).

    Raises:
        ValueError: the file does not fit.
    """
    digest = load_desk(desk, simulated=simulated).digest
    module = (sys.executable, "-m", "operator_console.shell.inputd")
    command = (*module, "--desk", str(desk), "--digest", digest)
    return (*command, "--simulated") if simulated else command


class Ends:
    """When the newest input processes ended, in seconds of any clock that only goes on."""

    def __init__(self) -> None:
        self._newest_s: deque[float] = deque(maxlen=ENDS_MAX)

    def too_often(self, now_s: float) -> bool:
        """Note that one ended now; return whether the next one is to wait."""
        self._newest_s.append(now_s)
        return len(self._newest_s) == ENDS_MAX and now_s - self._newest_s[0] <= ENDS_WINDOW_S


class DeskProcess:
    """Keeps one input process up until cancelled.

    Args:
        command: of the process; ``--line N`` is added.
        on_snapshot: called in the loop with each datagram, oldest first.
        on_gone: called when the process ended. feedback: what it is to know of the machine.
        on_too_often: called when it ended so often that the next one comes in a minute.
    """

    def __init__(
        self,
        command: Sequence[str],
        on_snapshot: Callable[[bytes], None],
        on_gone: Callable[[], None],
        feedback: Callable[[], Feedback],
        on_too_often: Callable[[], None],
    ) -> None:
        self._command = command
        self._on_snapshot = on_snapshot
        self._on_gone = on_gone
        self._feedback = feedback
        self._on_too_often = on_too_often
        self.pid: int | None = None

    async def run(self) -> None:
        """Start the process, and again when it ends: soon, or in a minute when that is no use."""
        loop, ends = asyncio.get_running_loop(), Ends()
        while True:
            await self._once()
            too_often = ends.too_often(loop.time())
            if too_often:
                LOGGER.error(_TOO_OFTEN, ENDS_MAX)
                self._on_too_often()
            await asyncio.sleep(SELDOM_AFTER_S if too_often else RESTART_AFTER_S)

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
