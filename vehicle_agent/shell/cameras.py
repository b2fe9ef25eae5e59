"""Cameras: each gives its newest picture with a capture stamp, and troubles nobody but itself.

Sources: ``sim:DIR`` (shared memory of the simulator), ``file:PATH`` (looped at its own rate),
``rtsp://…``, ``/dev/videoN``. All but the first are read in a daemon thread of their own, which
opens the source again, with growing pauses, whenever it is lost, and reads on while nobody
watches: exposure stays set and the first picture is there at once. Between a camera and its taker
there is one slot: a newer picture replaces one that nobody took, and is counted.
"""

from __future__ import annotations

import asyncio
import select
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import av
import cv2
import numpy as np
import numpy.typing as npt

from vehicle_agent.shell import clock
from vehicle_agent.shell.config import CameraSettings, SourceKind
from vehicle_agent.shell.framebuffer import FrameReader
from vehicle_agent.shell.picture_watch import BlankWatch, FrozenWatch
from vehicle_agent.shell.sources import (
    SourceLost,
    SourcePicture,
    SourcePictures,
    Wait,
    open_source,
)

Picture = npt.NDArray[np.uint8]

REOPEN_FIRST_S = 0.25
REOPEN_MAX_S = 4.0
LATE_MAX_US = 500_000
"""A picture that is older when it comes is of no use: the view rule would stop the machine."""
LATE_FOR_US = 2_000_000
"""A source whose pictures all come late for this long is opened again: that empties its queues."""
LOOK_AGAIN_S = 0.25
"""A thread that waits for a simulator's picture sees this late that it is to end."""
SILENT_US = 1_000_000
"""Without a picture for this long a camera is said to be silent."""


@dataclass(frozen=True, slots=True)
class CameraPicture:
    """One picture.

    Attributes:
        i420: shape (H*3/2, W).
        capture_stamp_us: monotonic time since when the scene is known to have looked like this.
        taken_us: monotonic; when this picture came from the camera. Later than the capture stamp
            by the camera's own delay, and by more when the camera is frozen.
        number: from 1.
    """

    i420: Picture
    capture_stamp_us: int
    taken_us: int
    number: int


@dataclass(slots=True)
class CameraCounters:
    """What happened at a camera since the start.

    Attributes:
        captured: pictures that came from the source.
        dropped: pictures replaced by newer ones before anybody took them.
        late: pictures thrown away because they were old when they came.
        frozen: pictures that were the same as the one before for too long.
        opened: times that the source was opened.
        blank: the pictures show nothing.
        error: one line on the present trouble; empty when there is none.
        expected_us: since when the next picture is waited for; None while nobody waits.
    """

    captured: int = 0
    dropped: int = 0
    late: int = 0
    frozen: int = 0
    opened: int = 0
    blank: bool = False
    error: str = ""
    expected_us: int | None = None

    def trouble(self, now_us: int) -> str:
        """Return one line on the present trouble, also when pictures simply do not come."""
        if self.error:
            return self.error
        silent_us = 0 if self.expected_us is None else now_us - self.expected_us
        if silent_us >= SILENT_US:
            return f"no picture for {silent_us // 1_000_000} s"
        return "the picture shows nothing: covered, dark or dead" if self.blank else ""


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
    """
    if settings.kind is SourceKind.SIMULATOR:
        return SimulatedCamera(settings, Path(settings.path))
    return ThreadedCamera(settings, lambda wait: open_source(settings, wait))


class SimulatedCamera:
    """Pictures of the simulator, through shared memory; read only while somebody waits for one.

    A thread waits for them and copies them: it has begun before the event loop would have woken.
    Their stamp is that of the simulated world, and stands still when that does.
    """

    def __init__(self, settings: CameraSettings, directory: Path) -> None:
        self.settings = settings
        self.counters = CameraCounters(error="no picture yet")
        self._directory = directory
        self._blank = blank_watch(settings)
        self._reader: FrameReader | None = None
        self._ending = threading.Event()
        self._number = 0
        self._loop = asyncio.get_running_loop()
        self._thread = ThreadPoolExecutor(1, f"camera-{settings.id}")

    async def newest(self) -> CameraPicture:
        """Return the newest picture, waiting for one that has not been returned before."""
        self.counters.expected_us = clock.monotonic_us()
        while True:
            picture = await self._loop.run_in_executor(self._thread, self._read)
            if picture is not None:
                self.counters.expected_us = None
                return picture

    def close(self) -> None:
        """Free the buffer."""
        self._ending.set()
        self._thread.submit(self._free)
        self._thread.shutdown(wait=False)

    def _free(self) -> None:
        if self._reader is not None:
            self._reader.close()

    def _read(self) -> CameraPicture | None:
        """Wait a little for the newest picture and copy it, in this camera's thread."""
        if self._reader is None:
            self._reader = FrameReader(self._directory)
            self.counters.opened += 1
        got = self._reader.latest()
        if got is None and not self._ending.is_set():
            select.select([self._reader], [], [], LOOK_AGAIN_S)
            got = self._reader.latest()
        if got is None:
            return None
        i420, stamp_us, _ = got
        self._number += 1
        self.counters.dropped = self._reader.skipped
        self.counters.captured = self._number + self._reader.skipped
        self.counters.error = ""
        self.counters.blank = self._blank.is_blank(i420, stamp_us)
        own_us = self.settings.own_delay_ms * 1000
        return CameraPicture(i420, stamp_us - own_us, stamp_us, self._number)


