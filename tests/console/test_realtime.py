"""The cockpit's processes ask to run ahead of the browser, and work where that is refused."""

from __future__ import annotations

import gc
import os
import runpy
import signal
import subprocess
import sys
from pathlib import Path
from unittest.mock import Mock

import pytest
from typer.testing import CliRunner

import headframe
from operator_console.shell import inputd, realtime, web
from operator_console.shell.realtime import (
    CONSOLE_PRIORITY,
    INPUT_PRIORITY,
    NICE,
    ask_ahead,
    step_back,
)

ASKS = f"""
import os, threading
from operator_console.shell.realtime import ask_ahead, step_back
def show():
    print(os.sched_getscheduler(0), os.sched_getparam(0).sched_priority)
print(ask_ahead({INPUT_PRIORITY}))
show()
thread = threading.Thread(target=show)
thread.start()
thread.join()
step_back()
show()
"""


def may_ask() -> bool:
    """Whether this user may have real time: tried in a process of its own."""
    asks = "import os; os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))"
    tried = subprocess.run([sys.executable, "-c", asks], check=False, capture_output=True)
    return tried.returncode == 0


@pytest.mark.skipif(not may_ask(), reason="this user may not have real time")
def test_granted__the_process_and_its_threads_are_ahead_until_it_steps_back() -> None:
    shown = subprocess.run(
        [sys.executable, "-c", ASKS], capture_output=True, text=True, check=True, timeout=60
    ).stdout.splitlines()

    ahead, back = f"{os.SCHED_FIFO} {INPUT_PRIORITY}", f"{os.SCHED_OTHER} 0"
    assert shown == ["True", ahead, ahead, back]


def test_hands_are_served__they_are_ahead_before_the_first_is_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen = Mock()
    monkeypatch.setattr(inputd, "ask_ahead", seen.asked)
    monkeypatch.setattr(signal, "signal", Mock())
    monkeypatch.setattr(gc, "freeze", Mock())
    inputd.serve(seen)

    assert seen.mock_calls == [("asked", (INPUT_PRIORITY,)), ("run", ())]


def test_console_is_started__it_is_ahead_before_it_runs(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    seen = Mock(**{"ran.return_value": 0})
    config = tmp_path / "console.toml"
    config.touch()
    monkeypatch.setattr(realtime, "ask_ahead", seen.asked)
    monkeypatch.setattr(web, "main", seen.ran)
    result = CliRunner().invoke(headframe.app, ["console", "--config", str(config)])

    assert result.exit_code == 0, result.output
    assert seen.mock_calls == [("asked", (CONSOLE_PRIORITY,)), ("ran", (config,))]


def test_console_is_started_as_a_module__it_is_ahead(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    asked = Mock()
    monkeypatch.setattr(realtime, "ask_ahead", asked)
    monkeypatch.setattr(sys, "argv", ["web", "--config", str(tmp_path / "missing.toml")])
    with pytest.raises(SystemExit):
        runpy.run_path(str(web.__file__), run_name="__main__")

    asked.assert_called_once_with(CONSOLE_PRIORITY)


def test_stepping_back_is_never_refused() -> None:
    step_back()
    assert os.sched_getscheduler(0) == os.SCHED_OTHER


def test_refused__it_is_preferred_where_that_is_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[int, int, int]] = []

    def refuses(*_: object) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "sched_setscheduler", refuses)
    monkeypatch.setattr(os, "setpriority", lambda *each: asked.append(each))
    assert not ask_ahead(INPUT_PRIORITY)
    assert asked == [(os.PRIO_PROCESS, 0, NICE)]


def test_all_refused__nothing_is_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuses(*_: object) -> None:
        raise PermissionError

    for name in ("sched_setscheduler", "setpriority"):
        monkeypatch.setattr(os, name, refuses)
    assert not ask_ahead(INPUT_PRIORITY)


def test_hands_go_before_the_console() -> None:
    assert INPUT_PRIORITY > CONSOLE_PRIORITY > 0
