"""The steering actuator: dead time, rate limit, lag, dead band, end stops, and its faults.

It moves one angle: the joint of an articulated machine, or the mean angle of the foremost
steered axle of a rigid one. The tyres' pull on a steering without force is a straightening
length: an engineering choice, some metres for wheels and joints alike.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from pydantic import Field, with_config

from sim.machines.dead_time import DeadTime
from sim.machines.faults import HEALTHY, Effect
from sim.machines.fields import STRICT, Delay, FromDegrees, Positive
from sim.machines.frames import Frame

STRAIGHTENING_M = 12.0
"""A steering without force loses its angle by 1/e over this way."""


@with_config(STRICT)
@dataclass(frozen=True, slots=True)
class SteeringParameters:
    """[plant.steering].

    Attributes:
        limit_rad: end stop on either side. rate_radps: fastest.
        dead_time_s, tau_s: from a demand to the start; lag.
        dead_band_rad: error that moves no oil.
    """

    limit_rad: Annotated[float, Field(alias="limit_deg", gt=0.0, le=60.0), FromDegrees]
    rate_radps: Annotated[float, Field(alias="rate_deg_s", gt=0.0, le=90.0), FromDegrees]
    dead_time_s: Delay
    tau_s: Positive
    dead_band_rad: Annotated[float, Field(alias="dead_band_deg", ge=0.0, le=5.0), FromDegrees]


class Steering:
    """Moves ``angle_rad``, + left, towards the angle that a curvature demand takes.

    Attributes:
        angle_rad: where it stands. effect: of its faults.
    """

    __slots__ = ("_frame", "_line", "_p", "_reference_rad", "angle_rad", "effect")

    def __init__(self, parameters: SteeringParameters, frame: Frame, angle_rad: float) -> None:
        self._p, self._frame = parameters, frame
        self._line: DeadTime[float | None] = DeadTime(parameters.dead_time_s, None)
        self._reference_rad = self.angle_rad = angle_rad
        self.effect: Effect = HEALTHY

    def step(
        self, now_ns: int, dt_s: float, curvature_per_m: float | None, rolled_m: float
    ) -> float:
        """The angle to which this step brings it; None freezes it. The plant takes it there.

        Args:
            now_ns: time at the end of the step. dt_s: its length.
            curvature_per_m: demand of this moment, + left.
            rolled_m: way of this step, for a steering without force.
        """
        wanted = self._line.pass_through(now_ns, curvature_per_m)
        angle_rad, effect = self.angle_rad, self.effect
        if effect is not HEALTHY and (effect.limp or effect.stuck):
            if effect.limp:
                angle_rad -= angle_rad * min(abs(rolled_m) / STRAIGHTENING_M, 1.0)
            self._reference_rad = angle_rad
            return angle_rad
        if wanted is None:
            self._reference_rad = angle_rad
            return angle_rad
        return self._towards(self._frame.angle_for(wanted), dt_s)

    def _towards(self, target_rad: float, dt_s: float) -> float:
        p, angle_rad, effect = self._p, self.angle_rad, self.effect
        pace = effect.pace
        limit_rad = p.limit_rad * effect.authority
        beyond_rad = limit_rad + 2.0 * p.dead_band_rad
        target_rad += effect.bias * p.limit_rad
        target_rad = min(max(target_rad, -beyond_rad), beyond_rad)
        most_rad = p.rate_radps * pace * dt_s
        ahead_rad = target_rad - self._reference_rad
        if ahead_rad > most_rad:
            ahead_rad = most_rad
        elif ahead_rad < -most_rad:
            ahead_rad = -most_rad
        self._reference_rad += ahead_rad
        error_rad = self._reference_rad - angle_rad
        if -p.dead_band_rad <= error_rad <= p.dead_band_rad:
            return angle_rad
        after_rad = angle_rad + error_rad * dt_s / (p.tau_s / pace + 0.5 * dt_s)
        most_rad = max(limit_rad, abs(angle_rad))
        return min(max(after_rad, -most_rad), most_rad)

    def hold_at(self, angle_rad: float) -> None:
        """Something outside stopped it at ``angle_rad``."""
        self.angle_rad = self._reference_rad = angle_rad
