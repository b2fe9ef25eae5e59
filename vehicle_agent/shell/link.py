"""The link: carries bytes between MQTT and the guardian, and judges none of them.

Outgoing state is newest-wins; a message that cannot leave now is dropped, never stored for
later. Every connection is a new client with a clean session: what an old one still held must
never come out of a new one.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import hashlib
import json
import secrets
import signal
import socket
import sys
from collections import deque
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path

import aiomqtt

from protocol.frames import VERSION
from protocol.messages import BEFORE_ALL, load_trust
from protocol.profiles import parse_profile
from protocol.signals import tightened
from protocol.state import VehicleState
from protocol.topics import Topics
from vehicle_agent.core.approval import settings_sha256
from vehicle_agent.shell import ipc
from vehicle_agent.shell.config import AgentSettings, load_agent_config

RECONNECT_MIN_S = 0.2
GUARDIAN_SILENT_S = 2.5
"""The guardian speaks at least once a second; beyond this people are told that it does not."""
RECONNECT_MAX_S = 0.9
KEEPALIVE_S = 5
OUT_TIMEOUT_S = 1.0
CONNECT_TIMEOUT_S = 1.0
KEPT_MESSAGES = 64
OFFER_AGAIN_S = 0.01
"""The guardian looks this often: one tick."""
SOCKET_OPTIONS = (
    (socket.IPPROTO_TCP, socket.TCP_NODELAY, 1),
    (socket.SOL_SOCKET, socket.SO_SNDBUF, 8192),
    (socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 1500),
)
NEVER_RETAINED = ("cmd", "req", "stop")
SHARED = ("cmd", "req", "stop", "signal")


@dataclass(frozen=True, slots=True)
class Out:
    """One message to publish."""

    topic: str
    payload: bytes
    qos: int = 0


@dataclass(slots=True)
class Outbox:
    """What waits to be published: the newest of each state, and the rest in order, bounded.

    The two leave by tasks of their own: a QoS 1 message waits for its receipt, and a state must
    not wait for anything.
    """

    newest: dict[str, bytes] = field(default_factory=dict)
    others: deque[Out] = field(default_factory=lambda: deque(maxlen=KEPT_MESSAGES))
    ready: asyncio.Event = field(default_factory=asyncio.Event)
    others_ready: asyncio.Event = field(default_factory=asyncio.Event)
    replaced: int = 0

    def put_newest(self, topic: str, payload: bytes) -> None:
        """Let ``payload`` take the place of what waits under ``topic``."""
        self.replaced += topic in self.newest
        self.newest[topic] = payload
        self.ready.set()

    def put(self, out: Out) -> None:
        """Add a message that must not be replaced; the oldest goes when there are too many."""
        self.others.append(out)
        self.others_ready.set()

    def take(self) -> Out | None:
        """Return the next of the newest-only messages, or None when none waits."""
        if self.newest:
            topic = next(iter(self.newest))
            return Out(topic, self.newest.pop(topic))
        self.ready.clear()
        return None

    def take_other(self) -> Out | None:
        """Return the next of the messages in order, or None when none waits."""
        if self.others:
            return self.others.popleft()
        self.others_ready.clear()
        return None

    def clear(self) -> None:
        """Forget all: nothing of one connection is sent on the next."""
        self.newest.clear()
        self.others.clear()


class LinkBroken(Exception):
    """Raised to leave a connection that no longer carries anything."""


class Link:
    """One vehicle's connection to the control broker."""

    def __init__(self, settings: AgentSettings, mailbox: ipc.Mailbox) -> None:
        self._mqtt = settings.mqtt
        self._vehicle = settings.vehicle.name
        self._topics = Topics(settings.vehicle.site, settings.vehicle.name)
        self._mailbox = mailbox
        self._outbox = Outbox()
        self._boot: int | None = None
        self._facts = _facts(settings)
        self._offering: asyncio.TimerHandle | None = None
        self._online = asyncio.Event()
        self._guardian_spoke = asyncio.Event()
        self.ready = asyncio.Event()

    async def run(self) -> None:
        """Serve, and connect again within a second, until cancelled."""
        asyncio.get_running_loop().add_reader(self._mailbox.fileno(), self._from_machine)
        dice = secrets.SystemRandom()
        while True:
            try:
                await self._serve_once()
            except* (aiomqtt.MqttError, OSError, LinkBroken) as group:
                sys.stderr.write(f"link: broker lost: {group.exceptions[0]}\n")
            self._outbox.clear()
            await asyncio.sleep(dice.uniform(RECONNECT_MIN_S, RECONNECT_MAX_S))

    async def _serve_once(self) -> None:
        will = aiomqtt.Will(
            self._topics.connection, self._presence("CONNECTION_BROKEN"), qos=1, retain=True
        )
        client = aiomqtt.Client(
            self._mqtt.host,
            self._mqtt.port,
            identifier=f"vehicle-{self._vehicle}-{secrets.token_hex(4)}",
            protocol=aiomqtt.ProtocolVersion.V311,
            clean_session=True,
            keepalive=KEEPALIVE_S,
            timeout=OUT_TIMEOUT_S,
            will=will,
            socket_options=SOCKET_OPTIONS,
        )
        client._client.connect_timeout = CONNECT_TIMEOUT_S  # aiomqtt passes none on
        async with client:
            for name in SHARED:
                await client.subscribe(
                    self._topics.all_of(name), qos=0 if name in ("cmd", "stop") else 1
                )
            self._outbox.clear()
            self._online.set()
            self.ready.set()
            async with asyncio.TaskGroup() as group:
                group.create_task(self._publish(client), name="link.publish")
                group.create_task(self._publish_others(client), name="link.publish_others")
                group.create_task(self._receive(client), name="link.receive")
                group.create_task(self._tell_presence(client), name="link.presence")
                group.create_task(self._watch_guardian(), name="link.guardian")

    async def _watch_guardian(self) -> None:
        """Tell people, once, when the guardian falls silent: it cannot say so itself."""
        told = False
        while True:
            self._guardian_spoke.clear()
            try:
                async with asyncio.timeout(GUARDIAN_SILENT_S):
                    await self._guardian_spoke.wait()
                told = False
            except TimeoutError:
                if not told:
                    event = json.dumps({"id": "G107"}).encode()
                    self._outbox.put(Out(self._topics.event, event, qos=1))
                told = True

    async def _tell_presence(self, client: aiomqtt.Client) -> None:
        """Say ONLINE with the boot, and the factsheet; OFFLINE when this program ends."""
        try:
            while True:
                await self._online.wait()
                self._online.clear()
                for topic, payload in (
                    (self._topics.connection, self._presence("ONLINE")),
                    (self._topics.factsheet, self._factsheet()),
                ):
                    await client.publish(topic, payload, qos=1, retain=True)
        finally:
            with contextlib.suppress(aiomqtt.MqttError, TimeoutError):
                async with asyncio.timeout(OUT_TIMEOUT_S / 2):
                    offline = self._presence("OFFLINE")
                    await client.publish(self._topics.connection, offline, qos=1, retain=True)

    def _factsheet(self) -> bytes:
        return json.dumps({"v": 1, "boot": self._boot, **self._facts}).encode()

    def _presence(self, state: str) -> bytes:
        return json.dumps({"v": 1, "state": state, "boot": self._boot}).encode()

    async def _publish(self, client: aiomqtt.Client) -> None:
        while True:
            await self._outbox.ready.wait()
            out = self._outbox.take()
            if out is not None:
                await client.publish(out.topic, out.payload, out.qos, retain=False)

    async def _publish_others(self, client: aiomqtt.Client) -> None:
        while True:
            await self._outbox.others_ready.wait()
            out = self._outbox.take_other()
            if out is not None:
                await client.publish(out.topic, out.payload, out.qos, retain=False)

    async def _receive(self, client: aiomqtt.Client) -> None:
        async for message in client.messages:
            if isinstance(message.payload, bytes):
                self._to_machine(message.topic.value, message.payload, retained=message.retain)
        raise LinkBroken("the broker ended the stream")

    def _to_machine(self, topic: str, payload: bytes, *, retained: bool) -> None:
        for name in SHARED:
            author = self._topics.author(topic, name)
            if author is None:
                continue
            if retained and name in NEVER_RETAINED:
                path = bytes([ipc.CommandPath.MQTT])
                self._mailbox.send(ipc.GUARDIAN, ipc.TO_GUARDIAN_RETAINED + path)
            elif name == "cmd":
                path = bytes([ipc.CommandPath.MQTT])
                self._mailbox.send(ipc.GUARDIAN, ipc.TO_GUARDIAN_COMMAND + path + payload)
            elif name == "req":
                self._forward(ipc.GUARDIAN, ipc.TO_GUARDIAN_REQUEST, author, payload)
            elif name == "stop":
                self._forward(ipc.GUARDIAN, ipc.TO_GUARDIAN_STOP, author, payload)
            else:
                self._forward(ipc.MEDIA, ipc.TO_MEDIA_SIGNAL, author, payload)

    def _forward(self, to: str, kind: bytes, author: str, payload: bytes) -> None:
        datagram = ipc.with_name(kind, author, payload)
        if len(datagram) <= ipc.DATAGRAM_MAX_BYTES:
            self._mailbox.post(to, datagram)
            if self._offering is None:
                self._offer_again()

    def _offer_again(self) -> None:
        """Offer what a full socket did not take, until it is taken or out of date."""
        self._offering = None
        if self._mailbox.flush():
            loop = asyncio.get_running_loop()
            self._offering = loop.call_later(OFFER_AGAIN_S, self._offer_again)

    def _from_machine(self) -> None:
        while (datagram := self._mailbox.receive()) is not None:
            kind, body = datagram[:1], datagram[1:]
            if kind == ipc.TO_LINK_STATE:
                self._guardian_spoke.set()
                self._outbox.put_newest(self._topics.state, body)
            elif kind == ipc.TO_LINK_AUTHORITY:
                self._note_boot(body)
                self._outbox.put_newest(self._topics.authority, body)
            elif kind == ipc.TO_LINK_EVENT:
                self._outbox.put(Out(self._topics.event, body, qos=1))
            else:
                self._named(kind, body)

    def _note_boot(self, authority: bytes) -> None:
        """Presence names the guardian's boot, so that a late Will of an earlier one is known."""
        boot = json.loads(authority)["boot"]
        if boot != self._boot:
            self._boot = boot
            self._online.set()

    def _named(self, kind: bytes, body: bytes) -> None:
        addressed = ipc.split_name(body)
        if addressed is None:
            return
        with contextlib.suppress(ValueError):
            if kind == ipc.TO_LINK_ACK:
                self._outbox.put(Out(self._topics.ack(addressed.name), addressed.content, qos=1))
            elif kind == ipc.TO_LINK_SIGNAL:
                topic = self._topics.signal(addressed.name)
                self._outbox.put(Out(topic, addressed.content, qos=1))
            elif kind == ipc.TO_LINK_TELEMETRY:
                topic = self._topics.telemetry(addressed.name)
                self._outbox.put_newest(topic, addressed.content)


