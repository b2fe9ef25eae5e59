"""A log as something to be played: one clock with pause, seek and speed, and what is due by it."""

from __future__ import annotations

import json
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field

from foxglove_schemas_protobuf.CompressedVideo_pb2 import CompressedVideo

from recording import channels
from recording.reader import Log, Message
from sim.replay.cut import stands_alone

SPEED_MIN, SPEED_MAX = 0.1, 10.0
STATE_AGAIN_NS = 50_000_000
"""While it stands, the state is told again so often: a screen must not call it silent."""


@dataclass(slots=True)
class PlayerClock:
    """Which moment of the log it is.

    Args:
        first_ns, last_ns: of the log, UTC. speed: log seconds a second.
    """

    first_ns: int
    last_ns: int
    speed: float = 1.0
    playing: bool = False
    _at_ns: float = field(init=False)
    _since_ns: int = 0

    def __post_init__(self) -> None:
        self._at_ns = self.first_ns

    def at(self, now_ns: int) -> int:
        """Return the moment, UTC ns; at the log's end it stands.

        Args:
            now_ns: own monotonic time.
        """
        if not self.playing:
            return round(self._at_ns)
        return min(round(self._at_ns + (now_ns - self._since_ns) * self.speed), self.last_ns)

    def play(self, now_ns: int) -> None:
        """Go on."""
        self._at_ns, self._since_ns, self.playing = self.at(now_ns), now_ns, True

    def pause(self, now_ns: int) -> None:
        """Stand."""
        self._at_ns, self.playing = self.at(now_ns), False

    def seek(self, now_ns: int, at_ns: int) -> None:
        """Go to a moment; one outside the log is its nearest end."""
        self._at_ns, self._since_ns = min(max(at_ns, self.first_ns), self.last_ns), now_ns

    def set_speed(self, now_ns: int, speed: float) -> None:
        """Go faster or slower from now on.

        Raises:
            ValueError: not between 0.1 and 10.
        """
        if not SPEED_MIN <= speed <= SPEED_MAX:
            raise ValueError(f"speed {speed:g}: {SPEED_MIN:g} to {SPEED_MAX:g} is wanted")
        self.seek(now_ns, self.at(now_ns))
        self.speed = speed


@dataclass(frozen=True, slots=True)
class Picture:
    """An access unit. key: it stands alone. number: as its strip says, 0 where nobody noted it."""

    at_ns: int
    data: bytes
    key: bool
    number: int
    changes: int


@dataclass(slots=True)
class Row:
    """Things of one kind in the order of time."""

    times_ns: list[int] = field(default_factory=list)
    things: list[bytes] = field(default_factory=list)

    def newest(self, at_ns: int) -> bytes | None:
        """Return the newest at a moment."""
        place = bisect_right(self.times_ns, at_ns)
        return self.things[place - 1] if place else None

    def between(self, after_ns: int, until_ns: int) -> list[bytes]:
        """Return all after a moment until another one."""
        first = bisect_right(self.times_ns, after_ns)
        return self.things[first : bisect_right(self.times_ns, until_ns)]


@dataclass(slots=True)
class Reel:
    """What of a log is played; all of it is held, so a long one is cut first.

    Attributes:
        first_ns, last_ns: of the log, UTC. cameras: their pictures in order.
    """

    first_ns: int
    last_ns: int
    states: Row
    events: Row
    cameras: dict[int, list[Picture]]

    def pictures(self, camera: int, after_ns: int, until_ns: int) -> list[Picture]:
        """Return the pictures after a moment until another one."""
        row = self.cameras.get(camera, [])
        first = bisect_right(row, after_ns, key=_when)
        return row[first : bisect_right(row, until_ns, key=_when)]

    def leading_to(self, camera: int, at_ns: int) -> list[Picture]:
        """Return the newest key frame before a moment, and what follows it up to there."""
        row = self.cameras.get(camera, [])
        end = bisect_right(row, at_ns, key=_when)
        for place in range(end - 1, -1, -1):
            if row[place].key:
                return row[place:end]
        return []


