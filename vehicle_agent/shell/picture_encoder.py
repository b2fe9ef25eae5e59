"""What every encoder for driving has in common: its rate, its key frames and its clock.

Key frames come only on request, with a least interval, so that a noisy viewer cannot ask for a
flood; the bit rate changes on the open encoder, so that a congested link is not met with one.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import av
import numpy as np
import numpy.typing as npt
from av.video.frame import PictureType

MIN_BIT_RATE_BPS = 100_000
"""Below this even 320x180 at 10 Hz cannot be read; the ladder's next step is fewer pictures."""
MIN_KEY_INTERVAL_US = 300_000
"""Least time between two requested key frames."""
NEVER_KEY = 1 << 30
"""Pictures between key frames that nobody asked for."""


class Codec(StrEnum):
    """What a viewer can decode, by the name in a session description; the first is preferred."""

    H264 = "H264"
    VP8 = "VP8"


class KeyCause(StrEnum):
    """Why a picture was a key frame."""

    VIEWER = "viewer"
    """One came, missed something or asked."""
    LINK = "link"
    """What waited in front of the leading viewer's link was lost."""
    SIZE = "size"
    """Another resolution begins with one."""
    NONE = "none"
    """Nobody asked: a change of the bit rate must not make one."""


@dataclass(frozen=True, slots=True)
class EncodedPicture:
    """One access unit.

    Attributes:
        data: Annex-B bytes of H.264, or a VP8 frame. pts_90khz: RTP time, not wrapped.
        key: it can be decoded without an earlier one.
        quantiser: of the picture, in the codec's own steps; 0 where that is not known.
    """

    data: bytes
    pts_90khz: int
    key: bool
    quantiser: int


def pts_from_us(stamp_us: int) -> int:
    """Return the RTP time (90 kHz, not wrapped) of a monotonic stamp."""
    return stamp_us * 9 // 100


class PictureEncoder(ABC):
    """One stream's encoder. Not thread-safe: one thread encodes; the rate may be set by another.

    Args:
        width, height: of the pictures. fps: their rate.
        bit_rate_bps: the greatest. start_bps: the first; None begins with the greatest.

    Attributes:
        size: width and height.
        key_frames: made so far.
    """

    def __init__(
        self, width: int, height: int, fps: int, bit_rate_bps: int, start_bps: int | None = None
    ) -> None:
        self._max_bit_rate_bps = max(MIN_BIT_RATE_BPS, bit_rate_bps)
        self._bit_rate_bps = self._max_bit_rate_bps
        if start_bps is not None:
            self.bit_rate_bps = start_bps
        self.size = (width, height)
        self._fps = fps
        self._key_wanted = True
        self._last_key_us: int | None = None
        self._last_pts = -1
        self.key_frames = 0
        self._context = self._open()

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
        self._fps = value

    def request_key_frame(self) -> None:
        """Make the next picture a key frame, once the least interval since the last is over."""
        self._key_wanted = True

    def encode(self, i420: npt.NDArray[np.uint8], stamp_us: int) -> EncodedPicture:
        """Encode one I420 picture, shape (H*3/2, W), captured at `stamp_us` (monotonic µs).

        Raises:
            av.FFmpegError: the picture does not fit the encoder, or the library failed.
        """
        frame = av.VideoFrame.from_numpy_buffer(i420, format="yuv420p")
        pts = max(pts_from_us(stamp_us), self._last_pts + 1)
        self._last_pts = pts
        frame.time_base = self._context.time_base
        frame.pict_type = PictureType.I if self._key_due(stamp_us) else PictureType.NONE
        self._pace(frame, stamp_us)
        packets = self._context.encode(frame)
        data = b"".join(bytes(packet) for packet in packets)
        key = self._is_key(data)
        if key:
            self.key_frames += 1
            self._last_key_us = stamp_us
            self._key_wanted = False
        return EncodedPicture(data, pts, key, _quantiser(packets[0]) if packets else 0)

    def _key_due(self, stamp_us: int) -> bool:
        if not self._key_wanted:
            return False
        return self._last_key_us is None or stamp_us - self._last_key_us >= MIN_KEY_INTERVAL_US

    @abstractmethod
    def _open(self) -> av.VideoCodecContext:
        """Return the codec's context, to be opened by its first picture."""

    @abstractmethod
    def _pace(self, frame: av.VideoFrame, stamp_us: int) -> None:
        """Give the picture its place in the encoder's time, and the encoder its rate."""

    @abstractmethod
    def _is_key(self, data: bytes) -> bool:
        """Return whether the access unit is a key frame."""


def _quantiser(packet: av.Packet[Any]) -> int:
    """Return the picture's quantiser, which libavcodec gives in units of 1/118 (FF_QP2LAMBDA)."""
    if not packet.has_sidedata("quality_stats"):
        return 0
    return int.from_bytes(bytes(packet.get_sidedata("quality_stats"))[:4], "little") // 118
