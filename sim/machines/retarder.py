"""A hydrodynamic retarder: power limited, without force near standstill, ramped in and out."""

from __future__ import annotations

from sim.machines.faults import HEALTHY, Effect

FADE_MPS, FULL_MPS = 5.0 / 3.6, 8.0 / 3.6
"""It loses its force below the first speed and has its power above the second."""


class Retarder:
    """At the driven wheels. ``effect`` is that of its faults."""

    __slots__ = ("_level", "_power_w", "_ramp_s", "effect")

    def __init__(self, power_w: float, ramp_s: float) -> None:
        self._power_w, self._ramp_s = power_w, ramp_s
        self._level = 0.0
        self.effect: Effect = HEALTHY

    def force(self, dt_s: float, asked: float, speed_mps: float) -> float:
        """Magnitude, N, for a demand 0…1."""
        level = self._level
        if asked != level and not self.effect.stuck:
            ramp = dt_s * self.effect.pace / self._ramp_s
            level += min(max(min(max(asked, 0.0), 1.0) - level, -ramp), ramp)
            self._level = level
        if level == 0.0:
            return 0.0
        speed_mps = abs(speed_mps)
        force_n = level * self.effect.authority * self._power_w / max(speed_mps, FULL_MPS)
        return force_n if speed_mps >= FADE_MPS else force_n * speed_mps / FADE_MPS
