"""The supervisor: one pure step per tick, from everything heard to everything said.

The guardian, the simulator in lock-step and the replay all call :meth:`Supervisor.step`; the
same inputs give the same outputs, byte for byte.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple, TypeVar

from joserfc.jwk import OKPKey

from protocol.adapters import IsobusAdapter, J1939Adapter
from protocol.dbw.codec import EcuMode
from protocol.errors import ProtocolError, Refusal
from protocol.events import EVENTS
from protocol.frames import CommandKind, StateFrame, vehicle_id
from protocol.freshness import Acceptance, Accepted, Refused
from protocol.messages import Outcome, RequestClaims, RequestKind, Trust, sign_claims
from protocol.profiles import MachineLimits
from protocol.relay import RelayWish
from protocol.signals import Timing
from protocol.state import CapReason, VehicleMode
from vehicle_agent.core import report
from vehicle_agent.core.adapted import AdaptedWire
from vehicle_agent.core.authority import Answer, Authority
from vehicle_agent.core.bywire import ByWire, Feedback, Supervision
from vehicle_agent.core.clearance import UNSEEN, Clearance, RangeFinder
from vehicle_agent.core.driver import Driver, is_neutral
from vehicle_agent.core.entropy import Entropy
from vehicle_agent.core.failsafe import (
    DRIVING,
    LATCHED_EVENTS,
    POWERED,
    Action,
    FailSafe,
    Verdict,
)
from vehicle_agent.core.fair import FairShare
from vehicle_agent.core.gate import Demand, Gate, Measured, Permit
from vehicle_agent.core.governor import GRAVITY_MPS2, GovernorInput, SpeedCap, speed_cap
from vehicle_agent.core.isobus import IsobusTranslator
from vehicle_agent.core.j1939 import J1939Translator
from vehicle_agent.core.nearby import Nearby
from vehicle_agent.core.paths import PathWatch
from vehicle_agent.core.place import (
    PLACE_UNKNOWN,
    RULE_EVENTS,
    Place,
    Places,
    telemetry,
)
from vehicle_agent.core.record import Record
from vehicle_agent.core.relay import NOT_FITTED, RelayStatus, RelayView, judge
from vehicle_agent.core.watch import Health, Heard, Watch

_MS = 1_000_000
M = VehicleMode
FigureT = TypeVar("FigureT")
STATE_PERIOD_NS = 20 * _MS
IDLE_STATE_PERIOD_NS = 1_000 * _MS
AUTHORITY_PERIOD_NS = 200 * _MS
TELEMETRY_PERIOD_NS = 200 * _MS
SLACK_NS = 2 * _MS
"""A slot is due this much early, so that tick jitter does not skip it."""
FAULT_ACK_NS = 500 * _MS
ECU_ACTIVE_WAIT_NS = 2_000 * _MS
RELAY_SETTLED_NS = 100 * _MS
"""The ECU has its own wire to the relay's contact: it is asked when it must have seen it close."""
RELAY_HELD_NS = 500 * _MS
"""Longest wait for the ECU to let go before the relay is opened under it."""
STOP_AGE_MAX_US = 5_000_000
STOP_IDS_KEPT = 256
STOPS_OF_ONE, STOPS_OF_ALL = 1, 4
"""Stops looked at in a tick. They are repeated until confirmed: the newest of each will do."""
REQUESTS_OF_ONE, REQUESTS_OF_ALL = 4, 8
QUIET_NS = 2_000 * _MS
"""A condition that hovers at its limit is told once, not at every crossing."""
SESSIONS = 65_535
"""By-wire sessions are 1 to this; 0 is none."""
DIED_DRIVING = "G105"
"""Latch written before motion, so that a guardian that dies while driving starts latched."""
GONE_BEFORE_ARMING = frozenset({"command_stale", "relay_open"})
"""Conditions of ARMED that arming itself judges (link) or ends (the relay closes later)."""
STOPPED_MODES = frozenset({M.STOPPED, M.ESTOP, M.FAULT})
ECU_LET_GO = frozenset({EcuMode.STANDBY})
"""Before a warning the ECU has let go: in a remote mode it listens to its own session only."""
ECU_WILLING = frozenset({EcuMode.STANDBY, EcuMode.ARMED, EcuMode.ACTIVE})
"""Modes of the ECU in which a warning goes on."""
ECU_REMOTE = frozenset({EcuMode.ARMED, EcuMode.ACTIVE, EcuMode.DEGRADED})
RESTING = frozenset({M.STANDBY, M.LEASED, M.ARMED})


