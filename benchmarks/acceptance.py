"""What the simulated machines do on the proving ground, against what their sources say.

    python -m benchmarks.acceptance [--json]

One row for each machine and quantity: the value, the bound that it must keep, and where the
bound comes from. The exit code is 1 when a row does not keep its bound. The figures are of
simulated time: they do not depend on the computer.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import math
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

from sim.machines import trials
from sim.machines.electric import ElectricParameters
from sim.machines.frames import RigidFrame, frame_of
from sim.machines.longitudinal import AIR_DENSITY_KGPM3, GRAVITY_MPS2
from sim.machines.parameters import Machine, load_machine

MACHINES = Path(__file__).resolve().parents[1] / "configs" / "machines"
KMH = 3.6
LAW = "US 30 CFR 57.14101, t_sys {:g} s, no operator time"


@dataclass(frozen=True, slots=True)
class Bound:
    """From ``low`` to ``high``, and why."""

    low: float
    high: float
    source: str


@dataclass(frozen=True, slots=True)
class Row:
    """One trial of one machine."""

    machine: str
    quantity: str
    unit: str
    trial: Callable[[], float]
    bound: Bound


@dataclass(frozen=True, slots=True)
class Result:
    """What came of a row; ``value`` is None when the machine did not get through the trial."""

    machine: str
    quantity: str
    unit: str
    value: float | None
    low: float
    high: float
    source: str
    held: bool


def _about(value: float, share: float, source: str) -> Bound:
    return Bound(value * (1.0 - share), value * (1.0 + share), source)


@dataclass(frozen=True, slots=True)
class Sheet:
    """What is known of a machine from outside its plant.

    Attributes:
        radius_m: smallest, of the reference point. lock_s: from lock to lock.
        grade, climb_kmh: what it climbs loaded, and how fast.
        top_kmh: empty, on the level.
    """

    radius_m: Bound
    lock_s: Bound
    grade: float
    climb_kmh: Bound
    top_kmh: Bound


def _balance_kmh(machine: Machine, grade: float) -> float:
    """Speed at which the power at the wheels is that of grade, rolling and air."""
    plant, drive = machine.plant, machine.plant.drive
    power_w = drive.rated_power_w if isinstance(drive, ElectricParameters) else drive.power_w
    load_n = plant.loaded_kg * GRAVITY_MPS2 / math.sqrt(1.0 + grade * grade)
    against_n = load_n * (grade + plant.tyres.rolling_resistance)
    low, high = 0.0, 100.0
    for _ in range(60):
        middle = 0.5 * (low + high)
        drag_n = 0.5 * AIR_DENSITY_KGPM3 * plant.drag_area_m2 * middle * middle
        over = (against_n + drag_n) * middle > power_w * drive.efficiency
        low, high = (low, middle) if over else (middle, high)
    return low * KMH


def _balance(machine: Machine, grade: float) -> Bound:
    return _about(_balance_kmh(machine, grade), 0.02, "power balance: P eta = F v")


def _travel(machine: Machine) -> Bound:
    """The machine file's own rate over the whole travel, with dead time and lag."""
    p = machine.plant.steering
    least_s = 1.96 * p.limit_rad / p.rate_radps
    most_s = 2.0 * p.limit_rad / p.rate_radps + p.dead_time_s + 4.0 * p.tau_s
    return Bound(least_s, most_s, "end stops over the rate, with dead time and lag")


