"""The gate: everything that moves the machine passes here, and what is not allowed does not.

Default deny: without a permit the demand is parked. With one, values are limited in size, rate
and jerk by the machine's own limits. A stop holds the last safe curvature (tunnels have walls)
and, once standing, freezes an articulated joint, because moving it still swings both bodies.
"""

from __future__ import annotations

import math
from enum import IntEnum
from typing import NamedTuple

from protocol.frames import FULL_SCALE, CommandFrame, CommandKind
from protocol.profiles import MachineLimits

DIRECTION_CHANGE_MPS = 0.3
"""Above this speed a change of direction is not obeyed: traction stays off."""
BRAKE_WINS_SHARE = 0.05
PARK_AFTER_NS = 1_000_000_000
"""At standstill with the throttle closed the park brake is set after this time."""
STANDSTILL_NS = 300_000_000
OVERSPEED_MARGIN_MPS = 0.2
OVERSPEED_BRAKE_MAX_MPS2 = 1.2
RETARDER_BAND_MPS = 0.6
MAX_STEP_NS = 50_000_000
"""A late tick may not open a rate limit further than this."""


class Permit(IntEnum):
    """What the supervisor allows this tick, stricter ones higher."""

    DRIVE = 0
    COAST = 1
    """Traction off; brake and steering obey a command that acts, and are held without one."""
    STOP = 2
    ESTOP = 3
    PARKED = 4
    """Nothing moves."""


class Measured(NamedTuple):
    """What the gate needs to know of the machine; None is unknown.

    Attributes:
        speed_mps: + forwards. curvature_per_m: + left.
        pull_mps2: of gravity along the motion; 0 on the level and uphill.
    """

    speed_mps: float | None
    curvature_per_m: float | None
    pull_mps2: float


class Demand(NamedTuple):
    """One tick's by-wire demand, SI, + left, magnitudes for brakes.

    Attributes:
        steer_valid: the curvature is to be followed; False leaves the joint where it is.
        estop: ask the ECU for its hardest stop.
    """

    curvature_per_m: float = 0.0
    steer_valid: bool = False
    accel_mps2: float = 0.0
    speed_limit_mps: float = 0.0
    direction: int = 0
    brake_mps2: float = 0.0
    retarder: float = 0.0
    park: bool = True
    horn: bool = False
    lights: bool = False
    implement: float = 0.0
    estop: bool = False


def _drives(command: CommandFrame) -> bool:
    return command.kind is CommandKind.DRIVE and command.enable


def _retarder(measured: Measured, cap_mps: float) -> float:
    """Return the share of the retarder: full at the cap, none a band below it."""
    speed_mps = cap_mps if measured.speed_mps is None else abs(measured.speed_mps)
    return min(max((speed_mps - cap_mps) / RETARDER_BAND_MPS + 1.0, 0.0), 1.0)


def _towards(current: float, target: float, step: float) -> float:
    return min(max(target, current - step), current + step)


