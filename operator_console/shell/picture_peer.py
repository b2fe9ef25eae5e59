"""One peer connection that brings a machine's pictures, decoded, with their capture stamps.

A picture's number is read from the identity strip in the luma of what was really decoded; its stamp
is looked up in the machine's announcements. Of the picture nothing but the strip is touched.
"""

from __future__ import annotations

import asyncio
import json
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

import av
import numpy as np
from aiortc import MediaStreamTrack, RTCRtpTransceiver, RTCSessionDescription

from operator_console.shell import clock, rtc_receive
from operator_console.shell.rtc_receive import PictureSink, ReceiverUpkeep
from protocol.strip import read_strip, strip_size_px

FRAMES_CHANNEL = "frames"
SHOW = {"show": True}
"""Asks for the pictures on a connection that stands by."""
CLOSE_WITHIN_S = 2.0
MAX_ANNOUNCED = 256
MAX_UNANNOUNCED = 64


@dataclass(frozen=True, slots=True)
class ViewedFrame:
    """A picture that was decoded.

    Attributes:
        camera: its id.
        frame: 24-bit counter read from the picture.
        capture_stamp_us: vehicle monotonic time of the capture.
        received_us: own monotonic time when it was decoded.
    """

    camera: int
    frame: int
    capture_stamp_us: int
    received_us: int


@dataclass(frozen=True, slots=True)
class Decoded:
    """A picture that was decoded, whose stamp is not known yet."""

    frame: int
    rtp_timestamp: int
    received_us: int


class StampBook:
    """Finds the capture stamp of a decoded picture of one camera, come by one connection.

    The announcement of the picture gives it exactly. Where that was lost, the RTP timestamp, which
    runs by the capture clock, gives it to 12 µs, counted from the newest announcement.

    Attributes:
        by_rtp: stamps found by RTP timestamp.
    """

    def __init__(self) -> None:
        self._announced: OrderedDict[int, int] = OrderedDict()
        self._unannounced: OrderedDict[int, Decoded] = OrderedDict()
        self._anchor: tuple[int, int] | None = None
        self.by_rtp = 0

    def announce(self, frame: int, capture_stamp_us: int, rtp_timestamp: int) -> Decoded | None:
        """Take an announcement; return the picture that waited for it, if one did."""
        self._announced[frame] = capture_stamp_us
        if len(self._announced) > MAX_ANNOUNCED:
            self._announced.popitem(last=False)
        self._anchor = (rtp_timestamp, capture_stamp_us)
        return self._unannounced.pop(frame, None)

    def stamp_us(self, decoded: Decoded) -> int | None:
        """Return the capture stamp, or None before the first announcement (the picture waits)."""
        exact_us = self._announced.get(decoded.frame)
        if exact_us is not None:
            return exact_us
        if self._anchor is None:
            self._unannounced[decoded.frame] = decoded
            if len(self._unannounced) > MAX_UNANNOUNCED:
                self._unannounced.popitem(last=False)
            return None
        self.by_rtp += 1
        anchor_rtp, anchor_us = self._anchor
        ticks = (decoded.rtp_timestamp - anchor_rtp + 0x8000_0000) % 0x1_0000_0000 - 0x8000_0000
        return anchor_us + ticks * 100 // 9


@dataclass(slots=True)
class PictureCounts:
    """What became of the pictures of a viewer, over all its connections.

    Attributes:
        taken: decoded and looked at. unread: of these, without a readable strip.
    """

    taken: int = 0
    unread: int = 0


