"""A site is a centre line with width, height, grade and friction, built from a TOML file.

Stations are plan (horizontal) distances along the centre line, as surveyors count them.
Headings and curvatures are positive to the left (ISO 8855), grades positive uphill in the
direction of rising station. Walls stand at half the width on either side, square to the
centre line; where they do not, the ground goes on beyond it as a verge.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Literal, NamedTuple

from pydantic import Field, ValidationError

from protocol.profiles import first_problem
from protocol.sums import in_turn
from sim.world.alignment import PiecewiseLinear, eased_steps
from sim.world.files import WorldFileError, read_toml
from sim.world.things import Things
from sim.world.things_file import Strict, ThingsTables

SAMPLE_M = 0.5
CLOSURE_M = 0.25
"""A closed line may miss its start by this much; the miss is spread over its length."""
TAPER_MAX = 0.46
"""Steepest that a wall may leave the direction of the drift: 25°."""

Kind = Literal["drift", "pit", "track", "field", "road"]
"""Underground tunnel; haul road between windrows; cross-country track; field; road works."""
WALLED: frozenset[str] = frozenset({"drift", "pit"})
"""Kinds whose centre line has a wall or a windrow at half the width on either side."""
Weather = Literal["clear", "overcast"]
"""Of an open site; for pictures only."""
Entry = Literal["free", "stop", "call", "one_at_a_time", "one_way", "closed"]
"""What a driver does before he enters: nothing, stand still, ask the control room to be let in,
wait until no other machine is in, come with rising station only, stay out."""

_GAUSS = ((0.5 - math.sqrt(0.15), 5 / 18), (0.5, 8 / 18), (0.5 + math.sqrt(0.15), 5 / 18))
"""Three-point Gauss-Legendre nodes and weights on 0…1."""


class CentrePoint(NamedTuple):
    """One point of the centre line.

    Attributes:
        station_m: plan distance from the start, 0…length.
        x_m, y_m, z_m: position; z is the floor.
        heading_rad: direction of rising station; continuous along the line, not wrapped.
        curvature_per_m: of the plan, + left.
        grade: rise over plan run, + uphill.
        width_m, height_m: clear opening, wall to wall and floor to back (roof).
        friction: tyre-to-floor coefficient that the floor allows.
        cross_slope: rise over plan run to the left.
        rolling: resistance over load that soft ground adds to the tyres' own.
    """

    station_m: float
    x_m: float
    y_m: float
    z_m: float
    heading_rad: float
    curvature_per_m: float
    grade: float
    width_m: float
    height_m: float
    friction: float
    cross_slope: float = 0.0
    rolling: float = 0.0


@dataclass(frozen=True, slots=True)
class Zone:
    """A named run with one speed limit and entry rule; ``from_m`` ≤ station < ``to_m``."""

    name: str
    from_m: float
    to_m: float
    speed_limit_mps: float
    entry: Entry = "free"
    only_for: tuple[str, ...] = ()
    """Machines that may enter; empty is all."""


@dataclass(frozen=True, slots=True)
class Shadow:
    """A stretch where satellites are seen badly: the best fix there."""

    from_m: float
    to_m: float
    best: Literal["none", "single", "float"]


@dataclass(frozen=True, slots=True)
class Site:
    """A place to drive in.

    Attributes:
        name: short id; ``title`` for people.
        kind: what sort of place it is. machines: names of those that it is made for.
        centre_line: points each ``step_m`` (≤ 0.5 m), the first at station 0 and the last at
            ``length_m``. A closed line's last point lies on its first, its heading 2π later.
        length_m: plan length.
        closed: the end joins the start.
        zones: speed limits, covering the whole length in rising station.
        start_station_m: where a machine's front axle starts.
        step_m: spacing of the points.
        verge_friction: of the ground beyond the width, where no wall stands.
        weather: of an open site.
        things: what stands and moves here. shadows: where satellites are seen badly.
        answers_after_s: a control room answers the call of a machine that has stood so long at
            the line of a ``call`` zone; None: it does so only when somebody tells it to.
    """

    name: str
    title: str
    kind: Kind
    machines: tuple[str, ...]
    centre_line: tuple[CentrePoint, ...]
    length_m: float
    closed: bool
    zones: tuple[Zone, ...]
    start_station_m: float
    step_m: float
    verge_friction: float
    weather: Weather
    things: Things
    shadows: tuple[Shadow, ...]
    answers_after_s: float | None
    _zone_starts_m: tuple[float, ...] = field(repr=False)
    _chords: tuple[tuple[float, float, float, float, float], ...] = field(repr=False)
    """Of each run between points: x, y of its start, unit direction, plan length."""

    @property
    def walled(self) -> bool:
        """Whether something stands at half the width on either side."""
        return self.kind in WALLED

    def abeam(self, station_m: float, offset_m: float) -> tuple[float, float, float]:
        """x, y and the line's heading at an offset from the line, + left."""
        point = self.pose_at(station_m)
        return (
            point.x_m - offset_m * math.sin(point.heading_rad),
            point.y_m + offset_m * math.cos(point.heading_rad),
            point.heading_rad,
        )

    def wrap(self, station_m: float) -> float:
        """``station_m`` brought into 0…length: round again when closed, else clamped."""
        if self.closed:
            return station_m % self.length_m
        return min(max(station_m, 0.0), self.length_m)

    def pose_at(self, station_m: float) -> CentrePoint:
        """The centre point at ``station_m`` (wrapped), between samples linear (within 3 mm)."""
        station_m = self.wrap(station_m)
        index = min(int(station_m / self.step_m), len(self.centre_line) - 2)
        share = station_m / self.step_m - index
        before, after = self.centre_line[index], self.centre_line[index + 1]
        rest = 1.0 - share
        return CentrePoint(
            station_m,
            before.x_m * rest + after.x_m * share,
            before.y_m * rest + after.y_m * share,
            before.z_m * rest + after.z_m * share,
            before.heading_rad * rest + after.heading_rad * share,
            before.curvature_per_m * rest + after.curvature_per_m * share,
            before.grade * rest + after.grade * share,
            before.width_m * rest + after.width_m * share,
            before.height_m * rest + after.height_m * share,
            before.friction * rest + after.friction * share,
            before.cross_slope * rest + after.cross_slope * share,
            before.rolling * rest + after.rolling * share,
        )

    def half_width_at(self, station_m: float) -> float:
        """Distance from the centre line to either wall at ``station_m`` (wrapped)."""
        station_m = self.wrap(station_m)
        index = min(int(station_m / self.step_m), len(self.centre_line) - 2)
        share = station_m / self.step_m - index
        before, after = self.centre_line[index].width_m, self.centre_line[index + 1].width_m
        return 0.5 * (before + (after - before) * share)

    def zone_at(self, station_m: float) -> Zone:
        """The zone that holds at ``station_m`` (wrapped)."""
        return self.zones[max(bisect_right(self._zone_starts_m, self.wrap(station_m)) - 1, 0)]

    def locate(
        self, x_m: float, y_m: float, near_station_m: float | None = None
    ) -> tuple[float, float]:
        """Foot point of a position: its station and its offset from the line, + left.

        Walks downhill in distance from ``near_station_m``, so that a passage that lies close
        by, above or below is never mistaken for this one. Without a hint the nearest sample
        of the whole site is the start of the walk.
        """
        if near_station_m is None:
            near_station_m = self._nearest_sample(x_m, y_m)
        count = len(self._chords)
        index = min(int(self.wrap(near_station_m) / self.step_m), count - 1)
        came = 0
        for _ in range(count):
            x0_m, y0_m, ux, uy, run_m = self._chords[index]
            dx_m, dy_m = x_m - x0_m, y_m - y0_m
            along_m = dx_m * ux + dy_m * uy
            way = -1 if along_m < 0.0 else 1 if along_m > run_m else 0
            if way == 0:
                share = along_m / run_m
                return self.wrap((index + share) * self.step_m), ux * dy_m - uy * dx_m
            ahead = index + way
            if not self.closed and not 0 <= ahead < count:
                return self.wrap((index + along_m / run_m) * self.step_m), ux * dy_m - uy * dx_m
            if way == -came:
                return self._at_knee(index if way < 0 else ahead, x_m, y_m)
            came = way
            index = ahead % count
        return self._at_knee(index, x_m, y_m)

    def _at_knee(self, point: int, x_m: float, y_m: float) -> tuple[float, float]:
        """Foot on a sample point, for a position that faces neither chord beside it."""
        x0_m, y0_m, ux, uy, _ = self._chords[point % len(self._chords)]
        dx_m, dy_m = x_m - x0_m, y_m - y0_m
        side = ux * dy_m - uy * dx_m
        return self.wrap(point * self.step_m), math.copysign(math.hypot(dx_m, dy_m), side)

    def _nearest_sample(self, x_m: float, y_m: float) -> float:
        return min(
            self.centre_line, key=lambda point: math.hypot(point.x_m - x_m, point.y_m - y_m)
        ).station_m


