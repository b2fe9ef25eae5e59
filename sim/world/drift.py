"""A site as one machine feels it: the floor under its reference point, and what it can touch."""

from __future__ import annotations

import math
from collections.abc import Iterator

from sim.machines.body import BodySize, Box
from sim.machines.surroundings import BodyPose, Floor
from sim.world.contact import DriftWalls
from sim.world.files import WorldFileError
from sim.world.site import CentrePoint, Site
from sim.world.solids import Solids
from sim.world.things import Point

BESIDE_M = 0.3
"""Least room on either side of a machine between walls: an even hand wanders by 0.1 to 0.2 m."""
_HALVINGS = 16
"""A way of at most 0.2 m in one step is divided to some micrometres."""


class Drift:
    """The surroundings of one machine in a site; follows its station from step to step.

    Args:
        site: where to drive.
        body: of the machine.

    Raises:
        WorldFileError: the machine does not fit at the site's start.
    """

    def __init__(self, site: Site, body: BodySize) -> None:
        self._site, self._body = site, body
        self._walls = DriftWalls(site, body) if site.walled else None
        self._solids = Solids(site.things)
        self._blocked = False
        self._room_m = self._apart_m = 0.0
        self._reach_m = body.reach_m
        self._time_ns = 0
        self.station_m = site.start_station_m
        self.offset_m = 0.0
        self.roll_rad = 0.0
        point = site.pose_at(site.start_station_m)
        self._centre = point
        self.start = BodyPose(point.x_m, point.y_m, point.heading_rad, 0.0)
        if self.room(self.start) < 0.0:
            raise WorldFileError(
                f"{site.name}: the machine does not fit at the start, "
                f"where the way is {point.width_m:.1f} m wide"
            )

    @property
    def centre(self) -> CentrePoint:
        """The centre point abeam of the reference point, as the floor was last felt."""
        return self._centre

    @property
    def floor_m(self) -> float:
        """Height of the floor under the reference point."""
        centre = self.centre
        return centre.z_m + centre.cross_slope * self.offset_m

    @property
    def time_s(self) -> float:
        """The site's clock: what moves by itself moves by it."""
        return self._time_ns * 1e-9

    def advance(self, dt_ns: int) -> None:
        """Let the site's clock go on; what moves may have come nearer."""
        self._time_ns += dt_ns
        self._apart_m -= self._solids.fastest_mps * dt_ns * 1e-9

    def floor(self, x_m: float, y_m: float, heading_rad: float) -> Floor:
        """The floor abeam; on a patch of other ground, that ground's grip."""
        self.station_m, self.offset_m = self._site.locate(x_m, y_m, self.station_m)
        point = self._centre = self._site.pose_at(self.station_m)
        aside_rad = heading_rad - point.heading_rad
        cosine, sine = math.cos(aside_rad), math.sin(aside_rad)
        cross_grade = point.cross_slope * cosine - point.grade * sine
        self.roll_rad = math.atan(cross_grade)
        friction, rolling = self._ground(point, x_m, y_m)
        return Floor(
            point.grade * cosine + point.cross_slope * sine, cross_grade, friction, rolling
        )

    def _ground(self, point: CentrePoint, x_m: float, y_m: float) -> tuple[float, float]:
        """Friction and added rolling resistance."""
        for patch in reversed(self._site.things.patches):
            if patch.holds(x_m, y_m):
                return patch.friction, patch.rolling
        if abs(self.offset_m) > 0.5 * point.width_m:
            return self._site.verge_friction, point.rolling
        return point.friction, point.rolling

    def room(self, pose: BodyPose) -> float:
        """How far any point of the machine may surely move before it touches, metres.

        Negative when something is touched.
        """
        return min(self._rooms(pose))

    def _rooms(self, pose: BodyPose) -> tuple[float, float]:
        """Room before what stands, and before what moves."""
        standing_m = math.inf if self._walls is None else self._walls.room(pose, self.station_m)
        moving_m = math.inf
        for corners in outline(self._body, pose):
            standing_m = min(standing_m, self._solids.standing_room(corners))
            moving_m = min(moving_m, self._solids.moving_room(corners, self.time_s))
        return standing_m, moving_m

    def free_share(self, before: BodyPose, after: BodyPose) -> float:
        """Up to the first touch, by halving; a machine that stands at a wall stays there.

        The site is asked again only when the machine may have used up the room that it had.
        """
        turned_rad = abs(after.heading_rad - before.heading_rad)
        folded_rad = abs(after.joint_rad - before.joint_rad)
        moved_m = math.hypot(after.x_m - before.x_m, after.y_m - before.y_m)
        moved_m += (turned_rad + folded_rad) * self._reach_m
        self._room_m -= moved_m
        self._apart_m -= moved_m
        if self._room_m > 0.0 and self._apart_m > 0.0:
            return 1.0
        self._room_m, self._apart_m = self._rooms(after)
        if self._room_m >= 0.0 and self._apart_m >= 0.0:
            self._blocked = False
            return 1.0
        if self._blocked:
            return 0.0
        self._blocked = True
        free, touching = 0.0, 1.0
        for _ in range(_HALVINGS):
            middle = 0.5 * (free + touching)
            between = BodyPose(*(a + (b - a) * middle for a, b in zip(before, after, strict=True)))
            if self.room(between) < 0.0:
                touching = middle
            else:
                free = middle
        return free


def check_width(site: Site, body: BodySize) -> None:
    """Refuse a site whose walls leave a machine no room to be driven between.

    Raises:
        WorldFileError: where, and how wide both are.
    """
    if not site.walled:
        return
    wide_m = 2.0 * max(box.half_m for box in body.front + body.rear)
    point = min(site.centre_line, key=lambda each: each.width_m)
    if point.width_m < wide_m + 2.0 * BESIDE_M:
        raise WorldFileError(
            f"{site.name}: the machine is {wide_m:.1f} m wide and the way narrows to "
            f"{point.width_m:.1f} m at station {point.station_m:.0f} m; it needs "
            f"{BESIDE_M:g} m on either side"
        )


def outline(body: BodySize, pose: BodyPose) -> Iterator[tuple[Point, ...]]:
    """Corners of each of a machine's rectangles at a pose, counter-clockwise."""
    yield from _corners(body.front, pose.x_m, pose.y_m, pose.heading_rad)
    fold_x_m = pose.x_m - body.fold_m * math.cos(pose.heading_rad)
    fold_y_m = pose.y_m - body.fold_m * math.sin(pose.heading_rad)
    yield from _corners(body.rear, fold_x_m, fold_y_m, pose.heading_rad - pose.joint_rad)


def _corners(
    boxes: tuple[Box, ...], x_m: float, y_m: float, heading_rad: float
) -> Iterator[tuple[Point, ...]]:
    cosine, sine = math.cos(heading_rad), math.sin(heading_rad)
    for rear_m, front_m, half_m in boxes:
        yield tuple(
            (x_m + ahead * cosine - aside * sine, y_m + ahead * sine + aside * cosine)
            for ahead, aside in (
                (front_m, half_m),
                (rear_m, half_m),
                (rear_m, -half_m),
                (front_m, -half_m),
            )
        )
