"""The lock-step run: repeats byte for byte, and its link, pictures and driver behave."""

from __future__ import annotations

import os
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from random import Random
from typing import Any

import pytest

from protocol.dbw.codec import ContactState
from protocol.state import VehicleMode
from sim.human import CAREFUL, Human, Wander
from sim.network.parameters import DirectionParameters, LinkParameters
from sim.pursuit import Pose, Pursuit
from sim.runner.agenda import Agenda, Rank
from sim.runner.link import RETRY_NS, Link
from sim.runner.pace import RealTime
from sim.runner.pictures import PERIOD_NS, Picture, Pictures
from sim.runner.run import Run
from sim.scenario.file import Scenario
from sim.speed_plan import SpeedPlan
from sim.world.site import load_site
from tests.sim.worlds import machine

MS = 1_000_000
ROOT = Path(__file__).parents[2]
SITE = load_site(ROOT / "configs" / "sites" / "mine_drift.toml")
HERE = Pose(1.0, 2.0, 0.0, 3.0, 0.0)
STEADY = DirectionParameters(delay_ns=10 * MS)
LOSSY = DirectionParameters(delay_ns=10 * MS, loss=0.2)
DIGEST = """
from sim.runner.run import Run
from sim.scenario.file import Scenario
run = Run(Scenario("x", {"title": "x", "seconds": 1.5, "link": "lte-loaded"}, "x.yaml"), 11)
run.finish()
print(run.digest)
"""


def scenario(**changes: Any) -> Scenario:
    return Scenario("made_up", {"title": "Made up", "seconds": 2.0, **changes}, "made_up.yaml")


def digest(seed: int) -> str:
    run = Run(scenario(seconds=0.1), seed)
    run.finish()
    return run.digest


class Bench:
    """A link and a camera on an agenda of their own."""

    def __init__(self, up: DirectionParameters = STEADY) -> None:
        self.agenda = Agenda(0)
        self.link = Link(self.agenda, LinkParameters("x", "x", up, STEADY), 1, SITE)
        self.painted: list[tuple[int, Picture]] = []
        self.pictures = Pictures(
            self.agenda,
            self.link,
            lambda: HERE,
            lambda now_ns, picture: self.painted.append((now_ns, picture)),
            Random(1),
        )
        self.arrived: list[tuple[int, str]] = []

    def film(self) -> None:
        self.agenda.every(0, PERIOD_NS, Rank.CAMERA, self.pictures.capture)

    def send(self, name: str, *, surely: bool = False) -> None:
        way = self.link.up
        send = way.send_surely if surely else way.send
        send(self.agenda.now_ns, 100, lambda at_ns: self.arrived.append((at_ns, name)))

    def run(self, until_ns: int) -> None:
        self.agenda.run_until(until_ns)


# -- the same again


def test_same_seed__same_bytes_on_bus_and_link() -> None:
    assert digest(3) == digest(3)


def test_another_seed__another_run() -> None:
    assert digest(3) != digest(4)


def test_two_processes_with_two_hash_seeds__same_digest() -> None:
    digests = [
        subprocess.run(
            [sys.executable, "-c", DIGEST],
            env={**os.environ, "PYTHONHASHSEED": seed},
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "4242")
    ]
    assert digests[0] == digests[1]
    assert len(digests[0].strip()) == 64


def test_run__begins_at_standstill_and_climbs_the_ladder_by_signed_requests() -> None:
    run = Run(scenario(), 1)
    run.finish()
    modes = [mode for _, mode in run.watch.modes]
    assert modes == [VehicleMode.LEASED, VehicleMode.ARMED, VehicleMode.ACTIVE]
    assert run.watch.active_ns is not None
    assert {"S101", "S103", "S104", "S105"} <= {event for _, event in run.watch.events}


