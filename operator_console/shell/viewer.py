"""A viewer without a screen: decodes the cameras and says which picture arrived when.

For scripted drivers, measurements and tests. It reads the identity strip from the luma of the
decoded picture, so it claims to have seen only what was really decoded, and looks the capture
stamp up in the vehicle's announcements. Of the picture nothing but the strip is touched.
"""

from __future__ import annotations

import asyncio
import json
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from types import TracebackType
from typing import Self

import av
import numpy as np
from aiortc import MediaStreamTrack, RTCDataChannel, RTCRtpTransceiver, RTCSessionDescription

from operator_console.shell import clock, rtc_receive
from operator_console.shell.rtc_receive import PictureSink, ReceiverUpkeep
from protocol.strip import COUNTER_MODULUS, read_strip, strip_size_px

FRAMES_CHANNEL = "frames"
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
class _Decoded:
    frame: int
    rtp_timestamp: int
    received_us: int


class StampBook:
    """Finds the capture stamp of a decoded picture of one camera.

    The announcement of the picture gives it exactly. Where that was lost, the RTP timestamp, which
    runs by the capture clock, gives it to 12 µs, counted from the newest announcement.

    Attributes:
        by_rtp: stamps found by RTP timestamp.
    """

    def __init__(self) -> None:
        self._announced: OrderedDict[int, int] = OrderedDict()
        self._unannounced: OrderedDict[int, _Decoded] = OrderedDict()
        self._anchor: tuple[int, int] | None = None
        self.by_rtp = 0

    def announce(self, frame: int, capture_stamp_us: int, rtp_timestamp: int) -> _Decoded | None:
        """Take an announcement; return the picture that waited for it, if one did."""
        self._announced[frame] = capture_stamp_us
        if len(self._announced) > MAX_ANNOUNCED:
            self._announced.popitem(last=False)
        self._anchor = (rtp_timestamp, capture_stamp_us)
        return self._unannounced.pop(frame, None)

    def stamp_us(self, decoded: _Decoded) -> int | None:
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


async def _within_limit(work: Awaitable[object]) -> None:
    """Give each part of the closing its own time: a slow decoder must not keep the peer open."""
    with suppress(TimeoutError):
        async with asyncio.timeout(CLOSE_WITHIN_S):
            await work


