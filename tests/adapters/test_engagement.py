"""Remote control behind an adapter: how it is taken, how it ends, and how it comes back."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from protocol.dbw.codec import EcuMode, ExitReason
from vehicle_agent.core.engagement import Engagement, Seen, Wish

MS = 1_000_000
WELL = Seen(whole=True, ready=True, estop_open=False, local=False, stands=True)
REST = Wish(enable=False, session=7, fault_ack=False, estop=False)
ENABLE = replace(REST, enable=True)
ROLLS = replace(WELL, stands=False)


class Bench:
    """An engagement and its clock: one step each 10 ms."""

    def __init__(self) -> None:
        self.engagement = Engagement()
        self.now_ns = 5 * 10**15

    def step(self, wish: Wish, seen: Seen = WELL, times: int = 1) -> EcuMode:
        for _ in range(times):
            self.now_ns += 10 * MS
            mode = self.engagement.step(self.now_ns, wish, seen)
            assert mode is self.engagement.mode
        return mode

    def driving(self) -> Bench:
        self.step(REST, times=2)
        assert self.step(ENABLE) is EcuMode.ACTIVE
        return self


def test_before_the_machine_was_whole__nothing_is_known() -> None:
    bench = Bench()
    assert (bench.engagement.session, bench.engagement.reason) == (0, ExitReason.CLEAR)
    assert bench.step(REST, replace(WELL, whole=False), 5) is EcuMode.INIT
    assert bench.step(ENABLE, Seen(), 5) is EcuMode.INIT
    assert bench.step(REST) is EcuMode.STANDBY
    assert (bench.engagement.session, bench.engagement.reason) == (0, ExitReason.CLEAR)


def test_first_session_of_all__is_as_good_as_any() -> None:
    bench = Bench()
    bench.step(REST, times=2)
    assert bench.step(replace(ENABLE, session=1)) is EcuMode.ACTIVE


def test_no_session_after_one_was_used__takes_nothing() -> None:
    bench = Bench().driving()
    bench.step(REST, times=2)
    assert bench.step(replace(ENABLE, session=0)) is EcuMode.STANDBY


def test_disable_heard_before_a_stop__does_not_count_after_it() -> None:
    bench = Bench()
    bench.step(REST, times=2)
    bench.step(REST, replace(WELL, estop_open=True))
    bench.step(REST)
    assert bench.step(replace(REST, fault_ack=True)) is EcuMode.STANDBY
    assert bench.step(ENABLE) is EcuMode.STANDBY


def test_enable_edge__takes_control_under_its_session() -> None:
    bench = Bench()
    bench.step(REST, times=2)
    assert bench.engagement.session == 0
    assert bench.step(ENABLE) is EcuMode.ACTIVE
    assert (bench.engagement.session, bench.engagement.reason) == (7, ExitReason.CLEAR)
    assert bench.step(ENABLE, ROLLS, 5) is EcuMode.ACTIVE


def test_enable_held_from_the_start__takes_nothing() -> None:
    bench = Bench()
    assert bench.step(ENABLE, times=20) is EcuMode.STANDBY


def test_refused_edge__needs_another_one() -> None:
    bench = Bench()
    bench.step(REST, times=2)
    assert bench.step(ENABLE, replace(WELL, ready=False)) is EcuMode.STANDBY
    assert bench.step(ENABLE, times=5) is EcuMode.STANDBY
    bench.step(REST)
    assert bench.step(ENABLE) is EcuMode.ACTIVE


@pytest.mark.parametrize(
    "against",
    [{"whole": False}, {"ready": False}, {"local": True}, {"stands": False}],
    ids=lambda change: next(iter(change)),
)
def test_anything_against_it__takes_nothing(against: dict[str, Any]) -> None:
    bench = Bench()
    bench.step(REST, times=2)
    assert bench.step(ENABLE, replace(WELL, **against)) is EcuMode.STANDBY


@pytest.mark.parametrize("wish", [replace(ENABLE, session=0), replace(ENABLE, estop=True)])
def test_no_session_or_a_stop_asked_for__takes_nothing(wish: Wish) -> None:
    bench = Bench()
    bench.step(REST, times=2)
    assert bench.step(wish) is EcuMode.STANDBY


def test_session_used_before__takes_nothing() -> None:
    bench = Bench().driving()
    assert bench.step(REST, times=2) is EcuMode.STANDBY
    assert bench.step(ENABLE) is EcuMode.STANDBY
    bench.step(REST)
    assert bench.step(replace(ENABLE, session=8)) is EcuMode.ACTIVE


def test_open_stop_at_rest__latches() -> None:
    bench = Bench()
    bench.step(REST, times=2)
    assert bench.step(ENABLE, replace(WELL, estop_open=True)) is EcuMode.ESTOP
    assert bench.step(REST, times=5) is EcuMode.ESTOP


@pytest.mark.parametrize(
    ("wish", "seen", "mode", "reason"),
    [
        (ENABLE, replace(ROLLS, local=True), EcuMode.STANDBY, ExitReason.OPERATOR_OVERRIDE),
        (ENABLE, replace(ROLLS, whole=False), EcuMode.SAFE_STOP, ExitReason.FUNCTION_FAULT),
        (
            ENABLE,
            replace(ROLLS, whole=False, estop_open=True),
            EcuMode.SAFE_STOP,
            ExitReason.FUNCTION_FAULT,
        ),
        (ENABLE, replace(ROLLS, ready=False), EcuMode.SAFE_STOP, ExitReason.CONTROL_POSITION),
        (ENABLE, replace(ROLLS, estop_open=True), EcuMode.ESTOP, ExitReason.OPERATOR_OVERRIDE),
        (
            ENABLE,
            replace(ROLLS, exit_reason=ExitReason.COMMAND_TIMEOUT),
            EcuMode.SAFE_STOP,
            ExitReason.COMMAND_TIMEOUT,
        ),
        (replace(ENABLE, estop=True), ROLLS, EcuMode.SAFE_STOP, ExitReason.RELEASED),
        (replace(ENABLE, session=8), ROLLS, EcuMode.SAFE_STOP, ExitReason.RELEASED),
        (REST, ROLLS, EcuMode.SAFE_STOP, ExitReason.RELEASED),
        (REST, WELL, EcuMode.STANDBY, ExitReason.RELEASED),
    ],
)
def test_control_ends(wish: Wish, seen: Seen, mode: EcuMode, reason: ExitReason) -> None:
    bench = Bench().driving()
    bench.step(ENABLE, ROLLS, 3)
    assert bench.step(wish, seen) is mode
    assert (bench.engagement.reason, bench.engagement.session) == (reason, 0)
    assert bench.step(ENABLE, times=3) is mode


def test_exit_reason_of_the_last_time__is_waited_out_for_half_a_second() -> None:
    old = replace(WELL, exit_reason=ExitReason.COMMAND_TIMEOUT)
    bench = Bench()
    bench.step(REST, old, 2)
    assert bench.step(ENABLE, old) is EcuMode.ACTIVE
    assert bench.step(ENABLE, old, 50) is EcuMode.ACTIVE
    bench.now_ns += 1 - 10 * MS
    assert bench.step(ENABLE, old) is EcuMode.SAFE_STOP


def test_exit_reason_that_comes_back__ends_control_at_once() -> None:
    old = replace(WELL, exit_reason=ExitReason.COMMAND_TIMEOUT)
    bench = Bench()
    bench.step(REST, old, 2)
    assert bench.step(ENABLE, old, 2) is EcuMode.ACTIVE
    assert bench.step(ENABLE, WELL) is EcuMode.ACTIVE
    assert bench.step(ENABLE, old) is EcuMode.SAFE_STOP


def test_second_control__waits_again_for_the_old_reason_to_go() -> None:
    old = replace(WELL, exit_reason=ExitReason.FUNCTION_FAULT)
    bench = Bench().driving()
    bench.step(ENABLE, WELL)
    bench.step(REST, WELL, 100)
    assert bench.step(replace(ENABLE, session=8), old, 40) is EcuMode.ACTIVE


def test_reason_not_available__is_none() -> None:
    bench = Bench().driving()
    unknown = replace(WELL, exit_reason=ExitReason.NOT_AVAILABLE)
    assert bench.step(ENABLE, unknown, 100) is EcuMode.ACTIVE


# The way back


def stopped(seen: Seen = WELL) -> Bench:
    bench = Bench().driving()
    assert bench.step(REST, ROLLS) is EcuMode.SAFE_STOP
    bench.step(REST, seen, 2)
    return bench


ACK = replace(REST, fault_ack=True)


def test_acknowledged_at_standstill__rests_and_keeps_its_reason() -> None:
    bench = stopped()
    assert bench.step(REST) is EcuMode.SAFE_STOP
    assert bench.step(ACK) is EcuMode.STANDBY
    assert bench.engagement.reason is ExitReason.RELEASED
    bench.step(REST)
    assert bench.step(replace(ENABLE, session=8)) is EcuMode.ACTIVE


def test_acknowledgement_held_through_the_stop__is_no_edge() -> None:
    bench = Bench().driving()
    bench.step(ACK, ROLLS)
    assert bench.step(ACK, WELL, 5) is EcuMode.SAFE_STOP
    bench.step(REST)
    assert bench.step(ACK) is EcuMode.STANDBY


def test_edge_of_an_earlier_stop__does_not_count_for_the_next() -> None:
    bench = stopped()
    bench.step(ACK)
    bench.step(REST)
    assert bench.step(replace(ENABLE, session=8)) is EcuMode.ACTIVE
    assert bench.step(replace(REST, session=8), ROLLS) is EcuMode.SAFE_STOP
    assert bench.step(ACK) is EcuMode.SAFE_STOP


@pytest.mark.parametrize(
    "against",
    [{"whole": False}, {"local": True}, {"stands": False}, {"estop_open": True}],
    ids=lambda change: next(iter(change)),
)
def test_acknowledged_while_something_is_wrong__stays(against: dict[str, Any]) -> None:
    bench = stopped()
    bench.step(REST)
    assert bench.step(ACK, replace(WELL, **against)) in (EcuMode.SAFE_STOP, EcuMode.ESTOP)


def test_acknowledged_with_enable__stays() -> None:
    bench = stopped()
    bench.step(REST)
    assert bench.step(replace(ACK, enable=True)) is EcuMode.SAFE_STOP


def test_not_ready__is_no_reason_to_stay_latched() -> None:
    bench = stopped()
    bench.step(REST)
    assert bench.step(ACK, replace(WELL, ready=False)) is EcuMode.STANDBY


def test_harder_stop__replaces_the_softer_one_and_keeps_the_first_reason() -> None:
    bench = stopped()
    assert bench.step(REST, replace(WELL, estop_open=True), 3) is EcuMode.ESTOP
    assert bench.engagement.reason is ExitReason.RELEASED
    bench.step(REST)
    assert bench.step(ACK) is EcuMode.STANDBY


def test_stop_button_pressed_again__needs_its_edge_still() -> None:
    bench = stopped()
    bench.step(REST, replace(WELL, estop_open=True), 3)
    assert bench.step(ACK, replace(WELL, estop_open=True)) is EcuMode.ESTOP
    assert bench.step(ACK) is EcuMode.ESTOP
    bench.step(REST)
    assert bench.step(ACK) is EcuMode.STANDBY


def test_unseen_machine__is_told_as_the_worse() -> None:
    unseen = Seen()
    assert not unseen.local
    assert (unseen.whole, unseen.ready, unseen.estop_open, unseen.stands) == (
        False,
        False,
        True,
        False,
    )
