"""An exhaustive walk over who drives, what is latched and what the machine may do.

The real supervisor decides: its ladder of modes, its fail-safe table, its authority. Only its
senses are replaced, so that every combination of what it can sense is given to it in every state
it can come to. What is abstracted is numbers: a command is acting, late or missing; a warning is
young, over or too old. ``HEADFRAME_PROOF=long`` also tells every cause of a stop apart and gives
every single condition of the table; otherwise one of each kind stands for its like.
"""

from __future__ import annotations

import os
import sys
from collections import Counter, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import cache
from itertools import combinations, product
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from protocol.dbw.codec import EcuMode
from protocol.frames import CommandFrame, CommandKind, SessionKeys
from protocol.freshness import Accepted, Lease, PathCounters
from protocol.messages import AckClaims, Outcome, RequestClaims, RequestKind
from protocol.signals import DEFAULT_TIMING
from protocol.state import CapReason, VehicleMode
from tests.rig import PEOPLE, START_NS, TICK_NS, TRUST, VEHICLE, machine_profile
from vehicle_agent.core import authority as authority_module
from vehicle_agent.core import supervisor as supervisor_module
from vehicle_agent.core.authority import Authority, Holder, Waiting, _Pending
from vehicle_agent.core.bywire import Feedback, Supervision
from vehicle_agent.core.conditions import CONDITION_NAMES, Conditions
from vehicle_agent.core.driver import is_neutral
from vehicle_agent.core.entropy import Entropy
from vehicle_agent.core.failsafe import DRIVING, TABLE, Action, FailSafe
from vehicle_agent.core.gate import Demand, Permit
from vehicle_agent.core.governor import SpeedCap
from vehicle_agent.core.record import Record
from vehicle_agent.core.supervisor import DIED_DRIVING, Setup, Supervisor, TickInputs, _Warning
from vehicle_agent.core.watch import Heard

LONG = os.environ.get("HEADFRAME_PROOF") == "long"
M = VehicleMode
K = RequestKind
EPOCH = 10
SESSION = 7
NOW_NS = START_NS
ANY_CAUSE = "G102"
SWAPPED = {"console-1": "console-2", "console-2": "console-1"}
LATCHED_MODES = frozenset({M.STOPPING, M.STOPPED, M.ESTOP, M.FAULT})
HELD_MODES = frozenset({M.LEASED, M.ARMED, M.ACTIVE, M.DEGRADED})
WARNING_NS = DEFAULT_TIMING.warning_ms * 1_000_000
AGES_NS = {"young": TICK_NS, "over": WARNING_NS, "too_old": 2 * WARNING_NS}
LIMITS = machine_profile().limits


# -- the table alone ----------------------------------------------------------------------------


@pytest.mark.parametrize("mode", M)
@pytest.mark.parametrize("row", TABLE, ids=lambda row: row.condition)
@pytest.mark.requirement("HF-STOP-15")
def test_one_condition_in_one_mode__does_what_its_row_says(row: Any, mode: VehicleMode) -> None:
    engine = FailSafe()
    counts = mode in row.scope

    verdict = engine.decide(mode, [row.condition])

    assert verdict.action is (row.action if counts else Action.NONE)
    assert verdict.holding == ((row.event,) if counts else ())
    assert verdict.cause == (row.event if counts else None)
    stops = counts and row.action >= Action.STOP
    assert engine.latched == (row.event if stops else None)
    after = engine.decide(mode, [])
    assert after.action is (row.action if stops else Action.NONE)


@pytest.mark.parametrize("mode", M)
@pytest.mark.requirement("HF-STOP-16")
def test_two_conditions_together__the_stricter_wins_and_the_upper_row_names_it(
    mode: VehicleMode,
) -> None:
    for (upper, first), (lower, second) in combinations(enumerate(TABLE), 2):
        alone = [
            FailSafe().decide(mode, [row.condition]).action if mode in row.scope else Action.NONE
            for row in (first, second)
        ]
        pair = [first.condition, second.condition]
        verdict = FailSafe().decide(mode, pair)

        assert verdict == FailSafe().decide(mode, reversed(pair))
        assert verdict.action is max(alone)
        named = first if alone[0] >= alone[1] else second
        assert verdict.cause == (named.event if max(alone) > Action.NONE else None)
        assert upper < lower


