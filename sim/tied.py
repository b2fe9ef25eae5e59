"""``python tied.py PARENT NICENESS COMMAND …`` becomes COMMAND, which ends when PARENT does.

A program of its own, because between fork and exec nothing may be called in a process that has
threads. The kernel sends SIGKILL when the *thread* that started this process ends (prctl(2),
PR_SET_PDEATHSIG); an exec keeps the tie. A niceness below 0 prefers it to other work, where this
user may. Standard library only, so that it starts at once.
"""

import contextlib
import ctypes
import os
import signal
import sys
from pathlib import Path

PR_SET_PDEATHSIG = 1  # linux/prctl.h


def be_nice(niceness: int) -> None:
    """Set the niceness of this process, and of its session where sessions share the processor.

    sched(7): with autogrouping a process's own niceness counts only within its session.
    """
    with contextlib.suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, 0, niceness)
    with contextlib.suppress(OSError):
        Path("/proc/self/autogroup").write_text(f"{niceness}", encoding="ascii")


def main(parent: int, niceness: int, command: list[str]) -> None:
    """Tie this process to ``parent``, take ``niceness`` if it is not 0, become ``command``.

    Raises:
        OSError: the kernel refuses one of both.
    """
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG)")
    if os.getppid() != parent:  # it died before the tie was made
        sys.exit(1)
    if niceness:
        be_nice(niceness)
    os.execv(command[0], command)  # noqa: S606 - as whoever starts it asks


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3:])
