"""The simulated range scanner: exact against brute force, seeded, late; a truck that has one."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from random import Random
from typing import Any

import pytest

from sim.scenario.file import Scenario, ScenarioError, find_scenario
from sim.scenario.judge import Outcome, run_scenario
from sim.sensors.lookout import DELAY_NS, PERIOD_NS, SCANNER, Lookout
from sim.sensors.outline import outline_of
from sim.sensors.range_scan import Disc, Measured, Run, Scanner, cast
from sim.sensors.scenery import HEIGHT_M, Scenery, walls_of
from sim.simulated_machine import SimulatedMachine, Truth
from sim.world.site import Site, load_site
from sim.world.things import Fence, Mover, Obstacle, Solid, Things, rectangle
from tests.sim.worlds import DRIFT_FILE, ROOT, machine
from vehicle_agent.core.clearance import RangeFinder, Scan, decode

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


def marched_m(
    inside: Callable[[float, float], bool], x_m: float, y_m: float, angle: float
) -> float:
    """The first centimetre of a ray that lies in something."""
    ways_m = (number * 0.01 for number in range(3000))
    met = (w for w in ways_m if inside(x_m + w * math.cos(angle), y_m + w * math.sin(angle)))
    return next(met, math.inf)


def test_scan_among_discs__is_that_of_a_ray_marched_through_them() -> None:
    dice = Random(3)
    discs: list[Disc] = [
        (dice.uniform(-20, 20), dice.uniform(-20, 20), dice.uniform(0.05, 1.5)) for _ in range(25)
    ]
    discs = [each for each in discs if math.hypot(each[0], each[1]) > 2.0]
    found = cast([], ROUND, 0.0, 0.0, 0.4, discs)
    for beam in range(0, ROUND.beams, 7):
        angle = 0.4 + ROUND.first_rad + beam * ROUND.step_rad
        wanted_m = marched_m(
            lambda x, y: any(math.hypot(x - a, y - b) <= r for a, b, r in discs), 0.0, 0.0, angle
        )
        assert min(found[beam], 30.0) == pytest.approx(min(wanted_m, 30.0), abs=0.011)


def test_scanner_inside_a_disc__nothing_is_free() -> None:
    assert set(cast([], SCANNER, 0.0, 0.0, 0.0, [(0.1, 0.0, 0.2)])) == {0.0}


SOLIDS = [
    Solid(((0.0, 0.0),), 0.35),
    Solid(((-3.0, 0.0), (3.0, 0.5)), 0.4),
    rectangle(8.0, 2.2),
    Solid(((2.0, 0.0), (0.0, 2.0), (-1.0, -1.0)), 0.3),
]


@pytest.mark.parametrize("solid", SOLIDS, ids=["person", "hedge", "loader", "rounded"])
def test_outline__is_met_where_the_solid_begins(solid: Solid) -> None:
    outline = outline_of(solid)

    def inside(x_m: float, y_m: float) -> bool:
        return _apart_m(solid, x_m, y_m) <= solid.radius_m

    for turn in range(24):
        angle = math.tau * turn / 24
        x_m, y_m = 12.0 * math.cos(angle), 12.0 * math.sin(angle)
        found_m = cast(outline.runs, SCANNER, x_m, y_m, angle + math.pi, outline.discs)[90]
        assert found_m == pytest.approx(marched_m(inside, x_m, y_m, angle + math.pi), abs=0.011)


def _apart_m(solid: Solid, x_m: float, y_m: float) -> float:
    """From a point to a convex polygon, 0 inside."""
    points = solid.points
    runs = list(pairwise((*points, points[0])))
    sides = [
        (bx - ax) * (y_m - ay) - (by - ay) * (x_m - ax) for (ax, ay), (bx, by) in runs
    ]  # + left of each side
    within = len(points) > 2 and min(sides) >= 0.0
    shares = [
        min(max(((x_m - ax) * (bx - ax) + (y_m - ay) * (by - ay)) / q, 0.0), 1.0)
        for (ax, ay), (bx, by) in runs
        for q in [max((bx - ax) ** 2 + (by - ay) ** 2, 1e-12)]
    ]
    return (
        0.0
        if within
        else min(
            math.hypot(x_m - ax - share * (bx - ax), y_m - ay - share * (by - ay))
            for share, ((ax, ay), (bx, by)) in zip(shares, runs, strict=True)
        )
    )


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
    lookout = Lookout(Scenery(SITE), FINDER, 1, 0)
    stands = SimulatedMachine(machine(), SITE, 1)
    came = [
        (at_ms, lookout.step(at_ms * MS, stands.truth(at_ms * MS))) for at_ms in range(0, 250, 10)
    ]
    scans = [(at_ms, decode(data)) for at_ms, each in came for data in each]
    assert [at_ms for at_ms, _ in scans] == [30, 130, 230]
    assert [scan.stamp_us for _, scan in scans if scan is not None] == [0, 100_000, 200_000]
    assert (PERIOD_NS, DELAY_NS) == (100 * MS, 30 * MS)


def test_lookout_at_the_start__sees_both_walls_at_their_distance() -> None:
    lookout = Lookout(Scenery(SITE), FINDER, 1, 0)
    truth = SimulatedMachine(machine(), SITE, 1).truth(0)
    lookout.step(0, truth)
    scan = decode(lookout.step(DELAY_NS, truth)[0])
    assert scan is not None
    assert (scan.ranges_m[0], scan.ranges_m[180]) == pytest.approx((3.25, 3.25), abs=0.1)


# -- what stands and moves


def seen_with(things: Things, site_s: float = 0.0) -> Scan:
    """The scan of a truck at the start of the drift's first straight, with other things there."""
    truth: Truth = {**SimulatedMachine(machine(), SITE, 1).truth(0), "site_s": site_s}
    lookout = Lookout(Scenery(replace(SITE, things=things)), FINDER, 1, 0)
    lookout.step(0, truth)
    scan = decode(lookout.step(DELAY_NS, truth)[0])
    assert scan is not None
    return scan