@pytest.mark.parametrize("mode", M)
@pytest.mark.requirement("HF-STOP-02")
def test_one_condition_after_another__cause_stays_unless_it_hardens_and_never_softens(
    mode: VehicleMode,
) -> None:
    for first, second in product(TABLE, TABLE):
        engine = FailSafe()
        before = engine.decide(mode, [first.condition])
        after = engine.decide(mode, [second.condition])
        alone = FailSafe().decide(mode, [second.condition])
        latched = before.action >= Action.STOP

        assert after.action is (max(before.action, alone.action) if latched else alone.action)
        hardens = after.action is Action.ESTOP and before.action is not Action.ESTOP
        explained = TABLE.index(first) < TABLE.index(second)
        replaced = hardens and not explained
        assert not latched or after.cause == (second.event if replaced else before.cause)


# -- the walk -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class State:
    """What the supervisor remembers, without its numbers.

    Attributes:
        latched, hard: the stop that stands. holder, pending: operators. waiting: who, and
        whether by take-over. warning: its age. mark: latch of the record asked for.
        written: that record is on disk.
    """

    mode: VehicleMode = M.STANDBY
    latched: str | None = None
    hard: bool = False
    holder: str | None = None
    pending: str | None = None
    waiting: tuple[str, bool] | None = None
    warning: str | None = None
    mark: str | None = None
    written: bool = True


@dataclass(frozen=True, slots=True)
class Sensed:
    """What one tick senses.

    Attributes:
        condition: of the table. standing: the machine stands. command: see COMMANDS.
        healthy: the link has been good for its time. ecu: its mode.
        request: kind and operator. happens: what time or disk bring.
    """

    condition: str | None
    standing: bool
    command: str
    healthy: bool
    ecu: EcuMode | None
    request: tuple[RequestKind, str] | None
    happens: str | None


@dataclass(frozen=True, slots=True)
class Did:
    """What the supervisor did in one tick."""

    permit: Permit
    command: CommandFrame | None
    enable: bool
    granted: tuple[str, ...]
    reset: bool
    armed: bool


def _frame(**values: Any) -> Accepted:
    fixed = dict.fromkeys(
        ("vehicle_id", "key_id", "sequence", "boot_tag", "echo_hold_us", "source_stamp_us"), 1
    )
    stamps = dict.fromkeys(("echo_stamp_us", "view_stamp_us"), 1)
    frame = CommandFrame(epoch=EPOCH, ttl_ms=250, **{**fixed, **stamps, **values})
    return Accepted(frame, 0, NOW_NS, 0, 0)


_HELD = {"kind": CommandKind.DRIVE, "enable": True, "display_ok": True}
COMMANDS: dict[str, tuple[Accepted | None, bool, bool]] = {
    "none": (None, False, False),
    "late": (_frame(**_HELD, neutral=True), False, True),
    "held": (_frame(**_HELD, neutral=True), True, True),
    "held_all_along": (_frame(**_HELD, neutral=True), True, False),
    "driving": (_frame(**_HELD, throttle=5_000, gear=1), True, True),
    "open": (_frame(kind=CommandKind.PARKED, neutral=True, display_ok=True), True, True),
    "open_in_gear": (_frame(kind=CommandKind.PARKED, gear=1, display_ok=True), True, True),
}
"""Newest command, whether it acts now, and whether enable was seen open since arming."""


