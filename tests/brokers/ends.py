"""Both ends of a command stream as processes of their own, to be paused while it runs.

``python -m tests.brokers.ends console FOLDER PORT`` sends 100 commands a second, keeps every one
that the broker does not take, and after a pause sends all that it missed: the worst that a cockpit
can do. ``... machine FOLDER PORT TELEMETRY_PORT`` is the machine's real link with the guardian's
acceptance behind it. Each prints a line of JSON ten times a second, until its input ends.
"""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import aiomqtt

from protocol.frames import CommandFrame, CommandKind, vehicle_id
from protocol.freshness import Acceptance, Accepted, Lease
from protocol.signals import DEFAULT_TIMING
from tests.brokers import rig
from tests.brokers.rig import HOST, OPERATOR, TOPICS, VEHICLE
from vehicle_agent.shell import ipc
from vehicle_agent.shell.clock import monotonic_ns
from vehicle_agent.shell.link import Link

BOOT, EPOCH, KEY_ID, KEY = 7, 1, 1, bytes(range(32))
COMMAND_NS, STATE_S, TELL_S = 10_000_000, 0.02, 0.1


def tell(figures: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(figures) + "\n")
    sys.stdout.flush()


class Console:
    """Commands with the newest echo, one for each 10 ms that passed."""

    def __init__(self) -> None:
        self.sent = 0
        self._echo_us, self._heard_ns = 0, 0

    def _command(self, now_ns: int) -> bytes:
        self.sent += 1
        return CommandFrame(
            kind=CommandKind.DRIVE,
            vehicle_id=vehicle_id(VEHICLE),
            key_id=KEY_ID,
            ttl_ms=250,
            epoch=EPOCH,
            sequence=self.sent,
            boot_tag=BOOT,
            echo_hold_us=min((now_ns - self._heard_ns) // 1000, 0xFFFFFFFF),
            source_stamp_us=now_ns // 1000,
            echo_stamp_us=self._echo_us,
            view_stamp_us=0,
            enable=True,
        ).encode(KEY)

    async def run(self, client: aiomqtt.Client) -> None:
        await client.subscribe(TOPICS.state)
        async with asyncio.TaskGroup() as group:
            group.create_task(self._listen(client))
            group.create_task(self._send(client))
            group.create_task(self._tell())

    async def _listen(self, client: aiomqtt.Client) -> None:
        async for message in client.messages:
            assert isinstance(message.payload, bytes)
            self._echo_us = int.from_bytes(message.payload[:8], "little")
            self._heard_ns = monotonic_ns()

    async def _send(self, client: aiomqtt.Client) -> None:
        due_ns = monotonic_ns()
        while True:
            if self._echo_us:
                command = self._command(monotonic_ns())
                await client.publish(TOPICS.cmd(OPERATOR), command)
            due_ns += COMMAND_NS
            await asyncio.sleep(max(0.0, (due_ns - monotonic_ns()) / 1e9))

    async def _tell(self) -> None:
        while True:
            tell({"sent": self.sent})
            await asyncio.sleep(TELL_S)


class Machine:
    """The guardian's acceptance, and how old what it accepted and what came was."""

    def __init__(self) -> None:
        self._acceptance = Acceptance(DEFAULT_TIMING, vehicle_id(VEHICLE), BOOT)
        self._acceptance.open_lease(Lease(KEY_ID, EPOCH, KEY))
        self._figures = {"accepted": 0, "oldest_ms": 0.0, "oldest_bound_ms": 0.0, "stale": 0}
        self._last_ns = monotonic_ns()

    def take(self, data: bytes) -> None:
        now_ns = monotonic_ns()
        age_ms = now_ns / 1e6 - int.from_bytes(data[28:36], "little") / 1e3
        verdict = self._acceptance.judge(now_ns, data, 0)
        self._figures["stale"] += age_ms > DEFAULT_TIMING.uplink_max_ms
        if not isinstance(verdict, Accepted):
            return
        self._last_ns = now_ns
        self._figures["accepted"] += 1
        for name, value in (("oldest_ms", age_ms), ("oldest_bound_ms", verdict.uplink_us / 1e3)):
            self._figures[name] = max(self._figures[name], value)

    async def run(self, guardian: ipc.Mailbox) -> None:
        told_ns = 0
        while True:
            stamp = (monotonic_ns() // 1000).to_bytes(8, "little").ljust(500, b"\0")
            guardian.send(ipc.LINK, ipc.TO_LINK_STATE + stamp)
            await asyncio.sleep(STATE_S)
            now_ns = monotonic_ns()
            if now_ns - told_ns > TELL_S * 1e9:
                told_ns = now_ns
                refused = {r.value: n for r, n in self._acceptance.refusals().items()}
                silent_ms = (now_ns - self._last_ns) / 1e6
                tell(self._figures | {"silent_ms": silent_ms, "refused": refused})


async def console(site: Path, port: int) -> None:
    broker = rig.Broker(port, site, None)  # type: ignore[arg-type]
    async with broker.client(OPERATOR, within_s=20.0) as client:
        await Console().run(client)


async def machine(site: Path, port: int, telemetry_port: int) -> None:
    control = rig.Broker(port, site, None).settings(VEHICLE)  # type: ignore[arg-type]
    telemetry = rig.Broker(telemetry_port, site, None).settings(VEHICLE)  # type: ignore[arg-type]
    judge = Machine()
    with tempfile.TemporaryDirectory(prefix="hf-") as name:
        settings = rig.agent_settings(Path(name), control, telemetry)
        guardian, link_box = (
            ipc.Mailbox(Path(name), ipc.GUARDIAN),
            ipc.Mailbox(Path(name), ipc.LINK),
        )

        def hear() -> None:
            while (datagram := guardian.receive()) is not None:
                judge.take(datagram[2:])

        asyncio.get_running_loop().add_reader(guardian.fileno(), hear)
        async with asyncio.TaskGroup() as group:
            group.create_task(Link(settings, link_box).run())
            group.create_task(judge.run(guardian))


async def until_input_ends(end: str, site: Path, ports: list[int]) -> None:
    work = asyncio.create_task((console if end == "console" else machine)(site, *ports))
    await asyncio.to_thread(sys.stdin.read)
    work.cancel()
    await asyncio.wait([work], timeout=5.0)


if __name__ == "__main__":
    assert HOST == "127.0.0.1"
    asyncio.run(until_input_ends(sys.argv[1], Path(sys.argv[2]), [int(p) for p in sys.argv[3:]]))
