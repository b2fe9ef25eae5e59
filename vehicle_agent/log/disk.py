"""Writes what was recorded to segments: one after the other, whatever the disk does.

A disk that is full, read-only or broken ends a segment; after a while the next one is tried, and
what was lost meanwhile stands in it by topic. Whoever calls lives with the disk's pace; nobody
who must be on time does.
"""

from __future__ import annotations

import errno
import json
import zlib
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from foxglove_schemas_protobuf.CompressedVideo_pb2 import CompressedVideo

from vehicle_agent.core.failsafe import DRIVING
from vehicle_agent.log import channels
from vehicle_agent.log.backlog import Item
from vehicle_agent.log.book import write_tick
from vehicle_agent.log.derive import from_event, stamp
from vehicle_agent.log.ring import Ring, segment_name
from vehicle_agent.log.segment import Segment, Watch

_NS_PER_S = 1_000_000_000
FLUSH_NS = _NS_PER_S // 2
SYNC_NS = _NS_PER_S
RETRY_NS = 2 * _NS_PER_S
KEY_WAIT_NS = 5 * _NS_PER_S
"""A guardian that does not give its state for so long is gone: the next file begins without."""
BEFORE_STOP_NS, AFTER_STOP_NS = 60 * _NS_PER_S, 30 * _NS_PER_S
BOOT, KEY, TICK, FIGURES, EVENT, PICTURE, META = b"B", b"K", b"T", b"t", b"e", b"V", b"M"
KINDS = {
    BOOT: channels.BOOT,
    KEY: channels.KEY,
    TICK: channels.INPUTS,
    FIGURES: channels.TELEMETRY,
    EVENT: channels.EVENT,
}
_SIZE_BYTES = 4


@dataclass(frozen=True, slots=True)
class Plan:
    """How to record.

    Attributes:
        session: name of its folder. about: what every file says of its making.
        offset_ns: UTC less monotonic time. attachments: name, media type and content.
        segment_ns, segment_bytes: the length of a file. seal: signs a chain's end.
        resumed: the session is that of a recorder that was killed; its chain begins anew.
    """

    session: str
    about: Mapping[str, Any]
    offset_ns: int
    attachments: tuple[tuple[str, str, bytes], ...] = ()
    segment_ns: int = 60 * _NS_PER_S
    segment_bytes: int = 64 * 1024 * 1024
    seal: Callable[[Mapping[str, Any]], dict[str, str]] | None = None
    resumed: bool = False


@dataclass(frozen=True, slots=True)
class _Protection:
    """What is kept of a stop: its name, its first segment, and until when."""

    name: str
    first: int
    until_ns: int


