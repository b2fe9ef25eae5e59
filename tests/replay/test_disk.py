"""The recorder's hand on the disk: segments one after the other, and disks that do not take it."""

from __future__ import annotations

import errno
import io
import json
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from unittest.mock import Mock

import pytest
from joserfc.jwk import OKPKey

from protocol.messages import generate_identity
from recording import channels
from recording.backlog import Item
from recording.files import Files, Plan
from recording.reader import LogFile, Message, open_log
from recording.ring import Ring
from recording.seal import seal, sealed
from recording.segment import Segment
from sim.replay.rerun import rerun
from sim.replay.ticks import Steps
from sim.replay.verify import verify
from vehicle_agent.log import disk
from vehicle_agent.log.disk import Disk

S = 1_000_000_000
SUPERVISOR = frozenset({channels.BOOT, channels.KEY, channels.INPUTS, channels.OUTPUTS})


class FileOfDisk(io.FileIO):
    """A file of a disk that can be made full."""


class FullDisk(io.FileIO):
    """A file of a disk that takes names and no bytes."""

    def write(self, data: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    def close(self) -> None:
        super().close()
        raise OSError(errno.ENOSPC, "No space left on device")


def record(files: Files, steps: range) -> None:
    """Record four notes a second."""
    for step in steps:
        now_ns = step * S // 4
        files.blocked(now_ns)
        files.take(now_ns, Item(b"n", "/sim/note", now_ns, b"{}"))
        files.look(now_ns, {})


class Hand:
    """A disk's hand, its guardian, and a clock that goes with the ticks."""

    def __init__(self, folder: Path, segment_ns: int = 60 * S) -> None:
        plan = Plan("20260101", {"mono_ns": 0}, 0, segment_ns=segment_ns)
        self.asked = 0
        self.told: list[str] = []
        self.disk = Disk(Ring(folder, 10**9, 10**9), plan, self.told.append, ask_key=self._ask)
        self.folder = folder / "20260101"
        self.now_ns = 0

    def _ask(self) -> None:
        self.asked += 1

    def take(self, kind: bytes, topic: str, now_ns: int, data: bytes) -> None:
        self.now_ns = now_ns
        self.disk.blocked(now_ns)
        self.disk.take(now_ns, Item(kind, topic, now_ns, data))
        self.disk.look(now_ns, {})

    def close(self) -> None:
        self.disk.close(self.now_ns)


def replayed(path: Path) -> Iterator[tuple[bytes, str, int, bytes]]:
    """What a guardian would send of a log's ticks."""
    heard: Message | None = None
    for message in open_log(path).messages(SUPERVISOR):
        now_ns = message.publish_ns
        if message.topic == channels.INPUTS:
            heard = message
        elif message.topic == channels.OUTPUTS:
            assert heard is not None
            size = len(heard.data).to_bytes(4, "little")
            yield disk.TICK, channels.INPUTS, now_ns, size + heard.data + message.data
        else:
            kind = disk.BOOT if message.topic == channels.BOOT else disk.KEY
            yield kind, message.topic, now_ns, message.data


def test_ticks_taken__the_file_runs_again(tmp_path: Path, part: Path) -> None:
    hand = Hand(tmp_path)
    for each in replayed(part):
        hand.take(*each)
    hand.close()

    log = open_log(hand.folder)

    assert rerun(Steps(log)).ticks == 120
    assert channels.BUS in {message.topic for message in log.messages()}


def test_time_for_the_next_file__begins_with_boot_and_key_state(tmp_path: Path, part: Path) -> None:
    hand = Hand(tmp_path, segment_ns=S // 2)
    boot, key, *ticks = replayed(part)
    for each in (boot, key, *ticks[:60]):
        hand.take(*each)
    before = hand.asked
    state = json.loads(key[3])
    later = (key[0], key[1], ticks[59][2], json.dumps({**state, "n": state["n"] + 60}).encode())
    for each in (boot, later, *ticks[60:]):
        hand.take(*each)
    hand.close()

    second = [message.topic for message in LogFile(hand.folder / "00002.mcap").messages()]

    assert before == 2, "asked at the beginning, and when it was time"
    assert [topic for topic in second if topic in SUPERVISOR][:4] == [
        channels.BOOT,
        channels.KEY,
        channels.INPUTS,
        channels.OUTPUTS,
    ]


def test_guardian_silent_when_it_is_time__next_file_begins_without_it(
    tmp_path: Path, part: Path
) -> None:
    hand = Hand(tmp_path, segment_ns=S)
    boot, *_ = replayed(part)
    hand.take(*boot)
    begun_ns = hand.now_ns
    for second in range(1, 10):
        hand.disk.look(begun_ns + second * S, {})

    assert hand.disk.number == 2
    hand.disk.close(begun_ns + 10 * S)


def test_stop_seen__its_file_is_kept(tmp_path: Path, part: Path) -> None:
    hand = Hand(tmp_path)
    for each in replayed(part):
        hand.take(*each)
    hand.close()

    kept = list((tmp_path / "kept").glob("*/*.mcap"))

    assert [path.parent.name.rpartition("-")[2] for path in kept] == ["D101"]
    assert rerun(Steps(open_log(kept[0]))).ticks == 120


def test_ticks_missing__are_counted_and_a_key_state_is_asked_for(
    tmp_path: Path, part: Path
) -> None:
    hand = Hand(tmp_path)
    boot, key, *ticks = replayed(part)
    for each in (boot, key, *ticks[:20], *ticks[25:40]):
        hand.take(*each)
    hand.close()

    drops = [
        message.json() for message in LogFile(hand.folder / "00001.mcap").messages({channels.DROPS})
    ]

    assert hand.asked == 2
    assert drops == [{"lost": {"/wd/in": 5}, "in_all": {"/wd/in": 5}}]
    assert hand.told == ["data is lost"]


def test_ticks_that_were_kept_come_at_once__half_a_second_of_them_is_flushed(
    tmp_path: Path, part: Path
) -> None:
    hand = Hand(tmp_path)
    boot, key, *ticks = replayed(part)
    hand.take(*boot)
    for kind, topic, now_ns, data in (key, *ticks[:110]):
        hand.disk.take(hand.now_ns, Item(kind, topic, now_ns, data))
        hand.disk.look(hand.now_ns, {})

    written = LogFile(hand.folder / "00001.mcap.open").messages({channels.INPUTS})

    assert len(list(written)) == 101
    hand.close()


def test_disk_full__is_told_and_the_next_file_says_what_was_lost(
    tmp_path: Path, part: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hand = Hand(tmp_path)
    boot, key, *ticks = replayed(part)
    for each in (boot, key, *ticks[:10]):
        hand.take(*each)

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as broken:
        broken.setattr(Segment, "flush", full)
        hand.disk.look(hand.now_ns + S, {})
        error = hand.disk.error
    later_ns = hand.now_ns + 10 * S
    blocked = hand.disk.blocked(hand.now_ns + S), hand.disk.blocked(later_ns)
    hand.disk.look(later_ns, {})
    hand.disk.close(later_ns)
    drops = list(LogFile(hand.folder / "00002.mcap").messages({channels.DROPS}))

    assert error == "No space left on device"
    assert blocked == (True, False)
    assert drops[0].json()["lost"] == {"/wd/in": 9}, "the first tick was flushed with its key"
    assert hand.told == ["data is lost", "No space left on device"]


def test_disk_full_when_the_next_file_begins__goes_on_when_there_is_room(
    tmp_path: Path, part: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hand = Hand(tmp_path)
    boot, *_ = replayed(part)
    hand.take(*boot)

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as broken:
        broken.setattr(Segment, "flush", full)
        hand.disk.look(hand.now_ns + S, {})
        blocked = [hand.disk.blocked(hand.now_ns + 5 * S)]
    blocked.append(hand.disk.blocked(hand.now_ns + 10 * S))
    hand.disk.close(hand.now_ns + 10 * S)

    assert (blocked, hand.disk.error) == ([True, False], None)
    assert (hand.folder / "00002.mcap").is_file()


def test_disk_still_full_at_two_retries__goes_on_once_it_takes_again(
    tmp_path: Path, part: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hand = Hand(tmp_path)
    with monkeypatch.context() as broken:
        broken.setattr(io, "FileIO", FullDisk)
        blocked = [hand.disk.blocked(each * 2 * S) for each in range(3)]
    left = list(tmp_path.rglob("*.open"))
    for each in replayed(part):
        hand.take(*each)
    hand.close()

    assert (blocked, left) == ([True, True, True], [])
    assert hand.told == ["No space left on device"]
    assert [path.name for path in sorted(hand.folder.iterdir())] == ["00001.mcap", "session.json"]


@pytest.mark.parametrize(
    ("owner", "name"), [(FileOfDisk, "write"), (Path, "rename")], ids=["written", "finished"]
)
def test_disk_fails_while_a_file_is__the_chain_goes_on_from_what_is_left_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, owner: type, name: str
) -> None:
    monkeypatch.setattr(io, "FileIO", FileOfDisk)
    plan = Plan("20260101", {}, 0, segment_ns=2 * S)
    files = Files(Ring(tmp_path, 10**9, 10**9), plan, lambda _: None)
    record(files, range(14))
    with monkeypatch.context() as broken:
        broken.setattr(owner, name, Mock(side_effect=OSError(errno.EIO, "Input/output error")))
        record(files, range(14, 20))
    record(files, range(20, 48))
    files.close(12 * S)
    log = open_log(tmp_path / "20260101")
    proof = verify(log)
    links = [[m.json() for m in each.messages({channels.CHAIN})] for each in log.files]
    says = [each.metadata["headframe"]["resumed"] for each in log.files]

    assert not [each for each in proof.faults if "does not go on" in each]
    assert all(one[-1]["head"] == other[0]["before"] for one, other in pairwise(links))
    assert says[:4] == ["False", "False", "True", "False"]


def test_file_left_that_cannot_be_taken_away__the_next_number_is_tried(tmp_path: Path) -> None:
    hand = Hand(tmp_path)
    hand.folder.mkdir()
    (hand.folder / "00001.mcap.open").touch()

    blocked = hand.disk.blocked(S), hand.disk.blocked(3 * S)
    hand.disk.close(4 * S)

    assert blocked == (True, False)
    assert hand.disk.number == 2


def test_disk_cannot_be_written_at_all__nothing_is_raised(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hand = Hand(tmp_path)

    def read_only(*_: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(Segment, "__init__", read_only)

    blocked = [hand.disk.blocked(each * S) for each in range(1, 10)]

    assert all(blocked)
    assert hand.told == ["Read-only file system"]


def test_file_sealed__by_the_machines_key_only() -> None:
    private, public = generate_identity()
    other = OKPKey.import_key(dict(generate_identity()[1]))
    content = {"session": "a", "segment": 1, "count": 2, "head": "00"}

    metadata = seal(content, "truck-1", OKPKey.import_key(dict(private)))

    assert sealed(metadata, OKPKey.import_key(dict(public))) == content
    assert sealed(metadata, other) is None
    assert sealed({}, other) is None
