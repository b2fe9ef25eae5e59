"""MQTT as a line that carries only the newest: short buffers, no replay, back at once."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
import socket
import struct
from collections import Counter, OrderedDict
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import aiomqtt

from operator_console.core.session import Outgoing
from operator_console.shell.clock import monotonic_ns
from protocol.broker_settings import BrokerSettings
from protocol.reconnect import PATIENT_CONNECT_S, STOOD_S, next_try
from protocol.tcp_progress import LOOK_S, TCP_INFO_BYTES, Progress, TcpInfo, decode_tcp_info

LOGGER = logging.getLogger(__name__)

KEEPALIVE_S = 5
OUT_TIMEOUT_S = 1.0
"""A message that the socket does not take within this time means that the link is gone."""

SEND_BUFFER_BYTES = 8192
USER_TIMEOUT_MS = 1500
"""Unacknowledged bytes older than this end the connection (RFC 5482)."""

INCOMING_KEPT = 256
NEWEST_ONLY = ("/state", "/authority")
"""Topics whose waiting message is replaced by a newer one."""

RETAINED_ALLOWED = ("/connection", "/factsheet")

SOCKET_OPTIONS = (
    (socket.IPPROTO_TCP, socket.TCP_NODELAY, 1),
    (socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES),
    (socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, USER_TIMEOUT_MS),
)

MessageHandler = Callable[[str, bytes], None]


class Transport(Protocol):
    """What carries the console's messages; the tests have one in memory."""

    async def publish(self, message: Outgoing) -> bool:
        """Send now or not at all; return whether it went out. Returns once it has left."""
        ...


class NewestQueue(asyncio.Queue[aiomqtt.Message]):
    """Incoming messages: of a state only the newest waits, and never more than a few hundred."""

    def _init(self, maxsize: int) -> None:
        del maxsize
        self._waiting: OrderedDict[object, aiomqtt.Message] = OrderedDict()
        self.dropped = 0

    def qsize(self) -> int:
        """Messages waiting."""
        return len(self._waiting)

    def empty(self) -> bool:
        """No message waits."""
        return not self._waiting

    def _put(self, item: aiomqtt.Message) -> None:
        topic = item.topic.value
        key: object = topic if topic.endswith(NEWEST_ONLY) else object()
        if self._waiting.pop(key, None) is not None:
            self.dropped += 1
        self._waiting[key] = item
        if len(self._waiting) > INCOMING_KEPT:
            self._waiting.popitem(last=False)
            self.dropped += 1

    def _get(self) -> aiomqtt.Message:
        return self._waiting.popitem(last=False)[1]


def _tls(broker: BrokerSettings) -> aiomqtt.TLSParameters | None:
    """Return how to encrypt; None on a broker without TLS."""
    if broker.ca is None:
        return None
    return aiomqtt.TLSParameters(
        ca_certs=str(broker.ca),
        certfile=None if broker.cert is None else str(broker.cert),
        keyfile=None if broker.key is None else str(broker.key),
    )


@contextlib.asynccontextmanager
async def _connected(client: aiomqtt.Client) -> AsyncIterator[aiomqtt.Client]:
    """Hold a connection; afterwards its socket is closed even where aiomqtt leaves it open."""
    try:
        async with client:
            _raise_if_cancelled()
            yield client
    finally:
        client._client._sock_close()


def _raise_if_cancelled() -> None:
    """Raise when this task was asked to end and what it awaited has hidden that.

    asyncio.wait_for, which aiomqtt awaits everything by, loses a cancellation that comes together
    with its result (Python 3.11, github.com/python/cpython/issues/86296); a task of a group that
    goes on after that holds up the whole group for ever.
    """
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


async def _serve(work: Coroutine[Any, Any, None]) -> None:
    """Run one connection's work in a task of its own; its errors come out, and cancellation always.

    Leaving a connection may fail, and that failure takes the place of the cancellation; whoever
    then connects again never ends. In a task of its own because a task group that fails leaves its
    task marked as cancelled (Python 3.11).
    """
    try:
        await asyncio.create_task(work, name="mqtt connection")
    except BaseException:
        _raise_if_cancelled()
        raise


