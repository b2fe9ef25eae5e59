"""What a shift came to: distance, stops by cause, refusals, and ages over time and over the map.

Read from what the log says, in one pass and with little memory: ages are counted by whole ms, in
slices of time that grow with the shift and in cells of the map.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from foxglove_schemas_protobuf.PoseInFrame_pb2 import PoseInFrame

from protocol.errors import ProtocolError, Refusal
from protocol.events import EVENTS
from protocol.state import parse_state
from recording import channels
from recording.reader import Log, Message
from sim.drive_log import ASKED_FOR
from sim.replay.rerun import StopWatch
from vehicle_agent.core.failsafe import DRIVING

UPLINK, LOOP, PICTURE = "uplink", "loop", "picture"
AGES = {
    UPLINK: "age of a command when it counted",
    LOOP: "age of the state that the driver answered",
    PICTURE: "age of the picture on his screen when his command counted",
}
LET_GO = "D101"
OF_THE_LINK = ("L", "V")
SCRIPT_MEMORY_NS = 5_000_000_000
"""A stop this long after a fault of a simulator's script is its doing."""
SLICES_MAX = 480
CELL_M = 4.0
GAP_NS = 500_000_000
"""States further apart than this say nothing of the way between them."""
_NS_PER_S = 1_000_000_000
_TOPICS = frozenset(
    {
        *(channels.SESSION, channels.BOOT, channels.OUTPUTS, channels.COMMANDS, channels.STATE),
        *(channels.POSE, channels.TELEMETRY, channels.NOTE, channels.DROPS),
    }
)


@dataclass(slots=True)
class Ages:
    """How many commands had which age, by whole ms."""

    by_ms: Counter[int] = field(default_factory=Counter)

    def take(self, age_us: int) -> None:
        """Count one."""
        self.by_ms[round(age_us / 1000)] += 1

    def percentile(self, percent: float) -> int | None:
        """Return the age that so many have at the most, by nearest rank; None without any."""
        left = self.by_ms.total() * percent / 100
        for age_ms in sorted(self.by_ms):
            left -= self.by_ms[age_ms]
            if left <= 1e-9:
                return age_ms
        return None

    def summary(self) -> dict[str, int | None]:
        """For tables and JSON, ms."""
        marks = {"p50": 50.0, "p95": 95.0, "p99": 99.0, "max": 100.0}
        return {name: self.percentile(percent) for name, percent in marks.items()}


@dataclass(slots=True)
class Slice:
    """A slice of time, or a cell of the map.

    Attributes:
        ages: by kind. speed_mps: the highest.
    """

    ages: dict[str, Ages] = field(default_factory=lambda: defaultdict(Ages))
    speed_mps: float = 0.0

    def add(self, other: Slice) -> None:
        """Take another one in."""
        for name, ages in other.ages.items():
            self.ages[name].by_ms.update(ages.by_ms)
        self.speed_mps = max(self.speed_mps, other.speed_mps)


