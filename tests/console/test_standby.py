"""When a viewer turns to its standby connection, by the times of its pictures."""

from __future__ import annotations

import pytest

from operator_console.core.standby import (
    ASK_AGAIN_US,
    BUILD_AGAIN_US,
    LEAST_SILENCE_US,
    MOST_SILENCE_US,
    STEADY_US,
    StandbyWatch,
)

PERIOD_US = 33_333


def watched(pictures: int, period_us: int = PERIOD_US) -> tuple[StandbyWatch, int]:
    """Return a watch that has seen so many pictures, and the time of the last."""
    watch = StandbyWatch()
    for number in range(pictures):
        watch.on_picture(number * period_us)
    return watch, (pictures - 1) * period_us


def test_no_picture_has_come__nothing_is_silent_asked_or_built() -> None:
    watch = StandbyWatch()
    now_us = 10 * STEADY_US

    assert not watch.is_silent(now_us)
    assert not watch.asks(now_us)
    assert not watch.builds(now_us)


@pytest.mark.parametrize(
    ("period_us", "patience_us"),
    [
        (PERIOD_US, LEAST_SILENCE_US),
        (125_000, LEAST_SILENCE_US),
        (200_000, 400_000),
    ],
)
def test_pictures_stop__are_silent_after_the_limit_or_two_of_their_pauses(
    period_us: int, patience_us: int
) -> None:
    watch, last_us = watched(10, period_us)

    assert not watch.is_silent(last_us + patience_us)
    assert watch.is_silent(last_us + patience_us + 1)


def test_pauses_grow_step_by_step__silence_never_takes_longer_than_a_new_session() -> None:
    watch, at_us = watched(2)
    for pause_us in (240_000, 450_000, 800_000):
        at_us += pause_us
        watch.on_picture(at_us)

    assert not watch.is_silent(at_us + MOST_SILENCE_US)
    assert watch.is_silent(at_us + MOST_SILENCE_US + 1)


def test_silent__the_standby_is_asked_at_once_and_again_at_intervals() -> None:
    watch, last_us = watched(10)
    silent_us = last_us + LEAST_SILENCE_US + 1
    again = (0, ASK_AGAIN_US - 1, ASK_AGAIN_US, ASK_AGAIN_US + 1, 2 * ASK_AGAIN_US)

    assert not watch.asks(silent_us - 1)
    assert [watch.asks(silent_us + each) for each in again] == [True, False, True, False, True]


def test_pictures_come_again__nobody_is_asked_any_more() -> None:
    watch, last_us = watched(10)
    silent_us = last_us + LEAST_SILENCE_US + 1
    watch.asks(silent_us)
    watch.on_picture(silent_us + 1)

    assert not watch.asks(silent_us + ASK_AGAIN_US)


def builds_with_a_picture(watch: StandbyWatch, now_us: int) -> bool:
    watch.on_picture(now_us)
    return watch.builds(now_us)


def test_pictures_come_steadily__a_standby_is_built_and_another_tried_at_intervals() -> None:
    watch = StandbyWatch()
    period_us = 100_000
    times_us = range(0, STEADY_US + 2 * BUILD_AGAIN_US + period_us, period_us)
    built_us = [now_us for now_us in times_us if builds_with_a_picture(watch, now_us)]

    assert built_us == [STEADY_US + tries * BUILD_AGAIN_US for tries in range(3)]


def test_standby_is_turned_to__the_next_is_built_without_waiting_as_after_one_that_failed() -> None:
    watch, last_us = watched(STEADY_US // PERIOD_US + 2)
    built = [watch.builds(last_us), watch.builds(last_us + 1)]
    watch.turned()

    assert [*built, watch.builds(last_us + 2)] == [True, False, True]


def test_pictures_stand_still__no_standby_is_built_before_they_come_steadily_again() -> None:
    watch, last_us = watched(STEADY_US // PERIOD_US + 2)
    back_us = last_us + LEAST_SILENCE_US + 1

    assert not watch.builds(back_us)
    watch.on_picture(back_us)
    assert not watch.builds(back_us)


def test_pictures_come_too_seldom_to_be_told_from_silence__no_standby_is_built() -> None:
    watch, last_us = watched(20, 500_000)

    assert not watch.builds(last_us)