class _SiteHead(Strict):
    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.:-]+$")]
    title: str
    kind: Kind
    machines: Annotated[list[str], Field(default_factory=list)]
    closed: bool
    weather: Weather = "clear"
    start_station_m: Annotated[float, Field(ge=0.0)]
    grade_easing_m: Annotated[float, Field(gt=0.0, le=60.0)]
    width_easing_m: Annotated[float, Field(gt=0.0, le=30.0)]


class _Opening(Strict):
    """What holds along a segment unless the segment says otherwise."""

    width_m: Annotated[float, Field(ge=2.5, le=60.0)]
    height_m: Annotated[float, Field(ge=2.5, le=20.0)]
    speed_limit_mps: Annotated[float, Field(gt=0.0, le=25.0)]
    friction: Annotated[float, Field(ge=0.05, le=1.2)]
    verge_friction: Annotated[float | None, Field(ge=0.05, le=1.2)] = None


class _SegmentBase(Strict):
    name: str
    grade: Annotated[float, Field(ge=-0.25, le=0.25)] = 0.0
    width_m: Annotated[float | None, Field(ge=2.5, le=60.0)] = None
    height_m: Annotated[float | None, Field(ge=2.5, le=20.0)] = None
    speed_limit_mps: Annotated[float | None, Field(gt=0.0, le=25.0)] = None
    friction: Annotated[float | None, Field(ge=0.05, le=1.2)] = None
    cross_slope: Annotated[float, Field(ge=-0.25, le=0.25)] = 0.0
    rolling: Annotated[float, Field(ge=0.0, le=0.3)] = 0.0
    entry: Entry = "free"
    only_for: Annotated[list[str], Field(default_factory=list)]


