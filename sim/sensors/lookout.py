"""The range scanner at a simulated machine's front: what it sees of a site, ten times a second.

It sees walls, what stands and what moves, as far as they reach up to its plane; the floor it does
not see, and of a drift only the passage that the machine is in.

Its scans come as bytes over the same seam as a real scanner's would, some time after they were
taken, with the machine's own time inside.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator
from itertools import pairwise

from sim.sensors.outline import Outline, outline_of
from sim.sensors.range_scan import Measured, Run, Scanner, cast
from sim.simulated_machine import Truth
from sim.world.site import Site
from vehicle_agent.core.clearance import RangeFinder, encode

PERIOD_NS = 100_000_000
DELAY_NS = 30_000_000
"""Half a turn of the scanner, and its computer."""
HEIGHT_M = 0.5
"""Of the scanner's plane over the floor: a kerb or a low stone lies under it."""
SCANNER = Scanner()


class Lookout:
    """The scanner of one machine.

    Args:
        site: walls, what stands and what moves. finder: where the scanner is.
        seed: of noise and holes. start_ns: of the first scan.
    """

    def __init__(self, site: Site, finder: RangeFinder, seed: int, start_ns: int) -> None:
        self._site, self._mount_m = site, finder.mount_m
        self._walls = walls_of(site) if site.walled else ((), ())
        self._standing = tuple(outline_of(each) for each in site.things.higher_than(HEIGHT_M))
        self._movers = tuple(each for each in site.things.movers if each.height_m > HEIGHT_M)
        self._measured = Measured(SCANNER, seed)
        self._due_ns = start_ns
        self._on_the_way: deque[tuple[int, bytes]] = deque()

    def step(self, now_ns: int, truth: Truth) -> tuple[bytes, ...]:
        """Return the scans that have come by now; take the next when it is time.

        What was missed is not made good.

        Args:
            now_ns: of looking. truth: of the machine, whose stamp a scan bears.
        """
        if now_ns >= self._due_ns:
            self._due_ns += PERIOD_NS * (1 + (now_ns - self._due_ns) // PERIOD_NS)
            self._on_the_way.append((now_ns + DELAY_NS, self._scan(truth)))
        come = []
        while self._on_the_way and self._on_the_way[0][0] <= now_ns:
            come.append(self._on_the_way.popleft()[1])
        return tuple(come)

    def _scan(self, truth: Truth) -> bytes:
        heading_rad = truth["heading_rad"]
        x_m = truth["x_m"] + self._mount_m * math.cos(heading_rad)
        y_m = truth["y_m"] + self._mount_m * math.sin(heading_rad)
        near = [
            each
            for each in (*self._standing, *self._moving(truth["site_s"]))
            if each.is_within(x_m, y_m, SCANNER.range_m)
        ]
        exact_m = cast(
            (*self._near(truth["station_m"]), *(run for each in near for run in each.runs)),
            SCANNER,
            x_m,
            y_m,
            heading_rad,
            (disc for each in near for disc in each.discs),
        )
        ranges_m = self._measured(exact_m)
        return encode(truth["t_us"], SCANNER.first_rad, SCANNER.step_rad, ranges_m)

    def _moving(self, site_s: float) -> Iterator[Outline]:
        """People and machines where they are by the site's clock."""
        return (outline_of(each.solid.moved(*each.at(site_s))) for each in self._movers)

    def _near(self, station_m: float) -> Iterator[Run]:
        """The walls within range along the drift; no other passage's are seen through the rock."""
        if not self._site.walled:
            return
        reach = math.ceil((SCANNER.range_m + self._mount_m) / self._site.step_m)
        here, count = round(station_m / self._site.step_m), len(self._walls[0])
        for index in range(here - reach, here + reach):
            if self._site.closed or 0 <= index < count:
                for wall in self._walls:
                    yield wall[index % count]


def walls_of(site: Site) -> tuple[tuple[Run, ...], tuple[Run, ...]]:
    """Both walls as runs between their points, the left one first."""
    return _wall(site, 1.0), _wall(site, -1.0)


def _wall(site: Site, side: float) -> tuple[Run, ...]:
    points = [
        (
            point.x_m - side * 0.5 * point.width_m * math.sin(point.heading_rad),
            point.y_m + side * 0.5 * point.width_m * math.cos(point.heading_rad),
        )
        for point in site.centre_line
    ]
    return tuple((*a, *b) for a, b in pairwise(points))
