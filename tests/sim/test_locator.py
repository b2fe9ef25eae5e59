"""GNSS, zone rules and short-range sensors of a simulated machine, against what must come out."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from statistics import fmean, pstdev

import pytest

from sim.machines.faults import LostFeedback, Sensor, SensorDrift, sensor_effects
from sim.runner.run import Run
from sim.scenario.file import LetIn, Scenario, ScenarioError, find_scenario
from sim.sensors.control_room import ControlRoom
from sim.sensors.gnss import SETTLING_S, SIGMA_M, Gnss
from sim.sensors.locator import Locator
from sim.sensors.ring import FRONT, LEFT, REAR, RIGHT, Ring
from sim.sensors.scenery import Scenery
from sim.sensors.zones import SIGHT_M, ZoneWatch
from sim.simulated_machine import SimulatedMachine, Truth
from sim.world.files import WorldFileError
from sim.world.site import Site, load_site
from sim.world.things import Mover, Obstacle, Things, rectangle
from tests.sim.worlds import DRIFT_FILE, ROOT, STADIUM, machine, shipped, stadium
from vehicle_agent.core.place import Fix, Place, Rule, decode

MS = 1_000_000
FIELD = load_site(ROOT / "configs/sites/farm_field.toml")
BARE = replace(FIELD, things=Things())
DRIFT = load_site(DRIFT_FILE)
STANDING = SimulatedMachine(machine(), DRIFT, 1).truth(0)


# -- satellites


def fixes(receiver: Gnss, seconds: Sequence[float]) -> list[tuple[float, float]]:
    found = [receiver.fix(at_s, 0.0, 0.0, 50.0)[1] for at_s in seconds]
    return [each for each in found if each is not None]


def test_open_sky__settles_and_has_its_sigma() -> None:
    receiver = Gnss(BARE, 1)
    assert receiver.fix(0.0, 0.0, 0.0, 50.0)[0] is Fix.FLOAT
    assert receiver.fix(SETTLING_S, 0.0, 0.0, 50.0)[::2] == (Fix.FIXED, SIGMA_M[Fix.FIXED])
    found = fixes(receiver, [10.0 + 40.0 * number for number in range(2000)])
    for axis in zip(*found, strict=True):
        assert pstdev(axis) == pytest.approx(SIGMA_M[Fix.FIXED], rel=0.06)
        assert fmean(axis) == pytest.approx(0.0, abs=0.002)


def test_error__wanders_slowly_and_shakes_fast() -> None:
    found = fixes(Gnss(BARE, 1), [10.0 + 0.2 * number for number in range(4000)])
    east = [east_m for east_m, _ in found[100:]]
    steps = pstdev([after - before for before, after in pairwise(east)])
    fast_m = 0.5 * SIGMA_M[Fix.FIXED]
    assert steps == pytest.approx(math.sqrt(2.0) * fast_m, rel=0.1)


def test_seed__repeats_and_another_one_differs() -> None:
    runs = [fixes(Gnss(BARE, seed), [0.0, 1.0, 20.0]) for seed in (1, 1, 2)]
    assert runs[0] == runs[1] != runs[2]


def test_drift__has_no_sky() -> None:
    assert Gnss(DRIFT, 1).fix(99.0, 0.0, 0.0, 24.0) == (Fix.NONE, None, 0.0)


def test_shadow_of_a_site_file__limits_the_fix_and_corrections_settle_anew(tmp_path: Path) -> None:
    text = (ROOT / "configs/sites/farm_field.toml").read_text(encoding="utf-8")
    path = tmp_path / "own.toml"
    shadow = '\n[[gnss_shadows]]\nfrom_m = 20.0\nto_m = 40.0\nbest = "single"\n'
    path.write_text(text + shadow, encoding="utf-8")
    receiver = Gnss(replace(load_site(path), things=Things()), 1)
    seen = [
        receiver.fix(at_s, 0.0, 0.0, station_m)[0]
        for at_s, station_m in [(0, 10), (9, 10), (10, 30), (11, 41), (18, 45), (19.5, 50)]
    ]
    wanted = [Fix.FLOAT, Fix.FIXED, Fix.SINGLE, Fix.FLOAT, Fix.FLOAT, Fix.FIXED]
    assert seen == wanted


def wall_of_trees(away_m: float, height_m: float) -> Things:
    solid = rectangle(4.0, 4.0)
    return Things(
        obstacles=tuple(
            Obstacle("tree", x_m, y_m, 0.0, height_m, solid.moved(x_m, y_m, 0.0))
            for number in range(8)
            for x_m, y_m in [(away_m * math.cos(number * math.pi / 4),
                              away_m * math.sin(number * math.pi / 4))]
        )
    )  # fmt: skip


@pytest.mark.parametrize(
    ("away_m", "best"), [(60.0, Fix.FIXED), (14.0, Fix.SINGLE), (6.0, Fix.NONE)]
)
def test_trees_round_about__hide_the_sky_the_nearer_the_more(away_m: float, best: Fix) -> None:
    receiver = Gnss(replace(BARE, things=wall_of_trees(away_m, 12.0)), 1)
    receiver.fix(0.0, 0.0, 0.0, 50.0)
    assert receiver.fix(SETTLING_S, 0.0, 0.0, 50.0)[0] is best


def test_hidden_share__is_that_of_the_hemisphere() -> None:
    solid = rectangle(0.2, 0.2).moved(10.0, 0.0, 0.0)
    post = Obstacle("post", 10.0, 0.0, 0.0, 12.5, solid)
    receiver = Gnss(replace(BARE, things=Things(obstacles=(post,))), 1)
    width_rad = 2.0 * math.asin(math.hypot(0.1, 0.1) / 10.0)
    near_m = 10.0 - math.hypot(0.1, 0.1)
    wanted = width_rad / math.tau * math.sin(math.atan2(10.0, near_m))
    assert receiver.hidden(0.0, 0.0) == pytest.approx(wanted)


# -- the locator


def locator(site: Site = BARE) -> Locator:
    zones = ZoneWatch(site, "a_truck", 2.6, 9.0)
    return Locator(Gnss(site, 1), zones, 0, tags=site.kind == "drift")


def at(site: Site, station_m: float, t_s: float = 0.0, *, turned: bool = False) -> Truth:
    x_m, y_m, heading_rad = site.abeam(station_m, 0.0)
    heading_rad += math.pi * turned
    return {
        **STANDING,
        "t_us": round(t_s * 1e6),
        "x_m": x_m,
        "y_m": y_m,
        "station_m": station_m,
        "heading_rad": heading_rad,
    }


def places(it: Locator, seconds: float) -> list[Place]:
    told: list[bytes] = []
    for number in range(round(seconds * 50)):
        told += it.step(number * 20 * MS, at(BARE, 30.0, number * 0.02))
    return [place for data in told if (place := decode(data)) is not None]


def test_place__five_times_a_second_and_late() -> None:
    told = places(locator(), 1.0)
    assert [place.stamp_us for place in told] == [0, 200_000, 400_000, 600_000, 800_000]


def test_receiver_that_drifts__the_position_goes_east() -> None:
    true, off = locator(), locator()
    off.break_down(sensor_effects([SensorDrift(Sensor.GNSS, 0.5)]))
    for one, other in zip(places(true, 2.0), places(off, 2.0), strict=True):
        assert one.position_m is not None
        assert other.position_m is not None
        gone_m = 0.5 * one.stamp_us / 1e6
        assert other.position_m[0] - one.position_m[0] == pytest.approx(gone_m, abs=1e-4)
        assert other.position_m[1] == pytest.approx(one.position_m[1])


def test_receiver_that_is_lost__neither_position_nor_rules_are_known() -> None:
    it = locator()
    it.break_down(sensor_effects([LostFeedback(Sensor.GNSS)]))
    assert places(it, 0.2) == [Place(0)]


def test_drift_with_tags__the_rules_are_known_without_a_position() -> None:
    it, truth = locator(DRIFT), at(DRIFT, 30.0)
    (data,) = it.step(0, truth) + it.step(100 * MS, truth)
    limit_mps = DRIFT.zone_at(30.0).speed_limit_mps
    place = decode(data)
    assert place is not None
    assert (place.fix, place.position_m, place.rules_known) == (Fix.TAG, None, True)
    assert place.limit_mps is not None
    assert 0.0 < place.limit_mps <= limit_mps


# -- zones


def zoned(folder: Path, north: str) -> Site:
    """The stadium with a rule on its north straight, which begins at 155.1 m."""
    return stadium(folder, STADIUM.replace('name = "North"', f'name = "North"\n{north}'))


NORTH_M = 100.0 + 15.0 * math.pi + 8.0


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ('entry = "closed"', Rule.CLOSED),
        ('only_for = ["roller_13t"]', Rule.NOT_FOR_THIS),
        ('only_for = ["a_truck"]', Rule.NONE),
        ('entry = "one_way"', Rule.NONE),
        ('entry = "stop"', Rule.STAND_FIRST),
        ('entry = "call"', Rule.CALL_FIRST),
        ('entry = "free"', Rule.NONE),
        ('entry = "one_at_a_time"', Rule.NONE),
    ],
)
def test_zone_ahead__is_ruled_by_its_entry_and_the_front_counts(
    tmp_path: Path, rule: str, expected: Rule
) -> None:
    site = zoned(tmp_path, rule)
    ruling = ZoneWatch(site, "a_truck", 2.6, 9.0).look(at(site, 140.0))
    wanted_m = None if expected is Rule.NONE else pytest.approx(NORTH_M - 142.6, abs=0.01)
    assert (ruling.rule, ruling.ahead_m) == (expected, wanted_m)


def test_one_way_from_the_wrong_end__is_a_line(tmp_path: Path) -> None:
    site = zoned(tmp_path, 'entry = "one_way"')
    ruling = ZoneWatch(site, "a_truck", 2.6, 9.0).look(at(site, 270.0, turned=True))
    assert (ruling.rule, ruling.behind_m) == (Rule.ONE_WAY, None)
    assert ruling.ahead_m == pytest.approx(270.0 - 2.6 - NORTH_M - 100.0, abs=0.01)


def test_line_behind__is_for_the_tail(tmp_path: Path) -> None:
    site = zoned(tmp_path, 'entry = "closed"')
    ruling = ZoneWatch(site, "a_truck", 2.6, 9.0).look(at(site, 268.0))
    assert ruling.ahead_m is None
    assert ruling.behind_m == pytest.approx(268.0 - 9.0 - NORTH_M - 100.0, abs=0.01)
    assert ruling.rule is Rule.CLOSED


@pytest.mark.parametrize(
    ("station_m", "speed_mps", "expected"),
    [
        (268.0, 2.0, Rule.NONE),
        (268.0, -2.0, Rule.CLOSED),
        (275.0, -2.0, Rule.CLOSED),
        (275.0, 0.0, Rule.NONE),
        (142.0, -2.0, Rule.NONE),
        (142.0, 2.0, Rule.CLOSED),
        (150.0, 0.0, Rule.CLOSED),
    ],
)
def test_rule__is_that_of_the_line_that_way_and_of_one_at_which_the_machine_stands(
    tmp_path: Path, station_m: float, speed_mps: float, expected: Rule
) -> None:
    site = zoned(tmp_path, 'entry = "closed"')
    here = at(site, station_m)
    watch = ZoneWatch(site, "a_truck", 2.6, 9.0)
    assert watch.look({**here, "speed_mps": speed_mps}).rule is expected


def test_machine_inside__is_not_held_there(tmp_path: Path) -> None:
    site = zoned(tmp_path, 'entry = "closed"')
    ruling = ZoneWatch(site, "a_truck", 2.6, 9.0).look(at(site, 200.0))
    assert (ruling.ahead_m, ruling.behind_m, ruling.rule) == (None, None, Rule.NONE)


def test_line_out_of_sight__is_not_told_yet(tmp_path: Path) -> None:
    site = zoned(tmp_path, 'entry = "closed"')
    watch = ZoneWatch(site, "a_truck", 2.6, 9.0)
    assert watch.look(at(site, NORTH_M - SIGHT_M - 3.0)).ahead_m is None
    assert watch.look(at(site, NORTH_M - SIGHT_M - 2.0)).ahead_m is not None


def test_stop_line__is_open_once_the_machine_has_stood_before_it(tmp_path: Path) -> None:
    site = zoned(tmp_path, 'entry = "stop"')
    watch = ZoneWatch(site, "a_truck", 2.6, 9.0)
    far, near, inside = (at(site, each) for each in (NORTH_M - 20.0, NORTH_M - 4.0, NORTH_M + 2.0))
    assert watch.look(far).rule is Rule.STAND_FIRST
    assert watch.look({**near, "speed_mps": 0.5}).rule is Rule.STAND_FIRST
    assert watch.look(near).rule is Rule.NONE
    assert watch.look({**near, "speed_mps": 0.5}).rule is Rule.NONE
    watch.look(inside)
    assert watch.look(far).rule is Rule.STAND_FIRST


def test_stop_line_behind__is_open_once_the_machine_has_come_to_it_and_stood(
    tmp_path: Path,
) -> None:
    site = zoned(tmp_path, 'entry = "stop"')
    watch = ZoneWatch(site, "a_truck", 2.6, 9.0)
    near = at(site, NORTH_M + 100.0 + 9.0 + 4.0)
    watch.look(near)
    assert watch.look({**near, "speed_mps": -0.5}).behind_m is not None
    assert watch.look(near).behind_m is None


# -- a zone that is entered on call

FAR, NEAR, ACROSS, WHOLE, PARTLY_OUT, OUT = (
    NORTH_M + each for each in (-20.0, -4.0, 2.0, 50.0, 108.0, 110.0)
)
"""Of the reference point: 2.6 m behind the front, 9 m before the tail."""


def called(folder: Path, answers: str = "") -> tuple[Site, ZoneWatch]:
    """The stadium, its north straight entered on call."""
    text = STADIUM.replace('name = "North"', 'name = "North"\nentry = "call"')
    site = stadium(folder, text.replace("[defaults]", f"{answers}[defaults]"))
    return site, ZoneWatch(site, "a_truck", 2.6, 9.0)


def test_call_line__holds_whoever_stands_there_until_he_is_let_in(tmp_path: Path) -> None:
    site, watch = called(tmp_path)
    near = [at(site, NEAR, 60.0 * minute) for minute in range(60)]
    assert {watch.look(truth).rule for truth in near} == {Rule.CALL_FIRST}
    watch.room.let_in("South", "a_truck")
    watch.room.let_in("North", "another_truck")
    assert watch.look(near[0]).rule is Rule.CALL_FIRST
    watch.room.let_in("North", "a_truck")
    ruling = watch.look(near[0])
    assert (ruling.ahead_m, ruling.rule) == (None, Rule.NONE)


def test_permission__is_for_one_entry_and_ends_when_all_of_the_machine_has_left(
    tmp_path: Path,
) -> None:
    site, watch = called(tmp_path)
    watch.room.let_in("North", "a_truck")
    for station_m in (FAR, NEAR, ACROSS, WHOLE, PARTLY_OUT):
        watch.look(at(site, station_m))
        assert watch.room.has_let_in("North")
    watch.look(at(site, OUT))
    assert not watch.room.has_let_in("North")
    assert watch.look(at(site, FAR)).rule is Rule.CALL_FIRST


def test_permission_of_a_machine_that_drew_back_from_the_zone__is_used_up(tmp_path: Path) -> None:
    site, watch = called(tmp_path)
    watch.room.let_in("North", "a_truck")
    watch.look(at(site, ACROSS))
    assert watch.look(at(site, FAR)).rule is Rule.CALL_FIRST


@pytest.mark.parametrize(
    ("given_at_m", "back_to_m", "rule"),
    [
        (NEAR, NEAR - 9.0, Rule.CALL_FIRST),
        (NEAR, NEAR - 8.0, Rule.NONE),
        (FAR, FAR, Rule.NONE),
    ],
    ids=["draws back", "rolls back a little", "was let in from afar"],
)
def test_machine_that_was_let_in_turns_away_before_the_zone__must_call_again_if_it_had_called(
    tmp_path: Path, given_at_m: float, back_to_m: float, rule: Rule
) -> None:
    site, watch = called(tmp_path)
    watch.look(at(site, given_at_m))
    watch.room.let_in("North", "a_truck")
    rules = [watch.look(at(site, each)).rule for each in (NEAR, back_to_m, NEAR)]
    assert rules == [Rule.NONE, rule, rule]


def test_machine_that_the_control_room_answered_draws_back__must_call_again(
    tmp_path: Path,
) -> None:
    site, watch = called(tmp_path, ANSWERS)
    rules = [watch.look(at(site, NEAR, t_s)).rule for t_s in (0.0, 5.0)]
    watch.look(at(site, FAR, 60.0))
    assert rules == [Rule.CALL_FIRST, Rule.NONE]
    assert watch.look(at(site, NEAR, 3600.0)).rule is Rule.CALL_FIRST


def test_machine_backs_away_from_the_line_behind__must_call_again(tmp_path: Path) -> None:
    site, watch = called(tmp_path)
    behind_m = NORTH_M + 100.0 + 9.0
    watch.look(at(site, behind_m + 4.0))
    watch.room.let_in("North", "a_truck")
    watch.look(at(site, behind_m + 9.0))
    still_let_in = watch.room.has_let_in("North")
    watch.look(at(site, behind_m + 12.0))
    assert still_let_in
    assert not watch.room.has_let_in("North")


def test_permission_of_a_machine_longer_than_the_zone__lasts_while_it_spans_it(
    tmp_path: Path,
) -> None:
    site, _ = called(tmp_path)
    watch = ZoneWatch(site, "a_train", 2.6, 109.0)
    watch.room.let_in("North", "a_train")
    for station_m in (ACROSS, PARTLY_OUT):
        watch.look(at(site, station_m))
        assert watch.room.has_let_in("North")


def test_permission_taken_back__the_line_holds_again_and_only_of_that_machine(
    tmp_path: Path,
) -> None:
    site, watch = called(tmp_path)
    watch.room.let_in("North", "a_truck")
    watch.room.take_back("North", "another_truck")
    assert watch.look(at(site, NEAR)).rule is Rule.NONE
    watch.room.take_back("North", "a_truck")
    assert watch.look(at(site, NEAR)).rule is Rule.CALL_FIRST


ANSWERS = "[control_room]\nanswers_after_s = 5.0\n"


def test_control_room_that_answers__lets_in_who_has_stood_at_the_line_so_long(
    tmp_path: Path,
) -> None:
    site, watch = called(tmp_path, ANSWERS)
    watch.look({**at(site, NEAR, 0.0), "speed_mps": 0.5})
    rules = [watch.look(at(site, NEAR, t_s)).rule for t_s in (1.0, 3.0, 5.99, 6.0)]
    assert rules == [Rule.CALL_FIRST, Rule.CALL_FIRST, Rule.CALL_FIRST, Rule.NONE]
    assert watch.look({**at(site, NEAR, 7.0), "speed_mps": 0.5}).rule is Rule.NONE


@pytest.mark.parametrize(
    "between", [{"speed_mps": 0.5}, {"station_m": NEAR - 6.0}], ids=["moved", "not at the line"]
)
def test_call_that_was_broken_off__the_wait_begins_anew(
    tmp_path: Path, between: dict[str, float]
) -> None:
    site, watch = called(tmp_path, ANSWERS)
    watch.look(at(site, NEAR, 1.0))
    watch.look({**at(site, NEAR, 4.0), **between})  # type: ignore[typeddict-item]
    rules = [watch.look(at(site, NEAR, t_s)).rule for t_s in (4.5, 6.0, 9.5)]
    assert rules == [Rule.CALL_FIRST, Rule.CALL_FIRST, Rule.NONE]


def test_call_at_another_line__the_wait_begins_anew(tmp_path: Path) -> None:
    room = ControlRoom("a_truck", 5.0)
    assert not room.hear(1.0, "North")
    assert not room.hear(5.0, "South")
    assert not room.hear(9.9, "South")
    assert room.hear(10.0, "South")
    assert not room.has_let_in("North")


def test_machine_that_backs_up_to_a_call_line__is_answered_and_one_that_left_is_not(
    tmp_path: Path,
) -> None:
    site, watch = called(tmp_path, ANSWERS)
    left = NORTH_M + 100.0 + 9.0 + 4.0
    watch.look({**at(site, left, 0.0), "speed_mps": 0.5})
    for t_s in (1.0, 7.0):
        assert watch.look(at(site, left, t_s)).behind_m is not None
    watch.look({**at(site, left, 8.0), "speed_mps": -0.5})
    assert watch.look(at(site, left, 9.0)).behind_m is not None
    assert watch.look(at(site, left, 14.0)).behind_m is None


def test_answer_before_the_call__is_refused(tmp_path: Path) -> None:
    with pytest.raises(WorldFileError, match=r"control_room\.answers_after_s: "):
        called(tmp_path, "[control_room]\nanswers_after_s = -1.0\n")


def test_closed_zone__is_closed_to_who_was_let_in(tmp_path: Path) -> None:
    site, watch = called(tmp_path)
    watch.room.let_in("North", "a_truck")
    watch.closed = ("North",)
    assert watch.look(at(site, NEAR)).rule is Rule.CLOSED


def test_machine_before_a_closed_zone__has_not_called(tmp_path: Path) -> None:
    site, watch = called(tmp_path, ANSWERS)
    watch.closed = ("North",)
    for t_s in (1.0, 9.0):
        watch.look(at(site, NEAR, t_s))
    watch.closed = ()
    assert watch.look(at(site, NEAR, 9.2)).rule is Rule.CALL_FIRST


def test_nobody_at_a_line__nobody_is_answered() -> None:
    room = ControlRoom("a_truck", 5.0)
    assert [room.hear(at_s, None) for at_s in (1.0, 9.0)] == [False, False]


@pytest.mark.parametrize("name", ["haul_road", "mine_drift"])
def test_shipped_site_with_a_zone_on_call__has_a_control_room_that_answers(name: str) -> None:
    site = load_site(ROOT / f"configs/sites/{name}.toml")
    assert any(zone.entry == "call" for zone in site.zones)
    assert site.answers_after_s == 5.0


def test_one_at_a_time__another_machine_in_it_closes_the_zone_and_a_person_does_not(
    tmp_path: Path,
) -> None:
    site = zoned(tmp_path, 'entry = "one_at_a_time"')
    here, there = site.abeam(200.0, 0.0)[:2], site.abeam(30.0, 0.0)[:2]
    loader = Mover("loader", 2.6, rectangle(8.0, 2.2), (0.0, 10.0, 20.0), (here, here, there))
    for mover, expected in ((loader, Rule.OCCUPIED), (replace(loader, kind="person"), Rule.NONE)):
        watch = ZoneWatch(replace(site, things=Things(movers=(mover,))), "a_truck", 2.6, 9.0)
        assert watch.look(at(site, 140.0)).rule is expected


def test_slower_zone_ahead__the_limit_falls_towards_it(tmp_path: Path) -> None:
    site = zoned(tmp_path, "speed_limit_mps = 3.0")
    watch = ZoneWatch(site, "a_truck", 2.6, 9.0)
    limits = [watch.look(at(site, NORTH_M - 2.6 - ahead_m)).limit_mps for ahead_m in (40, 10, -1)]
    assert limits == pytest.approx([5.0, math.sqrt(9.0 + 2 * 0.4 * 10.0), 3.0], abs=0.01)


# -- a truck that has one


@pytest.mark.parametrize(
    ("event", "reason"),
    [
        ({"zone": "Moon"}, r"events\.0\.zone: no zone 'Moon'; there are: Workshop bay, Level 420"),
        ({}, r"events\.0\.close_zone\.zone: is missing"),
        (
            {"do": "let_in", "zone": "Decline"},
            r"events\.0\.zone: no call zone 'Decline'; there are: Loading point$",
        ),
        (
            {"do": "let_in", "zone": "Loading point", "machine": "submarine"},
            r"no machine 'submarine'; there are: ",
        ),
    ],
)
def test_event_of_a_zone_that_cannot_be__is_refused_in_one_line(
    event: dict[str, str], reason: str
) -> None:
    raw = {
        **find_scenario("closed_gate").raw,
        "events": [{"at_s": 1.0, "do": "close_zone"} | event],
    }
    with pytest.raises(ScenarioError, match=reason):
        Scenario("x", raw, "x.yaml")


@pytest.mark.parametrize(
    ("name", "do"), [("closed_gate", "close_zone"), ("let_in_on_the_way", "let_in")]
)
def test_event_of_a_zone_without_a_locator__is_refused(name: str, do: str) -> None:
    raw = {**find_scenario(name).raw, "locator": False}
    with pytest.raises(ScenarioError, match=rf"events\.0: {do} needs locator: true"):
        Scenario("x", raw, "x.yaml")


@pytest.mark.parametrize(
    ("machine", "let_in"), [(None, True), ("ug_truck_60t", True), ("roller_13t", False)]
)
def test_let_in__is_for_the_machine_that_drives_or_the_one_that_it_names(
    machine: str | None, let_in: bool
) -> None:
    run = Run(find_scenario("let_in_on_the_way"), 1)
    run.faults.begin(LetIn(at_s=1.0, do="let_in", zone="Loading point", machine=machine))
    assert run.machine.sensors.locator is not None
    assert run.machine.sensors.locator.zones.room.has_let_in("Loading point") is let_in


def test_let_in_for_a_while__is_taken_back() -> None:
    run = Run(find_scenario("let_in_on_the_way"), 1)
    run.faults.begin(LetIn(at_s=1.0, do="let_in", zone="Loading point", for_s=2.0))
    assert run.machine.sensors.locator is not None
    room = run.machine.sensors.locator.zones.room
    before = room.has_let_in("Loading point")
    run.agenda.run_until(run.agenda.now_ns + 2_000 * MS)
    assert (before, room.has_let_in("Loading point")) == (True, False)


# -- all round


@pytest.mark.parametrize(
    ("name", "place", "side"),
    [
        ("truck_8x8_50t", (12.0, 0.0), FRONT),
        ("truck_8x8_50t", (-6.0, 0.0), REAR),
        ("truck_8x8_50t", (3.0, 4.0), LEFT),
        ("truck_8x8_50t", (3.0, -4.0), RIGHT),
        ("ug_truck_60t", (-12.0, 0.0), REAR),
        ("ug_truck_60t", (-6.0, 4.0), LEFT),
    ],
)
def test_post_beside_a_machine__is_as_far_as_it_is_on_that_side_alone(
    name: str, place: tuple[float, float], side: int
) -> None:
    parts = shipped(name)
    solid = rectangle(0.4, 0.4).moved(*place, 0.0)
    post = Obstacle("post", *place, 0.0, 2.0, solid)
    ring = Ring(Scenery(replace(BARE, things=Things(obstacles=(post,)))), parts.body, 1, 0)
    truth: Truth = {**at(BARE, 30.0), "x_m": 0.0, "y_m": 0.0, "heading_rad": 0.0}
    found = ring.exact(truth)
    size = parts.profile.machine
    front_m, half_m = size.front_of_reference_m, 0.5 * size.width_m
    away_m = {
        FRONT: place[0] - 0.2 - front_m,
        REAR: -(place[0] + 0.2) - (size.length_m - front_m),
        LEFT: place[1] - 0.2 - half_m,
        RIGHT: -(place[1] + 0.2) - half_m,
    }[side]
    assert found[side] == pytest.approx(away_m, abs=0.25)
    assert found[side] >= away_m - 1e-9
