"""H.264 for driving: x264 with no look-ahead, a one-to-two-frame buffer and no surprise key frame.

What differs from a usual live encoder, and why:
- rate control buffer (VBV) of 1.5 frames, so that a key frame is not a burst of ten frames' size;
- bit rate and buffer change on the open encoder, so that a congested link is not met with a key
  frame, and a key frame after the cut is as short in time as one before it;
- key frames only on request, with a least interval, so that a noisy viewer cannot ask for a flood;
- from 720p on two slices, coded side by side: a third less time for a picture;
- x264 counts pictures and not time, and is told what each may cost: the bit rate over the rate at
  which pictures really come, so that it spends what it is told to when fewer come.
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

SOFTWARE = "libx264"
OPTIONS: dict[str, dict[str, str]] = {
    SOFTWARE: {
        "preset": "superfast",
        "tune": "zerolatency",
        "sc_threshold": "0",
        "forced-idr": "1",
        "x264-params": "subme=0:colorprim=smpte170m:transfer=smpte170m:colormatrix=smpte170m",
    },
    "h264_nvenc": {
        "preset": "p1",
        "tune": "ull",
        "rc": "cbr",
        "zerolatency": "1",
        "delay": "0",
        "forced-idr": "1",
    },
    "h264_qsv": {"preset": "veryfast", "async_depth": "1", "look_ahead": "0", "forced_idr": "1"},
    "h264_v4l2m2m": {"num_output_buffers": "2", "num_capture_buffers": "2"},
    "h264_vaapi": {"async_depth": "1", "rc_mode": "CBR"},
}
"""By encoder: no look-ahead, no delay, key frames on request (FFmpeg's encoder documentation)."""

_NEVER_KEY = 1 << 30
_SLICED_FROM_PIXELS = 1280 * 720
_LEVEL_3_1_PIXELS = 1280 * 720
_PERIOD_GAIN = 0.1
_PERIOD_MAX_US = 1_000_000
_RETELL_ABOVE = 0.1
"""Bits a picture are told again when they differ by this share, or the bit rate was changed."""
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
        codec: FFmpeg's name of the encoder; others than x264 only after their test.

    Attributes:
        size: width and height.
        key_frames: IDR pictures made.
    """

    def __init__(
        self,
        width: int,
        height: int,
        fps: int,
        bit_rate_bps: int,
        start_bps: int | None = None,
        codec: str = SOFTWARE,
    ) -> None:
        self._max_bit_rate_bps = max(MIN_BIT_RATE_BPS, bit_rate_bps)
        self._bit_rate_bps = self._max_bit_rate_bps
        if start_bps is not None:
            self.bit_rate_bps = start_bps
        self.size = (width, height)
        self._nominal_fps = self._fps = fps
        self._period_us = 1_000_000 / fps
        self._last_stamp_us: int | None = None
        self._pictures = 0
        self._told_rate_bps = self._bit_rate_bps
        self._told_bps = self._bit_rate_bps
        self._key_wanted = True
        self._last_key_us: int | None = None
        self._last_pts = -1
        self.key_frames = 0
        pixels = width * height
        context = av.CodecContext.create(codec, "w")
        assert isinstance(context, av.VideoCodecContext)
        context.width = width
        context.height = height
        context.pix_fmt = "yuv420p"
        context.framerate = fractions.Fraction(fps, 1)
        context.time_base = fractions.Fraction(1, fps)
        context.bit_rate = self._bit_rate_bps
        context.gop_size = _NEVER_KEY
        context.max_b_frames = 0
        context.thread_count = 1 if pixels < _SLICED_FROM_PIXELS else 2
        context.profile = "Baseline"
        options = OPTIONS[codec] | {
            "maxrate": str(self._told_bps),
            "bufsize": str(self._buffer_bits()),
        }
        if codec == SOFTWARE and pixels <= _LEVEL_3_1_PIXELS:
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

    @property
    def fps(self) -> int:
        """Pictures a second at most; set where it changes, it is reckoned with at once."""
        return self._fps

    @fps.setter
    def fps(self, value: int) -> None:
        if value != self._fps:
            self._fps = value
            self._period_us = 1_000_000 / value

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
        frame.pts = self._pictures
        frame.time_base = self._context.time_base
        self._pictures += 1
        frame.pict_type = PictureType.I if self._key_due(stamp_us) else PictureType.NONE
        self._tell_rate(stamp_us)
        packets = self._context.encode(frame)
        data = b"".join(bytes(packet) for packet in packets)
        key = is_key_frame(data)
        if key:
            self.key_frames += 1
            self._last_key_us = stamp_us
            self._key_wanted = False
        return EncodedPicture(data, pts, key, _quantiser(packets[0]) if packets else 0)

    def _tell_rate(self, stamp_us: int) -> None:
        """Let x264 know what a picture may cost now."""
        if self._last_stamp_us is not None:
            since_us = min(
                max(stamp_us - self._last_stamp_us, 1_000_000 / self._fps), _PERIOD_MAX_US
            )
            self._period_us += (since_us - self._period_us) * _PERIOD_GAIN
        self._last_stamp_us = stamp_us
        told_bps = int(self._bit_rate_bps * self._period_us * self._nominal_fps / 1e6)
        same_rate = self._told_rate_bps == self._bit_rate_bps
        if same_rate and abs(told_bps - self._told_bps) <= _RETELL_ABOVE * self._told_bps:
            return
        self._told_rate_bps, self._told_bps = self._bit_rate_bps, told_bps
        self._context.bit_rate = told_bps
        set_rate_limits(self._context, told_bps, self._buffer_bits())

    def _buffer_bits(self) -> int:
        return int(self._told_bps / self._nominal_fps * VBV_FRAMES)

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
