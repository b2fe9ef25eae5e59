"""One MQTT connection to the control broker, made again at once and for ever.

Every connection is a new client with a clean session: what an old one still held must never
come out of a new one. One on which nothing is acknowledged any more gets a successor while it
may still come back by itself; it ends when that stands.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import sys
from collections.abc import Callable, Coroutine, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import aiomqtt

from protocol.broker_settings import BrokerSettings
from protocol.reconnect import STOOD_S, next_try
from protocol.tcp_progress import LOOK_S, Progress
from vehicle_agent.shell.clock import monotonic_ns
from vehicle_agent.shell.mqtt_client import (
    connected,
    forget_unsent,
    made_way,
    new_client,
    raise_if_cancelled,
    serve,
    tcp_info,
)
from vehicle_agent.shell.outbox import Outbox
from vehicle_agent.shell.presence import Presence

MessageHandler = Callable[[str, bytes, bool], None]


class LineBroken(Exception):
    """Raised to leave a connection that no longer carries anything."""


@dataclass(slots=True)
class _Standing:
    """A connection that stands, and how it gets on."""

    client: aiomqtt.Client
    stack: contextlib.AsyncExitStack
    progress: Progress = field(default_factory=Progress)

    async def leave(self) -> None:
        """Leave it; that it cannot be left cleanly is of no account."""
        with contextlib.suppress(aiomqtt.MqttError, OSError):
            await self.stack.aclose()


class Line:
    """One connection, kept up until cancelled.

    Args:
        broker: whom to reach, and as whom. name: what its client ids begin with.
        subscriptions: topic filters with their QoS.
        on_message: called in the loop with topic, content and whether it was retained.
        presence: told on this connection, with its Will; None where another one does that. Such
            a line has no successor beside it: the Will of the older would come after what the
            newer told.
        beside: what runs while a connection stands.

    Attributes:
        outbox: what waits to leave. ready: set once the first connection stands.
        superseded: connections that made way for a successor.
    """

    def __init__(
        self,
        broker: BrokerSettings,
        name: str,
        subscriptions: Sequence[tuple[str, int]],
        on_message: MessageHandler,
        presence: Presence | None = None,
        beside: Callable[[], Coroutine[Any, Any, None]] | None = None,
    ) -> None:
        self._broker = broker
        self._name = name
        self._subscriptions = subscriptions
        self._on_message = on_message
        self._presence = presence
        self._beside = beside
        self._said = ""
        self._failed = 0
        self._round_trip_s = 0.0
        self._used: _Standing | None = None
        self._coming: _Standing | None = None
        self._connecting: asyncio.Task[None] | None = None
        self.outbox = Outbox()
        self.ready = asyncio.Event()
        self.superseded = 0
        self._made_way = 0

    @property
    def made_way(self) -> int:
        """Messages that came and made way for newer ones, on every connection so far."""
        return self._made_way + (0 if self._used is None else made_way(self._used.client))

    async def run(self) -> None:
        """Serve, and connect again, until cancelled."""
        try:
            async with asyncio.TaskGroup() as group:
                while True:
                    await self._next(group)
                    await self._serve(group)
        finally:
            for standing in (self._used, self._coming):
                if standing is not None:
                    await standing.leave()

    async def _next(self, group: asyncio.TaskGroup) -> None:
        """Wait for the next connection; one may be under way already."""
        await self._connecting_in(group)
        self._used, self._coming, self._connecting = self._coming, None, None

    def _connecting_in(self, group: asyncio.TaskGroup) -> asyncio.Task[None]:
        if self._connecting is None:
            self._connecting = group.create_task(self._connect(), name="line.connect")
        return self._connecting

    async def _connect(self) -> None:
        """Try until a connection stands."""
        dice = secrets.SystemRandom()
        while self._coming is None:
            attempt = next_try(self._failed, dice.random(), self._round_trip_s)
            await asyncio.sleep(attempt.wait_s)
            self._failed += 1
            with self._told():
                await serve(self._open(attempt.connect_within_s))

    async def _open(self, connect_within_s: float) -> None:
        will = None if self._presence is None else self._presence.will()
        client = new_client(self._broker, self._name, will, connect_within_s)
        async with contextlib.AsyncExitStack() as stack:
            await stack.enter_async_context(connected(client))
            self._coming = _Standing(client, stack.pop_all())

    async def _serve(self, group: asyncio.TaskGroup) -> None:
        """Serve the connection in use until it breaks or its successor stands."""
        used = self._used
        assert used is not None
        self.outbox.clear()
        begun_s = _now_s()
        with self._told():
            await serve(self._use(used, group))
        self.outbox.clear()
        self._round_trip_s = used.progress.round_trip_us / 1e6
        if self._connecting is None and _now_s() - begun_s > STOOD_S:
            self._failed = 0
        forget_unsent(used.client)
        group.create_task(used.leave(), name="line.leave")
        self._made_way, self._used = self.made_way, None

    async def _use(self, used: _Standing, group: asyncio.TaskGroup) -> None:
        client = used.client
        work = {
            "subscribe": self._subscribe(client),
            "newest": self.outbox.publish_newest(client),
            "others": self.outbox.publish_others(client),
            "receive": self._receive(client),
        }
        if self._presence is not None:
            work["presence"] = self._presence.tell(client)
        if self._beside is not None:
            work["beside"] = self._beside()
        async with asyncio.TaskGroup() as own:
            tasks = [own.create_task(each, name=f"line.{name}") for name, each in work.items()]
            if self._presence is None:
                await self._until_superseded(used, group)
                for task in tasks:
                    task.cancel()

    async def _subscribe(self, client: aiomqtt.Client) -> None:
        """Subscribe while the first states leave already: a round trip is saved."""
        for topic, qos in self._subscriptions:
            await client.subscribe(topic, qos=qos)
        raise_if_cancelled()
        self._said = ""
        self.ready.set()

    async def _until_superseded(self, used: _Standing, group: asyncio.TaskGroup) -> None:
        while not used.progress.stalled(monotonic_ns(), tcp_info(used.client)):  # noqa: ASYNC110 - it is asked
            await asyncio.sleep(LOOK_S)
        self._failed, self._round_trip_s = 0, used.progress.round_trip_us / 1e6
        await asyncio.wait({self._connecting_in(group)})  # which goes on if this one breaks
        self.superseded += 1

    @contextlib.contextmanager
    def _told(self) -> Iterator[None]:
        """Say what goes wrong with a connection, and go on."""
        broker = f"broker {self._broker.host}:{self._broker.port}"
        try:
            yield
        except* (aiomqtt.MqttError, OSError, LineBroken) as group:
            self._say_once(f"{broker} does not answer, trying on: {group.exceptions[0]}")

    def _say_once(self, text: str) -> None:
        """Say what is wrong, and the same only after it was well in between."""
        if text != self._said:
            sys.stderr.write(f"link: {text}\n")
        self._said = text

    async def _receive(self, client: aiomqtt.Client) -> None:
        async for message in client.messages:
            if isinstance(message.payload, bytes):
                self._on_message(message.topic.value, message.payload, message.retain)
        raise LineBroken("the broker ended the stream")


def _now_s() -> float:
    return asyncio.get_running_loop().time()
