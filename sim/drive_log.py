"""What a scripted drive came to: distance, contacts, commands, pictures, stops; pure."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field

from sim.ranks import nearest_rank

DRIVING = frozenset({"ACTIVE", "DEGRADED"})
STOPPED = frozenset({"STOPPING", "STOPPED", "ESTOP", "FAULT"})
ASKED_FOR = frozenset({"D105", "D106", "M105"})
"""Causes of stops that somebody asked for: driver, another post, emergency stop. In a drive
without faults every other stop is one too many, whatever it is called."""
COMMANDS_KEPT = 256
PERCENTILES = {"p50": 50, "p95": 95, "p99": 99, "max": 100}


def percentiles(samples: Sequence[float]) -> dict[str, float | None]:
    """Nearest-rank percentiles with one decimal; None without a sample."""
    ordered = sorted(samples)
    if not ordered:
        return dict.fromkeys(PERCENTILES)
    return {name: round(nearest_rank(ordered, percent), 1) for name, percent in PERCENTILES.items()}


@dataclass(slots=True)
class Count:
    """How far a counter has come since it was first seen; None before that."""

    first: float | None = None
    newest: float | None = None

    def take(self, value: float) -> None:
        """Take in the counter's value."""
        self.first = value if self.first is None else self.first
        self.newest = value

    @property
    def gained(self) -> float:
        """Newest less first; 0 before anything was seen."""
        return 0.0 if self.first is None or self.newest is None else self.newest - self.first


@dataclass(slots=True)
class CommandAges:
    """How old commands are when the machine accepts them; all stamps of one monotonic clock."""

    _left_us: OrderedDict[int, int] = field(default_factory=OrderedDict)

    def sent(self, sequence: int, source_us: int) -> None:
        """Take in a command frame: when it left its console."""
        self._left_us[sequence] = source_us
        if len(self._left_us) > COMMANDS_KEPT:
            self._left_us.popitem(last=False)

    def accepted(self, sequence: int | None, at_us: int) -> float | None:
        """Return the age in ms of the command last accepted; None when told before, or unseen."""
        left_us = None if sequence is None else self._left_us.pop(sequence, None)
        return None if left_us is None else (at_us - left_us) / 1000


@dataclass(slots=True)
class DriveLog:
    """Collects from the moment the machine is first ACTIVE until the drive is over.

    Attributes:
        running: figures count now.
        interrupted: someone ended the drive before its time.
    """

    running: bool = False
    interrupted: bool = False
    _distance_m: Count = field(default_factory=Count)
    _contacts: Count = field(default_factory=Count)
    _accepted: Count = field(default_factory=Count)
    _pictures: int = 0
    _picture_ages_ms: list[float] = field(default_factory=list)
    _command_ages_ms: list[float] = field(default_factory=list)
    _causes: list[str | None] = field(default_factory=list)
    _mode: str | None = None

    def truth(self, distance_m: float, contacts: int) -> None:
        """Take in the simulator's truth."""
        if self.running:
            self._distance_m.take(distance_m)
            self._contacts.take(contacts)

    def picture(self, capture_us: int, decoded_us: int) -> None:
        """Take in one decoded picture; both stamps are of this computer's monotonic clock."""
        if self.running:
            self._pictures += 1
            self._picture_ages_ms.append((decoded_us - capture_us) / 1000)

    def telemetry(self, accepted: int) -> None:
        """Take in the guardian's count of accepted commands.

        What was accepted before the drive began is the baseline, not a figure of the drive.
        """
        if self.running:
            self._accepted.take(accepted)
        elif self._accepted.newest is None:
            self._accepted.first = accepted

    def command_age(self, age_ms: float) -> None:
        """Take in how old a command was when the machine accepted it."""
        if self.running:
            self._command_ages_ms.append(age_ms)

    def state(self, mode: str, cause: str | None) -> None:
        """Take in the vehicle's mode and the cause that it names, if any."""
        if self.running and mode in STOPPED and self._mode in DRIVING:
            self._causes.append(cause)
        elif self.running and mode in STOPPED and self._causes:
            self._causes[-1] = self._causes[-1] or cause
        self._mode = mode

    def result(self) -> dict[str, object]:
        """The figures, under the keys of ``headframe demo --json``."""
        return {
            "interrupted": self.interrupted,
            "distance_m": round(self._distance_m.gained, 2),
            "contacts": int(self._contacts.gained),
            "commands_accepted": int(self._accepted.gained),
            "pictures_decoded": self._pictures,
            "stops": len(self._causes),
            "unexplained_stops": sum(cause not in ASKED_FOR for cause in self._causes),
            "stop_causes": list(self._causes),
            "picture_age_ms": percentiles(self._picture_ages_ms),
            "command_age_ms": percentiles(self._command_ages_ms),
        }
