"""Cameras: each gives its newest picture with a capture stamp, and troubles nobody but itself.

Sources: ``sim:DIR`` (shared memory of the simulator), ``file:PATH`` (looped at its own rate),
``rtsp://…``, ``/dev/videoN``. All but the first are read by OpenCV in a daemon thread of their
own, which opens the source again, with growing pauses, whenever it is lost. Between a camera and
its taker there is one slot: a newer picture replaces one that nobody took, and is counted.
"""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np
import numpy.typing as npt

from vehicle_agent.shell import clock
from vehicle_agent.shell.config import CameraSettings
from vehicle_agent.shell.framebuffer import FrameReader

Picture = npt.NDArray[np.uint8]

REOPEN_FIRST_S = 0.25
REOPEN_MAX_S = 4.0
OPEN_TIMEOUT_MS = 4000
READ_TIMEOUT_MS = 2000
DRIVER_STAMP_MAX_AGE_US = 500_000
"""A V4L2 driver whose stamps were never younger than this has another clock than ours. Once it
has shown ours, an old stamp is an old picture."""
_FALLBACK_FILE_FPS = 25.0


@dataclass(frozen=True, slots=True)
class CameraPicture:
    """One picture: I420, shape (H*3/2, W), its capture stamp (monotonic µs), its number from 1."""

    i420: Picture
    capture_stamp_us: int
    number: int


@dataclass(slots=True)
class CameraCounters:
    """What happened at a camera since the start.

    Attributes:
        captured: pictures that came from the source.
        dropped: pictures replaced by newer ones before anybody took them.
        opened: times that the source was opened.
        error: one line on the present trouble; empty when there is none.
    """

    captured: int = 0
    dropped: int = 0
    opened: int = 0
    error: str = ""


class Camera(Protocol):
    """A camera with a slot for its newest picture."""

    settings: CameraSettings
    counters: CameraCounters

    async def newest(self) -> CameraPicture:
        """Return the newest picture, waiting for one that has not been returned before."""

    def close(self) -> None:
        """Stop and free the source."""


def open_camera(settings: CameraSettings) -> Camera:
    """Return the camera of `settings`, started. To be called inside the event loop.

    A source that cannot be opened now is tried again; `counters.error` says why.

    Raises:
        ValueError: the source is of no known kind.
    """
    kind, _, rest = settings.source.partition(":")
    if kind == "sim" and rest:
        return SimulatedCamera(settings, Path(rest))
    if kind == "file" and rest:
        return OpenCvCamera(settings, rest, looped=True)
    if settings.source.startswith(("rtsp://", "rtsps://", "/dev/video")):
        return OpenCvCamera(settings, settings.source, looped=False)
    raise ValueError(
        f"camera {settings.id}: source {settings.source!r} is none of"
        " sim:DIR, file:PATH, rtsp://…, /dev/videoN"
    )


class SimulatedCamera:
    """Pictures of the simulator, through shared memory; read only while somebody waits for one."""

    def __init__(self, settings: CameraSettings, directory: Path) -> None:
        self.settings = settings
        self.counters = CameraCounters(error="no picture yet")
        self._directory = directory
        self._reader: FrameReader | None = None
        self._ready = asyncio.Event()
        self._number = 0
        self._loop = asyncio.get_running_loop()
        self._thread = ThreadPoolExecutor(1, f"camera-{settings.id}")

    async def newest(self) -> CameraPicture:
        """Return the newest picture, waiting for one that has not been returned before."""
        while True:
            self._ready.clear()
            picture = await self._loop.run_in_executor(self._thread, self._read)
            if picture is not None:
                return picture
            assert self._reader is not None
            self._loop.add_reader(self._reader.fileno(), self._on_ready)
            await self._ready.wait()

    def close(self) -> None:
        """Free the buffer."""
        if self._reader is not None:
            self._loop.remove_reader(self._reader.fileno())
            self._thread.submit(self._reader.close)
        self._thread.shutdown(wait=False)

    def _read(self) -> CameraPicture | None:
        """Copy the newest picture, in this camera's thread."""
        if self._reader is None:
            self._reader = FrameReader(self._directory)
            self.counters.opened += 1
        got = self._reader.latest()
        if got is None:
            return None
        i420, stamp_us, _ = got
        self._number += 1
        self.counters.dropped = self._reader.skipped
        self.counters.captured = self._number + self._reader.skipped
        self.counters.error = ""
        return CameraPicture(i420, stamp_us, self._number)

    def _on_ready(self) -> None:
        assert self._reader is not None
        self._loop.remove_reader(self._reader.fileno())
        self._ready.set()


