"""Hostile clients on a real Mosquitto with the shipped files: TLS, access lists, pinned ids.

That something did not arrive is proven by what comes after it on the same way, not by waiting.
"""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import signal
from pathlib import Path

import aiomqtt
import pytest

from operator_console.shell.link import MqttLink
from tests.brokers import rig
from tests.brokers.rig import (
    OPERATOR,
    OTHER,
    TOPICS,
    VEHICLE,
    Broker,
    Cockpit,
    Machine,
    next_payload,
)
from vehicle_agent.shell import clock, ipc, keys
from vehicle_agent.shell.mqtt_client import connected, new_client

pytestmark = [pytest.mark.system, rig.needs_mosquitto]
FLOOD = 500


async def listening(client: aiomqtt.Client) -> None:
    for name in ("cmd", "req", "stop", "signal"):
        await client.subscribe(TOPICS.all_of(name))


@pytest.mark.parametrize("name", ["cmd", "req", "stop", "signal"])
async def test_operator_on_anothers_topic__is_not_passed_on(control: Broker, name: str) -> None:
    async with control.client(VEHICLE) as machine, control.client(OTHER) as intruder:
        await listening(machine)
        theirs, own = (f"{TOPICS.all_of(name)[:-1]}{who}" for who in (OPERATOR, OTHER))
        await intruder.publish(theirs, b"forged")
        await intruder.publish(own, b"own")
        assert await next_payload(machine) == b"own"


@pytest.mark.parametrize("topic", [TOPICS.state, TOPICS.authority, TOPICS.ack(OPERATOR)])
async def test_operator_who_speaks_as_the_machine__is_not_passed_on(
    control: Broker, topic: str
) -> None:
    async with (
        control.client(VEHICLE) as machine,
        control.client(OPERATOR) as cockpit,
        control.client(OTHER) as intruder,
    ):
        await cockpit.subscribe(topic)
        await intruder.publish(topic, b"forged", qos=1)
        await machine.publish(topic, b"true")
        assert await next_payload(cockpit) == b"true"


async def test_wildcard_subscriber__hears_no_commands_of_others(control: Broker) -> None:
    async with (
        control.client(VEHICLE) as machine,
        control.client(OPERATOR) as cockpit,
        control.client(OTHER) as spy,
    ):
        await listening(machine)
        await spy.subscribe("#")
        for topic in (TOPICS.cmd(OPERATOR), TOPICS.req(OPERATOR), TOPICS.stop(OPERATOR)):
            await cockpit.publish(topic, b"secret")
            await next_payload(machine)
        await machine.publish(TOPICS.state, b"state")
        assert await next_payload(spy) == b"state"


async def test_retained_command__is_refused_with_its_sender_and_kept_for_nobody(
    control: Broker,
) -> None:
    with contextlib.suppress(aiomqtt.MqttError):
        async with control.client(OPERATOR, within_s=1.0) as cockpit:
            await cockpit.publish(TOPICS.req(OPERATOR), b"kept", qos=1, retain=True)
            pytest.fail("a retained message was taken")
    async with control.client(VEHICLE) as machine, control.client(OPERATOR) as cockpit:
        await listening(machine)
        await cockpit.publish(TOPICS.req(OPERATOR), b"live", qos=1)
        assert await next_payload(machine) == b"live"


@pytest.mark.parametrize(
    "guess", [OPERATOR, VEHICLE, f"console-{OPERATOR}", f"vehicle-{VEHICLE}", f"console-{OTHER}"]
)
async def test_client_id_guessed_from_a_name__throws_nobody_off(
    control: Broker, telemetry: Broker, sockets: Path, guess: str
) -> None:
    settings = rig.agent_settings(sockets, control.settings(VEHICLE), telemetry.settings(VEHICLE))
    machine, cockpit = Machine(settings), Cockpit(control.settings(OPERATOR), OPERATOR)
    async with machine.running(), cockpit.running():
        async with control.client(OTHER, identifier=guess):
            assert await cockpit.say(TOPICS.req(OPERATOR), b"still here", 1)
            expected = ipc.with_name(ipc.TO_GUARDIAN_REQUEST, OPERATOR, b"still here")
            assert await machine.next() == expected
        assert cockpit.link.counts["connections_lost"] == 0


