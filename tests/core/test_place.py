"""What a locator and short-range sensors say, and what the supervisor makes of it."""

from __future__ import annotations

import json
import math
import struct
from dataclasses import replace
from typing import Any

import pytest

from protocol.events import EVENTS
from protocol.state import CapReason
from tests.rig import Rig
from vehicle_agent.core.nearby import Nearby, eighths, encode
from vehicle_agent.core.place import (
    PLACE_UNKNOWN,
    RULE_EVENTS,
    Fix,
    Place,
    Places,
    Rule,
    decode,
    telemetry,
)
from vehicle_agent.core.supervisor import Supervisor

FULL = Place(77, Fix.FIXED, (12.5, -3.25), 0.5, 3.5, 40.0, 7.5, Rule.OCCUPIED, True)
NOW_US = 10_000_000


@pytest.mark.parametrize(
    "place",
    [
        FULL,
        Place(1),
        Place(1, rules_known=True),
        Place(1, ahead_m=0.0, rule=Rule.CLOSED, rules_known=True),
        Place(1, behind_m=2.0, rules_known=True),
        Place(1, limit_mps=0.0, rules_known=True),
        Place(1, Fix.SINGLE, (0.0, 0.0), 1.5),
    ],
)
def test_place__comes_back_as_it_was(place: Place) -> None:
    assert decode(place.encode()) == place


def test_bytes_of_a_place__are_those_of_the_layout() -> None:
    numbers = struct.pack("<6f", 12.5, -3.25, 0.5, 3.5, 40.0, 7.5)
    assert FULL.encode() == struct.pack("<BBBBQ", 1, 0b11111, 3, 2, 77) + numbers
    assert Place(258).encode() == struct.pack("<BBBBQ", 1, 0, 0, 0, 258) + bytes(24)


def test_fix_and_rule__are_numbered_from_none_on_in_their_order() -> None:
    fixes = [Fix.NONE, Fix.SINGLE, Fix.FLOAT, Fix.FIXED, Fix.TAG]
    rules = [Rule.NONE, Rule.CLOSED, Rule.OCCUPIED, Rule.ONE_WAY, Rule.NOT_FOR_THIS,
             Rule.STAND_FIRST, Rule.CALL_FIRST]  # fmt: skip
    assert [Place(1, fix).encode()[2] for fix in fixes] == [0, 1, 2, 3, 4]
    assert [Place(1, rule=rule).encode()[3] for rule in rules] == [0, 1, 2, 3, 4, 5, 6]


def test_place_of_which_nothing_is_said__knows_nothing() -> None:
    nothing = (Fix.NONE, None, 0.0, None, None, None, Rule.NONE, False)
    assert Place(1) == Place(1, *nothing)


@pytest.mark.parametrize("told", [{"limit_mps": 2.0}, {"ahead_m": 2.0}, {"behind_m": 2.0}])
def test_limit_or_line_of_one_who_does_not_know_the_rules__is_none(told: dict[str, float]) -> None:
    assert decode(Place(1, **told).encode()) is None  # type: ignore[arg-type]


def test_every_part_of_a_place__is_none() -> None:
    whole = FULL.encode()
    assert all(decode(whole[:length]) is None for length in range(len(whole)))
    assert decode(whole + b"\0") is None


@pytest.mark.parametrize(
    ("at", "value"), [(0, 0), (0, 2), (1, 32), (2, 5), (3, 7)],
    ids=["version 0", "version 2", "bits", "fix", "rule"],
)  # fmt: skip
def test_value_that_has_no_meaning__is_none(at: int, value: int) -> None:
    changed = bytearray(FULL.encode())
    changed[at] = value
    assert decode(bytes(changed)) is None


@pytest.mark.parametrize("number", range(6))
@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_number_that_is_none__is_refused(number: int, value: float) -> None:
    changed = bytearray(FULL.encode())
    struct.pack_into("<f", changed, 12 + 4 * number, value)
    assert decode(bytes(changed)) is None


@pytest.mark.parametrize("number", range(2, 6))
def test_length_below_nothing__is_refused(number: int) -> None:
    changed = bytearray(FULL.encode())
    struct.pack_into("<f", changed, 12 + 4 * number, -0.1)
    assert decode(bytes(changed)) is None


def test_places__the_newest_counts_until_it_is_old() -> None:
    places = Places()
    places.take(NOW_US, 0.0, [Place(NOW_US).encode(), Place(NOW_US - 1).encode(), b"x"])
    assert places.at(NOW_US + 1_000_000) == Place(NOW_US)
    assert places.at(NOW_US + 1_000_001) is None
    assert places.refused == 2


