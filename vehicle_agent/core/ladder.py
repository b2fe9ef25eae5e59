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

    @property
    def small(self) -> Step:
        """The best step of a smaller size, for a picture that is to be there soon."""
        return self._steps[self._small_at()]

    def fall(self, now_us: int) -> None:
        """Go down to the smaller size at once, and up again only after a while."""
        self._at = max(self._at, self._small_at())
        self._good_since_us = now_us

    def _small_at(self) -> int:
        full = self._steps[0].width
        smaller = (at for at, step in enumerate(self._steps) if step.width < full)
        return next(smaller, len(self._steps) - 1)

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
    """What one viewer's link carries, from its estimates, its losses and what is really sent.

    A receiver's estimate (REMB) follows what it is sent, so a high estimate says nothing while
    the picture is quiet, and one that rises says nothing against a higher rate. A receiver that
    sees its link congested says 0.85 of what it gets: an estimate that falls below the sent rate
    counts as a limit. Many packets missing at once are a full queue:
    the limit falls to what came through. Otherwise the limit rises, slowly near the rate at which
    the link was last found full, quickly elsewhere. Reported loss above a tenth lowers the limit
    too, above a fiftieth it keeps it from rising (draft-ietf-rmcat-gcc-02, 5.5 and 6).
    """

    SHARE_OF_ESTIMATE = 0.95
    RISE_NEAR_A_S = 1.08
    RISE_FAR_A_S = 1.30
    NEAR = 0.25
    LONGEST_RISE_US = 1_000_000
    MUCH_LOSS = 0.10
    SOME_LOSS = 0.02
    FULL_QUEUE = 0.20
    """Share of packets missing at once; radio alone seldom loses that many."""
    OUTAGE = 0.95
    """When nothing came through the link was away, and its width is what it was."""
    CUT_AGAIN_US = 300_000
    SHARE_OF_WIDTH = 0.9
    SETTLES_US = 1_000_000
    """After its width was measured, what is reported of the time before lowers it no more."""

    def __init__(self, least_bps: int, max_bps: int) -> None:
        self._least_bps = least_bps
        self._max_bps = max_bps
        self._full_at_bps: float | None = None
        self._estimate_bps: int | None = None
        self._risen_us: int | None = None
        self._cut_us: int | None = None
        self._measured_us: int | None = None
        self._loss = 0.0
        self.limit_bps = max_bps

    def on_estimate(self, estimate_bps: int, sent_bps: int, now_us: int) -> None:
        """Take the receiver's estimate for all cameras, and the rate sent over the last second."""
        fell = self._estimate_bps is not None and estimate_bps < self._estimate_bps
        self._estimate_bps = estimate_bps
        if self._settling(now_us):
            self._risen_us = now_us
            return
        if fell and estimate_bps < sent_bps:
            self._found_full(estimate_bps * self.SHARE_OF_ESTIMATE)
        elif self._loss <= self.SOME_LOSS:
            since_us = now_us if self._risen_us is None else self._risen_us
            rise_s = min(now_us - since_us, self.LONGEST_RISE_US) / 1e6
            self._set(self.limit_bps * self._rise_a_s() ** rise_s)
        self._risen_us = now_us

    def on_width(self, width_bps: int, now_us: int) -> None:
        """Take what the link was measured to carry while more was sent."""
        self._measured_us = now_us
        self._found_full(width_bps * self.SHARE_OF_WIDTH)

    def on_loss(self, share: float, sent_bps: int, now_us: int) -> None:
        """Take the share of packets that a receiver's report says were lost."""
        self._loss = share
        if share > self.MUCH_LOSS and not self._settling(now_us):
            self._set(min(self.limit_bps, sent_bps) * (1 - 0.5 * share))

    def on_missing(self, share: float, sent_bps: int, now_us: int) -> None:
        """Take the share of the newest packets that the receiver asks for again."""
        cut_lately = self._cut_us is not None and now_us - self._cut_us < self.CUT_AGAIN_US
        if self._settling(now_us) or cut_lately:
            return
        if self.FULL_QUEUE < share < self.OUTAGE:
            self._cut_us = now_us
            self._found_full(sent_bps * (1 - share))

    def _settling(self, now_us: int) -> bool:
        return self._measured_us is not None and now_us - self._measured_us < self.SETTLES_US

    def _rise_a_s(self) -> float:
        full_bps = self._full_at_bps
        if full_bps is not None and abs(self.limit_bps - full_bps) <= self.NEAR * full_bps:
            return self.RISE_NEAR_A_S
        return self.RISE_FAR_A_S

    def _found_full(self, carried_bps: float) -> None:
        self._full_at_bps = carried_bps
        self._set(min(self.limit_bps, carried_bps))

    def _set(self, limit_bps: float) -> None:
        self.limit_bps = max(self._least_bps, min(self._max_bps, int(limit_bps)))


class MissingPackets:
    """Which packets a receiver has begun to ask for lately; asking again counts once."""

    WINDOW_US = 250_000

    def __init__(self) -> None:
        self._first_us: dict[int, int] = {}

    def ask(self, sequence_numbers: Sequence[int], now_us: int) -> int:
        """Take a request; return how many packets have been asked for within the window."""
        self._first_us = {
            number: first_us
            for number, first_us in self._first_us.items()
            if now_us - first_us < 4 * self.WINDOW_US
        }
        for number in sequence_numbers:
            self._first_us.setdefault(number, now_us)
        return sum(now_us - first_us < self.WINDOW_US for first_us in self._first_us.values())


class Retransmissions:
    """Which lost packets are worth sending again: young ones, not too often, not too many.

    Without an end to them a full queue is answered with more of what filled it.
    """

    OLDEST_US = 250_000
    AGAIN_US = 60_000
    SHARE_OF_RATE = 0.25
    BURST_BITS = 200_000
    KEPT = 1024

    def __init__(self) -> None:
        self._sent_us: dict[int, int] = {}
        self._budget_bits = float(self.BURST_BITS)
        self._filled_us: int | None = None

    def allows(self, number: int, size_bits: int, age_us: int, rate_bps: int, now_us: int) -> bool:
        """Return whether to send a packet again.

        Args:
            number: its sequence number.
            size_bits: of its payload.
            age_us: since its picture was captured, by the stream's own clock.
            rate_bps: of the stream.
            now_us: monotonic.
        """
        elapsed_us = 0 if self._filled_us is None else now_us - self._filled_us
        self._filled_us = now_us
        filled = self._budget_bits + elapsed_us * rate_bps * self.SHARE_OF_RATE / 1e6
        self._budget_bits = min(float(self.BURST_BITS), filled)
        sent_us = self._sent_us.get(number)
        again = sent_us is not None and now_us - sent_us < self.AGAIN_US
        if age_us > self.OLDEST_US or again or self._budget_bits < size_bits:
            return False
        self._budget_bits -= size_bits
        self._sent_us.pop(number, None)
        self._sent_us[number] = now_us
        if len(self._sent_us) > self.KEPT:
            del self._sent_us[next(iter(self._sent_us))]
        return True
