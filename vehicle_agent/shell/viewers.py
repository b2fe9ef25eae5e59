"""What one viewer is sent: its link's rate, a stream for each camera, and which picture is which.

Nothing here waits for a viewer: the newest picture goes out, and a viewer that cannot follow
misses pictures up to the next key frame.
"""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Annotated

from aiortc import RTCDataChannel
from aiortc.mediastreams import MediaStreamError
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from vehicle_agent.core.ladder import LinkRate, MissingPackets, Retransmissions, Want, allocate
from vehicle_agent.core.queueing import Flow, QueueWatch
from vehicle_agent.shell import clock
from vehicle_agent.shell.picture_encoder import MIN_BIT_RATE_BPS, Codec, KeyCause
from vehicle_agent.shell.rtc_compat import AccessUnit, SharedStreamTrack

if TYPE_CHECKING:
    from vehicle_agent.shell.feed import CameraFeed

MAX_UNITS_WAITING = 3
"""Pictures that may wait for one viewer's sender: a tenth of a second at 30 Hz."""
MAX_STAMP_US = 1 << 53
"""What a page can count without loss (ECMA-262, Number.MAX_SAFE_INTEGER)."""
MAX_SEEN = 16
"""Cameras that a page may speak of."""
SHOW = {"show": True}
"""What a viewer says on a standby connection when it wants its pictures there."""


_Ms = Annotated[float, Field(ge=-10_000, le=1_000_000)]


class Seen(BaseModel):
    """What a page says of one camera's picture over the last second, in ms.

    Attributes:
        age: of what it showed, each 10 ms: p50, p95, p99 and the greatest.
        split: medians of a picture's stages: capture, encode, network, buffer, decode, display.
    """

    model_config = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False, frozen=True)
    age: Annotated[list[_Ms], Field(min_length=4, max_length=4)]
    split: Annotated[list[_Ms], Field(min_length=6, max_length=6)]


class FrameAnnouncer:
    """Tells a viewer which picture was captured when; newest wins when the channel is slow.

    Args:
        queue: of the viewer's link, which the viewer's echoes are for.
        on_show: called when the viewer asks for the pictures on this connection.

    It also helps the page to know this clock: each announcement says when it was sent, and by how
    much this clock was ahead of the page's when the page's newest echo arrived.

    Attributes:
        dropped: announcements replaced by newer ones of the same camera.
        seen: by camera, what the viewer's page says of its picture.
        queue: another one may take its place.
    """

    def __init__(self, queue: QueueWatch, on_show: Callable[[], None] = lambda: None) -> None:
        self.queue = queue
        self._on_show = on_show
        self._channel: RTCDataChannel | None = None
        self._pending: dict[int, tuple[int, str]] = {}
        self._ahead_us: int | None = None
        self.dropped = 0
        self.seen: dict[int, Seen] = {}

    def attach(self, channel: RTCDataChannel) -> None:
        """Use `channel` from now on."""
        self._channel = channel
        channel.on("bufferedamountlow", self._flush)
        channel.on("message", self._on_message)
        self._flush()

    def announce(self, camera: int, unit: AccessUnit, rtp_timestamp: int, sent_us: int) -> None:
        """Send number, capture stamp and RTP timestamp of a picture whose packets left just now."""
        if camera in self._pending:
            self.dropped += 1
        fields = {
            "c": camera,
            "f": unit.frame_counter,
            "t": unit.capture_stamp_us,
            "r": rtp_timestamp,
            "k": unit.changes,
            "b": unit.begun_us - unit.capture_stamp_us,
            "d": unit.done_us - unit.capture_stamp_us,
            "s": sent_us - unit.capture_stamp_us,
        }
        if self._ahead_us is not None:
            fields["u"], self._ahead_us = self._ahead_us, None
        text = json.dumps(fields, separators=(",", ":"))
        self._pending[camera] = (unit.frame_counter, text)
        self.queue.on_sent(len(unit.data) * 8, sent_us)
        self._flush()

    def _on_message(self, text: str | bytes) -> None:
        try:
            fields = json.loads(text)
            if fields == SHOW:
                self._on_show()
                return
            camera = int(fields["c"])
            if "seen" in fields:
                self._take_seen(camera, fields["seen"])
                return
            picture = (camera, int(fields["f"]))
        except (ValueError, KeyError, TypeError):
            return
        now_us = clock.monotonic_us()
        self.queue.on_echo(picture, now_us)
        page_us = fields.get("p")
        if type(page_us) is int and 0 <= page_us < MAX_STAMP_US:
            self._ahead_us = now_us - page_us

    def _take_seen(self, camera: int, content: object) -> None:
        with suppress(ValidationError):
            seen = Seen.model_validate(content)
            if camera in self.seen or len(self.seen) < MAX_SEEN:
                self.seen[camera] = seen

    def _flush(self) -> None:
        channel = self._channel
        if channel is None or channel.readyState != "open":
            return
        while self._pending and channel.bufferedAmount == 0:
            camera = next(iter(self._pending))
            frame, text = self._pending.pop(camera)
            channel.send(text)
            self.queue.on_announced((camera, frame), clock.monotonic_us())


