"""The plan view and the map: only what the machine said, to scale, and gone when it is old."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser

from protocol.signals import DEFAULT_TIMING
from protocol.state import VehicleMode
from sim.demo import find_config
from sim.machines.parameters import load_machine
from tests.console.page_rig import PageRig
from vehicle_agent.core.governor import GovernorInput, speed_cap

pytestmark = pytest.mark.browser

TRUCK = load_machine(find_config("machines", "ug_truck_60t")).profile.limits
FACTS: dict[str, Any] = {
    "machine": {
        "kind": "articulated",
        "length_m": 11.6,
        "width_m": 3.5,
        "front_joint_m": 2.9,
        "rear_joint_m": 3.1,
        "front_overhang_m": 2.6,
        "rear_overhang_m": 3.0,
    },
    "limits": {"curvature_max_per_m": 0.1, "stop_decel_mps2": 2.5, "brake_delay_worst_s": 2.0},
}
DRIVEN = {
    "mode": VehicleMode.ACTIVE,
    "speed_mps": 4.0,
    "gear": 1,
    "steer_measured": 0.0,
    "steer_commanded": 0.0,
    "loop_ms": 200.0,
    "grade": 0.0,
    "articulation_rad": 0.0,
}


@pytest.fixture
def rig(browser: Browser) -> Iterator[PageRig]:
    made = PageRig(browser)
    yield made
    made.page.close()


def facts(rig: PageRig, content: dict[str, Any] = FACTS) -> None:
    rig.tell({"t": "slow", "group": "factsheet", "content": content, "age_ms": 0})


def shapes(rig: PageRig) -> int:
    return rig.page.locator("#way > *").count()


def path(rig: PageRig, call: str) -> Any:
    return rig.page.evaluate(f"async () => {{ const p = await import('/ui/path.js'); {call} }}")


def test_driving__stop_distance_is_reaction_and_braking(rig: PageRig) -> None:
    facts(rig)
    rig.state(**DRIVEN)
    rig.pass_ms(60)

    # 4 m/s for 0.2 s and 2 s, then v²/2a = 3.2 m.
    assert rig.text("#way-note") == "stops in 12 m"
    assert rig.page.locator("#way .stop-line").count() == 1
    assert rig.page.locator("#way .track").count() == 2


def test_stop_distance__is_that_of_the_machines_own_governor(rig: PageRig) -> None:
    given = {"speedMps": 3.0, "way": 1, "grade": -0.1, "delayS": 0.3}
    limits = {
        "stop_decel_mps2": TRUCK.stop_decel_mps2,
        "brake_delay_worst_s": TRUCK.brake_delay_worst_s,
    }
    stop_m = path(rig, f"return p.stopDistanceM({given}, {limits});")
    asked = GovernorInput(loop_ms=300.0, view_ms=0.0, clear_m=stop_m, grade=-0.1)

    assert speed_cap(TRUCK, DEFAULT_TIMING, asked).speed_mps == pytest.approx(3.0)


def test_something_nearer_than_the_stop_line__line_says_so(rig: PageRig) -> None:
    facts(rig)
    rig.state(**DRIVEN, proximity_m=(11.0, None, 1.0, None))
    rig.pass_ms(60)
    near = rig.page.locator("#way .stop-line.near").count()
    rig.state(**DRIVEN, proximity_m=(13.0, None, 1.0, None))
    rig.pass_ms(60)

    assert (near, rig.page.locator("#way .stop-line.near").count()) == (1, 0)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"gear": None}, "gear unknown"),
        ({"steer_measured": None}, "steering unknown"),
        ({"speed_mps": None}, "state too old"),
        ({"loop_ms": None}, "delay or grade unknown"),
        ({"grade": None}, "delay or grade unknown"),
    ],
)
def test_value_missing__no_way_is_drawn_and_it_is_said(
    rig: PageRig, changes: dict[str, Any], why: str
) -> None:
    facts(rig)
    rig.state(**(DRIVEN | changes))
    rig.pass_ms(60)

    assert (shapes(rig), rig.text("#way-note")) == (0, why)


def test_no_factsheet_or_one_without_sizes__no_way_is_drawn(rig: PageRig) -> None:
    rig.state(**DRIVEN)
    rig.pass_ms(60)
    before = (shapes(rig), rig.text("#way-note"))
    facts(rig, FACTS | {"machine": FACTS["machine"] | {"front_joint_m": "2"}})
    rig.pass_ms(60)

    assert before == (shapes(rig), rig.text("#way-note")) == (0, "no machine data")


def test_state_older_than_300_ms__way_goes(rig: PageRig) -> None:
    facts(rig)
    rig.state(**DRIVEN)
    rig.pass_ms(360)

    assert (shapes(rig), rig.text("#way-note")) == (0, "state too old")


def test_articulation_unknown__rear_unit_is_not_drawn(rig: PageRig) -> None:
    facts(rig)
    rig.state(**DRIVEN)
    rig.pass_ms(60)
    known = rig.page.locator("#way rect").count()
    rig.state(**(DRIVEN | {"articulation_rad": None}))
    rig.pass_ms(60)

    assert (known, rig.page.locator("#way rect").count()) == (2, 1)


def test_delayed_part__goes_by_the_measured_steering_and_the_rest_by_the_commanded(
    rig: PageRig,
) -> None:
    now = "{speedMps: 5, way: 1, steerMeasured: 0, steerCommanded: 1, grade: 0, delayS: 0.4}"
    way = path(rig, f"return p.wayOf({now}, {{curvature_max_per_m: 0.1}}, 7);")

    assert all(point["heading"] == 0 for point in way[:5])
    assert way[-1]["heading"] == pytest.approx(0.5)
    assert way[-1]["y"] == pytest.approx(10 * (1 - math.cos(0.5)), abs=0.01)


def test_left_steering_backwards__tail_goes_left_of_the_machine(rig: PageRig) -> None:
    now = "{speedMps: -1, way: -1, steerMeasured: 1, steerCommanded: 1, grade: 0, delayS: 0}"
    end = path(rig, f"return p.wayOf({now}, {{curvature_max_per_m: 0.1}}, 5).at(-1);")

    assert end["x"] < -4
    assert end["y"] > 1


def place(rig: PageRig, **content: Any) -> None:
    told = {"fix": "good", "x_m": 0.0, "y_m": 0.0, "sigma_m": 0.4, "age_ms": 100} | content
    rig.tell({"t": "slow", "group": "position", "content": told, "age_ms": 0})
    rig.taken()
    rig.pass_ms(60)


def test_place_told__map_says_how_exact_it_is(rig: PageRig) -> None:
    place(rig)

    assert rig.text("#map-note") == "±0.4 m"
    assert "stale" not in (rig.page.get_attribute("#map-card", "class") or "")


def test_place_by_tags__map_says_that_it_has_none_and_is_not_hatched_for_it(rig: PageRig) -> None:
    place(rig, fix="tag", x_m=None, y_m=None, sigma_m=None)

    assert rig.text("#map-note") == "tags only"
    assert "stale" not in (rig.page.get_attribute("#map-card", "class") or "")
    rig.pass_ms(2000)
    assert rig.text("#map-note") == "no position"
    assert "stale" in (rig.page.get_attribute("#map-card", "class") or "")


def test_place_old_or_none__map_is_hatched_and_says_so(rig: PageRig) -> None:
    rig.pass_ms(60)
    never = rig.text("#map-note")
    place(rig)
    rig.pass_ms(2000)
    old = rig.text("#map-note")
    place(rig, fix=None, x_m=None, y_m=None)

    assert [never, old, rig.text("#map-note")] == ["no position", "position too old", "no position"]
    assert "stale" in (rig.page.get_attribute("#map-card", "class") or "")
