"""Writes what was recorded to files: one after the other, whatever the disk does.

A disk that is full, read-only or broken ends a file; after a while the next one is tried, and
what was lost meanwhile stands in it by topic. Whoever calls lives with the disk's pace; nobody
who must be on time does.
"""

from __future__ import annotations

import errno
import json
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from recording import channels
from recording.backlog import Item
from recording.chain import attached
from recording.ring import Ring, segment_name
from recording.segment import Segment, Watch

_NS_PER_S = 1_000_000_000
FLUSH_NS = _NS_PER_S // 2
SYNC_NS = _NS_PER_S
RETRY_NS = 2 * _NS_PER_S


@dataclass(frozen=True, slots=True)
class Plan:
    """How to record.

    Attributes:
        session: name of its folder. about: what every file says of its making.
        offset_ns: UTC less monotonic time. attachments: name, media type and content.
        segment_ns, segment_bytes: the length of a file. seal: signs a chain's end.
        announce: told of each new head of the chain that is on the disk.
        resumed: the session is that of a recorder that was killed; its chain begins anew. A file
            after one that the disk did not take to its end says the same.
    """

    session: str
    about: Mapping[str, Any]
    offset_ns: int
    attachments: tuple[tuple[str, str, bytes], ...] = ()
    segment_ns: int = 60 * _NS_PER_S
    segment_bytes: int = 64 * 1024 * 1024
    seal: Callable[[Mapping[str, Any]], dict[str, str]] | None = None
    announce: Callable[[Mapping[str, Any]], None] | None = None
    resumed: bool = False