@dataclass
class Senses:
    """Stands in for driver, gate, watch, wire and acceptance: says what the walk wants."""

    sensed: Sensed
    seen_released: bool = True
    permit: Permit = Permit.PARKED
    taken: CommandFrame | None = None
    supervision: Supervision | None = None
    last: Demand = field(default_factory=Demand)
    refused: dict[str, int] = field(default_factory=dict)
    newest_sequence: int | None = None
    paths: tuple[PathCounters, ...] = (PathCounters(), PathCounters())

    def standstill(self, _: int) -> bool:
        return self.sensed.standing

    def observe(self, *_: object) -> None:
        return

    receive = take = open_lease = close_lease = count_refusal = observe

    def forget(self) -> None:
        return

    def await_release(self) -> None:
        self.seen_released = False

    def step(
        self, _now_ns: int, permit: Permit, command: CommandFrame | None, *_: object
    ) -> Demand:
        self.permit, self.taken = permit, command
        return self.last

    def feedback(self, _: int) -> Feedback:
        key = self.sensed.condition != "local_key_turned"
        return Feedback(
            ecu=self.sensed.ecu,
            key_remote=key,
            estop="closed",
            speed_mps=0.0,
            session_echo=SESSION,
        )

    def transmit(self, _now_ns: int, _demand: Demand, supervision: Supervision, **_: bool) -> Any:
        self.supervision = supervision
        return ()

    def conditions(
        self, _ns: int, _mode: VehicleMode, *given: object, standing: bool, cap_mps: float
    ) -> Conditions:
        heard = next(thing for thing in given if isinstance(thing, Heard))
        names = ("lease_lost", "stop_by_driver", "stop_by_other", "second_authority")
        return _conditions(
            frozenset(name for name in names if getattr(heard, name)) | {self.sensed.condition}
        )

    @property
    def newest(self) -> Accepted | None:
        return COMMANDS[self.sensed.command][0]

    def acting(self, _: int) -> CommandFrame | None:
        newest, acts, _released = COMMANDS[self.sensed.command]
        return newest.frame if newest is not None and acts else None

    def neutral(self, now_ns: int) -> bool:
        frame = self.acting(now_ns)
        return frame is not None and is_neutral(frame)

    def enabled(self, now_ns: int) -> bool:
        frame = self.acting(now_ns)
        return frame is not None and frame.enable

    def healthy_ns(self, _: int) -> int:
        return 60_000_000_000 if self.sensed.healthy else 0

    def age_ns(self, _: int) -> int | None:
        return None


@cache
def _conditions(names: frozenset[str | None]) -> Conditions:
    return Conditions(**{name: True for name in names if name is not None})


@cache
def _public(operator: str) -> str:
    key = X25519PrivateKey.from_private_bytes(operator.encode().ljust(32, b"."))
    return key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw).hex()


@cache
def _claims(kind: RequestKind, operator: str, to: str | None = None) -> RequestClaims:
    asks = kind in (K.LEASE, K.TAKE_OVER)
    return RequestClaims(
        iss=operator,
        aud=VEHICLE,
        id="ab" * 16,
        kind=kind,
        nonce="0" * 32,
        boot=1,
        epoch=0 if asks else EPOCH,
        x25519=_public(operator) if asks else None,
        to=to,
    )


class OpenAuthority(Authority):
    """The real one; only signatures and nonces are taken as proven."""

    asked: RequestClaims | None = None

    def read_request(self, token: bytes, sender: str) -> RequestClaims:
        assert self.asked is not None
        return self.asked


class OpenSupervisor(Supervisor):
    """The real one; it decides and says nothing."""

    def _speed_cap(self, *_: object) -> SpeedCap:
        return SpeedCap(0.0, CapReason.ZONE)

    def _begun(self, *_: object) -> tuple[str, ...]:
        return ()

    def _state(self, *_: object) -> bytes | None:
        return None

    def _authority_due(self, now_ns: int) -> bytes | None:
        return None

    def _telemetry_due(self, now_ns: int) -> tuple[tuple[str, bytes], ...]:
        return ()


