"""What every command path owes both ends: one class, run against each of them."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Protocol

import pytest

from operator_console.core.session import Outgoing
from operator_console.shell.control_peer import ControlPath
from protocol.broker_settings import BrokerSettings
from protocol.control_peer import CommandPath
from protocol.messages import SignalClaims, load_private_key, load_trust, sign_claims
from tests.brokers import rig
from tests.brokers.rig import OPERATOR, TOPICS, VEHICLE, Broker, Cockpit, Machine
from vehicle_agent.shell import clock, ipc
from vehicle_agent.shell.config import AgentSettings, ControlPeerSettings, KeySettings
from vehicle_agent.shell.link import Link

pytestmark = pytest.mark.system
COMMAND = bytes(range(88))
STATE = b"state frame"
STOP = b"signed stop"
NOWHERE = 1


class Way(Protocol):
    """A console and a machine joined by one command path."""

    path: CommandPath

    async def command(self, frame: bytes) -> bool: ...

    async def stop(self, token: bytes) -> bool: ...

    def say(self, datagram: bytes) -> None: ...

    async def next_datagram(self) -> bytes: ...

    async def next_state(self) -> bytes: ...


class MqttWay:
    """Both real links over a broker."""

    path = CommandPath.MQTT

    def __init__(self, machine: Machine, cockpit: Cockpit) -> None:
        self.say = machine.say
        self.next_datagram = machine.next
        self._cockpit = cockpit

    async def command(self, frame: bytes) -> bool:
        return await self._cockpit.say(TOPICS.cmd(OPERATOR), frame)

    async def stop(self, token: bytes) -> bool:
        return await self._cockpit.say(TOPICS.stop(OPERATOR), token)

    async def next_state(self) -> bytes:
        return (await self._cockpit.next())[1]


class ChannelWay:
    """Data channels, set up over a broker."""

    path = CommandPath.DATA_CHANNEL

    def __init__(self, machine: Machine, direct: ControlPath, states: asyncio.Queue[bytes]) -> None:
        self.say = machine.say
        self.next_datagram = machine.next
        self._direct = direct
        self._states = states

    async def command(self, frame: bytes) -> bool:
        return self._direct.send_command(frame)

    async def stop(self, token: bytes) -> bool:
        return self._direct.send_stop(token)

    async def next_state(self) -> bytes:
        async with asyncio.timeout(10.0):
            return await self._states.get()


class ProcessWay:
    """The machine's link in this process, without a broker."""

    path = CommandPath.MQTT

    def __init__(self, link: Link, guardian: ipc.Mailbox) -> None:
        self._link = link
        self._guardian = guardian

    async def command(self, frame: bytes) -> bool:
        self._link._to_machine(TOPICS.cmd(OPERATOR), frame, retained=False)
        return True

    async def stop(self, token: bytes) -> bool:
        self._link._to_machine(TOPICS.stop(OPERATOR), token, retained=False)
        return True

    def say(self, datagram: bytes) -> None:
        assert self._guardian.send(ipc.LINK, datagram)

    async def next_datagram(self) -> bytes:
        datagram = self._guardian.receive()
        assert datagram is not None
        return datagram

    async def next_state(self) -> bytes:
        self._link._from_machine()
        return self._link._stream.outbox.newest[TOPICS.state]


class Given:
    """What a way may be made of."""

    def __init__(self, request: pytest.FixtureRequest, site: Path, folder: Path) -> None:
        self.request = request
        self.site = site
        self.folder = folder


@contextlib.asynccontextmanager
async def over_mqtt(settings: AgentSettings, broker: Broker) -> AsyncIterator[Way]:
    machine, cockpit = Machine(settings), Cockpit(broker.settings(OPERATOR), OPERATOR)
    async with machine.running(), cockpit.running():
        yield MqttWay(machine, cockpit)


@contextlib.asynccontextmanager
async def over_embedded(given: Given) -> AsyncIterator[Way]:
    with rig.embedded() as broker:
        settings = rig.agent_settings(given.folder, broker.settings(VEHICLE))
        async with over_mqtt(settings, broker) as way:
            yield way


@contextlib.asynccontextmanager
async def over_mosquitto(given: Given) -> AsyncIterator[Way]:
    control = given.request.getfixturevalue("control")
    telemetry = given.request.getfixturevalue("telemetry")
    settings = rig.agent_settings(
        given.folder, control.settings(VEHICLE), telemetry.settings(VEHICLE)
    )
    async with over_mqtt(settings, control) as way:
        yield way


def with_peer(folder: Path, site: Path, broker: Broker) -> AgentSettings:
    keys = KeySettings(device=site / VEHICLE / "device.jwk", trust=site / "trust.json")
    peer = ControlPeerSettings(ice_addresses=[rig.HOST])
    return rig.agent_settings(folder, broker.settings(VEHICLE)).model_copy(
        update={"keys": keys, "control_peer": peer}
    )


