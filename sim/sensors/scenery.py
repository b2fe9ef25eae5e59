"""What a site shows to range sensors: its walls, what stands and what moves, as runs and discs."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import pairwise

from sim.sensors.outline import Outline, outline_of
from sim.sensors.range_scan import Disc, Run
from sim.world.site import Site

HEIGHT_M = 0.5
"""Of a sensor's plane over the floor: a kerb or a low stone lies under it."""


class Scenery:
    """One site, asked for what may lie within a range of a place."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._walls = walls_of(site) if site.walled else ((), ())
        self._standing = tuple(outline_of(each) for each in site.things.higher_than(HEIGHT_M))
        self._movers = tuple(each for each in site.things.movers if each.height_m > HEIGHT_M)

    def around(
        self, x_m: float, y_m: float, station_m: float, site_s: float, range_m: float
    ) -> tuple[list[Run], list[Disc]]:
        """What may lie within ``range_m`` of a place.

        Args:
            x_m, y_m: the place. station_m: of the machine, at most ``range_m`` from there.
            site_s: by which people and machines move.
        """
        moving = (outline_of(each.solid.moved(*each.at(site_s))) for each in self._movers)
        near: list[Outline] = [
            each for each in (*self._standing, *moving) if each.is_within(x_m, y_m, range_m)
        ]
        runs = [run for each in near for run in each.runs]
        runs += self._near(station_m, range_m)
        return runs, [disc for each in near for disc in each.discs]

    def _near(self, station_m: float, range_m: float) -> Iterator[Run]:
        """The walls along the drift; no other passage's are seen through the rock."""
        if not self._site.walled:
            return
        reach = math.ceil(range_m / self._site.step_m)
        here, count = round(station_m / self._site.step_m), len(self._walls[0])
        for index in range(here - reach, here + reach):
            if self._site.closed or 0 <= index < count:
                for wall in self._walls:
                    yield wall[index % count]


def walls_of(site: Site) -> tuple[tuple[Run, ...], tuple[Run, ...]]:
    """Both walls as runs between their points, the left one first."""
    return _wall(site, 1.0), _wall(site, -1.0)


def _wall(site: Site, side: float) -> tuple[Run, ...]:
    points = [
        (
            point.x_m - side * 0.5 * point.width_m * math.sin(point.heading_rad),
            point.y_m + side * 0.5 * point.width_m * math.cos(point.heading_rad),
        )
        for point in site.centre_line
    ]
    return tuple((*a, *b) for a, b in pairwise(points))