class Walker:
    """Puts the supervisor into a state, lets it take one tick, and reads where it is then."""

    def __init__(self) -> None:
        setup = Setup(
            vehicle=VEHICLE,
            key=PEOPLE[VEHICLE][0],
            trust=TRUST,
            limits=LIMITS,
            timing=DEFAULT_TIMING,
            boot_tag=1,
            seed=bytes(32),
            record=Record(0, EPOCH, None),
        )
        self.supervisor: Any = OpenSupervisor(setup)
        self.authority: Any = OpenAuthority(
            VEHICLE, 1, EPOCH, TRUST, DEFAULT_TIMING, Entropy(bytes(32))
        )
        self.supervisor._authority = self.authority

    def put(self, state: State, sensed: Sensed) -> Senses:
        senses = Senses(sensed, COMMANDS[sensed.command][2])
        it, who = self.supervisor, self.authority
        it._driver = it._gate = it._watch = it._wire = it._acceptance = senses
        it._mode, it._last_ns, it._session = state.mode, NOW_NS - TICK_NS, SESSION
        it._failsafe = FailSafe(state.latched, hard=state.hard)
        age = state.warning if sensed.happens not in AGES_NS else sensed.happens
        it._warning = None
        if age is not None:
            since_ns = NOW_NS - AGES_NS[age]
            deadline_ns = since_ns + WARNING_NS + WARNING_NS // 2
            it._warning = _Warning(since_ns, deadline_ns, since_ns)
        who._epoch = EPOCH
        it._asked = Record(2, EPOCH, state.mark)
        written = state.written or sensed.happens == "written"
        it._durable = it._asked if written else Record(1, EPOCH - 1, DIED_DRIVING)
        ends_ns = NOW_NS if sensed.happens == "expired" else NOW_NS + WARNING_NS
        who._holder = None
        if state.holder is not None:
            lease = Lease(EPOCH, EPOCH, b"")
            who._holder = Holder(state.holder, lease, b"", ends_ns, ends_ns)
        who._pending = None
        if state.pending is not None:
            who._pending = _Pending(_claims(K.LEASE, state.pending), EPOCH)
        who._waiting = None
        if state.waiting is not None:
            name, takes_over = state.waiting
            until_ns = NOW_NS if sensed.happens == "lapsed" else NOW_NS + WARNING_NS
            asked = _claims(K.TAKE_OVER if takes_over else K.LEASE, name)
            who._waiting = Waiting(asked, until_ns, takes_over)
        return senses

    def tick(self, state: State, sensed: Sensed) -> tuple[State, Did]:
        senses = self.put(state, sensed)
        requests: tuple[tuple[str, bytes], ...] = ()
        if sensed.request is not None:
            kind, name = sensed.request
            to = state.waiting[0] if kind is K.OFFER and state.waiting is not None else None
            self.authority.asked = _claims(kind, name, to)
            requests = ((name, b""),)
        outputs = self.supervisor.step(NOW_NS, TickInputs(requests=requests))
        acks: tuple[AckClaims, ...] = tuple(token for _, token in outputs.acks)
        done = [ack.kind for ack in acks if ack.outcome is Outcome.DONE]
        assert senses.supervision is not None
        did = Did(
            permit=senses.permit,
            command=senses.taken,
            enable=senses.supervision.enable,
            granted=tuple(ack.aud for ack in acks if ack.outcome is Outcome.GRANTED),
            reset=K.RESET in done,
            armed=K.ARM in done,
        )
        return self.read(state), did

    def read(self, before: State) -> State:
        it, who = self.supervisor, self.authority
        waiting = who._waiting
        warning = None
        if it._warning is not None:
            age_ns = NOW_NS - it._warning.since_ns
            warning = max(
                (name for name in AGES_NS if AGES_NS[name] <= max(age_ns, TICK_NS)),
                key=AGES_NS.__getitem__,
            )
        assert who._epoch >= EPOCH
        return State(
            mode=it._mode,
            latched=it._failsafe._latched,
            hard=it._failsafe._hard,
            holder=None if who._holder is None else who._holder.operator,
            pending=None if who._pending is None else who._pending.claims.iss,
            waiting=None if waiting is None else (waiting.claims.iss, waiting.preempts),
            warning=warning,
            mark=it._asked.latch,
            written=it._durable == it._asked,
        )


FEW_CONDITIONS = (
    None,
    "clock_trouble",
    "estop_open",
    "view_stale",
    "command_late",
    "local_key_turned",
    "path_silent",
)
"""One of each kind that the ladder of modes can tell apart; the rows themselves are above."""

HARD_EVENTS = {row.event for row in TABLE if row.action is Action.ESTOP}

