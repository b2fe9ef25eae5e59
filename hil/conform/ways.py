"""The two ways to a machine: an emulated one in lock-step, or a bus in real time."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import can

from hil.conform.machine import STEP_NS, ForeignDefect, ForeignMachine
from hil.conform.mapping import ForeignCodec, Mapping
from vehicle_agent.shell.bus import BusReader, BusSender
from vehicle_agent.shell.clock import monotonic_ns, sleep_until_ns

READ_BUDGET = 256


class LockstepWay:
    """An emulated machine, by its own DBC.

    Args:
        dbc: of the machine. mapping: as under test. defects: of the machine.
    """

    def __init__(self, dbc: Path, mapping: Mapping, defects: frozenset[ForeignDefect]) -> None:
        truth = ForeignCodec(dbc, mapping)
        self._make: Callable[[], ForeignMachine] = lambda: ForeignMachine(truth, defects)
        self._machine = self._make()
        self._now_ns = 0
        self._said: list[tuple[int, bytes]] = []

    def restart(self) -> None:
        """Power it up anew."""
        self._machine, self._now_ns, self._said = self._make(), 0, []

    def send(self, can_id: int, data: bytes) -> None:
        """Put a frame on the bus."""
        self._machine.on_frame(self._now_ns, can_id, data)

    def heard(self) -> list[tuple[int, bytes]]:
        """Return the frames that came since the last call."""
        said, self._said = self._said, []
        return said

    def advance(self, to_ns: int) -> None:
        """Let time pass, since the start."""
        while self._now_ns < to_ns:
            self._now_ns += STEP_NS
            self._said += self._machine.step(self._now_ns)


class BusWay:
    """A machine on a bus, in real time. Its power is not ours: a restart is a pause.

    Args:
        bus: python-can's. pause_ms: in which the machine lets go of what went before.
    """

    def __init__(self, bus: can.BusABC, pause_ms: int) -> None:
        self._bus, self._pause_ns = bus, pause_ms * 1_000_000
        self._reader, self._sender = BusReader(), BusSender(bus)
        self._begun_ns = monotonic_ns()

    def restart(self) -> None:
        """Say nothing until the machine has let go; forget what it said."""
        sleep_until_ns(monotonic_ns() + self._pause_ns)
        self.heard()
        self._begun_ns = monotonic_ns()

    def send(self, can_id: int, data: bytes) -> None:
        """Put a frame on the bus."""
        self._sender.send_frame(can_id, data)

    def heard(self) -> list[tuple[int, bytes]]:
        """Return the frames that came since the last call."""
        frames = self._reader.drain(self._bus, READ_BUDGET, monotonic_ns())
        return [(frame.arbitration_id, bytes(frame.data)) for frame in frames]

    def advance(self, to_ns: int) -> None:
        """Let time pass, since the restart."""
        sleep_until_ns(self._begun_ns + to_ns)
