"""The demo's real processes under one hand: start them, kill or pause any of them, watch the rest.

For fault tests and benchmarks. What it sees it sees from outside: frames on the by-wire bus,
state frames at the broker, and the simulator's truth. The processes are preferred to other work
on the computer where this user may ask for it.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import threading
import tomllib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from protocol.dbw.codec import BrakeCommand, ContactState, SafetyIo, decode
from protocol.dbw.errors import DbwError
from protocol.dbw.matrix import BRAKE_CMD, SAFETY_IO
from protocol.errors import ProtocolError
from protocol.frames import COMMAND_BYTES, decode_state
from protocol.state import VehicleState, parse_state
from protocol.topics import Topics
from sim import demo
from sim.children import Child, Children, ChildSpec, Interrupted, interruptible, last_words
from sim.run_folder import keep_logs, run_folder
from vehicle_agent.shell import clock
from vehicle_agent.shell.local_bus import DatagramFanout, LocalCanBus

_NS_PER_S = 1_000_000_000
POLL_S = 0.005
HELD_NS = 500_000_000
"""A brake demand that stands this long is the stop's, and not a touch of the pedal."""
SOURCE_STAMP_OFFSET = 28
NICENESS = -10
"""What is rehearsed is Headframe, not what else the computer does: a page that gets no time lets
enable go and stops the truck (D101), as it should."""
WATCHED = frozenset({BRAKE_CMD.can_id, SAFETY_IO.can_id})
AGENT_PARTS = ("guardian", "link", "media")

Prepare = Callable[[demo.Plan], None]
Amend = Callable[[demo.Plan, ChildSpec], ChildSpec]


def keep_settings(_plan: demo.Plan) -> None:
    """Leave the settings as the demo writes them."""


def start_as_shipped(_plan: demo.Plan, spec: ChildSpec) -> ChildSpec:
    """Start a process as the demo does."""
    return spec


@dataclass(frozen=True, slots=True)
class Brake:
    """A brake frame seen on the bus: when its sender put it there, and its demand."""

    at_ns: int
    decel_mps2: float


@dataclass(frozen=True, slots=True)
class Contact:
    """The relay's contact as the ECU tells it on the bus, and when it put that there."""

    at_ns: int
    level: ContactState


def held_brake_ns(brakes: Sequence[Brake], after_ns: int) -> int | None:
    """Return when the first brake demand after ``after_ns`` began that stood for ``HELD_NS``.

    A demand that was on at ``after_ns`` already counts from the first frame after it.
    """
    began_ns: int | None = None
    for brake in brakes:
        if brake.at_ns <= after_ns:
            continue
        if brake.decel_mps2 == 0.0:
            began_ns = None
        elif began_ns is None:
            began_ns = brake.at_ns
        elif brake.at_ns - began_ns > HELD_NS:
            return began_ns
    return None


@dataclass(slots=True)
class Sightings:
    """What the watchers have seen, newest last; each list is appended by one thread only.

    Attributes:
        brakes: BRAKE_CMD frames on the by-wire bus.
        contacts: the relay's contact in the SAFETY_IO frames there, each 20 ms.
        commands: source stamps (console monotonic, µs) of command frames at the broker.
        state: the newest state frame's content, and when it came.
        truth: the simulator's newest truth.
        control, link: the newest telemetry of guardian and link.
    """

    brakes: list[Brake] = field(default_factory=list)
    contacts: list[Contact] = field(default_factory=list)
    commands: list[int] = field(default_factory=list)
    state: VehicleState | None = None
    state_ns: int = 0
    truth: dict[str, Any] = field(default_factory=dict)
    control: dict[str, Any] = field(default_factory=dict)
    link: dict[str, Any] = field(default_factory=dict)


