"""The guardian's side of recording: what it keeps, gives again, and that it waits for nobody."""

from __future__ import annotations

import json
import math
import random
import zlib
from pathlib import Path
from typing import Any

import pytest

from recording.reader import Log, LogFile, open_log
from recording.ring import Ring, segment_name
from sim.replay.ticks import Steps, TickStep
from tests.rig import Rig
from vehicle_agent.core import tape
from vehicle_agent.core.keystate import KeyStateError
from vehicle_agent.core.supervisor import TickInputs, TickOutputs
from vehicle_agent.shell import ipc, tape_sender
from vehicle_agent.shell.ipc import Handed
from vehicle_agent.shell.tape_sender import (
    KEY_MAX_BYTES,
    SENT_PER_TICK,
    SIZES,
    WRITTEN,
    TapeSender,
    key_text,
)


class Recorder:
    """A mailbox whose neighbour takes so many datagrams."""

    def __init__(self, room: int = 1_000) -> None:
        self.room = room
        self.taken: list[bytes] = []
        self.there = True

    def hand(self, neighbour: str, data: bytes) -> Handed:
        if not self.there:
            return Handed.GONE
        if self.room <= 0:
            return Handed.FULL
        self.room -= 1
        self.taken.append(data)
        return Handed.TAKEN

    def die(self, guardian: Guardian) -> None:
        """Be gone for a tick, and be another one then."""
        self.there = False
        guardian.run(1)
        self.there = True
        self.taken.clear()

    def ticks(self) -> list[int]:
        return [_number(each) for each in self.taken if each[:1] == b"T"]

    def kinds(self) -> str:
        return "".join(each[:1].decode() for each in self.taken)


def _number(datagram: bytes) -> int:
    size = SIZES.unpack_from(datagram, 1)[0]
    number: int = json.loads(datagram[1 + SIZES.size : 1 + SIZES.size + size])["n"]
    return number


class Guardian:
    def __init__(self, recorder: Recorder | ipc.Mailbox) -> None:
        self.rig = Rig()
        mailbox: Any = recorder
        self.sender = TapeSender(mailbox, self.rig.setup)
        self.boot = self.sender._boot[1:]

    def run(self, ticks: int) -> None:
        for number in range(ticks):
            self.sender.tick(number, TickInputs(), self.rig.supervisor, TickOutputs())

    def written(self, number: int, crc: int | None = None) -> None:
        told = zlib.crc32(self.boot) if crc is None else crc
        self.sender.written(WRITTEN.pack(told, number))


def test_recorder_there__has_the_boot_and_then_each_tick() -> None:
    recorder = Recorder()
    Guardian(recorder).run(3)

    assert recorder.kinds() == "BTTT"
    assert recorder.ticks() == [1, 2, 3]


def test_recorder_away__ticks_wait_and_come_in_order_not_all_at_once() -> None:
    recorder = Recorder(room=0)
    guardian = Guardian(recorder)
    guardian.run(40)
    recorder.room = 1_000
    guardian.run(1)
    first = len(recorder.taken)
    guardian.run(2)

    assert first == SENT_PER_TICK
    assert recorder.ticks() == list(range(1, 44))


def test_key_state_asked_for__comes_with_the_boot_after_its_tick() -> None:
    recorder = Recorder()
    guardian = Guardian(recorder)
    guardian.run(1)
    guardian.sender.ask_key()
    guardian.run(2)

    assert recorder.kinds() == "BTTBKT"
    assert json.loads(key_text(recorder.taken[4][1:]))["n"] == 2


