"""The chain of causes round one moment, in words: picture, command, verdict, decision, bus, motion.

The supervisor is run again up to the moment, so that what it knew is known here too.
"""

from __future__ import annotations

from binascii import a2b_base64
from collections import Counter, deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from protocol.dbw.codec import (
    BrakeCommand,
    DriveCommand,
    EcuState,
    Message,
    SupCommand,
    decode,
)
from protocol.dbw.errors import DbwError
from protocol.errors import ProtocolError, Refusal
from protocol.events import EVENTS
from protocol.freshness import Accepted
from protocol.signals import Timing
from protocol.state import VehicleState, parse_state
from recording.moments import words
from recording.reader import Log
from sim.replay.cockpit_story import story
from sim.replay.rerun import Runner
from sim.replay.ticks import BootStep, KeyStep, Steps, TickStep
from vehicle_agent.core import tape
from vehicle_agent.core.failsafe import DRIVING, TABLE
from vehicle_agent.core.supervisor import Supervisor, TickOutputs

BEFORE_NS, AFTER_NS = 2_000_000_000, 20_000_000_000
BRAKING_MPS2 = 0.1
STANDING_MPS = 0.02
_MS = 1_000_000


@dataclass(slots=True)
class Seen:
    """One tick, as far as it matters here."""

    now_ns: int
    utc_ns: int
    mode: str
    latched: str | None
    events: tuple[str, ...]
    accepted: Accepted | None
    refused: Counter[str]
    state: VehicleState | None
    demands: dict[str, float]
    ecu: str | None


class Chain:
    """What is told, in the order of its times."""

    def __init__(self) -> None:
        self._rows: list[tuple[int, str]] = []

    def say(self, utc_ns: int, text: str) -> None:
        """Add what happened at a time."""
        self._rows.append((utc_ns, text))

    @property
    def lines(self) -> list[str]:
        """The whole, for people."""
        return [f"{words(at)}  {text}" for at, text in sorted(self._rows, key=lambda row: row[0])]


def explain(log: Log, at_ns: int, cockpit: Log | None = None) -> list[str]:
    """Return in words what led to what round ``at_ns`` (UTC).

    Args:
        cockpit: log of the cockpit that drove then.

    Raises:
        ValueError: no tick of the log lies there, or the cockpit's log is of another drive.
    """
    timing, seen = around(log, at_ns)
    if not seen:
        raise ValueError(f"{log.name}: no tick at that time")
    chain = Chain()
    place, near = place_of(seen, at_ns)
    _tell_driver(chain, seen, place)
    _tell_commands(chain, seen, place, timing)
    _tell_decision(chain, seen, place)
    if near:
        _tell_effect(chain, seen, place)
    if cockpit is not None:
        for utc_ns, text in story(log, cockpit, seen[place].utc_ns):
            chain.say(utc_ns, text)
    return chain.lines


def place_of(seen: Sequence[Seen], at_ns: int) -> tuple[int, bool]:
    """Return the place of the stop that is near a moment, and True; else that of the moment."""
    stop = next(
        (
            place
            for place in range(1, len(seen))
            if seen[place - 1].mode in DRIVING
            and seen[place].mode not in DRIVING
            and seen[place].latched is not None
            and seen[place].utc_ns >= at_ns - 10 * _MS
        ),
        None,
    )
    if stop is not None and seen[stop].utc_ns - at_ns <= BEFORE_NS:
        return stop, True
    moment = next((place for place, each in enumerate(seen) if each.utc_ns >= at_ns), len(seen) - 1)
    return moment, False


def around(log: Log, at_ns: int) -> tuple[Timing, list[Seen]]:
    """Return the deadlines, and every tick from 2 s before ``at_ns`` to 20 s after it."""
    runner = Runner()
    seen: deque[Seen] = deque()
    for step in Steps(log):
        if isinstance(step, BootStep):
            runner.boot(step)
        elif isinstance(step, KeyStep):
            runner.key(step)
        elif isinstance(step, TickStep):
            if step.utc_ns > at_ns + AFTER_NS:
                break
            said = runner.tick(step)
            if said is None or runner.supervisor is None or step.utc_ns < at_ns - BEFORE_NS:
                continue
            seen.append(_look(step, runner.supervisor, said))
    timing = Timing() if runner.setup is None else runner.setup.timing
    return timing, list(seen)


def _look(step: TickStep, supervisor: Supervisor, said: TickOutputs) -> Seen:
    accepted = [each for each in supervisor.judged if isinstance(each, Accepted)]
    refused = Counter(
        each.reason.value
        for each in supervisor.judged
        if not isinstance(each, Accepted) and each.reason is not Refusal.DUPLICATE
    )
    content = tape.outputs_of(step.number, step.now_ns, supervisor, said)
    return Seen(
        step.now_ns,
        step.utc_ns,
        supervisor.mode,
        supervisor.latched,
        said.events,
        accepted[-1] if accepted else None,
        refused,
        _state(content),
        dict(_demands(content)),
        _ecu(step.heard),
    )


def _state(said: Mapping[str, Any]) -> VehicleState | None:
    if "state" not in said:
        return None
    text: bytes = tape.state_text(said["state"])
    try:
        return parse_state(text[: text.rindex(b"}") + 1])
    except (ProtocolError, ValueError):
        return None


def _messages(rows: Any) -> Iterator[Message]:
    for can_id, text in rows:
        try:
            yield decode(can_id, a2b_base64(text))
        except DbwError:
            continue


