"""The machine's recorder as a process: what ends it."""

from __future__ import annotations

import threading
from pathlib import Path
from unittest.mock import Mock

import pytest

from sim import demo
from vehicle_agent.log.disk import Disk
from vehicle_agent.shell import recorder
from vehicle_agent.shell.config import load_agent_config


def test_writing_ends_by_something_else_than_the_disk__the_process_ends_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine = demo.find_config("machines", demo.DEFAULT_MACHINE)
    plan = demo.Plan(tmp_path, machine, demo.find_config("sites", demo.DEFAULT_SITE), 1, 1)
    demo.write_keys(tmp_path)
    demo.write_settings(plan)
    settings = load_agent_config(plan.agent_config)
    settings.runtime.dir.mkdir(parents=True, exist_ok=True)
    made = recorder.Recorder(settings)
    monkeypatch.setattr(recorder, "LISTEN_MS", 10)
    monkeypatch.setattr(Disk, "blocked", Mock(side_effect=LookupError("not as expected")))

    with pytest.raises(LookupError, match="not as expected"):
        made.run(threading.Event())
