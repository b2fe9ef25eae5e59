"""The 8x8 truck: two steered axles, eight driven wheels, an automatic gearbox off the road."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim.machines.frames import RigidFrame
from sim.machines.trials import (
    COAST,
    DRIVE,
    STEP_NS,
    circle_radius_m,
    reach,
    released,
    run,
    steady_speed_mps,
)
from tests.sim.worlds import shipped

TRUCK = shipped("truck_8x8_50t")
P = TRUCK.plant
FRAME = RigidFrame(5.435, 3.285)


@given(curvature_per_m=st.floats(-0.1062, 0.1062))
def test_both_steered_axles__point_at_one_turning_centre(curvature_per_m: float) -> None:
    first_rad = FRAME.angle_for(curvature_per_m)
    second_rad = 2.0 * FRAME.shown_angle(first_rad) - first_rad
    assert math.tan(first_rad) == pytest.approx(5.435 * curvature_per_m, abs=1e-12)
    assert math.tan(second_rad) == pytest.approx(3.285 * curvature_per_m, abs=1e-12)
    assert FRAME.curvature_of(first_rad) == pytest.approx(curvature_per_m, abs=1e-12)


def test_reported_angle__is_the_mean_of_both_steered_axles() -> None:
    plant = released(TRUCK)
    left = COAST._replace(brake_mps2=2.0, curvature_per_m=0.2)
    run(plant, left, 6.0)
    feedback = plant.step(STEP_NS, left)
    first_rad = math.radians(30.0)
    second_rad = math.atan(3.285 / 5.435 * math.tan(first_rad))
    assert plant.state.steer_rad == pytest.approx(first_rad)
    assert feedback.steer_angle_rad == pytest.approx(0.5 * (first_rad + second_rad))
    assert feedback.curvature_per_m == pytest.approx(1.0 / 9.41, rel=1e-3)


def test_curvature_limit__is_reached_within_the_dead_band() -> None:
    plant = released(TRUCK)
    bend = DRIVE._replace(speed_limit_mps=1.2, curvature_per_m=0.105)
    run(plant, bend, 15.0)
    assert circle_radius_m(plant, bend) == pytest.approx(9.52, abs=0.15)


def test_faster_turn__runs_a_little_wider() -> None:
    radii_m = []
    for speed_mps in (1.2, 7.0):
        plant = released(TRUCK)
        bend = DRIVE._replace(speed_limit_mps=speed_mps, curvature_per_m=0.03)
        run(plant, bend, 30.0)
        radii_m.append(circle_radius_m(plant, bend, 3.0))
    assert 1.005 < radii_m[1] / radii_m[0] < 1.15


def test_thirty_percent__is_climbed_in_first_gear() -> None:
    plant = released(TRUCK, grade=0.3)
    run(plant, DRIVE, 20.0)
    assert plant.state.gear == 1
    load_n = 50_000.0 * 9.80665 / math.sqrt(1.09)
    expected_mps = 375e3 * 0.8 / (load_n * 0.34)
    assert plant.state.speed_mps == pytest.approx(expected_mps, rel=0.03)


def test_steeper_than_its_grip__is_not_climbed() -> None:
    assert steady_speed_mps(TRUCK, 0.5) == 0.0


def test_gears__rise_one_by_one_with_the_speed() -> None:
    plant = released(TRUCK, payload_share=0.0)
    gears = []
    for _ in range(60):
        run(plant, DRIVE, 1.0)
        gears.append(plant.state.gear)
    assert gears == sorted(gears)
    assert gears[0] == 1
    assert gears[-1] >= 6


def test_retarder_alone__holds_a_ten_percent_descent_at_thirty_kmh() -> None:
    plant = released(TRUCK, grade=-0.10)
    reach(plant, 8.3, COAST)
    run(plant, COAST._replace(retarder=1.0), 3.0)
    before_mps = plant.state.speed_mps
    run(plant, COAST._replace(retarder=1.0), 2.0)
    assert plant.state.speed_mps < before_mps
    assert plant.state.brake_temperature_c < 30.0


def test_much_too_fast_turn__slip_has_its_ceiling_and_side_force_the_grip() -> None:
    plant = released(TRUCK, payload_share=0.0)
    reach(plant, 11.0)
    run(plant, COAST._replace(curvature_per_m=0.1), 1.2)
    state = plant.state
    assert state.speed_mps**2 * state.curvature_per_m > 6.0
    assert state.speed_mps * state.yaw_rate_radps <= P.tyres.friction * 9.80665 * (1.0 + 1e-9)
    assert not state.overturned
