"""The machine's end of the control peer connection: commands and stops in, states out.

Consoles open it by a signed offer, the vehicle signs its answer, so that both DTLS fingerprints
are authentic end to end. What comes through is trusted no more than what comes by MQTT: the
guardian judges every byte. Nothing waits here: what a channel does not take now is dropped.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from aiortc import RTCDataChannel, RTCPeerConnection
from aiortc.exceptions import InvalidStateError
from joserfc.jwk import OKPKey

from protocol.control_peer import (
    BEAT,
    BEAT_PERIOD_S,
    CONTROL_CHANNEL,
    MAY_OPEN,
    STOP_CHANNEL,
)
from protocol.errors import ProtocolError, Refusal
from protocol.frames import COMMAND_BYTES
from protocol.messages import SignalClaims, Trust, sign_claims
from vehicle_agent.core.rate import Bucket
from vehicle_agent.shell import clock, rtc_compat
from vehicle_agent.shell.peer import Doorkeeper, OwnWords, Peer, section_kinds

CONNECT_WITHIN_S = 5.0
MAX_PEERS = 12
MAX_PEERS_OF_ONE = 3
"""The one that works, the one that comes after it, and one that is still being closed."""
MAX_WAITING_OFFERS = 8
STOP_MAX_BYTES = 2048
COMMAND_PERIOD_NS, COMMAND_BURST = 5_000_000, 32
"""As often as a console may command at all (protocol/signals.py), and what a burst may hold."""
STOP_PERIOD_NS, STOP_BURST = 25_000_000, 4
"""Twice as often as a console says a stop."""
OFFER_PERIOD_NS, OFFER_BURST = 500_000_000, 4
"""Offers of one operator: making a peer connection costs some milliseconds."""

logger = logging.getLogger("headframe.control")


@dataclass(slots=True)
class _Inbox:
    """What one peer may bring."""

    commands: Bucket = field(default_factory=lambda: Bucket(COMMAND_PERIOD_NS, COMMAND_BURST))
    stops: Bucket = field(default_factory=lambda: Bucket(STOP_PERIOD_NS, STOP_BURST))


class ControlPeer(Peer):
    """One console's control peer connection.

    Attributes:
        inbox: what it may bring.
    """

    def __init__(
        self,
        offer: SignalClaims,
        connection: RTCPeerConnection,
        on_message: Callable[[ControlPeer, str, str | bytes], None],
    ) -> None:
        super().__init__(offer, connection, CONNECT_WITHIN_S)
        self.inbox = _Inbox()
        self._on_message = on_message
        self._control: RTCDataChannel | None = None
        self._said = False
        connection.on("datachannel", self._on_channel)

    def send(self, data: bytes) -> bool:
        """Send now or not at all; return whether it left."""
        channel = self._control
        if channel is None or channel.readyState != "open" or channel.bufferedAmount:
            return False
        try:
            channel.send(data)
        except (InvalidStateError, ValueError):  # closed meanwhile, or more than the peer takes
            self.end()
            return False
        self._said = True
        return True

    def beat(self) -> None:
        """Say that the path lives, unless something was said since the last beat."""
        if not self._said:
            self.send(BEAT)
        self._said = False

    def _on_channel(self, channel: RTCDataChannel) -> None:
        label = channel.label
        if label == CONTROL_CHANNEL:
            self._control = channel
            self._stands()
        elif label != STOP_CHANNEL:
            return
        channel.on("message", lambda data: self._on_message(self, label, data))


class ControlPeers:
    """All control peers of one vehicle, and what may open one.

    Args:
        vehicle: own name. key: own Ed25519 key. trust: whose offers count.
        ice_addresses: own addresses offered; none given: every address of the machine.
        on_command: takes a frame. on_stop: takes an author and a signed stop.
        say: publishes a signed answer to an operator.

    Attributes:
        peers: living peers, oldest first.
        counts: what was refused, by reason, and what a channel did not take.
    """

    def __init__(
        self,
        vehicle: str,
        key: OKPKey,
        trust: Trust,
        ice_addresses: list[str],
        on_command: Callable[[bytes], None],
        on_stop: Callable[[str, bytes], None],
        say: Callable[[str, bytes], None],
    ) -> None:
        rtc_compat.install()
        self._vehicle = vehicle
        self._key = key
        self._doorkeeper = Doorkeeper(vehicle, "control", trust, MAY_OPEN)
        self._ice_addresses = ice_addresses
        self._on_command = on_command
        self._on_stop = on_stop
        self._say = say
        self._offers: asyncio.Queue[tuple[str, bytes]] = asyncio.Queue(MAX_WAITING_OFFERS)
        self._asking = {name: Bucket(OFFER_PERIOD_NS, OFFER_BURST) for name in trust}
        self.peers: list[ControlPeer] = []
        self.counts: Counter[str] = Counter()

    def take(self, author: str, token: bytes) -> None:
        """Take a signal for the control peer, to be looked at when there is time."""
        asking = self._asking.get(author)
        if asking is None:
            self.counts[Refusal.UNKNOWN_IDENTITY] += 1
        elif not asking.take(clock.monotonic_ns()) or self._offers.full():
            self.counts[Refusal.RATE_LIMITED] += 1
        else:
            self._offers.put_nowait((author, token))

    def send_state(self, data: bytes) -> None:
        """Send a state frame to every console that has a channel."""
        for peer in self.peers:
            if peer.connected.is_set() and not peer.send(data):
                self.counts["state_dropped"] += 1

    async def run(self) -> None:
        """Serve offers and beat, until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._beat(), name="control.beat")
            while True:
                author, token = await self._offers.get()
                try:
                    claims = self._doorkeeper.accepted(author, token)
                    if claims.role == "offer":
                        self._check_offer(claims)
                except OwnWords:
                    continue
                except ProtocolError as error:
                    self.counts[error.reason] += 1
                    logger.warning("control signal refused (%s): %s", error.reason, error)
                    continue
                if claims.role == "bye":
                    self._end_session(claims)
                    continue
                peer = self._admit(claims)
                name = f"control {claims.iss} {claims.session[:8]}"
                group.create_task(self._serve(peer, claims), name=name)

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(BEAT_PERIOD_S)
            for peer in self.peers:
                peer.beat()

    def _check_offer(self, claims: SignalClaims) -> None:
        kinds = section_kinds(claims.sdp)
        if kinds != ["application"]:
            raise ProtocolError(f"sections {kinds} for the control peer", Refusal.MALFORMED)
        of_operator = sum(peer.operator == claims.iss for peer in self.peers)
        if len(self.peers) >= MAX_PEERS or of_operator >= MAX_PEERS_OF_ONE:
            raise ProtocolError("too many control peers", Refusal.RATE_LIMITED)

    def _end_session(self, claims: SignalClaims) -> None:
        for peer in self.peers:
            if (peer.operator, peer.session) == (claims.iss, claims.session):
                peer.end()

    def _admit(self, offer: SignalClaims) -> ControlPeer:
        """Make room at once, so that the next offer is counted against it."""
        peer = ControlPeer(offer, rtc_compat.new_peer_connection(), self._on_message)
        for older in self.peers:
            if older.operator == peer.operator and not older.connected.is_set():
                older.end()
        self.peers.append(peer)
        return peer

    async def _serve(self, peer: ControlPeer, offer: SignalClaims) -> None:
        try:
            sdp = await peer.answer(offer.sdp, self._ice_addresses)
            self._send_answer(peer, sdp)
            await peer.settle()
            if peer.connected.is_set():
                self._retire_older(peer)
                await peer.ended.wait()
        except Exception:  # a description made to break aiortc must not end the process
            self.counts[Refusal.MALFORMED] += 1
            logger.exception("control peer of %s: session failed", offer.iss)
        finally:
            self.peers.remove(peer)
            await peer.close()

    def _retire_older(self, newest: ControlPeer) -> None:
        """End the operator's older peers now that the newer one has proven its keys.

        Not at the offer: an old offer sent again after a restart must not cost the path.
        """
        for peer in self.peers[: self.peers.index(newest)]:
            if peer.operator == newest.operator:
                peer.end()

    def _send_answer(self, peer: ControlPeer, sdp: str) -> None:
        claims = SignalClaims(
            iss=self._vehicle,
            aud=peer.operator,
            role="answer",
            peer="control",
            session=peer.session,
            sdp=sdp,
        )
        self._say(peer.operator, sign_claims(claims, self._key))

    def _on_message(self, peer: ControlPeer, channel: str, data: str | bytes) -> None:
        now_ns = clock.monotonic_ns()
        if channel == CONTROL_CHANNEL:
            if data == BEAT:
                return
            if isinstance(data, str) or len(data) != COMMAND_BYTES:
                self.counts[Refusal.MALFORMED] += 1
            elif not peer.inbox.commands.take(now_ns):
                self.counts[Refusal.RATE_LIMITED] += 1
            else:
                self._on_command(data)
        elif isinstance(data, str) or len(data) > STOP_MAX_BYTES:
            self.counts[Refusal.MALFORMED] += 1
        elif not peer.inbox.stops.take(now_ns):
            self.counts[Refusal.RATE_LIMITED] += 1
        else:
            self._on_stop(peer.operator, data)