@dataclass(frozen=True, slots=True)
class Setup:
    """What one boot of a supervisor is made of.

    Attributes:
        vehicle: name. key: the vehicle's Ed25519 key. trust: who may sign.
        limits: the machine's. timing: the site's table.
        boot_tag: random u32 of this start. seed: 32 random bytes for nonces and lease keys.
        record: the durable record found at start. paths: command paths fitted.
        relay_fitted: a watchdog relay belongs to this machine.
        main_camera: id of the camera whose picture the driver drives by.
        rear_camera: of the one in reverse gear; None where that is the main one too.
        settings_mismatch: limits, times or trust are not the approved ones.
        finder: the range finder that looks ahead; None where none is fitted.
        adapter: how the machine is driven; None: by HF-DBW.
        locator: a locator is fitted that tells place and rules.
    """

    vehicle: str
    key: OKPKey
    trust: Trust
    limits: MachineLimits
    timing: Timing
    boot_tag: int
    seed: bytes
    record: Record
    paths: frozenset[int] = frozenset({0})
    relay_fitted: bool = False
    main_camera: int = 0
    rear_camera: int | None = None
    settings_mismatch: bool = False
    finder: RangeFinder | None = None
    adapter: J1939Adapter | IsobusAdapter | None = None
    locator: bool = False


class TickInputs(NamedTuple):
    """Everything heard since the last tick.

    Attributes:
        commands: (path, frame). requests, stops: (sender, JWS).
        retained: refused retained copies, by path.
        bus: (CAN id, data). durable: the newest record known to be on disk.
        relay: None where no relay is fitted or nothing was heard of it.
        outside_zone: what a locator says; None where none is fitted.
        scans: of the range finder, as they came. places: of the locator.
        nearby: of the short-range sensors all round.
    """

    commands: tuple[tuple[int, bytes], ...] = ()
    requests: tuple[tuple[str, bytes], ...] = ()
    stops: tuple[tuple[str, bytes], ...] = ()
    retained: tuple[int, ...] = ()
    bus: tuple[tuple[int, bytes], ...] = ()
    durable: Record | None = None
    relay: RelayStatus | None = None
    outside_zone: bool | None = None
    scans: tuple[bytes, ...] = ()
    places: tuple[bytes, ...] = ()
    nearby: tuple[bytes, ...] = ()


class TickOutputs(NamedTuple):
    """Everything said by one tick.

    Attributes:
        bus: frames for the ECU. state: a state frame when due. acks: (operator, JWS).
        authority: JSON when due. events: catalogue ids that just began.
        telemetry: (group, JSON) when due. persist: a record to make durable.
        healthy: the whole tick was healthy: the relay may be stroked.
        relay: what the stroke asks of it.
    """

    bus: tuple[tuple[int, bytes], ...] = ()
    state: bytes | None = None
    acks: tuple[tuple[str, bytes], ...] = ()
    authority: bytes | None = None
    events: tuple[str, ...] = ()
    telemetry: tuple[tuple[str, bytes], ...] = ()
    persist: Record | None = None
    healthy: bool = True
    relay: RelayWish = RelayWish.OPEN


@dataclass(slots=True)
class _Due:
    """Next times of what is sent periodically; a missed slot is skipped."""

    state_ns: int = 0
    authority_ns: int = 0
    telemetry_ns: int = 0


@dataclass(slots=True)
class _Warning:
    """The warning before first motion."""

    since_ns: int
    ecu_deadline_ns: int
    relay_closed_ns: int | None = None


@dataclass(slots=True)
class _News:
    """What the messages of one tick brought, while they are read."""

    stop_by_driver: bool = False
    stop_by_other: bool = False
    second_authority: bool = False
    out_of_range: bool = False
    lease_lost: bool = False
    acks: list[Answer] = field(default_factory=list)
    events: list[str] = field(default_factory=list)


