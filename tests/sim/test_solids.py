"""Contact with what stands and moves: exact, against brute force."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sim.machines.body import BodySize
from sim.machines.parameters import load_machine
from sim.machines.surroundings import BodyPose
from sim.world.drift import outline
from sim.world.solids import CELL_M, Solids, distance_m
from sim.world.things import Fence, Mover, Obstacle, Point, Solid, Things, rectangle
from tests.sim.worlds import MACHINES

ROLLER = load_machine(MACHINES / "roller_13t.toml").body
SHAPES = (
    Solid(((0.0, 0.0),), 0.4),
    Solid(((-3.0, 0.0), (3.0, 0.0)), 0.2),
    rectangle(5.0, 2.0),
    Solid(((0.0, 1.5), (-1.5, -1.0), (1.5, -1.0))),
)
NAMES = ("disc", "rod", "rectangle", "triangle")


def things(*solids: Solid) -> Things:
    return Things(tuple(Obstacle("stone", 0.0, 0.0, 0.0, 1.0, solid) for solid in solids))


def edge_points(polygon: tuple[Point, ...], count: int = 60) -> list[Point]:
    """Points along a polygon's sides, dense."""
    found = []
    for (x0, y0), (x1, y1) in zip(polygon, (*polygon[1:], polygon[0]), strict=True):
        found += [
            (x0 + (x1 - x0) * share / count, y0 + (y1 - y0) * share / count)
            for share in range(count)
        ]
    return found


def inside(polygon: tuple[Point, ...], point: Point) -> bool:
    sides = [
        (x1 - x0) * (point[1] - y0) - (y1 - y0) * (point[0] - x0)
        for (x0, y0), (x1, y1) in zip(polygon, (*polygon[1:], polygon[0]), strict=True)
    ]
    return len(polygon) > 2 and all(side > 0.0 for side in sides)


def brute_m(body: BodySize, pose: BodyPose, solid: Solid) -> float:
    """Reference: least distance between dense outlines; 0 where one holds a point of the other."""
    least_m = math.inf
    for box in outline(body, pose):
        ones, others = edge_points(box), edge_points(solid.points)
        within = any(inside(box, point) for point in others)
        within = within or any(inside(solid.points, point) for point in ones)
        nearest_m = min(math.dist(one, other) for one in ones[::2] for other in others[::4])
        least_m = min(least_m, 0.0 if within else nearest_m)
    return least_m - solid.radius_m


@pytest.mark.parametrize("shape", SHAPES, ids=NAMES)
@settings(max_examples=12)
@given(
    x_m=st.floats(-7.0, 7.0),
    y_m=st.floats(-5.0, 5.0),
    heading_rad=st.floats(-3.1, 3.1),
    joint_rad=st.floats(-0.6, 0.6),
)
def test_any_pose_of_both_bodies__agrees_with_dense_sampling(
    shape: Solid, x_m: float, y_m: float, heading_rad: float, joint_rad: float
) -> None:
    pose = BodyPose(x_m, y_m, heading_rad, joint_rad)
    solids = Solids(things(shape))
    room_m = min(solids.room(box, 0.0) for box in outline(ROLLER, pose))
    brute = min(brute_m(ROLLER, pose, shape), CELL_M)
    assert (room_m < 0.0) == (brute < 0.0) or abs(brute) < 0.25
    assert room_m < 0.0 or room_m <= brute + 1e-9


@pytest.mark.parametrize(
    ("first", "second", "apart_m"),
    [
        (((0.0, 0.0),), ((3.0, 4.0),), 5.0),
        (((0.0, 0.0), (2.0, 0.0)), ((3.0, 0.0), (5.0, 0.0)), 1.0),
        (((0.0, 0.0), (4.0, 0.0)), ((2.0, -1.0), (2.0, 1.0)), 0.0),
        (rectangle(2.0, 2.0).points, ((1.5, 1.5),), math.sqrt(0.5)),
        (rectangle(2.0, 2.0).points, rectangle(0.5, 0.5).points, 0.0),
    ],
    ids=["points", "collinear_runs", "crossing_runs", "corner", "inside"],
)
def test_convex_polygons__their_distance_is_known(
    first: tuple[Point, ...], second: tuple[Point, ...], apart_m: float
) -> None:
    assert distance_m(first, second) == pytest.approx(apart_m)
    assert distance_m(second, first) == pytest.approx(apart_m)


def test_nothing_stands__room_has_no_end() -> None:
    assert Solids(Things()).room(rectangle(2.0, 2.0).points, 0.0) == math.inf


def test_far_solid__room_is_one_cell() -> None:
    solid = replace(SHAPES[0], points=((500.0, 0.0),))
    assert Solids(things(solid)).room(rectangle(2.0, 2.0).points, 0.0) == CELL_M


def test_fence__every_run_of_it_is_solid() -> None:
    fence = Fence("wire", ((0.0, 5.0), (10.0, 5.0), (10.0, -5.0)), 1.2, 0.1)
    solids = Solids(Things(fences=(fence,)))
    for x_m, y_m in ((5.0, 5.0), (10.0, 0.0)):
        box = tuple((x_m + dx, y_m + dy) for dx, dy in rectangle(1.0, 1.0).points)
        assert solids.room(box, 0.0) < 0.0


def test_mover__is_where_its_clock_says_and_begins_anew() -> None:
    mover = Mover("person", 1.8, SHAPES[0], (0.0, 4.0, 10.0), ((0.0, 0.0), (8.0, 0.0), (8.0, 6.0)))
    assert mover.at(2.0) == pytest.approx((4.0, 0.0, 0.0))
    assert mover.at(7.0) == pytest.approx((8.0, 3.0, 0.5 * math.pi))
    assert mover.at(12.0) == pytest.approx((4.0, 0.0, 0.0))
    assert mover.fastest_mps == pytest.approx(2.0)


def test_mover_that_waits__looks_where_it_went() -> None:
    mover = Mover("person", 1.8, SHAPES[0], (0.0, 4.0, 9.0), ((0.0, 0.0), (0.0, 8.0), (0.0, 8.0)))
    assert mover.at(6.0) == pytest.approx((0.0, 8.0, 0.5 * math.pi))


def test_mover_in_the_way__touches_at_its_time_only() -> None:
    mover = Mover("person", 1.8, SHAPES[0], (0.0, 10.0), ((-20.0, 0.0), (20.0, 0.0)))
    solids = Solids(Things(movers=(mover,)))
    box = rectangle(2.0, 2.0).points
    assert solids.room(box, 5.0) < 0.0
    assert solids.room(box, 1.0) > 0.0
