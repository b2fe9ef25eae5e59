"""The free way on a curve, against a body moved step by step; and what is not known to be free."""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from random import Random

import pytest

from protocol.profiles import parse_profile
from sim.machines.body import BodySize
from sim.machines.frames import ArticulatedFrame, frame_of
from sim.machines.parameters import Machine, load_machine
from sim.machines.surroundings import BodyPose
from sim.machines.trailer import TrailerParameters, next_joint
from sim.world.drift import outline
from tests.sim.worlds import of_kind
from vehicle_agent.core.beside import Beside
from vehicle_agent.core.clearance import (
    ASIDE_M,
    STALE_US,
    STAND_OFF_M,
    UNSEEN,
    Clearance,
    RangeFinder,
    RearUnit,
    Scan,
    Sight,
    Sweep,
    decode,
    encode,
    free_way_m,
)

Point = tuple[float, float]
FINDER = RangeFinder(mount_m=2.6, front_m=2.6, half_m=1.75, range_m=40.0)
HALF_M = 1.75 + ASIDE_M
FIRST_RAD, STEP_RAD = -math.pi / 2, math.pi / 180
BEAMS = 181
NOW_US = 10_000_000
MACHINES = Path(__file__).parents[2] / "configs" / "machines"


def scan(ahead_m: float = math.inf, stamp_us: int = NOW_US, **beams: float) -> bytes:
    """A scan of nothing but one range straight ahead, and of ``bN`` at beam N."""
    ranges_m = [math.inf] * BEAMS
    ranges_m[90] = ahead_m
    for name, range_m in beams.items():
        ranges_m[int(name[1:])] = range_m
    return encode(stamp_us, FIRST_RAD, STEP_RAD, ranges_m)


def taken(*scans: bytes, now_us: int = NOW_US) -> Clearance:
    clearance = Clearance(FINDER)
    clearance.take(now_us, scans)
    return clearance


# -- the free way


def met_after_m(point: Point, curvature_per_m: float) -> float:
    """Way of the reference point until the body covers ``point``, three centimetres at a time."""
    for number in range(1333):
        way_m = number * 0.03
        turn = way_m * curvature_per_m
        x_m = math.sin(turn) / curvature_per_m if curvature_per_m else way_m
        y_m = (1.0 - math.cos(turn)) / curvature_per_m if curvature_per_m else 0.0
        dx_m, dy_m = point[0] - x_m, point[1] - y_m
        ahead_m = dx_m * math.cos(turn) + dy_m * math.sin(turn)
        left_m = dy_m * math.cos(turn) - dx_m * math.sin(turn)
        if -1.0 <= ahead_m <= FINDER.front_m and abs(left_m) <= HALF_M:
            return way_m
    return FINDER.range_m


def spread(seed: int) -> list[Point]:
    dice = Random(seed)
    return [(dice.uniform(2.7, 25.0), dice.uniform(-12.0, 12.0)) for _ in range(30)]


@pytest.mark.requirement("HF-GOV-01")
@pytest.mark.parametrize("curvature_per_m", [0.0, 0.02, -0.02, 0.06, -0.06, 0.125, -0.125])
def test_free_way__is_that_of_a_body_moved_step_by_step(curvature_per_m: float) -> None:
    for point in spread(round(curvature_per_m * 1000)):
        found_m = free_way_m([point], FINDER, curvature_per_m)
        assert found_m == pytest.approx(met_after_m(point, curvature_per_m), abs=0.06)


def test_several_points__the_one_met_first_counts() -> None:
    assert free_way_m([(20.0, 0.0), (9.6, 1.0), (12.6, -1.0)], FINDER, 0.0) == pytest.approx(7.0)
    several = [(12.0, 30.0), (12.0, 0.6), (8.0, 0.3), (14.0, 0.9)]
    each = [free_way_m([point], FINDER, 0.01) for point in several]
    assert free_way_m(several, FINDER, 0.01) == min(each) < 6.0


def test_nothing_met__as_far_as_the_scanner_measures() -> None:
    assert free_way_m([], FINDER, 0.0) == 40.0
    assert free_way_m([], FINDER, 0.05) == 40.0
    assert free_way_m([(10.0, 30.0)], FINDER, 0.05) == 40.0


@pytest.mark.parametrize(
    ("left_m", "expected_m"),
    [(1.89, 7.4), (-1.89, 7.4), (1.9, 40.0), (-1.9, 40.0)],
)
def test_straight_on__what_stands_in_the_bodys_width_and_a_little_more(
    left_m: float, expected_m: float
) -> None:
    assert free_way_m([(10.0, left_m)], FINDER, 0.0) == pytest.approx(expected_m)


@pytest.mark.parametrize(("ahead_m", "expected_m"), [(2.6, 0.0), (2.59, 40.0)])
def test_straight_on__what_stands_beside_the_front_is_passed(
    ahead_m: float, expected_m: float
) -> None:
    assert free_way_m([(ahead_m, 1.8)], FINDER, 0.0) == pytest.approx(expected_m)


@pytest.mark.parametrize("curvature_per_m", [0.05, -0.05])
def test_wall_of_a_bend__is_no_obstacle_on_the_curve_and_one_straight_on(
    curvature_per_m: float,
) -> None:
    radius_m = abs(1.0 / curvature_per_m)
    side = math.copysign(1.0, curvature_per_m)
    angles = [number * 0.01 for number in range(120)]
    wall = [
        (
            (radius_m + 3.0) * math.sin(angle),
            side * (radius_m - (radius_m + 3.0) * math.cos(angle)),
        )
        for angle in angles
    ]
    assert free_way_m(wall, FINDER, curvature_per_m) == 40.0
    assert free_way_m(wall, FINDER, 0.0) < 10.0


def test_curve_so_slight_that_it_is_none__is_straight() -> None:
    points = [(10.0, 0.0)]
    assert free_way_m(points, FINDER, 0.000099) == 10.0 - 2.6
    assert free_way_m(points, FINDER, 0.0001) == pytest.approx(7.4, abs=0.01)
    assert free_way_m(points, FINDER, 0.0001) != 10.0 - 2.6


