"""Plant of an articulated underground truck: pure, fixed step, integer time, plain floats.

Axes as ISO 8855: x forwards, y left, heading and joint angle positive to the left. The
reference point is the front axle's centre. Kinematics of the joint with tyre slip follow
from both axles' velocity directions (Altafini 1999; checked against the rear axle's own
equation by the tests); longitudinal motion is a point mass with a stiction state, so that
a held machine stands still on a grade to the last bit.
"""

from __future__ import annotations

import hashlib
import math
import struct
from collections import deque
from dataclasses import astuple, dataclass
from typing import Generic, TypeVar

from sim.machines.interface import ActuatorDemand, MachineFeedback
from sim.machines.parameters import BodySize, PlantParameters
from sim.machines.surroundings import BodyPose, Surroundings

_T = TypeVar("_T")

GRAVITY_MPS2 = 9.80665
AIR_DENSITY_KGPM3 = 1.2
STEP_MAX_NS = 20_000_000
"""Longest step: above it lags and dead times lose their shape."""

GOVERNOR_BAND_MPS = 0.5
"""Traction fades to nothing over this band below the demanded speed limit."""
COMPENSATION_FULL_MPS2 = 0.25
"""From this demand on the drive makes good grade, rolling and drag in full; below, in part."""
SHIFT_UP_SHARE = 0.95
SHIFT_DOWN_SHARE = 0.5
"""Of a gear's top speed: up above the first, down below the second share of the gear under it."""
GEAR_OVERRUN = 0.04
"""The engine's governor takes a gear's traction away over ± this share of its top speed."""
DIRECTION_CHANGE_MPS = 0.3
"""The gearbox engages against the way the machine rolls only below this speed."""
RETARDER_FADE_MPS, RETARDER_FULL_MPS = 5.0 / 3.6, 8.0 / 3.6
"""A hydraulic retarder loses its force below the first speed, has its power above the second."""
IDLE_RPM, CONVERTER_RPM, RATED_RPM = 700.0, 800.0, 2000.0
ACCEL_SENSOR_MPS2 = 19.0
"""Range of the acceleration sensor; an impact saturates it."""
SUPPLY_V = 27.6
CONTACT_CLEAR_M = 0.05
"""A touch counts as a new one after this much free travel."""


def joint_for_curvature(body: BodySize, curvature_per_m: float) -> float:
    """Joint angle, radians, at which the front axle runs on ``curvature_per_m``.

    Inverse of :func:`curvature_of_joint`; what no joint angle reaches gives the nearest.
    """
    lead = curvature_per_m * body.front_joint_m
    share = curvature_per_m * body.rear_joint_m / math.sqrt(1.0 + lead * lead)
    return math.atan(lead) + math.asin(min(max(share, -1.0), 1.0))


def curvature_of_joint(body: BodySize, joint_rad: float) -> float:
    """Path curvature, 1/m, of the front axle at a steady joint angle, without slip."""
    return math.sin(joint_rad) / (body.front_joint_m * math.cos(joint_rad) + body.rear_joint_m)


@dataclass(frozen=True, slots=True)
class TruckState:
    """The plant's truth, for the world, the logs and the tests.

    Attributes:
        time_ns: simulated time since the start.
        x_m, y_m, heading_rad: front axle centre and front unit.
        joint_rad, joint_rate_radps: front heading minus rear heading, + left.
        speed_mps, accel_mps2: of the front axle, signed.
        drive_force_n: at the wheels, signed. brake_mps2: service brake as it acts.
        retarder_force_n: magnitude. park_share: 1 the park brake's springs hold, else 0.
        gear: number of the engaged gear, 1 the lowest; 0 none.
        pitch_rad: + nose up.
        distance_m: travelled, whatever the direction. contacts: touches begun.
        touching: held by a wall now.
    """

    time_ns: int
    x_m: float
    y_m: float
    heading_rad: float
    joint_rad: float
    joint_rate_radps: float
    speed_mps: float
    accel_mps2: float
    drive_force_n: float
    brake_mps2: float
    retarder_force_n: float
    park_share: float
    gear: int
    pitch_rad: float
    distance_m: float
    contacts: int
    touching: bool


