"""The sensors that feel the machine's own motion: wheel speed, and an inertial unit.

Each reads off by a bias of its own, which it has from the start, by a drift that wanders over
minutes, and by noise in every sample. A wheel counts teeth: its errors are shares of the speed (the
tyre's radius by wear, load and warmth), and at standstill it reads nothing. Pure: one seeded stream
for each purpose, so that runs repeat bit for bit and one sensor changes no other's errors.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from sim.machines.interface import MachineFeedback

WANDER_S = 300.0
"""Time constant of the drift: warming tyres and electronics."""
WANDER_STEP_S = 1.0


@dataclass(frozen=True, slots=True)
class Errors:
    """Standard deviations of one sensor's errors, in its unit.

    Attributes:
        bias: from one machine to the next. drift: of what wanders. noise: of each sample.
    """

    bias: float
    drift: float
    noise: float


WHEEL = Errors(bias=0.005, drift=0.002, noise=0.002)
"""Shares of the speed: a tyre's rolling radius is known to some 1 % over its life."""
YAW_RATE_RADPS = Errors(bias=0.0017, drift=0.0005, noise=0.002)
ACCEL_MPS2 = Errors(bias=0.03, drift=0.01, noise=0.02)
TILT_RAD = Errors(bias=0.003, drift=0.001, noise=0.001)
"""As of an automotive inertial unit: 0.1 °/s, 3 mg and 0.2 ° of zero error."""


class Erring:
    """What one sensor is off by, sample after sample.

    Args:
        errors: how large. seed: of the machine. purpose: name of its streams.
    """

    __slots__ = ("_bias", "_drift", "_left_s", "_noise", "_offset", "_sample", "_wander")

    def __init__(self, errors: Errors, seed: int, purpose: str) -> None:
        def stream(part: str) -> Callable[[float, float], float]:
            return Random(f"{seed}/{purpose}{part}").gauss  # noqa: S311 - an error, not a secret

        self._sample, self._noise = stream(""), errors.noise
        self._wander, self._drift = stream(" drift"), errors.drift
        self._bias = stream(" bias")(0.0, errors.bias)
        self._offset = self._wander(0.0, errors.drift)
        self._left_s = WANDER_STEP_S

    def step(self, dt_s: float) -> float:
        """What it is off by after ``dt_s`` more."""
        self._left_s -= dt_s
        if self._left_s <= 0.0:
            self._left_s += WANDER_STEP_S
            keep = math.exp(-WANDER_STEP_S / WANDER_S)
            kick = self._drift * math.sqrt(1.0 - keep * keep)
            self._offset = keep * self._offset + self._wander(0.0, kick)
        return self._bias + self._offset + self._sample(0.0, self._noise)


class MotionSensors:
    """Wheel speed and inertial unit of one machine; angles of joints and pedals are exact here."""

    def __init__(self, seed: int) -> None:
        self._speed = Erring(WHEEL, seed, "wheel")
        self._yaw = Erring(YAW_RATE_RADPS, seed, "yaw_rate")
        self._accel = Erring(ACCEL_MPS2, seed, "accel")
        self._pitch = Erring(TILT_RAD, seed, "pitch")
        self._roll = Erring(TILT_RAD, seed, "roll")

    def step(self, dt_s: float, feedback: MachineFeedback) -> MachineFeedback:
        """``feedback`` as the sensors report it ``dt_s`` after the last time."""
        f = feedback
        return MachineFeedback(
            f.speed_mps * (1.0 + self._speed.step(dt_s)),
            f.accel_mps2 + self._accel.step(dt_s),
            f.curvature_per_m,
            f.steer_angle_rad,
            f.engine_rpm,
            f.gear,
            f.brake_mps2,
            f.park_applied,
            f.yaw_rate_radps + self._yaw.step(dt_s),
            f.pitch_rad + self._pitch.step(dt_s),
            f.roll_rad + self._roll.step(dt_s),
            f.implement,
            f.supply_v,
        )