def test_point_that_passes_behind_the_front_edge__is_met_by_the_inner_side() -> None:
    angle_rad = math.radians(60.0)
    point = (6.3 * math.sin(angle_rad), 8.0 - 6.3 * math.cos(angle_rad))
    way_m = 8.0 * (angle_rad - math.acos(6.1 / 6.3))
    assert free_way_m([point], FINDER, 0.125) == pytest.approx(way_m)


@pytest.mark.parametrize("point", [(0.0, 1.9), (2.6, -1.9)])
def test_point_that_a_corner_just_grazes__is_not_met(point: Point) -> None:
    assert free_way_m([point], FINDER, 0.125) == 40.0


def test_point_on_the_front_edge_in_a_curve__is_met_at_once() -> None:
    assert free_way_m([(2.6, 0.0)], FINDER, 0.1) == 0.0


def test_curve_tighter_than_the_body__is_taken_as_the_tightest() -> None:
    tightest = 1.0 / (HALF_M + ASIDE_M)
    point = (3.0, 3.0)
    assert free_way_m([point], FINDER, 2.0) == free_way_m([point], FINDER, tightest)
    assert free_way_m([point], FINDER, 2.0) < 40.0


def test_point_nearer_to_the_centre_than_the_front_reaches__is_met_by_the_inner_side() -> None:
    radius_m = HALF_M + ASIDE_M
    way_m = radius_m * (math.pi / 2 - math.acos((radius_m - HALF_M) / 1.0))
    assert free_way_m([(1.0, radius_m)], FINDER, 1.0 / radius_m) == pytest.approx(way_m)


@pytest.mark.parametrize("reverse", [1.0, -1.0])
def test_point_behind_on_the_circle__is_not_ahead(reverse: float) -> None:
    assert free_way_m([(-8.0, 1.0 * reverse)], FINDER, 0.03 * reverse) == 40.0


# -- the swept path of both bodies

TRUCK, RIGID = (
    load_machine(MACHINES / f"{name}.toml") for name in ("ug_truck_60t", "rigid_truck_55t")
)


def covers(parts: Machine, pose: BodyPose, point: Point) -> bool:
    """Whether a body, a little wider, covers a point."""
    return any(
        all(
            (bx - ax) * (point[1] - ay) - (by - ay) * (point[0] - ax) >= 0.0
            for (ax, ay), (bx, by) in pairwise((*corners, corners[0]))
        )
        for corners in wider_outline(parts, pose)
    )


def wider_outline(parts: Machine, pose: BodyPose) -> list[tuple[Point, ...]]:
    """The simulator's own outline of a machine, with what is kept aside."""
    front, rear = (
        tuple(box._replace(half_m=box.half_m + ASIDE_M) for box in boxes)
        for boxes in (parts.body.front, parts.body.rear)
    )
    return list(outline(BodySize(front, rear, parts.body.fold_m), pose))


def grazes(parts: Machine, pose: BodyPose, point: Point, radius_m: float) -> bool:
    """Whether a corner passes a point so closely that no step of the march may find it."""
    corners = [each for one in wider_outline(parts, pose) for each in one]
    at_m, *ways_m = (math.hypot(x_m, y_m - radius_m) for x_m, y_m in (point, *corners))
    return any(abs(at_m - way_m) < 0.01 for way_m in ways_m)


def swept_after_m(parts: Machine, point: Point, curvature_per_m: float, range_m: float) -> float:
    """Way until the machine, joint held, covers a point that it did not cover before."""
    frame = frame_of(parts.profile.machine)
    folds = isinstance(frame, ArticulatedFrame)
    joint_rad = frame.angle_for(curvature_per_m) if folds else 0.0
    covered = True
    for number in range(round(range_m / 0.03)):
        way_m = number * 0.03
        turn = way_m * curvature_per_m
        x_m, y_m = math.sin(turn) / curvature_per_m, (1 - math.cos(turn)) / curvature_per_m
        before, covered = covered, covers(parts, BodyPose(x_m, y_m, turn, joint_rad), point)
        if covered and not before:
            return way_m
    return range_m


def test_tail_that_swings_out__meets_what_stands_beside_it() -> None:
    finder = RangeFinder.of(RIGID.profile.machine, 30.0)
    beside = (-1.0, -(finder.half_m + ASIDE_M + 0.1))
    assert free_way_m([beside], finder, 0.1) < 3.0
    assert free_way_m([beside], finder, 0.0) == 30.0
    assert free_way_m([beside], finder, -0.1) == 30.0


# Pythagorean: the radii of the corners are whole numbers.
LONG_NOSE = Sweep(abeam_rad=0.0, front_m=16.0, tail_m=5.0, inner_m=6.0, outer_m=12.0)
LONG_TAIL = Sweep(abeam_rad=0.0, front_m=5.0, tail_m=16.0, inner_m=6.0, outer_m=12.0)


@pytest.mark.parametrize(
    ("sweep", "at_m", "wanted_rad"),
    [
        (LONG_NOSE, 5.9, []),
        (LONG_NOSE, 6.0, []),
        (LONG_NOSE, 10.0, [2.0 - math.acos(0.6)]),
        (LONG_NOSE, 12.0, [2.0 - math.acos(0.5), 2.0]),
        (LONG_NOSE, 12.9, [2.0 - math.acos(6.0 / 12.9), 2.0 + math.acos(12.0 / 12.9)]),
        (LONG_NOSE, 13.0, [2.0 - math.acos(6.0 / 13.0)]),
        (LONG_NOSE, 19.9, [2.0 - math.asin(16.0 / 19.9)]),
        (LONG_NOSE, 20.0, []),
        (LONG_TAIL, 11.9, [2.0 - math.asin(5.0 / 11.9)]),
        (LONG_TAIL, 12.0, [2.0 - math.asin(5.0 / 12.0), 2.0]),
        (LONG_TAIL, 13.0, [2.0 + math.acos(12.0 / 13.0)]),
        (LONG_TAIL, 19.9, [2.0 + math.acos(12.0 / 19.9)]),
        (LONG_TAIL, 20.0, []),
    ],
)
def test_point_at_a_radius__is_met_by_the_front_or_the_tails_corner_that_reach_it(
    sweep: Sweep, at_m: float, wanted_rad: list[float]
) -> None:
    assert sweep.turns_rad([(at_m, 2.0)]) == pytest.approx(wanted_rad)