def test_no_place_yet__is_none() -> None:
    assert Places().at(0) is None


def test_place_of_the_first_microseconds__counts() -> None:
    places = Places()
    places.take(1, 0.0, [Place(0).encode()])
    assert places.at(1) == Place(0)
    places.take(1, 0.0, [Place(1).encode()])
    assert (places.at(1), places.refused) == (Place(1), 0)


def test_other_place_of_the_same_stamp__is_refused() -> None:
    places = Places()
    places.take(NOW_US, 0.0, [FULL.encode(), Place(FULL.stamp_us).encode()])
    assert (places.at(FULL.stamp_us), places.refused) == (FULL, 1)


def test_place_from_the_future__is_refused_and_what_follows_still_counts() -> None:
    places = Places()
    places.take(NOW_US, 0.0, [Place(NOW_US + 1).encode(), Place(NOW_US).encode()])
    assert (places.at(NOW_US), places.refused) == (Place(NOW_US), 1)


def test_telemetry__says_position_fix_and_rule() -> None:
    said = json.loads(telemetry(1_077, FULL))
    assert said == {
        "fix": "fixed", "x_m": 12.5, "y_m": -3.25, "sigma_m": 0.5, "age_ms": 1, "limit_mps": 3.5,
        "line_ahead_m": 40.0, "line_behind_m": 7.5, "rule": "occupied", "rules_known": True,
    }  # fmt: skip
    assert json.loads(telemetry(1, None)) == {"fix": None}
    assert json.loads(telemetry(1, Place(1)))["sigma_m"] is None


def test_telemetry__says_age_in_whole_milliseconds_and_lengths_in_whole_centimetres() -> None:
    place = replace(FULL, stamp_us=1_700_000, position_m=(1.23456, -6.54321), ahead_m=40.009)
    said = telemetry(3_700_999, place)
    assert json.loads(said)["age_ms"] == 2000
    for text in (b'"x_m":1.23,', b'"y_m":-6.54,', b'"line_ahead_m":40.01,'):
        assert text in said


def test_telemetry__is_as_short_as_can_be() -> None:
    assert telemetry(1, Place(1, limit_mps=2.0)) == (
        b'{"fix":"none","x_m":null,"y_m":null,"sigma_m":null,"age_ms":0,"limit_mps":2.0,'
        b'"line_ahead_m":null,"line_behind_m":null,"rule":"none","rules_known":false}'
    )


@pytest.mark.requirement("HF-GOV-06")
def test_every_rule__has_its_event() -> None:
    assert [RULE_EVENTS[rule] for rule in Rule if rule is not Rule.NONE] == [
        "Z101", "Z102", "Z103", "Z104", "Z105", "Z107",
    ]  # fmt: skip
    assert set(RULE_EVENTS) == set(Rule) - {Rule.NONE}
    assert all(event in EVENTS for event in (*RULE_EVENTS.values(), PLACE_UNKNOWN))


# -- rules that outlast the place

RULED = Place(NOW_US, limit_mps=3.0, ahead_m=9.0, behind_m=5.0, rules_known=True)


def told(place: Place, now_us: int = NOW_US, speed_mps: float = 0.0) -> Places:
    places = Places()
    places.take(now_us, speed_mps, [place.encode()])
    return places


def test_rules_never_known__are_none() -> None:
    places = told(Place(NOW_US))
    assert (places.rules, places.limit_mps()) == (None, None)
    assert [places.line_m(reverse=reverse) for reverse in (False, True)] == [None, None]


def test_rules__limit_and_lines_less_what_is_kept() -> None:
    places = told(RULED)
    assert (places.rules, places.limit_mps()) == (RULED, 3.0)
    assert [places.line_m(reverse=reverse) for reverse in (False, True)] == [8.0, 4.0]


def test_rules_without_limit_and_lines__nothing_to_obey() -> None:
    places = told(Place(NOW_US, rules_known=True))
    assert (places.limit_mps(), places.line_m(reverse=False)) == (None, None)


@pytest.mark.parametrize("speed_mps", [2.0, -2.0])
def test_rules_told_a_while_ago__lines_are_nearer_and_farther_by_the_way_gone(
    speed_mps: float,
) -> None:
    places = told(RULED, NOW_US + 500_000, speed_mps)
    places.take(NOW_US + 1_500_000, 0.5 * speed_mps, [])
    assert places.line_m(reverse=False) == pytest.approx(8.0 - speed_mps)
    assert places.line_m(reverse=True) == pytest.approx(4.0 + speed_mps)


