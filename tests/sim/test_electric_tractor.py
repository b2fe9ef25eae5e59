"""The electric tractor: battery, regeneration, hitch and PTO, mounted tool, trailer."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from sim.machines.electric import Electric, ElectricParameters
from sim.machines.parameters import Machine
from sim.machines.plant import MachinePlant
from sim.machines.surroundings import OpenGround
from sim.machines.tools import HitchParameters
from sim.machines.trailer import TrailerParameters, next_joint, yaw_rate
from sim.machines.trials import COAST, DRIVE, ORIGIN, STEP_NS, reach, released, run
from tests.sim.worlds import of_kind, shipped

TRACTOR, TOWING = shipped("electric_tractor"), shipped("electric_tractor_trailer")
DRIVE_P = of_kind(TRACTOR.plant.drive, ElectricParameters)
HITCH_P = of_kind(TRACTOR.plant.tool, HitchParameters)
TRAILER_P = of_kind(TOWING.plant.trailer, TrailerParameters)
HOLD = COAST._replace(brake_mps2=2.0)


def charged(charge: float, machine: Machine = TRACTOR) -> Machine:
    drive = of_kind(machine.plant.drive, ElectricParameters)
    plant = replace(machine.plant, drive=replace(drive, charge=charge))
    return replace(machine, plant=plant)


def electric(plant: MachinePlant) -> Electric:
    return of_kind(plant.drive, Electric)


def regeneration_w(charge: float) -> float:
    plant = released(charged(charge))
    reach(plant, 6.0)
    run(plant, COAST._replace(retarder=1.0), 0.4)
    return plant.state.retarder_force_n * plant.state.speed_mps


def test_regeneration__fades_to_nothing_as_the_battery_fills() -> None:
    powers_w = [regeneration_w(charge) for charge in (0.5, 0.85, 0.94, 0.96, 0.98, 1.0)]
    full_w = DRIVE_P.regen_power_w
    assert powers_w[0] == pytest.approx(full_w, rel=0.02)
    assert powers_w[1] == powers_w[0]
    assert powers_w[0] > 1.7 * powers_w[2] > 2.0 * powers_w[3] > 0.0
    assert powers_w[4] == powers_w[5] == 0.0


def test_full_battery_on_a_descent__only_the_service_brake_is_left() -> None:
    speeds_mps = []
    for charge in (0.5, 1.0):
        plant = released(charged(charge), grade=-0.12)
        reach(plant, 4.0, COAST)
        run(plant, COAST._replace(retarder=1.0), 5.0)
        speeds_mps.append(plant.state.speed_mps)
    assert speeds_mps[0] < 4.0 < speeds_mps[1]


def test_regeneration_near_standstill__has_no_force() -> None:
    plant = released(TRACTOR, grade=-0.12)
    run(plant, COAST._replace(retarder=1.0), 3.0)
    assert plant.state.speed_mps > 0.3


def test_descent__fills_the_battery_by_what_the_motor_brakes() -> None:
    plant = released(TRACTOR, grade=-0.15)
    reach(plant, 9.0, COAST)
    battery, before_j = electric(plant), electric(plant).stored_j
    retarded_j, traction_j = plant.ledger.retarder_j, plant.ledger.traction_j
    run(plant, COAST._replace(retarder=1.0), 20.0)
    gained_j = (plant.ledger.retarder_j - retarded_j) * DRIVE_P.efficiency
    assert plant.ledger.traction_j == traction_j
    assert gained_j > 2e5
    expected_j = gained_j - DRIVE_P.aux_w * 20.0
    assert battery.stored_j - before_j == pytest.approx(expected_j, rel=1e-9)


def test_drive__takes_from_the_battery_what_it_gives_to_the_wheels_and_the_losses() -> None:
    plant = released(TRACTOR)
    before_j, traction_j = electric(plant).stored_j, plant.ledger.traction_j
    run(plant, DRIVE._replace(speed_limit_mps=5.0), 30.0)
    given_j = (plant.ledger.traction_j - traction_j) / DRIVE_P.efficiency + DRIVE_P.aux_w * 30.0
    assert before_j - electric(plant).stored_j == pytest.approx(given_j, rel=1e-9)
    assert plant.state.charge < DRIVE_P.charge


def test_empty_battery__gives_no_traction() -> None:
    plant = released(charged(0.0))
    run(plant, DRIVE, 5.0)
    assert plant.state.speed_mps == 0.0
    assert plant.state.charge == 0.0


def test_peak_power__lasts_its_time_and_then_the_rated_power_is_left() -> None:
    plant = released(TRACTOR, grade=0.2)
    powers_w = []
    for _ in range(90):
        run(plant, DRIVE, 1.0)
        powers_w.append(plant.state.drive_force_n * plant.state.speed_mps)
    assert max(powers_w) == pytest.approx(88e3 * 0.8, rel=0.01)
    assert powers_w[-1] == pytest.approx(55e3 * 0.8, rel=0.01)
    over = sum(power_w > 60e3 for power_w in powers_w)
    assert 25 <= over <= 45


def test_rested_motor__has_its_peak_again() -> None:
    plant = released(TRACTOR, grade=0.2)
    run(plant, DRIVE, 90.0)
    run(plant, COAST._replace(brake_mps2=3.0), 60.0)
    run(plant, DRIVE, 10.0)
    assert plant.state.drive_force_n * plant.state.speed_mps > 80e3 * 0.8


def test_lowered_cultivator__pulls_as_asae_says_and_takes_pto_power() -> None:
    plant = released(TRACTOR)
    run(plant, HOLD._replace(implement=-1.0), HITCH_P.raise_s + 0.1)
    assert plant.state.tool == 0.0
    reach(plant, 2.0, DRIVE._replace(accel_mps2=0.5, speed_limit_mps=2.5))
    run(plant, DRIVE._replace(speed_limit_mps=2.5), 10.0)
    speed_kmh = plant.state.speed_mps * 3.6
    asae_n = 0.85 * (46.0 + 2.8 * speed_kmh) * 11 * 12
    assert plant.tool.draft_n == pytest.approx(asae_n, rel=1e-3)
    rolling_n = 0.06 * 6000.0 * 9.80665
    assert plant.state.drive_force_n == pytest.approx(asae_n + rolling_n, rel=0.01)
    before_j = electric(plant).stored_j
    traction_j = plant.ledger.traction_j
    run(plant, DRIVE._replace(speed_limit_mps=2.5), 10.0)
    pulled_j = (plant.ledger.traction_j - traction_j) / DRIVE_P.efficiency
    other_j = before_j - electric(plant).stored_j - pulled_j
    assert other_j == pytest.approx((HITCH_P.pto_power_w + DRIVE_P.aux_w) * 10.0, rel=1e-6)


def test_hitch__starts_raised_and_moves_while_held() -> None:
    plant = released(TRACTOR)
    assert plant.state.tool == 1.0
    run(plant, HOLD._replace(implement=-1.0), HITCH_P.raise_s / 2.0)
    assert plant.step(STEP_NS, HOLD).implement == pytest.approx(0.5, abs=0.01)
    run(plant, HOLD, 2.0)
    assert plant.state.tool == pytest.approx(0.5, abs=0.01)


def test_tool_in_the_soil__stops_a_coasting_tractor_sooner() -> None:
    runs_m = []
    for lowered in (0.0, -1.0):
        plant = released(TRACTOR)
        run(plant, HOLD._replace(implement=lowered), 3.0)
        reach(plant, 2.0)
        start_m = plant.state.distance_m
        run(plant, COAST, 12.0)
        assert plant.state.speed_mps == 0.0
        runs_m.append(plant.state.distance_m - start_m)
    assert runs_m[1] < 0.7 * runs_m[0]


# The trailer


def test_steady_turn__trailer_folds_to_the_angle_that_geometry_says() -> None:
    plant = released(TOWING)
    run(plant, DRIVE._replace(speed_limit_mps=1.0, curvature_per_m=0.15), 40.0)
    state = plant.state
    hitch_m, bar_m = TRAILER_P.hitch_m, TRAILER_P.drawbar_m
    radius_m = 1.0 / state.curvature_per_m
    expected_rad = math.atan(hitch_m / radius_m) + math.asin(bar_m / math.hypot(radius_m, hitch_m))
    assert state.joint_rad == pytest.approx(expected_rad, abs=5e-3)
    assert abs(state.joint_rate_radps) < 1e-3


def test_straight_ahead__a_folded_trailer_straightens() -> None:
    plant = MachinePlant(TOWING, OpenGround(), ORIGIN._replace(joint_rad=0.5))
    run(plant, DRIVE._replace(speed_limit_mps=2.0), 20.0)
    assert abs(plant.state.joint_rad) < 1e-3


def test_reversing_without_steering__jack_knifes_to_the_stop_and_no_further() -> None:
    plant = MachinePlant(TOWING, OpenGround(), ORIGIN._replace(joint_rad=0.02))
    run(plant, DRIVE._replace(direction=-1, speed_limit_mps=1.0), 30.0)
    state = plant.state
    assert state.joint_rad == pytest.approx(TRAILER_P.fold_max_rad)
    assert state.joint_rate_radps == 0.0
    assert state.speed_mps < 0.0


def test_trailer_formula__is_that_of_a_towed_axle_that_does_not_slide() -> None:
    """Step both axles finely and ask the trailer axle itself which way it moved."""
    joint_rad, yaw_radps, plan_mps, dt_s = 0.4, 0.3, 2.0, 1e-6
    after_rad = next_joint(TRAILER_P, joint_rad, plan_mps, yaw_radps, dt_s)
    axles = []
    for moved, heading_rad, joint in (
        (0.0, 0.0, joint_rad),
        (plan_mps * dt_s, yaw_radps * dt_s, after_rad),
    ):
        rear = complex(moved * math.cos(heading_rad / 2), moved * math.sin(heading_rad / 2))
        hitch = rear - TRAILER_P.hitch_m * complex(math.cos(heading_rad), math.sin(heading_rad))
        along = complex(math.cos(heading_rad - joint), math.sin(heading_rad - joint))
        axles.append(hitch - TRAILER_P.drawbar_m * along)
    moved_by = (axles[1] - axles[0]) * complex(math.cos(joint_rad), math.sin(joint_rad))
    assert abs(moved_by.imag) < 1e-6 * moved_by.real
    turned_radps = (yaw_radps * dt_s - (after_rad - joint_rad)) / dt_s
    assert turned_radps == pytest.approx(yaw_rate(TRAILER_P, joint_rad, plan_mps, yaw_radps), 1e-5)


def test_trailer_pushes_on_the_decline__combination_still_stops() -> None:
    plant = released(TOWING, grade=-0.14)
    reach(plant, 3.0, COAST)
    run(plant, COAST._replace(brake_mps2=3.0), 5.0)
    assert plant.state.speed_mps == 0.0


def test_tipping_trailer__empties_and_the_machine_gets_lighter() -> None:
    plant = released(TOWING)
    run(plant, HOLD._replace(implement=1.0), 15.0)
    run(plant, HOLD._replace(implement=-1.0), 15.0)
    assert plant.state.payload_share == 0.0
    before_mps = plant.state.speed_mps
    plant.step(STEP_NS, DRIVE)
    run(plant, DRIVE._replace(accel_mps2=1.5), 1.0)
    assert plant.state.speed_mps - before_mps > 0.5
