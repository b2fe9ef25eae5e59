"""Contacts: emulated ones, a serial relay board, and both at once.

The board is of the LCUS kind: 9600 Bd, four bytes a command (0xA0, relay from 1, 0 or 1, their
sum), and it tells nothing back. A contact is wired so that an energised relay closes it: without
power, without a cable and after the bench's end it is open.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack

from hil.ports import Level, Pins, PortRefused, SerialLine, at_start

_START = 0xA0


class EmulatedPins:
    """Contacts that only exist here.

    Args:
        drive: called with each change. lines: their names.
    """

    def __init__(self, drive: Callable[[str, Level], None], lines: frozenset[str]) -> None:
        self._drive = drive
        self._levels = {line: at_start(line) for line in sorted(lines)}

    @property
    def lines(self) -> frozenset[str]:
        """Return the names of the contacts."""
        return frozenset(self._levels)

    def set(self, line: str, level: Level) -> None:
        """Drive a contact."""
        check_line(self, line)
        self._levels[line] = level
        self._drive(line, level)

    def driven(self, line: str) -> Level:
        """Return what a contact was last driven to."""
        check_line(self, line)
        return self._levels[line]

    def close(self) -> None:
        """Open every contact."""
        for line in sorted(self._levels):
            self.set(line, Level.OPEN)


class RelayBoardPins:
    """Contacts on the relays of a serial board.

    Args:
        line: to the board. relays: number of the relay, from 1, by contact.
    """

    def __init__(self, line: SerialLine, relays: Mapping[str, int]) -> None:
        self._line, self._relays = line, dict(relays)
        self._levels: dict[str, Level] = {}
        for name in sorted(self._relays):
            self.set(name, at_start(name))

    @property
    def lines(self) -> frozenset[str]:
        """Return the names of the contacts that are wired."""
        return frozenset(self._relays)

    def set(self, line: str, level: Level) -> None:
        """Switch a relay."""
        check_line(self, line)
        if level is Level.ERROR:
            raise PortRefused(f"{line}: a relay is open or closed, and has no error")
        number, on = self._relays[line], int(level is Level.CLOSED)
        self._line.write(bytes((_START, number, on, (_START + number + on) & 0xFF)))
        self._levels[line] = level

    def driven(self, line: str) -> Level:
        """Return what a contact was last driven to: the board tells nothing back."""
        check_line(self, line)
        return self._levels[line]

    def close(self) -> None:
        """Open every contact, and leave the board."""
        with ExitStack() as every:  # one that cannot be switched keeps no other one closed
            every.callback(self._line.close)
            for name in sorted(self._relays, reverse=True):
                every.callback(self.set, name, Level.OPEN)


class MirroredPins:
    """A real port that the emulated contacts follow, so that an emulated ECU sees the same.

    Args:
        real: decides what there is. emulated: follows.
    """

    def __init__(self, real: Pins, emulated: Pins) -> None:
        self._real, self._emulated = real, emulated

    @property
    def lines(self) -> frozenset[str]:
        """Return the names of the contacts that are wired."""
        return self._real.lines

    def set(self, line: str, level: Level) -> None:
        """Drive the real contact, then the emulated one."""
        self._real.set(line, level)
        self._emulated.set(line, level)

    def driven(self, line: str) -> Level:
        """Return what a contact was last driven to."""
        return self._real.driven(line)

    def close(self) -> None:
        """Open every contact of both."""
        with ExitStack() as both:
            both.callback(self._emulated.close)
            both.callback(self._real.close)


def check_line(pins: Pins, line: str) -> None:
    """Refuse a contact that is not wired.

    Raises:
        PortRefused: with those that are.
    """
    if line not in pins.lines:
        wired = ", ".join(sorted(pins.lines)) or "none"
        raise PortRefused(f"{line}: no such contact on this bench (wired: {wired})")
