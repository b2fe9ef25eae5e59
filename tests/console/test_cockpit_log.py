"""The cockpit's recorder: what it is told, what it writes, and that nobody waits for it."""

from __future__ import annotations

import asyncio
import errno
import json
import os
import re
import signal
import socket
from binascii import a2b_base64
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest

from operator_console.core import cockpit_log
from operator_console.core.notes import Notes
from operator_console.core.recorder_watch import RecorderWatch
from operator_console.core.screen import snapshot
from operator_console.core.session import COPY
from operator_console.shell import clock, cockpit_recorder, line_process, recorder_process
from operator_console.shell.clock import monotonic_ns
from operator_console.shell.cockpit_recorder import CockpitFiles, Recorder
from operator_console.shell.config import load_keys, load_settings
from operator_console.shell.line_process import line_pair
from operator_console.shell.pump import Pump
from operator_console.shell.recorder_process import (
    Patience,
    RecorderProcess,
    Tap,
    recorder_command,
)
from operator_console.shell.web import Console, Page
from protocol.control_peer import CommandPath
from protocol.errors import Refusal
from protocol.messages import SESSION_NAME, load_private_key
from protocol.state import VehicleMode
from recording import channels
from recording.backlog import Item
from recording.heads import announced, proven
from recording.reader import Log, open_log
from recording.segment import Segment
from sim import demo
from sim.replay.verify import verify
from tests.console.fakes import (
    CLOCK_AHEAD_US,
    OPERATOR,
    TOPICS,
    VEHICLE,
    FakeVehicle,
    ManualClock,
    MemoryTransport,
    Rig,
    console_keys,
    console_settings,
    input_message,
    still_runs,
    view_message,
)

S = 1_000_000_000
FRAME = bytes(range(88))
STATE = bytes(range(32)) + b'{"mode":"ACTIVE"}' + bytes(16)


def written(item: Item) -> dict[str, Any]:
    content = json.loads(cockpit_log.content_of(item))
    assert isinstance(content, dict)
    return content


def told(datagram: bytes) -> Item:
    item = cockpit_log.item_of(datagram)
    assert item is not None
    return item


# -- what is said


@pytest.mark.parametrize(
    ("taken", "names"),
    [
        ({CommandPath.MQTT: True, CommandPath.DATA_CHANNEL: True}, ["MQTT", "DATA_CHANNEL"]),
        ({CommandPath.MQTT: False, CommandPath.DATA_CHANNEL: True}, ["DATA_CHANNEL"]),
        ({CommandPath.MQTT: False, CommandPath.DATA_CHANNEL: False}, []),
    ],
)
def test_command_sent__stands_with_its_paths_its_fields_and_its_bytes(
    taken: dict[CommandPath, bool], names: list[str]
) -> None:
    item = told(cockpit_log.command(5, FRAME, taken))
    row = written(item)

    assert (item.topic, item.stamp_ns, row["paths"]) == (channels.SENT, 5, names)
    assert row["sequence"] == int.from_bytes(FRAME[16:20], "little")
    assert a2b_base64(row["frame"]) == FRAME


def test_state_heard__stands_with_path_verdict_and_its_bytes_in_three_parts() -> None:
    item = told(cockpit_log.state(6, CommandPath.DATA_CHANNEL, "bad_tag", STATE))
    row = written(item)
    head, text, tag = row["frame"]

    assert (item.topic, row["path"], row["verdict"]) == (channels.HEARD, "DATA_CHANNEL", "bad_tag")
    assert a2b_base64(head) + text.encode() + a2b_base64(tag) == STATE


def test_copy_of_a_state__only_its_head_stands() -> None:
    said: list[bytes] = []
    Notes(said.append).heard(1, CommandPath.MQTT, COPY, STATE)

    assert len(written(told(said[0]))["frame"]) == 1


@pytest.mark.parametrize("datagram", [b"", b"C", b"Z" + bytes(20), b"J" + bytes(8) + b"/no\0{}"])
def test_datagram_that_is_none__is_not_taken(datagram: bytes) -> None:
    assert cockpit_log.item_of(datagram) is None


# -- what a console says


