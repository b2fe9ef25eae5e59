"""One end of the command benchmark: a console that commands 50 times a second, or a machine.

``python -m benchmarks._command_end console|machine TRANSPORT --host H --port P --keys DIR``.
"mqtt" are the console's and the machine's real links, with TLS and certificates; "both" has the
control peer's data channels beside them, "channel" carries commands and states by those alone;
"stock" is aiomqtt as its manual shows it. All carry the same command frames and are judged by
the guardian's own acceptance. The machine prints one JSON object when its standard input ends.
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

from operator_console.core.echo import NO_ECHO, Echo
from operator_console.core.session import Outgoing
from operator_console.shell.clock import wall_now
from operator_console.shell.control_peer import ControlPath
from operator_console.shell.link import MqttLink
from operator_console.shell.pump import Lane
from protocol.broker_settings import BrokerSettings
from protocol.control_peer import CommandPath
from protocol.errors import Refusal
from protocol.frames import CommandFrame, CommandKind, vehicle_id
from protocol.freshness import Acceptance, Accepted, Lease
from protocol.messages import load_private_key, load_trust
from protocol.signals import DEFAULT_TIMING
from protocol.topics import Topics
from vehicle_agent.shell import ipc
from vehicle_agent.shell.clock import monotonic_ns
from vehicle_agent.shell.config import (
    AgentSettings,
    CanSettings,
    ControlPeerSettings,
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
MS_NS = 1_000_000
BOOT, EPOCH, KEY_ID, KEY = 7, 1, 1, bytes(range(32))
STOCK_AGAIN_S = 1.0
TRANSPORTS = ("both", "channel", "mqtt", "stock")
PATHS_OF = {"both": (CommandPath.MQTT, CommandPath.DATA_CHANNEL)}
"""What must have brought a command before any is counted, where that is more than the first."""


@dataclass
class Judged:
    """What the machine made of the commands.

    Silences and ages count from when each path of the transport has brought one: no machine is
    driven before its links stand. The oldest that acted counts from the first.

    Attributes:
        awaited: paths that have brought nothing yet.
        ages_ms: of what was accepted, by the clock that both ends share.
        oldest_bound_ms: age of the oldest of them, as the machine itself bounds it.
        refused: what was not, by reason; copies of the other path are none.
        silences_ms: between two accepted commands, of those in which the traction goes.
    """

    acceptance: Acceptance = field(
        default_factory=lambda: Acceptance(DEFAULT_TIMING, vehicle_id(VEHICLE), BOOT)
    )
    awaited: set[int] = field(default_factory=set)
    ages_ms: list[float] = field(default_factory=list)
    refused: Counter[str] = field(default_factory=Counter)
    oldest_bound_ms: float = 0.0
    silence_ms: float = 0.0
    silences_ms: list[float] = field(default_factory=list)
    last_ns: int = 0

    def __post_init__(self) -> None:
        self.acceptance.open_lease(Lease(KEY_ID, EPOCH, KEY))

    def take(self, data: bytes, path: int = CommandPath.MQTT) -> None:
        """Judge one command as the guardian does; a copy of the other path is no refusal."""
        now_ns = monotonic_ns()
        verdict = self.acceptance.judge(now_ns, data, path)
        if isinstance(verdict, Accepted):
            self.oldest_bound_ms = max(self.oldest_bound_ms, verdict.uplink_us / 1e3)
            self.awaited.discard(path)
            if not self.awaited:
                self._count(now_ns, verdict)
        elif verdict.reason is Refusal.DUPLICATE:
            self.awaited.discard(path)
        elif not self.awaited:
            self.refused[verdict.reason.name] += 1

    def _count(self, now_ns: int, accepted: Accepted) -> None:
        self.ages_ms.append((now_ns - accepted.frame.source_stamp_us * 1000) / 1e6)
        if self.last_ns:
            self._note_silence((now_ns - self.last_ns) / 1e6)
        self.last_ns = now_ns

    def out(self, path: int) -> bool:
        """No valid command has come by this path for as long as takes one for out."""
        last_ns = self.acceptance.paths[path].last_valid_ns
        return last_ns is None or monotonic_ns() - last_ns > DEFAULT_TIMING.path_silent_ms * MS_NS

    def _note_silence(self, silence_ms: float) -> None:
        self.silence_ms = max(self.silence_ms, silence_ms)
        if silence_ms > DEFAULT_TIMING.command_degraded_ms:
            self.silences_ms.append(silence_ms)

    def result(self) -> dict[str, Any]:
        """Return the figures."""
        if self.last_ns:
            self._note_silence((monotonic_ns() - self.last_ns) / 1e6)
        return {
            "ages_ms": self.ages_ms,
            "refused": dict(self.refused),
            "oldest_bound_ms": self.oldest_bound_ms,
            "silence_ms": self.silence_ms,
            "silences_ms": self.silences_ms,
            "first": [path.accepted for path in self.acceptance.paths],
            "copies": [path.duplicates for path in self.acceptance.paths],
        }


@dataclass
class Hand:
    """Makes commands with the echo that a console would give back; every transport's is the same.

    Attributes:
        newest_us: stamp of the newest state heard. echo: what the next command gives back.
    """

    newest_us: int = 0
    echo: Echo = NO_ECHO
    sequence: int = 0

    def hear(self, content: bytes) -> None:
        """Take a state, unless a newer one is here: only its stamp matters."""
        stamp_us = int.from_bytes(content[:8], "little")
        if stamp_us > self.newest_us:
            self.newest_us = stamp_us
            self.echo = self.echo.followed_by(stamp_us, monotonic_ns())

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
            echo_hold_us=min((now_ns - self.echo.received_ns) // 1000, 0xFFFFFFFF),
            source_stamp_us=now_ns // 1000,
            echo_stamp_us=self.echo.stamp_us,
            view_stamp_us=self.newest_us,
            throttle=3000,
            gear=1,
            enable=True,
        ).encode(KEY)


def state(*, channel_out: bool = False) -> bytes:
    """Return something as long as a state frame with the stamp of now, and one path's state."""
    stamp = (monotonic_ns() // 1000).to_bytes(8, "little")
    return (stamp + bytes([channel_out])).ljust(STATE_BYTES, b"\0")


async def every_period(act: Callable[[], Awaitable[object]]) -> None:
    """Act on a 20 ms grid for ever; a slot that was missed is skipped."""
    due_ns = monotonic_ns()
    while True:
        await act()
        due_ns = max(due_ns + round(PERIOD_S * 1e9), monotonic_ns())
        await asyncio.sleep(max(0.0, (due_ns - monotonic_ns()) / 1e9))


class OurConsole:
    """A console's two lines and its data channels; what one does not take holds up no other.

    Args:
        broker: whom to reach. home: of its key. trust: file of all keys.
        mqtt, channel: the paths that carry commands and states.
    """

    def __init__(
        self, broker: BrokerSettings, home: Path, trust: Path, *, mqtt: bool, channel: bool
    ) -> None:
        self._hand = Hand()
        self._commands, self._words = (MqttLink(broker, OPERATOR) for _ in range(2))
        self._lane = Lane(self._commands) if mqtt else None
        self._words_up = False
        self._posted: asyncio.Queue[Outgoing] = asyncio.Queue()
        self._direct = (
            ControlPath(
                OPERATOR,
                TOPICS,
                load_private_key((home / "device.jwk").read_text(encoding="utf-8")),
                load_trust(trust.read_text(encoding="utf-8"), wall_now()),
                (),
                post=self._post,
                on_state=self._hear,
                on_change=lambda _: None,
            )
            if channel
            else None
        )

    async def run(self) -> None:
        """Command for ever."""
        async with asyncio.TaskGroup() as group:
            signals = ((TOPICS.signal(OPERATOR), 1),)
            group.create_task(self._words.run(signals, self._signal, self._words_changed))
            group.create_task(self._post_all())
            if self._lane is not None:
                heard = ((TOPICS.state, 0),)
                group.create_task(
                    self._commands.run(heard, lambda _, data: self._hear(data), lambda _: None)
                )
                group.create_task(self._lane.run())
            if self._direct is not None:
                group.create_task(self._direct.run())
            group.create_task(every_period(self._command))

    def _hear(self, content: bytes) -> None:
        self._hand.hear(content)
        if self._direct is not None:
            self._direct.uplink_is(out=bool(content[8]))

    async def _command(self) -> None:
        if not self._hand.newest_us:
            return
        frame = self._hand.command()
        if self._direct is not None:
            self._direct.send_command(frame)
        if self._lane is not None:
            self._lane.offer(Outgoing(TOPICS.cmd(OPERATOR), frame, 0))

    def _post(self, message: Outgoing) -> bool:
        if self._words_up:
            self._posted.put_nowait(message)
        return self._words_up

    async def _post_all(self) -> None:
        while True:
            await self._words.publish(await self._posted.get())

    def _signal(self, _topic: str, payload: bytes) -> None:
        if self._direct is not None:
            self._direct.hear_signal(payload)

    def _words_changed(self, up: bool) -> None:
        self._words_up = up


async def our_machine(
    control: BrokerSettings,
    telemetry: BrokerSettings,
    home: Path,
    trust: Path,
    judged: Judged,
    *,
    channel: bool,
) -> None:
    """Hear commands over the machine's link, and say the state 50 times a second."""
    with tempfile.TemporaryDirectory(prefix="hf-") as name:
        folder = Path(name)
        settings = AgentSettings(
            vehicle=VehicleSettings(site=SITE, name=VEHICLE, machine=MACHINE, simulated=True),
            runtime=RuntimeSettings(dir=folder, record=folder / "record"),
            keys=KeySettings(device=home / "device.jwk", trust=trust),
            mqtt=control,
            telemetry=telemetry,
            can=CanSettings(interface="headframe_local", channel="none"),
            control_peer=ControlPeerSettings() if channel else None,
        )
        guardian, link_box = ipc.Mailbox(folder, ipc.GUARDIAN), ipc.Mailbox(folder, ipc.LINK)

        def take() -> None:
            while (datagram := guardian.receive()) is not None:
                judged.take(datagram[2:], datagram[1])

        async def say() -> None:
            said = state(channel_out=judged.out(CommandPath.DATA_CHANNEL))
            guardian.send(ipc.LINK, ipc.TO_LINK_STATE + said)

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
    if chosen.transport != "stock":
        home = chosen.keys / (OPERATOR if chosen.end == "console" else VEHICLE)
        tls = {"ca": home / "ca.crt", "cert": home / "tls.crt", "key": home / "tls.key"}
        control, trust = here.model_copy(update=tls), chosen.keys / "trust.json"
        channel = chosen.transport in ("both", "channel")
        if chosen.end == "console":
            mqtt = chosen.transport in ("both", "mqtt")
            return OurConsole(control, home, trust, mqtt=mqtt, channel=channel).run()
        telemetry = control.model_copy(update={"port": chosen.telemetry_port})
        return our_machine(control, telemetry, home, trust, judged, channel=channel)
    hand = Hand()
    cmd = TOPICS.cmd(OPERATOR)
    if chosen.end == "console":
        return stock(
            here,
            TOPICS.state,
            hand.hear,
            lambda: Outgoing(cmd, hand.command(), 0) if hand.newest_us else None,
        )
    return stock(here, cmd, judged.take, lambda: Outgoing(TOPICS.state, state(), 0))


async def run(chosen: argparse.Namespace) -> None:
    """Work until standard input ends; a machine then prints what it judged."""
    judged = Judged(awaited=set(PATHS_OF.get(chosen.transport, ())))
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
    parser.add_argument("transport", choices=TRANSPORTS)
    parser.add_argument("--host", required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--telemetry-port", type=int, default=1)
    parser.add_argument("--keys", type=Path, default=Path())
    asyncio.run(run(parser.parse_args()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
