"""How far the machine may travel on its present curve before it meets what a range scan shows.

A stop holds its curvature (rule 6), so the way that counts is the arc that the machine runs on, and
not the straight line ahead: in a bend of a drift the rock ahead is no obstacle, and on the straight
before it the rock is one. A scan carries the machine's own monotonic time; what is old, malformed,
from the future or full of holes is not "clear": nothing is known then.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Self

from protocol.profiles import MachineSize

VERSION = 1
_HEAD = struct.Struct("<BBHQhH")
"""version, spare, beams, stamp in µs, first beam in 1e-4 rad, step in 1e-5 rad; + left."""
BEAMS_MIN, BEAMS_MAX = 45, 1440
METRES_PER_COUNT = 0.01
NOTHING, INVALID = 0xFFFE, 0xFFFF
"""Nothing within range, and a beam that says nothing (blocked, dirty, dazzled)."""
INVALID_SHARE_MAX = 0.05
"""With more holes than this a scan is not one."""
STALE_US = 250_000
"""Two scans at 10 Hz and a little; older ones show another place."""
ASIDE_M = 0.15
"""Kept to either side of the body."""
STAND_OFF_M = 0.5
"""Kept ahead of it when it stands."""
STRAIGHT_PER_M = 1e-4
CURVE_STEP_PER_M = 0.001
"""A change of curvature by less moves the nose by some centimetres in the way of a stop."""
SECTORS = 8
Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class RangeFinder:
    """A planar scanner at the front and the body before which it looks, from the reference point.

    Attributes:
        mount_m: ahead of the reference point, on the centre line, looking ahead.
        front_m: from the reference point to the front. half_m: half the width.
        range_m: farthest that is measured.
    """

    mount_m: float
    front_m: float
    half_m: float
    range_m: float

    @classmethod
    def of(cls, size: MachineSize, range_m: float) -> Self:
        """A scanner at the front bumper of a machine of this size."""
        front_m = size.front_of_reference_m
        return cls(mount_m=front_m, front_m=front_m, half_m=0.5 * size.width_m, range_m=range_m)


@dataclass(frozen=True, slots=True)
class Sight:
    """What is seen ahead.

    Attributes:
        clear_m: free way of the front on the present curve, less what is kept; None is unknown.
        age_s: of the scan behind it.
        sectors_m: nearest distance from the scanner by eighths, the first ahead, on clockwise;
            None where it does not look or nothing is known.
    """

    clear_m: float | None = None
    age_s: float = 0.0
    sectors_m: tuple[float | None, ...] = (None,) * SECTORS


UNSEEN = Sight()


class Clearance:
    """Keeps the newest scan, and says how far the way is free.

    Attributes:
        refused: scans that did not count.
    """

    def __init__(self, finder: RangeFinder) -> None:
        self._finder = finder
        self._stamp_us = -1
        self._points: tuple[Point, ...] = ()
        self._sectors: tuple[float | None, ...] = UNSEEN.sectors_m
        self._found: tuple[int, float, float] | None = None
        self.refused = 0

    def take(self, now_us: int, scans: Iterable[bytes]) -> None:
        """Take what came since the last tick; the newest stamp counts."""
        for data in scans:
            scan = decode(data)
            if scan is None or not self._stamp_us < scan.stamp_us <= now_us:
                self.refused += 1
                continue
            self._stamp_us = scan.stamp_us
            self._points = scan.points(self._finder.mount_m)
            self._sectors = scan.sectors(self._finder.range_m)

    def sight(self, now_us: int, curvature_per_m: float) -> Sight:
        """Return what is seen; nothing when the newest scan is too old or there is none."""
        age_us = now_us - self._stamp_us
        if self._stamp_us < 0 or age_us > STALE_US:
            return UNSEEN
        return Sight(self._clear_m(curvature_per_m), age_us / 1e6, self._sectors)

    def _clear_m(self, curvature_per_m: float) -> float:
        """Reckoned anew for a new scan or another curve only."""
        found = self._found
        if (
            found is None
            or found[0] != self._stamp_us
            or abs(found[1] - curvature_per_m) > CURVE_STEP_PER_M
        ):
            free_m = free_way_m(self._points, self._finder, curvature_per_m)
            found = self._found = (self._stamp_us, curvature_per_m, max(free_m - STAND_OFF_M, 0.0))
        return found[2]


@dataclass(frozen=True, slots=True)
class Scan:
    """One turn of the scanner; ranges in metres, infinite where nothing was met."""

    stamp_us: int
    first_rad: float
    step_rad: float
    ranges_m: tuple[float, ...]

    def points(self, mount_m: float) -> tuple[Point, ...]:
        """What was met, from the reference point: ahead, and to the left."""
        return tuple(
            (mount_m + range_m * math.cos(angle_rad), range_m * math.sin(angle_rad))
            for angle_rad, range_m in self._beams()
            if range_m < math.inf
        )

    def sectors(self, range_m: float) -> tuple[float | None, ...]:
        """The nearest of each eighth; ``range_m`` where nothing was met in one that is looked at.

        A sector counts as looked at when a beam lies in it.
        """
        nearest: list[float | None] = [None] * SECTORS
        for angle_rad, met_m in self._beams():
            sector = round(-angle_rad * SECTORS / math.tau) % SECTORS
            nearest[sector] = min(met_m, nearest[sector] or range_m, range_m)
        return tuple(None if each is None else round(each, 1) for each in nearest)

    def _beams(self) -> Iterable[tuple[float, float]]:
        for index, range_m in enumerate(self.ranges_m):
            yield self.first_rad + index * self.step_rad, range_m


def encode(stamp_us: int, first_rad: float, step_rad: float, ranges_m: Sequence[float]) -> bytes:
    """Return a scan's bytes; infinite says nothing was met, NaN that the beam says nothing."""
    head = _HEAD.pack(
        VERSION, 0, len(ranges_m), stamp_us, round(first_rad * 1e4), round(step_rad * 1e5)
    )
    counts = [
        INVALID if math.isnan(m) else NOTHING if math.isinf(m) else round(m / METRES_PER_COUNT)
        for m in ranges_m
    ]
    return head + struct.pack(f"<{len(counts)}H", *counts)