class Recorded:
    """A console whose recorder is a store that nobody empties."""

    def __init__(self) -> None:
        self.vehicle, self.clock = FakeVehicle(), ManualClock()
        self.console = Console(
            console_settings(),
            console_keys(self.vehicle),
            {},
            "",
            MemoryTransport(),
            self.clock,
            recorder=("unused",),
        )
        self.console.link_changed(True)
        self.console.words_changed(True)
        assert self.console.recorder is not None
        self.console.recorder.tap._waiting.clear()

    def rows(self, topic: str) -> list[dict[str, Any]]:
        assert self.console.recorder is not None
        items = map(told, self.console.recorder.tap._waiting)
        return [written(item) for item in items if item.topic == topic]

    def hear_state(self, **changes: Any) -> bytes:
        stamp_us = self.clock() // 1000 + CLOCK_AHEAD_US
        frame = self.vehicle.state_frame(stamp_us, **changes)
        self.console.hear(TOPICS.state, frame)
        return frame


@pytest.fixture
def recorded() -> Recorded:
    return Recorded()


def test_states_heard__each_has_its_verdict(recorded: Recorded) -> None:
    frame = recorded.hear_state()
    recorded.console._hear_state_direct(frame)
    recorded.console.hear(TOPICS.state, frame)
    recorded.console.hear(TOPICS.state, b"no state")

    verdicts = [(row["path"], row["verdict"]) for row in recorded.rows(channels.HEARD)]

    assert verdicts[:2] == [("MQTT", "counted"), ("DATA_CHANNEL", "copy")]
    assert verdicts[2:] == [
        ("MQTT", Refusal.ECHO_BACKWARDS.value),
        ("MQTT", Refusal.SHORT.value),
    ]


def test_words_heard__stand_with_whether_they_count(recorded: Recorded) -> None:
    recorded.console.hear(TOPICS.authority, recorded.vehicle.authority())
    recorded.console.hear(TOPICS.ack(OPERATOR), b"no answer")
    recorded.console.hear(TOPICS.event, b'{"id": "L102"}')
    recorded.console.hear_slow(TOPICS.factsheet, b'{"settings": "abc"}')

    rows = [(row["heard"], row["counts"]) for row in recorded.rows(channels.WORDS)]

    assert rows == [("authority", True), ("answer", False), ("event", True), ("factsheet", True)]


async def test_page_drives__hands_picture_buttons_and_screen_stand(recorded: Recorded) -> None:
    socket_of_page: Any = None
    page = Page(1, socket_of_page, lambda: None)
    recorded.console._seat.join(1, recorded.clock())
    recorded.hear_state(mode=VehicleMode.STANDBY)
    for message in (
        input_message(1, throttle=0.5),
        input_message(1),
        view_message(7, 1),
        {"t": "action", "do": "stop"},
    ):
        recorded.console.take(page, json.dumps(message))
    recorded.console.show()
    recorded.console.show()

    hands = [(row["counts"], row["content"]["throttle"]) for row in recorded.rows(channels.HANDS)]
    assert hands == [(True, 0.5), (False, 0.0)]
    assert [row["content"]["frame"] for row in recorded.rows(channels.VIEW)] == [7]
    assert recorded.rows(channels.ASKED) == [{"do": "stop", "from": "page 1"}]
    screens = recorded.rows(channels.SCREEN)
    assert [(row["mode"], row["stop"]["pending"]) for row in screens] == [("STANDBY", True)]


