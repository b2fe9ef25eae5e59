"""Piecewise-linear functions of station and their exact integrals: how an alignment is built.

Curvature, grade, width and friction of a drift are all piecewise linear in station, as in
railway and road design: a clothoid is a linear run of curvature, a vertical curve a linear
run of grade.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

from protocol.sums import in_turn


@dataclass(frozen=True, slots=True)
class PiecewiseLinear:
    """A continuous function of station, linear between knots.

    Attributes:
        stations_m: knot positions, strictly rising, the first 0.
        values: value at each knot.
        integrals: integral from 0 to each knot.
    """

    stations_m: tuple[float, ...]
    values: tuple[float, ...]
    integrals: tuple[float, ...]

    @classmethod
    def through(cls, knots: Sequence[tuple[float, float]]) -> PiecewiseLinear:
        """The function through ``(station, value)`` knots; coincident equal knots merge."""
        stations = [knots[0][0]]
        values = [knots[0][1]]
        integrals = [0.0]
        for station_m, value in knots[1:]:
            run_m = station_m - stations[-1]
            if run_m < 1e-9:
                continue
            integrals.append(integrals[-1] + 0.5 * run_m * (values[-1] + value))
            stations.append(station_m)
            values.append(value)
        return cls(tuple(stations), tuple(values), tuple(integrals))

    def _run(self, station_m: float) -> tuple[int, float, float]:
        """Knot before ``station_m``, distance past it and slope there."""
        index = min(max(bisect_right(self.stations_m, station_m) - 1, 0), len(self.values) - 2)
        run_m = self.stations_m[index + 1] - self.stations_m[index]
        slope = (self.values[index + 1] - self.values[index]) / run_m
        return index, station_m - self.stations_m[index], slope

    def at(self, station_m: float) -> float:
        """Value at ``station_m``."""
        index, past_m, slope = self._run(station_m)
        return self.values[index] + slope * past_m

    def integral(self, station_m: float) -> float:
        """Integral from 0 to ``station_m``."""
        index, past_m, slope = self._run(station_m)
        return self.integrals[index] + past_m * (self.values[index] + 0.5 * slope * past_m)


def eased_steps(
    lengths_m: Sequence[float], values: Sequence[float], ease_m: float, *, closed: bool
) -> PiecewiseLinear:
    """Steps of constant value, joined by linear runs of ``ease_m`` centred on each boundary.

    Centring keeps the integral of each boundary, so that grades which sum to nothing still
    do. A closed line is eased over its seam too.
    """
    total_m = in_turn(lengths_m)
    half_m = ease_m / 2.0
    seam = 0.5 * (values[0] + values[-1])
    knots = [(0.0, seam), (half_m, values[0])] if closed else [(0.0, values[0])]
    boundary_m = 0.0
    for length_m, before, after in zip(lengths_m[:-1], values[:-1], values[1:], strict=True):
        boundary_m += length_m
        knots += [(boundary_m - half_m, before), (boundary_m + half_m, after)]
    knots += [(total_m - half_m, values[-1]), (total_m, seam)] if closed else []
    return PiecewiseLinear.through(knots if closed else [*knots, (total_m, values[-1])])