class _ShadowTable(Strict):
    from_m: Annotated[float, Field(ge=0.0)]
    to_m: Annotated[float, Field(ge=0.0)]
    best: Literal["none", "single", "float"]


class _Straight(_SegmentBase):
    kind: Literal["straight"]
    length_m: Annotated[float, Field(gt=0.0, le=5000.0)]


class _Arc(_SegmentBase):
    """Clothoid in, arc, clothoid out; ``angle_deg`` is the whole turn, + left."""

    kind: Literal["arc"]
    radius_m: Annotated[float, Field(ge=5.0, le=5000.0)]
    angle_deg: Annotated[float, Field(ge=-270.0, le=270.0)]
    easing_m: Annotated[float, Field(gt=0.0, le=100.0)]

    @property
    def length_m(self) -> float:
        """Plan length: the clothoids turn half as much per metre as the arc."""
        return self.radius_m * math.radians(abs(self.angle_deg)) + self.easing_m


_Segment = Annotated[_Straight | _Arc, Field(discriminator="kind")]


class _ControlRoomTable(Strict):
    answers_after_s: Annotated[float, Field(ge=0.0, le=3600.0)]


class _SiteFile(ThingsTables):
    site: _SiteHead
    control_room: _ControlRoomTable | None = None
    defaults: _Opening
    segments: Annotated[list[_Segment], Field(min_length=2)]
    gnss_shadows: Annotated[list[_ShadowTable], Field(default_factory=list)]


