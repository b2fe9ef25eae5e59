"""The driver's side of one vehicle: facts go in, frames, requests and words come out.

Pure: every call takes the time, nothing here reads a clock, a socket or a file. The shell
passes in what arrives and sends what comes out.
"""

from __future__ import annotations

import secrets
from collections import Counter, OrderedDict
from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from joserfc.jwk import OKPKey

from operator_console.core.authority import Announced, Authority, Pending, read_authority
from operator_console.core.command import CommandBuilder, OnScreen
from operator_console.core.desk import Counts, Fault, Feedback
from operator_console.core.desk_line import (
    DeskSlot,
    Presses,
    SnapshotRefusal,
    SnapshotRefused,
    decode_snapshot,
)
from operator_console.core.echo import NO_ECHO
from operator_console.core.engagement import (
    DRIVING_MODES,
    MOVABLE_MODES,
    STATE_MAX_AGE_IDLE_NS,
    STATE_MAX_AGE_NS,
    EnableGate,
    Engagement,
    Lease,
    Requests,
    StopLatch,
    engagement,
    kind_to_send,
)
from operator_console.core.hands import fault_words
from operator_console.core.inputs import INPUT_MAX_AGE_NS, DriverInput, InputSlot
from operator_console.core.ladder import (
    ALIGNED,
    DESK_RUNG,
    EnableCycle,
    LadderFacts,
    Rung,
    climb,
    first_missing,
)
from operator_console.core.latency import RateMeter, VehicleClock, ViewSlot
from operator_console.core.letgo import Away, EnableWatch
from operator_console.core.recorder_watch import RecorderWatch
from operator_console.core.steps import to_do
from protocol.control_peer import CommandPath
from protocol.errors import ProtocolError, Refusal
from protocol.frames import StateFrame, decode_state, session_keys, vehicle_id
from protocol.messages import (
    AckClaims,
    Outcome,
    RequestClaims,
    RequestKind,
    Role,
    StopClaims,
    Trust,
    sign_claims,
    verify_signed,
)
from protocol.signals import DEFAULT_TIMING, Timing
from protocol.state import VehicleMode, VehicleState, parse_state
from protocol.topics import Topics

ACTIONS = frozenset({"lease", "take_over", "offer", "arm", "disarm", "reset", "release", "stop"})
"""What a driver's page may ask by name."""

ASKS_LEASE = frozenset({RequestKind.LEASE, RequestKind.TAKE_OVER})
GIVES_LEASE = frozenset({RequestKind.RELEASE, RequestKind.OFFER})

STANDSTILL_MPS = 0.14
"""Slower than this counts as standing for what the screen offers; the machine decides."""

STATES_REMEMBERED = 64
"""States whose copy on the other path is known for one: 1.3 s at 50 Hz."""

COUNTED, COPY = "counted", "copy"
"""What became of a state that was not refused: it counts, or the other path had brought it."""

IDLE_LOOK_NS = 20_000_000
"""How often a console without a lease looks whether it has one."""


class Outgoing(NamedTuple):
    """One message to publish. Never retained."""

    topic: str
    payload: bytes
    qos: int = 0


class Heard(NamedTuple):
    """The newest vehicle state with when and how it came."""

    state: VehicleState
    frame: StateFrame
    authentic: bool
    at_ns: int


