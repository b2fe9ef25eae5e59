"""How fast the simulator is on one core, by part.

    python -m benchmarks.sim [--json] [--quick] [--part NAME ...]

    plant    each machine's plant alone on an endless plane, 10 ms steps
    drift    the same truck between walls: floor, contact, plant, 10 ms steps
    machine  emulated ECU, sensors, plant and drift behind the bus, 5 ms steps, nobody driving

The samples are simulated time over processor time of this process, one for each repetition, so
that other programs on the computer disturb little. A part that has a target keeps it when its
best repetition does. ``--json`` prints one object: ``{"name": "sim", "held", "parts": [...]}``,
each part an object as in benchmarks/common.py.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from benchmarks.common import Measurement, as_text, report
from sim.machines.interface import ActuatorDemand
from sim.machines.parameters import Machine, load_machine
from sim.machines.plant import MachinePlant
from sim.machines.surroundings import OpenGround
from sim.machines.trials import COAST, DRIVE, ORIGIN
from sim.simulated_machine import ECU_STEP_NS, SimulatedMachine
from sim.world.drift import Drift
from sim.world.site import load_site

CONFIGS = Path(__file__).resolve().parents[1] / "configs"
TRUCK = CONFIGS / "machines" / "ug_truck_60t.toml"
SITE = CONFIGS / "sites" / "mine_drift.toml"
PLANT_STEP_NS = 10_000_000
PLANT_TARGET = 500.0
"""Times real time, of the plant alone on one core."""
FULL, QUICK = (20, 30.0), (5, 10.0)
"""Repetitions, and simulated seconds of each."""

Step = Callable[[int], object]
"""Advances the part by one step; its argument is the number of the step."""


def _course(machine: Machine) -> tuple[ActuatorDemand, ...]:
    """Half a second of each in turn: pull, left, right, roll, retard, brake, set off again."""
    curvature_per_m = 0.5 * machine.profile.limits.curvature_max_per_m
    pull = replace(DRIVE, speed_limit_mps=machine.profile.limits.zone_speed_mps)
    return (
        pull,
        replace(pull, curvature_per_m=curvature_per_m),
        replace(pull, curvature_per_m=-curvature_per_m),
        pull,
        COAST,
        replace(COAST, retarder=1.0),
        replace(COAST, brake_mps2=0.5),
        pull,
    )


def _driven(plant: MachinePlant, course: Sequence[ActuatorDemand], each: int) -> Step:
    """Steps of ``plant`` with ``each`` of them under one demand of ``course`` after the other."""

    def step(number: int) -> None:
        plant.step(PLANT_STEP_NS, course[number // each % len(course)])

    return step


def _times(step: Step, step_ns: int, quick: bool) -> tuple[list[float], float]:
    """Times real time of each repetition, and the least microseconds of a step."""
    repetitions, seconds = QUICK if quick else FULL
    steps = round(seconds * 1e9 / step_ns)
    number, samples = 0, []
    for _ in range(repetitions):
        began_ns = time.process_time_ns()
        for _ in range(steps):
            step(number)
            number += 1
        samples.append(steps * step_ns / (time.process_time_ns() - began_ns))
    return samples, step_ns / max(samples) / 1e3


def _measured(
    name: str, step: Step, step_ns: int, quick: bool, target: float | None = None
) -> Measurement:
    samples, least_us = _times(step, step_ns, quick)
    notes = f"{least_us:.1f} us a step of {step_ns / 1e6:g} ms at best"
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
    ways = tuple(replace(DRIVE, direction=way, speed_limit_mps=1.0) for way in (1, 0, -1, 0))
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


PARTS: dict[str, Callable[[bool], Iterator[Measurement]]] = {
    "plant": plant,
    "drift": drift,
    "machine": machine,
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
