"""Which of the vehicle's stamps a command gives back: the newest, unless it came late.

The machine bounds a command's age by the time that the stamp and the command were on their ways
(design 4.4, step 6), whatever the console held the stamp for in between. A stamp that was long on
its way therefore makes every command old that gives it back, until a quicker one comes. TCP
delivers such stamps after each loss, newest of all for a moment, while the data channel is
between two of its own. One that came quicker is worth more, as long as it is not held for too
long: the loop time, which caps the speed, counts from its stamp.
"""

from __future__ import annotations

from typing import NamedTuple

LATE_US = 50_000
"""A stamp this much longer on its way is late: what remains of 250 ms at the loop of 200 ms above
which the speed is capped in any case (design 4.5)."""
KEPT_NS = 100_000_000
"""A stamp is held in place of late ones for half of what the machine allows (``hold_max_ms``)."""


class Echo(NamedTuple):
    """A proven vehicle stamp and when it arrived here; stamp 0: none yet."""

    stamp_us: int
    received_ns: int

    def followed_by(self, stamp_us: int, now_ns: int) -> Echo:
        """Return what to give back once a newer stamp has come: it, or this one still.

        Args:
            stamp_us: newer than this one, of the same run of the vehicle. now_ns: its arrival.
        """
        held_ns = now_ns - self.received_ns
        late_us = held_ns // 1000 - (stamp_us - self.stamp_us)
        if self.stamp_us and late_us > LATE_US and held_ns <= KEPT_NS:
            return self
        return Echo(stamp_us, now_ns)


NO_ECHO = Echo(0, 0)
