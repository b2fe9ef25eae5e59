"""The agent says that it is ready when all of its processes are, the cameras' included."""

from __future__ import annotations

from pathlib import Path

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