@dataclass(slots=True)
class Timeline:
    """Slices of the same width; it is doubled when there are too many."""

    width_s: float = 1.0
    slices: dict[int, Slice] = field(default_factory=lambda: defaultdict(Slice))

    def at(self, seconds: float) -> Slice:
        """Return the slice that holds a time."""
        number = int(seconds / self.width_s)
        if number not in self.slices and len(self.slices) >= SLICES_MAX:
            self._fold()
            return self.at(seconds)
        return self.slices[number]

    def _fold(self) -> None:
        wider: dict[int, Slice] = defaultdict(Slice)
        for number, each in self.slices.items():
            wider[number // 2].add(each)
        self.width_s, self.slices = 2 * self.width_s, wider

    def rows(self) -> list[tuple[float, Slice]]:
        """Return the middle of each slice in s, and the slice, in order."""
        return [((n + 0.5) * self.width_s, self.slices[n]) for n in sorted(self.slices)]


@dataclass(slots=True)
class ShiftStop:
    """One stop.

    Attributes:
        log: its name. utc_ns, at_s: when; seconds recorded up to it.
        speed_mps: before it. place_m: where, if known. scripted: by a simulator's script.
        counted_after_s: when a command counted again; None when none did.
    """

    log: str
    number: int
    utc_ns: int
    at_s: float
    cause: str | None
    speed_mps: float
    place_m: tuple[float, float] | None
    scripted: bool
    counted_after_s: float | None = None

    @property
    def asked_for(self) -> bool:
        """The driver or somebody else wanted it."""
        return self.cause in ASKED_FOR or self.cause == LET_GO

    @property
    def false(self) -> bool:
        """Link or picture brought it about, and no script and nobody asked for it."""
        of_the_link = (self.cause or "").startswith(OF_THE_LINK)
        return of_the_link and not self.asked_for and not self.scripted

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        words = EVENTS[self.cause].en if self.cause in EVENTS else None
        return {
            "log": self.log,
            "stop": self.number,
            "utc_ns": self.utc_ns,
            "at_s": round(self.at_s, 2),
            "cause": self.cause,
            "words": words,
            "speed_mps": round(self.speed_mps, 2),
            "place_m": self.place_m,
            "asked_for": self.asked_for,
            "scripted": self.scripted,
            "false": self.false,
            "counted_after_s": self.counted_after_s,
        }


@dataclass(slots=True)
class Shift:
    """All logs of a shift, one after the other.

    Attributes:
        sessions: what each log says of its making. begins_s: where each begins.
        mode_s: time by mode. refused: commands by reason; copies by another path are not refused.
        limits_ms: deadlines of the first boot that plots show. lost: what is not in the logs.
    """

    names: list[str] = field(default_factory=list)
    sessions: list[Mapping[str, Any]] = field(default_factory=list)
    begins_s: list[float] = field(default_factory=list)
    seconds: float = 0.0
    distance_m: float = 0.0
    mode_s: dict[str, float] = field(default_factory=dict)
    accepted: int = 0
    copies: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    stops: list[ShiftStop] = field(default_factory=list)
    ages: dict[str, Ages] = field(default_factory=lambda: defaultdict(Ages))
    timeline: Timeline = field(default_factory=Timeline)
    cells: dict[tuple[int, int], Slice] = field(default_factory=lambda: defaultdict(Slice))
    limits_ms: dict[str, int] = field(default_factory=dict)
    lost: list[str] = field(default_factory=list)

    @property
    def driven_s(self) -> float:
        """Time in which the machine was driven."""
        return sum(self.mode_s.get(mode, 0.0) for mode in DRIVING)

    @property
    def false_stops(self) -> int:
        """How many."""
        return sum(stop.false for stop in self.stops)

    def causes(self) -> Counter[str]:
        """Return the number of stops by cause."""
        return Counter(stop.cause or "none" for stop in self.stops)

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "logs": self.names,
            "recorded_s": round(self.seconds, 1),
            "driven_s": round(self.driven_s, 1),
            "distance_m": round(self.distance_m, 1),
            "stops": dict(self.causes().most_common()),
            "false_stops": self.false_stops,
            "commands_accepted": self.accepted,
            "commands_refused": dict(self.refused.most_common()),
            "ages_ms": {name: self.ages[name].summary() for name in AGES},
            "stop_list": [stop.as_dict() for stop in self.stops],
            "lost": self.lost,
        }


