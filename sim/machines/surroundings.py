"""What a plant feels of the world: the floor under it and what stops it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple, Protocol


class BodyPose(NamedTuple):
    """Where a machine's bodies are.

    The position is that of the reference point (frames.py), the heading the front unit's; the
    joint angle is front heading minus that of the rear unit or trailer, + left (0 without).
    """

    x_m: float
    y_m: float
    heading_rad: float
    joint_rad: float


class Floor(NamedTuple):
    """The floor at one place, seen along one heading.

    Attributes:
        grade: rise over plan run along the heading, + uphill.
        cross_grade: rise over plan run to the left of the heading.
        friction: tyre-to-floor coefficient that the floor allows.
        rolling: resistance over load that soft ground adds to the tyres' own.
    """

    grade: float
    cross_grade: float
    friction: float
    rolling: float = 0.0


class Surroundings(Protocol):
    """A world around one machine. It may remember where that machine was last."""

    def floor(self, x_m: float, y_m: float, heading_rad: float) -> Floor:
        """The floor under the reference point."""
        ...

    def free_share(self, before: BodyPose, after: BodyPose) -> float:
        """The share 0…1 of the way from ``before`` to ``after`` that is free; 1 is all."""
        ...


@dataclass(frozen=True, slots=True)
class OpenGround:
    """An endless plane that rises along +x by ``grade``, with nothing on it."""

    grade: float = 0.0
    friction: float = 1.0

    def floor(self, x_m: float, y_m: float, heading_rad: float) -> Floor:  # noqa: ARG002 - the same everywhere
        """The plane's slope along and across the heading."""
        return Floor(
            self.grade * math.cos(heading_rad),
            -self.grade * math.sin(heading_rad),
            self.friction,
        )

    def free_share(self, before: BodyPose, after: BodyPose) -> float:  # noqa: ARG002 - nothing to hit
        """Always 1."""
        return 1.0
