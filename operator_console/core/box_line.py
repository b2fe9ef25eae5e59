"""A serial box of contacts: what counts of its lines, and when its silence ends everything.

A line is ``HFBOX1 NN CCCC KKKK`` and a line feed (a carriage return may stand before it), the
numbers in upper case hexadecimal: NN counts up by one with each line, CCCC has a bit for each
contact that is closed, KKKK is CRC-16/CCITT-FALSE over the fourteen characters before its space.
The box sends one each 20 ms. What those who build one must know stands in docs/cockpit.md.
"""

from __future__ import annotations

import re
from collections import Counter
from enum import StrEnum

from operator_console.core.desk import Fault
from operator_console.core.desk_layout import CONTACTS
from operator_console.core.evdev import Controls
from protocol.relay import crc16

BAUD_RATE_BPS = 115_200
LINE_MAX_BYTES = 20
"""With its carriage return, without its line feed."""

STEP_MAX = 5
"""Numbers that a line may be ahead of the last one: the silence limit in periods. Further is
another start of the box."""

SILENT_NS = 100_000_000
"""Five lines; as often a device of the kernel's is asked whether it lives (cockpit rule 10)."""

SETTLE_NS = 60_000_000
"""What a box says counts only after it has spoken for this long: that it was away is then told at
least once, and enable must be let go."""

_LINE = re.compile(rb"HFBOX(.) ([0-9A-F]{2}) ([0-9A-F]{4}) ([0-9A-F]{4})")
_SIGNED_BYTES = 14


class BoxRefusal(StrEnum):
    """Why a line did not count."""

    LONG = "box_long"
    MALFORMED = "box_malformed"
    VERSION = "box_version"
    CRC = "box_crc"
    REPEATED = "box_repeated"
    """Its number is the last one's: what sends it may be a buffer, and no box."""


class BoxRefused(ValueError):
    """Raised when bytes are no line of a box; carries its reason."""

    def __init__(self, reason: BoxRefusal) -> None:
        self.reason = reason


def encode_line(number: int, contacts: int) -> bytes:
    """Return the line of a box, its line feed included.

    Args:
        number: 0…255. contacts: a bit for each that is closed, 16 of them.
    """
    signed = b"HFBOX1 %02X %04X" % (number, contacts)
    return b"%b %04X\n" % (signed, crc16(signed))


def decode_line(line: bytes) -> tuple[int, int]:
    """Return number and contacts of a line without its line feed.

    Raises:
        BoxRefused: it does not count.
    """
    found = _LINE.fullmatch(line.removesuffix(b"\r"))
    if found is None:
        raise BoxRefused(BoxRefusal.MALFORMED)
    version, number, contacts, crc = found.groups()
    if int(crc, 16) != crc16(line[:_SIGNED_BYTES]):
        raise BoxRefused(BoxRefusal.CRC)
    if version != b"1":
        raise BoxRefused(BoxRefusal.VERSION)
    return int(number, 16), int(contacts, 16)


class BoxReader:
    """Follows one box; every call takes the time.

    Attributes:
        controls: contacts that are closed, as keys by their bit's number.
        refused: lines that did not count, by reason. began: how often the box began to speak.
    """

    _began_ns: int
    """Since when it speaks without a gap; set before the first line counts."""

    def __init__(self) -> None:
        self.controls = Controls()
        self.refused: Counter[BoxRefusal] = Counter()
        self.began = 0
        self._rest: bytes | None = b""
        """Of a line that has not ended; None while what comes is too long to be one."""
        self._number: int | None = None
        self._heard_ns: int | None = None

    def feed(self, data: bytes, now_ns: int) -> int:
        """Take in bytes as they were read, cut anywhere; return how often contacts changed."""
        *lines, rest = data.split(b"\n")
        changes = 0
        for line in lines:
            changes += self._rest is not None and self._take(self._rest + line, now_ns)
            self._rest = b""
        self._keep(rest)
        return changes

    def _keep(self, rest: bytes) -> None:
        """Keep what the next read may end, unless no line is that long."""
        if self._rest is None:
            return
        self._rest += rest
        if len(self._rest) > LINE_MAX_BYTES:
            self.refused[BoxRefusal.LONG] += 1
            self._rest = None

    def _take(self, line: bytes, now_ns: int) -> bool:
        """Return whether a line changed a contact."""
        try:
            number, contacts = decode_line(line)
        except BoxRefused as refusal:
            self.refused[refusal.reason] += 1
            return False
        before, self._number = self._number, number
        if number == before:
            self.refused[BoxRefusal.REPEATED] += 1
            return False
        goes_on = before is not None and (number - before) % 256 <= STEP_MAX
        if self._silent(now_ns) or not goes_on:
            self._began_ns = now_ns
            self.began += 1
        self._heard_ns = now_ns
        return self._hold(contacts, now_ns)

    def _silent(self, now_ns: int) -> bool:
        return self._heard_ns is None or now_ns - self._heard_ns > SILENT_NS

    def _settles(self, now_ns: int) -> bool:
        return now_ns - self._began_ns < SETTLE_NS

    def _hold(self, contacts: int, now_ns: int) -> bool:
        closed = {bit for bit in range(CONTACTS) if contacts >> bit & 1}
        changed = closed != self.controls.keys
        if changed:
            if not self._settles(now_ns):  # down before anybody could ask is no press
                self.controls.pressed |= closed - self.controls.keys
            self.controls.keys = closed
            self.controls.event_us = now_ns // 1000
        return changed

    def state(self, now_ns: int) -> Controls | Fault:
        """Return the contacts, or why they do not count now."""
        if self._silent(now_ns):
            return Fault.SILENT
        return Fault.TORN if self._settles(now_ns) else self.controls