def test_body_whose_axle_is_behind__turns_on_by_as_much_more() -> None:
    behind = replace(LONG_TAIL, abeam_rad=-0.5)
    assert behind.turns_rad([(12.5, 2.0)]) == pytest.approx(
        [2.5 - math.asin(0.4), 2.5 + math.acos(0.96)]
    )


def articulated(half_m: float, fold_m: float, axle_m: float) -> RangeFinder:
    """A machine whose rear body alone reaches far, to be driven on a circle of 4 m."""
    rear = RearUnit(fold_m, axle_m, tail_m=3.0)
    return RangeFinder(1.0, 1.0, half_m - ASIDE_M, 99.0, 0.0, rear)


def on_circle(at_m: float, angle_rad: float) -> Point:
    return at_m * math.sin(angle_rad), 4.0 - at_m * math.cos(angle_rad)


@pytest.mark.parametrize("angle_rad", [-0.5, 0.5])
def test_rear_that_runs_on_a_narrower_circle__meets_what_the_front_has_passed(
    angle_rad: float,
) -> None:
    # The joint lies 5 m from the centre: its axle runs on 3 m, a quarter turn behind.
    finder, point = articulated(1.0, fold_m=3.0, axle_m=4.0), on_circle(2.5, angle_rad)
    turn_rad = angle_rad + math.pi / 2 - math.acos(2.0 / 2.5)
    assert free_way_m([point], finder, 0.25) == pytest.approx(4.0 * turn_rad)
    mirrored = (point[0], -point[1])
    assert free_way_m([mirrored], finder, -0.25) == pytest.approx(4.0 * turn_rad)


def test_what_the_rear_covers_now__is_not_ahead() -> None:
    assert free_way_m([(-2.9, 4.0)], articulated(1.0, fold_m=3.0, axle_m=4.0), 0.25) == 99.0


def test_rear_that_cannot_run_so_narrow__turns_about_its_inner_side() -> None:
    finder, point = articulated(2.0, fold_m=3.0, axle_m=5.0), on_circle(1.5, 0.5)
    turn_rad = 0.5 + math.atan2(3.0, 4.0) + math.atan2(5.0, 2.0) - math.pi / 2
    assert free_way_m([point], finder, 0.25) == pytest.approx(4.0 * turn_rad)


def test_finder_that_is_told_of_no_tail__ends_at_the_reference_point() -> None:
    assert free_way_m([(-0.5, -(HALF_M + 0.01))], FINDER, 0.125) == 40.0
    assert free_way_m([(-0.5, -(HALF_M + 0.01))], replace(FINDER, tail_m=1.0), 0.125) < 1.0


@pytest.mark.parametrize("side", [1.0, -1.0])
def test_joint_on_a_curve__is_at_most_a_quarter_turn_from_the_rear_axle(side: float) -> None:
    # Joint 0.75 m behind on a circle of 1 m: 1.25 m from the centre, by 3-4-5.
    at_joint_rad = math.atan(0.75)
    assert RearUnit(0.75, 1.0, 0.0).joint_rad(side) == pytest.approx(
        side * (at_joint_rad + math.asin(0.8))
    )
    assert RearUnit(0.75, 1.5, 0.0).joint_rad(side) == pytest.approx(
        side * (at_joint_rad + math.pi / 2)
    )


@pytest.mark.parametrize("name", ["front_joint_m", "rear_joint_m"])
def test_size_with_half_a_joint__is_that_of_a_machine_that_does_not_fold(name: str) -> None:
    size = TRUCK.profile.machine.model_copy(update={name: None})
    finder = RangeFinder.of(size, 30.0)
    assert (finder.rear, finder.tail_m) == (None, size.rear_overhang_m)


@pytest.mark.parametrize("name", ["ug_truck_60t", "electric_tractor", "truck_8x8_50t"])
def test_finder_of_a_machine__stands_at_its_front_and_is_as_wide(name: str) -> None:
    size = parse_profile((MACHINES / f"{name}.toml").read_text(encoding="utf-8"), name).machine
    finder = RangeFinder.of(size, 30.0)
    assert finder.mount_m == finder.front_m == size.front_of_reference_m
    assert (finder.half_m, finder.range_m) == (size.width_m / 2, 30.0)


def test_finder_of_a_machine_that_folds__its_rear_body_begins_at_the_joint() -> None:
    size = TRUCK.profile.machine
    joint = (size.front_joint_m, size.rear_joint_m, size.rear_overhang_m)
    rear = RangeFinder.of(size, 30.0).rear
    assert rear is not None
    assert (rear.fold_m, rear.axle_m, rear.tail_m) == joint
    assert (rear.gap_m, rear.half_m, rear.towed) == (0.0, None, False)


# -- a trailer

TOWING = load_machine(MACHINES / "electric_tractor_trailer.toml")
TRAILER = of_kind(TOWING.plant.trailer, TrailerParameters)


def towing(fold_m: float = 3.0, axle_m: float = 4.0, half_m: float = 1.0) -> RangeFinder:
    """A short machine with a long trailer, to be driven on a circle of 4 m: by 3-4-5 its hitch runs
    on 5 m, and its axle settles on 3 m, a quarter turn behind."""
    rear = RearUnit(fold_m, axle_m, 3.0, gap_m=1.0, half_m=half_m - ASIDE_M, towed=True)
    return RangeFinder(1.0, 1.0, 1.0 - ASIDE_M, 99.0, 0.0, rear)


