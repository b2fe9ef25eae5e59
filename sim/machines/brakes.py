"""Brakes: the service brake with build-up, heat and fade, and the spring-applied park brake.

Demands are decelerations, as a by-wire brake controller takes them: it asks for the pressure
that they need with the mass that the machine has now. Its ceiling is a force, given as the
deceleration of the loaded machine. Fade follows the discs' temperature: one heat store,
cooled in proportion to its excess over the air.
"""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import with_config

from sim.machines.dead_time import DeadTime
from sim.machines.faults import HEALTHY, Effect
from sim.machines.fields import STRICT, Delay, Positive, Share

AMBIENT_C = 25.0


@with_config(STRICT)
@dataclass(frozen=True, slots=True)
class BrakeParameters:
    """[plant.brakes].

    Attributes:
        dead_time_s, tau_s: demand to deceleration. max_mps2: of the loaded machine.
        park_mps2, park_dead_time_s: spring-applied; all or nothing.
        heat_capacity_j_per_k, cooling_w_per_k: of discs and cooling oil.
        fade_from_c, fade_to_c: between them the friction falls to ``fade_share``.
    """

    dead_time_s: Delay
    tau_s: Positive
    max_mps2: Positive
    park_mps2: Positive
    park_dead_time_s: Delay
    heat_capacity_j_per_k: Positive
    cooling_w_per_k: Positive
    fade_from_c: Positive
    fade_to_c: Positive
    fade_share: Share

    def __post_init__(self) -> None:
        """The two temperatures rise."""
        if self.fade_to_c <= self.fade_from_c:
            raise ValueError("fade_to_c must lie above fade_from_c")


class ServiceBrake:
    """Builds up and falls with dead time and lag.

    Attributes:
        pressure_n: force that the pressure stands for. force_n: what cold or hot discs make of it.
        temperature_c: of the discs. effect: of its faults.
    """

    __slots__ = ("_line", "_most_n", "_p", "effect", "force_n", "pressure_n", "temperature_c")

    def __init__(self, parameters: BrakeParameters, loaded_kg: float) -> None:
        self._p = parameters
        self._line: DeadTime[float] = DeadTime(parameters.dead_time_s, 0.0)
        self._most_n = parameters.max_mps2 * loaded_kg
        self.pressure_n = self.force_n = 0.0
        self.temperature_c = AMBIENT_C
        self.effect: Effect = HEALTHY

    def step(self, now_ns: int, dt_s: float, asked_mps2: float, mass_kg: float) -> float:
        """Force after this step for a deceleration demand and an effective mass."""
        p, effect = self._p, self.effect
        asked_n = self._line.pass_through(now_ns, asked_mps2) * mass_kg
        asked_n += effect.bias * self._most_n
        most_n = self._most_n * effect.authority
        asked_n = 0.0 if asked_n < 0.0 else min(asked_n, most_n)
        if not effect.stuck:
            lag_s = p.tau_s / effect.pace + 0.5 * dt_s
            self.pressure_n += (asked_n - self.pressure_n) * dt_s / lag_s
            if asked_n == 0.0 and self.pressure_n < 1e-3 * mass_kg:
                self.pressure_n = 0.0
        self.force_n = self.pressure_n * effect.grip
        if self.temperature_c > p.fade_from_c:
            self.force_n *= self._friction_share()
        return self.force_n

    def _friction_share(self) -> float:
        p = self._p
        way = (self.temperature_c - p.fade_from_c) / (p.fade_to_c - p.fade_from_c)
        return 1.0 - (1.0 - p.fade_share) * min(way, 1.0)

    def warm(self, power_w: float, dt_s: float) -> None:
        """Take up what braking turned into heat, give off what cooling carries away."""
        p, excess_k = self._p, self.temperature_c - AMBIENT_C
        if power_w > 0.0 or excess_k > 0.0:
            flow_w = power_w - p.cooling_w_per_k * excess_k
            self.temperature_c += flow_w * dt_s / p.heat_capacity_j_per_k


class ParkBrake:
    """Spring-applied: holds or not, each change one dead time after it was asked.

    Attributes:
        applied: the springs hold. effect: of its faults.
    """

    __slots__ = ("_dead_time_ns", "_due_ns", "_force_n", "applied", "effect")

    def __init__(self, parameters: BrakeParameters, loaded_kg: float) -> None:
        self._dead_time_ns = round(parameters.park_dead_time_s * 1e9)
        self._force_n = parameters.park_mps2 * loaded_kg
        self._due_ns = -1
        self.applied = True
        self.effect: Effect = HEALTHY

    @property
    def shown(self) -> bool | None:
        """What its switch reports: None while it moves."""
        return self.applied if self._due_ns < 0 else None

    def step(self, now_ns: int, *, wanted: bool) -> float:
        """Force after this step."""
        if wanted == self.applied or self.effect.stuck:
            self._due_ns = -1
        elif self._due_ns < 0:
            self._due_ns = now_ns + self._dead_time_ns
        elif now_ns >= self._due_ns:
            self.applied, self._due_ns = wanted, -1
        return self._force_n if self.applied else 0.0
