"""The plant of every machine: pure, fixed step, integer time, plain floats.

It is put together from parts that a machine file names: a frame that turns, a drive that pulls
and retards, brakes, a tool, a trailer. Motion is a point mass along a path with stiction, the
path is that of the frame with tyre slip (Altafini 1999 for the articulated one), and tyres give
along and across together no more than friction times load (Kamm's circle). Side forces follow
the speed at once: below the some 10 m/s of remote driving a machine's yaw settles within a
fraction of the steering's own lag.

Axes as ISO 8855: x forwards, y left, headings and joint angles positive to the left.
"""

from __future__ import annotations

import hashlib
import math
import struct
from collections.abc import Iterable
from typing import NamedTuple

from sim.machines import trailer
from sim.machines.brakes import ParkBrake, ServiceBrake
from sim.machines.drive import Drive, Road
from sim.machines.electric import Electric, ElectricParameters
from sim.machines.energy import Ledger
from sim.machines.faults import Actuator, Fault, effects
from sim.machines.frames import ArticulatedFrame, frame_of
from sim.machines.hydrostatic import Hydrostatic, HydrostaticParameters
from sim.machines.interface import ActuatorDemand, MachineFeedback
from sim.machines.longitudinal import AIR_DENSITY_KGPM3, GRAVITY_MPS2, Forces, next_speed
from sim.machines.parameters import Machine, PlantParameters
from sim.machines.power_shift import PowerShift
from sim.machines.stability import LYING_RAD, SLIDING_FRICTION, Stability
from sim.machines.steering import Steering
from sim.machines.surroundings import BodyPose, Floor, Surroundings
from sim.machines.tools import tool_of

STEP_MAX_NS = 20_000_000
"""Longest step: above it lags and dead times lose their shape."""
GRIP_LEFT_SHARE = 0.2
"""Of its grip a tyre keeps for one direction, however much the other takes: it still rolls."""
SIDE_GRIP_FROM_MPS = 1.0
"""Below it no side force is worth the name."""
ACCEL_SENSOR_MPS2 = 19.0
"""Range of the acceleration sensor; an impact saturates it."""
SUPPLY_V = 27.6
CONTACT_CLEAR_M = 0.05
"""A touch counts as a new one after this much free travel."""


class MachineState(NamedTuple):
    """The plant's truth, for the world, the logs and the tests.

    Attributes:
        time_ns: simulated time since the start.
        x_m, y_m, heading_rad: reference point and front unit.
        steer_rad: of the steering actuator: the joint, or the foremost steered axle.
        joint_rad, joint_rate_radps: front heading minus that of the rear unit or trailer, + left.
        curvature_per_m: that the steering stands for, + left. yaw_rate_radps: of the front unit.
        speed_mps, accel_mps2: of the reference point, signed.
        drive_force_n: at the wheels, signed. brake_mps2: service brake as it acts.
        retarder_force_n: magnitude, of retarder, regeneration or hydrostatic circuit.
        park_share: 1 the park brake's springs hold, else 0.
        gear: number of the engaged gear, 1 the lowest; 0 none. direction: −1, 0, +1 engaged.
        pitch_rad: + nose up. roll_share: wheel load moved to one side, + to the right; at ±1
            a wheel lifts. overturned: it lies.
        tool: −1…1 position. payload_share: of the payload, aboard.
        brake_temperature_c: of the service brake. consumed_j: from tank or battery.
        charge: of the battery; NaN without one.
        distance_m: travelled, whatever the direction. contacts: touches begun.
        touching: held by a wall now.
    """

    time_ns: int
    x_m: float
    y_m: float
    heading_rad: float
    steer_rad: float
    joint_rad: float
    joint_rate_radps: float
    curvature_per_m: float
    yaw_rate_radps: float
    speed_mps: float
    accel_mps2: float
    drive_force_n: float
    brake_mps2: float
    retarder_force_n: float
    park_share: float
    gear: int
    direction: int
    pitch_rad: float
    roll_share: float
    overturned: bool
    tool: float
    payload_share: float
    brake_temperature_c: float
    consumed_j: float
    charge: float
    distance_m: float
    contacts: int
    touching: bool