def load_site(path: Path) -> Site:
    """Read and build a site file.

    Raises:
        WorldFileError: unreadable, malformed, or the line cannot be built or closed.
    """
    try:
        parsed = _SiteFile.model_validate(read_toml(path))
        return _build(parsed)
    except ValidationError as error:
        raise WorldFileError(f"{path}: {first_problem(error)}") from error
    except _AlignmentError as error:
        raise WorldFileError(f"{path}: {error}") from error


class _AlignmentError(ValueError):
    """The segments do not make a line."""


def _build(parsed: _SiteFile) -> Site:
    head, room, segments = parsed.site, parsed.control_room, parsed.segments
    lengths_m = [segment.length_m for segment in segments]
    longest_ease_m = max(head.grade_easing_m, head.width_easing_m)
    for segment in segments:
        if segment.length_m < longest_ease_m:
            raise _AlignmentError(f"segment {segment.name!r} is shorter than the easing")
    widths_m = [segment.width_m or parsed.defaults.width_m for segment in segments]
    for before_m, after_m in pairwise([*widths_m, widths_m[0]] if head.closed else widths_m):
        if abs(after_m - before_m) / 2.0 > TAPER_MAX * head.width_easing_m:
            raise _AlignmentError(f"width goes from {before_m} to {after_m} m too suddenly")
    length_m = in_turn(lengths_m)
    if head.start_station_m > length_m:
        raise _AlignmentError(f"start_station_m lies past the end at {length_m:.1f} m")
    centre_line = _sample(parsed, lengths_m)
    zones = _zones(parsed, lengths_m)
    site = Site(
        name=head.name,
        title=head.title,
        kind=head.kind,
        machines=tuple(head.machines),
        centre_line=centre_line,
        length_m=length_m,
        closed=head.closed,
        zones=zones,
        start_station_m=head.start_station_m,
        step_m=length_m / (len(centre_line) - 1),
        verge_friction=parsed.defaults.verge_friction or parsed.defaults.friction,
        weather=head.weather,
        things=Things(),
        shadows=tuple(Shadow(each.from_m, each.to_m, each.best) for each in parsed.gnss_shadows),
        answers_after_s=None if room is None else room.answers_after_s,
        _zone_starts_m=tuple(zone.from_m for zone in zones),
        _chords=_chords(centre_line),
    )
    return replace(site, things=parsed.things(site.abeam))


def _curvature(segments: Sequence[_Straight | _Arc]) -> PiecewiseLinear:
    """Curvature by station; the clothoids lie inside their arc's length."""
    knots = [(0.0, 0.0)]
    station_m = 0.0
    for segment in segments:
        end_m = station_m + segment.length_m
        if isinstance(segment, _Arc):
            if segment.radius_m * math.radians(abs(segment.angle_deg)) < segment.easing_m:
                raise _AlignmentError(f"arc {segment.name!r} turns too little for its easing")
            curvature = math.copysign(1.0 / segment.radius_m, segment.angle_deg)
            knots += [
                (station_m + segment.easing_m, curvature),
                (end_m - segment.easing_m, curvature),
            ]
        knots.append((end_m, 0.0))
        station_m = end_m
    return PiecewiseLinear.through(knots)


