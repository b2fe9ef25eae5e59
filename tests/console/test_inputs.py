"""A snapshot counts when it is whole, in range, newer and young."""

from __future__ import annotations

import math
from typing import Any

import pytest

from operator_console.core.inputs import (
    DriverInput,
    InputRefusal,
    InputRefused,
    InputSlot,
    read_input,
)
from tests.console.fakes import MS, input_message

FIELDS = sorted(set(input_message(1)) - {"t"})
AXES = ("steer", "throttle", "brake", "implement")


def test_whole_message__is_read_as_sent() -> None:
    message = input_message(7, steer=-0.5, throttle=0.25, enable=True, gear=1, horn=True)

    assert read_input(message) == DriverInput(
        7, steer=-0.5, throttle=0.25, enable=True, gear=1, horn=True
    )


@pytest.mark.parametrize("name", FIELDS)
def test_field_missing__is_refused_as_malformed(name: str) -> None:
    message = input_message(1)
    del message[name]

    with pytest.raises(InputRefused) as refused:
        read_input(message)

    assert refused.value.reason is InputRefusal.MALFORMED


@pytest.mark.parametrize("name", FIELDS)
@pytest.mark.parametrize("value", [None, "1", [], {}])
def test_field_of_wrong_type__is_refused_as_malformed(name: str, value: Any) -> None:
    with pytest.raises(InputRefused) as refused:
        read_input(input_message(1, **{name: value}))

    assert refused.value.reason is InputRefusal.MALFORMED


@pytest.mark.parametrize("name", AXES)
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 1.001, -1.001])
def test_axis_not_finite_or_outside__is_refused_never_clamped(name: str, value: float) -> None:
    with pytest.raises(InputRefused) as refused:
        read_input(input_message(1, **{name: value}))

    assert refused.value.reason is InputRefusal.OUT_OF_RANGE


@pytest.mark.parametrize("name", ["throttle", "brake"])
def test_pedal_below_zero__is_refused(name: str) -> None:
    with pytest.raises(InputRefused):
        read_input(input_message(1, **{name: -0.01}))


@pytest.mark.parametrize("gear", [-2, 2])
def test_gear_outside__is_refused(gear: int) -> None:
    with pytest.raises(InputRefused):
        read_input(input_message(1, gear=gear))


@pytest.mark.parametrize("name", ["steer", "gear", "seq"])
def test_truth_value_where_a_number_belongs__is_refused(name: str) -> None:
    with pytest.raises(InputRefused):
        read_input(input_message(1, **{name: True}))


def test_snapshot_60_ms_old__is_still_in_force() -> None:
    slot = InputSlot()
    slot.offer(input_message(1, throttle=0.5), 0)

    assert slot.current(60 * MS) is not None


def test_snapshot_older_than_60_ms__is_no_input() -> None:
    slot = InputSlot()
    slot.offer(input_message(1, throttle=0.5), 0)

    assert slot.current(60 * MS + 1) is None


def test_sequence_repeated__is_refused_and_does_not_refresh() -> None:
    slot = InputSlot()
    slot.offer(input_message(5), 0)

    assert not slot.offer(input_message(5), 50 * MS)
    assert slot.current(61 * MS) is None
    assert slot.refused[InputRefusal.BACKWARDS] == 1


def test_nonsense_after_a_good_snapshot__takes_the_good_one_out_of_force() -> None:
    slot = InputSlot()
    slot.offer(input_message(1, throttle=0.5), 0)

    slot.offer(input_message(2, throttle=math.nan), 1 * MS)

    assert slot.current(2 * MS) is None


def test_sequence_wraps__is_newer() -> None:
    slot = InputSlot()
    slot.offer(input_message(0xFFFF_FFFF), 0)

    assert slot.offer(input_message(0), 1 * MS)


def test_cleared__another_page_may_begin_at_one() -> None:
    slot = InputSlot()
    slot.offer(input_message(900), 0)
    slot.clear()

    assert slot.offer(input_message(1), 1 * MS)


@pytest.mark.parametrize(
    "ask", [{"gear": 1}, {"throttle": 0.1}, {"steer": -0.1}, {"implement": 1.0}]
)
def test_any_control_off_rest__is_not_neutral(ask: dict[str, Any]) -> None:
    assert not read_input(input_message(1, **ask)).neutral


def test_brake_pressed_alone__is_neutral() -> None:
    assert read_input(input_message(1, brake=1.0)).neutral
