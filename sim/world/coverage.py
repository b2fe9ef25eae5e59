"""How often a roller's drum has gone over each place of a mat: passes and their share.

The mat is a patch in cells. Between two poses the drum's axle sweeps a quadrilateral; a cell
whose middle lies in it has had a pass. A cell counts the next pass only after the drum has
gone on by ``APART_M``, so that a drum that rocks on the spot makes no passes.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from sim.world.things import Patch

CELL_M = 0.25
APART_M = 1.0
STEP_M = 0.05
"""The drum is looked at again when it has gone this far."""

_Pose = tuple[float, float, float]


class Coverage:
    """Passes of one drum over one patch.

    Args:
        patch: the mat.
        half_m: half the drum's width.

    Attributes:
        passes: of each cell, (along, across), from the patch's rear right corner.
    """

    def __init__(self, patch: Patch, half_m: float) -> None:
        self._patch, self._half_m = patch, half_m
        shape = (math.ceil(patch.length_m / CELL_M), math.ceil(patch.width_m / CELL_M))
        self.passes = np.zeros(shape, np.int32)
        self._last_m = np.full(shape, -math.inf)
        self._way_m = 0.0
        self._before: _Pose | None = None

    def roll(self, x_m: float, y_m: float, heading_rad: float) -> None:
        """The drum's middle is here now; it has rolled straight from where it was."""
        along_m, across_m = self._patch.place(x_m, y_m)
        here = (along_m, across_m, heading_rad - self._patch.heading_rad)
        if self._before is None:
            self._before = here
            return
        gone_m = math.hypot(here[0] - self._before[0], here[1] - self._before[1])
        if gone_m < STEP_M:
            return
        self._way_m += gone_m
        self._sweep(self._before, here)
        self._before = here

    def share(self, least: int) -> float:
        """Share of the mat that has had at least so many passes."""
        return float((self.passes >= least).mean())

    def _ends(self, pose: _Pose) -> tuple[tuple[float, float], tuple[float, float]]:
        along_m, across_m, aside_rad = pose
        da, dc = -math.sin(aside_rad) * self._half_m, math.cos(aside_rad) * self._half_m
        return (along_m + da, across_m + dc), (along_m - da, across_m - dc)

    def _sweep(self, before: _Pose, here: _Pose) -> None:
        (a, b), (d, c) = self._ends(before), self._ends(here)
        corners = np.array((a, b, c, d))
        low = np.array((-0.5 * self._patch.length_m, -0.5 * self._patch.width_m))
        first = np.floor((corners.min(axis=0) - low) / CELL_M).astype(int)
        last = np.ceil((corners.max(axis=0) - low) / CELL_M).astype(int)
        first, last = np.maximum(first, 0), np.minimum(last, self.passes.shape)
        if (first >= last).any():
            return
        part = np.s_[first[0] : last[0], first[1] : last[1]]
        rows, columns = np.mgrid[part]
        inside = _within(corners, low[0] + (rows + 0.5) * CELL_M, low[1] + (columns + 0.5) * CELL_M)
        fresh = inside & (self._way_m - self._last_m[part] > APART_M)
        self.passes[part] += fresh
        self._last_m[part][inside] = self._way_m


def _within(
    corners: npt.NDArray[np.float64], along_m: npt.NDArray[np.float64],
    across_m: npt.NDArray[np.float64],
) -> npt.NDArray[np.bool_]:  # fmt: skip
    """Whether points lie in a convex quadrilateral of either sense."""
    sides = []
    for index in range(4):
        (a0, c0), (a1, c1) = corners[index], corners[(index + 1) % 4]
        sides.append((a1 - a0) * (across_m - c0) - (c1 - c0) * (along_m - a0))
    stack = np.array(sides)
    inside = (stack >= 0.0).all(axis=0) | (stack <= 0.0).all(axis=0)
    return np.asarray(inside)
