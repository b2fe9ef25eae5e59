"""A peer connection that somebody opens to the machine: what may open one, and how it lives.

Media and control peers differ in what they carry. Who may open them, and when they are over, is one
and the same: a signed offer of a role that may, under a session not seen before.
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Collection
from typing import Literal

from aiortc import RTCPeerConnection, RTCSessionDescription

from protocol.errors import ProtocolError, Refusal
from protocol.messages import Role, SignalClaims, Trust, verify_signed
from vehicle_agent.shell import rtc_compat

CLOSE_WITHIN_S = 2.0
MAX_SESSIONS_REMEMBERED = 4096

logger = logging.getLogger("headframe.peer")


class OwnWords(Exception):
    """Raised when a signal is this vehicle's own: the topic carries both directions."""


class Doorkeeper:
    """Judges the signals for one kind of peer connection.

    Args:
        vehicle: own name. peer: the kind. trust: whose signals count. roles: who may open one.
    """

    def __init__(
        self,
        vehicle: str,
        peer: Literal["media", "control"],
        trust: Trust,
        roles: Collection[Role],
    ) -> None:
        self._vehicle = vehicle
        self._peer = peer
        self._trust = trust
        self._roles = roles
        self._sessions: OrderedDict[str, None] = OrderedDict()

    def accepted(self, author: str, token: bytes) -> SignalClaims:
        """Return the claims of an offer or a "bye" that counts.

        Args:
            author: as the topic says. token: the signal.

        Raises:
            ProtocolError: with the reason why it does not count.
            OwnWords: this vehicle's own answer, heard back on the shared topic.
        """
        claims = verify_signed(token, self._trust)
        own = claims.iss == self._vehicle
        if own and isinstance(claims, SignalClaims) and claims.role != "offer":
            raise OwnWords
        if not isinstance(claims, SignalClaims) or claims.peer != self._peer:
            raise ProtocolError(f"not a signal for the {self._peer} peer", Refusal.UNKNOWN_KIND)
        if claims.iss != author:
            raise ProtocolError(
                f"signed by {claims.iss}, came as {author}", Refusal.UNKNOWN_IDENTITY
            )
        if claims.aud != self._vehicle:
            raise ProtocolError(f"meant for {claims.aud}", Refusal.WRONG_AUDIENCE)
        role = self._trust[claims.iss].role
        if role not in self._roles or claims.role == "answer":
            raise ProtocolError(f"a {role} may not send this {claims.role}", Refusal.WRONG_ROLE)
        if claims.role == "offer":
            self._note_session(claims.session)
        return claims

    def _note_session(self, session: str) -> None:
        if session in self._sessions:
            raise ProtocolError(f"session {session} seen before", Refusal.REPLAYED)
        self._sessions[session] = None
        if len(self._sessions) > MAX_SESSIONS_REMEMBERED:
            self._sessions.popitem(last=False)


def section_kinds(sdp: str) -> list[str]:
    """Return the kinds of a description's sections.

    Raises:
        ProtocolError: it is none.
    """
    try:
        return rtc_compat.section_kinds(sdp)
    except ValueError as error:
        raise ProtocolError(str(error), Refusal.MALFORMED) from error


class Peer:
    """One peer connection, from its offer to its end.

    Attributes:
        operator, session: of its offer.
        connected, ended: set once; `ended` also when it never connected.
    """

    def __init__(
        self, offer: SignalClaims, connection: RTCPeerConnection, connect_within_s: float
    ) -> None:
        self.operator = offer.iss
        self.session = offer.session
        self.connected = asyncio.Event()
        self.ended = asyncio.Event()
        self._settled = asyncio.Event()
        self._connect_within_s = connect_within_s
        self._connection = connection
        connection.on("connectionstatechange", self._on_state)

    async def answer(self, offer_sdp: str, ice_addresses: list[str]) -> str:
        """Return the answer's description.

        Raises:
            Exception: of many kinds, from aiortc, for a description that it cannot serve.
        """
        with rtc_compat.ice_addresses(ice_addresses):
            offer = RTCSessionDescription(rtc_compat.without_mdns_candidates(offer_sdp), "offer")
            await self._connection.setRemoteDescription(offer)
            await self._connection.setLocalDescription(await self._connection.createAnswer())
        return str(self._connection.localDescription.sdp)

    async def settle(self) -> None:
        """Wait until the peer is connected or over; one that takes too long is over."""
        try:
            async with asyncio.timeout(self._connect_within_s):
                await self._settled.wait()
        except TimeoutError:
            self.end()

    def end(self) -> None:
        """Let the peer's task close it."""
        self.ended.set()
        self._settled.set()

    async def close(self) -> None:
        """End the connection, whatever it comes upon; gives up waiting after a short time."""
        self.end()
        trouble = await rtc_compat.close(self._connection, CLOSE_WITHIN_S)
        if trouble is not None:
            logger.warning("peer %s of %s: %s", self.session[:8], self.operator, trouble)

    def _stands(self) -> None:
        self.connected.set()
        self._settled.set()

    def _on_state(self) -> None:
        if self._connection.connectionState in ("failed", "closed"):
            self.end()
