"""What replay tells people: causes, moments, proofs; and the command line."""

from __future__ import annotations

import json
import re
import struct
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from headframe import main
from recording.chain import Chain
from recording.reader import Message, open_log
from recording.segment import Segment
from sim.replay import times
from sim.replay.envelope import fault_beside_messages
from sim.replay.explain import explain
from sim.replay.verify import fault_in, verify

GOLDEN = Path(__file__).parents[1] / "golden"
NOTE = "/sim/note"


@cache
def told(name: str) -> str:
    log = open_log(GOLDEN / f"{name}.mcap")
    return "\n".join(explain(log, times.stop_ns(log, 1)))


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("sim_truck_link_cut", "no command had counted for 250 ms"),
        ("sim_truck_link_cut", "from DEGRADED to STOPPING; cause L102 (command stale)"),
        ("sim_tractor_let_go", "he had let go of enable"),
        ("sim_tractor_let_go", "cause D101 (enable released)"),
        ("sim_rigid_truck_estop", "the cause became M105"),
        ("sim_rigid_truck_estop", "brake demand of"),
        ("ecu_dies", "cause M101 (ecu silent)"),
    ],
)
def test_stop__is_explained_in_words(name: str, words: str) -> None:
    assert words in told(name)


def test_explanation__has_a_picture_with_the_modes_and_the_causes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "stop.svg"
    log = str(GOLDEN / "sim_truck_link_cut.mcap")

    code = main(["replay", "explain", log, "--stop", "1", "--plot", str(path)])
    picture = path.read_text(encoding="utf-8")

    assert code == 0
    assert "L102" in capsys.readouterr().out
    assert all(f">{word}<" in picture for word in ("ACTIVE", "STOPPING", "L101", "L102"))


def test_explanation__is_in_the_order_of_time() -> None:
    lines = told("sim_truck_link_cut").splitlines()

    assert lines == sorted(lines, key=lambda line: line[:12])


def test_moment__is_seconds_or_a_date(part: Path) -> None:
    log = open_log(part)
    first_ns = times.first_ns(log)

    assert times.moment(log, "1.5") == first_ns + 1_500_000_000
    assert times.moment(log, "2026-01-01T00:00:01.250Z") == 1_767_225_601_250_000_000


@pytest.mark.parametrize("text", ["noon", "2026-01-01T00:00:00"])
def test_moment_that_is_none__is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"zone|neither"):
        times.moment(open_log(GOLDEN / "sim_tractor_let_go.mcap"), text)


def test_stop_that_there_is_not__is_refused(part: Path) -> None:
    with pytest.raises(ValueError, match="has 1 stops"):
        times.stop_ns(open_log(part), 2)


# -- the chain


def note(number: int, text: str = "") -> Message:
    return Message(NOTE, number, number, number, f"{number}{text}".encode())


def link_of(messages: list[Message]) -> dict[str, Any]:
    chain = Chain()
    for each in messages:
        chain.add(each.topic, each.log_ns, each.data)
    return chain.link() or {}


def test_log_as_written__its_chain_holds(stopped: Path) -> None:
    proof = verify(open_log(stopped))

    assert proof.holds
    assert proof.unproven == 0


def test_messages_as_written__have_no_fault() -> None:
    messages = [note(number) for number in range(5)]

    assert fault_in(messages, link_of(messages)) is None


@pytest.mark.parametrize(
    ("found", "words"),
    [
        ([note(0), note(1), note(2, "x"), note(3)], "message 3 .*was altered"),
        ([note(0), note(2), note(3)], "message 2 .*before it 1 are missing"),
        ([note(0), note(1), note(2)], "message 4 .*before it 1 are missing"),
        ([note(0), note(2), note(1), note(3)], "message 2 .*in another place"),
        ([note(0), note(1), note(1), note(2), note(3)], "message 3 .*not written by"),
    ],
)
def test_messages_tampered_with__place_and_kind_are_named(found: list[Message], words: str) -> None:
    written = [note(number) for number in range(4)]

    assert re.match(words, fault_in(found, link_of(written)) or "")


def test_bit_altered_in_the_file__is_found(stopped: Path, tmp_path: Path) -> None:
    data = bytearray(stopped.read_bytes())
    data[data.index(b"zstd", len(data) // 2) + 100] ^= 1
    path = tmp_path / "altered.mcap"
    path.write_bytes(data)

    proof = verify(open_log(path))

    assert not proof.holds
    assert re.search(r"messages \d+ to \d+ of the file are missing", proof.faults[0])


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("small") / "small.mcap"
    segment = Segment(path, {"version": 3, "mono_ns": 0, "utc_ns": 10})
    segment.attach("machine.toml", "application/toml", b"speed_max_mps = 8.0")
    for number in range(20):
        segment.write(NOTE, 100 + number, number, b'{"note": "something"}')
    segment.close()
    return path


def test_log_as_written__nothing_beside_its_messages_is_at_fault(small: Path, part: Path) -> None:
    assert [fault_beside_messages(path) for path in (small, part)] == [None, None]


def test_bits_all_over_a_file__are_not_altered_without_being_found(small: Path) -> None:
    data, path = small.read_bytes(), small.with_name("altered.mcap")
    unnoticed = []
    for place in range(0, len(data), 41):
        changed = bytearray(data)
        changed[place] ^= 1 << place % 8
        path.write_bytes(changed)
        if verify(open_log(path)).holds:
            unnoticed.append(place)

    assert unnoticed == []


def test_index_that_was_altered__is_named_with_its_place(small: Path, tmp_path: Path) -> None:
    data = bytearray(small.read_bytes())
    place = data.index(struct.pack("<Q", 105))  # an entry of the index: chunks are compressed
    data[place] ^= 1
    path = tmp_path / "altered.mcap"
    path.write_bytes(data)

    faults = verify(open_log(path)).faults

    assert re.match(r"altered.mcap: the index at byte \d+ does not fit the messages", faults[0])


# -- the command line


def test_rerun_of_a_log__says_so_and_exits_0(
    part: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = main(["replay", "rerun", str(part), "--json"])

    assert code == 0
    assert json.loads(capsys.readouterr().out)["equal"] is True


def test_what_if_over_a_folder__has_a_row_for_each_log(
    tmp_path: Path, part: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("one", "two"):
        (tmp_path / f"{name}.mcap").write_bytes(part.read_bytes())

    code = main(["replay", "rerun", str(tmp_path), "--set", "signals.command.stop_ms=150"])
    lines = capsys.readouterr().out.splitlines()

    assert code == 0
    assert [line.split()[0] for line in lines[1:]] == ["log", "one", "two", "sum"]


@pytest.mark.parametrize(
    "arguments",
    [
        ["rerun", "nothing.mcap"],
        ["rerun", str(GOLDEN / "sim_tractor_let_go.mcap"), "--set", "nothing=1"],
        ["explain", str(GOLDEN / "nothing.mcap"), "--stop", "7"],
    ],
)
def test_what_cannot_be_done__is_one_line_and_1(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["replay", *arguments]) == 1
    assert capsys.readouterr().err.count("\n") == 1


def test_cut_without_a_time__is_wrong_usage() -> None:
    assert main(["replay", "cut", str(GOLDEN / "sim_tractor_let_go.mcap"), "--out", "x.mcap"]) == 2