class Rehearsal:
    """Broker, machine, camera, agent and console as the demo runs them.

    Use through :func:`rehearsal`, from the main thread.
    """

    def __init__(self, plan: demo.Plan, children: Children, amend: Amend) -> None:
        self.plan = plan
        self.seen = Sightings()
        self._children = children
        self._started: dict[str, Child] = {}
        self._stages = [[amend(plan, spec) for spec in stage] for stage in demo.stages(plan)]
        self._specs = {spec.name: spec for stage in self._stages for spec in stage}
        self._ending = threading.Event()
        self._watchers: list[threading.Thread] = []
        self._client: mqtt.Client | None = None

    def start(self) -> None:
        """Start everything but a driver, and the watchers."""
        for stage in self._stages:
            for spec in stage:
                self._started[spec.name] = self._children.start(spec)
            self._children.wait_ready()
        for watch in (self._watch_bus, self._watch_truth):
            thread = threading.Thread(target=watch, name=watch.__name__, daemon=True)
            thread.start()
            self._watchers.append(thread)
        self.watch_broker()

    def close(self) -> None:
        """End the watchers."""
        self._ending.set()
        if self._client is not None:
            self._client.loop_stop()
        for thread in self._watchers:
            thread.join()

    def start_driver(self, *extra: str) -> None:
        """Start the scripted driver and return once the machine is ACTIVE."""
        spec = demo.driver_spec(self.plan, demo.page_url(self.plan), 3600.0)
        self.start_child(ChildSpec(spec.name, (*spec.command, *extra), spec.ready_within_s))

    def start_child(self, spec: ChildSpec) -> None:
        """Start a child and wait until it is ready."""
        self._started[spec.name] = self._children.start(spec)
        self._children.wait_ready()

    def start_again(self, name: str) -> None:
        """Start a killed part again, as it was started at first."""
        self.start_child(self._specs[name])

    def pid(self, name: str) -> int:
        """Return the process id of a part: a child of the demo, or one of the agent's."""
        if name in AGENT_PARTS:
            return _child_running(self._started["agent"].process.pid, f"shell.{name}")
        return self._started[name].process.pid

    def signal(self, name: str, number: signal.Signals) -> int:
        """Send a signal to one part; return the time, monotonic ns."""
        os.kill(self.pid(name), number)
        return clock.monotonic_ns()

    def kill(self, name: str) -> int:
        """SIGKILL a part that the demo started and forget it; return the time."""
        child = self._started.pop(name)
        os.kill(child.process.pid, signal.SIGKILL)
        at_ns = clock.monotonic_ns()
        self._children.discard(child)
        return at_ns

    def drivers_words(self) -> str:
        """What the driver last wrote into his log: of a stop, what he and his console know."""
        driver = self._started.get("driver")
        return "" if driver is None else last_words(driver)

    def until(self, done: Callable[[], bool], within_s: float, what: str) -> None:
        """Wait until ``done``.

        Raises:
            TimeoutError: it was not within ``within_s``; says what was waited for.
        """
        deadline_ns = clock.monotonic_ns() + round(within_s * _NS_PER_S)
        while not done():
            if clock.monotonic_ns() > deadline_ns:
                raise TimeoutError(f"not within {within_s:g} s: {what}; {self.describe()}")
            self._children.attend(POLL_S)

    def wait(self, seconds: float) -> None:
        """Let the processes run on for ``seconds``."""
        self._children.attend(seconds)

    def describe(self) -> str:
        """Return what stands, in one line, for error texts."""
        state = self.seen.state
        mode = None if state is None else f"{state.mode} {state.cause} {state.blockers}"
        return f"state {mode}, speed {self.speed_mps:.2f} m/s, park {self.seen.truth.get('park')}"

    @property
    def speed_mps(self) -> float:
        """True speed of the machine."""
        return float(self.seen.truth.get("speed_mps", 0.0))

    @property
    def parked(self) -> bool:
        """The machine truly stands with the springs holding."""
        return self.speed_mps == 0.0 and bool(self.seen.truth.get("park"))

    @property
    def rolls_free(self) -> bool:
        """No brake is asked now."""
        return bool(self.seen.brakes) and self.seen.brakes[-1].decel_mps2 == 0.0

    def stop_brake_ns(self, after_ns: int) -> int | None:
        """Return when the first brake demand that was not taken back was put on the bus."""
        return held_brake_ns(self.seen.brakes, after_ns)

    def relay_opened_ns(self, after_ns: int) -> int | None:
        """Return when the ECU first put an open contact on the bus after ``after_ns``."""
        seen = (each for each in self.seen.contacts if each.at_ns > after_ns)
        return next((each.at_ns for each in seen if each.level is ContactState.OPEN), None)

    def last_command_ns(self, before_ns: int) -> int:
        """Return when the last command that the broker saw left the console before that time."""
        return max(stamp for stamp in self.seen.commands if stamp * 1000 <= before_ns) * 1000

    def watch_broker(self) -> None:
        """(Re)connect the observer; it has no key and only looks."""
        if self._client is not None:
            self._client.loop_stop()
        topics = Topics(demo.SITE_ID, demo.VEHICLE_ID)
        client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id=f"observer-{os.getpid()}")
        telemetry = (topics.telemetry("control"), topics.telemetry("link"))
        wanted = (topics.state, topics.all_of("cmd"), *telemetry)

        def subscribe(client: mqtt.Client, *_: Any) -> None:
            client.subscribe([(topic, 0) for topic in wanted])

        client.on_connect = subscribe
        client.on_message = lambda _client, _data, message: self._on_message(topics, message)
        client.connect(demo.HOST, self.plan.mqtt_port)
        client.loop_start()
        self._client = client

    def _on_message(self, topics: Topics, message: mqtt.MQTTMessage) -> None:
        if message.topic == topics.state:
            with contextlib.suppress(ProtocolError):
                self.seen.state = parse_state(decode_state(bytes(message.payload), {}).frame.json)
                self.seen.state_ns = clock.monotonic_ns()
        elif message.topic == topics.telemetry("control"):
            self.seen.control = json.loads(message.payload)
        elif message.topic == topics.telemetry("link"):
            self.seen.link = json.loads(message.payload)
        elif len(message.payload) == COMMAND_BYTES:
            stamp = message.payload[SOURCE_STAMP_OFFSET : SOURCE_STAMP_OFFSET + 8]
            self.seen.commands.append(int.from_bytes(stamp, "little"))

    def _watch_bus(self) -> None:
        with LocalCanBus(str(self.plan.run / "can"), name=f"listener-{os.getpid()}") as bus:
            while not self._ending.is_set():
                message = bus.recv(0.1)
                if message is not None and message.arbitration_id in WATCHED:
                    at_ns = round(message.timestamp * _NS_PER_S)
                    with contextlib.suppress(DbwError):
                        self._see(at_ns, message.arbitration_id, bytes(message.data))

    def _see(self, at_ns: int, can_id: int, data: bytes) -> None:
        frame = decode(can_id, data)
        if isinstance(frame, BrakeCommand):
            self.seen.brakes.append(Brake(at_ns, frame.decel_mps2))
        elif isinstance(frame, SafetyIo):
            self.seen.contacts.append(Contact(at_ns, frame.relay_feedback))

    def _watch_truth(self) -> None:
        fanout = DatagramFanout(self.plan.run / "truth", f"observer-{os.getpid()}")
        try:
            while not self._ending.wait(POLL_S):
                newest: bytes | None = None
                while (data := fanout.recv()) is not None:
                    newest = data
                if newest is not None:
                    self.seen.truth = json.loads(newest)
        finally:
            fanout.close()


