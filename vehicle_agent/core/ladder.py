"""How the bits of one link are shared out among cameras, and what is done with too few of them.

First the bit rate falls, then the frame rate, then the resolution. Down at once, up slowly: a
link that has just recovered is not to be filled again by the first good second.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

LEAST_BITS_A_PIXEL = 0.025
"""Below this the rock of a drift has no edges any more (x264, superfast: 27 dB at 720p30)."""
UP_MARGIN = 1.3
"""The next better step must be had with this much to spare."""
UP_AFTER_US = 3_000_000
"""And for this long."""
LEAST_WIDTH_PX = 320
"""The identity strip needs 288 px."""
_SHARES_OF_RATE = ((1, 1, 1), (2, 3, 1), (1, 2, 1), (1, 2, 2), (1, 3, 2))
"""Steps: frame rate as a fraction of the full one, and what width and height are divided by."""


@dataclass(frozen=True, slots=True)
class Want:
    """What a camera may use of a link.

    Attributes:
        camera: its id. weight: its share when there is too little for all.
        full_bps: more than this it cannot use.
    """

    camera: int
    weight: int
    full_bps: int


def allocate(total_bps: int, wants: Sequence[Want]) -> dict[int, int]:
    """Return each camera's bit rate: by weight, and none more than it can use.

    What one camera cannot use goes to the others, again by weight.
    """
    given: dict[int, int] = {}
    left_bps, open_wants = max(0, total_bps), list(wants)
    while open_wants:
        weights = sum(want.weight for want in open_wants)
        sated = [w for w in open_wants if w.full_bps * weights <= left_bps * w.weight]
        if not sated:
            return given | {w.camera: left_bps * w.weight // weights for w in open_wants}
        for want in sated:
            given[want.camera] = want.full_bps
            left_bps -= want.full_bps
            open_wants.remove(want)
    return given


@dataclass(frozen=True, slots=True)
class Step:
    """Size and frame rate at which a camera is sent."""

    width: int
    height: int
    fps: int

    @property
    def least_bps(self) -> float:
        """The bit rate below which this step is not worth its pixels."""
        return self.width * self.height * self.fps * LEAST_BITS_A_PIXEL


def steps_of(width: int, height: int, fps: int) -> tuple[Step, ...]:
    """Return a camera's steps, the best first."""
    steps: list[Step] = []
    for numerator, denominator, divisor in _SHARES_OF_RATE:
        rate = max(1, fps * numerator // denominator)
        step = Step(width // divisor // 2 * 2, height // divisor // 2 * 2, rate)
        if step.width >= LEAST_WIDTH_PX and step not in steps:
            steps.append(step)
    return tuple(steps)


class Ladder:
    """One camera's step as its bit rate changes."""

    def __init__(self, width: int, height: int, fps: int) -> None:
        self._steps = steps_of(width, height, fps)
        self._at = 0
        self._good_since_us: int | None = None

    @property
    def step(self) -> Step:
        """The step that holds."""
        return self._steps[self._at]

    def update(self, rate_bps: int, now_us: int) -> Step:
        """Return the step for a bit rate: as far down as needed at once, one up after a while."""
        while self._at + 1 < len(self._steps) and rate_bps < self.step.least_bps:
            self._at += 1
            self._good_since_us = None
        if self._at == 0 or rate_bps < self._steps[self._at - 1].least_bps * UP_MARGIN:
            self._good_since_us = None
        elif self._good_since_us is None:
            self._good_since_us = now_us
        elif now_us - self._good_since_us >= UP_AFTER_US:
            self._at -= 1
            self._good_since_us = now_us
        return self.step


class LinkRate:
    """What one viewer's link carries, from its estimates, its loss and what is really sent.

    A receiver's estimate (REMB) follows what it is sent, so a high estimate says nothing while
    the picture is quiet. A receiver that sees its link congested says 0.85 of what it gets: an
    estimate below the sent rate counts as a limit; otherwise the limit rises by 8 % a second,
    as the receiver's own control does. Loss above a tenth lowers the limit, loss above a fiftieth
    keeps it from rising (draft-ietf-rmcat-gcc-02, 5.5 and 6).
    """

    SHARE_OF_ESTIMATE = 0.95
    RISE_PER_S = 1.08
    LONGEST_RISE_US = 1_000_000
    MUCH_LOSS = 0.10
    SOME_LOSS = 0.02

    def __init__(self, least_bps: int, max_bps: int) -> None:
        self._least_bps = least_bps
        self._max_bps = max_bps
        self._risen_us: int | None = None
        self._loss = 0.0
        self.limit_bps = max_bps

    def on_estimate(self, estimate_bps: int, sent_bps: int, now_us: int) -> None:
        """Take the receiver's estimate for all cameras, and the rate sent over the last second."""
        if estimate_bps < sent_bps:
            self._set(min(self.limit_bps, estimate_bps * self.SHARE_OF_ESTIMATE))
        elif self._loss <= self.SOME_LOSS:
            since_us = now_us if self._risen_us is None else self._risen_us
            rise_s = min(now_us - since_us, self.LONGEST_RISE_US) / 1e6
            self._set(self.limit_bps * self.RISE_PER_S**rise_s)
        self._risen_us = now_us

    def on_loss(self, share: float, sent_bps: int) -> None:
        """Take the share of packets that a receiver's report says were lost."""
        self._loss = share
        if share > self.MUCH_LOSS:
            self._set(min(self.limit_bps, sent_bps) * (1 - 0.5 * share))

    def _set(self, limit_bps: float) -> None:
        self.limit_bps = max(self._least_bps, min(self._max_bps, int(limit_bps)))