@dataclass(slots=True)
class Disk:
    """The recorder's hand on the disk.

    Args:
        ring: of segments. plan: how. ask_key: asks the guardian for its state.
        tell: told when data is lost: what, in words.
        written: told after each flush: CRC-32 of the boot's content, number of its newest tick.
        watch: sees each message as it is written.

    Attributes:
        error: why nothing can be written now; None when it can. lost: messages, by topic.
        segment: the file that is being written.
    """

    ring: Ring
    plan: Plan
    ask_key: Callable[[], None]
    tell: Callable[[str], None]
    written: Callable[[int, int], None] = lambda _crc, _number: None
    watch: Watch | None = None
    segment: Segment | None = None
    error: str | None = None
    lost: Counter[str] = field(default_factory=Counter)
    number: int = 0
    _folder: Path | None = None
    _boot: bytes | None = None
    _last_tick: int | None = None
    _begun_ns: int = 0
    _starts: dict[int, int] = field(default_factory=dict)
    _flush_ns: int = 0
    _flushed_tick_ns: int = 0
    _sync_ns: int = 0
    _retry_ns: int = 0
    _asked_ns: int | None = None
    _unflushed: Counter[str] = field(default_factory=Counter)
    _untold: Counter[str] = field(default_factory=Counter)
    _driving: bool = False
    _protections: list[_Protection] = field(default_factory=list)
    _head: bytes = bytes(32)

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
        self.ask_key()
        return False

    def take(self, now_ns: int, item: Item) -> None:
        """Write one item."""
        segment = self.segment
        if segment is None:
            self._lose(Counter({item.topic: 1}))
            return
        try:
            self._write(now_ns, segment, item)
        except OSError as error:
            self._unflushed[item.topic] += 1
            self._fail(now_ns, error)
        except (ValueError, KeyError, TypeError) as error:
            self._lose(Counter({item.topic: 1}))
            self.tell(f"{item.topic}: not as expected: {error}")
        else:
            self._unflushed[item.topic] += 1

    def look(self, now_ns: int, dropped: Mapping[str, int]) -> None:
        """Flush, sync and turn to the next file when it is time; note what was dropped."""
        if dropped:
            self._lose(Counter(dropped))
        segment = self.segment
        if segment is None:
            return
        try:
            self._note_lost(now_ns, segment)
            if now_ns >= self._flush_ns:
                sync = now_ns >= self._sync_ns
                segment.flush(sync=sync)
                self._unflushed.clear()
                self._tell_written()
                self._flush_ns = now_ns + FLUSH_NS
                self._sync_ns = now_ns + SYNC_NS if sync else self._sync_ns
            self._turn_when_due(now_ns, segment)
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

    # -- files

    def _open(self, now_ns: int) -> None:
        plan = self.plan
        self.ring.make_room(for_bytes=plan.segment_bytes)
        if self._folder is None:
            self._folder = self.ring.begin(plan.session, plan.about)
        self._folder.mkdir(mode=0o700, exist_ok=True)  # a quota may have taken it
        number = self.number + 1
        is_first = not self._starts
        about = {
            **plan.about,
            "version": channels.VERSION,
            "session": plan.session,
            "segment": number,
            "resumed": plan.resumed and is_first,
            "mono_ns": now_ns,
            "utc_ns": now_ns + plan.offset_ns,
        }
        segment = Segment(self._folder / segment_name(number), about, self._head, self.watch)
        self.number = number
        self.segment, self.error = segment, None
        self._begun_ns, self._last_tick, self._asked_ns = now_ns, None, None
        self._starts[number] = now_ns
        for name, kind, data in plan.attachments:
            segment.attach(name, kind, data)
        self._flush_ns, self._sync_ns = now_ns + FLUSH_NS, now_ns + SYNC_NS
        for each in self._protections:
            self._protect(each)

    def _tell_written(self) -> None:
        if self._boot is not None and self._last_tick is not None:
            self.written(zlib.crc32(self._boot), self._last_tick)

    def _turn_when_due(self, now_ns: int, segment: Segment) -> None:
        due = (
            now_ns - self._begun_ns >= self.plan.segment_ns
            or segment.size_bytes >= self.plan.segment_bytes
        )
        if not due:
            return
        if self._asked_ns is None and self._boot is not None:
            self._asked_ns = now_ns
            self.ask_key()
        elif self._boot is None or (
            self._asked_ns is not None and now_ns - self._asked_ns >= KEY_WAIT_NS
        ):
            self._turn(now_ns)

    def _turn(self, now_ns: int) -> None:
        self._finish(now_ns)
        self._open(now_ns)
        if self._boot is not None and self.segment is not None:
            self._put(self.segment, channels.BOOT, now_ns, self._boot)

    def _finish(self, now_ns: int) -> None:
        segment, self.segment = self.segment, None
        assert segment is not None
        try:
            segment.flush()
            head, seal = segment.chain.head, self.plan.seal
            content = {
                "session": self.plan.session,
                "segment": self.number,
                "count": segment.chain.count,
                "head": head.hex(),
            }
            segment.close(None if seal is None else seal(content))
        except OSError:
            segment.abandon()
            raise
        self._head = head
        self._unflushed.clear()
        self._protections = [each for each in self._protections if now_ns < each.until_ns]

    def _fail(self, now_ns: int, error: OSError) -> None:
        """The disk does not take it: let go of the file, and try another one later."""
        segment, self.segment = self.segment, None
        if segment is not None:
            segment.abandon()
        if error.errno == errno.ENOSPC:
            self._make_way()
        self._lose(self._unflushed)
        self._unflushed = Counter()
        words = error.strerror or str(error)
        if self.error != words:
            self.tell(words)
        self.error = words
        self._retry_ns = now_ns + RETRY_NS

    def _make_way(self) -> None:
        """The disk is smaller than the quota: the oldest segment goes."""
        try:
            self.ring.remove_oldest()
        except OSError as error:
            self.tell(error.strerror or str(error))

    # -- content

    def _write(self, now_ns: int, segment: Segment, item: Item) -> None:
        match item.kind:
            case b"T":
                self._tick(now_ns, segment, item)
            case b"B":
                self._hear_boot(segment, item)
            case b"K":
                self._hear_key(now_ns, item)
            case b"t":
                group, _, text = item.data.partition(b"\0")
                figures = {"group": group.decode(), "figures": json.loads(text)}
                data = json.dumps(figures, separators=(",", ":")).encode()
                self._put(segment, channels.TELEMETRY, item.stamp_ns, data)
            case b"e":
                told = json.loads(item.data)
                for topic, data in from_event(told, item.stamp_ns + self.plan.offset_ns):
                    self._put(segment, topic, item.stamp_ns, data)
            case b"V":
                self._put(segment, item.topic, item.stamp_ns, self._video(item))
            case _:
                self._put(segment, item.topic, item.stamp_ns, item.data)

    def _hear_boot(self, segment: Segment, item: Item) -> None:
        known, self._boot = self._boot, item.data
        if self._asked_ns is not None:
            return  # it comes with the key state that the next file begins with
        if known != item.data:
            self._last_tick = None
        self._put(segment, channels.BOOT, item.stamp_ns, item.data)

    def _hear_key(self, now_ns: int, item: Item) -> None:
        if self._asked_ns is not None:
            self._turn(now_ns)
        if self.segment is not None:
            self._put(self.segment, channels.KEY, item.stamp_ns, item.data)
        self._last_tick = json.loads(item.data[: item.data.index(b",")] + b"}")["n"]

    def _tick(self, now_ns: int, segment: Segment, item: Item) -> None:
        size = int.from_bytes(item.data[:_SIZE_BYTES], "little")
        heard = item.data[_SIZE_BYTES : _SIZE_BYTES + size]
        said = item.data[_SIZE_BYTES + size :]
        inputs, outputs = write_tick(segment, self.plan.offset_ns, heard, said)
        if not 0 <= inputs["t"] - self._flushed_tick_ns < FLUSH_NS:
            # What a guardian had kept comes faster than time goes: half a second of it is enough.
            self._flushed_tick_ns, self._flush_ns = inputs["t"], now_ns
        number, last = inputs["n"], self._last_tick
        self._last_tick = number
        if last is not None and number != last + 1:
            self._lose(Counter({channels.INPUTS: max(number - last - 1, 1)}))
            self.ask_key()
        self._watch_stop(now_ns, outputs)

    def _put(self, segment: Segment, topic: str, now_ns: int, data: bytes) -> None:
        segment.write(topic, now_ns + self.plan.offset_ns, now_ns, data)

    def _video(self, item: Item) -> bytes:
        utc = stamp(item.stamp_ns + self.plan.offset_ns)
        picture = CompressedVideo(
            timestamp=utc, frame_id=f"camera-{item.camera}", data=item.data, format="h264"
        )
        return picture.SerializeToString()

    # -- what was lost

    def _lose(self, lost: Counter[str]) -> None:
        if not lost:
            return
        if not self._untold:
            self.tell("data is lost")
        self.lost += lost
        self._untold += lost

    def _note_lost(self, now_ns: int, segment: Segment) -> None:
        if not self._untold:
            return
        content = {"lost": dict(self._untold), "in_all": dict(self.lost)}
        self._put(segment, channels.DROPS, now_ns, json.dumps(content).encode())
        self._untold = Counter()

    # -- stops

    def _watch_stop(self, now_ns: int, said: Mapping[str, Any]) -> None:
        mode, was = said["mode"], self._driving
        self._driving = mode in DRIVING
        if not was or self._driving or said["latched"] is None:
            return
        from_ns = now_ns - BEFORE_STOP_NS
        first = next(
            (max(number - 1, 1) for number, begun in self._starts.items() if begun > from_ns),
            self.number,
        )
        name = f"{self.number:05}-{said['n']}-{said['latched']}"
        protection = _Protection(name, first, now_ns + AFTER_STOP_NS)
        self._protections.append(protection)
        self._protect(protection)

    def _protect(self, stop: _Protection) -> None:
        assert self._folder is not None
        try:
            self.ring.protect(self._folder, stop.name, stop.first, self.number)
        except OSError as error:
            self.tell(f"stop {stop.name} is not protected: {error.strerror or error}")
