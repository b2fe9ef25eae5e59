"""Whether pictures pile up in front of a viewer's link, told from announcements and their echoes.

Each picture's announcement leaves just before it, takes the same way, and is echoed by the viewer
at once. A picture that is lost and sent again does not hold its announcement up: what makes an
echo late is a queue, or a link that is away. A link that narrows is so noticed within a tenth of a
second, where a receiver's report of losses comes only when the queue is full and has passed.

The machine's clock alone is used: an echo says nothing but which announcement it answers.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

LEAST_MARGIN_US = 50_000
MOST_MARGIN_US = 250_000
DEVIATIONS = 4
"""An echo is late by its usual time and four deviations, as RFC 6298, 2, has it for TCP."""
TIME_GAIN, DEVIATION_GAIN = 1 / 8, 1 / 4
LEARN_ANEW_US = 3_000_000
"""What has been late for this long is what is usual now: the way has become a longer one."""
LONGEST_HOLD_US = 200_000
"""So that a viewer whose link is away is still sent five pictures a second."""
BURST_AFTER_US = 10_000
"""Echoes that a link had only held back come together; those of a narrow one come apart."""
LEAST_BITS = 20_000
"""Fewer say nothing of the link's width: some other hindrance held them up."""
ANSWERS_US = 2_000_000
"""A viewer that has not echoed for this long is not asked for the state of its link any more."""
DROPPED_AFTER_US = 300_000
"""A queue in front of a link seldom holds more than this: the rest was dropped."""
KEPT = 256

Picture = tuple[int, int]
"""Camera and number of a picture."""


@dataclass(frozen=True, slots=True)
class _Announced:
    """One announcement: when it left, and the bits that had been handed to the link before it."""

    at_us: int
    bits: int


@dataclass(frozen=True, slots=True)
class Narrow:
    """A link that is too narrow for what it is sent.

    Attributes:
        width_bps: what it carries.
        dropped: more waits than a queue holds, so that pictures have been lost.
    """

    width_bps: int
    dropped: bool


class UsualTime:
    """How long an echo takes, and which ones are late by it."""

    def __init__(self) -> None:
        self._usual_us: float | None = None
        self._deviation_us = 0.0
        self._late_since_us: int | None = None

    def is_late(self, took_us: int) -> bool:
        """Return whether an echo that takes or has taken so long is late."""
        if self._usual_us is None:
            return False
        margin_us = max(LEAST_MARGIN_US, DEVIATIONS * self._deviation_us)
        return took_us > self._usual_us + min(MOST_MARGIN_US, margin_us)

    def learn(self, took_us: int, now_us: int) -> None:
        """Take the time of an echo; late ones are left out until they have become usual."""
        late = self.is_late(took_us)
        if not late:
            self._late_since_us = None
        elif self._late_since_us is None:
            self._late_since_us = now_us
        anew = late and now_us - (self._late_since_us or now_us) >= LEARN_ANEW_US
        if self._usual_us is None or anew:
            self._usual_us, self._deviation_us = float(took_us), took_us / 2
            self._late_since_us = None
        elif not late:
            off_us = took_us - self._usual_us
            self._deviation_us += (abs(off_us) - self._deviation_us) * DEVIATION_GAIN
            self._usual_us += off_us * TIME_GAIN


class QueueWatch:
    """One viewer's link. Holds pictures back while earlier ones wait in front of it.

    Attributes:
        late: echoes that came late.
    """

    def __init__(self) -> None:
        self.late = 0
        self._open: OrderedDict[Picture, _Announced] = OrderedDict()
        self._bits = 0
        self._sent_us = 0
        self._usual = UsualTime()
        self._answered_us: int | None = None
        self._before: tuple[int, _Announced] | None = None
        self._width: tuple[int, float] | None = None

    def on_announced(self, picture: Picture, now_us: int) -> None:
        """Note an announcement that leaves now, its picture behind it."""
        self._open[picture] = _Announced(now_us, self._bits)
        if len(self._open) > KEPT:
            self._open.popitem(last=False)

    def on_sent(self, picture_bits: int, now_us: int) -> None:
        """Note a picture that leaves now."""
        self._bits += picture_bits
        self._sent_us = now_us

    def on_echo(self, picture: Picture, now_us: int) -> None:
        """Take the viewer's echo of an announcement; it answers for all earlier ones too."""
        announced = self._open.get(picture)
        if announced is None:
            return
        while self._open.popitem(last=False)[0] != picture:
            pass
        self._answered_us = now_us
        took_us = now_us - announced.at_us
        if self._usual.is_late(took_us):
            self.late += 1
            self._measure_width(announced, now_us)
        else:
            self._width = None
        self._usual.learn(took_us, now_us)
        self._before = (now_us, announced)

    def holds(self, now_us: int) -> bool:
        """Return whether a picture sent now would only wait behind others."""
        if not self._open or self._answered_us is None:
            return False
        if now_us - self._answered_us >= ANSWERS_US or now_us - self._sent_us >= LONGEST_HOLD_US:
            return False
        oldest = next(iter(self._open.values()))
        return self._usual.is_late(now_us - oldest.at_us)

    def take_narrow(self, now_us: int) -> Narrow | None:
        """Return what the link was found to be too narrow for, once; it is watched anew then."""
        if self._width is None or now_us - self._width[0] < BURST_AFTER_US:
            return None
        width_bps = self._width[1]
        self._width = None
        if not self._open or not self.holds(now_us):
            return None
        waiting_bits = self._bits - next(iter(self._open.values())).bits
        self._open.clear()
        self._before = None
        return Narrow(int(width_bps), waiting_bits * 1e6 > width_bps * DROPPED_AFTER_US)

    def _measure_width(self, announced: _Announced, now_us: int) -> None:
        if self._before is None:
            return
        before_us, before = self._before
        bits = announced.bits - before.bits
        if bits < LEAST_BITS or now_us <= before_us:
            return
        width_bps = bits * 1e6 / (now_us - before_us)
        first_us, least_bps = self._width or (now_us, width_bps)
        self._width = (first_us, min(least_bps, width_bps))
