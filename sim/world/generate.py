"""Writes site files by seed: closed lines with grades, obstacles and moving things.

    python -m sim.world.generate KIND [--seed N] > FILE.toml

A loop's turns and lengths are drawn by chance, and two of its straights are then made as long
as closes it. The shipped field, road, track and pit are what this writes for seed 1.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate

from protocol.sums import in_turn
from sim.world.site import Kind

Table = dict[str, object]
_STEP_M = 0.05
_ATTEMPTS = 400


@dataclass(slots=True)
class Leg:
    """A straight (``angle_deg`` None) or an arc, with what else its segment says."""

    name: str
    length_m: float = 0.0
    angle_deg: float | None = None
    radius_m: float = 0.0
    easing_m: float = 0.0
    more: Table = field(default_factory=dict)

    @property
    def run_m(self) -> float:
        """Plan length."""
        if self.angle_deg is None:
            return self.length_m
        return self.radius_m * math.radians(abs(self.angle_deg)) + self.easing_m

    def table(self) -> Table:
        """As a segment of a site file."""
        if self.angle_deg is None:
            shape: Table = {"kind": "straight", "name": self.name,
                            "length_m": round(self.length_m, 4)}  # fmt: skip
        else:
            shape = {"kind": "arc", "name": self.name, "radius_m": self.radius_m,
                     "angle_deg": self.angle_deg, "easing_m": self.easing_m}  # fmt: skip
        return shape | self.more


def _arc_way(leg: Leg) -> tuple[float, float]:
    """Plan displacement of an arc that starts along x (mid-point rule)."""
    assert leg.angle_deg is not None, "an arc"
    steps = math.ceil(leg.run_m / _STEP_M)
    step_m = leg.run_m / steps
    heading_rad = x_m = y_m = 0.0
    for index in range(steps):
        at_m = (index + 0.5) * step_m
        share = min(1.0, at_m / leg.easing_m, (leg.run_m - at_m) / leg.easing_m)
        turn_rad = math.copysign(share / leg.radius_m, leg.angle_deg) * step_m
        x_m += step_m * math.cos(heading_rad + 0.5 * turn_rad)
        y_m += step_m * math.sin(heading_rad + 0.5 * turn_rad)
        heading_rad += turn_rad
    return x_m, y_m


def _walk(legs: Sequence[Leg]) -> list[tuple[float, float, float]]:
    """x, y and heading before each leg and after the last."""
    at = [(0.0, 0.0, 0.0)]
    for leg in legs:
        x_m, y_m, heading_rad = at[-1]
        dx_m, dy_m = (leg.length_m, 0.0) if leg.angle_deg is None else _arc_way(leg)
        cosine, sine = math.cos(heading_rad), math.sin(heading_rad)
        turn_rad = math.radians(leg.angle_deg or 0.0)
        at.append((x_m + dx_m * cosine - dy_m * sine, y_m + dx_m * sine + dy_m * cosine,
                   heading_rad + turn_rad))  # fmt: skip
    return at


def close(legs: Sequence[Leg], first: int, second: int) -> bool:
    """Make the straights ``first`` and ``second`` as long as closes the line.

    Returns:
        False when they are parallel, or one would be shorter than 20 m.
    """
    legs[first].length_m = legs[second].length_m = 0.0
    at = _walk(legs)
    x_m, y_m, _ = at[-1]
    a_rad, b_rad = at[first][2], at[second][2]
    area = math.sin(b_rad - a_rad)
    if abs(area) < 0.3:
        return False
    legs[first].length_m = (-x_m * math.sin(b_rad) + y_m * math.cos(b_rad)) / area
    legs[second].length_m = (x_m * math.sin(a_rad) - y_m * math.cos(a_rad)) / area
    return min(legs[first].length_m, legs[second].length_m) >= 20.0


def _apart(legs: Sequence[Leg], least_m: float) -> bool:
    """Whether passages that are far along the line keep ``least_m`` from each other."""
    points: list[tuple[float, float, float]] = []
    station_m = 0.0
    for leg, (x_m, y_m, heading_rad) in zip(legs, _walk(legs), strict=False):
        for share in (0.0, 0.25, 0.5, 0.75):
            way_m = share * leg.run_m
            turned_rad = heading_rad + 0.5 * share * math.radians(leg.angle_deg or 0.0)
            points.append((station_m + way_m, x_m + way_m * math.cos(turned_rad),
                           y_m + way_m * math.sin(turned_rad)))  # fmt: skip
        station_m += leg.run_m
    return all(
        math.hypot(one[1] - other[1], one[2] - other[2]) > least_m
        for index, one in enumerate(points)
        for other in points[index + 1 :]
        if min(other[0] - one[0], station_m - other[0] + one[0]) > 2.2 * least_m
    )


@dataclass(frozen=True, slots=True)
class _Course:
    """How a loop is drawn by chance: turns, radii and straights, and how far apart it keeps."""

    names: tuple[str, ...]
    angles_deg: tuple[float, ...]
    radii_m: tuple[float, float]
    straights_m: tuple[float, float]
    easing_m: float
    apart_m: float


def _loop(course: _Course, chance: random.Random) -> list[Leg]:
    """A closed line: straight, arc, straight, arc …

    Raises:
        ValueError: none was found.
    """
    for _ in range(_ATTEMPTS):
        turns = [angle + chance.uniform(-15.0, 15.0) for angle in course.angles_deg]
        chance.shuffle(turns)
        over = (in_turn(turns) - 360.0) / len(turns)
        turns = [round(turn - over, 1) for turn in turns]
        turns[-1] = round(turns[-1] + 360.0 - in_turn(turns), 1)
        legs = []
        for index, turn in enumerate(turns):
            name = course.names[index * len(course.names) // len(turns)]
            straight_m = round(chance.uniform(*course.straights_m), 1)
            radius_m = round(chance.uniform(*course.radii_m))
            least_m = 1.2 * course.easing_m / math.radians(max(abs(turn), 1.0))
            legs += [
                Leg(name, straight_m),
                Leg(name, 0.0, turn, max(radius_m, math.ceil(least_m)), course.easing_m),
            ]
        drawn_m = [leg.length_m for leg in legs]
        for second in range(2, len(legs), 2):
            for leg, length_m in zip(legs, drawn_m, strict=True):
                leg.length_m = length_m
            if close(legs, 0, second) and max(legs[0].length_m, legs[second].length_m) < 220.0:
                if _apart(legs, course.apart_m):
                    return legs
                break
    raise ValueError("no loop was found for this seed")


def _grade(legs: Sequence[Leg], grades: Sequence[float]) -> None:
    """Spread grades over the legs, and shift them all so that the line ends at its height."""
    picks = [grades[index * len(grades) // len(legs)] for index in range(len(legs))]
    runs_m = [leg.run_m for leg in legs]
    mean = in_turn(g * run for g, run in zip(picks, runs_m, strict=True)) / in_turn(runs_m)
    for leg, grade in zip(legs, picks, strict=True):
        leg.more["grade"] = round(grade - mean, 9)


def _stations(legs: Sequence[Leg]) -> list[float]:
    """Where each leg begins, and where the last one ends."""
    return [0.0, *accumulate(leg.run_m for leg in legs)]


def _drift(chance: random.Random) -> dict[str, object]:
    names = ("Level A haulage", "Decline", "Level B haulage", "Incline")
    course = _Course(names, (70, 70, -50, 70, 80, -40, 80, 80), (20, 40), (45, 90), 10.0, 24.0)
    legs = _loop(course, chance)
    _grade(legs, (0.0, -1 / 7, 0.0, 1 / 7))
    legs[4].more |= {"width_m": 9.5}
    legs[4].name = "Passing bay"
    return {
        "site": _head("drift", "Haulage loop by chance", legs, []),
        "defaults": {"width_m": 5.8, "height_m": 5.2, "speed_limit_mps": 4.5, "friction": 0.45},
        "segments": [leg.table() for leg in legs],
    }


def _pit(chance: random.Random) -> dict[str, object]:
    names = ("Bench 3", "Ramp down", "Loading bench", "Ramp up")
    course = _Course(names, (80, 90, -60, 70, 90, -50, 80, 60), (34, 55), (60, 120), 22.0, 75.0)
    legs = _loop(course, chance)
    _grade(legs, (0.0, -0.09, 0.0, 0.09))
    for leg in legs:
        if leg.angle_deg is not None:
            leg.more["cross_slope"] = -0.03 if leg.angle_deg > 0 else 0.03
        if leg.name == "Loading bench":
            leg.more |= {"speed_limit_mps": 5.5, "entry": "call", "rolling": 0.02}
    at = _stations(legs)
    loading_m = at[len(legs) // 2]
    obstacles = [
        _thing("post", station_m, side * 8.6, radius_m=0.08, height_m=1.6)
        for station_m in _every(at[-1], 25.0)
        for side in (-1.0, 1.0)
    ]
    return {
        "site": _head("pit", "Open-pit haul road, bench 3 to the loading bench", legs,
                      ["rigid_truck_55t"]),
        "control_room": {"answers_after_s": 5.0},
        "defaults": {"width_m": 19.0, "height_m": 20.0, "speed_limit_mps": 8.3,
                     "friction": 0.5, "verge_friction": 0.4},
        "segments": [leg.table() for leg in legs],
        "obstacles": obstacles,
        "movers": [
            {"kind": "truck", "length_m": 10.0, "width_m": 5.2, "height_m": 5.0,
             "way": [[0.0, at[2] + 40.0, 5.4], [26.0, 20.0, 5.4], [200.0, 20.0, 5.4]]},
            {"kind": "loader", "length_m": 9.0, "width_m": 3.4, "height_m": 4.0,
             "way": [[0.0, loading_m + 30.0, -6.6], [6.0, loading_m + 36.0, -6.6],
                     [12.0, loading_m + 30.0, -6.6]]},
            {"kind": "pickup", "length_m": 5.2, "width_m": 2.0, "height_m": 1.9,
             "way": [[0.0, 75.0, 7.4], [600.0, 75.1, 7.4]]},
        ],
    }  # fmt: skip


def _track(chance: random.Random) -> dict[str, object]:
    names = ("Wood edge", "Climb", "Side slope", "Soft ground", "Descent")
    course = _Course(names, (70, 80, -70, 90, 80, -60, 90, 80), (20, 36), (40, 85), 12.0, 45.0)
    legs = _loop(course, chance)
    _grade(legs, (0.02, 0.14, 0.0, -0.06, -0.13))
    for leg in legs:
        if leg.name == "Side slope":
            leg.more |= {"cross_slope": 0.09, "speed_limit_mps": 4.0}
        if leg.name == "Soft ground":
            leg.more |= {"friction": 0.36, "rolling": 0.06, "speed_limit_mps": 3.5}
    length_m = _stations(legs)[-1]
    obstacles = []
    for station_m in _every(length_m, 11.0):
        kind = chance.choices(("tree", "stone", "bush"), (4, 3, 5))[0]
        away_m = {"tree": 6.5, "stone": 3.9, "bush": 4.2}[kind] + chance.uniform(0.0, 6.0)
        radius_m = {"tree": 0.3, "stone": 0.6, "bush": 0.7}[kind] * chance.uniform(0.8, 1.3)
        height_m = {"tree": 8.0, "stone": 0.7, "bush": 1.5}[kind] * chance.uniform(0.8, 1.3)
        side = chance.choice((-1.0, 1.0))
        obstacles.append(_thing(kind, station_m, side * away_m, radius_m=radius_m,
                                height_m=height_m))  # fmt: skip
    return {
        "site": _head("track", "Off-road track with climbs, side slopes and soft ground", legs,
                      ["truck_8x8_50t"]),
        "defaults": {"width_m": 4.6, "height_m": 20.0, "speed_limit_mps": 5.5,
                     "friction": 0.5, "verge_friction": 0.4},
        "segments": [leg.table() for leg in legs],
        "obstacles": obstacles,
        "movers": [
            {"kind": "person", "radius_m": 0.35, "height_m": 1.8,
             "way": [[0.0, 55.0, 4.6], [20.0, 75.0, 5.0], [40.0, 55.0, 4.6]]},
            {"kind": "pickup", "length_m": 5.2, "width_m": 2.0, "height_m": 1.9,
             "way": [[0.0, 92.0, -5.6], [600.0, 92.1, -5.6]]},
        ],
    }  # fmt: skip


_PASS_M, _TURN_M, _PASSES = 130.0, 8.5, 4


def _field(chance: random.Random) -> dict[str, object]:
    legs: list[Leg] = []
    for number in range(_PASSES):
        legs.append(Leg(f"Pass {number + 1}", _PASS_M))
        side = 1.0 if number % 2 == 0 else -1.0
        if number < _PASSES - 1:
            legs.append(
                Leg(
                    "Headland",
                    0.0,
                    180.0 * side,
                    _TURN_M,
                    6.0,
                    {"speed_limit_mps": 2.2, "friction": 0.45},
                )
            )
    corner: Table = {"speed_limit_mps": 2.2, "friction": 0.45}
    legs += [
        Leg("Headland", 0.0, 90.0, 10.0, 6.0, dict(corner)),
        Leg("Headland", 1.0, None, 0.0, 0.0, dict(corner)),
        Leg("Headland", 0.0, 90.0, 10.0, 6.0, dict(corner)),
    ]
    for leg in legs[1::2]:
        leg.more = dict(leg.more)
    pass_m = legs[6].length_m
    if not close(legs, 6, 8):
        raise ValueError("the field does not close")
    spacing_m = _arc_way(legs[1])[1]
    top_m = (_PASSES - 1) * spacing_m
    crop_y, crop_w = 0.5 * top_m, top_m + 14.0
    left, right, low, high = -38.0, pass_m + 38.0, -24.0, top_m + 26.0
    obstacles = [
        _thing("tree", 74.0, 0.5 * spacing_m, radius_m=0.45, height_m=9.0),
        *(_thing("pole", station_m, 1.5 * spacing_m, radius_m=0.18, height_m=8.0)
          for station_m in (18.0, 68.0, 118.0)),
        *(_thing("stone", station_m, -4.5 - chance.uniform(0.0, 3.0),
                 radius_m=round(chance.uniform(0.25, 0.5), 2), height_m=0.4)
          for station_m in (12.0, 57.0, 99.0, 121.0)),
        *(_thing("tree", round(chance.uniform(0.0, pass_m), 1), -21.0 - chance.uniform(0.0, 2.0),
                 radius_m=0.35, height_m=round(chance.uniform(6.0, 10.0), 1)) for _ in range(5)),
        _thing("trailer", 30.0, -15.5, length_m=5.0, width_m=2.2, height_m=1.6),
    ]  # fmt: skip
    ring = [[left, low], [right, low], [right, high], [left, high], [left, low]]
    return {
        "site": _head("field", "Row-crop field with headlands", legs,
                      ["electric_tractor", "electric_tractor_trailer"], easing_m=5.0),
        "defaults": {"width_m": 3.0, "height_m": 20.0, "speed_limit_mps": 3.4,
                     "friction": 0.5, "verge_friction": 0.45},
        "segments": [leg.table() for leg in legs],
        "patches": [
            {"kind": "crop", "x_m": round(0.5 * pass_m, 3), "y_m": round(crop_y, 3),
             "length_m": pass_m, "width_m": round(crop_w, 3), "friction": 0.5, "rolling": 0.01},
        ],
        "fences": [
            {"kind": "hedge", "points_m": [ring[2], ring[3]], "height_m": 1.9, "radius_m": 0.8},
            {"kind": "wire", "points_m": [*ring[3:], *ring[1:3]], "height_m": 1.2,
             "radius_m": 0.08},
        ],
        "obstacles": obstacles,
        "movers": [
            {"kind": "person", "radius_m": 0.35, "height_m": 1.8,
             "way": [[0.0, 60.0, -9.0], [22.0, 82.0, -9.5], [30.0, 82.0, -9.5],
                     [52.0, 60.0, -9.0]]},
            {"kind": "pickup", "length_m": 5.2, "width_m": 2.0, "height_m": 1.9,
             "way": [[0.0, 100.0, -16.0], [600.0, 100.1, -16.0]]},
        ],
    }  # fmt: skip


_LANE_M, _MAT_M = 3.0, 150.0


def _teardrop(lane_m: float) -> list[Leg]:
    """Out, round and back onto the lane beside: the offset between the lanes fixes how far out."""
    rules: Table = {"speed_limit_mps": 1.6}

    def turn(out_deg: float) -> list[Leg]:
        return [
            Leg("Turning apron", 0.0, -out_deg, 12.0, 6.0, dict(rules)),
            Leg("Turning apron", 0.0, 180.0 + 2.0 * out_deg, 6.5, 6.0, dict(rules)),
            Leg("Turning apron", 0.0, -out_deg, 12.0, 6.0, dict(rules)),
        ]

    low, high = 29.0, 44.0
    for _ in range(50):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if _walk(turn(middle))[-1][1] > 2.0 * lane_m else (low, middle)
    return turn(round(low, 5))


def _road(chance: random.Random) -> dict[str, object]:
    legs = [Leg("Lane 1", _MAT_M), *_teardrop(_LANE_M), Leg("Lane 2", _MAT_M), *_teardrop(_LANE_M)]
    half, middle = 0.5 * _MAT_M, _LANE_M
    apex_m = round(_MAT_M + 0.5 * in_turn(leg.run_m for leg in legs[1:4]), 3)
    obstacles = [
        *(_thing("cone", station_m, -3.9, radius_m=0.2, height_m=0.75)
          for station_m in _every(_MAT_M, 9.0)),
        *(_thing("pole", station_m, -9.5, radius_m=0.12, height_m=8.0)
          for station_m in (20.0, 65.0, 110.0, 150.0)),
        *(_thing("tree", round(chance.uniform(5.0, 145.0), 1), -14.0 - chance.uniform(0.0, 9.0),
                 radius_m=0.3, height_m=round(chance.uniform(5.0, 9.0), 1)) for _ in range(7)),
        *(_thing("tree", round(chance.uniform(5.0, 145.0), 1), 20.0 + chance.uniform(0.0, 9.0),
                 radius_m=0.3, height_m=round(chance.uniform(5.0, 9.0), 1)) for _ in range(7)),
        _thing("bin", 40.0, 13.0, length_m=6.0, width_m=2.4, height_m=2.6),
        _thing("bin", 48.0, 13.5, length_m=6.0, width_m=2.4, height_m=2.6),
    ]  # fmt: skip
    lane = {"length_m": _MAT_M, "friction": 0.55}
    return {
        "site": _head("road", "Road section to be rolled, two lanes", legs, ["roller_13t"],
                      easing_m=4.0),
        "defaults": {"width_m": 6.0, "height_m": 20.0, "speed_limit_mps": 2.2,
                     "friction": 0.5, "verge_friction": 0.4},
        "segments": [leg.table() for leg in legs],
        "patches": [
            {"kind": "soil", "x_m": half, "y_m": middle, "length_m": _MAT_M + 80.0,
             "width_m": 34.0, "friction": 0.45, "rolling": 0.01},
            {"kind": "asphalt", "x_m": half, "y_m": middle + _LANE_M, "width_m": 6.0} | lane,
            {"kind": "asphalt_hot", "x_m": half, "y_m": middle - _LANE_M, "width_m": 6.0} | lane,
        ],
        "fences": [
            {"kind": "kerb", "points_m": [[2.0, middle + 6.15], [_MAT_M - 2.0, middle + 6.15]],
             "height_m": 0.15, "radius_m": 0.12},
        ],
        "obstacles": obstacles,
        "movers": [
            {"kind": "paver", "length_m": 6.5, "width_m": 3.2, "height_m": 3.4,
             "way": [[0.0, apex_m, -28.0], [600.0, apex_m, -28.1]]},
            {"kind": "person", "radius_m": 0.35, "height_m": 1.8,
             "way": [[0.0, 58.0, -5.2], [30.0, 88.0, -5.4], [60.0, 58.0, -5.2]]},
            {"kind": "person", "radius_m": 0.35, "height_m": 1.8,
             "way": [[0.0, 36.0, 11.0], [20.0, 40.0, 11.0], [40.0, 36.0, 11.0]]},
        ],
    }  # fmt: skip


def _head(
    kind: Kind, title: str, legs: Sequence[Leg], machines: list[str], easing_m: float = 12.0
) -> Table:
    names = {"field": "farm_field", "road": "road_section", "track": "offroad_track",
             "pit": "haul_road", "drift": "drift"}  # fmt: skip
    start_m = min(24.0, 0.5 * legs[0].run_m)
    return {"name": names[kind], "title": title, "kind": kind, "machines": machines,
            "closed": True, "start_station_m": round(start_m, 2), "grade_easing_m": easing_m,
            "width_easing_m": easing_m}  # fmt: skip


def _thing(kind: str, station_m: float, offset_m: float, **shape: float) -> Table:
    size = {key: round(value, 2) for key, value in shape.items()}
    return {"kind": kind, "station_m": round(station_m, 2), "offset_m": round(offset_m, 2)} | size


def _every(length_m: float, pitch_m: float) -> list[float]:
    return [(index + 0.5) * pitch_m for index in range(int(length_m / pitch_m))]


_KINDS: Mapping[Kind, Callable[[random.Random], dict[str, object]]] = {
    "drift": _drift,
    "pit": _pit,
    "track": _track,
    "field": _field,
    "road": _road,
}


def site_text(kind: Kind, seed: int) -> str:
    """A site file of this kind; the same seed gives the same text.

    Raises:
        ValueError: this seed gives no line that closes.
    """
    tables = _KINDS[kind](random.Random(seed))  # noqa: S311 - scenery, not secrets
    lines = [f"# Written by: python -m sim.world.generate {kind} --seed {seed}", ""]
    for name, content in tables.items():
        for table in content if isinstance(content, list) else [content]:
            assert isinstance(table, dict), "tables, or lists of tables"
            lines.append(f"[[{name}]]" if isinstance(content, list) else f"[{name}]")
            lines += [f"{key} = {json.dumps(value)}" for key, value in table.items()]
            lines.append("")
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Print a site file; 1 with one line on stderr when the seed gives none."""
    parser = argparse.ArgumentParser(prog="python -m sim.world.generate", description=__doc__)
    parser.add_argument("kind", choices=_KINDS)
    parser.add_argument("--seed", type=int, default=1)
    chosen = parser.parse_args(arguments)
    try:
        sys.stdout.write(site_text(chosen.kind, chosen.seed))
    except ValueError as error:
        sys.stderr.write(f"generate: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
