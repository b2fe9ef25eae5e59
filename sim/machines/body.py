"""A machine's outline on the ground: rectangles on its front unit and on what folds behind it.

Lengths run forwards from the reference point on the front unit and from the fold on the rear
one; the fold is the joint of an articulated machine or the hitch of a trailer. Mirrors,
bumpers and a raised tool count: the rectangles cover all that meets a wall.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

from pydantic import with_config

from protocol.profiles import MachineSize
from sim.machines.fields import STRICT, Positive
from sim.machines.trailer import TrailerParameters


@with_config(STRICT)
@dataclass(frozen=True, slots=True)
class MountedParameters:
    """[plant.mounted]: a tool carried behind the machine, as long and as wide as this."""

    length_m: Positive
    width_m: Positive


class Box(NamedTuple):
    """A rectangle: from ``rear_m`` to ``front_m`` along its unit, ``half_m`` to either side."""

    rear_m: float
    front_m: float
    half_m: float


@dataclass(frozen=True, slots=True)
class BodySize:
    """Where a machine is when its pose is known.

    Attributes:
        front: rectangles of the front unit, from the reference point.
        rear: rectangles of the rear unit, from the fold; none of a machine that does not fold.
        fold_m: from the reference point back to the fold.
    """

    front: tuple[Box, ...]
    rear: tuple[Box, ...]
    fold_m: float

    @property
    def longest_m(self) -> float:
        """Length of the longest rectangle."""
        return max(box.front_m - box.rear_m for box in self.front + self.rear)

    @property
    def reach_m(self) -> float:
        """From the reference point to the farthest corner, however it folds: not less."""
        front = max(math.hypot(max(-box.rear_m, box.front_m), box.half_m) for box in self.front)
        rear = max(
            (math.hypot(max(-box.rear_m, box.front_m), box.half_m) for box in self.rear),
            default=0.0,
        )
        return max(front, self.fold_m + rear)


def body_of(
    size: MachineSize, mounted: MountedParameters | None, trailer: TrailerParameters | None
) -> BodySize:
    """The outline of a machine and of what it carries and pulls.

    Raises:
        ValueError: an articulated machine carries or pulls something.
    """
    half_m = 0.5 * size.width_m
    if size.kind == "articulated":
        if mounted is not None or trailer is not None:
            raise ValueError("an articulated machine carries no [plant.mounted] or [plant.trailer]")
        assert size.front_joint_m is not None, "checked by MachineSize"
        assert size.rear_joint_m is not None, "checked by MachineSize"
        return BodySize(
            (Box(-size.front_joint_m, size.front_overhang_m, half_m),),
            (Box(-size.rear_joint_m - size.rear_overhang_m, 0.0, half_m),),
            size.front_joint_m,
        )
    assert size.wheelbase_m is not None, "checked by MachineSize"
    tail_m = -size.rear_overhang_m
    front = [Box(tail_m, size.wheelbase_m + size.front_overhang_m, half_m)]
    if mounted is not None:
        front.append(Box(tail_m - mounted.length_m, tail_m, 0.5 * mounted.width_m))
    if trailer is None:
        return BodySize(tuple(front), (), 0.0)
    box = Box(-trailer.drawbar_m - trailer.tail_m, -trailer.front_gap_m, 0.5 * trailer.width_m)
    return BodySize(tuple(front), (box,), trailer.hitch_m)
