"""The tools of the fault tests: what counts as the stop's brake, as acted, as an interruption."""

from __future__ import annotations

import os
import signal
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from protocol.frames import CommandFrame, CommandKind
from sim.faults import mishaps
from sim.faults.intruder import AHEAD, Caught, Intruder
from sim.faults.mishaps import Mishap, NotUnderWay, Result, Scene, play
from sim.faults.rehearsal import HELD_NS, Brake, Rehearsal, held_brake_ns, rehearsal
from vehicle_agent.shell import clock

MS = 1_000_000
KEY = bytes(32)


def _frame(sequence: int) -> bytes:
    return CommandFrame(
        kind=CommandKind.PARKED,
        vehicle_id=1,
        key_id=1,
        ttl_ms=250,
        epoch=1,
        sequence=sequence,
        boot_tag=1,
        echo_hold_us=0,
        source_stamp_us=0,
        echo_stamp_us=0,
        view_stamp_us=0,
    ).encode(KEY)


def _demands(*spans: tuple[int, float]) -> list[Brake]:
    """Brake frames each 20 ms: for so many ms, that demand."""
    demands = [demand for ms, demand in spans for _ in range(ms // 20)]
    return [Brake(number * 20 * MS, demand) for number, demand in enumerate(demands)]


def test_brake_touched_and_then_held__the_held_demand_is_the_stops() -> None:
    brakes = _demands((100, 0.0), (60, 0.5), (40, 0.0), (800, 2.5))
    assert held_brake_ns(brakes, 0) == 200 * MS


def test_brake_only_touched__there_is_no_stop() -> None:
    assert held_brake_ns(_demands((100, 0.0), (HELD_NS // MS, 0.5), (400, 0.0)), 0) is None


@dataclass
class Guardian:
    """What a running demo would tell of its guardian, and of the link before it."""

    control: dict[str, Any] = field(default_factory=lambda: {"refused": {"superseded": 0}})
    link: dict[str, Any] = field(default_factory=lambda: {"made_way": 3})
    states: list[Any] = field(default_factory=list)

    def wait(self, seconds: float) -> None:
        """Nothing runs on."""

    def tells(self, accepted: int, refused: int) -> None:
        state = SimpleNamespace(accepted=(accepted, None))
        stamp_us = clock.monotonic_ns() // 1000 + 1000
        self.states.append(SimpleNamespace(stamp_us=stamp_us, state=state))
        self.control["refused"]["superseded"] += refused


def _scene(guardian: Guardian) -> Scene:
    running = SimpleNamespace(seen=guardian, wait=guardian.wait)
    intruder = SimpleNamespace(heard=guardian)
    return Scene(cast("Any", running), cast("Any", intruder), Result("x", "y"))


def test_attack_accepted_while_the_honest_console_is_refused__it_acted() -> None:
    guardian = Guardian()
    now = _scene(guardian)
    with now.refuses("attack", [_frame(700)], {"superseded"}):
        guardian.tells(accepted=700, refused=5)
    assert now.result.figures["attack"] == {
        "sent": 1,
        "refused": {"superseded": 5},
        "acted": 1,
    }
    assert not now.result.met


def test_attack_refused_and_counted__is_as_it_must_be() -> None:
    guardian = Guardian()
    now = _scene(guardian)
    with now.refuses("attack", [_frame(700)], {"superseded"}):
        guardian.tells(accepted=12, refused=1)
    assert now.result.met


def test_attack_that_made_way_in_the_link__is_as_it_must_be() -> None:
    guardian = Guardian()
    now = _scene(guardian)
    with now.refuses("attack", [_frame(700), _frame(701)], {"superseded"}):
        guardian.tells(accepted=12, refused=1)
        guardian.link = {"made_way": 4}
    assert now.result.figures["attack"] == {
        "sent": 2,
        "refused": {"made_way": 1, "superseded": 1},
        "acted": 0,
    }
    assert now.result.met


def test_attack_neither_accepted_nor_counted__is_a_shortfall() -> None:
    guardian = Guardian()
    now = _scene(guardian)
    with now.refuses("attack", [_frame(700)], {"superseded"}):
        guardian.tells(accepted=12, refused=0)
    assert not now.result.met


def test_truck_stops_by_itself_in_a_mishap__what_fell_short_before_is_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    played: list[str] = []

    def stopped(result: Result) -> None:
        played.append(result.name)
        result.shortfalls.append("beside it: modes STOPPED")
        raise NotUnderWay("stopped by itself: D101")

    monkeypatch.setitem(mishaps.MISHAPS, "starved", Mishap(stopped, "drives on"))
    assert play("starved").shortfalls == ["beside it: modes STOPPED", "stopped by itself: D101"]
    assert played == ["starved"]


def test_wait_that_fails__logs_are_kept_and_the_error_says_where(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(Rehearsal, "start", lambda _self: None)
    monkeypatch.setattr("sim.faults.rehearsal.keep_logs", lambda _folder: tmp_path)

    def rehearsed() -> None:
        with rehearsal() as running:
            running.until(lambda: False, 0.0, "nothing")

    with pytest.raises(TimeoutError, match="nothing") as caught:
        rehearsed()
    assert caught.value.__notes__ == [f"logs of the processes: {tmp_path}"]


def test_ctrl_c_in_a_wait__ends_the_rehearsal_and_reaches_the_program(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Rehearsal, "start", lambda _self: None)

    def rehearsed() -> None:
        with rehearsal() as running:
            os.kill(os.getpid(), signal.SIGINT)
            running.until(lambda: False, 20.0, "nothing")

    with pytest.raises(KeyboardInterrupt):
        rehearsed()


def test_overtaking__numbers_are_far_ahead_of_the_honest_ones() -> None:
    intruder = cast("Any", object.__new__(Intruder))
    intruder.caught_from = lambda _operator: [Caught(0, "cmd", _frame(41))]
    intruder.overtake("console-1")
    assert intruder._sequence == 41 + AHEAD
