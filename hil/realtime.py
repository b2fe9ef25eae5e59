"""A bench in real time over a pseudo-terminal: real bytes, a real reader thread, the real clock.

The way to the start state is gone at a multiple of real time: the parts take their time as an
argument, and only what is judged must last as long as it says.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

import can

from hil.drivers.slcan_device import SlcanCore, SlcanDevice
from hil.rig import START_NS, Mutants, Rig, RigSettings
from hil.wire import Wire
from vehicle_agent.shell.clock import monotonic_ns, sleep_until_ns
from vehicle_agent.shell.slcan_bus import SlcanBus

HURRY = 3
"""Bench seconds in a second on the way to a start state."""
POLL_NS = 1_000_000


class Pacer:
    """Ties bench time to the computer's.

    Attributes:
        rate: bench seconds in a second. latest_ns: the worst lateness since :meth:`restart`.
    """

    def __init__(self, bench_ns: int) -> None:
        self.rate = HURRY
        self.latest_ns = 0
        self._bench_ns, self._real_ns = bench_ns, monotonic_ns()

    def restart(self, bench_ns: int, rate: int) -> None:
        """Go on from here at another rate, with a clean slate."""
        self._bench_ns, self._real_ns = bench_ns, monotonic_ns()
        self.rate, self.latest_ns = rate, 0

    def wait(self, bench_ns: int) -> None:
        """Return when the bench's clock has come to ``bench_ns``; note how late."""
        due_ns = self._real_ns + (bench_ns - self._bench_ns) // self.rate
        sleep_until_ns(due_ns)
        self.latest_ns = max(self.latest_ns, monotonic_ns() - due_ns)


class PtyRig(Rig):
    """A rig whose guardian has an slcan adapter at the end of a pseudo-terminal.

    Attributes:
        adapter: the emulated adapter. pacer: of its time.
    """

    def __init__(self, settings: RigSettings, seed: int, mutants: Mutants) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="headframe-hil-"))
        made: list[SlcanDevice] = []
        link = self._folder / "by-id-slcan"

        def make(wire: Wire, _now_ns: Callable[[], int]) -> can.BusABC:
            made.append(SlcanDevice(link, SlcanCore(wire, "agent", strict=True), seed))
            return SlcanBus(str(link), settings.bitrate_bps)

        self.pacer = Pacer(START_NS)
        super().__init__(settings, seed, mutants, make, self.pacer.wait, POLL_NS)
        self.adapter = made[0]
        self.polls.append(self.adapter.poll)

    def judged_from_here(self) -> None:
        """From now on a second is a second."""
        self.pacer.restart(self.now_ns, 1)

    def close(self) -> None:
        """Leave the bus, and take the terminal away."""
        super().close()
        self.adapter.unplug()
        shutil.rmtree(self._folder, ignore_errors=True)
