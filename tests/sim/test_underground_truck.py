"""Acceptance tests of the underground truck's plant.

Figures: the class's data sheets as given in the machine file, and the legal stopping distance
of US 30 CFR 57.14101, table M-1: d = v t_sys + v²/(2 (a − g grade)), a = 2.944 m/s²,
t_sys = 2.0 s for 63.5 to 113.4 t, without the operator's own second.
"""

from __future__ import annotations

import math
import os
import subprocess
import sys
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sim.machines.frames import ArticulatedFrame
from sim.machines.interface import ActuatorDemand
from sim.machines.longitudinal import GRAVITY_MPS2
from sim.machines.plant import STEP_MAX_NS, MachinePlant
from sim.machines.power_shift import PowerShiftParameters
from sim.machines.surroundings import BodyPose, OpenGround
from sim.machines.tools import DumpBodyParameters
from tests.sim.worlds import COAST, DRIVE, ORIGIN, ROOT, STEP_NS, machine, reach, run, stop, truck

PARTS = machine()
P, SIZE, LIMITS = PARTS.plant, PARTS.profile.machine, PARTS.profile.limits
assert isinstance(P.drive, PowerShiftParameters)
assert isinstance(P.tool, DumpBodyParameters)
assert SIZE.front_joint_m is not None
assert SIZE.rear_joint_m is not None
FRONT_M, REAR_M = SIZE.front_joint_m, SIZE.rear_joint_m
FRAME = ArticulatedFrame(FRONT_M, REAR_M)
DRIVE_P, RAISE_S = P.drive, P.tool.raise_s
BRAKE = COAST._replace(brake_mps2=LIMITS.service_brake_max_mps2)
STEP_S = STEP_NS / 1e9


def legal_stop_m(speed_mps: float, grade: float) -> float:
    decel_mps2 = 2.944 + GRAVITY_MPS2 * grade
    return speed_mps * 2.0 + speed_mps**2 / (2.0 * decel_mps2)


def circle_radius_m(plant: MachinePlant, demand: ActuatorDemand) -> float:
    """Radius of the circle through three places of a steady turn."""
    places = []
    for _ in range(3):
        run(plant, demand, 5.0)
        places.append(complex(plant.state.x_m, plant.state.y_m))
    a, b, c = places
    area = abs(((b - a).conjugate() * (c - a)).imag) / 2.0
    return abs(a - b) * abs(b - c) * abs(c - a) / (4.0 * area)


# Steering


@pytest.mark.parametrize("side", [1.0, -1.0])
def test_end_stop__gives_the_minimum_radius(side: float) -> None:
    plant = truck()
    slow = DRIVE._replace(speed_limit_mps=1.2, curvature_per_m=side * 0.2)
    run(plant, slow, 30.0)
    assert abs(plant.state.joint_rad) == pytest.approx(P.steering.limit_rad)
    assert circle_radius_m(plant, slow) == pytest.approx(7.7, abs=0.15)


def test_curvature_limit__is_reached_within_the_dead_band() -> None:
    plant = truck()
    slow = DRIVE._replace(speed_limit_mps=1.2, curvature_per_m=LIMITS.curvature_max_per_m)
    run(plant, slow, 30.0)
    assert circle_radius_m(plant, slow) == pytest.approx(8.0, abs=0.15)


@given(curvature_per_m=st.floats(-0.129, 0.129))
def test_joint_for_curvature__is_the_inverse(curvature_per_m: float) -> None:
    joint_rad = FRAME.angle_for(curvature_per_m)
    assert abs(joint_rad) <= P.steering.limit_rad + 1e-3
    assert FRAME.curvature_of(joint_rad) == pytest.approx(curvature_per_m, abs=1e-12)


