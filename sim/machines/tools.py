"""What a machine works with: dump body, three-point hitch with PTO, vibrating drum.

One demand, −1…1, hold to run, drives each of them. A tool may take power from the engine,
resist the motion, lose the payload, and shake the machine's sensors.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, Protocol

from pydantic import with_config

from sim.machines.faults import HEALTHY, Effect
from sim.machines.fields import STRICT, NotNegative, Part, Positive
from sim.machines.longitudinal import GRAVITY_MPS2

DUMP_FROM, DUMP_TO = 0.5, 0.9
"""Of the body's travel: the load begins to slide, and is out. Rock slides on steel at about
35°; a body goes up to some 65° to 70°."""
PTO_BELOW = 0.25
"""The PTO runs while the hitch is lower than this share of its travel: headland automatics."""
VIBRATION_FROM_MPS = 0.3
"""Rollers stop vibrating near standstill by themselves: a standing drum digs a hole."""


class Tool(Protocol):
    """What the plant asks of a tool.

    Attributes:
        position: −1…1, as reported. power_w: taken from the engine.
        draft_n: resistance to motion at the present speed. shake_mps2: on the accelerometer.
        payload_most: of the payload, that can still be aboard. effect: of its faults.
    """

    position: float
    power_w: float
    draft_n: float
    shake_mps2: float
    payload_most: float
    effect: Effect

    def step(self, dt_s: float, demand: float, speed_mps: float) -> None:
        """Advance by ``dt_s`` at ``speed_mps``."""
        ...


@with_config(STRICT)
@dataclass(frozen=True, slots=True)
class DumpBodyParameters:
    """[plant.tool] of kind "dump_body": ``raise_s`` from down to up, ``power_w`` while raising."""

    kind: Literal["dump_body"]
    raise_s: Positive
    power_w: NotNegative


class DumpBody:
    """Position 0 down, 1 up; raising it lets the load slide out."""

    __slots__ = ("_p", "draft_n", "effect", "payload_most", "position", "power_w", "shake_mps2")

    def __init__(self, parameters: DumpBodyParameters) -> None:
        self._p = parameters
        self.position = self.power_w = self.draft_n = self.shake_mps2 = 0.0
        self.payload_most = 1.0
        self.effect: Effect = HEALTHY

    def step(self, dt_s: float, demand: float, speed_mps: float) -> None:  # noqa: ARG002 - it moves at any speed
        """Move while held, up to the stops."""
        if demand == 0.0 or self.effect.stuck:
            self.power_w = 0.0
            return
        way = demand * self.effect.pace * dt_s / self._p.raise_s
        self.position = min(max(self.position + way, 0.0), 1.0)
        self.power_w = self._p.power_w if demand > 0.0 and self.position < 1.0 else 0.0
        if self.position > DUMP_FROM:
            left = (DUMP_TO - self.position) / (DUMP_TO - DUMP_FROM)
            self.payload_most = min(max(left, 0.0), 1.0)
        else:
            self.payload_most = 1.0


@with_config(STRICT)
@dataclass(frozen=True, slots=True)
class HitchParameters:
    """[plant.tool] of kind "hitch".

    Attributes:
        raise_s: from down to up. start: position at the start. power_w: of the pump, raising.
        pto_power_w: taken while working.
        draft_n, draft_n_per_mps: of the lowered tool in the soil, at rest and by speed.
    """

    kind: Literal["hitch"]
    raise_s: Positive
    start: Part
    power_w: NotNegative
    pto_power_w: NotNegative
    draft_n: NotNegative
    draft_n_per_mps: NotNegative


class Hitch:
    """Position 0 lowered into the soil, 1 raised."""

    __slots__ = ("_p", "draft_n", "effect", "payload_most", "position", "power_w", "shake_mps2")

    def __init__(self, parameters: HitchParameters) -> None:
        self._p = parameters
        self.position = parameters.start
        self.power_w = self.draft_n = self.shake_mps2 = 0.0
        self.payload_most = 1.0
        self.effect: Effect = HEALTHY

    def step(self, dt_s: float, demand: float, speed_mps: float) -> None:
        """Move while held; pull and turn while low."""
        p = self._p
        if demand != 0.0 and not self.effect.stuck:
            way = demand * self.effect.pace * dt_s / p.raise_s
            self.position = min(max(self.position + way, 0.0), 1.0)
        raising = demand > 0.0 and self.position < 1.0
        self.power_w = p.power_w if raising else 0.0
        deep = 1.0 - self.position / PTO_BELOW
        if deep <= 0.0:
            self.draft_n = 0.0
            return
        self.draft_n = deep * (p.draft_n + p.draft_n_per_mps * abs(speed_mps))
        self.power_w += p.pto_power_w


@with_config(STRICT)
@dataclass(frozen=True, slots=True)
class DrumParameters:
    """[plant.tool] of kind "drum".

    Attributes:
        width_m: of the drum. high_hz, low_hz: frequency at the high and the low amplitude.
        high_amplitude_m, low_amplitude_m: of the drum, nominal.
        vibrating_kg: mass of the drum that vibrates. ramp_s: from rest to full speed.
        power_w: taken at full speed. frame_share: of the drum's acceleration, that the rubber
            mounts let through to the frame.
    """

    kind: Literal["drum"]
    width_m: Positive
    high_hz: Positive
    low_hz: Positive
    high_amplitude_m: Positive
    low_amplitude_m: Positive
    vibrating_kg: Positive
    ramp_s: Positive
    power_w: Positive
    frame_share: Part


class Drum:
    """Position +: vibrates at the high amplitude, −: at the low one; its size is the speed.

    Attributes:
        phase_rad: of the eccentric. hz: its speed now.
    """

    __slots__ = (
        "_p",
        "draft_n",
        "effect",
        "hz",
        "payload_most",
        "phase_rad",
        "position",
        "power_w",
        "shake_mps2",
    )

    def __init__(self, parameters: DrumParameters) -> None:
        self._p = parameters
        self.position = self.power_w = self.draft_n = self.shake_mps2 = 0.0
        self.phase_rad = self.hz = 0.0
        self.payload_most = 1.0
        self.effect: Effect = HEALTHY

    def amplitude_m(self) -> float:
        """Nominal, of the direction in which the eccentric turns."""
        return self._p.high_amplitude_m if self.position > 0.0 else self._p.low_amplitude_m

    def centrifugal_n(self) -> float:
        """Force of the eccentric, m r ω²; the vibrating mass times the nominal amplitude is m r."""
        omega = 2.0 * math.pi * self.hz
        return self._p.vibrating_kg * self.amplitude_m() * omega * omega

    def step(self, dt_s: float, demand: float, speed_mps: float) -> None:
        """Run up or down; the other direction only through rest."""
        if demand == 0.0 and self.position == 0.0:
            return
        p, effect = self._p, self.effect
        if not effect.stuck:
            rolls = abs(speed_mps) >= VIBRATION_FROM_MPS
            wanted = min(max(demand, -1.0), 1.0) if rolls else 0.0
            if wanted * self.position < 0.0:
                wanted = 0.0
            ramp = effect.pace * dt_s / p.ramp_s
            self.position += min(max(wanted - self.position, -ramp), ramp)
        self.hz = abs(self.position) * (p.high_hz if self.position > 0.0 else p.low_hz)
        self.phase_rad = (self.phase_rad + 2.0 * math.pi * self.hz * dt_s) % (2.0 * math.pi)
        self.power_w = p.power_w * abs(self.position) ** 3
        drum_mps2 = self.amplitude_m() * (2.0 * math.pi * self.hz) ** 2
        self.shake_mps2 = p.frame_share * drum_mps2 * math.sin(self.phase_rad)


def lifts_off(drum: Drum, drum_load_kg: float) -> bool:
    """Whether the eccentric's force exceeds the load on the drum: it leaves the ground."""
    return drum.centrifugal_n() > drum_load_kg * GRAVITY_MPS2


ToolParameters = DumpBodyParameters | HitchParameters | DrumParameters


class NoTool:
    """A machine without one."""

    __slots__ = ("draft_n", "effect", "payload_most", "position", "power_w", "shake_mps2")

    def __init__(self) -> None:
        self.position = self.power_w = self.draft_n = self.shake_mps2 = 0.0
        self.payload_most = 1.0
        self.effect: Effect = HEALTHY

    def step(self, dt_s: float, demand: float, speed_mps: float) -> None:
        """Nothing moves."""


def tool_of(parameters: ToolParameters | None) -> Tool:
    """The tool that a machine file describes."""
    match parameters:
        case DumpBodyParameters():
            return DumpBody(parameters)
        case HitchParameters():
            return Hitch(parameters)
        case DrumParameters():
            return Drum(parameters)
        case None:
            return NoTool()
