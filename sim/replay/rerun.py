"""Runs the supervisor again over a log's own inputs, and tells the first thing that differs.

On the commit that wrote the log every decision is the same, bit for bit; only the signatures of
answers are not made again, because the machine's private key is not in the log.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from pydantic_core import to_json

from protocol.state import VehicleMode
from sim.replay.ticks import BootStep, KeyStep, Step, TickStep
from vehicle_agent.core import tape
from vehicle_agent.core.failsafe import DRIVING
from vehicle_agent.core.keystate import KeyStateError, freeze, thaw
from vehicle_agent.core.supervisor import Setup, Supervisor, TickOutputs

STOPPED = frozenset(
    {VehicleMode.STOPPING, VehicleMode.STOPPED, VehicleMode.ESTOP, VehicleMode.FAULT}
)
DIGEST_BYTES = 4
_HAS_DIGEST = b'"digest":'
"""In a golden log's output; inside of a text its quotes would have strokes before them."""
SHOWN_CHARACTERS = 400

Follow = Callable[[TickStep, Supervisor, TickOutputs], None]
"""Called after each tick that was run again."""


@dataclass(frozen=True, slots=True)
class Stop:
    """A machine that drove has stopped: when, and why."""

    utc_ns: int
    number: int
    cause: str | None


@dataclass(frozen=True, slots=True)
class Difference:
    """A tick that came out otherwise: by field what the log says and what was said now."""

    utc_ns: int
    number: int
    fields: dict[str, tuple[Any, Any]]

    def __str__(self) -> str:
        parts = ", ".join(
            f"{name}: {_short(then)} in the log, {_short(now)} now"
            for name, (then, now) in self.fields.items()
        )
        return f"tick {self.number}: {parts}"


@dataclass(slots=True)
class Rerun:
    """What came of it.

    Attributes:
        ticks: run again. compared: of these with what the log says they said.
        differences: of decisions. first: the first of them.
        keys, key_differences: key states met on the way, and how many were not the same.
        broken_keys: key states that are not whole; nothing can begin from them.
        missing: ticks that the log does not have. skipped: ticks before the first boot or key.
        stops_then, stops_now: of the log, and of the run.
    """

    boots: int = 0
    ticks: int = 0
    compared: int = 0
    differences: int = 0
    first: Difference | None = None
    keys: int = 0
    key_differences: int = 0
    broken_keys: int = 0
    missing: int = 0
    skipped: int = 0
    stops_then: list[Stop] = field(default_factory=list)
    stops_now: list[Stop] = field(default_factory=list)

    @property
    def equal(self) -> bool:
        """Everything that could be compared was the same, and something could."""
        return self.compared > 0 and not self.differences and not self.key_differences

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "equal": self.equal,
            "boots": self.boots,
            "ticks": self.ticks,
            "compared": self.compared,
            "differences": self.differences,
            "first": None if self.first is None else str(self.first),
            "key_states": self.keys,
            "key_state_differences": self.key_differences,
            "broken_key_states": self.broken_keys,
            "missing_ticks": self.missing,
            "skipped_ticks": self.skipped,
            "stops": [each.cause for each in self.stops_now],
            "stops_in_log": [each.cause for each in self.stops_then],
        }


@dataclass(slots=True)
class StopWatch:
    """Sees stops in a row of modes.

    Attributes:
        driving: the machine drove after the last tick.
    """

    stops: list[Stop]
    driving: bool = False

    def look(self, utc_ns: int, number: int, mode: str, cause: str | None) -> Stop | None:
        """Take the mode after a tick; return the stop that began with it."""
        if mode in DRIVING:
            self.driving = True
            return None
        stopped = self.driving and mode in STOPPED
        self.driving = False
        if not stopped:
            return None
        self.stops.append(Stop(utc_ns, number, cause))
        return self.stops[-1]


