"""The scripted driver's decisions, and what it counts."""

from __future__ import annotations

from typing import Any

import pytest

from operator_console.core.inputs import read_input
from sim.drive_log import DriveLog, percentiles
from sim.driver import Phase, Seat, holds_enable, input_message, next_action, read_seat
from sim.pursuit import Controls

HANDS = Controls(0.25, 0.5, 0.0)


def _message(**vehicle: Any) -> dict[str, Any]:
    return {
        "vehicle": {"mode": "LEASED", "cause": None, "blockers": ["B103"], **vehicle},
        "state_age_ms": 12.0,
        "state_max_age_ms": 500.0,
        "console": {"lease": {"epoch": 3}, "input": {"must_release": False}},
    }


def test_state__is_read() -> None:
    assert read_seat(_message()) == Seat("LEASED", None, True, False, ("B103",))


def test_state_too_old__mode_is_unknown() -> None:
    message = _message() | {"state_age_ms": 501.0}
    assert read_seat(message).mode is None


def test_no_vehicle__mode_is_unknown() -> None:
    assert read_seat(_message() | {"vehicle": None, "state_age_ms": None}).mode is None


@pytest.mark.parametrize(
    ("seat", "action"),
    [
        (Seat(None, leased=False), None),
        (Seat("STANDBY", leased=False), "lease"),
        (Seat("STOPPED", leased=False), "lease"),
        (Seat("LEASED", leased=True), "arm"),
        (Seat("LEASED", leased=True, blockers=("B103",)), None),
        (Seat("ARMED", leased=True), None),
        (Seat("ACTIVE", leased=True), None),
        (Seat("STOPPING", leased=True), None),
        (Seat("STOPPED", leased=True, blockers=("B101",)), None),
        (Seat("STOPPED", leased=True), "reset"),
    ],
)
def test_button__follows_the_mode(seat: Seat, action: str | None) -> None:
    assert next_action(seat) == action


@pytest.mark.parametrize(
    ("seat", "held"),
    [
        (Seat(None, must_release=False), False),
        (Seat("LEASED", must_release=False), False),
        (Seat("ARMED", must_release=True), False),
        (Seat("ARMED", must_release=False, blockers=("D102",)), False),
        (Seat("ARMED", must_release=False), True),
        (Seat("ACTIVE", must_release=False), True),
        (Seat("STOPPED", must_release=False), False),
    ],
)
def test_enable__is_held_only_where_it_means_something(seat: Seat, held: bool) -> None:
    assert holds_enable(seat) is held


@pytest.mark.parametrize("mode", [None, "LEASED", "ARMED", "STOPPED"])
def test_not_driving__hands_rest(mode: str | None) -> None:
    driver = read_input(input_message(1, Seat(mode, must_release=False), HANDS, Phase.DRIVING))
    assert driver.neutral
    assert driver.gear == 0
    assert driver.park


def test_driving__hands_are_sent() -> None:
    driver = read_input(input_message(1, Seat("ACTIVE"), HANDS, Phase.DRIVING))
    assert (driver.steer, driver.throttle, driver.brake, driver.gear) == (0.25, 0.5, 0.0, 1)
    assert driver.enable


def test_braking_at_the_end__steers_on_with_enable_held() -> None:
    driver = read_input(input_message(1, Seat("ACTIVE"), HANDS, Phase.BRAKING))
    assert (driver.steer, driver.throttle, driver.enable) == (0.25, 0.0, True)
    assert driver.brake > 0.0


def test_letting_go__enable_opens_and_gear_is_neutral() -> None:
    driver = read_input(input_message(1, Seat("ACTIVE"), HANDS, Phase.LETTING_GO))
    assert (driver.enable, driver.gear, driver.steer) == (False, 0, 0.0)


def test_percentiles__of_nothing_are_unknown() -> None:
    assert percentiles([]) == {"p50": None, "p95": None, "p99": None, "max": None}


def test_percentiles__are_by_nearest_rank() -> None:
    found = percentiles([float(value) for value in range(1, 201)])
    assert found == {"p50": 100.0, "p95": 190.0, "p99": 198.0, "max": 200.0}


def test_log_before_active__counts_nothing() -> None:
    log = DriveLog()
    log.truth(5.0, 1)
    log.picture(0, 10_000)
    log.state("ACTIVE", None)
    log.state("STOPPED", None)
    result = log.result()
    assert (result["distance_m"], result["contacts"]) == (0.0, 0)
    assert (result["pictures_decoded"], result["stops"]) == (0, 0)


def test_log__counts_from_where_it_began() -> None:
    log = DriveLog()
    log.telemetry(500, {"p50": 1.0, "p95": 1.0, "p99": 1.0, "max": 1.0})
    log.running = True
    log.truth(5.0, 1)
    log.truth(165.0, 1)
    log.picture(1_000, 21_000)
    log.telemetry(3500, {"p50": 4.0, "p95": 8.0, "p99": 9.0, "max": 11.0})
    assert log.result() == {
        "distance_m": 160.0,
        "contacts": 0,
        "commands_accepted": 3000,
        "pictures_decoded": 1,
        "stops": 0,
        "unexplained_stops": 0,
        "stop_causes": [],
        "picture_age_ms": {"p50": 20.0, "p95": 20.0, "p99": 20.0, "max": 20.0},
        "command_age_ms": {"p50": 4.0, "p95": 8.0, "p99": 9.0, "max": 11.0},
    }


def test_stop_with_cause__is_explained() -> None:
    log = DriveLog(running=True)
    for mode, cause in (("ACTIVE", None), ("STOPPING", "L102"), ("STOPPED", "L102")):
        log.state(mode, cause)
    assert (log.result()["stops"], log.result()["unexplained_stops"]) == (1, 0)


def test_stop_whose_cause_comes_a_state_later__is_explained() -> None:
    log = DriveLog(running=True)
    for mode, cause in (("ACTIVE", None), ("STOPPING", None), ("STOPPED", "M102")):
        log.state(mode, cause)
    assert log.result()["unexplained_stops"] == 0


def test_stop_without_cause__is_unexplained() -> None:
    log = DriveLog(running=True)
    for mode in ("ACTIVE", "STOPPING", "STOPPED", "LEASED", "ACTIVE", "STOPPING"):
        log.state(mode, None)
    assert (log.result()["stops"], log.result()["unexplained_stops"]) == (2, 2)
