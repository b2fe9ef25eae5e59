"""A bench in real time: real bytes or adapters between guardian and bench, and the real clock.

The way to the start state is gone at a multiple of real time: the parts take their time as an
argument, and only what is judged must last as long as it says.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import can

from hil.benchfile import BenchRefused, CanChannel, device
from hil.drivers.bridge import BusBridge
from hil.drivers.slcan_device import SlcanCore, SlcanDevice
from hil.rig import START_NS, Mutants, Rig, RigSettings
from hil.wire import Wire
from vehicle_agent.shell.clock import monotonic_ns, sleep_until_ns
from vehicle_agent.shell.slcan_bus import SlcanBus

HURRY = 3
"""Bench seconds in a second on the way to a start state."""
POLL_NS = 1_000_000
DRAIN_BUDGET = 4096


class Pacer:
    """Ties bench time to the computer's.

    Attributes:
        rate: bench seconds in a second, or with ``slower`` above 1 its inverse.
        latest_ns: the worst lateness since :meth:`restart`, in bench time.
    """

    def __init__(self, bench_ns: int) -> None:
        self.rate, self.slower = HURRY, 1
        self.latest_ns = 0
        self._bench_ns, self._real_ns = bench_ns, monotonic_ns()

    def restart(self, bench_ns: int, slower: int) -> None:
        """Go on from here with that many seconds in a bench second, and a clean slate."""
        self._bench_ns, self._real_ns = bench_ns, monotonic_ns()
        self.rate, self.slower, self.latest_ns = 1, slower, 0

    def now_ns(self) -> int:
        """Return the bench's clock as the computer's stands now."""
        return self._bench_ns + (monotonic_ns() - self._real_ns) * self.rate // self.slower

    def wait(self, bench_ns: int) -> None:
        """Return when the bench's clock has come to ``bench_ns``; note how late."""
        due_ns = self._real_ns + (bench_ns - self._bench_ns) * self.slower // self.rate
        sleep_until_ns(due_ns)
        late_ns = (monotonic_ns() - due_ns) * self.rate // self.slower
        self.latest_ns = max(self.latest_ns, late_ns)


@dataclass(frozen=True, slots=True)
class Medium:
    """What stands between the guardian and the wire.

    Attributes:
        bus: the guardian's. poll: carries what waits. close: leaves the bench's end.
        adapter: the emulated one, where there is one.
    """

    bus: can.BusABC
    poll: Callable[[int], None]
    close: Callable[[], None]
    adapter: SlcanDevice | None = None


def open_medium(channel: CanChannel, wire: Wire, seed: int) -> Medium:
    """Open a channel's medium.

    Raises:
        BenchRefused: an adapter or interface that cannot be opened.
    """
    try:
        return _pty(channel, wire, seed) if channel.kind == "slcan_pty" else _bridged(channel, wire)
    except (can.CanError, OSError, ImportError) as error:
        text = " ".join(str(error).split())
        raise BenchRefused(f"channels.dbw: {channel.kind} {channel.port or ''}: {text}") from error


def _pty(channel: CanChannel, wire: Wire, seed: int) -> Medium:
    folder = Path(tempfile.mkdtemp(prefix="headframe-hil-"))
    link = folder / "by-id-slcan"
    adapter = SlcanDevice(link, SlcanCore(wire, "agent", strict=True), seed)

    def close() -> None:
        adapter.unplug()
        shutil.rmtree(folder, ignore_errors=True)

    return Medium(SlcanBus(str(link), channel.bitrate_bps), adapter.poll, close, adapter)


def _bridged(channel: CanChannel, wire: Wire) -> Medium:
    """Two ends of one medium: the guardian's, and the bench's before the wire."""
    ours = _adapter(channel, channel.port)
    try:
        peer = _adapter(channel, channel.peer_port or channel.port)
    except BaseException:
        ours.shutdown()
        raise
    return Medium(ours, BusBridge(wire, "agent", peer).poll, peer.shutdown)


def _adapter(channel: CanChannel, port: str | None) -> can.BusABC:
    if channel.kind == "slcan":
        return SlcanBus(str(device(channel.kind, port)), channel.bitrate_bps)
    return can.Bus(channel=port, interface=channel.kind, ignore_config=True)


class TimedRig(Rig):
    """A rig in real time, whose guardian reaches the wire by a medium.

    Args:
        slower: seconds of the computer's in a bench second.

    Attributes:
        medium: that. pacer: of its time.
    """

    def __init__(
        self,
        settings: RigSettings,
        seed: int,
        mutants: Mutants,
        channel: CanChannel,
        slower: int = 1,
    ) -> None:
        made: list[Medium] = []

        def make(wire: Wire, _now_ns: Callable[[], int]) -> can.BusABC:
            made.append(open_medium(channel, wire, seed))
            return made[0].bus

        self.pacer, self._slower = Pacer(START_NS), slower
        self._judged = False
        super().__init__(settings, seed, mutants, make, self.pacer.wait, POLL_NS)
        self.medium = made[0]
        self.polls.append(self.medium.poll)

    def clock_ns(self) -> int:
        """Return bench time as the computer's clock stands now; on the way, what it was told."""
        return self.pacer.now_ns() if self._judged else self.now_ns

    def judged_from_here(self) -> None:
        """From now on a second is a second, or as many as the bench file says."""
        self.pacer.restart(self.now_ns, self._slower)
        self._judged = True

    def drain(self) -> None:
        """Forget what waits in the medium, both ways."""
        self.medium.poll(self.now_ns)
        self.agent.reader.drain(self.bus, DRAIN_BUDGET, self.now_ns)

    def close(self) -> None:
        """Leave both ends of the medium."""
        super().close()
        self.medium.close()
