"""What every drive has in common: the calls of the plant, and what a traction demand means."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from sim.machines.faults import Effect
from sim.machines.interface import ActuatorDemand

GOVERNOR_BAND_MPS = 0.5
"""Traction fades to nothing over this band below the demanded speed limit."""
COMPENSATION_FULL_MPS2 = 0.25
"""From this demand on the drive makes good grade, rolling and drag in full; below, in part."""
DIRECTION_CHANGE_MPS = 0.3
"""A drive engages against the way the machine rolls only below this speed."""


@dataclass(slots=True)
class Road:
    """What the drive meets in this step; one object, written anew each step.

    Attributes:
        now_ns, dt_s: end of the step and its length. speed_mps: signed, before the step.
        mass_kg: effective. resistance_n: rolling, soil and air, a magnitude.
        grade_n: of gravity along the way, + forwards.
        grip_n: most that the driven wheels pass on. tool_w: power that a tool takes.
    """

    now_ns: int = 0
    dt_s: float = 0.0
    speed_mps: float = 0.0
    mass_kg: float = 0.0
    resistance_n: float = 0.0
    grade_n: float = 0.0
    grip_n: float = 0.0
    tool_w: float = 0.0


class Drive(Protocol):
    """What the plant asks of a drive.

    Attributes:
        engaged: −1, 0, +1. gear: number of the engaged gear, 1 the lowest; 0 none.
        rpm: of engine or motor. effect: of the drive's faults; retarder_effect: of the retarder's.
        consumed_j: what tank or battery gave, less what a battery took back.
    """

    engaged: int
    rpm: float
    effect: Effect
    retarder_effect: Effect
    consumed_j: float

    @property
    def gear(self) -> int:
        """See above."""
        ...

    @property
    def charge(self) -> float | None:
        """State of charge 0…1; None without a battery."""
        ...

    def pull(self, road: Road, demand: ActuatorDemand) -> float:
        """Signed traction at the wheels, N."""
        ...

    def retard(self, road: Road, demand: ActuatorDemand) -> float:
        """Magnitude of the force by which the drive slows the machine, N."""
        ...

    def account(self, dt_s: float, pulled_w: float, retarded_w: float, tool_w: float) -> None:
        """Take what a step took: mechanical power at the wheels, and the tool's."""
        ...


def wanted_traction(road: Road, demand: ActuatorDemand, engaged: int) -> float:
    """Force along the engaged direction that makes good the demand, N; 0 without one."""
    if engaged == 0 or demand.accel_mps2 <= 0.0:
        return 0.0
    fade = (demand.speed_limit_mps - road.speed_mps * engaged) / GOVERNOR_BAND_MPS
    if fade <= 0.0:
        return 0.0
    share = demand.accel_mps2 / COMPENSATION_FULL_MPS2
    against_n = road.resistance_n - road.grade_n * engaged
    wanted_n = road.mass_kg * demand.accel_mps2 + against_n * (min(1.0, share))
    if wanted_n <= 0.0:
        return 0.0
    return wanted_n * fade if fade < 1.0 else wanted_n
