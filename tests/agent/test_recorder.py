"""The machine's recorder as a process: what ends it."""

from __future__ import annotations

import threading
import zlib
from pathlib import Path
from unittest.mock import Mock

import pytest

from recording import channels
from sim import demo
from vehicle_agent.log.disk import Disk
from vehicle_agent.shell import ipc, recorder
from vehicle_agent.shell.config import AgentSettings, load_agent_config


@pytest.fixture
def settings(tmp_path: Path) -> AgentSettings:
    machine = demo.find_config("machines", demo.DEFAULT_MACHINE)
    plan = demo.Plan(tmp_path, machine, demo.find_config("sites", demo.DEFAULT_SITE), 1, 1)
    demo.write_keys(tmp_path)
    demo.write_settings(plan)
    settings = load_agent_config(plan.agent_config)
    settings.runtime.dir.mkdir(parents=True, exist_ok=True)
    return settings


def test_writing_ends_by_something_else_than_the_disk__the_process_ends_with_it(
    settings: AgentSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = recorder.Recorder(settings)
    monkeypatch.setattr(recorder, "LISTEN_MS", 10)
    monkeypatch.setattr(Disk, "blocked", Mock(side_effect=LookupError("not as expected")))

    with pytest.raises(LookupError, match="not as expected"):
        made.run(threading.Event())


def test_key_state_is_not_whole__is_counted_as_lost(settings: AgentSettings) -> None:
    made = recorder.Recorder(settings)
    guardian = ipc.Mailbox(settings.runtime.dir, ipc.GUARDIAN)
    torn = zlib.compress(b"{}")[:-1]
    assert guardian.offer(ipc.RECORDER, ipc.TO_RECORDER_KEY + torn)
    ended = threading.Event()
    ended.set()
    made.run(ended)
    guardian.close()

    assert made.disk.lost == {channels.KEY: 1}
