"""Every sensor of a simulated machine that looks at the world, by what is fitted."""

from __future__ import annotations

from typing import NamedTuple

from sim.machines.faults import Sensor, SensorEffect
from sim.machines.parameters import Machine
from sim.sensors.gnss import Gnss
from sim.sensors.locator import Locator
from sim.sensors.lookout import SCANNER, Lookout
from sim.sensors.ring import Ring
from sim.sensors.scenery import Scenery
from sim.sensors.zones import ZoneWatch
from sim.simulated_machine import Truth
from sim.world.site import Site
from vehicle_agent.core.clearance import RangeFinder


class Sensed(NamedTuple):
    """What has come since the last look: scans, places, distances all round."""

    scans: tuple[bytes, ...] = ()
    places: tuple[bytes, ...] = ()
    nearby: tuple[bytes, ...] = ()


class Suite:
    """The sensors of one machine.

    Args:
        site: where it is. machine: what carries them. seed: of noise and errors.
        start_ns: of the first measurements.
        finder: a range scanner at the front and short-range sensors all round are fitted.
        locator: a locator is fitted.
    """

    def __init__(
        self,
        site: Site,
        machine: Machine,
        seed: int,
        start_ns: int,
        *,
        finder: bool,
        locator: bool,
    ) -> None:
        self._lookout: Lookout | None = None
        self._ring: Ring | None = None
        self.locator: Locator | None = None
        size = machine.profile.machine
        if finder:
            scenery = Scenery(site)
            mounted = RangeFinder.of(size, SCANNER.range_m)
            self._lookout = Lookout(scenery, mounted, seed, start_ns)
            self._ring = Ring(scenery, machine.body, seed, start_ns)
        if locator:
            front_m = size.front_of_reference_m
            zones = ZoneWatch(site, size.name, front_m, size.length_m - front_m)
            self.locator = Locator(Gnss(site, seed), zones, start_ns, tags=site.kind == "drift")

    def step(self, now_ns: int, truth: Truth) -> Sensed:
        """Return what has come by now; measure what is due."""
        return Sensed(
            () if self._lookout is None else self._lookout.step(now_ns, truth),
            () if self.locator is None else self.locator.step(now_ns, truth),
            () if self._ring is None else self._ring.step(now_ns, truth),
        )

    def break_down(self, effects: dict[Sensor, SensorEffect]) -> None:
        """Have these faults of sensors, and no others."""
        if self.locator is not None:
            self.locator.break_down(effects)
