"""The console as a process of the demo: ready only when it has nothing long left to do."""

from __future__ import annotations

import gc
from types import SimpleNamespace
from typing import Any, cast

import pytest

from operator_console.shell import web


def test_console_says_ready__what_it_is_made_of_is_no_garbage_collectors_any_more(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    said_before_freeze: list[str] = []
    monkeypatch.setattr(gc, "freeze", lambda: said_before_freeze.append(capsys.readouterr().out))
    web._announce(cast("Any", SimpleNamespace(address="http://x")))
    assert said_before_freeze == [""]
    assert capsys.readouterr().out == "ready http://x\n"
