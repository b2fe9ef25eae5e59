"""The private folder of one run: sockets, keys, settings and logs, gone when the run is over.

Each folder holds a locked file for as long as its run lives, so that a later run can tell a
folder whose owner was killed and remove it.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

PREFIX = "headframe-"
KEPT_PREFIX = "headframe-logs-"
_LOCK = "owner.lock"
PATH_MAX_BYTES = 60
"""Sockets lie in folders below and Linux allows 107 bytes for a socket's path (unix(7))."""


@contextlib.contextmanager
def run_folder() -> Iterator[Path]:
    """Make a folder that only this user can enter; remove it at the end.

    Raises:
        ValueError: the system's temporary folder has too long a path for sockets.
    """
    base = Path(tempfile.gettempdir())
    if len(os.fsencode(base)) + len(PREFIX) + 8 > PATH_MAX_BYTES:
        raise ValueError(f"{base}: path too long for sockets; set TMPDIR to a shorter one")
    remove_orphans(base)
    fresh = Path(tempfile.mkdtemp(prefix=f".{PREFIX}", dir=base))
    lock = os.open(fresh / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    fcntl.flock(lock, fcntl.LOCK_EX)
    folder = fresh.rename(base / fresh.name[1:])  # locked before it can be taken for an orphan
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)


def keep_logs(folder: Path) -> Path:
    """Copy the logs of a run out of its folder, which will go; return where they are now."""
    kept = Path(tempfile.mkdtemp(prefix=KEPT_PREFIX))
    for pattern in ("*.log", "*.jsonl*"):
        for log in folder.glob(pattern):
            shutil.copy(log, kept)
    return kept


def remove_orphans(base: Path) -> int:
    """Remove the folders whose owners are dead; return how many."""
    removed = 0
    for folder in base.glob(f"{PREFIX}*"):
        try:
            lock = os.open(folder / _LOCK, os.O_RDWR | os.O_CLOEXEC)
        except OSError:  # not one of ours, or another user's
            continue
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            continue
        else:
            shutil.rmtree(folder, ignore_errors=True)
            removed += 1
        finally:
            os.close(lock)
    return removed
