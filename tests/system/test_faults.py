"""Faults in the running demo: real processes, killed and paused, seen from outside only."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest

from protocol.state import VehicleMode
from sim.faults.rehearsal import Rehearsal, rehearsal

pytestmark = [pytest.mark.system, pytest.mark.timeout(240)]

AT_SPEED_MPS = 2.0
STILL_S = 4.0
PATH_OUT_S = 6.0
"""A path is out after 2 s; then the truck has time to slow to its cap."""
CAPPED_MPS = 2.8
"""Half of the zone's speed, and what the truck may be above it."""


@pytest.fixture
def driving() -> Iterator[Rehearsal]:
    """The truck under way; its driver will press no button again, but goes on asking for motion."""
    with rehearsal() as running:
        running.start_driver("--starts-once")
        running.until(lambda: running.speed_mps > AT_SPEED_MPS, 60.0, "under way")
        yield running


def stands(running: Rehearsal, cause: str) -> bool:
    state = running.seen.state
    return (
        running.parked
        and state is not None
        and state.mode is VehicleMode.STOPPED
        and state.cause == cause
    )


def stays(running: Rehearsal, cause: str) -> None:
    """It stands with its cause named, and goes on standing with everything healthy again."""
    running.until(lambda: stands(running, cause), 30.0, f"standing, cause {cause}")
    travelled_m = running.seen.truth["distance_m"]
    running.wait(STILL_S)
    assert stands(running, cause), running.describe()
    assert running.seen.truth["distance_m"] == pytest.approx(travelled_m, abs=0.01)
    assert running.seen.truth["contacts"] == 0


@pytest.mark.requirement("HF-CMD-09")
def test_console_killed__truck_stops_and_stays(driving: Rehearsal) -> None:
    driving.kill("console")
    driving.until(lambda: driving.parked, 20.0, "parked")

    driving.kill("driver")
    driving.start_again("console")

    stays(driving, "L102")


def test_broker_killed__truck_stops_and_stays_when_it_is_back(driving: Rehearsal) -> None:
    driving.kill("broker")
    driving.until(lambda: driving.parked, 20.0, "parked")

    driving.start_again("broker")
    driving.watch_broker()

    stays(driving, "L102")


@pytest.mark.requirement("HF-CMD-16", "HF-CMD-17")
def test_broker_killed_with_both_paths__truck_drives_on_slower_and_is_whole_again_after() -> None:
    with rehearsal(both_paths=True) as running:
        running.start_driver("--starts-once")
        running.until(lambda: running.speed_mps > AT_SPEED_MPS, 60.0, "under way")
        running.until(lambda: silent_paths(running) == (), 10.0, "both paths heard")
        running.kill("broker")
        running.wait(PATH_OUT_S)
        slow_mps, travelled_m = running.speed_mps, running.seen.truth["distance_m"]
        running.start_again("broker")
        running.watch_broker()
        back_ns = running.seen.state_ns
        running.until(
            lambda: running.seen.state_ns > back_ns and silent_paths(running) == (),
            20.0,
            "both paths heard again",
        )
        mode = None if running.seen.state is None else running.seen.state.mode

    assert 0.5 < slow_mps < CAPPED_MPS
    assert mode is VehicleMode.ACTIVE
    assert running.seen.truth["distance_m"] > travelled_m


def silent_paths(running: Rehearsal) -> tuple[int, ...] | None:
    """What the newest state says; None without a share of both, or without any state."""
    state = running.seen.state
    known = state is not None and len(state.delivered_pct) == 2
    return state.silent_paths if state is not None and known else None


def test_link_paused__truck_stops_and_stays_when_it_goes_on(driving: Rehearsal) -> None:
    driving.signal("link", signal.SIGSTOP)
    driving.until(lambda: driving.parked, 20.0, "parked")

    driving.signal("link", signal.SIGCONT)

    stays(driving, "L102")


def test_link_killed__agent_starts_it_again_and_the_truck_stays_stopped(
    driving: Rehearsal,
) -> None:
    driving.signal("link", signal.SIGKILL)
    driving.until(lambda: driving.parked, 20.0, "parked")

    stays(driving, "L102")


@pytest.mark.requirement("HF-GUARD-01")
def test_guardian_paused__ecu_stops_the_truck_and_it_stays_when_it_goes_on(
    driving: Rehearsal,
) -> None:
    driving.signal("guardian", signal.SIGSTOP)
    driving.until(lambda: driving.parked, 20.0, "parked by its ECU")

    driving.signal("guardian", signal.SIGCONT)

    stays(driving, "G101")


@pytest.mark.requirement("HF-ECU-03")
def test_guardian_killed__ecu_stops_the_truck_and_nothing_starts_it_again(
    driving: Rehearsal,
) -> None:
    driving.signal("guardian", signal.SIGKILL)
    driving.until(lambda: driving.parked, 20.0, "parked by its ECU")
    travelled_m = driving.seen.truth["distance_m"]

    driving.wait(STILL_S)

    assert driving.parked
    assert driving.seen.truth["distance_m"] == travelled_m


@pytest.mark.requirement("HF-VIEW-02")
def test_picture_frozen__truck_stops_and_stays_when_it_is_live_again(driving: Rehearsal) -> None:
    driving.signal("camera", signal.SIGSTOP)
    driving.until(lambda: driving.parked, 20.0, "parked")

    driving.signal("camera", signal.SIGCONT)

    stays(driving, "V102")
