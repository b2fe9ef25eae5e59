"""How far the machine may travel on its present curve before it meets what a range scan shows.

A stop holds its curvature (rule 6), so the way that counts is the arc that the machine runs on, and
not the straight line ahead: in a bend of a drift the rock ahead is no obstacle, and on the straight
before it the rock is one. It is met by whatever part of the machine comes to it first: the front,
the inner side, or the outer corner of the tail. An articulated machine freezes its joint in a stop,
so that both its bodies turn about one centre. A trailer's joint is held by nothing and measured by
nobody: it is taken to be straight behind, or folded as it settles on the curve, or in between.

A scan carries the machine's own monotonic time; what is old, malformed, from the future or full of
holes is not "clear": nothing is known then.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Self

from protocol.profiles import MachineSize, TrailerSize
from vehicle_agent.core.beside import Beside

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
class RearUnit:
    """The rear body of an articulated machine, or a trailer.

    Attributes:
        fold_m: from the reference point back to joint or hitch. axle_m: from there to its axle.
        tail_m: from its axle to its tail. gap_m: from the fold to the front of its body.
        half_m: half its width; None: as wide as the front body. towed: it is a trailer.
    """

    fold_m: float
    axle_m: float
    tail_m: float
    gap_m: float = 0.0
    half_m: float | None = None
    towed: bool = False

    def joint_rad(self, curvature_per_m: float) -> float:
        """Of the joint, on this curve of the reference point, + left."""
        lead = curvature_per_m * self.fold_m
        share = curvature_per_m * self.axle_m / math.sqrt(1.0 + lead * lead)
        return math.atan(lead) + math.asin(min(max(share, -1.0), 1.0))


@dataclass(frozen=True, slots=True)
class RangeFinder:
    """A planar scanner at the front and the body before which it looks, from the reference point.

    Attributes:
        mount_m: ahead of the reference point, on the centre line, looking ahead.
        front_m: from the reference point to the front. half_m: half the width.
        range_m: farthest that is measured.
        tail_m: from the reference point back to the end of the same body.
        rear: the body that folds behind it, or its trailer; None without either.
    """

    mount_m: float
    front_m: float
    half_m: float
    range_m: float
    tail_m: float = 0.0
    rear: RearUnit | None = None

    @classmethod
    def of(cls, size: MachineSize, range_m: float) -> Self:
        """A scanner at the front bumper of a machine of this size."""
        front_m, half_m = size.front_of_reference_m, 0.5 * size.width_m
        if size.trailer is not None:
            return cls(
                front_m, front_m, half_m, range_m, size.rear_overhang_m, _towed(size.trailer)
            )
        if size.front_joint_m is None or size.rear_joint_m is None:
            return cls(front_m, front_m, half_m, range_m, size.rear_overhang_m)
        rear = RearUnit(size.front_joint_m, size.rear_joint_m, size.rear_overhang_m)
        return cls(front_m, front_m, half_m, range_m, size.front_joint_m, rear)

    def beside(self) -> Beside:
        """What keeps the points that lie beside this machine."""
        rear = self.rear
        if rear is None:
            return Beside(self.front_m, self.tail_m, self.half_m, 0.0)
        behind_m = rear.fold_m + rear.axle_m
        if rear.towed:  # on the tightest curve its axle runs about a drawbar's length farther in
            return Beside(self.front_m, behind_m + rear.tail_m, self.half_m + rear.axle_m, 0.0)
        return Beside(self.front_m, behind_m + rear.tail_m, self.half_m, rear.axle_m / behind_m)


def _towed(trailer: TrailerSize) -> RearUnit:
    return RearUnit(
        trailer.hitch_m,
        trailer.drawbar_m,
        trailer.tail_m,
        trailer.front_gap_m,
        0.5 * trailer.width_m,
        towed=True,
    )


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
        self._beside = finder.beside()
        self._seen: _Seen | None = None
        self._moved_us: int | None = None
        self.refused = 0

    def take(self, now_us: int, scans: Iterable[bytes]) -> None:
        """Take what came since the last tick; the newest stamp counts."""
        for data in scans:
            scan = decode(data)
            if scan is not None and scan.stamp_us <= now_us and self._is_newer(scan):
                points = scan.points(self._finder.mount_m)
                beside = self._beside.see(scan.stamp_us, points)
                self._seen = _Seen(scan, self._finder, (*points, *beside))
            else:
                self.refused += 1

    def move(self, now_us: int, speed_mps: float | None, curvature_per_m: float) -> None:
        """Note how the machine moves since the last tick; None: nobody knows how fast."""
        before_us, self._moved_us = self._moved_us, now_us
        if speed_mps is None:
            self._beside.forget()
            return
        rear = self._finder.rear
        joint_rad = 0.0 if rear is None else rear.joint_rad(curvature_per_m)
        time_s = 0.0 if before_us is None else (now_us - before_us) / 1e6
        self._beside.move(time_s, speed_mps, curvature_per_m, joint_rad)

    def _is_newer(self, scan: Scan) -> bool:
        return self._seen is None or scan.stamp_us > self._seen.stamp_us

    def sight(self, now_us: int, curvature_per_m: float) -> Sight:
        """Return what is seen; nothing when the newest scan is too old or there is none."""
        seen = self._seen
        if seen is None or now_us - seen.stamp_us > STALE_US:
            return UNSEEN
        return Sight(seen.clear_m(curvature_per_m), (now_us - seen.stamp_us) / 1e6, seen.sectors_m)


class _Seen:
    """One scan with what lies beside, and the free way on the curve that was asked for last."""

    def __init__(
        self, scan: Scan, finder: RangeFinder, points: Sequence[tuple[float, float]]
    ) -> None:
        self.stamp_us = scan.stamp_us
        self.sectors_m = scan.sectors(finder.range_m)
        self._finder, self._points = finder, points
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
    points: Sequence[tuple[float, float]], finder: RangeFinder, curvature_per_m: float
) -> float:
    """Return how far the reference point may travel before the machine meets one of ``points``.

    What it covers now is not ahead.

    Args:
        points: from the reference point, ahead and left. curvature_per_m: + left.
    """
    half_m, front_m = finder.half_m + ASIDE_M, finder.front_m
    if abs(curvature_per_m) < STRAIGHT_PER_M:
        ways_m = [x_m - front_m for x_m, y_m in points if abs(y_m) < half_m]
        ways_m += _straight_ways_m(points, finder.rear, half_m)
    else:
        radius_m = max(abs(1.0 / curvature_per_m), half_m + ASIDE_M)
        side = math.copysign(1.0, curvature_per_m)
        turned = [(x_m, radius_m - side * y_m) for x_m, y_m in points]
        polar = [(math.hypot(*each), math.atan2(*each)) for each in turned]
        turns_rad = [each for sweep in _sweeps(finder, radius_m) for each in sweep.turns_rad(polar)]
        ways_m = [turn_rad * radius_m for turn_rad in turns_rad]
    return min((way_m for way_m in ways_m if way_m >= 0.0), default=finder.range_m)


def _straight_ways_m(
    points: Iterable[tuple[float, float]], rear: RearUnit | None, half_m: float
) -> list[float]:
    """How far until a rear body that is wider than the front one meets what that has passed."""
    if rear is None or rear.half_m is None:
        return []
    return [
        x_m + rear.fold_m + rear.gap_m
        for x_m, y_m in points
        if half_m <= abs(y_m) < rear.half_m + ASIDE_M
    ]


@dataclass(frozen=True, slots=True)
class Sweep:
    """One body on its circle, in the polar axes of the circle's centre.

    Attributes:
        abeam_rad: where its axle points, from the reference point's.
        front_m, tail_m: ahead of and behind its axle. inner_m, outer_m: radii of its sides.
    """

    abeam_rad: float
    front_m: float
    tail_m: float
    inner_m: float
    outer_m: float

    def turns_rad(self, points: Sequence[tuple[float, float]]) -> list[float]:
        """How far it turns until it meets each point; negative for what it has passed.

        The front edge meets it, or the inner side where the point lies farther in than the
        corner: of the two angles the smaller is that of the body. What lies beyond the outer side
        and has passed the front is met by the tail's corner, if that reaches so far.

        Args:
            points: radius from the centre, angle from the reference point's axle.
        """
        front_corner_m = math.hypot(self.front_m, self.outer_m)
        tail_corner_m = math.hypot(self.tail_m, self.outer_m)
        by_front = [
            angle_rad
            - min(
                math.asin(min(max(self.front_m / at_m, -1.0), 1.0)), math.acos(self.inner_m / at_m)
            )
            for at_m, angle_rad in points
            if self.inner_m < at_m < front_corner_m
        ]
        by_tail = [
            angle_rad + math.acos(self.outer_m / at_m)
            for at_m, angle_rad in points
            if self.outer_m <= at_m < tail_corner_m
        ]
        return [turn_rad - self.abeam_rad for turn_rad in (*by_front, *by_tail)]


def _sweeps(finder: RangeFinder, radius_m: float) -> tuple[Sweep, ...]:
    """The bodies when the reference point runs round a circle: a joint held, a trailer twice."""
    half_m = finder.half_m + ASIDE_M
    front = Sweep(0.0, finder.front_m, finder.tail_m, radius_m - half_m, radius_m + half_m)
    rear = finder.rear
    if rear is None:
        return (front,)
    if rear.half_m is not None:
        half_m = rear.half_m + ASIDE_M
    behind_m2 = radius_m * radius_m + rear.fold_m * rear.fold_m - rear.axle_m * rear.axle_m
    axle_radius_m = math.sqrt(max(behind_m2, half_m * half_m))
    abeam_rad = -math.atan2(rear.fold_m, radius_m) - math.atan2(rear.axle_m, axle_radius_m)
    inner_m, outer_m = axle_radius_m - half_m, axle_radius_m + half_m
    settled = Sweep(abeam_rad, rear.axle_m - rear.gap_m, rear.tail_m, inner_m, outer_m)
    if not rear.towed:
        return front, settled
    behind_m = rear.fold_m + rear.axle_m + rear.tail_m
    hitch_m = math.hypot(radius_m, rear.fold_m)
    straight = Sweep(
        0.0, -(rear.fold_m + rear.gap_m), behind_m, radius_m - half_m, hitch_m + half_m
    )
    return front, settled, straight
