"""One step of longitudinal motion with stiction, exact in its energy.

The machine is a point mass. What pushes may turn its direction; what holds only ever slows
it, and a machine that is held stands still to the last bit: no creep on a grade.
"""

from __future__ import annotations

from dataclasses import dataclass

GRAVITY_MPS2 = 9.80665
AIR_DENSITY_KGPM3 = 1.2


@dataclass(slots=True)
class Forces:
    """What acts along the path in a step, N; one object, written anew each step.

    Attributes:
        drive_n, grade_n: signed; they may turn the machine's direction.
        rolling_n, drag_n, sliding_n: of tyres and soil, of air, of a machine on its side.
        service_n, park_n, retarder_n: of the brakes, and of what slows through the drive.
    """

    drive_n: float = 0.0
    grade_n: float = 0.0
    rolling_n: float = 0.0
    drag_n: float = 0.0
    sliding_n: float = 0.0
    service_n: float = 0.0
    park_n: float = 0.0
    retarder_n: float = 0.0

    @property
    def brakes_n(self) -> float:
        """All that slows through the tyres' grip."""
        return self.service_n + self.park_n + self.retarder_n

    @property
    def hold_n(self) -> float:
        """All that only ever slows."""
        return self.rolling_n + self.drag_n + self.sliding_n + self.brakes_n

    def within_grip(self, grip_n: float) -> None:
        """Bring the brakes together down to what the tyres pass on, each by the same share."""
        brakes_n = self.brakes_n
        if brakes_n > grip_n:
            share = grip_n / brakes_n
            self.service_n *= share
            self.park_n *= share
            self.retarder_n *= share


def next_speed(
    speed_mps: float, push_n: float, hold_n: float, mass_kg: float, dt_s: float
) -> tuple[float, float]:
    """Speed after a step and its mean over it, m/s.

    Args:
        speed_mps: before the step, signed.
        push_n: traction and grade, signed.
        hold_n: brakes, rolling, soil and air; a magnitude.
        mass_kg: effective mass. dt_s: length of the step.
    """
    if speed_mps == 0.0:
        if -hold_n <= push_n <= hold_n:
            return 0.0, 0.0
        left_n = push_n - hold_n if push_n > 0.0 else push_n + hold_n
        after_mps = left_n / mass_kg * dt_s
        return after_mps, 0.5 * after_mps
    left_n = push_n - hold_n if speed_mps > 0.0 else push_n + hold_n
    after_mps = speed_mps + left_n / mass_kg * dt_s
    if after_mps * speed_mps > 0.0:
        return after_mps, 0.5 * (speed_mps + after_mps)
    return 0.0, 0.5 * speed_mps * speed_mps / (speed_mps - after_mps)
