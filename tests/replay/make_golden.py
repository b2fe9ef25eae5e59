"""``python -m tests.replay.make_golden``: makes the golden logs anew, one for each stop cause.

Each is a part of a scenario's run round its stop: from a moment before it, with the state carried
in, until the machine brakes. To be run where decisions were changed on purpose; the difference in
what the logs tell is what a review looks at.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any

from sim.replay.cut import golden
from sim.replay.rerun import rerun
from sim.replay.sim_log import SimLog
from sim.replay.ticks import Steps
from sim.scenario.file import Scenario, find_scenario
from sim.scenario.judge import run_scenario
from vehicle_agent.log.reader import open_log

GOLDEN = Path(__file__).parents[1] / "golden"
BEFORE_NS, AFTER_NS = 700_000_000, 500_000_000
STOPS: dict[str, tuple[str, dict[str, Any]]] = {
    "link_cut": ("link_cut_on_the_decline", {}),
    "burst": ("burst_after_a_stall", {}),
    "picture_frozen": ("picture_frozen", {}),
    "estop": ("estop_pressed", {}),
    "ecu_silent": ("ecu_silent", {}),
    "speed_unknown": ("speed_unknown", {}),
    "let_go": ("driver_lets_go", {}),
    "stop_pressed": ("stop_pressed", {}),
    "guardian_paused": ("guardian_paused", {}),
    "brake_failed": ("failed_brake_on_the_decline", {}),
    "key_turned": ("estop_pressed", {"events": [{"at_s": 4.0, "do": "turn_key"}]}),
    "zone_left": ("estop_pressed", {"events": [{"at_s": 4.0, "do": "leave_zone"}]}),
    "ecu_deaf": ("estop_pressed", {"events": [{"at_s": 4.0, "do": "deafen_ecu"}]}),
    "tractor_link_cut": (
        "estop_pressed",
        {
            "machine": "electric_tractor",
            "site": "farm_field",
            "events": [{"at_s": 4.0, "do": "cut_link"}],
        },
    ),
    "roller_link_cut": ("roller_loses_its_console", {}),
    "rigid_truck_estop": (
        "estop_pressed",
        {"machine": "rigid_truck_55t", "site": "haul_road"},
    ),
    "truck_8x8_picture": (
        "picture_frozen",
        {"machine": "truck_8x8_50t", "site": "offroad_track"},
    ),
    "finder_and_one_path": (
        "range_finder_silent",
        {"paths": ["data_channel", "mqtt"], "events": [{"at_s": 4.0, "do": "cut_commands"}]},
    ),
}


def make(name: str, folder: Path) -> str:
    """Make one; return what it shows."""
    shipped_name, changes = STOPS[name]
    shipped = find_scenario(shipped_name)
    whole = folder / f"{name}.mcap"
    scenario = Scenario(shipped_name, {**shipped.raw, **changes}, f"{shipped_name}.yaml")
    run_scenario(scenario, 1, attend=lambda run: SimLog(whole, run))
    log = open_log(whole)
    stops = rerun(Steps(log)).stops_now
    if not stops:
        return f"{name}: no stop"
    target = GOLDEN / f"{name}.mcap"
    target.unlink(missing_ok=True)
    at_ns = stops[0].utc_ns
    written = golden(log, target, at_ns - BEFORE_NS, at_ns + AFTER_NS)
    return f"{name}: {stops[0].cause}, {written.ticks} ticks, {target.stat().st_size} bytes"


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as place:
        for wanted in sys.argv[1:] or STOPS:
            print(make(wanted, Path(place)), flush=True)  # noqa: T201 - a tool's output