class ViewerLink:
    """One viewer's link, shared by the cameras that it watches.

    Attributes:
        queue: what is known of what waits in front of it.
    """

    def __init__(self) -> None:
        self.queue = QueueWatch()
        self._tracks: dict[ViewerTrack, int | None] = {}
        self._rate: LinkRate | None = None

    def add(self, track: ViewerTrack) -> None:
        """Let a camera's stream have its part."""
        self._tracks[track] = None
        full_bps = sum(each.want.full_bps for each in self._tracks)
        self._rate = LinkRate(MIN_BIT_RATE_BPS * len(self._tracks), full_bps)

    def continue_from(self, older: ViewerLink) -> None:
        """Know what was known of the viewer when its pictures went by another connection.

        The queue counts on: what went the other way may be lost, and is answered for by the first
        echo from here. So does the rate, where the cameras are the same; what is still echoed and
        reported by the older connection changes them no more.
        """
        self.queue, older.queue = older.queue, QueueWatch()
        self.queue.on_other_way()
        if [track.want for track in self._tracks] == [track.want for track in older._tracks]:
            self._rate, older._rate = older._rate, self._rate
        self.share_out()

    def on_estimate(self, track: ViewerTrack, share_bps: int, now_us: int) -> None:
        """Take the receiver's estimate for one stream; it counts when all have one."""
        self._tracks[track] = share_bps
        shares = [share for share in self._tracks.values() if share is not None]
        if self._rate is not None and len(shares) == len(self._tracks):
            self._rate.on_estimate(sum(shares), self._sent_bps(now_us), now_us)
            self.share_out()

    def on_loss(self, share: float, now_us: int) -> None:
        """Take the loss that the receiver reports for one stream."""
        if self._rate is not None:
            self._rate.on_loss(share, self._sent_bps(now_us), now_us)
            self.share_out()

    def on_missing(self, missing: int, now_us: int) -> None:
        """Take how many packets of one stream the receiver has asked for lately."""
        sent = sum(track.feed.sent_packets(now_us) for track in self._tracks)
        if self._rate is not None and sent:
            self._rate.on_missing(missing / sent, self._sent_bps(now_us), now_us)
            self.share_out()

    def flow(self, track: ViewerTrack, now_us: int) -> Flow:
        """Return what to do with a camera's next picture; take in what the queue has shown.

        Where a key frame is to be the first, it is that of the camera with the largest share
        among those that give pictures; every camera's next one is a key frame then.
        """
        width_bps = self.queue.take_width_bps(now_us)
        if width_bps is not None and self._rate is not None:
            self._rate.on_width(width_bps, now_us)
            self.share_out()
        flow = self.queue.flow(now_us)
        if flow not in (Flow.KEY, Flow.PROBE):
            return flow
        for each in self._tracks:
            each.feed.request_key_frame(KeyCause.LINK)
        lively = [each for each in self._tracks if each.feed.sent_bps(now_us)]
        first = max(lively or self._tracks, key=lambda each: each.feed.weight)
        return flow if track is first else Flow.HOLD

    def _sent_bps(self, now_us: int) -> int:
        return sum(track.feed.sent_bps(now_us) for track in self._tracks)

    def share_out(self) -> None:
        """Give each camera its part of what the link carries."""
        if self._rate is None:
            return
        given = allocate(self._rate.limit_bps, [track.want for track in self._tracks])
        for track in self._tracks:
            track.limit_bps = given[track.want.camera]
            track.feed.update_bit_rate()


