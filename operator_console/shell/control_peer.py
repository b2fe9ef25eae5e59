"""The console's end of the control peer connection: kept up, and made anew while MQTT goes on.

A peer that falls silent is not closed but replaced: it goes on until its successor stands, and
may come back before. Nothing waits here: what a channel does not take now is dropped.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections import Counter
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

from aiortc import RTCDataChannel, RTCPeerConnection, RTCSessionDescription
from aiortc.exceptions import InvalidStateError
from joserfc.jwk import OKPKey

from operator_console.core.session import Outgoing
from operator_console.shell import rtc_receive
from operator_console.shell.clock import monotonic_ns
from protocol.control_peer import BEAT, CONTROL_CHANNEL, STOP_CHANNEL
from protocol.errors import ProtocolError, Refusal
from protocol.messages import Role, SignalClaims, Trust, sign_claims, verify_signed
from protocol.topics import Topics

SILENT_NS = 800_000_000
"""A path on which neither state nor beat has come for this long is lost."""
UPLINK_GRACE_NS = 5_000_000_000
"""A new peer has this long to show that commands come by it, before the next one is made."""
LOOK_S = 0.1
OPEN_WITHIN_S = 2.5
"""From the offer to an open channel: an answer and some round trips."""
CLOSE_WITHIN_S = 2.0
AGAIN_MIN_S, AGAIN_MAX_S = 0.2, 5.0
"""Between two attempts: twice as long each time, so that a machine without a peer has peace."""

logger = logging.getLogger("headframe.control")


@dataclass(slots=True)
class Attempt:
    """One peer connection: on its way, in use, or replaced.

    Attributes:
        session: names it in the signals.
        since_ns, heard_ns: when its channel opened, and when it last brought anything.
        answered: its one answer has come. opened, over: it has. settled: set with either.
    """

    connection: RTCPeerConnection
    control: RTCDataChannel
    stop: RTCDataChannel
    session: str = field(default_factory=lambda: secrets.token_hex(16))
    since_ns: int = 0
    heard_ns: int = 0
    answered: bool = False
    opened: bool = False
    over: bool = False
    settled: asyncio.Event = field(default_factory=asyncio.Event)

    def end(self) -> None:
        """It is over, whether it ever opened or not."""
        self.over = True
        self.settled.set()


class ControlPath:
    """One console's data channels to one vehicle.

    Args:
        operator: own identity. topics: of the vehicle. key: own Ed25519 key.
        trust: whose answers count. ice_addresses: own addresses offered; none: every one.
        post: publishes a signal; returns False when it cannot leave now.
        on_state: takes what the vehicle says on the control channel.
        on_change: told when the path came or went.

    Attributes:
        counts: what was refused, by reason, and what a channel did not take.
    """

    def __init__(
        self,
        operator: str,
        topics: Topics,
        key: OKPKey,
        trust: Trust,
        ice_addresses: tuple[str, ...],
        post: Callable[[Outgoing], bool],
        on_state: Callable[[bytes], None],
        on_change: Callable[[bool], None],
        clock_ns: Callable[[], int] = monotonic_ns,
    ) -> None:
        rtc_receive.install()
        self._operator = operator
        self._topics = topics
        self._key = key
        self._trust = trust
        self._ice_addresses = ice_addresses
        self._post = post
        self._on_state = on_state
        self._on_change = on_change
        self._clock_ns = clock_ns
        self._used: Attempt | None = None
        self._tried: Attempt | None = None
        self._group: asyncio.TaskGroup | None = None
        self._uplink_out = False
        self._up = False
        self.counts: Counter[str] = Counter()

    @property
    def up(self) -> bool:
        """A channel is open and something came on it lately."""
        used = self._used
        return used is not None and not self._lost(used)

    def send_command(self, frame: bytes) -> bool:
        """Send a frame now or not at all; return whether it left."""
        return self._used is not None and self._send(self._used.control, frame)

    def send_stop(self, token: bytes) -> bool:
        """Send a signed stop now or not at all; return whether it left."""
        return self._used is not None and self._send(self._used.stop, token)

    def uplink_is(self, *, out: bool) -> None:
        """Take what the vehicle says: that commands come by this path, or none do."""
        self._uplink_out = out

    async def run(self) -> None:
        """Keep a peer up until cancelled."""
        try:
            async with asyncio.TaskGroup() as self._group:
                self._spawn(self._watch())
                await self._keep_up()
        finally:
            for attempt in (self._used, self._tried):
                if attempt is not None:
                    await self._close(attempt)
            self._used = self._tried = self._group = None

    async def _keep_up(self) -> None:
        wait_s = AGAIN_MIN_S
        while True:
            if self._works() or await self._replace():
                wait_s = AGAIN_MIN_S
                await self._until_lost()
            else:
                await asyncio.sleep(wait_s)
                wait_s = min(2 * wait_s, AGAIN_MAX_S)

    def hear_signal(self, data: bytes) -> None:
        """Take in a signal for the control peer; what does not count is counted by its reason."""
        try:
            claims = verify_signed(data, self._trust)
        except ProtocolError as error:
            self.counts[error.reason] += 1
            return
        if claims.iss == self._operator:
            return
        tried = self._tried
        refusal = self._refusal_of(claims)
        if refusal is not None:
            self.counts[refusal] += 1
            return
        assert isinstance(claims, SignalClaims)
        if tried is None or tried.answered or claims.session != tried.session:
            self.counts[Refusal.REPLAYED] += 1
            return
        tried.answered = True
        self._spawn(self._accept(tried, claims.sdp))

    # ---- one peer after the other ------------------------------------------------------

    async def _replace(self) -> bool:
        """Make a peer; return True once it is in use in place of the one before."""
        attempt = self._tried = self._new_attempt()
        try:
            async with asyncio.timeout(OPEN_WITHIN_S):
                if await self._offer(attempt):
                    await attempt.settled.wait()
        except TimeoutError:
            self.counts["not_opened"] += 1
        except Exception as error:  # whatever aiortc comes upon must not end the console
            self.counts["failed"] += 1
            logger.warning("control peer: %s", error)
        self._tried = None
        if attempt.over or not attempt.opened:
            self._spawn(self._close(attempt))
            return False
        before, self._used = self._used, attempt
        if before is not None:
            self._spawn(self._close(before))
        self._look()
        return True

    async def _until_lost(self) -> None:
        while self._works():  # noqa: ASYNC110 - time alone may end it
            await asyncio.sleep(LOOK_S)
        self.counts["lost"] += 1

    def _works(self) -> bool:
        """The peer in use needs no successor."""
        used = self._used
        if used is None or self._lost(used):
            return False
        return not self._uplink_out or self._clock_ns() - used.since_ns < UPLINK_GRACE_NS

    def _lost(self, attempt: Attempt) -> bool:
        return attempt.over or self._clock_ns() - attempt.heard_ns > SILENT_NS

    async def _watch(self) -> None:
        """Tell that the path went while a successor is being made, which takes its time."""
        while True:
            self._look()
            await asyncio.sleep(LOOK_S)

    def _look(self) -> None:
        """Tell when the path came or went, by what was heard on it last."""
        if self._up != self.up:
            self._up = not self._up
            self._on_change(self._up)

    def _new_attempt(self) -> Attempt:
        connection = rtc_receive.new_peer_connection()
        attempt = Attempt(
            connection,
            connection.createDataChannel(CONTROL_CHANNEL, ordered=False, maxRetransmits=0),
            connection.createDataChannel(STOP_CHANNEL, ordered=False, maxRetransmits=0),
        )
        attempt.control.on("open", lambda: self._opened(attempt))
        attempt.control.on("message", lambda data: self._heard(attempt, data))
        connection.on("connectionstatechange", lambda: _note_state(attempt))
        return attempt

    async def _offer(self, attempt: Attempt) -> bool:
        connection = attempt.connection
        with rtc_receive.ice_addresses(self._ice_addresses):
            await connection.setLocalDescription(await connection.createOffer())
        return self._post(self._signal("offer", attempt.session, connection.localDescription.sdp))

    async def _accept(self, attempt: Attempt, sdp: str) -> None:
        try:
            await attempt.connection.setRemoteDescription(RTCSessionDescription(sdp, "answer"))
        except Exception as error:  # an answer that aiortc cannot take: of many kinds
            self.counts[Refusal.MALFORMED] += 1
            logger.warning("answer of the control peer: %s", error)
            attempt.end()

    def _opened(self, attempt: Attempt) -> None:
        attempt.since_ns = attempt.heard_ns = self._clock_ns()
        attempt.opened = True
        attempt.settled.set()

    def _heard(self, attempt: Attempt, data: str | bytes) -> None:
        if isinstance(data, str):
            self.counts[Refusal.MALFORMED] += 1
            return
        attempt.heard_ns = self._clock_ns()
        self._look()
        if data != BEAT:
            self._on_state(data)

    def _send(self, channel: RTCDataChannel, data: bytes) -> bool:
        if channel.readyState != "open" or channel.bufferedAmount:
            self.counts["not_taken"] += 1
            return False
        try:
            channel.send(data)
        except (InvalidStateError, ValueError):  # closed meanwhile, or more than the peer takes
            self.counts["not_taken"] += 1
            return False
        return True

    def _refusal_of(self, claims: object) -> Refusal | None:
        if not isinstance(claims, SignalClaims) or claims.peer != "control":
            return Refusal.UNKNOWN_KIND
        if claims.role != "answer":
            return Refusal.UNKNOWN_KIND
        if claims.iss != self._topics.vehicle or self._trust[claims.iss].role is not Role.VEHICLE:
            return Refusal.WRONG_ROLE
        return None if claims.aud == self._operator else Refusal.WRONG_AUDIENCE

    def _signal(self, role: str, session: str, sdp: str) -> Outgoing:
        content = {
            "iss": self._operator,
            "aud": self._topics.vehicle,
            "role": role,
            "peer": "control",
            "session": session,
            "sdp": sdp,
        }
        token = sign_claims(SignalClaims.model_validate(content), self._key)
        return Outgoing(self._topics.signal(self._operator), token, qos=1)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        if self._group is None:
            work.close()
        else:
            self._group.create_task(work, name="control peer")

    async def _close(self, attempt: Attempt) -> None:
        attempt.end()
        if attempt.answered:
            self._post(self._signal("bye", attempt.session, ""))
        trouble = await rtc_receive.close(attempt.connection, CLOSE_WITHIN_S)
        if trouble is not None:
            self.counts["not_closed"] += 1
            logger.warning("control peer: %s", trouble)


def _note_state(attempt: Attempt) -> None:
    if attempt.connection.connectionState in ("failed", "closed"):
        attempt.end()
