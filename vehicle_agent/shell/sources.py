"""What the reading threads of cameras read: recordings, devices and network streams.

Each source is an iterator of pictures with their capture stamps. It ends or raises when the source
is lost; closing it frees the source.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import av
import cv2
import numpy as np
import numpy.typing as npt
from av.codec.context import Flags

from vehicle_agent.shell import clock
from vehicle_agent.shell.config import CameraSettings, SourceKind
from vehicle_agent.shell.stream_clock import StreamClock

Picture = npt.NDArray[np.uint8]

OPEN_TIMEOUT_S = 4.0
READ_TIMEOUT_S = 2.0
STREAM_OPTIONS = {
    "rtsp_transport": "tcp",
    "fflags": "nobuffer",
    "flags": "low_delay",
    "probesize": "500000",
    "analyzeduration": "500000",
    "reorder_queue_size": "0",
}
"""FFmpeg's: no buffer of its own, and no more than half a second of looking at the stream first.
Over TCP: a lost UDP packet would spoil every picture up to the next key frame."""
DRIVER_STAMP_MAX_AGE_US = 5_000_000
"""A V4L2 driver whose stamps were never younger than this has another clock than ours: no queue of
a driver holds so much. Once it has shown ours, an old stamp is an old picture."""
_FALLBACK_FILE_FPS = 25.0
MJPG = float(cv2.VideoWriter.fourcc(*"MJPG"))
LEAST_SHARE_OF_RATE = 0.95
"""29.97 Hz are 30."""
_SIZE_AND_RATE = (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT, cv2.CAP_PROP_FPS)

logger = logging.getLogger("headframe.media")


class SourceLost(Exception):
    """Raised when a source cannot be opened or gives no more pictures; one line that says why."""


@dataclass(frozen=True, slots=True)
class SourcePicture:
    """One picture: I420, shape (H*3/2, W), and its capture stamp (monotonic µs)."""

    i420: Picture
    capture_stamp_us: int


@dataclass(frozen=True, slots=True)
class Arrived:
    """One picture of a stream: the camera's own stamp, None where it has none, and its arrival."""

    i420: Picture
    pts_us: int | None
    arrival_us: int


SourcePictures = Generator[SourcePicture, None, None]
Wait = Callable[[float], bool]
"""Waits for some seconds; True when reading is to end."""


def open_source(settings: CameraSettings, wait: Wait) -> SourcePictures:
    """Return the pictures of a recording, a device or a stream.

    Raises:
        ValueError: the source is of another kind.
    """
    if settings.kind is SourceKind.FILE:
        return file_pictures(settings, wait)
    if settings.kind is SourceKind.DEVICE:
        return device_pictures(settings)
    if settings.kind is SourceKind.STREAM:
        return stamped(stream_pictures(settings))
    raise ValueError(f"camera {settings.id}: {settings.source!r} is not read by a thread")


def file_pictures(settings: CameraSettings, wait: Wait) -> SourcePictures:
    """Yield a recording's pictures at its own rate, for ever."""
    if not Path(settings.path).is_file():
        raise SourceLost(f"{settings.path}: no such file")
    capture = cv2.VideoCapture(settings.path, cv2.CAP_FFMPEG)
    try:
        _check_opened(capture, settings.path)
        fps = capture.get(cv2.CAP_PROP_FPS)
        pacer = _Pacer(fps if fps > 0 else _FALLBACK_FILE_FPS)
        again = False
        while True:
            grabbed, bgr = capture.read()
            if not grabbed:
                if not again:
                    raise SourceLost(f"{settings.path}: no picture can be read")
                capture.set(cv2.CAP_PROP_POS_FRAMES, 0)
                again = False
                continue
            again = True
            if wait(pacer.wait_s(clock.monotonic_ns())):
                return
            yield SourcePicture(to_i420(bgr, settings), clock.monotonic_us())
    finally:
        capture.release()


def device_pictures(settings: CameraSettings) -> SourcePictures:
    """Yield a V4L2 device's pictures, stamped by its driver where that uses our clock."""
    if not Path(settings.source).exists():
        raise SourceLost(f"{settings.source}: no such device")
    capture = cv2.VideoCapture(settings.source, cv2.CAP_V4L2)
    driver = DriverClock()
    try:
        _check_opened(capture, settings.source)
        negotiate(capture, settings)
        while True:
            grabbed, bgr = capture.read()
            if not grabbed:
                raise SourceLost(f"{settings.source}: no picture came, the device was lost")
            driver_us = int(capture.get(cv2.CAP_PROP_POS_MSEC) * 1000)
            stamp_us = driver.stamp_us(driver_us, clock.monotonic_us())
            if stamp_us is not None:
                yield SourcePicture(to_i420(bgr, settings), stamp_us)
    finally:
        capture.release()


class Device(Protocol):
    """What is needed of OpenCV's device to agree on a format."""

    def get(self, what: int, /) -> float:
        """Return a property."""

    def set(self, what: int, value: float, /) -> bool:
        """Ask for one; return whether the device took it."""