WITH_REQUESTS = (None, "estop_open", "local_key_turned")


def _happenings(state: State) -> Iterator[tuple[tuple[RequestKind, str] | None, str | None]]:
    yield None, None
    yield (K.LEASE, "console-1"), None
    yield (K.LEASE, "console-2"), None
    yield (K.TAKE_OVER, "chief"), None
    if state.holder is not None:
        for kind in (K.ARM, K.DISARM, K.RESET, K.RELEASE, K.OFFER):
            yield (kind, state.holder), None
        yield (K.RESET, "chief" if state.holder != "chief" else "console-1"), None
        yield None, "expired"
    if state.waiting is not None:
        yield None, "lapsed"
    if not state.written:
        yield None, "written"
    if state.warning is not None:
        yield None, "over"
        yield None, "too_old"


def _sensations(state: State) -> Iterator[Sensed]:
    names = (None, *CONDITION_NAMES) if LONG else FEW_CONDITIONS
    ecus = [EcuMode.STANDBY, EcuMode.FAULT]
    if state.mode in (M.LEASED, M.ARMED):
        ecus = [EcuMode.STANDBY, EcuMode.ACTIVE] + ([None] if LONG else [])  # type: ignore[list-item]
    commands = COMMANDS if LONG or state.holder is not None else ("none", "late", "held")
    for request, happens in _happenings(state):
        guarded = request is not None and request[0] in (K.ARM, K.RESET)
        some = names if LONG or request is None else WITH_REQUESTS
        for name, standing, command, ecu in product(some, (True, False), commands, ecus):
            for healthy in (True, False) if guarded else (True,):
                yield Sensed(name, standing, command, healthy, ecu, request, happens)


def _kind_of(state: State) -> State:
    """Let like states be one: the two drivers are alike, and so are all causes of a stop.

    What differs by cause is proven row by row, and told apart in the long walk.
    """
    waits = None if state.waiting is None else state.waiting[0]
    named = [name for name in (state.holder, state.pending, waits) if name in SWAPPED]
    if named and named[0] == "console-2":
        state = replace(
            state,
            holder=SWAPPED.get(state.holder or "", state.holder),
            pending=SWAPPED.get(state.pending or "", state.pending),
            waiting=state.waiting and (SWAPPED.get(waits or "", waits or ""), state.waiting[1]),
        )
    if LONG or state.latched is None:
        return state
    mark = ANY_CAUSE if state.mark == state.latched else state.mark
    return replace(state, latched=ANY_CAUSE, mark=mark)


def _judge(state: State, sensed: Sensed, after: State, did: Did) -> None:
    newest, acts, released = COMMANDS[sensed.command]
    # Traction only while ACTIVE, under a lease, by a command that acts now.
    if did.permit is Permit.DRIVE:
        assert after.mode is M.ACTIVE
    if did.command is not None:
        assert did.permit in (Permit.DRIVE, Permit.COAST)
        assert after.mode in DRIVING
        assert acts
    if after.mode in HELD_MODES:
        assert after.holder is not None
    if after.mode in DRIVING:
        assert (after.mark, after.written) == (DIED_DRIVING, True)
    # Enable only while driving, stopping, or in the warning.
    if did.enable:
        assert after.mode in DRIVING | {M.STOPPING} or (
            after.mode is M.ARMED and after.warning is not None
        )
    assert after.warning is None or after.mode is M.ARMED
    # A stop is latched, and only a reset with every guard held takes the latch off.
    assert (after.latched is not None) == (
        after.mode in LATCHED_MODES or (after.mode is M.LOCAL and after.latched is not None)
    )
    assert not after.hard or after.mode in (M.ESTOP, M.FAULT, M.LOCAL)
    if after.latched is not None:
        assert did.permit in (Permit.STOP, Permit.ESTOP)
        assert not after.hard or after.mode is not M.ESTOP or did.permit is Permit.ESTOP
    hardens = after.hard and not state.hard
    if state.latched is not None and hardens:
        assert after.latched in HARD_EVENTS | {state.latched}
    elif state.latched is not None and after.latched != state.latched:  # the cause stays
        assert did.reset
        assert sensed.request == (K.RESET, state.holder)
        assert sensed.standing
        assert sensed.healthy
        assert sensed.command == "open"
        assert after.mode in (M.STANDBY, M.LEASED, M.LOCAL, *LATCHED_MODES)
    # Every rung of the ladder has its own guard.
    if after.mode is M.ARMED and state.mode not in DRIVING | {M.ARMED}:
        assert did.armed
        assert (state.mode, state.latched, sensed.command) == (M.LEASED, None, "open")
        assert sensed.standing
        assert sensed.healthy
    if after.mode in DRIVING and state.mode not in DRIVING:
        assert (state.mode, sensed.command, sensed.ecu) == (M.ARMED, "held", EcuMode.ACTIVE)
        aged = sensed.happens if sensed.happens in AGES_NS else state.warning
        assert aged in ("over", "too_old")
        assert sensed.standing
        assert released
        assert newest is not None
    # One holder; nobody loses a driven machine without a stop; nobody gets one that moves.
    if after.holder not in (None, state.holder):
        assert state.holder is None
        assert did.granted == (after.holder,)
        assert state.pending == after.holder
        assert state.mode not in DRIVING
    if state.mode in DRIVING and after.holder is None:
        disarmed = sensed.standing and sensed.request == (K.DISARM, state.holder)
        assert after.latched is not None or (disarmed and after.mode is M.LOCAL)
    if after.holder is not None:
        assert after.pending is None
        assert after.mode is not M.LOCAL


