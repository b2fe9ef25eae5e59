"""One viewer's peer connection, from its offer to its end."""

from __future__ import annotations

from collections.abc import Sequence

from aiortc import RTCDataChannel, RTCPeerConnection

from protocol.messages import SignalClaims
from vehicle_agent.shell import rtc_compat
from vehicle_agent.shell.peer import Peer
from vehicle_agent.shell.viewers import FrameAnnouncer, ViewerLink

CONNECT_WITHIN_S = 10.0
FRAMES_CHANNEL = "frames"


class ViewerPeer(Peer):
    """One viewer's peer connection.

    Attributes:
        viewer: on which of the operator's screens.
        link, announcer: what it is sent, and what is told of it.
    """

    def __init__(self, offer: SignalClaims, connection: RTCPeerConnection) -> None:
        super().__init__(offer, connection, CONNECT_WITHIN_S)
        self.viewer = offer.viewer
        self.link = ViewerLink()
        self.announcer = FrameAnnouncer(self.link.queue)
        connection.on("datachannel", self._on_channel)

    def same_screen(self, other: ViewerPeer) -> bool:
        """Return whether both are for one screen: only one of them is looked at."""
        return (self.operator, self.viewer) == (other.operator, other.viewer)

    def show(self, tracks: Sequence[rtc_compat.SharedStreamTrack]) -> None:
        """Take what is sent to it; before it answers."""
        for track in tracks:
            transceiver = self._connection.addTransceiver(track, direction="sendonly")
            transceiver.setCodecPreferences(rtc_compat.only(track.codec))

    def _on_state(self) -> None:
        super()._on_state()
        if self._connection.connectionState == "connected":
            self._stands()

    def _on_channel(self, channel: RTCDataChannel) -> None:
        if channel.label == FRAMES_CHANNEL:
            self.announcer.attach(channel)