def decode(data: bytes) -> Scan | None:
    """Return the scan in ``data``; None when it is none, or has too many holes.

    A single hole is taken to be as near as the nearer of its neighbours.
    """
    if len(data) < _HEAD.size:
        return None
    version, spare, beams, stamp_us, first, step = _HEAD.unpack_from(data)
    if version != VERSION or spare or not BEAMS_MIN <= beams <= BEAMS_MAX or not step:
        return None
    if len(data) != _HEAD.size + 2 * beams:
        return None
    counts = struct.unpack_from(f"<{beams}H", data, _HEAD.size)
    if counts.count(INVALID) > INVALID_SHARE_MAX * beams:
        return None
    ranges_m = tuple(_range_m(counts, index) for index in range(beams))
    return Scan(stamp_us, first / 1e4, step / 1e5, ranges_m)


def _range_m(counts: Sequence[int], index: int) -> float:
    count = counts[index]
    if count == INVALID:
        count = min(counts[max(index - 1, 0) : index + 2])
    return math.inf if count >= NOTHING else count * METRES_PER_COUNT


def free_way_m(points: Iterable[Point], finder: RangeFinder, curvature_per_m: float) -> float:
    """Return how far the reference point may travel before the body meets one of ``points``.

    On a circle each point is met at its own radius: by the front edge, or by the inner side where
    it passes behind that edge. What lies beside or behind the body now is not ahead. The tail's
    swing is not looked at.

    Args:
        points: from the reference point, ahead and left. curvature_per_m: + left.
    """
    half_m = finder.half_m + ASIDE_M
    least_m = finder.range_m
    if abs(curvature_per_m) < STRAIGHT_PER_M:
        for ahead_m, left_m in points:
            if abs(left_m) < half_m and finder.front_m <= ahead_m < finder.front_m + least_m:
                least_m = ahead_m - finder.front_m
        return least_m
    side = math.copysign(1.0, curvature_per_m)
    radius_m = max(abs(1.0 / curvature_per_m), half_m + ASIDE_M)
    inner_m, outer_m, front_m = radius_m - half_m, radius_m + half_m, finder.front_m
    for ahead_m, left_m in points:
        from_centre_m = radius_m - side * left_m
        met_rad = _met_rad(math.hypot(ahead_m, from_centre_m), inner_m, outer_m, front_m)
        if met_rad is None:
            continue
        way_m = (math.atan2(ahead_m, from_centre_m) - met_rad) * radius_m
        if 0.0 <= way_m < least_m:
            least_m = way_m
    return least_m


def _met_rad(at_m: float, inner_m: float, outer_m: float, front_m: float) -> float | None:
    """The angle, from abeam of the reference point, of the body's foremost part at a radius."""
    if at_m <= inner_m or at_m >= math.hypot(front_m, outer_m):
        return None
    if at_m < math.hypot(front_m, inner_m):
        return math.acos(inner_m / at_m)
    return math.asin(front_m / at_m)