class _Reader:
    """Takes one log into a shift."""

    def __init__(self, shift: Shift, log: Log) -> None:
        self._shift, self._name = shift, log.name
        self._begun_s = shift.seconds
        self._first_ns: int | None = None
        self._last_ns: int | None = None
        self._number = 0
        self._watch = StopWatch([])
        self._speed: tuple[int, float] | None = None
        self._place: tuple[float, float] | None = None
        self._script_ns: int | None = None
        self._newest: ShiftStop | None = None
        self._unanswered: ShiftStop | None = None
        self._stops = 0
        shift.names.append(log.name)
        shift.begins_s.append(self._begun_s)
        for message in log.messages(_TOPICS):
            self._take(message)
        shift.lost += log.lost

    def _take(self, message: Message) -> None:
        shift = self._shift
        match message.topic:
            case channels.SESSION:
                if len(shift.sessions) < len(shift.names):
                    shift.sessions.append(message.json())
            case channels.BOOT:
                timing = message.json()["timing"]
                shift.limits_ms = shift.limits_ms or {
                    UPLINK: timing["uplink_max_ms"],
                    LOOP: timing["loop_max_ms"],
                    PICTURE: timing["view_stop_ms"],
                }
                self._number = 0
            case channels.OUTPUTS:
                self._tick(message)
            case channels.COMMANDS:
                self._command(message)
            case channels.STATE:
                self._state(message)
            case channels.POSE:
                pose = PoseInFrame.FromString(message.data).pose.position
                self._place = (pose.x, pose.y)
            case channels.TELEMETRY:
                self._telemetry(message.json())
            case channels.NOTE:
                self._script_ns = message.log_ns
            case _:
                lost = message.json().get("lost", {})
                words = ", ".join(f"{number} of {topic}" for topic, number in lost.items())
                shift.lost.append(f"{self._name}: not recorded: {words}")

    def _tick(self, message: Message) -> None:
        said = json.loads(message.data)
        if said["n"] <= self._number:
            return  # told again to a recorder that followed one that was killed
        self._number = said["n"]
        shift, now_ns, last_ns = self._shift, message.log_ns, self._last_ns
        if self._first_ns is None:
            self._first_ns = now_ns
        self._last_ns = now_ns
        shift.seconds = self._begun_s + (now_ns - self._first_ns) / _NS_PER_S
        if last_ns is not None and 0 < now_ns - last_ns < GAP_NS:
            mode = said["mode"]
            shift.mode_s[mode] = shift.mode_s.get(mode, 0.0) + (now_ns - last_ns) / _NS_PER_S
        found = self._watch.look(now_ns, said["n"], said["mode"], said["latched"])
        if found is not None:
            self._stop(now_ns, found.cause)
        else:
            self._harden(now_ns, said["latched"])

    def _stop(self, now_ns: int, cause: str | None) -> None:
        self._stops += 1
        scripted = self._script_ns is not None and now_ns - self._script_ns <= SCRIPT_MEMORY_NS
        speed_mps = 0.0 if self._speed is None else self._speed[1]
        self._newest = self._unanswered = ShiftStop(
            *(self._name, self._stops, now_ns, self._shift.seconds, cause),
            *(speed_mps, self._place, scripted),
        )
        self._shift.stops.append(self._newest)

    def _harden(self, now_ns: int, cause: str | None) -> None:
        """An emergency stop opens other things first; what was pressed is the stop's cause."""
        stop = self._newest
        if stop is not None and cause in ASKED_FOR and now_ns - stop.utc_ns < GAP_NS:
            stop.cause = cause

    def _command(self, message: Message) -> None:
        shift, content = self._shift, message.json()
        verdict = content["verdict"]
        if verdict == Refusal.DUPLICATE.value:
            shift.copies += 1
            return
        if verdict != "accepted":
            shift.refused[verdict] += 1
            return
        shift.accepted += 1
        stop = self._unanswered
        if stop is not None and message.log_ns > stop.utc_ns:
            stop.counted_after_s = round((message.log_ns - stop.utc_ns) / _NS_PER_S, 2)
            self._unanswered = None
        ages = {UPLINK: content["uplink_us"], LOOP: content["loop_age_us"]}
        if content.get("view_stamp_us"):
            ages[PICTURE] = message.publish_ns // 1000 - content["view_stamp_us"]
        self._age(ages)

    def _age(self, ages_us: Mapping[str, int]) -> None:
        shift = self._shift
        tables = [shift.ages, shift.timeline.at(shift.seconds).ages]
        if self._place is not None:
            tables.append(shift.cells[cell_of(self._place)].ages)
        for name, age_us in ages_us.items():
            for table in tables:
                table[name].take(age_us)

    def _state(self, message: Message) -> None:
        try:
            speed_mps = parse_state(message.data).speed_mps
        except ProtocolError:
            return
        if speed_mps is None:
            self._speed = None
            return
        now_ns, speed_mps = message.log_ns, abs(speed_mps)
        if self._speed is not None and 0 < now_ns - self._speed[0] < GAP_NS:
            seconds = (now_ns - self._speed[0]) / _NS_PER_S
            self._shift.distance_m += seconds * (speed_mps + self._speed[1]) / 2
        self._speed = (now_ns, speed_mps)
        for each in (self._shift.timeline.at(self._shift.seconds), self._here()):
            if each is not None:
                each.speed_mps = max(each.speed_mps, speed_mps)

    def _here(self) -> Slice | None:
        return None if self._place is None else self._shift.cells[cell_of(self._place)]

    def _telemetry(self, content: Mapping[str, Any]) -> None:
        if content.get("group") != "position":
            return
        x_m, y_m = (content["figures"].get(name) for name in ("x_m", "y_m"))
        self._place = None if x_m is None or y_m is None else (x_m, y_m)


def cell_of(place_m: tuple[float, float]) -> tuple[int, int]:
    """Return the cell of the map that holds a place."""
    return int(place_m[0] // CELL_M), int(place_m[1] // CELL_M)


def shift_of(logs: Iterable[Log]) -> Shift:
    """Return what the logs of a shift say together.

    Raises:
        ValueError: a message's content is none of this software's.
    """
    shift = Shift()
    for log in logs:
        _Reader(shift, log)
    return shift
