"""What the operating system grants a process of the cockpit that must not wait for the browser."""

from __future__ import annotations

import contextlib
import os

INPUT_PRIORITY, CONSOLE_PRIORITY = 20, 10
"""SCHED_FIFO priorities: both above the browser and other programs, below the kernel's threads; the
hands before the console, which takes them in."""
NICE = -10
"""Asked for where real time is refused."""


def ask_ahead(priority: int) -> bool:
    """Ask for real time, or else to be preferred. Threads and programs that it starts inherit it.

    Without either everything works, but a computer that is kept busy by other programs lets the
    desk report late, and the machine stops.

    Returns:
        whether real time was granted.
    """
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(priority))
    except OSError:  # only root, or who was given the right, may
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, 0, NICE)
        return False
    return True


def step_back() -> None:
    """Be an ordinary program again: started by one that is ahead, and not to be so itself."""
    os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