def negotiate(device: Device, settings: CameraSettings) -> None:
    """Agree on size, rate and format.

    OpenCV prefers raw pictures, which over USB 2 come at 10 Hz in 720p; a device that offers more
    as JPEG is asked for that. Where it keeps giving less than was wanted, that is said.
    """
    _ask(device, settings)
    if not _gives(device, settings) and device.set(cv2.CAP_PROP_FOURCC, MJPG):
        _ask(device, settings)
    if not _gives(device, settings):
        width, height, fps = (round(device.get(what)) for what in _SIZE_AND_RATE)
        logger.warning(
            "%s gives %dx%d at %d Hz; %dx%d at %d Hz were asked for",
            *(settings.source, width, height, fps),
            *(settings.width, settings.height, settings.fps),
        )


def _ask(device: Device, settings: CameraSettings) -> None:
    device.set(cv2.CAP_PROP_FRAME_WIDTH, settings.width)
    device.set(cv2.CAP_PROP_FRAME_HEIGHT, settings.height)
    device.set(cv2.CAP_PROP_FPS, settings.fps)
    device.set(cv2.CAP_PROP_BUFFERSIZE, 2)


def _gives(device: Device, settings: CameraSettings) -> bool:
    width, height, fps = (device.get(what) for what in _SIZE_AND_RATE)
    large_enough = width >= settings.width and height >= settings.height
    return large_enough and fps >= settings.fps * LEAST_SHARE_OF_RATE


class DriverClock:
    """Tells whether a driver's stamps are of our clock; what it gives rises from the first on."""

    def __init__(self) -> None:
        self._is_ours = False
        self._given_us = -1

    def stamp_us(self, driver_us: int, now_us: int) -> int | None:
        """Return the driver's stamp where it is of our clock, or else now.

        None where that is no later than what was given before: a driver that shows its clock only
        after some pictures gives pictures that are older than what the first were taken for.
        """
        age_us = now_us - driver_us
        if 0 <= age_us <= DRIVER_STAMP_MAX_AGE_US:
            self._is_ours = True
        stamp_us = driver_us if self._is_ours and age_us >= 0 else now_us
        if stamp_us <= self._given_us:
            return None
        self._given_us = stamp_us
        return stamp_us


def stream_pictures(settings: CameraSettings) -> Generator[Arrived, None, None]:
    """Yield a network camera's pictures with its own stamps."""
    timeouts_s = (OPEN_TIMEOUT_S, READ_TIMEOUT_S)
    with av.open(settings.source, options=STREAM_OPTIONS, timeout=timeouts_s) as container:
        if not container.streams.video:
            raise SourceLost(f"{settings.source}: no video in the stream")
        stream = container.streams.video[0]
        stream.codec_context.flags |= Flags.low_delay
        stream.codec_context.thread_count = 1  # each further thread holds a picture back
        for packet in container.demux(stream):
            arrival_us = clock.monotonic_us()
            for frame in packet.decode():
                assert isinstance(frame, av.VideoFrame)
                pts_us = None if frame.time is None else round(frame.time * 1e6)
                yield Arrived(_frame_i420(frame, settings), pts_us, arrival_us)


def stamped(pictures: Iterable[Arrived]) -> SourcePictures:
    """Yield a stream's pictures with the time of their capture: arrival less what they lag.

    Raises:
        SourceLost: the stream has no stamps, so nobody could tell an old picture from a new one.
    """
    camera = StreamClock()
    for picture in pictures:
        if picture.pts_us is None:
            raise SourceLost("the stream has no time stamps: the age of a picture is unknown")
        lag_us = camera.lag_us(picture.pts_us, picture.arrival_us)
        yield SourcePicture(picture.i420, picture.arrival_us - lag_us)


def to_i420(bgr: npt.NDArray[np.generic], settings: CameraSettings) -> Picture:
    """Return a picture of OpenCV's as I420 of the size to be sent."""
    size = (settings.width, settings.height)
    picture = np.ascontiguousarray(bgr, np.uint8)
    if (picture.shape[1], picture.shape[0]) != size:
        shrinks = picture.shape[1] > size[0]
        picture = np.asarray(
            cv2.resize(
                picture, size, interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
            ),
            np.uint8,
        )
    return np.asarray(cv2.cvtColor(picture, cv2.COLOR_BGR2YUV_I420), np.uint8)


def _frame_i420(frame: av.VideoFrame, settings: CameraSettings) -> Picture:
    fitted = frame.reformat(settings.width, settings.height, "yuv420p")
    return np.asarray(fitted.to_ndarray(), np.uint8)


def _check_opened(capture: cv2.VideoCapture, name: str) -> None:
    if not capture.isOpened():
        raise SourceLost(f"{name}: cannot be opened as a video source")


class _Pacer:
    """Spaces a file's pictures evenly; after a stall it goes on from now instead of catching up."""

    def __init__(self, fps: float) -> None:
        self._period_ns = int(1e9 / fps)
        self._due_ns: int | None = None

    def wait_s(self, now_ns: int) -> float:
        """Return how long to wait before the next picture is shown."""
        due_ns = now_ns if self._due_ns is None else self._due_ns + self._period_ns
        if due_ns < now_ns - self._period_ns:
            due_ns = now_ns
        self._due_ns = due_ns
        return max(0.0, (due_ns - now_ns) / 1e9)
