"""Where the energy goes: work at the wheels by what did it, and what the tank or battery gave.

Each step adds force times way, with the same mean speed that moved the machine, so that the
books balance to rounding: traction = kinetic + potential + everything dissipated. A load that
slides out of a moving machine takes its kinetic energy with it, which no book holds.
"""

from __future__ import annotations

from dataclasses import dataclass

from sim.machines.longitudinal import Forces


@dataclass(slots=True)
class Ledger:
    """Joules since the start.

    Attributes:
        traction_j: of the drive. climbed_j: against gravity, signed.
        service_j, park_j, retarder_j: of the brakes; the retarder's includes what a battery
            takes back and what a hydrostatic drive's engine swallows.
        rolling_j: tyres and soil, a pulled tool included. drag_j: air.
        impact_j: lost to walls. sliding_j: of a machine on its side.
    """

    traction_j: float = 0.0
    climbed_j: float = 0.0
    service_j: float = 0.0
    park_j: float = 0.0
    retarder_j: float = 0.0
    rolling_j: float = 0.0
    drag_j: float = 0.0
    impact_j: float = 0.0
    sliding_j: float = 0.0

    def book(self, forces: Forces, way_m: float, start_j: float, *, hit: bool) -> None:
        """Add a step.

        Args:
            forces: that acted. way_m: signed. start_j: kinetic energy before the step.
            hit: a wall ended it, and took what was left.
        """
        run_m = abs(way_m)
        traction_j, climbed_j = forces.drive_n * way_m, -forces.grade_n * way_m
        self.traction_j += traction_j
        self.climbed_j += climbed_j
        self.service_j += forces.service_n * run_m
        self.park_j += forces.park_n * run_m
        self.retarder_j += forces.retarder_n * run_m
        self.rolling_j += forces.rolling_n * run_m
        self.drag_j += forces.drag_n * run_m
        self.sliding_j += forces.sliding_n * run_m
        if hit:
            self.impact_j += start_j + traction_j - climbed_j - forces.hold_n * run_m

    @property
    def dissipated_j(self) -> float:
        """Everything that does not come back by rolling downhill."""
        return (
            self.service_j
            + self.park_j
            + self.retarder_j
            + self.rolling_j
            + self.drag_j
            + self.impact_j
            + self.sliding_j
        )
