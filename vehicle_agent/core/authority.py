"""Authority: one driver at a time, granted by the vehicle under a fencing epoch.

A lease is granted to a signed request bound to the vehicle's current nonce. The epoch rises on
every grant and end of a lease, and is durable before a grant is answered: no epoch is ever
used twice, so a frame of an ended lease can never count again (fencing).
"""

from __future__ import annotations

from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from protocol.errors import ProtocolError, Refusal
from protocol.frames import session_keys
from protocol.freshness import Lease
from protocol.messages import (
    AckClaims,
    Outcome,
    RequestClaims,
    RequestKind,
    Role,
    StopClaims,
    Trust,
    verify_signed,
)
from protocol.signals import Timing
from vehicle_agent.core.entropy import Entropy

NONCE_BYTES = 16
MAY_DRIVE = frozenset({Role.DRIVER, Role.SUPERVISOR})
MAY_TAKE_OVER = frozenset({Role.SUPERVISOR})
WAIT_NS = 10_000_000_000
"""How long a request for a held lease waits for the holder's offer."""
NONCE_LIFE_NS = 2_000_000_000
"""Each nonce's turn; the one before still counts, so no request is older than two turns."""
MAY_STOP = frozenset({Role.DRIVER, Role.SUPERVISOR, Role.STOP_ONLY})


