"""The emulated watchdog relay in real time: a terminal to the guardian, wires to the machine.

``python -m sim.relay_process --link PATH`` makes a pseudo-terminal, lets PATH point to it, and
prints ``ready``. It ends on SIGTERM or SIGINT.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import pty
import select
import signal
import sys
import tty
from collections.abc import Sequence
from pathlib import Path

from sim.pacing import StepPacer
from sim.relay import WatchdogRelay
from sim.relay_wires import ESTOP_A, ESTOP_B, Wires
from vehicle_agent.shell.clock import monotonic_ns
from vehicle_agent.shell.realtime import ask_priority

STEP_NS = 5_000_000
STEPS_PER_WIRES = 2
READ_BYTES = 4096
PRIORITY = 46
"""It stands in for hardware, which no other load can hold up; below the guardian's own."""


class PseudoTerminal:
    """The relay's end of a serial line; the other end is a device that a path points to.

    It keeps the device open itself, so that a guardian that leaves does not hang the line up.

    Args:
        link: the path; what stood there before is replaced.

    Attributes:
        cut: writes of which the line took only a part or nothing.
    """

    def __init__(self, link: Path) -> None:
        self._link = link
        self._master, self._device = pty.openpty()
        os.set_blocking(self._master, False)
        tty.setraw(self._device)
        fresh = link.with_name(f".{link.name}.{os.getpid()}")
        fresh.unlink(missing_ok=True)
        fresh.symlink_to(os.ttyname(self._device))
        fresh.replace(link)
        self.cut = 0

    def fileno(self) -> int:
        """Return the descriptor, readable when bytes wait."""
        return self._master

    def read(self) -> bytes:
        """Return what waits, at most 4 KiB."""
        with contextlib.suppress(BlockingIOError):
            return os.read(self._master, READ_BYTES)
        return b""

    def write(self, data: bytes) -> None:
        """Write without waiting: a line that is full loses bytes, as a UART does."""
        try:
            self.cut += os.write(self._master, data) < len(data)
        except BlockingIOError:
            self.cut += 1

    def close(self) -> None:
        """Hang up and take the path away."""
        with contextlib.suppress(FileNotFoundError):
            if str(self._link.readlink()) == os.ttyname(self._device):
                self._link.unlink()
        os.close(self._device)
        os.close(self._master)


class RelayLoop:
    """Carries the relay from wake-up to wake-up."""

    def __init__(
        self, relay: WatchdogRelay, line: PseudoTerminal, wires: Wires | None, now_ns: int
    ) -> None:
        self._relay, self._line, self._wires = relay, line, wires
        self._said = relay.contact
        self._steps_to_wires = 1
        self.pacer = StepPacer(now_ns, STEP_NS, 1)

    def wake(self, now_ns: int) -> None:
        """Hear wires and line, do what is due, and say what changed."""
        if self._wires is not None:
            levels = self._wires.hear(now_ns)
            self._relay.set_channels(levels[ESTOP_A], levels[ESTOP_B])
        data = self._line.read()
        if data:
            self._relay.take(now_ns, data)
        self._steps_to_wires -= self.pacer.take(now_ns)
        report = self._relay.step(now_ns)
        if report:
            self._line.write(report)
        self._say_contact()

    def _say_contact(self) -> None:
        contact = self._relay.contact
        if self._wires is None or (self._steps_to_wires > 0 and contact is self._said):
            return
        self._steps_to_wires = STEPS_PER_WIRES
        self._said = contact
        self._wires.say(relay=contact)

    def summary(self) -> str:
        """One line for the log."""
        return (
            f"late wake-ups {self.pacer.late}, strokes {dict(self._relay.strokes)}, "
            f"corrupted {dict(self._relay.decoder.faults)}, reports cut {self._line.cut}, "
            f"last reason {self._relay.reason.name}"
        )


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="sim.relay_process", description=__doc__)
    parser.add_argument("--link", type=Path, required=True, help="path of the serial line")
    parser.add_argument("--wires", type=Path, help="folder of contact and button datagrams")
    return parser.parse_args(argv)


def run(arguments: argparse.Namespace) -> None:
    """Run until asked to end.

    Raises:
        OSError: the link's or the wires' folder cannot be used, or its node name is taken.
    """
    ending: list[int] = []
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda number, _frame: ending.append(number))
    with contextlib.ExitStack() as stack:
        wires = None if arguments.wires is None else Wires(arguments.wires, "relay")
        if wires is not None:
            stack.callback(wires.close)
        line = PseudoTerminal(arguments.link)
        stack.callback(line.close)
        ask_priority(PRIORITY)
        relay = WatchdogRelay(int.from_bytes(os.urandom(4), "little"))
        loop = RelayLoop(relay, line, wires, monotonic_ns())
        sources: list[PseudoTerminal | Wires] = [line] if wires is None else [line, wires]
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        while not ending:
            select.select(sources, [], [], loop.pacer.wait_ms(monotonic_ns()) / 1e3)
            loop.wake(monotonic_ns())
        sys.stderr.write(f"relay: {loop.summary()}\n")


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point; 0 after a clean end, 1 with one line on stderr when it cannot run."""
    arguments = _arguments(argv)
    try:
        run(arguments)
    except OSError as error:
        sys.stderr.write(f"relay: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
