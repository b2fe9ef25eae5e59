"""One viewer's peer connection, from its offer to its end."""

from __future__ import annotations

import asyncio
import logging

from aiortc import RTCDataChannel, RTCPeerConnection, RTCSessionDescription

from protocol.messages import SignalClaims
from vehicle_agent.shell import rtc_compat
from vehicle_agent.shell.viewers import FrameAnnouncer, ViewerLink, ViewerTrack

CONNECT_WITHIN_S = 10.0
CLOSE_WITHIN_S = 2.0
FRAMES_CHANNEL = "frames"

logger = logging.getLogger("headframe.media")


class ViewerPeer:
    """One viewer's peer connection, from its offer to its end.

    Attributes:
        operator, viewer, session: whose it is, on which of the operator's screens.
        connected, ended: set once; `ended` also when it never connected.
    """

    def __init__(self, offer: SignalClaims, connection: RTCPeerConnection) -> None:
        self.operator = offer.iss
        self.viewer = offer.viewer
        self.session = offer.session
        self.connected = asyncio.Event()
        self.ended = asyncio.Event()
        self._settled = asyncio.Event()
        self.link = ViewerLink()
        self.announcer = FrameAnnouncer(self.link.queue)
        self._connection = connection
        connection.on("connectionstatechange", self._on_state)
        connection.on("datachannel", self._on_channel)

    def same_screen(self, other: ViewerPeer) -> bool:
        """Return whether both are for one screen: only one of them is looked at."""
        return (self.operator, self.viewer) == (other.operator, other.viewer)

    async def answer(
        self, offer_sdp: str, tracks: list[ViewerTrack], ice_addresses: list[str]
    ) -> str:
        """Return the answer's description.

        Raises:
            Exception: of many kinds, from aiortc, for a description that it cannot serve.
        """
        for track in tracks:
            transceiver = self._connection.addTransceiver(track, direction="sendonly")
            transceiver.setCodecPreferences(rtc_compat.h264_only())
        with rtc_compat.ice_addresses(ice_addresses):
            offer = RTCSessionDescription(rtc_compat.without_mdns_candidates(offer_sdp), "offer")
            await self._connection.setRemoteDescription(offer)
            await self._connection.setLocalDescription(await self._connection.createAnswer())
        return str(self._connection.localDescription.sdp)

    async def settle(self) -> None:
        """Wait until the peer is connected or over; one that takes too long is over."""
        try:
            async with asyncio.timeout(CONNECT_WITHIN_S):
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

    def _on_state(self) -> None:
        state = self._connection.connectionState
        if state == "connected":
            self.connected.set()
            self._settled.set()
        elif state in ("failed", "closed"):
            self.end()

    def _on_channel(self, channel: RTCDataChannel) -> None:
        if channel.label == FRAMES_CHANNEL:
            self.announcer.attach(channel)
