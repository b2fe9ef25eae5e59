"""A connection that stalls works on until its successor stands, and then makes way for it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Coroutine
from types import SimpleNamespace
from typing import Any, cast

import aiomqtt
import pytest

from operator_console.core.session import Outgoing
from operator_console.shell import link as link_module
from operator_console.shell.link import MqttLink
from protocol.broker_settings import BrokerSettings
from protocol.reconnect import Try
from protocol.tcp_progress import Progress
from vehicle_agent.shell import line as line_module
from vehicle_agent.shell.incoming import IncomingQueue
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
        self.stalls = self.fails = self.takes_nothing = False
        self.incoming: asyncio.Queue[bytes | Exception] = asyncio.Queue()
        self.published: asyncio.Queue[bytes] = asyncio.Queue()
        self.messages = self
        self._client = self
        self._queue = IncomingQueue()

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

    async def publish(self, _topic: str, payload: bytes, *_: object, **__: object) -> None:
        self.published.put_nowait(payload)
        if self.takes_nothing:
            await asyncio.Event().wait()

    def __aiter__(self) -> Client:
        self.in_use.set()
        return self

    async def __anext__(self) -> Any:
        came = await self.incoming.get()
        if isinstance(came, Exception):
            raise came
        return SimpleNamespace(topic=SimpleNamespace(value="t"), payload=came, retain=False)


class Site:
    """One end's connections, in their order."""

    def __init__(self) -> None:
        self.clients: list[Client] = []
        self.made: asyncio.Queue[Client] = asyncio.Queue()
        self.heard: asyncio.Queue[bytes] = asyncio.Queue()

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


class MachineSite(Site):
    """The machine's end."""

    def __init__(self, presence: Presence | None = None) -> None:
        super().__init__()
        self.line = Line(
            NOWHERE, "x", (("t", 0),), lambda _t, data, _r: self.heard.put_nowait(data), presence
        )

    def run(self) -> Coroutine[Any, Any, None]:
        return self.line.run()

    async def say(self, payload: bytes) -> None:
        self.line.outbox.put_newest("state", payload)

    @property
    def superseded(self) -> int:
        return self.line.superseded


class ConsoleSite(Site):
    """The console's end.

    Attributes:
        changes: the link came (True) or went, as the session is told.
    """

    def __init__(self) -> None:
        super().__init__()
        self.link = MqttLink(NOWHERE, "console-1")
        self.changes: list[bool] = []

    def run(self) -> Coroutine[Any, Any, None]:
        return self.link.run(
            (("t", 0),), lambda _t, data: self.heard.put_nowait(data), self.changes.append
        )

    async def say(self, payload: bytes) -> bool:
        return await self.link.publish(Outgoing("t", payload))

    @property
    def superseded(self) -> int:
        return self.link.counts["superseded"]


def prepared(monkeypatch: pytest.MonkeyPatch, site: MachineSite | ConsoleSite) -> None:
    """Let an end make this site's clients, and believe their own word for how they get on."""
    monkeypatch.setattr(line_module, "new_client", site.new_client)
    monkeypatch.setattr(MqttLink, "_new_client", site.new_client)
    monkeypatch.setattr(line_module, "tcp_info", lambda client: client)
    monkeypatch.setattr(link_module, "_tcp_info", lambda client: client)
    monkeypatch.setattr(Progress, "stalled", lambda _self, _now_ns, client: client.stalls)
    for module in (line_module, link_module):
        monkeypatch.setattr(module, "next_try", lambda *_: Try(0.0, 1.0))
        monkeypatch.setattr(module, "LOOK_S", 0.0)


@contextlib.asynccontextmanager
async def run(site: MachineSite | ConsoleSite) -> AsyncIterator[None]:
    work = asyncio.create_task(site.run())
    try:
        yield
    finally:
        work.cancel()
        await asyncio.gather(work, return_exceptions=True)
    assert all(client.gone.is_set() for client in site.clients)


