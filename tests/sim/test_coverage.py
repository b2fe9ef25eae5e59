"""Passes of a drum over a mat."""

from __future__ import annotations

import math

import pytest

from sim.world.coverage import CELL_M, Coverage
from sim.world.things import Patch

MAT = Patch("asphalt_hot", 50.0, 10.0, 0.0, 20.0, 4.0, 0.5, 0.0)


def rolled(*lanes: tuple[float, float, float]) -> Coverage:
    """Lanes of (from x, to x, y), one after the other, in steps of 3 cm."""
    coverage = Coverage(MAT, 1.0)
    for from_m, to_m, y_m in lanes:
        count = round(abs(to_m - from_m) / 0.03)
        for step in range(count + 1):
            heading_rad = 0.0 if to_m > from_m else math.pi
            coverage.roll(from_m + (to_m - from_m) * step / count, y_m, heading_rad)
    return coverage


def test_one_lane__half_the_mat_has_one_pass() -> None:
    coverage = rolled((35.0, 65.0, 9.0))
    assert coverage.share(1) == pytest.approx(0.5, abs=0.03)
    assert coverage.share(2) == 0.0


def test_there_and_back__has_two_passes() -> None:
    coverage = rolled((35.0, 65.0, 9.0), (65.0, 35.0, 9.0))
    assert coverage.share(2) == pytest.approx(0.5, abs=0.03)
    assert coverage.passes.max() == 2


def test_two_lanes_side_by_side__leave_no_gap() -> None:
    assert rolled((35.0, 65.0, 9.0), (65.0, 35.0, 11.0)).share(1) == pytest.approx(1.0, abs=0.02)


def test_drum_that_rocks_on_the_spot__makes_no_more_passes() -> None:
    rocking = [(50.0, 50.3, 10.0), (50.3, 50.0, 10.0)]
    assert rolled(*rocking * 5).passes.max() == 1


def test_drum_beside_the_mat__makes_none() -> None:
    assert rolled((35.0, 65.0, 6.0)).share(1) == 0.0


def test_turned_mat__is_rolled_in_its_own_axes() -> None:
    turned = Patch("asphalt_hot", 0.0, 0.0, 0.5 * math.pi, 10.0, 2.0, 0.5, 0.0)
    coverage = Coverage(turned, 1.0)
    for step in range(300):
        coverage.roll(0.0, -6.0 + 0.04 * step, 0.5 * math.pi)
    assert coverage.share(1) == pytest.approx(1.0, abs=CELL_M)