def _demands(said: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    for message in _messages(said.get("bus", ())):
        if isinstance(message, BrakeCommand):
            yield "brake_mps2", message.decel_mps2
        elif isinstance(message, DriveCommand):
            yield "accel_mps2", message.accel_mps2
        elif isinstance(message, SupCommand):
            yield "enable", float(message.enable)


def _ecu(heard: Mapping[str, Any]) -> str | None:
    states = [each for each in _messages(heard.get("bus", ())) if isinstance(each, EcuState)]
    return f"{states[-1].state.name} ({states[-1].reason.name})" if states else None


def _tell_driver(chain: Chain, seen: list[Seen], place: int) -> None:
    newest = next((each for each in reversed(seen[: place + 1]) if each.accepted), None)
    if newest is None or newest.accepted is None:
        chain.say(seen[place].utc_ns, "no command had counted in the two seconds before")
        return
    frame = newest.accepted.frame
    age_ms = (newest.now_ns // 1000 - frame.view_stamp_us) / 1000
    shown = (
        "no picture on the driver's screen"
        if not frame.view_stamp_us
        else f"the driver saw a picture of camera {frame.camera} that was {age_ms:.0f} ms old"
        " when his command was judged"
    )
    chain.say(newest.utc_ns, f"{shown}{'' if frame.display_ok else '; his screen was not healthy'}")
    held = "held enable" if frame.enable else "had let go of enable"
    asked = (
        f"gear {frame.gear:+d}, throttle {frame.throttle / 100:.0f} %,"
        f" brake {frame.brake / 100:.0f} %, steering {frame.steer / 100:+.0f} %"
    )
    chain.say(newest.utc_ns, f"he {held}: {asked} ({frame.kind.name.lower()})")
    chain.say(
        newest.utc_ns,
        f"command {frame.sequence} came by path {newest.accepted.path} and counted: it answered a"
        f" state {newest.accepted.loop_age_us / 1000:.0f} ms old, and was at most"
        f" {newest.accepted.uplink_us / 1000:.0f} ms under way",
    )


def _tell_commands(chain: Chain, seen: list[Seen], place: int, timing: Timing) -> None:
    last = next((each for each in reversed(seen[: place + 1]) if each.accepted), None)
    if last is not None:
        silent_ms = (seen[place].now_ns - last.now_ns) / _MS
        if silent_ms > timing.command_degraded_ms / 2:
            chain.say(
                seen[place].utc_ns,
                f"no command had counted for {silent_ms:.0f} ms (traction goes off after"
                f" {timing.command_degraded_ms} ms, the machine stops at the latest after"
                f" {timing.command_stop_ms} ms)",
            )
    refused: Counter[str] = sum((each.refused for each in seen[: place + 1]), Counter())
    if refused:
        text = ", ".join(f"{number} as {reason}" for reason, number in refused.most_common())
        chain.say(seen[0].utc_ns, f"from here to the moment commands were refused: {text}")


def _tell_decision(chain: Chain, seen: list[Seen], place: int) -> None:
    for each in seen[max(0, place - 30) : place]:
        for event in each.events:
            chain.say(each.utc_ns, f"{event}: {_words(event)}")
    tick = seen[place]
    before = seen[place - 1].mode if place else tick.mode
    for event in tick.events:
        chain.say(tick.utc_ns, f"{event}: {_words(event)}")
    if before != tick.mode:
        rows = [row for row in TABLE if row.event == tick.latched]
        why = rows[0].condition.replace("_", " ") if rows else "no condition"
        chain.say(
            tick.utc_ns,
            f"the supervisor went from {before} to {tick.mode}; cause {tick.latched} ({why})",
        )
    else:
        chain.say(tick.utc_ns, f"the supervisor was {tick.mode}")


def _tell_effect(chain: Chain, seen: list[Seen], place: int) -> None:
    after = seen[place:]
    begun_ns = after[0].now_ns
    brake = next(
        (each for each in after if each.demands.get("brake_mps2", 0.0) > BRAKING_MPS2), None
    )
    if brake is not None:
        chain.say(
            brake.utc_ns,
            f"brake demand of {brake.demands['brake_mps2']:.1f} m/s2 stood on the bus,"
            f" {(brake.now_ns - begun_ns) / _MS:.0f} ms after the decision",
        )
    told: str | None = None
    for each in after:
        if each.ecu is not None and each.ecu != told:
            told = each.ecu
            chain.say(each.utc_ns, f"the by-wire ECU reported {each.ecu}")
    hard = next((each for each in after if each.latched != after[0].latched), None)
    if hard is not None and hard.latched is not None:
        chain.say(hard.utc_ns, f"the cause became {hard.latched}: {_words(hard.latched)}")
    states = [each for each in after if each.state is not None and each.state.speed_mps is not None]
    speeds = [(each, abs(each.state.speed_mps or 0.0)) for each in states if each.state is not None]
    if not speeds:
        return
    from_mps = speeds[0][1]
    stood = next((each for each, speed in speeds if speed < STANDING_MPS), None)
    if stood is None:
        chain.say(
            speeds[-1][0].utc_ns,
            f"it went {from_mps:.1f} m/s at the decision and {speeds[-1][1]:.1f} m/s by then",
        )
        return
    way_m = 0.0
    for (one, speed), (other, _) in pairwise(speeds):
        if one.now_ns >= stood.now_ns:
            break
        way_m += speed * (other.now_ns - one.now_ns) / 1e9
    chain.say(
        stood.utc_ns,
        f"it stood: from {from_mps:.1f} m/s in {(stood.now_ns - begun_ns) / 1e9:.1f} s"
        f" and {way_m:.1f} m after the decision",
    )


def _words(event: str) -> str:
    return EVENTS[event].en if event in EVENTS else "not in the catalogue"
