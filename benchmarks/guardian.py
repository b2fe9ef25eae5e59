"""The guardian's beat while the truck drives, idle and saturated, and what one command costs it.

The beat is read from outside: the stamps that SUP_CMD frames carry on the by-wire bus, 10 ms
apart by the matrix. The guardian runs as on a machine: with a lease, commands at 50 Hz from a
console process, the simulated ECU's feedback on the bus, the watchdog relay on its line, and
writes of its record as the truck sets off and stands. Saturated means two busy processes of
ordinary priority beside it, one for each core of the computers that this was made on.

The cost is that of one tick of the same supervisor in ACTIVE, in lock-step with the simulated
machine: one drive command verified and judged, the ECU's frames of that tick, and the decision.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, cast

from benchmarks._console import PERIOD_NS, Console, pose_of
from benchmarks.common import Measurement, Percentiles, percentiles, run
from protocol.dbw.matrix import SUP_CMD
from protocol.messages import load_private_key, load_trust
from protocol.signals import DEFAULT_TIMING
from protocol.state import VehicleMode
from sim import demo
from sim.children import Children, ChildSpec, interruptible
from sim.machines.parameters import load_machine
from sim.pursuit import Pursuit
from sim.run_folder import run_folder
from sim.simulated_machine import ECU_STEP_NS, SimulatedMachine
from sim.world.site import load_site
from vehicle_agent.core.record import FIRST, SLOT_BYTES, Record, newest
from vehicle_agent.core.supervisor import Setup, Supervisor, TickInputs, TickOutputs
from vehicle_agent.shell.local_bus import LocalCanBus

FULL_S, QUICK_S = 300.0, 5.0
FULL_COST_N, QUICK_COST_N = 5000, 1000
PERIOD_MS = SUP_CMD.period_ms
TICK_NS = DEFAULT_TIMING.guardian_tick_ms * 1_000_000
BUSY = "while True: pass"
MAGIC = b"HFR1"
POLL_S = 0.02
LISTENER_PRIORITY = 1
"""Lower than the guardian's, which it must not hold up."""
SETTLES_S = 3.0


@dataclass(frozen=True, slots=True)
class Part:
    """One stretch of listening.

    Attributes:
        off_ms: how far each gap between two beats was from 10 ms.
        did: what the console did meanwhile. writes: of the record.
    """

    off_ms: list[float]
    did: dict[str, Any]
    writes: int

    def load(self) -> str:
        """What was running, in words."""
        did = self.did
        stops = ", ".join(map(str, did["stops"])) or "none"
        return (
            f"console from its start to its end: {did['commands']} commands, "
            f"{did['drive_commands']} of them drive in {did['spells']} spells, "
            f"{self.writes} record writes, stops {stops}"
        )