def test_relay__closes_for_the_drive_and_opens_after_the_stop() -> None:
    run = Run(scenario(seconds=4.0, events=[{"at_s": 0.5, "do": "press_stop"}]), 1)
    contacts = {run.machine.relay.contact}
    run.tick()
    while run.mode is not VehicleMode.ACTIVE:
        run.tick()
    contacts_driving = run.machine.relay.contact
    run.finish()
    assert contacts == {ContactState.OPEN}
    assert contacts_driving is ContactState.CLOSED
    assert run.machine.relay.contact is ContactState.OPEN
    assert run.watch.state is not None
    assert run.watch.state.relay == "open"


def test_event_by_place__begins_where_the_machine_passes_it() -> None:
    run = Run(scenario(seconds=9.0, events=[{"at_station_m": 30.0, "do": "press_stop"}]), 1)
    run.finish()
    assert [stop.cause for stop in run.watch.stops] == ["D105"]
    assert 30.0 <= run.watch.stops[0].station_m <= 31.0


def test_truck_that_rolls_back_before_its_brake_grips__stands_only_after_that() -> None:
    made = scenario(
        seconds=14.0,
        link="transpacific",
        load=0.0,
        start_station_m=1075.0,
        driver={"character": "hasty", "speed_mps": 3.40567},
        events=[{"at_s": 9.795221, "do": "cut_link"}],
    )
    run = Run(made, 111)
    run.finish()
    (stop,) = run.watch.stops
    assert stop.stop_distance_m is not None
    assert stop.stop_distance_m > 0.15
    assert stop.creep_m == 0.0


def test_overlapping_faults__link_comes_back_when_the_last_one_ends() -> None:
    cuts = [{"at_s": 0.1, "do": "cut_link", "for_s": 0.3}, {"at_s": 0.2, "do": "cut_link"}]
    run = Run(scenario(seconds=1.0, events=cuts), 1)
    run.finish()
    assert (run.link.up.trouble.cut, run.link.down.trouble.cut) == (1, 1)
    assert [text for _, text in run.notes] == [
        "cut_link begins",
        "cut_link begins",
        "cut_link ends",
    ]


# -- the agenda


def test_agenda__same_time_goes_by_rank_and_then_by_entry() -> None:
    agenda, seen = Agenda(0), list[str]()
    agenda.at(5, Rank.CAMERA, lambda _: seen.append("camera"))
    agenda.at(5, Rank.LINK, lambda _: seen.append("first"))
    agenda.at(5, Rank.LINK, lambda _: seen.append("second"))
    agenda.at(4, Rank.FAULT, lambda _: seen.append("earlier"))
    agenda.at(6, Rank.LINK, lambda _: seen.append("later"))
    agenda.run_until(5)
    assert seen == ["earlier", "first", "second", "camera"]
    assert agenda.now_ns == 5


def test_agenda__what_is_late_happens_at_once_and_never_in_the_past() -> None:
    agenda, seen = Agenda(100), list[int]()
    agenda.at(7, Rank.LINK, seen.append)
    agenda.run_until(200)
    assert seen == [100]


# -- the link


def test_datagram__takes_the_links_delay() -> None:
    bench = Bench()
    bench.send("a")
    bench.run(50 * MS)
    assert bench.arrived == [(10 * MS, "a")]


def test_cut__loses_what_is_sent_and_not_what_is_under_way() -> None:
    bench = Bench()
    bench.send("before")
    bench.link.up.trouble.cut += 1
    bench.send("lost")
    bench.run(50 * MS)
    assert bench.arrived == [(10 * MS, "before")]


def test_stall__comes_out_in_one_burst_and_in_order() -> None:
    bench = Bench()
    bench.link.up.trouble.stalled += 1
    bench.send("a")
    bench.send("b")
    bench.run(300 * MS)
    bench.link.up.trouble.stalled -= 1
    bench.link.up.release(bench.agenda.now_ns)
    bench.run(400 * MS)
    assert bench.arrived == [(300 * MS, "a"), (300 * MS, "b")]


