"""Newest-picture shared memory: one writer, any number of readers, no queue, no torn picture.

A directory holds `picture.buf`, a memory-mapped file with a few slots, and one Unix datagram
socket for each reader. The writer fills the slot after the newest one under that slot's sequence
lock (odd while writing, even when whole), then names it the newest and wakes the readers. A
reader copies the newest slot and looks at the lock again: if it changed, the writer has lapped the
reader, and the copy is thrown away. The writer never waits for anybody.

Layout, native u64: magic, width, height, slots, newest sequence (0 = none yet), then for each slot
lock, sequence, capture stamp in µs; the pictures (I420) follow from the next page on.
"""

from __future__ import annotations

import contextlib
import itertools
import mmap
import os
import socket
import threading
from pathlib import Path

import numpy as np
import numpy.typing as npt

Picture = npt.NDArray[np.uint8]

_FILE_NAME = "picture.buf"
_READER_GLOB = "reader-*.sock"
_MAGIC = 0x3130_4246_4648  # "HFFB01"
_MAGIC_AT, _WIDTH_AT, _HEIGHT_AT, _SLOTS_AT, _NEWEST_AT, _SLOT_TABLE_AT = range(6)
_LOCK, _SEQUENCE, _STAMP = range(3)
_SLOT_WORDS = 3
_PICTURES_AT_BYTES = mmap.PAGESIZE
_MAX_SLOTS = 32
_READ_ATTEMPTS = 3
_WAKE = b"\x01"

_reader_numbers = itertools.count()
_fence = threading.Lock()


def _memory_barrier() -> None:
    """Order loads and stores across this point; taking and freeing a lock is a full barrier."""
    with _fence:
        pass