class OpenCvCamera:
    """A source that OpenCV reads, in a thread."""

    def __init__(self, settings: CameraSettings, source: str, *, looped: bool) -> None:
        self.settings = settings
        self.counters = CameraCounters(error="not opened yet")
        self._driver_clock_is_ours = False
        self._source = source
        self._looped = looped
        self._loop = asyncio.get_running_loop()
        self._ready = asyncio.Event()
        self._lock = threading.Lock()
        self._slot: CameraPicture | None = None
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"camera-{settings.id}", daemon=True)
        self._thread.start()

    async def newest(self) -> CameraPicture:
        """Return the newest picture, waiting for one that has not been returned before."""
        while True:
            with self._lock:
                picture, self._slot = self._slot, None
            if picture is not None:
                return picture
            self._ready.clear()
            with self._lock:
                empty = self._slot is None
            if empty:
                await self._ready.wait()

    def close(self) -> None:
        """Tell the thread to end; a read that hangs in the driver is left to the daemon thread."""
        self._ending.set()

    def _run(self) -> None:
        pause_s = REOPEN_FIRST_S
        while not self._ending.is_set():
            try:
                if self._read_until_lost():
                    pause_s = REOPEN_FIRST_S
            except (cv2.error, OSError, ValueError) as error:
                self._report(f"{type(error).__name__}: {error}")
            if self._ending.wait(pause_s):
                return
            pause_s = min(pause_s * 2, REOPEN_MAX_S)

    def _read_until_lost(self) -> bool:
        """Read pictures until the source fails or ends; return whether there were any."""
        capture = self._open()
        if capture is None:
            return False
        any_read = False
        try:
            file_fps = capture.get(cv2.CAP_PROP_FPS) if self._looped else 0.0
            pacer = _Pacer(file_fps if file_fps > 0 else _FALLBACK_FILE_FPS)
            while not self._ending.is_set():
                grabbed, bgr = capture.read()
                if not grabbed and self._looped and any_read:
                    capture.set(cv2.CAP_PROP_POS_FRAMES, 0)
                    grabbed, bgr = capture.read()
                if not grabbed:
                    self._report("no picture came: the source ended or was lost")
                    return any_read
                if self._looped and self._ending.wait(pacer.wait_s(clock.monotonic_ns())):
                    return any_read
                any_read = True
                self._put(self._to_i420(bgr), self._stamp_us(capture))
        finally:
            capture.release()
        return any_read

    def _open(self) -> cv2.VideoCapture | None:
        if self._looped and not Path(self._source).is_file():
            self._report(f"{self._source}: no such file")
            return None
        if self._source.startswith("/dev/"):
            if not Path(self._source).exists():
                self._report(f"{self._source}: no such device")
                return None
            capture = cv2.VideoCapture(self._source, cv2.CAP_V4L2)
            capture.set(cv2.CAP_PROP_FRAME_WIDTH, self.settings.width)
            capture.set(cv2.CAP_PROP_FRAME_HEIGHT, self.settings.height)
            capture.set(cv2.CAP_PROP_FPS, self.settings.fps)
            capture.set(cv2.CAP_PROP_BUFFERSIZE, 2)
        else:
            capture = cv2.VideoCapture(
                self._source,
                cv2.CAP_FFMPEG,
                [
                    cv2.CAP_PROP_OPEN_TIMEOUT_MSEC,
                    OPEN_TIMEOUT_MS,
                    cv2.CAP_PROP_READ_TIMEOUT_MSEC,
                    READ_TIMEOUT_MS,
                ],
            )
        if not capture.isOpened():
            capture.release()
            self._report(f"{self._source}: cannot be opened as a video source")
            return None
        self.counters.opened += 1
        return capture

    def _to_i420(self, bgr: npt.NDArray[np.generic]) -> Picture:
        size = (self.settings.width, self.settings.height)
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

    def _stamp_us(self, capture: cv2.VideoCapture) -> int:
        """Return the driver's stamp of the picture where it is of our clock, or else now."""
        now_us = clock.monotonic_us()
        if not self._source.startswith("/dev/"):
            return now_us
        driver_us = int(capture.get(cv2.CAP_PROP_POS_MSEC) * 1000)
        age_us = now_us - driver_us
        if 0 <= age_us <= DRIVER_STAMP_MAX_AGE_US:
            self._driver_clock_is_ours = True
        return driver_us if self._driver_clock_is_ours and age_us >= 0 else now_us

    def _put(self, i420: Picture, stamp_us: int) -> None:
        with self._lock:
            if self._slot is not None:
                self.counters.dropped += 1
            self.counters.captured += 1
            self.counters.error = ""
            self._slot = CameraPicture(i420, stamp_us, self.counters.captured)
        self._wake()

    def _wake(self) -> None:
        try:
            self._loop.call_soon_threadsafe(self._ready.set)
        except RuntimeError:  # the loop has ended
            self._ending.set()

    def _report(self, line: str) -> None:
        with self._lock:
            self.counters.error = line.splitlines()[0] if line else ""


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


def fit_i420(i420: Picture, width: int, height: int) -> Picture:
    """Return the picture at `width` x `height` px, scaled plane by plane where it has another."""
    rows, columns = i420.shape
    source_height = rows * 2 // 3
    if (columns, source_height) == (width, height):
        return i420
    fitted = np.empty((height * 3 // 2, width), np.uint8)
    fitted[:height] = cv2.resize(i420[:source_height], (width, height))
    chroma = i420[source_height:].reshape(2, source_height // 2, columns // 2)
    planes = [cv2.resize(plane, (width // 2, height // 2)) for plane in chroma]
    fitted[height:] = np.stack(planes).reshape(height // 2, width)
    return fitted
