"""Ten mishaps that remote driving must survive, each played against the running demo.

``python -m sim.faults.mishaps [--only NAME] [--json]`` starts the demo's real processes for each,
lets the scripted driver drive, does the mishap, and says what the truck did, how long until brake
demand stood on the by-wire bus, which cause the state named, and whether that is what must
happen. Everything is seen from outside, and each is played once: a truck that stops by itself, at
whatever time, is a shortfall. It exits with 1 when one did not go as it must.
"""

from __future__ import annotations

import argparse
import json
import os
import secrets
import signal
import sys
import tomllib
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field, replace
from itertools import pairwise

from protocol.frames import FULL_SCALE, CommandFlag, CommandKind, SessionKeys
from protocol.messages import Outcome as AnswerOutcome
from protocol.messages import RequestKind
from protocol.signals import DEFAULT_TIMING
from protocol.state import VehicleMode
from sim import demo
from sim.children import ChildError, ChildSpec, own_environment
from sim.faults.cut_relay import CutRelay, Direction
from sim.faults.intruder import Caught, Intruder, Lease, Told, sequence_of
from sim.faults.rehearsal import (
    NICENESS,
    Amend,
    Prepare,
    Rehearsal,
    keep_settings,
    rehearsal,
    start_as_shipped,
)
from vehicle_agent.shell import clock

FIRST, SECOND = demo.OPERATORS
AT_SPEED_MPS = 2.0
STILL_S = 4.0
UNDER_WAY_WITHIN_S = 60.0
PARKED_WITHIN_S = 20.0
TRUTH_WITHIN_S = 5.0
SETTLED_S = 1.2
"""A period of the link's telemetry, and a little."""
MADE_WAY = "made_way"
"""What waited in the link when a newer command of the same author came (rule 9)."""
LATELY_NS = 3_000_000_000
PERIOD_S = 0.02
FRAMES = 100
REACTION_MS = DEFAULT_TIMING.reaction_ms
DRIVING = frozenset({VehicleMode.ACTIVE, VehicleMode.DEGRADED})
CUT_MS = {
    Direction.UP: REACTION_MS,
    Direction.DOWN: DEFAULT_TIMING.hold_max_ms + REACTION_MS,
}
"""From the cut to brake demand: a deaf console's commands are good until its echo is too old."""
CLOCK_STEP_S = 3600
WARNING_TWICE_S = 2 * DEFAULT_TIMING.warning_ms / 1000
BROKER_HELD_S = (1.0, 2.0)
"""The lease stands through the first, and has run out after the second."""
STILL_INPUT_MS = 8000
"""The mishap's site tightens the minute of the timing table to this."""
FLAGS_OFFSET = 2
_MS = 1_000_000
_S = 1_000_000_000


@dataclass(slots=True)
class Result:
    """What one mishap came to.

    Attributes:
        name: of the mishap. did: what the truck did. cause: event id that the state named last.
        brake_ms: until brake demand stood on the bus; None where the truck must drive on.
        brake_from: the moment from which ``brake_ms`` counts.
        figures: what else was counted.
        shortfalls: what should have been otherwise; empty when the expectation was met.
    """

    name: str
    expected: str
    did: list[str] = field(default_factory=list)
    cause: str | None = None
    brake_ms: float | None = None
    brake_from: str = ""
    figures: dict[str, object] = field(default_factory=dict)
    shortfalls: list[str] = field(default_factory=list)

    @property
    def met(self) -> bool:
        """Everything was as it must be."""
        return not self.shortfalls


class NotUnderWay(RuntimeError):
    """Raised when the truck stopped by itself, so that the mishap cannot be played on."""


