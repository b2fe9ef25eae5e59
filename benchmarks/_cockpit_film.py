"""A camera's process that draws a short piece of the way once, and plays it to and fro.

For a small computer that is machine, cameras and cockpit at once: what it sends is the mine as the
simulator draws it, at the camera's own rate and size, but not where the machine is. All that comes
after the camera has as much to do as with live pictures; drawing, which no cockpit does, is left
out.
"""

from __future__ import annotations

import sys
from itertools import cycle

from sim import camera_process
from sim.render.camera import CameraOptions, CameraPose, FrontCamera
from sim.world.site import Site
from vehicle_agent.shell.framebuffer import Picture

PICTURES = 24
APART_M = 0.08
"""A truck at 2.5 m/s goes so far in one of 30 pictures a second."""


class Film:
    """Stands for ``FrontCamera``."""

    def __init__(self, site: Site, options: CameraOptions) -> None:
        camera = FrontCamera(site, options)
        forth = []
        for number in range(PICTURES):
            point = site.pose_at(site.start_station_m + number * APART_M)
            pose = CameraPose(
                point.x_m, point.y_m, point.z_m, point.heading_rad, 0.0, point.station_m
            )
            forth.append(camera.picture(pose, number).copy())
        camera.close()
        self._pictures = cycle(forth + forth[-2:0:-1])

    def picture(self, _pose: CameraPose, _now_us: int) -> Picture:
        """Return the next one, I420."""
        return next(self._pictures)

    def close(self) -> None:
        """Nothing is held."""


if __name__ == "__main__":
    vars(camera_process).update(FrontCamera=Film)
    sys.exit(camera_process.main())
