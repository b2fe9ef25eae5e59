"""The supervisor and its range finder: what is seen, what is not, and what the state says of it."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from protocol.state import CapReason
from tests.rig import Rig
from vehicle_agent.core.clearance import RangeFinder, encode
from vehicle_agent.core.supervisor import Supervisor

FINDER = RangeFinder(mount_m=2.6, front_m=2.6, half_m=1.75, range_m=40.0)
MS = 1_000_000


class Looking(Rig):
    """A rig with a range finder that shows one range straight ahead."""

    def __init__(self) -> None:
        super().__init__()
        self.setup = replace(self.setup, finder=FINDER)
        self.supervisor = Supervisor(self.setup)
        self.ahead_m: float | None = 39.0

    def scans(self) -> tuple[bytes, ...]:
        if self.ahead_m is None:
            return ()
        ranges_m = [math.inf] * 90 + [self.ahead_m] + [math.inf] * 90
        return (encode(self.now_ns // 1000, -math.pi / 2, math.pi / 180, ranges_m),)


@pytest.fixture
def rig() -> Looking:
    made = Looking()
    made.activate()
    return made


def cap_of(rig: Rig) -> tuple[float, CapReason | None]:
    assert rig.state is not None
    return rig.state.cap_mps, rig.state.cap_reason


def test_free_far_ahead__the_zones_speed_and_the_range_is_shown(rig: Looking) -> None:
    rig.run(0.5)
    assert cap_of(rig) == (rig.profile.limits.zone_speed_mps, CapReason.ZONE)
    assert rig.state is not None
    assert rig.state.proximity_m == (39.0, 40.0, 40.0, None, None, None, 40.0, 40.0)


@pytest.mark.requirement("HF-GOV-01")
def test_something_ahead__the_cap_stops_short_of_it(rig: Looking) -> None:
    rig.ahead_m = 6.5
    rig.run(0.5)
    speed_mps, reason = cap_of(rig)
    limits = rig.profile.limits
    least_m = speed_mps * limits.brake_delay_worst_s + speed_mps**2 / (2 * limits.stop_decel_mps2)
    assert reason is CapReason.CLEARANCE
    assert 0.85 * 6.0 < least_m < 6.0


@pytest.mark.requirement("HF-GOV-02")
def test_scans_cease__walking_pace_after_a_quarter_second_and_sectors_unknown(
    rig: Looking,
) -> None:
    rig.run(0.5)
    rig.ahead_m = None
    rig.run(0.2)
    assert cap_of(rig)[1] is CapReason.ZONE
    rig.run(0.1)
    assert cap_of(rig) == (1.0, CapReason.CLEARANCE)
    assert rig.state is not None
    assert rig.state.proximity_m == (None,) * 8


@pytest.mark.requirement("HF-GOV-02")
def test_reverse__nothing_looks_there_and_walking_pace_holds(rig: Looking) -> None:
    rig.hold_enable(neutral=False, throttle=3000, gear=-1)
    rig.run(0.5)
    assert cap_of(rig) == (1.0, CapReason.CLEARANCE)


def test_no_finder_fitted__nothing_is_shown_and_the_zones_speed_holds() -> None:
    rig = Rig()
    rig.activate()
    rig.run(0.5)
    assert cap_of(rig)[1] is CapReason.ZONE
    assert rig.state is not None
    assert rig.state.proximity_m == ()


@pytest.mark.parametrize(
    ("speed_mps", "pitch_rad", "brake_mps2"),
    [(2.0, 0.0, 1.2), (2.0, -0.1, 2.18), (2.0, 0.1, 1.2), (-2.0, 0.1, 2.18), (-2.0, -0.1, 1.2)],
)
@pytest.mark.requirement("HF-GOV-01")
def test_faster_than_the_cap_on_a_grade__what_gravity_pulls_is_braked_beside_the_rest(
    rig: Looking, speed_mps: float, pitch_rad: float, brake_mps2: float
) -> None:
    rig.hold_enable(neutral=False, throttle=3000, gear=1)
    rig.run(0.2)
    rig.ahead_m = 0.4
    rig.ecu.speed_mps, rig.ecu.pitch_rad = speed_mps, pitch_rad
    rig.run(0.4)
    assert rig.supervisor.demand.brake_mps2 == pytest.approx(brake_mps2, abs=0.02)