@pytest.fixture(params=[MachineSite, ConsoleSite], ids=["machine", "console"])
async def running(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[MachineSite | ConsoleSite]:
    site = request.param()
    prepared(monkeypatch, site)
    async with run(site):
        yield site


@pytest.fixture
async def console(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[ConsoleSite]:
    site = ConsoleSite()
    prepared(monkeypatch, site)
    async with run(site):
        yield site


async def test_stalled__it_works_on_while_its_successor_is_tried(
    running: MachineSite | ConsoleSite,
) -> None:
    old = await running.next_client(stands=True)
    old.stalls = True
    await running.next_client(stands=False)
    old.incoming.put_nowait(b"came after all")
    await running.say(b"1")

    assert await running.heard.get() == b"came after all"
    assert await old.published.get() == b"1"
    assert not old.gone.is_set()


async def test_successor_stands__it_carries_and_the_older_one_is_left(
    running: MachineSite | ConsoleSite,
) -> None:
    old = await running.next_client(stands=True)
    old.stalls = True
    new = await running.next_client(stands=True)
    await old.gone.wait()
    await running.say(b"2")
    new.incoming.put_nowait(b"by the new one")

    assert await new.published.get() == b"2"
    assert await running.heard.get() == b"by the new one"
    assert running.superseded == 1
    assert old.published.empty()


async def test_successor_stands__what_waited_for_the_older_one_is_forgotten(
    running: MachineSite | ConsoleSite,
) -> None:
    old = await running.next_client(stands=True)
    old.stalls = True
    new = await running.next_client(stands=False)
    new.may_stand.set()
    await old.gone.wait()
    old.incoming.put_nowait(b"late")
    new.incoming.put_nowait(b"now")

    assert await running.heard.get() == b"now"


async def test_older_one_breaks_meanwhile__the_try_under_way_goes_on(
    running: MachineSite | ConsoleSite,
) -> None:
    old = await running.next_client(stands=True)
    old.stalls = True
    new = await running.next_client(stands=False)
    old.incoming.put_nowait(aiomqtt.MqttError("gone"))
    await old.gone.wait()
    new.may_stand.set()
    await new.in_use.wait()

    assert running.clients == [old, new]
    assert not new.gone.is_set()


async def test_successor_fails__the_next_one_is_tried_beside_the_same(
    running: MachineSite | ConsoleSite,
) -> None:
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
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    site = MachineSite(cast("Presence", Told()))
    prepared(monkeypatch, site)
    async with run(site):
        old = await site.next_client(stands=True)
        old.stalls = True
        for number in range(20):
            old.incoming.put_nowait(b"%d" % number)
            assert await site.heard.get() == b"%d" % number
        assert site.clients == [old]


async def test_console_takes_a_successor__the_driver_is_told_of_no_loss(
    console: ConsoleSite,
) -> None:
    old = await console.next_client(stands=True)
    old.stalls = True
    await console.next_client(stands=True)
    await old.gone.wait()

    assert console.changes == [True]


async def test_console_waits_for_a_stalled_connection__its_successor_sets_it_free(
    console: ConsoleSite,
) -> None:
    old = await console.next_client(stands=True)
    old.takes_nothing = True
    saying = asyncio.create_task(console.say(b"old"))
    await old.published.get()
    old.stalls = True
    new = await console.next_client(stands=True)

    assert not await saying
    assert await console.say(b"new")
    assert await new.published.get() == b"new"


async def test_console_breaks_without_a_successor__the_driver_is_told(console: ConsoleSite) -> None:
    old = await console.next_client(stands=True)
    old.incoming.put_nowait(aiomqtt.MqttError("gone"))
    await console.next_client(stands=True)

    assert console.changes == [True, False, True]


async def test_commands_that_made_way__are_counted_on_over_both_connections(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    site = MachineSite()
    prepared(monkeypatch, site)
    command = aiomqtt.Message("s/cmd/me", b"", 0, False, 0, None)
    async with run(site):
        none_yet = site.line.made_way
        old = await site.next_client(stands=True)
        for _ in range(3):
            old._queue.put_nowait(command)
        at_first = site.line.made_way
        old.stalls = True
        new = await site.next_client(stands=True)
        await old.gone.wait()
        for _ in range(2):
            new._queue.put_nowait(command)

        assert (none_yet, at_first, site.line.made_way) == (0, 2, 3)
