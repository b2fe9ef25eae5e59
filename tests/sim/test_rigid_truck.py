"""The rigid haul truck: steering, slip limits, load, brake heat, roll-over."""

from __future__ import annotations

import math

import pytest

from sim.machines.plant import STEP_MAX_NS, MachinePlant
from sim.machines.surroundings import BodyPose, Floor, OpenGround
from sim.machines.trials import (
    COAST,
    DRIVE,
    ORIGIN,
    STEP_NS,
    circle_radius_m,
    reach,
    released,
    run,
    run_until,
)
from tests.sim.worlds import shipped

TRUCK = shipped("rigid_truck_55t")
P, LIMITS = TRUCK.plant, TRUCK.profile.limits
BRAKE = COAST._replace(brake_mps2=LIMITS.service_brake_max_mps2)


class SideSlope:
    """An endless plane that falls to the right of a machine that drives along +x."""

    def __init__(self, cross_grade: float, friction: float = 1.0) -> None:
        self._floor = Floor(0.0, cross_grade, friction)

    def floor(self, x_m: float, y_m: float, heading_rad: float) -> Floor:
        return self._floor

    def free_share(self, before: BodyPose, after: BodyPose) -> float:
        return 1.0


def test_steering_at_standstill__turns_the_wheels_and_not_the_machine() -> None:
    plant = released(TRUCK)
    run(plant, COAST._replace(brake_mps2=2.0, curvature_per_m=0.1), 6.0)
    state = plant.state
    assert state.steer_rad == pytest.approx(math.atan(0.1 * 4.215), abs=0.01)
    assert (state.x_m, state.y_m, state.heading_rad, state.joint_rad) == (0.0, 0.0, 0.0, 0.0)


def test_reference_point__rolls_along_the_heading_and_the_front_axle_runs_wide() -> None:
    plant = released(TRUCK)
    bend = DRIVE._replace(speed_limit_mps=1.2, curvature_per_m=0.1)
    run(plant, bend, 15.0)
    before = plant.state
    plant.step(STEP_NS, bend)
    after = plant.state
    course_rad = math.atan2(after.y_m - before.y_m, after.x_m - before.x_m)
    assert math.remainder(course_rad - before.heading_rad, math.tau) == pytest.approx(0.0, abs=2e-3)
    assert circle_radius_m(plant, bend) == pytest.approx(10.0, abs=0.25)


def test_driven_rear_axle_on_ice__climbs_only_what_its_share_of_grip_allows() -> None:
    steepest = 0.3 * P.tyres.driven_share - P.tyres.rolling_resistance
    below, above = released(TRUCK, steepest - 0.02, 0.3), released(TRUCK, steepest + 0.02, 0.3)
    held = DRIVE._replace(accel_mps2=1.0)
    run(below, held, 5.0)
    run(above, held, 5.0)
    assert below.state.speed_mps > 0.3
    assert above.state.speed_mps <= 0.0


def test_slippery_bend__machine_runs_wide_of_what_is_steered() -> None:
    plant = released(TRUCK, friction=0.15)
    reach(plant, 8.0, DRIVE._replace(accel_mps2=0.5))
    run(plant, COAST._replace(curvature_per_m=0.05), 2.0)
    state = plant.state
    lateral_mps2 = state.speed_mps * state.yaw_rate_radps
    assert state.speed_mps**2 * state.curvature_per_m > 2.0
    assert 1.2 < lateral_mps2 <= 0.15 * 9.80665


def test_braking_in_a_bend__takes_grip_from_the_steering() -> None:
    free, braked = released(TRUCK, friction=0.2), released(TRUCK, friction=0.2)
    for plant, demand in ((free, COAST), (braked, BRAKE)):
        reach(plant, 8.0, DRIVE._replace(accel_mps2=0.5))
        run(plant, demand._replace(curvature_per_m=0.05), 1.5)
    sides = [plant.state.yaw_rate_radps * plant.state.speed_mps for plant in (free, braked)]
    assert sides[1] < 0.6 * sides[0]


def test_empty_truck__accelerates_faster_and_stops_the_same() -> None:
    speeds, stops = [], []
    for share in (1.0, 0.0):
        plant = released(TRUCK, grade=0.05, payload_share=share)
        run(plant, DRIVE, 8.0)
        speeds.append(plant.state.speed_mps)
        plant = released(TRUCK, payload_share=share)
        reach(plant, 5.0, DRIVE._replace(accel_mps2=0.4))
        start_m = plant.state.distance_m
        run_until(plant, BRAKE, lambda state: state.speed_mps == 0.0)
        stops.append(plant.state.distance_m - start_m)
    assert speeds[1] > 1.3 * speeds[0]
    assert stops[1] == pytest.approx(stops[0], rel=0.03)


def test_raised_body__lets_the_load_out_for_good() -> None:
    plant = released(TRUCK)
    hold = COAST._replace(brake_mps2=2.0)
    run(plant, hold._replace(implement=1.0), 4.0)
    assert plant.state.payload_share == 1.0
    run(plant, hold._replace(implement=1.0), 10.0)
    assert plant.state.payload_share == 0.0
    run(plant, hold._replace(implement=-1.0), 20.0)
    assert plant.state.tool == 0.0
    assert plant.state.payload_share == 0.0
    plant.load(0.7)
    assert plant.state.payload_share == 0.7


