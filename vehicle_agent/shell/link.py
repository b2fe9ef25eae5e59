"""The link: carries bytes between consoles and the guardian, and judges none of them.

Two connections to the control broker, so that nothing waits behind what does not concern it:
commands in and states out on one, everything said now and then on the other; and beside them
the control peer's data channels. Outgoing state is newest-wins; a message that cannot leave now
is dropped, never stored for later.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import signal
import sys
from pathlib import Path

from protocol.control_peer import CommandPath
from protocol.messages import load_private_key, load_trust, peer_of, tells_head
from protocol.topics import Topics
from recording.heads import HeardHeads
from vehicle_agent.core.rate import Buckets
from vehicle_agent.shell import clock, ipc
from vehicle_agent.shell.config import AgentSettings, load_agent_config
from vehicle_agent.shell.control_peer import COMMAND_BURST, COMMAND_PERIOD_NS, ControlPeers
from vehicle_agent.shell.line import Line
from vehicle_agent.shell.outbox import Out
from vehicle_agent.shell.presence import Presence
from vehicle_agent.shell.telemetry_link import TelemetryLink

GUARDIAN_SILENT_S = 2.5
"""The guardian speaks at least once a second; beyond this people are told that it does not."""
OFFER_AGAIN_S = 0.01
"""The guardian looks this often: one tick."""
REPORT_PERIOD_S = 1.0
STOP_PERIOD_NS, STOP_BURST = 10_000_000, 4
"""Stops of one author that are handed on: one a tick, which is what the guardian looks at."""
REQUEST_PERIOD_NS, REQUEST_BURST = 50_000_000, 10
HEAD_PERIOD_NS, HEAD_BURST = 500_000_000, 4
"""Heads of one cockpit's recorder, which tells one a second."""
PROOF_PERIOD_NS, PROOF_BURST = 50_000_000, 20
"""Heads in the name of one cockpit that are proven: what is none must not stand in their way, and
proving one takes 0.3 ms (Ed25519, on a computer of two cores)."""
NEVER_RETAINED = ("cmd", "req", "stop")
SHARED = ("cmd", "req", "stop", "signal")
OF_TICKS = ("control", "recorder")
"""Figures that the recorder has already: with what the supervisor said, and of itself."""
_WORDS = (("req", 1), ("stop", 0), ("signal", 1))


