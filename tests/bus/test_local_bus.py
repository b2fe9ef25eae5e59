"""The bus without hardware: everyone hears everyone, nobody waits, the dead are swept out."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import can
import pytest

from vehicle_agent.shell.local_bus import RESCAN_NS, DatagramFanout, LocalCanBus


@dataclass
class _Clock:
    now_ns: int = 0

    def __call__(self) -> int:
        self.now_ns += RESCAN_NS
        return self.now_ns


@pytest.fixture
def wire(tmp_path: Path) -> Path:
    return tmp_path / "w"


def _nodes(wire: Path, *names: str) -> list[DatagramFanout]:
    return [DatagramFanout(wire, name, _Clock()) for name in names]


def test_send__reaches_every_other_node_and_not_oneself(wire: Path) -> None:
    a, b, c = _nodes(wire, "a", "b", "c")
    assert a.send(b"x") == 2
    assert (a.recv(), b.recv(), c.recv()) == (None, b"x", b"x")
    for node in (a, b, c):
        node.close()


def test_folder__is_made_private(wire: Path) -> None:
    (node,) = _nodes(wire, "a")
    assert wire.stat().st_mode & 0o777 == 0o700
    node.close()


def test_node_joins_later__is_reached_at_the_next_look(wire: Path) -> None:
    clock = _Clock()
    a = DatagramFanout(wire, "a", lambda: clock.now_ns)
    assert a.send(b"0") == 0
    (b,) = _nodes(wire, "b")
    clock.now_ns += RESCAN_NS - 1
    assert a.send(b"1") == 0
    clock.now_ns += 1
    assert a.send(b"2") == 1
    assert b.recv() == b"2"
    a.close()
    b.close()


def test_node_joins_within_the_folders_time_grain__is_found_all_the_same(wire: Path) -> None:
    clock = _Clock()
    a = DatagramFanout(wire, "a", lambda: clock.now_ns)
    a.send(b"0")
    seen_ns = wire.stat().st_mtime_ns
    (b,) = _nodes(wire, "b")
    os.utime(wire, ns=(seen_ns, seen_ns))
    clock.now_ns += RESCAN_NS
    assert a.send(b"1") == 1
    a.close()
    b.close()


def test_queue_full__dropped_and_counted_and_never_waits(wire: Path) -> None:
    a, b = _nodes(wire, "a", "b")
    for _ in range(2000):
        a.send(b"x")
    assert a.dropped > 0
    heard = 0
    while b.recv() is not None:
        heard += 1
    assert heard + a.dropped == 2000
    a.close()
    b.close()


def test_one_full_queue__does_not_hold_up_the_others(wire: Path) -> None:
    a, b, c = _nodes(wire, "a", "b", "c")
    for _ in range(2000):
        a.send(b"x")
        assert c.recv() == b"x"
    for node in (a, b, c):
        node.close()


def test_dead_socket__is_swept_out(wire: Path) -> None:
    (a,) = _nodes(wire, "a")
    dead = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    dead.bind(str(wire / "dead.sock"))
    dead.close()
    assert a.send(b"x") == 0
    assert not (wire / "dead.sock").exists()
    assert a.dropped == 0
    a.close()


def test_dead_name_taken_by_a_new_node__is_left_alone(wire: Path) -> None:
    clock = _Clock()
    a = DatagramFanout(wire, "a", lambda: clock.now_ns)
    (old,) = _nodes(wire, "b")
    a.send(b"x")
    old_path = wire / "b.sock"
    old_path.rename(wire / "kept")
    old_path.touch()
    assert a.send(b"y") == 0
    assert old_path.exists()
    a.close()
    old.close()


def test_name_of_a_dead_node__can_be_taken(wire: Path) -> None:
    wire.mkdir()
    dead = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    dead.bind(str(wire / "a.sock"))
    dead.close()
    a, b = _nodes(wire, "a", "b")
    assert b.send(b"x") == 1
    assert a.recv() == b"x"
    a.close()
    b.close()


def test_name_of_a_live_node__is_refused(wire: Path) -> None:
    (a,) = _nodes(wire, "a")
    with pytest.raises(OSError, match=r"a\.sock"):
        DatagramFanout(wire, "a")
    a.close()


def test_close__removes_the_socket_and_may_be_repeated(wire: Path) -> None:
    (a,) = _nodes(wire, "a")
    a.close()
    a.close()
    assert list(wire.iterdir()) == []


def test_other_files_in_the_folder__are_no_nodes(wire: Path) -> None:
    (a,) = _nodes(wire, "a")
    (wire / "notes.txt").write_text("x")
    assert a.send(b"x") == 0
    assert (wire / "notes.txt").exists()
    a.close()


# --- CAN on top -----------------------------------------------------------------------------


@pytest.fixture
def pair(wire: Path) -> Iterator[tuple[LocalCanBus, LocalCanBus]]:
    with LocalCanBus(str(wire)) as a, LocalCanBus(str(wire)) as b:
        yield a, b


MESSAGES = [
    can.Message(arbitration_id=0x04FF1080, data=bytes(range(8)), is_extended_id=True),
    can.Message(arbitration_id=0x7FF, data=b"", is_extended_id=False),
    can.Message(arbitration_id=1, data=b"abc", is_extended_id=True),
    can.Message(arbitration_id=2, dlc=5, is_remote_frame=True, is_extended_id=False),
    can.Message(arbitration_id=0, dlc=8, data=bytes(8), is_error_frame=True),
]


@pytest.mark.parametrize("message", MESSAGES, ids=str)
def test_frame__arrives_as_it_was_sent(
    pair: tuple[LocalCanBus, LocalCanBus], message: can.Message
) -> None:
    a, b = pair
    a.send(message)
    got = b.recv(1.0)
    assert got is not None
    assert got.equals(message, timestamp_delta=None, check_channel=False, check_direction=False)
    assert a.recv(0) is None


def test_stamp__is_the_monotonic_clock(pair: tuple[LocalCanBus, LocalCanBus]) -> None:
    a, b = pair
    a.send(MESSAGES[0])
    a.send(MESSAGES[0])
    first, second = b.recv(1.0), b.recv(1.0)
    assert first is not None
    assert second is not None
    assert 0.0 < first.timestamp <= second.timestamp


def test_nothing_waits__recv_returns_none(pair: tuple[LocalCanBus, LocalCanBus]) -> None:
    assert pair[0].recv(0) is None
    assert pair[0].recv(0.001) is None


def test_filters__leave_out_other_ids(wire: Path) -> None:
    filters: can.typechecking.CanFilters = [
        {"can_id": 0x04FF1080, "can_mask": 0x1FFFFFFF, "extended": True}
    ]
    with LocalCanBus(str(wire)) as a, LocalCanBus(str(wire), can_filters=filters) as b:
        a.send(MESSAGES[2])
        a.send(MESSAGES[0])
        got = b.recv(0.1)
        assert got is not None
        assert got.arbitration_id == 0x04FF1080


def test_fd_frame__is_refused(pair: tuple[LocalCanBus, LocalCanBus]) -> None:
    with pytest.raises(can.CanOperationError):
        pair[0].send(can.Message(arbitration_id=1, data=bytes(12), is_fd=True))


@pytest.mark.parametrize(
    "datagram",
    [
        b"",
        b"x",
        bytes(21),
        bytes(23),
        (0x20000000).to_bytes(4, "little") + b"\x01\x08" + bytes(16),
        (0x800).to_bytes(4, "little") + b"\x00\x08" + bytes(16),
        bytes(4) + b"\x01\x09" + bytes(16),
        bytes(4) + b"\x09\x08" + bytes(16),
    ],
)
def test_datagram_that_is_no_frame__skipped_and_counted(
    wire: Path, pair: tuple[LocalCanBus, LocalCanBus], datagram: bytes
) -> None:
    stranger = DatagramFanout(wire, "stranger")
    stranger.send(datagram)
    pair[0].send(MESSAGES[0])
    got = pair[1].recv(1.0)
    assert got is not None
    assert got.arbitration_id == 0x04FF1080
    assert pair[1].malformed == 1
    stranger.close()


def test_folder_gone__send_raises_a_can_error(wire: Path) -> None:
    with LocalCanBus(str(wire)) as bus:
        for entry in wire.iterdir():
            entry.unlink()
        wire.rmdir()
        with pytest.raises(can.CanOperationError):
            bus.send(MESSAGES[0])


def test_fileno__is_readable_when_a_frame_waits(pair: tuple[LocalCanBus, LocalCanBus]) -> None:
    import select

    a, b = pair
    assert select.select([b.fileno()], [], [], 0)[0] == []
    a.send(MESSAGES[0])
    assert select.select([b.fileno()], [], [], 1.0)[0] == [b.fileno()]


def test_shutdown_twice__is_harmless(wire: Path) -> None:
    bus = LocalCanBus(str(wire))
    bus.shutdown()
    bus.shutdown()
    assert list(wire.iterdir()) == []


def test_available_configs__are_none() -> None:
    assert LocalCanBus._detect_available_configs() == []
