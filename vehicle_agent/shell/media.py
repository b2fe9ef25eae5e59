"""The media process: cameras in, one encoder for each, WebRTC out to every viewer.

    python -m vehicle_agent.shell.media --config agent.toml

Signed offers come as datagrams at RUN/media.sock, signed answers go to RUN/link.sock. A camera is
encoded only while somebody watches it; devices and streams are read always (see cameras.py).
The machine's microphone goes out by peers of its own (see listeners.py).
Says "ready" once cameras and socket are in place.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import logging
import signal
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from joserfc.jwk import OKPKey
from pydantic import ValidationError

from protocol.errors import ProtocolError, Refusal
from protocol.frames import decode_state
from protocol.messages import (
    Role,
    SignalClaims,
    Trust,
    load_private_key,
    load_trust,
    sign_claims,
)
from protocol.state import VehicleState
from vehicle_agent.core.viewing import Faces, Motion, motion_of, weights
from vehicle_agent.shell import clock, ipc, rtc_compat
from vehicle_agent.shell.cameras import open_camera
from vehicle_agent.shell.config import AgentSettings, load_agent_config
from vehicle_agent.shell.encoder_choice import choose
from vehicle_agent.shell.feed import CameraFeed
from vehicle_agent.shell.listeners import Listeners
from vehicle_agent.shell.peer import Doorkeeper, OwnWords, section_kinds
from vehicle_agent.shell.picture_encoder import Codec
from vehicle_agent.shell.picture_tap import PictureTap
from vehicle_agent.shell.rtc_compat import offered_codec
from vehicle_agent.shell.viewer_peer import ViewerPeer
from vehicle_agent.shell.viewers import ViewerTrack

TELEMETRY_PERIOD_S = 1.0
MAX_PEERS = 12
MAX_PEERS_OF_ONE = 6
"""Of one operator: the driver's screen, a few that watch, and one that is being replaced. As many
again may stand by: a screen with its standby is one viewer."""
MAX_WAITING_OFFERS = 16
VIEWING_ROLES = frozenset({Role.DRIVER, Role.SUPERVISOR, Role.OBSERVER})
BLANK_EVENT, SILENT_EVENT = "V104", "V105"
COLLECT_AFTER_S = 1.0
"""A peer that has ended is a knot of references, several megabytes of it, which only the collector
undoes. Left to itself that comes after some eight peers; their memory lies scattered by then."""
SWITCH_S = 0.0001
"""After this long a thread hands the interpreter over to one that waits (CPython: 5 ms): a picture
that is encoded does not wait while another camera's packets are made."""
LEADING_ROLES = frozenset({Role.DRIVER})
"""Whose links set the bit rate; nobody else's bad link may spoil the driver's picture."""

logger = logging.getLogger("headframe.media")


