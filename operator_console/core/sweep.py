"""Proves before arming that a pedal's sensor follows the foot: at rest, pressed, at rest again.

Untouched pedals report half or full throttle on many devices until they are first moved
(ros joystick_drivers 91 and 137; cockpit rule 7).
"""

from __future__ import annotations

from enum import StrEnum

PRESSED = 0.80
RELEASED = 0.03


class Sweep(StrEnum):
    """How far the proof is, worded as what is still to be seen."""

    REST = "rest"
    PRESS = "press"
    RELEASE = "release"
    DONE = "done"


class PedalSweep:
    """One pedal's proof; a device that went must bring it again."""

    def __init__(self) -> None:
        self.stage = Sweep.REST

    @property
    def done(self) -> bool:
        """The pedal was seen at rest, pressed, and at rest again."""
        return self.stage is Sweep.DONE

    def see(self, share: float) -> None:
        """Take in where the pedal is, 0…1."""
        if self.stage is Sweep.REST and share < RELEASED:
            self.stage = Sweep.PRESS
        elif self.stage is Sweep.PRESS and share >= PRESSED:
            self.stage = Sweep.RELEASE
        elif self.stage is Sweep.RELEASE and share < RELEASED:
            self.stage = Sweep.DONE
