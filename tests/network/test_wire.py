"""What is on the wire, and the journal of decisions."""

from __future__ import annotations

import json
from pathlib import Path

from sim.network.journal import Journal
from sim.network.model import LinkModel
from sim.network.parameters import DirectionParameters
from sim.network.wire import Wire

MS = 1_000_000


def test_packet__comes_out_when_due_and_not_before() -> None:
    wire: Wire[bytes] = Wire(LinkModel(DirectionParameters(delay_ns=20 * MS), 1))
    wire.send(0, b"one", 3)
    assert (wire.due(20 * MS - 1), wire.next_ns(), wire.held_bytes) == (None, 20 * MS, 3)
    assert (wire.due(20 * MS), wire.next_ns(), wire.held_bytes) == (b"one", None, 0)


def test_packets_due_together__come_out_in_the_order_sent() -> None:
    wire: Wire[bytes] = Wire(LinkModel(DirectionParameters(), 1))
    for packet in (b"b", b"a", b"c"):
        wire.send(0, packet, 1)
    assert [wire.due(0) for _ in range(4)] == [b"b", b"a", b"c", None]


def test_lost_packet__is_noted_and_never_comes_out(tmp_path: Path) -> None:
    path = tmp_path / "decisions.jsonl"
    journal = Journal(path)
    wire: Wire[bytes] = Wire(LinkModel(DirectionParameters(loss=1.0), 1), journal.of("down"))
    wire.send(5000, b"gone", 4)
    journal.close()
    assert wire.next_ns() is None
    assert json.loads(path.read_text(encoding="utf-8")) == {
        "n": 0,
        "at_us": 5,
        "direction": "down",
        "bytes": 4,
        "verdict": "lost",
        "due_us": [],
    }


def test_journal__is_bounded_and_keeps_the_newest(tmp_path: Path) -> None:
    path = tmp_path / "decisions.jsonl"
    journal = Journal(path, lines=10)
    wire: Wire[bytes] = Wire(LinkModel(DirectionParameters(), 1), journal.of("up"))
    for number in range(35):
        wire.send(number, b"x", 1)
    journal.close()
    kept = [
        json.loads(line)["n"]
        for file in (tmp_path / "decisions.jsonl.old", path)
        for line in file.read_text(encoding="utf-8").splitlines()
    ]
    assert kept == list(range(20, 35))
