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
BEAMS_MAX = 1440
LOOK_1E5_RAD, STEP_MAX_1E5_RAD = 90_000, 3_500
"""A scan looks at least 0.9 rad to both sides of straight ahead, by beams 0.035 rad apart or less:
a scanner that is turned away, or sees every tenth thing, does not say that the way is free."""
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
        self._seen: _Seen | None = None
        self.refused = 0

    def take(self, now_us: int, scans: Iterable[bytes]) -> None:
        """Take what came since the last tick; the newest stamp counts."""
        for data in scans:
            scan = decode(data)
            if scan is not None and scan.stamp_us <= now_us and self._is_newer(scan):
                self._seen = _Seen(scan, self._finder)
            else:
                self.refused += 1

    def _is_newer(self, scan: Scan) -> bool:
        return self._seen is None or scan.stamp_us > self._seen.stamp_us

    def sight(self, now_us: int, curvature_per_m: float) -> Sight:
        """Return what is seen; nothing when the newest scan is too old or there is none."""
        seen = self._seen
        if seen is None or now_us - seen.stamp_us > STALE_US:
            return UNSEEN
        return Sight(seen.clear_m(curvature_per_m), (now_us - seen.stamp_us) / 1e6, seen.sectors_m)


class _Seen:
    """One scan, and the free way on the curve that was asked for last."""

    def __init__(self, scan: Scan, finder: RangeFinder) -> None:
        self.stamp_us = scan.stamp_us
        self.sectors_m = scan.sectors(finder.range_m)
        self._finder, self._points = finder, scan.points(finder.mount_m)
        self._found: tuple[float, float] | None = None

    def clear_m(self, curvature_per_m: float) -> float:
        """Reckoned anew for another curve only."""
        found = self._found
        if found is None or abs(found[0] - curvature_per_m) > CURVE_STEP_PER_M:
            free_m = free_way_m(self._points, self._finder, curvature_per_m)
            found = self._found = (curvature_per_m, max(free_m - STAND_OFF_M, 0.0))
        return found[1]


@dataclass(frozen=True, slots=True)
class Scan:
    """One turn of the scanner; ranges in metres, infinite where nothing was met."""

    stamp_us: int
    first_rad: float
    step_rad: float
    ranges_m: tuple[float, ...]

    def points(self, mount_m: float) -> tuple[tuple[float, float], ...]:
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
        met_m: list[list[float]] = [[] for _ in range(SECTORS)]
        for angle_rad, beam_m in self._beams():
            met_m[round(-angle_rad * SECTORS / math.tau) % SECTORS].append(beam_m)
        return tuple(round(min(*each, range_m), 1) if each else None for each in met_m)

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
    """Return the scan in ``data``; None when it is none, looks elsewhere, or has too many holes.

    A hole is taken to be as near as the nearer of its neighbours; between two others nothing is
    known of it, and the scan is none.
    """
    try:
        version, spare, beams, stamp_us, first, step = _HEAD.unpack_from(data)
    except struct.error:
        return None
    last_1e5_rad = 10 * first + (beams - 1) * step
    if version != VERSION or spare or beams > BEAMS_MAX or len(data) != _HEAD.size + 2 * beams:
        return None
    if 10 * first > -LOOK_1E5_RAD or last_1e5_rad < LOOK_1E5_RAD or step > STEP_MAX_1E5_RAD:
        return None
    counts = struct.unpack_from(f"<{beams}H", data, _HEAD.size)
    if counts.count(INVALID) > INVALID_SHARE_MAX * beams:
        return None
    filled = [_filled(counts, index) for index in range(beams)]
    if INVALID in filled:
        return None
    ranges_m = tuple(math.inf if each == NOTHING else each * METRES_PER_COUNT for each in filled)
    return Scan(stamp_us, first / 1e4, step / 1e5, ranges_m)


def _filled(counts: Sequence[int], index: int) -> int:
    count = counts[index]
    return min(counts[max(index - 1, 0) : index + 2]) if count == INVALID else count


def free_way_m(
    points: Iterable[tuple[float, float]], finder: RangeFinder, curvature_per_m: float
) -> float:
    """Return how far the reference point may travel before the body meets one of ``points``.

    What lies beside or behind the body now is not ahead. The tail's swing is not looked at.

    Args:
        points: from the reference point, ahead and left. curvature_per_m: + left.
    """
    half_m, front_m = finder.half_m + ASIDE_M, finder.front_m
    if abs(curvature_per_m) < STRAIGHT_PER_M:
        ways_m = [x_m - front_m for x_m, y_m in points if abs(y_m) < half_m]
    else:
        radius_m = max(abs(1.0 / curvature_per_m), half_m + ASIDE_M)
        side = math.copysign(1.0, curvature_per_m)
        turned = [(x_m, radius_m - side * y_m) for x_m, y_m in points]
        ways_m = _ways_round_m(turned, radius_m, half_m, front_m)
    return min((way_m for way_m in ways_m if way_m >= 0.0), default=finder.range_m)


def _ways_round_m(
    points: Iterable[tuple[float, float]], radius_m: float, half_m: float, front_m: float
) -> list[float]:
    """The way round a circle to each point that the body meets at all.

    A point is met by the front edge, or by the inner side where it lies farther in than the
    corner: of the two angles, from abeam of the reference point, the smaller is that of the body.

    Args:
        points: ahead, and outwards from the circle's centre.
    """
    inner_m, corner_m = radius_m - half_m, math.hypot(front_m, radius_m + half_m)
    ways_m = []
    for ahead_m, out_m in points:
        at_m = math.hypot(ahead_m, out_m)
        if inner_m < at_m < corner_m:
            by_front_rad = math.asin(min(front_m / at_m, 1.0))
            body_rad = min(by_front_rad, math.acos(inner_m / at_m))
            ways_m.append((math.atan2(ahead_m, out_m) - body_rad) * radius_m)
    return ways_m
