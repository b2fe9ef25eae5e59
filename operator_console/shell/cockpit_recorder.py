"""The cockpit's recorder: a process that hears what the console did, and writes it down.

    python -m operator_console.shell.cockpit_recorder --config console.toml --line N

Nobody waits for it. One thread takes datagrams from its line into a bounded store, another one
writes them to the disk at the disk's pace; what finds no room is lost, and told. It ends with its
line, and not before: Ctrl-C at the console must not cost the end of its log.
"""

from __future__ import annotations

import argparse
import gc
import hashlib
import json
import select
import signal
import socket
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from operator_console.core import cockpit_log
from operator_console.shell import clock
from operator_console.shell.config import ConsoleSettings, Keys, load_keys, load_settings
from operator_console.shell.realtime import step_back
from operator_console.shell.recorder_process import BUFFER_BYTES, DATAGRAM_MAX_BYTES
from recording import channels
from recording.backlog import Backlog, Item
from recording.files import Files, Plan
from recording.heads import Announce, HeardHeads, announced
from recording.ring import Ring, finish_orphans
from recording.seal import seal
from recording.segment import Segment
from recording.software import software
from recording.writing import Writing, resumed

UI = Path(__file__).resolve().parents[1] / "ui"
_MB = 1024 * 1024
_NS_PER_S = 1_000_000_000
REPORT_NS = _NS_PER_S
LISTEN_MS = 1000
KEPT_MB = 1
"""Nothing is kept round stops here: the quota is all of a cockpit's log."""
_HEALTH_KIND = b"r"


@dataclass(slots=True, kw_only=True)
class CockpitFiles(Files):
    """The cockpit's hand on the disk.

    Args:
        heads: what the machine's recorder tells of itself.
    """

    heads: HeardHeads

    def write(self, now_ns: int, segment: Segment, item: Item) -> None:
        """Write out one record; a head that does not count is none."""
        del now_ns
        is_head = item.kind == cockpit_log.HEAD
        content = self.heads.row(item.data) if is_head else cockpit_log.content_of(item)
        if content is not None:
            self.put(segment, item.topic, item.stamp_ns, content)


class Recorder:
    """Both threads of the process.

    Args:
        settings: the console's, with a recorder. keys: its own, and who is trusted.
        line: to the console.
    """

    def __init__(self, settings: ConsoleSettings, keys: Keys, line: socket.socket) -> None:
        wanted = settings.recorder
        assert wanted is not None
        self._line = line
        self._report_ns = 0
        self.backlog = Backlog()
        wanted.dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        killed = finish_orphans(wanted.dir) > 0
        ring = Ring(wanted.dir, wanted.quota_mb * _MB, KEPT_MB * _MB)
        plan = plan_of(settings, keys, self._announce)
        plan, number = resumed(plan, ring, clock.wall_ns() / 1e9, killed=killed)
        heads = HeardHeads(keys.trust, settings.console.vehicle, of_vehicle=True)
        self.files = CockpitFiles(ring, plan, self._tell, number=number, heads=heads)
        self._writing = Writing(self.files, self.backlog, clock.monotonic_ns, self._report)

    def run(self) -> None:
        """Record until the line ends.

        Raises:
            Exception: what ended the thread that writes; the next process goes on with the session.
        """
        self._writing.start()
        poll = select.poll()
        poll.register(self._line, select.POLLIN)
        while self._writing.goes_on and self._hear():
            poll.poll(LISTEN_MS)
        self._writing.finish()

    def _hear(self) -> bool:
        """Take what waits on the line; return False when that has ended."""
        while True:
            try:
                datagram = self._line.recv(DATAGRAM_MAX_BYTES)
            except BlockingIOError:
                return True
            except OSError:
                return False
            if not datagram:
                return False
            self._take(datagram)

    def _take(self, datagram: bytes) -> None:
        item = cockpit_log.item_of(datagram)
        if item is None:
            self.backlog.count_dropped(cockpit_log.CONSOLE)
        elif item.kind == cockpit_log.DROPPED:
            number = int(item.data) if item.data.isdigit() else 1
            self.backlog.count_dropped(item.topic, number)
        else:
            self.backlog.put(item)

    def _report(self, now_ns: int) -> None:
        if now_ns < self._report_ns:
            return
        self._report_ns = now_ns + REPORT_NS
        segment = self.files.segment
        figures = {
            "segment": self.files.number,
            "bytes": 0 if segment is None else segment.size_bytes,
            "waiting_bytes": self.backlog.waiting_bytes,
            "lost": dict(self.files.lost),
            "lost_in_all": self.files.lost.total(),
            "error": self.files.error,
            "heads_refused": self.files.heads.refused,
            "utc_off_ns": clock.wall_ns() - now_ns - self.files.plan.offset_ns,
        }
        self._say({"figures": figures})
        text = json.dumps(figures).encode()
        self.backlog.put(Item(_HEALTH_KIND, channels.HEALTH, now_ns, text))

    def _announce(self, token: bytes) -> None:
        self._say({"evidence": token.decode("ascii")})

    def _say(self, word: Mapping[str, Any]) -> None:
        """Tell the console; one that takes nothing has no need of it."""
        try:
            self._line.send(json.dumps(word).encode())
        except OSError:
            return

    def _tell(self, words: str) -> None:
        sys.stderr.write(f"cockpit recorder: {words}\n")
        sys.stderr.flush()
        self._report_ns = 0