def test_way_gone_since_the_rules_were_told__is_speed_by_time() -> None:
    assert told(RULED, NOW_US + 500_000, 2.0).line_m(reverse=False) == 7.0


def test_place_that_does_not_know_the_rules__those_known_before_go_on_holding() -> None:
    places = told(RULED)
    places.take(NOW_US + 1_000_000, 1.0, [Place(NOW_US + 1).encode()])
    assert places.at(NOW_US + 1) == Place(NOW_US + 1)
    assert (places.limit_mps(), places.line_m(reverse=False)) == (3.0, 7.0)
    freed = Place(NOW_US + 2_000_000, rules_known=True)
    places.take(NOW_US + 2_000_000, 1.0, [freed.encode()])
    assert (places.limit_mps(), places.line_m(reverse=False)) == (None, None)


# -- all round


def test_eighths__lie_between_their_sides() -> None:
    assert eighths([1.0, 2.0, 3.0, 0.5]) == (1.0, 1.0, 2.0, 2.0, 3.0, 0.5, 0.5, 0.5)
    assert eighths([1.0, None, 3.0, 0.5]) == (1.0, None, None, None, 3.0, 0.5, 0.5, 0.5)


def test_nearby__fills_what_the_finder_does_not_see() -> None:
    nearby = Nearby()
    nearby.take(NOW_US, [encode(NOW_US, 8.0, [1.0, 2.0, 3.0, 99.0])])
    seen = (5.0, 6.0, 7.0, None, None, None, 4.0, 3.0)
    assert nearby.over(NOW_US, seen) == (5.0, 6.0, 7.0, 2.0, 3.0, 3.0, 4.0, 3.0)
    assert nearby.over(NOW_US, ()) == (1.0, 1.0, 2.0, 2.0, 3.0, 3.0, 8.0, 1.0)
    assert nearby.over(NOW_US + 500_000, ()) != ()
    assert nearby.over(NOW_US + 500_001, seen) == seen
    assert nearby.refused == 0


def test_bytes_of_distances__are_those_of_the_layout() -> None:
    data = encode(0x0102, 8.0, [1.25, None, 9.0, 0.0])
    assert data == struct.pack("<BBHQ4H", 1, 0, 800, 0x0102, 125, 0xFFFF, 800, 0)


def test_sensor_that_says_nothing__leaves_its_eighths_unknown_and_the_others_count() -> None:
    nearby = Nearby()
    nearby.take(NOW_US, [encode(NOW_US, 8.0, [1.26, None, 3.04, 0.5])])
    assert nearby.over(NOW_US, ()) == (1.3, None, None, None, 3.0, 0.5, 0.5, 0.5)
    assert nearby.refused == 0


def test_nearby__as_long_as_nothing_came_what_the_finder_sees_is_left_as_it_is() -> None:
    seen = (5.0, None, 7.0, None, None, None, 4.0, 3.0)
    assert Nearby().over(0, seen) == seen


def test_eighths_that_are_none__are_not_mixed() -> None:
    nearby = Nearby()
    nearby.take(NOW_US, [encode(NOW_US, 8.0, [1.0] * 4)])
    with pytest.raises(ValueError, match="shorter"):
        nearby.over(NOW_US, (None,) * 9)


def test_distances_of_the_first_microseconds__count() -> None:
    nearby = Nearby()
    nearby.take(1, [encode(0, 8.0, [1.0] * 4)])
    assert nearby.over(1, ()) == (1.0,) * 8
    nearby.take(1, [encode(1, 8.0, [2.0] * 4)])
    assert (nearby.over(1, ()), nearby.refused) == ((2.0,) * 8, 0)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        encode(NOW_US, 8.0, [1.0] * 4)[:-1],
        encode(NOW_US + 1, 8.0, [1.0] * 4),
        b"\2" + encode(NOW_US, 8.0, [1.0] * 4)[1:],
        encode(NOW_US, 8.0, [1.0] * 4)[:1] + b"\1" + encode(NOW_US, 8.0, [1.0] * 4)[2:],
        encode(NOW_US, 8.0, [1.0] * 4)[:-2] + struct.pack("<H", 801),
    ],
    ids=["nothing", "short", "future", "version", "spare", "beyond its range"],
)
def test_distances_that_are_none__are_refused(data: bytes) -> None:
    nearby = Nearby()
    nearby.take(NOW_US, [data])
    assert (nearby.over(NOW_US, ()), nearby.refused) == ((), 1)


