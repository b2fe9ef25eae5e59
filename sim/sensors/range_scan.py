"""A planar range scanner in a world of straight runs and discs: exact, then noise, seeded and pure.

Each run of a wall or an obstacle meets the beams between its two ends only, each disc those within
its edges, so that a scan costs what lies in its range and not beams times things. The nearest
meeting of each beam counts.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from random import Random

Run = tuple[float, float, float, float]
"""x, y of both ends, metres."""
Disc = tuple[float, float, float]
"""x, y of the middle, and radius, metres."""
_ON_THE_EDGE = 1e-9
"""A beam through the common end of two runs must not pass between them."""


@dataclass(frozen=True, slots=True)
class Scanner:
    """A scanner as its data sheet has it.

    Attributes:
        beams: odd, evenly from −fan/2 (right) to +fan/2 (left). fan_rad: at most 2π.
        range_m: farthest that is measured. noise_m: standard deviation of a range.
        hole_share: share of beams that say nothing.
    """

    beams: int = 181
    fan_rad: float = math.pi
    range_m: float = 40.0
    noise_m: float = 0.02
    hole_share: float = 0.002

    @property
    def step_rad(self) -> float:
        """Between two beams."""
        return self.fan_rad / (self.beams - 1)

    @property
    def first_rad(self) -> float:
        """The rightmost beam."""
        return -0.5 * self.fan_rad


def cast(
    runs: Iterable[Run],
    scanner: Scanner,
    x_m: float,
    y_m: float,
    heading_rad: float,
    discs: Iterable[Disc] = (),
) -> list[float]:
    """Return the exact range of each beam from (x, y); infinite where nothing is met in range."""
    ranges_m = [math.inf] * scanner.beams
    cosine, sine = math.cos(heading_rad), math.sin(heading_rad)
    first_rad, step_rad = scanner.first_rad, scanner.step_rad
    reach_m = scanner.range_m
    for x0_m, y0_m, x1_m, y1_m in runs:
        ax_m, ay_m = _turned(x0_m - x_m, y0_m - y_m, cosine, sine)
        bx_m, by_m = _turned(x1_m - x_m, y1_m - y_m, cosine, sine)
        cross_m2 = ax_m * by_m - ay_m * bx_m
        if cross_m2 == 0.0:  # seen end on
            continue
        if cross_m2 < 0.0:  # from right to left
            ax_m, ay_m, bx_m, by_m, cross_m2 = bx_m, by_m, ax_m, ay_m, -cross_m2
        dx_m, dy_m = bx_m - ax_m, by_m - ay_m
        for beam in _beams(scanner, math.atan2(ay_m, ax_m), math.atan2(by_m, bx_m)):
            angle_rad = first_rad + beam * step_rad
            along = math.cos(angle_rad) * dy_m - math.sin(angle_rad) * dx_m
            range_m = cross_m2 / along if along > 0.0 else math.inf
            if range_m < ranges_m[beam] and range_m <= reach_m:
                ranges_m[beam] = range_m
    for disc_x_m, disc_y_m, radius_m in discs:
        ahead_m, aside_m = _turned(disc_x_m - x_m, disc_y_m - y_m, cosine, sine)
        away_m = math.hypot(ahead_m, aside_m)
        if away_m <= radius_m:
            return [0.0] * scanner.beams
        middle_rad, half_rad = math.atan2(aside_m, ahead_m), math.asin(radius_m / away_m)
        from_rad = math.remainder(middle_rad - half_rad, math.tau)
        to_rad = math.remainder(middle_rad + half_rad, math.tau)
        for beam in _beams(scanner, from_rad, to_rad):
            off_rad = first_rad + beam * step_rad - middle_rad
            miss_m = away_m * math.sin(off_rad)
            into_m2 = max(radius_m * radius_m - miss_m * miss_m, 0.0)
            range_m = away_m * math.cos(off_rad) - math.sqrt(into_m2)
            if range_m < ranges_m[beam] and range_m <= reach_m:
                ranges_m[beam] = range_m
    return ranges_m


def _beams(scanner: Scanner, from_rad: float, to_rad: float) -> Iterable[int]:
    """Numbers of the beams from one direction to another one left of it, both within ±π."""
    first_rad, step_rad, last = scanner.first_rad, scanner.step_rad, scanner.beams - 1
    spans = [(from_rad, to_rad)]
    if to_rad < from_rad:  # behind the scanner, over ±π
        spans = [(from_rad, math.pi), (-math.pi, to_rad)]
    for low_rad, high_rad in spans:
        low = max(math.ceil((low_rad - first_rad) / step_rad - _ON_THE_EDGE), 0)
        high = min(math.floor((high_rad - first_rad) / step_rad + _ON_THE_EDGE), last)
        yield from range(low, high + 1)


def _turned(dx_m: float, dy_m: float, cosine: float, sine: float) -> tuple[float, float]:
    return dx_m * cosine + dy_m * sine, dy_m * cosine - dx_m * sine


class Measured:
    """Adds what a real scanner adds: noise, and beams that say nothing (NaN)."""

    def __init__(self, scanner: Scanner, seed: int) -> None:
        self._scanner = scanner
        self._noise = Random(f"{seed}/range noise")  # noqa: S311 - repeatable, not secret
        self._holes = Random(f"{seed}/range holes")  # noqa: S311 - repeatable, not secret

    def __call__(self, exact_m: Sequence[float]) -> list[float]:
        """``exact_m`` as measured; a range is never below 0 nor beyond the scanner's."""
        return [self._beam(range_m) for range_m in exact_m]

    def _beam(self, exact_m: float) -> float:
        off_m = self._noise.gauss(0.0, self._scanner.noise_m)
        if self._holes.random() < self._scanner.hole_share:
            return math.nan
        return (
            min(max(exact_m + off_m, 0.0), self._scanner.range_m) if exact_m < math.inf else exact_m
        )