@pytest.mark.parametrize(
    ("at_m", "angle_rad", "turn_rad"),
    [
        (2.5, -0.5, -0.5 + math.pi / 2 - math.acos(2.0 / 2.5)),
        (4.5, -0.5, -0.5 + math.pi / 2 - math.asin(3.0 / 4.5)),
        (5.5, -0.5, -0.5 + math.asin(4.0 / 5.5)),
        (6.5, 0.2, 0.2 + math.acos(6.0 / 6.5)),
        (11.6, 0.2, 0.2 + math.acos(6.0 / 11.6)),
    ],
    ids=["inner side", "front, settled", "front, straight", "tail, straight", "end of the tail"],
)
def test_trailer__is_met_both_settled_on_the_curve_and_straight_behind(
    at_m: float, angle_rad: float, turn_rad: float
) -> None:
    x_m, y_m = on_circle(at_m, angle_rad)
    assert free_way_m([(x_m, y_m)], towing(), 0.25) == pytest.approx(4.0 * turn_rad)
    assert free_way_m([(x_m, -y_m)], towing(), -0.25) == pytest.approx(4.0 * turn_rad)


@pytest.mark.parametrize(("at_m", "angle_rad"), [(1.9, -0.5), (11.7, 0.2)])
def test_trailer__passes_what_lies_farther_in_or_out(at_m: float, angle_rad: float) -> None:
    assert free_way_m([on_circle(at_m, angle_rad)], towing(), 0.25) == 99.0


@pytest.mark.parametrize("at_m", [4.9, 5.5])
def test_trailer_straight_behind__is_as_far_in_as_what_tows_it(at_m: float) -> None:
    point = at_m * math.sin(-0.1), 5.0 - at_m * math.cos(-0.1)
    way_m = 5.0 * (-0.1 + math.asin(1.0 / at_m))
    assert free_way_m([point], towing(fold_m=0.0), 0.2) == pytest.approx(way_m)


def test_point_nearer_to_the_centre_than_a_straight_trailers_front__is_met_abeam() -> None:
    point = on_circle(3.5, -0.2)
    way_m = 4.0 * (-0.2 + math.pi / 2 - math.acos(2.0 / 3.5))
    assert free_way_m([point], towing(), 0.25) == pytest.approx(way_m)


def test_trailer_that_cannot_run_so_narrow__turns_about_its_own_inner_side() -> None:
    finder, point = towing(axle_m=5.0, half_m=2.0), on_circle(1.5, 0.5)
    turn_rad = 0.5 + math.atan2(3.0, 4.0) + math.atan2(5.0, 2.0) - math.pi / 2
    assert free_way_m([point], finder, 0.25) == pytest.approx(4.0 * turn_rad)


@pytest.mark.parametrize("side", [1.0, -1.0])
def test_trailer_wider_than_what_tows_it__meets_on_the_straight_what_that_has_passed(
    side: float,
) -> None:
    finder = towing(half_m=1.5)
    ways_m = [free_way_m([(-0.5, side * y_m)], finder, 0.0) for y_m in (0.99, 1.0, 1.49, 1.5)]
    assert ways_m == [99.0, 3.5, 3.5, 99.0]
    assert free_way_m([(8.0, side * 1.2)], finder, 0.0) == 12.0
    assert free_way_m([(-4.1, side * 1.2)], finder, 0.0) == 99.0


def test_body_as_wide_as_the_front_one__meets_nothing_more_on_the_straight() -> None:
    assert free_way_m([(-0.5, 1.0)], articulated(1.0, fold_m=3.0, axle_m=4.0), 0.0) == 99.0


def test_finder_of_a_tractor_with_a_trailer__has_its_sizes() -> None:
    size = TOWING.profile.machine
    finder = RangeFinder.of(size, 30.0)
    assert finder.rear == RearUnit(0.75, 3.2, 1.3, 1.2, 1.05, True)
    assert (finder.mount_m, finder.front_m) == (size.front_of_reference_m,) * 2
    assert (finder.half_m, finder.range_m, finder.tail_m) == (1.0, 30.0, size.rear_overhang_m)


STEP_M = 0.06


def towed_after_m(point: Point, curvature_per_m: float, joint_rad: float) -> float:
    """Way until tractor or trailer covers a point anew, from the straight on and settled."""
    ways_m = []
    for folded_rad in (0.0, joint_rad):
        covered, joint, way_m = True, folded_rad, 0.0
        while way_m < 12.0:
            turn = way_m * curvature_per_m
            x_m, y_m = math.sin(turn) / curvature_per_m, (1 - math.cos(turn)) / curvature_per_m
            before, covered = covered, covers(TOWING, BodyPose(x_m, y_m, turn, joint), point)
            if covered and not before:
                break
            joint = next_joint(TRAILER, joint, 1.0, curvature_per_m, STEP_M)
            way_m += STEP_M
        ways_m.append(way_m)
    return min(ways_m)


def test_beside_a_trailer__points_are_kept_as_far_as_it_reaches() -> None:
    beside = RangeFinder.of(TOWING.profile.machine, 30.0).beside()
    points = [(4.0, 5.1), (4.0, -5.1), (4.0, 5.3)]
    beside.move(0.1, 0.0, 0.0, 0.0)
    beside.see(0, points)
    beside.move(1.0, 8.5, 0.0, 0.7)
    assert [y_m for _, y_m in beside.see(1, ())] == [5.1, -5.1]
    beside.move(1.0, 0.8, 0.0, 0.0)
    assert beside.see(2, ()) == []


# -- what is seen


def test_something_ahead__free_way_less_what_is_kept() -> None:
    sight = taken(scan(12.0)).sight(NOW_US + 40_000, 0.0)
    assert sight.clear_m == pytest.approx(12.0 - STAND_OFF_M)
    assert sight.age_s == 0.04


def test_something_nearer_than_what_is_kept__nothing_is_free() -> None:
    assert taken(scan(0.3)).sight(NOW_US, 0.0).clear_m == 0.0


def test_nothing_in_range__the_range_less_what_is_kept() -> None:
    assert taken(scan()).sight(NOW_US, 0.0).clear_m == 40.0 - STAND_OFF_M


def test_other_curve__the_way_is_reckoned_anew() -> None:
    clearance = taken(scan(12.0))
    assert clearance.sight(NOW_US, 0.0).clear_m == pytest.approx(11.5)
    assert clearance.sight(NOW_US, 0.1).clear_m == pytest.approx(39.5)
    assert clearance.sight(NOW_US, -0.1).clear_m == pytest.approx(39.5)
    assert clearance.sight(NOW_US, 0.0).clear_m == pytest.approx(11.5)


