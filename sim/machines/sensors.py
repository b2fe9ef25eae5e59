"""What the sensors make of the truth: noise of the motion sensors, and sensors that fail.

One seeded stream for each purpose, so that runs repeat bit for bit and a fault of one sensor
changes no other's noise.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterable

from sim.machines.faults import Fault, Sensor, SensorEffect, sensor_effects
from sim.machines.frames import Frame
from sim.machines.interface import MachineFeedback

YAW_RATE_NOISE_RADPS = 0.002
ACCEL_NOISE_MPS2 = 0.02
TILT_NOISE_RAD = 0.001
"""Standard deviations per sample, as of an automotive inertial unit."""


class MotionNoise:
    """Adds noise to yaw rate, acceleration and tilt; speed and angles stay as measured."""

    def __init__(self, seed: int) -> None:
        self._yaw, self._accel, self._pitch, self._roll = (
            random.Random(f"{seed}/{purpose}").gauss  # noqa: S311 - measurement noise, not a secret
            for purpose in ("yaw_rate", "accel", "pitch", "roll")
        )

    def __call__(self, feedback: MachineFeedback) -> MachineFeedback:
        """``feedback`` as noisy sensors report it."""
        f = feedback
        return MachineFeedback(
            f.speed_mps,
            f.accel_mps2 + self._accel(0.0, ACCEL_NOISE_MPS2),
            f.curvature_per_m,
            f.steer_angle_rad,
            f.engine_rpm,
            f.gear,
            f.brake_mps2,
            f.park_applied,
            f.yaw_rate_radps + self._yaw(0.0, YAW_RATE_NOISE_RADPS),
            f.pitch_rad + self._pitch(0.0, TILT_NOISE_RAD),
            f.roll_rad + self._roll(0.0, TILT_NOISE_RAD),
            f.implement,
            f.supply_v,
        )


class FailingSensors:
    """Sensors that may be lost or drift; healthy until told otherwise.

    Args:
        frame: turns the steering sensor's angle into the curvature that the machine reckons.
    """

    def __init__(self, frame: Frame) -> None:
        self._frame = frame
        self._effects: dict[Sensor, SensorEffect] = {}
        self._drifted: dict[Sensor, float] = {}

    def set_faults(self, faults: Iterable[Fault]) -> None:
        """Have these faults of sensors, and no others; a mended sensor reads true at once."""
        self._effects = sensor_effects(faults)
        self._drifted = {sensor: self._drifted.get(sensor, 0.0) for sensor in self._effects}

    def step(self, dt_s: float, feedback: MachineFeedback) -> MachineFeedback:
        """``feedback`` as these sensors report it after ``dt_s`` more."""
        for sensor, effect in self._effects.items():
            self._drifted[sensor] += effect.drift_per_s * dt_s
            off = math.nan if effect.lost else self._drifted[sensor]
            feedback = self._off(feedback, sensor, off)
        return feedback

    def _off(self, feedback: MachineFeedback, sensor: Sensor, off: float) -> MachineFeedback:
        match sensor:
            case Sensor.SPEED:
                return feedback._replace(speed_mps=feedback.speed_mps + off)
            case Sensor.BRAKE:
                return feedback._replace(brake_mps2=feedback.brake_mps2 + off)
            case Sensor.YAW_RATE:
                return feedback._replace(yaw_rate_radps=feedback.yaw_rate_radps + off)
            case Sensor.PITCH:
                return feedback._replace(pitch_rad=feedback.pitch_rad + off)
            case Sensor.ROLL:
                return feedback._replace(roll_rad=feedback.roll_rad + off)
            case Sensor.GNSS:  # the locator's own (sim/sensors/locator.py)
                return feedback
            case Sensor.STEER:
                frame = self._frame
                angle_rad = frame.angle_for(feedback.curvature_per_m) + off
                return feedback._replace(
                    steer_angle_rad=frame.shown_angle(angle_rad),
                    curvature_per_m=frame.curvature_of(angle_rad),
                )