def test_steering_step__dead_time_then_rate_limit_then_lag_without_overshoot() -> None:
    plant = truck()
    wanted_rad = FRAME.angle_for(0.08)
    joints = []
    for _ in range(800):
        plant.step(STEP_NS, COAST._replace(brake_mps2=2.0, curvature_per_m=0.08))
        joints.append(plant.state.joint_rad)
    moved_s = next(i for i, joint in enumerate(joints) if joint > 0.0) * STEP_S
    assert moved_s == pytest.approx(P.steering.dead_time_s, abs=0.03)
    rates = [(after - before) / STEP_S for before, after in pairwise(joints)]
    assert max(rates) <= P.steering.rate_radps * 1.001
    assert max(rates) == pytest.approx(P.steering.rate_radps, rel=0.02)
    assert max(joints) <= wanted_rad
    assert joints[-1] == pytest.approx(wanted_rad, abs=1.1 * P.steering.dead_band_rad)
    half_s = next(i for i, joint in enumerate(joints) if joint > wanted_rad / 2.0) * STEP_S
    ideal_s = P.steering.dead_time_s + P.steering.tau_s + wanted_rad / 2.0 / P.steering.rate_radps
    assert half_s == pytest.approx(ideal_s, abs=0.05)


def test_lock_to_lock__takes_between_five_and_eight_seconds() -> None:
    plant = truck()
    hold = COAST._replace(brake_mps2=2.0)
    run(plant, hold._replace(curvature_per_m=-0.2), 12.0)
    assert plant.state.joint_rad == pytest.approx(-P.steering.limit_rad)
    steps = 0
    while plant.state.joint_rad < 0.99 * P.steering.limit_rad:
        plant.step(STEP_NS, hold._replace(curvature_per_m=0.2))
        steps += 1
        assert steps < 1000
    assert 5.0 <= steps * STEP_S <= 8.0


def test_frozen_steering__stands_after_the_dead_time_for_good() -> None:
    plant = truck()
    hold = COAST._replace(brake_mps2=2.0)
    run(plant, hold._replace(curvature_per_m=0.12), 2.0)
    before_rad = plant.state.joint_rad
    freeze = hold._replace(curvature_per_m=None)
    run(plant, freeze, P.steering.dead_time_s + 0.02)
    frozen = plant.state
    assert (
        0.0
        < frozen.joint_rad - before_rad
        <= P.steering.rate_radps * (P.steering.dead_time_s + 0.02)
    )
    run(plant, freeze, 30.0)
    assert plant.state.joint_rad == frozen.joint_rad
    assert plant.state.heading_rad == frozen.heading_rad


def test_joint_moved_at_standstill__turns_both_bodies_against_each_other() -> None:
    plant = truck()
    run(plant, COAST._replace(brake_mps2=2.0, curvature_per_m=0.1), 8.0)
    state = plant.state
    rear_heading_rad = state.heading_rad - state.joint_rad
    assert state.speed_mps == 0.0
    assert (state.x_m, state.y_m) == (0.0, 0.0)
    assert state.heading_rad > 0.25
    assert rear_heading_rad < -0.25
    share = REAR_M / (FRONT_M + REAR_M)
    assert state.heading_rad / state.joint_rad == pytest.approx(share, rel=0.05)


def test_rear_axle_without_slip__rolls_along_its_own_heading() -> None:
    tyres = replace(P.tyres, slip_front_rad_per_mps2=0.0, slip_rear_rad_per_mps2=0.0)
    stiff = replace(PARTS, plant=replace(P, tyres=tyres))
    plant = MachinePlant(stiff, OpenGround(), ORIGIN)
    rear: list[tuple[float, float, float]] = []
    step_ns = 1_000_000
    for index in range(12_000):
        curvature = 0.1 * math.sin(index * 1e-3)
        plant.step(step_ns, DRIVE._replace(speed_limit_mps=4.0, curvature_per_m=curvature))
        state = plant.state
        rear_rad = state.heading_rad - state.joint_rad
        joint_x_m = state.x_m - FRONT_M * math.cos(state.heading_rad)
        joint_y_m = state.y_m - FRONT_M * math.sin(state.heading_rad)
        rear.append(
            (
                joint_x_m - REAR_M * math.cos(rear_rad),
                joint_y_m - REAR_M * math.sin(rear_rad),
                rear_rad,
            )
        )
    sideways_m = [
        abs(
            -(after[0] - before[0]) * math.sin(0.5 * (before[2] + after[2]))
            + (after[1] - before[1]) * math.cos(0.5 * (before[2] + after[2]))
        )
        for before, after in pairwise(rear)
    ]
    assert plant.state.speed_mps > 3.0
    assert max(sideways_m) < 1e-8


