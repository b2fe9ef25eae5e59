"""The serial driver on real pseudo-terminals: nothing waits, and a line that goes comes back."""

from __future__ import annotations

import os
import select
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import serial

from protocol.dbw.codec import ContactState
from protocol.relay import RelayWish
from protocol.signals import DEFAULT_TIMING
from sim.relay import WatchdogRelay
from sim.relay_process import PseudoTerminal
from sim.relay_wires import RELAY, Wires
from tests.rig import MS, START_NS
from vehicle_agent.shell import clock
from vehicle_agent.shell.relay import REOPEN_FIRST_NS, REOPEN_LAST_NS, RelayPort

TICK_NS = 10 * MS
WAIT_S = 5.0


class Bench:
    """A driver and an emulated relay with a real terminal between them; the clock is the test's."""

    def __init__(self, link: Path) -> None:
        self.link = link
        self.now_ns = START_NS
        self.relay = WatchdogRelay(seed=3)
        self.terminal = PseudoTerminal(link)
        self.port = RelayPort(link, DEFAULT_TIMING, 9)
        self.wish = RelayWish.OPEN

    def tick(self) -> None:
        """One tick, with what was written on either side having arrived."""
        self.now_ns += TICK_NS
        report = self.relay.step(self.now_ns)
        self.terminal.write(report)
        if report and self.port.fileno() >= 0:
            assert select.select([self.port.fileno()], [], [], WAIT_S)[0]
        self.port.receive(self.now_ns)
        before = self.port.summary().get("strokes", 0)
        self.port.stroke(self.now_ns, self.wish, healthy=True)
        if self.port.summary().get("strokes", 0) != before:
            assert select.select([self.terminal], [], [], WAIT_S)[0]
            self.relay.take(self.now_ns, self.terminal.read())

    def run(self, ms: int) -> None:
        for _ in range(ms * MS // TICK_NS):
            self.tick()

    def close(self) -> None:
        self.port.close()
        self.terminal.close()


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path / "relay")
    yield made
    made.close()


def test_strokes_over_a_terminal__close_the_relay_and_hold_it(bench: Bench) -> None:
    bench.run(500)
    bench.wish = RelayWish.CLOSE
    bench.run(100)
    bench.wish = RelayWish.HOLD
    bench.run(3000)
    status = bench.port.receive(bench.now_ns)
    assert status is not None
    assert status.report.closed
    assert status.proven_age_ns is not None
    assert status.proven_age_ns <= 40 * MS
    assert set(bench.relay.strokes) == {"good"}
    assert bench.port.summary()["corrupted"] == {}
    assert not bench.relay.decoder.faults


