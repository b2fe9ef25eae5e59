"""How the scripted driver steers and minds its speed along a site's centre line; pure.

Steering is curvature feedback on a path (Samson's kinematic path follower): along the path,
with offset e and heading error t, e' = t and t' = k - k_path, so
``k = k_path - w^2 e - 2 w t`` closes the offset within about 3/w metres without overshoot. It
works on the pose that the machine will have when the command acts, not on the one it has now.
Speed is what zones, bends and the braking distance to the next slower place allow.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

from protocol.profiles import MachineLimits
from sim.speed_plan import SpeedPlan
from sim.world.site import Site

GRAVITY_MPS2 = 9.81


@dataclass(frozen=True, slots=True)
class Style:
    """How the scripted driver drives.

    Attributes:
        speed_mps: on a straight run without a lower limit.
        below_limit: share of a zone's limit that it keeps to.
        lateral_mps2: highest centripetal acceleration in a bend.
        brake_mps2: deceleration that it plans with ahead of a slower place.
        lead_s: time from an input to curvature at the wheels: link, dead time and lag.
        decay_per_m: w above, the rate in 1/m at which an offset closes.
        speed_gain_per_s: acceleration asked per m/s of speed error.
        rolling: rolling resistance over weight.
        brake_from_mps2: smaller wishes to slow down are left to rolling out.
        hold_mps2: added to every pull, against what the drive does not make good.
        stop_mps2: deceleration at the end of the drive, whatever the slope.
    """

    speed_mps: float = 4.8
    below_limit: float = 0.95
    lateral_mps2: float = 0.8
    brake_mps2: float = 0.5
    lead_s: float = 0.35
    decay_per_m: float = 0.2
    speed_gain_per_s: float = 0.8
    rolling: float = 0.03
    brake_from_mps2: float = 0.05
    hold_mps2: float = 0.12
    stop_mps2: float = 1.2


class Pose(NamedTuple):
    """Where the front axle is: position, heading, signed speed, curvature that it now runs."""

    x_m: float
    y_m: float
    heading_rad: float
    speed_mps: float
    curvature_per_m: float


class Controls(NamedTuple):
    """Steering −1…1 of full lock (+ left), throttle and brake 0…1."""

    steer: float
    throttle: float
    brake: float


def ahead(pose: Pose, time_s: float) -> Pose:
    """The pose after ``time_s`` at the same speed and curvature (mid-point rule)."""
    run_m = pose.speed_mps * time_s
    middle_rad = pose.heading_rad + 0.5 * pose.curvature_per_m * run_m
    return Pose(
        pose.x_m + run_m * math.cos(middle_rad),
        pose.y_m + run_m * math.sin(middle_rad),
        pose.heading_rad + pose.curvature_per_m * run_m,
        pose.speed_mps,
        pose.curvature_per_m,
    )


class Pursuit:
    """A driver of one machine on one site; remembers only where it was last."""

    def __init__(self, site: Site, limits: MachineLimits, style: Style | None = None) -> None:
        self._site = site
        self._limits = limits
        self._style = Style() if style is None else style
        self._station_m: float | None = None
        self._plan = SpeedPlan(
            site,
            speed_mps=self._style.speed_mps,
            below_limit=self._style.below_limit,
            lateral_mps2=self._style.lateral_mps2,
            brake_mps2=self._style.brake_mps2,
        )

    def controls(self, pose: Pose) -> Controls:
        """What to do with hands and feet at ``pose``."""
        self._station_m, _ = self._site.locate(pose.x_m, pose.y_m, self._station_m)
        steer = self.curvature(pose) / self._limits.curvature_max_per_m
        throttle, brake = self._pedals(pose.speed_mps, self._station_m)
        return Controls(min(max(steer, -1.0), 1.0), throttle, brake)

    def stopping(self, pose: Pose) -> Controls:
        """What to do with hands and feet at ``pose`` to come to a stand on the line."""
        steering = self.controls(pose)
        assert self._station_m is not None
        pushed_mps2 = self._coasting_mps2(self._station_m)
        brake = (pushed_mps2 + self._style.stop_mps2) / self._limits.service_brake_max_mps2
        return Controls(steering.steer, 0.0, min(max(brake, 0.0), 1.0))

    def curvature(self, pose: Pose) -> float:
        """The path curvature to ask for at ``pose``, 1/m, + left."""
        style, site = self._style, self._site
        coming = ahead(pose, style.lead_s)
        station_m, offset_m = site.locate(coming.x_m, coming.y_m, self._station_m)
        centre = site.pose_at(station_m)
        error_rad = math.remainder(coming.heading_rad - centre.heading_rad, math.tau)
        decay = style.decay_per_m
        # on a bend's inside the path is shorter: the same angle takes more curvature
        path = centre.curvature_per_m / max(0.2, 1.0 - centre.curvature_per_m * offset_m)
        return path - decay**2 * offset_m - 2.0 * decay * math.sin(error_rad)

    def wanted_speed_mps(self, station_m: float) -> float:
        """The speed that this place and the next braking distance allow."""
        return self._plan.at(station_m)

    def _pedals(self, speed_mps: float, station_m: float) -> tuple[float, float]:
        """Traction asks for a net acceleration; braking adds to what the slope does by itself."""
        style, limits = self._style, self._limits
        wish_mps2 = style.speed_gain_per_s * (self.wanted_speed_mps(station_m) - speed_mps)
        coasting_mps2 = self._coasting_mps2(station_m)
        if wish_mps2 < coasting_mps2 - style.brake_from_mps2:
            return 0.0, min((coasting_mps2 - wish_mps2) / limits.service_brake_max_mps2, 1.0)
        if wish_mps2 > max(coasting_mps2, 0.0):
            return min((wish_mps2 + style.hold_mps2) / limits.accel_max_mps2, 1.0), 0.0
        return 0.0, 0.0

    def _coasting_mps2(self, station_m: float) -> float:
        """What slope and rolling do by themselves."""
        return -GRAVITY_MPS2 * (self._site.pose_at(station_m).grade + self._style.rolling)
