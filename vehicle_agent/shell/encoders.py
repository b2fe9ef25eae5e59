"""One camera's encoders: a picture is encoded once for each codec that some viewer needs."""

from __future__ import annotations

from collections.abc import Set
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from vehicle_agent.shell.h264 import H264Encoder
from vehicle_agent.shell.picture_encoder import Codec, EncodedPicture, PictureEncoder
from vehicle_agent.shell.vp8 import Vp8Encoder

if TYPE_CHECKING:
    from vehicle_agent.core.ladder import Step


class Encoders:
    """Encoders of one size, whose rates and key frames are set together.

    Args:
        step: size and rate of the pictures. bit_rate_bps: the greatest. start_bps: the first.
        h264: FFmpeg's name of the H.264 encoder.
    """

    def __init__(self, step: Step, bit_rate_bps: int, start_bps: int, h264: str) -> None:
        self.size = (step.width, step.height)
        self._max_bit_rate_bps = bit_rate_bps
        self._h264 = h264
        self._fps = step.fps
        self._made: dict[Codec, PictureEncoder] = {
            Codec.H264: H264Encoder(
                step.width, step.height, step.fps, bit_rate_bps, start_bps, h264
            )
        }

    @property
    def bit_rate_bps(self) -> int:
        """Target of each; takes effect with the next picture, without a key frame."""
        return self._made[Codec.H264].bit_rate_bps

    @bit_rate_bps.setter
    def bit_rate_bps(self, value_bps: int) -> None:
        for encoder in tuple(self._made.values()):
            encoder.bit_rate_bps = value_bps

    def set_fps(self, fps: int) -> None:
        """Set how many pictures a second come at most."""
        self._fps = fps
        for encoder in self._made.values():
            encoder.fps = fps

    def request_key_frame(self) -> None:
        """Make the next picture a key frame, once the least interval since the last is over."""
        for encoder in tuple(self._made.values()):
            encoder.request_key_frame()

    def encode(
        self, i420: npt.NDArray[np.uint8], stamp_us: int, codecs: Set[Codec]
    ) -> dict[Codec, EncodedPicture]:
        """Encode one picture for each of the codecs; in the camera's own thread.

        Raises:
            av.FFmpegError: the picture does not fit, or a library failed.
        """
        return {codec: self._of(codec).encode(i420, stamp_us) for codec in sorted(codecs)}

    def _of(self, codec: Codec) -> PictureEncoder:
        """Return the codec's encoder; that of VP8 is made for the first viewer who needs it."""
        if codec not in self._made:
            width, height = self.size
            rates_bps = (self._max_bit_rate_bps, self.bit_rate_bps)
            self._made[codec] = Vp8Encoder(width, height, self._fps, *rates_bps)
        return self._made[codec]