def test_curve_hardly_changed__the_way_is_not_reckoned_anew() -> None:
    clearance = taken(scan(b100=12.0))
    at_first = clearance.sight(NOW_US, 0.03).clear_m
    assert at_first is not None
    assert at_first < 13.0
    assert clearance.sight(NOW_US, 0.0309).clear_m == at_first
    assert clearance.sight(NOW_US, 0.0291).clear_m == at_first
    assert clearance.sight(NOW_US, 0.0311).clear_m != at_first


def test_curve_changed_by_just_the_step__the_way_is_not_reckoned_anew() -> None:
    clearance = taken(scan(b90=12.0))
    at_first = clearance.sight(NOW_US, 0.0).clear_m
    assert clearance.sight(NOW_US, 0.001).clear_m == at_first
    assert clearance.sight(NOW_US, 0.0011).clear_m != at_first


def test_new_scan__the_way_is_reckoned_anew() -> None:
    clearance = taken(scan(12.0))
    clearance.sight(NOW_US, 0.0)
    clearance.take(NOW_US + 1, [scan(7.0, NOW_US + 1)])
    assert clearance.sight(NOW_US + 1, 0.0).clear_m == pytest.approx(6.5)


def test_several_scans_at_once__the_newest_counts_and_none_is_refused() -> None:
    clearance = taken(scan(12.0, NOW_US - 2), scan(7.0, NOW_US - 1))
    assert clearance.sight(NOW_US, 0.0).clear_m == pytest.approx(6.5)
    assert clearance.refused == 0


# -- what is not clear


@pytest.mark.requirement("HF-GOV-02")
def test_no_scan_yet__nothing_is_known() -> None:
    assert Clearance(FINDER).sight(0, 0.0) == UNSEEN == Sight(None, 0.0, (None,) * 8)
    assert taken().sight(NOW_US, 0.0) == UNSEEN


@pytest.mark.requirement("HF-GOV-02")
def test_scan_grown_old__nothing_is_known() -> None:
    clearance = taken(scan(12.0))
    assert clearance.sight(NOW_US + STALE_US, 0.0).clear_m is not None
    assert clearance.sight(NOW_US + STALE_US + 1, 0.0) == UNSEEN
    assert STALE_US == 250_000


def test_scan_of_the_first_microsecond__counts() -> None:
    assert taken(scan(12.0, 0), now_us=0).sight(0, 0.0).clear_m == pytest.approx(11.5)


@pytest.mark.requirement("HF-GOV-02")
def test_scans_that_waited_in_a_queue__are_as_old_as_they_are() -> None:
    clearance = taken(scan(12.0, NOW_US - STALE_US - 1))
    assert clearance.sight(NOW_US, 0.0) == UNSEEN


@pytest.mark.parametrize("later_us", [0, -1])
def test_scan_that_is_not_newer__is_refused(later_us: int) -> None:
    clearance = taken(scan(12.0), scan(30.0, NOW_US + later_us))
    assert clearance.sight(NOW_US, 0.0).clear_m == pytest.approx(11.5)
    assert clearance.refused == 1


def test_scan_from_the_future__is_refused_and_what_follows_still_counts() -> None:
    clearance = taken(scan(30.0, NOW_US + 1), scan(12.0))
    assert clearance.sight(NOW_US, 0.0).clear_m == pytest.approx(11.5)
    assert clearance.refused == 1


def test_every_part_of_a_scan__is_none() -> None:
    whole = scan(12.0)
    assert all(decode(whole[:length]) is None for length in range(len(whole)))
    assert decode(whole + b"\0") is None
    clearance = taken(whole[:-1])
    assert (clearance.sight(NOW_US, 0.0), clearance.refused) == (UNSEEN, 1)


@pytest.mark.parametrize(("at", "value"), [(0, 0), (0, 2), (1, 1)])
def test_other_version_and_spare_byte_set__is_none(at: int, value: int) -> None:
    changed = bytearray(scan(12.0))
    changed[at] = value
    assert decode(bytes(changed)) is None


@pytest.mark.parametrize(("beams", "counts"), [(0, False), (1440, True), (1441, False)])
def test_number_of_beams__has_its_limits(beams: int, counts: bool) -> None:
    data = encode(1, -1.0, 0.002, [5.0] * beams)
    assert (decode(data) is not None) == counts


@pytest.mark.requirement("HF-GOV-02")
@pytest.mark.parametrize(
    ("first_rad", "step_rad", "beams", "counts"),
    [
        (-0.9, 0.018, 101, True),
        (-0.8999, 0.018, 101, False),
        (-0.9, 0.018, 100, False),
        (-0.9, 0.01799, 101, False),
        (-0.9001, 0.03051, 60, False),
        (-0.95, 0.035, 56, True),
        (-0.95, 0.03501, 56, False),
        (-3.1, 0.017, 180, False),
        (0.0, 0.0, 60, False),
    ],
)
def test_scan_that_does_not_look_all_over_the_way__is_none(
    first_rad: float, step_rad: float, beams: int, counts: bool
) -> None:
    assert (decode(encode(1, first_rad, step_rad, [5.0] * beams)) is not None) == counts


@pytest.mark.parametrize(("holes", "counts"), [(5, True), (6, False)])
@pytest.mark.requirement("HF-GOV-02")
def test_scan_with_holes__counts_up_to_a_twentieth(holes: int, counts: bool) -> None:
    ranges_m = [5.0] * 100
    ranges_m[: 2 * holes : 2] = [math.nan] * holes
    assert (decode(encode(1, -1.0, 0.02, ranges_m)) is not None) == counts


def test_hole__is_as_near_as_the_nearer_of_its_neighbours() -> None:
    ranges_m = [9.0] * 100
    ranges_m[0] = ranges_m[50] = ranges_m[99] = math.nan
    ranges_m[1], ranges_m[51], ranges_m[98] = 8.0, 4.0, 3.0
    ranges_m[20], ranges_m[21] = 2.0, math.nan
    read = decode(encode(1, -1.0, 0.02, ranges_m))
    assert read is not None
    found = [read.ranges_m[index] for index in (0, 21, 49, 50, 51, 99)]
    assert found == [8.0, 2.0, 9.0, 4.0, 4.0, 3.0]