def _tcp_info(client: aiomqtt.Client) -> TcpInfo | None:
    """Return what the kernel tells of a client's connection; None when it has none."""
    stream = client._client.socket()
    if not isinstance(stream, socket.socket):
        return None
    with contextlib.suppress(OSError):  # closed at this very moment
        return decode_tcp_info(
            stream.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, TCP_INFO_BYTES)
        )
    return None


class _LinkBroken(Exception):
    """Raised inside the link to leave a connection that no longer carries anything."""


@dataclass(slots=True)
class _Standing:
    """A connection that stands, how it gets on, and what is just leaving by it."""

    client: aiomqtt.Client
    stack: contextlib.AsyncExitStack
    progress: Progress = field(default_factory=Progress)
    leaving: set[asyncio.Timeout] = field(default_factory=set)

    async def publish(self, message: Outgoing) -> None:
        """Send a message.

        Raises:
            TimeoutError: the connection was given up meanwhile.
        """
        async with asyncio.timeout(None) as limit:
            self.leaving.add(limit)
            try:
                await self.client.publish(message.topic, message.payload, message.qos, retain=False)
            finally:
                self.leaving.discard(limit)

    def give_up(self) -> None:
        """Let nobody wait for it any more, and the kernel forget what it still holds."""
        for limit in self.leaving:
            limit.reschedule(asyncio.get_running_loop().time())
        stream = self.client._client.socket()
        if isinstance(stream, socket.socket):
            with contextlib.suppress(OSError):
                stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    async def leave(self) -> None:
        """Leave it; that it cannot be left cleanly is of no account."""
        with contextlib.suppress(aiomqtt.MqttError, OSError):
            await self.stack.aclose()