def test_older_distances__are_refused() -> None:
    nearby = Nearby()
    nearby.take(NOW_US, [encode(2, 8.0, [1.0] * 4), encode(2, 8.0, [2.0] * 4)])
    assert nearby.refused == 1
    assert nearby.over(2, ())[0] == 1.0


# -- the supervisor


class Placed(Rig):
    """A rig with a locator."""

    def __init__(self) -> None:
        super().__init__()
        self.setup = replace(self.setup, locator=True)
        self.supervisor = Supervisor(self.setup)
        self.said: dict[str, Any] | None = {}
        self.age_us = 0
        self.sides_m: list[float | None] | None = None

    def places(self) -> tuple[bytes, ...]:
        if self.said is None:
            return ()
        said = {"rules_known": True} | self.said
        return (Place(self.now_ns // 1000 - self.age_us, **said).encode(),)

    def nearby(self) -> tuple[bytes, ...]:
        if self.sides_m is None:
            return ()
        return (encode(self.now_ns // 1000, 8.0, self.sides_m),)


@pytest.fixture
def rig() -> Placed:
    made = Placed()
    made.activate()
    return made


def cap_of(rig: Rig) -> tuple[float, CapReason | None]:
    assert rig.state is not None
    return rig.state.cap_mps, rig.state.cap_reason


@pytest.mark.requirement("HF-GOV-03")
@pytest.mark.parametrize(("limit_mps", "cap_mps"), [(None, 5.5), (3.5, 3.5), (9.0, 5.5)])
def test_limit_of_the_place__holds_where_it_is_below_the_machines_own(
    rig: Placed, limit_mps: float | None, cap_mps: float
) -> None:
    rig.said = {"limit_mps": limit_mps}
    rig.run(0.3)
    assert cap_of(rig) == (cap_mps, CapReason.ZONE)


@pytest.mark.requirement("HF-GOV-03")
def test_line_ahead__the_cap_stops_short_of_it_and_says_zone(rig: Placed) -> None:
    rig.said = {"ahead_m": 6.0 + 1.0, "rule": Rule.CLOSED}
    rig.run(0.3)
    speed_mps, reason = cap_of(rig)
    limits = rig.profile.limits
    least_m = speed_mps * limits.brake_delay_worst_s + speed_mps**2 / (2 * limits.stop_decel_mps2)
    assert reason is CapReason.ZONE
    assert 0.85 * 6.0 < least_m < 6.0


def test_line_reached__nothing_is_left(rig: Placed) -> None:
    rig.said = {"ahead_m": 0.9, "rule": Rule.CLOSED}
    rig.run(0.3)
    assert cap_of(rig) == (0.0, CapReason.ZONE)


@pytest.mark.requirement("HF-GOV-03")
@pytest.mark.parametrize(
    ("speed_mps", "gear", "name", "line_m"),
    [(4.0, 1, "ahead_m", 9.0), (-2.0, -1, "behind_m", 2.5)],
    ids=["ahead", "in reverse"],
)
def test_line_told_a_while_ago__is_nearer_by_the_way_gone_since(
    speed_mps: float, gear: int, name: str, line_m: float
) -> None:
    caps = []
    for age_us, told_m in ((0, line_m), (500_000, line_m + 0.5 * abs(speed_mps))):
        rig = Placed()
        rig.age_us = age_us
        rig.activate()
        rig.hold_enable(neutral=False, throttle=3000, gear=gear)
        rig.said = {name: told_m, "rule": Rule.CLOSED}
        rig.ecu.speed_mps = speed_mps
        rig.run(0.3)
        caps.append(cap_of(rig))
    assert caps[1] == caps[0]
    assert 0.5 < caps[0][0] < 3.5


def test_line_at_a_speed_that_nobody_knows__stands_where_it_was_told() -> None:
    rig = Placed()
    rig.age_us = 500_000
    rig.activate()
    rig.said = {"ahead_m": 4.0, "rule": Rule.CLOSED}
    rig.run(0.3)
    standing = cap_of(rig)
    rig.ecu.silent = True
    rig.run(0.4)
    assert rig.state is not None
    assert rig.state.speed_mps is None
    assert cap_of(rig) == standing
    rig.ecu.silent = False
    rig.age_us = 0
    rig.run(0.3)
    assert cap_of(rig) == standing


def test_line_behind__counts_in_reverse_only(rig: Placed) -> None:
    rig.said = {"behind_m": 1.2, "rule": Rule.ONE_WAY}
    rig.run(0.3)
    assert cap_of(rig)[0] == 5.5
    rig.hold_enable(neutral=False, throttle=3000, gear=-1)
    rig.run(0.5)
    assert cap_of(rig)[0] < 0.2


@pytest.mark.requirement("HF-GOV-04")
def test_locator_silent__walking_pace_and_it_is_told(rig: Placed) -> None:
    rig.run(0.3)
    rig.said = None
    rig.run(0.9)
    assert cap_of(rig)[0] == 5.5
    rig.run(0.2)
    assert cap_of(rig) == (1.0, CapReason.ZONE)
    assert PLACE_UNKNOWN in rig.events


@pytest.mark.requirement("HF-GOV-04")
def test_locator_that_does_not_know_the_rules__walking_pace_and_it_is_told(rig: Placed) -> None:
    rig.said = {"fix": Fix.SINGLE, "position_m": (5.0, 6.0), "rules_known": False}
    rig.run(0.1)
    assert cap_of(rig) == (1.0, CapReason.ZONE)
    assert rig.events.count(PLACE_UNKNOWN) == 1
    rig.said = {}
    rig.run(0.1)
    assert cap_of(rig) == (5.5, CapReason.ZONE)


@pytest.mark.requirement("HF-GOV-05")
@pytest.mark.parametrize("said", [None, {"rules_known": False}], ids=["silent", "unknown"])
def test_place_lost_before_a_line__the_line_and_a_limit_below_walking_pace_hold(
    said: dict[str, Any] | None,
) -> None:
    for known in ({"ahead_m": 1.0, "rule": Rule.CLOSED}, {"limit_mps": 0.0}):
        rig = Placed()
        rig.activate()
        rig.said = dict(known)
        rig.run(0.3)
        rig.said = said
        rig.run(1.2)
        assert cap_of(rig) == (0.0, CapReason.ZONE)


@pytest.mark.requirement("HF-GOV-05")
def test_place_lost_on_the_way_to_a_line__it_comes_nearer_by_the_way_gone(rig: Placed) -> None:
    rig.said = {"ahead_m": 5.0, "rule": Rule.CLOSED}
    rig.hold_enable(neutral=False, throttle=3000)
    rig.ecu.speed_mps = 0.5
    rig.run(0.1)
    rig.said = None
    rig.run(6.0)
    line_caps = cap_of(rig)
    assert line_caps[0] < 1.0
    rig.run(2.5)
    assert cap_of(rig) == (0.0, CapReason.ZONE)


@pytest.mark.requirement("HF-GOV-06")
def test_rule__is_told_once_when_it_begins(rig: Placed) -> None:
    rig.said = {"ahead_m": 70.0, "rule": Rule.OCCUPIED}
    rig.run(0.5)
    assert rig.events.count("Z102") == 1
    rig.said = {}
    rig.run(0.1)
    rig.said = {"ahead_m": 60.0, "rule": Rule.CLOSED}
    rig.run(0.1)
    assert rig.events.count("Z101") == 1
    rig.said = {}
    rig.run(0.1)
    rig.said = {"ahead_m": 60.0, "rule": Rule.CLOSED}
    rig.run(0.1)
    assert rig.events.count("Z101") == 2
    assert None not in rig.events


def test_no_locator_fitted__what_it_says_is_not_heard() -> None:
    rig = Placed()
    rig.setup = replace(rig.setup, locator=False)
    rig.supervisor = Supervisor(rig.setup)
    rig.activate()
    rig.said = {"limit_mps": 1.0}
    rig.run(0.3)
    assert cap_of(rig)[0] == 5.5


def test_short_range_sensors__are_in_the_state(rig: Placed) -> None:
    rig.sides_m = [4.0, 1.5, 2.0, 1.0]
    rig.run(0.1)
    assert rig.state is not None
    assert rig.state.proximity_m == (4.0, 1.5, 1.5, 1.5, 2.0, 1.0, 1.0, 1.0)


def test_position__is_in_the_telemetry(rig: Placed) -> None:
    rig.said = {"fix": Fix.SINGLE, "position_m": (5.0, 6.0), "sigma_m": 2.0}
    rig.run(0.5)
    groups = [group for outputs in rig.outputs for group, _ in outputs.telemetry]
    (content,) = [c for outputs in rig.outputs[-25:] for g, c in outputs.telemetry
                  if g == "position"][-1:]  # fmt: skip
    assert json.loads(content)["x_m"] == 5.0
    assert groups.count("position") == groups.count("control")
