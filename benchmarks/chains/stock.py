"""Stock aiortc as sender or receiver of one camera, as its documentation shows it.

    python -m benchmarks.chains.stock send --buffer DIR --bit-rate BPS
    python -m benchmarks.chains.stock receive

In a process of its own, and nothing of aiortc's behaviour is changed. Two things are set: its
address is 127.0.0.1, which aioice otherwise leaves out, and its first bit rate, so that it need
not find it first. Pictures come from the same buffer as ours and carry the same strip.
"""

from __future__ import annotations

import argparse
import asyncio
import fractions
import sys
from pathlib import Path
from typing import Any

import aioice.ice
import aiortc.codecs.h264
import av
from aiortc import (
    MediaStreamTrack,
    RTCConfiguration,
    RTCPeerConnection,
    RTCRtpReceiver,
    RTCSessionDescription,
)
from aiortc.mediastreams import MediaStreamError

from benchmarks.chains.lines import hear, say
from operator_console.shell.picture_peer import frame_of
from protocol.strip import draw_strip_i420
from vehicle_agent.shell import clock
from vehicle_agent.shell.cameras import SimulatedCamera
from vehicle_agent.shell.config import CameraSettings


class CameraTrack(MediaStreamTrack):
    """The newest picture of the buffer, numbered; keeps when each was captured."""

    kind = "video"

    def __init__(self, camera: SimulatedCamera) -> None:
        super().__init__()
        self._camera = camera
        self.stamps_us: list[int] = []

    async def recv(self) -> av.VideoFrame:
        """Return the next picture to aiortc's encoder."""
        picture = await self._camera.newest()
        draw_strip_i420(picture.i420, len(self.stamps_us))
        self.stamps_us.append(picture.capture_stamp_us)
        frame = av.VideoFrame.from_ndarray(picture.i420, format="yuv420p")
        frame.pts = picture.capture_stamp_us * 9 // 100
        frame.time_base = fractions.Fraction(1, 90_000)
        return frame


def connection() -> RTCPeerConnection:
    """Return a connection without the public STUN server that is the default."""
    vars(aioice.ice)["get_host_addresses"] = lambda **_: ["127.0.0.1"]
    return RTCPeerConnection(RTCConfiguration(iceServers=[]))


async def send(buffer: Path, bit_rate_bps: int) -> None:
    """Answer one offer and send until told to end."""
    vars(aiortc.codecs.h264)["DEFAULT_BITRATE"] = bit_rate_bps
    settings = CameraSettings(id=0, name="stock", source=f"sim:{buffer}")
    track = CameraTrack(SimulatedCamera(settings, buffer))
    peer = connection()
    offer = await hear()
    assert offer is not None
    await peer.setRemoteDescription(RTCSessionDescription(offer["sdp"], "offer"))
    sender = peer.addTrack(track)
    await peer.setLocalDescription(await peer.createAnswer())
    say({"sdp": peer.localDescription.sdp})
    await hear()
    stats = await sender.getStats()
    sent = [each.bytesSent for each in stats.values() if each.type == "outbound-rtp"]
    say({"stamps_us": track.stamps_us, "bytes": sum(sent)})
    await peer.close()


async def receive() -> None:
    """Offer to receive; give every picture's number and the time when it was there."""
    peer = connection()
    seen: list[tuple[int, int]] = []
    reading: set[asyncio.Task[None]] = set()

    async def read(track: MediaStreamTrack) -> None:
        while True:
            try:
                frame: Any = await track.recv()
            except MediaStreamError:
                return
            number = frame_of(frame)
            if number is not None:
                seen.append((number, clock.monotonic_us()))

    peer.on("track", lambda track: reading.add(asyncio.create_task(read(track))))
    capabilities = RTCRtpReceiver.getCapabilities("video")
    assert capabilities is not None
    codecs = capabilities.codecs
    transceiver = peer.addTransceiver("video", direction="recvonly")
    transceiver.setCodecPreferences([c for c in codecs if c.name.lower() in ("h264", "rtx")])
    await peer.setLocalDescription(await peer.createOffer())
    say({"sdp": peer.localDescription.sdp})
    answer = await hear()
    assert answer is not None
    await peer.setRemoteDescription(RTCSessionDescription(answer["sdp"], "answer"))
    await hear()
    say({"seen": seen})
    await peer.close()


def main() -> int:
    """Play one side."""
    parser = argparse.ArgumentParser()
    parser.add_argument("side", choices=["send", "receive"])
    parser.add_argument("--buffer", type=Path)
    parser.add_argument("--bit-rate", type=int, default=0)
    arguments = parser.parse_args()
    if arguments.side == "send":
        asyncio.run(send(arguments.buffer, arguments.bit_rate))
    else:
        asyncio.run(receive())
    return 0


if __name__ == "__main__":
    sys.exit(main())