class Runner:
    """A supervisor that is led through a log's steps.

    Attributes:
        result: so far. supervisor: None before the first boot or key state.
    """

    def __init__(self, change: Callable[[Setup], Setup] = lambda setup: setup) -> None:
        self._change = change
        self.setup: Setup | None = None
        self.supervisor: Supervisor | None = None
        self.result = Rerun()
        self._fresh = False
        self._then = StopWatch(self.result.stops_then)
        self._now = StopWatch(self.result.stops_now)

    def boot(self, step: BootStep) -> None:
        """The machine's guardian was started."""
        self.setup = self._change(step.setup)
        self.supervisor = Supervisor(self.setup)
        self._fresh = True
        self.result.boots += 1

    def key(self, step: KeyStep) -> None:
        """A key state: where to go on after a gap, else what must have come out.

        Raises:
            KeyStateError: it is needed, and is of other code.
        """
        if step.state is None:
            self.result.broken_keys += 1
            return
        if self.setup is None:
            return
        if step.missing > 0:
            self.result.missing += step.missing
            self.supervisor = None
        if self.supervisor is None or self._fresh:
            self.supervisor = thaw(step.state, self.setup)
            self._fresh = False
            for watch in (self._then, self._now):
                watch.driving = self.supervisor.mode in DRIVING
            return
        self.result.keys += 1
        now = json.loads(json.dumps(freeze(self.supervisor, self.setup)))
        if now != step.state:
            self.result.key_differences += 1

    def tick(self, step: TickStep) -> TickOutputs | None:
        """Run one tick again; None where there is nothing to run it with."""
        result = self.result
        if step.missing > 0 or (self._fresh and step.number != 1):
            result.missing += step.missing
            self.supervisor = None
        supervisor = self.supervisor
        if supervisor is None:
            result.skipped += 1
            return None
        self._fresh = False
        said = supervisor.step(step.now_ns, step.given)
        result.ticks += 1
        if step.said is not None:
            self._compare(step, supervisor, said)
        self._now.look(step.utc_ns, step.number, supervisor.mode, supervisor.latched)
        return said

    def _compare(self, step: TickStep, supervisor: Supervisor, said: TickOutputs) -> None:
        assert step.said is not None
        self.result.compared += 1
        content = tape.outputs_of(step.number, step.now_ns, supervisor, said)
        shown = digested(content, to_json) if _HAS_DIGEST in step.said else content
        if to_json(shown) == step.said:
            self._then.look(step.utc_ns, step.number, supervisor.mode, supervisor.latched)
            return
        then = json.loads(step.said)
        now = content if "digest" in then else json.loads(tape.to_bytes(content))
        self._then.look(step.utc_ns, step.number, then["mode"], then["latched"])
        fields = differing(then, now)
        if not fields:
            return
        self.result.differences += 1
        if self.result.first is None:
            self.result.first = Difference(step.utc_ns, step.number, fields)


def differing(then: dict[str, Any], now: dict[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Return what of an output is not the same; a golden log has a digest in its stead."""
    if "digest" in then:
        now = digested(now)
        if then == now:
            return {}
    then, now = tape.comparable(then), tape.comparable(now)
    names = [*then, *(name for name in now if name not in then)]
    return {
        name: (then.get(name), now.get(name)) for name in names if then.get(name) != now.get(name)
    }


def digested(
    said: dict[str, Any], write: Callable[[dict[str, Any]], bytes] = tape.to_bytes
) -> dict[str, Any]:
    """Return a short form of an output: what was decided, and a digest of all of it.

    Args:
        write: its JSON. pydantic's is five times as quick and the same but for letters beyond
            ASCII: where its bytes are those of the log all is the same, else nothing is said.
    """
    whole = write(tape.comparable(said))
    digest = hashlib.blake2b(whole, digest_size=DIGEST_BYTES).hexdigest()
    kept = {name: said[name] for name in ("n", "t", "mode", "latched", "relay")}
    return {**kept, "events": said.get("events", []), "digest": digest}


def rerun(steps: Iterable[Step], follow: Follow | None = None) -> Rerun:
    """Run a log again from its beginning.

    Args:
        follow: sees each tick.

    Raises:
        KeyStateError: the log begins with a key state of other code.
    """
    runner = Runner()
    for step in steps:
        match step:
            case BootStep():
                runner.boot(step)
            case KeyStep():
                runner.key(step)
            case TickStep():
                said = runner.tick(step)
                if follow is not None and said is not None and runner.supervisor is not None:
                    follow(step, runner.supervisor, said)
    return runner.result


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= SHOWN_CHARACTERS else text[:SHOWN_CHARACTERS] + "…"


__all__ = ["Difference", "KeyStateError", "Rerun", "Runner", "Stop", "differing", "rerun"]
