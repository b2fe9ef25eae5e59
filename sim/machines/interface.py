"""What passes between the by-wire ECU and a plant: demands one way, feedback the other.

All quantities are SI. Curvature and angles are positive to the left (ISO 8855), speed is
positive forwards, decelerations and grades are magnitudes as named.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol


class ActuatorDemand(NamedTuple):
    """What the ECU asks of the machine's actuators for the next step.

    Attributes:
        curvature_per_m: wanted path curvature of the reference point (frames.py); None freezes
            the steering actuator where it stands.
        accel_mps2: traction demand, never negative; 0 is no traction.
        speed_limit_mps: traction must fade to nothing at this speed, ≥ 0.
        direction: +1 forwards, 0 neutral, −1 reverse.
        brake_mps2: service brake demand, ≥ 0.
        park: spring-applied park brake asked to hold.
        retarder: 0…1 of the retarder's power, or of regeneration.
        implement: −1…1, hold to run (dump body and hitch: + raises; drum: + vibrates at the
            high amplitude, − at the low one).
    """

    curvature_per_m: float | None
    accel_mps2: float
    speed_limit_mps: float
    direction: int
    brake_mps2: float
    park: bool
    retarder: float = 0.0
    implement: float = 0.0


class MachineFeedback(NamedTuple):
    """What the machine's sensors report to the ECU, after the last step.

    Attributes:
        speed_mps: signed ground speed of the reference point.
        accel_mps2: longitudinal acceleration.
        curvature_per_m: measured path curvature.
        steer_angle_rad: joint angle (articulated) or mean angle of the steered axles.
        engine_rpm: engine or motor speed.
        gear: −1 reverse, 0 neutral, 1 forwards, as engaged.
        brake_mps2: deceleration that the service brake's pressure stands for; faded discs
            give less.
        park_applied: True applied, False released, None while it moves.
        yaw_rate_radps, pitch_rad, roll_rad: body motion of the front unit; pitch + nose up.
        implement: −1…1 position of the tool.
        supply_v: 24 V system supply.
    """

    speed_mps: float
    accel_mps2: float
    curvature_per_m: float
    steer_angle_rad: float
    engine_rpm: float
    gear: int
    brake_mps2: float
    park_applied: bool | None
    yaw_rate_radps: float
    pitch_rad: float
    roll_rad: float
    implement: float
    supply_v: float


class Plant(Protocol):
    """A machine: pure, fixed step, integer time, no clock of its own."""

    def step(self, dt_ns: int, demand: ActuatorDemand) -> MachineFeedback:
        """Advance by ``dt_ns`` nanoseconds under ``demand`` and report."""
        ...
