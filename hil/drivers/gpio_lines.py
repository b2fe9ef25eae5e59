"""Contacts on lines of a GPIO chip: the kernel's character device, by libgpiod's own package.

A line is wired (or its relay) so that the active line closes the contact. Every line is read back
after it was driven: one that does not follow, shorted or held by another, is told and not believed.
Needs the extra ``gpio``.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from typing import Any

from hil.drivers.pins import check_line
from hil.ports import Level, PortLost, PortRefused, at_start

CONSUMER = "headframe hil"
"""As ``gpioinfo`` shows who has a line."""


class GpioLinePins:
    """Contacts on the lines of one chip.

    Args:
        chip: its device, such as /dev/gpiochip0. lines: number of the line, from 0, by contact.
        active_low: the line is active at low voltage, as many relay modules want it.

    Raises:
        PortLost: the package is missing, or the chip does not give all these lines.
    """

    def __init__(self, chip: str, lines: Mapping[str, int], *, active_low: bool = False) -> None:
        self._chip, self._numbers = chip, dict(lines)
        try:
            self._gpiod: Any = importlib.import_module("gpiod")
        except ImportError as error:
            raise PortLost(f"{chip}: needs pip install 'headframe[gpio]' ({error})") from error
        value = self._gpiod.line.Value
        self._values = {Level.OPEN: value.INACTIVE, Level.CLOSED: value.ACTIVE}
        self._levels = {name: at_start(name) for name in self._numbers}
        settings = {
            number: self._gpiod.LineSettings(
                direction=self._gpiod.line.Direction.OUTPUT,
                active_low=active_low,
                output_value=self._values[self._levels[name]],
            )
            for name, number in self._numbers.items()
        }
        try:
            self._request: Any = self._gpiod.request_lines(chip, settings, CONSUMER)
        except (OSError, ValueError) as error:
            raise PortLost(f"{chip}: {error}") from error

    @property
    def lines(self) -> frozenset[str]:
        """Return the names of the contacts that are wired."""
        return frozenset(self._numbers)

    def set(self, line: str, level: Level) -> None:
        """Drive a line, and see that it follows."""
        check_line(self, line)
        if level is Level.ERROR:
            raise PortRefused(f"{line}: a line is active or not, and has no error")
        number, value = self._numbers[line], self._values[level]
        try:
            self._request.set_value(number, value)
            follows = self._request.get_value(number) == value
        except (OSError, self._gpiod.RequestReleasedError) as error:
            raise PortLost(f"{self._chip} line {number} ({line}): {error}") from error
        if not follows:
            raise PortLost(f"{self._chip} line {number} ({line}): does not follow to {level}")
        self._levels[line] = level

    def driven(self, line: str) -> Level:
        """Return what a contact was last driven to."""
        check_line(self, line)
        return self._levels[line]

    def close(self) -> None:
        """Open every contact, and give the lines back; their chip keeps what was driven."""
        with ExitStack() as every:  # one that does not follow keeps no other one closed
            every.callback(self.give_back)
            for name in sorted(self._numbers, reverse=True):
                every.callback(self.set, name, Level.OPEN)

    def give_back(self) -> None:
        """Give the lines back as they are; again is nothing more."""
        with suppress(self._gpiod.RequestReleasedError):
            self._request.release()
