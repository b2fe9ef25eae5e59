"""The kernel's own network emulator between console and machine, as the link test sees it."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from hil.kernel.guest.interfaces import call, narrow
from hil.kernel.lab import tool
from operator_console.shell import link_test
from operator_console.shell.config import load_settings
from sim import demo

DELAY_MS, WITHIN_MS = 15, 30
"""Each time that loopback is passed."""
PASSED = 4
"""Times in a round trip: console, broker, machine, broker, console. Above 250 ms in
all the machine takes no command and echoes none."""
SECONDS = 12.0
PERIOD_NS = 100_000_000
"""Both sides speak each 100 ms in place of 20: an emulated processor cannot keep up with that."""
MACHINE_SIDE = f"""
import sys
from pathlib import Path
from vehicle_agent.shell import link_test
link_test.PERIOD_NS = {PERIOD_NS}
sys.exit(link_test.run(Path(sys.argv[1]), None))
"""
STARTS_WITHIN_S = 300.0
"""An emulated processor takes minutes to load the machine's side."""
PORT = 18830


@pytest.fixture(scope="module")
def cockpit(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A broker and the machine's side of a link test; gives the cockpit's file."""
    run = tmp_path_factory.mktemp("link")
    call("ip", "link", "set", "lo", "up")
    machine = demo.find_config("machines", demo.DEFAULT_MACHINE)
    plan = demo.Plan(run, machine, demo.find_config("sites", demo.DEFAULT_SITE), 1, PORT)
    demo.write_keys(run)
    demo.write_settings(plan)
    for path in (plan.agent_config, plan.console_config):
        settings = tomllib.loads(path.read_text(encoding="utf-8"))
        del settings["control_peer"]
        path.write_text(demo.toml_text(settings), encoding="utf-8")
    with ExitStack() as stack:
        for command in (
            (tool("mosquitto"), "-p", f"{PORT}"),
            (sys.executable, "-c", MACHINE_SIDE, str(plan.agent_config)),
        ):
            process = stack.enter_context(subprocess.Popen(command))
            stack.callback(process.kill)
        yield plan.console_config


def measured(config: Path) -> dict[str, Any]:
    """Measure the link; return the figures of its one path."""
    settings = load_settings(config)
    paths, vehicle = link_test.paths_of(settings), settings.console.vehicle
    _, result = asyncio.run(link_test.measure(paths, vehicle, SECONDS, lambda: None))
    (path,) = result["paths"].values()
    return {**path, "stops": result["drive"]["stops"]}


def test_netem_delay_and_loss__link_test_tells_both(
    cockpit: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(link_test, "ANSWER_WITHIN_S", STARTS_WITHIN_S)
    monkeypatch.setattr(link_test, "PERIOD_NS", PERIOD_NS)
    plain = measured(cockpit)
    with narrow("lo", "delay", f"{DELAY_MS}ms"):
        delayed = measured(cockpit)
    with narrow("lo", "delay", f"{DELAY_MS}ms", "loss", "25%"):
        lossy = measured(cockpit)
    sys.stdout.write(json.dumps({"plain": plain, "delayed": delayed, "lossy": lossy}) + "\n")

    grown_ms = delayed["round_trip_ms"]["p50"] - plain["round_trip_ms"]["p50"]
    assert grown_ms == pytest.approx(PASSED * DELAY_MS, abs=WITHIN_MS)
    assert lossy["lost_there"] > delayed["lost_there"] + 0.05
