"""Roll-over: the share of the wheel load that has moved to one side, and when a machine falls.

Rigid on its track: side acceleration and side slope against half the track over the height of
the centre of gravity (static stability factor; Gillespie, Fundamentals of Vehicle Dynamics,
chapter 9). A lifted wheel must stay up for a while before the machine has gone past the point
of no return.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from pydantic import with_config

from sim.machines.fields import STRICT, Positive
from sim.machines.longitudinal import GRAVITY_MPS2

FALL_NS = 500_000_000
"""How long the load on one side must be nothing. An engineering choice: with half a track of
a metre, gravity alone needs about that long to carry the centre of gravity over."""
LYING_RAD = 0.5 * math.pi
"""Roll of a machine on its side."""
SLIDING_FRICTION = 0.6
"""Steel on rock or soil."""


@with_config(STRICT)
@dataclass(frozen=True, slots=True)
class StabilityParameters:
    """[plant.stability]: track between the wheels' middles, height of the centre of gravity."""

    track_m: Positive
    cg_height_empty_m: Positive
    cg_height_loaded_m: Positive


class Stability:
    """Watches one machine.

    Attributes:
        share: load moved to one side, −1…1 and beyond; + when the right side carries more.
        overturned: it has fallen, for good.
    """

    __slots__ = ("_gain", "_lifted_ns", "_p", "overturned", "share")

    def __init__(self, parameters: StabilityParameters) -> None:
        self._p = parameters
        self._lifted_ns = 0
        self.share = 0.0
        self.overturned = False
        self.load(1.0)

    def load(self, payload_share: float) -> None:
        """Take the centre of gravity of a machine with this share of its payload."""
        p = self._p
        height_m = p.cg_height_empty_m
        height_m += (p.cg_height_loaded_m - p.cg_height_empty_m) * payload_share
        self._gain = 2.0 * height_m / (p.track_m * GRAVITY_MPS2)

    def step(self, dt_ns: int, lateral_mps2: float, cross_grade: float) -> None:
        """Watch a step.

        Args:
            dt_ns: its length.
            lateral_mps2: centripetal, + towards the left.
            cross_grade: rise to the left of the heading over plan way.
        """
        self.share = self._gain * (lateral_mps2 + GRAVITY_MPS2 * cross_grade)
        if -1.0 < self.share < 1.0:
            self._lifted_ns = 0
            return
        self._lifted_ns += dt_ns
        if self._lifted_ns >= FALL_NS:
            self.overturned = True
