"""Contact with the walls: exact, counted by onset, never tunnelled."""

from __future__ import annotations

import math
from functools import cache
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sim.machines.surroundings import BodyPose
from sim.world.contact import DriftWalls
from sim.world.drift import Drift
from sim.world.files import WorldFileError
from sim.world.site import Site, load_site
from tests.sim.worlds import (
    DRIFT_FILE,
    DRIVE,
    STADIUM,
    STEP_NS,
    follow,
    in_drift,
    machine,
    run,
    stadium,
)

BODY = machine().body
FRONT, REAR = BODY.front[0], BODY.rear[0]
HALF_M = FRONT.half_m


@cache
def shipped() -> tuple[Site, DriftWalls]:
    site = load_site(DRIFT_FILE)
    return site, DriftWalls(site, BODY)


def pose_in(
    site: Site, station_m: float, offset_m: float, aside_rad: float, joint_rad: float
) -> BodyPose:
    point = site.pose_at(station_m)
    return BodyPose(
        point.x_m - offset_m * math.sin(point.heading_rad),
        point.y_m + offset_m * math.cos(point.heading_rad),
        point.heading_rad + aside_rad,
        joint_rad,
    )


@pytest.mark.parametrize("side", [1.0, -1.0])
def test_parallel_machine__touches_exactly_at_the_wall(tmp_path: Path, side: float) -> None:
    walls = DriftWalls(stadium(tmp_path), BODY)
    room_m = 2.75 - HALF_M
    for off_m, touches in ((0.0, False), (room_m - 1e-6, False), (room_m + 1e-6, True)):
        assert walls.touch(BodyPose(50.0, side * off_m, 0.0, 0.0), 50.0) is touches


@pytest.mark.parametrize("side", [1.0, -1.0])
def test_folded_machine__its_tail_touches_where_geometry_says(tmp_path: Path, side: float) -> None:
    walls = DriftWalls(stadium(tmp_path), BODY)
    tail_m = -REAR.rear_m
    touching_rad = next(
        angle
        for angle in (step * 1e-4 for step in range(1, 8000))
        if tail_m * math.sin(angle) + HALF_M * math.cos(angle) >= 2.75
    )
    for angle_rad, touches in ((touching_rad - 2e-4, False), (touching_rad + 2e-4, True)):
        assert walls.touch(BodyPose(50.0, 0.0, 0.0, side * angle_rad), 50.0) is touches


def test_rock_nose_between_the_corners__is_found(tmp_path: Path) -> None:
    site = stadium(tmp_path)
    walls = DriftWalls(site, BODY)
    chord = pose_in(site, 130.0, 0.95, 0.075, 0.0)
    corners = [
        (ahead_m, aside_m)
        for ahead_m in (FRONT.front_m, FRONT.rear_m)
        for aside_m in (HALF_M, -HALF_M)
    ]
    for ahead_m, aside_m in corners:
        x_m = chord.x_m + ahead_m * math.cos(chord.heading_rad)
        y_m = chord.y_m + ahead_m * math.sin(chord.heading_rad)
        x_m -= aside_m * math.sin(chord.heading_rad)
        y_m += aside_m * math.cos(chord.heading_rad)
        assert abs(site.locate(x_m, y_m, 130.0)[1]) < 2.75
    assert walls.touch(chord, 130.0)


def deepest_m(site: Site, pose: BodyPose, near_station_m: float) -> float:
    """Reference: how far dense points of both outlines lie in rock (negative: clear)."""
    joint = (
        pose.x_m - BODY.fold_m * math.cos(pose.heading_rad),
        pose.y_m - BODY.fold_m * math.sin(pose.heading_rad),
    )
    units = (
        (joint, pose.heading_rad, 0.0, FRONT.front_m - FRONT.rear_m),
        (joint, pose.heading_rad - pose.joint_rad, REAR.rear_m, 0.0),
    )
    deepest = -math.inf
    for (x_m, y_m), heading_rad, rear_m, front_m in units:
        for index in range(111):
            ahead_m = rear_m + (front_m - rear_m) * index / 110.0
            for aside_m in (HALF_M, -HALF_M):
                station_m, offset_m = site.locate(
                    x_m + ahead_m * math.cos(heading_rad) - aside_m * math.sin(heading_rad),
                    y_m + ahead_m * math.sin(heading_rad) + aside_m * math.cos(heading_rad),
                    near_station_m + ahead_m,
                )
                deepest = max(deepest, abs(offset_m) - site.half_width_at(station_m))
    return deepest


