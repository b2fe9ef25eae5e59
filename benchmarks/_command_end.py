"""One end of the command benchmark: a console that commands 50 times a second, or a machine.

``python -m benchmarks._command_end console|machine ours|stock --host H --port P --keys DIR``.
"ours" are the console's and the machine's real links, with TLS and certificates; "stock" is
aiomqtt as its manual shows it. Both carry the same command frames and are judged by the
guardian's own acceptance. The machine prints one JSON object when its standard input ends.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiomqtt

from operator_console.core.session import Outgoing
from operator_console.shell.link import MqttLink
from protocol.broker_settings import BrokerSettings
from protocol.frames import CommandFrame, CommandKind, vehicle_id
from protocol.freshness import Acceptance, Accepted, Lease
from protocol.signals import DEFAULT_TIMING
from protocol.topics import Topics
from vehicle_agent.shell import ipc
from vehicle_agent.shell.clock import monotonic_ns
from vehicle_agent.shell.config import (
    AgentSettings,
    CanSettings,
    KeySettings,
    RuntimeSettings,
    VehicleSettings,
)
from vehicle_agent.shell.link import Link

ROOT = Path(__file__).resolve().parents[1]
MACHINE = ROOT / "configs" / "machines" / "ug_truck_60t.toml"
SITE, VEHICLE, OPERATOR = "bench", "truck-1", "console-1"
TOPICS = Topics(SITE, VEHICLE)
PERIOD_S = 0.02
STATE_BYTES = 500
BOOT, EPOCH, KEY_ID, KEY = 7, 1, 1, bytes(range(32))
STOCK_AGAIN_S = 1.0


@dataclass
class Judged:
    """What the machine made of the commands; ages in ms, by the clock that both ends share."""

    acceptance: Acceptance = field(
        default_factory=lambda: Acceptance(DEFAULT_TIMING, vehicle_id(VEHICLE), BOOT)
    )
    ages_ms: list[float] = field(default_factory=list)
    refused: Counter[str] = field(default_factory=Counter)
    silence_ms: float = 0.0
    last_ns: int = 0

    def __post_init__(self) -> None:
        self.acceptance.open_lease(Lease(KEY_ID, EPOCH, KEY))

    def take(self, data: bytes) -> None:
        """Judge one command as the guardian does."""
        now_ns = monotonic_ns()
        verdict = self.acceptance.judge(now_ns, data, 0)
        if not isinstance(verdict, Accepted):
            self.refused[verdict.reason.name] += 1
            return
        self.ages_ms.append((now_ns - verdict.frame.source_stamp_us * 1000) / 1e6)
        if self.last_ns:
            self.silence_ms = max(self.silence_ms, (now_ns - self.last_ns) / 1e6)
        self.last_ns = now_ns

    def result(self) -> dict[str, Any]:
        """Return the figures."""
        since_ms = (monotonic_ns() - self.last_ns) / 1e6 if self.last_ns else 0.0
        return {
            "ages_ms": self.ages_ms,
            "refused": dict(self.refused),
            "silence_ms": max(self.silence_ms, since_ms),
        }


@dataclass
class Echo:
    """The newest state stamp that the console has, and since when."""

    stamp_us: int = 0
    heard_ns: int = 0
    sequence: int = 0

    def hear(self, content: bytes) -> None:
        """Take a state: here only its stamp matters."""
        self.stamp_us = int.from_bytes(content[:8], "little")
        self.heard_ns = monotonic_ns()

    def command(self) -> bytes:
        """Return the command of now."""
        now_ns = monotonic_ns()
        self.sequence += 1
        return CommandFrame(
            kind=CommandKind.DRIVE,
            vehicle_id=vehicle_id(VEHICLE),
            key_id=KEY_ID,
            ttl_ms=250,
            epoch=EPOCH,
            sequence=self.sequence,
            boot_tag=BOOT,
            echo_hold_us=min((now_ns - self.heard_ns) // 1000, 0xFFFFFFFF),
            source_stamp_us=now_ns // 1000,
            echo_stamp_us=self.stamp_us,
            view_stamp_us=self.stamp_us,
            throttle=3000,
            gear=1,
            enable=True,
        ).encode(KEY)


def state() -> bytes:
    """Return something as long as a state frame that carries the stamp of now."""
    return (monotonic_ns() // 1000).to_bytes(8, "little").ljust(STATE_BYTES, b"\0")


async def every_period(act: Callable[[], Awaitable[object]]) -> None:
    """Act on a 20 ms grid for ever; a slot that was missed is skipped."""
    due_ns = monotonic_ns()
    while True:
        await act()
        due_ns = max(due_ns + round(PERIOD_S * 1e9), monotonic_ns())
        await asyncio.sleep(max(0.0, (due_ns - monotonic_ns()) / 1e9))


async def our_console(broker: BrokerSettings) -> None:
    """Command over the console's link: a tick leaves only when the last one is out."""
    link, echo = MqttLink(broker, OPERATOR), Echo()

    async def command() -> None:
        if echo.stamp_us:
            await link.publish(Outgoing(TOPICS.cmd(OPERATOR), echo.command(), 0))

    async with asyncio.TaskGroup() as group:
        heard = ((TOPICS.state, 0),)
        group.create_task(link.run(heard, lambda _, data: echo.hear(data), lambda _: None))
        group.create_task(every_period(command))


