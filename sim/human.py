"""A scripted driver with a person's delays and errors: sees late, acts later, never exactly.

The figures are of the kind found for people at the wheel: 0.15 to 0.3 s from eye to hand while
tracking and a lag of the arm of about 0.1 s (McRuer, "Human dynamics in man-machine systems",
Automatica 16, 1980). Against the delay he steers for where the machine will be: from the pose
that he saw, with what his hands did since and his feeling for how fast the machine turns (an
internal model, as Smith's predictor has one). The two characters and their errors are
engineering choices.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass
from random import Random

from protocol.profiles import MachineLimits
from sim.pursuit import Controls, Pose, Pursuit, Style
from sim.runner.pictures import Picture

BEAT_S = 0.02
MEMORY = 80
"""Beats for which he knows what his hands did."""
NO_HANDS = Controls(0.0, 0.0, 0.0)
UNSURE_AFTER_NS = 1_500_000_000
"""He brakes when what he sees has not changed for this long."""
UNSURE_BRAKE = 0.4
AHEAD_MAX_S = 1.2
"""Further than this he does not think ahead."""
HAND_TO_WHEEL_S = 0.2
"""What he feels between his hand and the machine's turning: link, dead time."""
THINK_S = 0.05
"""Step of his thinking ahead."""


@dataclass(frozen=True, slots=True)
class Character:
    """How a person drives.

    Attributes:
        style: speed, bends and braking.
        reaction_s: from eye to hand. arm_s: lag of hand and foot.
        place_error_m, place_error_s: how far off he believes to be, and how slowly that changes.
        heading_error_rad: the same for the direction.
        hand_error: of full lock. speed_error: share of the speed that he means to keep.
        error_s: how slowly hand and speed wander.
        wait_s: before he presses the next button.
    """

    style: Style
    reaction_s: float
    arm_s: float
    place_error_m: float
    heading_error_rad: float
    hand_error: float
    speed_error: float
    place_error_s: float = 3.0
    error_s: float = 1.0
    wait_s: float = 1.0


CAREFUL = Character(
    style=Style(
        speed_mps=4.8,
        below_limit=0.92,
        lateral_mps2=0.7,
        brake_mps2=0.45,
        lead_s=0.2,
        decay_per_m=0.14,
    ),
    reaction_s=0.18,
    arm_s=0.10,
    place_error_m=0.06,
    heading_error_rad=0.006,
    hand_error=0.008,
    speed_error=0.03,
)
HASTY = Character(
    style=Style(
        speed_mps=6.0,
        below_limit=1.0,
        lateral_mps2=1.0,
        brake_mps2=0.9,
        speed_gain_per_s=1.2,
        lead_s=0.2,
        decay_per_m=0.16,
    ),
    reaction_s=0.25,
    arm_s=0.08,
    place_error_m=0.12,
    heading_error_rad=0.012,
    hand_error=0.02,
    speed_error=0.06,
    wait_s=0.5,
)
CHARACTERS = {"careful": CAREFUL, "hasty": HASTY}


class Wander:
    """A slow random error: Ornstein-Uhlenbeck, exact for its step.

    Args:
        deviation: standard deviation. time_s: correlation time. dice: its own stream.
    """

    __slots__ = ("_dice", "_keep", "_kick", "value")

    def __init__(self, deviation: float, time_s: float, dice: Random) -> None:
        self._keep = math.exp(-BEAT_S / time_s)
        self._kick = deviation * math.sqrt(1.0 - self._keep**2)
        self._dice = dice
        self.value = dice.gauss(0.0, deviation)

    def step(self) -> float:
        """The error one beat later."""
        self.value = self._keep * self.value + self._kick * self._dice.gauss(0.0, 1.0)
        return self.value