@pytest.mark.parametrize("share", [-0.1, 1.1, math.nan])
def test_load_that_is_no_share__is_refused(share: float) -> None:
    with pytest.raises(ValueError, match="payload share"):
        released(TRUCK).load(share)


def descend(retarder: float) -> MachinePlant:
    """Four minutes down 14 % at 8 m/s, held by the service brake, or mostly by the retarder."""
    plant = released(TRUCK, grade=-0.14)
    reach(plant, 8.0, COAST)
    for _ in range(2400):
        over_mps = plant.state.speed_mps - 8.0
        brake = COAST._replace(brake_mps2=max(0.0, 1.0 + over_mps))
        slow = COAST._replace(retarder=retarder, brake_mps2=max(0.0, over_mps))
        held = brake if retarder == 0.0 else slow
        for _ in range(5):
            plant.step(STEP_MAX_NS, held)
    return plant


def test_long_descent_on_the_service_brake__fades_and_the_retarder_spares_it() -> None:
    hot, cool = descend(0.0), descend(1.0)
    assert hot.state.brake_temperature_c > P.brakes.fade_from_c
    assert cool.state.brake_temperature_c < 60.0
    for plant in (hot, cool):
        reach(plant, plant.state.speed_mps)
        run(plant, COAST._replace(brake_mps2=P.brakes.max_mps2), 1.0)
    assert hot.state.brake_mps2 < 0.97 * cool.state.brake_mps2


def test_faded_brake__its_pressure_sensor_sees_nothing() -> None:
    plant = released(TRUCK)
    plant.service_brake.temperature_c = P.brakes.fade_to_c
    run(plant, COAST._replace(brake_mps2=2.0), 3.0)
    feedback = plant.step(STEP_NS, COAST._replace(brake_mps2=2.0))
    assert feedback.brake_mps2 == pytest.approx(2.0, rel=1e-3)
    assert plant.state.brake_mps2 == pytest.approx(2.0 * P.brakes.fade_share, rel=0.03)


def test_standing_brake__cools_to_the_air() -> None:
    plant = released(TRUCK)
    plant.service_brake.temperature_c = 200.0
    run(plant, COAST, 60.0)
    tau_s = P.brakes.heat_capacity_j_per_k / P.brakes.cooling_w_per_k
    expected_c = 25.0 + 175.0 * math.exp(-60.0 / tau_s)
    assert plant.state.brake_temperature_c == pytest.approx(expected_c, abs=0.1)


def test_side_slope__loaded_truck_falls_beyond_half_its_track_over_its_height() -> None:
    steepest = 0.5 * P.stability.track_m / P.stability.cg_height_loaded_m
    for slope, falls in ((0.98 * steepest, False), (1.02 * steepest, True)):
        plant = MachinePlant(TRUCK, SideSlope(slope), ORIGIN)
        run(plant, COAST._replace(park=True), 2.0)
        assert plant.state.overturned is falls


def test_side_slope_that_a_loaded_truck_does_not_stand__an_empty_one_does() -> None:
    slope = 0.55 * P.stability.track_m / P.stability.cg_height_loaded_m
    plant = MachinePlant(TRUCK, SideSlope(slope), ORIGIN, payload_share=0.0)
    run(plant, COAST._replace(park=True), 2.0)
    assert not plant.state.overturned
    assert 0.5 < plant.state.roll_share < 1.0


def test_fast_turn_down_the_slope__rolls_over_and_lies_for_good() -> None:
    plant = MachinePlant(TRUCK, SideSlope(0.3), ORIGIN)
    reach(plant, 8.0)
    assert not plant.state.overturned
    turn = COAST._replace(curvature_per_m=0.1)
    run_until(plant, turn, lambda state: state.overturned)
    slid_m = plant.state.distance_m
    run(plant, DRIVE._replace(curvature_per_m=-0.1), 10.0)
    feedback = plant.step(STEP_NS, DRIVE)
    assert plant.state.speed_mps == 0.0
    assert 1.0 < plant.state.distance_m - slid_m < 12.0
    assert feedback.roll_rad == pytest.approx(math.pi / 2.0)
    assert plant.ledger.sliding_j > 0.0


def test_half_the_step__gives_nearly_the_same_bend_and_stop() -> None:
    ends = []
    for step_ns in (5_000_000, 10_000_000):
        plant = MachinePlant(TRUCK, OpenGround(), ORIGIN)
        for _ in range(15_000_000_000 // step_ns):
            plant.step(step_ns, DRIVE._replace(speed_limit_mps=5.0, curvature_per_m=0.02))
        for _ in range(6_000_000_000 // step_ns):
            plant.step(step_ns, BRAKE)
        ends.append(plant.state)
    assert ends[0].distance_m == pytest.approx(ends[1].distance_m, rel=2e-3)
    assert ends[0].heading_rad == pytest.approx(ends[1].heading_rad, rel=5e-3)
