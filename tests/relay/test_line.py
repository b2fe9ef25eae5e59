"""The guardian's side: strokes only from healthy ticks, and belief only in what is proven."""

from __future__ import annotations

import pytest

from protocol.dbw.codec import ContactState
from protocol.relay import OpenReason, RelayReport, RelayStroke, RelayWish, decode, encode
from protocol.signals import DEFAULT_TIMING
from tests.relay.harness import TICK_NS, Joined
from tests.rig import MS, START_NS
from vehicle_agent.core.relay import RelayLine, RelayStatus, RelayView, judge

GOOD = RelayReport(
    challenge=1,
    estop_a=ContactState.CLOSED,
    estop_b=ContactState.CLOSED,
    feedback=ContactState.CLOSED,
    closed=True,
    discrepancy=False,
    reason=OpenReason.NONE,
    last_accepted=1,
    refused=0,
)
SILENT_NS = 200 * MS


def seen(age_ms: int = 10, proven_ms: int | None = 20, **changes: object) -> RelayView:
    proven_ns = None if proven_ms is None else proven_ms * MS
    report = GOOD._replace(**changes)  # type: ignore[arg-type]
    return judge(RelayStatus(report, age_ms * MS, proven_ns), SILENT_NS)


def test_nothing_heard__no_stroke_for_there_is_no_challenge() -> None:
    line = RelayLine(DEFAULT_TIMING, 0)
    assert line.status(START_NS) is None
    assert line.stroke(START_NS, RelayWish.OPEN, healthy=True) is None


def test_strokes__leave_each_20_ms() -> None:
    joined = Joined()
    joined.run(2000)
    assert len(joined.strokes) == 100


def test_tick_a_millisecond_early__does_not_halve_the_rate() -> None:
    joined = Joined()
    joined.run(100)
    before = len(joined.strokes)
    for early_ns in (MS, -MS) * 50:
        joined.now_ns -= early_ns
        joined.tick()
    assert len(joined.strokes) - before >= 49


def test_late_tick__skips_the_slots_it_missed() -> None:
    joined = Joined()
    joined.run(100)
    before = len(joined.strokes)
    joined.now_ns += 100 * MS
    joined.tick()
    joined.tick()
    assert len(joined.strokes) - before == 1


def test_unhealthy_tick__its_stroke_is_withheld() -> None:
    joined = Joined()
    joined.run(100)
    before = len(joined.strokes)
    joined.healthy = False
    joined.run(1000)
    assert len(joined.strokes) == before
    assert joined.line.counts["withheld"] == 50


@pytest.mark.parametrize("position", [0, 1])
def test_one_unhealthy_tick_since_the_last_stroke__withholds_the_next(position: int) -> None:
    joined = Joined()
    joined.run(100)
    before = len(joined.strokes)
    for number in range(4):
        joined.healthy = number != position
        joined.tick()
    assert len(joined.strokes) - before == 1


def test_relay_silent_for_over_200_ms__old_challenge_is_not_answered() -> None:
    joined = Joined()
    joined.run(100)
    joined.reports_pass = False
    joined.run(220)
    before = len(joined.strokes)
    joined.run(1000)
    assert len(joined.strokes) == before


def test_report_that_names_our_stroke__proves_its_age() -> None:
    joined = Joined()
    joined.run(1000)
    status = joined.tick()
    assert status is not None
    assert status.age_ns <= 20 * MS
    assert status.proven_age_ns is not None
    assert status.proven_age_ns <= 30 * MS


def test_reports_held_up_and_delivered_at_once__prove_no_more_than_they_knew() -> None:
    joined = Joined()
    joined.run(1000)
    held = b"".join(joined.relay.step(joined.now_ns + n * 20 * MS) for n in range(1, 5))
    joined.now_ns += 500 * MS
    joined.line.take(joined.now_ns, held)
    status = joined.line.status(joined.now_ns)
    assert status is not None
    assert status.age_ns == 0
    assert status.proven_age_ns is not None
    assert status.proven_age_ns >= 500 * MS
    assert judge(status, SILENT_NS).not_closed


def test_same_report_again_and_again__does_not_stay_fresh() -> None:
    line = RelayLine(DEFAULT_TIMING, 0)
    frame = encode(GOOD, 5, 0)
    for number in range(30):
        line.take(START_NS + number * TICK_NS, frame)
    status = line.status(START_NS + 29 * TICK_NS)
    assert status is not None
    assert status.age_ns == 29 * TICK_NS
    assert line.counts["repeated"] == 29


def test_own_strokes_echoed_by_the_adapter__are_no_reports() -> None:
    line = RelayLine(DEFAULT_TIMING, 0)
    line.take(START_NS, encode(RelayStroke(1, RelayWish.HOLD), 1, 0))
    assert line.status(START_NS) is None


def test_line_lost__nothing_heard_before_counts() -> None:
    joined = Joined()
    joined.close()
    joined.line.forget()
    assert joined.line.status(joined.now_ns) is None


def test_sequence__goes_round_without_a_refused_stroke() -> None:
    joined = Joined()
    joined.run(2000)
    assert decode(joined.strokes[-1][:-1]).sequence < 200
    assert set(joined.relay.strokes) == {"good"}


def test_closed_and_proven__is_closed() -> None:
    assert seen() == RelayView("closed")


def test_nothing_or_silence__is_unknown_and_not_closed() -> None:
    unknown = RelayView("unknown", not_closed=True, not_ready=True)
    assert judge(None, SILENT_NS) == unknown
    assert seen(age_ms=201) == unknown
    assert seen(age_ms=200).word == "closed"


@pytest.mark.parametrize("proven_ms", [None, 201])
def test_closed_but_not_proven__does_not_count(proven_ms: int | None) -> None:
    view = seen(proven_ms=proven_ms)
    assert (view.word, view.not_closed, view.not_ready) == ("unknown", True, True)


@pytest.mark.parametrize("feedback", [ContactState.OPEN, ContactState.ERROR, ContactState.UNKNOWN])
def test_closed_without_its_contact__is_not_closed(feedback: ContactState) -> None:
    view = seen(feedback=feedback)
    assert view.not_closed
    assert not view.welded


def test_open_with_its_contact_closed__is_welded() -> None:
    view = seen(closed=False, reason=OpenReason.ASKED)
    assert view.welded
    assert view.not_closed


def test_open__is_ready_to_be_asked() -> None:
    view = seen(closed=False, feedback=ContactState.OPEN)
    assert view == RelayView("open", not_closed=True)


@pytest.mark.parametrize("channel", ["estop_a", "estop_b"])
@pytest.mark.parametrize("level", [ContactState.OPEN, ContactState.UNKNOWN, ContactState.ERROR])
def test_channel_not_closed__counts_even_unproven(channel: str, level: ContactState) -> None:
    view = seen(proven_ms=None, **{channel: level})
    assert view.estop_open
    assert view.not_ready
    assert view.estop_discrepancy == (level is ContactState.ERROR)


def test_discrepancy__counts_and_bars_closing() -> None:
    view = seen(discrepancy=True)
    assert view.estop_discrepancy
    assert view.not_ready
