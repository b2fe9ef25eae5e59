"""What other settings would have decided over the same inputs: stops gained, lost, and metres.

Two supervisors run side by side: one as it was, one with the change. The machine and the driver
of the log do not know of the change, so only the first moments after it matters say something:
a while after either has stopped, the changed one goes on from the state of the other.
"""

from __future__ import annotations

import copy
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from protocol.frames import decode_state
from protocol.freshness import Accepted
from protocol.profiles import MachineLimits
from protocol.state import parse_state
from protocol.sums import in_turn
from sim.replay.rerun import Runner, Stop, StopWatch
from sim.replay.ticks import BootStep, KeyStep, Step, TickStep
from vehicle_agent.core import tape
from vehicle_agent.core.failsafe import DRIVING
from vehicle_agent.core.keystate import freeze, thaw
from vehicle_agent.core.record import Record
from vehicle_agent.core.supervisor import Setup, Supervisor, TickOutputs

PAIRED_NS = 2_000_000_000
"""Stops of both within this time are the same stop, earlier or later."""
TRACK_NS = 5_000_000_000


@dataclass(frozen=True, slots=True)
class Travel:
    """How far the machine went after the last command that counted, m.

    Attributes:
        reaction_m: measured, up to the stop's beginning.
        braking_m: reckoned from there to standstill by the machine's own limits.
    """

    reaction_m: float
    braking_m: float

    @property
    def total_m(self) -> float:
        """Both."""
        return self.reaction_m + self.braking_m


@dataclass(frozen=True, slots=True)
class Weighed:
    """A stop, and how far the machine went."""

    stop: Stop
    travel: Travel


@dataclass(slots=True)
class WhatIf:
    """What came of one log.

    Attributes:
        then, now: stops as they were, and with the change.
        driven_s: time in which the machine drove.
    """

    then: list[Weighed] = field(default_factory=list)
    now: list[Weighed] = field(default_factory=list)
    driven_s: float = 0.0
    ticks: int = 0

    def pairs(self) -> list[tuple[Weighed | None, Weighed | None]]:
        """Return stops as they belong together: (then, now).

        Once the machine of the log has stopped, driver and console act on that. What the changed
        one stops for after it is of no meaning, unless it is the same cause.
        """
        left = list(self.now)
        found: list[tuple[Weighed | None, Weighed | None]] = []
        for then in self.then:
            now = next((each for each in left if _belongs(then, each)), None)
            left = [each for each in left if each is not now and not _follows(then, each)]
            found.append((then, now))
        found += [(None, now) for now in left]
        return sorted(found, key=lambda pair: next(each for each in pair if each).stop.utc_ns)

    def as_dict(self) -> dict[str, Any]:
        """For JSON and tables."""
        pairs = self.pairs()
        both = [(then, now) for then, now in pairs if then and now]
        return {
            "driven_s": round(self.driven_s, 1),
            "stops_then": len(self.then),
            "stops_now": len(self.now),
            "gained": sum(then is None for then, _ in pairs),
            "lost": sum(now is None for _, now in pairs),
            "earlier": sum(now.stop.utc_ns < then.stop.utc_ns for then, now in both),
            "later": sum(now.stop.utc_ns > then.stop.utc_ns for then, now in both),
            "metres_then": _metres(self.then),
            "metres_now": _metres(self.now),
            "stops": [_row(then, now) for then, now in pairs],
        }


def _belongs(then: Weighed, now: Weighed) -> bool:
    later_ns = now.stop.utc_ns - then.stop.utc_ns
    same = now.stop.cause == then.stop.cause
    return -PAIRED_NS <= later_ns <= 0 or (same and 0 < later_ns <= PAIRED_NS)


def _follows(then: Weighed, now: Weighed) -> bool:
    return 0 < now.stop.utc_ns - then.stop.utc_ns <= PAIRED_NS


def _metres(stops: list[Weighed]) -> dict[str, float | None]:
    """Mean and most of the metres after the last command that counted."""
    metres = [each.travel.total_m for each in stops]
    if not metres:
        return {"mean": None, "max": None}
    return {"mean": round(in_turn(metres) / len(metres), 2), "max": round(max(metres), 2)}


def _row(then: Weighed | None, now: Weighed | None) -> dict[str, Any]:
    row: dict[str, Any] = {}
    for name, each in (("then", then), ("now", now)):
        row[name] = (
            None
            if each is None
            else {
                "utc_ns": each.stop.utc_ns,
                "cause": each.stop.cause,
                "metres": round(each.travel.total_m, 2),
                "reaction_m": round(each.travel.reaction_m, 2),
            }
        )
    if then is not None and now is not None:
        row["later_ms"] = round((now.stop.utc_ns - then.stop.utc_ns) / 1e6)
    return row


