"""``python -m tests.replay.make_golden``: makes the golden logs anew, one for each stop cause.

Some are scenarios of the simulator, one for each machine and for what only the whole chain shows;
the others are the mishaps that the supervisor's tests do to it. Each begins at the boot and ends a
moment after the stop. To be run where decisions were changed on purpose: what the logs tell then
is what a review looks at.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from protocol.messages import RequestKind
from recording import channels
from recording.reader import open_log
from recording.segment import Segment
from recording.software import software
from sim.replay.cut import golden
from sim.replay.rerun import digested, rerun
from sim.replay.sim_log import FIRST_UTC_NS, SimLog
from sim.replay.ticks import Steps
from sim.scenario.file import Scenario, find_scenario
from sim.scenario.judge import run_scenario
from tests.core import test_supervisor as stories
from tests.rig import START_NS, Rig
from vehicle_agent.core import tape
from vehicle_agent.core.supervisor import Supervisor

GOLDEN = Path(__file__).parents[1] / "golden"
EVENT_S, AFTER_NS = 1.2, 300_000_000
AFTER_S = 0.3


def once(do: str, **more: Any) -> dict[str, Any]:
    return {"events": [{"at_s": EVENT_S, "do": do, **more}]}


SCENARIOS: dict[str, tuple[str, dict[str, Any]]] = {
    "sim_truck_link_cut": ("link_cut_on_the_decline", once("cut_link")),
    "sim_truck_stall_two_paths": (
        "burst_after_a_stall",
        once("stall_commands", for_s=1.5) | {"paths": ["data_channel", "mqtt"]},
    ),
    "sim_truck_picture_frozen": ("picture_frozen", once("freeze_picture")),
    "sim_truck_zone_left": ("estop_pressed", once("leave_zone")),
    "sim_truck_key_turned": ("estop_pressed", once("turn_key")),
    "sim_truck_finder_estop": ("range_finder_silent", once("press_estop")),
    "sim_tractor_let_go": (
        "driver_lets_go",
        once("let_go") | {"machine": "electric_tractor", "site": "farm_field"},
    ),
    "sim_roller_console_dead": ("roller_loses_its_console", once("kill_console")),
    "sim_rigid_truck_estop": (
        "estop_pressed",
        once("press_estop") | {"machine": "rigid_truck_55t", "site": "haul_road"},
    ),
    "sim_truck_8x8_stop": (
        "stop_pressed",
        once("press_stop") | {"machine": "truck_8x8_50t", "site": "offroad_track"},
    ),
}


def lease_given_up(rig: Rig) -> None:
    rig.ask(RequestKind.RELEASE)


def second_ecu(rig: Rig) -> None:
    """One frame under another address may be noise; it takes more to be a second sender."""
    for _ in range(3):
        stories.second_ecu(rig)
        rig.tick()


MISHAPS: dict[str, Callable[[Rig], None]] = {
    each.__name__: each
    for each in (
        *(stories.blind_downlink, stories.no_view, stories.bad_display, stories.stop_frame),
        *(stories.stop_message, stories.stop_at_the_gate, stories.ecu_dies, stories.ecu_stops),
        *(stories.safety_io_lost, second_ecu, stories.one_estop_channel),
        *(stories.supply_sags, stories.tilts, stories.runs_away, stories.steering_stuck),
        *(stories.guardian_sleeps, stories.clock_back, stories.other_bytes_same_sequence),
        *(stories.second_console_arms, lease_given_up),
    )
}


def of_scenario(name: str, folder: Path, target: Path) -> None:
    """Make one of the simulator's."""
    shipped_name, changes = SCENARIOS[name]
    raw = {**find_scenario(shipped_name).raw, "seconds": EVENT_S + 4.0, **changes}
    whole = folder / f"{name}.mcap"
    scenario = Scenario(shipped_name, raw, f"{shipped_name}.yaml")
    run_scenario(scenario, 1, attend=lambda run: SimLog(whole, run))
    log = open_log(whole)
    stops = rerun(Steps(log)).stops_now
    golden(log, target, 0, stops[0].utc_ns + AFTER_NS)


def of_mishap(name: str, target: Path) -> None:
    """Make one of the rig's: a short drive, a mishap, and the stop that comes of it."""
    rig = Rig()
    rig.drive(steer=1500)
    MISHAPS[name](rig)
    rig.run_until(lambda: not rig.is_in(*stories.MOVING), 4.0)
    rig.run(AFTER_S)
    about = {"version": channels.VERSION, "mono_ns": START_NS, "utc_ns": FIRST_UTC_NS}
    session = {**about, "session": name, "golden": True, "simulated": True, **software()}
    segment = Segment(target, session)
    segment.write(channels.BOOT, FIRST_UTC_NS, START_NS, tape.to_bytes(tape.boot_of(rig.setup)))
    supervisor = Supervisor(rig.setup)
    for number, (now_ns, given) in enumerate(rig.inputs, 1):
        said = supervisor.step(now_ns, given)
        utc_ns = now_ns - START_NS + FIRST_UTC_NS
        spoken = digested(tape.outputs_of(number, now_ns, supervisor, said))
        heard = tape.inputs_of(number, now_ns, given)
        segment.write(channels.INPUTS, utc_ns, now_ns, tape.to_bytes(heard))
        segment.write(channels.OUTPUTS, utc_ns, now_ns, tape.to_bytes(spoken))
    segment.close()


def make(name: str, folder: Path) -> str:
    """Make one; return what it shows."""
    target = GOLDEN / f"{name}.mcap"
    target.unlink(missing_ok=True)
    if name in SCENARIOS:
        of_scenario(name, folder, target)
    else:
        of_mishap(name, target)
    result = rerun(Steps(open_log(target)))
    causes = ", ".join(str(stop.cause) for stop in result.stops_now)
    return f"{name}: {causes}, {result.ticks} ticks, {target.stat().st_size} bytes"


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as place:
        for wanted in sys.argv[1:] or (*SCENARIOS, *MISHAPS):
            print(make(wanted, Path(place)), flush=True)  # noqa: T201 - a tool's output