class Scene:
    """The running demo with an intruder at its broker, and what is to be told of both."""

    def __init__(self, running: Rehearsal, intruder: Intruder, result: Result) -> None:
        self.running = running
        self.intruder = intruder
        self.result = result

    # -- the truck

    def drive(self, *flags: str) -> None:
        """Let the driver drive until the truck is at speed and rolls without brake.

        Raises:
            NotUnderWay, ChildError, TimeoutError: it did not come to that.
        """
        self.running.start_driver(*flags)
        self.roll()

    def roll(self) -> None:
        """Wait until the truck is at speed and rolls without brake.

        Raises:
            NotUnderWay: it has stopped with nothing done to it that stops it.
        """
        running = self.running

        def rolls() -> bool:
            state = running.seen.state
            if state is not None and state.mode is VehicleMode.STOPPED:
                raise NotUnderWay(
                    f"stopped by itself: {state.cause}; {self._lately()}{running.drivers_words()}"
                )
            return running.speed_mps > AT_SPEED_MPS and running.rolls_free

        running.until(rolls, UNDER_WAY_WITHIN_S, "at speed, no brake")

    def _lately(self) -> str:
        """Return what kept commands away in the last seconds: their console, or the way."""
        commands = [
            each
            for each in self.intruder.caught_from(FIRST)
            if each.at_ns > clock.monotonic_ns() - LATELY_NS
        ]
        if len(commands) < 2:
            return "no commands of late"
        apart = max(later.source_ns - each.source_ns for each, later in pairwise(commands))
        way = max(each.at_ns - each.source_ns for each in commands)
        return (
            f"commands of late were made up to {apart / _MS:.0f} ms apart, and took up to "
            f"{way / _MS:.0f} ms to be seen at the broker"
        )

    def start_driver_unready(self, *flags: str) -> None:
        """Start a driver who may never get the truck to move."""
        spec = demo.driver_spec(self.running.plan, demo.page_url(self.running.plan), 3600.0)
        self.running.start_child(ChildSpec(spec.name, (*spec.command, *flags), None))

    @property
    def mode(self) -> VehicleMode | None:
        """What the vehicle last said."""
        state = self.running.seen.state
        return None if state is None else state.mode

    @property
    def travelled_m(self) -> float:
        """True distance so far."""
        return float(self.running.seen.truth["distance_m"])

    def until_mode(self, mode: VehicleMode, within_s: float) -> None:
        """Wait until the vehicle says so."""
        self.running.until(lambda: self.mode is mode, within_s, f"mode {mode}")

    # -- what is expected

    def expect(self, good: bool, otherwise: str) -> None:
        """Note a shortfall unless ``good``."""
        if not good:
            self.result.shortfalls.append(otherwise)

    @contextmanager
    def drives_on(self, what: str) -> Iterator[None]:
        """Expect that the truck drives on all through the block, with no cause to stop."""
        heard = self.intruder.heard
        begun, from_m = len(heard.states), self.travelled_m
        yield
        self.running.wait(SETTLED_S)
        gone_m = self.travelled_m - from_m
        told = heard.states[begun:]
        modes = {each.state.mode for each in told}
        causes = {each.state.cause for each in told if each.state.mode not in DRIVING}
        stopped = f"stopped by {causes}{self.running.drivers_words()}" if causes else ""
        seconds = (told[-1].at_ns - told[0].at_ns) / _S if told else 0.0
        self.result.did.append(f"{what}: drove on {gone_m:.1f} m in {seconds:.1f} s")
        self.expect(bool(told) and not causes, f"{what}: modes {sorted(modes)} {stopped}")
        self.expect(gone_m > AT_SPEED_MPS * seconds / 2, f"{what}: only {gone_m:.1f} m")

    def stops(self, cause: str) -> None:
        """Expect that the truck stops, parks and stays, and that its state names ``cause``."""
        running, from_m = self.running, self.travelled_m
        running.until(lambda: running.parked, PARKED_WITHIN_S, "parked")
        self.result.did.append(f"stopped in {self.travelled_m - from_m:.1f} m and parked")
        self.stays(cause)

    def stays(self, cause: str) -> None:
        """Expect that it goes on standing with ``cause`` named."""
        running = self.running

        def named() -> bool:
            state = running.seen.state
            return state is not None and state.mode is VehicleMode.STOPPED and state.cause == cause

        from_m = self.travelled_m
        running.until(named, PARKED_WITHIN_S, f"state STOPPED, cause {cause}")
        running.wait(STILL_S)
        state = running.seen.state
        self.result.cause = None if state is None else state.cause
        self.expect(named(), f"state is not STOPPED by {cause}: {running.describe()}")
        moved_m = abs(self.travelled_m - from_m)
        self.result.did.append(f"stayed {STILL_S:g} s")
        self.expect(running.parked and moved_m < 0.01, f"moved {moved_m:.2f} m after the stop")
        self.expect(running.seen.truth["contacts"] == 0, "touched the wall")

    def brakes_within(
        self, from_ns: int | None, limit_ms: float, since: str, stopped: Told | None = None
    ) -> None:
        """Measure until the stop's brake demand, by the stamps of the bus; expect the limit.

        Args:
            from_ns: when what leads to the stop was sent. limit_ms: longest time.
            since: the same in words.
            stopped: the first state that told of the stop, where the broker carried it in time:
                a brake before the stop is the speed governor's.
        """
        begun_ns = 0 if stopped is None else self._stop_ns(stopped)
        brake_ns = None if from_ns is None else self.running.stop_brake_ns(max(from_ns, begun_ns))
        if from_ns is None or brake_ns is None:
            self.expect(False, "no brake demand seen on the bus")
            return
        self.result.brake_ms = round((brake_ns - from_ns) / _MS, 1)
        self.result.brake_from = since
        late = f"brake demand after {self.result.brake_ms} ms, limit {limit_ms:g}"
        self.expect(self.result.brake_ms <= limit_ms, late)

    def _stop_ns(self, stopped: Told) -> int:
        """Return when the stop began, by the vehicle's clock.

        States make way for newer ones where the link is busy, so that the first that is heard may
        be a later one; the event of its cause is told once, less than a tick after it began.
        """
        stamps = self.intruder.heard.event_stamps_us
        told = (us for name, us in stamps if name == stopped.state.cause and us < stopped.stamp_us)
        tick_us = DEFAULT_TIMING.guardian_tick_ms * 1000
        event_us = max(told, default=None)
        return 1000 * (stopped.stamp_us if event_us is None else event_us - tick_us)

    # -- commands

    def first_stopped(self, after_ns: int) -> Told | None:
        """Return the first state after ``after_ns`` that tells of a stop."""
        told = (each for each in self.intruder.heard.states if each.at_ns > after_ns)
        return next((each for each in told if each.state.mode not in DRIVING), None)

    def last_accepted(self, stopped: Told | None) -> Caught | None:
        """Return the last command that was accepted before the stop."""
        sequence = None if stopped is None else stopped.state.accepted[0]
        commands = reversed(self.intruder.caught_from(FIRST))
        return next((each for each in commands if each.sequence == sequence), None)

    def refused(self) -> dict[str, int]:
        """Return the guardian's counters of refused commands, and what made way before it."""
        self.running.wait(SETTLED_S)
        seen = self.running.seen
        return {**seen.control.get("refused", {}), MADE_WAY: seen.link.get(MADE_WAY, 0)}

    @contextmanager
    def refuses(self, what: str, sent: Sequence[bytes], reasons: set[str]) -> Iterator[None]:
        """Expect that no command sent in the block acts, and that each is refused or makes way.

        Acted is a command whose sequence a state of this time names as accepted: the sequences
        sent must be ones that the honest console does not use in the meantime. The counters of
        refusals count the honest console's too, and say only that enough were refused.

        Args:
            what: name of the figure. sent: grows by one for each command sent.
            reasons: for which the commands may be refused.
        """
        before = self.refused()
        begun_us = clock.monotonic_ns() // 1000
        yield
        after = self.refused()
        gained = gained_refusals(before, after, reasons | {MADE_WAY})
        told = (each for each in self.intruder.heard.states if each.stamp_us > begun_us)
        acted = {sequence_of(frame) for frame in sent} & {each.state.accepted[0] for each in told}
        self.result.figures[what] = {"sent": len(sent), "refused": gained, "acted": len(acted)}
        self.expect(len(sent) > 0, f"{what}: nothing was sent")
        self.expect(not acted, f"{what}: accepted {sorted(acted)}")
        refused = sum(gained.values())
        self.expect(refused >= len(sent), f"{what}: {refused} refused of {len(sent)} sent")

    def recorded(self, seconds: float) -> list[bytes]:
        """Record the driver's command frames of the coming ``seconds``."""
        begun = len(self.intruder.caught_from(FIRST))
        self.running.wait(seconds)
        return [each.payload for each in self.intruder.caught_from(FIRST)[begun:]]

    def play(self, topic: str, frames: Sequence[bytes], sent: list[bytes]) -> None:
        """Publish frames at their old rate and note them as sent."""
        self.intruder.send_all(topic, frames, PERIOD_S)
        sent += frames


