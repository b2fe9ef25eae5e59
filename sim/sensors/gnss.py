"""A satellite receiver with corrections: where it thinks that it is, how well, and where it fails.

The sky that things higher than the antenna hide makes the fix worse; a site file names further
shadows by station, and a drift has no sky at all. After a shadow corrections settle anew. Sigmas
are those of a receiver's data sheet: centimetres when the corrections have settled, decimetres
before, metres without. The error has a fast part and one that wanders over half a minute, as
reflections make it.
"""

from __future__ import annotations

import math
from random import Random

from sim.sensors.outline import outline_of
from sim.world.site import Site
from vehicle_agent.core.place import Fix

SIGMA_M = {Fix.FIXED: 0.02, Fix.FLOAT: 0.3, Fix.SINGLE: 1.8}
ANTENNA_M = 2.5
HIDDEN = ((0.5, Fix.NONE), (0.2, Fix.SINGLE), (0.08, Fix.FLOAT))
"""Share of the sky that is hidden, and the best fix from there on."""
SETTLING_S = 8.0
"""From the first corrections in view to a settled fix."""
FAST_SHARE = 0.5
WANDER_S = 30.0
Error = tuple[float, float]


class Gnss:
    """The receiver of one machine.

    Args:
        site: its sky. seed: of the errors.
    """

    def __init__(self, site: Site, seed: int) -> None:
        self._site = site
        self._high = tuple(
            (outline_of(solid), height_m) for solid, height_m in site.things.heights(ANTENNA_M)
        )
        self._fast, self._slow = (
            Random(f"{seed}/gnss {part}")  # noqa: S311 - repeatable, not secret
            for part in ("fast", "slow")
        )
        self._wander: Error = (self._slow.gauss(0.0, 1.0), self._slow.gauss(0.0, 1.0))
        self._before_s: float | None = None
        self._floating_since_s: float | None = None

    def fix(
        self, time_s: float, x_m: float, y_m: float, station_m: float
    ) -> tuple[Fix, tuple[float, float] | None, float]:
        """Return how, where and how well the machine is found; no place without a fix.

        Args:
            time_s: of the measurement, rising. x_m, y_m, station_m: where it is.
        """
        self._go_on(time_s)
        fix = self._settled(time_s, self._best(x_m, y_m, station_m))
        if fix is Fix.NONE:
            return fix, None, 0.0
        sigma_m = SIGMA_M[fix]
        slow = math.sqrt(1.0 - FAST_SHARE**2)
        east_m, north_m = (
            sigma_m * (slow * wander + FAST_SHARE * self._fast.gauss(0.0, 1.0))
            for wander in self._wander
        )
        return fix, (x_m + east_m, y_m + north_m), sigma_m

    def _go_on(self, time_s: float) -> None:
        """The slow part, an Ornstein-Uhlenbeck process, exact for any step."""
        since_s = 0.0 if self._before_s is None else time_s - self._before_s
        self._before_s = time_s
        keep = math.exp(-since_s / WANDER_S)
        kick = math.sqrt(1.0 - keep * keep)
        east, north = self._wander
        self._wander = (
            keep * east + kick * self._slow.gauss(0.0, 1.0),
            keep * north + kick * self._slow.gauss(0.0, 1.0),
        )

    def _best(self, x_m: float, y_m: float, station_m: float) -> Fix:
        if self._site.kind == "drift":
            return Fix.NONE
        fixes = [Fix[shadow.best.upper()] for shadow in self._site.shadows
                 if shadow.from_m <= station_m <= shadow.to_m]  # fmt: skip
        share = self.hidden(x_m, y_m)
        fixes += [fix for least, fix in HIDDEN if share >= least]
        return min(fixes, default=Fix.FIXED)

    def hidden(self, x_m: float, y_m: float) -> float:
        """Share of the sky behind what is higher than the antenna; overlaps count twice.

        A thing of width w in azimuth and elevation e hides w/2π · sin e of the hemisphere.
        """
        share = 0.0
        for outline, height_m in self._high:
            away_m = math.hypot(outline.x_m - x_m, outline.y_m - y_m)
            half_rad = math.asin(outline.reach_m / away_m) if away_m > outline.reach_m else math.pi
            near_m = max(away_m - outline.reach_m, 0.0)
            share += half_rad / math.pi * math.sin(math.atan2(height_m - ANTENNA_M, near_m))
        return min(share, 1.0)

    def _settled(self, time_s: float, best: Fix) -> Fix:
        """Corrections settle some time after they are in view again."""
        if best < Fix.FLOAT:
            self._floating_since_s = None
            return best
        if self._floating_since_s is None:
            self._floating_since_s = time_s
        settled = time_s - self._floating_since_s >= SETTLING_S
        return best if settled else Fix.FLOAT
