"""What can break on a machine: typed faults of actuators and sensors, switched by a scenario.

A fault is data. A plant takes a set of them at any time and behaves so until it is given
another set; ``effects`` says what they come to for each actuator, ``sensor_effects`` for each
sensor. An actuator's range is what its demand spans: full lock to each side, the service
brake's ceiling, the drive's and the retarder's whole force, a tool's whole travel.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field, TypeAdapter, ValidationError, with_config

from protocol.profiles import first_problem
from sim.machines.fields import STRICT, Part, Share


class Actuator(StrEnum):
    """What moves the machine."""

    STEERING = "steering"
    BRAKE = "brake"
    PARK_BRAKE = "park_brake"
    DRIVE = "drive"
    RETARDER = "retarder"
    TOOL = "tool"


class Sensor(StrEnum):
    """What the ECU is told by."""

    SPEED = "speed"
    STEER = "steer"
    BRAKE = "brake"
    ACCEL = "accel"
    YAW_RATE = "yaw_rate"
    PITCH = "pitch"
    ROLL = "roll"
    GNSS = "gnss"
    """Of the locator; its drift goes east, m/s."""


@with_config(STRICT)
@dataclass(frozen=True, slots=True)
class Stuck:
    """The actuator stays where it is, whatever is asked: a jammed valve, a sticking pedal."""

    actuator: Actuator
    kind: Literal["stuck"] = "stuck"


@with_config(STRICT)
@dataclass(frozen=True, slots=True)
class Slow:
    """Rate times ``share``, lag divided by it: cold oil, a weak pump."""

    actuator: Literal[Actuator.STEERING, Actuator.BRAKE, Actuator.RETARDER, Actuator.TOOL]
    share: Share
    kind: Literal["slow"] = "slow"


@with_config(STRICT)
@dataclass(frozen=True, slots=True)
class Biased:
    """``bias`` of the range is added to what is asked: a shifted zero, a dragging brake."""

    actuator: Literal[Actuator.STEERING, Actuator.BRAKE]
    bias: Annotated[float, Field(ge=-1.0, le=1.0)]
    kind: Literal["biased"] = "biased"


@with_config(STRICT)
@dataclass(frozen=True, slots=True)
class Weak:
    """Only ``share`` of the range is reached; one half where a file says nothing."""

    actuator: Literal[Actuator.STEERING, Actuator.BRAKE, Actuator.DRIVE, Actuator.RETARDER]
    share: Part = 0.5
    kind: Literal["weak"] = "weak"


@with_config(STRICT)
@dataclass(frozen=True, slots=True)
class BrakeFade:
    """The service brake grips ``share`` of what its pressure says; the pressure looks right."""

    share: Part
    kind: Literal["brake_fade"] = "brake_fade"


@with_config(STRICT)
@dataclass(frozen=True, slots=True)
class SteeringLoss:
    """No steering force: the tyres pull the angle straight as the machine rolls."""

    kind: Literal["steering_loss"] = "steering_loss"


@with_config(STRICT)
@dataclass(frozen=True, slots=True)
class LostFeedback:
    """The sensor says nothing; its values are not numbers."""

    sensor: Sensor
    kind: Literal["lost_feedback"] = "lost_feedback"


@with_config(STRICT)
@dataclass(frozen=True, slots=True)
class SensorDrift:
    """The sensor's reading moves away by ``per_s`` of its own unit each second."""

    sensor: Sensor
    per_s: float
    kind: Literal["sensor_drift"] = "sensor_drift"


ActuatorFault = Stuck | Slow | Biased | Weak | BrakeFade | SteeringLoss
SensorFault = LostFeedback | SensorDrift
Fault = ActuatorFault | SensorFault

_FAULT: TypeAdapter[Fault] = TypeAdapter(Annotated[Fault, Field(discriminator="kind")])


def parse_fault(table: Mapping[str, object]) -> Fault:
    """The fault that a scenario's table describes.

    Raises:
        ValueError: a key is missing, unknown or out of range, or the actuator cannot fail so;
            the text names the key and the reason.
    """
    try:
        return _FAULT.validate_json(json.dumps(dict(table)))
    except (ValidationError, TypeError) as error:
        text = first_problem(error) if isinstance(error, ValidationError) else str(error)
        raise ValueError(f"fault: {text}") from error


@dataclass(frozen=True, slots=True)
class Effect:
    """What all faults of one actuator come to; the default is a healthy one.

    Attributes:
        stuck: it does not move. limp: it has no force.
        pace: of its rate, above 0. bias: of its range, added. authority: of its range, reached.
        grip: of the force that its pressure stands for.
    """

    stuck: bool = False
    limp: bool = False
    pace: float = 1.0
    bias: float = 0.0
    authority: float = 1.0
    grip: float = 1.0


HEALTHY = Effect()


def effects(faults: Iterable[Fault]) -> dict[Actuator, Effect]:
    """The effect on every actuator: shares multiply, biases add."""
    found = dict.fromkeys(Actuator, HEALTHY)
    for fault in faults:
        match fault:
            case Stuck(actuator):
                found[actuator] = replace(found[actuator], stuck=True)
            case Slow(actuator, share):
                found[actuator] = replace(found[actuator], pace=found[actuator].pace * share)
            case Biased(actuator, bias):
                found[actuator] = replace(found[actuator], bias=found[actuator].bias + bias)
            case Weak(actuator, share):
                reached = found[actuator].authority * share
                found[actuator] = replace(found[actuator], authority=reached)
            case BrakeFade(share):
                brake = found[Actuator.BRAKE]
                found[Actuator.BRAKE] = replace(brake, grip=brake.grip * share)
            case SteeringLoss():
                found[Actuator.STEERING] = replace(found[Actuator.STEERING], limp=True)
            case LostFeedback() | SensorDrift():
                pass
    return found


@dataclass(frozen=True, slots=True)
class SensorEffect:
    """What all faults of one sensor come to. Units of ``drift_per_s`` are the sensor's."""

    lost: bool = False
    drift_per_s: float = 0.0


def sensor_effects(faults: Iterable[Fault]) -> dict[Sensor, SensorEffect]:
    """The effect on each sensor that has a fault."""
    found: dict[Sensor, SensorEffect] = {}
    for fault in faults:
        match fault:
            case LostFeedback(sensor):
                found[sensor] = replace(found.get(sensor, SensorEffect()), lost=True)
            case SensorDrift(sensor, per_s):
                before = found.get(sensor, SensorEffect())
                found[sensor] = replace(before, drift_per_s=before.drift_per_s + per_s)
            case _:
                pass
    return found
