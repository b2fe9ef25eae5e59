"""Every shipped machine: its file, its outline, its drive on the mine drift, its repeatability."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol.profiles import MachineSize, parse_profile
from sim.ecu import EcuProfile
from sim.machines.body import Box
from sim.machines.interface import ActuatorDemand
from sim.machines.parameters import Machine, load_machine
from sim.machines.plant import MachinePlant
from sim.machines.surroundings import BodyPose, OpenGround
from sim.machines.trials import COAST, ORIGIN, STEP_NS
from sim.world.contact import DriftWalls
from sim.world.drift import Drift
from sim.world.files import WorldFileError
from sim.world.site import Site, load_site
from tests.sim.worlds import DRIFT_FILE, MACHINES, ROOT, follow, shipped

NAMES = sorted(path.stem for path in MACHINES.glob("*.toml"))
IN_THE_DRIFT = [name for name in NAMES if name != "rigid_truck_55t"]
"""The rigid truck's 5.4 m leave no room in a drift of 5.6 m."""


def test_five_kinds_of_machines__are_shipped() -> None:
    assert NAMES == [
        "electric_tractor",
        "electric_tractor_trailer",
        "rigid_truck_55t",
        "roller_13t",
        "truck_8x8_50t",
        "ug_truck_60t",
    ]


