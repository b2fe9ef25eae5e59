"""One step of longitudinal motion with stiction, exact in its energy.

The machine is a point mass. What pushes may turn its direction; what holds only ever slows
it, and a machine that is held stands still to the last bit: no creep on a grade.
"""

from __future__ import annotations

GRAVITY_MPS2 = 9.80665
AIR_DENSITY_KGPM3 = 1.2


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