def test_tyre_slip__widens_a_fast_turn_a_little() -> None:
    radii = []
    for speed_mps in (1.5, 6.0):
        plant = truck()
        bend = DRIVE._replace(speed_limit_mps=speed_mps, curvature_per_m=1.0 / 25.0)
        run(plant, bend, 25.0)
        radii.append(circle_radius_m(plant, bend))
    assert radii[0] == pytest.approx(25.0, abs=0.8)
    assert 1.005 < radii[1] / radii[0] < 1.10


# Driveline


def test_one_in_seven_loaded__is_climbed_at_about_eight_kmh() -> None:
    plant = truck(grade=1.0 / 7.0)
    run(plant, DRIVE, 60.0)
    assert plant.state.speed_mps * 3.6 == pytest.approx(8.4, abs=0.1)
    speed_mps = plant.state.speed_mps
    run(plant, DRIVE, 20.0)
    assert plant.state.speed_mps == pytest.approx(speed_mps, abs=1e-3)


def test_level_top_speed__is_that_of_the_highest_gear() -> None:
    plant = truck()
    run(plant, DRIVE, 120.0)
    assert 33.0 <= plant.state.speed_mps * 3.6 <= 36.5
    assert plant.state.gear == 7


def test_speed_limit__is_approached_from_below_and_never_passed() -> None:
    plant = truck()
    fastest_mps = 0.0
    for _ in range(4000):
        plant.step(STEP_NS, DRIVE._replace(speed_limit_mps=4.0))
        fastest_mps = max(fastest_mps, plant.state.speed_mps)
    assert 3.7 <= plant.state.speed_mps <= fastest_mps <= 4.0


def test_acceleration_demand__is_made_good_on_level_and_moderate_grade() -> None:
    for grade in (0.0, 0.08):
        plant = truck(grade=grade)
        run(plant, DRIVE._replace(accel_mps2=0.4, brake_mps2=0.0), 3.0)
        speeds = plant.state.speed_mps
        run(plant, DRIVE._replace(accel_mps2=0.4), 0.4)
        assert (plant.state.speed_mps - speeds) / 0.4 == pytest.approx(0.4, abs=0.06)


def test_power_shift__takes_the_traction_away_for_its_gap() -> None:
    plant = truck()
    gap_steps, gears = 0, set()
    for _ in range(800):
        plant.step(STEP_NS, DRIVE)
        gears.add(plant.state.gear)
        gap_steps += plant.state.gear == 2 and plant.state.drive_force_n == 0.0
    assert {1, 2, 3} <= gears
    assert gap_steps * STEP_S == pytest.approx(DRIVE_P.shift_gap_s, abs=0.02)


def test_reverse_while_rolling_forwards__engages_only_near_standstill() -> None:
    plant = truck()
    reach(plant, 2.0)
    backwards = DRIVE._replace(direction=-1, speed_limit_mps=1.5)
    for _ in range(20_000):
        feedback = plant.step(STEP_NS, backwards)
        assert feedback.gear == 0 or abs(plant.state.speed_mps) <= 1.5
        if plant.state.speed_mps > 0.3:
            assert feedback.gear == 0
        if plant.state.speed_mps < -1.0:
            break
    assert plant.state.speed_mps < -1.0


