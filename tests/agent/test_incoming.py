"""What waits between the broker and the machine: the newest command, and never many messages."""

from __future__ import annotations

import aiomqtt
import pytest

from vehicle_agent.shell.incoming import INCOMING_KEPT, OF_ONE_TOPIC_KEPT, IncomingQueue

COMMANDS = "headframe/v1/mine/truck-1/cmd/op-1"
OTHERS_COMMANDS = "headframe/v1/mine/truck-1/cmd/op-2"
REQUESTS = "headframe/v1/mine/truck-1/req/op-1"
OTHERS_REQUESTS = "headframe/v1/mine/truck-1/req/op-2"
STOPS = "headframe/v1/mine/truck-1/stop/op-1"
OTHERS_STOPS = "headframe/v1/mine/truck-1/stop/op-2"


def message(topic: str, payload: bytes, *, retain: bool = False) -> aiomqtt.Message:
    return aiomqtt.Message(topic, payload, 0, retain, 0, None)


def taken(queue: IncomingQueue) -> list[object]:
    return [queue.get_nowait().payload for _ in range(queue.qsize())]


@pytest.fixture
def queue() -> IncomingQueue:
    return IncomingQueue()


def test_commands_that_waited__only_the_newest_of_each_operator_comes(queue: IncomingQueue) -> None:
    for number in range(5):
        queue.put_nowait(message(COMMANDS, b"a%d" % number))
    queue.put_nowait(message(OTHERS_COMMANDS, b"b"))
    assert taken(queue) == [b"a4", b"b"]
    assert queue.dropped == 4
    assert queue.empty()


def test_requests_that_waited__all_come_in_order(queue: IncomingQueue) -> None:
    for number in range(5):
        queue.put_nowait(message(REQUESTS, b"%d" % number))
    assert taken(queue) == [b"%d" % number for number in range(5)]


def test_command_that_the_broker_kept__does_not_replace_a_live_one(queue: IncomingQueue) -> None:
    queue.put_nowait(message(COMMANDS, b"live"))
    queue.put_nowait(message(COMMANDS, b"kept", retain=True))
    assert taken(queue) == [b"live", b"kept"]


def test_more_than_may_wait__the_oldest_go(queue: IncomingQueue) -> None:
    for number in range(INCOMING_KEPT + 3):
        queue.put_nowait(message(f"{REQUESTS}-{number}", b"%d" % number))
    assert taken(queue)[0] == b"3"
    assert queue.dropped == 3


def test_flood_of_stops_by_one__anothers_stop_and_request_are_kept(queue: IncomingQueue) -> None:
    queue.put_nowait(message(REQUESTS, b"please"))
    queue.put_nowait(message(STOPS, b"stop"))
    for number in range(2 * INCOMING_KEPT):
        queue.put_nowait(message(OTHERS_STOPS, b"%d" % number))
    assert taken(queue) == [b"please", b"stop", b"%d" % (2 * INCOMING_KEPT - 1)]


def test_flood_of_requests_by_one__anothers_request_is_kept(queue: IncomingQueue) -> None:
    queue.put_nowait(message(REQUESTS, b"please"))
    for number in range(2 * INCOMING_KEPT):
        queue.put_nowait(message(OTHERS_REQUESTS, b"%d" % number))
    waiting = taken(queue)
    assert waiting[0] == b"please"
    assert len(waiting) == 1 + OF_ONE_TOPIC_KEPT
