"""A diesel engine with converter and power-shift gearbox, and a retarder behind it."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, with_config

from sim.machines.drive import DIRECTION_CHANGE_MPS, Road, wanted_traction
from sim.machines.faults import HEALTHY, Effect
from sim.machines.fields import STRICT, Delay, FromKmh, Positive, Share
from sim.machines.interface import ActuatorDemand
from sim.machines.retarder import Retarder

SHIFT_UP_SHARE = 0.95
SHIFT_DOWN_SHARE = 0.5
"""Of a gear's top speed: up above the first, down below the second share of the gear under it."""
GEAR_OVERRUN = 0.04
"""The engine's governor takes a gear's traction away over ± this share of its top speed."""
IDLE_RPM, CONVERTER_RPM, RATED_RPM = 700.0, 800.0, 2000.0
IDLE_FUEL_SHARE = 0.06
"""Of the fuel flow at full power, burnt by the idling engine. Of a large diesel's map."""


def _rising(speeds: tuple[float, ...]) -> tuple[float, ...]:
    if any(after <= before for before, after in pairwise(speeds)):
        raise ValueError("gear speeds must rise")
    return speeds


@with_config(STRICT)
@dataclass(frozen=True, slots=True)
class PowerShiftParameters:
    """[plant.drive] of kind "power_shift".

    Attributes:
        power_w: engine; efficiency: engine to wheel. engine_efficiency: fuel to crankshaft.
        force_max_n: at the wheels, in first gear. tau_s: engine and converter lag.
        shift_gap_s: no traction while shifting. gear_speeds_mps: top speed of each gear.
        retarder_power_w, retarder_ramp_s: at the wheels; time from nothing to full.
    """

    kind: Literal["power_shift"]
    power_w: Positive
    efficiency: Share
    engine_efficiency: Share
    force_max_n: Positive
    tau_s: Positive
    shift_gap_s: Delay
    gear_speeds_mps: Annotated[
        tuple[Annotated[Positive, FromKmh], ...],
        Field(alias="gear_speeds_kmh", min_length=1),
        AfterValidator(_rising),
    ]
    retarder_power_w: Positive
    retarder_ramp_s: Positive


class PowerShift:
    """See :class:`sim.machines.drive.Drive`."""

    __slots__ = (
        "_drive_n",
        "_gear",
        "_p",
        "_retarder",
        "_shift_until_ns",
        "_wheel_power_w",
        "consumed_j",
        "effect",
        "engaged",
        "rpm",
    )

    def __init__(self, parameters: PowerShiftParameters) -> None:
        self._p = parameters
        self._retarder = Retarder(parameters.retarder_power_w, parameters.retarder_ramp_s)
        self._wheel_power_w = parameters.power_w * parameters.efficiency
        self._gear = self.engaged = self._shift_until_ns = 0
        self._drive_n = self.consumed_j = 0.0
        self.rpm = IDLE_RPM
        self.effect: Effect = HEALTHY

    @property
    def retarder_effect(self) -> Effect:
        """Of the retarder's faults."""
        return self._retarder.effect

    @retarder_effect.setter
    def retarder_effect(self, effect: Effect) -> None:
        self._retarder.effect = effect

    @property
    def gear(self) -> int:
        """1 the lowest; 0 none."""
        return self._gear + 1 if self.engaged else 0

    @property
    def charge(self) -> float | None:
        """No battery."""
        return None

    def retard(self, road: Road, demand: ActuatorDemand) -> float:
        """The retarder's force."""
        return self._retarder.force(road.dt_s, demand.retarder, road.speed_mps)

    def pull(self, road: Road, demand: ActuatorDemand) -> float:
        """Governor, gear, power, adhesion, engine lag."""
        p, effect = self._p, self.effect
        if demand.direction != self.engaged:
            self._engage(road, demand.direction)
        engaged = self.engaged
        along_mps = road.speed_mps * engaged
        wanted_n = wanted_traction(road, demand, engaged)
        most_n = self._most_n(along_mps, road.tool_w)
        if effect is not HEALTHY:
            most_n *= effect.authority
            wanted_n = self._drive_n if effect.stuck else wanted_n
        most_n = min(most_n, road.grip_n)
        wanted_n = min(most_n, wanted_n)
        self._drive_n += (wanted_n - self._drive_n) * road.dt_s / (p.tau_s + 0.5 * road.dt_s)
        if engaged:
            self._shift(road, along_mps)
        top_rpm = RATED_RPM * abs(road.speed_mps) / p.gear_speeds_mps[self._gear]
        load_rpm = IDLE_RPM + CONVERTER_RPM * self._drive_n / p.force_max_n
        self.rpm = max(top_rpm, load_rpm)
        if engaged == 0 or road.now_ns < self._shift_until_ns:
            return 0.0
        return engaged * (min(most_n, self._drive_n))

    def _most_n(self, along_mps: float, tool_w: float) -> float:
        """What first gear, this gear's torque and the engine's power allow."""
        p = self._p
        power_w = self._wheel_power_w - tool_w * p.efficiency
        top_mps = p.gear_speeds_mps[self._gear]
        room = (top_mps * (1.0 + GEAR_OVERRUN) - along_mps) / (2.0 * GEAR_OVERRUN * top_mps)
        slow_mps = SHIFT_DOWN_SHARE * top_mps
        gear_n = power_w / slow_mps
        if room < 1.0:
            gear_n *= max(0.0, room)
        if along_mps > slow_mps and power_w < gear_n * along_mps:
            gear_n = power_w / along_mps
        return min(p.force_max_n, gear_n)

    def _engage(self, road: Road, direction: int) -> None:
        """Neutral at once; a direction after a shift gap, never against the way it rolls."""
        along_mps = road.speed_mps * direction
        if direction == 0 or along_mps < -DIRECTION_CHANGE_MPS:
            self.engaged = 0
        else:
            tops_mps = self._p.gear_speeds_mps
            self.engaged = direction
            self._gear = sum(top_mps * SHIFT_UP_SHARE < along_mps for top_mps in tops_mps[:-1])
            self._shift_until_ns = road.now_ns + round(self._p.shift_gap_s * 1e9)
        self._drive_n = 0.0

    def _shift(self, road: Road, along_mps: float) -> None:
        """One gear up or down, if the speed left after the gap still suits the next gear."""
        if road.now_ns < self._shift_until_ns:
            return
        speeds_mps, gear = self._p.gear_speeds_mps, self._gear
        if along_mps > SHIFT_UP_SHARE * speeds_mps[gear] and gear + 1 < len(speeds_mps):
            against_n = road.resistance_n - road.grade_n * self.engaged
            lost_mps = max(against_n, 0.0) / road.mass_kg * self._p.shift_gap_s
            if along_mps - lost_mps < SHIFT_DOWN_SHARE * speeds_mps[gear]:
                return
            self._gear = gear + 1
        elif gear > 0 and along_mps < SHIFT_DOWN_SHARE * speeds_mps[gear - 1]:
            self._gear = gear - 1
        else:
            return
        self._shift_until_ns = road.now_ns + round(self._p.shift_gap_s * 1e9)

    def account(self, dt_s: float, pulled_w: float, retarded_w: float, tool_w: float) -> None:  # noqa: ARG002 - a retarder gives nothing back
        """Burn fuel for traction, tool and idling."""
        p = self._p
        crank_w = pulled_w / p.efficiency + tool_w + IDLE_FUEL_SHARE * p.power_w
        self.consumed_j += crank_w / p.engine_efficiency * dt_s