@pytest.mark.parametrize(("speed_kmh", "slower"), [(10.0, True), (15.0, False)])
def test_retarder_alone_on_the_decline__holds_up_to_twelve_kmh(
    speed_kmh: float, slower: bool
) -> None:
    plant = truck(grade=-1.0 / 7.0)
    reach(plant, speed_kmh / 3.6, COAST)
    run(plant, COAST._replace(retarder=1.0), DRIVE_P.retarder_ramp_s)
    speed_mps = plant.state.speed_mps
    run(plant, COAST._replace(retarder=1.0), 1.0)
    assert (plant.state.speed_mps < speed_mps) is slower


def test_retarder_below_five_kmh__fades_so_that_it_cannot_hold() -> None:
    plant = truck(grade=-0.2)
    run(plant, COAST._replace(retarder=1.0), 3.0)
    assert plant.state.speed_mps > 0.1


# Brakes


@pytest.mark.parametrize("speed_kmh", [10.0, 20.0])
@pytest.mark.parametrize(
    ("grade", "decel_mps2"),
    [
        (0.0, LIMITS.stop_decel_mps2),
        (0.0, LIMITS.service_brake_max_mps2),
        (-0.14, LIMITS.service_brake_max_mps2),
    ],
)
def test_stop__is_shorter_than_the_law_asks(
    speed_kmh: float, grade: float, decel_mps2: float
) -> None:
    plant = truck(grade=grade)
    reach(plant, speed_kmh / 3.6)
    speed_mps = plant.state.speed_mps
    distance_m = stop(plant, DRIVE._replace(accel_mps2=0.0, brake_mps2=decel_mps2))
    assert distance_m < legal_stop_m(speed_mps, grade)
    assert distance_m > speed_mps**2 / (2.0 * (P.brakes.max_mps2 + 0.4))


@pytest.mark.parametrize("speed_kmh", [10.0, 20.0])
def test_park_brake_alone__stops_on_the_decline_within_the_law(speed_kmh: float) -> None:
    plant = truck(grade=-0.14)
    reach(plant, speed_kmh / 3.6)
    speed_mps = plant.state.speed_mps
    assert stop(plant, COAST._replace(park=True)) < legal_stop_m(speed_mps, -0.14)


def test_brake_demand__acts_after_dead_time_and_lag() -> None:
    plant = truck()
    reach(plant, 5.0)
    run(plant, COAST, 2.0)
    decels = [plant.step(STEP_NS, COAST._replace(brake_mps2=2.0)).brake_mps2 for _ in range(150)]
    start_s = next(i for i, decel in enumerate(decels) if decel > 0.0) * STEP_S
    assert start_s == pytest.approx(P.brakes.dead_time_s, abs=0.015)
    most_s = next(i for i, decel in enumerate(decels) if decel > 2.0 * 0.632) * STEP_S
    assert most_s == pytest.approx(P.brakes.dead_time_s + P.brakes.tau_s, abs=0.03)
    assert plant.state.accel_mps2 == pytest.approx(-2.28, abs=0.05)


def test_polished_wet_floor__limits_the_deceleration_to_its_friction() -> None:
    plant = truck(friction=0.15)
    reach(plant, 5.0)
    run(plant, COAST._replace(brake_mps2=3.0), 1.5)
    grip_mps2 = (0.15 + P.tyres.rolling_resistance) * GRAVITY_MPS2 / P.mass_factor
    assert plant.state.accel_mps2 == pytest.approx(-grip_mps2, rel=0.02)


@pytest.mark.parametrize("grade", [0.20, -0.20])
@pytest.mark.parametrize("held", [BRAKE, COAST._replace(park=True)], ids=["brake", "park"])
def test_held_on_a_twenty_percent_grade__does_not_creep_by_one_bit(
    grade: float, held: ActuatorDemand
) -> None:
    plant = truck(grade=grade)
    run(plant, held._replace(brake_mps2=2.5), 1.0)
    run(plant, held, 1.0)
    before = plant.state
    run(plant, held, 60.0)
    after = plant.state
    assert after.speed_mps == 0.0
    assert (after.x_m, after.y_m, after.distance_m) == (before.x_m, before.y_m, before.distance_m)


