"""Everything that can go wrong around a supervisor at once, and the judges of what must hold.

The judges know what a machine cannot: when each command was really given, by whom, and how fast
the machine really reported to be. They say nothing of how the supervisor decides, only what it
must never do.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any

from protocol.dbw import codec
from protocol.dbw.codec import ContactState, EcuMode
from protocol.dbw.matrix import SUP_CMD
from protocol.errors import ProtocolError
from protocol.frames import (
    FULL_SCALE,
    STATE_JSON_MAX_BYTES,
    TAG_BYTES,
    CommandFrame,
    CommandKind,
    decode_command,
    decode_state,
    frame_tag,
)
from protocol.messages import AckClaims, Outcome, RequestKind
from protocol.state import VehicleMode, parse_state
from tests.rig import MS, START_NS, TICK_NS, FakeConsole, Rig
from vehicle_agent.core.failsafe import DRIVING, TABLE, Action
from vehicle_agent.core.gate import Demand
from vehicle_agent.core.record import FIRST, Record
from vehicle_agent.core.supervisor import Supervisor, TickInputs, TickOutputs

M = VehicleMode
NAMES = ("console-1", "console-2", "chief")
PATHS = (0, 1)
LATCHED_MODES = frozenset({M.STOPPING, M.STOPPED, M.ESTOP, M.FAULT})
HARD_EVENTS = frozenset(row.event for row in TABLE if row.action is Action.ESTOP)
MAY_ENABLE = frozenset({M.ARMED, M.ACTIVE, M.DEGRADED, M.STOPPING})
NEEDS_HOLDER = frozenset({M.LEASED, M.ARMED, M.ACTIVE, M.DEGRADED})
PARKED: dict[str, Any] = {"kind": CommandKind.PARKED, "neutral": True, "display_ok": True}
HELD: dict[str, Any] = {**PARKED, "kind": CommandKind.DRIVE, "enable": True}
STANDSTILL_MPS = 0.05
STANDSTILL_NS = 300 * MS
ROUNDING_NS = 2_000
"""Stamps travel in whole microseconds."""
UPLINK_MS = 4
DOWNLINK_MS = 3
ARCHIVE = 400
U32_MAX = 2**32 - 1


@dataclass(frozen=True, slots=True)
class Given:
    """A command as it was really given: by whom, when, and what it said."""

    author: str
    at_ns: int
    frame: CommandFrame


@dataclass
class Line:
    """One path of commands: what it delays, holds back or loses."""

    delay_ns: int = 0
    cut: bool = False
    stalled: bool = False
    queue: list[tuple[int, bytes]] = field(default_factory=list)

    def send(self, now_ns: int, data: bytes) -> None:
        if not self.cut:
            self.queue.append((now_ns + self.delay_ns, data))

    def due(self, now_ns: int) -> list[bytes]:
        if self.stalled:
            return []
        arrived = [data for due_ns, data in self.queue if due_ns <= now_ns]
        self.queue = [(due_ns, data) for due_ns, data in self.queue if due_ns > now_ns]
        return arrived


class World(Rig):
    """A machine, three consoles with their own two paths each, a disk, and an open-ended day."""

    def __init__(self, start_ns: int = START_NS) -> None:
        super().__init__(paths=frozenset(PATHS))
        self.now_ns = start_ns
        self.console.sends = False
        self.others = [FakeConsole(name, sends=False) for name in NAMES[1:]]
        self.people = {console.name: console for console in (self.console, *self.others)}
        self.speaks = dict.fromkeys(NAMES, True)
        self.lines = {name: [Line(), Line()] for name in NAMES}
        self.given: dict[bytes, Given] = {}
        self.archive: deque[bytes] = deque(maxlen=ARCHIVE)
        self.requests_sent: list[tuple[str, bytes]] = []
        self.stops_sent: list[tuple[str, bytes]] = []
        self.record = FIRST
        self.asked: Record | None = None
        self.disk_ns: int | None = 0
        self.writing: tuple[int, Record] | None = None
        self.boots = 0
        self.holding_still = True
        self.judge = Judge()

    # -- the network ------------------------------------------------------------------------

    def command_of(self, console: FakeConsole, **changes: Any) -> bytes:
        """Let a console give one command now, truly stamped, and note it."""
        now_ns = max(self.now_ns, self.judge.clock_ns)
        at_ns = max(now_ns - UPLINK_MS * MS, min(console.echo_ns, now_ns))
        held_us = min(max(0, at_ns - console.echo_ns) // 1000, U32_MAX)
        data = console.command(at_ns, **{"echo_hold_us": held_us, **changes})
        self._note(console, data, at_ns)
        return data

    def resigned(self, console: FakeConsole, data: bytes, at: int, value: int) -> bytes:
        """Return a command with one byte changed by someone who holds the key."""
        assert console.keys is not None
        body = bytearray(data[:-TAG_BYTES])
        body[at] = value
        changed = bytes(body) + frame_tag(console.keys.command, bytes(body))
        self._note(console, changed, max(self.now_ns, self.judge.clock_ns))
        return changed

    def _note(self, console: FakeConsole, data: bytes, at_ns: int) -> None:
        assert console.keys is not None
        try:
            frame = decode_command(data, {console.key_id: console.keys.command})
        except ProtocolError:
            return
        self.given[data] = Given(console.name, at_ns, frame)
        self.archive.append(data)

    def _consoles_speak(self) -> None:
        if self._number % 2:
            return
        for name, console in self.people.items():
            if self.speaks[name] and console.ready:
                data = self.command_of(console)
                for line in self.lines[name]:
                    line.send(self.now_ns, data)

    def _arrivals(self) -> list[tuple[int, bytes]]:
        arrived, self._extra = self._extra, []
        for lines in self.lines.values():
            for path, line in enumerate(lines):
                arrived += [(path, data) for data in line.due(self.now_ns)]
        return arrived

    def ask(self, kind: RequestKind, console: FakeConsole | None = None, **changes: Any) -> None:
        super().ask(kind, console, **changes)
        self.requests_sent.append(self._requests[-1])

    def press_stop(self, console: FakeConsole, stop_id: str = "cd" * 16, age_ms: int = 20) -> None:
        token = console.stop(max(0, self.now_ns // 1000 - age_ms * 1000), stop_id)
        self._stops.append((console.name, token))
        self.stops_sent.append((console.name, token))

    def again(self, sender: str, token: bytes, *, stop: bool) -> None:
        """Replay a request or a stop, perhaps on the topic of another."""
        (self._stops if stop else self._requests).append((sender, token))

    # -- one tick ---------------------------------------------------------------------------

    def tick(self, step_ns: int = TICK_NS) -> TickOutputs:
        self.now_ns += step_ns
        self._number += 1
        self._consoles_speak()
        frames = self.ecu.frames(self._number)
        given = TickInputs(
            commands=tuple(self._arrivals()),
            requests=tuple(self._requests),
            stops=tuple(self._stops),
            retained=tuple(self._retained),
            bus=frames + self._strange,
            durable=self._disk(),
        )
        self._requests, self._stops, self._retained, self._strange = [], [], [], ()
        outputs = self.supervisor.step(self.now_ns, given)
        if outputs.persist is not None:
            self.asked = outputs.persist
        self.ecu.take(self.now_ns, outputs.bus)
        acks = self._hear(outputs)
        self.judge.look(self, given, outputs, acks)
        self._move(max(0, step_ns))
        return outputs

    def _disk(self) -> Record | None:
        """Write as the store does: one at a time, the newest asked for comes next."""
        if self.writing is None and self.asked is not None and self.disk_ns is not None:
            self.writing, self.asked = (self.now_ns + self.disk_ns, self.asked), None
        if self.writing is None or self.disk_ns is None or self.now_ns < self.writing[0]:
            return None
        self.record, self.writing = self.writing[1], None
        return self.record

    def _hear(self, outputs: TickOutputs) -> list[AckClaims]:
        if outputs.state is not None and self.downlink:
            for console in self.people.values():
                console.hear_state(self.now_ns + DOWNLINK_MS * MS, outputs.state)
        if outputs.authority is not None:
            self.authority = json.loads(outputs.authority)
            for console in self.people.values():
                console.nonce, console.boot = self.authority["nonce"], self.authority["boot"]
        acks = [self.people[name].hear_ack(token) for name, token in outputs.acks]
        self.acks += acks
        return acks

    def _move(self, step_ns: int) -> None:
        """Let the machine move by what its ECU was told; a push is set from outside."""
        seconds = min(step_ns, 200 * MS) / 1e9
        ecu, speed = self.ecu, self.ecu.speed_mps
        if ecu.drive is not None and ecu.mode is EcuMode.ACTIVE:
            speed += ecu.drive.accel_mps2 * ecu.drive.direction * seconds
        if ecu.brake is not None and self.holding_still:
            lost = ecu.brake.decel_mps2 * seconds
            speed = max(0.0, speed - lost) if speed > 0 else min(0.0, speed + lost)
        ecu.speed_mps = min(max(speed, -20.0), 20.0)

    def restart(self) -> None:
        """Kill the guardian and start it with what is on disk, and nothing else."""
        self.boots += 1
        died_driving = self.mode in DRIVING
        self.setup = replace(
            self.setup,
            record=self.record,
            boot_tag=0x5EED_0001 + self.boots,
            seed=self.boots.to_bytes(32, "big"),
        )
        self.supervisor = Supervisor(self.setup)
        self.asked = self.writing = None
        self.ecu.sup = None
        self.ecu.mode = EcuMode.STANDBY if self.ecu.follows else self.ecu.mode
        self.judge.reborn(self.record, died_driving=died_driving)

    # -- making it good again ---------------------------------------------------------------

    def heal(self) -> None:
        """Take every fault away; what the fault has left behind stays."""
        for lines in self.lines.values():
            for line in lines:
                line.delay_ns, line.cut, line.stalled = 0, False, False
        for console in self.people.values():
            console.view_lag_ms, console.wish = 60, dict(PARKED)
        self.downlink, self.disk_ns, self.holding_still = True, 0, True
        ecu = self.ecu
        ecu.speed_mps, ecu.follows, ecu.silent, ecu.key_remote = 0.0, True, False, True
        ecu.estop_a = ecu.estop_b = ContactState.CLOSED
        ecu.supply_v, ecu.pitch_rad, ecu.curvature_per_m, ecu.brake_mps2 = 24.0, 0.0, None, None
        ecu.mode = EcuMode.STANDBY if ecu.mode is EcuMode.FAULT else ecu.mode

    def ticks(self, number: int) -> None:
        for _ in range(number):
            self.tick()

    def climb(self, name: str, rungs: int) -> None:
        """Try to get ``name`` driving as a good driver would, as far as ``rungs`` steps."""
        self.heal()
        console = self.people[name]
        self.speaks[name] = True
        self.ticks(35)
        steps: tuple[Callable[[], object], ...] = (
            lambda: self.ask(RequestKind.LEASE, console),
            lambda: self.ticks(205),
            lambda: self.ask(RequestKind.RESET, console),
            lambda: self.ask(RequestKind.ARM, console),
            lambda: console.wish.update(HELD),
            lambda: self.ticks(310),
            lambda: console.wish.update(neutral=False, throttle=6000, gear=1, steer=1500),
            lambda: self.ticks(30),
        )
        for step in steps[:rungs]:
            step()
            self.ticks(6)


class Judge:
    """Watches every tick for what must never happen."""

    def __init__(self) -> None:
        self.reached: set[VehicleMode] = set()
        self.resets = 0
        self.granted_epoch = 0
        self.delivered: set[bytes] = set()
        self.recent: deque[tuple[int, Given]] = deque()
        self.accepted_ns: deque[int] = deque()
        self.reported: deque[tuple[int, float]] = deque()
        self._fresh_boot()
        self._must_latch = False

    def _fresh_boot(self) -> None:
        self.clock_ns = 0
        self.before_ns = 0
        self.latched: str | None = None
        self.hard = False
        self.holder: str | None = None
        self.epoch = 0
        self.accepted = 0
        self.demand = Demand()
        self.mode = M.STANDBY
        self.accepted_ns.clear()
        self.reported.clear()
        self.recent.clear()

    def reborn(self, record: Record, *, died_driving: bool) -> None:
        """A guardian was started again with ``record``."""
        self._fresh_boot()
        self.latched = record.latch
        self._must_latch = died_driving or record.latch is not None

    def look(
        self, world: World, given: TickInputs, outputs: TickOutputs, acks: list[AckClaims]
    ) -> None:
        """Judge one tick."""
        self.before_ns, self.clock_ns = self.clock_ns, max(self.clock_ns, world.now_ns)
        self._note_speed(world)
        fresh = self._note_commands(world, given)
        self._commands_count_once(world, fresh)
        self._stop_keeps_its_latch(world, acks)
        self._stop_holds_the_curve(world)
        self._stop_brakes(world)
        self._silence_stops(world)
        self._driver_brakes(world)
        self._traction_needs_a_fresh_command(world)
        self._one_holder(world, acks)
        self._bus_says_the_same(world, outputs)
        self._state_fits(world, outputs)
        self.demand, self.mode = world.supervisor.demand, world.mode
        self.reached.add(world.mode)

    def _note_speed(self, world: World) -> None:
        if not world.ecu.silent and world._number % 2 == 0:
            self.reported.append((self.clock_ns, world.ecu.speed_mps))
        while self.reported and self.clock_ns - self.reported[0][0] > STANDSTILL_NS:
            self.reported.popleft()

    def _note_commands(self, world: World, given: TickInputs) -> list[Given]:
        timing = world.setup.timing
        limit_ns = timing.uplink_max_ms * MS + ROUNDING_NS
        fresh = []
        for _, data in given.commands:
            known = world.given.get(data)
            if known is None or data in self.delivered:
                continue
            self.delivered.add(data)
            if self.clock_ns - known.at_ns <= limit_ns:
                fresh.append(known)
                self.recent.append((self.clock_ns, known))
        while self.recent and self.clock_ns - self.recent[0][0] > timing.command_degraded_ms * MS:
            self.recent.popleft()
        return fresh

    def _commands_count_once(self, world: World, fresh: list[Given]) -> None:
        """What counts was given by the holder, in this lease, not long ago, and is new here."""
        paths = world.supervisor._acceptance.paths
        accepted = sum(path.accepted for path in paths)
        authors = {(known.author, known.frame.epoch) for known in fresh}
        assert accepted - self.accepted <= len(fresh)
        if accepted > self.accepted:
            newest = world.supervisor._driver.newest
            assert newest is not None
            assert (world.given[_bytes_of(world, newest.frame)].author, newest.frame.epoch) in (
                authors
            )
            self.accepted_ns.append(self.clock_ns)
        self.accepted = accepted
        healthy_ns = world.setup.timing.link_healthy_ms * MS
        while self.accepted_ns and self.clock_ns - self.accepted_ns[0] > 2 * healthy_ns:
            self.accepted_ns.popleft()

    def _stop_keeps_its_latch(self, world: World, acks: list[AckClaims]) -> None:
        latched = world.supervisor._failsafe.latched
        if self._must_latch:
            assert latched is not None
            self._must_latch = False
        if latched is not None:
            assert world.mode in LATCHED_MODES | {M.LOCAL}
        else:
            assert world.mode not in LATCHED_MODES
        hard = world.supervisor._failsafe._hard
        hardens = hard and not self.hard
        if hardens:
            assert latched in HARD_EVENTS | {self.latched}
        elif self.latched is not None and latched != self.latched:
            done = [ack for ack in acks if ack.outcome is Outcome.DONE]
            assert (RequestKind.RESET, self.holder) in [(ack.kind, ack.aud) for ack in done]
            self._restart_guard_held(world)
            self.resets += 1
        self.latched, self.hard = latched, hard

    def _restart_guard_held(self, world: World) -> None:
        timing = world.setup.timing
        assert self.reported
        assert all(abs(speed) <= STANDSTILL_MPS for _, speed in self.reported)
        late_ns = timing.command_degraded_ms * MS
        newest = world.supervisor._driver.newest
        assert newest is not None
        assert not newest.frame.throttle > FULL_SCALE // 50
        since_ns = self.clock_ns - timing.link_healthy_ms * MS
        times = [at_ns for at_ns in self.accepted_ns if at_ns > since_ns]
        assert times
        gaps = [later - earlier for earlier, later in pairwise(times)]
        assert max(gaps, default=0) <= late_ns
        assert times[0] - since_ns <= late_ns
        assert world.ecu.silent or world.ecu.estop_a is ContactState.CLOSED

    def _stop_holds_the_curve(self, world: World) -> None:
        demand = world.supervisor.demand
        if self.latched is None:
            return
        assert demand.accel_mps2 == 0.0
        assert demand.implement == 0.0
        assert demand.curvature_per_m == self.demand.curvature_per_m
        assert demand.brake_mps2 >= self.demand.brake_mps2
        if self.reported and self.reported[-1][0] == self.clock_ns:
            newly = demand.park and not self.demand.park
            assert not newly or abs(self.reported[-1][1]) <= STANDSTILL_MPS

    def _stop_brakes(self, world: World) -> None:
        """While a stop stands the brake demand is full, or still rising at the jerk limit."""
        if self.latched is None:
            return
        limits, before = world.setup.limits, self.demand.brake_mps2
        rising = before + limits.brake_jerk_mps3 * TICK_NS / 1e9 - 1e-9
        assert world.supervisor.demand.brake_mps2 >= min(limits.stop_decel_mps2, rising)

    def _silence_stops(self, world: World) -> None:
        """Nobody drives on without a command that counted within the table's time."""
        longest_ns = world.setup.timing.command_stop_ms * MS
        heard = self.accepted_ns and self.clock_ns - self.accepted_ns[-1] <= longest_ns
        assert heard or world.mode not in DRIVING

    def _driver_brakes(self, world: World) -> None:
        """What the driver's foot asks of the brake, he gets, as fast as the jerk limit allows."""
        command = world.supervisor._driver.acting(self.clock_ns)
        if world.mode not in DRIVING or command is None or not command.enable:
            return
        limits = world.setup.limits
        asked = command.brake / FULL_SCALE * limits.service_brake_max_mps2
        step_s = min(max(0, self.clock_ns - self.before_ns), 50 * MS) / 1e9
        reachable = self.demand.brake_mps2 + limits.brake_jerk_mps3 * step_s
        assert world.supervisor.demand.brake_mps2 >= min(asked, reachable) - 1e-9

    def _traction_needs_a_fresh_command(self, world: World) -> None:
        demand = world.supervisor.demand
        if demand.accel_mps2 <= 0.0 and demand.implement == 0.0:
            return
        assert world.mode is M.ACTIVE
        holder = world.supervisor._authority.holder
        assert holder is not None
        wanted = [
            known.frame
            for _, known in self.recent
            if known.author == holder.operator
            and known.frame.epoch == holder.lease.epoch
            and known.frame.enable
            and known.frame.kind is CommandKind.DRIVE
        ]
        assert wanted
        share = max(frame.throttle for frame in wanted) / FULL_SCALE
        assert demand.accel_mps2 <= share * world.setup.limits.accel_max_mps2 + 1e-9
        limits = world.setup.limits
        assert abs(demand.curvature_per_m) <= limits.curvature_max_per_m

    def _one_holder(self, world: World, acks: list[AckClaims]) -> None:
        authority = world.supervisor._authority
        assert authority.epoch >= self.epoch
        self.epoch = authority.epoch
        for ack in acks:
            if ack.outcome is Outcome.GRANTED:
                assert ack.epoch > self.granted_epoch
                assert world.record.epoch >= ack.epoch
                assert self.mode not in DRIVING
                self.granted_epoch = ack.epoch
        holder = authority.holder
        self.holder = None if holder is None else holder.operator
        if holder is not None:
            assert holder.lease.epoch == self.granted_epoch == authority.epoch
        assert holder is not None or world.mode not in NEEDS_HOLDER
        assert holder is None or world.mode is not M.LOCAL

    def _bus_says_the_same(self, world: World, outputs: TickOutputs) -> None:
        demand = world.supervisor.demand
        for can_id, data in outputs.bus:
            message = codec.decode(can_id, data)
            if can_id == SUP_CMD.can_id:
                assert isinstance(message, codec.SupCommand)
                assert not message.enable or world.mode in MAY_ENABLE
                assert not message.fault_ack or world.mode not in DRIVING
            if isinstance(message, codec.DriveCommand):
                assert message.accel_mps2 <= demand.accel_mps2 + 1e-3

    def _state_fits(self, world: World, outputs: TickOutputs) -> None:
        if outputs.state is None:
            return
        frame = decode_state(outputs.state, {}).frame
        assert len(frame.json) <= STATE_JSON_MAX_BYTES
        assert parse_state(frame.json).mode is world.mode


def _bytes_of(world: World, frame: CommandFrame) -> bytes:
    """Return the bytes of a command that counted: they must be some that were really given."""
    return next(data for data in reversed(world.given) if world.given[data].frame == frame)
