"""Which H.264 encoder is used: one in hardware only after it has shown that it does what we need.

    python -m vehicle_agent.shell.encoder_choice h264_nvenc

Prints one line: nothing wrong, or what is. A driver that crashes or hangs must not take the media
process along, so each candidate is tested in a process of its own, once, at the start.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass

import av
import av.codec.codec
import cv2
import numpy as np
import numpy.typing as npt

from protocol.strip import draw_strip_i420, read_strip
from vehicle_agent.shell.h264 import SOFTWARE, H264Encoder
from vehicle_agent.shell.picture_encoder import EncodedPicture

CANDIDATES = ("h264_nvenc", "h264_qsv", "h264_v4l2m2m", "h264_vaapi")
WIDTH, HEIGHT, FPS = 640, 360, 30
HIGH_BPS, LOW_BPS = 2_000_000, 500_000
PICTURES = 45
SETTLED = 15
"""Pictures after a change of the rate that are not counted."""
MOST_ERROR = 12.0
"""Mean difference of luma, in levels, between a picture and what is decoded of it."""
RATE_SLACK = 1.3
TEST_WITHIN_S = 15.0


@dataclass(frozen=True, slots=True)
class Choice:
    """The encoder that is used, and why others are not, by name."""

    codec: str
    refused: dict[str, str]


class NotFit(Exception):
    """Raised when an encoder does not do what we need; one line."""


def choose(wanted: str, test: Callable[[str], str] | None = None) -> Choice:
    """Return the encoder for a setting: ``libx264``, a candidate's name, or ``auto``.

    Args:
        wanted: the setting.
        test: returns what is wrong with a candidate; by default in a process of its own.
    """
    if wanted == SOFTWARE:
        return Choice(SOFTWARE, {})
    refused: dict[str, str] = {}
    for codec in CANDIDATES if wanted == "auto" else (wanted,):
        wrong = (test or self_test_apart)(codec)
        if not wrong:
            return Choice(codec, refused)
        refused[codec] = wrong
    return Choice(SOFTWARE, refused)


def self_test_apart(codec: str) -> str:
    """Test a candidate in a process of its own; return what is wrong, empty for nothing."""
    command = (sys.executable, "-m", "vehicle_agent.shell.encoder_choice", codec)
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=TEST_WITHIN_S, check=False
        )
    except subprocess.TimeoutExpired:
        return f"its test did not end within {TEST_WITHIN_S:g} s"
    if done.returncode == 0:
        return ""
    return done.stdout.strip() or f"its test ended with code {done.returncode}"


def self_test(codec: str) -> str:
    """Return what is wrong with an encoder, empty for nothing. In this process."""
    try:
        _check(codec)
    except av.codec.codec.UnknownCodecError:
        return "FFmpeg here has no such encoder"
    except av.FFmpegError as error:
        return f"it cannot be opened or used: {error.strerror}"
    except NotFit as error:
        return str(error)
    return ""


def _check(codec: str) -> None:
    encoder = H264Encoder(WIDTH, HEIGHT, FPS, HIGH_BPS, codec=codec)
    decoder = av.CodecContext.create("h264", "r")
    scene = _scene()
    first = [_round_trip(encoder, decoder, scene, number) for number in range(PICTURES)]
    if [picture.key for picture in first] != [True] + [False] * (PICTURES - 1):
        raise NotFit("it makes key frames that nobody asked for")
    encoder.bit_rate_bps = LOW_BPS
    second = [_round_trip(encoder, decoder, scene, PICTURES + n) for n in range(PICTURES)]
    if any(picture.key for picture in second):
        raise NotFit("a change of its rate makes a key frame")
    settled = second[SETTLED:]
    rate_bps = sum(len(picture.data) for picture in settled) * 8 * FPS / len(settled)
    if rate_bps > LOW_BPS * RATE_SLACK:
        raise NotFit(f"told {LOW_BPS} bit/s while open, it sends {rate_bps:.0f}")
    encoder.request_key_frame()
    if not _round_trip(encoder, decoder, scene, 2 * PICTURES).key:
        raise NotFit("it makes no key frame when asked to")


def _scene() -> npt.NDArray[np.uint8]:
    """Return hills and valleys with a fine texture, twice as wide as a picture."""
    rng = np.random.default_rng(4)
    size = (2 * WIDTH, HEIGHT * 3 // 2)
    hills = cv2.resize(rng.uniform(60, 190, (9, 16)), size, interpolation=cv2.INTER_CUBIC)
    texture = rng.uniform(-12, 12, (size[1] // 4, size[0] // 4)).repeat(4, 0).repeat(4, 1)
    return np.clip(hills + texture, 16, 235).astype(np.uint8)


def _round_trip(
    encoder: H264Encoder, decoder: av.CodecContext, scene: npt.NDArray[np.uint8], number: int
) -> EncodedPicture:
    """Encode a picture, decode it, and compare."""
    at = 2 * number % WIDTH
    picture = np.ascontiguousarray(scene[:, at : at + WIDTH])
    draw_strip_i420(picture, number)
    encoded = encoder.encode(picture, 1_000_000 + number * 1_000_000 // FPS)
    if not encoded.data:
        raise NotFit("it holds pictures back")
    assert isinstance(decoder, av.VideoCodecContext)
    decoded = decoder.decode(av.Packet(encoded.data))
    if len(decoded) != 1:
        raise NotFit(f"of picture {number} {len(decoded)} are decoded at once")
    got = decoded[0].to_ndarray(format="yuv420p")[:HEIGHT].astype(np.int16)
    if read_strip(got.astype(np.uint8)[:16]) != number:
        raise NotFit(f"the number of picture {number} cannot be read")
    error = float(np.abs(got - picture[:HEIGHT]).mean())
    if error > MOST_ERROR:
        raise NotFit(f"picture {number} differs by {error:.1f} levels from what went in")
    return encoded


def main() -> int:
    """Test the encoder named as the one argument."""
    wrong = self_test(sys.argv[1])
    sys.stdout.write(f"{wrong}\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    raise SystemExit(main())
