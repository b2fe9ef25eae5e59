"""A hydrostatic drive: the lever is a speed, and letting go brakes.

Pump and motors are one closed circuit: without a traction demand, above the demanded speed or
against the engaged direction the circuit holds the machine back, up to the power that the
dragged engine swallows. At standstill the circuit holds too; its leakage is not modelled, the
park brake is what must hold on a grade.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pydantic import with_config

from sim.machines.drive import DIRECTION_CHANGE_MPS, Road, wanted_traction
from sim.machines.faults import HEALTHY, Effect
from sim.machines.fields import STRICT, Positive, Share
from sim.machines.interface import ActuatorDemand
from sim.machines.power_shift import IDLE_FUEL_SHARE

IDLE_RPM, RATED_RPM = 900.0, 2200.0
OVERSPEED_BAND_MPS = 0.3
"""Above the demanded speed the circuit's braking comes in over this band."""


@with_config(STRICT)
@dataclass(frozen=True, slots=True)
class HydrostaticParameters:
    """[plant.drive] of kind "hydrostatic".

    Attributes:
        power_w: engine; efficiency: engine to wheel. engine_efficiency: fuel to crankshaft.
        force_max_n: at wheels and drum, of the circuit's relief valves. tau_s: pump's lag.
        speed_max_mps: of the pump at full stroke.
        release_n: braking force of the circuit, ramped over ``release_ramp_s``.
        overrun_power_w: most that the dragged engine swallows.
    """

    kind: Literal["hydrostatic"]
    power_w: Positive
    efficiency: Share
    engine_efficiency: Share
    force_max_n: Positive
    tau_s: Positive
    speed_max_mps: Positive
    release_n: Positive
    release_ramp_s: Positive
    overrun_power_w: Positive


class Hydrostatic:
    """See :class:`sim.machines.drive.Drive`."""

    __slots__ = (
        "_drive_n",
        "_level",
        "_p",
        "_wheel_power_w",
        "consumed_j",
        "effect",
        "engaged",
        "retarder_effect",
        "rpm",
    )

    def __init__(self, parameters: HydrostaticParameters) -> None:
        self._p = parameters
        self._wheel_power_w = parameters.power_w * parameters.efficiency
        self._drive_n = self.consumed_j = 0.0
        self._level = 1.0
        self.engaged = 0
        self.rpm = IDLE_RPM
        self.effect: Effect = HEALTHY
        self.retarder_effect: Effect = HEALTHY

    @property
    def gear(self) -> int:
        """One gear, when engaged."""
        return 1 if self.engaged else 0

    @property
    def charge(self) -> float | None:
        """No battery."""
        return None

    def pull(self, road: Road, demand: ActuatorDemand) -> float:
        """Relief pressure, power, adhesion, pump lag; the pump swings through neutral."""
        p, effect = self._p, self.effect
        if demand.direction != self.engaged:
            against = road.speed_mps * demand.direction < -DIRECTION_CHANGE_MPS
            self.engaged = 0 if against else demand.direction
            self._drive_n = 0.0
        along_mps = road.speed_mps * self.engaged
        wanted_n = wanted_traction(road, demand, self.engaged)
        most_n = p.force_max_n
        power_w = max(self._wheel_power_w - road.tool_w * p.efficiency, 0.0)
        if power_w < most_n * along_mps:
            most_n = power_w / along_mps
        if along_mps > p.speed_max_mps:
            most_n = 0.0
        if effect is not HEALTHY:
            most_n *= effect.authority
            wanted_n = self._drive_n if effect.stuck else wanted_n
        most_n = min(most_n, road.grip_n)
        wanted_n = min(most_n, wanted_n)
        self._drive_n += (wanted_n - self._drive_n) * road.dt_s / (p.tau_s + 0.5 * road.dt_s)
        busy = self._drive_n * abs(along_mps) / self._wheel_power_w
        self.rpm = RATED_RPM if self.engaged or busy > 0.0 else IDLE_RPM
        return self.engaged * (min(most_n, self._drive_n))

    def retard(self, road: Road, demand: ActuatorDemand) -> float:
        """What the circuit holds back; ``retarder`` strokes the pump back further."""
        p, effect = self._p, self.retarder_effect
        speed_mps = abs(road.speed_mps)
        asked = 1.0
        if self.engaged and demand.accel_mps2 > 0.0:
            limit_mps = min(demand.speed_limit_mps, p.speed_max_mps)
            asked = (speed_mps - limit_mps) / OVERSPEED_BAND_MPS
            asked = min(max(asked, demand.retarder, 0.0), 1.0)
        if asked != self._level and not effect.stuck:
            ramp = road.dt_s * effect.pace / p.release_ramp_s
            self._level += min(max(asked - self._level, -ramp), ramp)
        force_n = self._level * effect.authority * p.release_n
        if force_n * speed_mps > p.overrun_power_w:
            return p.overrun_power_w / speed_mps
        return force_n

    def account(self, dt_s: float, pulled_w: float, retarded_w: float, tool_w: float) -> None:  # noqa: ARG002 - the dragged engine burns nothing less
        """Burn fuel for traction, tool and idling."""
        p = self._p
        crank_w = pulled_w / p.efficiency + tool_w + IDLE_FUEL_SHARE * p.power_w
        self.consumed_j += crank_w / p.engine_efficiency * dt_s
