"""Driving trials of a plant on an endless plane, as a proving ground would hold them.

Each takes a machine file and returns one figure in SI units. The acceptance table and the
tests use the same trials, so that what is printed is what is tested.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

from sim.machines.frames import ArticulatedFrame
from sim.machines.interface import ActuatorDemand
from sim.machines.longitudinal import GRAVITY_MPS2
from sim.machines.parameters import Machine
from sim.machines.plant import MachinePlant, MachineState
from sim.machines.surroundings import BodyPose, OpenGround

STEP_NS = 10_000_000
STEP_S = STEP_NS * 1e-9
ORIGIN = BodyPose(0.0, 0.0, 0.0, 0.0)
LONGEST_S = 100.0

DRIVE = ActuatorDemand(
    curvature_per_m=0.0,
    accel_mps2=1.0,
    speed_limit_mps=40.0,
    direction=1,
    brake_mps2=0.0,
    park=False,
)
COAST = DRIVE._replace(accel_mps2=0.0, direction=0)

LEGAL_DECEL_MPS2 = 9.66 * 0.3048
"""US 30 CFR 57.14101, table M-1: 9.66 ft/s²."""


class TrialError(RuntimeError):
    """Raised when a machine does not get where a trial needs it."""


def legal_stop_m(speed_mps: float, grade: float, response_s: float) -> float:
    """Stopping distance that US 30 CFR 57.14101, table M-1, allows, without the operator's second.

    ``v t + v²/(2 (a + g grade))`` with the response time of the machine's mass class.
    """
    decel_mps2 = LEGAL_DECEL_MPS2 + GRAVITY_MPS2 * grade
    return speed_mps * response_s + speed_mps * speed_mps / (2.0 * decel_mps2)


def released(
    machine: Machine, grade: float = 0.0, friction: float = 1.0, payload_share: float = 1.0
) -> MachinePlant:
    """A machine at standstill whose park brake is off and whose service brake is let go."""
    plant = MachinePlant(machine, OpenGround(grade, friction), ORIGIN, payload_share)
    run(plant, COAST._replace(brake_mps2=machine.plant.brakes.max_mps2), 1.0)
    return plant


def run(plant: MachinePlant, demand: ActuatorDemand, seconds: float) -> None:
    """Hold ``demand`` for ``seconds``."""
    for _ in range(round(seconds / STEP_S)):
        plant.step(STEP_NS, demand)


def run_until(
    plant: MachinePlant, demand: ActuatorDemand, done: Callable[[MachineState], bool]
) -> float:
    """Hold ``demand`` until ``done``; the time that it took, seconds.

    Raises:
        TrialError: not within ``LONGEST_S``.
    """
    for step in range(round(LONGEST_S / STEP_S)):
        if done(plant.state):
            return step * STEP_S
        plant.step(STEP_NS, demand)
    raise TrialError(f"not reached in {LONGEST_S:g} s: {plant.state}")


def reach(plant: MachinePlant, speed_mps: float, demand: ActuatorDemand = DRIVE) -> None:
    """Drive until ``speed_mps``."""
    run_until(plant, demand, lambda state: abs(state.speed_mps) >= speed_mps)


def circle_radius_m(plant: MachinePlant, demand: ActuatorDemand, apart_s: float = 5.0) -> float:
    """Radius of the circle through three places of a steady turn."""
    places = []
    for _ in range(3):
        run(plant, demand, apart_s)
        places.append(complex(plant.state.x_m, plant.state.y_m))
    a, b, c = places
    area = abs(((b - a).conjugate() * (c - a)).imag) / 2.0
    return abs(a - b) * abs(b - c) * abs(c - a) / (4.0 * area)


def turning_radius_m(machine: Machine, side: float = 1.0) -> float:
    """Of the reference point at the end stop, at a walking pace; ``side`` +1 left, −1 right."""
    plant = released(machine)
    slow = DRIVE._replace(speed_limit_mps=1.2, curvature_per_m=side)
    run(plant, slow, 15.0)
    return circle_radius_m(plant, slow, 2.5)


def lock_to_lock_s(machine: Machine) -> float:
    """From one end stop to 99 % of the other, at standstill."""
    plant, limit_rad = released(machine), machine.plant.steering.limit_rad
    hold = COAST._replace(brake_mps2=2.0)
    run_until(
        plant, hold._replace(curvature_per_m=-1.0), lambda state: state.steer_rad <= -limit_rad
    )
    return run_until(
        plant,
        hold._replace(curvature_per_m=1.0),
        lambda state: state.steer_rad >= 0.99 * limit_rad,
    )


def steering_step_s(machine: Machine, share: float = 0.9) -> float:
    """From the demand of half of full lock to ``share`` of it, at standstill."""
    plant = released(machine)
    wanted_rad = 0.5 * machine.plant.steering.limit_rad
    step = COAST._replace(brake_mps2=2.0, curvature_per_m=plant.frame.curvature_of(wanted_rad))
    return run_until(plant, step, lambda state: state.steer_rad >= share * wanted_rad)


def steering_overshoot_rad(machine: Machine) -> float:
    """How far the same step passes its demand; 0 is not at all."""
    plant = released(machine)
    wanted_rad = 0.5 * machine.plant.steering.limit_rad
    step = COAST._replace(brake_mps2=2.0, curvature_per_m=plant.frame.curvature_of(wanted_rad))
    most_rad = 0.0
    for _ in range(800):
        plant.step(STEP_NS, step)
        most_rad = max(most_rad, plant.state.steer_rad)
    return max(most_rad - wanted_rad, 0.0)


def steady_speed_mps(machine: Machine, grade: float, payload_share: float = 1.0) -> float:
    """What full traction holds uphill, or on the level, when nothing changes any more."""
    plant = released(machine, grade, payload_share=payload_share)
    run(plant, DRIVE, 45.0)
    before_mps = plant.state.speed_mps
    for _ in range(16):
        run(plant, DRIVE, 10.0)
        if abs(plant.state.speed_mps - before_mps) < 1e-3:
            return plant.state.speed_mps
        before_mps = plant.state.speed_mps
    return before_mps


def stop_m(machine: Machine, speed_mps: float, grade: float, *, park: bool = False) -> float:
    """From the demand to standstill: by the fail-safe stop's deceleration, or the park brake.

    Uphill is positive; the machine is loaded.
    """
    plant = released(machine, grade)
    reach(plant, speed_mps)
    before = plant.state
    decel_mps2 = machine.profile.limits.stop_decel_mps2
    demand = COAST._replace(park=True) if park else COAST._replace(brake_mps2=decel_mps2)
    run_until(plant, demand, lambda state: state.speed_mps == 0.0)
    return plant.state.distance_m - before.distance_m


def crept_m(machine: Machine, grade: float, seconds: float = 20.0) -> float:
    """How far a machine with its park brake on moves on a grade; nothing else holds it."""
    plant = MachinePlant(machine, OpenGround(grade), ORIGIN)
    held = COAST._replace(park=True)
    run(plant, held, 1.0)
    before = plant.state
    run(plant, held, seconds)
    after = plant.state
    return math.hypot(after.x_m - before.x_m, after.y_m - before.y_m) + abs(after.speed_mps)


def towed_error_rad(machine: Machine) -> float:
    """How far the plant's kinematics leave those of a towed axle, in a slalom without slip.

    The reference is a tractrix in steps of two milliseconds: whatever rolls behind a point stays
    at its distance and follows by turning towards it, no formula of yaw asked. It is drawn by
    the joint, the hitch, or the foremost steered axle of a machine that pulls nothing.
    """
    tyres = replace(
        machine.plant.tyres, slip_front_rad_per_mps2=0.0, slip_rear_rad_per_mps2=0.0, friction=1.5
    )
    stiff = replace(machine, plant=replace(machine.plant, tyres=tyres))
    plant = MachinePlant(stiff, OpenGround(friction=1.5), ORIGIN)
    tow_m, length_m, behind = _towed(plant, machine)
    towed = complex(tow_m - length_m, 0.0)
    swing, worst_rad = 0.6 * machine.profile.limits.curvature_max_per_m, 0.0
    demand = DRIVE._replace(speed_limit_mps=3.0)
    for index in range(6_000):
        curvature_per_m = swing * math.sin(index * 2e-3)
        plant.step(2_000_000, demand._replace(curvature_per_m=curvature_per_m))
        state = plant.state
        heading = complex(math.cos(state.heading_rad), math.sin(state.heading_rad))
        tow = complex(state.x_m, state.y_m) + tow_m * heading
        way = tow - towed
        towed = tow - length_m * way / abs(way)
        drawn_rad = math.atan2(way.imag, way.real)
        told_rad = state.heading_rad - (state.joint_rad if behind else 0.0)
        worst_rad = max(worst_rad, abs(math.remainder(drawn_rad - told_rad, math.tau)))
    return worst_rad


def _towed(plant: MachinePlant, machine: Machine) -> tuple[float, float, bool]:
    """Where the tow point lies from the reference, the distance of the towed axle behind it,
    and whether what is towed is the rear unit."""
    size, trailer = machine.profile.machine, machine.plant.trailer
    if isinstance(plant.frame, ArticulatedFrame):
        return -plant.frame.front_joint_m, plant.frame.rear_joint_m, True
    if trailer is not None:
        return -trailer.hitch_m, trailer.drawbar_m, True
    assert size.wheelbase_m is not None, "checked by MachineSize"
    return size.wheelbase_m, size.wheelbase_m, False


def energy_error(machine: Machine) -> float:
    """What is missing in the books after a drive uphill, a bend and a stop, over the traction."""
    plant = released(machine, grade=0.04)
    run(plant, DRIVE, 20.0)
    run(plant, DRIVE._replace(curvature_per_m=0.03), 10.0)
    run(plant, COAST._replace(retarder=1.0), 3.0)
    run(plant, COAST._replace(brake_mps2=1.0), 4.0)
    run(plant, DRIVE._replace(direction=-1), 8.0)
    books = plant.ledger
    missing_j = books.traction_j - books.climbed_j - books.dissipated_j - plant.kinetic_j
    return abs(missing_j) / books.traction_j
