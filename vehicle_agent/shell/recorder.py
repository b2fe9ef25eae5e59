"""The recorder: a process that hears what the others did, and writes it down.

    python -m vehicle_agent.shell.recorder --config agent.toml

Nobody waits for it. One thread takes datagrams from RUN/recorder.sock into a bounded store, another
one writes them to the disk at the disk's pace; what finds no room is lost, video first, and told.
"""

from __future__ import annotations

import argparse
import gc
import json
import select
import signal
import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

from joserfc.jwk import OKPKey

from protocol.messages import load_private_key, load_trust
from protocol.profiles import parse_profile
from recording import channels
from recording.backlog import Backlog, Item
from recording.files import Plan
from recording.heads import Announce, HeardHeads, announced
from recording.ring import Ring, finish_orphans
from recording.seal import seal
from recording.software import software
from recording.writing import Writing, resumed
from vehicle_agent.log import disk
from vehicle_agent.log.disk import Disk
from vehicle_agent.shell import clock, ipc
from vehicle_agent.shell.config import AgentSettings, load_agent_config
from vehicle_agent.shell.live import Live
from vehicle_agent.shell.picture_tap import KEY_FRAME, PART, PARTS_MAX
from vehicle_agent.shell.tape_sender import WRITTEN, key_text

_MB = 1024 * 1024
_NS_PER_S = 1_000_000_000
LISTEN_MS = 200
HEALTH_NS = _NS_PER_S
TOLD_AGAIN_NS = 60 * _NS_PER_S
LINGER_NS, QUIET_NS = _NS_PER_S, 250_000_000
"""At the end it hears the others out, who are told to end at the same time."""
LOSS_EVENT = "G108"


@dataclass(slots=True)
class Pictures:
    """Puts the parts of access units together; a picture whose parts are not all there is lost."""

    _parts: dict[int, tuple[int, list[bytes]]] = field(default_factory=dict)
    torn: int = 0

    def take(self, body: bytes) -> Item | None:
        """Take a part; return the picture that it completes."""
        if len(body) < PART.size:
            return None
        camera, flags, part, of, stamp_us, picture = PART.unpack_from(body)
        number, parts = self._parts.get(camera, (-1, []))
        if number != picture or part != len(parts):
            self.torn += bool(parts)
            parts = []
        if part != len(parts) or not 0 < of <= PARTS_MAX:
            self._parts.pop(camera, None)
            return None
        parts.append(body[PART.size :])
        self._parts[camera] = (picture, parts)
        if len(parts) < of:
            return None
        del self._parts[camera]
        return Item(
            disk.PICTURE,
            channels.video_topic(camera),
            stamp_us * 1000,
            b"".join(parts),
            camera=camera,
            key=bool(flags & KEY_FRAME),
        )


