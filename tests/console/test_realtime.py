"""The cockpit's processes ask to run ahead of the browser, and work where that is refused."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from operator_console.shell.realtime import CONSOLE_PRIORITY, INPUT_PRIORITY, NICE, ask_ahead

ASKS = f"""
import os, subprocess, sys
from operator_console.shell.realtime import ask_ahead
print(ask_ahead({CONSOLE_PRIORITY}), os.sched_getscheduler(0) & ~os.SCHED_RESET_ON_FORK,
      os.sched_getparam(0).sched_priority, flush=True)
shows = "import os; print(os.sched_getscheduler(0), os.getpriority(os.PRIO_PROCESS, 0))"
subprocess.run([sys.executable, "-c", shows], check=True)
"""


def test_granted__this_process_is_ahead_and_its_children_are_not() -> None:
    shown = subprocess.run(
        [sys.executable, "-c", ASKS], capture_output=True, text=True, check=True, timeout=60
    ).stdout.splitlines()
    if shown[0].startswith("False"):
        assert shown[0] == f"False {os.SCHED_OTHER} 0"
    else:
        assert shown[0] == f"True {os.SCHED_FIFO} {CONSOLE_PRIORITY}"
        assert shown[1] == f"{os.SCHED_OTHER} 0"


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