class Supervisor:
    """The machine's decisions, one tick at a time."""

    def __init__(self, setup: Setup) -> None:
        self._setup = setup
        dice = Entropy(setup.seed)
        died = setup.record.latch == DIED_DRIVING
        self._failsafe = FailSafe(None if died else setup.record.latch)
        self._died_driving = died
        self._mode = M.STANDBY if self._failsafe.latched is None else M.STOPPED
        self._authority = Authority(
            setup.vehicle, setup.boot_tag, setup.record.epoch, setup.trust, setup.timing, dice
        )
        self._vehicle_id = vehicle_id(setup.vehicle)
        self._acceptance = Acceptance(setup.timing, self._vehicle_id, setup.boot_tag)
        self._paths = PathWatch(setup.paths, setup.timing.path_silent_ms * _MS)
        self._stop_share = FairShare(setup.trust, STOPS_OF_ONE, STOPS_OF_ALL)
        self._request_share = FairShare(setup.trust, REQUESTS_OF_ONE, REQUESTS_OF_ALL)
        self._driver = Driver(setup.timing, setup.main_camera, setup.rear_camera)
        self._wire = _wire(setup)
        self._gate = Gate(setup.limits)
        self._watch = Watch(setup.limits, setup.timing)
        self._durable = setup.record
        self._asked = setup.record
        self._session = 1 + int.from_bytes(dice.take(2), "big") % SESSIONS
        self._warning: _Warning | None = None
        self._ack_until_ns = -1
        self._stop_id: str | None = None
        self._stops_done: dict[str, None] = {}
        self._told: dict[str, int] = {}
        self._due = _Due()
        self._state_sequence = 0
        self._last_ns: int | None = None
        self._changed = True
        self._present: frozenset[str] = frozenset()
        self._relay: RelayView = NOT_FITTED
        self._relay_needed_ns: int | None = None
        self._now_healthy = Health()
        self._cap = SpeedCap(0.0, CapReason.LOOP)
        self._clearance = None if setup.finder is None else Clearance(setup.finder)
        self._sight = UNSEEN
        self.judged: list[Accepted | Refused] = []
        """The verdicts on the commands of the last tick, in their order; for the log."""
        self._places, self._nearby = Places(), Nearby()
        self._place: Place | None = None
        self._unplaced = setup.locator
        self._ruled: str | None = None

    @property
    def mode(self) -> VehicleMode:
        """The state of the machine, design 4.8."""
        return self._mode

    @property
    def latched(self) -> str | None:
        """Event id of the stop that stands, or None."""
        return self._failsafe.latched

    @property
    def demand(self) -> Demand:
        """What was last asked of the machine."""
        return self._gate.last

    def step(self, now_ns: int, given: TickInputs) -> TickOutputs:
        """Decide one tick.

        A clock that went backwards is a fault: it stops the machine, and time stands still
        here until the clock has caught up.

        Args:
            now_ns: monotonic time of looking. given: everything heard since the last tick.
        """
        health = self._health(now_ns, given)
        self._now_healthy = health
        now_ns = self._last_ns = max(now_ns, self._last_ns or now_ns)
        if given.durable is not None:
            self._durable = given.durable
        self._wire.receive(now_ns, given.bus)
        feedback = self._wire.feedback(now_ns)
        self._look_ahead(now_ns, given, feedback)
        measured = Measured(feedback.speed_mps, feedback.curvature_per_m, _pull_mps2(feedback))
        self._gate.observe(now_ns, measured)
        self._authority.age_nonce(now_ns)
        news = _News()
        self._locate(now_ns, given, feedback, news)
        if given.requests:
            self._read_requests(now_ns, given, feedback, news)
        self._finish_grant(now_ns, news)
        if given.stops:
            self._read_stops(now_ns, given, news)
        self._read_commands(now_ns, given, news)
        self._watch_lease(now_ns, news)
        self._watch_handover(now_ns, news)
        conditions = self._watch.conditions(
            now_ns,
            self._mode,
            self._driver,
            feedback,
            self._gate.last,
            Heard(
                news.stop_by_driver,
                news.stop_by_other,
                news.second_authority,
                news.out_of_range,
                news.lease_lost,
                outside_zone=given.outside_zone is True,
                reset_given=now_ns < self._ack_until_ns,
            ),
            health,
            standing=self._gate.standstill(now_ns),
            cap_mps=self._cap.speed_mps,
        )
        self._present = present = conditions.present()
        verdict = self._failsafe.decide(self._mode, present)
        was = self._mode
        self._move_on(now_ns, verdict, feedback, present, news)
        cap = self._cap = self._speed_cap(now_ns, feedback, verdict, health)
        wish = self._relay_wish(now_ns, verdict, feedback, present)
        permit = self._permit(verdict)
        demand = self._gate.step(
            now_ns,
            permit,
            self._driver.acting(now_ns) if permit in (Permit.DRIVE, Permit.COAST) else None,
            measured,
            cap.speed_mps,
        )
        if self._warning is not None:
            demand = _with_horn(demand)
        bus = self._wire.transmit(
            now_ns,
            demand,
            self._supervision(now_ns),
            at_once=was in DRIVING and self._mode not in DRIVING,
        )
        self._changed = self._changed or was is not self._mode
        events = self._begun(now_ns, verdict, news)
        return TickOutputs(
            bus=bus,
            state=self._state(now_ns, verdict, feedback, demand, cap),
            acks=tuple(
                (answer.operator, sign_claims(answer.claims, self._setup.key))
                for answer in news.acks
            ),
            authority=self._authority_due(now_ns),
            events=events,
            telemetry=self._telemetry_due(now_ns),
            persist=self._persist_due(),
            healthy=not health.tick_late and not health.clock_backwards,
            relay=wish,
        )

    # -- what was heard ---------------------------------------------------------------------

    def _health(self, now_ns: int, given: TickInputs) -> Health:
        elapsed_ns = 0 if self._last_ns is None else now_ns - self._last_ns
        died, self._died_driving = self._died_driving, False
        if self._setup.relay_fitted:
            self._relay = judge(given.relay, self._setup.timing.relay_open_ms * _MS)
        return Health(
            tick_late=elapsed_ns > self._setup.timing.guardian_late_stop_ms * _MS,
            clock_backwards=elapsed_ns < 0,
            relay=self._relay,
            settings_mismatch=self._setup.settings_mismatch,
            ended_while_driving=died,
            path_silent=bool(self._silent_paths(now_ns)),
        )

    def _look_ahead(self, now_ns: int, given: TickInputs, feedback: Feedback) -> None:
        """Note what the range finder shows of the way that a stop from here would run on."""
        if self._clearance is None:
            return
        now_us = now_ns // 1000
        measured = feedback.curvature_per_m
        held = self._gate.last.curvature_per_m if measured is None else measured
        self._clearance.move(now_us, feedback.speed_mps, held)
        self._clearance.take(now_us, given.scans)
        self._sight = self._clearance.sight(now_us, held)

    def _locate(self, now_ns: int, given: TickInputs, feedback: Feedback, news: _News) -> None:
        """Note what locator and short-range sensors say; tell a rule when it begins to hold."""
        now_us = now_ns // 1000
        self._nearby.take(now_us, given.nearby)
        if not self._setup.locator:
            return
        self._places.take(now_us, feedback.speed_mps or 0.0, given.places)
        place = self._place = self._places.at(now_us)
        ruling = place if place is not None and place.rules_known else None
        self._unplaced = ruling is None
        ruled = PLACE_UNKNOWN if ruling is None else RULE_EVENTS.get(ruling.rule)
        if ruled is not None and ruled != self._ruled:
            news.events.append(ruled)
        self._ruled = ruled

    def _silent_paths(self, now_ns: int) -> tuple[int, ...]:
        if self._authority.holder is None:
            return ()
        return self._paths.silent(now_ns, self._acceptance.paths)

    def _read_commands(self, now_ns: int, given: TickInputs, news: _News) -> None:
        for path in given.retained:
            self._acceptance.count_refusal(path, Refusal.RETAINED)
            news.events.append("L106")
        self.judged = []
        for path, data in given.commands:
            verdict = self._acceptance.judge(now_ns, data, path)
            self.judged.append(verdict)
            if isinstance(verdict, Accepted):
                self._take_command(now_ns, verdict, news)
            elif verdict.reason in (Refusal.CONFLICTING_COPY, Refusal.EPOCH_AHEAD):
                news.second_authority = True
            elif verdict.reason is Refusal.OUT_OF_RANGE:
                news.out_of_range = True
        if self._authority.holder is not None:
            counted = self._acceptance
            self._paths.look(now_ns, counted.newest_sequence, counted.paths)

    def _take_command(self, now_ns: int, accepted: Accepted, news: _News) -> None:
        frame = accepted.frame
        self._driver.take(accepted)
        self._authority.renew(now_ns, enable=frame.enable)
        if frame.kind is CommandKind.STOP:
            news.stop_by_driver = True
        if self._mode not in POWERED and frame.enable and frame.throttle:
            self._acceptance.count_refusal(accepted.path, Refusal.NOT_ALLOWED)

    def _read_stops(self, now_ns: int, given: TickInputs, news: _News) -> None:
        for sender, token in self._stop_share.pick(given.stops):
            try:
                claims = self._authority.read_stop(token, sender)
            except ProtocolError:
                continue
            if claims.id in self._stops_done:
                self._stop_id = claims.id
                continue
            age_us = now_ns // 1000 - claims.stamp_us
            if not 0 <= age_us <= STOP_AGE_MAX_US:
                self._authority.count(Refusal.UPLINK_TOO_OLD)
                continue
            self._stops_done[claims.id] = None
            if len(self._stops_done) > STOP_IDS_KEPT:
                self._stops_done.pop(next(iter(self._stops_done)))
            self._stop_id = claims.id
            holder = self._authority.holder
            if holder is not None and holder.operator == claims.iss:
                news.stop_by_driver = True
            else:
                news.stop_by_other = True

    def _read_requests(
        self, now_ns: int, given: TickInputs, feedback: Feedback, news: _News
    ) -> None:
        for sender, token in self._request_share.pick(given.requests):
            try:
                claims = self._authority.read_request(token, sender)
            except ProtocolError:
                continue
            self._changed = True
            answer = self._answer(now_ns, claims, feedback, news)
            if answer is not None:
                news.acks.append(answer)

    def _finish_grant(self, now_ns: int, news: _News) -> None:
        answer = self._authority.finish_grant(now_ns, self._durable.epoch)
        if answer is not None:
            self._begin_lease(now_ns)
            news.acks.append(answer)

    def _begin_lease(self, now_ns: int) -> None:
        holder = self._authority.holder
        if holder is None:
            return
        self._acceptance.open_lease(holder.lease)
        self._driver.forget()
        self._paths.begin(now_ns)
        self._changed = True

    # -- requests ---------------------------------------------------------------------------

    def _answer(
        self, now_ns: int, claims: RequestClaims, feedback: Feedback, news: _News
    ) -> Answer | None:
        authority = self._authority
        if claims.kind in (RequestKind.LEASE, RequestKind.TAKE_OVER):
            return self._answer_lease(now_ns, claims, news)
        holder = authority.holder
        if holder is None:
            return authority.refuse(claims, "B104")
        if holder.operator != claims.iss:
            if claims.kind is RequestKind.ARM and claims.epoch != 0:
                news.second_authority = True
            return authority.refuse(claims, "B106")
        if claims.epoch != authority.epoch:
            return authority.refuse(claims, "B108")
        reason = self._carry_out(now_ns, claims, feedback, news)
        return authority.refuse(claims, reason) if reason else authority.done(claims)

    def _answer_lease(self, now_ns: int, claims: RequestClaims, news: _News) -> Answer | None:
        held = self._authority.holder is not None
        blocker = None if held else self._lease_blocker(now_ns)
        if blocker is not None:
            return self._authority.refuse(claims, blocker)
        answer = self._authority.ask_lease(now_ns, claims)
        if answer is not None and answer.claims.outcome is Outcome.QUEUED:
            news.events.append("S108")
        return answer

    def _watch_handover(self, now_ns: int, news: _News) -> None:
        """Let a lapsed request go; let a take-over stop the machine, then have the lease.

        A lease that ended meanwhile goes to the one who waits for it, once the machine stands.
        """
        lapsed = self._authority.lapse(now_ns)
        if lapsed is not None:
            news.acks.append(lapsed)
        waiting = self._authority.waiting
        free = self._authority.holder is None
        if waiting is None or not (waiting.preempts or free):
            return
        if self._mode in RESTING | STOPPED_MODES and self._gate.standstill(now_ns):
            self._hand_over(news)
        elif self._mode in DRIVING:
            news.stop_by_other = True

    def _hand_over(self, news: _News) -> None:
        self._authority.hand_over()
        self._acceptance.close_lease()
        self._changed = True
        if self._mode in (M.ARMED, M.LEASED):
            self._rest(M.STANDBY)
        news.events.append("S109")

    def _lease_blocker(self, now_ns: int) -> str | None:
        if self._mode is M.LOCAL:
            return "M111"
        if self._mode not in RESTING | STOPPED_MODES:
            return "B108"
        return None if self._gate.standstill(now_ns) else "B101"

    def _carry_out(
        self, now_ns: int, claims: RequestClaims, feedback: Feedback, news: _News
    ) -> str | None:
        """Carry out a holder's request; return the blocker's event id when it is refused."""
        kind = claims.kind
        if kind is RequestKind.OFFER:
            return self._offer(now_ns, claims, news)
        if kind is RequestKind.ARM:
            blockers = self.arm_blockers(now_ns, feedback)
            if blockers:
                return blockers[0]
            self._mode = M.ARMED
            self._driver.await_release()
            news.events.append("S103")
        elif kind is RequestKind.RESET:
            return self._reset(now_ns, feedback, news)
        elif kind is RequestKind.DISARM:
            if self._mode in DRIVING and not self._gate.standstill(now_ns):
                news.stop_by_driver = True
            elif self._mode in POWERED:
                self._rest(M.LEASED)
        else:
            self._end_lease(news)
        return None

    def _offer(self, now_ns: int, claims: RequestClaims, news: _News) -> str | None:
        """Hand over at standstill with neutral controls to the one who waits, and to no other."""
        waiting = self._authority.waiting
        if waiting is None or waiting.claims.iss != claims.to:
            return "B108"
        if self._mode not in RESTING | STOPPED_MODES or not self._gate.standstill(now_ns):
            return "B101"
        if not self._driver.neutral(now_ns) or self._driver.enabled(now_ns):
            return "B102"
        self._hand_over(news)
        return None

    def arm_blockers(self, now_ns: int, feedback: Feedback) -> tuple[str, ...]:
        """Return the event ids of everything that stands between LEASED and ARMED."""
        if self._failsafe.latched is not None:
            return ("B107",)
        if self._mode is not M.LEASED:
            return ("B108",)
        ready = feedback.ecu in (EcuMode.STANDBY, EcuMode.ARMED)
        holding = self._failsafe.blocking(M.ARMED, self._present - GONE_BEFORE_ARMING)
        return self._guard(now_ns) + (() if ready else ("B105",)) + holding

    def _guard(self, now_ns: int) -> tuple[str, ...]:
        """Return what the restart guard still misses (rule 4)."""
        healthy_ns = self._driver.healthy_ns(now_ns)
        checks = (
            ("B101", self._gate.standstill(now_ns)),
            ("B103", healthy_ns >= self._setup.timing.link_healthy_ms * _MS),
            ("B102", self._driver.neutral(now_ns) and not self._driver.enabled(now_ns)),
        )
        return tuple(event for event, good in checks if not good)

    def _reset(self, now_ns: int, feedback: Feedback, news: _News) -> str | None:
        if self._failsafe.latched is None:
            return "B108"
        if feedback.ecu is EcuMode.FAULT:
            return "B105"
        blockers = self._guard(now_ns)
        if blockers:
            return blockers[0]
        conditions = self._watch.conditions(
            now_ns,
            self._mode,
            self._driver,
            feedback,
            self._gate.last,
            Heard(),
            self._now_healthy,
            standing=True,
            cap_mps=self._cap.speed_mps,
        )
        self._present = conditions.present()
        still = self._failsafe.blocking(self._mode, self._present)
        if still:
            return still[0]
        self._failsafe.reset()
        self._mode = M.LEASED
        self._ack_until_ns = now_ns + FAULT_ACK_NS
        news.events.append("S107")
        return None

    def _end_lease(self, news: _News) -> None:
        if self._authority.holder is None:
            return
        self._authority.end()
        self._acceptance.close_lease()
        self._changed = True
        if self._mode in DRIVING:
            news.lease_lost = True
        elif self._mode in (M.ARMED, M.LEASED):
            self._rest(M.STANDBY)
            news.events.append("S102")

    def _watch_lease(self, now_ns: int, news: _News) -> None:
        if self._authority.expired(now_ns):
            self._end_lease(news)

    # -- modes ------------------------------------------------------------------------------

    def _rest(self, mode: VehicleMode) -> None:
        self._mode = mode
        self._warning = None

    def _move_on(
        self,
        now_ns: int,
        verdict: Verdict,
        feedback: Feedback,
        present: frozenset[str],
        news: _News,
    ) -> None:
        """Move to the next mode; the only place besides requests where the mode changes."""
        if verdict.action >= Action.STOP:
            self._stopping(now_ns, verdict, feedback, news)
            return
        if self._mode is M.STANDBY and self._authority.holder is not None:
            self._mode = M.LEASED
            news.events.append("S101")
        if self._mode in (M.STANDBY, M.LEASED) and "local_key_turned" in present:
            self._to_local(news)
            self._rest(M.LOCAL)
        elif self._mode is M.LOCAL and "local_key_turned" not in present:
            self._mode = M.STANDBY
        elif self._mode is M.ARMED:
            self._warn_then_go(now_ns, feedback, present, news)
        elif self._mode in DRIVING:
            self._mode = M.DEGRADED if verdict.action is Action.DEGRADE else M.ACTIVE
            if self._gate.standstill(now_ns) and not self._enable_bit():
                self._rest(M.ARMED)
                self._driver.await_release()
                news.events.append("S110")

    def _enable_bit(self) -> bool:
        newest = self._driver.newest
        return newest is not None and newest.frame.enable

    def _to_local(self, news: _News) -> None:
        """The person at the machine has it: nobody else holds it or waits for it."""
        self._end_lease(news)
        news.acks += self._authority.withdraw("M111")

    def _stopping(self, now_ns: int, verdict: Verdict, feedback: Feedback, news: _News) -> None:
        self._warning = None
        self._ack_until_ns = -1
        standing = self._gate.standstill(now_ns)
        if feedback.key_remote is False and standing:
            self._to_local(news)
            self._mode = M.LOCAL
        elif feedback.ecu is EcuMode.FAULT and standing:
            self._mode = M.FAULT
        elif verdict.action is Action.ESTOP:
            self._mode = M.ESTOP
        elif self._mode in DRIVING or (self._mode is M.STOPPING and not standing):
            self._mode = M.STOPPING
        else:
            self._mode = M.STOPPED

    def drive_blockers(
        self, now_ns: int, feedback: Feedback, present: frozenset[str]
    ) -> tuple[str, ...]:
        """Return the event ids of everything that keeps the warning from starting."""
        newest = self._driver.newest
        neutral = newest is not None and is_neutral(newest.frame)
        willing = ECU_LET_GO if self._warning is None else ECU_WILLING
        checks = (
            ("D102", self._driver.seen_released),
            ("B102", neutral),
            ("B101", self._gate.standstill(now_ns)),
            ("V102", "view_stale" not in present),
            ("V103", "display_unhealthy" not in present),
            ("B103", "command_late" not in present),
            ("B105", feedback.ecu in willing),
            ("B112", not self._relay.not_ready),
        )
        return tuple(event for event, good in checks if not good)

    def _warn_then_go(
        self, now_ns: int, feedback: Feedback, present: frozenset[str], news: _News
    ) -> None:
        if not self._driver.enabled(now_ns) or self.drive_blockers(now_ns, feedback, present):
            self._warning = None
            return
        warning_ns = self._setup.timing.warning_ms * _MS
        if self._warning is None:
            self._session = 1 + self._session % SESSIONS
            self._warning = _Warning(now_ns, now_ns + warning_ns + ECU_ACTIVE_WAIT_NS)
            news.events.append("S104")
            return
        if not self._relay_holds(now_ns, self._warning):
            self._warning = None
            self._driver.await_release()
            news.events.append("B112")
            return
        if now_ns - self._warning.since_ns < warning_ns:
            return
        marked = self._durable == self._asked and self._asked.latch == DIED_DRIVING
        active = feedback.ecu is EcuMode.ACTIVE and feedback.session_echo == self._session
        if active and marked and not self._relay.not_closed:
            self._warning = None
            self._mode = M.ACTIVE
            news.events.append("S105")
        elif now_ns > self._warning.ecu_deadline_ns:
            if self._relay.not_closed:
                news.events.append("B112")
            self._warning = None
            self._driver.await_release()

    # -- the relay --------------------------------------------------------------------------

    def _relay_holds(self, now_ns: int, warning: _Warning) -> bool:
        """Note when the relay has closed; False when it closed and does no more."""
        if not self._relay.not_closed and warning.relay_closed_ns is None:
            warning.relay_closed_ns = now_ns
        return warning.relay_closed_ns is None or not self._relay.not_closed

    def _relay_settled(self, now_ns: int) -> bool:
        """Return whether the ECU may be enabled in this warning: it refuses with the relay open."""
        if self._warning is None or self._warning.relay_closed_ns is None:
            return False
        settled_ns = RELAY_SETTLED_NS if self._setup.relay_fitted else 0
        return now_ns - self._warning.relay_closed_ns >= settled_ns

    def _relay_wish(
        self, now_ns: int, verdict: Verdict, feedback: Feedback, present: frozenset[str]
    ) -> RelayWish:
        """Return what the relay shall do: close in the warning only, open once nobody drives.

        A controlled stop keeps it until the machine stands and the ECU has let go; a hard stop
        and an ECU that is gone do not wait for that.
        """
        if self._warning is not None:
            self._relay_needed_ns = now_ns
            return RelayWish.CLOSE
        moving = self._mode in DRIVING or self._mode is M.STOPPING
        if verdict.action is Action.ESTOP or (self._mode is M.STOPPING and "ecu_silent" in present):
            return RelayWish.OPEN
        if moving:
            self._relay_needed_ns = now_ns
            return RelayWish.HOLD
        needed_ns = self._relay_needed_ns
        waiting = needed_ns is not None and now_ns - needed_ns < RELAY_HELD_NS
        return RelayWish.HOLD if waiting and feedback.ecu in ECU_REMOTE else RelayWish.OPEN

    # -- what is said -----------------------------------------------------------------------

    def _speed_cap(
        self, now_ns: int, feedback: Feedback, verdict: Verdict, health: Health
    ) -> SpeedCap:
        loop_us = self._driver.loop_us(now_ns)
        view_us = self._driver.view_age_us(now_ns)
        reverse = self._gate.last.direction < 0
        pitch = feedback.pitch_rad or 0.0
        sight = UNSEEN if reverse else self._sight
        return speed_cap(
            self._setup.limits,
            self._setup.timing,
            GovernorInput(
                loop_ms=None if loop_us is None else loop_us / 1000,
                view_ms=None if view_us is None else view_us / 1000,
                grade=-pitch if reverse else pitch,
                clear_m=sight.clear_m,
                unseen=self._clearance is not None and sight.clear_m is None,
                detect_s=sight.age_s,
                site_mps=self._places.limit_mps(),
                line_m=self._places.line_m(reverse=reverse),
                unplaced=self._unplaced,
                one_path=health.path_silent,
                reverse=reverse,
                degraded=verdict.action is Action.DEGRADE,
            ),
        )

    def _permit(self, verdict: Verdict) -> Permit:
        if self._mode is M.ACTIVE:
            return Permit.DRIVE
        if self._mode is M.DEGRADED:
            return Permit.COAST
        if self._mode is M.ESTOP:
            return Permit.ESTOP
        if self._mode is M.STOPPING or verdict.action >= Action.STOP:
            return Permit.STOP
        return Permit.PARKED

    def _supervision(self, now_ns: int) -> Supervision:
        age_ns = self._driver.age_ns(now_ns)
        return Supervision(
            enable=self._mode in DRIVING or self._mode is M.STOPPING or self._relay_settled(now_ns),
            session=self._session,
            fault_ack=now_ns < self._ack_until_ns,
            link_age_ms=None if age_ns is None else min(age_ns // _MS, 1000),
        )

    def _begun(self, now_ns: int, verdict: Verdict, news: _News) -> tuple[str, ...]:
        """Return the events that begin now: told again only after they were gone for a while."""
        if not (self._told or verdict.holding or news.events):
            return ()
        latched = self._failsafe.latched is not None
        self._told = {
            event: at_ns
            for event, at_ns in self._told.items()
            if now_ns - at_ns < QUIET_NS or (latched and event in LATCHED_EVENTS)
        }
        begun = [event for event in verdict.holding if event not in self._told]
        self._told |= dict.fromkeys(verdict.holding, now_ns)
        return tuple(event for event in (*news.events, *begun) if event in EVENTS)

    def _state(
        self,
        now_ns: int,
        verdict: Verdict,
        feedback: Feedback,
        demand: Demand,
        cap: SpeedCap,
    ) -> bytes | None:
        holder = self._authority.holder
        idle = holder is None and self._mode in RESTING | STOPPED_MODES
        idle = idle and self._gate.standstill(now_ns)
        if now_ns + SLACK_NS < self._due.state_ns and not self._changed:
            return None
        period_ns = IDLE_STATE_PERIOD_NS if idle else STATE_PERIOD_NS
        self._due.state_ns = _next_slot(self._due.state_ns, now_ns, period_ns)
        self._state_sequence = (self._state_sequence + 1) & 0xFFFFFFFF
        content = report.state_json(
            now_ns,
            self._mode,
            verdict,
            self._acceptance,
            self._driver,
            feedback,
            demand,
            cap,
            self._setup.limits,
            self._setup.timing,
            relay=self._relay,
            stop_id=self._stop_id,
            warning_ms=self._warning_left_ms(now_ns),
            blockers=self._blockers(now_ns, feedback),
            delivered_pct=() if holder is None else self._of_paths(self._paths.delivered_pct),
            silent_paths=self._silent_paths(now_ns),
            proximity_m=self._nearby.over(
                now_ns // 1000, () if self._clearance is None else self._sight.sectors_m
            ),
        )
        return StateFrame(
            leased=holder is not None,
            vehicle_id=self._vehicle_id,
            key_id=0 if holder is None else holder.lease.key_id,
            epoch=self._authority.epoch,
            sequence=self._state_sequence,
            boot_tag=self._setup.boot_tag,
            stamp_us=now_ns // 1000,
            json=content,
        ).encode(None if holder is None else holder.state_key)

    def _warning_left_ms(self, now_ns: int) -> int | None:
        if self._warning is None:
            return None
        left_ns = self._warning.since_ns + self._setup.timing.warning_ms * _MS - now_ns
        return max(left_ns // _MS, 0)

    def _blockers(self, now_ns: int, feedback: Feedback) -> tuple[str, ...]:
        if self._mode is M.LEASED:
            return self.arm_blockers(now_ns, feedback)
        if self._mode in STOPPED_MODES and self._authority.holder is not None:
            return self._guard(now_ns)
        if self._mode is M.ARMED and self._warning is None:
            return self.drive_blockers(now_ns, feedback, self._present)
        return ()

    def _authority_due(self, now_ns: int) -> bytes | None:
        if now_ns + SLACK_NS < self._due.authority_ns and not self._changed:
            return None
        self._changed = False
        self._due.authority_ns = now_ns + AUTHORITY_PERIOD_NS
        return report.authority_json(now_ns, self._authority, self._setup.boot_tag)

    def _telemetry_due(self, now_ns: int) -> tuple[tuple[str, bytes], ...]:
        if now_ns + SLACK_NS < self._due.telemetry_ns:
            return ()
        self._due.telemetry_ns = now_ns + TELEMETRY_PERIOD_NS
        content = report.control_telemetry(
            self._acceptance,
            self._authority,
            self._wire.refused,
            figures=self._of_paths(self._paths.figures),
            silent_paths=self._silent_paths(now_ns),
            stops=self._stop_share,
            requests=self._request_share,
        )
        if not self._setup.locator:
            return (("control", content),)
        return ("control", content), ("position", telemetry(now_ns // 1000, self._place))

    def _of_paths(self, figure: Callable[[int], FigureT]) -> tuple[FigureT, ...]:
        return tuple(map(figure, range(len(self._acceptance.paths))))

    def _persist_due(self) -> Record | None:
        marks = self._mode in DRIVING or self._warning is not None
        latch = self._failsafe.latched or (DIED_DRIVING if marks else None)
        if self._asked.epoch == self._authority.epoch and self._asked.latch == latch:
            return None
        self._asked = Record(self._asked.generation + 1, self._authority.epoch, latch)
        return self._asked


def _wire(setup: Setup) -> ByWire | AdaptedWire:
    """Return the by-wire side in the machine's language."""
    limits, adapter = setup.limits, setup.adapter
    if adapter is None:
        return ByWire(limits.curvature_rate_per_m_s)
    translator = (
        J1939Translator(adapter, limits)
        if isinstance(adapter, J1939Adapter)
        else IsobusTranslator(adapter, limits)
    )
    return AdaptedWire(translator, limits, setup.timing)


def _next_slot(due_ns: int, now_ns: int, period_ns: int) -> int:
    """Return the next slot of a grid; off the grid (late, or another period) start a new one."""
    on_grid = -SLACK_NS <= now_ns - due_ns < period_ns
    return (due_ns if on_grid else now_ns) + period_ns


def _pull_mps2(feedback: Feedback) -> float:
    """Return what gravity pulls along the motion; an unknown pitch is a condition of its own."""
    forwards = (feedback.speed_mps or 0.0) >= 0.0
    uphill = (feedback.pitch_rad or 0.0) * (1.0 if forwards else -1.0)
    return max(-GRAVITY_MPS2 * uphill, 0.0)


def _with_horn(demand: Demand) -> Demand:
    return demand._replace(horn=True, lights=True)
