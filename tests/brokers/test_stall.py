"""A pause of 5 s of broker, cockpit and machine in turn: some 500 old commands, and none acts."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from protocol.signals import DEFAULT_TIMING
from tests.brokers import rig
from tests.brokers.rig import Broker

pytestmark = [pytest.mark.system, rig.needs_mosquitto]
OLD_COMMANDS = 500
PAUSE_MS = 5000.0


class End:
    """One end's process, and the newest that it told."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.told: dict[str, Any] = {}

    def until(self, enough: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """Read what it tells until that is enough."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.told = json.loads(line)
            if enough(self.told):
                return self.told
        pytest.fail(f"it ended; its last words: {self.told}")


@contextlib.contextmanager
def end(name: str, site: Path, *ports: int) -> Iterator[End]:
    command = [sys.executable, "-m", "tests.brokers.ends", name, str(site), *map(str, ports)]
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=rig.ROOT
    )
    with process:
        try:
            yield End(process)
        finally:
            process.kill()


@contextlib.contextmanager
def paused(process: subprocess.Popen[str]) -> Iterator[None]:
    os.kill(process.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(process.pid, signal.SIGCONT)


@pytest.mark.requirement("HF-CMD-04")
@pytest.mark.parametrize("who", ["broker", "console", "machine"])
def test_pause_of_5_s__no_old_command_acts_and_fresh_ones_do_again(
    who: str, control: Broker, telemetry: Broker, site: Path
) -> None:
    with (
        end("machine", site, control.port, telemetry.port) as machine,
        end("console", site, control.port) as console,
    ):
        machine.until(lambda told: told["accepted"] > 50)
        processes = {
            "broker": control.process,
            "console": console.process,
            "machine": machine.process,
        }
        witness, passed = {
            "broker": (console, _sent(console)),
            "console": (machine, lambda told: told["silent_ms"] > PAUSE_MS),
            "machine": (console, _sent(console)),
        }[who]
        with paused(processes[who]):
            witness.until(passed)
        before = machine.told["accepted"]
        after = machine.until(lambda told: told["accepted"] > before + 100)
    assert after["oldest_bound_ms"] <= DEFAULT_TIMING.uplink_max_ms
    assert after["oldest_ms"] <= DEFAULT_TIMING.uplink_max_ms
    assert sum(after["refused"].values()) > 0


def _sent(console: End) -> Callable[[dict[str, Any]], bool]:
    """Enough is when that many more commands than now were sent."""
    now = console.until(lambda told: told["sent"] > 0)["sent"]
    return lambda told: told["sent"] > now + OLD_COMMANDS
