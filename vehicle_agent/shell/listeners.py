"""Who hears the machine's microphone: each by a peer connection of its own, beside the video's.

An offer for it names no camera and has one audio section. Whatever becomes of a listener, of the
microphone or of its source, no video peer and no camera is touched by it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from aiortc import RTCPeerConnection, RTCRtpSender

from protocol.errors import ProtocolError, Refusal
from protocol.messages import SignalClaims
from vehicle_agent.shell import rtc_compat
from vehicle_agent.shell.config import MediaSettings, SoundSettings
from vehicle_agent.shell.peer import Peer, section_kinds
from vehicle_agent.shell.sound import Microphone, SoundTrack, open_sound

CONNECT_WITHIN_S = 10.0
MAX_LISTENERS = 6

logger = logging.getLogger("headframe.media")


Say = Callable[[str, str, str, str], None]
"""Sends a signal: to which operator, of which session, its role, its description."""


class SoundPeer(Peer):
    """One listener's peer connection.

    Attributes:
        viewer: on which of the operator's screens.
    """

    def __init__(self, offer: SignalClaims, connection: RTCPeerConnection) -> None:
        super().__init__(offer, connection, CONNECT_WITHIN_S)
        self.viewer = offer.viewer

    def hear(self, track: SoundTrack) -> None:
        """Take what is sent to it; before it answers."""
        transceiver = self._connection.addTransceiver(track, direction="sendonly")
        codecs = RTCRtpSender.getCapabilities("audio").codecs
        transceiver.setCodecPreferences([each for each in codecs if each.name == "opus"])

    def _on_state(self) -> None:
        super()._on_state()
        if self._connection.connectionState == "connected":
            self._stands()


class Listeners:
    """The listeners of one machine. To be used inside the event loop.

    Args:
        sound: the microphone; None where the machine has none.
        media: addresses and servers of ICE. say: sends an answer.

    Attributes:
        speed_mps: of the machine, for the simulator's sound.
        peers: living ones, oldest first.
    """

    def __init__(self, sound: SoundSettings | None, media: MediaSettings, say: Say) -> None:
        self.speed_mps = 0.0
        self.peers: list[SoundPeer] = []
        self._sound = sound
        self._media = media
        self._say = say
        self._microphone = (
            None if sound is None else Microphone(lambda wait: open_sound(sound, self, wait))
        )

    @staticmethod
    def is_meant(offer: SignalClaims) -> bool:
        """Return whether the offer is of a listener and not of a viewer.

        Raises:
            ProtocolError: it holds no description.
        """
        return not offer.cameras and section_kinds(offer.sdp) == ["audio"]

    def check(self) -> None:
        """Check that one more listener can be served.

        Raises:
            ProtocolError: with the reason why not.
        """
        if self._microphone is None:
            raise ProtocolError("sound is not offered", Refusal.OUT_OF_RANGE)
        if len(self.peers) >= MAX_LISTENERS:
            raise ProtocolError("too many listeners", Refusal.RATE_LIMITED)

    def admit(self, offer: SignalClaims) -> SoundPeer:
        """Make room for the offer's peer at once; the screen's older one ends."""
        connection = rtc_compat.new_peer_connection(self._media.ice_servers)
        peer = SoundPeer(offer, connection)
        for older in self.peers:
            if (older.operator, older.viewer) == (peer.operator, peer.viewer):
                older.end()
        self.peers.append(peer)
        return peer

    async def serve(self, peer: SoundPeer, offer: SignalClaims) -> None:
        """Let a listener hear until it ends."""
        assert self._microphone is not None
        track = SoundTrack(self._microphone)
        try:
            peer.hear(track)
            sdp = await peer.answer(offer.sdp, self._media.ice_addresses)
            self._say(peer.operator, peer.session, "answer", sdp)
            await peer.settle()
            if peer.connected.is_set():
                await peer.ended.wait()
        except Exception:  # a description made to break aiortc must not end the process
            logger.exception("listener %s: session failed", peer.operator)
        finally:
            self.peers.remove(peer)
            track.stop()
            await peer.close()

    def end_session(self, operator: str, session: str) -> None:
        """End the listener that says goodbye."""
        for peer in self.peers:
            if (peer.operator, peer.session) == (operator, session):
                peer.end()

    def report(self) -> dict[str, object] | None:
        """Return the figures for telemetry; None without a microphone."""
        if self._sound is None or self._microphone is None:
            return None
        counters = self._microphone.counters
        return {
            "source": self._sound.source,
            "listeners": len(self._microphone.tracks),
            "frames": counters.frames,
            "opened": counters.opened,
            "error": counters.error,
        }
