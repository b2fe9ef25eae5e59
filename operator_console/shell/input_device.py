"""One open input device: whole reports, state read anew where events were lost, signs of life."""

from __future__ import annotations

from operator_console.core.desk import Fault
from operator_console.core.evdev import Controls, EventReader
from operator_console.shell.evdev_source import EventSource

READS_MAX = 32
"""Reads for one look: a device that floods does not keep the others from being read."""


class InputDevice:
    """A source with its reader.

    Args:
        source: the open device.

    Raises:
        OSError: from every call, when the device is gone.
    """

    def __init__(self, source: EventSource) -> None:
        self.source = source
        self.reader = EventReader()
        self.healed = 0
        self._reread()
        self.reader.controls.pressed.clear()

    def drain(self) -> int:
        """Take in what waits; return the whole reports in it."""
        reports = 0
        for _ in range(READS_MAX):
            data = self.source.read()
            if not data:
                break
            reports += self.reader.feed(data)
        if self.reader.stale and not self.reader.waits_for_report:
            self._reread()
        return reports

    def check(self) -> None:
        """Ask the device for its state: a still axis sends nothing, a dead one neither.

        What the kernel holds counts where events said otherwise.
        """
        self.drain()
        before = (dict(self.reader.controls.axes), set(self.reader.controls.keys))
        self._reread()
        self.healed += before != (self.reader.controls.axes, self.reader.controls.keys)

    def _reread(self) -> None:
        self.reader.reread(self.source.axes(), self.source.keys())

    @property
    def state(self) -> Controls | Fault:
        """The controls, or that they do not count now."""
        return Fault.TORN if self.reader.stale else self.reader.controls
