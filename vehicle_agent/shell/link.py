"""The link: carries bytes between MQTT and the guardian, and judges none of them.

Outgoing state is newest-wins; a message that cannot leave now is dropped, never stored for
later. Every connection is a new client with a clean session: what an old one still held must
never come out of a new one.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import secrets
import signal
import sys
from pathlib import Path

import aiomqtt

from protocol.topics import Topics
from vehicle_agent.shell import ipc
from vehicle_agent.shell.config import AgentSettings, load_agent_config
from vehicle_agent.shell.mqtt_client import connected, new_client, raise_if_cancelled, serve
from vehicle_agent.shell.outbox import Out, Outbox
from vehicle_agent.shell.presence import Presence
from vehicle_agent.shell.telemetry_link import TelemetryLink

RECONNECT_MIN_S = 0.2
GUARDIAN_SILENT_S = 2.5
"""The guardian speaks at least once a second; beyond this people are told that it does not."""
RECONNECT_MAX_S = 0.9
OFFER_AGAIN_S = 0.01
"""The guardian looks this often: one tick."""
NEVER_RETAINED = ("cmd", "req", "stop")
SHARED = ("cmd", "req", "stop", "signal")


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
        self._presence = Presence(settings)
        self._telemetry = (
            None
            if settings.telemetry is None
            else TelemetryLink(settings.telemetry, self._vehicle, self._presence)
        )
        self._slow = self._telemetry.outbox if self._telemetry else self._outbox
        self._offering: asyncio.TimerHandle | None = None
        self._said = ""
        self._guardian_spoke = asyncio.Event()
        self.ready = asyncio.Event()

    async def run(self) -> None:
        """Serve, and connect again within a second, until cancelled."""
        asyncio.get_running_loop().add_reader(self._mailbox.fileno(), self._from_machine)
        async with asyncio.TaskGroup() as group:
            if self._telemetry:
                group.create_task(self._telemetry.run(), name="link.telemetry")
            group.create_task(self._keep_up(), name="link.control")

    async def _keep_up(self) -> None:
        dice = secrets.SystemRandom()
        broker = f"broker {self._mqtt.host}:{self._mqtt.port}"
        while True:
            try:
                await serve(self._serve_once())
            except* (aiomqtt.MqttError, OSError, LinkBroken) as group:
                self._say_once(f"{broker} does not answer, trying on: {group.exceptions[0]}")
            self._outbox.clear()
            await asyncio.sleep(dice.uniform(RECONNECT_MIN_S, RECONNECT_MAX_S))

    def _say_once(self, text: str) -> None:
        """Say what is wrong, and the same only after it was well in between."""
        if text != self._said:
            sys.stderr.write(f"link: {text}\n")
        self._said = text

    async def _serve_once(self) -> None:
        will = None if self._telemetry else self._presence.will()
        client = new_client(self._mqtt, f"vehicle-{self._vehicle}", will)
        async with connected(client):
            for name in SHARED:
                await client.subscribe(
                    self._topics.all_of(name), qos=0 if name in ("cmd", "stop") else 1
                )
            raise_if_cancelled()
            self._outbox.clear()
            self._said = ""
            self.ready.set()
            async with asyncio.TaskGroup() as group:
                group.create_task(self._outbox.publish_newest(client), name="link.publish")
                group.create_task(self._outbox.publish_others(client), name="link.publish_others")
                group.create_task(self._receive(client), name="link.receive")
                if not self._telemetry:
                    group.create_task(self._presence.tell(client), name="link.presence")
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
                    self._event(json.dumps({"id": "G107"}).encode())
                told = True

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
                self._presence.note_boot(body)
                self._outbox.put_newest(self._topics.authority, body)
            elif kind == ipc.TO_LINK_EVENT:
                self._event(body)
            else:
                self._named(kind, body)

    def _event(self, content: bytes) -> None:
        """Tell the cockpits, and whoever listens at the telemetry broker."""
        out = Out(self._topics.event, content, qos=1)
        self._outbox.put(out)
        if self._telemetry:
            self._telemetry.outbox.put(out)

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
                self._slow.put_newest(topic, addressed.content)


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
