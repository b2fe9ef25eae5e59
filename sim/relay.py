"""The emulated watchdog relay: a pure state machine, bytes in, bytes and one contact out.

It knows nothing of the guardian but its strokes, and trusts none of them: see protocol/relay.py
for the rules. Switchable defects let a test show that it would notice a relay that lacks one.
"""

from __future__ import annotations

from collections import Counter
from enum import StrEnum

from protocol.dbw.codec import ContactState
from protocol.relay import (
    CHALLENGE_LIFE_MS,
    FrameDecoder,
    OpenReason,
    Received,
    RelayReport,
    RelayStroke,
    RelayWish,
    answer_to,
    encode,
)
from protocol.signals import DEFAULT_TIMING, Timing

_MS = 1_000_000
REPORT_PERIOD_NS = 20 * _MS
CLOSE_AFTER_STROKES = 5
"""Good strokes in a row before it may close."""
TRAVEL_NS = 10 * _MS
"""Of the contact; data sheets of forcibly guided relays name 10 to 20 ms."""
WELDED_AFTER_NS = 100 * _MS
"""A contact still closed this long after the coil was released is welded."""
DISCREPANCY_NS = 500 * _MS


class Defect(StrEnum):
    """What can be wrong with this relay; none of it on a good one."""

    WELDED = "welded"
    """The contact does not open any more."""
    NO_TIMEOUT = "no_timeout"
    """It stays closed without strokes."""
    ANY_ANSWER = "any_answer"
    """It takes a stroke without looking at its answer."""
    CLOSES_ALONE = "closes_alone"
    """It closes at the first good stroke, asked or not."""


