"""``inputd``: a process of its own reads the driver's desk and tells the console at 100 Hz.

No web code, no asyncio: a hung page or a garbage collection of the console never stands between
the hand and the snapshot. It ends with the console, whose end of the line it watches; whatever
ends it, enable is off 60 ms later, and the kernel takes the force from the wheel.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import os
import selectors
import signal
import socket
import sys
from collections.abc import Mapping
from pathlib import Path
from types import FrameType
from typing import Protocol

from operator_console.core.desk import Desk, DeskSnapshot, Fault, Feedback
from operator_console.core.desk_line import (
    DATAGRAM_MAX_BYTES,
    Dated,
    SnapshotRefused,
    decode_feedback,
    encode_snapshot,
)
from operator_console.core.evdev import Controls
from operator_console.core.force import ForceLoop
from operator_console.shell.box_port import BoxDevice, DeskFinder
from operator_console.shell.clock import monotonic_ns
from operator_console.shell.desk_config import DeskPlan, ForceUse, load_desk
from operator_console.shell.evdev_source import EventSource
from operator_console.shell.force_out import ForceOut
from operator_console.shell.input_device import InputDevice
from operator_console.shell.realtime import INPUT_PRIORITY, ask_ahead

PERIOD_NS = 10_000_000
"""100 Hz."""

SPACING_NS = 2_000_000
"""Events sooner than this after a snapshot wait for it: the console sends each 5 ms at most."""

CHECK_NS = 100_000_000
"""Each device is asked for its state this often (cockpit rule 10)."""

SEARCH_NS = 500_000_000
"""How often devices that are not there are looked for."""


class Finds(Protocol):
    """Looks for devices that are plugged in."""

    def find(self, wanted: set[str]) -> Mapping[str, EventSource | BoxDevice | Fault]:
        """Return each wanted device, or why it is not there."""
        ...


class InputProcess:
    """The desk's devices on one side, the console on the other.

    Args:
        plan: the desk. finder: finds its devices. line: a connected socket that keeps messages
            apart (SOCK_SEQPACKET). run: random at each start, tells runs apart.
    """

    def __init__(self, plan: DeskPlan, finder: Finds, line: socket.socket, run: int) -> None:
        self._plan = plan
        self._finder = finder
        self._line = line
        self._run = run
        self._desk = Desk(plan.layout)
        self._devices: dict[str, InputDevice | BoxDevice] = {}
        self._missing: dict[str, Fault] = dict.fromkeys(plan.layout.devices, Fault.ABSENT)
        self._selector = selectors.DefaultSelector()
        self._feedback: Feedback | None = None
        self._force: ForceOut | None = None
        self._loop = ForceLoop() if plan.force is None else ForceLoop(plan.force.cap)
        self._sequence = 0
        self._next_ns = self._check_ns = self._search_ns = 0
        self._told_ns = 0
        self._ending = False
        self.unsent = 0
        line.setblocking(False)
        self._selector.register(line, selectors.EVENT_READ, None)

    def end(self) -> None:
        """Leave the loop."""
        self._ending = True

    def run(self) -> None:
        """Serve until asked to end or the console is gone; then take the force away."""
        try:
            while not self._ending:
                self.step(monotonic_ns())
        finally:
            self.close()

    def close(self) -> None:
        """Take the force away and let every device go."""
        self._end_force()
        while self._devices:
            self._devices.popitem()[1].source.close()
        self._selector.close()

    # ---- one turn ----------------------------------------------------------------------

    def step(self, now_ns: int) -> None:
        """Look after the devices, wait for an event or the next beat, and tell."""
        self._search(now_ns)
        self._check(now_ns)
        changed = self._wait(max(0, self._next_ns - now_ns))
        now_ns = monotonic_ns()
        if now_ns >= self._next_ns or (changed and now_ns - self._told_ns >= SPACING_NS):
            self._tell(now_ns)
        elif changed:
            self._next_ns = min(self._next_ns, self._told_ns + SPACING_NS)

    def _wait(self, wait_ns: int) -> bool:
        """Return whether a device reported something within the time."""
        reports = 0
        for key, _ in self._selector.select(wait_ns / 1e9):
            if key.data is None:
                self._hear()
                continue
            name: str = key.data
            try:
                reports += self._devices[name].drain()
            except OSError:
                self._lose(name)
                reports += 1
        return reports > 0

    def _tell(self, now_ns: int) -> None:
        snapshot = self._desk.look(self._states(), self._feedback, now_ns)
        self._push(snapshot, now_ns)
        self._sequence = (self._sequence + 1) & 0xFFFF_FFFF
        events = (device.reader.controls.event_us for device in self._devices.values())
        event_us = max(events, default=0)
        dated = Dated(self._run, self._sequence, now_ns // 1000, max(0, event_us), snapshot)
        try:
            self._line.send(encode_snapshot(dated))
        except BlockingIOError:
            self.unsent += 1
        except OSError:
            self.end()
        self._told_ns, self._next_ns = now_ns, now_ns + PERIOD_NS

    def _states(self) -> Mapping[str, Controls | Fault]:
        here = {name: device.state for name, device in self._devices.items()}
        return {**self._missing, **here}

    def _push(self, snapshot: DeskSnapshot, now_ns: int) -> None:
        """Let the wheel feel the machine, while the driver drives it."""
        held = snapshot.controls is not None and snapshot.controls.enable
        pull = self._loop.step(snapshot.steers if held else None, self._feedback, now_ns)
        if self._force is not None:
            self._force.pull(pull)

    # ---- the console -------------------------------------------------------------------

    def _hear(self) -> None:
        """Take in what the console says; only the newest counts."""
        while True:
            try:
                data = self._line.recv(DATAGRAM_MAX_BYTES)
            except BlockingIOError:
                return
            except OSError:
                self.end()
                return
            if not data:
                self.end()
                return
            with contextlib.suppress(SnapshotRefused):
                self._feedback = decode_feedback(data)

    # ---- devices -----------------------------------------------------------------------

    def _search(self, now_ns: int) -> None:
        if not self._missing or now_ns < self._search_ns:
            return
        self._search_ns = now_ns + SEARCH_NS
        for name, found in self._finder.find(set(self._missing)).items():
            if isinstance(found, Fault):
                self._missing[name] = found
            elif isinstance(found, BoxDevice):
                self._adopt(name, found)
            else:
                self._open(name, found)

    def _open(self, name: str, found: EventSource) -> None:
        try:
            if self._plan.grab:
                found.grab()
            device = InputDevice(found)
        except OSError:
            found.close()
            self._missing[name] = Fault.DENIED
            return
        self._adopt(name, device)

    def _adopt(self, name: str, device: InputDevice | BoxDevice) -> None:
        self._devices[name] = device
        del self._missing[name]
        self._selector.register(device.source, selectors.EVENT_READ, name)
        force = self._plan.force
        if force is not None and force.device == name and isinstance(device, InputDevice):
            self._begin_force(device, force)

    def _check(self, now_ns: int) -> None:
        if now_ns < self._check_ns:
            return
        self._check_ns = now_ns + CHECK_NS
        for name, device in list(self._devices.items()):
            try:
                device.check()
            except OSError:
                self._lose(name)

    def _lose(self, name: str) -> None:
        """A device is gone: from this snapshot on nothing counts."""
        device = self._devices.pop(name)
        self._selector.unregister(device.source)
        if self._plan.force is not None and self._plan.force.device == name:
            self._end_force()
        device.source.close()
        self._missing[name] = Fault.ABSENT

    def _begin_force(self, device: InputDevice, force: ForceUse) -> None:
        self._force = ForceOut(device.source, reversed_=force.reversed, cap=force.cap)
        self._force.begin()

    def _end_force(self) -> None:
        if self._force is not None:
            self._force.end()
            self._force = None


def serve(process: InputProcess) -> None:
    """Run the process until SIGTERM or Ctrl-C, ahead of what else runs on this computer."""

    def end(_number: int, _frame: FrameType | None) -> None:
        process.end()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, end)
    ask_ahead(INPUT_PRIORITY)
    gc.collect()
    gc.freeze()
    process.run()


def new_run() -> int:
    """Return a number that tells this run from others."""
    return int.from_bytes(os.urandom(4), "little")


def _known_desk(path: Path, digest: str, *, simulated: bool) -> DeskPlan:
    """Return the desk in a file.

    Raises:
        ValueError: it does not fit, or says another thing than when the console started.
    """
    plan = load_desk(path, simulated=simulated)
    if plan.digest != digest:
        raise ValueError(f"{path}: changed since the console started: start the console anew")
    return plan


def main(arguments: list[str] | None = None) -> int:
    """Run the input process of a desk's file; return the exit code."""
    parser = argparse.ArgumentParser(prog="operator_console.shell.inputd")
    parser.add_argument("--desk", type=Path, required=True)
    parser.add_argument("--digest", required=True, help="of what the file said to the console")
    parser.add_argument("--line", type=int, required=True, help="descriptor of the socket")
    parser.add_argument("--simulated", action="store_true")
    chosen = parser.parse_args(arguments)
    try:
        plan = _known_desk(chosen.desk, chosen.digest, simulated=chosen.simulated)
    except ValueError as error:
        sys.stderr.write(f"inputd: {error}\n")
        return 1
    with socket.socket(fileno=chosen.line) as line:
        finder = DeskFinder(dict(plan.layout.devices))
        serve(InputProcess(plan, finder, line, new_run()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