def _sample(parsed: _SiteFile, lengths_m: Sequence[float]) -> tuple[CentrePoint, ...]:
    head, defaults, segments = parsed.site, parsed.defaults, parsed.segments
    length_m = in_turn(lengths_m)
    count = math.ceil(length_m / SAMPLE_M)
    step_m = length_m / count
    curvature = _curvature(segments)

    def eased(values: list[float], ease_m: float) -> PiecewiseLinear:
        return eased_steps(lengths_m, values, ease_m, closed=head.closed)

    grade = eased([segment.grade for segment in segments], head.grade_easing_m)
    width = eased(
        [segment.width_m or defaults.width_m for segment in segments], head.width_easing_m
    )
    height = eased(
        [segment.height_m or defaults.height_m for segment in segments], head.width_easing_m
    )
    friction = eased(
        [segment.friction or defaults.friction for segment in segments], head.width_easing_m
    )
    cross = eased([segment.cross_slope for segment in segments], head.grade_easing_m)
    rolling = eased([segment.rolling for segment in segments], head.width_easing_m)
    plan = _integrate_plan(curvature, step_m, count)
    miss = _closure(plan, curvature, grade, length_m) if head.closed else (0.0, 0.0, 0.0)
    points = []
    for index, (x_m, y_m) in enumerate(plan):
        station_m = index * step_m
        share = index / count
        points.append(
            CentrePoint(
                station_m,
                x_m - miss[0] * share,
                y_m - miss[1] * share,
                grade.integral(station_m) - miss[2] * share,
                curvature.integral(station_m),
                curvature.at(station_m),
                grade.at(station_m),
                width.at(station_m),
                height.at(station_m),
                friction.at(station_m),
                cross.at(station_m),
                rolling.at(station_m),
            )
        )
    return tuple(points)


def _integrate_plan(
    curvature: PiecewiseLinear, step_m: float, count: int
) -> list[tuple[float, float]]:
    """Plan positions of the samples; the heading is exact, the position by quadrature."""
    plan = [(0.0, 0.0)]
    x_m = y_m = 0.0
    for index in range(count):
        for node, weight in _GAUSS:
            heading_rad = curvature.integral((index + node) * step_m)
            x_m += weight * step_m * math.cos(heading_rad)
            y_m += weight * step_m * math.sin(heading_rad)
        plan.append((x_m, y_m))
    return plan


def _closure(
    plan: Sequence[tuple[float, float]],
    curvature: PiecewiseLinear,
    grade: PiecewiseLinear,
    length_m: float,
) -> tuple[float, float, float]:
    """By how much a closed line misses its start; refused when it is no survey error."""
    turn_rad = curvature.integral(length_m)
    if abs(abs(turn_rad) - 2.0 * math.pi) > 1e-6:
        raise _AlignmentError(f"closed line turns by {math.degrees(turn_rad):.3f}°, not by 360°")
    miss_m = (*plan[-1], grade.integral(length_m))
    if math.hypot(*miss_m) > CLOSURE_M:
        text = ", ".join(
            f"{axis} {value:+.3f} m" for axis, value in zip("xyz", miss_m, strict=True)
        )
        raise _AlignmentError(f"closed line misses its start by {text}")
    return miss_m


def _zones(parsed: _SiteFile, lengths_m: Sequence[float]) -> tuple[Zone, ...]:
    """Neighbouring segments of the same name, limit and entry are one zone."""
    zones: list[Zone] = []
    station_m = 0.0
    for segment, run_m in zip(parsed.segments, lengths_m, strict=True):
        limit_mps = segment.speed_limit_mps or parsed.defaults.speed_limit_mps
        from_m = station_m
        station_m += run_m
        last = zones[-1] if zones else None
        zone = Zone(
            segment.name, from_m, station_m, limit_mps, segment.entry, tuple(segment.only_for)
        )
        if last and replace(last, from_m=from_m, to_m=station_m) == zone:
            zone = replace(zone, from_m=zones.pop().from_m)
        zones.append(zone)
    return tuple(zones)


def _chords(
    points: Sequence[CentrePoint],
) -> tuple[tuple[float, float, float, float, float], ...]:
    chords = []
    for before, after in pairwise(points):
        dx_m, dy_m = after.x_m - before.x_m, after.y_m - before.y_m
        run_m = math.hypot(dx_m, dy_m)
        chords.append((before.x_m, before.y_m, dx_m / run_m, dy_m / run_m, run_m))
    return tuple(chords)
