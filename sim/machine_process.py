"""The simulated machine in real time: a CAN bus on one side, the simulator's truth on the other.

It steps on the monotonic clock each 5 ms, hears the bus in between, and when it was held up
makes good a few steps at most; the rest is skipped, so that a stall is no burst. It ends on
SIGTERM or SIGINT.
"""

from __future__ import annotations

import argparse
import gc
import json
import select
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

import can

from sim.ecu import EcuInputs
from sim.machines.parameters import load_machine
from sim.pacing import StepPacer
from sim.relay_wires import ESTOP_A, ESTOP_B, RELAY, Wires
from sim.simulated_machine import ECU_STEP_NS, SimulatedMachine
from sim.world.files import WorldFileError
from sim.world.site import load_site
from vehicle_agent.shell.bus import BusReader, BusSender
from vehicle_agent.shell.clock import monotonic_ns
from vehicle_agent.shell.local_bus import DatagramFanout, LocalCanBus
from vehicle_agent.shell.realtime import ask_priority

MOST_STEPS = 4
"""Made good at once after a hold-up: 20 ms."""
READ_BUDGET = 64
"""Frames taken from the bus at one wake-up."""
STEPS_PER_TRUTH = 2
"""100 Hz."""


class MachineLoop:
    """Carries one simulated machine from wake-up to wake-up.

    Args:
        machine: what is driven.
        bus: the by-wire bus.
        truth: where the simulator's truth goes.
        wires: of relay and emergency stop; None where no relay is fitted.
        now_ns: time of the first step.
    """

    def __init__(
        self,
        machine: SimulatedMachine,
        bus: can.BusABC,
        truth: DatagramFanout,
        now_ns: int,
        wires: Wires | None = None,
    ) -> None:
        self._machine, self._bus, self._truth, self._wires = machine, bus, truth, wires
        self._reader, self._sender = BusReader(), BusSender(bus)
        self._steps_to_truth = 1
        self.pacer = StepPacer(now_ns, ECU_STEP_NS, MOST_STEPS)

    def wake(self, now_ns: int) -> None:
        """Hear what waits on bus and wires, then make the steps that are due."""
        if self._wires is not None:
            levels = self._wires.hear(now_ns)
            self._machine.ecu.set_inputs(EcuInputs(levels[ESTOP_A], levels[ESTOP_B], levels[RELAY]))
        for message in self._reader.drain(self._bus, READ_BUDGET, now_ns):
            self._machine.on_frame(now_ns, message.arbitration_id, bytes(message.data))
        for _ in range(self.pacer.take(now_ns)):
            for can_id, data in self._machine.step(now_ns):
                self._sender.send_frame(can_id, data)
            self._steps_to_truth -= 1
        if self._steps_to_truth <= 0:
            self._steps_to_truth = STEPS_PER_TRUTH
            self._truth.send(json.dumps(self._machine.truth(now_ns)).encode())

    def summary(self) -> str:
        """One line for the log."""
        dropped = sum(self._sender.failed.values())
        return (
            f"steps late by at most {self.pacer.lateness_ms(99):.2f} ms (p99), "
            f"late wake-ups {self.pacer.late}, steps skipped {self.pacer.skipped}, "
            f"frames heard {self._reader.counts['frames']}, sent {self._sender.sent}, "
            f"not taken by the bus {dropped}"
        )

    def figures(self) -> dict[str, float]:
        """How well it kept the time."""
        return {
            "lateness_p50_ms": self.pacer.lateness_ms(50),
            "lateness_p99_ms": self.pacer.lateness_ms(99),
            "steps_skipped": self.pacer.skipped,
        }


PRIORITY = 45
"""It stands in for hardware, which no other load can hold up; below the guardian's own."""


class _Ending:
    """Set by SIGTERM and SIGINT."""

    def __init__(self) -> None:
        self.asked = False
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_signal)

    def _on_signal(self, _number: int, _frame: object) -> None:
        self.asked = True


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="sim.machine_process", description=__doc__)
    parser.add_argument("--machine", type=Path, required=True, help="machine file (TOML)")
    parser.add_argument("--site", type=Path, required=True, help="site file (TOML)")
    parser.add_argument("--can", type=Path, required=True, help="folder that is the CAN bus")
    parser.add_argument("--truth", type=Path, required=True, help="folder of truth datagrams")
    parser.add_argument("--wires", type=Path, help="folder of relay and emergency-stop datagrams")
    parser.add_argument("--seed", type=int, default=1, help="seed of the sensors' noise")
    return parser.parse_args(argv)


def run(arguments: argparse.Namespace) -> None:
    """Run until asked to end.

    Raises:
        WorldFileError: a file is bad.
        OSError, can.CanError: a folder cannot be used, or its node name is taken.
    """
    machine = SimulatedMachine(
        load_machine(arguments.machine), load_site(arguments.site), arguments.seed
    )
    truth = DatagramFanout(arguments.truth, "machine")
    wires = None if arguments.wires is None else Wires(arguments.wires, "machine")
    try:
        with LocalCanBus(str(arguments.can), name="ecu") as bus:
            ending = _Ending()
            gc.collect()
            gc.freeze()
            ask_priority(PRIORITY)
            loop = MachineLoop(machine, bus, truth, monotonic_ns(), wires)
            sys.stdout.write("ready\n")
            sys.stdout.flush()
            while not ending.asked:
                wait_s = loop.pacer.wait_ms(monotonic_ns()) / 1e3
                select.select([bus], [], [], wait_s)
                loop.wake(monotonic_ns())
            sys.stdout.write(f"{json.dumps(loop.figures())}\n")
            sys.stdout.flush()
            sys.stderr.write(f"machine: {loop.summary()}\n")
    finally:
        truth.close()
        if wires is not None:
            wires.close()


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point; 0 after a clean end, 1 with one line on stderr when it cannot run."""
    arguments = _arguments(argv)
    try:
        run(arguments)
    except (WorldFileError, OSError, can.CanError) as error:
        sys.stderr.write(f"machine: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
