"""In the guest: the agent's camera on a V4L2 device, encoded as for a viewer, and decoded again.

    python -m hil.kernel.camera OUT

Writes what was decoded as OUT/picture-N.png, and OUT/report.json: how many pictures came, how old
they were by the driver's stamp, and whether each one's number could be read.
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np

from protocol.strip import draw_strip_i420, read_strip
from vehicle_agent.shell import clock
from vehicle_agent.shell.cameras import CameraPicture, open_camera
from vehicle_agent.shell.config import CameraSettings
from vehicle_agent.shell.h264 import H264Encoder

DEVICE = "/dev/video0"
WIDTH, HEIGHT, FPS = 640, 360, 15
BIT_RATE_BPS = 1_000_000
PICTURES, KEPT_EVERY = 30, 10


async def take(count: int) -> tuple[list[CameraPicture], list[int], dict[str, Any]]:
    """Return pictures of the device, their ages in µs when they came, and the camera's counts."""
    camera = open_camera(
        CameraSettings(
            id=0,
            name="vivid",
            source=DEVICE,
            width=WIDTH,
            height=HEIGHT,
            fps=FPS,
            bit_rate_bps=BIT_RATE_BPS,
        )
    )
    pictures, ages_us = [], []
    for _ in range(count):
        picture = await camera.newest()
        pictures.append(picture)
        ages_us.append(clock.monotonic_us() - picture.capture_stamp_us)
    counters = camera.counters
    camera.close()
    counts = {
        "captured": counters.captured,
        "dropped": counters.dropped,
        "late": counters.late,
        "frozen": counters.frozen,
        "opened": counters.opened,
        "trouble": counters.trouble(clock.monotonic_us()),
    }
    return pictures, ages_us, counts


def show(pictures: list[CameraPicture], out: Path) -> int:
    """Encode, decode, and write some; return how many numbers were read right."""
    encoder = H264Encoder(WIDTH, HEIGHT, FPS, BIT_RATE_BPS)
    decoder = av.CodecContext.create("h264", "r")
    assert isinstance(decoder, av.VideoCodecContext)
    read = 0
    for number, picture in enumerate(pictures):
        draw_strip_i420(picture.i420, number)
        encoded = encoder.encode(picture.i420, picture.taken_us)
        for decoded in decoder.decode(av.Packet(encoded.data)):
            i420 = decoded.to_ndarray(format="yuv420p")
            read += read_strip(np.ascontiguousarray(i420[:16])) == number
            if number % KEPT_EVERY == 0:
                bgr = cv2.cvtColor(i420, cv2.COLOR_YUV2BGR_I420)
                cv2.imwrite(str(out / f"picture-{number}.png"), bgr)
    return read


def report(pictures: list[CameraPicture], ages_us: list[int], read: int) -> dict[str, Any]:
    """Return what was seen, in ms."""
    stamps_us = [picture.capture_stamp_us for picture in pictures]
    gaps_us = np.diff(stamps_us)
    return {
        "pictures": len(pictures),
        "numbers_read": read,
        "age_p50_ms": float(np.median(ages_us)) / 1000,
        "age_max_ms": max(ages_us) / 1000,
        "gap_p50_ms": float(np.median(gaps_us)) / 1000,
        "gap_min_ms": float(gaps_us.min()) / 1000,
    }


def main() -> int:
    """Take, show and report; 0 when every picture came whole and in order."""
    out = Path(sys.argv[1])
    pictures, ages_us, counts = asyncio.run(take(PICTURES))
    found = report(pictures, ages_us, show(pictures, out)) | counts
    (out / "report.json").write_text(json.dumps(found), encoding="utf-8")
    in_order = found["gap_min_ms"] > 0
    whole = found["numbers_read"] == PICTURES and in_order and not found["trouble"]
    return 0 if whole else 1


if __name__ == "__main__":
    sys.exit(main())
