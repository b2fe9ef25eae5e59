"""When a viewer turns to its standby connection, and when it sets one up. The page has the same,
but that it first looks whether it is itself what holds the pictures up.

A standby is connected and carries nothing. It is turned to when the pictures stop for longer than
they do by themselves, well before their age stops the machine; where nothing comes there either,
what begins a whole new session goes on as without one.
"""

from __future__ import annotations

LEAST_SILENCE_US = 250_000
"""A picture that stands for so long is drawn as frozen; 600 ms stop the machine."""
GAPS = 2
"""Pictures that come seldom are silent only after so many of their last pause."""
MOST_SILENCE_US = 1_000_000
"""Here a new session begins."""
STEADY_US = 3_000_000
"""Pictures have come for this long before a standby is set up: the start is not disturbed."""
BUILD_AGAIN_US = 5_000_000
"""A standby that is not connected by then is given up, and the next one tried."""
ASK_AGAIN_US = 100_000
"""What asks for the pictures may be lost, as everything on that channel."""


class StandbyWatch:
    """One viewer's pictures, and what follows for its standby. Times are monotonic, µs."""

    def __init__(self) -> None:
        self._last_us: int | None = None
        self._gap_us = 0
        self._steady_since_us = 0
        self._built_us: int | None = None
        self._asked_us: int | None = None

    def on_picture(self, now_us: int) -> None:
        """Note that a picture has come, by whichever connection."""
        if self._last_us is None or self.is_silent(now_us):
            self._steady_since_us = now_us
            self._gap_us = 0
        else:
            self._gap_us = now_us - self._last_us
        self._last_us = now_us

    def is_silent(self, now_us: int) -> bool:
        """Return whether pictures have come and have stopped."""
        if self._last_us is None:
            return False
        patience_us = min(MOST_SILENCE_US, max(LEAST_SILENCE_US, GAPS * self._gap_us))
        return now_us - self._last_us > patience_us

    def builds(self, now_us: int) -> bool:
        """Return whether a standby is to be set up now, where none is ready; it is noted."""
        if self._last_us is None or self.is_silent(now_us):
            return False
        if now_us - self._steady_since_us < STEADY_US:
            return False
        if self._built_us is not None and now_us - self._built_us < BUILD_AGAIN_US:
            return False
        self._built_us = now_us
        return True

    def turned(self) -> None:
        """Note that the standby is the one that is looked at: the next may be set up soon."""
        self._built_us = None

    def asks(self, now_us: int) -> bool:
        """Return whether the standby, which is ready, is to be asked now; it is noted."""
        if not self.is_silent(now_us):
            return False
        if self._asked_us is not None and now_us - self._asked_us < ASK_AGAIN_US:
            return False
        self._asked_us = now_us
        return True
