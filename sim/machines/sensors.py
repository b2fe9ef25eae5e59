"""Noise of the motion sensors, one seeded stream for each, so that runs repeat bit for bit."""

from __future__ import annotations

import random
from dataclasses import replace

from sim.machines.interface import MachineFeedback

YAW_RATE_NOISE_RADPS = 0.002
ACCEL_NOISE_MPS2 = 0.02
TILT_NOISE_RAD = 0.001
"""Standard deviations per sample, as of an automotive inertial unit."""


class MotionNoise:
    """Adds noise to yaw rate, acceleration and tilt; speed and angles stay as measured."""

    def __init__(self, seed: int) -> None:
        self._yaw, self._accel, self._pitch, self._roll = (
            random.Random(f"{seed}/{purpose}")  # noqa: S311 - measurement noise, not a secret
            for purpose in ("yaw_rate", "accel", "pitch", "roll")
        )

    def __call__(self, feedback: MachineFeedback) -> MachineFeedback:
        """``feedback`` as noisy sensors report it."""
        return replace(
            feedback,
            yaw_rate_radps=feedback.yaw_rate_radps + self._yaw.gauss(0.0, YAW_RATE_NOISE_RADPS),
            accel_mps2=feedback.accel_mps2 + self._accel.gauss(0.0, ACCEL_NOISE_MPS2),
            pitch_rad=feedback.pitch_rad + self._pitch.gauss(0.0, TILT_NOISE_RAD),
            roll_rad=feedback.roll_rad + self._roll.gauss(0.0, TILT_NOISE_RAD),
        )
