"""How many times faster than real time the whole chain runs on one core, and where time goes.

Signed frames, link, pictures, supervisor at 100 Hz, bus frames both ways through the codec, ECU at
5 ms, plant and site: the scenario ``good_link`` in lock-step, without a log. The figure is
simulated time over the processor time of this one process, so that it holds on a busy computer
too, with the same by the wall and the computer's noise beside it; the parts are measured in a run
of their own, since measuring them costs time. The design asks for 60 x; the notes say what
is reached, and a miss does not fail the run.
"""

from __future__ import annotations

import functools
import gc
import sys
import time
from collections import defaultdict
from collections.abc import Callable
from typing import Any

from benchmarks.common import Measurement, run
from benchmarks.sim_clock import Stopwatch
from operator_console.core.session import ConsoleSession
from sim.ecu import Ecu
from sim.human import Human
from sim.runner.cockpit import Cockpit
from sim.runner.link import Way
from sim.runner.pictures import Pictures
from sim.runner.run import Run
from sim.runner.watch import Watch
from sim.scenario.file import find_scenario
from vehicle_agent.core.supervisor import Supervisor

SCENARIO = "good_link"
RUNS, QUICK_RUNS = 5, 2
AIM = 60.0
PARTS: tuple[tuple[type, str, str], ...] = (
    (Supervisor, "step", "supervisor"),
    (Ecu, "step", "ECU step"),
    (Ecu, "on_frame", "ECU receives"),
    (ConsoleSession, "next_command", "console builds and signs"),
    (Human, "controls", "driver"),
    (Cockpit, "hear_state", "console hears states"),
    (Way, "send", "link"),
    (Pictures, "capture", "camera"),
    (Watch, "tick", "watch"),
    (Run, "_count_bus", "digest"),
)
"""What is measured: class, method, name. A part's time includes what it calls."""


def run_of(seed: int, watch: Stopwatch) -> tuple[float, float]:
    """Simulated and processor time of one run, s."""
    chain = Run(find_scenario(SCENARIO), seed)
    gc.collect()
    processor_s = watch.time(chain.finish)
    return chain.simulated_s, processor_s


def parts(seed: int) -> dict[str, float]:
    """Processor time of each part, µs for each tick of the supervisor (10 ms), ``rest`` last."""
    spent: dict[str, float] = defaultdict(float)
    chain = Run(find_scenario(SCENARIO), seed)
    watched = (*PARTS, (type(chain.machine.simulated.plant), "step", "plant and site"))
    kept = [(kind, name, getattr(kind, name)) for kind, name, _ in watched]
    try:
        for kind, name, label in watched:
            setattr(kind, name, _timed(getattr(kind, name), label, spent))
        begun_s = time.process_time()
        chain.finish()
        whole_s = time.process_time() - begun_s
    finally:
        for kind, name, original in kept:
            setattr(kind, name, original)
    ticks = chain.simulated_s * 100.0
    spent["rest"] = whole_s - sum(spent.values())
    return {label: round(1e6 * seconds / ticks, 1) for label, seconds in spent.items()}


def _timed(original: Callable[..., Any], label: str, spent: dict[str, float]) -> Callable[..., Any]:
    @functools.wraps(original)
    def timed(*arguments: Any, **named: Any) -> Any:
        begun_s = time.process_time()
        try:
            return original(*arguments, **named)
        finally:
            spent[label] += time.process_time() - begun_s

    return timed


def measure(quick: bool) -> Measurement:
    """× real time on one core of the whole chain in lock-step."""
    watch = Stopwatch()
    runs = [run_of(seed, watch) for seed in range(1, 1 + (QUICK_RUNS if quick else RUNS))]
    samples = [simulated_s / processor_s for simulated_s, processor_s in runs]
    noise = watch.noise(sum(simulated_s for simulated_s, _ in runs))
    spent = ", ".join(f"{name} {micros:g}" for name, micros in parts(1).items())
    return Measurement(
        name="sim_chain",
        unit="x real time",
        samples=samples,
        notes=f"whole chain, scenario {SCENARIO}, no log, processor time of one process; the aim "
        f"is {AIM:g} x; {noise}; "
        f"us for each tick of 10 ms by part (measuring included): {spent}",
    )


if __name__ == "__main__":
    sys.exit(run(measure))