def gained_refusals(
    before: Mapping[str, int], after: Mapping[str, int], reasons: Collection[str]
) -> dict[str, int]:
    """Return by how much the counters of ``reasons`` have risen, those that have."""
    return {
        reason: after[reason] - before.get(reason, 0)
        for reason in sorted(set(reasons) & set(after))
        if after[reason] > before.get(reason, 0)
    }


@contextmanager
def scene(
    result: Result, *, prepare: Prepare = keep_settings, amend: Amend = start_as_shipped
) -> Iterator[Scene]:
    """Run the demo with an intruder for the time of the block."""
    with (
        rehearsal(prepare=prepare, amend=amend) as running,
        Intruder(running) as intruder,
    ):
        running.until(lambda: bool(running.seen.truth), TRUTH_WITHIN_S, "the truth")
        yield Scene(running, intruder, result)


# -- the ten


def second_console(result: Result) -> None:
    """A second console with a good key asks, commands, and at last claims to drive."""
    with scene(result) as now:
        now.drive("--starts-once")
        intruder, sent = now.intruder, list[bytes]()
        epoch = int(intruder.heard.authority["epoch"])
        keys = SessionKeys(secrets.token_bytes(32), secrets.token_bytes(32))
        boot = int(intruder.heard.authority["boot"])
        own = Lease(epoch, epoch & 0xFFFF, boot, keys)
        intruder.overtake(FIRST)

        def forged() -> bytes:
            frame = intruder.command(
                own, CommandKind.DRIVE, enable=True, steer=FULL_SCALE, throttle=FULL_SCALE, gear=1
            )
            sent.append(frame)
            return frame

        with now.drives_on("beside it"):
            with now.refuses("forged", sent, {"bad_tag"}):
                answers = [
                    intruder.request(kind, epoch=claimed, x25519=public)[0]
                    for kind, claimed, public in (
                        (RequestKind.LEASE, 0, secrets.token_hex(32)),
                        (RequestKind.RESET, epoch, None),
                        (RequestKind.DISARM, epoch, None),
                        (RequestKind.RELEASE, epoch, None),
                        (RequestKind.ARM, 0, None),
                    )
                ]
                intruder.send_fresh(forged, FRAMES, PERIOD_S)
            stretch, again = now.recorded(1.0), list[bytes]()
            with now.refuses("recorded, on its own topic", again, _OLD):
                now.play(intruder.topics.cmd(SECOND), stretch, again)
        result.figures["answers"] = [f"{one.kind} {one.outcome} {one.reason}" for one in answers]
        granted = {AnswerOutcome.GRANTED, AnswerOutcome.DONE}
        now.expect(not granted & {one.outcome for one in answers}, "a request was carried out")
        now.roll()
        answer, at_ns = intruder.request(RequestKind.ARM, epoch=epoch)
        now.expect(answer.outcome is AnswerOutcome.REFUSED, f"arming was {answer.outcome}")
        now.stops("G104")
        claim = "the second console's claim was sent"
        now.brakes_within(at_ns, REACTION_MS, claim, now.first_stopped(at_ns))


