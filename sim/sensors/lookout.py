"""The range scanner at a simulated machine's front: what it sees of a site, ten times a second.

It sees walls, what stands and what moves, as far as they reach up to its plane; the floor it does
not see, and of a drift only the passage that the machine is in.

Its scans come as bytes over the same seam as a real scanner's would, some time after they were
taken, with the machine's own time inside.
"""

from __future__ import annotations

import math

from sim.sensors.pace import Pace
from sim.sensors.range_scan import Measured, Scanner, cast
from sim.sensors.scenery import Scenery
from sim.simulated_machine import Truth
from vehicle_agent.core.clearance import RangeFinder, encode

PERIOD_NS = 100_000_000
DELAY_NS = 30_000_000
"""Half a turn of the scanner, and its computer."""
SCANNER = Scanner()


class Lookout:
    """The scanner of one machine.

    Args:
        scenery: what there is to see. finder: where the scanner is.
        seed: of noise and holes. start_ns: of the first scan.
    """

    def __init__(self, scenery: Scenery, finder: RangeFinder, seed: int, start_ns: int) -> None:
        self._scenery, self._mount_m = scenery, finder.mount_m
        self._measured = Measured(SCANNER, seed)
        self._pace = Pace(start_ns, PERIOD_NS, DELAY_NS)

    def step(self, now_ns: int, truth: Truth) -> tuple[bytes, ...]:
        """Return the scans that have come by now; take the next when it is time.

        Args:
            now_ns: of looking. truth: of the machine, whose stamp a scan bears.
        """
        return self._pace.step(now_ns, lambda: self._scan(truth))

    def _scan(self, truth: Truth) -> bytes:
        heading_rad = truth["heading_rad"]
        x_m = truth["x_m"] + self._mount_m * math.cos(heading_rad)
        y_m = truth["y_m"] + self._mount_m * math.sin(heading_rad)
        reach_m = SCANNER.range_m + self._mount_m
        runs, discs = self._scenery.around(x_m, y_m, truth["station_m"], truth["site_s"], reach_m)
        ranges_m = self._measured(cast(runs, SCANNER, x_m, y_m, heading_rad, discs))
        return encode(truth["t_us"], SCANNER.first_rad, SCANNER.step_rad, ranges_m)