@pytest.mark.parametrize("name", NAMES)
def test_shipped_file__is_named_as_its_machine_and_its_limits_fit_its_plant(name: str) -> None:
    machine = shipped(name)
    size, limits, plant = machine.profile.machine, machine.profile.limits, machine.plant
    frame = MachinePlant(machine, OpenGround(), ORIGIN).frame
    assert size.name == name
    assert limits.curvature_max_per_m <= frame.curvature_of(plant.steering.limit_rad)
    fastest = frame.curvature_of(plant.steering.rate_radps * 0.01) / 0.01
    assert limits.curvature_rate_per_m_s <= 1.2 * fastest  # it grows with the angle
    assert limits.stop_decel_mps2 <= limits.service_brake_max_mps2 <= plant.brakes.max_mps2
    assert limits.brake_delay_s == pytest.approx(plant.brakes.dead_time_s + plant.brakes.tau_s)
    assert limits.brake_delay_s <= limits.brake_delay_worst_s
    assert EcuProfile.of(machine.profile).articulated is (size.kind == "articulated")


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("wheelbase_m = 2.24\n", "", "kind rigid needs wheelbase_m"),
        ("wheelbase_m = 2.24", "wheelbase_m = 2.24\nfront_joint_m = 1.0", "no other axle"),
        ("wheelbase_m = 2.24", "wheelbase_m = 2.5", "add up to 4.26 m"),
        ('kind = "rigid"', 'kind = "twin_steer"', "needs wheelbase_m and second_axle_m"),
        ("charge_full = 0.97", "charge_full = 0.5", "charge_full must lie above charge_taper"),
        ("peak_power_w = 88000.0", "peak_power_w = 8000.0", "must not lie below rated_power_w"),
        ("fade_to_c = 250.0", "fade_to_c = 100.0", "fade_to_c must lie above fade_from_c"),
        ("front_gap_m = 1.2", "front_gap_m = 3.3", "front_gap_m must be less than drawbar_m"),
        (
            "drawbar_m = 3.2",
            "drawbar_m = 3.3",
            r"\[machine.trailer\] and \[plant.trailer\] are not",
        ),
        ('kind = "electric"', 'kind = "steam"', "plant: drive"),
        ('kind = "dump_body"', 'kind = "plough"', "plant: tool"),
        ("fold_max_deg = 60.0", "fold_max_deg = 160.0", "plant: trailer.fold_max_deg"),
        ("regen_ramp_s = 0.3", "regen_ramp_s = true", "valid number"),
        ("regen_ramp_s = 0.3", "regen_ramp_s = inf", "finite number"),
    ],
)
def test_file_with_a_mistake__is_refused_in_one_line(
    tmp_path: Path, old: str, new: str, said: str
) -> None:
    text = (MACHINES / "electric_tractor_trailer.toml").read_text(encoding="utf-8")
    assert text.count(old) >= 1
    bad = tmp_path / "bad.toml"
    bad.write_text(text.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(WorldFileError, match=said) as caught:
        load_machine(bad)
    assert "\n" not in str(caught.value)
    assert str(bad) in str(caught.value)


def test_articulated_machine_with_a_trailer__is_refused(tmp_path: Path) -> None:
    text = (MACHINES / "roller_13t.toml").read_text(encoding="utf-8")
    bad = tmp_path / "bad.toml"
    bad.write_text(text + "\n[plant.mounted]\nlength_m = 1.0\nwidth_m = 1.0\n", encoding="utf-8")
    with pytest.raises(WorldFileError, match=r"carries no \[plant.mounted\]"):
        load_machine(bad)


def test_trailer_that_the_machines_computer_is_not_told_of__is_refused(tmp_path: Path) -> None:
    text = (MACHINES / "electric_tractor_trailer.toml").read_text(encoding="utf-8")
    head, _, rest = text.partition("[machine.trailer]")
    bad = tmp_path / "bad.toml"
    bad.write_text(head + rest[rest.index("[limits]") :], encoding="utf-8")
    with pytest.raises(WorldFileError, match=r"\[plant.trailer\] are not the same"):
        load_machine(bad)


def test_articulated_machine_that_tows__is_refused() -> None:
    text = (MACHINES / "roller_13t.toml").read_text(encoding="utf-8")
    towed = text.replace(
        "[limits]",
        "[machine.trailer]\nhitch_m = 0.0\ndrawbar_m = 3.0\nfront_gap_m = 1.0\ntail_m = 1.0\n"
        "width_m = 2.0\n\n[limits]",
    )
    with pytest.raises(ValueError, match=r"kind articulated tows no \[machine.trailer\]"):
        parse_profile(towed, "bad")


def test_second_axle_ahead_of_the_first__is_refused() -> None:
    text = (MACHINES / "truck_8x8_50t.toml").read_text(encoding="utf-8")
    with pytest.raises(ValueError, match="second_axle_m must be less than wheelbase_m"):
        parse_profile(text.replace("second_axle_m = 3.285", "second_axle_m = 5.5"), "bad")


def test_lens_of_any_machine__is_reckoned_from_its_reference_point() -> None:
    sizes: dict[str, MachineSize] = {name: shipped(name).profile.machine for name in NAMES}
    assert sizes["ug_truck_60t"].front_of_reference_m == 2.6
    assert sizes["rigid_truck_55t"].front_of_reference_m == 7.5


# Outlines


def test_outlines__cover_the_machine_the_mounted_tool_and_the_trailer() -> None:
    tractor, towing = shipped("electric_tractor").body, shipped("electric_tractor_trailer").body
    assert tractor.front == (Box(-0.86, 3.14, 1.0), Box(-2.46, -0.86, 1.25))
    assert tractor.rear == ()
    assert towing.rear == (Box(-4.5, -1.2, 1.05),)
    assert towing.fold_m == 0.75
    rigid = shipped("rigid_truck_55t")
    assert rigid.body.front == (Box(-2.75, 4.215 + 3.285, 2.7),)
    assert rigid.body.longest_m == pytest.approx(10.25)
    assert towing.reach_m == pytest.approx(0.75 + math.hypot(4.5, 1.05))


@cache
def walls_of(name: str) -> tuple[Site, Machine, DriftWalls]:
    site, machine = load_site(DRIFT_FILE), shipped(name)
    return site, machine, DriftWalls(site, machine.body)


def deepest_m(site: Site, machine: Machine, pose: BodyPose, near_station_m: float) -> float:
    """Reference: how far dense points of every rectangle's edges lie in rock."""
    body = machine.body
    heading = complex(math.cos(pose.heading_rad), math.sin(pose.heading_rad))
    rear_rad = pose.heading_rad - pose.joint_rad
    origin = complex(pose.x_m, pose.y_m)
    units = [(origin, heading, box, 0.0) for box in body.front]
    fold = origin - body.fold_m * heading
    turned = complex(math.cos(rear_rad), math.sin(rear_rad))
    units += [(fold, turned, box, -body.fold_m) for box in body.rear]
    deepest = -math.inf
    for start, along, box, from_m in units:
        for index in range(81):
            ahead_m = box.rear_m + (box.front_m - box.rear_m) * index / 80.0
            for aside_m in (box.half_m, -box.half_m):
                at = start + along * complex(ahead_m, aside_m)
                near_m = near_station_m + from_m + ahead_m
                station_m, offset_m = site.locate(at.real, at.imag, near_m)
                deepest = max(deepest, abs(offset_m) - site.half_width_at(station_m))
    return deepest


@settings(max_examples=100)
@given(
    name=st.sampled_from(["electric_tractor", "electric_tractor_trailer", "truck_8x8_50t"]),
    station_m=st.floats(0.0, 1217.0),
    offset_m=st.floats(-2.5, 2.5),
    aside_rad=st.floats(-0.5, 0.5),
    joint_rad=st.floats(-1.0, 1.0),
)
def test_any_pose_of_a_rigid_machine_or_a_trailer__agrees_with_dense_sampling(
    name: str, station_m: float, offset_m: float, aside_rad: float, joint_rad: float
) -> None:
    site, machine, walls = walls_of(name)
    point = site.pose_at(station_m)
    pose = BodyPose(
        point.x_m - offset_m * math.sin(point.heading_rad),
        point.y_m + offset_m * math.cos(point.heading_rad),
        point.heading_rad + aside_rad,
        joint_rad,
    )
    deep_m = deepest_m(site, machine, pose, station_m)
    touches = walls.touch(pose, station_m)
    assert touches or deep_m < 0.02
    assert not touches or deep_m > -0.02


# Driving


@pytest.mark.parametrize("name", IN_THE_DRIFT)
def test_first_bends_of_the_drift__are_driven_without_a_touch(name: str) -> None:
    site, machine = load_site(DRIFT_FILE), shipped(name)
    drift = Drift(site, machine.body)
    plant = MachinePlant(machine, drift, drift.start)
    for _ in range(3000):
        plant.step(STEP_NS, follow(site, drift, plant))
    assert plant.state.contacts == 0
    assert plant.state.distance_m > 40.0
    assert abs(drift.offset_m) < 0.6


def test_rigid_truck_in_the_drift__meets_the_rock_where_its_width_ends() -> None:
    site, machine = load_site(DRIFT_FILE), shipped("rigid_truck_55t")
    drift = Drift(site, machine.body)
    plant = MachinePlant(machine, drift, drift.start)
    for _ in range(2000):
        plant.step(STEP_NS, follow(site, drift, plant))
    books = plant.ledger
    missing_j = books.traction_j - books.climbed_j - books.dissipated_j - plant.kinetic_j
    assert plant.state.touching
    assert books.impact_j > 1e5
    assert abs(missing_j) < 1e-9 * books.traction_j
    assert site.half_width_at(drift.station_m + 7.5) < 2.9


@pytest.mark.parametrize("name", NAMES)
def test_braked_on_a_grade__stands_to_the_last_bit(name: str) -> None:
    machine = shipped(name)
    plant = MachinePlant(machine, OpenGround(0.2), ORIGIN)
    held = COAST._replace(brake_mps2=machine.profile.limits.service_brake_max_mps2)
    for _ in range(200):
        plant.step(STEP_NS, held)
    before = plant.state
    for _ in range(1000):
        plant.step(STEP_NS, held)
    after = plant.state
    assert (after.speed_mps, after.park_share) == (0.0, 0.0)
    assert (after.x_m, after.distance_m) == (before.x_m, before.distance_m)


@pytest.mark.parametrize("name", NAMES)
def test_mirrored_steering__gives_the_mirrored_path_bit_for_bit(name: str) -> None:
    left, right = (MachinePlant(shipped(name), OpenGround(), ORIGIN) for _ in range(2))
    parts = ((0.04, 1.0, 0.0, 1), (-0.1, 0.0, 1.5, 1), (0.02, 1.0, 0.0, -1), (0.0, 0.6, 0.2, 1))
    for curvature_per_m, accel_mps2, brake_mps2, direction in parts:
        demand = ActuatorDemand(curvature_per_m, accel_mps2, 6.0, direction, brake_mps2, park=False)
        mirrored = demand._replace(curvature_per_m=-curvature_per_m)
        for _ in range(300):
            left.step(STEP_NS, demand)
            right.step(STEP_NS, mirrored)
    assert left.state.distance_m > 5.0
    assert left.state.x_m == right.state.x_m
    assert left.state.y_m == -right.state.y_m
    assert left.state.joint_rad == -right.state.joint_rad
    assert left.state.speed_mps == right.state.speed_mps


DIGEST_RUN = """
from dataclasses import replace
from sim.machines.faults import Biased, Actuator
from sim.machines.plant import MachinePlant
from sim.simulated_machine import SimulatedMachine
from sim.world.drift import Drift
from sim.world.site import load_site
from tests.sim.test_machine_files import NAMES
from tests.sim.worlds import DRIFT_FILE, STEP_NS, follow, shipped
site = load_site(DRIFT_FILE)
for name in NAMES:
    machine = shipped(name)
    drift = Drift(site, machine.body)
    plant = MachinePlant(machine, drift, drift.start)
    for step in range(500):
        demand = follow(site, drift, plant)
        plant.step(STEP_NS, demand._replace(implement=0.5 if step > 300 else 0.0))
        if step == 400:
            plant.set_faults([Biased(Actuator.STEERING, 0.01), Biased(Actuator.BRAKE, 0.01)])
    print(name, plant.digest())
    simulated = SimulatedMachine(machine, site, seed=7)
    for step in range(100):
        simulated.step(1_000_000_000 + step * 5_000_000)
    print(name, simulated.plant.digest(), simulated.told)
"""


def test_every_machine_in_two_processes_with_other_hash_seeds__ends_in_the_same_bits() -> None:
    runs = [
        subprocess.Popen(
            [sys.executable, "-c", DIGEST_RUN],
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
            text=True,
        )
        for seed in ("1", "4242")
    ]
    said = [run.communicate()[0] for run in runs]
    assert [run.returncode for run in runs] == [0, 0]
    assert len(said[0].splitlines()) == 2 * len(NAMES)
    assert said[0] == said[1]