class ViewerTrack(SharedStreamTrack):
    """One camera's stream to one viewer: joins the feed when its sender starts to read.

    That of a standby waits until it is shown; the sender reads and sends nothing meanwhile.

    Attributes:
        feed: the camera's.
        codec: that the viewer decodes.
        limit_bps: what it has of the viewer's link.
        leading: this viewer's link sets the bit rate.
        link: what its cameras share.
        skipped: pictures that this viewer did not get because it was behind.
    """

    def __init__(
        self,
        feed: CameraFeed,
        announcer: FrameAnnouncer,
        link: ViewerLink,
        *,
        leading: bool,
        codec: Codec = Codec.H264,
        waits: bool = False,
    ) -> None:
        super().__init__()
        self.feed = feed
        self.codec = codec
        self.link = link
        self._announcer = announcer
        self._units: deque[AccessUnit] = deque()
        self._ready = asyncio.Event()
        self._sending: AccessUnit | None = None
        self._needs_key = True
        self._joined = False
        self._waits = waits
        self.leading = leading
        self.limit_bps = feed.settings.bit_rate_bps
        self.skipped = 0
        self._missing = MissingPackets()
        self._retransmissions = Retransmissions()
        self._newest_rtp = 0
        self._key_rtp = 0
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
        if self._may_join() and not self._waits:
            self._joined = True
            self.feed.join(self)
        while not self._units:
            if self.readyState != "live":
                raise MediaStreamError
            self._ready.clear()
            await self._ready.wait()
        self._sending = self._units.popleft()
        return self._sending

    def take_over(self) -> None:
        """Send from now on, in the place of another connection to the same viewer."""
        self._waits = False
        if self._may_join():
            self._joined = True
            self.feed.join_in_place(self)

    def _may_join(self) -> bool:
        """Return whether it is not with the feed yet, and has not ended: that would stay there."""
        return not self._joined and self.readyState == "live"

    def rest(self) -> None:
        """Send no more; the connection stays."""
        self._waits = True
        self._joined = False
        self._units.clear()
        self._needs_key = True
        self.feed.leave(self)

    def on_rtp_timestamp(self, rtp_timestamp: int) -> None:
        """Announce the picture that leaves now, behind its packets: those go without a pause."""
        self._newest_rtp = rtp_timestamp
        if self._sending is not None:
            if self._sending.key:
                self._key_rtp = rtp_timestamp
            about = (self.feed.settings.id, self._sending, rtp_timestamp, clock.monotonic_us())
            asyncio.get_running_loop().call_soon(self._announcer.announce, *about)

    @property
    def want(self) -> Want:
        """What it may use of the viewer's link."""
        return Want(self.feed.settings.id, self.feed.weight, self.feed.settings.bit_rate_bps)

    @property
    def seen(self) -> Seen | None:
        """What the viewer's page says of this camera's picture; None before it has."""
        return self._announcer.seen.get(self.feed.settings.id)

    def on_key_frame_request(self) -> None:
        """Pass the request on; the encoder keeps the least interval."""
        self.feed.request_key_frame()

    def on_rate_estimate(self, bit_rate_bps: int) -> None:
        """Take this stream's share of what the viewer thinks its link carries."""
        self.link.on_estimate(self, bit_rate_bps, clock.monotonic_us())

    def on_loss(self, share: float) -> None:
        """Take what the viewer's link has lost of this stream."""
        self.link.on_loss(share, clock.monotonic_us())

    def on_missing(self, sequence_numbers: Sequence[int]) -> None:
        """Take the packets that the viewer asks for."""
        now_us = clock.monotonic_us()
        self.link.on_missing(self._missing.ask(sequence_numbers, now_us), now_us)

    def may_retransmit(self, sequence_number: int, size_bytes: int, rtp_timestamp: int) -> bool:
        """Return whether a lost packet is young enough, and the link not full of such.

        What lies before the newest key frame need not be decoded any more.
        """
        if (rtp_timestamp - self._key_rtp) % (1 << 32) >= 1 << 31:
            return False
        age_us = (self._newest_rtp - rtp_timestamp) % (1 << 32) * 100 // 9
        return self._retransmissions.allows(
            sequence_number, size_bytes * 8, age_us, self.limit_bps, clock.monotonic_us()
        )

    def stop(self) -> None:
        """Leave the feed and end the track."""
        super().stop()
        self.feed.leave(self)
        self._ready.set()
