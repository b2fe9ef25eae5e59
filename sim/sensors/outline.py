"""Outlines of what stands and moves, as the straight runs and discs that a scanner meets."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise

from sim.sensors.range_scan import Disc, Run
from sim.world.things import Solid


@dataclass(frozen=True, slots=True)
class Outline:
    """Of one solid.

    Attributes:
        runs, discs: what beams meet. x_m, y_m, reach_m: a circle round all of it.
    """

    runs: tuple[Run, ...]
    discs: tuple[Disc, ...]
    x_m: float
    y_m: float
    reach_m: float

    def is_within(self, x_m: float, y_m: float, range_m: float) -> bool:
        """Whether any of it may lie within ``range_m`` of a place."""
        return math.hypot(self.x_m - x_m, self.y_m - y_m) <= range_m + self.reach_m


def outline_of(solid: Solid) -> Outline:
    """A polygon's sides, moved out by the radius, and a disc round each corner if it has one."""
    points, radius_m = solid.points, solid.radius_m
    x0_m, y0_m, x1_m, y1_m = solid.bounds
    return Outline(
        tuple(_sides(solid)),
        tuple((x_m, y_m, radius_m) for x_m, y_m in points) if radius_m > 0.0 else (),
        0.5 * (x0_m + x1_m),
        0.5 * (y0_m + y1_m),
        0.5 * math.hypot(x1_m - x0_m, y1_m - y0_m),
    )


def _sides(solid: Solid) -> Iterable[Run]:
    if len(solid.points) == 1:
        return
    for (ax_m, ay_m), (bx_m, by_m) in pairwise((*solid.points, solid.points[0])):
        length_m = math.hypot(bx_m - ax_m, by_m - ay_m)
        out_x_m = solid.radius_m * (by_m - ay_m) / length_m
        out_y_m = -solid.radius_m * (bx_m - ax_m) / length_m
        yield ax_m + out_x_m, ay_m + out_y_m, bx_m + out_x_m, by_m + out_y_m
