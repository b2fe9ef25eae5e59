"""What waits to be written: bounded in bytes; when there is no room video goes first, and is told.

Without a picture those that build on it show nothing either: after a loss a camera's pictures are
left out up to the next one that stands alone.
"""

from __future__ import annotations

import threading
from collections import Counter, deque
from dataclasses import dataclass

BACKLOG_BYTES = 32 * 1024 * 1024
VIDEO_BYTES = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Item:
    """One thing to be written.

    Attributes:
        kind: what it is, for whoever writes it. stamp_ns: monotonic. data: as it came.
        topic: for counting what is dropped. camera: of a picture. key: the picture stands alone.
    """

    kind: bytes
    topic: str
    stamp_ns: int
    data: bytes
    camera: int | None = None
    key: bool = False


class Backlog:
    """Between the thread that listens and the one that waits for the disk.

    Args:
        limit_bytes: of all. video_bytes: of pictures.
    """

    def __init__(self, limit_bytes: int = BACKLOG_BYTES, video_bytes: int = VIDEO_BYTES) -> None:
        self._limit_bytes, self._video_limit_bytes = limit_bytes, video_bytes
        self._items: deque[Item] = deque()
        self._bytes = self._video_bytes = 0
        self._dropped: Counter[str] = Counter()
        self._broken: set[int] = set()
        self._ready = threading.Condition()
        self._closed = False

    def put(self, item: Item) -> bool:
        """Add one; False when it, or video before it, had to go."""
        with self._ready:
            kept = self._put_picture(item) if item.camera is not None else self._put(item)
            self._ready.notify()
            return kept

    def _put(self, item: Item) -> bool:
        size = len(item.data)
        if self._bytes + size > self._limit_bytes:
            self._drop_pictures()
        if self._bytes + size > self._limit_bytes:
            self._dropped[item.topic] += 1
            return False
        self._append(item)
        return True

    def _put_picture(self, item: Item) -> bool:
        assert item.camera is not None
        size = len(item.data)
        room = (
            self._video_bytes + size <= self._video_limit_bytes
            and self._bytes + size <= self._limit_bytes
        )
        if not room or (item.camera in self._broken and not item.key):
            self._broken.add(item.camera)
            self._dropped[item.topic] += 1
            return False
        self._broken.discard(item.camera)
        self._append(item)
        self._video_bytes += size
        return True

    def _append(self, item: Item) -> None:
        self._items.append(item)
        self._bytes += len(item.data)

    def _drop_pictures(self) -> None:
        kept: deque[Item] = deque()
        for item in self._items:
            if item.camera is None:
                kept.append(item)
                continue
            self._dropped[item.topic] += 1
            self._broken.add(item.camera)
            self._bytes -= len(item.data)
        self._items, self._video_bytes = kept, 0

    def count_dropped(self, topic: str, number: int = 1) -> None:
        """Count what was lost elsewhere."""
        with self._ready:
            self._dropped[topic] += number

    def take(self, timeout_s: float) -> Item | None:
        """Return the oldest; None when nothing came in time, or when it is closed and empty."""
        with self._ready:
            self._ready.wait_for(lambda: self._items or self._closed, timeout_s)
            if not self._items:
                return None
            item = self._items.popleft()
            self._bytes -= len(item.data)
            if item.camera is not None:
                self._video_bytes -= len(item.data)
            return item

    def wait(self, timeout_s: float) -> bool:
        """Wait for a while; True, and at once, when nothing more comes."""
        with self._ready:
            return self._ready.wait_for(lambda: self._closed, timeout_s)

    def take_dropped(self) -> dict[str, int]:
        """Return what was dropped since the last call, by topic."""
        with self._ready:
            dropped, self._dropped = dict(self._dropped), Counter()
            return dropped

    def close(self) -> None:
        """Nothing more comes."""
        with self._ready:
            self._closed = True
            self._ready.notify()

    @property
    def closed(self) -> bool:
        """Nothing more comes, and nothing waits."""
        with self._ready:
            return self._closed and not self._items

    @property
    def waiting_bytes(self) -> int:
        """How much waits."""
        return self._bytes
