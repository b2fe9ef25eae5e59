"""The scripted driver's steering and speed, closed over a simple machine."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from protocol.profiles import MachineLimits
from sim.driver import STANDSTILL_WITHIN_S
from sim.machines.interface import ActuatorDemand
from sim.machines.parameters import Machine, load_machine
from sim.machines.plant import MachinePlant
from sim.pursuit import Controls, Pose, Pursuit, Style
from sim.world.drift import Drift
from sim.world.site import Site, load_site

CONFIGS = Path(__file__).parents[2] / "configs"
STEP_NS = 20_000_000
LINK_STEPS = 5
"""0.1 s from the driver's input to the by-wire bus."""


@pytest.fixture(scope="module")
def site() -> Site:
    return load_site(CONFIGS / "sites" / "mine_drift.toml")


@pytest.fixture(scope="module")
def machine() -> Machine:
    return load_machine(CONFIGS / "machines" / "ug_truck_60t.toml")


@pytest.fixture(scope="module")
def limits(machine: Machine) -> MachineLimits:
    return machine.profile.limits


def _on_line(site: Site, station_m: float, *, left_m: float = 0.0, speed_mps: float = 4.0) -> Pose:
    centre = site.pose_at(station_m)
    return Pose(
        centre.x_m - left_m * math.sin(centre.heading_rad),
        centre.y_m + left_m * math.cos(centre.heading_rad),
        centre.heading_rad,
        speed_mps,
        centre.curvature_per_m,
    )


@dataclass(frozen=True, slots=True)
class Drive:
    """What came of a drive."""

    offsets_m: list[float]
    distance_m: float
    contacts: int


class Closed:
    """Plant and driver, with the inputs some link time late."""

    def __init__(self, machine: Machine, site: Site) -> None:
        self._machine = machine
        self.drift = Drift(site, machine.body)
        self.truck = MachinePlant(machine, self.drift, self.drift.start)
        self.driver = Pursuit(site, machine.profile.limits)
        self._waiting: deque[Controls] = deque([Controls(0.0, 0.0, 0.0)] * LINK_STEPS)

    def step(self, decide: Callable[[Pose], Controls]) -> None:
        state, limits = self.truck.state, self._machine.profile.limits
        pose = Pose(state.x_m, state.y_m, state.heading_rad, state.speed_mps, state.curvature_per_m)
        self._waiting.append(decide(pose))
        controls = self._waiting.popleft()
        self.truck.step(
            STEP_NS,
            ActuatorDemand(
                curvature_per_m=controls.steer * limits.curvature_max_per_m,
                accel_mps2=controls.throttle * limits.accel_max_mps2,
                speed_limit_mps=limits.zone_speed_mps,
                direction=1,
                brake_mps2=controls.brake * limits.service_brake_max_mps2,
                park=False,
            ),
        )


def _drive(machine: Machine, site: Site, seconds: float) -> Drive:
    """The plant from its start."""
    closed = Closed(machine, site)
    offsets_m = []
    for _ in range(round(seconds * 1e9 / STEP_NS)):
        closed.step(closed.driver.controls)
        offsets_m.append(closed.drift.offset_m)
    return Drive(offsets_m, closed.truck.state.distance_m, closed.truck.state.contacts)


def test_whole_loop__machine_touches_no_wall_and_keeps_the_middle(
    machine: Machine, site: Site
) -> None:
    drive = _drive(machine, site, site.length_m / 3.5)
    assert drive.contacts == 0
    assert max(map(abs, drive.offsets_m)) < 0.5
    assert drive.distance_m > site.length_m


def test_first_minute__is_longer_than_150_m(machine: Machine, site: Site) -> None:
    drive = _drive(machine, site, 60.0)
    assert drive.contacts == 0
    assert drive.distance_m > 150.0


def test_drive_ends_on_the_decline__truck_stands_within_the_drivers_time(
    machine: Machine, site: Site
) -> None:
    closed = Closed(machine, site)
    steepest = min(centre.grade for centre in site.centre_line)
    while closed.drift.centre.grade > 0.95 * steepest or closed.truck.state.speed_mps < 2.0:
        closed.step(closed.driver.controls)
    for _ in range(round(STANDSTILL_WITHIN_S * 1e9 / STEP_NS)):
        closed.step(closed.driver.stopping)
    assert closed.truck.state.speed_mps == 0.0
    assert closed.truck.state.contacts == 0


@pytest.mark.parametrize("left_m", [0.5, -0.5])
def test_beside_the_line__steers_back(site: Site, limits: MachineLimits, left_m: float) -> None:
    straight_m = 120.0
    controls = Pursuit(site, limits).controls(_on_line(site, straight_m, left_m=left_m))
    assert controls.steer * left_m < 0.0


def test_far_off_the_line__steer_stays_within_full_lock(site: Site, limits: MachineLimits) -> None:
    pose = _on_line(site, 120.0)._replace(heading_rad=2.5)
    assert abs(Pursuit(site, limits).controls(pose).steer) <= 1.0


def test_before_a_slower_zone__speed_falls_in_time(site: Site, limits: MachineLimits) -> None:
    driver, style = Pursuit(site, limits), Style()
    decline = next(zone for zone in site.zones if zone.name == "Decline")
    before_m = 2.0
    allowed_mps = decline.speed_limit_mps * style.below_limit
    wanted_mps = driver.wanted_speed_mps(decline.from_m - before_m)
    assert wanted_mps <= math.sqrt(allowed_mps**2 + 2.0 * style.brake_mps2 * (before_m + 1.0))
    assert driver.wanted_speed_mps(decline.from_m + 1.0) <= allowed_mps


def test_bend__centripetal_acceleration_is_kept(site: Site, limits: MachineLimits) -> None:
    driver, style = Pursuit(site, limits), Style()
    for centre in site.centre_line[::10]:
        speed_mps = driver.wanted_speed_mps(centre.station_m)
        assert speed_mps**2 * abs(centre.curvature_per_m) <= style.lateral_mps2 * 1.1


def test_too_fast__brakes_without_traction(site: Site, limits: MachineLimits) -> None:
    controls = Pursuit(site, limits).controls(_on_line(site, 120.0, speed_mps=7.0))
    assert controls.throttle == 0.0
    assert controls.brake > 0.0


def test_standing_on_the_incline__asks_for_traction(site: Site, limits: MachineLimits) -> None:
    steep = max(site.centre_line, key=lambda centre: centre.grade)
    controls = Pursuit(site, limits).controls(_on_line(site, steep.station_m, speed_mps=0.0))
    assert controls.throttle > 0.5
    assert controls.brake == 0.0