@dataclass(frozen=True, slots=True)
class Holder:
    """Who drives.

    Attributes:
        operator: identity. lease: for the acceptance of commands. state_key: for state tags.
        until_ns: the lease's end unless renewed. parked_until_ns: end without any enable.
    """

    operator: str
    lease: Lease
    state_key: bytes
    until_ns: int
    parked_until_ns: int


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer to one request, before it is signed."""

    operator: str
    claims: AckClaims


@dataclass(frozen=True, slots=True)
class Waiting:
    """Someone who asked for a lease that another holds.

    Attributes:
        claims: the request. until_ns: when it lapses.
        preempts: a supervisor takes over: the machine stops and the holder is not asked.
    """

    claims: RequestClaims
    until_ns: int
    preempts: bool


@dataclass(frozen=True, slots=True)
class _Pending:
    claims: RequestClaims
    epoch: int


class Authority:
    """Who may drive this boot. Keeps its own time only through ``now_ns`` arguments."""

    def __init__(
        self, vehicle: str, boot_tag: int, epoch: int, trust: Trust, timing: Timing, dice: Entropy
    ) -> None:
        self._vehicle = vehicle
        self._boot_tag = boot_tag
        self._trust = trust
        self._timing = timing
        self._dice = dice
        self._epoch = epoch + 1
        self._pending: _Pending | None = None
        self._waiting: Waiting | None = None
        self._displaced: RequestClaims | None = None
        self._holder: Holder | None = None
        self._nonce = dice.take(NONCE_BYTES).hex()
        self._nonces = {self._nonce}
        self._nonce_ns: int | None = None
        self.refused: dict[Refusal, int] = {}

    @property
    def epoch(self) -> int:
        """The epoch in force; durable before anyone is told a lease was granted."""
        return self._epoch

    @property
    def holder(self) -> Holder | None:
        """Who holds the lease, or None."""
        return self._holder

    @property
    def nonce(self) -> str:
        """What the next request must carry, 32 hex digits."""
        return self._nonce

    @property
    def granting(self) -> bool:
        """A grant waits for its epoch to be durable."""
        return self._pending is not None

    def read_request(self, token: bytes, sender: str) -> RequestClaims:
        """Return the proven claims of a request and use up the nonce, and the one before.

        Args:
            token: compact JWS. sender: the operator whose topic it came on.

        Raises:
            ProtocolError: with its reason, counted.
        """
        try:
            claims = verify_signed(token, self._trust)
            if not isinstance(claims, RequestClaims):
                raise ProtocolError("not a request", Refusal.UNKNOWN_KIND)
            self._check_address(claims.iss, sender, claims.aud, claims.boot)
            if self._trust[claims.iss].role not in MAY_DRIVE:
                raise ProtocolError("role may not drive", Refusal.WRONG_ROLE)
            if claims.nonce not in self._nonces:
                raise ProtocolError("nonce is not a current one", Refusal.WRONG_NONCE)
        except ProtocolError as error:
            self.count(error.reason)
            raise
        self._nonce = self._dice.take(NONCE_BYTES).hex()
        self._nonces = {self._nonce}
        return claims

    def age_nonce(self, now_ns: int) -> None:
        """Draw the next nonce when it is time: a request held back for long must not count."""
        if self._nonce_ns is None:
            self._nonce_ns = now_ns
        if now_ns - self._nonce_ns >= NONCE_LIFE_NS:
            self._nonce_ns = now_ns
            before, self._nonce = self._nonce, self._dice.take(NONCE_BYTES).hex()
            self._nonces = {before, self._nonce}

    def read_stop(self, token: bytes, sender: str) -> StopClaims:
        """Return the proven claims of a stop message.

        Raises:
            ProtocolError: with its reason, counted.
        """
        try:
            claims = verify_signed(token, self._trust)
            if not isinstance(claims, StopClaims):
                raise ProtocolError("not a stop", Refusal.UNKNOWN_KIND)
            self._check_address(claims.iss, sender, claims.aud, claims.boot)
            if self._trust[claims.iss].role not in MAY_STOP:
                raise ProtocolError("role may not stop", Refusal.WRONG_ROLE)
        except ProtocolError as error:
            self.count(error.reason)
            raise
        return claims

    @property
    def waiting(self) -> Waiting | None:
        """Who waits for the lease that another holds, or None."""
        return self._waiting

    def ask_lease(self, now_ns: int, claims: RequestClaims) -> Answer | None:
        """Begin a grant, or wait for the holder; None when the answer comes with the grant."""
        if claims.x25519 is None:
            self.count(Refusal.MALFORMED)
            return self.refuse(claims, "B108")
        if self._pending is not None:
            return self.refuse(claims, "B110")
        preempts = claims.kind is RequestKind.TAKE_OVER
        if preempts and self._trust[claims.iss].role not in MAY_TAKE_OVER:
            self.count(Refusal.WRONG_ROLE)
            return self.refuse(claims, "B109")
        if self._holder is None and self._waiting is None:
            self._begin_grant(claims)
            return None
        holds = self._holder is not None and self._holder.operator == claims.iss
        if holds or (self._waiting is not None and not preempts):
            return self.refuse(claims, "B106")
        if self._waiting is not None:
            self._displaced = self._waiting.claims
        self._waiting = Waiting(claims, now_ns + WAIT_NS, preempts)
        return self._answer(claims, Outcome.QUEUED, "B106")

    def lapse(self, now_ns: int) -> Answer | None:
        """Refuse a request that waited too long or made way; a take-over waits for standstill."""
        if self._displaced is not None:
            displaced, self._displaced = self._displaced, None
            return self.refuse(displaced, "B111")
        waiting = self._waiting
        if waiting is None or waiting.preempts or now_ns < waiting.until_ns:
            return None
        self._waiting = None
        return self.refuse(waiting.claims, "B111")

    def hand_over(self) -> None:
        """End the lease, if it still stands, and begin the grant to the one who waits.

        The caller has made sure of standstill, and of neutral controls if somebody drove.
        """
        waiting = self._waiting
        assert waiting is not None
        self._holder = None
        self._waiting = None
        self._begin_grant(waiting.claims)

    def _begin_grant(self, claims: RequestClaims) -> None:
        self._epoch += 1
        self._pending = _Pending(claims, self._epoch)

    def finish_grant(self, now_ns: int, durable_epoch: int) -> Answer | None:
        """Grant the lease that waits, once its epoch is durable; None while it is not."""
        pending = self._pending
        if pending is None or durable_epoch < pending.epoch:
            return None
        self._pending = None
        claims = pending.claims
        assert claims.x25519 is not None  # a request without a key begins no grant
        private = X25519PrivateKey.from_private_bytes(self._dice.take(32))
        try:
            peer = bytes.fromhex(claims.x25519)
            keys = session_keys(private, peer, self._boot_tag, pending.epoch)
        except ValueError:
            self.count(Refusal.UNKNOWN_KEY)
            return self.refuse(claims, "B108")
        key_id = pending.epoch & 0xFFFF
        lease_ns = self._timing.lease_ms * 1_000_000
        self._holder = Holder(
            operator=claims.iss,
            lease=Lease(key_id, pending.epoch, keys.command),
            state_key=keys.state,
            until_ns=now_ns + lease_ns,
            parked_until_ns=now_ns + self._timing.parked_lease_ms * 1_000_000,
        )
        public = private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw).hex()
        return Answer(
            claims.iss,
            AckClaims(
                iss=self._vehicle,
                aud=claims.iss,
                id=claims.id,
                kind=claims.kind,
                outcome=Outcome.GRANTED,
                boot=self._boot_tag,
                epoch=pending.epoch,
                key_id=key_id,
                x25519=public,
                ttl_ms=self._timing.lease_ms,
            ),
        )

    def withdraw(self, reason: str) -> tuple[Answer, ...]:
        """Refuse whoever waits, for an epoch to be durable or for the holder, with an event id."""
        waiting, self._waiting = self._waiting, None
        pending, self._pending = self._pending, None
        claims = [each.claims for each in (pending, waiting) if each is not None]
        return tuple(self.refuse(each, reason) for each in claims)

    def renew(self, now_ns: int, *, enable: bool) -> None:
        """Lengthen the lease by an accepted command."""
        holder = self._holder
        if holder is None:
            return
        parked = holder.parked_until_ns
        if enable:
            parked = now_ns + self._timing.parked_lease_ms * 1_000_000
        until = min(now_ns + self._timing.lease_ms * 1_000_000, parked)
        self._holder = Holder(holder.operator, holder.lease, holder.state_key, until, parked)

    def expired(self, now_ns: int) -> bool:
        """Return True once the lease's time is over."""
        return self._holder is not None and now_ns >= self._holder.until_ns

    def end(self) -> None:
        """End the lease and burn its epoch; who waits for it goes on waiting."""
        self._holder = None
        self._pending = None
        self._epoch += 1

    def done(self, claims: RequestClaims) -> Answer:
        """Return the answer that a request was carried out."""
        return self._answer(claims, Outcome.DONE, "")

    def refuse(self, claims: RequestClaims, reason: str) -> Answer:
        """Return the answer that a request was refused, with an event id as reason."""
        return self._answer(claims, Outcome.REFUSED, reason)

    def _answer(self, claims: RequestClaims, outcome: Outcome, reason: str) -> Answer:
        return Answer(
            claims.iss,
            AckClaims(
                iss=self._vehicle,
                aud=claims.iss,
                id=claims.id,
                kind=claims.kind,
                outcome=outcome,
                reason=reason,
                boot=self._boot_tag,
                epoch=self._epoch,
            ),
        )

    def _check_address(self, issuer: str, sender: str, audience: str, boot: int) -> None:
        if issuer != sender:
            raise ProtocolError("author of the topic and signer differ", Refusal.UNKNOWN_IDENTITY)
        if audience != self._vehicle:
            raise ProtocolError("for another vehicle", Refusal.WRONG_AUDIENCE)
        if boot != self._boot_tag:
            raise ProtocolError("for another boot", Refusal.WRONG_BOOT)

    def count(self, reason: Refusal) -> None:
        """Count a refusal."""
        self.refused[reason] = self.refused.get(reason, 0) + 1