class MediaServer:
    """Cameras, viewers and the two sockets. Made and closed outside the event loop.

    Attributes:
        feeds: by camera id, once running.
        refused: offers refused, by reason.
        peers: living peers, oldest first.
        listeners: to the microphone.
        ready: set once cameras and socket are in place.
    """

    def __init__(self, settings: AgentSettings, trust: Trust, key: OKPKey) -> None:
        rtc_compat.install()
        self._settings = settings
        self._trust = trust
        self._key = key
        self._mailbox = ipc.Mailbox(settings.runtime.dir, ipc.MEDIA)
        recorded = settings.recorder is not None and settings.recorder.video
        self._tap = PictureTap(self._mailbox) if recorded else None
        self._offers: asyncio.Queue[bytes] = asyncio.Queue(MAX_WAITING_OFFERS)
        vehicle = settings.vehicle.name
        self._doorkeeper = Doorkeeper(vehicle, "media", trust, VIEWING_ROLES)
        self.feeds: dict[int, CameraFeed] = {}
        self.refused: Counter[str] = Counter()
        self._told: dict[tuple[str, int], str] = {}
        self.peers: list[ViewerPeer] = []
        self.listeners = Listeners(settings.sound, settings.media, self._send_signal)
        self._motion = Motion()
        choice = choose(settings.media.encoder)
        self._codec = choice.codec
        for codec, why in choice.refused.items():
            logger.warning("encoder %s is not used: %s", codec, why)
        self.ready = asyncio.Event()
        self._gone = asyncio.Event()

    async def run(self, stop: asyncio.Event) -> None:
        """Serve until `stop` is set."""
        loop = asyncio.get_running_loop()
        try:
            for settings in self._settings.cameras:
                self.feeds[settings.id] = CameraFeed(open_camera(settings), self._codec)
                self.feeds[settings.id].tap = self._tap
            self._follow(Motion())
            loop.add_reader(self._mailbox.fileno(), self._on_datagram)
            async with asyncio.TaskGroup() as group:
                tasks = [
                    group.create_task(feed.run(), name=f"camera {camera}")
                    for camera, feed in self.feeds.items()
                ]
                tasks.append(group.create_task(self._report(), name="telemetry"))
                tasks.append(group.create_task(self._serve_offers(group), name="offers"))
                tasks.append(group.create_task(self._collect(), name="collect"))
                self.ready.set()
                await stop.wait()
                self._say_goodbye()
                for task in tasks:
                    task.cancel()
                for peer in (*self.peers, *self.listeners.peers):
                    peer.end()
        finally:
            loop.remove_reader(self._mailbox.fileno())
            for feed in self.feeds.values():
                feed.close()

    def close(self) -> None:
        """Remove the socket; outside the event loop."""
        self._mailbox.close()

    def _on_datagram(self) -> None:
        while (datagram := self._mailbox.receive()) is not None:
            if datagram[:1] == ipc.TO_MEDIA_STATE:
                self._hear_state(datagram[1:])
                continue
            try:
                self._offers.put_nowait(datagram)
            except asyncio.QueueFull:
                self.refused[Refusal.RATE_LIMITED] += 1

    def _hear_state(self, frame: bytes) -> None:
        """Take a state of the guardian's: it says where the machine goes, and whether it rests."""
        try:
            state = VehicleState.model_validate_json(decode_state(frame, {}).frame.json)
        except (ProtocolError, ValidationError) as error:
            self.refused[Refusal.MALFORMED] += 1
            logger.warning("state of the guardian not taken: %s", error)
            return
        self.listeners.speed_mps = state.speed_mps or 0.0
        motion = motion_of(state)
        if motion != self._motion:
            self._follow(motion)

    def _follow(self, motion: Motion) -> None:
        """Give the cameras their shares by the direction of travel, and let them rest or not."""
        self._motion = motion
        cameras = self._settings.cameras
        main = min((settings.id for settings in cameras), default=0)
        looks = {
            settings.id: (
                settings.faces or (Faces.FRONT if settings.id == main else Faces.SIDE),
                settings.weight,
            )
            for settings in cameras
        }
        for camera, weight in weights(looks, motion).items():
            self.feeds[camera].weight = weight
            self.feeds[camera].rests = motion.rests and self._settings.media.rest_at_standstill
        for peer in self.peers:
            peer.link.share_out()

    async def _serve_offers(self, group: asyncio.TaskGroup) -> None:
        while True:
            datagram = await self._offers.get()
            try:
                claims = self._accepted(datagram)
            except OwnWords:
                continue
            except ProtocolError as error:
                self.refused[error.reason] += 1
                logger.warning("signal refused (%s): %s", error.reason, error)
                continue
            if claims.role == "bye":
                self._end_session(claims)
                continue
            self._serve(group, claims)

    def _serve(self, group: asyncio.TaskGroup, offer: SignalClaims) -> None:
        who = f"{offer.iss} {offer.session[:8]}"
        if offer.cameras:
            serving = self._serve_viewer(self._admit(offer), offer)
            group.create_task(serving, name=f"viewer {who}")
        else:
            serving = self.listeners.serve(self.listeners.admit(offer), offer)
            group.create_task(serving, name=f"listener {who}")

    def _accepted(self, datagram: bytes) -> SignalClaims:
        """Return the claims of a signal that counts.

        Raises:
            ProtocolError: with the reason why it does not count.
            OwnWords: this vehicle's own answer, heard back on the shared topic.
        """
        addressed = ipc.split_name(datagram[1:])
        if datagram[:1] != ipc.TO_MEDIA_SIGNAL or addressed is None:
            raise ProtocolError("not a signal datagram", Refusal.MALFORMED)
        claims = self._doorkeeper.accepted(addressed.name, addressed.content)
        if claims.role == "offer":
            self._check_offer(claims)
        return claims

    def _check_offer(self, claims: SignalClaims) -> None:
        if not claims.viewer:
            raise ProtocolError("an offer that does not say for which screen")
        if self.listeners.is_meant(claims):
            self.listeners.check()
            return
        wanted = claims.cameras
        if not wanted or len(set(wanted)) != len(wanted) or not set(wanted) <= set(self.feeds):
            raise ProtocolError(f"cameras {wanted} are not offered", Refusal.OUT_OF_RANGE)
        kinds = section_kinds(claims.sdp)
        # The video first: aiortc closes the shared transport when the data channel leads.
        if kinds not in (["video"] * len(wanted), ["video"] * len(wanted) + ["application"]):
            raise ProtocolError(f"sections {kinds} for cameras {wanted}", Refusal.MALFORMED)
        if offered_codec(claims.sdp) is None:
            raise ProtocolError("an offer with neither H.264 nor VP8", Refusal.MALFORMED)
        if self._is_full(claims.iss, standby=claims.standby):
            raise ProtocolError("too many viewers", Refusal.RATE_LIMITED)
        if claims.standby and not self._shown_to(claims.iss, claims.viewer):
            raise ProtocolError("a standby of nothing", Refusal.NOT_ALLOWED)

    def _is_full(self, operator: str, *, standby: bool) -> bool:
        """Return whether an operator has no place for one more to be shown, or to stand by."""
        alike = [peer for peer in self.peers if peer.standby == standby]
        of_operator = sum(peer.operator == operator for peer in alike)
        return len(alike) >= MAX_PEERS or of_operator >= MAX_PEERS_OF_ONE

    def _shown_to(self, operator: str, viewer: str) -> list[ViewerPeer]:
        """Return the peers by which one screen is sent its pictures, oldest first."""
        return [
            peer
            for peer in self.peers
            if (peer.operator, peer.viewer) == (operator, viewer) and not peer.standby
        ]

    def _end_session(self, claims: SignalClaims) -> None:
        for peer in self.peers:
            if (peer.operator, peer.session) == (claims.iss, claims.session):
                peer.end()
        self.listeners.end_session(claims.iss, claims.session)

    def _admit(self, offer: SignalClaims) -> ViewerPeer:
        """Make room for the offer's peer at once, so that the next offer is counted against it."""
        servers = self._settings.media.ice_servers
        peer = ViewerPeer(offer, rtc_compat.new_peer_connection(servers), self._show)
        for older in self.peers:
            if older.gives_way_to(peer) and not older.connected.is_set():
                older.end()
        self.peers.append(peer)
        return peer

    async def _serve_viewer(self, peer: ViewerPeer, claims: SignalClaims) -> None:
        leading = self._trust[claims.iss].role in LEADING_ROLES
        codec = offered_codec(claims.sdp) or Codec.H264
        tracks = [
            ViewerTrack(
                self.feeds[camera],
                peer.announcer,
                peer.link,
                leading=leading,
                codec=codec,
                waits=claims.standby,
            )
            for camera in claims.cameras
        ]
        try:
            peer.tracks = tracks
            peer.show(tracks)
            sdp = await peer.answer(claims.sdp, self._addresses(peer))
            self._send_signal(claims.iss, claims.session, "answer", sdp)
            await peer.settle()
            if peer.connected.is_set():
                self._retire_others(peer)
                await peer.ended.wait()
        except Exception:  # a description made to break aiortc must not end the process
            self.refused[Refusal.MALFORMED] += 1
            logger.exception("viewer %s: session failed", claims.iss)
        finally:
            self.peers.remove(peer)
            self._hand_on(peer)
            for track in tracks:
                track.stop()
            await peer.close()
            self._gone.set()

    def _addresses(self, peer: ViewerPeer) -> list[str]:
        """Return the own addresses that a new peer may go by: a standby by the other path.

        A screen that has a peer and asks for another has had trouble: all paths are tried then.
        """
        first, second = self._settings.media.ice_addresses, self._settings.media.standby_addresses
        before = [each for each in self._shown_to(peer.operator, peer.viewer) if each is not peer]
        if not before or not second:
            return first
        if not peer.standby:
            return first + second
        return first if before[-1].address in second else second

    def _show(self, peer: ViewerPeer) -> None:
        """A viewer asks for its pictures on its standby; one that asks again has them already.

        A peer of the screen that is not connected yet is to replace them all, once it is. One that
        is ending still hears its viewer until its connection is closed. A standby has its screen's
        place among the viewers; where that is gone, it needs a free one.
        """
        if not peer.standby or peer.ended.is_set():
            return
        has_place = self._shown_to(peer.operator, peer.viewer)
        if not has_place and self._is_full(peer.operator, standby=False):
            self.refused[Refusal.RATE_LIMITED] += 1
            return
        peer.take_over(self._connected_to(peer))

    def _hand_on(self, ended: ViewerPeer) -> None:
        """Let a screen's standby have the pictures of a peer that has ended; it need not ask."""
        if ended.standby or self._connected_to(ended):
            return
        waiting = [each for each in self.peers if each.standby and each.is_of_screen(ended)]
        living = [each for each in waiting if each.connected.is_set() and not each.ended.is_set()]
        if living:
            living[-1].take_over([ended])

    def _connected_to(self, peer: ViewerPeer) -> list[ViewerPeer]:
        """Return the connected peers by which the screen of a peer is sent its pictures."""
        shown = self._shown_to(peer.operator, peer.viewer)
        return [each for each in shown if each.connected.is_set()]

    async def _collect(self) -> None:
        """Undo what ended peers leave, once their tasks have ended too."""
        while True:
            await self._gone.wait()
            self._gone.clear()
            await asyncio.sleep(COLLECT_AFTER_S)
            gc.collect()

    def _retire_others(self, newest: ViewerPeer) -> None:
        """End the screen's older peers now that the newer one has proven its keys.

        Not at the offer: an old offer sent again after a restart must not cost the picture. A
        standby that was offered later and has been shown meanwhile ends too: one is looked at.
        """
        older = self.peers[: self.peers.index(newest)]
        shown_meanwhile = [] if newest.spare else self._connected_to(newest)
        for peer in (*older, *shown_meanwhile):
            if peer is not newest and peer.gives_way_to(newest):
                peer.end()

    def _say_goodbye(self) -> None:
        for peer in (*self.peers, *self.listeners.peers):
            self._send_signal(peer.operator, peer.session, "bye", "")

    def _send_signal(self, operator: str, session: str, role: str, sdp: str) -> None:
        claims = SignalClaims.model_validate(
            {
                "iss": self._settings.vehicle.name,
                "aud": operator,
                "role": role,
                "peer": "media",
                "session": session,
                "sdp": sdp,
            }
        )
        token = sign_claims(claims, self._key)
        self._mailbox.send(ipc.LINK, ipc.with_name(ipc.TO_LINK_SIGNAL, operator, token))

    async def _report(self) -> None:
        while True:
            await asyncio.sleep(TELEMETRY_PERIOD_S)
            now_us = clock.monotonic_us()
            cameras = [feed.take_report(now_us) for feed in self.feeds.values()]
            self._tell_trouble(cameras)
            report = {
                "cameras": cameras,
                "encoder": self._codec,
                "peers": sum(not peer.standby for peer in self.peers),
                "standby": sum(peer.standby for peer in self.peers),
                "tasks": len(asyncio.all_tasks()),
                "announcements_dropped": sum(peer.announcer.dropped for peer in self.peers),
                "sound": self.listeners.report(),
                "refused": dict(self.refused),
                "not_recorded": 0 if self._tap is None else self._tap.dropped,
            }
            content = json.dumps(report, separators=(",", ":")).encode()
            self._mailbox.send(ipc.LINK, ipc.with_name(ipc.TO_LINK_TELEMETRY, "media", content))

    def _tell_trouble(self, cameras: list[dict[str, object]]) -> None:
        """Say once what is wrong with a camera, and once that it is over."""
        for camera in cameras:
            name, error = f"camera {camera['id']} ({camera['name']})", str(camera["error"])
            if self._changed(("trouble", int(str(camera["id"]))), error):
                logger.warning("%s: %s", name, error or "pictures come again")
            gave_some = bool(camera["captured"])
            event = BLANK_EVENT if camera["blank"] else SILENT_EVENT if error and gave_some else ""
            if self._changed(("event", int(str(camera["id"]))), event) and event:
                self._tell_event(event, camera)

    def _changed(self, what: tuple[str, int], now: str) -> bool:
        """Return whether something has come or gone since the last time."""
        before, self._told[what] = self._told.get(what, ""), now
        return bool(now) != bool(before)

    def _tell_event(self, event: str, camera: dict[str, object]) -> None:
        told = {"id": event, "stamp_us": clock.monotonic_us(), "camera": camera["id"]}
        text = json.dumps(told).encode()
        self._mailbox.send(ipc.LINK, ipc.TO_LINK_EVENT + text)
        if self._settings.recorder is not None:
            self._mailbox.offer(ipc.RECORDER, ipc.TO_RECORDER_EVENT + text)


