"""The simulated range scanner in real time: the machine's truth in, scans to the guardian.

python -m sim.range_process --site FILE --machine FILE --truth DIR --guardian DIR [--seed N]

It stands for the program that reads a real scanner: what it sends is what the guardian is told by
one, stamped with the time of the truth behind it. A machine that no longer tells where it is has
scans no more. It ends on SIGTERM or SIGINT.
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
from sim.sensors.lookout import SCANNER, Lookout
from sim.simulated_machine import Truth
from sim.world.files import WorldFileError
from sim.world.site import load_site
from vehicle_agent.core.clearance import RangeFinder
from vehicle_agent.shell import ipc
from vehicle_agent.shell.clock import monotonic_ns
from vehicle_agent.shell.local_bus import DatagramFanout
from vehicle_agent.shell.realtime import ask_priority

NAME = "finder.sock"
"""Its own socket beside the guardian's."""
PRIORITY = 30
"""It stands in for hardware, but for none that a stop waits for."""
WAKE_S = 0.05
"""Without truth it looks this often whether it shall end."""


class RangeLoop:
    """Carries the scanner from truth to truth.

    Args:
        lookout: the scanner. truth: of the machine. guardian: where the scans go.

    Attributes:
        sent: scans that the guardian took.
    """

    def __init__(self, lookout: Lookout, truth: DatagramFanout, guardian: ipc.Mailbox) -> None:
        self._lookout, self._truth, self._guardian = lookout, truth, guardian
        self._newest: Truth | None = None
        self.sent = 0

    def wake(self) -> None:
        """Take in the newest truth, and send what the scanner has ready by then."""
        data: bytes | None = None
        while (newer := self._truth.recv()) is not None:
            data = newer
        if data is None:
            return
        truth: Truth = json.loads(data)
        for scan in self._lookout.step(truth["t_us"] * 1000, truth):
            self.sent += self._guardian.send(ipc.GUARDIAN, ipc.TO_GUARDIAN_SCAN + scan)

    def summary(self) -> str:
        """One line for the log."""
        return f"scans sent {self.sent}, not taken {sum(self._guardian.dropped.values())}"


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="sim.range_process", description=__doc__)
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
    finder = RangeFinder.of(load_machine(arguments.machine).profile.machine, SCANNER.range_m)
    lookout = Lookout(load_site(arguments.site), finder, arguments.seed, monotonic_ns())
    with (
        contextlib.closing(DatagramFanout(arguments.truth, "finder")) as truth,
        contextlib.closing(ipc.Mailbox(arguments.guardian, NAME)) as guardian,
    ):
        gc.collect()
        gc.freeze()
        ask_priority(PRIORITY)
        loop = RangeLoop(lookout, truth, guardian)
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        while not ending:
            select.select([truth], [], [], WAKE_S)
            loop.wake()
        sys.stderr.write(f"finder: {loop.summary()}\n")


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point; 0 after a clean end, 1 with one line on stderr when it cannot run."""
    arguments = _arguments(argv)
    try:
        run(arguments)
    except (WorldFileError, OSError) as error:
        sys.stderr.write(f"finder: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
