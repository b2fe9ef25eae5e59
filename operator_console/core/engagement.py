"""What this console asks of the machine: lease, arm, reset, enable, stop; it never decides."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

from protocol.frames import CommandKind, SessionKeys
from protocol.messages import Outcome, RequestKind
from protocol.state import VehicleMode

STATE_MAX_AGE_NS = 500_000_000
"""A state of a leased vehicle older than this is unknown (cockpit section 7)."""

STATE_MAX_AGE_IDLE_NS = 2_500_000_000
"""Without a lease a vehicle speaks at 1 Hz; two missed and a half make it unknown."""

REQUEST_PATIENCE_NS = 2_000_000_000
"""A request without an answer after this long is given up, and said so."""

WISH_PATIENCE_NS = 1_000_000_000
"""A wish that finds no nonce to be asked with is dropped after this long, never kept."""

STOP_PERIOD_NS = 50_000_000
"""A stop is said again at 20 Hz until the machine confirms it."""

STOP_ESCALATE_NS = 500_000_000
"""A stop without confirmation after this long is shown as not confirmed (cockpit rule 12)."""

MOVABLE_MODES = frozenset({VehicleMode.ARMED, VehicleMode.ACTIVE, VehicleMode.DEGRADED})
"""Modes in which holding enable means something; in all others it must be let go first."""


STOP_MODES = frozenset(
    {VehicleMode.STOPPING, VehicleMode.STOPPED, VehicleMode.ESTOP, VehicleMode.FAULT}
)
"""Modes in which a stop still stands."""

LATCHED_MODES = STOP_MODES - {VehicleMode.STOPPING}
"""Modes that a reset ends."""

DRIVING_MODES = frozenset({VehicleMode.ACTIVE, VehicleMode.DEGRADED})
"""Modes in which the machine is driven."""


class Engagement(StrEnum):
    """How far this console has got with the machine, as shown to the driver."""

    OFFLINE = "offline"
    FREE = "free"
    OTHER = "held_by_other"
    ASKING = "asking"
    LEASED = "leased"
    ARMED = "armed"
    ENABLED = "enabled"
    STOPPING = "stop_pending"


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to drive that the vehicle granted to this console.

    Attributes:
        epoch: fencing epoch. key_id: names the keys. boot_tag: of the guardian's run.
    """

    epoch: int
    key_id: int
    boot_tag: int
    keys: SessionKeys


class EnableGate:
    """Lets the dead-man through only when it was let go since the last trip.

    Nothing re-enables by itself: after a lost page, a stop, a new lease or a hidden screen
    the driver must open the hand and close it again (cockpit rules 5 to 7).
    """

    def __init__(self) -> None:
        self._released = False

    @property
    def must_release(self) -> bool:
        """Enable is barred until the dead-man has been seen open."""
        return not self._released

    def pass_through(self, held: bool, allowed: bool) -> bool:
        """Return whether enable goes out now.

        Args:
            held: the dead-man is held; False as well when there is no valid input.
            allowed: lease, machine and input permit enable; False trips the gate.
        """
        if not allowed:
            self._released = False
            return False
        if not held:
            self._released = True
            return False
        return self._released


@dataclass(frozen=True, slots=True)
class PendingStop:
    """A stop that the driver asked and the machine has not confirmed yet."""

    id: str
    since_ns: int
    reason: str

    def unconfirmed(self, now_ns: int) -> bool:
        """It has taken too long: the driver must use the hard-wired stop."""
        return now_ns - self.since_ns > STOP_ESCALATE_NS


class StopLatch:
    """Keeps a stop standing until the machine's state carries its id."""

    def __init__(self) -> None:
        self.pending: PendingStop | None = None
        self.confirmed_id: str | None = None
        self._next_ns = 0

    def press(self, stop_id: str, reason: str, now_ns: int) -> None:
        """The driver pressed STOP; pressing again while one is pending keeps the first."""
        if self.pending is None:
            self.pending = PendingStop(stop_id, now_ns, reason)
            self.confirmed_id = None
            self._next_ns = now_ns

    def state_says(self, stop_id: str | None, mode: VehicleMode) -> None:
        """Take in the stop id that the machine confirms; with its stop over, so is ours."""
        if self.pending is not None and stop_id == self.pending.id:
            self.confirmed_id, self.pending = stop_id, None
        elif mode not in STOP_MODES:
            self.confirmed_id = None

    def due(self, now_ns: int) -> PendingStop | None:
        """Return the stop when it is time to say it again."""
        if self.pending is None or now_ns < self._next_ns:
            return None
        self._next_ns = max(self._next_ns + STOP_PERIOD_NS, now_ns)
        return self.pending


