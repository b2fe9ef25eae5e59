"""Sites, machines and drivers that several simulator tests share."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TypeVar

from sim.machines.interface import ActuatorDemand
from sim.machines.parameters import Machine, load_machine
from sim.machines.plant import MachinePlant
from sim.machines.surroundings import BodyPose, OpenGround
from sim.world.drift import Drift
from sim.world.site import Site, load_site

ROOT = Path(__file__).resolve().parents[2]
MACHINES = ROOT / "configs/machines"
TRUCK_FILE = MACHINES / "ug_truck_60t.toml"
DRIFT_FILE = ROOT / "configs/sites/mine_drift.toml"
STEP_NS = 10_000_000
ORIGIN = BodyPose(0.0, 0.0, 0.0, 0.0)

DRIVE = ActuatorDemand(
    curvature_per_m=0.0,
    accel_mps2=1.0,
    speed_limit_mps=20.0,
    direction=1,
    brake_mps2=0.0,
    park=False,
)
COAST = DRIVE._replace(accel_mps2=0.0, direction=0)

STADIUM = """
[site]
name = "stadium"
title = "Two straights and two half circles"
kind = "drift"
closed = true
start_station_m = 30.0
grade_easing_m = 10.0
width_easing_m = 6.0
[defaults]
width_m = 5.5
height_m = 5.0
speed_limit_mps = 5.0
friction = 0.45
[[segments]]
kind = "straight"
name = "South"
length_m = 100.0
[[segments]]
kind = "arc"
name = "East"
radius_m = 15.0
angle_deg = 180.0
easing_m = 8.0
[[segments]]
kind = "straight"
name = "North"
length_m = 100.0
[[segments]]
kind = "arc"
name = "West"
radius_m = 15.0
angle_deg = 180.0
easing_m = 8.0
"""


def machine() -> Machine:
    return load_machine(TRUCK_FILE)


def truck(grade: float = 0.0, friction: float = 1.0, start: BodyPose = ORIGIN) -> MachinePlant:
    """A truck on an endless plane, park brake already released."""
    parts = machine()
    plant = MachinePlant(parts, OpenGround(grade, friction), start)
    for _ in range(50):
        plant.step(STEP_NS, COAST._replace(brake_mps2=3.0))
    return plant


def run(plant: MachinePlant, demand: ActuatorDemand, seconds: float) -> None:
    for _ in range(round(seconds * 1e9 / STEP_NS)):
        plant.step(STEP_NS, demand)


def reach(plant: MachinePlant, speed_mps: float, demand: ActuatorDemand = DRIVE) -> None:
    """Drive until ``speed_mps``; fails the test when that takes longer than two minutes."""
    for _ in range(12_000):
        if abs(plant.state.speed_mps) >= speed_mps:
            return
        plant.step(STEP_NS, demand)
    raise AssertionError(f"{speed_mps} m/s was not reached")


def stop(plant: MachinePlant, demand: ActuatorDemand) -> float:
    """Brake to standstill; the distance that it took, metres."""
    before_m = plant.state.distance_m
    for _ in range(12_000):
        if plant.state.speed_mps == 0.0:
            return plant.state.distance_m - before_m
        plant.step(STEP_NS, demand)
    raise AssertionError("the machine did not stop")


def in_drift(site: Site) -> tuple[MachinePlant, Drift]:
    parts = machine()
    drift = Drift(site, parts.body)
    return MachinePlant(parts, drift, drift.start), drift


def follow(site: Site, drift: Drift, plant: MachinePlant) -> ActuatorDemand:
    """A plain driver that keeps to the centre line and the zone's speed."""
    state = plant.state
    ahead = site.pose_at(drift.station_m + 2.0 + 0.8 * state.speed_mps)
    turn = 2.0 * math.pi
    aside_rad = (state.heading_rad - drift.centre.heading_rad + math.pi) % turn - math.pi
    wanted = ahead.curvature_per_m - 0.04 * drift.offset_m - 0.35 * aside_rad
    limit_mps = site.zone_at(drift.station_m + 6.0).speed_limit_mps
    over_mps = state.speed_mps - limit_mps
    return DRIVE._replace(
        curvature_per_m=min(max(wanted, -0.125), 0.125),
        accel_mps2=1.0 if over_mps < 0.0 else 0.0,
        speed_limit_mps=limit_mps,
        brake_mps2=min(max(1.5 * over_mps, 0.0), 2.5),
        retarder=min(max(2.0 * over_mps + 0.3, 0.0), 1.0),
    )


def stadium(folder: Path, text: str = STADIUM) -> Site:
    path = folder / "stadium.toml"
    path.write_text(text, encoding="utf-8")
    return load_site(path)


T = TypeVar("T")


def of_kind(part: object, kind: type[T]) -> T:
    """``part``, which is of ``kind``."""
    assert isinstance(part, kind)
    return part


def shipped(name: str) -> Machine:
    """A machine of configs/machines."""
    return load_machine(MACHINES / f"{name}.toml")
