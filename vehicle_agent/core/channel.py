"""A command of a foreign bus: opened, kept up in its cycle, and closed before it falls silent.

Many receivers take a command that just ends for a fault (an engine may then refuse it until the
key is turned); what ends it rightly is a closing frame. So a channel that is no longer allowed says
so at once, a set number of times, and only then nothing more.
"""

from __future__ import annotations

from enum import Enum

_MS = 1_000_000
SLACK_NS = 2 * _MS
"""A slot is due this much early, so that tick jitter does not halve a rate."""


class Say(Enum):
    """What a channel sends in a tick."""

    NOTHING = "nothing"
    COMMAND = "command"
    CLOSING = "closing"


class Cycle:
    """Slots of a fixed period; what was missed is skipped, never made good."""

    def __init__(self, period_ms: int) -> None:
        self._period_ns = period_ms * _MS
        self._due_ns: int | None = None

    def due(self, now_ns: int, *, at_once: bool = False) -> bool:
        """Return whether a slot is due; ``at_once`` makes one, and the cycle goes on from it."""
        if self._due_ns is None or at_once:
            self._due_ns = now_ns
        late_ns = now_ns - self._due_ns
        if late_ns + SLACK_NS < 0:
            return False
        on_grid = late_ns < self._period_ns
        self._due_ns = (self._due_ns if on_grid else now_ns) + self._period_ns
        return True


class Channel:
    """One command.

    Args:
        period_ms: between frames. closing_frames: that end it.
    """

    def __init__(self, period_ms: int, closing_frames: int) -> None:
        self._cycle = Cycle(period_ms)
        self._closing_frames = closing_frames
        self._left = 0
        self._open = False

    def say(self, now_ns: int, *, allowed: bool, at_once: bool = False) -> Say:
        """Return what is sent in this tick.

        Args:
            now_ns: monotonic. allowed: the command may act. at_once: out of turn.
        """
        turned, self._open = allowed is not self._open, allowed
        if turned:
            self._left = self._closing_frames
        if self._left == 0:
            return Say.NOTHING
        if not self._cycle.due(now_ns, at_once=turned or at_once):
            return Say.NOTHING
        if allowed:
            return Say.COMMAND
        self._left -= 1
        return Say.CLOSING