def test_hole_beside_the_first_beam__is_as_near_as_that() -> None:
    read = decode(encode(1, -1.0, 0.02, [2.0, math.nan] + [9.0] * 98))
    assert read is not None
    assert read.ranges_m[1] == 2.0


@pytest.mark.requirement("HF-GOV-02")
@pytest.mark.parametrize(
    ("first", "holes", "counts"),
    [(40, 2, True), (40, 3, False), (0, 1, True), (0, 2, False), (99, 1, True), (98, 2, False)],
)
def test_hole_without_a_neighbour_that_says_something__scan_is_none(
    first: int, holes: int, counts: bool
) -> None:
    ranges_m = [math.inf] * 100
    ranges_m[first : first + holes] = [math.nan] * holes
    assert (decode(encode(1, -1.0, 0.02, ranges_m)) is not None) == counts


# -- the bytes


def test_scan__comes_back_as_it_was() -> None:
    read = decode(encode(77, -1.5, 0.03, [1.23, math.inf, 655.33] + [2.0] * 98))
    assert read is not None
    assert (read.stamp_us, read.first_rad, read.step_rad) == (77, -1.5, 0.03)
    assert read.ranges_m[:4] == pytest.approx((1.23, math.inf, 655.33, 2.0))


def test_bytes__are_those_of_the_layout() -> None:
    data = encode(0x0102, -1.0, 0.6, [1.0, math.inf, math.nan] + [2.0] * 57)
    head = struct.pack("<BBHQhH", 1, 0, 60, 0x0102, -10_000, 60_000)
    assert data == head + struct.pack("<3H", 100, 0xFFFE, 0xFFFF) + struct.pack("<57H", *[200] * 57)


def test_points__lie_ahead_and_to_the_left_of_the_reference_point() -> None:
    read = Scan(1, -math.pi / 2, math.pi / 2, (3.0, 4.0, 5.0))
    assert [each for point in read.points(2.0) for each in point] == pytest.approx(
        [2.0, -3.0, 6.0, 0.0, 2.0, 5.0]
    )
    assert Scan(1, 0.0, 1.0, (math.inf,)).points(2.0) == ()


# -- sectors


def test_sectors__nearest_of_each_eighth_from_ahead_clockwise() -> None:
    data = scan(12.0, b0=3.0, b45=5.14, b135=7.0, b180=9.0)
    sectors = taken(data).sight(NOW_US, 0.0).sectors_m
    assert sectors == (12.0, 5.1, 3.0, None, None, None, 9.0, 7.0)


def test_sectors__nothing_met_is_the_range_and_nearer_ones_win() -> None:
    assert taken(scan()).sight(NOW_US, 0.0).sectors_m[0] == 40.0
    assert taken(scan(12.0, b91=11.0, b89=13.0)).sight(NOW_US, 0.0).sectors_m[0] == 11.0


def test_sectors__what_is_touched_is_nearest_whichever_beam_comes_after() -> None:
    assert taken(scan(0.0, b89=13.0, b91=13.0)).sight(NOW_US, 0.0).sectors_m[0] == 0.0


def test_sectors__end_half_way_between_two_eighths() -> None:
    beams = [math.inf] * BEAMS
    beams[90 + 22], beams[90 + 23] = 6.0, 5.0
    read = Scan(1, FIRST_RAD, STEP_RAD, tuple(beams))
    sectors = read.sectors(40.0)
    assert (sectors[0], sectors[7]) == (6.0, 5.0)
    assert all(a != b for a, b in pairwise([sectors[0], sectors[7], None]))


# -- what is kept beside


def post(x_m: float, y_m: float, stamp_us: int) -> bytes:
    """A scan that shows one post, from a scanner at the front of the rigid truck."""
    ahead_m = x_m - RIGID_FINDER.mount_m
    beam = round((math.atan2(y_m, ahead_m) - FIRST_RAD) / STEP_RAD)
    ranges_m = [math.inf] * BEAMS
    ranges_m[beam] = math.hypot(ahead_m, y_m)
    return encode(stamp_us, FIRST_RAD, STEP_RAD, ranges_m)


RIGID_FINDER = RangeFinder.of(RIGID.profile.machine, 40.0)
POST_M = -(RIGID_FINDER.half_m + ASIDE_M + 0.15)


def driven_past(way_m: float, speed_mps: float = 2.0) -> Clearance:
    """A clearance that saw a post beside the way, and has since gone on straight by ``way_m``."""
    clearance = Clearance(RIGID_FINDER)
    x_m = RIGID_FINDER.front_m + 0.3
    clearance.move(0, speed_mps, 0.0)
    clearance.take(0, [post(x_m, POST_M, 0)])
    ticks = round(way_m / speed_mps * 100)
    for number in range(1, ticks + 1):
        clearance.move(number * 10_000, speed_mps, 0.0)
        if number % 10 == 0 or number == ticks:
            left_m = x_m - speed_mps * number / 100
            seen = left_m >= RIGID_FINDER.front_m
            stamp_us = number * 10_000
            scans = post(left_m, POST_M, stamp_us) if seen else scan(stamp_us=stamp_us)
            clearance.take(stamp_us, [scans])
    return clearance


def clear_m(clearance: Clearance, ticks: int, curvature_per_m: float) -> float | None:
    return clearance.sight(ticks * 10_000, curvature_per_m).clear_m


def test_post_that_passed_the_front__is_in_the_way_of_a_tail_that_swings_out() -> None:
    past_m = RIGID_FINDER.front_m + 1.2
    clearance = driven_past(past_m)
    ticks = round(past_m / 2.0 * 100)
    straight_m, away_m = clear_m(clearance, ticks, 0.0), clear_m(clearance, ticks, 0.1)
    assert straight_m == 39.5
    assert away_m is not None
    assert away_m < 3.0