def test_key_state_longer_than_a_datagram__arrives_whole(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    state = [random.Random(number).randbytes(16).hex() for number in range(2_500)]
    monkeypatch.setattr(tape_sender, "freeze", lambda *_: state)
    mailbox, recorder = (ipc.Mailbox(tmp_path, name) for name in ("guardian.sock", ipc.RECORDER))
    guardian = Guardian(mailbox)
    guardian.sender.ask_key()
    guardian.run(1)
    *_, key = iter(recorder.receive, None)
    mailbox.close()
    recorder.close()

    text = key_text(key[1:])
    assert len(text) > ipc.DATAGRAM_MAX_BYTES
    assert json.loads(text)["state"] == state


def test_key_state_too_large_for_all__is_lost_and_its_tick_is_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    state = random.Random(1).randbytes(ipc.DATAGRAM_MAX_BYTES).hex()
    monkeypatch.setattr(tape_sender, "freeze", lambda *_: state)
    recorder = Recorder()
    guardian = Guardian(recorder)
    guardian.sender.ask_key()
    guardian.run(1)

    assert guardian.sender.lost == 1
    assert recorder.kinds() == "BTB"


@pytest.mark.parametrize(
    "body", [b"", b"{}", zlib.compress(b"{}")[:-1], zlib.compress(bytes(KEY_MAX_BYTES + 1))]
)
def test_key_state_that_is_not_whole__is_refused(body: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        key_text(body)


def test_recorder_killed__the_next_one_gets_what_was_not_written() -> None:
    recorder = Recorder()
    guardian = Guardian(recorder)
    guardian.run(10)
    guardian.written(7)
    recorder.die(guardian)
    guardian.run(1)

    assert recorder.ticks() == [8, 9, 10, 11, 12]


@pytest.mark.parametrize("body", [b"", b"short", WRITTEN.pack(1, 10)])
def test_word_of_another_boot_or_none__lets_nothing_go(body: bytes) -> None:
    recorder = Recorder()
    guardian = Guardian(recorder)
    guardian.run(10)
    guardian.sender.written(body)
    recorder.die(guardian)
    guardian.run(1)

    assert recorder.ticks() == list(range(1, 13))


def test_store_full__what_was_given_goes_first_then_the_oldest_and_counts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    recorder = Recorder(room=6)
    guardian = Guardian(recorder)
    guardian.run(10)
    size = guardian.sender._bytes // 8
    monkeypatch.setattr(tape_sender, "STORE_BYTES", guardian.sender._bytes)
    guardian.run(2)
    none_yet = guardian.sender.lost
    monkeypatch.setattr(tape_sender, "STORE_BYTES", size // 8)
    guardian.run(1)

    assert none_yet == 0
    assert guardian.sender.lost > 0


def test_ticks_told_twice__count_once(part: Path) -> None:
    log = open_log(part)
    twice = Log([*log.files, LogFile(part)])

    numbers = [step.number for step in Steps(twice) if isinstance(step, TickStep)]

    assert numbers == sorted(set(numbers))
    assert len(numbers) == 120


def test_session_of_a_killed_recorder__is_found_with_its_last_file(tmp_path: Path) -> None:
    ring = Ring(tmp_path, 10**6, 10**6)
    before = ring.newest()
    for session, count in (("20260101", 3), ("20260102", 2)):
        folder = ring.begin(session, {})
        for number in range(1, count + 1):
            (folder / segment_name(number)).write_bytes(b"x")

    found = ring.newest()

    assert before is None
    assert found is not None
    assert found[:2] == ("20260102", 2)


def cannot_be_written(*_: object) -> dict[str, float]:
    return {"n": math.nan}


@pytest.mark.parametrize("part", ["inputs_of", "outputs_of"])
def test_tick_that_cannot_be_written_down__is_lost_and_the_next_one_is_told(
    monkeypatch: pytest.MonkeyPatch, part: str
) -> None:
    recorder = Recorder()
    guardian = Guardian(recorder)
    with monkeypatch.context() as patched:
        patched.setattr(tape, part, cannot_be_written)
        guardian.run(1)
    guardian.run(1)

    assert guardian.sender.lost == 1
    assert recorder.ticks() == [2]


def test_state_that_cannot_be_written_down__is_lost_and_its_tick_is_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuses(*_: object) -> None:
        raise KeyStateError("a socket")

    monkeypatch.setattr(tape_sender, "freeze", refuses)
    recorder = Recorder()
    guardian = Guardian(recorder)
    guardian.sender.ask_key()
    guardian.run(2)

    assert guardian.sender.lost == 1
    assert recorder.ticks() == [1, 2]
