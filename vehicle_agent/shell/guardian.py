"""The guardian: a synchronous process at 100 Hz that owns by-wire bus and watchdog relay.

It runs no event loop, loads no media and waits for nobody: what it hears comes by bounded
datagram sockets, what it decides is in the pure supervisor, and when it dies the ECU and the
relay stop the machine.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

from protocol.freshness import Histogram
from protocol.messages import BEFORE_ALL, Trust, load_private_key, load_trust, read_trust
from protocol.profiles import MachineProfile, parse_profile
from protocol.signals import Timing, tightened
from vehicle_agent.core.approval import settings_sha256
from vehicle_agent.core.clearance import RangeFinder
from vehicle_agent.core.record import Record
from vehicle_agent.core.supervisor import Setup, Supervisor, TickInputs, TickOutputs
from vehicle_agent.core.viewing import Faces
from vehicle_agent.shell import clock, ipc
from vehicle_agent.shell.bus import BusReader, BusSender, open_bus
from vehicle_agent.shell.config import AgentSettings, load_agent_config
from vehicle_agent.shell.realtime import ask_realtime
from vehicle_agent.shell.relay import RelayPort
from vehicle_agent.shell.store import RecordStore
from vehicle_agent.shell.tape_sender import TapeSender

_MS = 1_000_000
DATAGRAMS_PER_TICK = 64
BUS_FRAMES_PER_TICK = 256
REPORT_PERIOD_NS = 1_000 * _MS
MEDIA_PERIOD_NS = 100_000_000


@dataclass(slots=True)
class Beat:
    """The fixed grid of ticks: no drift, late ticks skipped and counted."""

    period_ns: int
    next_ns: int
    ticks: int = 0
    skipped: int = 0
    lateness_us: Histogram = field(default_factory=Histogram)
    work_us: Histogram = field(default_factory=Histogram)

    def arrived(self, now_ns: int) -> None:
        """Count a tick that begins at ``now_ns`` and plan the next one on the grid."""
        late_ns = max(0, now_ns - self.next_ns)
        self.ticks += 1
        self.lateness_us.add(late_ns // 1000)
        missed = late_ns // self.period_ns
        self.skipped += missed
        self.next_ns += (1 + missed) * self.period_ns


class Guardian:
    """Reads, steps, writes; once a tick."""

    def __init__(
        self,
        settings: AgentSettings,
        profile: MachineProfile,
        timing: Timing,
        store: RecordStore,
        *,
        got: dict[str, str],
    ) -> None:
        trust = load_trust(settings.keys.trust.read_text(encoding="utf-8"), BEFORE_ALL)
        self._settings_sha256 = settings_sha256(
            settings.vehicle.name,
            profile.limits,
            timing,
            trust,
            settings.command_paths,
            settings.range_finder_m,
            profile.adapter,
            locator=settings.locator is not None,
        )
        approved = settings.vehicle.approved_sha256
        self._mailbox = ipc.Mailbox(settings.runtime.dir, ipc.GUARDIAN)
        self._bus = open_bus(settings.can)
        self._reader = BusReader()
        self._sender = BusSender(self._bus)
        self._store = store
        self._durable_told: Record | None = None
        self._got = got
        self._report_ns = 0
        self._media_ns = 0
        self._has_cameras = bool(settings.cameras)
        self._malformed = 0
        self.boot_tag = int.from_bytes(os.urandom(4), "little") or 1
        self._relay = (
            None
            if settings.relay is None
            else RelayPort(settings.relay.port, timing, self.boot_tag & 0xFFFF)
        )
        self._paths = settings.command_paths
        self._late_ns = timing.guardian_late_stop_ms * _MS
        setup = Setup(
            vehicle=settings.vehicle.name,
            key=load_private_key(settings.keys.device.read_text(encoding="utf-8")),
            trust=_trust(settings),
            limits=profile.limits,
            timing=timing,
            boot_tag=self.boot_tag,
            seed=os.urandom(32),
            record=store.durable,
            paths=self._paths,
            relay_fitted=self._relay is not None,
            main_camera=min((camera.id for camera in settings.cameras), default=0),
            rear_camera=next(
                (camera.id for camera in settings.cameras if camera.faces is Faces.REAR), None
            ),
            settings_mismatch=approved not in (None, self._settings_sha256),
            finder=None
            if settings.range_finder is None
            else RangeFinder.of(profile.machine, settings.range_finder.range_m),
            adapter=profile.adapter,
            locator=settings.locator is not None,
        )
        self.supervisor = Supervisor(setup)
        self._tape = None if settings.recorder is None else TapeSender(self._mailbox, setup)
        self.beat = Beat(timing.guardian_tick_ms * _MS, clock.monotonic_ns())

    def tick(self) -> None:
        """Do one tick: drain everything, decide, send."""
        now_ns = clock.monotonic_ns()
        self.beat.arrived(now_ns)
        given = self._drain(now_ns)
        step_ns = clock.monotonic_ns()
        outputs = self.supervisor.step(step_ns, given)
        for can_id, data in outputs.bus:
            self._sender.send_frame(can_id, data)
        self._say(outputs)
        if outputs.persist is not None:
            self._store.ask(outputs.persist)
        self._report(now_ns)
        done_ns = clock.monotonic_ns()
        if self._relay is not None:
            whole = done_ns - now_ns < self._late_ns and not self._sender.not_draining
            self._relay.stroke(done_ns, outputs.relay, healthy=outputs.healthy and whole)
        if self._tape is not None:
            self._tape.tick(step_ns, given, self.supervisor, outputs)
        self.beat.work_us.add((clock.monotonic_ns() - now_ns) // 1000)

    def close(self) -> None:
        """Leave bus, relay and sockets; ECU and relay notice the silence."""
        if self._relay is not None:
            self._relay.close()
        self._bus.shutdown()
        self._mailbox.close()

    def _drain(self, now_ns: int) -> TickInputs:
        commands: list[tuple[int, bytes]] = []
        requests: list[tuple[str, bytes]] = []
        stops: list[tuple[str, bytes]] = []
        retained: list[int] = []
        sensed: dict[bytes, list[bytes]] = {kind: [] for kind in ipc.SENSED}
        for _ in range(DATAGRAMS_PER_TICK):
            datagram = self._mailbox.receive()
            if datagram is None:
                break
            kind, body = datagram[:1], datagram[1:]
            if kind == ipc.TO_GUARDIAN_COMMAND and body and body[0] in self._paths:
                commands.append((body[0], body[1:]))
            elif kind == ipc.TO_GUARDIAN_RETAINED and body and body[0] in self._paths:
                retained.append(body[0])
            elif kind in sensed:
                sensed[kind].append(body)
            elif kind == ipc.TO_GUARDIAN_KEY and self._tape is not None:
                self._tape.ask_key()
            elif kind == ipc.TO_GUARDIAN_WRITTEN and self._tape is not None:
                self._tape.written(body)
            elif kind in (ipc.TO_GUARDIAN_REQUEST, ipc.TO_GUARDIAN_STOP):
                addressed = ipc.split_name(body)
                if addressed is None:
                    self._malformed += 1
                    continue
                where = requests if kind == ipc.TO_GUARDIAN_REQUEST else stops
                where.append((addressed.name, addressed.content))
            else:
                self._malformed += 1
        frames = self._reader.drain(self._bus, BUS_FRAMES_PER_TICK, now_ns)
        self._sender.shut = self._reader.given_up
        return TickInputs(
            commands=tuple(commands),
            requests=tuple(requests),
            stops=tuple(stops),
            retained=tuple(retained),
            bus=tuple((frame.arbitration_id, bytes(frame.data)) for frame in frames),
            durable=self._news_of_store(),
            relay=self._relay.receive(clock.monotonic_ns()) if self._relay else None,
            scans=tuple(sensed[ipc.TO_GUARDIAN_SCAN]),
            places=tuple(sensed[ipc.TO_GUARDIAN_PLACE]),
            nearby=tuple(sensed[ipc.TO_GUARDIAN_NEARBY]),
        )

    def _news_of_store(self) -> Record | None:
        durable = self._store.durable
        if durable == self._durable_told:
            return None
        self._durable_told = durable
        return durable

    def _say(self, outputs: TickOutputs) -> None:
        self._mailbox.flush()
        send, post = self._mailbox.send, self._mailbox.post
        if outputs.state is not None:
            send(ipc.LINK, ipc.TO_LINK_STATE + outputs.state)
            self._tell_media(outputs.state)
        if outputs.authority is not None:
            send(ipc.LINK, ipc.TO_LINK_AUTHORITY + outputs.authority)
        for operator, token in outputs.acks:
            post(ipc.LINK, ipc.with_name(ipc.TO_LINK_ACK, operator, token))
        for event in outputs.events:
            text = json.dumps({"id": event, "stamp_us": clock.monotonic_us()})
            post(ipc.LINK, ipc.TO_LINK_EVENT + text.encode())
        for group, content in outputs.telemetry:
            send(ipc.LINK, ipc.with_name(ipc.TO_LINK_TELEMETRY, group, content))

    def _tell_media(self, state: bytes) -> None:
        """Let the media process know the motion, now and then: bits go where it leads."""
        now_ns = clock.monotonic_ns()
        if self._has_cameras and now_ns >= self._media_ns:
            self._media_ns = now_ns + MEDIA_PERIOD_NS
            self._mailbox.send(ipc.MEDIA, ipc.TO_MEDIA_STATE + state)

    def _report(self, now_ns: int) -> None:
        if now_ns < self._report_ns:
            return
        self._report_ns = now_ns + REPORT_PERIOD_NS
        content = json.dumps(
            {
                "ticks": self.beat.ticks,
                "skipped": self.beat.skipped,
                "lateness_ms": self.beat.lateness_us.summary(),
                "work_ms": self.beat.work_us.summary(),
                "malformed": self._malformed,
                "not_taken": self._mailbox.dropped,
                "bus_sent": self._sender.sent,
                "bus_failed": dict(self._sender.failed),
                "got": self._got,
                "settings_sha256": self._settings_sha256,
                "record_error": self._store.failed,
                "relay": self._relay.summary() if self._relay else None,
                "not_recorded": 0 if self._tape is None else self._tape.lost,
            }
        )
        self._mailbox.send(
            ipc.LINK, ipc.with_name(ipc.TO_LINK_TELEMETRY, "guardian", content.encode())
        )


def _trust(settings: AgentSettings) -> Trust:
    """Return whom this machine trusts today; says whom it does not, and why.

    Raises:
        ValueError: the machine's own identity is among those.
    """
    path, vehicle = settings.keys.trust, settings.vehicle.name
    reading = read_trust(path.read_text(encoding="utf-8"), clock.wall_now())
    for name, why in reading.refused.items():
        sys.stderr.write(f"guardian: {path}: {name} is not trusted: {why}\n")
    if vehicle in reading.refused:
        raise ValueError(f"{path}: {vehicle} is not trusted: {reading.refused[vehicle]}")
    return reading.trust


def run(config: Path) -> None:
    """Run the guardian until SIGTERM or SIGINT.

    Raises:
        ValueError, OSError, can.CanError: settings, keys, record or bus cannot be used.
    """
    settings = load_agent_config(config)
    machine = settings.vehicle.machine
    profile = parse_profile(machine.read_text(encoding="utf-8"), str(machine))
    timing = tightened(settings.vehicle.timing)
    settings.runtime.dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    # Threads inherit the priority. One of lower rank would hold the interpreter while every other
    # program of the computer goes first, and the loop would wait for them all.
    got = ask_realtime()
    store = RecordStore(settings.runtime.record)
    ended = False

    def end(_signal: int, _frame: FrameType | None) -> None:
        nonlocal ended
        ended = True

    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, end)
    guardian = Guardian(settings, profile, timing, store, got=got)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    try:
        while not ended:
            clock.sleep_until_ns(guardian.beat.next_ns)
            guardian.tick()
    finally:
        guardian.close()
        store.close()


def main() -> int:
    """Run ``python -m vehicle_agent.shell.guardian --config FILE``."""
    parser = argparse.ArgumentParser(prog="guardian")
    parser.add_argument("--config", type=Path, required=True)
    arguments = parser.parse_args()
    try:
        run(arguments.config)
    except Exception as error:
        sys.stderr.write(f"guardian: {str(error) or type(error).__name__}\n")
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
