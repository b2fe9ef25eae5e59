"""``python -m tests.replay.make_shifts FOLDER [COUNT]``: short shifts over a bad link, as logs.

A driver goes along the drift over ``wifi-drift``, and on again after every stop that he did not
want: what a what-if over many logs, a comparison and a report are shown on.
"""

from __future__ import annotations

import sys
from pathlib import Path

from sim.replay.sim_log import SimLog
from sim.scenario.file import Scenario
from sim.scenario.judge import run_scenario

COUNT, SECONDS = 20, 120.0
RAW = {
    "title": "A short shift over the Wi-Fi of a drift",
    "link": "wifi-drift",
    "start_station_m": 72.0,
    "seconds": SECONDS,
    "driver": {"resumes": True},
}


def shift(folder: Path, seed: int, seconds: float = SECONDS) -> Path:
    """Make one; return its log."""
    path = folder / f"shift-{seed:02}.mcap"
    scenario = Scenario("shift", RAW | {"seconds": seconds}, "shift.yaml")
    run_scenario(scenario, seed, attend=lambda run: SimLog(path, run))
    return path


if __name__ == "__main__":
    target = Path(sys.argv[1])
    target.mkdir(parents=True)
    for number in range(1, int(sys.argv[2] if len(sys.argv) > 2 else COUNT) + 1):
        print(shift(target, number), flush=True)  # noqa: T201 - a tool's output
