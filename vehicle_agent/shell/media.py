"""The media process: cameras in, one H.264 encoder for each, WebRTC out to every viewer.

    python -m vehicle_agent.shell.media --config agent.toml

Signed offers come as datagrams at RUN/media.sock, signed answers go to RUN/link.sock. A camera is
encoded only while somebody watches it; devices and streams are read always (see cameras.py).
Nothing here waits for a viewer: the newest picture goes out, and a viewer that cannot follow
misses pictures up to the next key frame. Says "ready" once cameras and socket are in place.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import logging
import signal
import sys
from collections import Counter, OrderedDict, deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from aiortc import RTCDataChannel, RTCPeerConnection, RTCSessionDescription
from aiortc.mediastreams import MediaStreamError
from joserfc.jwk import OKPKey

from protocol.errors import ProtocolError, Refusal
from protocol.messages import (
    Role,
    SignalClaims,
    Trust,
    load_private_key,
    load_trust,
    sign_claims,
    verify_signed,
)
from protocol.strip import COUNTER_MODULUS, draw_strip_i420
from vehicle_agent.core.ladder import (
    Ladder,
    LinkRate,
    MissingPackets,
    Retransmissions,
    Step,
    Want,
    allocate,
)
from vehicle_agent.shell import clock, ipc, rtc_compat
from vehicle_agent.shell.cameras import Camera, CameraPicture, fit_i420, open_camera
from vehicle_agent.shell.config import AgentSettings, CameraSettings, load_agent_config
from vehicle_agent.shell.h264 import MIN_BIT_RATE_BPS, H264Encoder
from vehicle_agent.shell.rtc_compat import AccessUnit, SharedStreamTrack, packetise

CONNECT_WITHIN_S = 10.0
CLOSE_WITHIN_S = 2.0
TELEMETRY_PERIOD_S = 1.0
CAMERA_RETRY_S = 1.0
MAX_PEERS = 12
MAX_PEERS_OF_ONE = 6
"""Of one operator: the driver's screen, a few that watch, and one that is being replaced."""
MAX_WAITING_OFFERS = 16
MAX_SESSIONS_REMEMBERED = 4096
MAX_UNITS_WAITING = 3
"""Pictures that may wait for one viewer's sender: a tenth of a second at 30 Hz."""
MAIN_VIEW_WEIGHT = 4
FRAMES_CHANNEL = "frames"
VIEWING_ROLES = frozenset({Role.DRIVER, Role.SUPERVISOR, Role.OBSERVER})
LEADING_ROLES = frozenset({Role.DRIVER})
"""Whose links set the bit rate; nobody else's bad link may spoil the driver's picture."""

logger = logging.getLogger("headframe.media")


class FrameAnnouncer:
    """Tells a viewer which picture was captured when; newest wins when the channel is slow.

    Attributes:
        dropped: announcements replaced by newer ones of the same camera.
    """

    def __init__(self) -> None:
        self._channel: RTCDataChannel | None = None
        self._pending: dict[int, str] = {}
        self.dropped = 0

    def attach(self, channel: RTCDataChannel) -> None:
        """Use `channel` from now on."""
        self._channel = channel
        channel.on("bufferedamountlow", self._flush)
        self._flush()

    def announce(self, camera: int, unit: AccessUnit, rtp_timestamp: int) -> None:
        """Send number, capture stamp and RTP timestamp of a picture about to be sent."""
        if camera in self._pending:
            self.dropped += 1
        self._pending[camera] = json.dumps(
            {
                "c": camera,
                "f": unit.frame_counter,
                "t": unit.capture_stamp_us,
                "r": rtp_timestamp,
            },
            separators=(",", ":"),
        )
        self._flush()

    def _flush(self) -> None:
        channel = self._channel
        if channel is None or channel.readyState != "open":
            return
        while self._pending and channel.bufferedAmount == 0:
            camera = next(iter(self._pending))
            channel.send(self._pending.pop(camera))


