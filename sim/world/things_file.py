"""Tables of a site file that name what stands and moves in it, checked."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, model_validator

from sim.world.things import (
    Fence,
    FenceKind,
    Mover,
    MoverKind,
    Obstacle,
    ObstacleKind,
    Patch,
    PatchKind,
    Point,
    Solid,
    Things,
    rectangle,
)

Abeam = Callable[[float, float], tuple[float, float, float]]
"""x, y and heading at a station and an offset, + left."""

_Friction = Annotated[float, Field(ge=0.05, le=1.2)]
_Rolling = Annotated[float, Field(ge=0.0, le=0.3)]
_Size = Annotated[float, Field(gt=0.0, le=200.0)]
_Station = Annotated[float, Field(ge=0.0)]
_Offset = Annotated[float, Field(ge=-300.0, le=300.0)]


class Strict(BaseModel):
    """No unknown key, no conversion, no NaN."""

    model_config = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False, frozen=True)


class Shape(Strict):
    """A disc by its radius, or a rectangle by length and width."""

    radius_m: _Size | None = None
    length_m: _Size | None = None
    width_m: _Size | None = None
    height_m: _Size

    @model_validator(mode="after")
    def _one_shape(self) -> Shape:
        sides = (self.length_m is not None) + (self.width_m is not None)
        if sides != (2 if self.radius_m is None else 0):
            raise ValueError("give radius_m, or length_m and width_m")
        return self

    @property
    def solid(self) -> Solid:
        """About the origin, along x."""
        if self.radius_m is not None:
            return Solid(((0.0, 0.0),), self.radius_m)
        assert self.length_m is not None, "checked above"
        assert self.width_m is not None, "checked above"
        return rectangle(self.length_m, self.width_m)


class _ObstacleTable(Shape):
    kind: ObstacleKind
    station_m: _Station
    offset_m: _Offset
    turn_deg: Annotated[float, Field(ge=-180.0, le=180.0)] = 0.0

    def obstacle(self, abeam: Abeam) -> Obstacle:
        x_m, y_m, heading_rad = abeam(self.station_m, self.offset_m)
        heading_rad += math.radians(self.turn_deg)
        solid = self.solid.moved(x_m, y_m, heading_rad)
        return Obstacle(self.kind, x_m, y_m, heading_rad, self.height_m, solid)


class _FenceTable(Strict):
    kind: FenceKind
    points_m: Annotated[list[Annotated[list[float], Field(min_length=2, max_length=2)]],
                        Field(min_length=2)]  # fmt: skip
    height_m: _Size
    radius_m: Annotated[float, Field(gt=0.0, le=10.0)]

    def fence(self) -> Fence:
        points: tuple[Point, ...] = tuple((x, y) for x, y in self.points_m)
        return Fence(self.kind, points, self.height_m, self.radius_m)


class _PatchTable(Strict):
    kind: PatchKind
    x_m: float
    y_m: float
    heading_deg: Annotated[float, Field(ge=-180.0, le=180.0)] = 0.0
    length_m: Annotated[float, Field(gt=0.0, le=2000.0)]
    width_m: Annotated[float, Field(gt=0.0, le=2000.0)]
    friction: _Friction
    rolling: _Rolling = 0.0

    def patch(self) -> Patch:
        return Patch(
            self.kind, self.x_m, self.y_m, math.radians(self.heading_deg), self.length_m,
            self.width_m, self.friction, self.rolling,
        )  # fmt: skip


class MoverTable(Shape):
    """Someone or something that goes its way."""

    kind: MoverKind
    way: Annotated[list[Annotated[list[float], Field(min_length=3, max_length=3)]],
                   Field(min_length=2)]  # fmt: skip

    @model_validator(mode="after")
    def _times_rise(self) -> MoverTable:
        times_s = [time_s for time_s, _, _ in self.way]
        if times_s[0] != 0.0 or any(after <= before for before, after in pairwise(times_s)):
            raise ValueError("way: [time_s, station_m, offset_m], times from 0 and rising")
        return self

    def mover(self, abeam: Abeam) -> Mover:
        """It, placed."""
        points = tuple(abeam(station_m, offset_m)[:2] for _, station_m, offset_m in self.way)
        times_s = tuple(time_s for time_s, _, _ in self.way)
        return Mover(self.kind, self.height_m, self.solid, times_s, points)


class ThingsTables(Strict):
    """The optional tables of a site file."""

    obstacles: list[_ObstacleTable] = []
    fences: list[_FenceTable] = []
    patches: list[_PatchTable] = []
    movers: list[MoverTable] = []

    def things(self, abeam: Abeam) -> Things:
        """All of them, placed."""
        return Things(
            tuple(each.obstacle(abeam) for each in self.obstacles),
            tuple(each.fence() for each in self.fences),
            tuple(each.patch() for each in self.patches),
            tuple(each.mover(abeam) for each in self.movers),
        )