def _child_running(parent: int, module: str) -> int:
    """Return the pid of the child of ``parent`` whose command line names ``module``.

    Raises:
        ProcessLookupError: there is none.
    """
    children = Path(f"/proc/{parent}/task/{parent}/children").read_text(encoding="ascii")
    for pid in map(int, children.split()):
        if module.encode() in Path(f"/proc/{pid}/cmdline").read_bytes():
            return pid
    raise ProcessLookupError(f"no {module} under process {parent}")


def _leave_mqtt_alone(plan: demo.Plan) -> None:
    for path in (plan.agent_config, plan.console_config):
        settings = tomllib.loads(path.read_text(encoding="utf-8"))
        del settings["control_peer"]
        path.write_text(demo.toml_text(settings), encoding="utf-8")


@contextmanager
def rehearsal(
    say: Callable[[str], None] = lambda _text: None,
    *,
    prepare: Prepare = keep_settings,
    amend: Amend = start_as_shipped,
    both_paths: bool = False,
    link: str | None = None,
    cameras: int = 1,
    niceness: int = NICENESS,
) -> Iterator[Rehearsal]:
    """Run the demo's processes for the time of the block; nothing is left over.

    A signal that asks this program to end is heard in the waits: it ends the processes, and then
    does what it would have done without them (SIGINT raises KeyboardInterrupt).

    Args:
        say: takes progress lines.
        prepare: may change the settings files before anything starts.
        amend: may change how a process is started.
        both_paths: commands go by the data channel too, as in the demo; else by MQTT alone, so
            that a fault of the broker is a fault of the only path.
        link: between cockpit and machine, a name in configs/links.
        cameras: how many, as the demo has them.
        niceness: of the processes, where this user may set it; 0 leaves them as this one.
    """
    machine = demo.find_config("machines", demo.DEFAULT_MACHINE)
    site = demo.find_config("sites", demo.DEFAULT_SITE)
    with interruptible(), run_folder() as folder:
        ports = [demo.free_port(0, "--port") for _ in range(3)]
        plan = demo.Plan(folder, machine, site, ports[0], ports[1], link, ports[2], cameras=cameras)
        demo.write_keys(folder)
        demo.write_settings(plan)
        if not both_paths:
            _leave_mqtt_alone(plan)
        prepare(plan)
        with Children(folder, say, niceness=niceness) as children:
            running = Rehearsal(plan, children, amend)
            try:
                running.start()
                yield running
            except Interrupted:
                raise
            except Exception as error:
                error.add_note(f"logs of the processes: {keep_logs(folder)}")
                raise
            finally:
                running.close()
