"""The pacer that ties bench time to the computer's, on a clock that is passed on by hand."""

from __future__ import annotations

import gc
import os
from dataclasses import dataclass
from pathlib import Path

import pytest

from hil import realtime, runner
from hil.benchfile import CanChannel
from hil.judge import Outcome, Verdict
from hil.realtime import HURRY, Pacer, TimedRig
from hil.rig import Mutants, RigSettings
from hil.runner import Options, run

CONFIGS = Path(__file__).resolve().parents[2] / "configs"
BENCHES = CONFIGS / "benches"
MACHINE, SITE = "machines/ug_truck_60t.toml", "sites/mine_drift.toml"

BENCH_NS, REAL_NS = 5_000_000_000, 700_000_000
MS = 1_000_000


@dataclass
class Clock:
    """A computer that wakes up ``late_ns`` after what it was asked for."""

    now_ns: int = REAL_NS
    late_ns: int = 0

    def read(self) -> int:
        return self.now_ns

    def sleep_until(self, due_ns: int) -> None:
        self.now_ns = max(self.now_ns, due_ns) + self.late_ns


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(realtime, "monotonic_ns", made.read)
    monkeypatch.setattr(realtime, "sleep_until_ns", made.sleep_until)
    return made


def test_way_to_the_start_state__bench_hurries(clock: Clock) -> None:
    Pacer(BENCH_NS).wait(BENCH_NS + HURRY * 10 * MS)
    assert clock.now_ns == REAL_NS + 10 * MS


@pytest.mark.parametrize("slower", [1, 10])
def test_judged__a_bench_second_takes_as_many_as_told(clock: Clock, slower: int) -> None:
    pacer = Pacer(BENCH_NS)
    pacer.restart(BENCH_NS, slower)
    pacer.wait(BENCH_NS + 3 * MS)
    assert clock.now_ns == REAL_NS + slower * 3 * MS
    assert pacer.now_ns() == BENCH_NS + 3 * MS


@pytest.mark.parametrize(("slower", "late_ms"), [(1, 20), (10, 2)])
def test_woken_late__lateness_is_in_bench_time(clock: Clock, slower: int, late_ms: int) -> None:
    pacer = Pacer(BENCH_NS)
    pacer.restart(BENCH_NS, slower)
    clock.late_ns = 20 * MS
    pacer.wait(BENCH_NS + 3 * MS)
    assert pacer.latest_ns == late_ms * MS


def test_restart__forgets_what_was_late(clock: Clock) -> None:
    pacer = Pacer(BENCH_NS)
    clock.late_ns = 20 * MS
    pacer.wait(BENCH_NS + 3 * MS)
    pacer.restart(BENCH_NS + 3 * MS, 1)
    assert pacer.latest_ns == 0


@pytest.mark.parametrize(("prompt", "asked"), [(True, ["asked"]), (False, [])])
def test_judged__collector_rests_and_real_time_is_asked_for_as_told(
    prompt: bool, asked: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []
    collects: list[bool] = []

    def judge(*_: object) -> Outcome:
        collects.append(gc.isenabled())
        return Outcome(Verdict.PASS)

    monkeypatch.setattr(runner, "ask_realtime", lambda: seen.append("asked"))
    monkeypatch.setattr(runner, "run_case", judge)
    monkeypatch.setattr(runner, "bring", lambda *_: "")
    bench = BENCHES / "slcan-pty.yaml"
    run(Options(bench, tmp_path, cases=("HIL-01",), repeat=1, mutants=False, prompt=prompt))
    assert (seen, collects, gc.isenabled()) == (asked, [False], True)
    assert os.sched_getscheduler(0) == os.SCHED_OTHER


@pytest.mark.parametrize(
    ("late_ms", "brought", "verdict"),
    [(30, 2, Verdict.PASS), (0, 1, Verdict.INCONCLUSIVE)],
    ids=["late", "in time"],
)
def test_start_state_not_reached__is_tried_again_where_the_bench_was_late(
    late_ms: int, brought: int, verdict: Verdict, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = iter(("it never drove", ""))
    asked: list[str] = []

    def bring(rig: TimedRig, start: str) -> str:
        asked.append(start)
        rig.pacer.latest_ns = late_ms * MS
        return next(answers)

    monkeypatch.setattr(runner, "run_case", lambda *_: Outcome(Verdict.PASS))
    monkeypatch.setattr(runner, "bring", bring)
    bench = BENCHES / "slcan-pty.yaml"
    result = run(Options(bench, tmp_path, cases=("HIL-01",), repeat=1, mutants=False))
    assert (result.verdict, len(asked)) == (verdict, brought)


def test_way_to_the_start_state__a_late_computer_is_not_the_guardians_lateness(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings = RigSettings(CONFIGS / MACHINE, CONFIGS / SITE, 500_000)
    rig = TimedRig(settings, 1, Mutants(), CanChannel(kind="slcan_pty"))
    monkeypatch.setattr(realtime, "monotonic_ns", lambda: 10**18)
    monkeypatch.setattr(realtime, "sleep_until_ns", lambda _: None)
    rig.run(0.1)
    assert rig.clock_ns() == rig.now_ns
    rig.judged_from_here()
    monkeypatch.setattr(realtime, "monotonic_ns", lambda: 10**18 + 5 * MS)
    assert rig.clock_ns() == rig.now_ns + 5 * MS
    rig.close()
