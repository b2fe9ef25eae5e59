"""The kernel's own network emulator between console and machine, as the link test sees it."""

from __future__ import annotations

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
from sim import demo

DELAY_MS = 40
"""One way; a round trip over loopback passes the emulator twice."""
SECONDS = "8"
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
    module = (sys.executable, "-m", "headframe", "link-test", "--config")
    with ExitStack() as stack:
        for command in (
            (tool("mosquitto"), "-p", f"{PORT}"),
            (*module, str(plan.agent_config)),
        ):
            process = stack.enter_context(subprocess.Popen(command))
            stack.callback(process.kill)
        yield plan.console_config


def measured(config: Path) -> dict[str, Any]:
    """Measure the link; return the figures of its one path."""
    command = [sys.executable, "-m", "headframe", "link-test", "--json", "--seconds", SECONDS]
    done = subprocess.run(
        [*command, "--config", str(config)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    (path,) = result["paths"].values()
    return {**path, "stops": result["drive"]["stops"]}


def test_netem_delay_and_loss__link_test_tells_both(cockpit: Path) -> None:
    plain = measured(cockpit)
    with narrow("lo", "delay", f"{DELAY_MS}ms"):
        delayed = measured(cockpit)
    with narrow("lo", "delay", f"{DELAY_MS}ms", "loss", "5%"):
        lossy = measured(cockpit)
    sys.stdout.write(json.dumps({"plain": plain, "delayed": delayed, "lossy": lossy}) + "\n")

    grown_ms = delayed["round_trip_ms"]["p50"] - plain["round_trip_ms"]["p50"]
    assert grown_ms == pytest.approx(2 * DELAY_MS, abs=15)
    assert lossy["round_trip_ms"]["p99"] > delayed["round_trip_ms"]["p99"] + DELAY_MS
