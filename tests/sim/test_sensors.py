"""The simulated range scanner: exact against brute force, seeded, late; a truck that has one."""

from __future__ import annotations

import math
from random import Random
from typing import Any

import pytest

from sim.scenario.file import Scenario, find_scenario
from sim.scenario.judge import Outcome, run_scenario
from sim.sensors.lookout import DELAY_NS, PERIOD_NS, SCANNER, Lookout, walls_of
from sim.sensors.range_scan import Measured, Run, Scanner, cast
from sim.simulated_machine import SimulatedMachine
from sim.world.site import load_site
from tests.sim.worlds import DRIFT_FILE, machine
from vehicle_agent.core.clearance import RangeFinder, decode

SITE = load_site(DRIFT_FILE)
FINDER = RangeFinder.of(machine().profile.machine, SCANNER.range_m)
ROUND = Scanner(beams=361, fan_rad=2.0 * math.pi, range_m=30.0)
MS = 1_000_000


def brute_m(runs: list[Run], x_m: float, y_m: float, angle_rad: float, range_m: float) -> float:
    """One ray against every run: s·d = a + t·(b − a)."""
    nearest_m = math.inf
    dx, dy = math.cos(angle_rad), math.sin(angle_rad)
    for ax_m, ay_m, bx_m, by_m in runs:
        ex_m, ey_m = bx_m - ax_m, by_m - ay_m
        slope = dx * ey_m - dy * ex_m
        if slope == 0.0:
            continue
        qx_m, qy_m = ax_m - x_m, ay_m - y_m
        way_m = (qx_m * ey_m - qy_m * ex_m) / slope
        share = (qx_m * dy - qy_m * dx) / slope
        if way_m >= 0.0 and 0.0 <= share <= 1.0:
            nearest_m = min(nearest_m, way_m)
    return nearest_m if nearest_m <= range_m else math.inf


def scattered(dice: Random) -> Run:
    x0_m, y0_m, x1_m, y1_m = (dice.uniform(-25.0, 25.0) for _ in range(4))
    return x0_m, y0_m, x1_m, y1_m


@pytest.mark.parametrize("scanner", [SCANNER, ROUND], ids=["half round", "all round"])
def test_scan_among_scattered_runs__is_that_of_brute_force(scanner: Scanner) -> None:
    dice = Random(7)
    for _ in range(4):
        runs = [scattered(dice) for _ in range(40)]
        x_m, y_m, heading_rad = dice.uniform(-5, 5), dice.uniform(-5, 5), dice.uniform(-4, 4)
        found = cast(runs, scanner, x_m, y_m, heading_rad)
        angles = [
            heading_rad + scanner.first_rad + beam * scanner.step_rad
            for beam in range(scanner.beams)
        ]
        wanted = [brute_m(runs, x_m, y_m, angle, scanner.range_m) for angle in angles]
        assert found == pytest.approx(wanted, abs=1e-6)


@pytest.mark.parametrize("station_m", [24.0, 290.0, 512.0, 1215.0])
def test_scan_of_a_drift__is_that_of_brute_force_over_both_walls(station_m: float) -> None:
    point = SITE.pose_at(station_m)
    walls = [run for wall in walls_of(SITE) for run in wall]
    found = cast(walls, SCANNER, point.x_m, point.y_m, point.heading_rad)
    for beam in range(0, SCANNER.beams, 9):
        angle_rad = point.heading_rad + SCANNER.first_rad + beam * SCANNER.step_rad
        wanted_m = brute_m(walls, point.x_m, point.y_m, angle_rad, SCANNER.range_m)
        assert found[beam] == pytest.approx(wanted_m, abs=1e-6)


def test_beam_through_the_end_that_two_runs_share__does_not_pass_between_them() -> None:
    found = cast([(5.0, -3.0, 5.0, 0.0), (5.0, 0.0, 5.0, 3.0)], SCANNER, 0.0, 0.0, 0.0)
    assert found[90] == pytest.approx(5.0)


def test_run_seen_end_on__is_not_seen() -> None:
    assert cast([(3.0, 0.0, 9.0, 0.0)], SCANNER, 0.0, 0.0, 0.0)[90] == math.inf


def test_noise__repeats_by_its_seed_and_has_its_deviation() -> None:
    exact_m = [10.0] * 181
    scans = [Measured(Scanner(hole_share=0.0), seed)(exact_m) for seed in (1, 1, 2)]
    assert scans[0] == scans[1] != scans[2]
    spread_m = (sum((each - 10.0) ** 2 for each in scans[0]) / 181) ** 0.5
    assert spread_m == pytest.approx(0.02, rel=0.2)


def test_holes__are_beams_that_say_nothing_and_the_rest_stays_as_it_was() -> None:
    exact_m = [10.0] * 2000
    whole = Measured(Scanner(hole_share=0.0), 1)(exact_m)
    holed = Measured(Scanner(hole_share=0.05), 1)(exact_m)
    assert sum(map(math.isnan, holed)) == pytest.approx(100, abs=30)
    kept = [pair for pair in zip(whole, holed, strict=True) if not math.isnan(pair[1])]
    assert all(a == b for a, b in kept)


def test_what_is_met_nowhere__stays_so_and_no_range_is_negative_or_too_far() -> None:
    measured = Measured(Scanner(noise_m=5.0, hole_share=0.0, range_m=40.0), 1)
    assert set(measured([math.inf] * 20)) == {math.inf}
    assert min(measured([0.5] * 200)) == 0.0
    assert max(measured([39.9] * 200)) == 40.0


def test_lookout__scans_ten_times_a_second_and_each_comes_late_with_its_own_time() -> None:
    lookout = Lookout(SITE, FINDER, 1, 0)
    truth = SimulatedMachine(machine(), SITE, 1).truth(0)
    came = [(at_ms, lookout.step(at_ms * MS, truth)) for at_ms in range(0, 250, 10)]
    scans = [(at_ms, decode(data)) for at_ms, each in came for data in each]
    assert [at_ms for at_ms, _ in scans] == [30, 130, 230]
    assert [scan.stamp_us for _, scan in scans if scan is not None] == [0, 100_000, 200_000]
    assert (PERIOD_NS, DELAY_NS) == (100 * MS, 30 * MS)


def test_lookout_at_the_start__sees_both_walls_at_their_distance() -> None:
    lookout = Lookout(SITE, FINDER, 1, 0)
    truth = SimulatedMachine(machine(), SITE, 1).truth(0)
    lookout.step(0, truth)
    scan = decode(lookout.step(DELAY_NS, truth)[0])
    assert scan is not None
    assert (scan.ranges_m[0], scan.ranges_m[180]) == pytest.approx((3.25, 3.25), abs=0.1)


# -- a truck that has one


def towards_the_wall(**changes: Any) -> Outcome:
    shipped = find_scenario("towards_the_wall_of_a_bend")
    return run_scenario(Scenario("x", {**shipped.raw, **changes}, "x.yaml"), 1)


def test_hands_frozen_before_a_bend_without_a_finder__the_truck_meets_the_wall() -> None:
    outcome = towards_the_wall(range_finder=False)
    assert [check.name for check in outcome.checks if not check.held] == ["never: contact"]
