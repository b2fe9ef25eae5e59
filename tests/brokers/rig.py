"""Brokers for tests: the embedded one and real Mosquittos, each started and ended by its test."""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import shutil
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

import aiomqtt
import pytest

from operator_console.core.session import Outgoing
from operator_console.shell.link import MqttLink
from protocol.broker_settings import BrokerSettings
from protocol.topics import Topics
from vehicle_agent.shell import clock, ipc, keys
from vehicle_agent.shell.config import (
    AgentSettings,
    CanSettings,
    KeySettings,
    RuntimeSettings,
    VehicleSettings,
)
from vehicle_agent.shell.keys import Wanted
from vehicle_agent.shell.link import Link
from vehicle_agent.shell.mqtt_client import connected

ROOT = Path(__file__).parents[2]
CONFIGS = ROOT / "configs" / "brokers" / "mosquitto"
INSTALLED = "/etc/headframe/broker"
HOST = "127.0.0.1"
SITE, VEHICLE, OPERATOR, OTHER = "mine", "truck-1", "console-1", "console-2"
TOPICS = Topics(SITE, VEHICLE)
MACHINE = ROOT / "configs" / "machines" / "ug_truck_60t.toml"
MOSQUITTO = shutil.which("mosquitto", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
needs_mosquitto = pytest.mark.skipif(MOSQUITTO is None, reason="needs Debian's mosquitto")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def make_site(folder: Path) -> Path:
    """Make an authority with a machine, two cockpits and a broker; return its folder."""
    site = folder / "keys"
    now = clock.wall_now()
    keys.init(site, SITE, now)
    keys.issue(site, Wanted(VEHICLE, "vehicle"), now)
    keys.issue(site, Wanted(OPERATOR, "driver"), now)
    keys.issue(site, Wanted(OTHER, "driver"), now)
    keys.issue(site, Wanted("broker", "broker", hosts=(HOST,)), now)
    return site


@dataclass(frozen=True)
class Broker:
    """A running broker, and how its clients reach it.

    Attributes:
        site: folder of the authority; None where the broker has no TLS.
        process: to pause or signal it.
    """

    port: int
    site: Path | None
    process: subprocess.Popen[str]

    def settings(self, name: str) -> BrokerSettings:
        """How ``name`` reaches this broker."""
        if self.site is None:
            return BrokerSettings(host=HOST, port=self.port)
        home = self.site / name
        return BrokerSettings(
            host=HOST,
            port=self.port,
            ca=home / "ca.crt",
            cert=home / "tls.crt",
            key=home / "tls.key",
        )

    @contextlib.asynccontextmanager
    async def client(
        self, name: str, identifier: str | None = None, within_s: float = 5.0
    ) -> AsyncIterator[aiomqtt.Client]:
        """Connect a plain client with the certificate of ``name``."""
        given = self.settings(name)
        tls = None
        if given.ca is not None:
            tls = aiomqtt.TLSParameters(
                ca_certs=str(given.ca), certfile=str(given.cert), keyfile=str(given.key)
            )
        client = aiomqtt.Client(
            HOST,
            self.port,
            tls_params=tls,
            identifier=identifier or f"test-{secrets.token_hex(4)}",
            timeout=within_s,
            keepalive=5,
        )
        async with connected(client):
            yield client


@contextlib.contextmanager
def embedded() -> Iterator[Broker]:
    command = [sys.executable, "-m", "vehicle_agent.shell.broker", "--port", "0"]
    with running(command, None) as process:
        assert process.stdout is not None
        port = int(process.stdout.readline().rsplit(" ", 1)[1])
        assert process.stdout.readline() == "ready\n"
        yield Broker(port, None, process)


@contextlib.contextmanager
def mosquitto(folder: Path, site: Path, conf: str) -> Iterator[Broker]:
    """Run Mosquitto with a shipped file: only folder and port are the test's own."""
    port = free_port()
    home = install(folder, site)
    text = (CONFIGS / conf).read_text(encoding="utf-8").replace(INSTALLED, str(home))
    listener = next(line for line in text.splitlines() if line.startswith("listener "))
    text = text.replace(listener, f"listener {port} {HOST}")
    path = home / conf
    path.write_text(text + run_as_now(), encoding="utf-8")
    assert MOSQUITTO is not None
    with running([MOSQUITTO, "-c", str(path)], home) as process:
        wait_for(process, "running")
        yield Broker(port, site, process)


def run_as_now() -> str:
    """Started by root Mosquitto changes its user, who may not read the test's folder."""
    return "\nuser root\n" if os.geteuid() == 0 else ""


def install(folder: Path, site: Path) -> Path:
    """Put together what docs/brokers.md puts into /etc/headframe/broker."""
    home = folder / "broker"
    home.mkdir(exist_ok=True)
    (home / "telemetry.d").mkdir(exist_ok=True)
    for name in ("ca.crt", "tls.crt", "tls.key"):
        shutil.copy(site / "broker" / name, home)
    shutil.copy(site / "crl.pem", home)
    for acl in CONFIGS.glob("*.acl"):
        shutil.copy(acl, home)
    return home


def wait_for(process: subprocess.Popen[str], words: str) -> None:
    """Read Mosquitto's log up to the line that ends with ``words``; fail with what it said."""
    assert process.stderr is not None
    said = []
    for line in process.stderr:
        said.append(line)
        if line.rstrip().endswith(words):
            return
    pytest.fail("mosquitto ended: " + "".join(said))


@contextlib.contextmanager
def running(command: list[str], folder: Path | None) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=folder
    )
    assert process.stdout is not None
    assert process.stderr is not None
    with process.stdout, process.stderr:
        try:
            yield process
        finally:
            process.kill()
            process.wait()