class Recorder:
    """Both threads of the process.

    Args:
        settings: the agent's, with a recorder.
    """

    def __init__(self, settings: AgentSettings) -> None:
        assert settings.recorder is not None
        wanted = settings.recorder
        self._video = wanted.video
        self._mailbox = ipc.Mailbox(settings.runtime.dir, ipc.RECORDER)
        self.backlog = Backlog()
        self._pictures = Pictures()
        self._told_ns: int | None = None
        self._health_ns = 0
        wanted.dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        killed = finish_orphans(wanted.dir) > 0
        ring = Ring(wanted.dir, wanted.quota_mb * _MB, wanted.kept_mb * _MB)
        self._evidence: bytes | None = None
        key = load_private_key(settings.keys.device.read_text(encoding="utf-8"))
        plan = _plan(settings, key, self._announce)
        plan, number = resumed(plan, ring, clock.wall_ns() / 1e9, killed=killed)
        port = wanted.foxglove_port
        self._live = None if port is None else Live(port, settings.vehicle.name)
        watch = None if self._live is None else self._live.show
        self.disk = Disk(
            ring,
            plan,
            self._tell,
            watch,
            number=number,
            ask_key=self._ask_key,
            written=self._written,
            heads=_heads(settings),
        )
        self._writing = Writing(self.disk, self.backlog, clock.monotonic_ns, self._report)

    def run(self, ended: threading.Event) -> None:
        """Listen until ``ended`` is set, and then until the others have spoken.

        Raises:
            Exception: what ended the thread that writes; the next process goes on with the session.
        """
        self._writing.start()
        try:
            self._listen(ended)
            self._writing.finish()
        finally:
            if self._live is not None:
                self._live.close()
            self._mailbox.close()

    def _listen(self, ended: threading.Event) -> None:
        writing = self._writing
        poll = select.poll()
        poll.register(self._mailbox.fileno(), select.POLLIN)
        while writing.goes_on and not ended.is_set():
            poll.poll(LISTEN_MS)
            self._hear()
        last_ns = clock.monotonic_ns()
        quiet_ns = last_ns + QUIET_NS
        while writing.goes_on and clock.monotonic_ns() < min(last_ns + LINGER_NS, quiet_ns):
            poll.poll(LISTEN_MS // 10)
            if self._hear():
                quiet_ns = clock.monotonic_ns() + QUIET_NS

    def _hear(self) -> bool:
        """Take what waits at the socket; return whether anything did."""
        heard = False
        while (datagram := self._mailbox.receive()) is not None:
            heard = True
            item = self._item(datagram[:1], datagram[1:])
            if item is not None:
                self.backlog.put(item)
        return heard

    def _item(self, kind: bytes, body: bytes) -> Item | None:
        now_ns = clock.monotonic_ns()
        if kind == ipc.TO_RECORDER_PICTURE:
            return self._pictures.take(body) if self._video else None
        if kind == ipc.TO_RECORDER_META:
            return Item(disk.META, channels.meta_topic(body[0]), now_ns, body[1:]) if body else None
        if kind == ipc.TO_RECORDER_KEY:
            try:
                body = key_text(body)
            except ValueError:
                self.backlog.count_dropped(channels.KEY)
                return None
        topic = disk.KINDS.get(kind)
        return None if topic is None else Item(kind, topic, now_ns, body)

    def _report(self, now_ns: int) -> None:
        if now_ns < self._health_ns:
            return
        self._health_ns = now_ns + HEALTH_NS
        segment = self.disk.segment
        figures = {
            "segment": self.disk.number,
            "bytes": 0 if segment is None else segment.size_bytes,
            "waiting_bytes": self.backlog.waiting_bytes,
            "lost": dict(self.disk.lost),
            "torn_pictures": self._pictures.torn,
            "too_long": self._mailbox.too_long,
            "error": self.disk.error,
            "head": None if segment is None else segment.chain.head.hex(),
            "heads_refused": 0 if self.disk.heads is None else self.disk.heads.refused,
            "utc_off_ns": clock.wall_ns() - now_ns - self.disk.plan.offset_ns,
        }
        text = json.dumps(figures).encode()
        self.backlog.put(Item(disk.META, channels.HEALTH, now_ns, text))
        if self._evidence is not None:
            text = json.dumps(figures | {"evidence": self._evidence.decode("ascii")}).encode()
        self._mailbox.offer(ipc.LINK, ipc.with_name(ipc.TO_LINK_TELEMETRY, "recorder", text))

    def _announce(self, token: bytes) -> None:
        """The next figures tell cockpits how far this log has got."""
        self._evidence = token

    def _ask_key(self) -> None:
        self._mailbox.offer(ipc.GUARDIAN, ipc.TO_GUARDIAN_KEY)

    def _written(self, crc: int, number: int) -> None:
        self._mailbox.offer(ipc.GUARDIAN, ipc.TO_GUARDIAN_WRITTEN + WRITTEN.pack(crc, number))

    def _tell(self, words: str) -> None:
        """Say that data is lost: to the cockpits, now and then, and to whoever reads stderr."""
        now_ns = clock.monotonic_ns()
        sys.stderr.write(f"recorder: {words}\n")
        sys.stderr.flush()
        if self._told_ns is not None and now_ns - self._told_ns < TOLD_AGAIN_NS:
            return
        self._told_ns = now_ns
        text = json.dumps({"id": LOSS_EVENT, "stamp_us": now_ns // 1000}).encode()
        self._mailbox.offer(ipc.LINK, ipc.TO_LINK_EVENT + text)


def _heads(settings: AgentSettings) -> HeardHeads:
    trust = load_trust(settings.keys.trust.read_text(encoding="utf-8"), clock.wall_now())
    return HeardHeads(trust, settings.vehicle.name, of_vehicle=False)


def _plan(settings: AgentSettings, key: OKPKey, announce: Announce) -> Plan:
    wanted = settings.recorder
    assert wanted is not None
    offset_ns, wall = clock.wall_ns() - clock.monotonic_ns(), clock.wall_now()
    machine = settings.vehicle.machine
    text = machine.read_text(encoding="utf-8")
    name = settings.vehicle.name
    about = {
        "simulated": settings.vehicle.simulated,
        "site": settings.vehicle.site,
        "vehicle": settings.vehicle.name,
        "machine": parse_profile(text, str(machine)).machine.name,
        **software(),
    }

    def sealing(content: Mapping[str, Any]) -> dict[str, str]:
        return seal(content, name, key)

    def announcing(content: Mapping[str, Any]) -> None:
        announce(announced(content, name, name, key))

    return Plan(
        session=f"{wall:%Y%m%dT%H%M%S}Z-{name}",
        about=about,
        offset_ns=offset_ns,
        attachments=(
            ("machine.toml", "application/toml", text.encode()),
            ("settings.json", "application/json", settings.model_dump_json(indent=1).encode()),
            ("trust.json", "application/json", settings.keys.trust.read_bytes()),
        ),
        segment_ns=wanted.segment_s * _NS_PER_S,
        segment_bytes=wanted.segment_mb * _MB,
        seal=sealing,
        announce=announcing,
    )


def run(config: Path) -> None:
    """Record until SIGTERM or SIGINT.

    Raises:
        ValueError, OSError: the settings do not fit, or name no recorder.
    """
    settings = load_agent_config(config)
    if settings.recorder is None:
        raise ValueError(f"{config}: no recorder is set")
    ended = threading.Event()

    def end(_signal: int, _frame: FrameType | None) -> None:
        ended.set()

    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, end)
    recorder = Recorder(settings)
    gc.collect()
    gc.freeze()
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    recorder.run(ended)


def main() -> int:
    """Run the process; one line on stderr and 1 when it cannot."""
    parser = argparse.ArgumentParser(prog="recorder")
    parser.add_argument("--config", type=Path, required=True)
    arguments = parser.parse_args()
    try:
        run(arguments.config)
    except (ValueError, OSError, RuntimeError) as error:
        sys.stderr.write(f"recorder: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
