"""A process of the console's on a line of its own: started with it, ended by its end."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket
from collections.abc import Sequence

BUFFER_BYTES = 4096
"""A few snapshots of the desk; what a busy console has not taken by then is old."""
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


async def ended(process: asyncio.subprocess.Process, within_s: float = ENDS_WITHIN_S) -> None:
    """Wait for the end of a process that has lost its line; one that hangs is killed."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(within_s):
            await process.wait()
    if process.returncode is None:
        process.kill()
        await process.wait()
