"""What a cockpit's log adds to an explained stop: hands, screen, what left, by one clock."""

from __future__ import annotations

import json
import struct
from binascii import b2a_base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from headframe import main
from recording import channels
from recording.reader import Log, Message, open_log
from recording.segment import Segment
from sim.replay import times
from sim.replay.cockpit_story import _enable, _sent, _told, clocks, story
from sim.replay.explain import explain

MS = 1_000_000
BEHIND_NS = 1_500 * MS
"""The cockpit's clock is so far behind the machine's."""
DELAY_NS = 20 * MS
LOST = 40
"""Commands before the stop that never came."""


def rows_of(machine: Log, stop_ns: int) -> Iterator[tuple[int, str, dict[str, Any]]]:
    """What a cockpit would have written of a machine's drive, by the machine's clock."""
    offset_ns = machine.session()["utc_ns"] - machine.session()["mono_ns"]
    [boot] = {message.json()["boot_tag"] for message in machine.messages({channels.BOOT})}
    newest: dict[str, int] = {}
    for message in machine.messages({channels.COMMANDS, channels.STATE}):
        row, at_ns = message.json(), message.log_ns
        if message.topic == channels.COMMANDS:
            newest = {name: row[name] for name in ("epoch", "sequence")}
            yield at_ns - DELAY_NS, channels.SENT, newest | {"paths": ["MQTT"]}
            enable = {"content": {"enable": bool(row["flags"] & 1)}, "from": "page 1"}
            yield at_ns - DELAY_NS, channels.HANDS, enable
        else:
            head = struct.pack("<20xIQ", boot, (at_ns - offset_ns) // 1000)
            parts = [b2a_base64(head, newline=False).decode(), "{}", ""]
            heard = {"path": "MQTT", "verdict": "counted", "frame": parts}
            yield at_ns + DELAY_NS, channels.HEARD, heard
    for number in range(LOST):
        lost = {"epoch": 1, "sequence": 1_000_000 + number, "paths": []}
        yield stop_ns - 400 * MS + MS * number, channels.SENT, lost
    yield stop_ns - 900 * MS, channels.ASKED, {"do": "arm", "from": "desk"}
    yield stop_ns - 800 * MS, channels.PATHS, {"path": "DATA_CHANNEL", "up": False}
    yield stop_ns - 700 * MS, channels.SCREEN, {"message": "C114"}
    yield stop_ns + 100 * MS, channels.SCREEN, {"message": "D101"}


@pytest.fixture(scope="module")
def stop_ns(stopped: Path) -> int:
    return times.stop_ns(open_log(stopped), 1)


@pytest.fixture(scope="module")
def cockpit(stopped: Path, stop_ns: int, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("cockpit") / "cockpit.mcap"
    segment = Segment(path, {"log": channels.COCKPIT, "mono_ns": 0, "utc_ns": 1})
    for at_ns, topic, row in sorted(rows_of(open_log(stopped), stop_ns), key=lambda each: each[0]):
        segment.write(topic, at_ns - BEHIND_NS, 0, json.dumps(row).encode())
    segment.close()
    return path


def test_clocks_apart__are_set_beside_each_other_by_what_passed(
    stopped: Path, cockpit: Path
) -> None:
    known = clocks(open_log(stopped), open_log(cockpit))

    assert known is not None
    assert abs(known.ahead_ns - BEHIND_NS) <= known.within_ns <= DELAY_NS + 10 * MS


def test_states_of_another_boot__say_nothing_of_the_clocks(
    stopped: Path, cockpit: Path, tmp_path: Path
) -> None:
    path = tmp_path / "longer.mcap"
    segment = Segment(path, {"log": channels.COCKPIT, "mono_ns": 0, "utc_ns": 1})
    for message in open_log(cockpit).messages({channels.SENT, channels.HEARD}):
        segment.write(message.topic, message.log_ns, 0, message.data)
    later = b2a_base64(struct.pack("<20xIQ", 1, 5), newline=False).decode()
    row = {"path": "MQTT", "verdict": "counted", "frame": [later, "{}", ""]}
    segment.write(channels.HEARD, 10, 0, json.dumps(row).encode())
    segment.close()

    known = clocks(open_log(stopped), open_log(path))
    assert known == clocks(open_log(stopped), open_log(cockpit))


@pytest.mark.parametrize(
    "words",
    [
        "cockpit: the driver's hand let go of enable (page 1)",
        "cockpit: arm was pressed (desk)",
        "cockpit: DATA_CHANNEL went",
        "cockpit: the screen said C114: NO LIVE IMAGE",
        "cockpit: the screen said D101: ",
        f"{LOST} never came to the machine",
        ", the last before, left by MQTT",
        "ms behind the machine's",
        "D101 (enable released)",
    ],
)
def test_stop__is_explained_with_what_the_cockpit_did(
    stopped: Path, cockpit: Path, stop_ns: int, words: str
) -> None:
    assert words in "\n".join(explain(open_log(stopped), stop_ns, open_log(cockpit)))


@pytest.mark.parametrize(
    ("paths", "words"),
    [
        ([], "command 7, the last before, was taken by no path"),
        (["MQTT", "DATA_CHANNEL"], "command 7, the last before, left by MQTT and DATA_CHANNEL"),
    ],
)
def test_last_command__stands_with_the_paths_that_took_it(paths: list[str], words: str) -> None:
    row = json.dumps({"epoch": 1, "sequence": 7, "paths": paths}).encode()
    told = list(_sent([(5, Message(channels.SENT, 5, 0, 0, row))], 9, {(1, 7)}))

    assert told == [(5, f"cockpit: {words}")]


def test_nothing_sent__is_said() -> None:
    assert list(_sent([], 9, set())) == [
        (9, "cockpit: no command had left in the two seconds before")
    ]


def test_hand_let_go__stands_before_the_stop_by_the_machines_clock(
    stopped: Path, cockpit: Path, stop_ns: int
) -> None:
    rows = story(open_log(stopped), open_log(cockpit), stop_ns)
    [let_go_ns] = [at_ns for at_ns, text in rows if "let go of enable" in text]

    assert stop_ns - 100 * MS < let_go_ns < stop_ns


def test_log_of_another_drive__is_refused(stopped: Path, tmp_path: Path) -> None:
    path = tmp_path / "empty.mcap"
    Segment(path, {"log": channels.COCKPIT, "mono_ns": 0, "utc_ns": 1}).close()
    code = main(["replay", "explain", str(stopped), "--stop", "1", "--with", str(path)])

    assert code == 1


def test_snapshot_that_did_not_count__is_no_hand_that_let_go() -> None:
    rows = [
        {"from": "page 1", "counts": True, "content": {"enable": True}},
        {"from": "page 2", "counts": False, "content": {"enable": False}},
        {"from": "page 2", "counts": False, "content": {"enable": False}},
        {"from": "page 1", "counts": True, "content": {"enable": True}},
    ]
    messages = [
        (at, Message(channels.HANDS, at, 0, 0, json.dumps(row).encode()))
        for at, row in enumerate(rows)
    ]

    assert list(_told(messages)) == [(1, "cockpit: what came of the hands did not count (page 2)")]


@pytest.mark.parametrize("text", ["", "{", "[]", "7", "[" * 100_000, '{"controls": [1]}'])
def test_desks_datagram_that_is_malformed__holds_nothing(text: str) -> None:
    assert _enable({"content": text}) is False


def test_desks_snapshot__its_enable_is_inside_its_text() -> None:
    text = json.dumps({"controls": {"enable": True}, "fault": "none"})
    assert [_enable({"content": each}) for each in (text, '{"controls": null}')] == [True, False]