def test_delay__is_added_to_every_way() -> None:
    bench = Bench()
    bench.link.up.trouble.delay_ns = 70 * MS
    bench.send("a")
    bench.run(200 * MS)
    assert bench.arrived == [(80 * MS, "a")]


def test_reliable_message_over_a_cut__comes_after_it_and_in_order() -> None:
    bench = Bench()
    bench.link.up.trouble.cut += 1
    bench.send("a", surely=True)
    bench.send("b", surely=True)
    bench.run(50 * MS)
    bench.link.up.trouble.cut -= 1
    bench.run(1_000 * MS)
    assert bench.arrived == [(RETRY_NS + 10 * MS, "a"), (RETRY_NS + 10 * MS, "b")]


def test_stream_over_a_lossy_link__all_comes_in_order_and_a_loss_holds_up_what_follows() -> None:
    bench = Bench(LOSSY)
    for number in range(200):
        bench.run(number * 20 * MS)
        bench.send(f"{number}", surely=True)
    bench.run(60_000 * MS)
    assert [name for _, name in bench.arrived] == [f"{number}" for number in range(200)]
    ages_ms = [at_ns / MS - 20.0 * number for number, (at_ns, _) in enumerate(bench.arrived)]
    held_up = [after for before, after in pairwise(bench.arrived) if after[0] == before[0]]
    assert min(ages_ms) == pytest.approx(10.0)
    assert max(ages_ms) >= 50.0
    assert len(held_up) >= 20


def test_stream_over_a_dead_link__nothing_comes_until_another_link_does() -> None:
    bench = Bench(DirectionParameters(loss=1.0))
    bench.send("a", surely=True)
    bench.run(5_000 * MS)
    assert bench.arrived == []
    bench.link.change(LinkParameters("y", "y", STEADY, STEADY), bench.agenda.now_ns)
    bench.run(6_000 * MS)
    assert [name for _, name in bench.arrived] == ["a"]


@pytest.mark.parametrize(
    ("paths", "causes"),
    [(["data_channel"], []), (["mqtt"], ["L102"]), (["mqtt", "data_channel"], [])],
    ids=["data channel", "MQTT", "both"],
)
def test_drive_over_a_lossy_link__by_mqtt_alone_a_loss_holds_up_commands_until_it_stops(
    paths: list[str], causes: list[str]
) -> None:
    way = {"delay_ms": 20.0, "loss": 0.08}
    run = Run(scenario(seconds=6.0, link={"up": way, "down": way}, paths=paths), 1)
    run.finish()
    assert run.watch.starts == 1
    assert [stop.cause for stop in run.watch.stops] == causes


# -- the pictures


def test_picture__is_on_the_screen_after_encoder_link_decoder_and_paint() -> None:
    bench = Bench()
    bench.film()
    bench.run(1_000 * MS)
    ages_ms = [now_ns / MS - picture.capture_us / 1000 for now_ns, picture in bench.painted]
    assert len(ages_ms) >= 28
    assert all(23.0 <= age_ms <= 41.0 for age_ms in ages_ms)


def test_lost_packets__are_sent_again_and_pictures_stay_in_order() -> None:
    bench = Bench(LOSSY)
    bench.film()
    bench.run(3_000 * MS)
    numbers = [picture.number for _, picture in bench.painted]
    assert numbers == sorted(numbers)
    assert len(numbers) > 40


def test_picture_beyond_repair__the_next_shown_is_a_key_picture() -> None:
    bench = Bench()
    bench.film()
    bench.run(500 * MS)
    bench.link.up.trouble.cut += 1
    bench.run(1_000 * MS)
    bench.link.up.trouble.cut -= 1
    shown = len(bench.painted)
    bench.run(2_000 * MS)
    assert bench.pictures.given_up > 0
    assert bench.painted[shown][1].key


