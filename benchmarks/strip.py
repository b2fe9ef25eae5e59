"""How many identity strips are read after H.264 at a quantiser of 40, and how many wrongly.

    python -m benchmarks.strip [--json] [--quick]

Pictures of the drift at 720p and at 360p, each with its number, every one encoded at a constant
quantiser of 40, decoded and read as the Python viewer does. The samples are the shares read in
percent, one for each size.
"""

from __future__ import annotations

import sys
from fractions import Fraction

import av
import numpy as np

from benchmarks.chains.pictures import draw, there_and_back
from benchmarks.common import Measurement, run
from operator_console.shell.picture_peer import frame_of
from protocol.strip import COUNTER_MODULUS, draw_strip_i420
from sim.run_folder import run_folder
from vehicle_agent.shell.h264 import OPTIONS, SOFTWARE

SIZES = ((1280, 720), (640, 360))
QUANTISER = "40"
FULL_N, QUICK_N = 10_000, 1_000
STRIDE = 7919
"""Of the numbers: a prime, so that every bit of the 24 changes often."""


def read(pictures: np.ndarray[tuple[int, ...], np.dtype[np.uint8]], count: int) -> tuple[int, int]:
    """Return how many of `count` strips were read rightly, and how many wrongly."""
    rows, width = pictures.shape[1:]
    encoder = av.CodecContext.create("libx264", "w")
    assert isinstance(encoder, av.VideoCodecContext)
    encoder.width, encoder.height, encoder.pix_fmt = width, rows * 2 // 3, "yuv420p"
    encoder.time_base = Fraction(1, 30)
    encoder.options = OPTIONS[SOFTWARE] | {"qp": QUANTISER}
    decoder = av.CodecContext.create("h264", "r")
    assert isinstance(decoder, av.VideoCodecContext)
    right = wrong = 0
    for number in range(count):
        told = number * STRIDE % COUNTER_MODULUS
        picture = pictures[there_and_back(len(pictures), number)].copy()
        draw_strip_i420(picture, told)
        frame = av.VideoFrame.from_ndarray(picture, format="yuv420p")
        frame.pts = number
        for packet in encoder.encode(frame):
            for decoded in decoder.decode(av.Packet(bytes(packet))):
                got = frame_of(decoded)
                right += got == told
                wrong += got is not None and got != told
    return right, wrong


def measure(quick: bool) -> Measurement:
    """Count the strips that are read."""
    count = QUICK_N if quick else FULL_N
    samples, notes = [], []
    with run_folder() as folder:
        for width, height in SIZES:
            path = folder / f"{height}.npy"
            draw(path, width, height)
            right, wrong = read(np.load(path), count)
            samples.append(100 * right / count)
            notes.append(f"{height} rows: {right} of {count} right, {wrong} wrong")
    return Measurement(
        name="strip",
        unit="%",
        samples=samples,
        notes=f"identity strips read at a quantiser of {QUANTISER}. " + "; ".join(notes),
    )


if __name__ == "__main__":
    sys.exit(run(measure))
