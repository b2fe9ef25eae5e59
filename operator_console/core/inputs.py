"""What the driver asks with hands and feet: one checked snapshot, worth nothing when old."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from enum import StrEnum
from typing import NamedTuple

INPUT_MAX_AGE_NS = 60_000_000
"""A snapshot older than this is no input (cockpit rule 10)."""

INPUT_GAP_NS = 40_000_000
"""Snapshots further apart than this are counted: the page or its computer had a hiccup."""

REST = 0.02
"""Axes below this are at rest; pedals and sticks never return to exactly zero."""

SEQUENCE_GAP_MAX = 1 << 31
"""Sequence numbers ahead by more than this count as going backwards."""


class InputRefusal(StrEnum):
    """Why a snapshot did not count."""

    MALFORMED = "malformed"
    OUT_OF_RANGE = "out_of_range"
    BACKWARDS = "backwards"


class InputRefused(ValueError):
    """Raised when a snapshot does not count; carries its reason."""

    def __init__(self, reason: InputRefusal, text: str) -> None:
        super().__init__(text)
        self.reason = reason


class DriverInput(NamedTuple):
    """One snapshot of every control, taken at one moment.

    Attributes:
        sequence: of the input device or page, +1 for each snapshot.
        steer: −1…1 of full lock, + left (ISO 8855).
        throttle, brake: 0…1.
        enable: the dead-man is held.
        gear: −1 reverse, 0 neutral, 1 drive.
        park: the park brake is asked for.
        horn, lights: asked on.
        implement: −1…1, hold to run.
        steer_rest: where the steering is at rest: 0 for a keyboard; for a wheel, where the
            machine's own steering is, None when that is unknown. steer_slack: how near that is.
        unproven: controls that have not been seen to follow the hand yet.
    """

    sequence: int
    steer: float = 0.0
    throttle: float = 0.0
    brake: float = 0.0
    enable: bool = False
    gear: int = 0
    park: bool = False
    horn: bool = False
    lights: bool = False
    implement: float = 0.0
    steer_rest: float | None = 0.0
    steer_slack: float = REST
    unproven: tuple[str, ...] = ()

    @property
    def neutral(self) -> bool:
        """Nothing asks for motion: gear, traction, steering and implement are at rest."""
        return not self.not_neutral

    @property
    def steer_off(self) -> float | None:
        """How far the steering is from its rest, + to the left of it; None when unknown."""
        return None if self.steer_rest is None else self.steer - self.steer_rest

    @property
    def not_neutral(self) -> tuple[str, ...]:
        """Names of the controls that ask for motion."""
        asks = (
            ("gear", self.gear != 0),
            ("throttle", abs(self.throttle) >= REST),
            ("steering", self.steer_off is None or abs(self.steer_off) >= self.steer_slack),
            ("dump", abs(self.implement) >= REST),
            ("unproven", bool(self.unproven)),
        )
        return tuple(name for name, asked in asks if asked)


def _number(data: Mapping[str, object], name: str, low: float, high: float) -> float:
    value = data.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InputRefused(InputRefusal.MALFORMED, f"input {name}: no number")
    if not low <= value <= high:  # NaN compares false, and an integer of any length is safe
        raise InputRefused(InputRefusal.OUT_OF_RANGE, f"input {name}: {value} not in {low}..{high}")
    return float(value)


def _integer(data: Mapping[str, object], name: str, low: int, high: int) -> int:
    value = data.get(name)
    if isinstance(value, bool) or not isinstance(value, int):
        raise InputRefused(InputRefusal.MALFORMED, f"input {name}: no whole number")
    if not low <= value <= high:
        raise InputRefused(InputRefusal.OUT_OF_RANGE, f"input {name}: {value} not in {low}..{high}")
    return value


def _truth(data: Mapping[str, object], name: str) -> bool:
    value = data.get(name)
    if not isinstance(value, bool):
        raise InputRefused(InputRefusal.MALFORMED, f"input {name}: no true or false")
    return value


def read_input(data: Mapping[str, object]) -> DriverInput:
    """Return the snapshot in a page's or input device's message.

    Every field must be there: a missing one is a refusal, never a default.

    Raises:
        InputRefused: a field is missing, of the wrong type, not finite or out of range.
    """
    return DriverInput(
        sequence=_integer(data, "seq", 0, (1 << 32) - 1),
        steer=_number(data, "steer", -1.0, 1.0),
        throttle=_number(data, "throttle", 0.0, 1.0),
        brake=_number(data, "brake", 0.0, 1.0),
        enable=_truth(data, "enable"),
        gear=_integer(data, "gear", -1, 1),
        park=_truth(data, "park"),
        horn=_truth(data, "horn"),
        lights=_truth(data, "lights"),
        implement=_number(data, "implement", -1.0, 1.0),
    )


class InputSlot:
    """Holds the newest snapshot of one driver and tells whether it still counts."""

    def __init__(self) -> None:
        self._newest: DriverInput | None = None
        self._received_ns = 0
        self.refused: Counter[InputRefusal] = Counter()
        self.gaps = 0
        self.longest_gap_ms = 0.0

    def offer(self, data: Mapping[str, object], now_ns: int) -> bool:
        """Take a page's message; return whether it counted.

        A refused snapshot also takes the one before it out of force: a device that sends
        nonsense is not a device that holds still.
        """
        try:
            new = read_input(data)
            if self._newest is not None:
                ahead = (new.sequence - self._newest.sequence) & 0xFFFF_FFFF
                if not 0 < ahead < SEQUENCE_GAP_MAX:
                    raise InputRefused(InputRefusal.BACKWARDS, f"input seq {new.sequence}")
        except InputRefused as refusal:
            self.refused[refusal.reason] += 1
            if refusal.reason is not InputRefusal.BACKWARDS:
                self.clear()
            return False
        if self._newest is not None:
            self._note_gap(now_ns - self._received_ns)
        self._newest, self._received_ns = new, now_ns
        return True

    def _note_gap(self, gap_ns: int) -> None:
        if gap_ns > INPUT_GAP_NS:
            self.gaps += 1
            self.longest_gap_ms = max(self.longest_gap_ms, gap_ns / 1e6)

    def clear(self) -> None:
        """Forget the driver: another page or device begins."""
        self._newest = None

    def age_ms(self, now_ns: int) -> float | None:
        """Age of the newest snapshot in ms, None when there is none."""
        return None if self._newest is None else (now_ns - self._received_ns) / 1e6

    def current(self, now_ns: int) -> DriverInput | None:
        """The snapshot in force, or None when there is none young enough."""
        if self._newest is None or not 0 <= now_ns - self._received_ns <= INPUT_MAX_AGE_NS:
            return None
        return self._newest
