"""The guardian's process paused, killed, or held for 300 ms: how long until the machine brakes.

Real processes as the demo runs them: guardian, watchdog relay on its pseudo-terminal, by-wire bus,
and the machine with its ECU and plant; a light console drives. At a drawn moment of a drive the
guardian gets SIGSTOP, SIGKILL, or SIGSTOP and 300 ms later SIGCONT. The time counts from just
before the signal to the first truth of the simulator (each 10 ms, its own stamp) in which the
brakes themselves slow the machine: the ECU's time-out of 50 ms, its cycle, the brake's dead time.

After each the machine must come to rest, and a guardian that goes on must call itself stopped: only
a new lease, reset and arming drive again.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from random import Random
from typing import Any

from benchmarks._console import DRIVING, PERIOD_NS, PRIORITY, STOPPED, Console, Seat
from benchmarks.common import machine_facts, percentiles
from protocol.messages import load_private_key, load_trust
from protocol.profiles import parse_profile
from protocol.state import VehicleMode
from sim import demo
from sim.children import Child, Children, ChildSpec, interruptible, last_words
from sim.pursuit import Pursuit
from sim.run_folder import run_folder
from sim.world.site import load_site
from vehicle_agent.shell.local_bus import DatagramFanout

_MS = 1_000_000
STALL_NS = 300 * _MS
SPEED_MPS = 1.0
BRAKES_MPS2 = 0.05
"""Deceleration by the brakes that counts as braking: a sixtieth of the stop's."""
FULL_SHARE = 0.9
PHASES_NS = 100 * _MS
"""A fault begins anywhere in this time: no cycle of any process may always meet it alike."""
DRIVES_WITHIN_S, RESTS_WITHIN_S, TELLS_WITHIN_S = 40.0, 15.0, 5.0
FULL_N, QUICK_N = 100, 1
RIGS = 2
WORKER = (sys.executable, "-m", "benchmarks.kills", "--work")
LOOK_S = 0.2
"""How often is looked whether the stands' processes have ended."""


class Fault(StrEnum):
    """What befalls the guardian's process."""

    STOP = "stop"
    KILL = "kill"
    STALL = "stall"


@dataclass(frozen=True, slots=True)
class Sample:
    """One fault, ms from it: first brake, nine tenths of the stop's brake, standstill."""

    brake_ms: float
    full_ms: float
    rest_ms: float


