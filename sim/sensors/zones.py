"""What a site's zones rule for one machine where it is: the speed, and lines not to be crossed now.

A zone is entered at its ends. A line counts for the end that reaches it first, the front ahead and
the tail behind, until that end is across: who is in a zone is not held in it.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from sim.sensors.control_room import ControlRoom
from sim.simulated_machine import Truth
from sim.world.site import Site, Zone
from vehicle_agent.core.place import Rule

SIGHT_M = 80.0
"""So far ahead a line is told: more than a machine needs to stop on a decline."""
EASE_MPS2 = 0.4
"""How a limit that falls ahead is let come: the place allows a speed from which it is met so."""
STOOD_WITHIN_M = 6.0
STOOD_MPS = 0.05
LEFT_AT_M = 10.0
"""So far from a line it is left by who stood there: one that starts on a grade rolls back."""


@dataclass(frozen=True, slots=True)
class Ruling:
    """What holds now; lines from front and tail, None where there is none in sight."""

    limit_mps: float
    ahead_m: float | None
    behind_m: float | None
    rule: Rule


class _Line(NamedTuple):
    """A line not to be crossed now: how far, why, and into which zone."""

    distance_m: float
    rule: Rule
    zone: str


class ZoneWatch:
    """The zones as one machine meets them.

    Args:
        site: with its zones and other machines. name: of the machine.
        front_m, tail_m: from its reference point to both ends.

    Attributes:
        closed: names of zones that are closed now, beside those that always are.
        room: lets the machine into zones that are entered on call.
        name: of the machine.
    """

    def __init__(self, site: Site, name: str, front_m: float, tail_m: float) -> None:
        self._site, self.name = site, name
        self._front_m, self._tail_m = front_m, tail_m
        self._shared = any(zone.entry == "one_at_a_time" for zone in site.zones)
        self._stood_for: str | None = None
        self._backwards = False
        self.closed: Collection[str] = ()
        self.room = ControlRoom(name, site.answers_after_s)

    def look(self, truth: Truth) -> Ruling:
        """What holds for the machine where it is."""
        site, station_m = self._site, truth["station_m"]
        aside_rad = truth["heading_rad"] - site.pose_at(station_m).heading_rad
        way = 1 if math.cos(aside_rad) >= 0.0 else -1
        front_m, tail_m = station_m + way * self._front_m, station_m - way * self._tail_m
        self.room.follow(self._under(tail_m, way), self._before(front_m, tail_m, way))
        stands = abs(truth["speed_mps"]) < STOOD_MPS
        self._backwards = self._backwards if stands else truth["speed_mps"] < 0.0
        lines = self._lines(truth["site_s"], front_m, tail_m, way)
        at_line = _near(lines[self._backwards]) if stands else None
        if self._opens(truth["t_us"] / 1e6, at_line):
            lines = self._lines(truth["site_s"], front_m, tail_m, way)
        ahead, behind = lines
        at_other = _near(lines[not self._backwards]) if stands else None
        told = lines[self._backwards] or at_other
        return Ruling(
            self._limit_mps(front_m, tail_m, way),
            None if ahead is None else ahead.distance_m,
            None if behind is None else behind.distance_m,
            Rule.NONE if told is None else told.rule,
        )

    def _opens(self, at_s: float, line: _Line | None) -> bool:
        """Whether the line that the machine came to and stands at opens now: a stop line at once,
        that of a call when the control room answers."""
        rule, zone = (Rule.NONE, None) if line is None else (line.rule, line.zone)
        if rule is Rule.STAND_FIRST:
            self._stood_for = zone
        let_in = self.room.hear(at_s, zone if rule is Rule.CALL_FIRST else None)
        return let_in or rule is Rule.STAND_FIRST

    def _lines(
        self, site_s: float, front_m: float, tail_m: float, way: int
    ) -> tuple[_Line | None, _Line | None]:
        """The next lines not to be crossed, ahead and behind."""
        occupied = frozenset(self._occupied(site_s))
        return self._line(front_m, way, occupied), self._line(tail_m, -way, occupied)

    def _line(self, from_m: float, way: int, occupied: Collection[str]) -> _Line | None:
        within = self._site.zone_at(from_m).name
        if self._stood_for is not None and within == self._stood_for:
            self._stood_for = None
        for distance_m, zone in self._ahead(from_m, way):
            rule = self._rule(zone, way, occupied) if zone.name != within else Rule.NONE
            if rule is not Rule.NONE:
                return _Line(distance_m, rule, zone.name)
            within = zone.name
        return None

    def _ahead(self, from_m: float, way: int) -> Iterator[tuple[float, Zone]]:
        """Zones that begin within sight in one direction, and how far."""
        site, gone_m = self._site, 0.0
        while True:
            here_m = site.wrap(from_m + way * gone_m)
            zone = site.zone_at(here_m if way > 0 else here_m - 1e-6)
            step_m = (zone.to_m - here_m) if way > 0 else (here_m - zone.from_m)
            gone_m += max(step_m, 1e-3)
            edge_m = from_m + way * (gone_m + 1e-3)
            if gone_m > SIGHT_M or not (site.closed or 0.0 < edge_m < site.length_m):
                return
            yield gone_m, site.zone_at(edge_m)

    def _rule(self, zone: Zone, way: int, occupied: Collection[str]) -> Rule:
        if zone.entry == "closed" or zone.name in self.closed:
            return Rule.CLOSED
        if zone.only_for and self.name not in zone.only_for:
            return Rule.NOT_FOR_THIS
        if zone.entry == "one_way" and way < 0:
            return Rule.ONE_WAY
        if zone.entry == "one_at_a_time" and zone.name in occupied:
            return Rule.OCCUPIED
        if zone.entry == "stop" and zone.name != self._stood_for:
            return Rule.STAND_FIRST
        if zone.entry == "call" and not self.room.has_let_in(zone.name):
            return Rule.CALL_FIRST
        return Rule.NONE

    def _under(self, tail_m: float, way: int) -> Collection[str]:
        """Names of the zones that some part of the machine is in."""
        names, long_m = {self._site.zone_at(tail_m).name}, self._tail_m + self._front_m
        for from_m, zone in self._ahead(tail_m, way):
            if from_m >= long_m:
                break
            names.add(zone.name)
        return names

    def _before(self, front_m: float, tail_m: float, way: int) -> Collection[str]:
        """Names of the zones at whose lines the machine is, by its front or its tail."""
        names = set()
        for from_m, towards in ((front_m, way), (tail_m, -way)):
            for distance_m, zone in self._ahead(from_m, towards):
                if distance_m > LEFT_AT_M:
                    break
                names.add(zone.name)
        return names

    def _occupied(self, site_s: float) -> Iterator[str]:
        """Names of the zones in which another machine is."""
        if not self._shared:
            return
        for mover in self._site.things.movers:
            if mover.kind != "person":
                x_m, y_m, _ = mover.at(site_s)
                yield self._site.zone_at(self._site.locate(x_m, y_m)[0]).name

    def _limit_mps(self, front_m: float, tail_m: float, way: int) -> float:
        """Of the zones under the machine, and of those ahead what they leave before them."""
        site = self._site
        limits = [site.zone_at(at_m).speed_limit_mps for at_m in (front_m, tail_m)]
        limits += [
            math.sqrt(zone.speed_limit_mps**2 + 2.0 * EASE_MPS2 * distance_m)
            for distance_m, zone in self._ahead(front_m, way)
        ]
        return min(limits)


def _near(line: _Line | None) -> _Line | None:
    """The line, for a machine that is at it."""
    return None if line is None or line.distance_m > STOOD_WITHIN_M else line
