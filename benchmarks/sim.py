"""How fast the simulator is on one core, by part.

    python -m benchmarks.sim [--json] [--quick] [--part NAME ...]

    plant    each machine's plant alone on an endless plane, 10 ms steps
    drift    the same truck between walls: floor, contact, plant, 10 ms steps
    machine  emulated ECU, sensors, plant and drift behind the bus, 5 ms steps, nobody driving
    chain    the whole of it in lock-step: signed frames, link, supervisor, bus, ECU, plant, and
             the processor time of each part a tick (benchmarks/sim_chain.py)
    pictures each machine's front camera in its own site, at 720p and 360p: ms of CPU a picture

The samples are simulated time over processor time of this process, one for each repetition, so
that other programs on the computer disturb little; of pictures, the processor time of each. The
notes say the same by the wall, and the computer's noise meanwhile (benchmarks/sim_clock.py). A
part that has a target keeps it when its best repetition does. ``--json`` prints one object:
``{"name": "sim", "held", "parts": [...]}``, each part an object as in benchmarks/common.py.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from benchmarks import sim_chain
from benchmarks.common import Measurement, as_text, report
from benchmarks.sim_clock import Stopwatch
from sim.demo import own_site
from sim.machines.interface import ActuatorDemand
from sim.machines.parameters import Machine, load_machine
from sim.machines.plant import MachinePlant
from sim.machines.surroundings import OpenGround
from sim.machines.trials import COAST, DRIVE, ORIGIN
from sim.render.camera import CameraOptions, CameraPose, FrontCamera
from sim.render.mounted import mounted
from sim.simulated_machine import ECU_STEP_NS, SimulatedMachine
from sim.world.drift import Drift
from sim.world.site import Site, load_site

CONFIGS = Path(__file__).resolve().parents[1] / "configs"
TRUCK = CONFIGS / "machines" / "ug_truck_60t.toml"
SITE = CONFIGS / "sites" / "mine_drift.toml"
PLANT_STEP_NS = 10_000_000
PLANT_TARGET = 500.0
"""Times real time, of the plant alone on one core."""
SIZES_PX = ((1280, 720), (640, 360))
FULL, QUICK = (20, 30.0), (5, 10.0)
"""Repetitions, and simulated seconds of each."""

Step = Callable[[int], object]
"""Advances the part by one step; its argument is the number of the step."""


def _course(machine: Machine) -> tuple[ActuatorDemand, ...]:
    """Half a second of each in turn: pull, left, right, roll, retard, brake, set off again."""
    curvature_per_m = 0.5 * machine.profile.limits.curvature_max_per_m
    pull = DRIVE._replace(speed_limit_mps=machine.profile.limits.zone_speed_mps)
    return (
        pull,
        pull._replace(curvature_per_m=curvature_per_m),
        pull._replace(curvature_per_m=-curvature_per_m),
        pull,
        COAST,
        COAST._replace(retarder=1.0),
        COAST._replace(brake_mps2=0.5),
        pull,
    )


def _driven(plant: MachinePlant, course: Sequence[ActuatorDemand], each: int) -> Step:
    """Steps of ``plant`` with ``each`` of them under one demand of ``course`` after the other."""

    def step(number: int) -> None:
        plant.step(PLANT_STEP_NS, course[number // each % len(course)])

    return step


def _times(step: Step, step_ns: int, quick: bool) -> tuple[list[float], str]:
    """Times real time of each repetition, and what to say of them."""
    repetitions, seconds = QUICK if quick else FULL
    steps = round(seconds * 1e9 / step_ns)
    simulated_s = steps * step_ns * 1e-9
    numbers = itertools.count()

    def repetition() -> None:
        for number in itertools.islice(numbers, steps):
            step(number)

    watch = Stopwatch()
    samples = [simulated_s / watch.time(repetition) for _ in range(repetitions)]
    least_us = step_ns / max(samples) / 1e3
    noise = watch.noise(simulated_s * repetitions)
    return samples, f"{least_us:.1f} us a step of {step_ns / 1e6:g} ms at best; {noise}"


def _measured(
    name: str, step: Step, step_ns: int, quick: bool, target: float | None = None
) -> Measurement:
    samples, notes = _times(step, step_ns, quick)
    if target is not None:
        notes += f"; target at least {target:g}"
    return Measurement(
        name=name,
        unit="x real time",
        samples=samples,
        notes=notes,
        held=target is None or max(samples) >= target,
    )


def plant(quick: bool) -> Iterator[Measurement]:
    """Each machine's plant alone."""
    for path in sorted((CONFIGS / "machines").glob("*.toml")):
        machine = load_machine(path)
        course = _course(machine)
        alone = MachinePlant(machine, OpenGround(), ORIGIN)
        step = _driven(alone, course, 50)
        yield _measured(f"plant {path.stem}", step, PLANT_STEP_NS, quick, PLANT_TARGET)


