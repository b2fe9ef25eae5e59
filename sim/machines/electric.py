"""A battery and one motor geared to the wheels; braking fills the battery while it takes more.

The motor gives more than its rated power for a while: a store of seconds at peak, emptied
above rated power and filled below it. A lithium-ion battery gives less when nearly empty and
takes nothing when full, so that regeneration fades just where a long descent begins at the
charging point.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pydantic import with_config

from sim.machines.drive import DIRECTION_CHANGE_MPS, Road, wanted_traction
from sim.machines.faults import HEALTHY, Effect
from sim.machines.fields import STRICT, Part, Positive, Share
from sim.machines.interface import ActuatorDemand

RATED_RPM = 3000.0
"""Of the motor at the machine's top speed."""
EMPTY_BAND = 0.05
"""Below this charge the battery gives less, down to nothing."""
OVERLOAD_BAND_S = 5.0
"""The last seconds of the overload store take the power down to rated."""
STANDING_MPS = 0.3
"""Below it a motor has no voltage to brake with; over it regeneration comes in in proportion,
full at ten times as much."""


@with_config(STRICT)
@dataclass(frozen=True, slots=True)
class ElectricParameters:
    """[plant.drive] of kind "electric".

    Attributes:
        rated_power_w, peak_power_w: of the motor. peak_s: how long it gives its peak.
        efficiency: battery to wheel, and back. force_max_n: at the wheels. tau_s: lag.
        speed_max_mps: of the gearing.
        battery_j: whole content. charge: state of charge at the start.
        aux_w: cooling, steering pump, electronics.
        regen_power_w, regen_force_n, regen_ramp_s: at the wheels; time from nothing to full.
        charge_taper, charge_full: from the first charge on regeneration falls, to nothing.
    """

    kind: Literal["electric"]
    rated_power_w: Positive
    peak_power_w: Positive
    peak_s: Positive
    efficiency: Share
    force_max_n: Positive
    tau_s: Positive
    speed_max_mps: Positive
    battery_j: Positive
    charge: Part
    aux_w: Positive
    regen_power_w: Positive
    regen_force_n: Positive
    regen_ramp_s: Positive
    charge_taper: Share
    charge_full: Share

    def __post_init__(self) -> None:
        """Peaks lie above what they are the peaks of."""
        if self.charge_full <= self.charge_taper:
            raise ValueError("charge_full must lie above charge_taper")
        if self.peak_power_w < self.rated_power_w:
            raise ValueError("peak_power_w must not lie below rated_power_w")


class Electric:
    """See :class:`sim.machines.drive.Drive`. ``stored_j`` is what the battery holds."""

    __slots__ = (
        "_drive_n",
        "_overload_s",
        "_p",
        "_regen",
        "consumed_j",
        "effect",
        "engaged",
        "retarder_effect",
        "rpm",
        "stored_j",
    )

    def __init__(self, parameters: ElectricParameters) -> None:
        self._p = parameters
        self._drive_n = self._regen = self.consumed_j = self.rpm = 0.0
        self._overload_s = parameters.peak_s
        self.engaged = 0
        self.stored_j = parameters.battery_j * parameters.charge
        self.effect: Effect = HEALTHY
        self.retarder_effect: Effect = HEALTHY

    @property
    def gear(self) -> int:
        """One gear, when engaged."""
        return 1 if self.engaged else 0

    @property
    def charge(self) -> float | None:
        """State of charge 0…1."""
        return self.stored_j / self._p.battery_j

    def _power_w(self, tool_w: float) -> float:
        """What motor and battery give to the wheels now."""
        p = self._p
        over = self._overload_s / OVERLOAD_BAND_S
        power_w = p.rated_power_w
        if over > 0.0:
            power_w += (p.peak_power_w - power_w) * (min(1.0, over))
        left = self.stored_j / (p.battery_j * EMPTY_BAND)
        if left < 1.0:
            power_w *= left
        return max((power_w - tool_w) * p.efficiency, 0.0)

    def pull(self, road: Road, demand: ActuatorDemand) -> float:
        """Torque, power, adhesion, lag; a direction never against the way it rolls."""
        p, effect = self._p, self.effect
        if demand.direction != self.engaged:
            against = road.speed_mps * demand.direction < -DIRECTION_CHANGE_MPS
            self.engaged = 0 if against else demand.direction
            self._drive_n = 0.0
        along_mps = road.speed_mps * self.engaged
        wanted_n = wanted_traction(road, demand, self.engaged)
        most_n = p.force_max_n
        power_w = self._power_w(road.tool_w)
        if power_w < most_n * along_mps or power_w == 0.0:
            most_n = power_w / max(along_mps, 1e-3)
        if along_mps > p.speed_max_mps:
            most_n = 0.0
        if effect is not HEALTHY:
            most_n *= effect.authority
            wanted_n = self._drive_n if effect.stuck else wanted_n
        most_n = min(most_n, road.grip_n)
        wanted_n = min(most_n, wanted_n)
        self._drive_n += (wanted_n - self._drive_n) * road.dt_s / (p.tau_s + 0.5 * road.dt_s)
        self.rpm = RATED_RPM * abs(road.speed_mps) / p.speed_max_mps
        return self.engaged * (min(most_n, self._drive_n))

    def retard(self, road: Road, demand: ActuatorDemand) -> float:
        """Regeneration, as far as the battery takes it."""
        p, effect = self._p, self.retarder_effect
        if demand.retarder != self._regen and not effect.stuck:
            ramp = road.dt_s * effect.pace / p.regen_ramp_s
            asked = min(max(demand.retarder, 0.0), 1.0)
            self._regen += min(max(asked - self._regen, -ramp), ramp)
        if self._regen == 0.0:
            return 0.0
        room = (p.charge_full - self.stored_j / p.battery_j) / (p.charge_full - p.charge_taper)
        speed_mps = abs(road.speed_mps)
        slow = (speed_mps - STANDING_MPS) / (9.0 * STANDING_MPS)
        if room <= 0.0 or slow <= 0.0:
            return 0.0
        power_w = p.regen_power_w * min(room, 1.0)
        force_n = min(p.regen_force_n, power_w / speed_mps) * min(slow, 1.0)
        return self._regen * effect.authority * force_n

    def account(self, dt_s: float, pulled_w: float, retarded_w: float, tool_w: float) -> None:
        """Empty or fill the battery, wear or rest the motor."""
        p = self._p
        motor_w = pulled_w / p.efficiency
        given_j = (motor_w + tool_w + p.aux_w - retarded_w * p.efficiency) * dt_s
        given_j = min(given_j, self.stored_j)
        self.stored_j -= given_j
        self.consumed_j += given_j
        over = (motor_w + tool_w - p.rated_power_w) / (p.peak_power_w - p.rated_power_w or 1.0)
        self._overload_s = min(max(self._overload_s - over * dt_s, 0.0), p.peak_s)
