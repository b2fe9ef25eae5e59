"""The simulated sensors in real time: the machine's truth in, what they see to the guardian.

python -m sim.sensor_process --site FILE --machine FILE --truth DIR --guardian DIR [--seed N]

It stands for the programs that read range scanner, short-range sensors and locator: what it sends
is what the guardian is told by them, stamped with the time of the truth behind it. A machine that
no longer tells where it is senses no more. It ends on SIGTERM or SIGINT.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import json
import select
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from sim.machines.parameters import load_machine
from sim.sensors.suite import Suite
from sim.simulated_machine import Truth
from sim.world.files import WorldFileError
from sim.world.site import load_site
from vehicle_agent.shell import ipc
from vehicle_agent.shell.clock import monotonic_ns
from vehicle_agent.shell.local_bus import DatagramFanout
from vehicle_agent.shell.realtime import ask_priority

NAME = "sensors.sock"
"""Its own socket beside the guardian's."""
KINDS = (ipc.TO_GUARDIAN_SCAN, ipc.TO_GUARDIAN_PLACE, ipc.TO_GUARDIAN_NEARBY)
"""In the order of what the sensors give."""
PRIORITY = 30
"""It stands in for hardware, but for none that a stop waits for."""
WAKE_S = 0.05
"""Without truth it looks this often whether it shall end."""


class SensorLoop:
    """Carries the sensors from truth to truth.

    Args:
        sensors: what is fitted. truth: of the machine. guardian: where it goes.

    Attributes:
        sent: datagrams that the guardian took.
    """

    def __init__(self, sensors: Suite, truth: DatagramFanout, guardian: ipc.Mailbox) -> None:
        self._sensors, self._truth, self._guardian = sensors, truth, guardian
        self._newest: Truth | None = None
        self.sent = 0

    def wake(self) -> None:
        """Take in the newest truth, and send what the sensors have ready by then."""
        data: bytes | None = None
        while (newer := self._truth.recv()) is not None:
            data = newer
        if data is None:
            return
        truth: Truth = json.loads(data)
        sensed = self._sensors.step(truth["t_us"] * 1000, truth)
        for kind, told in zip(KINDS, sensed, strict=True):
            for data in told:
                self.sent += self._guardian.send(ipc.GUARDIAN, kind + data)

    def summary(self) -> str:
        """One line for the log."""
        return f"sent {self.sent}, not taken {sum(self._guardian.dropped.values())}"


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="sim.sensor_process", description=__doc__)
    parser.add_argument("--site", type=Path, required=True, help="site file (TOML)")
    parser.add_argument("--machine", type=Path, required=True, help="machine file (TOML)")
    parser.add_argument("--truth", type=Path, required=True, help="folder of truth datagrams")
    parser.add_argument("--guardian", type=Path, required=True, help="folder of its socket")
    parser.add_argument("--seed", type=int, default=1, help="seed of noise and holes")
    return parser.parse_args(argv)


def run(arguments: argparse.Namespace) -> None:
    """Run until asked to end.

    Raises:
        WorldFileError: a file is bad.
        OSError: a folder cannot be used, or the node's name is taken.
    """
    ending: list[int] = []
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda number, _frame: ending.append(number))
    site, machine = load_site(arguments.site), load_machine(arguments.machine)
    sensors = Suite(site, machine, arguments.seed, monotonic_ns(), finder=True, locator=True)
    with (
        contextlib.closing(DatagramFanout(arguments.truth, "sensors")) as truth,
        contextlib.closing(ipc.Mailbox(arguments.guardian, NAME)) as guardian,
    ):
        gc.collect()
        gc.freeze()
        ask_priority(PRIORITY)
        loop = SensorLoop(sensors, truth, guardian)
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        while not ending:
            select.select([truth], [], [], WAKE_S)
            loop.wake()
        sys.stderr.write(f"sensors: {loop.summary()}\n")


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point; 0 after a clean end, 1 with one line on stderr when it cannot run."""
    arguments = _arguments(argv)
    try:
        run(arguments)
    except (WorldFileError, OSError) as error:
        sys.stderr.write(f"sensors: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