class PicturePeer:
    """One connection of a viewer, from its offer to its end.

    Args:
        cameras: in the order of the offer's sections. ice_addresses: own; none: every address.
        counts: of the viewer.
        give: called in the event loop for each picture, whatever its age.
        on_sent: called when the machine sends here.

    Attributes:
        ended: set when the connection failed or was closed.
    """

    def __init__(
        self,
        cameras: Sequence[int],
        ice_addresses: Sequence[str],
        counts: PictureCounts,
        give: Callable[[ViewedFrame], None],
        on_sent: Callable[[PicturePeer], None],
    ) -> None:
        self.ended = asyncio.Event()
        self._cameras = tuple(cameras)
        self._ice_addresses = tuple(ice_addresses)
        self._counts = counts
        self._give = give
        self._on_sent = on_sent
        self._loop = asyncio.get_running_loop()
        self._connection = rtc_receive.new_peer_connection()
        self._transceivers: list[RTCRtpTransceiver] = []
        self._upkeeps: list[ReceiverUpkeep] = []
        self._sinks: list[PictureSink] = []
        self._books = {camera: StampBook() for camera in self._cameras}
        connection = self._connection
        connection.on("connectionstatechange", self._on_state)
        connection.on("track", self._on_track)
        for _ in self._cameras:
            transceiver = connection.addTransceiver("video", direction="recvonly")
            transceiver.setCodecPreferences(rtc_receive.h264_only())
            self._transceivers.append(transceiver)
        # After the video: aiortc would otherwise close the transport that both share.
        self._channel = connection.createDataChannel(
            FRAMES_CHANNEL, ordered=False, maxRetransmits=0
        )
        self._channel.on("message", self._on_announcement)

    async def offer(self) -> str:
        """Return the description to be signed and sent, with all candidates inside."""
        connection = self._connection
        with rtc_receive.ice_addresses(self._ice_addresses):
            await connection.setLocalDescription(await connection.createOffer())
        return str(connection.localDescription.sdp)

    async def accept(self, answer_sdp: str) -> None:
        """Take the vehicle's answer.

        Raises:
            Exception: of many kinds, from aiortc, for an answer that does not fit the offer.
        """
        await self._connection.setRemoteDescription(RTCSessionDescription(answer_sdp, "answer"))

    @property
    def ready(self) -> bool:
        """The vehicle can be spoken to by this connection, as far as is known."""
        connected = self._connection.connectionState == "connected"
        return connected and self._channel.readyState == "open"

    def ask(self) -> None:
        """Ask for the pictures here; nothing of it waits, so that it may have to be said again."""
        if self._channel.readyState == "open" and self._channel.bufferedAmount == 0:
            self._channel.send(json.dumps(SHOW))

    async def keep_up(self, now_us: int) -> None:
        """Ask again for what is missing. To be called each 20 ms."""
        for upkeep in self._upkeeps:
            await upkeep.tick(now_us)

    @property
    def nacks(self) -> int:
        """Repeated requests for lost packets, over all cameras."""
        return sum(upkeep.nacks for upkeep in self._upkeeps)

    @property
    def key_requests(self) -> int:
        """Key frames asked for after a stall, over all cameras."""
        return sum(upkeep.key_requests for upkeep in self._upkeeps)

    @property
    def skipped(self) -> int:
        """Pictures decoded together with a newer one, and so not looked at, over all cameras."""
        return sum(sink.skipped for sink in self._sinks)

    async def close(self) -> None:
        """End it; each part has its own time: a slow decoder must not keep the peer open."""
        ending = [rtc_receive.end_decoder(each.receiver) for each in self._transceivers]
        await _within_limit(asyncio.gather(*ending))
        await _within_limit(self._connection.close())

    def _on_state(self) -> None:
        if self._connection.connectionState in ("failed", "closed"):
            self.ended.set()

    def _on_track(self, track: MediaStreamTrack) -> None:
        for camera, transceiver in zip(self._cameras, self._transceivers, strict=True):
            if transceiver.receiver.track is track:
                sink = PictureSink(partial(self._on_picture, camera))
                self._sinks.append(sink)
                rtc_receive.attach_sink(transceiver.receiver, sink)
                self._upkeeps.append(ReceiverUpkeep(transceiver.receiver))

    def _on_picture(self, camera: int, picture: av.VideoFrame, rtp_timestamp: int) -> None:
        """Run in the decoder's thread."""
        frame = frame_of(picture)
        received_us = clock.monotonic_us()
        self._loop.call_soon_threadsafe(self._on_decoded, camera, frame, rtp_timestamp, received_us)

    def _on_decoded(
        self, camera: int, frame: int | None, rtp_timestamp: int, received_us: int
    ) -> None:
        self._counts.taken += 1
        if frame is None:
            self._counts.unread += 1
            return
        decoded = Decoded(frame, rtp_timestamp, received_us)
        stamp_us = self._books[camera].stamp_us(decoded)
        if stamp_us is not None:
            self._give(ViewedFrame(camera, decoded.frame, stamp_us, decoded.received_us))

    def _on_announcement(self, text: str | bytes) -> None:
        try:
            fields = json.loads(text)
            camera, frame = int(fields["c"]), int(fields["f"])
            stamp_us, rtp_timestamp = int(fields["t"]), int(fields["r"])
            book = self._books[camera]
        except (ValueError, KeyError, TypeError):
            return  # from the vehicle itself, over DTLS: a newer one comes in 33 ms
        # At once, whatever becomes of the picture: the vehicle tells a queue from a late echo.
        if self._channel.readyState == "open" and self._channel.bufferedAmount == 0:
            self._channel.send(json.dumps({"c": camera, "f": frame}))
        self._on_sent(self)
        waiting = book.announce(frame, stamp_us, rtp_timestamp)
        if waiting is not None:
            self._give(ViewedFrame(camera, waiting.frame, stamp_us, waiting.received_us))


async def _within_limit(work: Awaitable[object]) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(CLOSE_WITHIN_S):
            await work


def frame_of(picture: av.VideoFrame) -> int | None:
    """Return the frame counter in a decoded picture's strip; None when it cannot be read."""
    plane = picture.planes[0]
    rows = strip_size_px(picture.width)[1]
    if picture.height < rows:
        return None
    stride = plane.line_size
    luma = np.frombuffer(memoryview(plane), np.uint8, rows * stride).reshape(rows, stride)
    return read_strip(luma[:, : picture.width])