def test_tick__never_looks_at_the_terminal_itself(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    terminals: dict[str, set[bool]] = {}

    def read(descriptor: int, number: int, of: Callable[[int, int], bytes] = os.read) -> bytes:
        terminals.setdefault(threading.current_thread().name, set()).add(os.isatty(descriptor))
        return of(descriptor, number)

    monkeypatch.setattr(os, "read", read)
    bench.run(500)
    assert terminals["relay-port"] == {True}

    terminals.clear()
    bench.port.receive(bench.now_ns)

    assert terminals[threading.current_thread().name] == {False}


def test_port_in_use__is_not_shared(bench: Bench) -> None:
    bench.run(50)
    with pytest.raises(serial.SerialException):
        serial.Serial(str(bench.link), exclusive=True)


def test_path_that_is_not_there__tried_again_with_growing_pauses(tmp_path: Path) -> None:
    port = RelayPort(tmp_path / "none", DEFAULT_TIMING, 0)
    tried_ms = []
    for ms in range(0, 10_000, 10):
        before = port.events["open_failed"]
        assert port.receive(START_NS + ms * MS) is None
        if port.events["open_failed"] != before:
            tried_ms.append(ms)
    first_ms, last_ms = REOPEN_FIRST_NS // MS, REOPEN_LAST_NS // MS
    pauses = [b - a for a, b in pairwise(tried_ms)]
    assert pauses[:3] == [first_ms, 2 * first_ms, 4 * first_ms]
    assert max(pauses) == last_ms


def test_path_that_is_no_terminal__is_a_failed_opening(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    port = RelayPort(file, DEFAULT_TIMING, 0)
    assert port.receive(START_NS) is None
    assert port.events == {"open_failed": 1}


def test_unplugged_and_plugged_in_again__status_gone_at_once_and_back_by_path(bench: Bench) -> None:
    bench.run(500)
    bench.terminal.close()
    assert select.select([bench.port.fileno()], [], [], WAIT_S)[0]
    assert bench.port.receive(bench.now_ns + TICK_NS) is None
    assert bench.port.events["lost"] == 1
    assert bench.port.fileno() == -1

    bench.terminal = PseudoTerminal(bench.link)
    bench.run(REOPEN_FIRST_NS // MS + 100)
    assert bench.port.receive(bench.now_ns) is not None
    assert bench.port.events["opened"] == 2


def test_stroke_into_a_line_that_hung_up__is_a_loss_and_no_error(bench: Bench) -> None:
    bench.run(500)
    bench.terminal.close()
    bench.port.stroke(bench.now_ns + 20 * MS, RelayWish.HOLD, healthy=True)
    assert bench.port.events["lost"] == 1
    bench.terminal = PseudoTerminal(bench.link)


def test_relay_that_does_not_read__strokes_are_dropped_and_nothing_waits(bench: Bench) -> None:
    bench.run(100)
    for _ in range(20_000):
        bench.now_ns += 20 * MS
        bench.terminal.write(bench.relay.step(bench.now_ns))
        assert select.select([bench.port.fileno()], [], [], WAIT_S)[0]
        bench.port.receive(bench.now_ns)
        bench.port.stroke(bench.now_ns, RelayWish.HOLD, healthy=True)
        if bench.port.events["not_taken"]:
            break
    assert bench.port.events["not_taken"] == 1

    bench.terminal.read()
    while select.select([bench.terminal], [], [], 0.2)[0]:
        bench.relay.take(bench.now_ns, bench.terminal.read())
    good = bench.relay.strokes["good"]
    bench.run(200)
    assert bench.relay.strokes["good"] - good >= 9


def test_guardian_that_does_not_read__relay_drops_reports_and_nothing_waits(bench: Bench) -> None:
    bench.run(100)
    for _ in range(20_000):
        bench.now_ns += 20 * MS
        bench.terminal.write(bench.relay.step(bench.now_ns))
        if bench.terminal.cut:
            break
    assert bench.terminal.cut
    for _ in range(100):
        bench.port.receive(bench.now_ns)
    status = bench.port.receive(bench.now_ns)
    assert status is not None
    assert status.proven_age_ns is not None
    assert status.proven_age_ns > 200 * MS


def test_rubbish_on_the_line__is_counted_and_the_next_report_counts(bench: Bench) -> None:
    bench.run(100)
    bench.terminal.write(b"\x11\x22\x00" + os.urandom(30).replace(b"\0", b"\1") + b"\0")
    bench.run(100)
    status = bench.port.receive(bench.now_ns)
    assert status is not None
    assert status.age_ns <= 20 * MS
    corrupted = bench.port.summary()["corrupted"]
    assert isinstance(corrupted, dict)
    assert sum(corrupted.values()) == 2


def test_link__is_replaced_and_taken_away(tmp_path: Path) -> None:
    link = tmp_path / "relay"
    link.symlink_to("/nowhere")
    first = PseudoTerminal(link)
    assert link.resolve().exists()
    second = PseudoTerminal(link)
    first.close()
    assert link.is_symlink()  # it is the second one's now
    second.close()
    assert not link.is_symlink()


# -- the process ---------------------------------------------------------------------------------


class Running:
    """The emulated relay as a process of its own, in real time."""

    def __init__(self, folder: Path) -> None:
        self.port = RelayPort(folder / "relay", DEFAULT_TIMING, 9)
        self.wires = Wires(folder / "w", "bench")
        self.process = subprocess.Popen(
            [
                *(sys.executable, "-m", "sim.relay_process"),
                *("--link", str(folder / "relay"), "--wires", str(folder / "w")),
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == "ready\n"

    @property
    def contact(self) -> ContactState:
        return self.wires.hear(clock.monotonic_ns())[RELAY]

    def until(self, done: Callable[[], bool], wish: RelayWish | None) -> int:
        """Stroke (or not, without a wish) until ``done``; return when, monotonic ns."""
        deadline_ns = clock.monotonic_ns() + 10_000 * MS
        while not done():
            assert clock.monotonic_ns() < deadline_ns
            self.port.receive(clock.monotonic_ns())
            if wish is not None:
                self.port.stroke(clock.monotonic_ns(), wish, healthy=True)
            listening = [self.wires.fileno(), self.port.fileno()]
            select.select([number for number in listening if number >= 0], [], [], 0.005)
        return clock.monotonic_ns()

    def strokes(self) -> Any:
        return self.port.summary().get("strokes", 0)


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    made = Running(tmp_path)
    yield made
    made.process.terminate()
    out, errors = made.process.communicate(timeout=10)
    assert made.process.returncode == 0, (out, errors)
    assert errors.startswith("relay: late wake-ups")
    made.wires.close()
    made.port.close()


def test_process__closes_when_stroked_and_asked_and_opens_by_itself(running: Running) -> None:
    running.until(lambda: running.strokes() > 10, RelayWish.OPEN)
    assert running.contact is ContactState.OPEN
    running.until(lambda: running.contact is ContactState.CLOSED, RelayWish.CLOSE)
    running.until(lambda: running.contact is ContactState.OPEN, None)


def test_process__emergency_stop_on_its_wires_opens_it(running: Running) -> None:
    running.until(lambda: running.strokes() > 10, RelayWish.OPEN)
    running.until(lambda: running.contact is ContactState.CLOSED, RelayWish.CLOSE)
    running.wires.say(estop_a=ContactState.OPEN, estop_b=ContactState.OPEN)
    running.until(lambda: running.contact is ContactState.OPEN, RelayWish.HOLD)
    status = running.port.receive(clock.monotonic_ns())
    assert status is not None
    assert status.report.estop_a is ContactState.OPEN


def test_wires__contact_of_a_silent_relay_is_open(tmp_path: Path) -> None:
    relay, machine = Wires(tmp_path, "relay"), Wires(tmp_path, "machine")
    now_ns = clock.monotonic_ns()
    relay.say(relay=ContactState.CLOSED)
    assert machine.hear(now_ns)[RELAY] is ContactState.CLOSED
    assert machine.hear(now_ns + 100 * MS)[RELAY] is ContactState.CLOSED
    assert machine.hear(now_ns + 101 * MS)[RELAY] is ContactState.OPEN
    relay.close()
    machine.close()


def test_wires__rubbish_is_counted_and_changes_nothing(tmp_path: Path) -> None:
    relay, machine = Wires(tmp_path, "relay"), Wires(tmp_path, "machine")
    for rubbish in (b"\xff", b"[]", b"3", b'{"relay": "SHUT"}', b'{"relay": 1}'):
        relay._fanout.send(rubbish)
    assert machine.hear(0)[RELAY] is ContactState.OPEN
    assert machine.malformed == 5
    relay.close()
    machine.close()
