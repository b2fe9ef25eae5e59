"""Parts of a log as a log of their own, with the state carried in; and many files as one."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from foxglove_schemas_protobuf.CompressedVideo_pb2 import CompressedVideo

from recording import channels
from recording.reader import Log, Message
from recording.segment import Segment
from recording.software import ROOT
from sim.replay.rerun import Runner, digested
from sim.replay.ticks import BootStep, KeyStep, Steps, TickStep
from vehicle_agent.core import tape
from vehicle_agent.core.keystate import freeze

FLUSH_MESSAGES = 2_000
SUPERVISOR = frozenset({channels.BOOT, channels.KEY, channels.INPUTS, channels.OUTPUTS})
CARRIED = frozenset({channels.TELEMETRY, channels.HEALTH, channels.STATE, channels.TRUTH})
"""Of these the newest before the cut is carried in: a screen shows them at once."""
_OWN = frozenset({channels.SESSION, channels.CHAIN})
_NAL_IDR, _NAL_SPS = 5, 7


@dataclass(frozen=True, slots=True)
class Written:
    """What a new file holds."""

    path: Path
    messages: int
    ticks: int


def join(log: Log, target: Path) -> Written:
    """Write all of a log into one file; it is chained anew, and not sealed.

    Raises:
        ValueError: the log says nothing of its making. OSError: it cannot be written.
    """
    with _Copy(log, target, {}) as copy:
        for message in log.messages():
            copy.put(message)
    return copy.written()


def cut(log: Log, target: Path, from_ns: int, until_ns: int) -> Written:
    """Write the part from ``from_ns`` (UTC) until ``until_ns`` that can be run again by itself.

    The supervisor's state at its beginning is made by running the log up to there; slow values
    are carried in, and pictures begin with the key frame before.

    Raises:
        ValueError: nothing lies between the two, or the supervisor's state is not to be had.
    """
    beginning = _state_at(log, from_ns, until_ns)
    about = {"cut_from_utc_ns": from_ns, "cut_until_utc_ns": until_ns}
    with _Copy(log, target, about) as copy:
        for message in _carried(log, from_ns):
            copy.put(message)
        copy.begin(beginning)
        for message in log.messages():
            if from_ns <= message.log_ns < until_ns and not _before(beginning, message):
                copy.put(message)
    return copy.written()


def golden_path(name: str) -> Path:
    """Return where the golden log of a name lies.

    Raises:
        ValueError: the tests are not here, or one of that name is.
    """
    folder = ROOT / "tests" / "golden"
    path = folder / f"{name}.mcap"
    if not folder.is_dir() or path.exists():
        raise ValueError(f"{path}: {'is there already' if path.exists() else 'no tests here'}")
    return path


def golden(log: Log, target: Path, from_ns: int, until_ns: int) -> Written:
    """Write a small log for the tests: the supervisor's inputs, and digests of what it said.

    From the boot on it holds for as long as the decisions do. A part that begins later begins with
    the supervisor's inner state, and is of use only while that has the same shape.

    Raises:
        ValueError: as for :func:`cut`.
    """
    beginning = _state_at(log, from_ns, until_ns)
    with _Copy(log, target, {"golden": True}, attach=False) as copy:
        copy.begin(beginning)
        for message in log.messages(SUPERVISOR - {channels.KEY}):
            if not from_ns <= message.log_ns < until_ns or _before(beginning, message):
                continue
            if message.topic == channels.OUTPUTS:
                copy.put_json(message, digested(message.json()))
            else:
                copy.put(message)
    return copy.written()


@dataclass(frozen=True, slots=True)
class Beginning:
    """The supervisor just before the first tick of a cut."""

    boot: Mapping[str, Any]
    state: Any
    number: int
    now_ns: int
    utc_ns: int


def _state_at(log: Log, from_ns: int, until_ns: int) -> Beginning:
    """Run the log up to ``from_ns``."""
    runner = Runner()
    number = now_ns = utc_ns = 0
    for step in Steps(log):
        if isinstance(step, BootStep):
            runner.boot(step)
            number, utc_ns, now_ns = 0, step.utc_ns, 0
        elif isinstance(step, KeyStep):
            runner.key(step)
            number = step.number
        elif isinstance(step, TickStep):
            if until_ns > step.utc_ns >= from_ns and runner.supervisor is not None:
                break
            if runner.tick(step) is not None:
                number, now_ns, utc_ns = step.number, step.now_ns, step.utc_ns
    else:
        raise ValueError("no tick that could be run again lies in that time")
    supervisor, setup = runner.supervisor, runner.setup
    assert supervisor is not None
    assert setup is not None
    return Beginning(
        tape.boot_of(setup), freeze(supervisor, setup), number, now_ns, utc_ns or from_ns
    )


def _before(beginning: Beginning, message: Message) -> bool:
    """Whether a message is carried in already by the beginning."""
    return message.topic in (channels.BOOT, channels.KEY) and message.log_ns <= beginning.utc_ns


def _carried(log: Log, from_ns: int) -> Iterator[Message]:
    newest: dict[str, Message] = {}
    pictures: dict[str, list[Message]] = {}
    for message in log.messages():
        if message.log_ns >= from_ns:
            break
        kind = channels.kind_of(message.topic)
        if kind.video:
            if stands_alone(CompressedVideo.FromString(message.data).data):
                pictures[message.topic] = []
            if message.topic in pictures:
                pictures[message.topic].append(message)
        elif message.topic in CARRIED:
            name = message.topic
            if name == channels.TELEMETRY:
                name += str(message.json().get("group"))
            newest[name] = message
    kept = [*newest.values(), *(each for row in pictures.values() for each in row)]
    yield from sorted(kept, key=lambda each: each.log_ns)


def stands_alone(unit: bytes) -> bool:
    """Return whether an H.264 access unit (Annex B) can be decoded without an earlier one."""
    place = unit.find(b"\0\0\1")
    while 0 <= place < len(unit) - 3:
        if unit[place + 3] & 0x1F in (_NAL_IDR, _NAL_SPS):
            return True
        place = unit.find(b"\0\0\1", place + 3)
    return False


class _Copy:
    """A file that messages of a log are written to."""

    def __init__(
        self, log: Log, target: Path, about: Mapping[str, Any], *, attach: bool = True
    ) -> None:
        session = dict(log.session())
        session.pop("attachments", None)  # of the log, which the copy may have fewer of
        if not {"mono_ns", "utc_ns"} <= session.keys():
            raise ValueError(f"{log.name}: the log does not say how its clocks go together")
        self._segment = Segment(target, {**session, "segment": 1, **about})
        self._target = target
        self._count = self._ticks = 0
        self._files = log.files if attach else []
        self._attached: set[str] = set()

    def __enter__(self) -> _Copy:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None:
            self._segment.abandon()
            self._segment.path.unlink(missing_ok=True)
            return
        for each in self._files:
            for name, data in each.attachments.items():
                if name not in self._attached:
                    self._attached.add(name)
                    self._segment.attach(name, "application/octet-stream", data)
        self._segment.close()

    def begin(self, beginning: Beginning) -> None:
        """Write the boot and the state that the first tick goes on from."""
        boot = tape.to_bytes(dict(beginning.boot))
        self._segment.write(channels.BOOT, beginning.utc_ns, beginning.now_ns, boot)
        if beginning.number == 0:
            return
        state = {"n": beginning.number, "t": beginning.now_ns, "state": beginning.state}
        self._segment.write(channels.KEY, beginning.utc_ns, beginning.now_ns, tape.to_bytes(state))

    def put(self, message: Message) -> None:
        """Write one message as it is."""
        if message.topic in _OWN:
            return
        self._segment.write(message.topic, message.log_ns, message.publish_ns, message.data)
        self._count += 1
        self._ticks += message.topic == channels.INPUTS
        if self._count % FLUSH_MESSAGES == 0:
            self._segment.flush()

    def put_json(self, message: Message, content: Mapping[str, Any]) -> None:
        """Write other content in a message's stead."""
        data = json.dumps(content, separators=(",", ":")).encode()
        self._segment.write(message.topic, message.log_ns, message.publish_ns, data)
        self._count += 1

    def written(self) -> Written:
        """Return what was written."""
        return Written(self._target, self._count, self._ticks)
