"""``headframe link-test`` with a machine's settings: answers whoever measures, moves nothing.

It speaks and listens on the machine's own topics under the machine's own certificate, so that it
must not run beside the machine's agent: brokers that pin client ids would throw one of them out.
While a guardian lives in the run folder it does not start, and it ends when one appears.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import signal
import socket
import sys
from pathlib import Path

import aiomqtt

from protocol.frames import vehicle_id
from protocol.profiles import parse_profile
from protocol.signals import DEFAULT_TIMING
from protocol.topics import Topics
from vehicle_agent.core.mirror import Mirror
from vehicle_agent.shell import ipc
from vehicle_agent.shell.clock import monotonic_ns
from vehicle_agent.shell.config import AgentSettings, load_agent_config
from vehicle_agent.shell.mqtt_client import (
    connected,
    new_client,
    publish,
    raise_if_cancelled,
    serve,
)

PERIOD_NS = DEFAULT_TIMING.command_period_ms * 1_000_000
LOOK_EVERY_S = 1.0
AGAIN_MIN_S, AGAIN_MAX_S = 0.2, 0.9
MQTT_PATH = 0


class MachineInService(RuntimeError):
    """Raised when the machine's agent runs; one line for a person."""


def guardian_lives(folder: Path) -> bool:
    """Whether a guardian listens in a run folder."""
    with contextlib.closing(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)) as probe:
        probe.setblocking(False)
        try:
            probe.connect(str(folder / ipc.GUARDIAN))
        except OSError:
            return False
    return True


def refuse_in_service(settings: AgentSettings) -> None:
    """Raise when the machine's agent runs on this computer.

    Raises:
        MachineInService: it does.
    """
    if guardian_lives(settings.runtime.dir):
        raise MachineInService(
            f"the agent of {settings.vehicle.name} runs; a link test takes its place at the "
            "broker: end the agent first"
        )


class MqttReflector:
    """The machine's side over the configured broker."""

    def __init__(self, settings: AgentSettings, mirror: Mirror) -> None:
        self._mqtt, self._mirror = settings.mqtt, mirror
        self._name = settings.vehicle.name
        self._topics = Topics(settings.vehicle.site, settings.vehicle.name)
        self._said = ""

    async def run(self) -> None:
        """Answer, and connect again, until cancelled."""
        dice = secrets.SystemRandom()
        while True:
            try:
                await serve(self._serve_once())
            except* (aiomqtt.MqttError, OSError) as group:
                self._say(f"the broker does not answer, trying on: {group.exceptions[0]}")
            await asyncio.sleep(dice.uniform(AGAIN_MIN_S, AGAIN_MAX_S))

    async def _serve_once(self) -> None:
        client = new_client(self._mqtt, f"vehicle-{self._name}")
        async with connected(client):
            await client.subscribe(self._topics.all_of("cmd"), qos=0)
            raise_if_cancelled()
            self._say(f"answers for {self._name} at {self._mqtt.host} port {self._mqtt.port}")
            async with asyncio.TaskGroup() as group:
                group.create_task(self._hear(client), name="hear")
                group.create_task(self._speak(client), name="speak")

    async def _hear(self, client: aiomqtt.Client) -> None:
        async for message in client.messages:
            if isinstance(message.payload, bytes) and not message.retain:
                self._mirror.hear(monotonic_ns(), MQTT_PATH, message.payload)

    async def _speak(self, client: aiomqtt.Client) -> None:
        due_ns = monotonic_ns()
        while True:
            reflection = self._mirror.reflection(monotonic_ns())
            await publish(client, self._topics.state, reflection, 0, retain=False)
            due_ns = max(due_ns + PERIOD_NS, monotonic_ns())
            await asyncio.sleep((due_ns - monotonic_ns()) / 1e9)

    def _say(self, text: str) -> None:
        if text != self._said:
            sys.stderr.write(f"headframe: {text}\n")
        self._said = text


def make_mirror(settings: AgentSettings) -> Mirror:
    """Return the mirror of a machine.

    Raises:
        OSError, ValueError: its file is not there or not what it should be.
    """
    profile = settings.vehicle.machine
    limits = parse_profile(profile.read_text(encoding="utf-8"), str(profile)).limits
    return Mirror(vehicle_id(settings.vehicle.name), DEFAULT_TIMING, limits.zone_speed_mps)


async def reflect(settings: AgentSettings, mirror: Mirror) -> None:
    """Answer until cancelled.

    Raises:
        MachineInService: the machine's agent runs, or was started.
    """
    answering = asyncio.create_task(MqttReflector(settings, mirror).run(), name="reflector")
    try:
        while not answering.done():
            refuse_in_service(settings)
            await asyncio.wait([answering], timeout=LOOK_EVERY_S)
        answering.result()
    finally:
        answering.cancel()
        await asyncio.gather(answering, return_exceptions=True)


async def _until_ended(settings: AgentSettings, mirror: Mirror, seconds: float | None) -> None:
    loop = asyncio.get_running_loop()
    work = asyncio.create_task(reflect(settings, mirror), name="reflect")
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, work.cancel)
    with contextlib.suppress(asyncio.CancelledError, TimeoutError):
        async with asyncio.timeout(seconds):
            await work


def run(config: Path, seconds: float | None) -> int:
    """Answer for ``seconds``; None until Ctrl-C.

    Raises:
        MachineInService, OSError, ValueError: one line for a person.
    """
    settings = load_agent_config(config)
    refuse_in_service(settings)
    asyncio.run(_until_ended(settings, make_mirror(settings), seconds))
    return 0
