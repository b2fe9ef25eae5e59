"""The driver as the machine knows him, each time and each limit at its exact edge."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from protocol.frames import CommandKind
from protocol.freshness import Accepted
from protocol.signals import DEFAULT_TIMING
from tests.core.parts import MS, S, command
from vehicle_agent.core.driver import Driver, WorstOf, is_neutral

T_NS = 9_000 * S
LOOP_US = 40_000


def accepted(
    at_ns: int = T_NS, uplink_us: int = 0, loop_us: int = LOOP_US, **wish: Any
) -> Accepted:
    return Accepted(command(**wish), 0, at_ns, loop_us, uplink_us)


@pytest.fixture
def driver() -> Driver:
    return Driver(DEFAULT_TIMING)


def with_command(at_ns: int = T_NS, **wish: Any) -> Driver:
    made = Driver(DEFAULT_TIMING)
    made.take(accepted(at_ns, **wish))
    return made


# --- the worst of a window ----------------------------------------------------------------------


def test_window__gives_the_largest_value_until_it_is_older_than_the_window() -> None:
    worst = WorstOf(100)
    assert worst.worst(0) is None
    for at_ns, value in ((0, 5), (10, 9), (20, 7), (25, 3), (30, 6)):
        worst.add(at_ns, value)

    assert [worst.worst(now_ns) for now_ns in (30, 110, 111, 120, 121, 131)] == [
        9,
        9,
        7,
        7,
        6,
        None,
    ]


def test_window_cleared__knows_nothing() -> None:
    worst = WorstOf(100)
    worst.add(0, 5)
    worst.clear()

    assert worst.worst(0) is None


# --- neutral ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wish", "neutral"),
    [
        ({}, True),
        ({"throttle": 200}, True),
        ({"throttle": 201}, False),
        ({"implement": 200}, True),
        ({"implement": -200}, True),
        ({"implement": 201}, False),
        ({"implement": -201}, False),
        ({"gear": 1}, False),
        ({"gear": -1}, False),
        ({"neutral": False}, False),
    ],
)
def test_neutral__means_throttle_implement_and_gear_at_rest_and_the_consoles_word(
    wish: dict[str, Any], neutral: bool
) -> None:
    assert is_neutral(command(**{"neutral": True, **wish})) is neutral
    assert with_command(**{"neutral": True, **wish}).neutral(T_NS) is neutral


# --- before any command -------------------------------------------------------------------------


def knows_nothing(driver: Driver) -> None:
    assert driver.newest is None
    assert driver.age_ns(T_NS) is None
    assert driver.late(T_NS)
    assert driver.stale(T_NS)
    assert driver.command_left_ns(T_NS) is None
    assert driver.acting(T_NS) is None
    assert not driver.neutral(T_NS)
    assert not driver.enabled(T_NS)
    assert not driver.seen_released
    assert driver.healthy_ns(T_NS) == 0
    assert driver.view_age_us(T_NS) is None
    assert driver.loop_us(T_NS) is None
    assert not driver.display_ok()
    assert driver.still_ns(T_NS) == 0
    assert not driver.in_conflict(T_NS)


def test_no_command_yet__everything_is_unknown_late_and_still(driver: Driver) -> None:
    knows_nothing(driver)


def test_forgotten__the_same_as_before_any_command() -> None:
    driver = with_command(
        T_NS - 2 * S, enable=False, throttle=9000, brake=9000, display_ok=True, view_stamp_us=1
    )
    driver.take(accepted(enable=False, view_stamp_us=1))
    driver.forget()

    knows_nothing(driver)


def test_forgotten_during_a_conflict__the_second_starts_again() -> None:
    driver = with_command(throttle=9000, brake=9000)
    driver.forget()
    driver.take(accepted(T_NS + S, throttle=9000, brake=9000))

    assert not driver.in_conflict(T_NS + S)


# --- how long a command acts --------------------------------------------------------------------


def test_command__is_late_above_the_degraded_time() -> None:
    driver = with_command()

    assert driver.newest == accepted()
    assert driver.age_ns(T_NS + 7) == 7
    assert not driver.late(T_NS + 100 * MS)
    assert driver.late(T_NS + 100 * MS + 1)
    assert driver.acting(T_NS + 100 * MS) == command()
    assert driver.acting(T_NS + 100 * MS + 1) is None


@pytest.mark.parametrize(
    ("ttl_ms", "uplink_us", "left_ns"),
    [
        (250, 0, 250 * MS),
        (30, 0, 30 * MS),
        (250, 25_000, 250 * MS),
        (250, 26_000, 249 * MS),
        (250, 100_500, 174_500_000),
        (170, 100_500, 170 * MS),
    ],
)
@pytest.mark.requirement("HF-CMD-10")
def test_command__acts_for_its_life_and_never_beyond_the_reaction_time_of_its_departure(
    ttl_ms: int, uplink_us: int, left_ns: int
) -> None:
    driver = with_command(ttl_ms=ttl_ms, uplink_us=uplink_us)

    assert driver.command_left_ns(T_NS) == left_ns
    assert driver.command_left_ns(T_NS + 5) == left_ns - 5
    assert not driver.stale(T_NS + left_ns - 1)
    assert driver.stale(T_NS + left_ns)


@pytest.mark.parametrize("row", ["command_ttl_max_ms", "command_stop_ms"])
def test_time_tightened_by_the_site__bounds_every_command(row: str) -> None:
    change: dict[str, Any] = {row: 120}
    driver = Driver(replace(DEFAULT_TIMING, **change))
    driver.take(accepted())

    assert driver.command_left_ns(T_NS) == 120 * MS


def test_command_with_a_short_life__acts_no_longer_though_it_is_not_late() -> None:
    driver = with_command(ttl_ms=50)

    assert driver.acting(T_NS + 50 * MS - 1) is not None
    assert driver.acting(T_NS + 50 * MS) is None


# --- enable -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wish", "enabled"),
    [
        ({}, True),
        ({"enable": False}, False),
        ({"kind": CommandKind.PARKED}, False),
        ({"kind": CommandKind.STOP}, False),
    ],
)
def test_enabled__needs_enable_in_a_drive_command(wish: dict[str, Any], enabled: bool) -> None:
    driver = with_command(**wish)

    assert driver.enabled(T_NS) is enabled
    assert not driver.enabled(T_NS + S)


def test_neutral_command_that_is_late__counts_no_longer() -> None:
    assert not with_command(neutral=True).neutral(T_NS + S)


def test_enable_seen_open__stays_seen_until_the_next_arming(driver: Driver) -> None:
    def seen_after(*, enable: bool) -> bool:
        driver.take(accepted(enable=enable))
        return driver.seen_released

    assert [seen_after(enable=enable) for enable in (True, False, True)] == [False, True, True]
    driver.await_release()
    assert [seen_after(enable=enable) for enable in (True, False)] == [False, True]


# --- health of the link -------------------------------------------------------------------------


def test_commands_without_a_gap__healthy_since_the_first(driver: Driver) -> None:
    for number in range(5):
        driver.take(accepted(T_NS + number * 100 * MS))

    assert driver.healthy_ns(T_NS + 450 * MS) == 450 * MS
    assert driver.healthy_ns(T_NS + 500 * MS) == 500 * MS
    assert driver.healthy_ns(T_NS + 500 * MS + 1) == 0


def test_gap_above_the_degraded_time__healthy_since_its_end(driver: Driver) -> None:
    driver.take(accepted(T_NS))
    driver.take(accepted(T_NS + 100 * MS + 1))

    assert driver.healthy_ns(T_NS + 100 * MS + 4) == 3


# --- what he sees -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("stamp_us", "age_us"),
    [
        (T_NS // 1000 - 60_000, 60_000),
        (1, T_NS // 1000 - 1),
        (T_NS // 1000, 0),
        (T_NS // 1000 + 1, None),
        (0, None),
    ],
)
@pytest.mark.requirement("HF-VIEW-04")
def test_picture__is_as_old_as_its_stamp_and_none_from_the_future(
    stamp_us: int, age_us: int | None
) -> None:
    assert with_command(view_stamp_us=stamp_us).view_age_us(T_NS) == age_us


@pytest.mark.parametrize(("main", "camera", "counts"), [(0, 0, True), (0, 1, False), (3, 3, True)])
@pytest.mark.requirement("HF-VIEW-04")
def test_picture_of_another_camera__does_not_count(main: int, camera: int, counts: bool) -> None:
    driver = Driver(DEFAULT_TIMING, main)
    driver.take(accepted(view_stamp_us=T_NS // 1000, camera=camera))

    assert (driver.view_age_us(T_NS) is not None) is counts


FRONT, REAR = 3, 5


@pytest.mark.parametrize(
    ("gear", "camera", "counts"),
    [
        (1, FRONT, True),
        (1, REAR, False),
        (0, FRONT, True),
        (0, REAR, True),
        (0, 4, False),
        (-1, FRONT, False),
        (-1, REAR, True),
    ],
)
@pytest.mark.requirement("HF-VIEW-04")
def test_rear_camera_fitted__picture_of_the_direction_of_travel_counts(
    gear: int, camera: int, counts: bool
) -> None:
    driver = Driver(DEFAULT_TIMING, FRONT, REAR)
    driver.take(accepted(view_stamp_us=T_NS // 1000, camera=camera, gear=gear))

    assert (driver.view_age_us(T_NS) is not None) is counts


@pytest.mark.parametrize("gear", [1, 0, -1])
@pytest.mark.requirement("HF-VIEW-04")
def test_no_rear_camera_fitted__the_main_ones_picture_counts_in_every_gear(gear: int) -> None:
    driver = Driver(DEFAULT_TIMING, FRONT)
    driver.take(accepted(view_stamp_us=T_NS // 1000, camera=FRONT, gear=gear))

    assert driver.view_age_us(T_NS) == 0


@pytest.mark.requirement("HF-VIEW-04")
def test_gear_changed_before_the_view__last_picture_of_the_way_ages_on() -> None:
    driver = Driver(DEFAULT_TIMING, FRONT, REAR)
    driver.take(accepted(view_stamp_us=T_NS // 1000 - 40_000, camera=FRONT, gear=1))
    driver.take(accepted(view_stamp_us=T_NS // 1000, camera=FRONT, gear=-1))

    assert driver.view_age_us(T_NS) == 40_000


def test_main_camera_not_told__is_camera_0(driver: Driver) -> None:
    driver.take(accepted(view_stamp_us=T_NS // 1000, camera=0))

    assert driver.view_age_us(T_NS) == 0


@pytest.mark.parametrize("display_ok", [False, True])
def test_screen__is_what_the_newest_command_says(display_ok: bool) -> None:
    assert with_command(display_ok=display_ok).display_ok() is display_ok


# --- the loop -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("view_age_us", "loop_us"), [(0, 40_000), (60_000, 60_000), (700_000, 600_000)]
)
def test_loop_time__is_the_worse_of_echo_and_picture_up_to_the_pictures_stop_time(
    view_age_us: int, loop_us: int
) -> None:
    driver = with_command(view_stamp_us=T_NS // 1000 - view_age_us)

    assert driver.loop_us(T_NS) == loop_us


def test_loop_time__is_the_worst_of_a_second(driver: Driver) -> None:
    driver.take(accepted(T_NS, loop_us=90_000))
    driver.take(accepted(T_NS + 500 * MS, loop_us=50_000))

    assert driver.loop_us(T_NS + S) == 90_000
    assert driver.loop_us(T_NS + S + 1) == 50_000


# --- what he does -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "change",
    [
        {"steer": 101},
        {"steer": -101},
        {"throttle": 101},
        {"brake": 101},
        {"gear": 1},
        {"implement": -101},
        {"park_brake": True},
        {"horn": True},
        {"lights": True},
    ],
    ids=str,
)
def test_any_control_changed__not_still_any_more(change: dict[str, Any]) -> None:
    driver = with_command()
    driver.take(accepted(T_NS + S))
    assert driver.still_ns(T_NS + S) == S

    driver.take(accepted(T_NS + 2 * S, **change))
    assert driver.still_ns(T_NS + 2 * S + 5) == 5


@pytest.mark.parametrize("axis", ["steer", "throttle", "brake", "implement"])
def test_axis_trembles_about_where_it_was__still(axis: str) -> None:
    driver = with_command(**{axis: 500})
    for number, tremble in enumerate((600, 450, 400, 550, 600), 1):
        driver.take(accepted(T_NS + number * S, **{axis: tremble}))

    assert driver.still_ns(T_NS + 5 * S) == 5 * S


def test_axis_creeps_away__not_still_once_it_is_far_enough() -> None:
    driver = with_command(steer=0)
    driver.take(accepted(T_NS + S, steer=60))
    driver.take(accepted(T_NS + 2 * S, steer=120))
    driver.take(accepted(T_NS + 3 * S, steer=180))

    assert driver.still_ns(T_NS + 3 * S) == S


@pytest.mark.parametrize(
    ("throttle", "brake", "conflict"),
    [(501, 2001, True), (500, 2001, False), (501, 2000, False), (10_000, 10_000, True)],
)
def test_throttle_and_brake_together_for_a_second__conflict(
    throttle: int, brake: int, conflict: bool
) -> None:
    driver = with_command(throttle=throttle, brake=brake)
    driver.take(accepted(T_NS + 500 * MS, throttle=throttle, brake=brake))

    assert not driver.in_conflict(T_NS + S - 1)
    assert driver.in_conflict(T_NS + S) is conflict


def test_conflict_ended_and_begun_again__the_second_starts_again() -> None:
    driver = with_command(throttle=9000, brake=9000)
    driver.take(accepted(T_NS + 900 * MS, throttle=9000))
    assert not driver.in_conflict(T_NS + S)

    driver.take(accepted(T_NS + S, throttle=9000, brake=9000))
    assert not driver.in_conflict(T_NS + S)
    assert driver.in_conflict(T_NS + 2 * S)
