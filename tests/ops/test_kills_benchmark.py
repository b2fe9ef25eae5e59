"""The benchmark of the guardian's kills: what its stands find, and that none outlives it."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks import kills
from benchmarks.kills import Fault, Sample

SAYS = "import sys; n = int(sys.argv[4]); print([[1.0, 2.0, float(sys.argv[6])]] * n)"
SAYS_NOTHING = "raise SystemExit('the machine never stood')"
ENDS_ITS_PARENT = """
import os, signal
from pathlib import Path
Path({path!r}).write_text(str(os.getpid()))
os.kill(os.getppid(), signal.SIGTERM)
signal.pause()
"""


@pytest.fixture
def sigterm_survived() -> Iterator[None]:
    """What SIGTERM would do to this process is left out."""
    former = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    yield
    signal.signal(signal.SIGTERM, former)


def stand_is(monkeypatch: pytest.MonkeyPatch, program: str) -> None:
    monkeypatch.setattr(kills, "WORKER", (sys.executable, "-S", "-c", program))


@pytest.mark.usefixtures("sigterm_survived")
def test_benchmark_ended_while_a_stand_works__the_stand_has_ended_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "pid"
    stand_is(monkeypatch, ENDS_ITS_PARENT.format(path=str(path)))

    with pytest.raises(KeyboardInterrupt):  # after what SIGTERM does
        kills.on_stands(Fault.STOP, 1, 1)

    with pytest.raises(ProcessLookupError):
        os.kill(int(path.read_text()), 0)


def test_stands_at_once__their_samples_are_those_of_all(monkeypatch: pytest.MonkeyPatch) -> None:
    stand_is(monkeypatch, SAYS)

    found = kills.on_stands(Fault.KILL, 3, 2)

    assert found == [Sample(1.0, 2.0, 0.0)] * 2 + [Sample(1.0, 2.0, 1.0)]


def test_stand_that_fails__its_last_words_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    stand_is(monkeypatch, SAYS_NOTHING)

    with pytest.raises(RuntimeError, match="kill: 0 samples of 1: the machine never stood"):
        kills.on_stands(Fault.KILL, 1, 1)


def test_stands_own_process__says_its_samples_in_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    taken = [Sample(1.0, 2.0, 3.0), Sample(4.0, 5.0, float("inf"))]
    monkeypatch.setattr(kills, "samples", lambda *_: iter(taken))

    assert kills.work(Fault.KILL, 2, 0) == 0
    assert capsys.readouterr().out == "[[1.0, 2.0, 3.0], [4.0, 5.0, Infinity]]\n"
