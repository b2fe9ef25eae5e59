"""Both processes of the cockpit benchmark: the real input process on a FIFO, and the real console.

``python -m benchmarks._cockpit_end inputd FIFO --line N`` reads kernel events that a FIFO brings in
place of a device. ``… console FIFO PORT`` starts it as its desk and sends commands to a broker by
the console's own session, pump and link; a stand-in for the machine says in the same loop, 50 times
a second, that it is driven. It prints ``reads`` when the desk is read, ``ready`` when enable goes
out, and when its standard input ends one JSON object: at which monotonic time each steering first
came to the console, and left it.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import errno
import gc
import json
import os
import socket
import sys
from dataclasses import dataclass, field
from pathlib import Path

from joserfc.jwk import OKPKey

from operator_console.core.axes import Axis
from operator_console.core.desk import Fault
from operator_console.core.desk_layout import AxisDoes, AxisUse, KeyDoes, KeyUse, Kind, Layout
from operator_console.core.devices import BUS_USB, Identity
from operator_console.core.engagement import Lease
from operator_console.core.session import ConsoleSession, Outgoing
from operator_console.shell.clock import monotonic_ns
from operator_console.shell.desk_config import DeskPlan
from operator_console.shell.desk_process import DeskProcess
from operator_console.shell.evdev_source import Found
from operator_console.shell.inputd import InputProcess, new_run, serve
from operator_console.shell.link import MqttLink
from operator_console.shell.pump import Pump
from protocol.broker_settings import BrokerSettings
from protocol.control_peer import CommandPath
from protocol.frames import SessionKeys, StateFrame, decode_command, vehicle_id
from protocol.messages import Identity as Person
from protocol.messages import Role, generate_identity
from protocol.state import VehicleMode, VehicleState
from protocol.topics import Topics

STEER, THROTTLE, BRAKE = 0, 2, 5
CLOSES, OPENS, CONFIRM, GEAR_UP, GEAR_DOWN, STOP = 288, 289, 290, 291, 292, 293
CENTRE, FULL, RELEASED, PRESSED = 32768, 65535, 255, 0
IDENTITY = Identity(BUS_USB, 1, 1, "fifo", "0" * 16)
LAYOUT = Layout(
    Kind.WHEEL,
    {"desk": IDENTITY},
    (
        AxisUse(AxisDoes.STEER, "desk", Axis(STEER, CENTRE, 0, FULL, 0, FULL)),
        AxisUse(AxisDoes.THROTTLE, "desk", Axis(THROTTLE, RELEASED, PRESSED, None, 0, 255)),
        AxisUse(AxisDoes.BRAKE, "desk", Axis(BRAKE, RELEASED, PRESSED, None, 0, 255)),
    ),
    (
        KeyUse(KeyDoes.ENABLE_CLOSES, "desk", CLOSES),
        KeyUse(KeyDoes.ENABLE_OPENS, "desk", OPENS),
        KeyUse(KeyDoes.CONFIRM, "desk", CONFIRM),
        KeyUse(KeyDoes.GEAR_UP, "desk", GEAR_UP),
        KeyUse(KeyDoes.GEAR_DOWN, "desk", GEAR_DOWN),
        KeyUse(KeyDoes.STOP, "desk", STOP),
    ),
)
TOPICS = Topics("bench", "truck-1")
OPERATOR = "console-1"
BOOT, EPOCH, KEY_ID = 7, 1, 1
KEYS = SessionKeys(bytes(range(32)), bytes(range(32, 64)))
STATE_PERIOD_S = 0.02


class FifoSource:
    """A device whose events come by a FIFO; what it holds is what they said last.

    When nobody has the FIFO's other end it is unplugged.

    Raises:
        OSError: from here and from :meth:`read`, when it is.
    """

    identity = IDENTITY
    effects: frozenset[int] = frozenset()

    def __init__(self, fifo: Path) -> None:
        self._fd = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
        self._axes = {STEER: CENTRE, THROTTLE: RELEASED, BRAKE: RELEASED}
        self.device: InputProcess | None = None
        try:
            self._first = self._read()
        except OSError:
            self.close()
            raise

    def fileno(self) -> int:
        """The FIFO."""
        return self._fd

    def read(self) -> bytes:
        """Return what waits."""
        first, self._first = self._first, b""
        return first or self._read()

    def _read(self) -> bytes:
        try:
            data = os.read(self._fd, 1536)
        except BlockingIOError:
            return b""
        if not data:
            raise OSError(errno.ENODEV, "nobody has the other end")
        return data

    def axes(self) -> dict[int, int]:
        """Return every axis: as last told, for a FIFO holds no state."""
        return dict(self.told_axes)

    def keys(self) -> set[int]:
        """Return the keys that are down, as last told."""
        return set(self.told_keys)

    @property
    def told_axes(self) -> dict[int, int]:
        """What the process holds of this device; at the start, all at rest."""
        devices = {} if self.device is None else self.device._devices
        return devices["desk"].reader.controls.axes if devices else self._axes

    @property
    def told_keys(self) -> set[int]:
        """The same for its keys."""
        devices = {} if self.device is None else self.device._devices
        return devices["desk"].reader.controls.keys if devices else {OPENS}

    def grab(self) -> None:
        """Nobody else reads a FIFO."""

    def upload(self, effect: bytes) -> bytes:
        """It has no force."""
        return effect

    def erase(self, effect_id: int) -> None:
        """It has no force."""

    def say(self, kind: int, code: int, value: int) -> None:
        """It has no force."""

    def close(self) -> None:
        """Let it go."""
        os.close(self._fd)


class FifoFinder:
    """Finds the one device while it is plugged in."""

    def __init__(self, fifo: Path) -> None:
        self._fifo = fifo
        self.process: InputProcess | None = None

    def find(self, wanted: set[str]) -> dict[str, Found]:
        """Return it."""
        found: dict[str, Found] = dict.fromkeys(wanted, Fault.ABSENT)
        with contextlib.suppress(OSError):
            source = FifoSource(self._fifo)
            source.device = self.process
            found["desk"] = source
        return found


def inputd(fifo: Path, line_number: int) -> None:
    """Run the input process on a FIFO."""
    finder = FifoFinder(fifo)
    with socket.socket(fileno=line_number) as line:
        plan = DeskPlan(LAYOUT, grab=True, force=None)
        finder.process = InputProcess(plan, finder, line, new_run())
        serve(finder.process)


@dataclass
class Seen:
    """When each steering value was first there, by the clock that all processes share."""

    told_ns: dict[int, int] = field(default_factory=dict)
    left_ns: dict[int, int] = field(default_factory=dict)
    newest: tuple[int | None, int | None] = (None, None)

    def came(self, steer: int) -> None:
        """A snapshot with this steering has come."""
        if steer != self.newest[0]:
            self.newest = (steer, self.newest[1])
            self.told_ns[steer] = monotonic_ns()

    def left(self, steer: int) -> None:
        """A command with this steering has left."""
        if steer != self.newest[1]:
            self.newest = (self.newest[0], steer)
            self.left_ns[steer] = monotonic_ns()


class Wire:
    """The console's link; notes when the socket has taken a command."""

    def __init__(self, link: MqttLink, seen: Seen) -> None:
        self._link = link
        self._seen = seen
        self.enabled = asyncio.Event()

    async def publish(self, message: Outgoing) -> bool:
        """Send it and note its steering."""
        frame = decode_command(message.payload, {KEY_ID: KEYS.command})
        sent = await self._link.publish(message)
        if sent and frame.enable:
            self._seen.left(frame.steer)
            self.enabled.set()
        return sent


