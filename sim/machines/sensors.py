"""Sensors of the machine's own that fail: lost, or drifting away."""

from __future__ import annotations

import math
from collections.abc import Iterable

from sim.machines.faults import Fault, Sensor, SensorEffect, sensor_effects
from sim.machines.frames import Frame
from sim.machines.interface import MachineFeedback


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
            case Sensor.ACCEL:
                return feedback._replace(accel_mps2=feedback.accel_mps2 + off)
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
