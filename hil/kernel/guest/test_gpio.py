"""Contacts on a GPIO chip: libgpiod, the kernel's character device and a USB chip's own driver."""

from __future__ import annotations

import select
from collections.abc import Iterator

import pytest

from hil.drivers.gpio_lines import GpioLinePins
from hil.kernel.gpio_chip import VirtualChip
from hil.kernel.lab import load
from hil.ports import Level, PortLost
from tests.hil.test_ports import TestPins, Wired

__all__ = ["TestPins"]
LINES = {"estop_a": 1, "estop_b": 2, "override": 3}
LOOKS, LOOK_S = 300, 0.2


@pytest.fixture(scope="module")
def plugged() -> Iterator[tuple[VirtualChip, str]]:
    for module in ("uhid", "hid-cp2112"):
        load(module)
    with VirtualChip() as chip:
        for _ in range(LOOKS):
            if chip.path() is not None:
                break
            select.select([], [], [], LOOK_S)
        path = chip.path()
        assert path is not None, "the kernel's driver did not take the chip"
        yield chip, str(path)


@pytest.fixture
def pins(plugged: tuple[VirtualChip, str]) -> Iterator[GpioLinePins]:
    chip, path = plugged
    made = GpioLinePins(path, LINES)
    yield made
    chip.shorted.clear()
    made.give_back()


@pytest.fixture
def wired(plugged: tuple[VirtualChip, str], pins: GpioLinePins) -> Wired:
    chip, _ = plugged
    return Wired(pins, lambda line: "CLOSED" if chip.high[LINES[line]] else "OPEN")


def test_lines__are_the_chips_outputs_and_no_others(
    plugged: tuple[VirtualChip, str], pins: GpioLinePins
) -> None:
    chip, _ = plugged
    assert pins.lines == set(LINES)
    assert chip.outputs[:5] == [False, True, True, True, False]
    assert chip.high[:5] == [False, True, True, False, False]


def test_active_low__pin_is_low_where_the_contact_is_closed(
    plugged: tuple[VirtualChip, str],
) -> None:
    chip, path = plugged
    low = GpioLinePins(path, {"estop_a": 0}, active_low=True)
    seen = [chip.high[0]]
    low.set("estop_a", Level.OPEN)
    seen.append(chip.high[0])
    low.close()
    assert seen == [False, True]


def test_lines_of_another__are_lost_by_chip(
    plugged: tuple[VirtualChip, str], pins: GpioLinePins
) -> None:
    assert pins.lines == set(LINES)
    with pytest.raises(PortLost, match=rf"{plugged[1]}: .*busy"):
        GpioLinePins(plugged[1], {"estop_a": 1})


def test_line_that_the_chip_has_not__is_lost_by_chip(plugged: tuple[VirtualChip, str]) -> None:
    with pytest.raises(PortLost, match=plugged[1]):
        GpioLinePins(plugged[1], {"estop_a": 8})


def test_pin_shorted__is_lost_and_not_believed(
    plugged: tuple[VirtualChip, str], pins: GpioLinePins
) -> None:
    plugged[0].shorted[1] = True
    with pytest.raises(PortLost, match=r"line 1 \(estop_a\): does not follow to OPEN"):
        pins.set("estop_a", Level.OPEN)


def test_chip_pulled_out__is_lost_by_line(
    plugged: tuple[VirtualChip, str], pins: GpioLinePins
) -> None:
    plugged[0].close()
    with pytest.raises(PortLost, match=r"line 1 \(estop_a\)"):
        pins.set("estop_a", Level.OPEN)