class ThreadedCamera:
    """A source that is read in a thread.

    Args:
        settings: of the camera.
        open_pictures: opens the source and yields its pictures; called again after each loss.
    """

    def __init__(
        self, settings: CameraSettings, open_pictures: Callable[[Wait], SourcePictures]
    ) -> None:
        self.settings = settings
        self.counters = CameraCounters(error="not opened yet", expected_us=clock.monotonic_us())
        self._open_pictures = open_pictures
        self._frozen = FrozenWatch(settings.frozen_after_ms * 1000)
        self._blank = blank_watch(settings)
        self._late_since_us: int | None = None
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
            before = self.counters.captured
            try:
                self._read_until_lost()
            except (SourceLost, av.FFmpegError, cv2.error, OSError, ValueError) as error:
                self._report(str(error) or type(error).__name__)
            if self.counters.captured > before:
                pause_s = REOPEN_FIRST_S
            if self._ending.wait(pause_s):
                return
            pause_s = min(pause_s * 2, REOPEN_MAX_S)

    def _read_until_lost(self) -> None:
        """Read pictures until the camera is closed.

        Raises:
            SourceLost: the source ended, or its pictures came late for too long.
        """
        self._late_since_us = None
        first = True
        with closing(self._open_pictures(self._ending.wait)) as pictures:
            for picture in pictures:
                if self._ending.is_set():
                    return
                self.counters.opened += first
                first = False
                self._take(picture, clock.monotonic_us())
        if not self._ending.is_set():
            raise SourceLost("no picture came: the source ended")

    def _take(self, picture: SourcePicture, now_us: int) -> None:
        """Put a picture into the slot, unless it was old already when it came."""
        taken_us = picture.capture_stamp_us
        if now_us - taken_us <= LATE_MAX_US:
            self._late_since_us = None
            self._put(picture.i420, taken_us, now_us)
            return
        self.counters.late += 1
        if self._late_since_us is None:
            self._late_since_us = now_us
        elif now_us - self._late_since_us >= LATE_FOR_US:
            raise SourceLost(f"pictures come {(now_us - taken_us) // 1000} ms late")

    def _put(self, i420: Picture, taken_us: int, now_us: int) -> None:
        stamp_us = taken_us
        if self.settings.tells_frozen:
            stamp_us = self._frozen.stamp_us(i420, taken_us)
        blank = self._blank.is_blank(i420, taken_us)
        with self._lock:
            self.counters.dropped += self._slot is not None
            self.counters.frozen += stamp_us != taken_us
            self.counters.captured += 1
            self.counters.blank = blank
            self.counters.error = "" if stamp_us == taken_us else "the same picture again and again"
            self.counters.expected_us = now_us
            own_us = self.settings.own_delay_ms * 1000
            self._slot = CameraPicture(i420, stamp_us - own_us, taken_us, self.counters.captured)
        self._wake()

    def _wake(self) -> None:
        try:
            self._loop.call_soon_threadsafe(self._ready.set)
        except RuntimeError:  # the loop has ended
            self._ending.set()

    def _report(self, line: str) -> None:
        with self._lock:
            self.counters.error = line.splitlines()[0]


def blank_watch(settings: CameraSettings) -> BlankWatch:
    """Return the watch for pictures that show nothing, as the settings have it."""
    return BlankWatch(settings.blank_contrast, settings.blank_after_ms * 1000)


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