async def our_machine(control: BrokerSettings, telemetry: BrokerSettings, judged: Judged) -> None:
    """Hear commands over the machine's link, and say the state 50 times a second."""
    with tempfile.TemporaryDirectory(prefix="hf-") as name:
        folder = Path(name)
        (folder / "trust.json").write_text('{"identities": []}', encoding="utf-8")
        settings = AgentSettings(
            vehicle=VehicleSettings(site=SITE, name=VEHICLE, machine=MACHINE, simulated=True),
            runtime=RuntimeSettings(dir=folder, record=folder / "record"),
            keys=KeySettings(device=folder / "none", trust=folder / "trust.json"),
            mqtt=control,
            telemetry=telemetry,
            can=CanSettings(interface="headframe_local", channel="none"),
        )
        guardian, link_box = ipc.Mailbox(folder, ipc.GUARDIAN), ipc.Mailbox(folder, ipc.LINK)

        def take() -> None:
            while (datagram := guardian.receive()) is not None:
                judged.take(datagram[2:])

        async def say() -> None:
            guardian.send(ipc.LINK, ipc.TO_LINK_STATE + state())

        asyncio.get_running_loop().add_reader(guardian.fileno(), take)
        async with asyncio.TaskGroup() as group:
            group.create_task(Link(settings, link_box).run())
            group.create_task(every_period(say))


async def stock(
    broker: BrokerSettings,
    hears: str,
    take: Callable[[bytes], None],
    say: Callable[[], Outgoing | None],
) -> None:
    """Speak and listen as aiomqtt's manual does, and connect again after a second."""
    while True:
        try:
            async with aiomqtt.Client(broker.host, broker.port) as client:
                await client.subscribe(hears)
                async with asyncio.TaskGroup() as group:
                    group.create_task(_listen(client, take))
                    group.create_task(every_period(lambda: _publish(client, say())))
        except* aiomqtt.MqttError:
            pass
        await asyncio.sleep(STOCK_AGAIN_S)


async def _listen(client: aiomqtt.Client, take: Callable[[bytes], None]) -> None:
    async for message in client.messages:
        if isinstance(message.payload, bytes):
            take(message.payload)


async def _publish(client: aiomqtt.Client, message: Outgoing | None) -> None:
    if message is not None:
        await client.publish(message.topic, message.payload)


def work_of(chosen: argparse.Namespace, judged: Judged) -> Coroutine[Any, Any, None]:
    """Return what this end does."""
    here = BrokerSettings(host=chosen.host, port=chosen.port)
    if chosen.transport == "ours":
        home = chosen.keys / (OPERATOR if chosen.end == "console" else VEHICLE)
        tls = {"ca": home / "ca.crt", "cert": home / "tls.crt", "key": home / "tls.key"}
        control = here.model_copy(update=tls)
        if chosen.end == "console":
            return our_console(control)
        telemetry = control.model_copy(update={"port": chosen.telemetry_port})
        return our_machine(control, telemetry, judged)
    echo = Echo()
    cmd = TOPICS.cmd(OPERATOR)
    if chosen.end == "console":
        return stock(
            here,
            TOPICS.state,
            echo.hear,
            lambda: Outgoing(cmd, echo.command(), 0) if echo.stamp_us else None,
        )
    return stock(here, cmd, judged.take, lambda: Outgoing(TOPICS.state, state(), 0))


async def run(chosen: argparse.Namespace) -> None:
    """Work until standard input ends; a machine then prints what it judged."""
    judged = Judged()
    work = asyncio.create_task(work_of(chosen, judged))
    await asyncio.to_thread(sys.stdin.read)
    result = judged.result()
    work.cancel()
    await asyncio.wait([work], timeout=5.0)
    if chosen.end == "machine":
        sys.stdout.write(json.dumps(result) + "\n")


def main() -> int:
    """Run one end."""
    parser = argparse.ArgumentParser(prog="benchmarks._command_end", description=__doc__)
    parser.add_argument("end", choices=("console", "machine"))
    parser.add_argument("transport", choices=("ours", "stock"))
    parser.add_argument("--host", required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--telemetry-port", type=int, default=1)
    parser.add_argument("--keys", type=Path, default=Path())
    asyncio.run(run(parser.parse_args()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