def plan_of(settings: ConsoleSettings, keys: Keys, announce: Announce) -> Plan:
    """Return how a cockpit's log is made.

    Args:
        announce: takes what the machine is told of how far it has got.
    """
    wanted, seat = settings.recorder, settings.console
    assert wanted is not None
    offset_ns, wall = clock.wall_ns() - clock.monotonic_ns(), clock.wall_now()
    public = keys.device.as_dict(private=False)
    about = {
        "log": channels.COCKPIT,
        "simulated": seat.simulated,
        "site": seat.site,
        "vehicle": seat.vehicle,
        "operator": seat.operator,
        "signer": {name: str(public[name]) for name in ("kty", "crv", "x")},
        **software(),
    }

    def sealing(content: Mapping[str, Any]) -> dict[str, str]:
        return seal(content, seat.operator, keys.device)

    def announcing(content: Mapping[str, Any]) -> None:
        announce(announced(content, seat.operator, seat.vehicle, keys.device))

    attachments = [
        ("settings.json", "application/json", settings.model_dump_json(indent=1).encode()),
        ("trust.json", "application/json", settings.keys.trust.read_bytes()),
        ("page.json", "application/json", json.dumps(_page_digests(), indent=1).encode()),
    ]
    if settings.desk is not None:
        attachments.append(("desk.toml", "application/toml", settings.desk.file.read_bytes()))
    return Plan(
        session=f"{wall:%Y%m%dT%H%M%S}Z-{seat.operator}",
        about=about,
        offset_ns=offset_ns,
        attachments=tuple(attachments),
        segment_ns=wanted.segment_s * _NS_PER_S,
        segment_bytes=wanted.segment_mb * _MB,
        seal=sealing,
        announce=announcing,
    )


def _page_digests() -> dict[str, str]:
    """Return the SHA-256 of each file of the page, which is what the driver had before him."""
    files = sorted(path for path in UI.iterdir() if path.is_file())
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def run(config: Path, line: socket.socket) -> None:
    """Record until the line ends.

    Raises:
        ValueError, OSError: the settings do not fit, or name no recorder.
    """
    settings = load_settings(config)
    if settings.recorder is None:
        raise ValueError(f"{config}: no recorder is set")
    line.setblocking(False)
    line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER_BYTES)
    recorder = Recorder(settings, load_keys(settings), line)
    gc.collect()
    gc.freeze()
    recorder.run()


def main(arguments: list[str] | None = None) -> int:
    """Run the process; one line on stderr and 1 when it cannot."""
    parser = argparse.ArgumentParser(prog="cockpit recorder")
    parser.add_argument("--config", type=Path, required=True)
    parser.add_argument("--line", type=int, required=True)
    given = parser.parse_args(arguments)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
    step_back()
    try:
        with socket.socket(fileno=given.line) as line:
            run(given.config, line)
    except (ValueError, OSError) as error:
        sys.stderr.write(f"cockpit recorder: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