def old_epoch(result: Result) -> None:
    """An old holder goes on commanding, in time and in good form, after a new lease."""
    with scene(result) as now:
        intruder = now.intruder
        lease = intruder.take_lease()
        before = now.running.seen.control.get("accepted", 0)
        intruder.send_fresh(lambda: intruder.command(lease), FRAMES // 2, PERIOD_S)
        now.running.wait(SETTLED_S)
        accepted = now.running.seen.control["accepted"] - before
        result.figures["accepted while it held the lease"] = accepted
        now.expect(accepted > 0, "the old holder's commands were never good")
        intruder.request(RequestKind.RELEASE, epoch=lease.epoch)
        now.drive("--starts-once")
        intruder.overtake(FIRST)
        sent: list[bytes] = []

        def late() -> bytes:
            wish = {"steer": FULL_SCALE, "throttle": FULL_SCALE, "gear": 1}
            sent.append(intruder.command(lease, CommandKind.DRIVE, enable=True, **wish))
            return sent[-1]

        with now.drives_on("beside it"), now.refuses("fenced", sent, {"epoch_fenced"}):
            intruder.send_fresh(late, FRAMES, PERIOD_S)
        epochs = {told.epoch for told in intruder.heard.states[-FRAMES:]}
        now.expect(min(epochs) > lease.epoch, f"epoch did not rise: {lease.epoch}, {epochs}")


def replay(result: Result) -> None:
    """A recorded stretch of driving is played again: driving, stopped, and in a new lease."""
    with scene(result) as now:
        now.drive("--starts-once")
        topic = now.intruder.topics.cmd(FIRST)
        stretch = now.recorded(2.0)[-FRAMES:]
        again: list[bytes] = []
        with now.drives_on("same lease"), now.refuses("same lease", again, _OLD):
            now.play(topic, stretch, again)
        now.roll()
        killed_ns = now.running.kill("console")
        now.running.until(lambda: now.running.parked, PARKED_WITHIN_S, "parked")
        stopped: list[bytes] = []
        with now.refuses("stopped", stopped, _OLD):
            now.play(topic, stretch, stopped)
        now.stays("L102")
        last_ns = max(
            each.source_ns
            for each in now.intruder.caught_from(FIRST)
            if each.source_ns <= killed_ns and each.payload not in stretch
        )
        now.brakes_within(last_ns, REACTION_MS, "the killed console's last command")
        now.running.kill("driver")
        now.running.start_again("console")
        now.drive("--starts-once")
        newly: list[bytes] = []
        highest = max(map(sequence_of, stretch))
        now.running.until(
            lambda: now.intruder.caught_from(FIRST)[-1].sequence > highest,
            UNDER_WAY_WITHIN_S,
            "the new lease's sequence beyond the recorded ones",
        )
        with now.drives_on("new lease"), now.refuses("new lease", newly, _OLD):
            now.play(topic, stretch, newly)


_OLD = {"superseded", "replayed", "epoch_fenced", "loop_too_old", "uplink_too_old"}


def retained(result: Result) -> None:
    """Someone lets the broker keep a command; the link comes back and is given it."""
    with scene(result) as now:
        now.drive("--starts-once")
        topic = now.intruder.topics.cmd(FIRST)
        frame = now.recorded(0.5)[-1]
        with now.drives_on("kept by the broker"):
            now.intruder.publish(topic, frame, retain=True)
        now.roll()
        counted = now.refused().get("retained", 0)
        events = now.intruder.heard.events.count("L106")
        killed_ns = now.running.signal("link", signal.SIGKILL)
        now.stops("L102")
        # Looked up only now: at the kill the newest commands were still on their way to us.
        last_ns = now.running.last_command_ns(killed_ns)
        now.brakes_within(last_ns, REACTION_MS, "the last command before the link was killed")
        counted = now.refused().get("retained", 0) - counted
        events = now.intruder.heard.events.count("L106") - events
        result.figures |= {"then refused as retained": counted, "events L106 then": events}
        now.intruder.publish(topic, b"", retain=True)
        now.expect(counted >= 1, "no retained command was refused")
        now.expect(events >= 1, "event L106 was not heard")


def clock_step(result: Result) -> None:
    """The console's clocks lie an hour off, and the wall clock jumps while it drives."""
    for step_s in (CLOCK_STEP_S, -CLOCK_STEP_S):
        _drive_with_clock(result, step_s)


def _drive_with_clock(result: Result, step_s: int) -> None:
    shift_s = step_s if _time_namespace(step_s) else 0
    what = f"{step_s:+d} s"
    result.figures[f"monotonic shift at {what}"] = shift_s
    with scene(result, prepare=_write_clock_shim, amend=_with_clock(shift_s)) as now:
        now.drive("--starts-once")
        newest = now.intruder.caught_from(FIRST)[-1]
        seen_s = round((newest.source_ns - newest.at_ns) / _S)
        now.expect(seen_s == shift_s, f"{what}: its stamps are {seen_s} s off, not {shift_s} s")
        loaded = (now.running.plan.run / SHIM / "loaded").exists()
        now.expect(loaded, f"{what}: the wall clock's shim was not loaded")
        before = now.refused()
        with now.drives_on(what):
            (now.running.plan.run / SHIM / "step_s").write_text(f"{step_s}", encoding="ascii")
            now.running.wait(STILL_S)
        after = now.refused()
        result.figures[f"newly refused at {what}"] = gained_refusals(before, after, after)
        uplink = now.running.seen.control["uplink_ms"]
        result.figures[f"command age at {what}, ms"] = uplink
        now.roll()
        killed_ns = now.running.kill("console")
        now.stops("L102")
        last_ns = max(
            each.source_ns - shift_s * _S
            for each in now.intruder.caught_from(FIRST)
            if each.at_ns <= killed_ns
        )
        now.brakes_within(last_ns, REACTION_MS, f"the last command of the console at {what}")
        result.figures[f"brake at {what}, ms"] = result.brake_ms


SHIM = "clock"
_SHIM_TEXT = """
import time
from pathlib import Path

_folder = Path(__file__).parent
(_folder / "loaded").touch()
_true, _true_ns = time.time, time.time_ns


def _step_s():
    try:
        return int((_folder / "step_s").read_text())
    except FileNotFoundError:
        return 0


time.time = lambda: _true() + _step_s()
time.time_ns = lambda: _true_ns() + _step_s() * 1_000_000_000
"""


def _write_clock_shim(plan: demo.Plan) -> None:
    folder = plan.run / SHIM
    folder.mkdir(mode=0o700)
    (folder / "sitecustomize.py").write_text(_SHIM_TEXT, encoding="utf-8")


def _with_clock(shift_s: int) -> Amend:
    def amend(plan: demo.Plan, spec: ChildSpec) -> ChildSpec:
        if spec.name != "console":
            return spec
        paths = f"{plan.run / SHIM}{os.pathsep}{own_environment()['PYTHONPATH']}"
        shimmed = ("env", f"PYTHONPATH={paths}", *spec.command)
        shifted = ("unshare", "--time", f"--monotonic={shift_s}") if shift_s else ()
        return replace(spec, command=(*shifted, *shimmed))

    return amend


def _time_namespace(shift_s: int) -> bool:
    """Return whether this user may start a process whose monotonic clock is shifted so."""
    asked = ["unshare", "--time", f"--monotonic={shift_s}", "true"]
    try:
        pid = os.posix_spawnp(asked[0], asked, os.environ, file_actions=[(os.POSIX_SPAWN_CLOSE, 2)])
    except OSError:
        return False
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


def held_back(result: Result) -> None:
    """The broker holds everything, then lets it all go at once: before and after a lease's end."""
    refused = [_hold_back(result, held_s) for held_s in BROKER_HELD_S]
    if not any(refused):
        result.shortfalls.append("nothing late came as far as the machine")


def _hold_back(result: Result, held_s: float) -> int:
    """Play it once; return how many late commands came to the machine and were refused."""
    what = f"held {held_s:g} s"
    with scene(result) as now:
        now.drive("--starts-once")
        before = now.refused()
        now.roll()
        now.running.signal("broker", signal.SIGSTOP)
        now.running.wait(held_s)
        speed_mps = now.running.speed_mps
        passed = now.intruder.caught_from(FIRST)[-1]
        freed_ns = now.running.signal("broker", signal.SIGCONT)
        result.did.append(f"{what}: {speed_mps:.2f} m/s when the broker let go")
        now.stops("L102")
        now.brakes_within(passed.source_ns, REACTION_MS, "the last command that was let through")
        result.figures[f"brake, {what}, ms"] = result.brake_ms
        stale = {
            each.sequence
            for each in now.intruder.caught_from(FIRST)
            if each.sequence > passed.sequence
            and each.source_ns < freed_ns - DEFAULT_TIMING.uplink_max_ms * _MS
        }
        accepted = {told.state.accepted[0] for told in now.intruder.heard.states}
        acted = len(stale & accepted)
        after = now.refused()
        late = gained_refusals(before, after, _LATE)
        result.figures[f"let go late, {what}"] = {
            "sent": len(stale),
            "refused": late,
            "acted": acted,
        }
        now.expect(acted == 0, f"{what}: {acted} late commands were accepted")
        now.expect(bool(stale), f"{what}: nothing late came out of the broker")
        return sum(late.values())


_LATE = {"loop_too_old", "uplink_too_old", "hold_too_long", "superseded", "epoch_fenced"}


def taped_enable(result: Result) -> None:
    """The dead-man is taped down: before arming, and with nothing else ever changing."""
    with scene(result) as now:
        _taped_at_the_machine(now)
        _taped_at_the_console(now)
    with scene(result, prepare=_less_patience) as now:
        now.drive("--starts-once", "--habit", "frozen")
        begun_ns = now.intruder.heard.commands[-1].at_ns
        now.stops("D103")
        stopped = now.first_stopped(begun_ns)
        last = now.last_accepted(stopped)
        now.expect(last is not None, "no accepted command found")
        changed_ns = (
            None if last is None else _last_change_ns(now.intruder.caught_from(FIRST), last)
        )
        limit_ms = STILL_INPUT_MS + REACTION_MS
        now.brakes_within(changed_ns, limit_ms, "hands and feet last changed", stopped)


def _taped_at_the_machine(now: Scene) -> None:
    """A console without any guard of its own holds enable from before arming."""
    intruder, from_m = now.intruder, now.travelled_m
    lease = intruder.take_lease()

    def taped() -> bytes:
        return intruder.command(lease, CommandKind.DRIVE, enable=True, neutral=True)

    healthy = DEFAULT_TIMING.link_healthy_ms // 20 + FRAMES // 4
    intruder.send_fresh(taped, healthy, PERIOD_S)
    answer, _ = intruder.request(RequestKind.ARM, epoch=lease.epoch)
    now.expect(answer.reason == "B102", f"armed with enable held: {answer.reason}")
    intruder.send_fresh(lambda: intruder.command(lease), healthy, PERIOD_S)
    armed, _ = intruder.request(RequestKind.ARM, epoch=lease.epoch)
    now.expect(armed.outcome is AnswerOutcome.DONE, f"arming: {armed.outcome} {armed.reason}")
    intruder.send_fresh(taped, round(WARNING_TWICE_S / PERIOD_S), PERIOD_S)
    state = now.running.seen.state
    blockers = () if state is None else state.blockers
    now.result.figures["blockers at the machine"] = list(blockers)
    now.expect(now.mode is VehicleMode.ARMED, f"mode {now.mode} instead of ARMED")
    now.expect("D102" in blockers, f"blockers {blockers} without D102")
    intruder.request(RequestKind.RELEASE, epoch=lease.epoch)
    _expect_rest(now, from_m, "console without a guard")


def _taped_at_the_console(now: Scene) -> None:
    """The real console and a driver who holds enable before he has anything."""
    from_m, begun = now.travelled_m, len(now.intruder.heard.commands)
    now.start_driver_unready("--starts-once", "--habit", "taped")
    now.until_mode(VehicleMode.ARMED, UNDER_WAY_WITHIN_S)
    now.running.wait(WARNING_TWICE_S)
    sent = now.intruder.heard.commands[begun:]
    enabled = sum(bool(each.payload[FLAGS_OFFSET] & CommandFlag.ENABLE) for each in sent)
    now.result.figures["commands with enable, of all"] = [enabled, len(sent)]
    now.expect(enabled == 0 and len(sent) > 0, f"{enabled} commands carried enable")
    now.expect(now.mode is VehicleMode.ARMED, f"mode {now.mode} instead of ARMED")
    _expect_rest(now, from_m, "console")
    os.kill(now.running.pid("driver"), signal.SIGUSR1)
    now.until_mode(VehicleMode.ACTIVE, UNDER_WAY_WITHIN_S)
    now.roll()
    now.result.did.append("released and pressed again: drives")


def _expect_rest(now: Scene, from_m: float, what: str) -> None:
    moved_m = abs(now.travelled_m - from_m)
    warned = now.intruder.heard.events.count("S104")
    now.result.did.append(f"{what}: stood, {moved_m:.2f} m")
    now.expect(now.running.parked and moved_m < 0.01, f"{what}: moved {moved_m:.2f} m")
    now.expect(warned == 0, f"{what}: the warning before motion began")


def _less_patience(plan: demo.Plan) -> None:
    """Let the site tighten how long enable may be held with nothing changing."""
    with plan.agent_config.open("a", encoding="utf-8") as settings:
        settings.write(f"\n[vehicle.timing]\nstill_input_ms = {STILL_INPUT_MS}\n")


def _last_change_ns(commands: Sequence[Caught], last: Caught) -> int | None:
    """Return when the controls were first as they were in ``last``, by the console's stamps."""
    until = [each for each in commands if each.epoch == last.epoch]
    until = [each for each in until if each.sequence <= last.sequence]
    since: Caught | None = None
    for each in reversed(until):
        if _controls(each) != _controls(last):
            break
        since = each
    return None if since is None else since.source_ns


def _controls(command: Caught) -> bytes:
    """Steering, throttle, brake and gear as they travel."""
    return command.payload[52:59]


def throttle_in_reset(result: Result) -> None:
    """After a stop the driver presses reset with his foot on the throttle."""
    with scene(result) as now:
        now.drive("--habit", "heavy-foot")
        at_ns = now.intruder.stop()
        now.stops("D106")
        told = now.first_stopped(at_ns)
        now.brakes_within(at_ns, REACTION_MS, "another post's stop was sent", told)
        resets = [
            answer
            for answer in now.intruder.heard.answers
            if answer.kind is RequestKind.RESET and answer.aud == FIRST
        ]
        refused = [answer.reason for answer in resets]
        result.figures["resets refused with"] = {name: refused.count(name) for name in set(refused)}
        done = [answer for answer in resets if answer.outcome is not AnswerOutcome.REFUSED]
        now.expect("B102" in refused, f"reset was answered {refused}")
        now.expect(not done, "reset was carried out with the throttle held")
        os.kill(now.running.pid("driver"), signal.SIGUSR1)
        now.until_mode(VehicleMode.ACTIVE, UNDER_WAY_WITHIN_S)
        result.did.append("foot lifted: reset, armed, drives")


def downlink_cut(result: Result) -> None:
    """What the vehicle says no longer reaches the console; what he commands still arrives."""
    _cut(result, Direction.DOWN)


def uplink_cut(result: Result) -> None:
    """What the console says no longer reaches the vehicle; the driver still sees all."""
    _cut(result, Direction.UP)


def _cut(result: Result, direction: Direction) -> None:
    with ExitStack() as stack:
        relay = stack.enter_context(CutRelay(NICENESS))
        now = stack.enter_context(scene(result, prepare=_through(relay)))
        now.drive("--starts-once")
        age = now.running.seen.control["uplink_ms"]
        result.figures["command age before the cut, ms"] = age
        cut_ns = relay.cut(direction)
        now.stops("L102")
        stopped = now.first_stopped(cut_ns)
        last = now.last_accepted(stopped)
        now.brakes_within(cut_ns, CUT_MS[direction], "the cut", stopped)
        result.figures["brake after the cut, ms"] = result.brake_ms
        from_ns = None if last is None else last.source_ns
        since = "the last accepted command left the console"
        now.brakes_within(from_ns, REACTION_MS, since, stopped)
        relay.mend(direction)
        result.did.append("mended")
        now.stays("L102")


def _through(relay: CutRelay) -> Prepare:
    """Lead the console's connection to the broker through the relay."""

    def prepare(plan: demo.Plan) -> None:
        relay.aim(plan.mqtt_port)
        settings = tomllib.loads(plan.console_config.read_text(encoding="utf-8"))
        settings["mqtt"]["port"] = relay.port
        plan.console_config.write_text(demo.toml_text(settings), encoding="utf-8")

    return prepare


@dataclass(frozen=True, slots=True)
class Mishap:
    """One mishap: what is done, and what must come of it."""

    play: Callable[[Result], None]
    expected: str


MISHAPS = {
    "second-console": Mishap(
        second_console, "its requests and frames move nothing; its claim to drive stops, G104"
    ),
    "old-epoch": Mishap(old_epoch, "every frame of the ended lease is fenced; drives on"),
    "replay": Mishap(replay, "no recorded frame acts: driving, stopped, in a new lease"),
    "retained": Mishap(retained, "the kept command is refused, event L106; the truck stays"),
    "clock-step": Mishap(clock_step, "nothing changes: drives on, and stops in the same time"),
    "held-back": Mishap(held_back, "stopped before; no released command acts, L102"),
    "taped-enable": Mishap(
        taped_enable, "no motion until seen released; stops when nothing changes, D103"
    ),
    "throttle-in-reset": Mishap(throttle_in_reset, "reset refused with B102"),
    "downlink-cut": Mishap(downlink_cut, "stops and stays, L102"),
    "uplink-cut": Mishap(uplink_cut, "stops and stays, L102"),
}


def play(name: str) -> Result:
    """Play one mishap, once; what keeps it from being played is a shortfall like any other."""
    mishap = MISHAPS[name]
    result = Result(name, mishap.expected)
    try:
        mishap.play(result)
    except (NotUnderWay, TimeoutError, ChildError, OSError) as error:
        result.shortfalls += [str(error), *getattr(error, "__notes__", ())]
    return result


def as_text(result: Result) -> str:
    """The result as lines for a person."""
    brake = (
        "no stop"
        if result.brake_ms is None
        else f"brake demand {result.brake_ms:g} ms after {result.brake_from}"
    )
    lines = [
        f"{'met ' if result.met else 'FAIL'}  {result.name}: {result.expected}",
        f"      truck: {'; '.join(result.did)}",
        f"      {brake}; cause {result.cause or 'none'}",
        *(f"      {name}: {value}" for name, value in result.figures.items()),
        *(f"      short: {text}" for text in result.shortfalls),
    ]
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point of ``python -m sim.faults.mishaps``: 0 when every mishap went as it must."""
    parser = argparse.ArgumentParser(prog="sim.faults.mishaps", description=__doc__)
    parser.add_argument("--only", choices=list(MISHAPS), help="play this one only")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    chosen = parser.parse_args(arguments)
    results: list[Result] = []
    try:
        for name in [chosen.only] if chosen.only else MISHAPS:
            results.append(play(name))
            if not chosen.json:
                _print(as_text(results[-1]))
    except KeyboardInterrupt:
        sys.stderr.write("mishaps: interrupted\n")
        return 130
    if chosen.json:
        _print(json.dumps({"mishaps": [asdict(each) | {"met": each.met} for each in results]}))
    return 0 if all(each.met for each in results) else 1


def _print(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
