"""Whether pictures pile up in front of a viewer's link, told from announcements and their echoes.

Each picture's announcement leaves just behind it, takes the same way, and is echoed by the viewer
at once. A picture that is lost and sent again does not hold its announcement up: what makes an
echo late is a queue, or a link that is away. A link that narrows is so noticed within some tenth of
a second, where a receiver's report of losses comes only when the queue is full and has passed.

Where no echo comes at all the link is away, or so narrow that announcements are lost too. Then
small key frames go out as probes: the first that arrives is the picture that the driver waits for.

The machine's clock alone is used: an echo says nothing but which announcement it answers.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from dataclasses import dataclass
from enum import Enum, auto

LEAST_MARGIN_US, MOST_MARGIN_US = 50_000, 120_000
EXCESSES = 2
"""An echo is late by the least time lately and twice what echoes take longer as a rule."""
EXCESS_GAIN = 1 / 16
LEAST_OF_US = 5_000_000
"""The least time is that of the last five to ten seconds."""
LEARN_ANEW_US = 3_000_000
"""What has been late for this long is what is usual now: the way has become a longer one."""
ROOM_AFTER_US = 100_000
"""A full queue has room for a small key frame this long after the last picture."""
FIRST_PROBE_US = 200_000
PROBE_AGAIN_US = 300_000
"""The encoder's least interval between key frames."""
BURST_AFTER_US = 10_000
"""Echoes that a link had only held back come together; those of a narrow one come apart."""
LEAST_BITS = 20_000
"""Fewer say nothing of the link's width: some other hindrance held them up."""
ANSWERS_US = 15_000_000
"""A viewer that has not echoed for this long does not echo: its ICE consent has ended at 12 s."""
DROPPED_AFTER_US = 250_000
"""A queue in front of a link seldom holds more than this: the rest was dropped."""
KEPT = 256

Picture = tuple[int, int]
"""Camera and number of a picture."""


class Flow(Enum):
    """What is to be done with the next picture."""

    SEND = auto()
    HOLD = auto()
    KEY = auto()
    """A small key frame: what went before it is lost."""
    PROBE = auto()
    """A very small one, into a link that may be away."""


@dataclass(frozen=True, slots=True)
class _Announced:
    """One announcement: when it left, and the bits that had been handed to the link by then."""

    at_us: int
    bits: int


class UsualTime:
    """How long an echo takes at least, and which ones are late by it."""

    def __init__(self) -> None:
        self._least: deque[float] = deque(maxlen=2)
        self._turned_us = 0
        self._excess_us = 0.0
        self._late_since_us: int | None = None

    @property
    def least_us(self) -> float | None:
        """The least time lately; None before the first echo."""
        return min(self._least, default=None)

    def is_late(self, took_us: int) -> bool:
        """Return whether an echo that takes or has taken so long is late."""
        if not self._least:
            return False
        margin_us = min(MOST_MARGIN_US, max(LEAST_MARGIN_US, EXCESSES * self._excess_us))
        return took_us > min(self._least) + margin_us

    def learn(self, took_us: int, now_us: int) -> None:
        """Take the time of an echo."""
        late = self.is_late(took_us)
        if not late:
            self._late_since_us = None
        elif self._late_since_us is None:
            self._late_since_us = now_us
        elif now_us - self._late_since_us >= LEARN_ANEW_US:
            self._least.clear()
            self._late_since_us = None
        if not self._least or now_us - self._turned_us >= LEAST_OF_US:
            self._least.append(took_us)
            self._turned_us = now_us
        self._least[-1] = min(self._least[-1], took_us)
        if not late:
            excess_us = took_us - min(self._least)
            self._excess_us += (excess_us - self._excess_us) * EXCESS_GAIN


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
        self._probed = False
        self._key_due = False
        self._emptying: Picture | None = None
        self._usual = UsualTime()
        self._answered_us: int | None = None
        self._before: tuple[int, _Announced] | None = None
        self._width: tuple[int, float] | None = None
        self._other_way = False

    def on_other_way(self) -> None:
        """Note that pictures go by another connection from now on, perhaps a longer one.

        Until something is echoed from there nothing is known of it; then it is learnt anew.
        """
        self._other_way = True

    def on_announced(self, picture: Picture, now_us: int) -> None:
        """Note an announcement that leaves now, behind its picture."""
        self._open[picture] = _Announced(now_us, self._bits)
        if self._key_due:
            self._key_due, self._emptying = False, picture
        if len(self._open) > KEPT:
            self._open.popitem(last=False)

    def on_sent(self, picture_bits: int, now_us: int) -> None:
        """Note a picture that leaves now."""
        self._probed = self.flow(now_us) in (Flow.PROBE, Flow.KEY)
        self._bits += picture_bits
        self._sent_us = now_us

    def on_echo(self, picture: Picture, now_us: int) -> None:
        """Take the viewer's echo of an announcement; it answers for all earlier ones too."""
        announced = self._open.get(picture)
        if announced is None:
            return
        first_us = next(iter(self._open.values())).at_us
        while True:
            answered, _ = self._open.popitem(last=False)
            if answered == self._emptying:
                self._emptying = None
            if answered == picture:
                break
        self._answered_us = now_us
        self._probed = False
        took_us = now_us - announced.at_us
        if self._other_way:
            self._usual, self._other_way = UsualTime(), False
        if self._usual.is_late(took_us):
            self.late += 1
            self._measure_width(announced, first_us, now_us)
        else:
            self._width = None
        self._usual.learn(took_us, now_us)
        self._before = (now_us, announced)

    def flow(self, now_us: int) -> Flow:
        """Return whether a picture sent now would only wait behind others."""
        if self._key_due:
            return Flow.KEY if now_us - self._sent_us >= ROOM_AFTER_US else Flow.HOLD
        if not self._open or self._answered_us is None:
            return Flow.SEND
        oldest = next(iter(self._open.values()))
        answers = now_us - self._answered_us < ANSWERS_US
        waits = self._emptying is not None or self._usual.is_late(now_us - oldest.at_us)
        if not answers or not waits:
            return Flow.SEND
        probe_us = PROBE_AGAIN_US if self._probed else FIRST_PROBE_US
        return Flow.PROBE if now_us - self._sent_us >= probe_us else Flow.HOLD

    def take_width_bps(self, now_us: int) -> int | None:
        """Return how wide the link is, once, when it was found too narrow for what waits.

        Where pictures were dropped a key frame is next, and nothing more before its echo.
        """
        if self._width is None or now_us - self._width[0] < BURST_AFTER_US:
            return None
        width_bps = self._width[1]
        self._width = None
        if self.flow(now_us) is Flow.SEND:
            return None
        waiting_bits = self._bits - (0 if self._before is None else self._before[1].bits)
        dropped = waiting_bits * 1e6 > width_bps * DROPPED_AFTER_US
        if self._emptying is None and dropped:
            self._key_due = True
        return int(width_bps)

    def _measure_width(self, announced: _Announced, first_us: int, now_us: int) -> None:
        """Take the bits of the pictures answered now, and the time that they kept the link busy.

        That began when the echo before came, or, where nothing was under way then, when the first
        of them left and took the least time.
        """
        least_us = self._usual.least_us
        if self._before is None or least_us is None:
            return
        before_us, before = self._before
        bits = announced.bits - before.bits
        busy_us = now_us - max(before_us, first_us + least_us)
        if bits < LEAST_BITS or busy_us <= 0:
            return
        width_bps = bits * 1e6 / busy_us
        first_us, least_bps = self._width or (now_us, width_bps)
        self._width = (first_us, min(least_bps, width_bps))
