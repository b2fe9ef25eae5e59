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

import av

from vehicle_agent.shell.av_compat import set_rate_limits
from vehicle_agent.shell.picture_encoder import NEVER_KEY, PictureEncoder

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

_SLICED_FROM_PIXELS = 1280 * 720
_LEVEL_3_1_PIXELS = 1280 * 720
_PERIOD_GAIN = 0.1
_PERIOD_MAX_US = 1_000_000
_RETELL_ABOVE = 0.1
"""Bits a picture are told again when they differ by this share, or the bit rate was changed."""
_NAL_SPS = 7
_NAL_IDR = 5


class H264Encoder(PictureEncoder):
    """One stream's H.264 encoder.

    Args:
        codec: FFmpeg's name of the encoder; others than x264 only after their test.
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
        self._codec = codec
        self._nominal_fps = self._period_fps = fps
        self._period_us = 1_000_000 / fps
        self._last_stamp_us: int | None = None
        self._pictures = 0
        super().__init__(width, height, fps, bit_rate_bps, start_bps)

    def _open(self) -> av.VideoCodecContext:
        self._told_rate_bps = self._told_bps = self._bit_rate_bps
        width, height = self.size
        pixels = width * height
        context = av.CodecContext.create(self._codec, "w")
        assert isinstance(context, av.VideoCodecContext)
        context.width = width
        context.height = height
        context.pix_fmt = "yuv420p"
        context.framerate = fractions.Fraction(self._fps, 1)
        context.time_base = fractions.Fraction(1, self._fps)
        context.bit_rate = self._bit_rate_bps
        context.gop_size = NEVER_KEY
        context.max_b_frames = 0
        context.thread_count = 1 if pixels < _SLICED_FROM_PIXELS else 2
        context.profile = "Baseline"
        options = OPTIONS[self._codec] | {
            "maxrate": str(self._told_bps),
            "bufsize": str(self._buffer_bits()),
        }
        if self._codec == SOFTWARE and pixels <= _LEVEL_3_1_PIXELS:
            options["level"] = "31"
        context.options = options
        return context

    def _pace(self, frame: av.VideoFrame, stamp_us: int) -> None:
        """Let x264 know what a picture may cost now."""
        frame.pts = self._pictures
        self._pictures += 1
        if self._period_fps != self._fps:
            self._period_fps, self._period_us = self._fps, 1_000_000 / self._fps
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

    def _is_key(self, data: bytes) -> bool:
        return is_key_frame(data)


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