class ViewerLink:
    """One viewer's link, shared by the cameras that it watches."""

    def __init__(self) -> None:
        self._tracks: dict[ViewerTrack, int | None] = {}
        self._rate: LinkRate | None = None

    def add(self, track: ViewerTrack) -> None:
        """Let a camera's stream have its part."""
        self._tracks[track] = None
        full_bps = sum(each.want.full_bps for each in self._tracks)
        self._rate = LinkRate(MIN_BIT_RATE_BPS * len(self._tracks), full_bps)

    def on_estimate(self, track: ViewerTrack, share_bps: int, now_us: int) -> None:
        """Take the receiver's estimate for one stream; it counts when all have one."""
        self._tracks[track] = share_bps
        shares = [share for share in self._tracks.values() if share is not None]
        if self._rate is not None and len(shares) == len(self._tracks):
            self._rate.on_estimate(sum(shares), self._sent_bps(now_us), now_us)
            self._share_out()

    def on_loss(self, share: float, now_us: int) -> None:
        """Take the loss that the receiver reports for one stream."""
        if self._rate is not None:
            self._rate.on_loss(share, self._sent_bps(now_us))
            self._share_out()

    def on_missing(self, missing: int, now_us: int) -> None:
        """Take how many packets of one stream the receiver has asked for lately."""
        sent = sum(track.feed.sent_packets(now_us) for track in self._tracks)
        if self._rate is not None and sent:
            self._rate.on_missing(missing / sent, self._sent_bps(now_us), now_us)
            self._share_out()

    def _sent_bps(self, now_us: int) -> int:
        return sum(track.feed.sent_bps(now_us) for track in self._tracks)

    def _share_out(self) -> None:
        assert self._rate is not None
        given = allocate(self._rate.limit_bps, [track.want for track in self._tracks])
        for track in self._tracks:
            track.limit_bps = given[track.want.camera]
            track.feed.update_bit_rate()


class ViewerTrack(SharedStreamTrack):
    """One camera's stream to one viewer: joins the feed when its sender starts to read.

    Attributes:
        feed: the camera's.
        want: what it may use of the viewer's link. limit_bps: what it has of it.
        leading: this viewer's link sets the bit rate.
        skipped: pictures that this viewer did not get because it was behind.
    """

    def __init__(
        self, feed: CameraFeed, announcer: FrameAnnouncer, link: ViewerLink, *, leading: bool
    ) -> None:
        super().__init__()
        self.feed = feed
        self._link = link
        self._announcer = announcer
        self._units: deque[AccessUnit] = deque()
        self._ready = asyncio.Event()
        self._sending: AccessUnit | None = None
        self._needs_key = True
        self._joined = False
        self.leading = leading
        self.want = Want(feed.settings.id, feed.weight, feed.settings.bit_rate_bps)
        self.limit_bps = self.want.full_bps
        self.skipped = 0
        self._missing = MissingPackets()
        self._retransmissions = Retransmissions()
        self._newest_rtp = 0
        link.add(self)

    def put(self, unit: AccessUnit) -> None:
        """Take a picture of the feed; without waiting, whatever the viewer does."""
        if len(self._units) >= MAX_UNITS_WAITING:
            self.skipped += len(self._units)
            self._units.clear()
            self._needs_key = True
        if self._needs_key and not unit.key:
            self.skipped += 1
            self.feed.request_key_frame()
            return
        self._needs_key = False
        self._units.append(unit)
        self._ready.set()

    async def next_access_unit(self) -> AccessUnit:
        """Return the next picture for this viewer."""
        if not self._joined:
            self._joined = True
            self.feed.join(self)
        while not self._units:
            if self.readyState != "live":
                raise MediaStreamError
            self._ready.clear()
            await self._ready.wait()
        self._sending = self._units.popleft()
        return self._sending

    def on_rtp_timestamp(self, rtp_timestamp: int) -> None:
        """Announce the picture that leaves now."""
        self._newest_rtp = rtp_timestamp
        if self._sending is not None:
            self._announcer.announce(self.feed.settings.id, self._sending, rtp_timestamp)

    def on_key_frame_request(self) -> None:
        """Pass the request on; the encoder keeps the least interval."""
        self.feed.request_key_frame()

    def on_rate_estimate(self, bit_rate_bps: int) -> None:
        """Take this stream's share of what the viewer thinks its link carries."""
        self._link.on_estimate(self, bit_rate_bps, clock.monotonic_us())

    def on_loss(self, share: float) -> None:
        """Take what the viewer's link has lost of this stream."""
        self._link.on_loss(share, clock.monotonic_us())

    def on_missing(self, sequence_numbers: Sequence[int]) -> None:
        """Take the packets that the viewer asks for."""
        now_us = clock.monotonic_us()
        self._link.on_missing(self._missing.ask(sequence_numbers, now_us), now_us)

    def may_retransmit(self, sequence_number: int, size_bytes: int, rtp_timestamp: int) -> bool:
        """Return whether a lost packet is young enough, and the link not full of such."""
        age_us = (self._newest_rtp - rtp_timestamp) % (1 << 32) * 100 // 9
        return self._retransmissions.allows(
            sequence_number, size_bytes * 8, age_us, self.limit_bps, clock.monotonic_us()
        )

    def stop(self) -> None:
        """Leave the feed and end the track."""
        super().stop()
        self.feed.leave(self)
        self._ready.set()


