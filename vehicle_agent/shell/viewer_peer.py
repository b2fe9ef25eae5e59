"""One viewer's peer connection, from its offer to its end."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from aiortc import RTCDataChannel, RTCPeerConnection

from protocol.messages import SignalClaims
from vehicle_agent.shell import rtc_compat
from vehicle_agent.shell.peer import Peer
from vehicle_agent.shell.viewers import FrameAnnouncer, ViewerLink, ViewerTrack

CONNECT_WITHIN_S = 10.0
FRAMES_CHANNEL = "frames"


class ViewerPeer(Peer):
    """One viewer's peer connection.

    Attributes:
        viewer: on which of the operator's screens.
        spare: offered to stand by.
        standby: connected in reserve, and sent nothing.
        link, announcer: what it is sent, and what is told of it.
        tracks: its cameras' streams.
    """

    def __init__(
        self,
        offer: SignalClaims,
        connection: RTCPeerConnection,
        on_show: Callable[[ViewerPeer], None] = lambda _: None,
    ) -> None:
        super().__init__(offer, connection, CONNECT_WITHIN_S)
        self.viewer = offer.viewer
        self.spare = self.standby = offer.standby
        self.link = ViewerLink()
        self.announcer = FrameAnnouncer(self.link.queue, lambda: on_show(self))
        self.tracks: list[ViewerTrack] = []
        connection.on("datachannel", self._on_channel)

    def is_of_screen(self, other: ViewerPeer) -> bool:
        """Return whether both are for one screen: only one of them is looked at."""
        return (self.operator, self.viewer) == (other.operator, other.viewer)

    def gives_way_to(self, newer: ViewerPeer) -> bool:
        """Return whether a newer peer is there in the place of this one.

        Of each screen one is looked at and one stands by; a new one to be looked at replaces both.
        """
        return self.is_of_screen(newer) and (self.standby or not newer.spare)

    def show(self, tracks: Sequence[rtc_compat.SharedStreamTrack]) -> None:
        """Take what is sent to it; before it answers."""
        for track in tracks:
            transceiver = self._connection.addTransceiver(track, direction="sendonly")
            transceiver.setCodecPreferences(rtc_compat.only(track.codec))

    @property
    def address(self) -> str | None:
        """Own address by which it sends; None where it is not connected."""
        return rtc_compat.local_address(self._connection)

    def take_over(self, shown: Sequence[ViewerPeer]) -> None:
        """Be sent the pictures that another of the screen's peers was sent; that one rests."""
        self.standby = False
        for older in shown:
            self.link.continue_from(older.link)
            self.announcer.queue, older.announcer.queue = self.link.queue, older.link.queue
        for track in self.tracks:
            track.take_over()
        for older in shown:
            older.rest()

    def rest(self) -> None:
        """Be sent nothing more, and stay connected."""
        self.standby = True
        for track in self.tracks:
            track.rest()

    def _on_state(self) -> None:
        super()._on_state()
        if self._connection.connectionState == "connected":
            self._stands()

    def _on_channel(self, channel: RTCDataChannel) -> None:
        if channel.label == FRAMES_CHANNEL:
            self.announcer.attach(channel)
