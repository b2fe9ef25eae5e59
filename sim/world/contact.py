"""Exact contact of a machine's rectangles with the walls of a drift.

Both walls are polylines; whatever lies beyond them is rock. A body touches when one of its
corners lies in the rock or a run of wall crosses its rectangle, so that a rock nose on the
inside of a bend is found between the corners too.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from sim.machines.body import BodySize
from sim.machines.surroundings import BodyPose
from sim.world.site import Site

_Point = tuple[float, float]
_Box = tuple[float, float, float, float, float, float, float, float]
"""x, y of a unit's origin, cosine and sine of its heading, rear end, front end, half width, and
how far the origin lies ahead of the machine's reference point."""

_TOUCHING = -1.0
_OBLIQUE = 0.9
"""Walls taper by less than 25° (site.py), so the way to one is at least this share of the way
square to it."""


class DriftWalls:
    """The walls of a site, asked whether a machine at a pose touches them."""

    def __init__(self, site: Site, body: BodySize) -> None:
        self._site, self._body = site, body
        self._left = _wall(site, 1.0)
        self._right = _wall(site, -1.0)
        reach = math.ceil(body.longest_m / site.step_m)
        self._near_m = 1.2 * max(_bulge(self._left, reach), _bulge(self._right, reach)) + 0.05

    def touch(self, pose: BodyPose, near_station_m: float) -> bool:
        """Whether any part of the machine touches rock.

        Args:
            pose: of the machine.
            near_station_m: station of its reference point, within a few metres.
        """
        return self.room(pose, near_station_m) < 0.0

    def room(self, pose: BodyPose, near_station_m: float) -> float:
        """How far any point of the machine may surely move before rock, metres.

        A lower bound: 0 says only that nothing is touched. Negative when something is.
        """
        least_m = math.inf
        for box in self._boxes(pose):
            least_m = min(least_m, self._box_room(box, near_station_m))
            if least_m < 0.0:
                return least_m
        return least_m

    def _boxes(self, pose: BodyPose) -> Iterator[_Box]:
        body, x_m, y_m = self._body, pose.x_m, pose.y_m
        cosine, sine = math.cos(pose.heading_rad), math.sin(pose.heading_rad)
        for box in body.front:
            yield (x_m, y_m, cosine, sine, *box, 0.0)
        if body.rear:
            fold_x_m, fold_y_m = x_m - body.fold_m * cosine, y_m - body.fold_m * sine
            rear_rad = pose.heading_rad - pose.joint_rad
            cosine, sine = math.cos(rear_rad), math.sin(rear_rad)
            for box in body.rear:
                yield (fold_x_m, fold_y_m, cosine, sine, *box, -body.fold_m)

    def _box_room(self, box: _Box, near_station_m: float) -> float:
        x_m, y_m, cosine, sine, rear_m, front_m, half_m, origin_m = box
        site = self._site
        low_m, high_m = math.inf, -math.inf
        left_m = right_m = math.inf
        for ahead_m in (front_m, rear_m):
            for aside_m in (half_m, -half_m):
                station_m, offset_m = site.locate(
                    x_m + ahead_m * cosine - aside_m * sine,
                    y_m + ahead_m * sine + aside_m * cosine,
                    near_station_m + origin_m + ahead_m,
                )
                wall_m = site.half_width_at(station_m)
                if abs(offset_m) >= wall_m or self._past_end(station_m):
                    return _TOUCHING
                left_m = min(left_m, wall_m - offset_m)
                right_m = min(right_m, wall_m + offset_m)
                past_m = self._past(station_m, near_station_m)
                low_m, high_m = min(low_m, past_m), max(high_m, past_m)
        low_m, high_m = low_m + near_station_m, high_m + near_station_m
        if left_m < self._near_m and self._crossed(self._left, box, low_m, high_m):
            return _TOUCHING
        if right_m < self._near_m and self._crossed(self._right, box, low_m, high_m):
            return _TOUCHING
        sure_m = _OBLIQUE * (min(left_m, right_m) - self._near_m)
        return min(max(sure_m, 0.0), self._end_room(low_m, high_m))

    def _end_room(self, low_m: float, high_m: float) -> float:
        """Distance to the faces of an open drift."""
        if self._site.closed:
            return math.inf
        return _OBLIQUE * max(min(low_m, self._site.length_m - high_m), 0.0)

    def _past(self, station_m: float, near_station_m: float) -> float:
        """How far ``station_m`` lies past ``near_station_m``, the short way round."""
        past_m = station_m - near_station_m
        if self._site.closed:
            length_m = self._site.length_m
            past_m = (past_m + 0.5 * length_m) % length_m - 0.5 * length_m
        return past_m

    def _past_end(self, station_m: float) -> bool:
        """An open drift ends in a rock face."""
        return not self._site.closed and not 0.0 < station_m < self._site.length_m

    def _crossed(self, wall: Sequence[_Point], box: _Box, low_m: float, high_m: float) -> bool:
        """Whether a run of ``wall`` between two stations crosses the rectangle."""
        x_m, y_m, cosine, sine, rear_m, front_m, half_m, _ = box
        count = len(wall) - 1
        first = math.floor(low_m / self._site.step_m) - 1
        last = math.ceil(high_m / self._site.step_m) + 1
        before: _Point | None = None
        for index in range(first, last + 1):
            if not self._site.closed and not 0 <= index <= count:
                continue
            wall_x_m, wall_y_m = wall[index % count if self._site.closed else index]
            dx_m, dy_m = wall_x_m - x_m, wall_y_m - y_m
            here = (dx_m * cosine + dy_m * sine, dy_m * cosine - dx_m * sine)
            if before is not None and _crosses(before, here, rear_m, front_m, half_m):
                return True
            before = here
        return False


def _wall(site: Site, side: float) -> tuple[_Point, ...]:
    """One wall's points, square to each centre point; ``side`` is +1 left, −1 right."""
    return tuple(
        (
            point.x_m - side * 0.5 * point.width_m * math.sin(point.heading_rad),
            point.y_m + side * 0.5 * point.width_m * math.cos(point.heading_rad),
        )
        for point in site.centre_line
    )


def _bulge(wall: Sequence[_Point], reach: int) -> float:
    """Most that the wall leaves the chord between two of its points ``reach`` apart, metres."""
    most_m = 0.0
    for start in range(len(wall) - reach):
        x0_m, y0_m = wall[start]
        x1_m, y1_m = wall[start + reach]
        dx_m, dy_m = x1_m - x0_m, y1_m - y0_m
        run_m = math.hypot(dx_m, dy_m)
        for x_m, y_m in wall[start + 1 : start + reach]:
            most_m = max(most_m, abs(dx_m * (y_m - y0_m) - dy_m * (x_m - x0_m)) / run_m)
    return most_m


def _crosses(a: _Point, b: _Point, rear_m: float, front_m: float, half_m: float) -> bool:
    """Whether the run from ``a`` to ``b``, in the box's own axes, meets the box.

    Liang and Barsky, "A new concept and method for line clipping", 1984.
    """
    dx_m, dy_m = b[0] - a[0], b[1] - a[1]
    low, high = 0.0, 1.0
    for run_m, room_m in (
        (-dx_m, a[0] - rear_m),
        (dx_m, front_m - a[0]),
        (-dy_m, a[1] + half_m),
        (dy_m, half_m - a[1]),
    ):
        if run_m == 0.0:
            if room_m < 0.0:
                return False
        elif run_m < 0.0:
            low = max(low, room_m / run_m)
        else:
            high = min(high, room_m / run_m)
    return low <= high
