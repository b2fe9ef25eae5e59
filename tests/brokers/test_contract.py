"""What a control broker owes both links: one class, run against each broker."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from protocol.control_peer import CommandPath
from tests.brokers import rig
from tests.brokers.rig import OPERATOR, TOPICS, Broker, Cockpit, Machine
from vehicle_agent.shell import ipc

pytestmark = pytest.mark.system
COMMAND = bytes(range(88))
STATE = b"state frame"


@pytest.fixture(
    scope="module", params=["embedded", pytest.param("mosquitto", marks=rig.needs_mosquitto)]
)
def broker(request: pytest.FixtureRequest) -> Iterator[Broker]:
    if request.param == "mosquitto":
        yield request.getfixturevalue("control")
        return
    with rig.embedded() as running:
        yield running


class TestControlBroker:
    """The links are the real ones; guardian and media are mailboxes."""

    @pytest.fixture
    def machine(self, broker: Broker, telemetry_of: Broker | None, sockets: Path) -> Machine:
        slow = None if telemetry_of is None else telemetry_of.settings(rig.VEHICLE)
        return Machine(rig.agent_settings(sockets, broker.settings(rig.VEHICLE), slow))

    @pytest.fixture
    def telemetry_of(self, broker: Broker, request: pytest.FixtureRequest) -> Broker | None:
        """A broker that keeps nothing has one beside it for what is retained."""
        return None if broker.site is None else request.getfixturevalue("telemetry")

    @pytest.fixture
    def cockpit(self, broker: Broker) -> Cockpit:
        return Cockpit(broker.settings(OPERATOR), OPERATOR)

    async def test_command__reaches_the_guardian_byte_for_byte(
        self, machine: Machine, cockpit: Cockpit
    ) -> None:
        async with machine.running(), cockpit.running():
            assert await cockpit.say(TOPICS.cmd(OPERATOR), COMMAND)
            path = bytes([CommandPath.MQTT])
            assert await machine.next() == ipc.TO_GUARDIAN_COMMAND + path + COMMAND

    async def test_state__reaches_the_cockpit(self, machine: Machine, cockpit: Cockpit) -> None:
        async with machine.running(), cockpit.running():
            machine.say(ipc.TO_LINK_STATE + STATE)
            assert await cockpit.next() == (TOPICS.state, STATE)

    async def test_request_and_answer__find_each_other(
        self, machine: Machine, cockpit: Cockpit
    ) -> None:
        async with machine.running(), cockpit.running():
            assert await cockpit.say(TOPICS.req(OPERATOR), b"may I", 1)
            asked = await machine.next()
            machine.say(ipc.with_name(ipc.TO_LINK_ACK, OPERATOR, b"you may"))
            answer = await cockpit.next()
        assert asked == ipc.with_name(ipc.TO_GUARDIAN_REQUEST, OPERATOR, b"may I")
        assert answer == (TOPICS.ack(OPERATOR), b"you may")

    async def test_stop__reaches_the_guardian_with_its_author(
        self, machine: Machine, cockpit: Cockpit
    ) -> None:
        async with machine.running(), cockpit.running():
            assert await cockpit.say(TOPICS.stop(OPERATOR), b"stop")
            assert await machine.next() == ipc.with_name(ipc.TO_GUARDIAN_STOP, OPERATOR, b"stop")

    async def test_longest_session_description__passes_both_ways(
        self, machine: Machine, cockpit: Cockpit
    ) -> None:
        offer, answer = b"o" * 48 * 1024, b"a" * 48 * 1024
        async with machine.running(), cockpit.running():
            assert await cockpit.say(TOPICS.signal(OPERATOR), offer, 1)
            asked = await machine.next()
            echo = await cockpit.next()
            machine.say(ipc.with_name(ipc.TO_LINK_SIGNAL, OPERATOR, answer))
            told = await cockpit.next()
        assert asked == ipc.with_name(ipc.TO_MEDIA_SIGNAL, OPERATOR, offer)
        assert (echo, told) == (
            (TOPICS.signal(OPERATOR), offer),
            (TOPICS.signal(OPERATOR), answer),
        )

    async def test_said_while_the_cockpit_was_away__never_comes(
        self, machine: Machine, broker: Broker
    ) -> None:
        async with machine.running():
            for word in (b"old", b"new"):
                cockpit = Cockpit(broker.settings(OPERATOR), OPERATOR)
                async with cockpit.running():
                    machine.say(ipc.with_name(ipc.TO_LINK_ACK, OPERATOR, word))
                    heard = await cockpit.next()
                machine.say(ipc.with_name(ipc.TO_LINK_ACK, OPERATOR, b"said to nobody"))
                machine.say(ipc.TO_LINK_EVENT + b"said to nobody")
        assert heard == (TOPICS.ack(OPERATOR), b"new")

    async def test_commands_while_the_machine_was_away__never_come(
        self, broker: Broker, cockpit: Cockpit, sockets: Path, telemetry_of: Broker | None
    ) -> None:
        slow = None if telemetry_of is None else telemetry_of.settings(rig.VEHICLE)
        settings = rig.agent_settings(sockets, broker.settings(rig.VEHICLE), slow)
        async with cockpit.running():
            async with Machine(settings).running():
                pass
            assert await cockpit.say(TOPICS.req(OPERATOR), b"old", 1)
            assert await cockpit.say(TOPICS.cmd(OPERATOR), COMMAND)
            async with Machine(settings).running() as machine:
                assert await cockpit.say(TOPICS.req(OPERATOR), b"new", 1)
                got = await machine.next()
        assert got == ipc.with_name(ipc.TO_GUARDIAN_REQUEST, OPERATOR, b"new")