@dataclass(slots=True)
class FeedCounters:
    """One camera's numbers since the last telemetry, and totals.

    Attributes:
        sent, too_fast, failed: totals: pictures encoded, left out to keep the rate, not encoded.
        encode_us, age_us, quantisers: of each picture since the last telemetry: time of its
            encoding, its age when it was handed out, and x264's quantiser.
    """

    sent: int = 0
    too_fast: int = 0
    failed: int = 0
    encode_us: list[int] = field(default_factory=list)
    age_us: list[int] = field(default_factory=list)
    quantisers: list[int] = field(default_factory=list)


class CameraFeed:
    """One camera, its encoder and its viewers.

    Attributes:
        tracks: of the viewers that watch.
        weight: share of a link that is too narrow for all cameras.
    """

    def __init__(self, camera: Camera, weight: int = 1) -> None:
        self.settings: CameraSettings = camera.settings
        self.weight = weight
        self.counters = FeedCounters()
        self._camera = camera
        self._bit_rate_bps = camera.settings.bit_rate_bps
        self._key_frames = 0
        settings = camera.settings
        self._ladder = Ladder(settings.width, settings.height, settings.fps)
        self._encoder = self._new_encoder(self._ladder.step)
        self._thread = ThreadPoolExecutor(1, f"encode-{camera.settings.id}")
        self.tracks: set[ViewerTrack] = set()
        self._watched = asyncio.Event()
        self._frame_counter = 0
        self._next_due_us = 0
        self._sent: deque[tuple[int, int, int]] = deque()

    async def run(self) -> None:
        """Encode and hand out pictures while there are viewers; never returns by itself."""
        while True:
            try:
                await self._serve()
            except Exception:  # one camera's trouble stays its own
                logger.exception("camera %d: feed failed", self.settings.id)
                self.counters.failed += 1
                self._encoder = self._new_encoder(self._ladder.step)
                await asyncio.sleep(CAMERA_RETRY_S)

    def close(self) -> None:
        """Free camera and thread."""
        self._camera.close()
        self._thread.shutdown(wait=False, cancel_futures=True)

    def join(self, track: ViewerTrack) -> None:
        """Add a viewer; it begins with a key frame."""
        self.tracks.add(track)
        self.update_bit_rate()
        self.request_key_frame()
        self._watched.set()

    def leave(self, track: ViewerTrack) -> None:
        """Remove a viewer; without any, the camera rests."""
        self.tracks.discard(track)
        if self.tracks:
            self.update_bit_rate()
        else:
            self._watched.clear()

    def request_key_frame(self) -> None:
        """Ask for a key frame; the encoder keeps the least interval."""
        self._encoder.request_key_frame()

    def update_bit_rate(self) -> None:
        """Follow the narrowest link among the leading viewers, or among all without one."""
        leading = [track for track in self.tracks if track.leading] or list(self.tracks)
        if leading:
            self._bit_rate_bps = min(track.limit_bps for track in leading)
            self._encoder.bit_rate_bps = self._bit_rate_bps

    def sent_bps(self, now_us: int) -> int:
        """Return the rate encoded over the last second."""
        while self._sent and now_us - self._sent[0][0] > 1_000_000:
            self._sent.popleft()
        return 8 * sum(size for _, size, _ in self._sent)

    def sent_packets(self, now_us: int) -> int:
        """Return how many packets went out within the window in which missing ones are counted."""
        window_us = MissingPackets.WINDOW_US
        return sum(count for at_us, _, count in self._sent if now_us - at_us <= window_us)

    def take_report(self, now_us: int) -> dict[str, object]:
        """Return the figures for telemetry and begin the next period."""
        encode_us, self.counters.encode_us = self.counters.encode_us, []
        age_us, self.counters.age_us = self.counters.age_us, []
        quantisers, self.counters.quantisers = self.counters.quantisers, []
        step = self._ladder.step
        camera = self._camera.counters
        return {
            "id": self.settings.id,
            "name": self.settings.name,
            "viewers": len(self.tracks),
            "fps": len(encode_us),
            "sent": self.counters.sent,
            "captured": camera.captured,
            "dropped": camera.dropped,
            "late": camera.late,
            "frozen": camera.frozen,
            "too_fast": self.counters.too_fast,
            "failed": self.counters.failed,
            "opened": camera.opened,
            "key_frames": self._key_frames,
            "encode_ms": _part_of(encode_us, 0.5, 1000),
            "encode_max_ms": _part_of(encode_us, 1.0, 1000),
            "age_ms": _part_of(age_us, 0.5, 1000),
            "age_p95_ms": _part_of(age_us, 0.95, 1000),
            "age_max_ms": _part_of(age_us, 1.0, 1000),
            "qp": _part_of(quantisers, 0.5),
            "qp_max": _part_of(quantisers, 1.0),
            "step": f"{step.width}x{step.height}@{step.fps}",
            "target_bps": self._encoder.bit_rate_bps,
            "sent_bps": self.sent_bps(now_us),
            "skipped": sum(track.skipped for track in self.tracks),
            "error": camera.trouble(now_us),
        }

    async def _serve(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await self._watched.wait()
            picture = await self._camera.newest()
            if not self.tracks:
                continue
            step = self._ladder.update(self._bit_rate_bps, picture.taken_us)
            if not self._due(picture.taken_us, step.fps):
                self.counters.too_fast += 1
                continue
            self._frame_counter = (self._frame_counter + 1) % COUNTER_MODULUS
            started_us = clock.monotonic_us()
            unit = await loop.run_in_executor(
                self._thread, self._encode, picture, self._frame_counter, step
            )
            now_us = clock.monotonic_us()
            self._key_frames += unit.key
            self.counters.encode_us.append(now_us - started_us)
            self.counters.age_us.append(now_us - picture.capture_stamp_us)
            self.counters.sent += 1
            self._sent.append((now_us, len(unit.data), len(unit.payloads)))
            for track in tuple(self.tracks):
                track.put(unit)

    def _due(self, stamp_us: int, fps: int) -> bool:
        """Keep the wanted rate under a faster source, with a quarter period of tolerance."""
        period_us = 1_000_000 // fps
        if stamp_us < self._next_due_us - period_us // 4:
            return False
        self._next_due_us = max(self._next_due_us + period_us, stamp_us)
        return True

    def _encode(self, picture: CameraPicture, frame_counter: int, step: Step) -> AccessUnit:
        """Run in this camera's own thread."""
        if self._encoder.size != (step.width, step.height):
            self._encoder = self._new_encoder(step)
        self._encoder.fps = step.fps
        i420 = fit_i420(picture.i420, step.width, step.height)
        draw_strip_i420(i420, frame_counter)
        encoded = self._encoder.encode(i420, picture.taken_us)
        self.counters.quantisers.append(encoded.quantiser)
        return AccessUnit(
            payloads=packetise(encoded.data),
            pts_90khz=encoded.pts_90khz,
            key=encoded.key,
            frame_counter=frame_counter,
            capture_stamp_us=picture.capture_stamp_us,
            data=encoded.data,
        )

    def _new_encoder(self, step: Step) -> H264Encoder:
        full_bps = self.settings.bit_rate_bps
        return H264Encoder(step.width, step.height, step.fps, full_bps, self._bit_rate_bps)


def _part_of(values: list[int], share: float, divisor: int = 1) -> float | None:
    """Return the value below which a share of them lies; None of no values."""
    if not values:
        return None
    ordered = sorted(values)
    return round(ordered[min(len(ordered) - 1, int(len(ordered) * share))] / divisor, 2)


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
        self.announcer = FrameAnnouncer()
        self.link = ViewerLink()
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
        """End the connection; gives up waiting after a short time."""
        self.end()
        try:
            async with asyncio.timeout(CLOSE_WITHIN_S):
                await self._connection.close()
        except TimeoutError:
            logger.warning("peer %s of %s did not close in time", self.session[:8], self.operator)

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


class OwnWords(Exception):
    """Raised when a signal is this vehicle's own: the topic carries both directions."""


class MediaServer:
    """Cameras, viewers and the two sockets. Made and closed outside the event loop.

    Attributes:
        feeds: by camera id, once running.
        refused: offers refused, by reason.
        peers: living peers, oldest first.
        ready: set once cameras and socket are in place.
    """

    def __init__(self, settings: AgentSettings, trust: Trust, key: OKPKey) -> None:
        rtc_compat.install()
        self._settings = settings
        self._trust = trust
        self._key = key
        self._mailbox = ipc.Mailbox(settings.runtime.dir, ipc.MEDIA)
        self._offers: asyncio.Queue[bytes] = asyncio.Queue(MAX_WAITING_OFFERS)
        self._sessions: OrderedDict[str, None] = OrderedDict()
        self.feeds: dict[int, CameraFeed] = {}
        self.refused: Counter[str] = Counter()
        self._told: dict[str, str] = {}
        self.peers: list[ViewerPeer] = []
        self.ready = asyncio.Event()

    async def run(self, stop: asyncio.Event) -> None:
        """Serve until `stop` is set."""
        loop = asyncio.get_running_loop()
        main = min((settings.id for settings in self._settings.cameras), default=0)
        try:
            for settings in self._settings.cameras:
                weight = settings.weight or (MAIN_VIEW_WEIGHT if settings.id == main else 1)
                self.feeds[settings.id] = CameraFeed(open_camera(settings), weight)
            loop.add_reader(self._mailbox.fileno(), self._on_datagram)
            async with asyncio.TaskGroup() as group:
                tasks = [
                    group.create_task(feed.run(), name=f"camera {camera}")
                    for camera, feed in self.feeds.items()
                ]
                tasks.append(group.create_task(self._report(), name="telemetry"))
                tasks.append(group.create_task(self._serve_offers(group), name="offers"))
                self.ready.set()
                await stop.wait()
                self._say_goodbye()
                for task in tasks:
                    task.cancel()
                for peer in self.peers:
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
            try:
                self._offers.put_nowait(datagram)
            except asyncio.QueueFull:
                self.refused[Refusal.RATE_LIMITED] += 1

    async def _serve_offers(self, group: asyncio.TaskGroup) -> None:
        while True:
            datagram = await self._offers.get()
            try:
                claims, role = self._accepted(datagram)
            except OwnWords:
                continue
            except ProtocolError as error:
                self.refused[error.reason] += 1
                logger.warning("signal refused (%s): %s", error.reason, error)
                continue
            if claims.role == "bye":
                self._end_session(claims)
                continue
            peer = self._admit(claims)
            group.create_task(
                self._serve_viewer(peer, claims, role),
                name=f"viewer {claims.iss} {claims.session[:8]}",
            )

    def _accepted(self, datagram: bytes) -> tuple[SignalClaims, Role]:
        """Return the claims of a signal that counts, and its author's role.

        Raises:
            ProtocolError: with the reason why it does not count.
            OwnWords: this vehicle's own answer, heard back on the shared topic.
        """
        addressed = ipc.split_name(datagram[1:])
        if datagram[:1] != ipc.TO_MEDIA_SIGNAL or addressed is None:
            raise ProtocolError("not a signal datagram", Refusal.MALFORMED)
        claims = verify_signed(addressed.content, self._trust)
        own = claims.iss == self._settings.vehicle.name
        if own and isinstance(claims, SignalClaims) and claims.role != "offer":
            raise OwnWords
        if not isinstance(claims, SignalClaims) or claims.peer != "media":
            raise ProtocolError("not a signal for the media peer", Refusal.UNKNOWN_KIND)
        if claims.iss != addressed.name:
            raise ProtocolError(f"signed by {claims.iss}, came as {addressed.name}")
        if claims.aud != self._settings.vehicle.name:
            raise ProtocolError(f"meant for {claims.aud}", Refusal.WRONG_AUDIENCE)
        role = self._trust[claims.iss].role
        if role not in VIEWING_ROLES or claims.role == "answer":
            raise ProtocolError(f"a {role} may not send this {claims.role}", Refusal.WRONG_ROLE)
        if claims.role == "offer":
            self._check_offer(claims)
        return claims, role

    def _check_offer(self, claims: SignalClaims) -> None:
        if claims.session in self._sessions:
            raise ProtocolError(f"session {claims.session} seen before", Refusal.REPLAYED)
        self._sessions[claims.session] = None
        if len(self._sessions) > MAX_SESSIONS_REMEMBERED:
            self._sessions.popitem(last=False)
        wanted = claims.cameras
        if not wanted or len(set(wanted)) != len(wanted) or not set(wanted) <= set(self.feeds):
            raise ProtocolError(f"cameras {wanted} are not offered", Refusal.OUT_OF_RANGE)
        try:
            kinds = rtc_compat.section_kinds(claims.sdp)
        except ValueError as error:
            raise ProtocolError(str(error), Refusal.MALFORMED) from error
        # The video first: aiortc closes the shared transport when the data channel leads.
        if kinds not in (["video"] * len(wanted), ["video"] * len(wanted) + ["application"]):
            raise ProtocolError(f"sections {kinds} for cameras {wanted}", Refusal.MALFORMED)
        if not claims.viewer:
            raise ProtocolError("an offer that does not say for which screen")
        of_operator = sum(peer.operator == claims.iss for peer in self.peers)
        if len(self.peers) >= MAX_PEERS or of_operator >= MAX_PEERS_OF_ONE:
            raise ProtocolError("too many viewers", Refusal.RATE_LIMITED)

    def _end_session(self, claims: SignalClaims) -> None:
        for peer in self.peers:
            if (peer.operator, peer.session) == (claims.iss, claims.session):
                peer.end()

    def _admit(self, offer: SignalClaims) -> ViewerPeer:
        """Make room for the offer's peer at once, so that the next offer is counted against it."""
        peer = ViewerPeer(offer, rtc_compat.new_peer_connection())
        for older in self.peers:
            if older.same_screen(peer) and not older.connected.is_set():
                older.end()
        self.peers.append(peer)
        return peer

    async def _serve_viewer(self, peer: ViewerPeer, claims: SignalClaims, role: Role) -> None:
        tracks = [
            ViewerTrack(
                self.feeds[camera], peer.announcer, peer.link, leading=role in LEADING_ROLES
            )
            for camera in claims.cameras
        ]
        try:
            sdp = await peer.answer(claims.sdp, tracks, self._settings.media.ice_addresses)
            self._send_signal(claims.iss, claims.session, "answer", sdp)
            await peer.settle()
            if peer.connected.is_set():
                self._retire_older(peer)
                await peer.ended.wait()
        except Exception:  # a description made to break aiortc must not end the process
            self.refused[Refusal.MALFORMED] += 1
            logger.exception("viewer %s: session failed", claims.iss)
        finally:
            self.peers.remove(peer)
            for track in tracks:
                track.stop()
            await peer.close()

    def _retire_older(self, newest: ViewerPeer) -> None:
        """End the screen's older peers now that the newer one has proven its keys.

        Not at the offer: an old offer sent again after a restart must not cost the picture.
        """
        for peer in self.peers[: self.peers.index(newest)]:
            if peer.same_screen(newest):
                peer.end()

    def _say_goodbye(self) -> None:
        for peer in self.peers:
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
                "peers": len(self.peers),
                "announcements_dropped": sum(peer.announcer.dropped for peer in self.peers),
                "refused": dict(self.refused),
            }
            content = json.dumps(report, separators=(",", ":")).encode()
            self._mailbox.send(ipc.LINK, ipc.with_name(ipc.TO_LINK_TELEMETRY, "media", content))

    def _tell_trouble(self, cameras: list[dict[str, object]]) -> None:
        """Say once what is wrong with a camera, and once that it is over."""
        for camera in cameras:
            name, error = f"camera {camera['id']} ({camera['name']})", str(camera["error"])
            before, self._told[name] = self._told.get(name, ""), error
            if bool(error) != bool(before):
                logger.warning("%s: %s", name, error or "pictures come again")


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