class WatchdogRelay:
    """One relay, from its power-up on; the contact is open then.

    Args:
        seed: u32, not 0: where its challenges begin.
        timing: relay_open_ms is its time.

    Attributes:
        defects: may be changed at any time.
        strokes: what became of them: ``good``, ``late`` (answers the challenge before),
            ``wrong``, ``repeated``. decoder: its counters tell corruption apart.
    """

    def __init__(self, seed: int, timing: Timing = DEFAULT_TIMING) -> None:
        self.defects: set[Defect] = set()
        self.decoder = FrameDecoder()
        self.strokes: Counter[str] = Counter()
        self._open_after_ns = timing.relay_open_ms * _MS
        self._channels = (ContactState.CLOSED, ContactState.CLOSED)
        self._differ_since_ns: int | None = None
        self._discrepancy = False
        self._closed = False
        self._reason = OpenReason.POWER_UP
        self._contact = ContactState.OPEN
        self._coil_ns: int | None = None
        self._good_ns: int | None = None
        self._good_run = 0
        self._asked_otherwise = False
        self._last_accepted: int | None = None
        self._challenge = seed & 0xFFFFFFFF or 1
        self._challenge_before: int | None = None
        self._challenge_ns: int | None = None
        self._sequence = 0
        self._report_due_ns: int | None = None

    @property
    def contact(self) -> ContactState:
        """The contact as the machine feels it, after its travel."""
        return self._contact

    @property
    def closed(self) -> bool:
        """The relay means its contact to be closed."""
        return self._closed

    @property
    def reason(self) -> OpenReason:
        """Why it is open."""
        return self._reason

    def set_channels(self, estop_a: ContactState, estop_b: ContactState) -> None:
        """Take the emergency-stop channels' new state; it acts at the next step."""
        self._channels = (estop_a, estop_b)

    def take(self, now_ns: int, data: bytes) -> None:
        """Take bytes from the line; what is overdue happens before they count."""
        self._watch(now_ns)
        for received in self.decoder.feed(data):
            if isinstance(received.message, RelayStroke):
                self._stroke(now_ns, received, received.message)

    def step(self, now_ns: int) -> bytes:
        """Do what is due; return the bytes to send. Call it each 5 ms or more often."""
        self._watch(now_ns)
        if self._report_due_ns is not None and now_ns < self._report_due_ns:
            return b""
        self._report_due_ns = now_ns + REPORT_PERIOD_NS
        self._sequence = (self._sequence + 1) & 0xFFFF
        estop_a, estop_b = self._channels
        report = RelayReport(
            challenge=self._challenge,
            estop_a=estop_a,
            estop_b=estop_b,
            feedback=self._contact,
            closed=self._closed,
            discrepancy=self._discrepancy,
            reason=self._reason,
            last_accepted=self._last_accepted,
            refused=(self.strokes.total() - self.strokes["good"]) & 0xFFFF,
        )
        return encode(report, self._sequence, now_ns // _MS)

    # -- strokes ----------------------------------------------------------------------------

    def _stroke(self, now_ns: int, received: Received, stroke: RelayStroke) -> None:
        verdict = self._judged(received.sequence, stroke)
        self.strokes[verdict] += 1
        if verdict != "good":
            if verdict == "wrong":
                self._good_run = 0
            return
        self._last_accepted = received.sequence
        self._good_ns = now_ns
        self._good_run += 1
        self._draw(now_ns)
        self._report_due_ns = now_ns
        self._obey(now_ns, stroke.wish)

    def _judged(self, sequence: int, stroke: RelayStroke) -> str:
        if sequence == self._last_accepted:
            return "repeated"
        right = stroke.answer == answer_to(self._challenge, sequence, stroke.wish)
        if right or Defect.ANY_ANSWER in self.defects:
            return "good"
        before = self._challenge_before
        if before is not None and stroke.answer == answer_to(before, sequence, stroke.wish):
            return "late"
        return "wrong"

    def _obey(self, now_ns: int, wish: RelayWish) -> None:
        if wish is RelayWish.OPEN:
            self._open(now_ns, OpenReason.ASKED)
        if self._closed:
            return
        if wish is not RelayWish.CLOSE:
            self._asked_otherwise = True
        elif self._asked_otherwise and self._may_close():
            self._close(now_ns)
        if Defect.CLOSES_ALONE in self.defects and not self._closed:
            self._close(now_ns)

    def _may_close(self) -> bool:
        return (
            self._good_run >= CLOSE_AFTER_STROKES
            and self._channels == (ContactState.CLOSED, ContactState.CLOSED)
            and not self._discrepancy
            and self._contact is ContactState.OPEN
            and self._reason is not OpenReason.WELDED
        )

    # -- what happens by itself -------------------------------------------------------------

    def _watch(self, now_ns: int) -> None:
        self._watch_channels(now_ns)
        good_ns = self._good_ns
        if good_ns is not None and now_ns - good_ns >= self._open_after_ns:
            self._good_run = 0
            if Defect.NO_TIMEOUT not in self.defects:
                self._open(now_ns, OpenReason.SILENT)
        self._move_contact(now_ns)
        if self._challenge_ns is None:
            self._challenge_ns = now_ns
        elif now_ns - self._challenge_ns >= CHALLENGE_LIFE_MS * _MS:
            self._draw(now_ns)

    def _watch_channels(self, now_ns: int) -> None:
        a, b = self._channels
        if a is b:
            self._differ_since_ns = None
            if a is ContactState.OPEN:  # both were seen to open: the chain is proven again
                self._discrepancy = False
        elif self._differ_since_ns is None:
            self._differ_since_ns = now_ns
        elif now_ns - self._differ_since_ns > DISCREPANCY_NS and not self._discrepancy:
            self._discrepancy = True
            self._report_due_ns = now_ns
        if self._channels != (ContactState.CLOSED, ContactState.CLOSED):
            self._open(now_ns, OpenReason.ESTOP)
        elif self._discrepancy:
            self._open(now_ns, OpenReason.DISCREPANCY)

    def _move_contact(self, now_ns: int) -> None:
        if self._coil_ns is None:
            return
        wanted = ContactState.CLOSED if self._closed else ContactState.OPEN
        since_ns = now_ns - self._coil_ns
        stuck = wanted is ContactState.OPEN and Defect.WELDED in self.defects
        if self._contact is not wanted and since_ns >= TRAVEL_NS and not stuck:
            self._contact = wanted
            self._report_due_ns = now_ns
        if not self._closed and self._contact is not wanted and since_ns >= WELDED_AFTER_NS:
            self._reason = OpenReason.WELDED

    def _open(self, now_ns: int, reason: OpenReason) -> None:
        if not self._closed:
            return
        self._closed = False
        self._reason = reason
        self._asked_otherwise = False
        self._coil_ns = self._report_due_ns = now_ns

    def _close(self, now_ns: int) -> None:
        self._closed = True
        self._reason = OpenReason.NONE
        self._coil_ns = now_ns

    def _draw(self, now_ns: int) -> None:
        """Draw the next challenge: xorshift32 (Marsaglia 2003), which repeats after 2^32 - 1."""
        self._challenge_before = self._challenge
        x = self._challenge
        x ^= x << 13 & 0xFFFFFFFF
        x ^= x >> 17
        x ^= x << 5 & 0xFFFFFFFF
        self._challenge, self._challenge_ns = x, now_ns
