"""What a raw axis code asks: calibrated ends, dead zone, curve; nothing outside what is known."""

from __future__ import annotations

from dataclasses import dataclass

DEAD_ZONE_MAX = 0.3


@dataclass(frozen=True, slots=True)
class Axis:
    """One calibrated axis.

    Attributes:
        code: of the kernel. zero: raw code at rest or in the middle.
        full: raw code at +1 (left, pressed, forwards). other: at −1; None for a pedal.
        valid_low, valid_high: raw codes that the sensor can give. Not those that were seen when
            learning: who brakes in fright presses harder than that.
        dead_zone: share of the way that counts as rest, 0…0.3.
        expo: 0 is a straight line, 1 a cube: finer about the middle.
    """

    code: int
    zero: int
    full: int
    other: int | None
    valid_low: int
    valid_high: int
    dead_zone: float = 0.0
    expo: float = 0.0

    def fault(self) -> str | None:
        """Return what is wrong with this calibration, None when it can be used."""
        ends = (self.zero, self.full, self.full if self.other is None else self.other)
        if not all(self.valid_low <= end <= self.valid_high for end in ends):
            return "an end lies outside of the valid codes"
        if self.zero == self.full:
            return "zero and full are the same code"
        if self.other is not None and not _between(self.full, self.zero, self.other):
            return "zero does not lie between full and other"
        return None

    def share(self, raw: int) -> float | None:
        """Return −1…1 (a pedal 0…1) for a raw code; None for one that the sensor cannot give.

        Beyond a calibrated end it stays at that end: there a wheel has its lock.
        """
        if not self.valid_low <= raw <= self.valid_high:
            return None
        way = raw - self.zero
        toward = way / (self.full - self.zero)
        away = 0.0 if self.other is None else way / (self.other - self.zero)
        return self._curved(toward) - self._curved(away)

    def _curved(self, size: float) -> float:
        beyond = max(0.0, (min(1.0, size) - self.dead_zone) / (1.0 - self.dead_zone))
        return (1.0 - self.expo) * beyond + self.expo * beyond**3


def _between(one: int, middle: int, other: int) -> bool:
    return min(one, other) < middle < max(one, other)