class Rig:
    """Machine, relay and guardian, and a bus to listen on."""

    def __init__(self, plan: demo.Plan, children: Children, bus: LocalCanBus) -> None:
        self._plan, self._children, self._bus = plan, children, bus

    def listen(self, seconds: float, beside: Any) -> Part:
        """Let a console drive and listen for ``seconds`` inside the context ``beside``."""
        plan = self._plan
        module = (sys.executable, "-m", "benchmarks._console")
        spec = ChildSpec(
            "console",
            (
                *module,
                *("--site", str(plan.site), "--machine", str(plan.machine)),
                *("--truth", str(plan.run / "truth"), "--runtime", str(plan.run / "agent")),
                *("--operator", demo.OPERATORS[0], "--vehicle", demo.VEHICLE_ID),
                *("--key", str(plan.run / f"{demo.OPERATORS[0]}.jwk")),
                *("--trust", str(plan.run / "trust.json")),
            ),
        )
        before = self._generation()
        console = self._children.start(spec)
        self._children.wait_ready()
        with beside:
            off_ms = self._beat_ms(seconds)
        self._children.finish(console, SETTLES_S)
        did = json.loads(console.lines[-1])
        self._children.attend(SETTLES_S)  # the truck stops and stands before the next one asks
        return Part(off_ms, did, self._generation() - before)

    def _beat_ms(self, seconds: float) -> list[float]:
        while self._bus.recv(0) is not None:
            pass
        stamps: list[float] = []
        end_ns = time.monotonic_ns() + round(seconds * 1e9)
        with at_once():
            while time.monotonic_ns() < end_ns:
                self._children.attend(0)
                message = self._bus.recv(POLL_S)  # read at once: a socket's queue is short
                if message is not None and message.arbitration_id == SUP_CMD.can_id:
                    stamps.append(message.timestamp)
        return [abs((after - before) * 1e3 - PERIOD_MS) for before, after in pairwise(stamps)]

    def _generation(self) -> int:
        """How often the guardian has written its record."""
        parts = (self._plan.run / "guardian.record").read_bytes().split(MAGIC)
        slots = (MAGIC + parts[1])[:SLOT_BYTES], (MAGIC + parts[-1])[:SLOT_BYTES]
        found = newest(slots)
        return 0 if found is None else found.generation


@contextmanager
def at_once() -> Iterator[None]:
    """Run before ordinary programs where that is allowed: a late listener loses frames."""
    with suppress(PermissionError):
        os.sched_setscheduler(
            0, os.SCHED_FIFO | os.SCHED_RESET_ON_FORK, os.sched_param(LISTENER_PRIORITY)
        )
    try:
        yield
    finally:
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))


@contextmanager
def rig() -> Iterator[Rig]:
    """Run machine, relay and guardian for the time of the block."""
    machine = demo.find_config("machines", demo.DEFAULT_MACHINE)
    site = demo.find_config("sites", demo.DEFAULT_SITE)
    with interruptible(), run_folder() as folder:
        plan = demo.Plan(folder, machine, site, 1, 1)
        demo.write_keys(folder)
        demo.write_settings(plan)
        module = (sys.executable, "-m", "vehicle_agent.shell.guardian")
        with Children(folder, lambda _text: None) as children:
            for spec in demo.stages(plan)[0]:
                if spec.name in ("machine", "sensors", "relay"):
                    children.start(spec)
            children.wait_ready()
            children.start(ChildSpec("guardian", (*module, "--config", str(plan.agent_config))))
            children.wait_ready()
            with LocalCanBus(str(plan.run / "can"), name="benchmark") as bus:
                yield Rig(plan, children, bus)


@contextmanager
def idle() -> Iterator[None]:
    """Nothing but the guardian's own company."""
    yield


@contextmanager
def saturated() -> Iterator[None]:
    """Two busy processes of ordinary priority."""
    busy = [subprocess.Popen([sys.executable, "-c", BUSY]) for _ in range(2)]
    try:
        yield
    finally:
        for process in busy:
            process.kill()
            process.wait()