class _Mapping:
    """The mapped file: `words` is the table of u64, `pictures` has shape (slots, H*3/2, W)."""

    def __init__(self, descriptor: int) -> None:
        self._memory = mmap.mmap(descriptor, 0)
        self.words = np.frombuffer(self._memory, np.uint64, _PICTURES_AT_BYTES // 8)
        self.width = int(self.words[_WIDTH_AT])
        self.height = int(self.words[_HEIGHT_AT])
        self.slots = int(self.words[_SLOTS_AT])
        shape = (self.slots, self.height * 3 // 2, self.width)
        self.pictures: Picture = np.frombuffer(
            self._memory, np.uint8, shape[0] * shape[1] * shape[2], _PICTURES_AT_BYTES
        ).reshape(shape)
        table = self.words[_SLOT_TABLE_AT : _SLOT_TABLE_AT + self.slots * _SLOT_WORDS]
        self.table = table.reshape(self.slots, _SLOT_WORDS)

    def close(self) -> None:
        """Unmap. Views of the mapping must not be used afterwards."""
        del self.words, self.pictures, self.table
        self._memory.close()


def _file_bytes(width: int, height: int, slots: int) -> int:
    return _PICTURES_AT_BYTES + slots * (height * 3 // 2) * width


class FrameWriter:
    """Publishes I420 pictures into `directory`, replacing what an earlier writer left there.

    Raises ValueError for a size that I420 cannot have (odd, zero) or fewer than 2 slots.
    """

    def __init__(self, directory: Path, width: int, height: int, slots: int = 3) -> None:
        if width < 2 or height < 2 or width % 2 or height % 2:
            raise ValueError(f"I420 needs an even width and height, not {width}x{height}")
        if not 2 <= slots <= _MAX_SLOTS:
            raise ValueError(f"slots must be 2 to {_MAX_SLOTS}, not {slots}")
        directory.mkdir(parents=True, exist_ok=True)
        self._directory = directory
        self._sequence = 0
        self.wakes_dropped = 0
        fresh = directory / f"{_FILE_NAME}.{os.getpid()}.{next(_reader_numbers)}"
        descriptor = os.open(fresh, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            os.ftruncate(descriptor, _file_bytes(width, height, slots))
            header = np.array([_MAGIC, width, height, slots, 0], np.uint64)
            os.pwrite(descriptor, header.tobytes(), 0)
            self._mapping = _Mapping(descriptor)
        finally:
            os.close(descriptor)
        fresh.replace(directory / _FILE_NAME)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setblocking(False)

    def publish(self, i420: Picture, capture_stamp_us: int) -> int:
        """Make `i420`, shape (H*3/2, W), the newest picture; return its sequence (1, 2, …).

        `capture_stamp_us` is monotonic time in µs. Raises ValueError for a wrong shape or type.
        """
        mapping = self._mapping
        if i420.shape != mapping.pictures.shape[1:] or i420.dtype != np.uint8:
            raise ValueError(
                f"picture must be uint8 {mapping.pictures.shape[1:]}, not {i420.dtype} {i420.shape}"
            )
        sequence = self._sequence + 1
        slot = sequence % mapping.slots
        row = mapping.table[slot]
        row[_LOCK] += np.uint64(1)
        _memory_barrier()
        np.copyto(mapping.pictures[slot], i420)
        row[_SEQUENCE] = sequence
        row[_STAMP] = capture_stamp_us
        _memory_barrier()
        row[_LOCK] += np.uint64(1)
        _memory_barrier()
        mapping.words[_NEWEST_AT] = sequence
        self._sequence = sequence
        self._wake_readers()
        return sequence

    def close(self) -> None:
        """Unmap and close; readers keep the last picture."""
        self._socket.close()
        self._mapping.close()

    def _wake_readers(self) -> None:
        for path in self._directory.glob(_READER_GLOB):
            try:
                self._socket.sendto(_WAKE, str(path))
            except BlockingIOError:
                self.wakes_dropped += 1  # its queue is full of wakes already
            except (ConnectionRefusedError, FileNotFoundError):
                path.unlink(missing_ok=True)


class FrameReader:
    """Reads the newest picture of `directory`; may be made before the writer, outlives writers.

    Counters: `torn` copies thrown away, `skipped` pictures that were never read.
    """

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self._path = directory / _FILE_NAME
        self._mapping: _Mapping | None = None
        self._inode = 0
        self._last_sequence = 0
        self.torn = 0
        self.skipped = 0
        self._socket_path = directory / f"reader-{os.getpid()}-{next(_reader_numbers)}.sock"
        self._socket_path.unlink(missing_ok=True)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        self._socket.bind(str(self._socket_path))

    def fileno(self) -> int:
        """Descriptor that is readable once there is a picture newer than the last one read."""
        return self._socket.fileno()

    def latest(self) -> tuple[Picture, int, int] | None:
        """Copy of the newest picture, its capture stamp (µs) and sequence; None if not newer.

        Clears the readiness of `fileno()`. The sequence starts at 1 again with a new writer.
        """
        self._drain_wakes()
        mapping = self._current_mapping()
        if mapping is None:
            return None
        for _ in range(_READ_ATTEMPTS):
            newest = int(mapping.words[_NEWEST_AT])
            if newest in (0, self._last_sequence):
                return None
            _memory_barrier()
            row = mapping.table[newest % mapping.slots]
            lock_before = int(row[_LOCK])
            _memory_barrier()
            picture = mapping.pictures[newest % mapping.slots].copy()
            sequence, stamp_us = int(row[_SEQUENCE]), int(row[_STAMP])
            _memory_barrier()
            if lock_before % 2 == 0 and int(row[_LOCK]) == lock_before and sequence == newest:
                self.skipped += newest - self._last_sequence - 1
                self._last_sequence = newest
                return picture, stamp_us, newest
            self.torn += 1
        return None

    def close(self) -> None:
        """Unmap, close and remove this reader's socket."""
        self._socket.close()
        self._socket_path.unlink(missing_ok=True)
        if self._mapping is not None:
            self._mapping.close()
            self._mapping = None

    def _drain_wakes(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while True:
                self._socket.recv(16)

    def _current_mapping(self) -> _Mapping | None:
        """Follow the file to a new writer; a missing or foreign file leaves no mapping."""
        try:
            inode = self._path.stat().st_ino
        except FileNotFoundError:
            return self._mapping
        if self._mapping is not None and inode == self._inode:
            return self._mapping
        descriptor = os.open(self._path, os.O_RDWR | os.O_CLOEXEC)
        try:
            head = np.frombuffer(os.pread(descriptor, 32, 0), np.uint64)
            status = os.fstat(descriptor)
            if head.size < 4 or int(head[_MAGIC_AT]) != _MAGIC:
                return None
            if status.st_size < _file_bytes(*(int(word) for word in head[_WIDTH_AT:_NEWEST_AT])):
                return None
            fresh = _Mapping(descriptor)
        finally:
            os.close(descriptor)
        if self._mapping is not None:
            self._mapping.close()
        self._mapping, self._inode, self._last_sequence = fresh, status.st_ino, 0
        return fresh
