"""Wheel speed and inertial unit: how far off they are, how that wanders, what stays exact."""

from __future__ import annotations

from itertools import pairwise
from statistics import fmean, pstdev

import pytest

from sim.machines.interface import MachineFeedback
from sim.sensors.motion import ACCEL_MPS2, WANDER_S, Erring, Errors, MotionSensors
from sim.simulated_machine import SimulatedMachine
from sim.world.site import load_site
from tests.sim.worlds import DRIFT_FILE, machine

TRUE = MachineFeedback(
    4.0, 0.5, 0.02, 0.1, 1500.0, 1, 0.0, False, 0.08, 0.1, -0.05, 0.0, 24.0
)  # fmt: skip
MOTION = ("speed_mps", "accel_mps2", "yaw_rate_radps", "pitch_rad", "roll_rad")


def off(errors: Errors, seed: int, samples: int, dt_s: float) -> list[float]:
    sensor = Erring(errors, seed, "x")
    return [sensor.step(dt_s) for _ in range(samples)]


def test_bias__is_that_of_the_machine_and_stays() -> None:
    biases = [off(Errors(0.5, 0.0, 0.0), seed, 3, 1.0) for seed in range(400)]
    assert all(first == last for first, _, last in biases)
    assert pstdev([first for first, *_ in biases]) == pytest.approx(0.5, rel=0.1)
    assert fmean([first for first, *_ in biases]) == pytest.approx(0.0, abs=0.06)


def test_noise__is_new_in_every_sample() -> None:
    values = off(Errors(0.0, 0.0, 0.2), 1, 4000, 0.005)
    assert pstdev(values) == pytest.approx(0.2, rel=0.05)
    assert pstdev([b - a for a, b in pairwise(values)]) == pytest.approx(0.2 * 2**0.5, rel=0.05)


def test_drift__wanders_within_its_width_and_hardly_in_a_second() -> None:
    values = off(Errors(0.0, 0.3, 0.0), 1, 40 * round(WANDER_S), 1.0)
    assert pstdev(values) == pytest.approx(0.3, rel=0.25)
    step = 0.3 * (2.0 / WANDER_S) ** 0.5
    assert pstdev([b - a for a, b in pairwise(values)]) == pytest.approx(step, rel=0.05)


def test_drift__goes_by_time_and_not_by_samples() -> None:
    errors = Errors(0.0, 0.3, 0.0)
    assert off(errors, 1, 2001, 0.005)[199::200] == off(errors, 1, 10, 1.0)


def test_standstill__a_wheel_reads_nothing() -> None:
    sensors = MotionSensors(1)
    assert {sensors.step(0.005, TRUE._replace(speed_mps=0.0)).speed_mps for _ in range(9)} == {0.0}


@pytest.mark.parametrize("speed_mps", [4.0, -4.0])
def test_wheel_speed__is_off_by_a_share_of_it(speed_mps: float) -> None:
    once, twice = MotionSensors(3), MotionSensors(3)
    half = once.step(0.005, TRUE._replace(speed_mps=0.5 * speed_mps)).speed_mps
    full = twice.step(0.005, TRUE._replace(speed_mps=speed_mps)).speed_mps
    assert full == pytest.approx(2.0 * half)
    assert 0.0 < abs(full / speed_mps - 1.0) < 0.03


def test_motion__is_off_and_all_else_is_as_it_was() -> None:
    told = MotionSensors(1).step(0.005, TRUE)
    assert {name for name in TRUE._fields if getattr(told, name) != getattr(TRUE, name)} == {
        *MOTION
    }


def test_seed__repeats_and_another_machine_is_off_otherwise() -> None:
    one, same, other = (MotionSensors(seed).step(0.005, TRUE) for seed in (1, 1, 2))
    assert one == same != other


def test_machine__tells_its_ecu_what_the_sensors_make_of_the_truth() -> None:
    behind = SimulatedMachine(machine(), load_site(DRIFT_FILE), 1)
    told = []
    for number in range(200):
        behind.step(number * 5_000_000)
        told.append(behind.told.accel_mps2)
    assert pstdev(told) == pytest.approx(ACCEL_MPS2.noise, rel=0.15)
    assert abs(fmean(told)) > 0.005
