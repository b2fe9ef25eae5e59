"""What a scripted drive came to: distance, contacts, commands, pictures, stops; pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from sim.ranks import nearest_rank

DRIVING = frozenset({"ACTIVE", "DEGRADED"})
STOPPED = frozenset({"STOPPING", "STOPPED", "ESTOP", "FAULT"})
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
class DriveLog:
    """Collects from the moment the machine is first ACTIVE until the drive is over.

    Attributes:
        running: figures count now.
    """

    running: bool = False
    _distance_m: Count = field(default_factory=Count)
    _contacts: Count = field(default_factory=Count)
    _accepted: Count = field(default_factory=Count)
    _pictures: int = 0
    _picture_ages_ms: list[float] = field(default_factory=list)
    _command_age_ms: Mapping[str, float | None] = field(default_factory=dict)
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

    def telemetry(self, accepted: int, uplink_ms: Mapping[str, float | None]) -> None:
        """Take in the guardian's count of accepted commands and bounds of their age.

        What was accepted before the drive began is the baseline, not a figure of the drive.
        """
        if self.running:
            self._accepted.take(accepted)
            self._command_age_ms = uplink_ms
        elif self._accepted.newest is None:
            self._accepted.first = accepted

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
            "distance_m": round(self._distance_m.gained, 2),
            "contacts": int(self._contacts.gained),
            "commands_accepted": int(self._accepted.gained),
            "pictures_decoded": self._pictures,
            "stops": len(self._causes),
            "unexplained_stops": sum(cause is None for cause in self._causes),
            "stop_causes": list(self._causes),
            "picture_age_ms": percentiles(self._picture_ages_ms),
            "command_age_ms": {name: self._command_age_ms.get(name) for name in PERCENTILES},
        }
