"""What the scanner saw ahead and lies beside the machine by now: the tail swings out towards it.

A scanner at the front sees nothing beside the tail. What passed the front is kept where it was,
moved back by the machine's own motion, until the tail has passed it; at some metres a second the
speed sensor errs by centimetres over a machine's length.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

ASIDE_M = 1.0
"""Farther from the side no tail swings: by tail²/2R, 0.6 m for 3 m of it on the tightest curve."""
AHEAD_M = 2.0
"""So far before the front a point is noted: a scan comes before the machine has gone as far."""
KEPT_US = 10_000_000
"""What nobody has seen for longer may be gone: a person who stood there."""
CELL_M = 0.2
"""One point is kept of each cell."""
_NOWHERE = (0.0, 0.0, 0.0)
"""How far it has gone since the last scan, ahead and to the left, and turned: not at all."""


class Beside:
    """Points beside a machine, from its reference point, ahead and left.

    Args:
        front_m, tail_m: from the reference point to both ends. half_m: half the width.
        turn_share: of a turn of the joint, by how much it turns the front body; 0 without one.
    """

    def __init__(self, front_m: float, tail_m: float, half_m: float, turn_share: float) -> None:
        self._front_m, self._tail_m, self._aside_m = front_m, tail_m, half_m + ASIDE_M
        self._turn_share = turn_share
        self._kept: list[tuple[float, float, int]] = []
        self._gone = _NOWHERE
        self._joint_rad: float | None = None

    def move(
        self, time_s: float, speed_mps: float, curvature_per_m: float, joint_rad: float
    ) -> None:
        """The machine has gone on by this for ``time_s``.

        Args:
            time_s: since the last call. speed_mps: + forwards. curvature_per_m: + left.
            joint_rad: that belongs to the curvature now; 0 without a joint.
        """
        way_m = speed_mps * time_s
        folded_rad = 0.0 if self._joint_rad is None else joint_rad - self._joint_rad
        self._joint_rad = joint_rad
        turn_rad = curvature_per_m * way_m + self._turn_share * folded_rad
        x_m, y_m, turned_rad = self._gone
        middle_rad = turned_rad + 0.5 * turn_rad
        x_m += way_m * math.cos(middle_rad)
        y_m += way_m * math.sin(middle_rad)
        self._gone = (x_m, y_m, turned_rad + turn_rad)

    def see(self, now_us: int, points: Iterable[tuple[float, float]]) -> list[tuple[float, float]]:
        """Return what lies beside the machine now; note what a new scan shows before the front.

        Args:
            now_us: of the scan. points: it shows.
        """
        x_m, y_m, turned_rad = self._gone
        self._gone = _NOWHERE
        cosine, sine = math.cos(turned_rad), math.sin(turned_rad)
        moved = [
            ((px - x_m) * cosine + (py - y_m) * sine, (py - y_m) * cosine - (px - x_m) * sine, us)
            for px, py, us in self._kept
        ]
        beside = [
            point
            for point in moved
            if -self._tail_m <= point[0] < self._front_m
            and abs(point[1]) <= self._aside_m
            and now_us - point[2] <= KEPT_US
        ]
        before = {
            (round(px / CELL_M), round(py / CELL_M)): (px, py, now_us)
            for px, py in points
            if self._front_m <= px <= self._front_m + AHEAD_M and abs(py) <= self._aside_m
        }
        self._kept = [*beside, *before.values()]
        return [(px, py) for px, py, _ in beside]

    def forget(self) -> None:
        """Where the machine has gone is not known."""
        self._kept = []
