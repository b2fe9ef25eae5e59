"""Short logs for the tests, made by the simulator in lock-step."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sim.replay.sim_log import SimLog
from sim.scenario.file import Scenario, find_scenario
from sim.scenario.judge import run_scenario

STOP_S = 2.0


def log_of(folder: Path, name: str) -> Path:
    """The log of a shipped scenario with one event, which comes early."""
    path = folder / f"{name}.mcap"
    shipped = find_scenario(name)
    events = [{**shipped.raw["events"][0], "at_s": STOP_S}]
    raw: dict[str, Any] = {**shipped.raw, "seconds": STOP_S + 3.0, "events": events}
    run_scenario(Scenario(name, raw, f"{name}.yaml"), 1, attend=lambda run: SimLog(path, run))
    return path
