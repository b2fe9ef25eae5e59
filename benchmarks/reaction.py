"""Console killed at speed: from its last command to brake demand on the by-wire bus.

Real processes, as the demo runs them. The console is killed with SIGKILL while it drives; the
last command's own stamp (as the broker saw it) and the first brake frame (as an independent
listener on the bus saw it) are both of this computer's monotonic clock. No peer publishes a
tool that can be run for this; PX4 states 0.5 s, ArduPilot Rover 1.5 s, Hetronic radio 0.45 s.
"""

from __future__ import annotations

import sys

from benchmarks.common import Measurement, run
from sim.faults.rehearsal import Rehearsal, rehearsal

FULL_N = 20
QUICK_N = 1
SPEED_MPS = 2.0


def once(running: Rehearsal) -> float:
    """Drive, kill the console, and return milliseconds until brake demand stood on the bus."""
    running.start_driver()
    running.until(
        lambda: running.speed_mps > SPEED_MPS and running.rolls_free, 60.0, "speed, no brake"
    )
    killed_ns = running.kill("console")
    running.until(lambda: running.parked, 20.0, "standing parked")
    last_ns = max(stamp for stamp in running.seen.commands if stamp * 1000 <= killed_ns) * 1000
    brake_ns = running.stop_brake_ns(last_ns)
    assert brake_ns is not None
    running.kill("driver")
    running.start_again("console")
    return (brake_ns - last_ns) / 1e6


def measure(quick: bool) -> Measurement:
    """Kill a driving console again and again; how long until the machine is told to brake."""
    samples: list[float] = []
    with rehearsal() as running:
        for number in range(QUICK_N if quick else FULL_N):
            samples.append(once(running))
            sys.stderr.write(f"{number + 1}: {samples[-1]:.1f} ms\n")
    return Measurement(
        name="reaction",
        unit="ms",
        samples=samples,
        notes="last command of a killed console to brake demand on the by-wire bus; limit 300",
    )


if __name__ == "__main__":
    sys.exit(run(measure))