def drift(quick: bool) -> Iterator[Measurement]:
    """The truck between walls; creeping, so that it stays clear of them for the whole run."""
    machine = load_machine(TRUCK)
    around = Drift(load_site(SITE), machine.body)
    inside = MachinePlant(machine, around, around.start)
    ways = tuple(DRIVE._replace(direction=way, speed_limit_mps=1.0) for way in (1, 0, -1, 0))
    yield _measured("drift ug_truck_60t", _driven(inside, ways, 800), PLANT_STEP_NS, quick)


def machine(quick: bool) -> Iterator[Measurement]:
    """Everything behind the bus; nobody drives, so the machine stands and reports."""
    behind = SimulatedMachine(load_machine(TRUCK), load_site(SITE), seed=1)
    yield _measured(
        "machine ug_truck_60t",
        lambda number: behind.step(1_000_000_000 + number * ECU_STEP_NS),
        ECU_STEP_NS,
        quick,
    )


def chain(quick: bool) -> Iterator[Measurement]:
    """Everything between the driver's hands and the tyres."""
    yield sim_chain.measure(quick)


def pictures(quick: bool) -> Iterator[Measurement]:
    """The front camera of each machine on a ride along its own site."""
    for path in sorted((CONFIGS / "machines").glob("*.toml")):
        parts = load_machine(path)
        place = load_site(CONFIGS / "sites" / f"{own_site(path.stem)}.toml")
        for width, height in SIZES_PX:
            options = CameraOptions(width_px=width, height_px=height)
            camera = FrontCamera(place, mounted(parts, "front", options))
            samples = [_picture_ms(camera, place, number) for number in range(20 if quick else 90)]
            camera.close()
            yield Measurement(
                name=f"picture {path.stem} {place.name} {height}p",
                unit="ms CPU",
                samples=samples[5:],
                notes="drawn, finished and packed as I420; the aim is 8 ms at 720p",
            )


def _picture_ms(camera: FrontCamera, place: Site, number: int) -> float:
    """Processor time of the picture at one place of a ride of 4.5 m/s at 30 Hz."""
    way_m = 0.15 * number
    point = place.pose_at(place.start_station_m + way_m)
    pose = CameraPose(
        point.x_m, point.y_m, point.z_m, point.heading_rad, math.atan(point.grade),
        point.station_m, way_m, math.atan(point.cross_slope), site_s=number / 30.0,
    )  # fmt: skip
    began_ns = time.process_time_ns()
    camera.picture(pose, number * 33_333)
    return (time.process_time_ns() - began_ns) / 1e6


PARTS: dict[str, Callable[[bool], Iterator[Measurement]]] = {
    "plant": plant,
    "drift": drift,
    "machine": machine,
    "chain": chain,
    "pictures": pictures,
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run as a program; 1 when a target was not kept."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.sim", description=__doc__)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--quick", action="store_true", help="fewer and shorter repetitions")
    parser.add_argument("--part", action="append", choices=PARTS, help="only this one; repeatable")
    chosen = parser.parse_args(arguments)
    found: list[Measurement] = []
    for name in chosen.part or PARTS:
        for measurement in PARTS[name](chosen.quick):
            found.append(measurement)
            if not chosen.json:
                print(as_text(measurement), flush=True)
    held = all(measurement.held for measurement in found)
    if chosen.json:
        print(json.dumps({"name": "sim", "held": held, "parts": [report(m) for m in found]}))
    return 0 if held else 1


if __name__ == "__main__":
    sys.exit(main())