def test_screen_unchanged__is_told_once_a_second() -> None:
    rig, said = Rig(), list[bytes]()
    notes = Notes(said.append)
    for now_ns in (0, S // 2, S):
        notes.shown(now_ns, snapshot(rig.session, rig.now_ns))

    assert [told(each).stamp_ns for each in said] == [0, S]


def test_lease_arms_and_drives__commands_and_requests_stand() -> None:
    rig, said = Rig(), list[bytes]()
    rig.ready_to_enable()
    message = rig.session.next_command(rig.now_ns)
    assert message is not None
    Notes(said.append).sent(rig.now_ns, message.payload, {CommandPath.MQTT: True})

    assert written(told(said[0]))["epoch"] == rig.vehicle.epoch


def test_no_recorder__nothing_is_said_and_nothing_shown() -> None:
    rig = Rig()
    Notes().shown(0, snapshot(rig.session, rig.now_ns))
    Notes().sent(0, FRAME, {})
    Notes().heard(0, CommandPath.MQTT, "counted", STATE)

    assert rig.session.recorder is None


# -- heads of both recorders


def test_recorder_tells_its_head__it_goes_to_the_machine_while_the_line_stands(
    recorded: Recorded,
) -> None:
    recorded.console._hear_recorder({"evidence": "a.b.c"})
    recorded.console.words_changed(False)
    recorded.console._hear_recorder({"evidence": "d.e.f"})
    recorded.console.words_changed(True)
    recorded.console._hear_recorder({"evidence": "g.h.i"})

    posted = recorded.console.pump._posted
    assert [(each.topic, each.payload, each.qos) for each in posted] == [
        (TOPICS.signal(OPERATOR), b"g.h.i", 0)
    ]


def test_own_head_given_back_by_the_broker__is_no_signal(recorded: Recorded) -> None:
    content = {"session": "a", "segment": 1, "count": 1, "head": "ab" * 32, "utc_ns": 1}
    token = announced(content, OPERATOR, VEHICLE, recorded.vehicle.operator_key)
    recorded.console.hear(TOPICS.signal(OPERATOR), token)

    assert recorded.console.signalling.refused.total() == 0


def test_machines_head__goes_to_the_recorder_and_to_no_page(
    recorded: Recorded, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard = list[dict[str, Any]]()
    monkeypatch.setattr(recorded.console, "_tell_all", heard.append)
    told_by_machine = json.dumps({"segment": 2, "evidence": "a.b.c"}).encode()
    recorded.console.hear_slow(TOPICS.telemetry("recorder"), told_by_machine)

    assert recorded.console.recorder is not None
    [item] = map(told, recorded.console.recorder.tap._waiting)
    assert (item.topic, item.data) == (channels.PEER, b"a.b.c")
    assert [message["content"] for message in heard] == [{"segment": 2}]


# -- whether it is recorded


def figures(lost: int = 0, error: str | None = None) -> dict[str, Any]:
    return {"lost_in_all": lost, "error": error}


@pytest.mark.parametrize(
    ("said", "at_s", "fails"),
    [
        ([], 1, False),
        ([], 16, True),
        ([figures()], 5, False),
        ([figures()], 7, True),
        ([figures(error="No space left on device")], 2, True),
        ([figures(lost=3)], 2, True),
        ([figures(lost=3)], 12, True),
    ],
)
def test_recorder_watched__what_is_lost_or_silent_shows(
    said: list[dict[str, Any]], at_s: int, fails: bool
) -> None:
    watch = RecorderWatch(0)
    for each in said:
        watch.hear(each, S)

    assert watch.fails(at_s * S) == fails


def test_loss_of_ten_seconds_ago__shows_no_more() -> None:
    watch = RecorderWatch(0)
    watch.hear(figures(lost=3), S)
    watch.hear(figures(lost=3), 11 * S)

    assert (watch.fails(11 * S), watch.lost) == (False, 3)


def test_recorder_killed__counts_as_a_loss_and_the_next_one_from_zero() -> None:
    watch = RecorderWatch(0)
    watch.hear(figures(lost=2), S)
    watch.gone(2 * S)
    watch.hear(figures(lost=1), 3 * S)

    assert (watch.lost, watch.fails(4 * S)) == (4, True)


def test_recorder_ends_each_minute_before_it_speaks__shows_all_the_time() -> None:
    watch = RecorderWatch(0)
    watch.hear(figures(), S)
    watch.gone(60 * S)
    before = watch.fails(119 * S)
    watch.gone(120 * S)

    assert before
    assert all(watch.fails(each * S) for each in range(120, 180))


@pytest.mark.requirement("HF-EVI-01")
def test_not_recorded__the_driver_is_told_and_nothing_else_changes() -> None:
    rig = Rig()
    rig.ready_to_enable()
    rig.step(20, mode=VehicleMode.ACTIVE)
    rig.show_picture()
    before = snapshot(rig.session, rig.now_ns)["console"]
    rig.session.recorder = RecorderWatch(0)
    after = snapshot(rig.session, rig.now_ns)["console"]

    assert (before["message"], after["message"]["code"]) == (None, "C124")
    assert {name for name in after if after[name] != before[name]} == {"message"}


# -- the way to it


def test_no_line__the_store_is_bounded_and_the_oldest_go() -> None:
    tap = Tap(store_bytes=100)
    for number in range(15):
        tap.give(bytes([number]) * 10)

    assert (tap.dropped, [each[0] for each in tap._waiting]) == (5, list(range(5, 15)))


def test_line_full__what_waits_goes_later_in_order_and_the_loss_is_told() -> None:
    ours, theirs = line_pair(4096)
    with ours, theirs:
        theirs.setblocking(False)
        tap = Tap(store_bytes=20_000)
        tap.to(ours)
        for number in range(60):
            tap.give(cockpit_log.row(number, channels.ASKED, {"n": number, "more": "x" * 1000}))
        heard = drained(tap, theirs)

    kinds = [each[:1] for each in heard]
    numbers = [json.loads(told(each).data)["n"] for each in heard[:-1]]
    assert numbers == sorted(numbers)
    assert kinds[-1:] == [cockpit_log.DROPPED]
    assert int(told(heard[-1]).data) == tap.dropped == 60 - len(numbers)


def drained(tap: Tap, line: socket.socket) -> list[bytes]:
    heard: list[bytes] = []
    while True:
        try:
            heard.append(line.recv(65536))
        except BlockingIOError:
            before = len(tap._waiting)
            tap.offer()
            if before == 0:
                return heard


@pytest.mark.requirement("HF-EVI-01")
def test_recorder_takes_nothing__each_command_leaves_all_the_same() -> None:
    rig, tap = Rig(), Tap(store_bytes=2_000)
    rig.ready_to_enable()
    ours, theirs = line_pair(4096)
    pump = Pump(rig.session, MemoryTransport(), rig.clock, notes=Notes(tap.give))
    left = []
    with ours, theirs:
        tap.to(ours)
        for _ in range(200):
            rig.step(20)
            message = rig.session.next_command(rig.now_ns)
            assert message is not None
            pump._send_command(message)
            left.append(pump.command_lane._message is message)
            pump.command_lane._message = None

    assert all(left)
    assert tap.dropped > 100


def test_line_gone__giving_goes_on() -> None:
    ours, theirs = line_pair()
    theirs.close()
    tap = Tap()
    tap.to(ours)
    tap.give(b"one")
    tap.give(b"two")
    ours.close()

    assert list(tap._waiting) == [b"one", b"two"]


def test_record_longer_than_the_line_takes__is_left_out_and_the_rest_goes_on() -> None:
    ours, theirs = line_pair(4096)
    with ours, theirs:
        tap = Tap()
        tap.to(ours)
        tap.give(b"x" * 1_000_000)
        tap.give(b"short")
        told_first, then = theirs.recv(4096), theirs.recv(4096)

    assert (told(told_first).data, then) == (b"1", b"short")


# -- the process


@pytest.fixture
def config(tmp_path: Path) -> Path:
    machine, site = (
        demo.find_config("machines", "ug_truck_60t"),
        demo.find_config("sites", "mine_drift"),
    )
    plan = demo.Plan(tmp_path, machine, site, 1, 2)
    demo.write_keys(tmp_path)
    demo.write_settings(plan)
    return plan.console_config


class Running:
    """A recorder of this process, its line, and a clock that stands."""

    def __init__(self, config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        settings = load_settings(config)
        self.folder = config.parent / "cockpit_log"
        self.ours, theirs = line_pair(65536)
        theirs.setblocking(False)
        self.recorder = Recorder(settings, load_keys(settings), theirs)
        self.theirs = theirs

        self.config = config

    def session(self) -> Path:
        return next(each for each in self.folder.iterdir() if each.is_dir())

    def give(self, *datagrams: bytes) -> None:
        for each in datagrams:
            self.ours.send(each)

    def end(self) -> Log:
        self.ours.shutdown(socket.SHUT_WR)
        self.recorder.run()
        return open_log(self.session())


@pytest.fixture
def running(config: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Running]:
    made = Running(config, monkeypatch)
    yield made
    made.ours.close()
    made.theirs.close()


SENT = cockpit_log.command(7, FRAME, {CommandPath.MQTT: True})


def test_line_ends__what_was_told_is_in_a_sealed_file_with_settings_and_keys(
    running: Running,
) -> None:
    running.give(SENT, b"nonsense", cockpit_log.dropped(8, 3))
    log = running.end()
    proof = verify(log)
    topics = {message.topic for message in log.messages()}
    drops = [message.json()["lost"] for message in log.messages({channels.DROPS})]

    assert (proof.holds, proof.unproven) == (True, 0)
    assert "sealed with key" in proof.seals[0]
    assert topics >= {channels.SESSION, channels.SENT, channels.DROPS}
    assert drops == [{cockpit_log.CONSOLE: 4}]
    assert log.session()["log"] == channels.COCKPIT
    attached = log.files[0].attachments
    assert {"settings.json", "trust.json"} <= attached.keys()
    assert len(json.loads(attached["page.json"])["main.js"]) == 64


@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EROFS])
def test_disk_takes_nothing__it_is_said_and_the_line_is_read_on(
    running: Running, monkeypatch: pytest.MonkeyPatch, error: int
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(error, "the disk takes nothing")

    monkeypatch.setattr(Segment, "__init__", full)
    blocked = running.recorder.files.blocked(S)
    running.recorder._report(S)
    said = json.loads(running.ours.recv(65536))["figures"]
    running.give(SENT)
    goes_on = running.recorder._hear()

    assert (blocked, goes_on, said["error"]) == (True, True, "the disk takes nothing")
    assert running.recorder.backlog.waiting_bytes > len(FRAME)


def test_machines_head_heard__is_kept_and_a_forged_one_counted(
    running: Running, config: Path
) -> None:
    key = load_private_key((config.parent / "truck-1.jwk").read_text(encoding="utf-8"))
    content = {"session": "a", "segment": 1, "count": 1, "head": "ab" * 32, "utc_ns": 1}
    token = announced(content, "truck-1", "truck-1", key)
    running.give(cockpit_log.head(5, token[:-4] + b"AAAA"), cockpit_log.head(6, token))
    log = running.end()

    assert [m.json()["head"] for m in log.messages({channels.PEER})] == ["ab" * 32]
    assert (running.recorder.files.heads.refused, running.recorder.files.lost) == (1, {})


def test_a_second_of_recording__its_head_is_told_and_stands_in_the_file(
    running: Running,
) -> None:
    files, now_ns = running.recorder.files, monotonic_ns()
    files.blocked(now_ns)
    files.take(now_ns, told(SENT))
    files.look(now_ns + S // 2, {})
    files.look(now_ns + S, {})
    word = json.loads(running.ours.recv(65536))
    files.close(now_ns + S)
    trust = load_keys(load_settings(running.config)).trust
    claims = proven(word["evidence"].encode(), trust, "truck-1", of_vehicle=False)

    assert claims is not None
    links = [m.json()["head"] for m in open_log(running.session()).messages({channels.CHAIN})]
    assert claims.head in links
    assert claims.iss == "console-1"


def test_content_that_does_not_fit__is_lost_alone(running: Running) -> None:
    torn = cockpit_log._HEAD.pack(cockpit_log.STATE, 5) + bytes([9]) + b"counted\0" + STATE
    running.give(torn, SENT)
    log = running.end()

    assert [message.topic for message in log.messages({channels.SENT, channels.HEARD})] == [
        channels.SENT
    ]
    assert running.recorder.files.lost == {channels.HEARD: 1}


def test_writing_ends_by_something_else_than_the_disk__the_process_ends_with_it(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cockpit_recorder, "LISTEN_MS", 10)
    monkeypatch.setattr(CockpitFiles, "blocked", Mock(side_effect=LookupError("not as expected")))

    with pytest.raises(LookupError, match="not as expected"):
        running.recorder.run()


def test_session_renamed_by_somebody__the_next_recorder_begins_its_own(running: Running) -> None:
    files = running.recorder.files
    files.blocked(S)
    assert files.segment is not None
    files.segment.abandon()
    running.session().rename(running.folder / "my drive")
    settings = load_settings(running.config)
    then = Recorder(settings, load_keys(settings), running.theirs).files

    assert re.fullmatch(SESSION_NAME, then.plan.session)
    assert (then.plan.resumed, then.number) == (False, 0)


def test_clocks_of_a_log__go_together_however_long_its_beginning_took(
    config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now_ns = [S]

    def asks_git() -> dict[str, str]:
        now_ns[0] += 7 * S
        return {}

    monkeypatch.setattr(cockpit_recorder, "software", asks_git)
    monkeypatch.setattr(clock, "monotonic_ns", lambda: now_ns[0])
    monkeypatch.setattr(clock, "wall_ns", lambda: now_ns[0] + 1000 * S)
    settings = load_settings(config)
    plan = cockpit_recorder.plan_of(settings, load_keys(settings), lambda _: None)

    assert plan.offset_ns == 1000 * S


def test_settings_without_a_recorder__one_line_and_exit_1(
    config: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    text = config.read_text(encoding="utf-8")
    config.write_text(text[: text.index("[recorder]")], encoding="utf-8")
    ours, theirs = line_pair()
    with ours:
        code = cockpit_recorder.main(["--config", str(config), "--line", str(theirs.detach())])

    assert (code, "no recorder is set" in capsys.readouterr().err) == (1, True)


async def test_process__records_is_started_again_when_killed_and_ends_with_its_console(
    config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recorder_process, "RESTART_AFTER_S", 0.0)
    heard, gone = asyncio.Event(), asyncio.Event()
    tap = Tap()
    process = RecorderProcess(recorder_command(config), tap, lambda _: heard.set(), gone.set)
    task = asyncio.create_task(process.run())
    tap.give(SENT)
    await heard.wait()
    assert process.pid is not None
    os.kill(process.pid, signal.SIGKILL)
    await gone.wait()
    tap.give(SENT)
    heard.clear()
    await heard.wait()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)

    log = open_log(next(each for each in (config.parent / "cockpit_log").iterdir()))
    assert [len(log.files), log.files[-1].path.suffix] == [2, ".mcap"]
    assert len(list(log.files[-1].messages({channels.SENT}))) == 1


async def goes_on_until_gone(command: Sequence[str], times: int) -> bool:
    """Return whether the console's end still runs when its recorder was gone so often."""
    gone, enough = list[None](), asyncio.Event()

    def count() -> None:
        gone.append(None)
        if len(gone) == times:
            enough.set()

    process = RecorderProcess(command, Tap(), lambda _: None, count)
    return await still_runs(process.run(), enough)


def test_recorder_ends_at_once_again_and_again__is_tried_once_a_minute_and_not_given_up() -> None:
    patience = Patience()

    assert [patience.pause_s(0.1) for _ in range(7)] == [1.0] * 4 + [60.0] * 3
    assert patience.pause_s(30.0) == 1.0


async def test_recorder_ended_at_once_ten_times__the_next_one_is_started(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(recorder_process, "RESTART_AFTER_S", 0.0)
    monkeypatch.setattr(recorder_process, "SELDOM_AFTER_S", 0.0)

    assert await goes_on_until_gone(("/no/such/program",), 10)


async def test_no_such_program__counts_as_gone_and_the_console_lives(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(recorder_process, "RESTART_AFTER_S", 0.0)

    assert await goes_on_until_gone(("/no/such/program",), 2)


@pytest.mark.parametrize(
    ("owner", "name", "error"),
    [
        (line_process, "line_pair", OSError(errno.EMFILE, "Too many open files")),
        (asyncio, "create_subprocess_exec", OSError(errno.ENOMEM, "Cannot allocate memory")),
        (asyncio, "create_subprocess_exec", RuntimeError("can't start new thread")),
    ],
    ids=["descriptors", "memory", "threads"],
)
async def test_nothing_left_to_start_it_with__counts_as_gone_and_the_console_lives(
    monkeypatch: pytest.MonkeyPatch, owner: object, name: str, error: Exception
) -> None:
    monkeypatch.setattr(recorder_process, "RESTART_AFTER_S", 0.0)
    monkeypatch.setattr(owner, name, Mock(side_effect=error))

    assert await goes_on_until_gone(("unused",), 2)