class Human:
    """One driver; asked for hands and feet on a 20 ms beat.

    Args:
        character: who he is. pursuit: his idea of the line, with his style.
        limits: how fast the machine turns. seed: of his errors.
    """

    def __init__(
        self, character: Character, pursuit: Pursuit, limits: MachineLimits, seed: str
    ) -> None:
        def wander(name: str, deviation: float, time_s: float) -> Wander:
            return Wander(deviation, time_s, Random(f"{seed}/{name}"))  # noqa: S311

        who = self._who = character
        self._pursuit, self._limits = pursuit, limits
        self._place = wander("place", who.place_error_m, who.place_error_s)
        self._heading = wander("heading", who.heading_error_rad, who.place_error_s)
        self._hand = wander("hand", who.hand_error, who.error_s)
        self._speed = wander("speed", who.speed_error, who.error_s)
        self._coming: deque[tuple[int, Picture]] = deque()
        self._seen: tuple[int, Picture] | None = None
        self._hands = NO_HANDS
        self._steered: deque[float] = deque([0.0] * MEMORY, maxlen=MEMORY)
        self._share = 1.0 - math.exp(-BEAT_S / who.arm_s)

    @property
    def wait_ns(self) -> int:
        """How long he waits before the next button."""
        return round(self._who.wait_s * 1e9)

    def see(self, now_ns: int, picture: Picture) -> None:
        """A picture is on the screen; his hands know of it later."""
        self._coming.append((now_ns, picture))

    def rest(self) -> None:
        """Hands and feet rest at once: the machine is not driven."""
        self._hands = NO_HANDS
        self._steered.append(0.0)

    def controls(self, now_ns: int, vehicle_us: int | None) -> Controls:
        """Hands and feet now.

        Args:
            now_ns: when. vehicle_us: the vehicle's clock as far as the console knows it.
        """
        known_ns = now_ns - round(self._who.reaction_s * 1e9)
        while self._coming and self._coming[0][0] <= known_ns:
            newer = self._coming.popleft()
            if self._seen is None or newer[1].capture_us > self._seen[1].capture_us:
                self._seen = newer
        place_m, heading_rad = self._place.step(), self._heading.step()
        hand, speed = self._hand.step(), self._speed.step()
        if self._seen is None or vehicle_us is None:
            return self._hands
        seen_ns, picture = self._seen
        if known_ns - seen_ns > UNSURE_AFTER_NS:
            return self._towards(Controls(self._hands.steer, 0.0, UNSURE_BRAKE))
        age_s = min(max(0.0, (vehicle_us - picture.capture_us) / 1e6), AHEAD_MAX_S)
        pose = _mistaken(self._now(picture.pose, age_s), place_m, heading_rad, speed)
        wanted = self._pursuit.controls(pose)
        steer = min(max(wanted.steer + hand, -1.0), 1.0)
        return self._towards(Controls(steer, wanted.throttle, wanted.brake))

    def _now(self, pose: Pose, age_s: float) -> Pose:
        """Where he thinks the machine is by now, of the pose that he saw ``age_s`` ago."""
        limits, steered = self._limits, self._steered
        turn_per_m, full = limits.curvature_rate_per_m_s * THINK_S, limits.curvature_max_per_m
        x_m, y_m, heading_rad = pose.x_m, pose.y_m, pose.heading_rad
        curvature, run_m = pose.curvature_per_m, pose.speed_mps * THINK_S
        steps = round(age_s / THINK_S)
        for step in range(steps):
            back = round(((steps - step) * THINK_S + HAND_TO_WHEEL_S) / BEAT_S)
            middle_rad = heading_rad + 0.5 * curvature * run_m
            x_m += run_m * math.cos(middle_rad)
            y_m += run_m * math.sin(middle_rad)
            heading_rad += curvature * run_m
            change = steered[max(len(steered) - 1 - back, 0)] * full - curvature
            curvature += min(max(change, -turn_per_m), turn_per_m)
        return Pose(x_m, y_m, heading_rad, pose.speed_mps, curvature)

    def _towards(self, wanted: Controls) -> Controls:
        """The arm's lag; the foot leaves a pedal before it takes the other."""
        before, share = self._hands, self._share

        def follow(was: float, now: float) -> float:
            value = was + share * (now - was)
            return 0.0 if value < 1e-3 and now == 0.0 else value

        self._hands = Controls(
            before.steer + share * (wanted.steer - before.steer),
            follow(before.throttle, wanted.throttle) if wanted.brake == 0.0 else 0.0,
            follow(before.brake, wanted.brake),
        )
        self._steered.append(self._hands.steer)
        return self._hands


def _mistaken(pose: Pose, place_m: float, heading_rad: float, speed: float) -> Pose:
    """The pose as he believes it: a little aside, a little askew, a little faster or slower."""
    return Pose(
        pose.x_m - place_m * math.sin(pose.heading_rad),
        pose.y_m + place_m * math.cos(pose.heading_rad),
        pose.heading_rad + heading_rad,
        pose.speed_mps * (1.0 - speed),
        pose.curvature_per_m,
    )
