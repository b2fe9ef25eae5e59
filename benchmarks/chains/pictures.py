"""The camera of every chain: the same pictures of the drift at an even rate, stamped on leaving.

    python -m benchmarks.chains.pictures --pictures FILE --buffer DIR --fps N [--slide-us N]

The pictures are drawn once and kept in a file, so that drawing costs nothing while measuring.
Says "ready" after the first picture; ends when its input does.
"""

from __future__ import annotations

import argparse
import select
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np

from sim.camera_process import start_pose
from sim.demo import DEFAULT_SITE, find_config
from sim.render.camera import CameraOptions, FrontCamera
from sim.world.site import load_site
from vehicle_agent.shell import clock
from vehicle_agent.shell.framebuffer import FrameWriter

PICTURES = 90
METRES_A_PICTURE = 0.15
"""4.5 m/s at 30 Hz: the demo's pace."""


def draw(path: Path, width: int, height: int) -> None:
    """Write pictures of a ride along the drift to `path`, shape (n, H*3/2, W)."""
    site = load_site(find_config("sites", DEFAULT_SITE))
    camera = FrontCamera(site, CameraOptions(width_px=width, height_px=height, scale=1.0))
    drawn = []
    for number in range(PICTURES):
        way_m = number * METRES_A_PICTURE
        point = site.pose_at(site.start_station_m + way_m)
        pose = replace(
            start_pose(site),
            x_m=point.x_m,
            y_m=point.y_m,
            z_m=point.z_m,
            heading_rad=point.heading_rad,
            station_m=point.station_m,
            travelled_m=way_m,
        )
        drawn.append(camera.picture(pose, number * 33_333))
    camera.close()
    np.save(path, np.stack(drawn))


def there_and_back(count: int, number: int) -> int:
    """Return which of `count` pictures comes at place `number` of a ride there and back."""
    place = number % (2 * count - 2)
    return place if place < count else 2 * count - 2 - place


def main() -> int:
    """Publish until the input ends."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--pictures", type=Path, required=True)
    parser.add_argument("--buffer", type=Path, required=True)
    parser.add_argument("--fps", type=int, required=True)
    parser.add_argument("--slide-us", type=int, default=0, help="how much each comes later")
    arguments = parser.parse_args()
    pictures = np.load(arguments.pictures)
    rows, width = pictures.shape[1:]
    writer = FrameWriter(arguments.buffer, width, rows * 2 // 3)
    period_ns = 1_000_000_000 // arguments.fps + arguments.slide_us * 1000
    due_ns = clock.monotonic_ns()
    number = 0
    while not select.select([sys.stdin], [], [], 0)[0]:
        clock.sleep_until_ns(due_ns)
        writer.publish(pictures[there_and_back(len(pictures), number)], clock.monotonic_us())
        if number == 0:
            print("ready", flush=True)
        number += 1
        due_ns += period_ns
    writer.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