@dataclass(slots=True)
class Files:
    """A recorder's hand on the disk. Each item is written under its topic as it is.

    Args:
        ring: of segments. plan: how.
        tell: told when data is lost: what, in words.
        watch: sees each message as it is written.

    Attributes:
        error: why nothing can be written now; None when it can. lost: messages, by topic.
        segment: the file that is being written. number: of it in the session.
    """

    ring: Ring
    plan: Plan
    tell: Callable[[str], None]
    watch: Watch | None = None
    segment: Segment | None = None
    error: str | None = None
    lost: Counter[str] = field(default_factory=Counter)
    number: int = 0
    folder: Path | None = None
    starts: dict[int, int] = field(default_factory=dict)
    flush_ns: int = 0
    _begun_ns: int = 0
    _sync_ns: int = 0
    _retry_ns: int = 0
    _unflushed: Counter[str] = field(default_factory=Counter)
    _untold: Counter[str] = field(default_factory=Counter)
    _head: bytes = bytes(32)
    _after_gap: bool = False
    _told_head: bytes = b""

    def blocked(self, now_ns: int) -> bool:
        """Return whether nothing can be written yet; tries to begin a file when it is time."""
        if self.segment is not None:
            return False
        if now_ns < self._retry_ns:
            return True
        try:
            self._open(now_ns)
        except OSError as error:
            self._fail(now_ns, error)
            return True
        self.begun_after_gap()
        return False

    def take(self, now_ns: int, item: Item) -> None:
        """Write one item."""
        segment = self.segment
        if segment is None:
            self.lose(Counter({item.topic: 1}))
            return
        try:
            self.write(now_ns, segment, item)
        except OSError as error:
            self._unflushed[item.topic] += 1
            self._fail(now_ns, error)
        except (ValueError, KeyError, TypeError) as error:
            self.lose(Counter({item.topic: 1}))
            self.tell(f"{item.topic}: not as expected: {error}")
        else:
            self._unflushed[item.topic] += 1

    def look(self, now_ns: int, dropped: Mapping[str, int]) -> None:
        """Flush, sync and turn to the next file when it is time; note what was dropped."""
        if dropped:
            self.lose(Counter(dropped))
        segment = self.segment
        if segment is None:
            return
        try:
            self._note_lost(now_ns, segment)
            if now_ns >= self.flush_ns:
                self._flush(now_ns, segment)
            if self._long_enough(now_ns, segment):
                self.turn_when_ready(now_ns)
        except OSError as error:
            self._fail(now_ns, error)

    def close(self, now_ns: int) -> None:
        """Finish the file."""
        segment = self.segment
        if segment is None:
            return
        try:
            self._note_lost(now_ns, segment)
            self._finish(now_ns)
        except OSError as error:
            self._fail(now_ns, error)

    def turn(self, now_ns: int) -> None:
        """Finish this file and begin the next one.

        Raises:
            OSError: the disk does not take it.
        """
        self._finish(now_ns)
        self._open(now_ns)

    def put(self, segment: Segment, topic: str, now_ns: int, data: bytes) -> None:
        """Write one message; ``now_ns`` is monotonic."""
        segment.write(topic, now_ns + self.plan.offset_ns, now_ns, data)

    def lose(self, lost: Counter[str]) -> None:
        """Count what is not written."""
        if not lost:
            return
        if not self._untold:
            self.tell("data is lost")
        self.lost += lost
        self._untold += lost

    # -- for the log of one kind of program

    def write(self, now_ns: int, segment: Segment, item: Item) -> None:
        """Write one item to the file."""
        del now_ns
        self.put(segment, item.topic, item.stamp_ns, item.data)

    def begun_after_gap(self) -> None:
        """The first file begins, or the first one that the disk takes again."""

    def opened(self, now_ns: int) -> None:
        """A file begins."""

    def turn_when_ready(self, now_ns: int) -> None:
        """It is time for the next file."""
        self.turn(now_ns)

    def flushed(self) -> None:
        """All so far is with the operating system."""

    def finished(self, now_ns: int) -> None:
        """A file was finished."""

    # -- files

    def _open(self, now_ns: int) -> None:
        plan = self.plan
        self.ring.make_room(for_bytes=plan.segment_bytes)
        if self.folder is None or not self.folder.is_dir():  # a quota may have taken it
            self.folder = self.ring.begin(plan.session, plan.about)
        number = self.number + 1
        resumed = plan.resumed and not self.starts
        about = {
            **plan.about,
            "attachments": attached(plan.attachments),
            "version": channels.VERSION,
            "session": plan.session,
            "segment": number,
            "resumed": resumed or self._after_gap,
            "mono_ns": now_ns,
            "utc_ns": now_ns + plan.offset_ns,
        }
        try:
            segment = Segment(self.folder / segment_name(number), about, self._head, self.watch)
        except FileExistsError:  # left by a try that could not even take it away again
            self.number = number
            raise
        self.number = number
        self.segment, self.error, self._after_gap = segment, None, False
        self._begun_ns = now_ns
        self.starts[number] = now_ns
        for name, kind, data in plan.attachments:
            segment.attach(name, kind, data)
        self.flush_ns, self._sync_ns = now_ns + FLUSH_NS, now_ns + SYNC_NS
        self.opened(now_ns)

    def _flush(self, now_ns: int, segment: Segment) -> None:
        sync = now_ns >= self._sync_ns
        segment.flush(sync=sync)
        self._unflushed.clear()
        self.flushed()
        self.flush_ns = now_ns + FLUSH_NS
        if sync:
            self._sync_ns = now_ns + SYNC_NS
            self._announce(now_ns, segment)

    def _announce(self, now_ns: int, segment: Segment) -> None:
        """Tell a head only once it is on the disk: one that goes with the power was never told."""
        if self.plan.announce is not None and segment.chain.head != self._told_head:
            self._told_head = segment.chain.head
            self.plan.announce(self._where(segment) | {"utc_ns": now_ns + self.plan.offset_ns})

    def _where(self, segment: Segment) -> dict[str, Any]:
        return {
            "session": self.plan.session,
            "segment": self.number,
            "count": segment.chain.count,
            "head": segment.chain.head.hex(),
        }

    def _long_enough(self, now_ns: int, segment: Segment) -> bool:
        return (
            now_ns - self._begun_ns >= self.plan.segment_ns
            or segment.size_bytes >= self.plan.segment_bytes
        )

    def _finish(self, now_ns: int) -> None:
        segment, self.segment = self.segment, None
        assert segment is not None
        try:
            segment.flush()
            head, seal = segment.chain.head, self.plan.seal
            segment.close(None if seal is None else seal(self._where(segment)))
        except OSError:
            self._let_go(segment)
            raise
        self._head = head
        self._unflushed.clear()
        self.finished(now_ns)

    def _fail(self, now_ns: int, error: OSError) -> None:
        """The disk does not take it: let go of the file, and try another one later."""
        segment, self.segment = self.segment, None
        if segment is not None:
            self._let_go(segment)
        if error.errno == errno.ENOSPC:
            self._make_way()
        self.lose(self._unflushed)
        self._unflushed = Counter()
        words = error.strerror or str(error)
        if self.error != words:
            self.tell(words)
        self.error = words
        self._retry_ns = now_ns + RETRY_NS

    def _let_go(self, segment: Segment) -> None:
        """The next file goes on from what a reader finds of this one, and says that it does so.

        Whether the disk has kept what the operating system took is not known.
        """
        segment.abandon()
        self._head, self._after_gap = segment.flushed_head, True

    def _make_way(self) -> None:
        """The disk is smaller than the quota: the oldest segment goes."""
        try:
            self.ring.remove_oldest()
        except OSError as error:
            self.tell(error.strerror or str(error))

    def _note_lost(self, now_ns: int, segment: Segment) -> None:
        if not self._untold:
            return
        content = {"lost": dict(self._untold), "in_all": dict(self.lost)}
        self.put(segment, channels.DROPS, now_ns, json.dumps(content).encode())
        self._untold = Counter()