class _DeadTime(Generic[_T]):
    """A value that comes out unchanged, ``delay_ns`` later. Only changes are stored."""

    __slots__ = ("_delay_ns", "_last", "_queue", "value")

    def __init__(self, delay_s: float, value: _T) -> None:
        self._delay_ns = round(delay_s * 1e9)
        self._queue: deque[tuple[int, _T]] = deque()
        self._last = value
        self.value = value

    def pass_through(self, now_ns: int, value: _T) -> _T:
        """Put ``value`` in at ``now_ns``, take out what is due."""
        if value != self._last:
            self._last = value
            self._queue.append((now_ns + self._delay_ns, value))
        while self._queue and self._queue[0][0] <= now_ns:
            self.value = self._queue.popleft()[1]
        return self.value


class UndergroundTruck:
    """The plant. ``step`` advances it; ``state`` is its truth.

    Args:
        parameters: from the machine's [plant].
        body: from the machine's [machine].
        surroundings: floor and walls.
        start: pose at time 0, at standstill with the park brake applied.
    """

    __slots__ = (
        "_accel_mps2",
        "_b",
        "_brake_line",
        "_brake_mps2",
        "_contacts",
        "_distance_m",
        "_drive_n",
        "_engaged",
        "_force_n",
        "_free_m",
        "_gear",
        "_heading_rad",
        "_implement",
        "_joint_rad",
        "_joint_rate_radps",
        "_mass_eff_kg",
        "_p",
        "_park_applied",
        "_park_due_ns",
        "_pitch_rad",
        "_retarder",
        "_retarder_n",
        "_roll_rad",
        "_rpm",
        "_service_mps2",
        "_shift_until_ns",
        "_speed_mps",
        "_steer_line",
        "_steer_reference_rad",
        "_surroundings",
        "_time_ns",
        "_touching",
        "_wheel_power_w",
        "_x_m",
        "_y_m",
        "_yaw_rate_radps",
    )

    def __init__(
        self,
        parameters: PlantParameters,
        body: BodySize,
        surroundings: Surroundings,
        start: BodyPose,
    ) -> None:
        self._p, self._b, self._surroundings = parameters, body, surroundings
        self._mass_eff_kg = parameters.mass_kg * parameters.mass_factor
        self._wheel_power_w = parameters.power_w * parameters.driveline_efficiency
        self._time_ns = 0
        self._x_m, self._y_m, self._heading_rad, self._joint_rad = start
        self._joint_rate_radps = self._yaw_rate_radps = 0.0
        self._speed_mps = self._accel_mps2 = self._distance_m = 0.0
        floor = surroundings.floor(self._x_m, self._y_m, self._heading_rad)
        self._pitch_rad, self._roll_rad = math.atan(floor.grade), math.atan(floor.cross_grade)
        self._steer_line: _DeadTime[float | None] = _DeadTime(parameters.steer_dead_time_s, None)
        self._steer_reference_rad = self._joint_rad
        self._brake_line: _DeadTime[float] = _DeadTime(parameters.brake_dead_time_s, 0.0)
        self._service_mps2 = self._brake_mps2 = 0.0
        self._park_applied, self._park_due_ns = True, -1
        self._retarder = self._retarder_n = 0.0
        self._gear = self._engaged = self._shift_until_ns = 0
        self._drive_n = self._force_n = 0.0
        self._rpm, self._implement = IDLE_RPM, 0.0
        self._contacts, self._touching, self._free_m = 0, False, 0.0

    @property
    def state(self) -> TruckState:
        """The truth after the last step."""
        return TruckState(
            time_ns=self._time_ns,
            x_m=self._x_m,
            y_m=self._y_m,
            heading_rad=self._heading_rad,
            joint_rad=self._joint_rad,
            joint_rate_radps=self._joint_rate_radps,
            speed_mps=self._speed_mps,
            accel_mps2=self._accel_mps2,
            drive_force_n=self._force_n,
            brake_mps2=self._brake_mps2,
            retarder_force_n=self._retarder_n,
            park_share=1.0 if self._park_applied else 0.0,
            gear=self._gear + 1 if self._engaged else 0,
            pitch_rad=self._pitch_rad,
            distance_m=self._distance_m,
            contacts=self._contacts,
            touching=self._touching,
        )

    def digest(self) -> str:
        """SHA-256 over every bit of the state: two equal runs have equal digests."""
        values = [float(value) for value in astuple(self.state)]
        return hashlib.sha256(struct.pack(f"<{len(values)}d", *values)).hexdigest()

    def step(self, dt_ns: int, demand: ActuatorDemand) -> MachineFeedback:
        """Advance by ``dt_ns`` under ``demand`` and report what the sensors see.

        Raises:
            ValueError: the step is not 1…``STEP_MAX_NS``, or a demand is not a number.
        """
        if not 0 < dt_ns <= STEP_MAX_NS:
            raise ValueError(f"step of {dt_ns} ns is outside 1…{STEP_MAX_NS}")
        if not _finite(demand):
            raise ValueError(f"a demand is not a number: {demand}")
        self._time_ns += dt_ns
        dt_s = dt_ns * 1e-9
        grade, cross_grade, friction = self._surroundings.floor(
            self._x_m, self._y_m, self._heading_rad
        )
        self._pitch_rad, self._roll_rad = math.atan(grade), math.atan(cross_grade)
        joint_rad = self._steer(dt_s, demand.curvature_per_m)
        before_mps = self._speed_mps
        after_mps, mean_mps = self._longitudinal(dt_s, demand, grade, friction)
        self._move(dt_s, after_mps, mean_mps, joint_rad, grade)
        self._accel_mps2 = (self._speed_mps - before_mps) / dt_s
        self._implement = min(
            max(self._implement + demand.implement * dt_s / self._p.body_raise_s, 0.0), 1.0
        )
        return self._feedback()

    def _steer(self, dt_s: float, curvature_per_m: float | None) -> float:
        """Dead time, rate limit, lag, dead band, end stop: the joint angle after this step."""
        p, joint_rad = self._p, self._joint_rad
        wanted = self._steer_line.pass_through(self._time_ns, curvature_per_m)
        if wanted is None:
            self._steer_reference_rad = joint_rad
            return joint_rad
        limit_rad = p.steer_limit_rad
        target_rad = joint_for_curvature(self._b, wanted)
        beyond_rad = limit_rad + 2.0 * p.steer_dead_band_rad
        most_rad = p.steer_rate_radps * dt_s
        ahead_rad = min(max(target_rad, -beyond_rad), beyond_rad) - self._steer_reference_rad
        self._steer_reference_rad += min(max(ahead_rad, -most_rad), most_rad)
        error_rad = self._steer_reference_rad - joint_rad
        if abs(error_rad) <= p.steer_dead_band_rad:
            return joint_rad
        joint_rad += error_rad * dt_s / (p.steer_tau_s + 0.5 * dt_s)
        return min(max(joint_rad, -limit_rad), limit_rad)

    def _longitudinal(
        self, dt_s: float, demand: ActuatorDemand, grade: float, friction: float
    ) -> tuple[float, float]:
        """Speed after this step and its mean over it: forces along the path, and stiction."""
        p, mass_eff_kg, speed_mps = self._p, self._mass_eff_kg, self._speed_mps
        cosine = 1.0 / math.sqrt(1.0 + grade * grade)
        load_n = p.mass_kg * GRAVITY_MPS2 * cosine
        grade_n = -load_n * grade
        rolling_n = p.rolling_resistance * load_n
        drag_n = 0.5 * AIR_DENSITY_KGPM3 * p.drag_area_m2 * speed_mps * speed_mps
        grip_n = min(p.friction, friction) * load_n
        drive_n = self._drive(dt_s, demand, rolling_n + drag_n, grade_n, grip_n)
        brakes_n = min(self._brakes(dt_s, demand), grip_n)
        push_n = drive_n + grade_n
        hold_n = rolling_n + brakes_n
        if speed_mps == 0.0:
            if abs(push_n) <= hold_n:
                return 0.0, 0.0
            after_mps = (push_n - math.copysign(hold_n, push_n)) / mass_eff_kg * dt_s
            return after_mps, 0.5 * after_mps
        slow_n = math.copysign(hold_n + drag_n, speed_mps)
        after_mps = speed_mps + (push_n - slow_n) / mass_eff_kg * dt_s
        if after_mps * speed_mps > 0.0:
            return after_mps, 0.5 * (speed_mps + after_mps)
        moving_share = speed_mps / (speed_mps - after_mps)
        return 0.0, 0.5 * speed_mps * moving_share

    def _drive(
        self,
        dt_s: float,
        demand: ActuatorDemand,
        resistance_n: float,
        grade_n: float,
        grip_n: float,
    ) -> float:
        """Signed traction at the wheels: governor, gear, power, adhesion, engine lag."""
        p = self._p
        self._engage(demand.direction)
        along_mps = self._speed_mps * self._engaged
        wanted_n = 0.0
        if self._engaged and demand.accel_mps2 > 0.0:
            against_n = resistance_n - grade_n * self._engaged
            share = min(demand.accel_mps2 / COMPENSATION_FULL_MPS2, 1.0)
            fade = (demand.speed_limit_mps - along_mps) / GOVERNOR_BAND_MPS
            wanted_n = self._mass_eff_kg * demand.accel_mps2 + against_n * share
            wanted_n *= min(max(fade, 0.0), 1.0)
        top_mps = p.gear_speeds_mps[self._gear]
        room = (top_mps * (1.0 + GEAR_OVERRUN) - along_mps) / (2.0 * GEAR_OVERRUN * top_mps)
        gear_n = self._wheel_power_w / (SHIFT_DOWN_SHARE * top_mps) * min(max(room, 0.0), 1.0)
        power_n = self._wheel_power_w / max(along_mps, 1e-3)
        most_n = min(p.traction_force_max_n, gear_n, power_n, grip_n)
        wanted_n = min(max(wanted_n, 0.0), most_n)
        self._drive_n += (wanted_n - self._drive_n) * dt_s / (p.engine_tau_s + 0.5 * dt_s)
        self._shift(along_mps, resistance_n - grade_n * self._engaged)
        shifting = self._time_ns < self._shift_until_ns
        force_n = 0.0 if shifting else min(self._drive_n, most_n)
        self._force_n = force_n * self._engaged
        self._rpm = max(
            IDLE_RPM + CONVERTER_RPM * self._drive_n / p.traction_force_max_n,
            RATED_RPM * abs(self._speed_mps) / top_mps,
        )
        return self._force_n

    def _engage(self, direction: int) -> None:
        """Neutral at once; a direction after a shift gap, never against the way it rolls."""
        if direction == self._engaged:
            return
        along_mps = self._speed_mps * direction
        if direction == 0 or along_mps < -DIRECTION_CHANGE_MPS:
            self._engaged = 0
        else:
            tops_mps = self._p.gear_speeds_mps
            self._engaged = direction
            self._gear = sum(top_mps * SHIFT_UP_SHARE < along_mps for top_mps in tops_mps[:-1])
            self._shift_until_ns = self._time_ns + round(self._p.shift_gap_s * 1e9)
        self._drive_n = 0.0

    def _shift(self, along_mps: float, against_n: float) -> None:
        """One gear up or down, if the speed left after the gap still suits the next gear."""
        if self._time_ns < self._shift_until_ns:
            return
        p = self._p
        speeds_mps, gear = p.gear_speeds_mps, self._gear
        if along_mps > SHIFT_UP_SHARE * speeds_mps[gear] and gear + 1 < len(speeds_mps):
            lost_mps = max(against_n, 0.0) / self._mass_eff_kg * p.shift_gap_s
            if along_mps - lost_mps < SHIFT_DOWN_SHARE * speeds_mps[gear]:
                return
            self._gear = gear + 1
        elif gear > 0 and along_mps < SHIFT_DOWN_SHARE * speeds_mps[gear - 1]:
            self._gear = gear - 1
        else:
            return
        self._shift_until_ns = self._time_ns + round(p.shift_gap_s * 1e9)

    def _brakes(self, dt_s: float, demand: ActuatorDemand) -> float:
        """Force magnitude of service brake, park brake and retarder together."""
        p, mass_eff_kg = self._p, self._mass_eff_kg
        asked = self._brake_line.pass_through(self._time_ns, demand.brake_mps2)
        asked = min(max(asked, 0.0), p.brake_max_mps2)
        self._service_mps2 += (asked - self._service_mps2) * dt_s / (p.brake_tau_s + 0.5 * dt_s)
        if asked == 0.0 and self._service_mps2 < 1e-3:
            self._service_mps2 = 0.0
        self._brake_mps2 = self._service_mps2
        ramp = dt_s / p.retarder_ramp_s
        level = min(max(demand.retarder, 0.0), 1.0) - self._retarder
        self._retarder += min(max(level, -ramp), ramp)
        fast_mps = max(abs(self._speed_mps), RETARDER_FULL_MPS)
        fade = min(abs(self._speed_mps) / RETARDER_FADE_MPS, 1.0)
        self._retarder_n = self._retarder * fade * p.retarder_power_w / fast_mps
        park_mps2 = p.park_brake_mps2 if self._park(demand.park) else 0.0
        return mass_eff_kg * (self._service_mps2 + park_mps2) + self._retarder_n

    def _park(self, wanted: bool) -> bool:
        """Spring-applied: holds or not, each change one dead time after it was asked."""
        if wanted == self._park_applied:
            self._park_due_ns = -1
        elif self._park_due_ns < 0:
            self._park_due_ns = self._time_ns + round(self._p.park_dead_time_s * 1e9)
        elif self._time_ns >= self._park_due_ns:
            self._park_applied, self._park_due_ns = wanted, -1
        return self._park_applied

    def _move(
        self, dt_s: float, after_mps: float, mean_mps: float, joint_rad: float, grade: float
    ) -> None:
        """Joint kinematics by the midpoint rule, up to the first touch."""
        p, body = self._p, self._b
        if mean_mps == 0.0 and joint_rad == self._joint_rad:
            self._joint_rate_radps = self._yaw_rate_radps = 0.0
            return
        rate_radps = (joint_rad - self._joint_rad) / dt_s
        middle_rad = 0.5 * (joint_rad + self._joint_rad)
        plan_mps = mean_mps / math.sqrt(1.0 + grade * grade)
        lateral = -mean_mps * abs(mean_mps) * curvature_of_joint(body, middle_rad)
        most_rad = p.slip_max_rad
        front_rad = min(max(p.slip_front_rad_per_mps2 * lateral, -most_rad), most_rad)
        rear_rad = min(max(p.slip_rear_rad_per_mps2 * lateral, -most_rad), most_rad)
        rear_cosine = body.rear_joint_m * math.cos(rear_rad)
        yaw_radps = (
            plan_mps * math.sin(middle_rad + front_rad - rear_rad) + rate_radps * rear_cosine
        ) / (body.front_joint_m * math.cos(middle_rad - rear_rad) + rear_cosine)
        course_rad = self._heading_rad + 0.5 * yaw_radps * dt_s + front_rad
        run_m = plan_mps * dt_s
        before = BodyPose(self._x_m, self._y_m, self._heading_rad, self._joint_rad)
        after = BodyPose(
            self._x_m + run_m * math.cos(course_rad),
            self._y_m + run_m * math.sin(course_rad),
            self._heading_rad + yaw_radps * dt_s,
            joint_rad,
        )
        self._speed_mps = after_mps
        self._joint_rate_radps, self._yaw_rate_radps = rate_radps, yaw_radps
        share = self._surroundings.free_share(before, after)
        if share < 1.0:
            after = self._touch(before, after, share)
            run_m *= share
        elif self._touching:
            self._free_m += abs(run_m)
            self._touching = self._free_m < CONTACT_CLEAR_M
        self._x_m, self._y_m, self._heading_rad, self._joint_rad = after
        self._distance_m += abs(mean_mps * dt_s) * share

    def _touch(self, before: BodyPose, after: BodyPose, share: float) -> BodyPose:
        """Inelastic: the machine stands where the free way ended, its joint with it."""
        self._contacts += not self._touching
        self._touching, self._free_m = True, 0.0
        self._speed_mps = self._joint_rate_radps = self._yaw_rate_radps = 0.0
        at = BodyPose(*(a + (b - a) * share for a, b in zip(before, after, strict=True)))
        self._steer_reference_rad = at.joint_rad
        return at

    def _feedback(self) -> MachineFeedback:
        park = self._park_applied if self._park_due_ns < 0 else None
        return MachineFeedback(
            self._speed_mps,
            min(max(self._accel_mps2, -ACCEL_SENSOR_MPS2), ACCEL_SENSOR_MPS2),
            curvature_of_joint(self._b, self._joint_rad),
            self._joint_rad,
            self._rpm,
            self._engaged,
            self._brake_mps2,
            park,
            self._yaw_rate_radps,
            self._pitch_rad,
            self._roll_rad,
            self._implement,
            SUPPLY_V,
        )


def _finite(demand: ActuatorDemand) -> bool:
    """Whether every number of ``demand`` is one."""
    curvature = demand.curvature_per_m or 0.0
    return math.isfinite(
        curvature
        + demand.accel_mps2
        + demand.speed_limit_mps
        + demand.brake_mps2
        + demand.retarder
        + demand.implement
    )
