"""What the operating system grants a process that must be on time; says what was got."""

from __future__ import annotations

import ctypes
import gc
import os

_MCL_CURRENT_AND_FUTURE = 3
PRIORITY = 50
"""SCHED_FIFO priority: above ordinary work, below the kernel's own threads."""


def ask_realtime() -> dict[str, str]:
    """Lock memory, ask for real-time priority, freeze the garbage collector.

    Returns:
        what was got, by name: "yes" or the reason why not. Nothing here is needed for safety:
        a guardian that comes late is stopped by the ECU and by its own lateness check.
    """
    return {
        "memory_locked": _lock_memory(),
        "realtime_priority": ask_priority(PRIORITY),
        "gc": _freeze_gc(),
    }


def _lock_memory() -> str:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mlockall(_MCL_CURRENT_AND_FUTURE) == 0:
        return "yes"
    return os.strerror(ctypes.get_errno())


def ask_priority(priority: int) -> str:
    """Ask for SCHED_FIFO; return "yes" or the reason why not."""
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(priority))
    except OSError as error:
        return error.strerror or "refused"
    return "yes"


def _freeze_gc() -> str:
    gc.collect()
    gc.freeze()
    gc.disable()
    return "yes"