@pytest.mark.parametrize("grade", [0.20, -0.20])
def test_stopped_on_a_grade__stays_where_it_stopped(grade: float) -> None:
    plant = truck(grade=grade)
    reach(plant, 1.5)
    stop(plant, BRAKE)
    x_m = plant.state.x_m
    run(plant, BRAKE, 30.0)
    assert plant.state.x_m == x_m


def test_nothing_held_on_a_grade__rolls_away() -> None:
    plant = truck(grade=0.2)
    run(plant, COAST, 3.0)
    assert plant.state.speed_mps < -1.0


def test_rolling_resistance_alone__holds_on_two_percent() -> None:
    plant = truck(grade=0.02)
    run(plant, COAST, 10.0)
    assert plant.state.speed_mps == 0.0


def test_park_brake__reports_moving_until_its_springs_hold() -> None:
    plant = truck()
    seen = [plant.step(STEP_NS, COAST._replace(park=True)).park_applied for _ in range(60)]
    assert seen[0] is None
    assert seen[-1] is True
    assert seen.count(None) * STEP_S == pytest.approx(P.brakes.park_dead_time_s, abs=0.015)
    assert False not in seen


# The plant as a whole


@settings(max_examples=30)
@given(
    parts=st.lists(
        st.tuples(
            st.floats(-0.13, 0.13), st.floats(0.0, 1.0), st.floats(0.0, 2.5), st.integers(-1, 1)
        ),
        min_size=1,
        max_size=6,
    )
)
def test_mirrored_steering__gives_the_mirrored_path_bit_for_bit(
    parts: list[tuple[float, float, float, int]],
) -> None:
    left, right = truck(), truck()
    for curvature, accel_mps2, brake_mps2, direction in parts:
        demand = ActuatorDemand(curvature, accel_mps2, 6.0, direction, brake_mps2, park=False)
        run(left, demand, 1.0)
        run(right, demand._replace(curvature_per_m=-curvature), 1.0)
    assert left.state.x_m == right.state.x_m
    assert left.state.y_m == -right.state.y_m
    assert left.state.joint_rad == -right.state.joint_rad
    assert left.state.speed_mps == right.state.speed_mps


@settings(max_examples=30)
@given(
    grade=st.floats(-0.2, 0.2),
    speed_mps=st.floats(0.5, 5.0),
    brake_mps2=st.floats(0.0, 3.0),
    retarder=st.floats(0.0, 1.0),
)
def test_without_traction__mechanical_energy_never_rises(
    grade: float, speed_mps: float, brake_mps2: float, retarder: float
) -> None:
    plant = truck(grade=grade)
    for _ in range(1500):
        if plant.state.speed_mps < speed_mps:
            plant.step(STEP_NS, DRIVE)
    run(plant, COAST._replace(retarder=retarder), 0.05)
    energies = []
    for _ in range(500):
        plant.step(STEP_NS, COAST._replace(brake_mps2=brake_mps2, retarder=retarder))
        kinetic = 0.5 * P.mass_factor * plant.state.speed_mps**2
        energies.append(kinetic + GRAVITY_MPS2 * grade * plant.state.x_m)
    assert all(after <= before + 1e-9 for before, after in pairwise(energies))


def test_coasting__gives_its_energy_to_rolling_and_air() -> None:
    plant = truck()
    reach(plant, 6.0)
    run(plant, COAST, 0.05)
    before = plant.state
    run(plant, COAST, 10.0)
    after = plant.state
    lost_j = 0.5 * P.loaded_kg * P.mass_factor * (before.speed_mps**2 - after.speed_mps**2)
    rolled_m = after.distance_m - before.distance_m
    rolling_j = P.tyres.rolling_resistance * P.loaded_kg * GRAVITY_MPS2 * rolled_m
    assert rolling_j < lost_j < 1.01 * rolling_j


