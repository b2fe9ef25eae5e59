"""Reads the kernel's input events into whole reports: what a device says counts only up to SYN.

Format and rules: Linux ``include/uapi/linux/input.h`` and ``Documentation/input/event-codes.rst``.
After SYN_DROPPED the kernel has lost events: what follows up to the next SYN_REPORT is worth
nothing, and the device's state must be read anew before it counts.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field

EVENT = struct.Struct("@llHHi")
"""``struct input_event`` of a 64-bit kernel: seconds, microseconds, type, code, value."""

EV_SYN, EV_KEY, EV_REL, EV_ABS, EV_FF = 0x00, 0x01, 0x02, 0x03, 0x15
SYN_REPORT, SYN_DROPPED = 0, 3
KEY_UP, KEY_DOWN, KEY_REPEAT = 0, 1, 2


def encode_event(kind: int, code: int, value: int, at_us: int = 0) -> bytes:
    """Return one event as the kernel writes it."""
    seconds, micros = divmod(at_us, 1_000_000)
    return EVENT.pack(seconds, micros, kind, code, value)


@dataclass(slots=True)
class Controls:
    """The state of one device's axes and keys, as of its last whole report.

    Attributes:
        axes: raw code by axis; an axis that is not there has never been read.
        keys: codes of the keys that are down.
        moved: axes of which an event came since the device was opened: a value that the kernel
            only assumes is not one that a sensor gave.
        pressed: keys that went down since they were last taken, however briefly.
        event_us: time stamp of the newest report, 0 for none.
    """

    axes: dict[int, int] = field(default_factory=dict)
    keys: set[int] = field(default_factory=set)
    moved: set[int] = field(default_factory=set)
    pressed: set[int] = field(default_factory=set)
    event_us: int = 0

    def take_pressed(self) -> frozenset[int]:
        """Return the keys that went down since the last call."""
        taken = frozenset(self.pressed)
        self.pressed.clear()
        return taken


class EventReader:
    """Puts one device's bytes together to whole reports.

    Attributes:
        controls: state as of the last whole report, or of the last time it was read anew.
        stale: the kernel dropped events; :attr:`controls` does not count before :meth:`reread`.
        drops: how often that happened.
        malformed: events that no device can send.
    """

    def __init__(self) -> None:
        self.controls = Controls()
        self.stale = False
        self.drops = 0
        self.malformed = 0
        self._rest = b""
        self._report: list[tuple[int, int, int]] = []
        self._skipping = False

    def feed(self, data: bytes) -> int:
        """Take in bytes as they were read, cut anywhere; return the whole reports in them."""
        data = self._rest + data
        whole = len(data) - len(data) % EVENT.size
        self._rest = data[whole:]
        reports = 0
        for seconds, micros, kind, code, value in EVENT.iter_unpack(data[:whole]):
            reports += self._take(kind, code, value, seconds * 1_000_000 + micros)
        return reports

    def _take(self, kind: int, code: int, value: int, at_us: int) -> int:
        if kind == EV_SYN and code == SYN_DROPPED:
            self._report.clear()
            self._skipping = self.stale = True
            self.drops += 1
            return 0
        if kind != EV_SYN:
            if not self._skipping:
                self._report.append((kind, code, value))
            return 0
        if code != SYN_REPORT:
            return 0
        if self._skipping:
            self._skipping = False
            return 0
        self._commit(at_us)
        return 1

    def _commit(self, at_us: int) -> None:
        controls = self.controls
        for kind, code, value in self._report:
            if kind == EV_ABS:
                controls.axes[code] = value
                controls.moved.add(code)
            elif kind == EV_KEY:
                self._key(code, value)
        controls.event_us = at_us
        self._report.clear()

    def _key(self, code: int, value: int) -> None:
        controls = self.controls
        if value == KEY_DOWN:
            controls.keys.add(code)
            controls.pressed.add(code)
        elif value == KEY_UP:
            controls.keys.discard(code)
        elif value != KEY_REPEAT:
            self.malformed += 1

    @property
    def waits_for_report(self) -> bool:
        """Events were dropped and the report that they tore apart has not ended yet."""
        return self._skipping

    def reread(self, axes: dict[int, int], keys: set[int]) -> None:
        """Take the state that the kernel holds in place of what the events said."""
        controls = self.controls
        controls.pressed |= keys - controls.keys
        controls.axes, controls.keys = dict(axes), set(keys)
        self.stale = self._skipping