def test_post_that_the_tail_has_passed__is_forgotten() -> None:
    past_m = RIGID_FINDER.front_m + RIGID_FINDER.tail_m + 0.6
    assert clear_m(driven_past(past_m), round(past_m / 2.0 * 100), 0.1) == 39.5


def test_post_not_seen_for_long__is_forgotten() -> None:
    past_m = RIGID_FINDER.front_m + 1.2
    clearance = driven_past(past_m)
    later_us = round(past_m / 2.0 * 1e6) + 10_100_000
    clearance.move(later_us, 0.0, 0.0)
    clearance.take(later_us, [scan(stamp_us=later_us)])
    assert clearance.sight(later_us, 0.1).clear_m == 39.5


def test_speed_unknown__what_lies_beside_is_forgotten() -> None:
    past_m = RIGID_FINDER.front_m + 1.2
    clearance = driven_past(past_m)
    ticks = round(past_m / 2.0 * 100) + 1
    clearance.move(ticks * 10_000, None, 0.0)
    clearance.take(ticks * 10_000, [scan(stamp_us=ticks * 10_000)])
    assert clear_m(clearance, ticks, 0.1) == 39.5


def test_joint_turned_at_standstill__what_lies_beside_turns_with_the_front_body() -> None:
    beside = Beside(2.6, 9.0, 1.75, 0.5)
    beside.see(0, [(2.8, -2.2)])
    beside.move(0.1, 2.0, 0.0, 0.3)
    beside.move(0.1, 0.0, 0.1, 0.7)
    ((x_m, y_m),) = beside.see(100_000, [])
    wanted = (2.6 * math.cos(0.2) - 2.2 * math.sin(0.2), -2.2 * math.cos(0.2) - 2.6 * math.sin(0.2))
    assert (x_m, y_m) == pytest.approx(wanted)


def test_curve_driven__what_lies_beside_moves_as_seen_from_the_machine() -> None:
    beside = Beside(2.6, 9.0, 1.75, 0.0)
    beside.see(0, [(3.0, 2.0)])
    for _ in range(100):
        beside.move(0.01, 1.0, 0.1, 0.0)
    ((x_m, y_m),) = beside.see(1_000_000, [])
    dx_m, dy_m = 3.0 - 10 * math.sin(0.1), 2.0 - 10 * (1 - math.cos(0.1))
    wanted = (
        dx_m * math.cos(0.1) + dy_m * math.sin(0.1),
        dy_m * math.cos(0.1) - dx_m * math.sin(0.1),
    )
    assert (x_m, y_m) == pytest.approx(wanted, abs=1e-4)


# Front 2.5 m, tail 9 m and sides 1.75 m from the reference point; exact in binary.
LONG_RIGID = RangeFinder(2.5, 2.5, 1.75, 40.0, 9.0)
LONG_FOLDED = RangeFinder(2.5, 2.5, 1.75, 40.0, 2.0, RearUnit(2.0, 3.0, 4.0))


def kept_after(points: Sequence[Point], way_m: float, age_us: int = 1) -> list[Point]:
    """What lies beside when the machine has gone on straight from where it saw the points."""
    beside = LONG_RIGID.beside()
    assert beside.see(20_000_000, points) == []
    beside.move(1.0, way_m, 0.0, 0.0)
    return beside.see(20_000_000 + age_us, [])


@pytest.mark.parametrize(
    ("point", "noted"),
    [
        ((2.5, 0.0), True),
        ((2.49, 0.0), False),
        ((4.5, 0.0), True),
        ((4.51, 0.0), False),
        ((3.0, 2.75), True),
        ((3.0, -2.75), True),
    ],
)
def test_point_before_the_front__is_noted_within_two_metres(point: Point, noted: bool) -> None:
    assert kept_after([point], 4.0) == [(point[0] - 4.0, point[1])] * noted


@pytest.mark.parametrize(("left_m", "kept"), [(2.75, 1), (2.76, 0), (-2.75, 1), (-2.76, 0)])
def test_point_farther_aside_than_a_metre__is_not_noted_whichever_way_it_turns_then(
    left_m: float, kept: int
) -> None:
    beside = LONG_FOLDED.beside()
    beside.move(0.0, 0.0, 0.0, 0.0)
    beside.see(0, [(3.0, left_m)])
    beside.move(1.0, 4.0, 0.0, math.copysign(0.1, left_m))
    assert len(beside.see(1, [])) == kept


@pytest.mark.parametrize("side", [1.0, -1.0])
def test_point_that_comes_to_lie_farther_aside_than_a_metre__is_forgotten(side: float) -> None:
    beside = LONG_FOLDED.beside()
    beside.move(0.0, 0.0, 0.0, 0.0)
    beside.see(0, [(3.0, 2.7 * side)])
    beside.move(1.0, 4.0, 0.0, -0.2 * side)
    assert beside.see(1, []) == []


@pytest.mark.parametrize("finder", [LONG_RIGID, LONG_FOLDED], ids=["rigid", "articulated"])
@pytest.mark.parametrize(("way_m", "kept"), [(0.5, 0), (0.51, 1), (12.0, 1), (12.01, 0)])
def test_point_beside__counts_from_the_front_to_the_tail(
    finder: RangeFinder, way_m: float, kept: int
) -> None:
    beside = finder.beside()
    beside.see(0, [(3.0, 2.0)])
    beside.move(1.0, way_m, 0.0, 0.0)
    assert len(beside.see(1, [])) == kept


@pytest.mark.parametrize(("age_us", "kept"), [(10_000_000, 1), (10_000_001, 0)])
def test_point_not_seen_again__is_kept_for_ten_seconds(age_us: int, kept: int) -> None:
    assert len(kept_after([(3.0, 2.0)], 4.0, age_us)) == kept


