"""How strong each antenna of a site is at each place along its centre line.

In a drift the rock guides the waves: loss grows in proportion to the way from the antenna, and by
a further part for each degree that the drift bends in between. Both are taken along the centre
line, the shorter way round. A leaky feeder is an antenna as long as its cable: along it nothing is
lost but the cable's own attenuation, and beyond its ends it is heard as an antenna is.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise

from sim.world.site import Site

STEP_M = 1.0
"""Grain of the table."""


@dataclass(frozen=True, slots=True)
class Technology:
    """One kind of radio: its reach, what it does at its edge, and how it changes cells.

    Attributes:
        name: for people.
        margin_db: what an antenna gives beside itself, above the least that can be received.
        way_db_per_m, bend_db_per_deg: lost along the drift and by its bends.
        full_db: margin from which the link is at its best; below it fades down to the edge at 0.
        edge_loss: share lost at the edge. edge_delay_s: what repeats add there; half of it again
            is jitter.
        full_bps, edge_bps: rate at its best and at the edge.
        stronger_db: another antenna must be this much stronger before the machine changes to it.
        shortest_s, longest_s: how long a change takes; nothing gets through meanwhile.
    """

    name: str
    margin_db: float
    way_db_per_m: float
    bend_db_per_deg: float
    full_db: float
    edge_loss: float
    edge_delay_s: float
    full_bps: float
    edge_bps: float
    stronger_db: float
    shortest_s: float
    longest_s: float


@dataclass(frozen=True, slots=True)
class Antenna:
    """Where one stands; ``to_m`` is ``from_m`` but for a leaky feeder.

    Attributes:
        cable_db_per_m: attenuation along a leaky feeder, from its head end at ``from_m``.
    """

    name: str
    from_m: float
    to_m: float
    cable_db_per_m: float = 0.0


class Coverage:
    """The table of a site: margin in dB of every antenna at every metre.

    Args:
        site: its centre line. technology: of all antennas. antennas: one at least.
    """

    def __init__(self, site: Site, technology: Technology, antennas: Iterable[Antenna]) -> None:
        self.site, self.technology, self.antennas = site, technology, tuple(antennas)
        self._count = max(2, math.ceil(site.length_m / STEP_M) + 1)
        self._step_m = site.length_m / (self._count - 1)
        self._bend_deg = _bends(site, self._step_m, self._count)
        self._table = tuple(
            tuple(self._margin_db(antenna, index * self._step_m) for antenna in self.antennas)
            for index in range(self._count)
        )

    def margins_db(self, station_m: float) -> tuple[float, ...]:
        """Return the margin of each antenna at the nearest metre; below 0 it is not heard."""
        return self._table[round(self.site.wrap(station_m) / self._step_m)]

    def _margin_db(self, antenna: Antenna, station_m: float) -> float:
        given = self.technology.margin_db
        if antenna.from_m <= station_m <= antenna.to_m:
            return given - antenna.cable_db_per_m * (station_m - antenna.from_m)
        cable_db = antenna.cable_db_per_m * (antenna.to_m - antenna.from_m)
        head_db = given - self._lost_db(antenna.from_m, station_m)
        return max(head_db, given - cable_db - self._lost_db(antenna.to_m, station_m))

    def _lost_db(self, from_m: float, to_m: float) -> float:
        """Lost between two places, on the way that loses less."""
        return min(
            self.technology.way_db_per_m * way_m + self.technology.bend_db_per_deg * bend_deg
            for way_m, bend_deg in self._ways(from_m, to_m)
        )

    def _ways(self, from_m: float, to_m: float) -> Iterator[tuple[float, float]]:
        way_m = abs(to_m - from_m)
        bend_deg = abs(self._bend_at(to_m) - self._bend_at(from_m))
        yield way_m, bend_deg
        if self.site.closed:
            yield self.site.length_m - way_m, self._bend_deg[-1] - bend_deg

    def _bend_at(self, station_m: float) -> float:
        return self._bend_deg[round(station_m / self._step_m)]


def _bends(site: Site, step_m: float, count: int) -> tuple[float, ...]:
    """Degrees that the drift has bent, either way, from its start to each step."""
    headings = [site.centre_line[0].heading_rad]
    headings += [site.pose_at(index * step_m).heading_rad for index in range(1, count - 1)]
    headings.append(site.centre_line[-1].heading_rad)
    bent, sums = 0.0, [0.0]
    for before, after in pairwise(headings):
        bent += abs(math.degrees(after - before))
        sums.append(bent)
    return tuple(sums)
