"""A child process ends when its parent does, even when the parent is killed without a word."""

from __future__ import annotations

import ctypes
import os
import signal
from collections.abc import Callable

_PR_SET_PDEATHSIG = 1  # linux/prctl.h


def end_with_parent(
    parent_pid: int | None = None, signal_number: int = signal.SIGKILL
) -> Callable[[], None]:
    """Return a ``preexec_fn`` that ties the new process to the one that starts it.

    The kernel sends ``signal_number`` when the *thread* that started the process ends, so
    start processes from the main thread. The tie is lost on exec of a set-uid program and
    is not inherited: each process ties its own children.

    Args:
        parent_pid: the starting process; this one when None.
        signal_number: what the kernel sends.
    """
    parent = os.getpid() if parent_pid is None else parent_pid
    prctl = ctypes.CDLL(None, use_errno=True).prctl  # loaded before the fork, not after it

    def tie() -> None:
        if prctl(_PR_SET_PDEATHSIG, int(signal_number), 0, 0, 0) != 0:
            raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG)")
        if os.getppid() != parent:  # it died between fork and prctl
            os._exit(1)

    return tie
