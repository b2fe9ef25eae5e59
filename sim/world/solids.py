"""Exact distance of a machine's rectangles from what stands and moves beside it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from itertools import pairwise

from sim.world.things import Point, Solid, Things

CELL_M = 8.0
REACH_CELLS = 1
"""Solids are looked for in the rectangle's own cells and this many round them."""


def distance_m(first: Sequence[Point], second: Sequence[Point]) -> float:
    """Between two convex polygons (of 1 or 2 points: a point, a run); 0 when they overlap."""
    if _overlap(first, second):
        return 0.0
    return min(
        min(_to_run(point, run) for point in one for run in _runs(other))
        for one, other in ((first, second), (second, first))
    )


def _runs(polygon: Sequence[Point]) -> Iterable[tuple[Point, Point]]:
    if len(polygon) < 3:
        return ((polygon[0], polygon[-1]),)
    return pairwise((*polygon, polygon[0]))


def _to_run(point: Point, run: tuple[Point, Point]) -> float:
    (x0, y0), (x1, y1) = run
    dx, dy = x1 - x0, y1 - y0
    square = dx * dx + dy * dy
    share = 0.0 if square == 0.0 else ((point[0] - x0) * dx + (point[1] - y0) * dy) / square
    share = min(max(share, 0.0), 1.0)
    return math.hypot(point[0] - x0 - share * dx, point[1] - y0 - share * dy)


def _overlap(first: Sequence[Point], second: Sequence[Point]) -> bool:
    """Separating axes: two convex sets are apart when a side of one parts them.

    Ericson, "Real-time collision detection", 2005, 5.2.1. A point and a run lie across no side
    of their own: a run's direction counts too, so that its ends part.
    """
    for polygon in (first, second):
        for (x0, y0), (x1, y1) in _runs(polygon):
            for nx, ny in _axes(x1 - x0, y1 - y0, len(polygon)):
                ones = [x * nx + y * ny for x, y in first]
                others = [x * nx + y * ny for x, y in second]
                if max(ones) < min(others) or max(others) < min(ones):
                    return False
    return True


def _axes(dx: float, dy: float, count: int) -> tuple[Point, ...]:
    if count == 1:
        return ((1.0, 0.0), (0.0, 1.0))
    return ((dy, -dx),) if count > 2 else ((dy, -dx), (dx, dy))


class Solids:
    """All solids of a site, asked for those near a rectangle; ``time_s`` moves the movers."""

    def __init__(self, things: Things) -> None:
        self._movers = things.movers
        self._cells: dict[tuple[int, int], list[Solid]] = {}
        for solid in things.standing:
            for cell in _cells_of(solid.bounds):
                self._cells.setdefault(cell, []).append(solid)
        self.fastest_mps = max((each.fastest_mps for each in self._movers), default=0.0)

    def room(self, box: Sequence[Point], time_s: float) -> float:
        """Distance from a rectangle to the nearest solid, at most one cell; negative touching.

        Args:
            box: its corners, counter-clockwise.
            time_s: of the site's clock.
        """
        return min(self.standing_room(box), self.moving_room(box, time_s))

    def standing_room(self, box: Sequence[Point]) -> float:
        """To what stands: at most one cell where anything stands in the site."""
        if not self._cells:
            return math.inf
        xs, ys = zip(*box, strict=True)
        near = {
            id(solid): solid
            for cell in _cells_of((min(xs), min(ys), max(xs), max(ys)), REACH_CELLS)
            for solid in self._cells.get(cell, ())
        }
        rooms_m = (_room(box, solid) for solid in near.values())
        return min(REACH_CELLS * CELL_M, *rooms_m) if near else REACH_CELLS * CELL_M

    def moving_room(self, box: Sequence[Point], time_s: float) -> float:
        """To what moves, at ``time_s`` of the site's clock."""
        return min(
            (_room(box, each.solid.moved(*each.at(time_s))) for each in self._movers),
            default=math.inf,
        )


def _room(box: Sequence[Point], solid: Solid) -> float:
    """Distance to one solid; −1 when it is touched."""
    away_m = distance_m(box, solid.points) - solid.radius_m
    return -1.0 if away_m < 0.0 or (away_m == 0.0 and solid.radius_m == 0.0) else away_m


def _cells_of(
    bounds: tuple[float, float, float, float], margin: int = 0
) -> Iterable[tuple[int, int]]:
    x0, y0, x1, y1 = (math.floor(value / CELL_M) for value in bounds)
    return (
        (column, row)
        for column in range(x0 - margin, x1 + margin + 1)
        for row in range(y0 - margin, y1 + margin + 1)
    )
