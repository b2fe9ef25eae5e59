"""Three of the ten mishaps against the running demo, and the parts that they are made with."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from sim.faults.cut_relay import HOST, CutRelay, Direction
from sim.faults.mishaps import MISHAPS, as_text, play
from sim.seat import Habit, Seat, by_habit

STOPPED = Seat(mode="STOPPED")
GOOD = {"seq": 7, "enable": False, "throttle": 0.0, "gear": 0, "steer": 0.0}
SILENCE_S = 0.2
PATIENCE_S = 5.0


@pytest.mark.system
@pytest.mark.timeout(240)
@pytest.mark.parametrize("name", ["old-epoch", "retained", "uplink-cut"])
def test_mishap__goes_as_it_must(name: str) -> None:
    result = play(name)

    assert result.met, as_text(result)


def test_mishaps__are_ten() -> None:
    assert len(MISHAPS) == 10


def test_taped__enable_is_held_before_anything_else() -> None:
    assert by_habit(Habit.TAPED, GOOD, Seat(), None) == GOOD | {"enable": True}


def test_frozen__what_was_held_goes_on_under_new_numbers() -> None:
    before = GOOD | {"seq": 3, "enable": True, "throttle": 0.4}

    assert by_habit(Habit.FROZEN, GOOD, Seat(), before) == before | {"seq": 7}


def test_heavy_foot_while_stopped__throttle_and_gear_are_held() -> None:
    message = by_habit(Habit.HEAVY_FOOT, GOOD, STOPPED, None)

    assert (message["throttle"] > 0.0, message["gear"]) == (True, 1)


def test_no_habit__nothing_is_changed() -> None:
    assert by_habit(Habit.NONE, GOOD, STOPPED, GOOD | {"seq": 3}) == GOOD


@pytest.fixture
def line() -> Iterator[tuple[CutRelay, socket.socket, socket.socket]]:
    """A relay with one connection through it: near end, far end."""
    with socket.create_server((HOST, 0)) as server, CutRelay() as relay:
        relay.aim(server.getsockname()[1])
        with socket.create_connection((HOST, relay.port)) as near:
            far, _ = server.accept()
            with far:
                near.settimeout(PATIENCE_S)
                far.settimeout(PATIENCE_S)
                yield relay, near, far


def test_whole__both_directions_carry(
    line: tuple[CutRelay, socket.socket, socket.socket],
) -> None:
    _, near, far = line

    near.sendall(b"up")
    far.sendall(b"down")

    assert (far.recv(16), near.recv(16)) == (b"up", b"down")


def test_one_direction_cut__the_other_still_carries(
    line: tuple[CutRelay, socket.socket, socket.socket],
) -> None:
    relay, near, far = line
    relay.cut(Direction.UP)
    near.sendall(b"up")
    far.sendall(b"down")

    assert near.recv(16) == b"down"
    far.settimeout(SILENCE_S)
    with pytest.raises(TimeoutError):
        far.recv(16)


def test_mended__what_waited_comes_out(
    line: tuple[CutRelay, socket.socket, socket.socket],
) -> None:
    relay, near, far = line
    relay.cut(Direction.UP)
    near.sendall(b"up")

    relay.mend(Direction.UP)

    assert far.recv(16) == b"up"


def test_near_end_closed__far_end_sees_the_end(
    line: tuple[CutRelay, socket.socket, socket.socket],
) -> None:
    _, near, far = line

    near.close()

    assert far.recv(16) == b""