@dataclass(frozen=True, slots=True)
class Wish:
    """An action that the driver asked and that still needs a nonce to be signed with."""

    kind: RequestKind
    since_ns: int


@dataclass(frozen=True, slots=True)
class Asked:
    """A request on its way."""

    id: str
    kind: RequestKind
    since_ns: int


@dataclass(frozen=True, slots=True)
class Answer:
    """How the last request ended, for the screen."""

    kind: RequestKind
    outcome: str
    reason: str
    at_ns: int


QUEUE_PATIENCE_NS = 30_000_000_000
"""How long a queued request may wait for the grant: a loaded truck has to stop first."""


class Requests:
    """One request at a time, each with a nonce of its own; the newest wish wins."""

    def __init__(self) -> None:
        self._wish: Wish | None = None
        self._spent_nonce: str | None = None
        self.asked: Asked | None = None
        self.answer: Answer | None = None

    def wish(self, kind: RequestKind, now_ns: int) -> None:
        """The driver asked for ``kind``."""
        self._wish = Wish(kind, now_ns)

    def refuse(self, kind: RequestKind, reason: str, now_ns: int) -> None:
        """This console does not ask for it, and says why."""
        self.answer = Answer(kind, "refused", reason, now_ns)

    def next_to_ask(self, nonce: str | None, request_id: str, now_ns: int) -> Asked | None:
        """Return the request to sign and send now, if any; the nonce is spent with it."""
        self._give_up(now_ns)
        if self._wish is None or self.asked is not None:
            return None
        if nonce is None or nonce == self._spent_nonce:
            return None
        self.asked = Asked(request_id, self._wish.kind, now_ns)
        self._wish, self._spent_nonce = None, nonce
        return self.asked

    @property
    def queued(self) -> bool:
        """The request on its way waits for the holder, or for the machine to stop."""
        answer = self.answer
        return self.asked is not None and answer is not None and answer.outcome == Outcome.QUEUED

    def answered(self, request_id: str, outcome: str, reason: str, now_ns: int) -> bool:
        """Take in an answer; return whether it belongs to the request on its way.

        A request that is queued stays on its way: the holder is asked, or the machine stops
        first, and the grant comes under the same id.
        """
        if self.asked is None or self.asked.id != request_id:
            return False
        self.answer = Answer(self.asked.kind, outcome, reason, now_ns)
        queued = outcome == Outcome.QUEUED
        self.asked = replace(self.asked, since_ns=now_ns + QUEUE_PATIENCE_NS) if queued else None
        return True

    def _give_up(self, now_ns: int) -> None:
        if self._wish is not None and now_ns - self._wish.since_ns > WISH_PATIENCE_NS:
            self.answer = Answer(self._wish.kind, "refused", "no_nonce", now_ns)
            self._wish = None
        if self.asked is not None and now_ns - self.asked.since_ns > REQUEST_PATIENCE_NS:
            self.answer = Answer(self.asked.kind, "refused", "no_answer", now_ns)
            self.asked = None


def kind_to_send(enable: bool, stop_pending: bool) -> CommandKind:
    """Return the kind of the next command: a stop wins, then the dead-man, else parked."""
    if stop_pending:
        return CommandKind.STOP
    return CommandKind.DRIVE if enable else CommandKind.PARKED


def engagement(
    *,
    state_known: bool,
    mode: VehicleMode | None,
    lease: Lease | None,
    held_by_other: bool,
    asking: bool,
    enable: bool,
    stop_pending: bool,
) -> Engagement:
    """Return how far this console has got; a pending stop and silence come first."""
    if stop_pending:
        return Engagement.STOPPING
    if not state_known:
        return Engagement.OFFLINE
    if lease is None:
        if asking:
            return Engagement.ASKING
        return Engagement.OTHER if held_by_other else Engagement.FREE
    if mode in MOVABLE_MODES:
        return Engagement.ENABLED if enable else Engagement.ARMED
    return Engagement.LEASED
