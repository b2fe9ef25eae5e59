"""One camera's pictures of a log as a film, with what the driver was told drawn in."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from av.video.frame import VideoFrame
from foxglove_schemas_protobuf.CompressedVideo_pb2 import CompressedVideo

from protocol.errors import ProtocolError
from protocol.events import EVENTS
from protocol.state import VehicleMode, VehicleState, parse_state
from recording import channels
from recording.moments import words as time_of_day
from recording.reader import Log

Picture = np.ndarray[Any, np.dtype[np.uint8]]
STOPPED = frozenset(
    {VehicleMode.STOPPING, VehicleMode.STOPPED, VehicleMode.ESTOP, VehicleMode.FAULT}
)
TIME_BASE = Fraction(1, 1000)
FPS = 30
QUALITY = "21"
WHITE, RED, AMBER, BLACK = (255, 255, 255), (50, 50, 225), (40, 170, 240), (0, 0, 0)
_FONT = cv2.FONT_HERSHEY_SIMPLEX
_LINE = 1.0 / 18.0
"""Of the picture's height."""
_SCALE = 38.0
"""Height of a line, in pixels, at which the font is as it was drawn."""


@dataclass(slots=True)
class Told:
    """What was known at which time, in the order of time."""

    times_ns: list[int] = field(default_factory=list)
    values: list[Any] = field(default_factory=list)

    def add(self, at_ns: int, value: Any) -> None:
        """Take the next one."""
        self.times_ns.append(at_ns)
        self.values.append(value)

    def at(self, at_ns: int) -> Any:
        """Return the newest of a time; None before the first."""
        place = bisect_right(self.times_ns, at_ns)
        return self.values[place - 1] if place else None


@dataclass(frozen=True, slots=True)
class Ages:
    """Of the last command that counted, ms."""

    command_ms: float
    picture_ms: float | None


def write_mp4(log: Log, path: Path, camera: int) -> int:
    """Write the film; return the number of its pictures.

    Raises:
        ValueError: the log has no picture of that camera that can be decoded.
    """
    states, ages = _told(log)
    count, first_ns = 0, 0
    with av.open(str(path), "w") as target:
        stream = target.add_stream("libx264", rate=FPS, options={"crf": QUALITY})
        for at_ns, picture in pictures(log, camera):
            if count == 0:
                first_ns = at_ns
                stream.height, stream.width = picture.shape[:2]
                stream.pix_fmt = "yuv420p"
                stream.codec_context.time_base = TIME_BASE
            draw(picture, at_ns, states.at(at_ns), ages.at(at_ns))
            frame = VideoFrame.from_ndarray(picture, format="bgr24")
            frame.pts, frame.time_base = (at_ns - first_ns) // 1_000_000, TIME_BASE
            target.mux(stream.encode(frame))
            count += 1
        if count:
            target.mux(stream.encode(None))
    if not count:
        path.unlink(missing_ok=True)
        raise ValueError(f"{log.name}: no picture of camera {camera}")
    return count


def pictures(log: Log, camera: int) -> Iterator[tuple[int, Picture]]:
    """Yield capture time (UTC ns) and picture (BGR) of one camera; what is torn is left out."""
    decoder = av.CodecContext.create("h264", "r")
    topic = channels.video_topic(camera)
    newest_ns = 0
    for message in log.messages({topic}):
        packet = av.Packet(CompressedVideo.FromString(message.data).data)
        packet.pts = message.log_ns // 1000
        packet.time_base = Fraction(1, 1_000_000)
        try:
            frames = decoder.decode(packet)
        except av.FFmpegError:
            continue
        for frame in frames:
            at_ns = message.log_ns if frame.pts is None else frame.pts * 1000
            if at_ns // 1_000_000 > newest_ns // 1_000_000:
                newest_ns = at_ns
                yield at_ns, frame.to_ndarray(format="bgr24").astype(np.uint8, copy=False)


def _told(log: Log) -> tuple[Told, Told]:
    states, ages = Told(), Told()
    for message in log.messages({channels.STATE, channels.COMMANDS}):
        if message.topic == channels.STATE:
            try:
                states.add(message.log_ns, parse_state(message.data))
            except ProtocolError:
                continue
            continue
        content = message.json()
        if content["verdict"] == "accepted":
            view_us = content.get("view_stamp_us")
            picture_ms = (message.publish_ns // 1000 - view_us) / 1000 if view_us else None
            ages.add(message.log_ns, Ages(content["uplink_us"] / 1000, picture_ms))
    return states, ages


def draw(picture: Picture, at_ns: int, state: VehicleState | None, ages: Ages | None) -> None:
    """Draw onto a picture what was told at its time; unknown is said to be unknown."""
    height, width = picture.shape[:2]
    line = round(height * _LINE)
    _shade(picture, 0, line * 2)
    _shade(picture, height - line * 2, height)
    clock = f"REC {time_of_day(at_ns)} UTC"
    _write(picture, clock, width - line // 2 - _width(clock, line), line, line, WHITE)
    if state is None:
        _write(picture, "state unknown", line // 2, line, line, AMBER)
        return
    stopped = state.mode in STOPPED
    cause = "" if state.cause is None else f"  {state.cause}"
    _write(picture, f"{state.mode.value}{cause}", line // 2, line, line, RED if stopped else WHITE)
    event = EVENTS.get(state.cause or "")
    if event is not None:
        first, *_ = event.en.partition(" - ")
        _write(picture, first, line // 2, line * 2 - line // 3, round(line * 0.8), AMBER)
    _write(picture, _bottom(state, ages), line // 2, height - line // 2, line, WHITE)
    if stopped:
        cv2.rectangle(picture, (0, 0), (width - 1, height - 1), RED, max(2, line // 6))
    _steering(picture, state, line)


def _bottom(state: VehicleState, ages: Ages | None) -> str:
    speed = "speed ?" if state.speed_mps is None else f"{state.speed_mps * 3.6:.1f} km/h"
    parts = [f"{speed} of {state.cap_mps * 3.6:.1f}", f"gear {_known(state.gear)}"]
    parts.append(f"brake {_known(state.brake_measured_mps2)} m/s2")
    if ages is not None:
        parts.append(f"command {ages.command_ms:.0f} ms")
        parts.append(f"picture {_known(ages.picture_ms, 0)} ms")
    return "   ".join(parts)


def _known(value: float | None, digits: int = 1) -> str:
    if value is None:
        return "?"
    return f"{value:+d}" if isinstance(value, int) else f"{value:.{digits}f}"


def _steering(picture: Picture, state: VehicleState, line: int) -> None:
    """A bar at the foot: where the wheels are; full lock is half a picture."""
    if state.steer_measured is None:
        return
    height, width = picture.shape[:2]
    middle, y = width // 2, height - line * 2 - line // 4
    end = round(middle - state.steer_measured * width / 4)  # positive is to the left
    cv2.line(picture, (middle, y), (end, y), WHITE, max(2, line // 5))
    cv2.line(picture, (middle, y - line // 3), (middle, y + line // 3), WHITE, 1)


def _shade(picture: Picture, top: int, foot: int) -> None:
    picture[top:foot] //= 3


def _write(picture: Picture, text: str, x: int, y: int, line: int, colour: Sequence[int]) -> None:
    cv2.putText(picture, text, (x, y), _FONT, line / _SCALE, colour, _stroke(line), cv2.LINE_AA)


def _width(text: str, line: int) -> int:
    (width, _), _ = cv2.getTextSize(text, _FONT, line / _SCALE, _stroke(line))
    return width


def _stroke(line: int) -> int:
    return max(1, line // 16)
