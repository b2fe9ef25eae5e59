"""The emulated relay: opens by itself, closes only when asked anew, believes no stale stroke."""

from __future__ import annotations

import pytest

from protocol.dbw.codec import ContactState
from protocol.relay import OpenReason, RelayReport, RelayStroke, RelayWish, decode, encode
from sim.relay import CLOSE_AFTER_STROKES, Defect, WatchdogRelay
from tests.relay.harness import Joined
from tests.rig import MS, START_NS

OPEN, CLOSED = ContactState.OPEN, ContactState.CLOSED


@pytest.fixture
def closed() -> Joined:
    joined = Joined()
    joined.close()
    joined.run(100)
    return joined


def opened_after_ms(joined: Joined, longest_ms: int = 1000) -> int | None:
    """Milliseconds of silence until it opens."""
    for ms in range(1, longest_ms + 1):
        joined.silence(1)
        if not joined.relay.closed:
            return ms
    return None


def test_power_up__open_for_that_reason() -> None:
    relay = WatchdogRelay(seed=7)
    report = decode(relay.step(START_NS)[:-1]).message
    assert isinstance(report, RelayReport)
    assert (report.closed, report.feedback, report.reason) == (False, OPEN, OpenReason.POWER_UP)
    assert report.last_accepted is None


def test_strokes_without_a_wish_to_close__stays_open() -> None:
    joined = Joined(wish=RelayWish.HOLD)
    joined.run(5000)
    assert joined.relay.strokes["good"] > 200
    assert not joined.relay.closed


def test_wish_to_close_from_the_first_stroke_on__never_closes() -> None:
    joined = Joined(wish=RelayWish.CLOSE)
    joined.run(5000)
    assert not joined.relay.closed


def test_wish_to_close__only_after_a_run_of_good_strokes() -> None:
    joined = Joined()
    joined.run(20)
    joined.wish = RelayWish.CLOSE
    while not joined.relay.closed:
        joined.tick()
    assert joined.relay.strokes["good"] == CLOSE_AFTER_STROKES


def test_good_strokes__every_one_is_good_and_it_stays_closed(closed: Joined) -> None:
    closed.run(60_000)
    assert closed.relay.closed
    assert closed.relay.contact is CLOSED
    assert set(closed.relay.strokes) == {"good"}
    assert closed.relay.strokes["good"] > 3000


def test_last_good_stroke_200_ms_ago__opens_then_and_not_before(closed: Joined) -> None:
    good = closed.relay.strokes["good"]
    while closed.relay.strokes["good"] == good:
        closed.tick()
    assert opened_after_ms(closed) == 200
    assert closed.relay.reason is OpenReason.SILENT


def test_contact__follows_within_its_travel(closed: Joined) -> None:
    opened_after_ms(closed)
    assert closed.relay.contact is CLOSED
    closed.silence(10)
    assert closed.relay.contact is OPEN


def test_strokes_back_after_the_time_out__stays_open_until_asked_anew(closed: Joined) -> None:
    closed.silence(300)
    closed.run(3000)
    assert not closed.relay.closed
    closed.wish = RelayWish.CLOSE
    closed.run(100)
    assert closed.relay.closed


def test_guardian_stuck_at_close__relay_that_opened_stays_open(closed: Joined) -> None:
    closed.wish = RelayWish.CLOSE
    closed.silence(300)
    closed.run(3000)
    assert not closed.relay.closed


def test_asked_to_open__opens_at_that_stroke(closed: Joined) -> None:
    closed.wish = RelayWish.OPEN
    closed.run(20)
    assert not closed.relay.closed
    assert closed.relay.reason is OpenReason.ASKED


def test_same_stroke_again_and_again__does_not_keep_it_closed(closed: Joined) -> None:
    last = closed.strokes[-1]
    for _ in range(30):
        closed.now_ns += 10 * MS
        closed.relay.take(closed.now_ns, last)
        closed.relay.step(closed.now_ns)
    assert not closed.relay.closed
    assert closed.relay.strokes["repeated"] == 30


def test_recorded_strokes_played_again__do_not_keep_it_closed(closed: Joined) -> None:
    for stroke in closed.strokes[-40:-1]:
        closed.now_ns += 10 * MS
        closed.relay.take(closed.now_ns, stroke)
    assert not closed.relay.closed
    assert closed.relay.strokes["good"] == len(closed.strokes)