def test_frozen_camera__numbers_go_on_and_the_capture_stamp_stands_still() -> None:
    bench = Bench()
    bench.film()
    bench.run(500 * MS)
    bench.pictures.camera.frozen += 1
    bench.run(1_000 * MS)
    last, before = bench.painted[-1][1], bench.painted[-2][1]
    assert last.number == before.number + 1
    assert last.capture_us == before.capture_us <= 500_000


def test_slow_link__the_sender_spends_less_and_pictures_stay_young() -> None:
    narrow = DirectionParameters(delay_ns=10 * MS, rate_bps=600_000.0, queue_bytes=20_000)
    bench = Bench(narrow)
    bench.film()
    bench.run(10_000 * MS)
    late = [(now_ns, picture) for now_ns, picture in bench.painted if now_ns > 5_000 * MS]
    ages_ms = sorted(now_ns / MS - picture.capture_us / 1000 for now_ns, picture in late)
    assert len(late) > 60
    assert ages_ms[len(ages_ms) // 2] < 250.0


# -- the driver


def human() -> Human:
    site = scenario().site
    limits = machine().profile.limits
    return Human(CAREFUL, Pursuit(site, limits, CAREFUL.style), limits, "1")


def test_driver__does_nothing_before_his_reaction_time() -> None:
    person = human()
    person.see(0, Picture(1, 0, Pose(24.0, 0.8, 0.0, 0.0, 0.0)))
    hands = [person.controls(beat * 20 * MS, beat * 20_000) for beat in range(16)]
    moved = [beat for beat, controls in enumerate(hands) if controls.throttle > 0.0]
    assert moved[0] == 9


def test_driver_left_of_the_line__steers_right() -> None:
    person = human()
    for beat in range(50):
        now_ns = beat * 20 * MS
        person.see(now_ns, Picture(beat, now_ns // 1000, Pose(24.0, 1.2, 0.0, 2.0, 0.0)))
        controls = person.controls(now_ns, now_ns // 1000)
    assert controls.steer < -0.05


def test_driver_whose_picture_stands_still__brakes() -> None:
    person = human()
    person.see(0, Picture(1, 0, Pose(24.0, 0.0, 0.0, 3.0, 0.0)))
    for beat in range(150):
        controls = person.controls(beat * 20 * MS, beat * 20_000)
    assert controls.throttle == 0.0
    assert controls.brake > 0.3


def test_wander__keeps_the_deviation_it_was_given() -> None:
    wander = Wander(0.5, 1.0, Random(5))
    values = [wander.step() for _ in range(20_000)]
    mean = sum(values) / len(values)
    deviation = (sum((value - mean) ** 2 for value in values) / len(values)) ** 0.5
    assert deviation == pytest.approx(0.5, rel=0.1)


def test_speed_plan__brakes_before_a_slower_zone_and_not_after_it() -> None:
    site = scenario().site
    plan = SpeedPlan(site, speed_mps=5.0, below_limit=1.0, lateral_mps2=9.0, brake_mps2=0.5)
    decline = next(zone for zone in site.zones if zone.name == "Decline")
    assert plan.at(decline.from_m - 30.0) == 5.0
    assert 3.3 < plan.at(decline.from_m - 8.0) < 5.0
    assert plan.at(decline.from_m + 1.0) == 3.3


# -- real time


def test_real_time__waits_for_each_tick_and_counts_how_late_it_came(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = [1_000 * MS]
    slept: list[int] = []
    monkeypatch.setattr("sim.runner.pace.monotonic_ns", lambda: clock[0])
    monkeypatch.setattr("sim.runner.pace.sleep_until_ns", slept.append)
    pace = RealTime()
    pace.wait(10 * MS)
    clock[0] += 13 * MS
    pace.wait(20 * MS)
    assert slept == [1_000 * MS, 1_010 * MS]
    assert pace.lateness_p99_ms == 3.0
