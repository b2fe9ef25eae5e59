"""A simulated camera of a machine: truth of the machine in, pictures at an even rate out.

python -m sim.camera_process --site FILE --machine FILE --truth DIR --buffer DIR
                             [--camera front|rear|left|right]
                             [--width PX --height PX --fps N] [--lamps]

Subscribes to the truth datagrams, draws the newest pose on each slot of the frame rate, and
publishes I420 into the frame buffer. Says "ready" after the first picture; ends at SIGTERM.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import math
import os
import select
import signal
import socket
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, get_args

import cv2
from pydantic import BaseModel, ConfigDict, ValidationError

from sim.machines.cameras import CameraName
from sim.machines.parameters import Machine, load_machine
from sim.pacing import StepPacer
from sim.render.camera import CameraOptions, CameraPose, FrontCamera
from sim.render.errors import RenderError
from sim.render.mounted import mounted
from sim.world.files import WorldFileError
from sim.world.site import Site, load_site
from vehicle_agent.shell.clock import monotonic_ns, monotonic_us
from vehicle_agent.shell.framebuffer import FrameWriter
from vehicle_agent.shell.local_bus import DatagramFanout

_NAME = "camera_process"
_NICENESS = 5  # the picture gives way to the machine's control on a small computer
_DRAIN_LIMIT = 256


class Truth(BaseModel):
    """What the camera needs of a truth datagram; unknown keys are other people's."""

    model_config = ConfigDict(frozen=True, allow_inf_nan=False)
    t_us: int
    x_m: float
    y_m: float
    z_m: float
    heading_rad: float
    pitch_rad: float
    station_m: float
    distance_m: float
    roll_rad: float = 0.0
    articulation_rad: float = 0.0
    site_s: float = 0.0

    def pose(self) -> CameraPose:
        """Return the pose to draw."""
        return CameraPose(
            self.x_m,
            self.y_m,
            self.z_m,
            self.heading_rad,
            self.pitch_rad,
            self.station_m,
            self.distance_m,
            self.roll_rad,
            self.articulation_rad,
            self.site_s,
        )


class TruthSource(Protocol):
    """Where truth datagrams come from."""

    def recv(self) -> bytes | None:
        """Return the next datagram, or None when none waits."""
        ...


class TruthFollower:
    """Keeps the newest truth.

    Attributes:
        newest: None before the first valid datagram.
        refused: datagrams that were not truth.
    """

    def __init__(self, source: TruthSource) -> None:
        self._source = source
        self.newest: Truth | None = None
        self.refused = 0

    def drain(self) -> None:
        """Read everything that waits; the newest stamp wins."""
        for _ in range(_DRAIN_LIMIT):
            data = self._source.recv()
            if data is None:
                return
            try:
                truth = Truth.model_validate_json(data)
            except ValidationError:
                self.refused += 1
                continue
            if self.newest is None or truth.t_us >= self.newest.t_us:
                self.newest = truth


def capture_stamp_us(truth: Truth | None, now_us: int) -> int:
    """Return the capture stamp of a picture drawn at `now_us` from `truth`."""
    # A camera sees the world as it is at the moment of exposure, moving or not, and a standing
    # truck's truth keeps coming: so the stamp is the truth's own, on the same monotonic clock, and
    # a picture of a world that nobody tells us about any more grows old like any frozen picture.
    # Before the first truth there is no such world, and the moment of exposure is now.
    return now_us if truth is None else min(truth.t_us, now_us)


def start_pose(site: Site) -> CameraPose:
    """Return the pose of a machine that stands where the site's machines start."""
    point = site.pose_at(site.start_station_m)
    return CameraPose(
        point.x_m,
        point.y_m,
        point.z_m,
        point.heading_rad,
        math.atan(point.grade),
        point.station_m,
        roll_rad=math.atan(point.cross_slope),
    )


@dataclass(frozen=True, slots=True)
class Arguments:
    """The command line, parsed."""

    site: Path
    machine: Path
    truth: Path
    buffer: Path
    camera: CameraName
    width: int
    height: int
    fps: int
    lamps: bool
    renderer: str
    scale: float


