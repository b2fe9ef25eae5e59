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
    """Ask for real time, or else to be preferred, for this process but not for its children.

    Without either everything works, but a computer that is kept busy by other programs lets the
    desk report late, and the machine stops.

    Returns:
        whether real time was granted.
    """
    policy = os.SCHED_FIFO | os.SCHED_RESET_ON_FORK
    try:
        os.sched_setscheduler(0, policy, os.sched_param(priority))
    except OSError:  # only root, or who was given the right, may
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, 0, NICE)
        return False
    return True
