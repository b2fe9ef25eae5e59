"""The agent says that it is ready when all of its processes are, the cameras' included."""

from __future__ import annotations

import errno
import signal
import subprocess
from pathlib import Path
from unittest.mock import Mock

import pytest

from vehicle_agent.shell import clock
from vehicle_agent.shell.agent import Agent, Part

S = 1_000_000_000


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


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.EMFILE, "Too many open files"),
        subprocess.SubprocessError("Exception occurred in preexec_fn."),
    ],
    ids=["descriptors", "preexec"],
)
def test_part_cannot_be_started_again__the_agent_goes_on_and_tries_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    now_ns, starts = [10 * S], Mock(side_effect=error)
    recorder = Part("recorder", repaired=True, ready=True, again_ns=now_ns[0])
    agent = Agent(tmp_path / "agent.toml", [recorder])
    monkeypatch.setattr(clock, "monotonic_ns", lambda: now_ns[0])
    monkeypatch.setattr(subprocess, "Popen", starts)

    ends = [agent._watch(recorder), agent._watch(recorder)]
    before = starts.call_count
    now_ns[0] += S
    ends.append(agent._watch(recorder))

    assert (ends, before, starts.call_count) == ([False] * 3, 1, 2)


def test_part_ended_five_times_in_a_minute__is_tried_again_a_minute_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now_ns, started = [100 * S], Mock()
    recorder = Part("recorder", repaired=True, ready=True, process=Mock())
    recorder.starts_ns.extend(range(95 * S, 101 * S, S))
    agent = Agent(tmp_path / "agent.toml", [recorder])
    agent._tell_ready()
    monkeypatch.setattr(clock, "monotonic_ns", lambda: now_ns[0])
    monkeypatch.setattr(agent, "_forget", lambda part, _: setattr(part, "process", None))
    monkeypatch.setattr(agent, "_start", started)

    agent._watch(recorder)
    now_ns[0] += 59 * S
    agent._watch(recorder)
    before = started.call_count
    now_ns[0] += S
    agent._watch(recorder)

    assert (before, started.call_count) == (0, 1)
