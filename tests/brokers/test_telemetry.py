"""The telemetry broker: presence waits there for latecomers, and no command passes."""

from __future__ import annotations

import json
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
