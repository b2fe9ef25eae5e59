"""The broker link against a broker of forty lines: newest wins, nothing retained, back again."""

from __future__ import annotations

import asyncio
import contextlib
import struct
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import aiomqtt
import pytest

from operator_console.core.session import Outgoing
from operator_console.shell import link as link_module
from operator_console.shell.link import MqttLink, NewestQueue
from protocol.broker_settings import BrokerSettings
from protocol.reconnect import Try

STATE = "headframe/v1/mine/truck-07/state"
EVENT = "headframe/v1/mine/truck-07/event"

CONNECT, PUBLISH, SUBSCRIBE, DISCONNECT = 1, 3, 8, 14


def broker_at(port: int) -> BrokerSettings:
    return BrokerSettings(host="127.0.0.1", port=port)


def message(topic: str, payload: bytes, *, retain: bool = False) -> aiomqtt.Message:
    return aiomqtt.Message(topic, payload, 0, retain, 0, None)


@dataclass
class TinyBroker:
    """Takes connections, subscriptions and QoS 0 messages; sends what a test tells it."""

    connects: list[bytes] = field(default_factory=list)
    published: asyncio.Queue[tuple[str, bytes]] = field(default_factory=asyncio.Queue)
    ready: asyncio.Queue[asyncio.StreamWriter] = field(default_factory=asyncio.Queue)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while await self._packet(reader, writer) != DISCONNECT:
                pass
        writer.close()

    async def _packet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> int:
        kind = (await reader.readexactly(1))[0] >> 4
        length = shift = 0
        more = True
        while more:
            byte = (await reader.readexactly(1))[0]
            length |= (byte & 0x7F) << shift
            shift, more = shift + 7, bool(byte & 0x80)
        body = await reader.readexactly(length)
        if kind == CONNECT:
            self.connects.append(body)
            writer.write(b"\x20\x02\x00\x00")
        elif kind == SUBSCRIBE:
            writer.write(b"\x90\x03" + body[:2] + b"\x00")
            self.ready.put_nowait(writer)
        elif kind == PUBLISH:
            size = struct.unpack(">H", body[:2])[0]
            self.published.put_nowait((body[2 : 2 + size].decode(), body[2 + size :]))
        return kind


def publish_packet(topic: str, payload: bytes, *, retain: bool = False) -> bytes:
    body = struct.pack(">H", len(topic)) + topic.encode() + payload
    return bytes([0x31 if retain else 0x30, len(body)]) + body


@dataclass
class Linked:
    """A link that stands, what it heard, and the broker's end of it."""

    broker: TinyBroker
    link: MqttLink
    heard: asyncio.Queue[tuple[str, bytes]]
    changes: asyncio.Queue[bool]


@pytest.fixture
async def linked(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Linked]:
    monkeypatch.setattr(link_module, "next_try", lambda *_: Try(0.0, 1.0))
    broker = TinyBroker()
    server = await asyncio.start_server(broker.serve, "127.0.0.1", 0)
    link = MqttLink(broker_at(server.sockets[0].getsockname()[1]), "op-1")
    heard: asyncio.Queue[tuple[str, bytes]] = asyncio.Queue()
    changes: asyncio.Queue[bool] = asyncio.Queue()
    async with asyncio.TaskGroup() as group:
        running = group.create_task(
            link.run(
                [(STATE, 0)],
                lambda topic, payload: heard.put_nowait((topic, payload)),
                changes.put_nowait,
            )
        )
        assert await changes.get()
        yield Linked(broker, link, heard, changes)
        running.cancel()
    server.close()


async def test_connected__clean_session_of_mqtt_3_1_1(linked: Linked) -> None:
    body = linked.broker.connects[0]

    assert body[:7] == b"\x00\x04MQTT\x04"
    assert body[7] & 0x02


async def test_message_arrives__is_handed_on(linked: Linked) -> None:
    writer = await linked.broker.ready.get()
    writer.write(publish_packet(STATE, b"abc"))

    assert await linked.heard.get() == (STATE, b"abc")


async def test_retained_state__is_refused_and_counted(linked: Linked) -> None:
    writer = await linked.broker.ready.get()
    writer.write(publish_packet(STATE, b"old", retain=True) + publish_packet(STATE, b"new"))

    assert await linked.heard.get() == (STATE, b"new")
    assert linked.link.counts["retained_refused"] == 1


async def test_publish__leaves_at_once(linked: Linked) -> None:
    assert await linked.link.publish(Outgoing("a/b", b"xyz"))
    assert await linked.broker.published.get() == ("a/b", b"xyz")


async def test_connection_lost__new_client_with_another_name(linked: Linked) -> None:
    writer = await linked.broker.ready.get()
    writer.close()

    assert not await linked.changes.get()
    assert await linked.changes.get()
    assert linked.broker.connects[0] != linked.broker.connects[1]
    assert await linked.link.publish(Outgoing("a/b", b"again"))


async def test_not_connected__nothing_is_kept_for_later() -> None:
    link = MqttLink(broker_at(1), "op-1")

    assert not await link.publish(Outgoing("a/b", b"x"))
    assert link.counts["not_connected"] == 1


async def test_states_wait__only_the_newest_is_kept_and_events_all() -> None:
    queue = NewestQueue()
    for number in range(3):
        queue.put_nowait(message(STATE, b"%d" % number))
        queue.put_nowait(message(EVENT, b"%d" % number))

    taken = [queue.get_nowait() for _ in range(queue.qsize())]

    assert [item.payload for item in taken if item.topic.value == STATE] == [b"2"]
    assert [item.payload for item in taken if item.topic.value == EVENT] == [b"0", b"1", b"2"]
    assert queue.empty()


async def test_events_flood__queue_stays_bounded() -> None:
    queue = NewestQueue()
    for number in range(1000):
        queue.put_nowait(message(EVENT, b"%d" % number))

    assert queue.qsize() == link_module.INCOMING_KEPT
    assert queue.get_nowait().payload == b"744"
