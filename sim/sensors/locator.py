"""The locator of a simulated machine: a position five times a second, and what the place rules.

Position by satellites where there is a sky. A drift has tags: they tell which stretch it is, and no
position. The rules come from the map by where the machine truly is, tags and a fix being far better
than a zone is long; without either the locator says that it does not know them.
"""

from __future__ import annotations

from dataclasses import replace

from sim.machines.faults import Sensor, SensorEffect
from sim.sensors.gnss import Gnss
from sim.sensors.pace import Pace
from sim.sensors.zones import ZoneWatch
from sim.simulated_machine import Truth
from vehicle_agent.core.place import Fix, Place

PERIOD_NS = 200_000_000
DELAY_NS = 80_000_000
HEALTHY = SensorEffect()


class Locator:
    """The locator of one machine.

    Args:
        gnss: its receiver. zones: its map. start_ns: of the first fix.
        tags: the site has them, as a drift does.

    Attributes:
        effect: of the receiver's faults. Drift goes east, m/s.
    """

    def __init__(self, gnss: Gnss, zones: ZoneWatch, start_ns: int, *, tags: bool) -> None:
        self._gnss, self.zones, self._tags = gnss, zones, tags
        self._pace = Pace(start_ns, PERIOD_NS, DELAY_NS)
        self._drifted_m, self._before_ns = 0.0, start_ns
        self.effect = HEALTHY

    def step(self, now_ns: int, truth: Truth) -> tuple[bytes, ...]:
        """Return the places that have come by now; find the next when it is time."""
        return self._pace.step(now_ns, lambda: self._place(truth).encode())

    def break_down(self, effects: dict[Sensor, SensorEffect]) -> None:
        """Have these faults and no others; a mended receiver is right at once."""
        self.effect = effects.get(Sensor.GNSS, HEALTHY)
        self._drifted_m = self._drifted_m if self.effect.drift_per_s else 0.0

    def _place(self, truth: Truth) -> Place:
        at_ns = truth["t_us"] * 1000
        self._drifted_m += self.effect.drift_per_s * (at_ns - self._before_ns) / 1e9
        self._before_ns = at_ns
        fix, at_m, sigma_m = self._gnss.fix(
            at_ns / 1e9, truth["x_m"], truth["y_m"], truth["station_m"]
        )
        if self.effect.lost or at_m is None:
            fix, position_m, sigma_m = Fix.TAG if self._tags else Fix.NONE, None, 0.0
        else:
            position_m = (at_m[0] + self._drifted_m, at_m[1])
        found = Place(truth["t_us"], fix, position_m, sigma_m)
        if fix is Fix.NONE:
            return found
        ruling = self.zones.look(truth)
        return replace(
            found,
            limit_mps=ruling.limit_mps,
            ahead_m=ruling.ahead_m,
            behind_m=ruling.behind_m,
            rule=ruling.rule,
            rules_known=True,
        )