def _facts(settings: AgentSettings) -> dict[str, object]:
    """Return what does not change while this program runs."""
    machine = settings.vehicle.machine
    profile = parse_profile(machine.read_text(encoding="utf-8"), str(machine))
    timing = tightened(settings.vehicle.timing)
    trust = load_trust(settings.keys.trust.read_text(encoding="utf-8"), BEFORE_ALL)
    schema = json.dumps(VehicleState.model_json_schema(), sort_keys=True).encode()
    return {
        "software": version("headframe"),
        "frame_version": VERSION,
        "state_schema_sha256": hashlib.sha256(schema).hexdigest(),
        "machine": profile.machine.model_dump(),
        "limits": profile.limits.model_dump(),
        "timing": asdict(timing),
        "settings_sha256": settings_sha256(settings.vehicle.name, profile.limits, timing, trust),
        "cameras": [
            camera.model_dump(include={"id", "name", "width", "height", "fps"})
            for camera in settings.cameras
        ],
        "simulated": settings.vehicle.simulated,
    }


async def _main(config: Path) -> None:
    settings = load_agent_config(config)
    mailbox = ipc.Mailbox(settings.runtime.dir, ipc.LINK)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    link = Link(settings, mailbox)
    serving = asyncio.create_task(link.run(), name="link.run")
    announcing = asyncio.create_task(_announce(link), name="link.announce")
    stopping = asyncio.create_task(stop.wait(), name="link.stop")
    try:
        await asyncio.wait({serving, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if serving.done():
            serving.result()
    finally:
        for task in (serving, announcing, stopping):
            task.cancel()
        await asyncio.gather(serving, announcing, stopping, return_exceptions=True)
        mailbox.close()


async def _announce(link: Link) -> None:
    await link.ready.wait()
    sys.stdout.write("ready\n")
    sys.stdout.flush()


def main() -> int:
    """Run ``python -m vehicle_agent.shell.link --config FILE``."""
    parser = argparse.ArgumentParser(prog="link")
    parser.add_argument("--config", type=Path, required=True)
    arguments = parser.parse_args()
    try:
        asyncio.run(_main(arguments.config))
    except Exception as error:
        sys.stderr.write(f"link: {str(error) or type(error).__name__}\n")
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
