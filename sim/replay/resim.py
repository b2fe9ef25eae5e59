"""A simulated log again in closed loop: its commands, its link, and a machine that lives.

A re-run decides over what the machine of the log did. Here the simulator's own machine drives on
with what is decided now, so that a changed limit shows in metres that were driven and not reckoned.
The driver of the log knows nothing of it: his commands come when they came.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from protocol.freshness import Accepted
from recording.reader import Log
from sim.replay.rerun import StopWatch
from sim.replay.ticks import BootStep, Steps, TickStep
from sim.runner.machine import Heard, MachineSide
from sim.scenario.file import Scenario
from sim.simulated_machine import ECU_STEP_NS
from vehicle_agent.core import tape
from vehicle_agent.core.supervisor import Setup

STANDING_MPS = 0.02
SCENARIO = "scenario.json"


@dataclass(slots=True)
class ClosedStop:
    """One stop.

    Attributes:
        from_m: odometer where a command last counted. stood_m: where it stood; None: it did not.
    """

    utc_ns: int
    cause: str | None
    speed_mps: float
    from_m: float
    stood_m: float | None = None

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        metres = None if self.stood_m is None else round(self.stood_m - self.from_m, 2)
        return {
            "utc_ns": self.utc_ns,
            "cause": self.cause,
            "speed_mps": round(self.speed_mps, 2),
            "metres": metres,
        }


@dataclass(slots=True)
class Resim:
    """What came of it.

    Attributes:
        same: ticks from the beginning that heard and said what the log says. ticks: all.
        stops: in order. distance_m, contacts: at the end.
    """

    ticks: int = 0
    same: int = 0
    stops: list[ClosedStop] = field(default_factory=list)
    distance_m: float = 0.0
    contacts: int = 0

    @property
    def as_recorded(self) -> bool:
        """Nothing was otherwise than in the log."""
        return self.same == self.ticks > 0

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "ticks": self.ticks,
            "same_ticks": self.same,
            "as_recorded": self.as_recorded,
            "distance_m": round(self.distance_m, 2),
            "contacts": self.contacts,
            "stops": [stop.as_dict() for stop in self.stops],
        }


class _Loop:
    """The machine, and what is noted of it."""

    def __init__(self, scenario: Scenario, seed: int, setup: Setup) -> None:
        self._made = (scenario.machine, scenario.site, seed, scenario.file.load)
        self._setup = setup
        self._side: MachineSide | None = None
        self._now_ns = 0
        self._watch = StopWatch([])
        self._from_m = 0.0
        self._open: ClosedStop | None = None
        self.result = Resim()

    def tick(self, step: TickStep) -> None:
        """Let the machine go on to a tick of the log, and hear what it heard of others."""
        side = self._machine(step)
        for at_ns in range(self._now_ns + ECU_STEP_NS, step.now_ns + 1, ECU_STEP_NS):
            side.ecu_step(at_ns)
        self._now_ns = step.now_ns
        given = step.given
        side.heard = Heard(list(given.commands), list(given.requests), list(given.stops))
        side.defect.outside_zone = int(bool(given.outside_zone))
        said = side.tick(step.now_ns)
        self.result.ticks += 1
        if self.result.same == self.result.ticks - 1:
            content = tape.outputs_of(step.number, step.now_ns, side.supervisor, said)
            self.result.same += _same(step, content)
        self._note(step, side)

    def _machine(self, step: TickStep) -> MachineSide:
        if self._side is None:
            machine, site, seed, load = self._made
            begun_ns = step.now_ns - step.number * 2 * ECU_STEP_NS
            self._side = MachineSide(self._setup, machine, site, seed, load, begun_ns)
            self._now_ns = begun_ns
        return self._side

    def _note(self, step: TickStep, side: MachineSide) -> None:
        truth = side.simulated.truth(step.now_ns)
        at_m, speed_mps = truth["distance_m"], abs(truth["speed_mps"])
        self.result.distance_m, self.result.contacts = at_m, truth["contacts"]
        supervisor = side.supervisor
        stop = self._watch.look(step.utc_ns, step.number, supervisor.mode, supervisor.latched)
        if stop is not None:
            self._open = ClosedStop(step.utc_ns, stop.cause, speed_mps, self._from_m)
            self.result.stops.append(self._open)
        if self._open is not None and speed_mps < STANDING_MPS:
            self._open.stood_m, self._open = at_m, None
        if any(isinstance(each, Accepted) for each in supervisor.judged):
            self._from_m = at_m


def _same(step: TickStep, now: dict[str, Any]) -> bool:
    if step.said is None:
        return True
    then = tape.comparable(json.loads(step.said))
    return bool(then == json.loads(tape.to_bytes(tape.comparable(now))))


def resim(log: Log, change: Callable[[Setup], Setup] = lambda setup: setup) -> Resim:
    """Run a simulated log again in closed loop.

    Raises:
        ValueError: it is not of one whole run of the simulator, or its scenario does not fit.
    """
    loop: _Loop | None = None
    scenario, seed = _scenario(log)
    for step in Steps(log):
        if isinstance(step, BootStep):
            loop = _Loop(scenario, seed, change(step.setup))
        elif isinstance(step, TickStep):
            if loop is None:
                raise ValueError(f"{log.name}: does not begin at the boot")
            loop.tick(step)
    if loop is None:
        raise ValueError(f"{log.name}: holds no boot")
    return loop.result


def _scenario(log: Log) -> tuple[Scenario, int]:
    session = log.session()
    for _ in log.messages(()):  # attachments are known when a file was read
        pass
    raw = log.files[0].attachments.get(SCENARIO)
    if raw is None or "seed" not in session or "cut_from_utc_ns" in session:
        raise ValueError(f"{log.name}: not of one whole run of the simulator")
    name = str(session["scenario"])
    return Scenario(name, json.loads(raw), f"{log.name}: {SCENARIO}"), int(session["seed"])


def as_text(then: Resim, now: Resim | None) -> str:
    """Return both for a person; None where nothing was changed."""
    word = "as recorded, bit for bit" if then.as_recorded else f"as recorded for {then.same} ticks"
    lines = [f"{then.ticks} ticks in closed loop: {word}"]
    lines += [_line(then, "as it was")] if now is not None else [_line(then, "")]
    if now is not None:
        lines.append(_line(now, "changed"))
    for name, each in (("as it was", then), ("changed", now)):
        if each is not None:
            lines += [f"  {name}: {_words(stop)}" for stop in each.stops]
    return "\n".join(lines)


def _line(result: Resim, name: str) -> str:
    head = f"  {name}: " if name else "  "
    return f"{head}{result.distance_m:.1f} m, {len(result.stops)} stops, {result.contacts} contacts"


def _words(stop: ClosedStop) -> str:
    content = stop.as_dict()
    stood = "did not stand" if content["metres"] is None else f"stood after {content['metres']} m"
    return f"{stop.cause} at {stop.speed_mps:.1f} m/s: {stood} from the last command that counted"