class ConsoleSession:
    """One operator at one console, one vehicle.

    Args:
        operator: own identity. topics: of the vehicle. key: own Ed25519 private key.
        trust: identities whose signatures count.
        simulated: the machine is a simulated one, so that a page may drive it.
        has_desk: a desk drives, and then no page does, simulated or not.
        timing: the site's timing table.
        dice: gives that many random bytes, for keys and ids; a simulation repeats its own.
        paths: command paths that this console has.

    Attributes:
        recorder: what is known of this cockpit's recorder; None where there is none.
        desk_keeps_ending: the input process is only tried again each minute, and said nothing yet.
    """

    def __init__(
        self,
        operator: str,
        topics: Topics,
        key: OKPKey,
        trust: Trust,
        *,
        simulated: bool,
        has_desk: bool = False,
        timing: Timing = DEFAULT_TIMING,
        dice: Callable[[int], bytes] = secrets.token_bytes,
        paths: frozenset[CommandPath] = frozenset({CommandPath.MQTT}),
    ) -> None:
        self.paths = paths
        self.operator = operator
        self.topics = topics
        self.simulated = simulated
        self.desk = DeskSlot() if has_desk else None
        self._presses = Presses()
        self.enable_cycle = EnableCycle()
        self.timing = timing
        self._key = key
        self._trust = trust
        self._dice = dice
        self._ephemeral: X25519PrivateKey | None = None
        self.recorder: RecorderWatch | None = None
        self.gate = EnableGate()
        self.enable_watch = EnableWatch()
        self.stops = StopLatch()
        self.requests = Requests()
        self.inputs = InputSlot()
        self.view = ViewSlot()
        self.clock = VehicleClock()
        self._builder = CommandBuilder(vehicle_id(topics.vehicle), timing)
        self.lease: Lease | None = None
        self.lease_lost = False
        self._given_up_epoch: int | None = None
        self.heard: Heard | None = None
        self._proven: tuple[int, int] | None = None
        self._echo = NO_ECHO
        self._announced: Announced | None = None
        self.enable_sent = False
        self.words_up = False
        self.paths_up = dict.fromkeys(CommandPath, False)
        self._states_taken: OrderedDict[tuple[int, int], frozenset[CommandPath]] = OrderedDict()
        self.refused: Counter[Refusal] = Counter()
        self.desk_refused: Counter[SnapshotRefusal] = Counter()
        self.desk_keeps_ending = False
        self.command_rate = RateMeter()
        self.state_rate = RateMeter()
        self.state_rates = {path: RateMeter() for path in CommandPath}
        self._state_by_ns: dict[CommandPath, int] = {}
        self.view_rate = RateMeter()

    # ---- from the driver ---------------------------------------------------------------

    def driver_input(self, data: dict[str, object], now_ns: int) -> bool:
        """Take in a snapshot from a page; only a simulated machine without a desk takes any."""
        if not self.page_drives:
            return False
        before_ms = self.inputs.age_ms(now_ns)
        counted = self.inputs.offer(data, now_ns)
        if counted:
            self.enable_watch.heard_again(before_ms)
        return counted

    @property
    def page_drives(self) -> bool:
        """A page's keyboard may drive this machine."""
        return self.simulated and self.desk is None

    def desk_input(self, data: bytes, now_ns: int) -> Counts:
        """Take in a datagram of the desk; return what was pressed on it.

        A STOP counts whatever else the snapshot says, and however late it comes. A held confirm
        counts only in a snapshot that does, and only when the one before was still in force: over
        a longer gap nobody knows when it was held (cockpit rule 14).
        """
        if self.desk is None:
            return Counts()
        try:
            dated = decode_snapshot(data)
        except SnapshotRefused:
            self.desk.clear()
            self.desk_refused[SnapshotRefusal.MALFORMED] += 1
            return Counts()
        before_ms = self.desk.age_ms(now_ns)
        refusal = self.desk.offer(dated, now_ns)
        if refusal is None:
            self.desk_keeps_ending = False
            self.enable_watch.heard_again(before_ms)
        if refusal is not None:
            self.desk_refused[refusal] += 1
        if refusal is SnapshotRefusal.BACKWARDS:
            return Counts()
        self._note_desk(now_ns)
        pressed = self._presses.new_in(dated)
        if refusal is not None or before_ms is None or before_ms > INPUT_MAX_AGE_NS / 1e6:
            pressed = replace(pressed, confirms=0)
        if pressed.stops:
            self.stops.press(self._dice(16).hex(), "driver pressed STOP on the desk", now_ns)
        return pressed

    def _note_desk(self, now_ns: int) -> None:
        assert self.desk is not None
        snapshot = self.desk.current(now_ns)
        controls = None if snapshot is None else snapshot.controls
        fault, device = (Fault.NONE, "") if snapshot is None else (snapshot.fault, snapshot.device)
        barred = fault is Fault.BARRED  # the hand is closed: what looked let go was not
        self.enable_cycle.see(None if controls is None or barred else controls.enable)
        counts = fault not in (Fault.NONE, Fault.CONFLICT, Fault.BARRED)
        self.enable_watch.desk(fault_words(fault, device) if counts else ("", ""))

    def desk_gone(self) -> None:
        """The input process ended: nothing that it said counts any more."""
        if self.desk is not None:
            self.desk.clear()
        self.enable_cycle.restart()

    def desk_ended_too_often(self) -> None:
        """The input process ended again and again: another is not started before a minute."""
        self.desk_keeps_ending = True

    def desk_feedback(self, now_ns: int) -> Feedback:
        """Return what the desk is to know of the machine."""
        age_ns = self.state_age_ns(now_ns)
        state = self.heard.state if self.heard and self.state_known(now_ns) else None
        if state is None or age_ns is None or self.lease is None:
            return Feedback(now_ns)
        return Feedback(
            now_ns,
            state.speed_mps,
            state.steer_measured,
            state.mode in MOVABLE_MODES,
            state.mode in DRIVING_MODES,
            age_ns / 1e6,
        )

    def driver(self, now_ns: int) -> DriverInput | None:
        """Return what the driver asks now, None when nothing valid is in force.

        A wheel rests where the machine's own steering is.
        """
        if self.desk is None:
            return self.inputs.current(now_ns)
        snapshot = self.desk.current(now_ns)
        if snapshot is None or snapshot.controls is None:
            return None
        state = self.heard.state if self.heard and self.state_known(now_ns) else None
        return snapshot.controls._replace(
            steer_rest=None if state is None else state.steer_measured,
            steer_slack=ALIGNED,
            unproven=snapshot.unproven,
        )

    def input_age_ms(self, now_ns: int) -> float | None:
        """Age of the newest snapshot in ms, None when there is none."""
        return (self.inputs if self.desk is None else self.desk).age_ms(now_ns)

    def desk_fault(self, now_ns: int) -> Fault:
        """What the desk says is wrong with it; none without a desk, or while it is silent."""
        snapshot = None if self.desk is None else self.desk.current(now_ns)
        return Fault.NONE if snapshot is None else snapshot.fault

    def rungs(self, now_ns: int) -> tuple[Rung, ...]:
        """Return the arming ladder of a desk; none where a page's keyboard drives."""
        if self.desk is None:
            return ()
        snapshot, driver = self.desk.current(now_ns), self.driver(now_ns)
        heard = self.heard.state if self.heard and self.state_known(now_ns) else None
        blockers = () if heard is None else heard.blockers
        words = tuple((each, to_do(each, (), held=False, input_ok=True)) for each in blockers)
        return climb(
            LadderFacts(
                vehicle=self.topics.vehicle,
                picture_live=self.on_screen(now_ns).ok,
                blockers=words,
                fault=self.desk_fault(now_ns),
                device="" if snapshot is None else snapshot.device,
                driver=driver,
                cycled=self.enable_cycle.done,
                keeps_ending=self.desk_keeps_ending,
            )
        )

    def driver_blurred(self) -> None:
        """The page lost the keyboard: what it lets go of now, the hand did not."""
        self.enable_watch.away(Away.BLURRED)

    def driver_view(self, data: dict[str, object], now_ns: int, behind_ns: int = 0) -> bool:
        """Take in what a page has just presented, and how far it is behind what it was told."""
        counted = self.view.offer(data, now_ns, self.clock.now_us(now_ns), behind_ns)
        if counted:
            self.view_rate.note(now_ns)
        return counted

    def driver_gone(self) -> None:
        """The driver's page closed, was hidden or made way: no input, nothing on a screen."""
        self.enable_watch.away(Away.GONE)
        self.inputs.clear()
        self.view.clear()
        self.gate.pass_through(held=True, allowed=False)

    def act(self, action: str, now_ns: int) -> bool:
        """Take an action by name; return False when there is no such action."""
        if action not in ACTIONS:
            return False
        if action == "stop":
            self.stops.press(self._dice(16).hex(), "driver pressed STOP", now_ns)
            return True
        kind = RequestKind(action)
        missing = self._missing_for(kind, now_ns)
        if missing is not None:
            self.requests.refuse(kind, missing.code, now_ns)
            return True
        if kind in (RequestKind.DISARM, RequestKind.RELEASE):
            self.gate.pass_through(held=True, allowed=False)
        self.requests.wish(kind, now_ns)
        return True

    def _missing_for(self, kind: RequestKind, now_ns: int) -> Rung | None:
        """Return the rung that bars a request: of arming any, of a reset a STOP still held."""
        if kind is RequestKind.ARM:
            return first_missing(self.rungs(now_ns))
        if kind is RequestKind.RESET and self.desk_fault(now_ns) is Fault.STOP_HELD:
            return next(rung for rung in self.rungs(now_ns) if rung.code == DESK_RUNG)
        return None

    # ---- from the vehicle --------------------------------------------------------------

    def words(self, up: bool) -> None:
        """The line for requests and stops came or went."""
        self.words_up = up

    def path(self, path: CommandPath, up: bool) -> None:
        """A command path came or went; enable starts from open when it was the only one."""
        before = self.link_up
        self.paths_up[path] = up
        if self.link_up != before:
            self.gate.pass_through(held=True, allowed=False)

    @property
    def link_up(self) -> bool:
        """At least one command path stands."""
        return any(self.paths_up.values())

    def path_out(self, path: CommandPath, now_ns: int) -> bool:
        """This console has the path, and it does not stand or brings none of the states that come.

        A connection that stands is no proof: what counts is what was heard by it last.
        """
        if path not in self.paths:
            return False
        if not self.paths_up[path]:
            return True
        heard_ns = self._state_by_ns.get(path)
        silent = heard_ns is None or now_ns - heard_ns > self.timing.path_silent_ms * 1_000_000
        return silent and self.state_known(now_ns)

    def uplink_out(self, path: CommandPath, now_ns: int) -> bool:
        """The vehicle says that none of this console's commands come by this path."""
        heard = self.heard
        if heard is None or not heard.authentic or not self.state_known(now_ns):
            return False
        return path in heard.state.silent_paths

    def hear_state(self, data: bytes, now_ns: int, path: CommandPath = CommandPath.MQTT) -> str:
        """Take in a state frame of either path; what does not count is counted by its reason.

        Returns:
            COUNTED, COPY, or the reason of the refusal.
        """
        keys = {} if self.lease is None else {self.lease.key_id: self.lease.keys.state}
        try:
            envelope = decode_state(data, keys)
            if self._is_copy(envelope.frame, path):
                self._note_state(path, now_ns)
                return COPY
            state = parse_state(envelope.frame.json)
        except ProtocolError as error:
            return self._refuse(error.reason)
        frame = envelope.frame
        if frame.vehicle_id != vehicle_id(self.topics.vehicle):
            return self._refuse(Refusal.WRONG_VEHICLE)
        refusal = self._refusal_of(frame, envelope.authentic, now_ns)
        if refusal is not None:
            return self._refuse(refusal)
        self._remember(frame, path)
        self._note_state(path, now_ns)
        self._take(Heard(state, frame, envelope.authentic, now_ns))
        return COUNTED

    def _refuse(self, reason: Refusal) -> str:
        self.refused[reason] += 1
        return reason.value

    def _note_state(self, path: CommandPath, now_ns: int) -> None:
        self.state_rates[path].note(now_ns)
        self._state_by_ns[path] = now_ns

    def _is_copy(self, frame: StateFrame, path: CommandPath) -> bool:
        """Return whether this state had come before by the other path, and by that one only."""
        name = (frame.boot_tag, frame.stamp_us)
        heard_on = self._states_taken.get(name)
        if heard_on is None or path in heard_on:
            return False
        self._states_taken[name] = heard_on | {path}
        return True

    def _remember(self, frame: StateFrame, path: CommandPath) -> None:
        self._states_taken[frame.boot_tag, frame.stamp_us] = frozenset({path})
        if len(self._states_taken) > STATES_REMEMBERED:
            self._states_taken.popitem(last=False)

    def _refusal_of(self, frame: StateFrame, authentic: bool, now_ns: int) -> Refusal | None:
        """What was proven is never taken back, however long the vehicle has been silent.

        While the holder's own states come, no other may speak for the vehicle.
        """
        boot_tag, stamp_us = self._proven or (None, 0)
        if boot_tag == frame.boot_tag and frame.stamp_us <= stamp_us:
            return Refusal.ECHO_BACKWARDS
        before = self.heard
        if authentic or before is None or not self.state_known(now_ns):
            return None
        if before.authentic:
            return Refusal.UNKNOWN_KEY
        same_run = before.frame.boot_tag == frame.boot_tag
        if same_run and frame.stamp_us <= before.frame.stamp_us:
            return Refusal.ECHO_BACKWARDS
        return None

    def _take(self, heard: Heard) -> None:
        before, frame, now_ns = self.heard, heard.frame, heard.at_ns
        if before is not None and before.frame.boot_tag != frame.boot_tag:
            self.clock.reset()
            self.view.clear()
        self.heard = heard
        self.state_rate.note(now_ns)
        self._lose_lease_of_another_run(frame.boot_tag, frame.epoch)
        own = heard.authentic
        if own:
            self._proven = (frame.boot_tag, frame.stamp_us)
            self._echo = self._echo.followed_by(frame.stamp_us, now_ns)
        if own or self.lease is None:
            self._time(heard)
            self.view.drop_ahead(self.clock.now_us(now_ns))
        self.stops.state_says(heard.state.stop_id, heard.state.mode)
        self.enable_watch.mode(heard.state.mode)

    def _time(self, heard: Heard) -> None:
        """Learn the vehicle's clock; under a lease from proven states only."""
        accepted = [sequence for sequence in heard.state.accepted if sequence is not None]
        own = heard.authentic
        self.clock.state_seen(
            heard.frame.stamp_us,
            max(accepted) if own and accepted else None,
            heard.state.accepted_hold_us if own else None,
            heard.at_ns,
        )

    def hear_authority(self, data: bytes, now_ns: int) -> bool:
        """Take in who may drive; return whether it fits."""
        try:
            authority = read_authority(data)
        except ProtocolError as error:
            self.refused[error.reason] += 1
            return False
        self._announced = Announced(authority, now_ns)
        self._lose_lease_of_another_run(authority.boot, authority.epoch)
        lease = self.lease
        held_by_other = authority.holder != self.operator
        if lease is not None and held_by_other and authority.epoch >= lease.epoch:
            self._drop_lease(lost=True)
        return True

    def hear_ack(self, data: bytes, now_ns: int) -> AckClaims | None:
        """Take in the vehicle's signed answer; return it when it is ours and proven."""
        try:
            claims = verify_signed(data, self._trust)
        except ProtocolError as error:
            self.refused[error.reason] += 1
            return None
        if not isinstance(claims, AckClaims):
            self.refused[Refusal.UNKNOWN_KIND] += 1
            return None
        if claims.iss != self.topics.vehicle or self._trust[claims.iss].role is not Role.VEHICLE:
            self.refused[Refusal.WRONG_ROLE] += 1
            return None
        if claims.aud != self.operator:
            self.refused[Refusal.WRONG_AUDIENCE] += 1
            return None
        if not self.requests.answered(claims.id, claims.outcome, claims.reason, now_ns):
            self.refused[Refusal.REPLAYED] += 1
            return None
        self._apply(claims)
        return claims

    def _apply(self, claims: AckClaims) -> None:
        if claims.kind in ASKS_LEASE and claims.outcome is Outcome.GRANTED:
            self._take_lease(claims)
        elif claims.kind in GIVES_LEASE and claims.outcome is Outcome.DONE:
            self._given_up_epoch = claims.epoch if self.lease is None else self.lease.epoch
            self._drop_lease(lost=False)

    def _take_lease(self, claims: AckClaims) -> None:
        own, self._ephemeral = self._ephemeral, None
        if own is None or claims.x25519 is None:
            self.refused[Refusal.MALFORMED] += 1
            return
        try:
            keys = session_keys(own, bytes.fromhex(claims.x25519), claims.boot, claims.epoch)
        except ValueError:
            self.refused[Refusal.MALFORMED] += 1
            return
        self.lease = Lease(claims.epoch, claims.key_id, claims.boot, keys)
        self.lease_lost = False
        self._echo = NO_ECHO
        self.heard = None if self.heard is None else self.heard._replace(authentic=False)
        self.clock.reset()
        self.gate.pass_through(held=True, allowed=False)
        self.enable_cycle.restart()

    def _drop_lease(self, *, lost: bool) -> None:
        self.lease, self.lease_lost, self._echo = None, lost, NO_ECHO
        self.heard = None if self.heard is None else self.heard._replace(authentic=False)
        self.gate.pass_through(held=True, allowed=False)

    def _lose_lease_of_another_run(self, boot_tag: int, epoch: int) -> None:
        lease = self.lease
        if lease is not None and (lease.boot_tag != boot_tag or epoch > lease.epoch):
            self._drop_lease(lost=True)

    # ---- to the vehicle ----------------------------------------------------------------

    def next_command(self, now_ns: int) -> Outgoing | None:
        """Return the command frame that is due now, None when none is."""
        lease = self.lease
        if lease is None or self._echo.stamp_us == 0:
            self.gate.pass_through(held=True, allowed=False)
            self.enable_sent = False
            self.enable_watch.barred()
            return None
        driver, permitted = self.driver(now_ns), self._may_enable(now_ns)
        allowed = driver is not None and permitted
        enable = self.gate.pass_through(driver is not None and driver.enable, allowed)
        frame = self._builder.build(
            now_ns,
            lease,
            kind_to_send(enable, self.stops.pending is not None),
            driver,
            self._echo,
            self.on_screen(now_ns),
        )
        if frame is None:
            return None
        self.enable_sent = frame.enable
        if permitted:
            self.enable_watch.sent(frame.enable, driver, self.input_age_ms(now_ns))
        else:
            self.enable_watch.barred()
        self.clock.sent(frame.sequence, now_ns)
        return Outgoing(self.topics.cmd(self.operator), frame.encode(lease.keys.command))

    def command_left(self, now_ns: int) -> None:
        """A path took the command."""
        self.command_rate.note(now_ns)

    def command_due_in_ns(self, now_ns: int) -> int:
        """Time until the next command is due without any change."""
        return IDLE_LOOK_NS if self.lease is None else self._builder.due_in_ns(now_ns)

    def command_gap_ns(self, now_ns: int) -> int:
        """Time until a changed command may go out."""
        return 0 if self.lease is None else self._builder.gap_ns(now_ns)

    def _may_enable(self, now_ns: int) -> bool:
        """Lease, machine and screen permit enable, whatever the driver's hands do.

        A desk goes on without a page; nobody drives who sees nothing.
        """
        seen = self.desk is None or self.view.newest is not None
        return seen and self.stops.pending is None and self.mode(now_ns) in MOVABLE_MODES

    def on_screen(self, now_ns: int) -> OnScreen:
        """What the driver has in view now."""
        view = self.view.newest
        if view is None:
            return OnScreen()
        exact = view.capture_us > 0 and self.clock.is_exact(now_ns)
        age_ms = self.clock.age_ms(view.capture_us, now_ns) if exact else None
        shown = self.view.display_ok(now_ns)
        return OnScreen(view.camera, view.capture_us, age_ms, shown)

    def next_stop(self, now_ns: int) -> Outgoing | None:
        """Return the signed stop that is due now, None when none is."""
        stop = self.stops.due(now_ns)
        if stop is None:
            return None
        claims = StopClaims(
            iss=self.operator,
            aud=self.topics.vehicle,
            id=stop.id,
            boot=self._boot_tag or 0,
            stamp_us=0 if self.heard is None else self.heard.frame.stamp_us,
            reason=stop.reason,
        )
        return Outgoing(self.topics.stop(self.operator), sign_claims(claims, self._key))

    def next_request(self, now_ns: int) -> Outgoing | None:
        """Return the signed request to send now, None when there is none."""
        nonce = None if self.authority is None else self.authority.nonce
        asked = self.requests.next_to_ask(nonce, self._dice(16).hex(), now_ns)
        if asked is None:
            return None
        assert self.authority is not None
        assert nonce is not None
        public: str | None = None
        if asked.kind in ASKS_LEASE:
            self._ephemeral = X25519PrivateKey.from_private_bytes(self._dice(32))
            public = self._ephemeral.public_key().public_bytes_raw().hex()
        claims = RequestClaims(
            iss=self.operator,
            aud=self.topics.vehicle,
            id=asked.id,
            kind=asked.kind,
            nonce=nonce,
            boot=self.authority.boot,
            epoch=0 if self.lease is None or public is not None else self.lease.epoch,
            x25519=public,
            to=self.waiting(now_ns) if asked.kind is RequestKind.OFFER else None,
        )
        return Outgoing(self.topics.req(self.operator), sign_claims(claims, self._key), qos=1)

    @property
    def authority(self) -> Authority | None:
        """The newest announcement, however old: its nonce is good until another has come."""
        return None if self._announced is None else self._announced.authority

    def holder_known(self, now_ns: int) -> bool:
        """Who holds the machine, or that nobody does, has been announced of late."""
        return self._announced is not None and self._announced.counts(now_ns)

    def holder(self, now_ns: int) -> str | None:
        """Who holds the machine, None when nobody does or nobody knows."""
        authority = self.authority if self.holder_known(now_ns) else None
        return None if authority is None else authority.holder

    def waiting(self, now_ns: int) -> str | None:
        """Who waits for this machine's lease, None when nobody does."""
        pending = self._pending(now_ns)
        return None if pending is None else pending.operator

    def taken_over(self, now_ns: int) -> bool:
        """Who waits is a supervisor: the machine stops, then it goes to him."""
        pending = self._pending(now_ns)
        return pending is not None and pending.takes_over

    def _pending(self, now_ns: int) -> Pending | None:
        return None if self._announced is None else self._announced.pending(now_ns)

    @property
    def role(self) -> Role:
        """This console's own role."""
        return self._trust[self.operator].role

    @property
    def _boot_tag(self) -> int | None:
        if self.heard is not None:
            return self.heard.frame.boot_tag
        return None if self.authority is None else self.authority.boot

    # ---- to the screen -----------------------------------------------------------------

    def state_max_age_ns(self) -> int:
        """Age at which the newest state stops counting; idle machines speak once a second."""
        return STATE_MAX_AGE_NS if self._lease_stands() else STATE_MAX_AGE_IDLE_NS

    def _lease_stands(self) -> bool:
        """As far as is known someone holds the machine, so that it speaks 50 times a second.

        A lease that was just given up or has just ended makes the next state an idle one.
        """
        if self.heard is None or not self.heard.frame.leased:
            return False
        if self.lease is not None:
            return True
        given_up = self._given_up_epoch
        if given_up is not None and self.heard.frame.epoch <= given_up:
            return False
        return self.authority is None or self.authority.holder is not None

    def state_age_ns(self, now_ns: int) -> int | None:
        """Age of the newest state by its stamp, which a queue cannot make younger.

        By its arrival where that says more, or where the vehicle's clock is not known yet;
        None without any state.
        """
        if self.heard is None:
            return None
        here_ns = now_ns - self.heard.at_ns
        age_ms = self.clock.age_ms(self.heard.frame.stamp_us, now_ns)
        return here_ns if age_ms is None else max(here_ns, round(age_ms * 1e6))

    def state_known(self, now_ns: int) -> bool:
        """A vehicle state is here and young enough to be shown and acted on."""
        age_ns = self.state_age_ns(now_ns)
        return age_ns is not None and age_ns <= self.state_max_age_ns()

    def mode(self, now_ns: int) -> VehicleMode | None:
        """The vehicle's mode as it reports it, None when unknown."""
        return self.heard.state.mode if self.heard and self.state_known(now_ns) else None

    def stands(self, now_ns: int) -> bool:
        """The machine reports that it does not move; unknown is no standstill."""
        if self.heard is None or not self.state_known(now_ns):
            return False
        speed_mps = self.heard.state.speed_mps
        if speed_mps is None:
            return self.heard.state.mode not in DRIVING_MODES | {VehicleMode.STOPPING}
        return abs(speed_mps) < STANDSTILL_MPS

    def other_holder(self, now_ns: int) -> str | None:
        """Who else holds the machine, None when nobody does or nobody knows."""
        holder = self.holder(now_ns)
        return None if holder == self.operator else holder

    def _held_by_other(self, now_ns: int) -> bool:
        """By what was announced of late; else by the machine's states, which do not say by whom."""
        if self.holder_known(now_ns):
            return self.other_holder(now_ns) is not None
        return self._lease_stands()

    def engagement(self, now_ns: int) -> Engagement:
        """How far this console has got with the machine."""
        return engagement(
            state_known=self.state_known(now_ns),
            mode=self.mode(now_ns),
            lease=self.lease,
            held_by_other=self._held_by_other(now_ns),
            asking=self.requests.asked is not None,
            enable=self.enable_sent,
            stop_pending=self.stops.pending is not None,
        )
