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

from protocol.control_peer import CommandPath
from protocol.frames import vehicle_id
from protocol.messages import load_private_key, load_trust, peer_of
from protocol.profiles import parse_profile
from protocol.signals import DEFAULT_TIMING
from protocol.topics import Topics
from vehicle_agent.core.mirror import Mirror
from vehicle_agent.shell import ipc
from vehicle_agent.shell.clock import monotonic_ns, wall_now
from vehicle_agent.shell.config import AgentSettings, load_agent_config
from vehicle_agent.shell.control_peer import ControlPeers
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
ANSWERS_MAX = 8


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


class Reflector:
    """The machine's side on both paths: the configured broker, and consoles' data channels.

    Made outside the event loop, because it reads files.

    Raises:
        OSError, ValueError: one of them is not there or not what it should be.
    """

    def __init__(self, settings: AgentSettings) -> None:
        profile = settings.vehicle.machine
        limits = parse_profile(profile.read_text(encoding="utf-8"), str(profile)).limits
        self._settings, self._name = settings, settings.vehicle.name
        self._mirror = Mirror(vehicle_id(self._name), DEFAULT_TIMING, limits.zone_speed_mps)
        self._topics = Topics(settings.vehicle.site, self._name)
        self._peers = self._new_peers(settings)
        self._newest = b""
        self._spoken = asyncio.Event()
        self._answers: asyncio.Queue[tuple[str, bytes]] = asyncio.Queue(ANSWERS_MAX)
        self._said = ""

    def _new_peers(self, settings: AgentSettings) -> ControlPeers | None:
        if settings.control_peer is None:
            return None
        keys = settings.keys
        return ControlPeers(
            self._name,
            load_private_key(keys.device.read_text(encoding="utf-8")),
            load_trust(keys.trust.read_text(encoding="utf-8"), wall_now()),
            settings.control_peer.ice_addresses,
            on_command=lambda data: self._hear(CommandPath.DATA_CHANNEL, data),
            on_stop=lambda _author, _token: None,
            say=self._answer,
        )

    async def run(self) -> None:
        """Answer until cancelled, or until the machine's agent is started.

        Raises:
            MachineInService: it runs.
        """
        answering = asyncio.create_task(self._answer_all(), name="reflector")
        try:
            while not answering.done():
                refuse_in_service(self._settings)
                await asyncio.wait([answering], timeout=LOOK_EVERY_S)
            answering.result()
        finally:
            answering.cancel()
            await asyncio.gather(answering, return_exceptions=True)

    async def _answer_all(self) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self._speak(), name="speak")
            group.create_task(self._keep_up(), name="mqtt")
            if self._peers is not None:
                group.create_task(self._peers.run(), name="peers")

    def _hear(self, path: CommandPath, data: bytes) -> None:
        self._mirror.hear(monotonic_ns(), path, data)

    def _answer(self, operator: str, token: bytes) -> None:
        if not self._answers.full():
            self._answers.put_nowait((operator, token))

    async def _speak(self) -> None:
        """Say on every path what is to be said now; what one does not take holds up no other."""
        due_ns = monotonic_ns()
        while True:
            self._newest = self._mirror.reflection(monotonic_ns())
            self._spoken.set()
            if self._peers is not None:
                self._peers.send_state(self._newest)
            due_ns = max(due_ns + PERIOD_NS, monotonic_ns())
            await asyncio.sleep((due_ns - monotonic_ns()) / 1e9)

    async def _keep_up(self) -> None:
        """Stay at the broker, and connect again, until cancelled."""
        dice = secrets.SystemRandom()
        while True:
            try:
                await serve(self._serve_once())
            except* (aiomqtt.MqttError, OSError) as group:
                self._say(f"the broker does not answer, trying on: {group.exceptions[0]}")
            await asyncio.sleep(dice.uniform(AGAIN_MIN_S, AGAIN_MAX_S))

    async def _serve_once(self) -> None:
        mqtt = self._settings.mqtt
        client = new_client(mqtt, f"vehicle-{self._name}")
        async with connected(client):
            await client.subscribe(self._topics.all_of("cmd"), qos=0)
            await client.subscribe(self._topics.all_of("signal"), qos=1)
            raise_if_cancelled()
            self._say(f"answers for {self._name} at {mqtt.host} port {mqtt.port}")
            async with asyncio.TaskGroup() as group:
                group.create_task(self._listen(client), name="listen")
                group.create_task(self._publish_newest(client), name="newest")
                group.create_task(self._publish_answers(client), name="answers")

    async def _listen(self, client: aiomqtt.Client) -> None:
        async for message in client.messages:
            topic, payload = message.topic.value, message.payload
            if message.retain or not isinstance(payload, bytes):
                continue
            if self._topics.author(topic, "cmd") is not None:
                self._hear(CommandPath.MQTT, payload)
            author = self._topics.author(topic, "signal")
            if self._peers is not None and author is not None and peer_of(payload) == "control":
                self._peers.take(author, payload)

    async def _publish_newest(self, client: aiomqtt.Client) -> None:
        while True:
            await self._spoken.wait()
            self._spoken.clear()
            await publish(client, self._topics.state, self._newest, 0, retain=False)

    async def _publish_answers(self, client: aiomqtt.Client) -> None:
        while True:
            operator, token = await self._answers.get()
            await publish(client, self._topics.signal(operator), token, 1, retain=False)

    def _say(self, text: str) -> None:
        if text != self._said:
            sys.stderr.write(f"headframe: {text}\n")
        self._said = text


async def _until_ended(reflector: Reflector, seconds: float | None) -> None:
    loop = asyncio.get_running_loop()
    work = asyncio.create_task(reflector.run(), name="reflect")
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
    asyncio.run(_until_ended(Reflector(settings), seconds))
    return 0
