"""A drift as one machine feels it: the floor under its reference point, the walls at its sides."""

from __future__ import annotations

import math

from sim.machines.body import BodySize
from sim.machines.surroundings import BodyPose, Floor
from sim.world.contact import DriftWalls
from sim.world.files import WorldFileError
from sim.world.site import CentrePoint, Site

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
        self._site = site
        self._walls = DriftWalls(site, body)
        self._blocked = False
        self._room_m = 0.0
        self._reach_m = body.reach_m
        self.station_m = site.start_station_m
        self.offset_m = 0.0
        point = site.pose_at(site.start_station_m)
        self._centre = point
        self.start = BodyPose(point.x_m, point.y_m, point.heading_rad, 0.0)
        if self._walls.touch(self.start, self.station_m):
            raise WorldFileError(f"{site.name}: the machine does not fit at the start")

    @property
    def centre(self) -> CentrePoint:
        """The centre point abeam of the reference point, as the floor was last felt."""
        return self._centre

    def floor(self, x_m: float, y_m: float, heading_rad: float) -> Floor:
        """The floor abeam, level across the drift."""
        self.station_m, self.offset_m = self._site.locate(x_m, y_m, self.station_m)
        point = self._centre = self._site.pose_at(self.station_m)
        aside_rad = heading_rad - point.heading_rad
        return Floor(
            point.grade * math.cos(aside_rad),
            -point.grade * math.sin(aside_rad),
            point.friction,
        )

    def free_share(self, before: BodyPose, after: BodyPose) -> float:
        """Up to the first touch, by halving; a machine that stands at a wall stays there.

        The walls are asked again only when the machine may have used up the room that it had.
        """
        turned_rad = abs(after.heading_rad - before.heading_rad)
        folded_rad = abs(after.joint_rad - before.joint_rad)
        moved_m = math.hypot(after.x_m - before.x_m, after.y_m - before.y_m)
        moved_m += (turned_rad + folded_rad) * self._reach_m
        if moved_m < self._room_m:
            self._room_m -= moved_m
            return 1.0
        self._room_m = self._walls.room(after, self.station_m)
        if self._room_m >= 0.0:
            self._blocked = False
            return 1.0
        if self._blocked:
            return 0.0
        self._blocked = True
        free, touching = 0.0, 1.0
        for _ in range(_HALVINGS):
            middle = 0.5 * (free + touching)
            between = BodyPose(*(a + (b - a) * middle for a, b in zip(before, after, strict=True)))
            if self._walls.touch(between, self.station_m):
                touching = middle
            else:
                free = middle
        return free
