"""The embedded broker as a process."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from collections.abc import Iterator

import aiomqtt
import pytest

START_WITHIN_S = 20.0
pytestmark = pytest.mark.system


@pytest.fixture
def process() -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-W", "error", "-m", "vehicle_agent.shell.broker", "--port", "0"]
    broker = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert broker.stdout is not None
    assert broker.stderr is not None
    with broker.stdout, broker.stderr:
        yield broker
        broker.kill()
        broker.wait()


@pytest.fixture
def port(process: subprocess.Popen[str]) -> int:
    assert process.stdout is not None
    number = int(process.stdout.readline().rsplit(" ", 1)[1])
    assert process.stdout.readline() == "ready\n"
    return number


async def test_message__reaches_a_subscriber(port: int) -> None:
    async with (
        asyncio.timeout(START_WITHIN_S),
        aiomqtt.Client("127.0.0.1", port) as hears,
        aiomqtt.Client("127.0.0.1", port) as says,
    ):
        await hears.subscribe("a/#")
        await says.publish("a/b", b"\x00\xff")
        message = await anext(aiter(hears.messages))
    assert (str(message.topic), message.payload) == ("a/b", b"\x00\xff")


async def test_retained_message__reaches_a_later_subscriber(port: int) -> None:
    async with asyncio.timeout(START_WITHIN_S), aiomqtt.Client("127.0.0.1", port) as client:
        await client.publish("a/connection", b"ONLINE", qos=1, retain=True)
        await client.subscribe("a/connection", qos=1)
        message = await anext(aiter(client.messages))
    assert message.payload == b"ONLINE"
    assert message.retain


async def test_client_vanishes__its_will_is_published(port: int) -> None:
    arguments = ("-c", VANISHES, str(port), "a/connection", "CONNECTION_BROKEN")
    async with (
        asyncio.timeout(START_WITHIN_S),
        aiomqtt.Client("127.0.0.1", port) as hears,
    ):
        await hears.subscribe("a/connection", qos=1)
        vanishing = await asyncio.create_subprocess_exec(sys.executable, *arguments)
        message = await anext(aiter(hears.messages))
        await vanishing.wait()
    assert message.payload == b"CONNECTION_BROKEN"


VANISHES = """
import os, sys
import paho.mqtt.client as mqtt
client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2)
client.will_set(sys.argv[2], sys.argv[3], qos=1)
client.on_connect = lambda *_: os._exit(0)
client.connect("127.0.0.1", int(sys.argv[1]))
client.loop_forever()
"""


def test_sigterm__ends_it_quietly(process: subprocess.Popen[str], port: int) -> None:
    process.send_signal(signal.SIGTERM)
    assert process.wait(START_WITHIN_S) == 0
    assert process.stderr is not None
    assert process.stderr.read() == ""