def new_session() -> ConsoleSession:
    """Return a session that holds the lease of the stand-in machine."""
    private, public = generate_identity()
    person = Person(OPERATOR, Role.DRIVER, OKPKey.import_key(dict(public)))
    key = OKPKey.import_key(dict(private))
    session = ConsoleSession(
        OPERATOR, TOPICS, key, {OPERATOR: person}, simulated=True, has_desk=True
    )
    session.lease = Lease(EPOCH, KEY_ID, BOOT, KEYS)
    return session


async def machine(session: ConsoleSession) -> None:
    """Say that it is driven, and what the screen shows."""
    sequence = 0
    state = VehicleState(mode=VehicleMode.ACTIVE, speed_mps=2.0, steer_measured=0.0)
    while True:
        sequence += 1
        stamp_us = monotonic_ns() // 1000
        frame = StateFrame(
            leased=True,
            vehicle_id=vehicle_id(TOPICS.vehicle),
            key_id=KEY_ID,
            epoch=EPOCH,
            sequence=sequence,
            boot_tag=BOOT,
            stamp_us=stamp_us,
            json=state.to_json(),
        )
        session.hear_state(frame.encode(KEYS.state), monotonic_ns())
        view = {"camera": 0, "frame": sequence, "capture_us": stamp_us, "visible": True}
        session.driver_view(dict(view), monotonic_ns())
        await asyncio.sleep(STATE_PERIOD_S)


async def console(fifo: Path, port: int) -> Seen:
    """Run the console until standard input ends."""
    seen, session = Seen(), new_session()
    link = MqttLink(BrokerSettings(host="127.0.0.1", port=port), OPERATOR)
    wire = Wire(link, seen)
    pump = Pump(session, wire, monotonic_ns)

    def hear(data: bytes) -> None:
        if session.desk is not None and session.desk.newest is None:
            print("reads", flush=True)
        session.desk_input(data, monotonic_ns())
        driver = session.driver(monotonic_ns())
        if driver is not None:
            seen.came(round(driver.steer * 10_000))
        pump.changed()

    command = (sys.executable, "-m", "benchmarks._cockpit_end", "inputd", str(fifo))
    desk = DeskProcess(
        command,
        hear,
        session.desk_gone,
        lambda: session.desk_feedback(monotonic_ns()),
        session.desk_ended_too_often,
    )

    def changed(up: bool) -> None:
        session.path(CommandPath.MQTT, up)

    async with asyncio.TaskGroup() as group:
        tasks = [
            group.create_task(each)
            for each in (
                link.run((), lambda *_: None, changed),
                pump.send_commands(),
                desk.run(),
                machine(session),
            )
        ]
        await wire.enabled.wait()
        gc.collect()
        gc.freeze()
        print("ready", flush=True)
        await asyncio.to_thread(sys.stdin.read)
        for task in tasks:
            task.cancel()
    return seen


def main() -> None:
    """Run one end."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("end", choices=("inputd", "console"))
    parser.add_argument("fifo", type=Path)
    parser.add_argument("port", type=int, nargs="?", default=0)
    parser.add_argument("--line", type=int, default=0)
    chosen = parser.parse_args()
    if chosen.end == "inputd":
        inputd(chosen.fifo, chosen.line)
        return
    seen = asyncio.run(console(chosen.fifo, chosen.port))
    print(json.dumps({"told_ns": seen.told_ns, "left_ns": seen.left_ns}), flush=True)


if __name__ == "__main__":
    main()