class Track:
    """Where the machine came from in the last seconds, and when a command last counted."""

    def __init__(self) -> None:
        self._speeds: deque[tuple[int, float]] = deque()

    def take(self, now_ns: int, state: bytes | None) -> None:
        """Take a tick's state frame, where there is one."""
        if state is None:
            return
        speed_mps = parse_state(decode_state(state, {}).frame.json).speed_mps
        self._speeds.append((now_ns, abs(speed_mps or 0.0)))
        while now_ns - self._speeds[0][0] > TRACK_NS:
            self._speeds.popleft()

    def since(self, begun_ns: int, now_ns: int) -> float:
        """Return the way from one time to another, m."""
        way_m, until_ns = 0.0, now_ns
        for at_ns, speed_mps in reversed(self._speeds):
            from_ns = max(at_ns, begun_ns)
            way_m += speed_mps * max(until_ns - from_ns, 0) / 1e9
            until_ns = min(until_ns, from_ns)
            if at_ns <= begun_ns:
                break
        return way_m

    @property
    def speed_mps(self) -> float:
        """The newest, without its sign."""
        return self._speeds[-1][1] if self._speeds else 0.0


@dataclass(slots=True)
class _Side:
    """One of both: its stops, and its last command that counted."""

    watch: StopWatch = field(default_factory=lambda: StopWatch([]))
    fresh_ns: int = 0

    def look(
        self, step: TickStep, supervisor: Supervisor, track: Track, limits: MachineLimits
    ) -> Weighed | None:
        if any(isinstance(each, Accepted) for each in supervisor.judged):
            self.fresh_ns = step.now_ns
        stop = self.watch.look(step.utc_ns, step.number, supervisor.mode, supervisor.latched)
        if stop is None:
            return None
        speed_mps = track.speed_mps
        braking_m = speed_mps * limits.brake_delay_s + speed_mps**2 / (2 * limits.stop_decel_mps2)
        return Weighed(stop, Travel(track.since(self.fresh_ns, step.now_ns), braking_m))


class Comparison:
    """Both supervisors over one log."""

    def __init__(self, change: Callable[[Setup], Setup]) -> None:
        self._change = change
        self._then = Runner()
        self._setup: Setup | None = None
        self._now: Supervisor | None = None
        self._durable: Record | None = None
        self._again_ns: int | None = None
        self._track = Track()
        self._sides = (_Side(), _Side())
        self.result = WhatIf()

    def take(self, step: Step) -> None:
        """Take the log's next step."""
        match step:
            case BootStep():
                self._then.boot(step)
                self._setup = self._change(step.setup)
                self._now = Supervisor(self._setup)
            case KeyStep():
                was = self._then.supervisor
                self._then.key(step)
                if self._then.supervisor is not was:
                    self._go_on()
            case TickStep():
                self._tick(step)

    def _tick(self, step: TickStep) -> None:
        said = self._then.tick(step)
        then = self._then.supervisor
        if said is None or then is None or self._setup is None:
            self._now = None
            return
        if self._now is None or (self._again_ns is not None and step.now_ns >= self._again_ns):
            self._again_ns = None
            self._go_on()
            now_said: TickOutputs | None = None
        else:
            given = tape.with_durable(step.given, self._durable)
            now_said = self._now.step(step.now_ns, given)
        now = self._now
        assert now is not None
        self._durable = None if now_said is None else now_said.persist
        self._track.take(step.now_ns, said.state)
        self.result.ticks += 1
        if then.mode in DRIVING:
            self.result.driven_s += 0.01
        self._weigh(step, then, now)

    def _weigh(self, step: TickStep, then: Supervisor, now: Supervisor) -> None:
        assert self._setup is not None
        limits = self._setup.limits
        for side, supervisor, stops in zip(
            self._sides, (then, now), (self.result.then, self.result.now), strict=True
        ):
            found = side.look(step, supervisor, self._track, limits)
            if found is not None:
                stops.append(found)
                self._again_ns = step.now_ns + PAIRED_NS

    def _go_on(self) -> None:
        """Let the changed one go on from where the other is now."""
        then, setup = self._then, self._setup
        if then.supervisor is None or then.setup is None or setup is None:
            self._now = None
            return
        state = freeze(then.supervisor, then.setup)
        before, after = (freeze(Supervisor(each), each) for each in (then.setup, setup))
        self._now = thaw(overlaid(state, before, after), setup)
        self._durable = None


def overlaid(state: Any, before: Any, after: Any) -> Any:
    """Return ``state`` with what the settings make of a new supervisor: ``after``, not ``before``.

    Objects keep what they make of the settings (periods, limits) from their making on.
    """
    if type(before) is not type(after) or type(state) is not type(before):
        return state
    if isinstance(state, dict):
        return {
            name: overlaid(each, before[name], after[name])
            if name in before and name in after
            else each
            for name, each in state.items()
        }
    if isinstance(state, list):
        if len(before) != len(after) or len(state) != len(before):
            return state
        return [
            overlaid(each, was, made) for each, was, made in zip(state, before, after, strict=True)
        ]
    return copy.copy(after) if before != after and state == before else state


def what_if(steps: Iterable[Step], change: Callable[[Setup], Setup]) -> WhatIf:
    """Run a log with and without a change of settings."""
    comparison = Comparison(change)
    for step in steps:
        comparison.take(step)
    return comparison.result
