"""What a bench drives beside its CAN bus: pins, a supply, a serial line; and what they refuse.

Each has a real driver and a fake in hil/drivers, and one contract over both (tests/hil). What a
port cannot do it refuses; it never does something like it.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol


class PortRefused(ValueError):
    """Raised when a port is asked for what it has not or cannot do."""


class PortLost(OSError):
    """Raised when a port does not answer, or answers what it was not asked."""


class Level(StrEnum):
    """A contact, as the bench drives it."""

    OPEN = "OPEN"
    CLOSED = "CLOSED"
    ERROR = "ERROR"
    """A contact whose diagnosis says that it is neither; emulated only."""


OPEN_AT_START = frozenset({"override", "bridge"})
"""Contacts that do something when they close: a driver at the pedals, a bridged relay."""


def at_start(line: str) -> Level:
    """Return how a contact stands before any fault: the chain closed, nothing bridged."""
    return Level.OPEN if line in OPEN_AT_START else Level.CLOSED


class Pins(Protocol):
    """Contacts by name, each as at the start. A port that is closed leaves every contact open."""

    @property
    def lines(self) -> frozenset[str]:
        """Return the names of the contacts that are wired."""
        ...

    def set(self, line: str, level: Level) -> None:
        """Drive a contact. Raises PortRefused, PortLost."""
        ...

    def driven(self, line: str) -> Level:
        """Return what a contact was last driven to. Raises PortRefused."""
        ...

    def close(self) -> None:
        """Open every contact, and leave the port."""
        ...


@dataclass(frozen=True, slots=True)
class SupplyLimits:
    """What a bench may ask of its supply: nominal, highest and lowest voltage, and current."""

    nominal_v: float
    low_v: float
    high_v: float
    current_a: float

    def check(self, volts: float) -> None:
        """Refuse a voltage that this bench must not give.

        Raises:
            PortRefused: with the limits.
        """
        # NaN fails the comparison.
        if not self.low_v <= volts <= self.high_v:
            raise PortRefused(f"{volts:g} V: this bench gives {self.low_v:g} to {self.high_v:g} V")


class Supply(Protocol):
    """The machine's supply. A port that is closed leaves its output off."""

    def give(self, volts: float) -> None:
        """Put a voltage on the output. Raises PortRefused, PortLost."""
        ...

    def restore(self) -> None:
        """Go back to the nominal voltage. Raises PortLost."""
        ...

    def measured_v(self) -> float:
        """Return what stands at the output. Raises PortLost."""
        ...

    def close(self) -> None:
        """Switch the output off, and leave the port."""
        ...


class SerialLine(Protocol):
    """Bytes both ways; reading never waits."""

    def write(self, data: bytes) -> None:
        """Send bytes. Raises PortLost."""
        ...

    def waiting(self) -> bytes:
        """Return what has come. Raises PortLost."""
        ...

    def close(self) -> None:
        """Leave the line."""
        ...
