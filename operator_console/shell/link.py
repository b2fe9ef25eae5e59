"""MQTT as a line that carries only the newest: short buffers, no replay, back at once."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import secrets
import socket
from collections import Counter, OrderedDict
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from typing import Any, Protocol

import aiomqtt

from operator_console.core.session import Outgoing
from protocol.broker_settings import BrokerSettings
from protocol.reconnect import PATIENT_CONNECT_S, STOOD_S, next_try

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


class _LinkBroken(Exception):
    """Raised inside the link to leave a connection that no longer carries anything."""


class MqttLink:
    """One console's connection to the control broker, kept up until cancelled.

    Each connection is a new client object with a clean session: what a dead one still held
    must never come out of a new one.

    Args:
        broker: whom to reach, and as whom. operator: names the client.
    """

    def __init__(self, broker: BrokerSettings, operator: str) -> None:
        self._broker = broker
        self._operator = operator
        self._client: aiomqtt.Client | None = None
        self._broken = asyncio.Event()
        self._failed = 0
        self._up_since_s = math.inf
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
            on_change: called with True once the subscriptions stand, False when the link went.
        """
        dice = secrets.SystemRandom()
        while True:
            attempt = next_try(self._failed, dice.random())
            self._connect_within_s = attempt.connect_within_s
            await asyncio.sleep(attempt.wait_s)
            self._failed += 1
            self._up_since_s = math.inf
            try:
                await _serve(self._serve_once(subscriptions, on_message, on_change))
            except (aiomqtt.MqttError, _LinkBroken, OSError) as error:
                LOGGER.warning("broker %s:%d: %s", self._broker.host, self._broker.port, error)
            self.counts["connections_lost"] += 1
            if asyncio.get_running_loop().time() - self._up_since_s > STOOD_S:
                self._failed = 0

    async def publish(self, message: Outgoing) -> bool:
        """Send now or not at all; return whether it went out."""
        client = self._client
        if client is None:
            self.counts["not_connected"] += 1
            return False
        try:
            await client.publish(message.topic, message.payload, message.qos, retain=False)
        except aiomqtt.MqttError:
            self.counts["not_sent"] += 1
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

    async def _serve_once(
        self,
        subscriptions: Sequence[tuple[str, int]],
        on_message: MessageHandler,
        on_change: Callable[[bool], None],
    ) -> None:
        self._broken.clear()
        async with _connected(self._new_client()) as client:
            for topic, qos in subscriptions:
                await client.subscribe(topic, qos)
            _raise_if_cancelled()
            self._client = client
            self._up_since_s = asyncio.get_running_loop().time()
            on_change(True)
            try:
                async with asyncio.TaskGroup() as group:
                    group.create_task(self._read(client, on_message), name="mqtt reader")
                    group.create_task(self._until_broken(), name="mqtt watch")
            except* (aiomqtt.MqttError, _LinkBroken) as errors:
                raise _LinkBroken(str(errors.exceptions[0])) from None
            finally:
                self._client = None
                on_change(False)

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