class Stand:
    """The processes, one at a time with its driver; times are monotonic ns."""

    def __init__(self, plan: demo.Plan, children: Children) -> None:
        self._plan, self._children = plan, children
        profile = parse_profile(plan.machine.read_text(encoding="utf-8"), str(plan.machine))
        self._limits, self._site = profile.limits, load_site(plan.site)
        self._truth = DatagramFanout(plan.run / "truth", "kills")
        self._seen: list[dict[str, Any]] = []
        self._seat, self._console = self._new_driver()
        self._due_ns = time.monotonic_ns()
        self.guardian = self.start_guardian()

    def close(self) -> None:
        """Leave the sockets; a guardian that is held hears of its end."""
        if self.guardian.process.returncode is None:
            os.kill(self.guardian.process.pid, signal.SIGCONT)
        self._seat.close()
        self._truth.close()

    def start_guardian(self) -> Child:
        """Start it, and wait until it is ready."""
        module = (sys.executable, "-m", "vehicle_agent.shell.guardian")
        child = self._children.start(
            ChildSpec("guardian", (*module, "--config", str(self._plan.agent_config)))
        )
        self._children.wait_ready()
        return child

    def new_driver(self) -> None:
        """Another console, without a lease, takes the seat."""
        self._seat.close()
        self._seat, self._console = self._new_driver()

    def _new_driver(self) -> tuple[Seat, Console]:
        run, operator = self._plan.run, demo.OPERATORS[0]
        console = Console(
            operator,
            demo.VEHICLE_ID,
            load_private_key((run / f"{operator}.jwk").read_text(encoding="utf-8")),
            load_trust((run / "trust.json").read_text(encoding="utf-8")),
            Pursuit(self._site, self._limits),
        )
        return Seat(console, operator, run / "agent", run / "truth"), console

    @property
    def mode(self) -> VehicleMode | None:
        """What the guardian last said to this driver."""
        state = self._console.state
        return None if state is None else state.mode

    @property
    def newest(self) -> dict[str, Any]:
        """The newest truth; it drives nowhere before the first."""
        return self._seen[-1] if self._seen else {"speed_mps": 0.0, "brake_mps2": 1.0, "park": True}

    @property
    def at_speed(self) -> bool:
        """It drives, fast enough, without brake."""
        truth = self.newest
        fast = truth["speed_mps"] > SPEED_MPS and truth["brake_mps2"] == 0.0
        return fast and self.mode in DRIVING

    @property
    def rests(self) -> bool:
        """It stands with the spring brake in."""
        return self.newest["speed_mps"] == 0.0 and bool(self.newest["park"])

    def run_until(self, done: Any, within_s: float, what: str, *, speaks: bool = True) -> None:
        """Let the driver drive until ``done``.

        Raises:
            TimeoutError: it never was.
        """
        end_ns = time.monotonic_ns() + round(within_s * 1e9)
        while not done():
            if time.monotonic_ns() > end_ns:
                raise TimeoutError(f"not within {within_s:g} s: {what}; {self.mode} {self.newest}")
            self._beat(speaks=speaks)

    def run_to(self, at_ns: int) -> None:
        """Let the driver drive on to a time."""
        while self._due_ns < at_ns:
            self._beat()
        self._seat.wait_until(at_ns)

    def _beat(self, *, speaks: bool = True) -> None:
        self._seat.wait_until(self._due_ns)
        self._due_ns = max(self._due_ns + PERIOD_NS, time.monotonic_ns())
        if speaks:
            self._seat.speak(time.monotonic_ns())
        while (data := self._truth.recv()) is not None:
            self._seen.append(json.loads(data))
        self._children.attend(0)

    def befall(self, fault: Fault) -> int:
        """Let a fault befall the guardian; return the time just before."""
        pid = self.guardian.process.pid
        number = signal.SIGKILL if fault is Fault.KILL else signal.SIGSTOP
        self._seen.clear()
        at_ns = time.monotonic_ns()
        os.kill(pid, number)
        if fault is Fault.STALL:
            self.run_to(at_ns + STALL_NS)
            os.kill(pid, signal.SIGCONT)
        elif fault is Fault.KILL:
            self._children.discard(self.guardian)
        return at_ns

    def heal(self, fault: Fault) -> None:
        """Let the guardian go on, or start another; a new driver has to take the lease.

        Raises:
            TimeoutError: a guardian that went on does not call itself stopped.
        """
        if fault is Fault.STOP:
            os.kill(self.guardian.process.pid, signal.SIGCONT)
        self.new_driver()
        if fault is Fault.KILL:
            self.guardian = self.start_guardian()
            return
        self.run_until(lambda: self.mode in STOPPED, TELLS_WITHIN_S, "says stopped", speaks=False)

    def sample(self, fault: Fault, phase_ns: int) -> Sample:
        """Drive, let the fault befall, and see the machine to rest."""
        self.run_until(lambda: self.at_speed, DRIVES_WITHIN_S, "at speed")
        self.run_to(time.monotonic_ns() + phase_ns)
        at_ns = self.befall(fault)
        self.run_until(lambda: bool(self._seen) and self.rests, RESTS_WITHIN_S, "at rest")
        full_mps2 = FULL_SHARE * self._limits.stop_decel_mps2
        sample = Sample(
            self._first_ms(at_ns, lambda t: t["brake_mps2"] > BRAKES_MPS2),
            self._first_ms(at_ns, lambda t: t["brake_mps2"] >= full_mps2),
            self._first_ms(at_ns, lambda t: t["speed_mps"] == 0.0),
        )
        self.heal(fault)
        return sample

    def _first_ms(self, at_ns: int, holds: Any) -> float:
        """Time to the first truth that holds; one may have waited unread since before the fault."""
        since = (t for t in self._seen if t["t_us"] * 1000 > at_ns)
        return next(((t["t_us"] * 1000 - at_ns) / 1e6 for t in since if holds(t)), float("inf"))


def _ahead_of_ordinary_programs() -> None:
    """As the light console runs; a guardian that is started later must ask for its own priority."""
    with contextlib.suppress(PermissionError):
        policy = os.SCHED_FIFO | os.SCHED_RESET_ON_FORK
        os.sched_setscheduler(0, policy, os.sched_param(PRIORITY))


