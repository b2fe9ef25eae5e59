"""A raw code asks what calibration says, and nothing where the sensor cannot be."""

from __future__ import annotations

import pytest

from operator_console.core.axes import DEAD_ZONE_MAX, Axis

WHEEL = Axis(0, zero=500, full=100, other=1100, valid_low=0, valid_high=1200)
OUTSIDE = "an end lies outside of the valid codes"
BETWEEN = "zero does not lie between full and other"
PEDAL = Axis(2, zero=255, full=55, other=None, valid_low=10, valid_high=260)


@pytest.mark.parametrize(
    ("raw", "share"),
    [(500, 0.0), (300, 0.5), (100, 1.0), (0, 1.0), (800, -0.5), (1100, -1.0), (1200, -1.0)],
)
def test_wheel__both_ways_each_with_its_own_end(raw: int, share: float) -> None:
    assert WHEEL.share(raw) == share


@pytest.mark.parametrize(
    ("raw", "share"), [(255, 0.0), (260, 0.0), (155, 0.5), (55, 1.0), (10, 1.0)]
)
def test_pedal__behind_its_rest_asks_nothing(raw: int, share: float) -> None:
    assert PEDAL.share(raw) == share


@pytest.mark.parametrize("raw", [-1, 1201])
def test_code_that_the_sensor_cannot_give__is_nothing(raw: int) -> None:
    assert WHEEL.share(raw) is None


def test_axis_that_counts_upwards__asks_the_same() -> None:
    axis = Axis(0, zero=0, full=200, other=-100, valid_low=-100, valid_high=200)

    assert (axis.share(100), axis.share(-50)) == (0.5, -0.5)


def test_dead_zone__is_rest_and_what_is_left_is_the_whole_way() -> None:
    axis = Axis(0, 0, 100, -100, -100, 100, dead_zone=0.2)

    assert (axis.share(20), axis.share(-20)) == (0.0, 0.0)
    assert axis.share(60) == pytest.approx(0.5)
    assert axis.share(-60) == pytest.approx(-0.5)
    assert axis.share(100) == 1.0


def test_dead_zone__is_less_than_a_third() -> None:
    assert DEAD_ZONE_MAX == 0.3


def test_curve__is_finer_about_the_middle_and_ends_at_the_end() -> None:
    axis = Axis(0, 0, 100, -100, -100, 100, expo=0.5)

    assert axis.share(50) == pytest.approx(0.5 * 0.5 + 0.5 * 0.125)
    assert axis.share(100) == 1.0


@pytest.mark.parametrize(
    ("axis", "words"),
    [
        (Axis(0, 500, 500, None, 0, 1000), "zero and full are the same code"),
        (Axis(0, 500, 100, 400, 0, 1000), BETWEEN),
        (Axis(0, 500, 100, 500, 0, 1000), BETWEEN),
        (Axis(0, 500, 900, 500, 0, 1000), BETWEEN),
        (Axis(0, 500, 900, 600, 0, 1000), BETWEEN),
        (Axis(0, 500, 1001, None, 0, 1000), OUTSIDE),
        (Axis(0, 500, -1, None, 0, 1000), OUTSIDE),
        (Axis(0, 1001, 5, None, 0, 1000), OUTSIDE),
        (Axis(0, 500, 5, 1001, 0, 1000), OUTSIDE),
        (Axis(0, 500, -5, 1000, 0, 1000), OUTSIDE),
    ],
)
def test_calibration_that_cannot_be__is_named(axis: Axis, words: str) -> None:
    assert axis.fault() == words


@pytest.mark.parametrize("axis", [WHEEL, PEDAL, Axis(0, 0, 1000, None, 0, 1000)])
def test_calibration_that_can_be__has_no_fault(axis: Axis) -> None:
    assert axis.fault() is None
