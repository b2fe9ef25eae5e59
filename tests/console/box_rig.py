"""A serial box without hardware: whoever builds one may read here what it says."""

from __future__ import annotations

import os
import pty
import tty
from pathlib import Path

from operator_console.core.box_line import encode_line

ENABLE_CLOSES, ENABLE_OPENS, SEAT, STOP_OPENS, CONFIRM = range(5)
AT_REST = frozenset({ENABLE_OPENS, SEAT, STOP_OPENS})


class PtyBox:
    """A box on a pseudo-terminal; each :meth:`say` is one line."""

    def __init__(self) -> None:
        self._master, self._slave = pty.openpty()
        tty.setraw(self._slave)
        self.path = Path(os.ttyname(self._slave))
        os.close(self._slave)
        self.number = 0
        self.closed = set(AT_REST)

    def say(self) -> None:
        """Send the next line."""
        self.number = (self.number + 1) % 256
        self.write(encode_line(self.number, sum(1 << bit for bit in self.closed)))

    def write(self, data: bytes) -> None:
        """Send anything."""
        os.write(self._master, data)

    def enable(self, on: bool) -> None:
        """Press the enable switch, or let it go; the next line tells."""
        self.closed -= {ENABLE_CLOSES, ENABLE_OPENS}
        self.closed.add(ENABLE_CLOSES if on else ENABLE_OPENS)

    def unplug(self) -> None:
        """Pull the cable."""
        os.close(self._master)