async def one_id_for_two(broker: Broker) -> None:
    """Listen under an id until somebody else connects under it."""
    async with (
        broker.client(OPERATOR, identifier="known") as cockpit,
        broker.client(OTHER, identifier="known"),
    ):
        await anext(aiter(cockpit.messages))


async def test_client_id_that_another_knows__lets_him_throw_its_owner_off(control: Broker) -> None:
    """Why ids are drawn anew for each connection, and stand in no message."""
    with pytest.raises(aiomqtt.MqttError):
        await one_id_for_two(control)


async def test_client_ids__are_random_and_differ_with_each_connection(control: Broker) -> None:
    settings = control.settings(OPERATOR)
    console = MqttLink(settings, OPERATOR)
    machine = [new_client(settings, VEHICLE) for _ in range(2)]
    clients = [*machine, *(console._new_client() for _ in range(2))]
    drawn = {client.identifier.rpartition("-")[2] for client in clients}

    assert len(drawn) == 4
    assert {len(bytes.fromhex(each)) for each in drawn} == {16}


async def test_flood_of_stops__a_command_still_gets_through(control: Broker) -> None:
    async with (
        control.client(VEHICLE) as machine,
        control.client(OPERATOR) as cockpit,
        control.client(OTHER) as flooder,
    ):
        await listening(machine)
        for _ in range(FLOOD):
            await flooder.publish(TOPICS.stop(OTHER), b"stop")
        await cockpit.publish(TOPICS.cmd(OPERATOR), b"command")
        got = b""
        count = -1
        while got != b"command":
            got = await next_payload(machine)
            count += 1
        assert count <= FLOOD


async def test_no_certificate__is_let_nowhere(control: Broker, site: Path) -> None:
    tls = aiomqtt.TLSParameters(ca_certs=str(site / "authority.crt"))
    client = aiomqtt.Client(rig.HOST, control.port, tls_params=tls, identifier="x", timeout=1.0)
    with pytest.raises(aiomqtt.MqttError):
        async with connected(client):
            pass


@pytest.fixture
def stranger(site: Path, tmp_path: Path) -> Path:
    """Another authority's site, whose cockpit knows this one's broker."""
    stranger = rig.make_site(tmp_path)
    shutil.copy(site / "authority.crt", stranger / OPERATOR / "ca.crt")
    return stranger


async def test_certificate_of_another_authority__is_let_nowhere(
    control: Broker, stranger: Path
) -> None:
    impostor = Broker(control.port, stranger, control.process)
    with pytest.raises(aiomqtt.MqttError):
        async with impostor.client(OPERATOR, within_s=1.0):
            pass


async def connects(broker: Broker, name: str) -> bool:
    """Whether the broker takes a client with this certificate."""
    with contextlib.suppress(aiomqtt.MqttError):
        async with broker.client(name, within_s=2.0):
            return True
    return False


def test_revoked_certificate__is_let_nowhere_once_the_list_is_there(tmp_path: Path) -> None:
    site = rig.make_site(tmp_path)
    with rig.mosquitto(tmp_path, site, "control.conf") as broker:
        before = asyncio.run(connects(broker, OTHER))
        keys.revoke(site, OTHER, "lost", clock.wall_now())
        shutil.copy(site / "crl.pem", tmp_path / "broker" / "crl.pem")
        broker.process.send_signal(signal.SIGHUP)
        rig.wait_for(broker.process, "Reloading config.")
        after = asyncio.run(connects(broker, OTHER))
        others = asyncio.run(connects(broker, OPERATOR))
    assert (before, after, others) == (True, False, True)
