"""Distances all round the machine by short-range sensors: for the driver's screen, not for a cap.

They fill the eighths that the range finder does not look at. Front, right, rear and left are what
they see; an eighth between two of them shows the nearer.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence

VERSION = 1
_LAYOUT = struct.Struct("<BBHQ4H")
"""version, spare, range, stamp in µs, front, right, rear, left; all lengths in cm."""
UNKNOWN = 0xFFFF
STALE_US = 500_000
SIDES = 4


def encode(stamp_us: int, range_m: float, sides_m: Sequence[float | None]) -> bytes:
    """Return the bytes; None is a sensor that says nothing, farther than the range nothing near."""
    counts = [UNKNOWN if m is None else round(100 * min(m, range_m)) for m in sides_m]
    return _LAYOUT.pack(VERSION, 0, round(100 * range_m), stamp_us, *counts)


class Nearby:
    """Keeps the newest distances.

    Attributes:
        refused: what did not count.
    """

    def __init__(self) -> None:
        self._newest: tuple[int, tuple[float | None, ...]] | None = None
        self.refused = 0

    def take(self, now_us: int, told: Iterable[bytes]) -> None:
        """Take what came since the last tick; the newest stamp counts."""
        for data in told:
            found, newest = _decode(data), self._newest
            if found is None or found[0] > now_us or (newest and found[0] <= newest[0]):
                self.refused += 1
            else:
                self._newest = found

    def over(self, now_us: int, seen_m: tuple[float | None, ...]) -> tuple[float | None, ...]:
        """``seen_m`` by eighths, and these distances where nothing is known in it."""
        if self._newest is None or now_us - self._newest[0] > STALE_US:
            return seen_m
        mine = self._newest[1]
        if not seen_m:
            return mine
        return tuple(own if seen is None else seen for seen, own in zip(seen_m, mine, strict=True))


def _decode(data: bytes) -> tuple[int, tuple[float | None, ...]] | None:
    """Stamp and distances by eighths; None when it is none or one is beyond the range."""
    try:
        version, spare, range_cm, stamp_us, *counts = _LAYOUT.unpack(data)
    except struct.error:
        return None
    far = any(count > range_cm for count in counts if count != UNKNOWN)
    if version != VERSION or spare or far:
        return None
    sides_m = [None if count == UNKNOWN else round(count / 100, 1) for count in counts]
    return stamp_us, eighths(sides_m)


def eighths(sides_m: Sequence[float | None]) -> tuple[float | None, ...]:
    """By eighths from ahead on clockwise; between two sides the nearer, or None for an unknown."""
    found: list[float | None] = []
    for number, side_m in enumerate(sides_m):
        next_m = sides_m[(number + 1) % SIDES]
        found += [side_m, None if side_m is None or next_m is None else min(side_m, next_m)]
    return tuple(found)
