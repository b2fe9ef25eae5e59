"""Enable is never by itself, a stop stands until confirmed, a request has one nonce."""

from __future__ import annotations

import pytest

from operator_console.core.engagement import EnableGate, Requests, StopLatch, kind_to_send
from protocol.frames import CommandKind
from protocol.messages import RequestKind
from protocol.state import VehicleMode
from tests.console.fakes import MS


def test_held_from_the_start__enable_does_not_pass() -> None:
    gate = EnableGate()

    assert not gate.pass_through(held=True, allowed=True)


def test_released_then_held__enable_passes() -> None:
    gate = EnableGate()
    gate.pass_through(held=False, allowed=True)

    assert gate.pass_through(held=True, allowed=True)


def test_tripped_while_held__stays_off_until_released() -> None:
    gate = EnableGate()
    gate.pass_through(held=False, allowed=True)
    gate.pass_through(held=True, allowed=True)
    gate.pass_through(held=True, allowed=False)

    assert not gate.pass_through(held=True, allowed=True)
    assert gate.must_release
    gate.pass_through(held=False, allowed=True)
    assert gate.pass_through(held=True, allowed=True)


def test_released_while_barred__does_not_count_as_release() -> None:
    gate = EnableGate()
    gate.pass_through(held=False, allowed=False)

    assert not gate.pass_through(held=True, allowed=True)


def test_stop_pressed__is_due_at_once_and_every_50_ms() -> None:
    latch = StopLatch()
    latch.press("a", "test", 0)
    due = [ms for ms in range(200) if latch.due(ms * MS)]

    assert due == [0, 50, 100, 150]


def test_stop_pressed_again_while_pending__keeps_its_id() -> None:
    latch = StopLatch()
    latch.press("a", "test", 0)
    latch.press("b", "test", 1)

    assert latch.pending is not None
    assert latch.pending.id == "a"


def test_other_stop_confirmed__ours_stays_pending() -> None:
    latch = StopLatch()
    latch.press("a", "test", 0)
    latch.state_says("b", VehicleMode.STOPPED)

    assert latch.pending is not None


def test_stop_confirmed__is_not_said_again() -> None:
    latch = StopLatch()
    latch.press("a", "test", 0)
    latch.state_says("a", VehicleMode.STOPPED)

    assert latch.due(1000 * MS) is None
    assert latch.confirmed_id == "a"


def test_stop_over__is_no_longer_said_to_be_confirmed() -> None:
    latch = StopLatch()
    latch.press("a", "test", 0)
    latch.state_says("a", VehicleMode.STOPPING)
    latch.state_says("a", VehicleMode.STOPPED)
    stands = latch.confirmed_id
    latch.state_says("a", VehicleMode.LEASED)

    assert stands == "a"
    assert latch.confirmed_id is None


def test_request_queued__waits_until_it_is_answered() -> None:
    requests = Requests()
    requests.wish(RequestKind.LEASE, 0)
    requests.next_to_ask("n1", "r1", 0)
    requests.answered("r1", "queued", "B106", 1)
    waits = requests.queued
    requests.answered("r1", "granted", "", 2)

    assert waits
    assert not requests.queued


def test_stop_pending_longer_than_500_ms__is_unconfirmed() -> None:
    latch = StopLatch()
    latch.press("a", "test", 0)
    assert latch.pending is not None

    assert not latch.pending.unconfirmed(500 * MS)
    assert latch.pending.unconfirmed(500 * MS + 1)


def test_no_nonce__wish_waits_one_second_and_is_dropped() -> None:
    requests = Requests()
    requests.wish(RequestKind.ARM, 0)

    assert requests.next_to_ask(None, "r1", 1000 * MS) is None
    assert requests.next_to_ask("n1", "r1", 1001 * MS) is None
    assert requests.answer is not None
    assert requests.answer.reason == "no_nonce"


def test_nonce_spent__next_request_waits_for_a_new_one() -> None:
    requests = Requests()
    requests.wish(RequestKind.LEASE, 0)
    assert requests.next_to_ask("n1", "r1", 0) is not None
    requests.answered("r1", "granted", "", 1)
    requests.wish(RequestKind.ARM, 2)

    assert requests.next_to_ask("n1", "r2", 2) is None
    assert requests.next_to_ask("n2", "r2", 2) is not None


def test_request_on_its_way__another_waits() -> None:
    requests = Requests()
    requests.wish(RequestKind.LEASE, 0)
    requests.next_to_ask("n1", "r1", 0)
    requests.wish(RequestKind.ARM, 0)

    assert requests.next_to_ask("n2", "r2", 0) is None


def test_answer_to_another_request__is_not_taken() -> None:
    requests = Requests()
    requests.wish(RequestKind.LEASE, 0)
    requests.next_to_ask("n1", "r1", 0)

    assert not requests.answered("r9", "granted", "", 1)


def test_no_answer_for_two_seconds__request_is_given_up() -> None:
    requests = Requests()
    requests.wish(RequestKind.LEASE, 0)
    requests.next_to_ask("n1", "r1", 0)
    requests.next_to_ask("n2", "r2", 2001 * MS)

    assert requests.asked is None
    assert requests.answer is not None
    assert requests.answer.reason == "no_answer"


@pytest.mark.parametrize(
    ("enable", "stop", "kind"),
    [
        (False, False, CommandKind.PARKED),
        (True, False, CommandKind.DRIVE),
        (False, True, CommandKind.STOP),
        (True, True, CommandKind.STOP),
    ],
)
def test_kind__stop_wins_then_enable(enable: bool, stop: bool, kind: CommandKind) -> None:
    assert kind_to_send(enable, stop) is kind