async def next_payload(client: aiomqtt.Client, within_s: float = 10.0) -> bytes:
    async with asyncio.timeout(within_s):
        message = await anext(aiter(client.messages))
    assert isinstance(message.payload, bytes)
    return message.payload


def agent_settings(
    folder: Path, control: BrokerSettings, telemetry: BrokerSettings | None = None
) -> AgentSettings:
    """Settings of a machine of which only the link runs; it trusts nobody."""
    trust = folder / "trust.json"
    trust.write_text('{"identities": []}', encoding="utf-8")
    return AgentSettings(
        vehicle=VehicleSettings(site=SITE, name=VEHICLE, machine=MACHINE, simulated=True),
        runtime=RuntimeSettings(dir=folder, record=folder / "record"),
        keys=KeySettings(device=folder / "none", trust=trust),
        mqtt=control,
        telemetry=telemetry,
        can=CanSettings(interface="headframe_local", channel="none"),
    )


class Machine:
    """A real link, and mailboxes in place of guardian and media."""

    def __init__(self, settings: AgentSettings) -> None:
        self._settings = settings
        self._boxes: dict[str, ipc.Mailbox] = {}
        self.got: asyncio.Queue[bytes] = asyncio.Queue()

    async def next(self, within_s: float = 10.0) -> bytes:
        """Return the next datagram that the link handed to guardian or media."""
        async with asyncio.timeout(within_s):
            return await self.got.get()

    def say(self, datagram: bytes) -> None:
        """Send to the link as the guardian does."""
        assert self._boxes[ipc.GUARDIAN].send(ipc.LINK, datagram)

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[Machine]:
        loop = asyncio.get_running_loop()
        link_box = await asyncio.to_thread(self._open)
        for box in self._boxes.values():
            loop.add_reader(box.fileno(), self._take, box)
        link = await asyncio.to_thread(Link, self._settings, link_box)
        serving = asyncio.create_task(link.run())
        try:
            async with asyncio.timeout(10.0):
                await link.ready.wait()
                if link._telemetry is not None:  # a connection half made is not left cleanly
                    await link._telemetry.ready.wait()
            yield self
        finally:
            serving.cancel()
            await asyncio.gather(serving, return_exceptions=True)
            for box in (link_box, *self._boxes.values()):
                loop.remove_reader(box.fileno())
                await asyncio.to_thread(box.close)

    def _open(self) -> ipc.Mailbox:
        folder = self._settings.runtime.dir
        self._boxes = {name: ipc.Mailbox(folder, name) for name in (ipc.GUARDIAN, ipc.MEDIA)}
        return ipc.Mailbox(folder, ipc.LINK)

    def _take(self, box: ipc.Mailbox) -> None:
        while (datagram := box.receive()) is not None:
            self.got.put_nowait(datagram)


class Cockpit:
    """A console's real link with its subscriptions."""

    def __init__(self, broker: BrokerSettings, operator: str) -> None:
        self.link = MqttLink(broker, operator)
        self.operator = operator
        self.heard: asyncio.Queue[tuple[str, bytes]] = asyncio.Queue()
        self._up = asyncio.Event()

    async def next(self, within_s: float = 10.0) -> tuple[str, bytes]:
        """Return the next message heard, as topic and content."""
        async with asyncio.timeout(within_s):
            return await self.heard.get()

    async def say(self, topic: str, payload: bytes, qos: int = 0) -> bool:
        return await self.link.publish(Outgoing(topic, payload, qos))

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[Cockpit]:
        wanted = (
            (TOPICS.state, 0),
            (TOPICS.authority, 0),
            (TOPICS.ack(self.operator), 1),
            (TOPICS.signal(self.operator), 1),
            (TOPICS.event, 1),
        )
        serving = asyncio.create_task(
            self.link.run(wanted, lambda *heard: self.heard.put_nowait(heard), self._changed)
        )
        try:
            async with asyncio.timeout(10.0):
                await self._up.wait()
            yield self
        finally:
            serving.cancel()
            await asyncio.gather(serving, return_exceptions=True)

    def _changed(self, up: bool) -> None:
        if up:
            self._up.set()
