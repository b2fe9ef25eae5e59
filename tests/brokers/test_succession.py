"""A connection that stalls works on until its successor stands, and then makes way for it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any, cast

import aiomqtt
import pytest

from protocol.broker_settings import BrokerSettings
from protocol.reconnect import Try
from protocol.tcp_progress import Progress
from vehicle_agent.shell import line as line_module
from vehicle_agent.shell.line import Line
from vehicle_agent.shell.presence import Presence

NOWHERE = BrokerSettings(host="127.0.0.1", port=1)


class Client:
    """A connection in memory: it stands when it is let, and stalls or breaks when told."""

    def __init__(self) -> None:
        self.may_stand = asyncio.Event()
        self.entered = asyncio.Event()
        self.in_use = asyncio.Event()
        self.gone = asyncio.Event()
        self.stalls = self.fails = False
        self.incoming: asyncio.Queue[bytes | Exception] = asyncio.Queue()
        self.published: asyncio.Queue[bytes] = asyncio.Queue()
        self.messages = self
        self._client = self

    def socket(self) -> None:
        """Have none."""

    def _sock_close(self) -> None:
        self.gone.set()

    async def __aenter__(self) -> Client:
        self.entered.set()
        await self.may_stand.wait()
        if self.fails:
            raise aiomqtt.MqttError("no")
        return self

    async def __aexit__(self, *_: object) -> None:
        """Leave."""

    async def subscribe(self, *_: object, **__: object) -> None:
        """Subscribe to nothing."""

    async def publish(self, _topic: str, payload: bytes, *_: object) -> None:
        self.published.put_nowait(payload)

    def __aiter__(self) -> Client:
        self.in_use.set()
        return self

    async def __anext__(self) -> Any:
        came = await self.incoming.get()
        if isinstance(came, Exception):
            raise came
        return SimpleNamespace(topic=SimpleNamespace(value="t"), payload=came, retain=False)


class Site:
    """A line and the clients that it makes, in their order."""

    def __init__(self, presence: Presence | None = None) -> None:
        self.clients: list[Client] = []
        self.made: asyncio.Queue[Client] = asyncio.Queue()
        self.heard: asyncio.Queue[bytes] = asyncio.Queue()
        self.line = Line(
            NOWHERE, "x", (("t", 0),), lambda _t, data, _r: self.heard.put_nowait(data), presence
        )

    def new_client(self, *_: object) -> Client:
        client = Client()
        self.clients.append(client)
        self.made.put_nowait(client)
        return client

    async def next_client(self, *, stands: bool) -> Client:
        client = await self.made.get()
        if stands:
            client.may_stand.set()
            await client.in_use.wait()
        else:
            await client.entered.wait()
        return client


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Site:
    made = Site()
    monkeypatch.setattr(line_module, "new_client", made.new_client)
    monkeypatch.setattr(line_module, "next_try", lambda *_: Try(0.0, 1.0))
    monkeypatch.setattr(line_module, "tcp_info", lambda client: client)
    monkeypatch.setattr(Progress, "stalled", lambda _self, _now_ns, client: client.stalls)
    monkeypatch.setattr(line_module, "LOOK_S", 0.0)
    return made


@pytest.fixture
async def running(site: Site) -> AsyncIterator[Site]:
    work = asyncio.create_task(site.line.run())
    yield site
    work.cancel()
    await asyncio.gather(work, return_exceptions=True)
    assert all(client.gone.is_set() for client in site.clients)


async def test_stalled__it_works_on_while_its_successor_is_tried(running: Site) -> None:
    old = await running.next_client(stands=True)
    old.stalls = True
    await running.next_client(stands=False)
    old.incoming.put_nowait(b"came after all")
    running.line.outbox.put_newest("state", b"1")

    assert await running.heard.get() == b"came after all"
    assert await old.published.get() == b"1"
    assert not old.gone.is_set()


async def test_successor_stands__it_carries_and_the_older_one_is_left(running: Site) -> None:
    old = await running.next_client(stands=True)
    old.stalls = True
    new = await running.next_client(stands=True)
    await old.gone.wait()
    running.line.outbox.put_newest("state", b"2")
    new.incoming.put_nowait(b"by the new one")

    assert await new.published.get() == b"2"
    assert await running.heard.get() == b"by the new one"
    assert running.line.superseded == 1
    assert old.published.empty()


async def test_successor_stands__what_waited_for_the_older_one_is_forgotten(running: Site) -> None:
    old = await running.next_client(stands=True)
    old.stalls = True
    new = await running.next_client(stands=False)
    new.may_stand.set()
    await old.gone.wait()
    old.incoming.put_nowait(b"late")
    new.incoming.put_nowait(b"now")

    assert await running.heard.get() == b"now"


async def test_older_one_breaks_meanwhile__the_try_under_way_goes_on(running: Site) -> None:
    old = await running.next_client(stands=True)
    old.stalls = True
    new = await running.next_client(stands=False)
    old.incoming.put_nowait(aiomqtt.MqttError("gone"))
    await old.gone.wait()
    new.may_stand.set()
    await new.in_use.wait()

    assert running.clients == [old, new]
    assert not new.gone.is_set()


async def test_successor_fails__the_next_one_is_tried_beside_the_same(running: Site) -> None:
    old = await running.next_client(stands=True)
    old.stalls = True
    failing = await running.next_client(stands=False)
    failing.fails = True
    failing.may_stand.set()
    third = await running.next_client(stands=False)

    assert failing.gone.is_set()
    assert not old.gone.is_set()
    assert not third.gone.is_set()


class Told:
    """Presence that is told of nothing."""

    def will(self) -> None:
        """Have none."""

    async def tell(self, _client: object) -> None:
        await asyncio.Event().wait()


async def test_line_with_a_will__is_never_replaced_while_it_stands(
    monkeypatch: pytest.MonkeyPatch, site: Site
) -> None:
    told = Site(cast("Presence", Told()))
    monkeypatch.setattr(line_module, "new_client", told.new_client)
    work = asyncio.create_task(told.line.run())
    old = await told.next_client(stands=True)
    old.stalls = True
    for number in range(20):
        old.incoming.put_nowait(b"%d" % number)
        assert await told.heard.get() == b"%d" % number
    work.cancel()
    await asyncio.gather(work, return_exceptions=True)

    assert told.clients == [old]
