"""Keeps the durable record: two checksummed slots in one file, synced before they count.

The file is locked: a second guardian on the same machine does not start. Writing waits for the
disk, so it happens in a thread of its own; the guardian's loop only asks and later sees that it
is done.
"""

from __future__ import annotations

import fcntl
import os
import threading
from pathlib import Path

from vehicle_agent.core.record import SLOT_BYTES, Record, encode_record, newest

MISSING = Record(generation=0, epoch=0, latch="G106")
RETRY_S = 0.5
_SLOT_SPACING_BYTES = 4096
"""Slots lie in different pages, so that a torn write harms one of them."""


class RecordStore:
    """One record file.

    A file that is not there is made with a latched stop: whether this is a first start or a
    lost record only a person can tell. After a lost one epochs count from zero again; what was
    sent under them still counts for nothing, for its boot tag and its key were others.

    Raises:
        ValueError: another guardian holds the file; or it holds no valid slot: the epoch is
            unknown, and a guessed one could be used twice.
        OSError: the file cannot be opened, read or written.
    """

    def __init__(self, path: Path) -> None:
        if not path.exists():
            create_record(path, MISSING)
        self._descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(self._descriptor)
            raise ValueError(f"{path}: another guardian runs on this machine") from error
        slots = (self._read(0), self._read(1))
        found = newest(slots)
        if found is None:
            os.close(self._descriptor)
            raise ValueError(f"{path}: no valid record; the epoch is unknown")
        self._slot = slots.index(encode_record(found))
        self.durable: Record = found
        """The newest record known to be on disk; replaced as a whole, so any thread may read."""
        self.failed: str | None = None
        self._wanted: Record | None = None
        self._wake = threading.Condition()
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="record-store", daemon=True)
        self._thread.start()

    def ask(self, record: Record) -> None:
        """Ask for ``record`` to be made durable; a newer one replaces one not yet begun."""
        with self._wake:
            self._wanted = record
            self._wake.notify()

    def close(self) -> None:
        """Write what was asked, end the thread, close the file."""
        with self._wake:
            self._closing = True
            self._wake.notify()
        self._thread.join()
        os.close(self._descriptor)

    def _read(self, slot: int) -> bytes:
        return os.pread(self._descriptor, SLOT_BYTES, slot * _SLOT_SPACING_BYTES)

    def _run(self) -> None:
        while True:
            with self._wake:
                self._wake.wait_for(lambda: self._wanted is not None or self._closing)
                record, self._wanted = self._wanted, None
                if record is None:
                    return
            try:
                self._write(record)
            except OSError as error:
                self.failed = str(error)
                self._again(record)
                continue
            self.failed = None
            self.durable = record

    def _again(self, record: Record) -> None:
        """Try a record that the disk did not take once more, after a while, unless outdated."""
        with self._wake:
            self._wake.wait_for(lambda: self._closing, RETRY_S)
            if self._wanted is None and not self._closing:
                self._wanted = record

    def _write(self, record: Record) -> None:
        """Write to the slot that does not hold the newest record, and sync it."""
        other = 1 - self._slot
        os.pwrite(self._descriptor, encode_record(record), other * _SLOT_SPACING_BYTES)
        os.fsync(self._descriptor)
        self._slot = other


def create_record(path: Path, record: Record) -> None:
    """Make the file with one record, or not at all."""
    draft = path.with_suffix(".new")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        os.write(descriptor, encode_record(record))
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    draft.rename(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