def _when(picture: Picture) -> int:
    return picture.at_ns


def reel_of(log: Log) -> Reel:
    """Read a log.

    Raises:
        ValueError: it holds no state of a machine.
    """
    states, events = Row(), Row()
    metas: dict[tuple[int, int], dict[str, int]] = {}
    found: dict[int, list[Message]] = {}
    for message in log.messages():
        camera = _camera(message.topic)
        if message.topic == channels.STATE:
            _add(states, message)
        elif message.topic == channels.EVENT:
            _add(events, message)
        elif camera is None:
            continue
        elif message.topic == channels.meta_topic(camera):
            meta = message.json()
            metas[camera, meta["capture_us"]] = meta
        else:
            found.setdefault(camera, []).append(message)
    if not states.times_ns:
        raise ValueError(f"{log.name}: no state of a machine in it")
    cameras = {
        camera: sorted(_pictures(camera, messages, metas), key=_when)
        for camera, messages in found.items()
    }
    times_ns = [each.at_ns for row in cameras.values() for each in row] + states.times_ns
    return Reel(min(times_ns), max(times_ns), states, events, cameras)


def _add(row: Row, message: Message) -> None:
    """Times of a log run forwards but for moments in which a recorder was told things again."""
    place = bisect_left(row.times_ns, message.log_ns)
    row.times_ns.insert(place, message.log_ns)
    row.things.insert(place, message.data)


def _camera(topic: str) -> int | None:
    parts = topic.split("/")
    return int(parts[2]) if parts[1] == "cam" and len(parts) == 4 else None


def _pictures(
    camera: int, messages: list[Message], metas: dict[tuple[int, int], dict[str, int]]
) -> Iterator[Picture]:
    for message in messages:
        data = CompressedVideo.FromString(message.data).data
        meta = metas.get((camera, message.publish_ns // 1000), {})
        number, changes = meta.get("picture", 0), meta.get("changes", 0)
        yield Picture(message.log_ns, data, stands_alone(data), number, changes)


@dataclass(frozen=True, slots=True)
class Due:
    """What is to be shown now.

    Attributes:
        state: the wire JSON; None: nothing new. events: catalogue ids. pictures: by camera.
    """

    state: bytes | None
    events: list[str]
    pictures: dict[int, list[Picture]]


class Player:
    """A reel and its clock."""

    def __init__(self, reel: Reel) -> None:
        self.reel = reel
        self.clock = PlayerClock(reel.first_ns, reel.last_ns)
        self._shown_ns = reel.first_ns - 1
        self._told_ns = 0
        self._jumped = True
        self._keys_wanted: set[int] = set()

    def seek(self, now_ns: int, at_ns: int) -> None:
        """Go to a moment; pictures begin with the key frame before it."""
        self.clock.seek(now_ns, at_ns)
        self._jumped = True

    def want_key(self, camera: int) -> None:
        """A screen begins to watch a camera, or has lost a part of it."""
        self._keys_wanted.add(camera)

    def due(self, now_ns: int) -> Due:
        """Return what is due since the last time."""
        at_ns, reel = self.clock.at(now_ns), self.reel
        before_ns = at_ns if self._jumped else self._shown_ns
        pictures = {}
        for camera in reel.cameras:
            if self._jumped or camera in self._keys_wanted:
                pictures[camera] = reel.leading_to(camera, at_ns)
            else:
                pictures[camera] = reel.pictures(camera, before_ns, at_ns)
        events = [json.loads(each)["id"] for each in reel.events.between(before_ns, at_ns)]
        state = None
        if self._jumped or at_ns != self._shown_ns or now_ns - self._told_ns >= STATE_AGAIN_NS:
            state, self._told_ns = reel.states.newest(at_ns), now_ns
        self._shown_ns, self._jumped = at_ns, False
        self._keys_wanted.clear()
        return Due(state, events, pictures)
