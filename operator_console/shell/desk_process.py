"""The console's end of the input process: starts it, hears it, tells it of the machine."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import socket
import sys
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path

from operator_console.core.desk import Feedback
from operator_console.core.desk_line import DATAGRAM_MAX_BYTES, encode_feedback

LOGGER = logging.getLogger(__name__)

BUFFER_BYTES = 4096
"""A few snapshots; what a busy console has not taken by then is old."""

FEEDBACK_S = 0.02
RESTART_AFTER_S = 0.5
RESTARTS_MAX, RESTART_WINDOW_S = 5, 60.0
ENDS_WITHIN_S = 1.0


def line_pair(buffer_bytes: int = BUFFER_BYTES) -> tuple[socket.socket, socket.socket]:
    """Return both ends of a line that keeps messages apart and tells when the other end is gone."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    for each in (ours, theirs):
        each.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, buffer_bytes)
    ours.setblocking(False)
    return ours, theirs


async def started(
    command: Sequence[str], buffer_bytes: int = BUFFER_BYTES
) -> tuple[asyncio.subprocess.Process, socket.socket]:
    """Start a process with a line; ``--line N`` is added to its command. Return it and our end.

    Raises:
        OSError: there is no such program, or no descriptor, memory or thread for it now.
    """
    with contextlib.ExitStack() as undone:
        ours, theirs = line_pair(buffer_bytes)
        undone.enter_context(ours)
        with theirs:
            try:
                process = await asyncio.create_subprocess_exec(
                    *command,
                    *("--line", str(theirs.fileno())),
                    stdin=asyncio.subprocess.DEVNULL,
                    pass_fds=(theirs.fileno(),),
                )
            except RuntimeError as error:  # asyncio waits for its end in a thread
                raise OSError(errno.EAGAIN, str(error)) from error
        undone.pop_all()
    return process, ours


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


async def ended(process: asyncio.subprocess.Process, within_s: float = ENDS_WITHIN_S) -> None:
    """Wait for the end of a process that has lost its line; one that hangs is killed."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(within_s):
            await process.wait()
    if process.returncode is None:
        process.kill()
        await process.wait()
