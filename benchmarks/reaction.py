"""Console killed at speed: from its last command to brake demand on the by-wire bus.

Real processes, as the demo runs them. The console is killed with SIGKILL while it drives; the
last command's own stamp (as the broker saw it) and the first frame of the brake demand that is
not taken back (as an independent listener on the bus saw it) are both of this computer's
monotonic clock. No peer publishes a tool that can be run for this; PX4 states 0.5 s, ArduPilot
Rover 1.5 s, Hetronic radio 0.45 s.

At the end the guardian is paused once: how long until the watchdog relay is open by itself.
"""

from __future__ import annotations

import signal
import sys

from benchmarks.common import Measurement, run
from sim.faults.rehearsal import Rehearsal, rehearsal

FULL_N = 20
QUICK_N = 3
SPEED_MPS = 2.0
QUICK_SPEED_MPS = 1.0
UNDER_WAY_WITHIN_S = 60.0
STOPS_WITHIN_S = 20.0


def drive(running: Rehearsal, speed_mps: float) -> None:
    """Let the driver drive until the truck is that fast and rolls without brake."""
    running.start_driver()
    running.until(
        lambda: running.speed_mps > speed_mps and running.rolls_free,
        UNDER_WAY_WITHIN_S,
        "at speed, no brake",
    )


def reaction_ms(running: Rehearsal, speed_mps: float) -> float:
    """Drive, kill the console, and return the time until the stop's brake demand."""
    drive(running, speed_mps)
    last_ns = running.last_command_ns(running.kill("console"))
    running.until(
        lambda: running.stop_brake_ns(last_ns) is not None,
        STOPS_WITHIN_S,
        "brake demand that stays",
    )
    brake_ns = running.stop_brake_ns(last_ns)
    assert brake_ns is not None
    running.kill("driver")
    running.start_again("console")
    return (brake_ns - last_ns) / 1e6


def relay_opens_ms(running: Rehearsal, speed_mps: float) -> float:
    """Drive, pause the guardian, and return the time until the ECU tells of an open relay."""
    drive(running, speed_mps)
    paused_ns = running.signal("guardian", signal.SIGSTOP)
    running.until(
        lambda: running.relay_opened_ns(paused_ns) is not None, STOPS_WITHIN_S, "relay open"
    )
    opened_ns = running.relay_opened_ns(paused_ns)
    assert opened_ns is not None
    return (opened_ns - paused_ns) / 1e6


def measure(quick: bool) -> Measurement:
    """Kill a driving console again and again; how long until the machine is told to brake."""
    speed_mps = QUICK_SPEED_MPS if quick else SPEED_MPS
    samples: list[float] = []
    relay = "relay not measured in a quick run"
    with rehearsal() as running:
        for number in range(QUICK_N if quick else FULL_N):
            samples.append(reaction_ms(running, speed_mps))
            sys.stderr.write(f"{number + 1}: {samples[-1]:.1f} ms\n")
        if not quick:
            opened_ms = relay_opens_ms(running, speed_mps)
            relay = (
                f"guardian paused to open relay on the bus {opened_ms:.0f} ms, once: the relay's "
                "200 ms from its last stroke, and the ECU's 20 ms cycle"
            )
    return Measurement(
        name="reaction",
        unit="ms",
        samples=samples,
        notes=(
            "last command of a killed console to the brake demand on the by-wire bus that is not "
            f"taken back, from {speed_mps:g} m/s; limit 300; {relay}; processes preferred to other "
            "work where the user may"
        ),
    )


if __name__ == "__main__":
    sys.exit(run(measure))
