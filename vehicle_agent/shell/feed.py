"""One camera's pictures, encoded once and handed to every viewer that watches.

A camera is encoded only while somebody watches it.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter, deque
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace

from protocol.strip import COUNTER_MODULUS, draw_strip_i420
from vehicle_agent.core.ladder import Ladder, MissingPackets, Step
from vehicle_agent.core.queueing import Flow
from vehicle_agent.shell import clock
from vehicle_agent.shell.cameras import Camera, CameraPicture, fit_i420
from vehicle_agent.shell.config import CameraSettings
from vehicle_agent.shell.encoders import Encoders
from vehicle_agent.shell.h264 import SOFTWARE
from vehicle_agent.shell.picture_encoder import MIN_KEY_INTERVAL_US, Codec, KeyCause
from vehicle_agent.shell.picture_tap import PictureTap
from vehicle_agent.shell.picture_watch import ChangeCount
from vehicle_agent.shell.rtc_compat import AccessUnit, packetise
from vehicle_agent.shell.viewers import ViewerTrack

CAMERA_RETRY_S = 1.0
SMALLER = {Flow.KEY: 2, Flow.PROBE: 6}
"""How many times smaller than its rate says a picture is."""
READABLE_BPS = 200_000
"""Below this a key frame of 640x360 at 15 Hz loses the number in its strip (x264, our drift)."""
REST_PART = 2
BY_WORTH = (Flow.HOLD, Flow.PROBE, Flow.KEY)

logger = logging.getLogger("headframe.media")


@dataclass(slots=True)
class FeedCounters:
    """One camera's numbers since the last telemetry, and totals.

    Attributes:
        sent, too_fast, held, failed: totals: pictures encoded, left out to keep the rate, left out
            because they would only have waited for the link, not encoded.
        encode_us, age_us, quantisers: of each picture since the last telemetry: time of its
            encoding, its age when it was handed out, and x264's quantiser (0 for VP8).
    """

    sent: int = 0
    too_fast: int = 0
    held: int = 0
    failed: int = 0
    encode_us: list[int] = field(default_factory=list)
    age_us: list[int] = field(default_factory=list)
    quantisers: list[int] = field(default_factory=list)


class CameraFeed:
    """One camera, its encoder and its viewers.

    Attributes:
        tracks: of the viewers that watch.
        weight: share of a link that is too narrow for all cameras.
        rests: half the pictures are enough, at half the bits.
        tap: the recorder's; None where nothing is recorded.
    """

    def __init__(self, camera: Camera, codec: str = SOFTWARE) -> None:
        self._codec = codec
        self.settings: CameraSettings = camera.settings
        self.weight = 1
        self.rests = False
        self.tap: PictureTap | None = None
        self.counters = FeedCounters()
        self._camera = camera
        self._bit_rate_bps = camera.settings.bit_rate_bps
        self._key_frames: Counter[KeyCause] = Counter()
        self._key_cause: KeyCause | None = None
        settings = camera.settings
        self._ladder = Ladder(settings.width, settings.height, settings.fps)
        self._encoder = self._new_encoder(self._ladder.step)
        self._thread = ThreadPoolExecutor(1, f"encode-{camera.settings.id}")
        self.tracks: set[ViewerTrack] = set()
        self._watched = asyncio.Event()
        self._frame_counter = 0
        self._next_due_us = 0
        self._changes = ChangeCount()
        self._newest: dict[Codec, AccessUnit] = {}
        self._sent: deque[tuple[int, int, int]] = deque()

    async def run(self) -> None:
        """Encode and hand out pictures while there are viewers; never returns by itself."""
        while True:
            try:
                await self._serve()
            except Exception:  # one camera's trouble stays its own
                logger.exception("camera %d: feed failed", self.settings.id)
                self.counters.failed += 1
                self._encoder = self._new_encoder(self._ladder.step)
                await asyncio.sleep(CAMERA_RETRY_S)

    def close(self) -> None:
        """Free camera and thread."""
        self._camera.close()
        self._thread.shutdown(wait=False, cancel_futures=True)

    def join(self, track: ViewerTrack) -> None:
        """Add a viewer; it begins with a key frame."""
        self.tracks.add(track)
        self.update_bit_rate()
        self.request_key_frame()
        self._watched.set()

    def join_in_place(self, track: ViewerTrack) -> None:
        """Add a connection that takes another's place at the same viewer.

        Where the newest picture is a key frame, and so young that the encoder would not make
        another yet, it is that one: the way that it went is the one that carries nothing.
        """
        self.tracks.add(track)
        self.update_bit_rate()
        newest = self._newest.get(track.codec)
        age_us = 0 if newest is None else clock.monotonic_us() - newest.done_us
        if newest is not None and newest.key and age_us < MIN_KEY_INTERVAL_US:
            track.put(newest)
        else:
            self.request_key_frame()
        self._watched.set()

    def leave(self, track: ViewerTrack) -> None:
        """Remove a viewer; without any, the camera rests."""
        self.tracks.discard(track)
        if self.tracks:
            self.update_bit_rate()
        else:
            self._watched.clear()

    def request_key_frame(self, cause: KeyCause = KeyCause.VIEWER) -> None:
        """Ask for a key frame; the encoder keeps the least interval."""
        self._key_cause = cause
        self._encoder.request_key_frame()

    def update_bit_rate(self) -> None:
        """Follow the narrowest link among the leading viewers, or among all without one."""
        leading = self._leading()
        if leading:
            self._bit_rate_bps = min(track.limit_bps for track in leading)
            self._encoder.bit_rate_bps = self._bit_rate_bps

    def _leading(self) -> list[ViewerTrack]:
        return [track for track in self.tracks if track.leading] or list(self.tracks)

    def _flow(self, now_us: int) -> Flow:
        """Return what to do with the next picture, by the worst link of the leading viewers."""
        flows = {track.link.flow(track, now_us) for track in self._leading()}
        return next((flow for flow in BY_WORTH if flow in flows), Flow.SEND)

    def _step(self, flow: Flow, taken_us: int) -> Step:
        """Return the step of the next picture, and set its rate."""
        if flow is Flow.SEND:
            step = self._ladder.update(self._bit_rate_bps, taken_us)
            part = REST_PART if self.rests else 1
            self._encoder.bit_rate_bps = self._bit_rate_bps // part
            return replace(step, fps=max(1, step.fps // part))
        smaller_bps = max(READABLE_BPS, self._bit_rate_bps // SMALLER[flow])
        self._encoder.bit_rate_bps = min(self._bit_rate_bps, smaller_bps)
        self.request_key_frame(KeyCause.LINK)
        if flow is Flow.KEY:
            self._ladder.fall(taken_us)
        return self._ladder.small

    def sent_bps(self, now_us: int) -> int:
        """Return the rate encoded over the last second."""
        while self._sent and now_us - self._sent[0][0] > 1_000_000:
            self._sent.popleft()
        return 8 * sum(size for _, size, _ in self._sent)

    def sent_packets(self, now_us: int) -> int:
        """Return how many packets went out within the window in which missing ones are counted."""
        window_us = MissingPackets.WINDOW_US
        return sum(count for at_us, _, count in self._sent if now_us - at_us <= window_us)

    def take_report(self, now_us: int) -> dict[str, object]:
        """Return the figures for telemetry and begin the next period."""
        encode_us, self.counters.encode_us = self.counters.encode_us, []
        age_us, self.counters.age_us = self.counters.age_us, []
        quantisers, self.counters.quantisers = self.counters.quantisers, []
        step = self._ladder.step
        camera = self._camera.counters
        return {
            "id": self.settings.id,
            "name": self.settings.name,
            "viewers": len(self.tracks),
            "weight": self.weight,
            "fps": len(encode_us),
            "sent": self.counters.sent,
            "captured": camera.captured,
            "dropped": camera.dropped,
            "late": camera.late,
            "frozen": camera.frozen,
            "blank": camera.blank,
            "too_fast": self.counters.too_fast,
            "held": self.counters.held,
            "failed": self.counters.failed,
            "opened": camera.opened,
            "key_frames": self._key_frames.total(),
            "key_causes": dict(self._key_frames),
            "encode_ms": _part_of(encode_us, 0.5, 1000),
            "encode_max_ms": _part_of(encode_us, 1.0, 1000),
            "age_ms": _part_of(age_us, 0.5, 1000),
            "age_p95_ms": _part_of(age_us, 0.95, 1000),
            "age_max_ms": _part_of(age_us, 1.0, 1000),
            "qp": _part_of(quantisers, 0.5),
            "qp_max": _part_of(quantisers, 1.0),
            "step": f"{step.width}x{step.height}@{step.fps}",
            "target_bps": self._encoder.bit_rate_bps,
            "sent_bps": self.sent_bps(now_us),
            "seen": self._seen(),
            "skipped": sum(track.skipped for track in self.tracks),
            "error": camera.trouble(now_us),
        }

    def _seen(self) -> dict[str, object] | None:
        """Return what the driver's page says of this camera; None where there is no such page."""
        told = [track.seen for track in self._leading()]
        newest = next((seen for seen in told if seen is not None), None)
        return None if newest is None else newest.model_dump()

    async def _serve(self) -> None:
        while True:
            await self._watched.wait()
            await self._serve_next()

    async def _serve_next(self) -> None:
        """Encode and hand out the next picture, unless it is to be left out.

        Apart from the loop: what it knows of the last viewer must not outlive that one.
        """
        picture = await self._camera.newest()
        if not self.tracks:
            return
        flow = self._flow(clock.monotonic_us())
        if flow is Flow.HOLD:
            self.counters.held += 1
            return
        step = self._step(flow, picture.taken_us)
        if not self._due(picture.taken_us, step.fps) and flow is Flow.SEND:
            self.counters.too_fast += 1
            return
        self._frame_counter = (self._frame_counter + 1) % COUNTER_MODULUS
        started_us = clock.monotonic_us()
        codecs = frozenset(track.codec for track in self.tracks)
        if self._encoder.size != (step.width, step.height) and self._key_frames:
            self._key_cause = self._key_cause or KeyCause.SIZE
        units = await asyncio.get_running_loop().run_in_executor(
            self._thread, self._encode, picture, self._frame_counter, step, codecs
        )
        unit = units[min(codecs)]
        now_us = clock.monotonic_us()
        if unit.key:
            self._key_frames[self._key_cause or KeyCause.NONE] += 1
            self._key_cause = None
        self.counters.encode_us.append(now_us - started_us)
        self.counters.age_us.append(now_us - picture.capture_stamp_us)
        self.counters.sent += 1
        self._sent.append((now_us, len(unit.data), len(unit.payloads)))
        self._newest = units
        for track in tuple(self.tracks):
            if track.codec in units:
                track.put(units[track.codec])
        if self.tap is not None and Codec.H264 in units:
            self._record(self.tap, units[Codec.H264], now_us)

    def _record(self, tap: PictureTap, unit: AccessUnit, sent_us: int) -> None:
        """Hand the recorder what was sent, and what is known of it."""
        meta: dict[str, object] = {
            "picture": unit.frame_counter,
            "capture_us": unit.capture_stamp_us,
            "encode_begun_us": unit.begun_us,
            "encode_done_us": unit.done_us,
            "sent_us": sent_us,
            "pts_90khz": unit.pts_90khz,
            "bytes": len(unit.data),
            "key": unit.key,
            "changes": unit.changes,
            "viewers": len(self.tracks),
            "target_bps": self._encoder.bit_rate_bps,
        }
        tap.take(self.settings.id, unit.data, unit.capture_stamp_us, meta, key=unit.key)

    def _due(self, stamp_us: int, fps: int) -> bool:
        """Keep the wanted rate under a faster source, with a quarter period of tolerance."""
        period_us = 1_000_000 // fps
        if stamp_us < self._next_due_us - period_us // 4:
            return False
        on_time = stamp_us - self._next_due_us < period_us
        self._next_due_us = (self._next_due_us if on_time else stamp_us) + period_us
        return True

    def _encode(
        self, picture: CameraPicture, frame_counter: int, step: Step, codecs: frozenset[Codec]
    ) -> dict[Codec, AccessUnit]:
        """Return the picture for each codec. Run in this camera's own thread."""
        begun_us = clock.monotonic_us()
        if self._encoder.size != (step.width, step.height):
            rate_bps = self._encoder.bit_rate_bps
            self._encoder = self._new_encoder(step)
            self._encoder.bit_rate_bps = rate_bps
        self._encoder.set_fps(step.fps)
        i420 = fit_i420(picture.i420, step.width, step.height)
        changes = self._changes.count(i420)
        draw_strip_i420(i420, frame_counter)
        encoded = self._encoder.encode(i420, picture.taken_us, codecs)
        self.counters.quantisers.append(encoded[min(codecs)].quantiser)
        done_us = clock.monotonic_us()
        return {
            codec: AccessUnit(
                payloads=packetise(each.data, codec),
                pts_90khz=each.pts_90khz,
                key=each.key,
                frame_counter=frame_counter,
                capture_stamp_us=picture.capture_stamp_us,
                data=each.data,
                changes=changes,
                begun_us=begun_us,
                done_us=done_us,
            )
            for codec, each in encoded.items()
        }

    def _new_encoder(self, step: Step) -> Encoders:
        return Encoders(step, self.settings.bit_rate_bps, self._bit_rate_bps, self._codec)


def _part_of(values: list[int], share: float, divisor: int = 1) -> float | None:
    """Return the value below which a share of them lies; None of no values."""
    if not values:
        return None
    ordered = sorted(values)
    return round(ordered[min(len(ordered) - 1, int(len(ordered) * share))] / divisor, 2)