class MqttLink:
    """One console's connection to the control broker, kept up until cancelled.

    Each connection is a new client object with a clean session: what a dead one still held
    must never come out of a new one. One on which nothing is acknowledged any more gets a
    successor while it may still come back by itself; it ends when that stands.

    Args:
        broker: whom to reach, and as whom. operator: names the client.
    """

    def __init__(self, broker: BrokerSettings, operator: str) -> None:
        self._broker = broker
        self._operator = operator
        self._used: _Standing | None = None
        self._coming: _Standing | None = None
        self._connecting: asyncio.Task[None] | None = None
        self._broken = asyncio.Event()
        self._up = False
        self._failed = 0
        self._round_trip_s = 0.0
        self._connect_within_s = PATIENT_CONNECT_S
        self.counts: Counter[str] = Counter()

    async def run(
        self,
        subscriptions: Sequence[tuple[str, int]],
        on_message: MessageHandler,
        on_change: Callable[[bool], None],
    ) -> None:
        """Connect, serve, and connect again, for ever.

        Args:
            subscriptions: topic filters with their QoS.
            on_message: called in the loop with topic and content; must not block.
            on_change: called with True once the subscriptions stand, False when the link went;
                not when one connection takes another's place.
        """
        try:
            async with asyncio.TaskGroup() as group:
                while True:
                    await self._connecting_in(group, subscriptions)
                    self._used, self._coming, self._connecting = self._coming, None, None
                    await self._serve(group, subscriptions, on_message, on_change)
        finally:
            for standing in (self._used, self._coming):
                if standing is not None:
                    await standing.leave()
            self._used = None

    async def publish(self, message: Outgoing) -> bool:
        """Send now or not at all; return whether it went out."""
        used = self._used
        if used is None or not self._up:
            self.counts["not_connected"] += 1
            return False
        try:
            await used.publish(message)
        except (aiomqtt.MqttError, TimeoutError):
            self.counts["not_sent"] += 1
            if used is self._used:
                self._broken.set()
            return False
        _raise_if_cancelled()
        return True

    def _new_client(self) -> aiomqtt.Client:
        client = aiomqtt.Client(
            self._broker.host,
            self._broker.port,
            username=self._broker.username,
            password=self._broker.secret,
            tls_params=_tls(self._broker),
            identifier=f"console-{self._operator}-{secrets.token_hex(16)}",
            protocol=aiomqtt.ProtocolVersion.V311,
            clean_session=True,
            keepalive=KEEPALIVE_S,
            timeout=OUT_TIMEOUT_S,
            queue_type=NewestQueue,
            socket_options=SOCKET_OPTIONS,
        )
        # aiomqtt passes no connect time-out on; a black-holed SYN would cost 5 s.
        client._client.connect_timeout = self._connect_within_s
        return client

    # ---- one connection after the other ------------------------------------------------

    def _connecting_in(
        self, group: asyncio.TaskGroup, subscriptions: Sequence[tuple[str, int]]
    ) -> asyncio.Task[None]:
        if self._connecting is None:
            work = self._connect(subscriptions)
            self._connecting = group.create_task(work, name="mqtt connect")
        return self._connecting

    async def _connect(self, subscriptions: Sequence[tuple[str, int]]) -> None:
        """Try until a connection stands with its subscriptions."""
        dice = secrets.SystemRandom()
        while self._coming is None:
            attempt = next_try(self._failed, dice.random(), self._round_trip_s)
            self._connect_within_s = attempt.connect_within_s
            await asyncio.sleep(attempt.wait_s)
            self._failed += 1
            with self._warned():
                await _serve(self._open(subscriptions))

    async def _open(self, subscriptions: Sequence[tuple[str, int]]) -> None:
        async with contextlib.AsyncExitStack() as stack:
            client = await stack.enter_async_context(_connected(self._new_client()))
            for topic, qos in subscriptions:
                await client.subscribe(topic, qos)
            _raise_if_cancelled()
            self._coming = _Standing(client, stack.pop_all())

    async def _serve(
        self,
        group: asyncio.TaskGroup,
        subscriptions: Sequence[tuple[str, int]],
        on_message: MessageHandler,
        on_change: Callable[[bool], None],
    ) -> None:
        """Serve the connection in use until it breaks or its successor stands."""
        used = self._used
        assert used is not None
        self._broken.clear()
        begun_s = asyncio.get_running_loop().time()
        self._tell(on_change, up=True)
        superseded = False
        try:
            with self._warned():
                await _serve(self._use(used, group, subscriptions, on_message))
                superseded = True
        finally:
            if not superseded:
                self._tell(on_change, up=False)
        self.counts["superseded" if superseded else "connections_lost"] += 1
        self._round_trip_s = used.progress.round_trip_us / 1e6
        stood_s = asyncio.get_running_loop().time() - begun_s
        if self._connecting is None and stood_s > STOOD_S:
            self._failed = 0
        used.give_up()
        group.create_task(used.leave(), name="mqtt leave")
        self._used = None

    def _tell(self, on_change: Callable[[bool], None], *, up: bool) -> None:
        if self._up != up:
            self._up = up
            on_change(up)

    async def _use(
        self,
        used: _Standing,
        group: asyncio.TaskGroup,
        subscriptions: Sequence[tuple[str, int]],
        on_message: MessageHandler,
    ) -> None:
        async with asyncio.TaskGroup() as own:
            tasks = [
                own.create_task(self._read(used.client, on_message), name="mqtt reader"),
                own.create_task(self._until_broken(), name="mqtt watch"),
            ]
            while not used.progress.stalled(  # noqa: ASYNC110 - it is asked
                monotonic_ns(), _tcp_info(used.client)
            ):
                await asyncio.sleep(LOOK_S)
            self._failed, self._round_trip_s = 0, used.progress.round_trip_us / 1e6
            # It goes on if this one breaks meanwhile.
            await asyncio.wait({self._connecting_in(group, subscriptions)})
            for task in tasks:
                task.cancel()

    @contextlib.contextmanager
    def _warned(self) -> Iterator[None]:
        """Say what goes wrong with a connection, and go on."""
        try:
            yield
        except* (aiomqtt.MqttError, OSError, _LinkBroken) as errors:
            host, port = self._broker.host, self._broker.port
            LOGGER.warning("broker %s:%d: %s", host, port, errors.exceptions[0])

    async def _until_broken(self) -> None:
        await self._broken.wait()
        raise _LinkBroken("the socket takes nothing more")

    async def _read(self, client: aiomqtt.Client, on_message: MessageHandler) -> None:
        async for message in client.messages:
            content = self.content_of(message)
            if content is not None:
                on_message(message.topic.value, content)

    def content_of(self, message: aiomqtt.Message) -> bytes | None:
        """Return the content; None, counted, for what a broker kept from earlier."""
        if message.retain and not message.topic.value.endswith(RETAINED_ALLOWED):
            self.counts["retained_refused"] += 1
            return None
        return message.payload
