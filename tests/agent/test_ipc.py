"""Datagrams between processes: never a wait, and what is said once is not lost to a full socket."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from vehicle_agent.shell.ipc import DATAGRAM_MAX_BYTES, KEPT_DATAGRAMS, KEPT_TRIES, Mailbox


@pytest.fixture
def sender(tmp_path: Path) -> Iterator[Mailbox]:
    made = Mailbox(tmp_path, "a.sock")
    yield made
    made.close()


@pytest.fixture
def receiver(tmp_path: Path) -> Iterator[Mailbox]:
    made = Mailbox(tmp_path, "b.sock")
    yield made
    made.close()


def filled(sender: Mailbox) -> int:
    """Send until the socket takes no more; return how many it took."""
    number = 0
    while sender.send("b.sock", b"filler"):
        number += 1
    return number


def drained(receiver: Mailbox) -> list[bytes]:
    return list(iter(receiver.receive, None))


def test_neighbour_takes_it__arrives_in_order(sender: Mailbox, receiver: Mailbox) -> None:
    sender.post("b.sock", b"first")
    sender.send("b.sock", b"second")

    assert drained(receiver) == [b"first", b"second"]
    assert not sender.flush()


def test_datagram_too_long__is_counted_and_nothing_comes_in_its_place(
    sender: Mailbox, receiver: Mailbox
) -> None:
    for size in (DATAGRAM_MAX_BYTES, DATAGRAM_MAX_BYTES + 1, 1):
        assert sender.offer("b.sock", bytes(size))

    assert [len(each) for each in drained(receiver)] == [DATAGRAM_MAX_BYTES, 0, 1]
    assert receiver.too_long == 1


def test_sent_to_a_full_neighbour__dropped_and_counted(sender: Mailbox, receiver: Mailbox) -> None:
    filled(sender)

    assert not sender.send("b.sock", b"late")
    assert sender.dropped == {"b.sock": 2}


def test_posted_to_a_full_neighbour__arrives_in_order_once_there_is_room(
    sender: Mailbox, receiver: Mailbox
) -> None:
    number = filled(sender)
    for data in (b"one", b"two", b"three"):
        sender.post("b.sock", data)
    assert drained(receiver) == [b"filler"] * number

    assert not sender.flush()
    assert drained(receiver) == [b"one", b"two", b"three"]
    assert sender.dropped == {"b.sock": 1}


def test_posted_to_nobody__given_up_after_its_tries_and_counted(
    sender: Mailbox, tmp_path: Path
) -> None:
    sender.post("b.sock", b"old")
    flushed = [sender.flush() for _ in range(KEPT_TRIES)]
    assert flushed == [True] * (KEPT_TRIES - 1) + [False]
    assert sender.dropped == {"b.sock": 1}

    late = Mailbox(tmp_path, "b.sock")
    sender.flush()
    assert late.receive() is None
    late.close()


def test_behind_one_that_is_not_taken__its_own_tries_are_not_used_up(
    sender: Mailbox, receiver: Mailbox
) -> None:
    number = filled(sender)
    sender.post("b.sock", b"first")
    sender.post("b.sock", b"stop")
    for _ in range(KEPT_TRIES):
        sender.flush()
    assert drained(receiver) == [b"filler"] * number

    sender.flush()

    assert drained(receiver) == [b"stop"]


def test_one_neighbour_is_gone__another_still_gets_its_own(
    sender: Mailbox, receiver: Mailbox
) -> None:
    sender.post("gone.sock", b"lost")
    sender.post("b.sock", b"found")

    assert drained(receiver) == [b"found"]


def test_posted_without_end__the_oldest_is_dropped(sender: Mailbox, receiver: Mailbox) -> None:
    number = filled(sender)
    for each in range(KEPT_DATAGRAMS + 1):
        sender.post("b.sock", b"%d" % each)
    assert sender.dropped == {"b.sock": 2}
    assert drained(receiver) == [b"filler"] * number

    sender.flush()
    assert drained(receiver)[0] == b"1"


def test_posts_to_one_neighbour_overflow__those_to_another_are_kept(
    sender: Mailbox, receiver: Mailbox
) -> None:
    filled(sender)
    sender.post("b.sock", b"stop")
    for _ in range(2 * KEPT_DATAGRAMS):
        sender.post("nobody.sock", b"signal")
    drained(receiver)
    sender.flush()

    assert drained(receiver) == [b"stop"]
