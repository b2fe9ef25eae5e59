"""A link that is asked to end does so and closes its socket, although leaving its broker fails."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path
from typing import Any, cast

import aiomqtt
import pytest

from operator_console.core.session import Outgoing
from operator_console.shell.link import MqttLink, _Standing
from protocol.broker_settings import BrokerSettings
from tests.brokers import rig
from vehicle_agent.shell import ipc, line, telemetry_link
from vehicle_agent.shell.link import Link
from vehicle_agent.shell.presence import Presence
from vehicle_agent.shell.telemetry_link import TelemetryLink

NOWHERE = BrokerSettings(host="127.0.0.1", port=1)


class StuckClient:
    """A connection that stands, carries nothing, and cannot be left cleanly."""

    def __init__(self) -> None:
        self.entered = asyncio.Event()
        self.messages = self
        self._client = self
        self.closed = False

    def _sock_close(self) -> None:
        self.closed = True

    def socket(self) -> None:
        """Have none."""

    async def __aenter__(self) -> StuckClient:
        self.entered.set()
        return self

    async def __aexit__(self, *_: object) -> None:
        raise aiomqtt.MqttError("cannot be left")

    def __aiter__(self) -> StuckClient:
        return self

    async def __anext__(self) -> Any:
        await asyncio.Event().wait()

    async def subscribe(self, *_: object, **__: object) -> None:
        """Subscribe to nothing."""

    async def publish(self, *_: object, **__: object) -> None:
        """Publish nothing."""


async def ends(work: asyncio.Task[None], client: StuckClient) -> bool:
    async with asyncio.timeout(5.0):
        await client.entered.wait()
    work.cancel()
    await asyncio.wait([work], timeout=5.0)
    return work.cancelled() and client.closed


@pytest.fixture
def mailbox(sockets: Path) -> ipc.Mailbox:
    return ipc.Mailbox(sockets, ipc.LINK)


@pytest.fixture
def machine(sockets: Path, mailbox: ipc.Mailbox) -> Link:
    return Link(rig.agent_settings(sockets, NOWHERE), mailbox)


async def test_machines_link__ends(
    machine: Link, mailbox: ipc.Mailbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = StuckClient()
    monkeypatch.setattr(line, "new_client", lambda *_: client)
    ended = await ends(asyncio.create_task(machine.run()), client)
    asyncio.get_running_loop().remove_reader(mailbox.fileno())
    await asyncio.to_thread(mailbox.close)
    assert ended


async def test_telemetry_link__ends(sockets: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    client = StuckClient()
    monkeypatch.setattr(telemetry_link, "new_client", lambda *_: client)
    presence = await asyncio.to_thread(Presence, rig.agent_settings(sockets, NOWHERE))
    telemetry = TelemetryLink(NOWHERE, rig.VEHICLE, presence)
    assert await ends(asyncio.create_task(telemetry.run()), client)


async def test_consoles_link__ends(monkeypatch: pytest.MonkeyPatch) -> None:
    client = StuckClient()
    console = MqttLink(NOWHERE, rig.OPERATOR)
    monkeypatch.setattr(console, "_new_client", lambda: client)
    work = console.run((), lambda _topic, _content: None, lambda _up: None)
    assert await ends(asyncio.create_task(work), client)


class HidingClient(StuckClient):
    """A connection on which a cancellation comes together with the result, and is lost."""

    async def publish(self, *_: object, **__: object) -> None:
        """Publish, and hide that the task was cancelled meanwhile."""
        self.entered.set()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.Event().wait()

    async def __aenter__(self) -> StuckClient:
        return self


async def test_cancelled_while_presence_is_told__the_machines_link_ends(
    machine: Link, mailbox: ipc.Mailbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = HidingClient()
    monkeypatch.setattr(line, "new_client", lambda *_: client)
    ended = await ends(asyncio.create_task(machine.run()), client)
    asyncio.get_running_loop().remove_reader(mailbox.fileno())
    await asyncio.to_thread(mailbox.close)
    assert ended


async def test_cancelled_while_a_message_leaves__the_consoles_sender_ends() -> None:
    client = HidingClient()
    console = MqttLink(NOWHERE, rig.OPERATOR)
    console._used = _Standing(cast("aiomqtt.Client", client), contextlib.AsyncExitStack())
    console._up = True
    sending = asyncio.create_task(console.publish(Outgoing("a", b"b", 0)))
    await client.entered.wait()
    sending.cancel()
    await asyncio.wait([sending], timeout=5.0)
    assert sending.cancelled()
