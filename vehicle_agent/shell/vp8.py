"""VP8 for a viewer that has no H.264, with the same rules: see picture_encoder.py.

FFmpeg gives libvpx a new bit rate in no way that leaves the encoder open. But libvpx shares its
fixed rate out by time: it takes from the pictures' time stamps how many come in a second, and a
picture's bits are the rate over that. So its time runs slower than ours, in the proportion of the
wanted rate to the greatest one; it follows from one picture to the next, without a key frame. Key
frames are limited to a multiple of a picture's bits, and so get smaller with them.
"""

from __future__ import annotations

import fractions

import av

from vehicle_agent.shell.picture_encoder import NEVER_KEY, PictureEncoder

LIBRARY = "libvpx"
TICKS_HZ = 1_000_000
"""Of the encoder's time, so that the smallest proportion still has hundreds of ticks a picture."""
KEY_PART_PCT = 300
"""A key frame's size at most, in parts of a picture's bits."""
BUFFER_S = 0.2
"""Rate control buffer, in the encoder's time."""
SHORTEST_US, LONGEST_US = 5_000, 1_000_000
"""Times between two pictures that are taken for what they are."""
OPTIONS = {
    "deadline": "realtime",
    "cpu-used": "8",
    "lag-in-frames": "0",
    "auto-alt-ref": "0",
    "undershoot-pct": "100",
    "overshoot-pct": "15",
    "max-intra-rate": str(KEY_PART_PCT),
}
"""No look-ahead, no hidden pictures, constant rate (libvpx, vp8cx.h; FFmpeg's libvpxenc)."""


class Vp8Encoder(PictureEncoder):
    """One stream's VP8 encoder."""

    _encoder_us = 0.0
    _last_stamp_us: int | None = None

    def _open(self) -> av.VideoCodecContext:
        width, height = self.size
        rate_bps = str(self._max_bit_rate_bps)
        context = av.CodecContext.create(LIBRARY, "w")
        assert isinstance(context, av.VideoCodecContext)
        context.width = width
        context.height = height
        context.pix_fmt = "yuv420p"
        context.framerate = fractions.Fraction(self._fps, 1)
        context.time_base = fractions.Fraction(1, TICKS_HZ)
        context.bit_rate = self._max_bit_rate_bps
        context.gop_size = NEVER_KEY
        context.thread_count = 2
        context.qmin, context.qmax = 4, 60
        context.options = OPTIONS | {
            "minrate": rate_bps,
            "maxrate": rate_bps,
            "bufsize": str(int(self._max_bit_rate_bps * BUFFER_S)),
        }
        return context

    def _pace(self, frame: av.VideoFrame, stamp_us: int) -> None:
        if self._last_stamp_us is not None:
            passed_us = min(max(stamp_us - self._last_stamp_us, SHORTEST_US), LONGEST_US)
            self._encoder_us += passed_us * self._bit_rate_bps / self._max_bit_rate_bps
        self._last_stamp_us = stamp_us
        frame.pts = int(self._encoder_us)
        frame.duration = 1

    def _is_key(self, data: bytes) -> bool:
        return is_key_frame(data)


def is_key_frame(data: bytes) -> bool:
    """Return whether a VP8 frame is a key frame: the first bit is 0 then (RFC 6386, 9.1)."""
    return bool(data) and not data[0] & 1