def sheets() -> dict[str, Callable[[Machine], Sheet]]:
    """By the machine's name."""
    return {
        "ug_truck_60t": lambda _: Sheet(
            _about(7.7, 0.02, "(Lf cos + Lr)/sin of 42.5 deg; MT85, Toro 50 class"),
            Bound(5.0, 8.0, "class: 5 to 8 s loaded"),
            1.0 / 7.0,
            _about(8.4, 0.02, "565 kW x 0.75 at 1:7 + 3 %; Toro 50 Plus 2nd gear 8.0"),
            _about(35.0, 0.05, "Toro 50 Plus: 35.0 in top gear"),
        ),
        "rigid_truck_55t": lambda m: Sheet(
            _about(7.01, 0.02, "773F: 4.215 m / tan 31 deg"),
            _travel(m),
            0.10,
            _about(12.1, 0.02, "773G: 546 kW x 0.80 at 10 % + 3 %"),
            _about(67.6, 0.05, "773G sheet: 67.6"),
        ),
        "electric_tractor": lambda m: Sheet(
            _about(1.88, 0.03, "2.24 m / tan 50 deg"),
            _travel(m),
            0.14,
            _balance(m, 0.14),
            _about(40.0, 0.05, "New Holland T4 EP: 40"),
        ),
        "electric_tractor_trailer": lambda m: Sheet(
            _about(1.88, 0.03, "2.24 m / tan 50 deg"),
            _travel(m),
            0.14,
            _balance(m, 0.14),
            _about(40.0, 0.05, "New Holland T4 EP: 40"),
        ),
        "roller_13t": lambda m: Sheet(
            _about(4.6, 0.02, "1.45 m / tan 17.5 deg"),
            _travel(m),
            0.17,
            Bound(5.0, 12.0, "OO-R-2853: climbs 17 %"),
            Bound(9.6, 12.5, "OO-R-2853: at least 9.6; class 12"),
        ),
        "truck_8x8_50t": lambda m: Sheet(
            _about(9.41, 0.02, "T158: 5.435 m / tan 30 deg"),
            _travel(m),
            0.10,
            _balance(m, 0.10),
            _about(85.0, 0.05, "T158: 85"),
        ),
    }


def rows(machine: Machine) -> Iterator[Row]:
    """Every trial of one machine.

    Raises:
        ValueError: nothing is known of it.
    """
    name = machine.profile.machine.name
    if name not in sheets():
        raise ValueError(f"no sheet of {name}")
    sheet = sheets()[name](machine)
    yield from (
        Row(name, quantity, unit, trial, bound)
        for quantity, unit, trial, bound in (
            *_steering(machine, sheet),
            *_driving(machine, sheet),
            *_stopping(machine),
            *_books(machine),
        )
    )


_Line = tuple[str, str, Callable[[], float], Bound]


def _steering(machine: Machine, sheet: Sheet) -> Iterator[_Line]:
    p = machine.plant.steering
    for side, named in ((1.0, "left"), (-1.0, "right")):
        yield (
            f"turning radius {named}",
            "m",
            partial(trials.turning_radius_m, machine, side),
            sheet.radius_m,
        )
    yield "lock to lock", "s", partial(trials.lock_to_lock_s, machine), sheet.lock_s
    travel_s = 0.45 * p.limit_rad / p.rate_radps
    rise = Bound(
        p.dead_time_s + travel_s,
        p.dead_time_s + travel_s + 3.0 * p.tau_s,
        "dead time + travel at the rate, + up to 3 lags",
    )
    yield "step to half lock, to 90 %", "s", partial(trials.steering_step_s, machine), rise
    none = Bound(0.0, 0.0, "a valve that closes does not overshoot")
    yield "overshoot of that step", "rad", partial(trials.steering_overshoot_rad, machine), none


def _driving(machine: Machine, sheet: Sheet) -> Iterator[_Line]:
    yield (
        f"speed up {100.0 * sheet.grade:.3g} %, loaded",
        "km/h",
        lambda: trials.steady_speed_mps(machine, sheet.grade) * KMH,
        sheet.climb_kmh,
    )
    yield (
        "top speed, level, empty",
        "km/h",
        lambda: trials.steady_speed_mps(machine, 0.0, 0.0) * KMH,
        sheet.top_kmh,
    )