class Link:
    """One vehicle's connections: to the control broker, and to consoles.

    Attributes:
        peers: the control peers; None where none is configured.
        ready: set once both connections to the broker stand.
    """

    def __init__(self, settings: AgentSettings, mailbox: ipc.Mailbox) -> None:
        vehicle = settings.vehicle.name
        self._topics = Topics(settings.vehicle.site, vehicle)
        self._mailbox = mailbox
        self._records = settings.recorder is not None
        self._presence = Presence(settings)
        self._telemetry = (
            None
            if settings.telemetry is None
            else TelemetryLink(settings.telemetry, vehicle, self._presence)
        )
        self._stream = Line(
            settings.mqtt, f"vehicle-{vehicle}", ((self._topics.all_of("cmd"), 0),), self._on_mqtt
        )
        self._words = Line(
            settings.mqtt,
            f"vehicle-{vehicle}-words",
            tuple((self._topics.all_of(name), qos) for name, qos in _WORDS),
            self._on_mqtt,
            None if self._telemetry else self._presence,
            self._watch_guardian,
        )
        self._slow = self._telemetry.outbox if self._telemetry else self._words.outbox
        self.peers = self._new_peers(settings)
        self._commands = Buckets(COMMAND_PERIOD_NS, COMMAND_BURST)
        self._stops = Buckets(STOP_PERIOD_NS, STOP_BURST)
        self._requests = Buckets(REQUEST_PERIOD_NS, REQUEST_BURST)
        self._heads = Buckets(HEAD_PERIOD_NS, HEAD_BURST)
        self._proofs = Buckets(PROOF_PERIOD_NS, PROOF_BURST)
        trust = load_trust(settings.keys.trust.read_text(encoding="utf-8"), clock.wall_now())
        self._heard_heads = HeardHeads(trust, vehicle, of_vehicle=False)
        self._offering: asyncio.TimerHandle | None = None
        self._guardian_spoke = asyncio.Event()
        self.ready = asyncio.Event()

    def _new_peers(self, settings: AgentSettings) -> ControlPeers | None:
        if settings.control_peer is None:
            return None
        keys = settings.keys
        return ControlPeers(
            settings.vehicle.name,
            load_private_key(keys.device.read_text(encoding="utf-8")),
            load_trust(keys.trust.read_text(encoding="utf-8"), clock.wall_now()),
            settings.control_peer.ice_addresses,
            on_command=self._command_by_peer,
            on_stop=self._stop_by_peer,
            say=self._say_signal,
        )

    async def run(self) -> None:
        """Serve until cancelled."""
        asyncio.get_running_loop().add_reader(self._mailbox.fileno(), self._from_machine)
        async with asyncio.TaskGroup() as group:
            if self._telemetry:
                group.create_task(self._telemetry.run(), name="link.telemetry")
            if self.peers:
                group.create_task(self.peers.run(), name="link.peers")
            group.create_task(self._report(), name="link.report")
            group.create_task(self._stream.run(), name="link.stream")
            group.create_task(self._words.run(), name="link.words")
            group.create_task(self._note_ready(), name="link.ready")

    async def _note_ready(self) -> None:
        await self._stream.ready.wait()
        await self._words.ready.wait()
        self.ready.set()

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
                    text = json.dumps({"id": "G107"}).encode()
                    self._record(ipc.TO_RECORDER_EVENT + text)
                    self._event(text)
                told = True

    async def _report(self) -> None:
        while True:
            await asyncio.sleep(REPORT_PERIOD_S)
            text = json.dumps(self._figures()).encode()
            self._slow.put_newest(self._topics.telemetry("link"), text)
            self._record(ipc.with_name(ipc.TO_RECORDER_FIGURES, "link", text))

    def _figures(self) -> dict[str, object]:
        return {
            "peers": 0 if self.peers is None else len(self.peers.peers),
            "peer_counts": {} if self.peers is None else dict(self.peers.counts),
            "superseded": self._stream.superseded + self._words.superseded,
            "made_way": self._stream.made_way + self._words.made_way,
            "commands_dropped": self._commands.dropped,
            "stops_dropped": self._stops.dropped,
            "requests_dropped": self._requests.dropped,
            "heads_dropped": self._proofs.dropped,
            "heads_refused": self._heard_heads.refused,
        }

    def _record(self, datagram: bytes) -> None:
        """Let the recorder know what people are told, if there is one."""
        if self._records:
            self._mailbox.offer(ipc.RECORDER, datagram)

    # ---- to the machine ----------------------------------------------------------------

    def _on_mqtt(self, topic: str, payload: bytes, retained: bool) -> None:
        self._to_machine(topic, payload, retained=retained)

    def _to_machine(self, topic: str, payload: bytes, *, retained: bool) -> None:
        for name in SHARED:
            author = self._topics.author(topic, name)
            if author is None:
                continue
            if retained and name in NEVER_RETAINED:
                path = bytes([CommandPath.MQTT])
                self._mailbox.send(ipc.GUARDIAN, ipc.TO_GUARDIAN_RETAINED + path)
            elif name == "cmd":
                if self._commands.take(author, clock.monotonic_ns()):
                    self._command(CommandPath.MQTT, payload)
            elif name == "req":
                if self._requests.take(author, clock.monotonic_ns()):
                    self._forward(ipc.GUARDIAN, ipc.TO_GUARDIAN_REQUEST, author, payload)
            elif name == "stop":
                if self._stops.take(author, clock.monotonic_ns()):
                    self._forward(ipc.GUARDIAN, ipc.TO_GUARDIAN_STOP, author, payload)
            elif tells_head(payload):
                self._head(author, payload)
            elif self.peers is not None and peer_of(payload) == "control":
                self.peers.take(author, payload)
            else:
                self._forward(ipc.MEDIA, ipc.TO_MEDIA_SIGNAL, author, payload)

    def _head(self, author: str, token: bytes) -> None:
        """Prove it before it counts, so that nobody uses up what another one may tell."""
        now_ns, heard = clock.monotonic_ns(), self._heard_heads
        if not self._records or author not in heard.trust or not self._proofs.take(author, now_ns):
            return
        if heard.row(token, author) is not None and self._heads.take(author, now_ns):
            self._record(ipc.TO_RECORDER_HEAD + token)

    def _command(self, path: CommandPath, frame: bytes) -> None:
        self._mailbox.send(ipc.GUARDIAN, ipc.TO_GUARDIAN_COMMAND + bytes([path]) + frame)

    def _command_by_peer(self, frame: bytes) -> None:
        self._command(CommandPath.DATA_CHANNEL, frame)

    def _stop_by_peer(self, author: str, token: bytes) -> None:
        self._forward(ipc.GUARDIAN, ipc.TO_GUARDIAN_STOP, author, token)

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

    # ---- from the machine --------------------------------------------------------------

    def _from_machine(self) -> None:
        while (datagram := self._mailbox.receive()) is not None:
            kind, body = datagram[:1], datagram[1:]
            if kind == ipc.TO_LINK_STATE:
                self._state(body)
            elif kind == ipc.TO_LINK_AUTHORITY:
                self._presence.note_boot(body)
                self._words.outbox.put_newest(self._topics.authority, body)
            elif kind == ipc.TO_LINK_EVENT:
                self._event(body)
            else:
                self._named(kind, body)

    def _state(self, frame: bytes) -> None:
        """Send a state by both paths: losing it stops the machine as surely as losing commands."""
        self._guardian_spoke.set()
        self._stream.outbox.put_newest(self._topics.state, frame)
        if self.peers:
            self.peers.send_state(frame)

    def _event(self, content: bytes) -> None:
        """Tell the cockpits, and whoever listens at the telemetry broker."""
        out = Out(self._topics.event, content, qos=1)
        self._words.outbox.put(out)
        if self._telemetry:
            self._telemetry.outbox.put(out)

    def _say_signal(self, operator: str, token: bytes) -> None:
        with contextlib.suppress(ValueError):
            self._words.outbox.put(Out(self._topics.signal(operator), token, qos=1))

    def _named(self, kind: bytes, body: bytes) -> None:
        addressed = ipc.split_name(body)
        if addressed is None:
            return
        with contextlib.suppress(ValueError):
            if kind == ipc.TO_LINK_ACK:
                topic = self._topics.ack(addressed.name)
                self._words.outbox.put(Out(topic, addressed.content, qos=1))
            elif kind == ipc.TO_LINK_SIGNAL:
                self._say_signal(addressed.name, addressed.content)
            elif kind == ipc.TO_LINK_TELEMETRY:
                if addressed.name not in OF_TICKS:
                    self._record(ipc.TO_RECORDER_FIGURES + body)
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
