"""How hard the wheel pushes back: toward where the machine's steering is, and never by surprise.

A closed loop on a constant force: the wheel is drawn to the *measured* steering, so that the hand
feels the machine lag. With delay that pull fades into plain centring, because cues that come late
mislead (interference at 500 ms, none at 50 ms: Ergonomics 2023, N = 131; reference cockpit 3.2).
Without a machine that is driven there is no force at all. Levels are shares of the device's own
full force, + pushes to the left.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum

from operator_console.core.desk import FEEDBACK_MAX_AGE_NS, Feedback

CAP = 0.30
"""Of the device's full force; a direct drive of 10 Nm and more can injure a thumb."""

TORQUE_MAX_NM = 3.0
"""Absolute, where the device's own full torque is known."""

WHOLE_UNTIL_MS, GONE_FROM_MS = 100.0, 200.0
STIFFNESS = 1.5
"""Force for the whole lock between hand and machine, before the cap."""
CENTRING = 0.5
DAMPING_S = 0.10
"""Force for one lock a second."""
RATE_FILTER_S = 0.03
RISE_PER_S = 2.0
"""From nothing to the cap in 0.15 s: a force that comes up slower than a start of fright."""
STEP_MAX_S = 0.1


class ForceBy(StrEnum):
    """What a device lets us do, the best first."""

    CONSTANT = "constant"
    SPRING = "spring"
    AUTOCENTRE = "autocentre"
    NONE = "none"


FF_CONSTANT, FF_SPRING, FF_AUTOCENTRE = 0x52, 0x53, 0x61
"""Linux ``include/uapi/linux/input.h``."""


def best_way(effects: frozenset[int]) -> ForceBy:
    """Return how a device with these effects is to be driven."""
    if FF_CONSTANT in effects:
        return ForceBy.CONSTANT
    if FF_SPRING in effects:
        return ForceBy.SPRING
    return ForceBy.AUTOCENTRE if FF_AUTOCENTRE in effects else ForceBy.NONE


def cap_of(cap: float, full_torque_nm: float | None) -> float:
    """Return the largest share of the full force: the setting, and never above 3 Nm."""
    if full_torque_nm is None:
        return min(cap, CAP)
    return min(cap, CAP, TORQUE_MAX_NM / full_torque_nm)


def trust(age_ms: float) -> float:
    """Return how far the machine's word still leads the hand, 1…0, by its age."""
    return min(1.0, max(0.0, (GONE_FROM_MS - age_ms) / (GONE_FROM_MS - WHOLE_UNTIL_MS)))


@dataclass(frozen=True, slots=True)
class Pull:
    """What the wheel is to feel.

    Attributes:
        level: constant force, −1…1, + to the left.
        centre, strength: the same as a spring: where it rests, and how strong it is, 0…1.
    """

    level: float = 0.0
    centre: float = 0.0
    strength: float = 0.0


NOTHING = Pull()


class ForceLoop:
    """The force of one wheel, step by step.

    Args:
        cap: largest share of the device's full force.
    """

    def __init__(self, cap: float = CAP) -> None:
        self._cap = min(cap, CAP)
        self._level = 0.0
        self._wheel: float | None = None
        self._rate_per_s = 0.0
        self._at_ns = 0

    def step(self, wheel: float | None, feedback: Feedback | None, now_ns: int) -> Pull:
        """Return the force for now.

        Args:
            wheel: where the hand holds it, of full lock, + left; None when unknown.
            feedback: newest word of the machine.
        """
        dt_s = min(max((now_ns - self._at_ns) / 1e9, 0.0), STEP_MAX_S)
        if (
            wheel is None
            or feedback is None
            or not feedback.active
            or (age_ms := _age_ms(feedback, now_ns)) is None
        ):
            self._wheel, self._rate_per_s, self._level = None, 0.0, 0.0
            return NOTHING
        self._follow_hand(wheel, dt_s)
        self._at_ns = now_ns
        lead = 0.0 if feedback.steer is None else trust(age_ms)
        centre = 0.0 if feedback.steer is None else feedback.steer * lead
        strength = STIFFNESS * lead + CENTRING * (1.0 - lead)
        wanted = strength * (centre - wheel) - DAMPING_S * self._rate_per_s
        self._level = self._limited(wanted, dt_s)
        return Pull(self._level, centre, min(self._cap, strength * self._cap))

    def _follow_hand(self, wheel: float, dt_s: float) -> None:
        """Learn how fast the wheel turns; after a pause it starts from rest."""
        if self._wheel is not None and dt_s > 0.0:
            share = dt_s / (RATE_FILTER_S + dt_s)
            self._rate_per_s += share * ((wheel - self._wheel) / dt_s - self._rate_per_s)
        self._wheel = wheel

    def _limited(self, wanted: float, dt_s: float) -> float:
        """Cap the force, and let it grow no faster than its rise; it may fall at once."""
        if not math.isfinite(wanted):
            return 0.0
        side = math.copysign(1.0, wanted)
        grown = max(0.0, side * self._level) + RISE_PER_S * dt_s
        return side * min(abs(wanted), self._cap, grown)


def _age_ms(feedback: Feedback, now_ns: int) -> float | None:
    """Return how old the machine's word is by now, None when it says nothing any more."""
    if feedback.state_age_ms is None:
        return None
    here_ns = now_ns - feedback.at_ns
    age_ms = feedback.state_age_ms + here_ns / 1e6
    known = here_ns >= 0 and age_ms * 1e6 <= FEEDBACK_MAX_AGE_NS
    return age_ms if known else None