def _stopping(machine: Machine) -> Iterator[_Line]:
    response_s = machine.profile.limits.brake_delay_worst_s
    law = LAW.format(response_s)
    top_kmh = machine.profile.limits.speed_max_mps * KMH
    for grade in (0.0, -0.14):
        for speed_kmh in (10.0, min(20.0, math.floor(top_kmh))):
            speed_mps = speed_kmh / KMH
            most_m = trials.legal_stop_m(speed_mps, grade, response_s)
            yield (
                f"stop from {speed_kmh:g} km/h at {100.0 * grade:+g} %".replace("+0 %", "0 %"),
                "m",
                partial(trials.stop_m, machine, speed_mps, grade),
                Bound(0.0, most_m, law),
            )
    most_m = trials.legal_stop_m(10.0 / KMH, -0.14, response_s)
    yield (
        "the same from 10 km/h at -14 %, park brake alone",
        "m",
        partial(trials.stop_m, machine, 10.0 / KMH, -0.14, park=True),
        Bound(0.0, most_m, law),
    )
    still = Bound(0.0, 0.0, "holds by itself: no creep in 20 s")
    for grade in (0.2, -0.2):
        yield (
            f"creep on {100.0 * grade:+g} %, park brake",
            "m",
            partial(trials.crept_m, machine, grade),
            still,
        )


def _books(machine: Machine) -> Iterator[_Line]:
    size, plant = machine.profile.machine, machine.plant
    towed = "rear axle" if isinstance(frame_of(size), RigidFrame) else "joint"
    towed = "trailer" if plant.trailer is not None else towed
    yield (
        f"{towed} against a tractrix",
        "rad",
        partial(trials.towed_error_rad, machine),
        Bound(0.0, 2e-3, "tractrix in steps of 2 ms, error of its own step size"),
    )
    yield (
        "energy missing in the books",
        "1",
        partial(trials.energy_error, machine),
        Bound(0.0, 1e-9, "traction = kinetic + potential + dissipated"),
    )


def judge(row: Row) -> Result:
    """Hold the trial."""
    bound, value = row.bound, None
    with contextlib.suppress(trials.TrialError):
        value = row.trial()
    held = value is not None and bound.low <= value <= bound.high
    return Result(
        row.machine, row.quantity, row.unit, value, bound.low, bound.high, bound.source, held
    )


def results() -> list[Result]:
    """Every row of every shipped machine."""
    files = sorted(MACHINES.glob("*.toml"))
    return [judge(row) for path in files for row in rows(load_machine(path))]


def _bound_text(result: Result) -> str:
    if result.low == result.high:
        return f"= {result.low:.4g}"
    if result.low == 0.0:
        return f"<= {result.high:.4g}"
    return f"{result.low:.4g} ... {result.high:.4g}"


def as_text(found: Sequence[Result]) -> str:
    """The table for a person."""
    lines = [("machine", "quantity", "value", "unit", "bound", "", "source")]
    lines += [
        (
            result.machine,
            result.quantity,
            "never" if result.value is None else f"{result.value:.4g}",
            result.unit,
            _bound_text(result),
            "ok" if result.held else "NOT HELD",
            result.source,
        )
        for result in found
    ]
    widths = [max(len(line[column]) for line in lines) for column in range(6)]
    return "\n".join(
        "  ".join(
            [*(f"{cell:<{width}}" for cell, width in zip(line, widths, strict=False)), line[6]]
        )
        for line in lines
    )


def main() -> int:
    """Run as a program."""
    parser = argparse.ArgumentParser(description=__doc__, prog="python -m benchmarks.acceptance")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--quick", action="store_true", help="the same: it is short")
    chosen = parser.parse_args()
    found = results()
    held = all(result.held for result in found)
    if chosen.json:
        print(json.dumps({"name": "acceptance", "held": held, "rows": [asdict(r) for r in found]}))
    else:
        print(as_text(found))
    return 0 if held else 1


if __name__ == "__main__":
    sys.exit(main())
