"""A trailer behind a rigid machine: one axle, one drawbar, hitched behind the rear axle.

With the joint angle j between towing machine and trailer, hitch distance h behind the rear
axle and drawbar length d from hitch to trailer axle, the trailer's yaw rate is
(v sin j − h ψ' cos j) / d (Lamiraux and Laumond, general one-trailer system; the tests check
it against the trailer axle's own equation by fine steps).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated

from pydantic import Field, with_config

from sim.machines.fields import STRICT, FromDegrees, NotNegative, Positive


@with_config(STRICT)
@dataclass(frozen=True, slots=True)
class TrailerParameters:
    """[plant.trailer].

    Attributes:
        hitch_m: rear axle to hitch. drawbar_m: hitch to trailer axle.
        front_gap_m: hitch to the front of its body. tail_m: its axle to its tail.
        width_m: of its body. fold_max_rad: drawbar meets the rear wheel.
    """

    hitch_m: NotNegative
    drawbar_m: Positive
    front_gap_m: NotNegative
    tail_m: NotNegative
    width_m: Positive
    fold_max_rad: Annotated[float, Field(alias="fold_max_deg", gt=0.0, le=100.0), FromDegrees]

    def __post_init__(self) -> None:
        """The body begins ahead of its axle."""
        if self.front_gap_m >= self.drawbar_m:
            raise ValueError("front_gap_m must be less than drawbar_m")


def yaw_rate(p: TrailerParameters, joint_rad: float, plan_mps: float, yaw_radps: float) -> float:
    """The trailer's yaw rate, rad/s, + left."""
    swing = p.hitch_m * yaw_radps * math.cos(joint_rad)
    return (plan_mps * math.sin(joint_rad) - swing) / p.drawbar_m


def next_joint(
    p: TrailerParameters, joint_rad: float, plan_mps: float, yaw_radps: float, dt_s: float
) -> float:
    """The joint angle after a step (mid-point rule); fully folded, the trailer is dragged round."""
    first = yaw_radps - yaw_rate(p, joint_rad, plan_mps, yaw_radps)
    middle_rad = joint_rad + 0.5 * dt_s * first
    after_rad = joint_rad + dt_s * (yaw_radps - yaw_rate(p, middle_rad, plan_mps, yaw_radps))
    return min(max(after_rad, -p.fold_max_rad), p.fold_max_rad)
