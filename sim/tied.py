"""``python tied.py PARENT COMMAND …`` becomes COMMAND, which ends when the process PARENT does.

A program of its own, because between fork and exec nothing may be called in a process that has
threads. The kernel sends SIGKILL when the *thread* that started this process ends (prctl(2),
PR_SET_PDEATHSIG); an exec keeps the tie. Standard library only, so that it starts at once.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1  # linux/prctl.h


def main(parent: int, command: list[str]) -> None:
    """Tie this process to ``parent`` and become ``command``.

    Raises:
        OSError: the kernel refuses one of both.
    """
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG)")
    if os.getppid() != parent:  # it died before the tie was made
        sys.exit(1)
    os.execv(command[0], command)  # noqa: S606 - as whoever starts it asks


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])
