"""The speed that every place of a site allows, worked out once before the drive."""

from __future__ import annotations

import math

from sim.world.site import Site

_STRAIGHT_PER_M = 1e-6
_SPACING_M = 1.0


class SpeedPlan:
    """Speed by station: zone, bend, and braking in time for what comes next.

    Args:
        site: with centre line and zones.
        speed_mps: on a straight run without a lower limit.
        below_limit: share of a zone's limit.
        lateral_mps2: highest centripetal acceleration.
        brake_mps2: deceleration ahead of a slower place.
    """

    def __init__(
        self,
        site: Site,
        *,
        speed_mps: float,
        below_limit: float,
        lateral_mps2: float,
        brake_mps2: float,
    ) -> None:
        self._site = site
        count = max(2, math.ceil(site.length_m / _SPACING_M))
        self._step_m = site.length_m / count
        allowed = []
        for index in range(count + 1):
            station_m = index * self._step_m
            bend = abs(site.pose_at(station_m).curvature_per_m)
            bend_mps = math.sqrt(lateral_mps2 / bend) if bend > _STRAIGHT_PER_M else math.inf
            zone_mps = site.zone_at(station_m).speed_limit_mps * below_limit
            allowed.append(min(zone_mps, bend_mps, speed_mps))
        self._speeds_mps = self._brake_in_time(allowed, brake_mps2)

    def _brake_in_time(self, allowed_mps: list[float], brake_mps2: float) -> list[float]:
        """Backwards along the line; twice round a closed one, so that its end sees its start."""
        speeds = list(allowed_mps)
        gain = 2.0 * brake_mps2 * self._step_m
        for _ in range(2 if self._site.closed else 1):
            if self._site.closed:
                speeds[-1] = min(speeds[-1], speeds[0])
            for index in range(len(speeds) - 2, -1, -1):
                speeds[index] = min(speeds[index], math.sqrt(speeds[index + 1] ** 2 + gain))
        return speeds

    def at(self, station_m: float) -> float:
        """The speed at ``station_m`` (wrapped), the lower of the two samples beside it, m/s."""
        index = int(self._site.wrap(station_m) / self._step_m)
        return min(self._speeds_mps[index : index + 2])