def _read(path: Path, use: Callable[[str], object]) -> object:
    try:
        return use(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ValueError(f"{path}: {str(error).splitlines()[0]}") from error


def make_server(config: Path) -> MediaServer:
    """Return the server of a settings file.

    Raises:
        ValueError: naming the file and the reason.
    """
    settings = load_agent_config(config)
    trust = _read(settings.keys.trust, lambda text: load_trust(text, clock.wall_now()))
    key = _read(settings.keys.device, load_private_key)
    assert isinstance(trust, dict)
    assert isinstance(key, OKPKey)
    return MediaServer(settings, trust, key)


async def _serve(server: MediaServer) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    gc.collect()
    sys.setswitchinterval(SWITCH_S)
    gc.freeze()  # what lives as long as the process need not be walked through again
    async with asyncio.TaskGroup() as group:
        announcing = group.create_task(_announce(server), name="announce")
        await server.run(stop)
        announcing.cancel()


async def _announce(server: MediaServer) -> None:
    await server.ready.wait()
    await asyncio.to_thread(sys.stdout.write, "ready\n")
    await asyncio.to_thread(sys.stdout.flush)


def main() -> int:
    """Run the process; one line on stderr and 1 when the settings do not fit."""
    parser = argparse.ArgumentParser(description="Headframe media process")
    parser.add_argument("--config", type=Path, required=True)
    arguments = parser.parse_args()
    logging.basicConfig(
        level=logging.WARNING, format="media: %(levelname)s %(message)s", stream=sys.stderr
    )
    try:
        server = make_server(arguments.config)
        try:
            asyncio.run(_serve(server))
        finally:
            server.close()
    except (ValueError, OSError) as error:
        sys.stderr.write(f"media: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
