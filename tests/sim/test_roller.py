"""The single-drum roller: a hydrostatic drive that brakes when let go, and a vibrating drum."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise

import pytest

from sim.machines.faults import Actuator, Stuck
from sim.machines.hydrostatic import HydrostaticParameters
from sim.machines.interface import ActuatorDemand
from sim.machines.plant import MachinePlant
from sim.machines.tools import Drum, DrumParameters, lifts_off
from sim.machines.trials import COAST, DRIVE, STEP_NS, STEP_S, reach, released, run, run_until
from tests.sim.worlds import of_kind, shipped

ROLLER = shipped("roller_13t")
DRIVE_P = of_kind(ROLLER.plant.drive, HydrostaticParameters)
DRUM_P = of_kind(ROLLER.plant.tool, DrumParameters)
LET_GO = DRIVE._replace(accel_mps2=0.0)
ROLL = DRIVE._replace(speed_limit_mps=1.2)


def drum(plant: MachinePlant) -> Drum:
    return of_kind(plant.tool, Drum)


@pytest.mark.parametrize("let_go", [LET_GO, COAST], ids=["lever back", "neutral"])
def test_letting_go__brakes_without_any_brake(let_go: ActuatorDemand) -> None:
    plant = released(ROLLER)
    reach(plant, 2.2)
    before, braked_j = plant.state, plant.ledger.service_j
    took_s = run_until(plant, let_go, lambda state: state.speed_mps == 0.0)
    rolling_mps2 = 0.06 * 9.80665 / 1.1
    decel_mps2 = DRIVE_P.release_n / (12500.0 * 1.1) + rolling_mps2
    ideal_s = before.speed_mps / decel_mps2
    assert ideal_s < took_s < ideal_s + DRIVE_P.release_ramp_s + DRIVE_P.tau_s
    assert plant.ledger.service_j == braked_j


def test_lever_held_downhill__holds_the_speed_by_the_circuit() -> None:
    plant = released(ROLLER, grade=-0.14)
    run(plant, DRIVE._replace(accel_mps2=0.3, speed_limit_mps=1.5), 20.0)
    assert 1.4 < plant.state.speed_mps < 1.8
    assert plant.state.retarder_force_n > 5000.0


def test_overrun__is_limited_by_what_the_dragged_engine_swallows() -> None:
    plant = released(ROLLER, grade=-0.5)
    reach(plant, 6.0, COAST)
    plant.step(STEP_NS, COAST)
    assert plant.state.retarder_force_n * 6.0 <= DRIVE_P.overrun_power_w * 1.01


def test_lever_through_neutral__slows_before_it_turns_back() -> None:
    plant = released(ROLLER)
    reach(plant, 2.0)
    back = DRIVE._replace(direction=-1, speed_limit_mps=1.0)
    for _ in range(400):
        before_mps = plant.state.speed_mps
        feedback = plant.step(STEP_NS, back)
        assert feedback.gear != -1 or before_mps <= 0.3
    assert plant.state.speed_mps < -0.4


def test_at_standstill__the_circuit_holds_what_the_park_brake_is_for() -> None:
    plant = released(ROLLER, grade=0.1)
    run(plant, COAST, 30.0)
    assert plant.state.speed_mps == 0.0


def test_drum__runs_up_while_rolling_and_its_force_is_that_of_the_class() -> None:
    plant = released(ROLLER)
    reach(plant, 1.0, ROLL)
    vibrate = ROLL._replace(implement=1.0)
    run(plant, vibrate, DRUM_P.ramp_s / 2.0)
    assert plant.state.tool == pytest.approx(0.5, abs=0.01)
    run(plant, vibrate, DRUM_P.ramp_s)
    assert drum(plant).hz == DRUM_P.high_hz
    assert 240e3 < drum(plant).centrifugal_n() < 280e3
    assert lifts_off(drum(plant), 0.57 * 12500.0)


def test_other_direction__is_the_low_amplitude_and_comes_through_rest() -> None:
    plant = released(ROLLER)
    reach(plant, 1.0, ROLL)
    run(plant, ROLL._replace(implement=1.0), 2.5)
    positions = []
    for _ in range(500):
        plant.step(STEP_NS, ROLL._replace(implement=-1.0))
        positions.append(plant.state.tool)
    assert 0.0 in positions
    assert positions[-1] == -1.0
    assert drum(plant).hz == DRUM_P.low_hz
    assert drum(plant).amplitude_m() == DRUM_P.low_amplitude_m


def test_stuck_vibration__runs_on_when_let_go() -> None:
    plant = released(ROLLER)
    reach(plant, 1.0, ROLL)
    run(plant, ROLL._replace(implement=1.0), 3.0)
    plant.set_faults([Stuck(Actuator.TOOL)])
    run(plant, ROLL, 5.0)
    assert drum(plant).hz == DRUM_P.high_hz


def test_machine_without_a_tool__takes_the_demand_and_does_nothing() -> None:
    bare = replace(ROLLER, plant=replace(ROLLER.plant, tool=None))
    plant = released(bare)
    run(plant, ROLL._replace(implement=1.0), 3.0)
    assert plant.state.tool == 0.0
    assert plant.tool.power_w == 0.0


def test_near_standstill__vibration_stops_by_itself() -> None:
    plant = released(ROLLER)
    reach(plant, 1.0, ROLL)
    run(plant, ROLL._replace(implement=1.0), 3.0)
    run(plant, COAST._replace(implement=1.0), 6.0)
    assert plant.state.speed_mps == 0.0
    assert plant.state.tool == 0.0
    assert drum(plant).power_w == 0.0


def test_vibration__shakes_the_accelerometer_at_its_frequency_and_no_more_when_off() -> None:
    plant = released(ROLLER)
    reach(plant, 1.0, ROLL)
    run(plant, ROLL._replace(implement=1.0), 5.0)
    seen = [plant.step(STEP_NS, ROLL._replace(implement=1.0)).accel_mps2 for _ in range(200)]
    peak_mps2 = DRUM_P.frame_share * DRUM_P.high_amplitude_m * (2.0 * math.pi * 30.0) ** 2
    assert max(seen) == pytest.approx(peak_mps2, rel=0.1)
    crossings = sum(before < 0.0 <= after for before, after in pairwise(seen))
    assert crossings == pytest.approx(30.0 * 200 * STEP_S, abs=1)
    run(plant, ROLL, 3.0)
    still = [plant.step(STEP_NS, ROLL).accel_mps2 for _ in range(50)]
    assert max(map(abs, still)) < 0.05


def test_vibration__takes_power_from_the_climb() -> None:
    speeds_mps = []
    for implement in (0.0, 1.0):
        plant = released(ROLLER, grade=0.17)
        run(plant, DRIVE._replace(implement=implement), 20.0)
        speeds_mps.append(plant.state.speed_mps)
    assert speeds_mps[1] == pytest.approx(speeds_mps[0] * (1.0 - 35.0 / 100.0), rel=0.02)
