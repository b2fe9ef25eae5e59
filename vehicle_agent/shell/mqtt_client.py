"""One MQTT connection of the machine: short buffers, no Nagle, given up early, never reused."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import socket
import struct
from collections.abc import AsyncIterator, Coroutine
from typing import Any

import aiomqtt

from protocol.broker_settings import BrokerSettings
from protocol.reconnect import PATIENT_CONNECT_S
from protocol.tcp_progress import TCP_INFO_BYTES, TcpInfo, decode_tcp_info
from vehicle_agent.shell.incoming import IncomingQueue

KEEPALIVE_S = 5
OUT_TIMEOUT_S = 1.0
SOCKET_OPTIONS = (
    (socket.IPPROTO_TCP, socket.TCP_NODELAY, 1),
    (socket.SOL_SOCKET, socket.SO_SNDBUF, 8192),
    (socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 1500),
)


def new_client(
    broker: BrokerSettings,
    name: str,
    will: aiomqtt.Will | None = None,
    connect_within_s: float = PATIENT_CONNECT_S,
) -> aiomqtt.Client:
    """Return a client that is not connected yet, with a clean session.

    Args:
        broker: whom to reach, and as whom.
        name: what its client id begins with; a broker that pins ids takes the user's name instead.
        will: what the broker says when this end is lost.
        connect_within_s: how long its TCP connection may take.
    """
    tls = None
    if broker.ca is not None:
        tls = aiomqtt.TLSParameters(
            ca_certs=str(broker.ca),
            certfile=None if broker.cert is None else str(broker.cert),
            keyfile=None if broker.key is None else str(broker.key),
        )
    client = aiomqtt.Client(
        broker.host,
        broker.port,
        username=broker.username,
        password=broker.secret,
        tls_params=tls,
        identifier=f"{name}-{secrets.token_hex(16)}",
        protocol=aiomqtt.ProtocolVersion.V311,
        clean_session=True,
        keepalive=KEEPALIVE_S,
        timeout=OUT_TIMEOUT_S,
        will=will,
        queue_type=IncomingQueue,
        socket_options=SOCKET_OPTIONS,
    )
    client._client.connect_timeout = connect_within_s  # aiomqtt passes none on
    return client


@contextlib.asynccontextmanager
async def connected(client: aiomqtt.Client) -> AsyncIterator[None]:
    """Hold a connection for the time of the block; afterwards its socket is closed for certain.

    aiomqtt leaves it open when connecting or leaving fails: a dead connection would go on holding
    what the broker sent, and keep its place there.
    """
    try:
        async with client:
            raise_if_cancelled()
            yield
    finally:
        client._client._sock_close()


def tcp_info(client: aiomqtt.Client) -> TcpInfo | None:
    """Return what the kernel tells of a client's connection; None when it has none."""
    stream = client._client.socket()
    if not isinstance(stream, socket.socket):
        return None
    with contextlib.suppress(OSError):  # closed at this very moment
        return decode_tcp_info(
            stream.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, TCP_INFO_BYTES)
        )
    return None


def made_way(client: aiomqtt.Client) -> int:
    """Return how many messages of a client's connection made way for newer ones."""
    waiting = client._queue
    assert isinstance(waiting, IncomingQueue)
    return waiting.dropped


def forget_unsent(client: aiomqtt.Client) -> None:
    """Let the kernel forget what still waits in a connection, once that is closed."""
    stream = client._client.socket()
    if isinstance(stream, socket.socket):
        with contextlib.suppress(OSError):
            stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def raise_if_cancelled() -> None:
    """Raise when this task was asked to end and what it awaited has hidden that.

    asyncio.wait_for, which aiomqtt awaits everything by, loses a cancellation that comes together
    with its result (Python 3.11, github.com/python/cpython/issues/86296); a task of a group that
    goes on after that holds up the whole group for ever.
    """
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


async def publish(
    client: aiomqtt.Client, topic: str, payload: bytes, qos: int, *, retain: bool
) -> None:
    """Publish; end with the task although the message left at that very moment."""
    await client.publish(topic, payload, qos, retain)
    raise_if_cancelled()


async def serve(work: Coroutine[Any, Any, None]) -> None:
    """Run one connection's work in a task of its own; its errors come out, and cancellation always.

    Leaving a connection may fail, and that failure takes the place of the cancellation; whoever
    then connects again never ends. In a task of its own because a task group that fails leaves its
    task marked as cancelled (Python 3.11).
    """
    try:
        await asyncio.create_task(work, name="mqtt connection")
    except BaseException:
        raise_if_cancelled()
        raise