class HeadlessViewer:
    """One viewer of some cameras. Use as ``async with``; then `offer`, `accept`.

    `on_frame` is called in the event loop for each picture, newest only, never for an older one.

    Attributes:
        ended: set when the connection failed or was closed.
        taken: pictures decoded and looked at. unread: of these, without a readable strip.
    """

    def __init__(
        self,
        on_frame: Callable[[ViewedFrame], None],
        cameras: Sequence[int] = (0,),
        ice_addresses: Sequence[str] = (),
    ) -> None:
        rtc_receive.install()
        self.cameras = tuple(cameras)
        self.ended = asyncio.Event()
        self.taken = 0
        self.unread = 0
        self._on_frame = on_frame
        self._ice_addresses = tuple(ice_addresses)
        self._loop = asyncio.get_running_loop()
        self._connection = rtc_receive.new_peer_connection()
        self._transceivers: list[RTCRtpTransceiver] = []
        self._upkeeps: list[ReceiverUpkeep] = []
        self._sinks: list[PictureSink] = []
        self._books = {camera: StampBook() for camera in self.cameras}
        self._last_frame: dict[int, int] = {}
        self._upkeep_task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        # Not a task group: that would wrap every error of the caller's own block.
        self._upkeep_task = asyncio.create_task(self._keep_up(), name="viewer upkeep")
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._upkeep_task is not None:
            self._upkeep_task.cancel()
            with suppress(asyncio.CancelledError):
                await self._upkeep_task
        ending = [rtc_receive.end_decoder(each.receiver) for each in self._transceivers]
        await _within_limit(asyncio.gather(*ending))
        await _within_limit(self._connection.close())

    async def offer(self) -> str:
        """Return the description to be signed and sent, with all candidates inside."""
        connection = self._connection
        connection.on("connectionstatechange", self._on_state)
        connection.on("track", self._on_track)
        for _ in self.cameras:
            transceiver = connection.addTransceiver("video", direction="recvonly")
            transceiver.setCodecPreferences(rtc_receive.h264_only())
            self._transceivers.append(transceiver)
        # After the video: aiortc would otherwise close the transport that both share.
        channel = connection.createDataChannel(FRAMES_CHANNEL, ordered=False, maxRetransmits=0)
        channel.on("message", partial(self._on_announcement, channel))
        with rtc_receive.ice_addresses(self._ice_addresses):
            await connection.setLocalDescription(await connection.createOffer())
        return str(connection.localDescription.sdp)

    async def accept(self, answer_sdp: str) -> None:
        """Take the vehicle's answer; pictures come from then on.

        Raises:
            Exception: of many kinds, from aiortc, for an answer that does not fit the offer.
        """
        await self._connection.setRemoteDescription(RTCSessionDescription(answer_sdp, "answer"))

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

    async def _keep_up(self) -> None:
        while True:
            await asyncio.sleep(rtc_receive.UPKEEP_PERIOD_S)
            now_us = clock.monotonic_us()
            for upkeep in self._upkeeps:
                await upkeep.tick(now_us)

    def _on_state(self) -> None:
        if self._connection.connectionState in ("failed", "closed"):
            self.ended.set()

    def _on_track(self, track: MediaStreamTrack) -> None:
        for camera, transceiver in zip(self.cameras, self._transceivers, strict=True):
            if transceiver.receiver.track is track:
                sink = self._sink(camera)
                self._sinks.append(sink)
                rtc_receive.attach_sink(transceiver.receiver, sink)
                self._upkeeps.append(ReceiverUpkeep(transceiver.receiver))

    def _sink(self, camera: int) -> PictureSink:
        def on_picture(picture: av.VideoFrame, rtp_timestamp: int) -> None:
            """Run in the decoder's thread."""
            frame = frame_of(picture)
            received_us = clock.monotonic_us()
            self._loop.call_soon_threadsafe(
                self._on_decoded, camera, frame, rtp_timestamp, received_us
            )

        return PictureSink(on_picture)

    def _on_decoded(
        self, camera: int, frame: int | None, rtp_timestamp: int, received_us: int
    ) -> None:
        self.taken += 1
        if frame is None:
            self.unread += 1
            return
        decoded = _Decoded(frame, rtp_timestamp, received_us)
        stamp_us = self._books[camera].stamp_us(decoded)
        if stamp_us is not None:
            self._give(camera, decoded, stamp_us)

    def _on_announcement(self, channel: RTCDataChannel, text: str | bytes) -> None:
        try:
            fields = json.loads(text)
            camera, frame = int(fields["c"]), int(fields["f"])
            stamp_us, rtp_timestamp = int(fields["t"]), int(fields["r"])
            book = self._books[camera]
        except (ValueError, KeyError, TypeError):
            return  # from the vehicle itself, over DTLS: a newer one comes in 33 ms
        # At once, whatever becomes of the picture: the vehicle tells a queue from a late echo.
        if channel.readyState == "open" and channel.bufferedAmount == 0:
            channel.send(json.dumps({"c": camera, "f": frame}))
        waiting = book.announce(frame, stamp_us, rtp_timestamp)
        if waiting is not None:
            self._give(camera, waiting, stamp_us)

    def _give(self, camera: int, decoded: _Decoded, stamp_us: int) -> None:
        last = self._last_frame.get(camera)
        if last is not None and not 0 < (decoded.frame - last) % COUNTER_MODULUS < (
            COUNTER_MODULUS // 2
        ):
            return
        self._last_frame[camera] = decoded.frame
        self._on_frame(ViewedFrame(camera, decoded.frame, stamp_us, decoded.received_us))


def frame_of(picture: av.VideoFrame) -> int | None:
    """Return the frame counter in a decoded picture's strip; None when it cannot be read."""
    plane = picture.planes[0]
    rows = strip_size_px(picture.width)[1]
    if picture.height < rows:
        return None
    stride = plane.line_size
    luma = np.frombuffer(memoryview(plane), np.uint8, rows * stride).reshape(rows, stride)
    return read_strip(luma[:, : picture.width])