@contextmanager
def stand() -> Iterator[Stand]:
    """Run machine, sensors, relay and guardian for the time of the block."""
    machine = demo.find_config("machines", demo.DEFAULT_MACHINE)
    site = demo.find_config("sites", demo.DEFAULT_SITE)
    with interruptible(), run_folder() as folder:
        plan = demo.Plan(folder, machine, site, 1, 1)
        demo.write_keys(folder)
        demo.write_settings(plan)
        with Children(folder, lambda _text: None) as children:
            for spec in demo.stages(plan)[0]:
                if spec.name in ("machine", "sensors", "relay"):
                    children.start(spec)
            children.wait_ready()
            _ahead_of_ordinary_programs()
            running = Stand(plan, children)
            try:
                yield running
            finally:
                running.close()


def samples(fault: Fault, number: int, seed: int) -> Iterator[Sample]:
    """Yield the samples of one stand."""
    dice = Random(seed)
    with stand() as running:
        for _ in range(number):
            yield running.sample(fault, dice.randrange(PHASES_NS))


def work(fault: Fault, number: int, seed: int) -> int:
    """Print one line with all samples: what a stand's own process does."""
    found = samples(fault, number, seed)
    print(json.dumps([[each.brake_ms, each.full_ms, each.rest_ms] for each in found]), flush=True)
    return 0


def on_stands(fault: Fault, number: int, rigs: int) -> list[Sample]:
    """Take samples on several stands at once, each in a process of its own that ends with this one.

    Raises:
        RuntimeError: a stand gave fewer.
    """
    shares = [number // rigs + (rig < number % rigs) for rig in range(rigs)]
    with (
        interruptible(),
        run_folder() as folder,
        Children(folder, lambda _text: None) as children,
    ):
        specs = [_worker(fault, share, seed) for seed, share in enumerate(shares) if share]
        workers = [children.start(spec) for spec in specs]
        while not all(worker.ended for worker in workers):
            children.attend(LOOK_S)
        said = [json.loads(line) for worker in workers for line in worker.lines[-1:]]
        found = [Sample(*each) for all_of_one in said for each in all_of_one]
        if len(found) != number:
            why = "".join(map(last_words, workers))
            raise RuntimeError(f"{fault}: {len(found)} samples of {number}{why}")
    return found


def _worker(fault: Fault, number: int, seed: int) -> ChildSpec:
    what = ("--fault", fault.value, "--n", str(number), "--seed", str(seed))
    return ChildSpec(f"stand_{seed}", (*WORKER, *what), ready_within_s=None)


def row(fault: Fault, found: Sequence[Sample]) -> dict[str, Any]:
    """Return one fault's figures, ms."""
    return {
        "fault": fault.value,
        "n": len(found),
        "brake": percentiles([s.brake_ms for s in found]).as_dict(),
        "nine_tenths": percentiles([s.full_ms for s in found]).as_dict(),
        "standstill": percentiles([s.rest_ms for s in found]).as_dict(),
    }


def _text(figures: dict[str, Any]) -> str:
    lines = [f"{figures['fault']}, n = {figures['n']}, ms from the signal"]
    for name in ("brake", "nine_tenths", "standstill"):
        parts = "  ".join(f"{k} {v:7.1f}" for k, v in figures[name].items())
        lines.append(f"  {name:<12} {parts}")
    return "\n".join(lines)


def main() -> int:
    """Run the benchmark; 1 when a machine did not brake or a guardian went on as if nothing was."""
    parser = argparse.ArgumentParser(prog="benchmarks.kills", description=__doc__)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--quick", action="store_true", help="one of each")
    parser.add_argument("--fault", type=Fault, choices=list(Fault), help="only this one")
    parser.add_argument("--n", type=int, help=f"of each, {FULL_N} unless told")
    parser.add_argument("--rigs", type=int, default=RIGS, help="stands at once")
    parser.add_argument("--work", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--seed", type=int, default=0, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    number = chosen.n or (QUICK_N if chosen.quick else FULL_N)
    if chosen.work:
        return work(chosen.fault, number, chosen.seed)
    faults = [chosen.fault] if chosen.fault else list(Fault)
    try:
        rows = [row(fault, on_stands(fault, number, chosen.rigs)) for fault in faults]
    except (OSError, RuntimeError, ValueError) as error:
        print(f"benchmark: {error}", file=sys.stderr)
        return 1
    if chosen.json:
        print(json.dumps({"name": "kills", "unit": "ms", "rows": rows, "machine": machine_facts()}))
    else:
        print("\n".join(map(_text, rows)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