@settings(max_examples=400)
@given(
    station_m=st.floats(0.0, 1217.0),
    offset_m=st.floats(-2.0, 2.0),
    aside_rad=st.floats(-0.4, 0.4),
    joint_rad=st.floats(-0.74, 0.74),
)
def test_any_pose__agrees_with_dense_sampling(
    station_m: float, offset_m: float, aside_rad: float, joint_rad: float
) -> None:
    site, walls = shipped()
    pose = pose_in(site, station_m, offset_m, aside_rad, joint_rad)
    deep_m = deepest_m(site, pose, station_m)
    touches = walls.touch(pose, station_m)
    assert touches or deep_m < 0.02
    assert not touches or deep_m > -0.02


@settings(max_examples=400)
@given(
    station_m=st.floats(0.0, 1217.0),
    offset_m=st.floats(-1.0, 1.0),
    aside_rad=st.floats(-0.1, 0.1),
    joint_rad=st.floats(-0.4, 0.4),
    course_rad=st.floats(-math.pi, math.pi),
)
def test_a_move_within_the_room__never_touches(
    station_m: float, offset_m: float, aside_rad: float, joint_rad: float, course_rad: float
) -> None:
    site, walls = shipped()
    pose = pose_in(site, station_m, offset_m, aside_rad, joint_rad)
    room_m = walls.room(pose, station_m)
    moved = pose._replace(
        x_m=pose.x_m + max(room_m, 0.0) * math.cos(course_rad),
        y_m=pose.y_m + max(room_m, 0.0) * math.sin(course_rad),
    )
    assert walls.touch(moved, station_m) is (room_m < 0.0)


@pytest.mark.parametrize("step_ns", [5_000_000, 20_000_000])
def test_full_speed_into_the_wall__stops_at_it_and_counts_once(
    tmp_path: Path, step_ns: int
) -> None:
    site = stadium(tmp_path, STADIUM.replace("friction = 0.45", "friction = 1.0"))
    plant, drift = in_drift(site)
    walls = DriftWalls(site, BODY)
    straight_on = DRIVE._replace(curvature_per_m=0.0)
    for _ in range(round(40e9 / step_ns)):
        plant.step(step_ns, straight_on)
        state = plant.state
        pose = BodyPose(state.x_m, state.y_m, state.heading_rad, state.joint_rad)
        assert not walls.touch(pose, drift.station_m)
    assert plant.state.contacts == 1
    assert plant.state.touching
    assert plant.state.speed_mps == 0.0
    beyond = pose._replace(x_m=pose.x_m + 0.001 * math.cos(pose.heading_rad))
    assert walls.touch(beyond, drift.station_m)


def test_backing_off_and_hitting_again__counts_twice(tmp_path: Path) -> None:
    plant, _ = in_drift(stadium(tmp_path))
    run(plant, DRIVE, 40.0)
    run(plant, DRIVE._replace(direction=-1, speed_limit_mps=1.0), 5.0)
    assert not plant.state.touching
    assert plant.state.contacts == 1
    run(plant, DRIVE, 10.0)
    assert plant.state.contacts == 2


def test_standing_machine__cannot_fold_into_the_wall(tmp_path: Path) -> None:
    site = stadium(tmp_path)
    plant, drift = in_drift(site)
    still = DRIVE._replace(accel_mps2=0.0, brake_mps2=2.0, curvature_per_m=0.2)
    run(plant, still, 10.0)
    state = plant.state
    assert state.contacts == 1
    assert 0.1 < state.joint_rad < machine().plant.steering.limit_rad - 0.01
    pose = BodyPose(state.x_m, state.y_m, state.heading_rad, state.joint_rad)
    assert not DriftWalls(site, BODY).touch(pose, drift.station_m)


def test_two_laps_of_the_shipped_drift__touch_nothing() -> None:
    site = load_site(DRIFT_FILE)
    plant, drift = in_drift(site)
    most_m = 0.0
    for _ in range(60_000):
        plant.step(STEP_NS, follow(site, drift, plant))
        most_m = max(most_m, abs(drift.offset_m))
    assert plant.state.contacts == 0
    assert plant.state.distance_m > 1.9 * site.length_m
    assert most_m < 0.9


def test_machine_too_wide_for_the_start__is_refused(tmp_path: Path) -> None:
    site = stadium(tmp_path, STADIUM.replace("width_m = 5.5", "width_m = 3.4"))
    with pytest.raises(WorldFileError, match="does not fit"):
        Drift(site, BODY)
