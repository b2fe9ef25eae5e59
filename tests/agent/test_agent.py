"""The agent says that it is ready when all of its processes are, the cameras' included."""

from __future__ import annotations

import signal
from pathlib import Path
from unittest.mock import Mock

import pytest

from vehicle_agent.shell.agent import Agent, Part


def test_media_not_ready_yet__neither_is_the_agent(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    media = Part("media", repaired=True)
    agent = Agent(tmp_path / "agent.toml", [Part("guardian", repaired=False, ready=True), media])
    agent._tell_ready()
    assert capsys.readouterr().out == ""
    media.ready = True
    agent._tell_ready()
    assert capsys.readouterr().out == "ready\n"


def test_asked_to_end_before_its_parts_are_ready__no_failure(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    agent = Agent(tmp_path / "agent.toml", [Part("guardian", repaired=False)])
    monkeypatch.setattr(signal, "signal", Mock())
    monkeypatch.setattr(agent, "_start", Mock())
    monkeypatch.setattr(agent, "_watch", Mock(return_value=True))
    monkeypatch.setattr(agent, "_read", Mock(side_effect=lambda _: agent._end(2, None)))

    assert agent.run() == 0
    assert capsys.readouterr().err == ""