def _parse(argv: Sequence[str] | None) -> Arguments:
    parser = argparse.ArgumentParser(prog=f"python -m sim.{_NAME}", description=__doc__)
    for name in ("site", "machine"):
        parser.add_argument(f"--{name}", type=Path, required=True, metavar="FILE")
    for name in ("truth", "buffer"):
        parser.add_argument(f"--{name}", type=Path, required=True, metavar="DIR")
    parser.add_argument("--camera", choices=get_args(CameraName), default="front")
    parser.add_argument("--width", type=int, default=1280)
    parser.add_argument("--height", type=int, default=720)
    parser.add_argument("--fps", type=int, default=30, choices=range(1, 121), metavar="1…120")
    parser.add_argument("--lamps", action="store_true", help="the drift's roof lamps burn")
    parser.add_argument("--renderer", choices=("software", "opengl"), default="software")
    parser.add_argument(
        "--scale", type=float, default=CameraOptions().scale, help="edge drawn over edge sent"
    )
    return Arguments(**vars(parser.parse_args(argv)))


def camera_options(arguments: Arguments, machine: Machine) -> CameraOptions:
    """Return how this machine carries the camera.

    Raises:
        RenderError: its file mounts no such camera.
    """
    options = CameraOptions(
        width_px=arguments.width,
        height_px=arguments.height,
        scale=arguments.scale,
        lamps_lit=arguments.lamps,
        backend="opengl" if arguments.renderer == "opengl" else "software",
    )
    return mounted(machine, arguments.camera, options)


class EndRequest:
    """Turns SIGTERM and SIGINT into something to wait for; a picture begun is finished."""

    def __init__(self) -> None:
        self._asked = False
        self._wake, self._write = socket.socketpair()
        for end in (self._wake, self._write):
            end.setblocking(False)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._note)
        signal.set_wakeup_fd(self._write.fileno())

    def _note(self, _number: int, _frame: object) -> None:
        self._asked = True

    def within(self, wait_s: float) -> bool:
        """Return True as soon as the end is asked for, False after `wait_s`."""
        if not self._asked:
            select.select([self._wake], [], [], wait_s)
        return self._asked


def _film(
    camera: FrontCamera,
    follower: TruthFollower,
    writer: FrameWriter,
    waiting_pose: CameraPose,
    fps: int,
    end: EndRequest,
) -> str:
    """Draw until the end is asked for; return a line of counts."""
    pacer = StepPacer(monotonic_ns(), round(1e9 / fps), most_steps=1)
    pictures = 0
    while True:
        if end.within(pacer.wait_ms(monotonic_ns()) / 1000.0):
            return f"{pictures} pictures, {pacer.skipped} slots skipped, {follower.refused} refused"
        if not pacer.take(monotonic_ns()):
            continue
        follower.drain()
        truth, now_us = follower.newest, monotonic_us()
        picture = camera.picture(waiting_pose if truth is None else truth.pose(), now_us)
        writer.publish(picture, capture_stamp_us(truth, now_us))
        pictures += 1
        if pictures == 1:
            gc.freeze()  # the drift stays for good: later collections need not walk it
            _say("ready")


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def main(argv: Sequence[str] | None = None) -> int:
    """Run the camera; return the exit code."""
    arguments = _parse(argv)
    end = EndRequest()
    cv2.setNumThreads(1)
    os.nice(_NICENESS)
    try:
        with contextlib.ExitStack() as stack:
            site = load_site(arguments.site)
            machine = load_machine(arguments.machine)
            camera = FrontCamera(site, camera_options(arguments, machine))
            stack.callback(camera.close)
            writer = FrameWriter(arguments.buffer, arguments.width, arguments.height)
            stack.callback(writer.close)
            truth = DatagramFanout(arguments.truth, f"camera-{os.getpid()}")
            stack.callback(truth.close)
            follower = TruthFollower(truth)
            _say(_film(camera, follower, writer, start_pose(site), arguments.fps, end))
    except (RenderError, WorldFileError, ValueError, OSError) as error:
        sys.stderr.write(f"{_NAME}: {' '.join(str(error).split())}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
