"""What stands and moves in a site: obstacles, fences, patches of other ground, people and machines.

Things are given by station and offset from the centre line, so that they stay beside it when
the line is changed; fences and patches by plan coordinates.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

Point = tuple[float, float]
ObstacleKind = Literal[
    "tree", "bush", "pole", "stone", "post", "cone", "bin", "bumper", "trailer", "crib"
]
MoverKind = Literal["person", "pickup", "loader", "truck", "paver"]
PatchKind = Literal["crop", "stubble", "soil", "grass", "mud", "asphalt", "asphalt_hot", "concrete"]
FenceKind = Literal["wire", "hedge", "kerb", "rail", "windrow"]


@dataclass(frozen=True, slots=True)
class Solid:
    """All points within ``radius_m`` of a convex polygon: of 1 point a disc, of 2 a rod.

    Points run counter-clockwise.
    """

    points: tuple[Point, ...]
    radius_m: float = 0.0

    def moved(self, x_m: float, y_m: float, heading_rad: float) -> Solid:
        """Turned by ``heading_rad``, then shifted."""
        cosine, sine = math.cos(heading_rad), math.sin(heading_rad)
        return Solid(
            tuple((x_m + x * cosine - y * sine, y_m + x * sine + y * cosine)
                  for x, y in self.points),
            self.radius_m,
        )  # fmt: skip

    @property
    def bounds(self) -> tuple[float, float, float, float]:
        """Least x and y, most x and y."""
        xs, ys = zip(*self.points, strict=True)
        margin = self.radius_m
        return min(xs) - margin, min(ys) - margin, max(xs) + margin, max(ys) + margin


def rectangle(length_m: float, width_m: float) -> Solid:
    """About the origin, along x."""
    x, y = 0.5 * length_m, 0.5 * width_m
    return Solid(((x, y), (-x, y), (-x, -y), (x, -y)))


@dataclass(frozen=True, slots=True)
class Obstacle:
    """Something that stands.

    Attributes:
        kind: what it looks like. x_m, y_m, heading_rad: where its middle is.
        height_m: for pictures and range sensors. solid: its outline, in the site.
    """

    kind: ObstacleKind
    x_m: float
    y_m: float
    heading_rad: float
    height_m: float
    solid: Solid


@dataclass(frozen=True, slots=True)
class Fence:
    """A line that nothing may cross, of plan points."""

    kind: FenceKind
    points: tuple[Point, ...]
    height_m: float
    radius_m: float

    @property
    def solids(self) -> tuple[Solid, ...]:
        """One rod for each run."""
        return tuple(Solid(run, self.radius_m) for run in pairwise(self.points))


@dataclass(frozen=True, slots=True)
class Patch:
    """A rectangle of other ground; where several lie, the last one counts.

    Attributes:
        kind: what it looks like.
        x_m, y_m, heading_rad: its middle, and where its length runs.
        friction: tyre-to-floor coefficient. rolling: resistance over load that it adds.
    """

    kind: PatchKind
    x_m: float
    y_m: float
    heading_rad: float
    length_m: float
    width_m: float
    friction: float
    rolling: float

    def place(self, x_m: float, y_m: float) -> Point:
        """Along and across it from its middle."""
        dx_m, dy_m = x_m - self.x_m, y_m - self.y_m
        cosine, sine = math.cos(self.heading_rad), math.sin(self.heading_rad)
        return dx_m * cosine + dy_m * sine, dy_m * cosine - dx_m * sine

    def holds(self, x_m: float, y_m: float) -> bool:
        """Whether a point lies in it."""
        along_m, across_m = self.place(x_m, y_m)
        return abs(along_m) <= 0.5 * self.length_m and abs(across_m) <= 0.5 * self.width_m


@dataclass(frozen=True, slots=True)
class Mover:
    """Something that goes its way by the clock, again and again.

    Attributes:
        kind: what it looks like. height_m: for pictures and range sensors.
        solid: its outline about its own middle, along x.
        times_s, points: when it is where, the first at 0; it goes straight in between, and at
            the last time it is back at the first point or begins anew there.
    """

    kind: MoverKind
    height_m: float
    solid: Solid
    times_s: tuple[float, ...]
    points: tuple[Point, ...]

    def at(self, time_s: float) -> tuple[float, float, float]:
        """x, y and heading at ``time_s`` from the start of the site's clock."""
        time_s %= self.times_s[-1]
        index = bisect_right(self.times_s, time_s) - 1
        share = (time_s - self.times_s[index]) / (self.times_s[index + 1] - self.times_s[index])
        (x0_m, y0_m), (x1_m, y1_m) = self.points[index], self.points[index + 1]
        x_m, y_m = x0_m + (x1_m - x0_m) * share, y0_m + (y1_m - y0_m) * share
        return x_m, y_m, self._heading_rad(index)

    def _heading_rad(self, index: int) -> float:
        """Of the run; one that waits looks where it went before."""
        for run in (*range(index, -1, -1), *range(index + 1, len(self.points) - 1)):
            (x0_m, y0_m), (x1_m, y1_m) = self.points[run], self.points[run + 1]
            if (x0_m, y0_m) != (x1_m, y1_m):
                return math.atan2(y1_m - y0_m, x1_m - x0_m)
        return 0.0

    @property
    def fastest_mps(self) -> float:
        """Its highest speed, m/s; a corner that swings when it turns is not counted."""
        return max(
            math.dist(a, b) / (t1 - t0)
            for (a, b), (t0, t1) in zip(
                pairwise(self.points), pairwise(self.times_s), strict=True
            )
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Things:
    """Everything that stands and moves in a site, and its patches of other ground."""

    obstacles: tuple[Obstacle, ...] = ()
    fences: tuple[Fence, ...] = ()
    patches: tuple[Patch, ...] = ()
    movers: tuple[Mover, ...] = ()

    @property
    def standing(self) -> tuple[Solid, ...]:
        """Outlines of all that stands."""
        return self.higher_than(0.0)

    def heights(self, over_m: float) -> tuple[tuple[Solid, float], ...]:
        """Outline and height of what stands and is higher than this."""
        found = [(each.solid, each.height_m) for each in self.obstacles]
        found += [(rod, fence.height_m) for fence in self.fences for rod in fence.solids]
        return tuple(each for each in found if each[1] > over_m)

    def higher_than(self, height_m: float) -> tuple[Solid, ...]:
        """Outlines of what stands and is higher than this."""
        return tuple(solid for solid, _ in self.heights(height_m))