@pytest.mark.parametrize(
    ("points", "kept"),
    [
        ([(3.2, 0.0), (3.4, 0.0)], [(-0.8, 0.0), (-0.6, 0.0)]),
        ([(3.2, 0.0), (3.2, 0.4)], [(-0.8, 0.0), (-0.8, 0.4)]),
        ([(3.0, 0.0), (3.08, 0.0)], [(-0.92, 0.0)]),
        ([(3.0, 0.0), (3.0, 0.08)], [(-1.0, 0.08)]),
    ],
)
def test_points_of_one_cell__the_last_is_kept(points: list[Point], kept: list[Point]) -> None:
    found = kept_after(points, 4.0)
    assert [each for point in found for each in point] == pytest.approx(
        [each for point in kept for each in point]
    )


@pytest.mark.parametrize(
    ("finder", "turned_rad"), [(LONG_RIGID, 0.0), (LONG_FOLDED, 0.6 * 0.4)],
    ids=["rigid", "articulated"],
)  # fmt: skip
def test_joint_turned__turns_the_front_body_by_the_share_of_the_rears_length(
    finder: RangeFinder, turned_rad: float
) -> None:
    beside = finder.beside()
    beside.move(0.0, 0.0, 0.0, 0.0)
    beside.see(0, [(2.5, 0.0)])
    beside.move(1.0, 4.0, 0.0, 0.0)
    beside.move(0.0, 0.0, 0.0, 0.4)
    ((x_m, y_m),) = beside.see(1, [])
    assert (x_m, y_m) == pytest.approx((-1.5 * math.cos(turned_rad), 1.5 * math.sin(turned_rad)))


class Heard(Beside):
    """Notes how it is moved."""

    def __init__(self) -> None:
        super().__init__(2.5, 9.0, 1.75, 0.0)
        self.moves: list[tuple[float, float, float, float]] = []

    def move(
        self, time_s: float, speed_mps: float, curvature_per_m: float, joint_rad: float
    ) -> None:
        self.moves.append((time_s, speed_mps, curvature_per_m, joint_rad))


@pytest.mark.parametrize(
    ("finder", "joint_rad"),
    [(LONG_RIGID, 0.0), (LONG_FOLDED, LONG_FOLDED.rear and LONG_FOLDED.rear.joint_rad(0.1))],
    ids=["rigid", "articulated"],
)
def test_machine_moved__by_the_time_since_the_last_tick_and_with_the_curves_joint(
    finder: RangeFinder, joint_rad: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard = Heard()
    monkeypatch.setattr(RangeFinder, "beside", lambda _: heard)
    clearance = Clearance(finder)
    clearance.move(5_000_000, 2.0, 0.1)
    clearance.move(5_010_000, 3.0, 0.1)
    clearance.move(5_030_000, None, 0.1)
    clearance.move(5_040_000, -1.0, 0.1)
    assert heard.moves == [
        (0.0, 2.0, 0.1, joint_rad),
        (0.01, 3.0, 0.1, joint_rad),
        (0.01, -1.0, 0.1, joint_rad),
    ]


@pytest.mark.parametrize("curvature_per_m", [-0.12, 0.0, 0.05, 0.12])
def test_joint_of_a_curve__is_the_frames_own(curvature_per_m: float) -> None:
    rear = RangeFinder.of(TRUCK.profile.machine, 40.0).rear
    assert rear is not None
    wanted_rad = frame_of(TRUCK.profile.machine).angle_for(curvature_per_m)
    assert rear.joint_rad(curvature_per_m) == pytest.approx(wanted_rad)


# -- both bodies, and a trailer, against bodies moved step by step: slow, and so the last


@pytest.mark.requirement("HF-GOV-01")
@pytest.mark.parametrize("parts", [TRUCK, RIGID], ids=["articulated", "rigid"])
@pytest.mark.parametrize("curvature_per_m", [0.06, -0.12])
def test_free_way_beside_and_ahead__is_that_of_all_bodies_moved_step_by_step(
    parts: Machine, curvature_per_m: float
) -> None:
    finder = RangeFinder.of(parts.profile.machine, 20.0)
    dice, side = Random(6), math.copysign(1.0, curvature_per_m)
    clear_m = finder.half_m + ASIDE_M
    outer = [
        (dice.uniform(-9.0, 6.0), -side * (clear_m + dice.uniform(0.02, 0.4))) for _ in range(60)
    ]
    ahead = [(dice.uniform(4.0, 16.0), dice.uniform(-6.0, 6.0)) for _ in range(30)]
    frame = frame_of(parts.profile.machine)
    joint_rad = frame.angle_for(curvature_per_m) if finder.rear is not None else 0.0
    pose = BodyPose(0.0, 0.0, 0.0, joint_rad)
    free = [
        point
        for point in (*outer, *ahead)
        if not covers(parts, pose, point) and not grazes(parts, pose, point, 1.0 / curvature_per_m)
    ]
    met = 0
    for point in free:
        wanted_m = swept_after_m(parts, point, curvature_per_m, 20.0)
        found_m = min(free_way_m([point], finder, curvature_per_m), 20.0)
        assert found_m == pytest.approx(wanted_m, abs=0.07), point
        met += point in outer and wanted_m < 20.0
    assert met > 2


@pytest.mark.requirement("HF-GOV-01")
@pytest.mark.parametrize("curvature_per_m", [0.15, -0.2])
def test_free_way_with_a_trailer__is_never_more_than_that_of_its_bodies_moved_step_by_step(
    curvature_per_m: float,
) -> None:
    finder, dice = RangeFinder.of(TOWING.profile.machine, 12.0), Random(8)
    assert finder.rear is not None
    joint_rad = finder.rear.joint_rad(curvature_per_m)
    side = math.copysign(1.0, curvature_per_m)
    poses = [BodyPose(0.0, 0.0, 0.0, each_rad) for each_rad in (0.0, joint_rad)]
    points = [(dice.uniform(-5.0, 5.0), dice.uniform(-4.0, 5.0) * side) for _ in range(150)]
    met = 0
    for point in (each for each in points if not any(covers(TOWING, pose, each) for pose in poses)):
        wanted_m = towed_after_m(point, curvature_per_m, joint_rad)
        found_m = free_way_m([point], finder, curvature_per_m)
        assert found_m <= wanted_m + STEP_M + 0.05, point
        met += point[0] < 0.0 and wanted_m < 12.0
    assert met > 5