@given(grade=st.floats(-0.05, 0.2))
@settings(max_examples=10)
def test_full_traction__never_exceeds_power_or_traction_force(grade: float) -> None:
    plant = truck(grade=grade)
    for _ in range(1500):
        speed_mps = plant.state.speed_mps
        plant.step(STEP_NS, DRIVE)
        force_n = plant.state.drive_force_n
        assert force_n <= DRIVE_P.force_max_n
        assert force_n * speed_mps <= DRIVE_P.power_w * DRIVE_P.efficiency * (1.0 + 1e-12)


def test_half_the_step__gives_nearly_the_same_stop() -> None:
    distances = []
    for step_ns in (5_000_000, 10_000_000):
        plant = MachinePlant(PARTS, OpenGround(), ORIGIN)
        for _ in range(20_000_000_000 // step_ns):
            plant.step(step_ns, DRIVE._replace(speed_limit_mps=5.0, curvature_per_m=0.02))
        for _ in range(10_000_000_000 // step_ns):
            plant.step(step_ns, BRAKE._replace(curvature_per_m=None))
        distances.append(plant.state.distance_m)
    assert distances[0] == pytest.approx(distances[1], rel=2e-3)


DIGEST_RUN = """
import math
from dataclasses import replace
from tests.sim.worlds import DRIFT_FILE, DRIVE, STEP_NS, follow, in_drift
from sim.world.site import load_site
site = load_site(DRIFT_FILE)
plant, drift = in_drift(site)
for _ in range(6000):
    plant.step(STEP_NS, follow(site, drift, plant))
print(plant.digest())
"""


def test_two_processes_with_other_hash_seeds__end_in_the_same_bits() -> None:
    digests = [
        subprocess.run(
            [sys.executable, "-c", DIGEST_RUN],
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT)},
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        for seed in ("1", "4242")
    ]
    assert len(digests[0].strip()) == 64
    assert digests[0] == digests[1]


def test_digest__tells_one_bit_of_speed_apart() -> None:
    one, other = truck(), truck()
    assert one.digest() == other.digest()
    run(one, DRIVE._replace(accel_mps2=0.5), 1.0)
    run(other, DRIVE._replace(accel_mps2=math.nextafter(0.5, 1.0)), 1.0)
    assert one.digest() != other.digest()


@pytest.mark.parametrize("step_ns", [0, -1, STEP_MAX_NS + 1])
def test_step_outside_its_range__is_refused(step_ns: int) -> None:
    with pytest.raises(ValueError, match="step of"):
        truck().step(step_ns, DRIVE)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_demand_that_is_no_number__is_refused_and_moves_nothing(value: float) -> None:
    plant = truck()
    before = plant.digest()
    for demand in (
        DRIVE._replace(curvature_per_m=value),
        DRIVE._replace(accel_mps2=value),
        DRIVE._replace(speed_limit_mps=value),
        DRIVE._replace(brake_mps2=value),
        DRIVE._replace(retarder=value),
        DRIVE._replace(implement=value),
    ):
        with pytest.raises(ValueError, match="not a number"):
            plant.step(STEP_NS, demand)
    assert plant.digest() == before


def test_dump_body__moves_while_held_and_ends_at_its_stops() -> None:
    plant = truck()
    up = COAST._replace(brake_mps2=2.0, implement=1.0)
    run(plant, up, RAISE_S / 2.0)
    assert plant.step(STEP_NS, COAST).implement == pytest.approx(0.5, abs=0.01)
    run(plant, up, RAISE_S)
    assert plant.step(STEP_NS, COAST).implement == 1.0
    run(plant, up._replace(implement=-1.0), 2.0 * RAISE_S)
    assert plant.step(STEP_NS, COAST).implement == 0.0


def test_start__stands_with_the_park_brake_on() -> None:
    plant = MachinePlant(PARTS, OpenGround(0.2), BodyPose(3.0, 4.0, 0.5, 0.1))
    feedback = plant.step(STEP_NS, COAST._replace(park=True))
    assert feedback.park_applied is True
    assert feedback.speed_mps == 0.0
    assert feedback.steer_angle_rad == 0.1
    assert feedback.pitch_rad == pytest.approx(math.atan(0.2 * math.cos(0.5)))
