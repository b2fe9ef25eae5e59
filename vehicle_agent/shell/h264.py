"""H.264 for driving: x264 with no look-ahead, a one-to-two-frame buffer and no surprise key frame.

What differs from a usual live encoder, and why:
- rate control buffer (VBV) of 1.5 frames, so that a key frame is not a burst of ten frames' size;
- bit rate and buffer change on the open encoder, so that a congested link is not met with a key
  frame, and a key frame after the cut is as short in time as one before it;
- key frames only on request, with a least interval, so that a noisy viewer cannot ask for a flood;
- from 720p on two slices, coded side by side: a third less time for a picture;
- time base 1/90000 and the camera's real rate, so that the rate control spends what it is told to.
"""

from __future__ import annotations

import fractions
from dataclasses import dataclass
from typing import Any

import av
import numpy as np
import numpy.typing as npt
from av.video.frame import PictureType

from vehicle_agent.shell.av_compat import set_rate_limits

RTP_CLOCK_HZ = 90_000
"""RTP clock of video, RFC 6184, 8.2.1."""
MIN_BIT_RATE_BPS = 100_000
"""Below this even 320x180 at 10 Hz cannot be read; the ladder's next step is fewer pictures."""
MIN_KEY_INTERVAL_US = 300_000
"""Least time between two requested key frames."""
VBV_FRAMES = 1.5
"""Rate control buffer in frames."""

_NEVER_KEY = 1 << 30
_SLICED_FROM_PIXELS = 1280 * 720
_LEVEL_3_1_PIXELS = 1280 * 720
_TIME_BASE = fractions.Fraction(1, RTP_CLOCK_HZ)
_NAL_SPS = 7
_NAL_IDR = 5


@dataclass(frozen=True, slots=True)
class EncodedPicture:
    """One access unit.

    Attributes:
        data: Annex-B bytes. pts_90khz: RTP time, not wrapped. key: it is an IDR.
        quantiser: x264's for the picture, 0 (best) to 51.
    """

    data: bytes
    pts_90khz: int
    key: bool
    quantiser: int


def pts_from_us(stamp_us: int) -> int:
    """Return the RTP time (90 kHz, not wrapped) of a monotonic stamp."""
    return stamp_us * 9 // 100


class H264Encoder:
    """One stream's encoder. Not thread-safe: one thread encodes; the rate may be set by another.

    Args:
        width, height: of the pictures. fps: their rate.
        bit_rate_bps: the greatest. start_bps: the first; None begins with the greatest.

    Attributes:
        size: width and height.
        fps: pictures a second that come now; may be changed at any time.
        key_frames: IDR pictures made.
    """

    def __init__(
        self, width: int, height: int, fps: int, bit_rate_bps: int, start_bps: int | None = None
    ) -> None:
        self._max_bit_rate_bps = max(MIN_BIT_RATE_BPS, bit_rate_bps)
        self._bit_rate_bps = self._max_bit_rate_bps
        if start_bps is not None:
            self.bit_rate_bps = start_bps
        self.size = (width, height)
        self.fps = fps
        self._limits = self._wanted_limits()
        self._key_wanted = True
        self._last_key_us: int | None = None
        self._last_pts = -1
        self.key_frames = 0
        pixels = width * height
        context = av.CodecContext.create("libx264", "w")
        context.width = width
        context.height = height
        context.pix_fmt = "yuv420p"
        context.framerate = fractions.Fraction(fps, 1)
        context.time_base = _TIME_BASE
        context.bit_rate = self._bit_rate_bps
        context.gop_size = _NEVER_KEY
        context.max_b_frames = 0
        context.thread_count = 1 if pixels < _SLICED_FROM_PIXELS else 2
        context.profile = "Baseline"
        options = {
            "preset": "superfast",
            "tune": "zerolatency",
            "sc_threshold": "0",
            "forced-idr": "1",
            "maxrate": str(self._limits[0]),
            "bufsize": str(self._limits[1]),
            "x264-params": "subme=0:colorprim=smpte170m:transfer=smpte170m:colormatrix=smpte170m",
        }
        if pixels <= _LEVEL_3_1_PIXELS:
            options["level"] = "31"
        context.options = options
        self._context = context

    @property
    def bit_rate_bps(self) -> int:
        """Target of the rate control; takes effect with the next picture, without a key frame.

        Values are limited to 100 kbit/s and to the rate given at the start.
        """
        return self._bit_rate_bps

    @bit_rate_bps.setter
    def bit_rate_bps(self, value_bps: int) -> None:
        self._bit_rate_bps = max(MIN_BIT_RATE_BPS, min(self._max_bit_rate_bps, value_bps))

    def request_key_frame(self) -> None:
        """Make the next picture an IDR, once the least interval since the last one is over."""
        self._key_wanted = True

    def encode(self, i420: npt.NDArray[np.uint8], stamp_us: int) -> EncodedPicture:
        """Encode one I420 picture, shape (H*3/2, W), captured at `stamp_us` (monotonic µs).

        Raises:
            av.FFmpegError: the picture does not fit the encoder, or libx264 failed.
        """
        frame = av.VideoFrame.from_numpy_buffer(i420, format="yuv420p")
        pts = max(pts_from_us(stamp_us), self._last_pts + 1)
        self._last_pts = pts
        frame.pts = pts
        frame.time_base = _TIME_BASE
        frame.pict_type = PictureType.I if self._key_due(stamp_us) else PictureType.NONE
        self._take_limits()
        packets = self._context.encode(frame)
        data = b"".join(bytes(packet) for packet in packets)
        key = is_key_frame(data)
        if key:
            self.key_frames += 1
            self._last_key_us = stamp_us
            self._key_wanted = False
        return EncodedPicture(data, pts, key, _quantiser(packets[0]) if packets else 0)

    def _wanted_limits(self) -> tuple[int, int]:
        """Return the greatest rate and the buffer in bits; the rate is constant."""
        return self._bit_rate_bps, int(self._bit_rate_bps / self.fps * VBV_FRAMES)

    def _take_limits(self) -> None:
        wanted = self._wanted_limits()
        if wanted != self._limits:
            self._limits = wanted
            self._context.bit_rate = wanted[0]
            set_rate_limits(self._context, *wanted)

    def _key_due(self, stamp_us: int) -> bool:
        if not self._key_wanted:
            return False
        return self._last_key_us is None or stamp_us - self._last_key_us >= MIN_KEY_INTERVAL_US


def _quantiser(packet: av.Packet[Any]) -> int:
    """Return the picture's quantiser, which libavcodec gives in units of 1/118 (FF_QP2LAMBDA)."""
    if not packet.has_sidedata("quality_stats"):
        return 0
    return int.from_bytes(bytes(packet.get_sidedata("quality_stats"))[:4], "little") // 118


def is_key_frame(annex_b: bytes) -> bool:
    """Return whether the access unit holds an IDR slice; libx264 puts SPS and PPS before it."""
    start = annex_b.find(b"\x00\x00\x01")
    while 0 <= start < len(annex_b) - 3:
        kind = annex_b[start + 3] & 0x1F
        if kind in (_NAL_IDR, _NAL_SPS):
            return True
        if kind <= _NAL_IDR:  # another slice: the picture is not an IDR
            return False
        start = annex_b.find(b"\x00\x00\x01", start + 3)
    return False
