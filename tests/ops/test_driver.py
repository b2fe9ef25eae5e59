"""The scripted driver's decisions, and what it counts."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, cast

import pytest
from aiohttp import WSMessage, WSMsgType

from operator_console.core.inputs import read_input
from protocol.profiles import MachineLimits, parse_profile
from sim import demo
from sim.drive_log import CommandAges, DriveLog, percentiles
from sim.driver import (
    LET_GO_WITHIN_S,
    STANDSTILL_WITHIN_S,
    SURE_S,
    DriveError,
    Driver,
)
from sim.pursuit import Controls, Pursuit
from sim.seat import Phase, Seat, holds_enable, input_message, next_action, read_seat
from sim.world.site import Site, load_site
from tests.sim.worlds import DRIFT_FILE, TRUCK_FILE
from vehicle_agent.core.gate import STANDSTILL_NS

HANDS = Controls(0.25, 0.5, 0.0)


@pytest.fixture(scope="module")
def site() -> Site:
    return load_site(DRIFT_FILE)


@pytest.fixture(scope="module")
def limits() -> MachineLimits:
    return parse_profile(TRUCK_FILE.read_text(encoding="utf-8"), TRUCK_FILE.name).limits


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
    log.telemetry(500)
    log.command_age(77.0)
    log.running = True
    log.truth(5.0, 1)
    log.truth(165.0, 1)
    log.picture(1_000, 21_000)
    log.telemetry(3500)
    log.command_age(4.0)
    log.command_age(11.0)
    assert log.result() == {
        "interrupted": False,
        "distance_m": 160.0,
        "contacts": 0,
        "commands_accepted": 3000,
        "pictures_decoded": 1,
        "stops": 0,
        "unexplained_stops": 0,
        "stop_causes": [],
        "picture_age_ms": {"p50": 20.0, "p95": 20.0, "p99": 20.0, "max": 20.0},
        "command_age_ms": {"p50": 4.0, "p95": 11.0, "p99": 11.0, "max": 11.0},
    }


def test_stop_that_another_post_asked_for__is_explained() -> None:
    log = DriveLog(running=True)
    for mode, cause in (("ACTIVE", None), ("STOPPING", "D106"), ("STOPPED", "D106")):
        log.state(mode, cause)
    assert (log.result()["stops"], log.result()["unexplained_stops"]) == (1, 0)


def test_emergency_stop_whose_cause_comes_a_state_later__is_explained() -> None:
    log = DriveLog(running=True)
    for mode, cause in (("ACTIVE", None), ("STOPPING", None), ("ESTOP", "M105")):
        log.state(mode, cause)
    assert log.result()["unexplained_stops"] == 0


@pytest.mark.parametrize("cause", [None, "L102", "D101"])
def test_stop_that_nobody_asked_for__is_unexplained_whatever_its_name(cause: str | None) -> None:
    log = DriveLog(running=True)
    for mode in ("ACTIVE", "STOPPING", "STOPPED", "LEASED", "ACTIVE", "STOPPING"):
        log.state(mode, cause)
    assert (log.result()["stops"], log.result()["unexplained_stops"]) == (2, 2)


def test_command_accepted__its_age_is_told_once() -> None:
    ages = CommandAges()
    ages.sent(7, 1_000_000)
    assert ages.accepted(7, 1_012_500) == 12.5
    assert ages.accepted(7, 1_032_500) is None


@pytest.mark.parametrize("sequence", [None, 8])
def test_command_never_seen__has_no_age(sequence: int | None) -> None:
    assert CommandAges().accepted(sequence, 1_000_000) is None


class Line:
    """The page's socket: keeps what was said."""

    def __init__(self) -> None:
        self.said: list[dict[str, Any]] = []

    async def send_str(self, text: str) -> None:
        self.said.append(json.loads(text))

    async def __aiter__(self) -> AsyncIterator[WSMessage]:
        for number in (7, 8):
            yield WSMessage(
                WSMsgType.TEXT, json.dumps(_message() | {"t": "state", "n": number}), ""
            )


def _driver(site: Site, limits: MachineLimits) -> tuple[Driver, Line]:
    line = Line()
    made = Driver(cast("Any", line), cast("Any", None), Pursuit(site, limits))
    return made, line


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """The driver waits for nothing that a test does not bring about."""
    monkeypatch.setattr("sim.driver.LET_GO_WITHIN_S", 0.0)
    monkeypatch.setattr("sim.driver.STANDSTILL_WITHIN_S", 0.0)
    monkeypatch.setattr("sim.driver.SURE_S", 0.0)


async def test_ended_before_active__drive_is_over_at_once_with_enable_open(
    site: Site, limits: MachineLimits, patient: None
) -> None:
    driver, line = _driver(site, limits)
    driver.end()
    await driver.drive(60.0)
    assert driver.log.result()["interrupted"] is True
    assert driver.phase is Phase.LETTING_GO
    assert line.said == [{"t": "action", "do": "release"}]


async def test_ended_while_active__brakes_before_letting_go(
    site: Site, limits: MachineLimits, patient: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    driver, _ = _driver(site, limits)
    phases: list[Phase] = []
    monkeypatch.setattr(driver.log, "running", True)
    driver.active.set()
    driver.end()
    monkeypatch.setattr("sim.driver._wait", _noting(driver, phases))
    await driver.drive(60.0)
    assert phases == [Phase.DRIVING, Phase.BRAKING, Phase.LETTING_GO]


def _noting(driver: Driver, phases: list[Phase]) -> Callable[..., Awaitable[None]]:
    async def wait(*_: object) -> None:
        phases.append(driver.phase)

    return wait


async def test_driven_to_the_end__is_not_interrupted(
    site: Site, limits: MachineLimits, patient: None
) -> None:
    driver, _ = _driver(site, limits)
    driver._take(_message(mode="ACTIVE") | {"t": "state"})
    await driver.drive(0.0)
    assert driver.log.result()["interrupted"] is False


async def test_driver__gives_each_state_back_as_seen(site: Site, limits: MachineLimits) -> None:
    driver, line = _driver(site, limits)
    with pytest.raises(DriveError):
        await driver.read()
    assert line.said == [{"t": "seen", "n": 7}, {"t": "seen", "n": 8}]


def test_driver__lets_go_only_when_the_machine_is_sure_that_it_stands() -> None:
    assert SURE_S * 1e9 > STANDSTILL_NS


def test_grace_of_the_demo__covers_the_drivers_own_times() -> None:
    assert demo.DRIVER_GRACE_S > STANDSTILL_WITHIN_S + SURE_S + LET_GO_WITHIN_S
