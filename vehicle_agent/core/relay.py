"""The watchdog relay as the guardian sees it: what its reports mean, and when it is stroked.

Bad news counts when it arrives. Good news counts only when it is proven: a report that names one
of our strokes as accepted was made after that stroke was sent, whatever queued it on its way.
"""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

from protocol.dbw.codec import ContactState
from protocol.relay import (
    FrameDecoder,
    RelayReport,
    RelayStroke,
    RelayWish,
    answer_to,
    encode,
)
from protocol.signals import Timing

_MS = 1_000_000
SLOT_SLACK_NS = 2 * _MS
"""A stroke is due this much early, so that tick jitter does not halve its rate."""
STROKES_REMEMBERED = 64
"""More than are sent in the time after which a report proves nothing any more."""


class RelayStatus(NamedTuple):
    """The relay's newest report, and how old it is by the guardian's own clock.

    Attributes:
        report: as received. age_ns: since it came.
        proven_age_ns: since the stroke was sent that it names as accepted; None when it names
            none of ours.
    """

    report: RelayReport
    age_ns: int
    proven_age_ns: int | None


class RelayView(NamedTuple):
    """What a status means for the supervisor; the flags are named so that false is healthy.

    Attributes:
        word: "none", "closed", "open" or "unknown", for the state.
        not_closed: fitted and not proven to be closed.
        not_ready: it could not close if it were asked to.
        estop_open, estop_discrepancy: of the channels at the relay.
        welded: its contact is closed though it means it to be open, at this moment.
    """

    word: str = "none"
    not_closed: bool = False
    not_ready: bool = False
    estop_open: bool = False
    estop_discrepancy: bool = False
    welded: bool = False


NOT_FITTED = RelayView()
_SILENT = RelayView("unknown", not_closed=True, not_ready=True)


def judge(status: RelayStatus | None, silent_ns: int) -> RelayView:
    """Return what the status of a fitted relay means.

    Args:
        status: None when nothing is known of it. silent_ns: age above which nothing counts.
    """
    if status is None or status.age_ns > silent_ns:
        return _SILENT
    report = status.report
    channels = (report.estop_a, report.estop_b)
    proven = status.proven_age_ns is not None and status.proven_age_ns <= silent_ns
    closed = proven and report.closed and report.feedback is ContactState.CLOSED
    discrepancy = report.discrepancy or ContactState.ERROR in channels
    estop_open = channels != (ContactState.CLOSED, ContactState.CLOSED)
    welded = not report.closed and report.feedback is ContactState.CLOSED
    return RelayView(
        word="closed" if closed else _open_word(report),
        not_closed=not closed,
        not_ready=not proven or discrepancy or estop_open,
        estop_open=estop_open,
        estop_discrepancy=discrepancy,
        welded=welded,
    )


def _open_word(report: RelayReport) -> str:
    return "open" if report.feedback is ContactState.OPEN else "unknown"


class RelayLine:
    """Both directions of the line, as bytes: reports in, strokes out; no port and no clock.

    Args:
        timing: stroke period and silence. first_sequence: u16, random at each start.

    Attributes:
        decoder: its counters tell every corruption apart.
        counts: ``repeated`` reports, ``strokes`` made, strokes ``withheld`` for an unhealthy tick.
    """

    def __init__(self, timing: Timing, first_sequence: int) -> None:
        self.decoder = FrameDecoder()
        self.counts: Counter[str] = Counter()
        self._period_ns = timing.relay_stroke_ms * _MS
        self._silent_ns = timing.relay_open_ms * _MS
        self._sequence = first_sequence
        self._sent_ns: dict[int, int] = {}
        self._report: RelayReport | None = None
        self._report_sequence: int | None = None
        self._report_ns = 0
        self._proven_ns: int | None = None
        self._due_ns: int | None = None
        self._whole = True

    def forget(self) -> None:
        """The line was lost: nothing heard on it counts any more."""
        self.decoder.forget()
        self._report = self._report_sequence = self._proven_ns = None
        self._sent_ns.clear()

    def take(self, now_ns: int, data: bytes) -> None:
        """Take bytes that came; the newest report counts. A repeated one is not news."""
        for received in self.decoder.feed(data):
            if not isinstance(received.message, RelayReport):
                continue
            if received.sequence == self._report_sequence:
                self.counts["repeated"] += 1
                continue
            self._report, self._report_ns = received.message, now_ns
            self._report_sequence = received.sequence
            accepted = received.message.last_accepted
            sent_ns = None if accepted is None else self._sent_ns.get(accepted)
            if sent_ns is not None:
                self._proven_ns = sent_ns

    def status(self, now_ns: int) -> RelayStatus | None:
        """Return the newest report with its ages, or None when there is none."""
        if self._report is None:
            return None
        proven_ns = self._proven_ns
        return RelayStatus(
            self._report,
            now_ns - self._report_ns,
            None if proven_ns is None else now_ns - proven_ns,
        )

    def stroke(self, now_ns: int, wish: RelayWish, *, healthy: bool) -> bytes | None:
        """Return a stroke when one is due and every tick since the last one was healthy.

        Call it once at the end of each tick. A missed slot is skipped, never made good.

        Args:
            now_ns: monotonic. wish: of the supervisor. healthy: this whole tick was.
        """
        self._whole = self._whole and healthy
        due_ns = now_ns if self._due_ns is None else self._due_ns
        if now_ns + SLOT_SLACK_NS < due_ns:
            return None
        on_grid = now_ns - due_ns < self._period_ns
        self._due_ns = (due_ns if on_grid else now_ns) + self._period_ns
        whole, self._whole = self._whole, True
        if not whole:
            self.counts["withheld"] += 1
            return None
        report = self._report
        if report is None or now_ns - self._report_ns > self._silent_ns:
            return None
        self._sequence = (self._sequence + 1) & 0xFFFF
        self._sent_ns[self._sequence] = now_ns
        if len(self._sent_ns) > STROKES_REMEMBERED:
            self._sent_ns.pop(next(iter(self._sent_ns)))
        self.counts["strokes"] += 1
        answer = answer_to(report.challenge, self._sequence, wish)
        return encode(RelayStroke(answer, wish), self._sequence, now_ns // _MS)
