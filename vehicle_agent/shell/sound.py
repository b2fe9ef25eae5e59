"""What the machine's microphone hears, in frames of 20 ms, for those who listen.

Sources: ``alsa:DEVICE``, ``file:PATH`` (looped), and of the simulator ``sim:tone`` and
``sim:engine``. Read in a daemon thread of its own, and only while somebody listens; a source that
is lost is opened again. Nothing rests on it: a listener who falls behind misses what is old.
"""

from __future__ import annotations

import asyncio
import fractions
import math
import os
import threading
from collections import deque
from collections.abc import Callable, Generator
from contextlib import closing
from dataclasses import dataclass
from typing import Protocol

import av
import numpy as np
import numpy.typing as npt
from aiortc import MediaStreamTrack
from aiortc.mediastreams import MediaStreamError

from vehicle_agent.shell import clock
from vehicle_agent.shell.config import SoundKind, SoundSettings

Samples = npt.NDArray[np.int16]
"""One frame: 960 samples of one channel at 48 kHz."""
Wait = Callable[[float], bool]
"""Waits for some seconds; True when reading is to end."""
Frames = Generator[Samples, None, None]

RATE_HZ = 48_000
FRAME_SAMPLES = 960
_FRAME_NS = 20_000_000
TONE_HZ = 440.0
AGAIN_S = 2.0
MAX_FRAMES_WAITING = 5
"""What may wait for one listener's sender: 100 ms."""
ALSA_CONFIG = "/usr/share/alsa/alsa.conf"
"""Where Debian has it; the library inside PyAV looks for it where PyAV was built."""
_IDLE_HZ = 40.0
"""Firing rate of a six-cylinder four-stroke at 800 rev/min."""
_HZ_PER_MPS = 6.0
_LEVEL = 6000


@dataclass(slots=True)
class SoundCounters:
    """What happened at the microphone since the start.

    Attributes:
        frames: of 20 ms, that came. opened: times that the source was opened.
        error: one line on the present trouble; empty when there is none.
    """

    frames: int = 0
    opened: int = 0
    error: str = ""


class Machine(Protocol):
    """What the simulator's sound depends on."""

    speed_mps: float


def open_sound(settings: SoundSettings, machine: Machine, wait: Wait) -> Frames:
    """Return the frames of a source. Raises what its library raises when it is not there."""
    if settings.kind is SoundKind.DEVICE:
        return device_frames(settings.path)
    if settings.kind is SoundKind.FILE:
        return paced(file_frames(settings.path), wait)
    return paced(tone_frames() if settings.path == "tone" else engine_frames(machine), wait)


def device_frames(device: str) -> Frames:
    """Yield what an ALSA device hears."""
    os.environ.setdefault("ALSA_CONFIG_PATH", ALSA_CONFIG)
    options = {"sample_rate": str(RATE_HZ), "channels": "1"}
    with av.open(device, format="alsa", options=options) as container:
        yield from _decoded(container)


def file_frames(path: str) -> Frames:
    """Yield a recording, again and again."""
    with av.open(path) as container:
        while True:
            yield from _decoded(container)
            container.seek(0)


def _decoded(container: av.container.InputContainer) -> Frames:
    resampler = av.AudioResampler("s16", "mono", RATE_HZ, FRAME_SAMPLES)
    for frame in container.decode(audio=0):
        for even in resampler.resample(frame):
            yield np.asarray(even.to_ndarray()[0], np.int16)


def tone_frames(frequency_hz: float = TONE_HZ) -> Frames:
    """Yield an even tone, by which a listener can be tested."""
    turn = 0.0
    while True:
        turns = turn + np.arange(FRAME_SAMPLES) * frequency_hz / RATE_HZ
        yield (np.sin(2 * math.pi * turns) * _LEVEL).astype(np.int16)
        turn = (turn + FRAME_SAMPLES * frequency_hz / RATE_HZ) % 1.0


def engine_frames(machine: Machine) -> Frames:
    """Yield a diesel's hum that rises with the speed, and a little of the road's noise."""
    rng = np.random.default_rng(1)
    turn = 0.0
    while True:
        firing_hz = _IDLE_HZ + _HZ_PER_MPS * abs(machine.speed_mps)
        turns = turn + np.arange(FRAME_SAMPLES) * firing_hz / RATE_HZ
        hum = sum(np.sin(2 * math.pi * part * turns) / part for part in (1, 2, 3, 5))
        noise = rng.normal(0.0, 0.02 + 0.01 * abs(machine.speed_mps), FRAME_SAMPLES)
        yield np.clip((hum / 2 + noise) * _LEVEL, -32767, 32767).astype(np.int16)
        turn = (turn + FRAME_SAMPLES * firing_hz / RATE_HZ) % 1.0


