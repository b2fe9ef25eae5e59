"""The shipped sites and the generator: each machine has a place, and the place acts on it."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest

from sim.machines.parameters import load_machine
from sim.machines.plant import MachinePlant
from sim.pursuit import Pose, Pursuit
from sim.world import generate
from sim.world.drift import Drift
from sim.world.files import WorldFileError
from sim.world.site import Kind, Site, load_site
from tests.sim.worlds import DRIVE, MACHINES, ROOT, STADIUM, STEP_NS, machine, run, stadium

SITES = ROOT / "configs/sites"
WRITTEN: dict[Kind, str] = {
    "field": "farm_field", "road": "road_section", "track": "offroad_track", "pit": "haul_road",
}  # fmt: skip
OWN = {
    "electric_tractor": "farm_field",
    "electric_tractor_trailer": "farm_field",
    "rigid_truck_55t": "haul_road",
    "roller_13t": "road_section",
    "truck_8x8_50t": "offroad_track",
    "ug_truck_60t": "mine_drift",
}


@cache
def site(name: str) -> Site:
    return load_site(SITES / f"{name}.toml")


@pytest.mark.parametrize("kind", WRITTEN)
def test_shipped_site__is_what_the_generator_writes(kind: Kind) -> None:
    shipped = (SITES / f"{WRITTEN[kind]}.toml").read_text(encoding="utf-8")
    assert generate.site_text(kind, 1) == shipped


@pytest.mark.parametrize("seed", [2, 5])
@pytest.mark.parametrize("kind", ["drift", "pit", "track", "field", "road"])
def test_another_seed__makes_another_site_that_loads(tmp_path: Path, kind: Kind, seed: int) -> None:
    path = tmp_path / "made.toml"
    path.write_text(generate.site_text(kind, seed), encoding="utf-8")
    made = load_site(path)
    assert made.kind == kind
    assert made.closed


def test_generator__prints_a_site(capsys: pytest.CaptureFixture[str]) -> None:
    assert generate.main(["road", "--seed", "1"]) == 0
    assert capsys.readouterr().out == (SITES / "road_section.toml").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", OWN)
def test_each_machine__drives_its_own_site_for_20_s_and_touches_nothing(name: str) -> None:
    place, parts = site(OWN[name]), load_machine(MACHINES / f"{name}.toml")
    assert name in place.machines
    limits, around = parts.profile.limits, Drift(place, parts.body)
    plant, driver = MachinePlant(parts, around, around.start), Pursuit(place, limits)
    for _ in range(2000):
        state = plant.state
        hands = driver.controls(
            Pose(
                state.x_m, state.y_m, state.heading_rad, state.speed_mps, state.curvature_per_m
            )
        )  # fmt: skip
        around.advance(STEP_NS)
        plant.step(
            STEP_NS,
            DRIVE._replace(
                curvature_per_m=hands.steer * limits.curvature_max_per_m,
                accel_mps2=hands.throttle * limits.accel_max_mps2,
                brake_mps2=hands.brake * limits.service_brake_max_mps2,
            ),
        )
    assert plant.state.contacts == 0
    assert plant.state.distance_m > 20.0
    assert abs(around.offset_m) < 0.6


def test_machine_too_wide_for_a_site__is_told_where_and_how_wide() -> None:
    body = load_machine(MACHINES / "rigid_truck_55t.toml").body
    wide = replace(body, front=(body.front[0]._replace(half_m=3.3),))
    with pytest.raises(WorldFileError) as caught:
        Drift(site("mine_drift"), wide)
    assert str(caught.value) == (
        "mine_drift: the machine does not fit at the start, where the way is 6.5 m wide"
    )


def test_tractor_in_the_crop__feels_its_soil_and_beyond_it_the_headland() -> None:
    place = site("farm_field")
    around = Drift(place, load_machine(MACHINES / "electric_tractor.toml").body)
    x_m, y_m, heading_rad = place.abeam(60.0, 2.0)
    assert around.floor(x_m, y_m, heading_rad).friction == 0.5
    assert around.floor(x_m, y_m, heading_rad).rolling == 0.01
    x_m, y_m, heading_rad = place.abeam(60.0, -12.0)
    assert around.floor(x_m, y_m, heading_rad).friction == 0.45


def test_side_slope__tilts_a_machine_by_its_heading() -> None:
    place = site("offroad_track")
    slope = max(place.centre_line, key=lambda point: point.cross_slope)
    around = Drift(place, load_machine(MACHINES / "truck_8x8_50t.toml").body)
    around.station_m = slope.station_m
    along = around.floor(slope.x_m, slope.y_m, slope.heading_rad)
    across = around.floor(slope.x_m, slope.y_m, slope.heading_rad + 0.5 * math.pi)
    assert along.cross_grade == pytest.approx(slope.cross_slope, abs=1e-3)
    assert along.grade == pytest.approx(slope.grade, abs=1e-3)
    assert across.grade == pytest.approx(slope.cross_slope, abs=1e-3)


def test_soft_ground__slows_a_coasting_machine_more(tmp_path: Path) -> None:
    soft = STADIUM.replace('name = "South"', 'name = "South"\nrolling = 0.1')
    firm_mps, soft_mps = (
        coasted_mps(stadium(tmp_path, text)) for text in (STADIUM, soft)
    )  # fmt: skip
    assert soft_mps < firm_mps - 0.5


def coasted_mps(place: Site) -> float:
    """Speed after 3 s of pulling and 1 s of rolling out."""
    parts = machine()
    around = Drift(place, parts.body)
    plant = MachinePlant(parts, around, around.start)
    run(plant, DRIVE, 3.0)
    run(plant, DRIVE._replace(accel_mps2=0.0, direction=0), 1.0)
    return plant.state.speed_mps


BESIDE = """
[[obstacles]]
kind = "stone"
station_m = 60.0
offset_m = 0.0
radius_m = 0.5
height_m = 0.5
"""
CROSSING = """
[[movers]]
kind = "person"
radius_m = 0.4
height_m = 1.8
way = [[0.0, 33.5, -2.6], [10.0, 33.5, 2.4], [20.0, 33.5, -2.6]]
"""


def test_stone_on_the_line__stops_the_machine_at_it(tmp_path: Path) -> None:
    place = stadium(tmp_path, STADIUM + BESIDE)
    parts = machine()
    around = Drift(place, parts.body)
    plant = MachinePlant(parts, around, around.start)
    run(plant, DRIVE, 30.0)
    nose_m = plant.state.x_m + parts.body.front[0].front_m
    assert plant.state.contacts == 1
    assert nose_m == pytest.approx(59.5, abs=0.01)


def test_person_who_crosses_a_standing_machines_way__takes_its_room(tmp_path: Path) -> None:
    place = stadium(tmp_path, STADIUM + CROSSING)
    parts = machine()
    around = Drift(place, parts.body)
    plant = MachinePlant(parts, around, around.start)
    around.advance(5_000_000_000)
    run(plant, DRIVE, 4.0)
    assert plant.state.contacts == 1
    assert around.time_s == 5.0


def test_entry_rules__are_the_zones_own() -> None:
    assert site("mine_drift").zone_at(500.0).entry == "one_at_a_time"
    assert site("mine_drift").zone_at(640.0).entry == "call"
    assert site("mine_drift").zone_at(100.0).entry == "free"


@pytest.mark.parametrize(
    ("table", "said"),
    [
        (BESIDE.replace('"stone"', '"whale"'), "obstacles.0.kind"),
        (BESIDE.replace("radius_m = 0.5", "length_m = 1.0"), "radius_m, or length_m and width_m"),
        (BESIDE.replace("offset_m = 0.0", "offset_m = nan"), "obstacles.0.offset_m"),
        (BESIDE + "weight_kg = 3.0\n", "obstacles.0.weight_kg"),
        (CROSSING.replace("[20.0,", "[9.0,"), "times from 0 and rising"),
        (CROSSING.replace(", 2.4]", "]"), "movers.0.way.1"),
        ('[[fences]]\nkind = "wire"\npoints_m = [[0.0, 1.0]]\nheight_m = 1.0\nradius_m = 0.1\n',
         "fences.0.points_m"),
    ],
    ids=["kind", "shape", "nan", "unknown_key", "times", "short_way", "one_point"],
)  # fmt: skip
def test_bad_table_of_a_thing__is_refused_in_one_line(
    tmp_path: Path, table: str, said: str
) -> None:
    with pytest.raises(WorldFileError) as caught:
        stadium(tmp_path, STADIUM + table)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
