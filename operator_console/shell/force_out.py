"""Brings the force to the wheel in a thread of its own: a slow driver holds up no input."""

from __future__ import annotations

import contextlib
import threading

from operator_console.core.evdev import EV_FF
from operator_console.core.force import FF_AUTOCENTRE, NOTHING, ForceBy, Pull, best_way
from operator_console.core.force_effects import (
    NEW_ID,
    constant_effect,
    effect_id_of,
    gain,
    spring_effect,
)
from operator_console.shell.evdev_source import EventSource

FF_GAIN = 0x60
PERIOD_S = 0.02
AGAIN_AFTER = 4
"""Periods after which an unchanged effect is played again; it lasts for ten."""

ENDS_WITHIN_S = 0.5


class ForceOut:
    """The force of one device; nothing is felt before the first pull and after :meth:`end`.

    Args:
        source: the open device. reversed_: it pushes the other way.
        cap: for a device that can only centre by itself.
    """

    def __init__(self, source: EventSource, *, reversed_: bool, cap: float) -> None:
        self.by = best_way(source.effects)
        self.broken: OSError | None = None
        self._source = source
        self._reversed = reversed_
        self._cap = cap
        self._pull = NOTHING
        self._ending = threading.Event()
        self._effect_id = NEW_ID
        self._thread = threading.Thread(target=self._run, name="force", daemon=True)

    def begin(self) -> None:
        """Start; before arming, for some devices shake when they are first spoken to."""
        if self.by is not ForceBy.NONE:
            self._thread.start()

    def pull(self, pull: Pull) -> None:
        """Let the wheel feel this from now on."""
        self._pull = pull

    def end(self) -> None:
        """Take the force away and erase the effect; does not wait for a driver that hangs."""
        self._pull = NOTHING
        self._ending.set()
        if self._thread.is_alive():
            self._thread.join(ENDS_WITHIN_S)

    def _run(self) -> None:
        try:
            self._begin()
            self._follow()
            self._erase()
        except OSError as error:
            self.broken = error

    def _begin(self) -> None:
        self._source.say(EV_FF, FF_GAIN, gain(1.0))
        if self.by is not ForceBy.AUTOCENTRE:
            self._source.say(EV_FF, FF_AUTOCENTRE, 0)

    def _follow(self) -> None:
        shown, periods = NOTHING, 0
        while not self._ending.wait(PERIOD_S):
            wanted, periods = self._pull, periods + 1
            if wanted == shown and (wanted == NOTHING or periods < AGAIN_AFTER):
                continue
            self._show(wanted)
            shown, periods = wanted, 0

    def _show(self, pull: Pull) -> None:
        if self.by is ForceBy.AUTOCENTRE:
            self._source.say(EV_FF, FF_AUTOCENTRE, gain(min(self._cap, pull.strength)))
            return
        make = constant_effect if self.by is ForceBy.CONSTANT else spring_effect
        effect = self._source.upload(make(self._effect_id, pull, reversed_=self._reversed))
        self._effect_id = effect_id_of(effect)
        self._source.say(EV_FF, self._effect_id, int(pull != NOTHING))

    def _erase(self) -> None:
        self._show(NOTHING)
        if self._effect_id != NEW_ID:
            with contextlib.suppress(OSError):  # closing the device erases it as well
                self._source.erase(self._effect_id)