@pytest.mark.timeout(0 if LONG else 120)
@pytest.mark.requirement(
    "HF-CMD-14",
    "HF-AUTH-01",
    "HF-AUTH-07",
    "HF-AUTH-08",
    "HF-STOP-02",
    "HF-STOP-05",
    "HF-STOP-06",
    "HF-STOP-07",
    "HF-STOP-08",
    "HF-STOP-19",
    "HF-ECU-05",
    "HF-GUARD-04",
)
def test_every_state_that_can_be_reached__keeps_every_rule_and_leads_back_to_driving(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    record_property: Callable[[str, object], None],
) -> None:
    def unsigned(claims: AckClaims, _key: object) -> AckClaims:
        return claims

    def keyless(*_: object) -> SessionKeys:
        return SessionKeys(b"", b"")

    monkeypatch.setattr(supervisor_module, "sign_claims", unsigned)
    monkeypatch.setattr(authority_module, "session_keys", keyless)
    walker = Walker()
    start = State()
    leads_to: dict[State, set[State]] = {start: set()}
    todo = deque([start])
    transitions = 0
    while todo:
        state = todo.popleft()
        for sensed in _sensations(state):
            after, did = walker.tick(state, sensed)
            transitions += 1
            try:
                _judge(state, sensed, after, did)
            except AssertionError as error:
                raise AssertionError(f"{state}\n{sensed}\n{after}\n{did}\n{error}") from error
            after = _kind_of(after)
            leads_to[state].add(after)
            if after not in leads_to:
                leads_to[after] = set()
                todo.append(after)

    modes = Counter(state.mode.value for state in leads_to)
    counted = {"states": len(leads_to), "transitions": transitions}
    for name, number in counted.items():
        record_property(name, number)
    with capsys.disabled():
        sys.stdout.write(f" walk {counted} {dict(modes)} ")
    assert set(modes) == {mode.value for mode in M}
    assert len(leads_to) > 100
    assert transitions > 100_000
    assert not _dead_ends(leads_to)


def _dead_ends(leads_to: dict[State, set[State]]) -> set[State]:
    """Return the states from which nothing a person can do leads back to driving."""
    comes_from: dict[State, set[State]] = {state: set() for state in leads_to}
    for state, targets in leads_to.items():
        for target in targets:
            comes_from[target].add(state)
    alive = {state for state in leads_to if state.mode is M.ACTIVE}
    todo = deque(alive)
    while todo:
        for state in comes_from[todo.popleft()] - alive:
            alive.add(state)
            todo.append(state)
    return set(leads_to) - alive