def drive_of(parameters: PlantParameters) -> Drive:
    """The drive that a machine file describes."""
    drive = parameters.drive
    if isinstance(drive, ElectricParameters):
        return Electric(drive)
    if isinstance(drive, HydrostaticParameters):
        return Hydrostatic(drive)
    return PowerShift(drive)


class MachinePlant:
    """The plant. ``step`` advances it; ``state`` is its truth.

    Args:
        machine: machine file.
        surroundings: floor and walls.
        start: pose at time 0, at standstill with the park brake applied.
        payload_share: of its payload, aboard at the start.

    Attributes:
        drive, tool, service_brake, stability: its parts, to look at.
        ledger: where the energy went.
    """

    __slots__ = (
        "_accel_mps2",
        "_contacts",
        "_curvature_per_m",
        "_distance_m",
        "_forces",
        "_free_m",
        "_heading_rad",
        "_joint_rad",
        "_joint_rate_radps",
        "_mass_eff_kg",
        "_mass_kg",
        "_p",
        "_park_brake",
        "_payload_share",
        "_pitch_rad",
        "_road",
        "_roll_rad",
        "_side_grip_mps2",
        "_speed_mps",
        "_steering",
        "_steers_joint",
        "_surroundings",
        "_time_ns",
        "_touching",
        "_tyres",
        "_x_m",
        "_y_m",
        "_yaw_rate_radps",
        "drive",
        "frame",
        "ledger",
        "service_brake",
        "stability",
        "tool",
    )

    def __init__(
        self,
        machine: Machine,
        surroundings: Surroundings,
        start: BodyPose,
        payload_share: float = 1.0,
    ) -> None:
        p = machine.plant
        self._p, self._tyres, self._surroundings = p, p.tyres, surroundings
        self.frame = frame_of(machine.profile.machine)
        self._steers_joint = isinstance(self.frame, ArticulatedFrame)
        self._x_m, self._y_m, self._heading_rad, self._joint_rad = start
        steer_rad = self._joint_rad if self._steers_joint else 0.0
        self._steering = Steering(p.steering, self.frame, steer_rad)
        self._curvature_per_m = self.frame.curvature_of(steer_rad)
        self.drive = drive_of(p)
        loaded_kg = p.loaded_kg * p.mass_factor
        self.service_brake = ServiceBrake(p.brakes, loaded_kg)
        self._park_brake = ParkBrake(p.brakes, loaded_kg)
        self.tool = tool_of(p.tool)
        self.stability = Stability(p.stability)
        self.ledger = Ledger()
        self.load(payload_share)
        self._road, self._forces = Road(), Forces()
        self._time_ns = 0
        self._joint_rate_radps = self._yaw_rate_radps = 0.0
        self._speed_mps = self._accel_mps2 = self._distance_m = 0.0
        self._side_grip_mps2 = 0.0
        floor = surroundings.floor(self._x_m, self._y_m, self._heading_rad)
        self._pitch_rad, self._roll_rad = math.atan(floor.grade), math.atan(floor.cross_grade)
        self._contacts, self._touching, self._free_m = 0, False, 0.0

    def load(self, payload_share: float) -> None:
        """Carry this share 0…1 of the payload from now on.

        Raises:
            ValueError: it is not one.
        """
        if not 0.0 <= payload_share <= 1.0:
            raise ValueError(f"payload share {payload_share} is outside 0…1")
        p = self._p
        self._payload_share = payload_share
        self._mass_kg = p.empty_kg + payload_share * p.payload_kg
        self._mass_eff_kg = self._mass_kg * p.mass_factor
        self.stability.load(payload_share)

    def set_faults(self, faults: Iterable[Fault]) -> None:
        """Have these faults of actuators, and no others, from the next step on."""
        found = effects(faults)
        self._steering.effect = found[Actuator.STEERING]
        self.service_brake.effect = found[Actuator.BRAKE]
        self._park_brake.effect = found[Actuator.PARK_BRAKE]
        self.drive.effect = found[Actuator.DRIVE]
        self.drive.retarder_effect = found[Actuator.RETARDER]
        self.tool.effect = found[Actuator.TOOL]

    @property
    def state(self) -> MachineState:
        """The truth after the last step."""
        charge = self.drive.charge
        return MachineState(
            time_ns=self._time_ns,
            x_m=self._x_m,
            y_m=self._y_m,
            heading_rad=self._heading_rad,
            steer_rad=self._steering.angle_rad,
            joint_rad=self._joint_rad,
            joint_rate_radps=self._joint_rate_radps,
            curvature_per_m=self._curvature_per_m,
            yaw_rate_radps=self._yaw_rate_radps,
            speed_mps=self._speed_mps,
            accel_mps2=self._accel_mps2,
            drive_force_n=self._forces.drive_n,
            brake_mps2=self.service_brake.force_n / self._mass_eff_kg,
            retarder_force_n=self._forces.retarder_n,
            park_share=1.0 if self._park_brake.applied else 0.0,
            gear=self.drive.gear,
            direction=self.drive.engaged,
            pitch_rad=self._pitch_rad,
            roll_share=self.stability.share,
            overturned=self.stability.overturned,
            tool=self.tool.position,
            payload_share=self._payload_share,
            brake_temperature_c=self.service_brake.temperature_c,
            consumed_j=self.drive.consumed_j,
            charge=math.nan if charge is None else charge,
            distance_m=self._distance_m,
            contacts=self._contacts,
            touching=self._touching,
        )

    @property
    def kinetic_j(self) -> float:
        """Of the moving and the rotating parts."""
        return 0.5 * self._mass_eff_kg * self._speed_mps * self._speed_mps

    def digest(self) -> str:
        """SHA-256 over every bit of the state: two equal runs have equal digests."""
        values = [float(value) for value in self.state]
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
        self._time_ns = now_ns = self._time_ns + dt_ns
        dt_s = dt_ns * 1e-9
        floor = self._surroundings.floor(self._x_m, self._y_m, self._heading_rad)
        grade, cross_grade = floor.grade, floor.cross_grade
        self._pitch_rad, self._roll_rad = math.atan(grade), math.atan(cross_grade)
        before_mps, tool = self._speed_mps, self.tool
        tool.step(dt_s, demand.implement, before_mps)
        if tool.payload_most < self._payload_share:
            self.load(tool.payload_most)
        curvature_per_m = None if self.stability.overturned else demand.curvature_per_m
        steer_rad = self._steering.step(now_ns, dt_s, curvature_per_m, before_mps * dt_s)
        self._longitudinal(dt_s, demand, floor, steer_rad)
        self._accel_mps2 = (self._speed_mps - before_mps) / dt_s
        self.stability.step(dt_ns, self._speed_mps * self._yaw_rate_radps, cross_grade)
        return self._feedback()

    def _longitudinal(
        self, dt_s: float, demand: ActuatorDemand, floor: Floor, steer_rad: float
    ) -> None:
        """Forces along the path, the way that they make, and the books of their work."""
        grade = floor.grade
        mass_eff_kg, speed_mps = self._mass_eff_kg, self._speed_mps
        load_n = self._mass_kg * GRAVITY_MPS2 / math.sqrt(1.0 + grade * grade)
        whole_n = load_n * min(self._tyres.friction, floor.friction)
        grip_n = _rest_of(whole_n, self._mass_kg * speed_mps * self._yaw_rate_radps)
        forces = self._act(dt_s, demand, load_n, grip_n, floor)
        push_n = forces.drive_n + forces.grade_n
        after_mps, mean_mps = next_speed(speed_mps, push_n, forces.hold_n, mass_eff_kg, dt_s)
        tyre_n = forces.drive_n - math.copysign(forces.brakes_n, speed_mps)
        self._side_grip_mps2 = _rest_of(whole_n, tyre_n) / self._mass_kg
        start_j = self.kinetic_j
        way_m = self._move(dt_s, after_mps, mean_mps, steer_rad, grade)
        self.ledger.book(forces, way_m, start_j, hit=self._touching and self._speed_mps == 0.0)
        mean_mps = abs(way_m) / dt_s
        self.service_brake.warm(forces.service_n * mean_mps, dt_s)
        pulled_w = forces.drive_n * way_m / dt_s
        self.drive.account(dt_s, pulled_w, forces.retarder_n * mean_mps, self.tool.power_w)

    def _act(
        self, dt_s: float, demand: ActuatorDemand, load_n: float, grip_n: float, floor: Floor
    ) -> Forces:
        """What drive and brakes make of the demand on this floor."""
        p, road, forces, drive = self._p, self._road, self._forces, self.drive
        speed_mps, mass_eff_kg = self._speed_mps, self._mass_eff_kg
        rolling = p.tyres.rolling_resistance + floor.rolling
        forces.rolling_n = rolling * load_n + self.tool.draft_n
        forces.drag_n = 0.5 * AIR_DENSITY_KGPM3 * p.drag_area_m2 * speed_mps * speed_mps
        forces.grade_n = -load_n * floor.grade
        road.now_ns, road.dt_s, road.speed_mps = self._time_ns, dt_s, speed_mps
        road.mass_kg, road.grade_n = mass_eff_kg, forces.grade_n
        road.resistance_n = forces.rolling_n + forces.drag_n
        road.grip_n, road.tool_w = grip_n * p.tyres.driven_share, self.tool.power_w
        forces.drive_n = drive.pull(road, demand)
        forces.retarder_n = min(drive.retard(road, demand), road.grip_n)
        brake, asked_mps2 = self.service_brake, demand.brake_mps2
        forces.service_n = brake.step(self._time_ns, dt_s, asked_mps2, mass_eff_kg)
        forces.park_n = self._park_brake.step(self._time_ns, wanted=demand.park)
        if self.stability.overturned:
            forces.drive_n = forces.retarder_n = forces.service_n = forces.park_n = 0.0
            forces.rolling_n, forces.sliding_n = 0.0, SLIDING_FRICTION * load_n
        forces.within_grip(grip_n)
        return forces

    def _move(
        self, dt_s: float, after_mps: float, mean_mps: float, steer_rad: float, grade: float
    ) -> float:
        """Kinematics by the midpoint rule, up to the first touch; the way along the slope."""
        frame, steering, tyres = self.frame, self._steering, self._tyres
        before_rad, before_per_m = steering.angle_rad, self._curvature_per_m
        self._speed_mps = after_mps
        if steer_rad != before_rad:
            self._curvature_per_m = frame.curvature_of(steer_rad)
        elif mean_mps == 0.0:
            self._joint_rate_radps = self._yaw_rate_radps = 0.0
            return 0.0
        rate_radps = (steer_rad - before_rad) / dt_s
        plan_mps = mean_mps / math.sqrt(1.0 + grade * grade)
        lateral = -0.5 * mean_mps * abs(mean_mps) * (before_per_m + self._curvature_per_m)
        front_rad, rear_rad = (
            tyres.slip_front_rad_per_mps2 * lateral,
            tyres.slip_rear_rad_per_mps2 * lateral,
        )
        most_rad = tyres.slip_max_rad
        if not (-most_rad <= front_rad <= most_rad and -most_rad <= rear_rad <= most_rad):
            front_rad = min(max(front_rad, -most_rad), most_rad)
            rear_rad = min(max(rear_rad, -most_rad), most_rad)
        middle_rad = 0.5 * (steer_rad + before_rad)
        yaw_radps = frame.yaw_rate(plan_mps, middle_rad, rate_radps, front_rad, rear_rad)
        if mean_mps > SIDE_GRIP_FROM_MPS or mean_mps < -SIDE_GRIP_FROM_MPS:
            most_radps = self._side_grip_mps2 / abs(mean_mps)
            if self._steers_joint:
                most_radps += abs(rate_radps)
            if not -most_radps <= yaw_radps <= most_radps:
                yaw_radps = math.copysign(most_radps, yaw_radps)
        joint_rad = self._joint_rad
        if self._steers_joint:
            joint_rad = steer_rad
        elif self._p.trailer is not None:
            joint_rad = trailer.next_joint(self._p.trailer, joint_rad, plan_mps, yaw_radps, dt_s)
        course_rad = self._heading_rad + 0.5 * yaw_radps * dt_s
        course_rad += frame.course_slip(front_rad, rear_rad)
        run_m = plan_mps * dt_s
        before = BodyPose(self._x_m, self._y_m, self._heading_rad, self._joint_rad)
        after = BodyPose(
            self._x_m + run_m * math.cos(course_rad),
            self._y_m + run_m * math.sin(course_rad),
            self._heading_rad + yaw_radps * dt_s,
            joint_rad,
        )
        self._joint_rate_radps = (joint_rad - self._joint_rad) / dt_s
        self._yaw_rate_radps = yaw_radps
        steering.angle_rad = steer_rad
        share = self._surroundings.free_share(before, after)
        if share < 1.0:
            after = self._touch(before, after, share)
            mean_mps *= share
        elif self._touching:
            self._free_m += abs(run_m)
            self._touching = self._free_m < CONTACT_CLEAR_M
        self._x_m, self._y_m, self._heading_rad, self._joint_rad = after
        self._distance_m += abs(mean_mps * dt_s)
        return mean_mps * dt_s

    def _touch(self, before: BodyPose, after: BodyPose, share: float) -> BodyPose:
        """Inelastic: the machine stands where the free way ended, its joint with it."""
        self._contacts += not self._touching
        self._touching, self._free_m = True, 0.0
        self._speed_mps = self._joint_rate_radps = self._yaw_rate_radps = 0.0
        at = BodyPose(*(a + (b - a) * share for a, b in zip(before, after, strict=True)))
        if self._steers_joint:
            self._steering.hold_at(at.joint_rad)
            self._curvature_per_m = self.frame.curvature_of(at.joint_rad)
        return at

    def _feedback(self) -> MachineFeedback:
        accel_mps2 = self._accel_mps2 + self.tool.shake_mps2
        if not -ACCEL_SENSOR_MPS2 <= accel_mps2 <= ACCEL_SENSOR_MPS2:
            accel_mps2 = math.copysign(ACCEL_SENSOR_MPS2, accel_mps2)
        drive, roll_rad = self.drive, self._roll_rad
        if self.stability.overturned:
            roll_rad = math.copysign(LYING_RAD, self.stability.share)
        return MachineFeedback(
            self._speed_mps,
            accel_mps2,
            self._curvature_per_m,
            self.frame.shown_angle(self._steering.angle_rad),
            drive.rpm,
            drive.engaged,
            self.service_brake.pressure_n / self._mass_eff_kg,
            self._park_brake.shown,
            self._yaw_rate_radps,
            self._pitch_rad,
            roll_rad,
            self.tool.position,
            SUPPLY_V,
        )


def _rest_of(grip_n: float, used_n: float) -> float:
    """What friction leaves for one direction when the other uses ``used_n`` of it."""
    left = grip_n * grip_n - used_n * used_n
    least_n = GRIP_LEFT_SHARE * grip_n
    return math.sqrt(left) if left > least_n * least_n else least_n


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