def direct_of(
    site: Path,
    post: Callable[[Outgoing], bool],
    states: asyncio.Queue[bytes],
    changes: asyncio.Queue[bool],
) -> ControlPath:
    return ControlPath(
        OPERATOR,
        TOPICS,
        load_private_key((site / OPERATOR / "device.jwk").read_text(encoding="utf-8")),
        load_trust((site / "trust.json").read_text(encoding="utf-8"), clock.wall_now()),
        (rig.HOST,),
        post=post,
        on_state=states.put_nowait,
        on_change=changes.put_nowait,
    )


@contextlib.asynccontextmanager
async def over_channel(given: Given) -> AsyncIterator[Way]:
    site, folder = given.site, given.folder
    states: asyncio.Queue[bytes] = asyncio.Queue()
    changes: asyncio.Queue[bool] = asyncio.Queue()
    offers: asyncio.Queue[Outgoing] = asyncio.Queue()

    def post(message: Outgoing) -> bool:
        offers.put_nowait(message)
        return True

    with rig.embedded() as broker:
        machine = Machine(await asyncio.to_thread(with_peer, folder, site, broker))
        cockpit = Cockpit(broker.settings(OPERATOR), OPERATOR)
        direct = await asyncio.to_thread(direct_of, site, post, states, changes)

        async def signal_out() -> None:
            while True:
                await cockpit.link.publish(await offers.get())

        async def signal_in() -> None:
            while True:
                direct.hear_signal((await cockpit.heard.get())[1])

        async with machine.running(), cockpit.running():
            tasks = [asyncio.create_task(work) for work in (signal_out(), signal_in())]
            tasks.append(asyncio.create_task(direct.run()))
            try:
                async with asyncio.timeout(10.0):
                    assert await changes.get()
                yield ChannelWay(machine, direct, states)
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)


@contextlib.asynccontextmanager
async def in_process(given: Given) -> AsyncIterator[Way]:
    folder, nowhere = given.folder, BrokerSettings(host=rig.HOST, port=NOWHERE)
    guardian, box = await asyncio.to_thread(
        lambda: (ipc.Mailbox(folder, ipc.GUARDIAN), ipc.Mailbox(folder, ipc.LINK))
    )
    link = await asyncio.to_thread(Link, rig.agent_settings(folder, nowhere), box)
    yield ProcessWay(link, guardian)
    for each in (guardian, box):
        await asyncio.to_thread(each.close)


class TestCommandPath:
    """Guardian and media are mailboxes; everything else is real."""

    @pytest.fixture(
        params=[
            over_embedded,
            pytest.param(over_mosquitto, marks=rig.needs_mosquitto),
            over_channel,
            in_process,
        ],
        ids=lambda make: make.__name__,
    )
    async def way(
        self, request: pytest.FixtureRequest, site: Path, sockets: Path
    ) -> AsyncIterator[Way]:
        async with request.param(Given(request, site, sockets)) as made:
            yield made

    async def test_command__reaches_the_guardian_byte_for_byte_under_its_path(
        self, way: Way
    ) -> None:
        assert await way.command(COMMAND)

        expected = ipc.TO_GUARDIAN_COMMAND + bytes([way.path]) + COMMAND
        assert await way.next_datagram() == expected

    async def test_stop__reaches_the_guardian_with_its_author(self, way: Way) -> None:
        assert await way.stop(STOP)

        assert await way.next_datagram() == ipc.with_name(ipc.TO_GUARDIAN_STOP, OPERATOR, STOP)

    async def test_state__reaches_the_console_byte_for_byte(self, way: Way) -> None:
        way.say(ipc.TO_LINK_STATE + STATE)

        assert await way.next_state() == STATE


def signal(site: Path, peer: str) -> bytes:
    """Return a signed farewell for a peer connection that does not stand."""
    content = {
        "iss": OPERATOR,
        "aud": VEHICLE,
        "role": "bye",
        "peer": peer,
        "session": "ab" * 16,
    }
    key = load_private_key((site / OPERATOR / "device.jwk").read_text(encoding="utf-8"))
    return sign_claims(SignalClaims.model_validate(content), key)


async def test_signals__those_for_media_go_there_and_those_for_control_do_not(
    site: Path, sockets: Path
) -> None:
    media, control = (signal(site, peer) for peer in ("media", "control"))
    with rig.embedded() as broker:
        machine = Machine(await asyncio.to_thread(with_peer, sockets, site, broker))
        cockpit = Cockpit(broker.settings(OPERATOR), OPERATOR)
        async with machine.running(), cockpit.running():
            for token in (control, media):
                assert await cockpit.say(TOPICS.signal(OPERATOR), token, 1)
            assert await machine.next() == ipc.with_name(ipc.TO_MEDIA_SIGNAL, OPERATOR, media)