class Gate:
    """Limits with memory: the last applied demand, and since when the machine stands."""

    def __init__(self, limits: MachineLimits) -> None:
        self._limits = limits
        self._last = Demand()
        self._last_ns: int | None = None
        self._still_since_ns: int | None = None
        self._closed_since_ns: int | None = None
        self._curvature_rate_per_m_s = 0.0

    @property
    def last(self) -> Demand:
        """The demand of the last tick."""
        return self._last

    def standstill(self, now_ns: int) -> bool:
        """Return True when the machine has stood for the standstill time."""
        since = self._still_since_ns
        return since is not None and now_ns - since >= STANDSTILL_NS

    def step(
        self,
        now_ns: int,
        permit: Permit,
        command: CommandFrame | None,
        measured: Measured,
        cap_mps: float,
    ) -> Demand:
        """Return this tick's demand.

        Args:
            now_ns: monotonic. permit: what the supervisor allows.
            command: the newest that acts. Only a drive command with enable moves anything;
                without one DRIVE becomes COAST.
            measured: from the machine. cap_mps: of the governor.
        """
        elapsed_ns = 0 if self._last_ns is None else max(0, now_ns - self._last_ns)
        dt_s = min(elapsed_ns, MAX_STEP_NS) / 1e9
        self._last_ns = now_ns
        self.observe(now_ns, measured)
        if permit <= Permit.COAST and command is not None and _drives(command):
            coasts = permit is Permit.COAST
            demand = self._obey(now_ns, dt_s, command, measured, cap_mps, coasts=coasts)
        elif permit <= Permit.COAST:
            demand = self._coast()
        elif permit in (Permit.STOP, Permit.ESTOP):
            demand = self._stop(now_ns, dt_s, hard=permit is Permit.ESTOP)
        else:
            demand = self._parked(measured)
        self._last = demand
        return demand

    def observe(self, now_ns: int, measured: Measured) -> None:
        """Note whether the machine stands, before anything is decided on it this tick."""
        speed = measured.speed_mps
        if speed is None or abs(speed) > self._limits.standstill_mps:
            self._still_since_ns = None
        elif self._still_since_ns is None:
            self._still_since_ns = now_ns

    def _parked(self, measured: Measured) -> Demand:
        self._curvature_rate_per_m_s = 0.0
        return Demand(
            curvature_per_m=self._in_range(measured.curvature_per_m or 0.0),
            brake_mps2=self._limits.stop_decel_mps2,
        )

    def _in_range(self, curvature_per_m: float) -> float:
        limit = self._limits.curvature_max_per_m
        return min(max(curvature_per_m, -limit), limit)

    def _stop(self, now_ns: int, dt_s: float, *, hard: bool) -> Demand:
        self._curvature_rate_per_m_s = 0.0
        last = self._last
        wanted = self._limits.service_brake_max_mps2 if hard else self._limits.stop_decel_mps2
        ramp = last.brake_mps2 + self._limits.brake_jerk_mps3 * max(dt_s, 0.01)
        if last.park:
            ramp = wanted
        standing = self.standstill(now_ns)
        return Demand(
            curvature_per_m=last.curvature_per_m,
            steer_valid=last.steer_valid and not standing,
            direction=last.direction,
            brake_mps2=max(last.brake_mps2, min(wanted, ramp)),
            park=standing or last.park,
            lights=last.lights,
            estop=hard,
        )

    def _coast(self) -> Demand:
        """No command acts: traction off, all else as it was; the retarder slows without a jerk."""
        self._curvature_rate_per_m_s = 0.0
        last = self._last
        return Demand(
            curvature_per_m=last.curvature_per_m,
            steer_valid=last.steer_valid,
            direction=last.direction,
            brake_mps2=last.brake_mps2,
            retarder=1.0,
            park=last.park,
            lights=last.lights,
        )

    def _cap_brake(self, measured: Measured, cap_mps: float) -> float:
        if measured.speed_mps is None:
            return self._limits.stop_decel_mps2
        # A gain of 1/s: 1 m/s² for each m/s above. Gravity is held beside it, all of it from the
        # margin on: else a decline carries the machine past its cap.
        over_mps = abs(measured.speed_mps) - cap_mps - OVERSPEED_MARGIN_MPS
        if cap_mps <= 0.0 and over_mps <= 0.0:
            # Within the margin of a stand nothing else holds: a grade would carry it on.
            return self._limits.stop_decel_mps2
        held_share = min(max(over_mps / OVERSPEED_MARGIN_MPS + 1.0, 0.0), 1.0)
        slowing_mps2 = min(max(over_mps, 0.0), OVERSPEED_BRAKE_MAX_MPS2)
        return min(
            slowing_mps2 + held_share * measured.pull_mps2, self._limits.service_brake_max_mps2
        )

    def _direction(self, command: CommandFrame, measured: Measured) -> int:
        last = self._last.direction
        speed = measured.speed_mps
        moving = speed is None or abs(speed) > DIRECTION_CHANGE_MPS
        return last if moving and last != 0 else command.gear

    def _obey(
        self,
        now_ns: int,
        dt_s: float,
        command: CommandFrame,
        measured: Measured,
        cap_mps: float,
        *,
        coasts: bool,
    ) -> Demand:
        limits, last = self._limits, self._last
        brake_share = command.brake / FULL_SCALE
        direction = self._direction(command, measured)
        barred = coasts or command.park_brake or direction == 0 or direction != command.gear
        pressed = 0.0 if barred or brake_share > BRAKE_WINS_SHARE else command.throttle / FULL_SCALE
        throttle = pressed * self._share_below_cap(measured, cap_mps)
        park = self._park(now_ns, command, throttle)
        wanted_brake = max(
            brake_share * limits.service_brake_max_mps2,
            0.0 if coasts else self._cap_brake(measured, cap_mps),
            limits.stop_decel_mps2 if park or direction == 0 or command.park_brake else 0.0,
        )
        return Demand(
            curvature_per_m=self._steered(command.steer / FULL_SCALE, dt_s),
            steer_valid=True,
            accel_mps2=min(
                throttle * limits.accel_max_mps2, last.accel_mps2 + limits.traction_jerk_mps3 * dt_s
            ),
            speed_limit_mps=0.0 if coasts else cap_mps,
            direction=direction,
            brake_mps2=_towards(last.brake_mps2, wanted_brake, limits.brake_jerk_mps3 * dt_s),
            retarder=1.0 if coasts else _retarder(measured, cap_mps),
            park=park,
            horn=command.horn,
            lights=command.lights,
            implement=command.implement / FULL_SCALE
            if self.standstill(now_ns) and not coasts
            else 0.0,
        )

    def _share_below_cap(self, measured: Measured, cap_mps: float) -> float:
        """Return what share of the traction is left: all up to the cap, none above its margin."""
        if measured.speed_mps is None or cap_mps <= 0.0:
            return 0.0
        over_mps = abs(measured.speed_mps) - cap_mps
        return min(max(1.0 - over_mps / OVERSPEED_MARGIN_MPS, 0.0), 1.0)

    def _steered(self, share: float, dt_s: float) -> float:
        """Return the next curvature: limited in size, rate and jerk, and without overshoot."""
        limits, now_per_m = self._limits, self._last.curvature_per_m
        jerk = limits.curvature_jerk_per_m_s2
        error_per_m = share * limits.curvature_max_per_m - now_per_m
        # The rate from which, after this step, the jerk limit still comes to rest on the target:
        # r·dt + r²/(2·jerk) = error.
        slowable = jerk * (math.sqrt(dt_s**2 + 2.0 * abs(error_per_m) / jerk) - dt_s)
        wanted = math.copysign(min(limits.curvature_rate_per_m_s, slowable), error_per_m)
        rate = _towards(self._curvature_rate_per_m_s, wanted, jerk * dt_s)
        self._curvature_rate_per_m_s = rate
        return self._in_range(now_per_m + rate * dt_s)

    def _park(self, now_ns: int, command: CommandFrame, throttle: float) -> bool:
        if not self.standstill(now_ns):
            self._closed_since_ns = None
            return self._last.park and throttle == 0.0
        if throttle > 0.0:
            self._closed_since_ns = None
            return False
        if self._closed_since_ns is None:
            self._closed_since_ns = now_ns
        closed_ns = now_ns - self._closed_since_ns
        return (
            self._last.park or command.park_brake or command.gear == 0 or closed_ns >= PARK_AFTER_NS
        )
