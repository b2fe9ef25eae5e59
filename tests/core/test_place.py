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
    LINE_KEPT_M,
    PLACE_UNKNOWN,
    RULE_EVENTS,
    STALE_US,
    Fix,
    Place,
    Places,
    Rule,
    decode,
    telemetry,
)
from vehicle_agent.core.supervisor import Supervisor

FULL = Place(77, Fix.FIXED, (12.5, -3.25), 0.5, 3.5, 40.0, 7.5, Rule.OCCUPIED)
NOW_US = 10_000_000


@pytest.mark.parametrize(
    "place",
    [
        FULL,
        Place(1),
        Place(1, ahead_m=0.0, rule=Rule.CLOSED),
        Place(1, behind_m=2.0),
        Place(1, limit_mps=0.0),
        Place(1, Fix.SINGLE, (0.0, 0.0), 1.5),
    ],
)
def test_place__comes_back_as_it_was(place: Place) -> None:
    assert decode(place.encode()) == place


def test_every_part_of_a_place__is_none() -> None:
    whole = FULL.encode()
    assert all(decode(whole[:length]) is None for length in range(len(whole)))
    assert decode(whole + b"\0") is None


@pytest.mark.parametrize(
    ("at", "value"), [(0, 0), (0, 2), (1, 16), (2, 5), (3, 6)],
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
    places.take(NOW_US, [Place(NOW_US).encode(), Place(NOW_US - 1).encode(), b"x"])
    assert places.at(NOW_US + STALE_US) == Place(NOW_US)
    assert places.at(NOW_US + STALE_US + 1) is None
    assert places.refused == 2


def test_place_from_the_future__is_refused_and_what_follows_still_counts() -> None:
    places = Places()
    places.take(NOW_US, [Place(NOW_US + 1).encode(), Place(NOW_US).encode()])
    assert (places.at(NOW_US), places.refused) == (Place(NOW_US), 1)


def test_telemetry__says_position_fix_and_rule() -> None:
    said = json.loads(telemetry(1_077, FULL))
    assert said == {
        "fix": "fixed", "x_m": 12.5, "y_m": -3.25, "sigma_m": 0.5, "age_ms": 1, "limit_mps": 3.5,
        "line_ahead_m": 40.0, "line_behind_m": 7.5, "rule": "occupied",
    }  # fmt: skip
    assert json.loads(telemetry(1, None)) == {"fix": None}
    assert json.loads(telemetry(1, Place(1)))["sigma_m"] is None


def test_every_rule__has_its_event() -> None:
    assert set(RULE_EVENTS) == set(Rule) - {Rule.NONE}
    assert all(event in EVENTS for event in (*RULE_EVENTS.values(), PLACE_UNKNOWN))


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
        self.sides_m: list[float | None] | None = None

    def places(self) -> tuple[bytes, ...]:
        if self.said is None:
            return ()
        return (Place(self.now_ns // 1000, **self.said).encode(),)

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
    rig.said = {"ahead_m": 6.0 + LINE_KEPT_M, "rule": Rule.CLOSED}
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


def test_rule__is_told_once_when_it_begins(rig: Placed) -> None:
    rig.said = {"ahead_m": 70.0, "rule": Rule.OCCUPIED}
    rig.run(0.5)
    assert rig.events.count("Z102") == 1
    rig.said = {}
    rig.run(0.1)
    rig.said = {"ahead_m": 60.0, "rule": Rule.CLOSED}
    rig.run(0.1)
    assert rig.events.count("Z101") == 1


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