def obstacle(station_m: float, height_m: float) -> Obstacle:
    x_m, y_m, heading_rad = SITE.abeam(station_m, 0.0)
    solid = rectangle(0.4, 3.0).moved(x_m, y_m, heading_rad)
    return Obstacle("crib", x_m, y_m, heading_rad, height_m, solid)


def test_obstacle_ahead__is_seen_when_it_reaches_up_to_the_scanner() -> None:
    front_m = SITE.start_station_m + FINDER.mount_m
    high = seen_with(Things(obstacles=(obstacle(front_m + 12.2, HEIGHT_M + 0.1),)))
    low = seen_with(Things(obstacles=(obstacle(front_m + 12.2, HEIGHT_M),)))
    assert high.ranges_m[90] == pytest.approx(12.0, abs=0.1)
    assert low.ranges_m[90] > 20.0


def test_fence_across__is_seen_when_it_reaches_up_to_the_scanner() -> None:
    ends = [SITE.abeam(SITE.start_station_m + 15.0, aside_m)[:2] for aside_m in (2.0, -2.0)]
    seen_m = [
        seen_with(Things(fences=(Fence("wire", tuple(ends), height_m, 0.1),))).ranges_m[90]
        for height_m in (1.2, 0.3)
    ]
    assert seen_m[0] == pytest.approx(15.0 - FINDER.mount_m - 0.1, abs=0.1)
    assert seen_m[1] > 20.0


def test_mover__is_seen_where_it_is_by_the_sites_clock() -> None:
    way = tuple(SITE.abeam(SITE.start_station_m + at_m, 0.0)[:2] for at_m in (10.0, 20.0))
    person = Mover("person", 1.8, Solid(((0.0, 0.0),), 0.35), (0.0, 10.0), way)
    for site_s in (0.0, 4.0, 9.0):
        scan = seen_with(Things(movers=(person,)), site_s)
        wanted_m = 10.0 + site_s - FINDER.mount_m - 0.35
        assert scan.ranges_m[90] == pytest.approx(wanted_m, abs=0.1)


def test_mover_lower_than_the_scanner__is_not_seen() -> None:
    at = SITE.abeam(SITE.start_station_m + 10.0, 0.0)[:2]
    low = Mover("person", 0.4, Solid(((0.0, 0.0),), 0.35), (0.0, 10.0), (at, at))
    assert seen_with(Things(movers=(low,))).ranges_m[90] > 20.0


def test_site_without_walls__nothing_stands_at_its_edges() -> None:
    field = load_site(ROOT / "configs/sites/farm_field.toml")
    bare: Site = replace(field, things=Things())
    truth = SimulatedMachine(machine(), SITE, 1).truth(0)
    lookout = Lookout(Scenery(bare), FINDER, 1, 0)
    lookout.step(0, truth)
    scan = decode(lookout.step(DELAY_NS, truth)[0])
    assert scan is not None
    assert set(scan.ranges_m) == {math.inf}


# -- a truck that has one


def towards_the_wall(**changes: Any) -> Outcome:
    shipped = find_scenario("towards_the_wall_of_a_bend")
    return run_scenario(Scenario("x", {**shipped.raw, **changes}, "x.yaml"), 1)


def test_hands_frozen_before_a_bend_without_a_finder__the_truck_meets_the_wall() -> None:
    outcome = towards_the_wall(range_finder=False)
    assert [check.name for check in outcome.checks if not check.held] == ["never: contact"]


def test_same_way_without_a_finder__the_truck_meets_what_is_there() -> None:
    raw = {**find_scenario("machine_in_the_way").raw, "range_finder": False, "seconds": 14.0}
    outcome = run_scenario(Scenario("x", raw, "x.yaml"), 1)
    assert "never: contact" in [check.name for check in outcome.checks if not check.held]


def test_mover_past_the_sites_end__is_refused_in_one_line() -> None:
    raw = dict(find_scenario("person_on_the_road").raw)
    mover = {**raw["movers"][0], "way": [[0.0, 186.0, 0.0], [9.0, 9999.0, 0.0]]}
    with pytest.raises(ScenarioError, match=r"x\.yaml: movers\.0\.way: 9999 m lies past"):
        Scenario("x", raw | {"movers": [mover]}, "x.yaml")