def test_strokes_with_wrong_answers__do_not_keep_it_closed(closed: Joined) -> None:
    for number in range(30):
        closed.now_ns += 10 * MS
        wrong = encode(RelayStroke(number, RelayWish.HOLD), 100 + number, 0)
        closed.relay.take(closed.now_ns, wrong)
    assert not closed.relay.closed


def test_stroke_held_up_for_longer_than_a_challenge_lives__does_not_count(closed: Joined) -> None:
    closed.run(20)
    held = closed.line.stroke(closed.now_ns + 20 * MS, RelayWish.HOLD, healthy=True)
    assert held is not None
    good = closed.relay.strokes["good"]
    closed.silence(150)
    closed.relay.take(closed.now_ns, held)
    assert closed.relay.strokes["good"] == good
    assert closed.relay.strokes["late"] == 1


def test_stall_of_the_relay_itself__opens_before_a_waiting_stroke_counts(closed: Joined) -> None:
    waiting = closed.line.stroke(closed.now_ns + 20 * MS, RelayWish.HOLD, healthy=True)
    assert waiting is not None
    closed.relay.take(closed.now_ns + 1000 * MS, waiting)
    assert not closed.relay.closed


@pytest.mark.parametrize("channels", [(OPEN, CLOSED), (CLOSED, OPEN), (OPEN, OPEN)])
def test_emergency_stop_channel_opens__contact_opens_within_15_ms(
    closed: Joined, channels: tuple[ContactState, ContactState]
) -> None:
    closed.relay.set_channels(*channels)
    closed.silence(15)
    assert closed.relay.contact is OPEN
    assert closed.relay.reason is OpenReason.ESTOP
    closed.relay.set_channels(CLOSED, CLOSED)
    closed.run(2000)
    assert not closed.relay.closed


def test_channels_differ_over_500_ms__discrepancy_stays_until_both_were_open() -> None:
    joined = Joined()
    joined.relay.set_channels(OPEN, CLOSED)
    joined.run(490)
    status = joined.tick()
    assert status is not None
    assert not status.report.discrepancy
    joined.run(50)
    joined.relay.set_channels(CLOSED, CLOSED)
    joined.wish = RelayWish.CLOSE
    joined.run(500)
    status = joined.tick()
    assert status is not None
    assert status.report.discrepancy
    assert not joined.relay.closed

    joined.relay.set_channels(OPEN, OPEN)
    joined.run(50)
    joined.relay.set_channels(CLOSED, CLOSED)
    joined.run(50)
    status = joined.tick()
    assert status is not None
    assert not status.report.discrepancy


def test_welded_contact__is_reported_and_it_closes_no_more(closed: Joined) -> None:
    closed.relay.defects.add(Defect.WELDED)
    closed.wish = RelayWish.OPEN
    closed.run(300)
    status = closed.tick()
    assert status is not None
    assert (status.report.closed, status.report.feedback) == (False, CLOSED)
    assert status.report.reason is OpenReason.WELDED
    closed.wish = RelayWish.CLOSE
    closed.run(1000)
    assert not closed.relay.closed


@pytest.mark.parametrize("seed", [0, 1, 0xFFFF_FFFF])
def test_challenges__do_not_repeat(seed: int) -> None:
    relay = WatchdogRelay(seed)
    seen = []
    for number in range(5000):
        data = relay.step(START_NS + number * 100 * MS)
        report = decode(data[:-1]).message
        assert isinstance(report, RelayReport)
        seen.append(report.challenge)
    assert len(set(seen)) > 4990


def test_defect_no_timeout__is_one_that_these_tests_would_see(closed: Joined) -> None:
    closed.relay.defects.add(Defect.NO_TIMEOUT)
    assert opened_after_ms(closed) is None


def test_defect_any_answer__is_one_that_these_tests_would_see(closed: Joined) -> None:
    closed.relay.defects.add(Defect.ANY_ANSWER)
    for number in range(30):
        closed.now_ns += 10 * MS
        closed.relay.take(closed.now_ns, encode(RelayStroke(0, RelayWish.HOLD), number, 0))
    assert closed.relay.closed


def test_defect_closes_alone__is_one_that_these_tests_would_see() -> None:
    joined = Joined(wish=RelayWish.HOLD)
    joined.relay.defects.add(Defect.CLOSES_ALONE)
    joined.run(300)
    assert joined.relay.closed