def paced(frames: Frames, wait: Wait) -> Frames:
    """Yield each frame when its time has come; after a stall go on from now."""
    due_ns = clock.monotonic_ns()
    with closing(frames):
        for frame in frames:
            now_ns = clock.monotonic_ns()
            due_ns = max(due_ns, now_ns - _FRAME_NS)
            if wait(max(0, due_ns - now_ns) / 1e9):
                return
            yield frame
            due_ns += _FRAME_NS


class Microphone:
    """The microphone, read while somebody listens. To be used inside the event loop.

    Args:
        open_frames: opens the source and yields its frames; called again after each loss.

    Attributes:
        tracks: of those who listen.
    """

    def __init__(self, open_frames: Callable[[Wait], Frames]) -> None:
        self.counters = SoundCounters()
        self.tracks: set[SoundTrack] = set()
        self._open_frames = open_frames
        self._loop: asyncio.AbstractEventLoop | None = None
        self._ending = threading.Event()
        self._began_ns = clock.monotonic_ns()
        self._samples = 0

    def join(self, track: SoundTrack) -> None:
        """Let a track hear; the first one opens the source."""
        first = not self.tracks
        self.tracks.add(track)
        if first:
            self._loop = asyncio.get_running_loop()
            self._ending = threading.Event()
            reading = threading.Thread(
                target=self._run, args=(self._ending,), name="microphone", daemon=True
            )
            reading.start()

    def leave(self, track: SoundTrack) -> None:
        """Let it hear no more; the last one closes the source."""
        self.tracks.discard(track)
        if not self.tracks:
            self._ending.set()
            self.counters.error = ""

    def _run(self, ending: threading.Event) -> None:
        while not ending.is_set():
            try:
                with closing(self._open_frames(ending.wait)) as frames:
                    self._read(frames, ending)
            except (av.FFmpegError, OSError, ValueError, IndexError) as error:
                self._hand(ending, None, (str(error) or type(error).__name__).splitlines()[0])
            if ending.wait(AGAIN_S):
                return

    def _read(self, frames: Frames, ending: threading.Event) -> None:
        first = True
        for samples in frames:
            if ending.is_set():
                return
            self.counters.opened += first
            first = False
            self._hand(ending, samples, "")
        self._hand(ending, None, "the source ended")

    def _hand(self, ending: threading.Event, samples: Samples | None, error: str) -> None:
        """Give the loop a frame, or word of a trouble."""
        assert self._loop is not None
        try:
            self._loop.call_soon_threadsafe(self._take, ending, samples, error)
        except RuntimeError:  # the loop has ended
            ending.set()

    def _take(self, ending: threading.Event, samples: Samples | None, error: str) -> None:
        if ending.is_set():
            return
        self.counters.error = error
        if samples is None:
            self._samples = 0
            return
        if self._samples == 0:
            self._began_ns = clock.monotonic_ns()
        self.counters.frames += 1
        frame = av.AudioFrame.from_ndarray(samples.reshape(1, -1), format="s16", layout="mono")
        frame.sample_rate = RATE_HZ
        frame.time_base = fractions.Fraction(1, RATE_HZ)
        frame.pts = self._began_ns * RATE_HZ // 1_000_000_000 + self._samples
        self._samples += FRAME_SAMPLES
        for track in tuple(self.tracks):
            track.put(frame)


class SoundTrack(MediaStreamTrack):
    """The microphone for one listener; aiortc codes it as Opus.

    Attributes:
        skipped: frames that this listener did not get because it was behind.
    """

    kind = "audio"

    def __init__(self, microphone: Microphone) -> None:
        super().__init__()
        self._microphone = microphone
        self._frames: deque[av.AudioFrame] = deque()
        self._ready = asyncio.Event()
        self._joined = False
        self.skipped = 0

    def put(self, frame: av.AudioFrame) -> None:
        """Take a frame; the oldest gives way."""
        if len(self._frames) >= MAX_FRAMES_WAITING:
            self._frames.popleft()
            self.skipped += 1
        self._frames.append(frame)
        self._ready.set()

    async def recv(self) -> av.AudioFrame:
        """Return the next frame."""
        if not self._joined and self.readyState == "live":
            self._joined = True
            self._microphone.join(self)
        while not self._frames:
            if self.readyState != "live":
                raise MediaStreamError
            self._ready.clear()
            await self._ready.wait()
        return self._frames.popleft()

    def stop(self) -> None:
        """End the track."""
        super().stop()
        self._microphone.leave(self)
        self._ready.set()
