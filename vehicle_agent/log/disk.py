"""The machine's log on its disk: ticks of the supervisor, pictures, and what is kept round stops.

Each file begins with the boot and the whole state of the supervisor, so that it runs by itself: the
guardian is asked for both before a file ends, and after a gap.
"""

from __future__ import annotations

import json
import zlib
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from foxglove_schemas_protobuf.CompressedVideo_pb2 import CompressedVideo

from recording import channels
from recording.backlog import Item
from recording.files import FLUSH_NS, Files
from recording.heads import HeardHeads
from recording.segment import Segment
from vehicle_agent.core.failsafe import DRIVING
from vehicle_agent.log.book import write_tick
from vehicle_agent.log.derive import from_event, stamp

_NS_PER_S = 1_000_000_000
KEY_WAIT_NS = 5 * _NS_PER_S
"""A guardian that does not give its state for so long is gone: the next file begins without."""
BEFORE_STOP_NS, AFTER_STOP_NS = 60 * _NS_PER_S, 30 * _NS_PER_S
BOOT, KEY, TICK, FIGURES, EVENT, PICTURE, META, HEAD = (
    b"B",
    b"K",
    b"T",
    b"t",
    b"e",
    b"V",
    b"M",
    b"H",
)
KINDS = {
    BOOT: channels.BOOT,
    KEY: channels.KEY,
    TICK: channels.INPUTS,
    FIGURES: channels.TELEMETRY,
    EVENT: channels.EVENT,
    HEAD: channels.PEER,
}
_SIZE_BYTES = 4


@dataclass(frozen=True, slots=True)
class _Protection:
    """What is kept of a stop: its name, its first segment, and until when."""

    name: str
    first: int
    until_ns: int


@dataclass(slots=True, kw_only=True)
class Disk(Files):
    """The recorder's hand on the disk.

    Args:
        ask_key: asks the guardian for its state.
        written: told after each flush: CRC-32 of the boot's content, number of its newest tick.
        heads: what cockpits tell of their recorders; None: it is not kept.
    """

    ask_key: Callable[[], None]
    written: Callable[[int, int], None] = lambda _crc, _number: None
    heads: HeardHeads | None = None
    _boot: bytes | None = None
    _last_tick: int | None = None
    _flushed_tick_ns: int = 0
    _asked_ns: int | None = None
    _driving: bool = False
    _protections: list[_Protection] = field(default_factory=list)

    # -- files

    def begun_after_gap(self) -> None:
        """Ask for the state that the file begins from."""
        self.ask_key()

    def opened(self, now_ns: int) -> None:
        """Keep this file too, where a stop is young."""
        del now_ns
        self._last_tick, self._asked_ns = None, None
        for each in self._protections:
            self._protect(each)

    def flushed(self) -> None:
        """Let the guardian know what it need not keep any more."""
        if self._boot is not None and self._last_tick is not None:
            self.written(zlib.crc32(self._boot), self._last_tick)

    def turn_when_ready(self, now_ns: int) -> None:
        """Ask for the state first; without an answer the next file begins without it."""
        if self._asked_ns is None and self._boot is not None:
            self._asked_ns = now_ns
            self.ask_key()
        elif self._boot is None or (
            self._asked_ns is not None and now_ns - self._asked_ns >= KEY_WAIT_NS
        ):
            self._turn(now_ns)

    def finished(self, now_ns: int) -> None:
        """Forget the stops that are over."""
        self._protections = [each for each in self._protections if now_ns < each.until_ns]

    def _turn(self, now_ns: int) -> None:
        self.turn(now_ns)
        if self._boot is not None and self.segment is not None:
            self.put(self.segment, channels.BOOT, now_ns, self._boot)

    # -- content

    def write(self, now_ns: int, segment: Segment, item: Item) -> None:
        """Write one item, with what people look at beside it."""
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
                self.put(segment, channels.TELEMETRY, item.stamp_ns, data)
            case b"e":
                told = json.loads(item.data)
                for topic, data in from_event(told, item.stamp_ns + self.plan.offset_ns):
                    self.put(segment, topic, item.stamp_ns, data)
            case b"H":
                row = None if self.heads is None else self.heads.row(item.data)
                if row is not None:
                    self.put(segment, channels.PEER, item.stamp_ns, row)
            case b"V":
                self.put(segment, item.topic, item.stamp_ns, self._video(item))
            case _:
                self.put(segment, item.topic, item.stamp_ns, item.data)

    def _hear_boot(self, segment: Segment, item: Item) -> None:
        known, self._boot = self._boot, item.data
        if self._asked_ns is not None:
            return  # it comes with the key state that the next file begins with
        if known != item.data:
            self._last_tick = None
        self.put(segment, channels.BOOT, item.stamp_ns, item.data)

    def _hear_key(self, now_ns: int, item: Item) -> None:
        if self._asked_ns is not None:
            self._turn(now_ns)
        if self.segment is not None:
            self.put(self.segment, channels.KEY, item.stamp_ns, item.data)
        self._last_tick = json.loads(item.data[: item.data.index(b",")] + b"}")["n"]

    def _tick(self, now_ns: int, segment: Segment, item: Item) -> None:
        size = int.from_bytes(item.data[:_SIZE_BYTES], "little")
        heard = item.data[_SIZE_BYTES : _SIZE_BYTES + size]
        said = item.data[_SIZE_BYTES + size :]
        inputs, outputs = write_tick(segment, self.plan.offset_ns, heard, said)
        if not 0 <= inputs["t"] - self._flushed_tick_ns < FLUSH_NS:
            # What a guardian had kept comes faster than time goes: half a second of it is enough.
            self._flushed_tick_ns, self.flush_ns = inputs["t"], now_ns
        number, last = inputs["n"], self._last_tick
        self._last_tick = number
        if last is not None and number != last + 1:
            self.lose(Counter({channels.INPUTS: max(number - last - 1, 1)}))
            self.ask_key()
        self._watch_stop(now_ns, outputs)

    def _video(self, item: Item) -> bytes:
        utc = stamp(item.stamp_ns + self.plan.offset_ns)
        picture = CompressedVideo(
            timestamp=utc, frame_id=f"camera-{item.camera}", data=item.data, format="h264"
        )
        return picture.SerializeToString()

    # -- stops

    def _watch_stop(self, now_ns: int, said: Mapping[str, Any]) -> None:
        mode, was = said["mode"], self._driving
        self._driving = mode in DRIVING
        if not was or self._driving or said["latched"] is None:
            return
        from_ns = now_ns - BEFORE_STOP_NS
        first = next(
            (max(number - 1, 1) for number, begun in self.starts.items() if begun > from_ns),
            self.number,
        )
        name = f"{self.number:05}-{said['n']}-{said['latched']}"
        protection = _Protection(name, first, now_ns + AFTER_STOP_NS)
        self._protections.append(protection)
        self._protect(protection)

    def _protect(self, stop: _Protection) -> None:
        assert self.folder is not None
        try:
            self.ring.protect(self.folder, stop.name, stop.first, self.number)
        except OSError as error:
            self.tell(f"stop {stop.name} is not protected: {error.strerror or error}")
