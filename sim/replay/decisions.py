"""What one revision of the software decides over logs, as JSON: a program and a module.

As a program it is started by ``compare --commit`` with another revision's folder as PYTHONPATH. It
therefore imports only what every revision has had since there are logs, and does the rest itself.
"""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path
from typing import Any

from protocol.freshness import Accepted
from recording.reader import open_log
from sim.replay.rerun import Runner, StopWatch
from sim.replay.ticks import BootStep, KeyStep, Steps, TickStep
from sim.replay.whatif import Track
from vehicle_agent.core import tape
from vehicle_agent.core.failsafe import DRIVING
from vehicle_agent.core.keystate import KeyStateError, freeze, thaw
from vehicle_agent.core.supervisor import Supervisor, TickOutputs

DECIDED = ("mode", "latched", "relay", "bus", "judged", "events", "persist", "acks")
"""Of what a tick says, that which acts; the rest tells of it."""
DIGEST_BYTES = 4
TICK_S = 0.01


class Decider:
    """Leads a supervisor of this revision through a log."""

    def __init__(self, shown: int | None) -> None:
        self._shown, self._runner = shown, Runner()
        self._watch, self._track = StopWatch([]), Track()
        self._fresh_ns = 0
        self._digests: list[str] = []
        self._stops: list[dict[str, Any]] = []
        self._ticks: list[tuple[int, int]] = []
        self._driven = 0
        self._content: dict[str, Any] | None = None

    def take(self, step: BootStep | KeyStep | TickStep) -> None:
        """Take the log's next step."""
        match step:
            case BootStep():
                self._runner.boot(step)
            case KeyStep():
                self._key(step)
            case TickStep():
                said = self._runner.tick(step)
                supervisor = self._runner.supervisor
                if said is not None and supervisor is not None:
                    self._tick(step, supervisor, said)

    def _key(self, step: KeyStep) -> None:
        """Go on from the log's own state where this revision decided otherwise before it."""
        runner = self._runner
        runner.key(step)
        if step.state is None or runner.supervisor is None or runner.setup is None:
            return
        now = json.loads(json.dumps(freeze(runner.supervisor, runner.setup)))
        if now == step.state:
            return
        try:
            runner.supervisor = thaw(step.state, runner.setup)
        except KeyStateError:
            return  # of a revision with another inner state: it goes on from its own
        self._watch.driving = runner.supervisor.mode in DRIVING

    def _tick(self, step: TickStep, supervisor: Supervisor, said: TickOutputs) -> None:
        content = tape.comparable(tape.outputs_of(step.number, step.now_ns, supervisor, said))
        decided = {name: content[name] for name in DECIDED if name in content}
        digest = hashlib.blake2b(tape.to_bytes(decided), digest_size=DIGEST_BYTES)
        self._digests.append(digest.hexdigest())
        self._ticks.append((step.number, step.utc_ns))
        self._driven += supervisor.mode in DRIVING
        if self._shown == len(self._digests) - 1:
            self._content = decided
        self._track.take(step.now_ns, said.state)
        if any(isinstance(each, Accepted) for each in supervisor.judged):
            self._fresh_ns = step.now_ns
        stop = self._watch.look(step.utc_ns, step.number, supervisor.mode, supervisor.latched)
        if stop is not None:
            self._weigh(step.now_ns, step.utc_ns, step.number, stop.cause)

    def _weigh(self, now_ns: int, utc_ns: int, number: int, cause: str | None) -> None:
        assert self._runner.setup is not None
        limits, speed_mps = self._runner.setup.limits, self._track.speed_mps
        braking_m = speed_mps * limits.brake_delay_s + speed_mps**2 / (2 * limits.stop_decel_mps2)
        self._stops.append(
            {
                "utc_ns": utc_ns,
                "number": number,
                "cause": cause,
                "reaction_m": self._track.since(self._fresh_ns, now_ns),
                "braking_m": braking_m,
            }
        )

    def result(self) -> dict[str, Any]:
        """Return everything: a digest for each tick, its number and time, and the stops."""
        return {
            "digests": "".join(self._digests),
            "ticks": self._ticks,
            "driven_s": self._driven * TICK_S,
            "stops": self._stops,
            "shown": self._content,
        }


def decisions(path: Path, shown: int | None = None) -> dict[str, Any]:
    """Return what this revision decides over a log.

    Args:
        shown: place of a tick, from 0, that is given in full.

    Raises:
        ValueError, KeyError, TypeError: the log holds what this revision cannot read.
    """
    decider = Decider(shown)
    for step in Steps(open_log(path)):
        decider.take(step)
    return decider.result()


if __name__ == "__main__":
    wanted = None if len(sys.argv) < 3 else int(sys.argv[2])
    json.dump(
        {"folder": str(Path(tape.__file__).parents[2]), **decisions(Path(sys.argv[1]), wanted)},
        sys.stdout,
    )