class Lockstep:
    """Supervisor, simulated machine and console under one passed clock, in this process."""

    def __init__(self) -> None:
        machine = load_machine(demo.find_config("machines", demo.DEFAULT_MACHINE))
        site = load_site(demo.find_config("sites", demo.DEFAULT_SITE))
        limits = machine.profile.limits
        with run_folder() as folder:
            demo.write_keys(folder)
            keys = {
                name: load_private_key((folder / f"{name}.jwk").read_text(encoding="utf-8"))
                for name in (demo.VEHICLE_ID, demo.OPERATORS[0])
            }
            trust = load_trust((folder / "trust.json").read_text(encoding="utf-8"))
        vehicle, operator = demo.VEHICLE_ID, demo.OPERATORS[0]
        self.now_ns = 1_000_000_000_000
        self.took_us: list[float] = []
        self.bus_frames = 0
        self._operator = operator
        self._machine = SimulatedMachine(machine, site, seed=1)
        self.console = Console(operator, vehicle, keys[operator], trust, Pursuit(site, limits))
        setup = Setup(vehicle, keys[vehicle], trust, limits, DEFAULT_TIMING, 1, bytes(32), FIRST)
        self._supervisor = Supervisor(setup)
        self._durable: Record | None = FIRST

    def step(self) -> None:
        """One tick; its time counts when a drive command came in ACTIVE with the ECU's frames."""
        self.now_ns += TICK_NS
        bus: list[tuple[int, bytes]] = []
        for back in range(TICK_NS // ECU_STEP_NS - 1, -1, -1):
            bus += self._machine.step(self.now_ns - back * ECU_STEP_NS)
        console, command, request = self.console, None, None
        drives = console.count.drive_commands
        if self.now_ns % PERIOD_NS == 0:
            truth = cast("dict[str, Any]", self._machine.truth(self.now_ns))
            command = console.command(self.now_ns, pose_of(truth))
            request = console.request(self.now_ns)
        given = TickInputs(
            commands=() if command is None else ((0, command),),
            requests=() if request is None else ((self._operator, request),),
            bus=tuple(bus),
            durable=self._durable,
        )
        driven = console.count.drive_commands > drives
        active = console.state is not None and console.state.mode is VehicleMode.ACTIVE
        before_ns = time.perf_counter_ns()
        outputs = self._supervisor.step(self.now_ns, given)
        took_us = (time.perf_counter_ns() - before_ns) / 1e3
        if driven and active:
            self.took_us.append(took_us)
            self.bus_frames += len(bus)
        self._tell(outputs)

    def _tell(self, outputs: TickOutputs) -> None:
        self._durable = outputs.persist
        for can_id, data in outputs.bus:
            self._machine.on_frame(self.now_ns, can_id, data)
        if outputs.authority is not None:
            self.console.hear_authority(outputs.authority)
        for _, token in outputs.acks:
            self.console.hear_answer(token)
        if outputs.state is not None:
            self.console.hear_state(self.now_ns, outputs.state)


def command_cost_us(n: int) -> tuple[Percentiles, float]:
    """Return what a tick with one drive command costs, and the ECU frames in such a tick."""
    lockstep = Lockstep()
    while len(lockstep.took_us) < n:
        lockstep.step()
    return percentiles(lockstep.took_us), lockstep.bus_frames / n


def _figures(found: Percentiles, digits: int) -> str:
    return " ".join(f"{name} {value:.{digits}f}" for name, value in found.as_dict().items())


def measure(quick: bool) -> Measurement:
    """Listen to the beat, idle and saturated, and time verify-and-step."""
    seconds = QUICK_S if quick else FULL_S
    cost_n = QUICK_COST_N if quick else FULL_COST_N
    cost_us, frames = command_cost_us(cost_n)
    with rig() as running:
        quiet = running.listen(seconds, idle())
        loaded = running.listen(seconds, saturated())
    own = loaded.did["guardian"]
    return Measurement(
        name="guardian",
        unit="ms",
        samples=quiet.off_ms,
        notes=(
            f"ours is the distance of each 10 ms beat from 10 ms over {seconds:g} s while the "
            f"truck is driven ({quiet.load()}) and nothing else runs; with two busy processes "
            f"over {seconds:g} s ({loaded.load()}): {_figures(percentiles(loaded.off_ms), 3)} ms, "
            f"n {len(loaded.off_ms)}; running: guardian, simulated machine and relay, light "
            f"console at 50 Hz, no broker, link, media or camera; verify and step with one drive "
            f"command and {frames:.1f} ECU frames in ACTIVE: {_figures(cost_us, 0)} us, n "
            f"{cost_n}; guardian's own ticks {own.get('ticks')}, skipped {own.get('skipped')}, "
            f"got {json.dumps(own.get('got'))}"
        ),
    )


if __name__ == "__main__":
    sys.exit(run(measure))
