"""The telemetry broker: presence waits there for latecomers, and no command passes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import aiomqtt
import pytest

from protocol.topics import Topics
from tests.brokers import rig
from tests.brokers.rig import OPERATOR, TOPICS, VEHICLE, Broker, Machine, next_payload
from vehicle_agent.shell import ipc

pytestmark = [pytest.mark.system, rig.needs_mosquitto]
BRIDGED = {"connection", "factsheet", "telemetry/+", "event"}


@pytest.fixture
def machine(control: Broker, telemetry: Broker, sockets: Path) -> Machine:
    return Machine(
        rig.agent_settings(sockets, control.settings(VEHICLE), telemetry.settings(VEHICLE))
    )


async def until_told(client: aiomqtt.Client) -> None:
    """Wait until the machine has said that it is there, and hear no more of that."""
    await client.subscribe(TOPICS.connection, qos=1)
    while json.loads(await next_payload(client))["state"] != "ONLINE":
        pass
    await client.unsubscribe(TOPICS.connection)


async def test_presence_and_factsheet__wait_for_whoever_comes_later(
    machine: Machine, telemetry: Broker
) -> None:
    async with machine.running(), telemetry.client(OPERATOR) as early:
        await until_told(early)
        async with telemetry.client(rig.OTHER) as late:
            await late.subscribe(TOPICS.connection, qos=1)
            presence = json.loads(await next_payload(late))
    assert presence["state"] == "ONLINE"


async def test_machine_ends__says_offline(machine: Machine, telemetry: Broker) -> None:
    async with telemetry.client(OPERATOR) as screen:
        async with machine.running():
            await until_told(screen)
            await screen.subscribe(TOPICS.connection, qos=1)
            await next_payload(screen)
        assert json.loads(await next_payload(screen))["state"] == "OFFLINE"


async def test_event__is_told_on_both_brokers(
    machine: Machine, control: Broker, telemetry: Broker
) -> None:
    async with (
        machine.running(),
        control.client(OPERATOR) as cockpit,
        telemetry.client(rig.OTHER) as office,
    ):
        await until_told(office)
        for client in (cockpit, office):
            await client.subscribe(TOPICS.event, qos=1)
        machine.say(ipc.TO_LINK_EVENT + b"event")
        assert [await next_payload(client) for client in (cockpit, office)] == [b"event"] * 2


async def test_slow_values__go_to_the_telemetry_broker(machine: Machine, telemetry: Broker) -> None:
    async with machine.running(), telemetry.client(OPERATOR) as office:
        await until_told(office)
        await office.subscribe(TOPICS.telemetry("control"))
        machine.say(ipc.with_name(ipc.TO_LINK_TELEMETRY, "control", b"slow"))
        assert await next_payload(office) == b"slow"


async def test_command_on_the_telemetry_broker__is_passed_to_nobody(telemetry: Broker) -> None:
    async with telemetry.client(OPERATOR) as cockpit, telemetry.client(VEHICLE) as machine:
        await machine.subscribe("#")
        await cockpit.publish(TOPICS.cmd(OPERATOR), b"command", qos=1)
        await machine.publish(Topics(rig.SITE, VEHICLE).telemetry("own"), b"own")
        seen = await next_payload(machine)
        while seen not in (b"own", b"command"):
            seen = await next_payload(machine)
        assert seen == b"own"


def test_bridge__carries_only_telemetry_and_only_outwards() -> None:
    text = (rig.CONFIGS / "telemetry-bridge.conf").read_text(encoding="utf-8")
    topics = [line.split() for line in text.splitlines() if line.startswith("topic ")]
    assert {words[2] for words in topics} == {"out"}
    assert {words[1].removeprefix("headframe/v1/+/+/") for words in topics} == BRIDGED


OFFICE = """
listener {port} 127.0.0.1
cafile {site}/broker/ca.crt
certfile {site}/broker/tls.crt
keyfile {site}/broker/tls.key
require_certificate true
use_identity_as_username true
allow_anonymous false
log_dest stderr
log_type notice
log_type information
"""


@pytest.fixture
def office(site: Path, tmp_path: Path) -> Iterator[Broker]:
    """A broker elsewhere that lets its clients do everything."""
    port = rig.free_port()
    path = tmp_path / "office.conf"
    text = OFFICE.format(port=port, site=site)
    path.write_text(text + rig.run_as_now(), encoding="utf-8")
    assert rig.MOSQUITTO is not None
    with rig.running([rig.MOSQUITTO, "-c", str(path)], tmp_path) as process:
        rig.wait_for(process, "running")
        yield Broker(port, site, process)


@pytest.fixture
def bridged(site: Path, office: Broker, tmp_path: Path) -> Iterator[Broker]:
    """A telemetry broker with the shipped bridge: only address and folder are the test's own."""
    text = (rig.CONFIGS / "telemetry-bridge.conf").read_text(encoding="utf-8")
    home = rig.install(tmp_path, site)
    text = text.replace("office.example:8883", f"127.0.0.1:{office.port}")
    text = text.replace("office-ca.crt", "ca.crt").replace(rig.INSTALLED, str(home))
    (home / "telemetry.d" / "bridge.conf").write_text(text, encoding="utf-8")
    with rig.mosquitto(tmp_path, site, "telemetry.conf") as broker:
        yield broker


async def test_bridge_to_an_office__carries_telemetry_there_and_nothing_back(
    bridged: Broker, office: Broker
) -> None:
    slow, cmd = TOPICS.telemetry("control"), TOPICS.cmd(OPERATOR)
    async with (
        office.client(OPERATOR) as reader,
        bridged.client(VEHICLE) as machine,
        bridged.client(rig.OTHER) as local,
    ):
        await reader.subscribe("headframe/#")
        await local.subscribe("headframe/#")
        await machine.publish(TOPICS.event, b"ONLINE", qos=1)
        told = await next_payload(reader, 20.0)
        here = await next_payload(local)
        for topic in (cmd, slow, TOPICS.event):
            await reader.publish(topic, b"from the office", qos=1)
        heard = [await next_payload(reader) for _ in range(3)]
        await machine.publish(slow, b"slow", qos=1)
        assert (told, here, heard) == (b"ONLINE", b"ONLINE", [b"from the office"] * 3)
        assert [await next_payload(reader), await next_payload(local)] == [b"slow"] * 2
