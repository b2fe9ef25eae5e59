"""The scripted driver: sits where the page sits, and drives along the centre line.

It opens the console's WebSocket as a page does, decodes the real pictures, tells the console
which one it has seen, asks for lease and arming, holds enable, and sends its hands and feet 50
times a second. Only its idea of where the machine is comes from the simulator's truth.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gc
import json
import os
import signal
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import aiomqtt

from operator_console.shell.picture_peer import ViewedFrame
from operator_console.shell.viewer import HeadlessViewer
from protocol.errors import ProtocolError
from protocol.frames import COMMAND_BYTES, decode_state
from protocol.profiles import parse_profile
from protocol.state import parse_state
from protocol.topics import Topics
from sim.drive_log import DRIVING, STOPPED, CommandAges, DriveLog
from sim.pursuit import Controls, Pose, Pursuit
from sim.seat import Habit, Json, Phase, Seat, by_habit, input_message, next_action, read_seat
from sim.world.site import load_site
from vehicle_agent.shell.clock import monotonic_ns
from vehicle_agent.shell.local_bus import DatagramFanout
from vehicle_agent.shell.realtime import ask_priority

HOST = "127.0.0.1"
PRIORITY = 40
"""He stands in for a person, whom no other load can hold up; below what stands in for hardware."""
INPUT_PERIOD_NS = 20_000_000
ACTION_SPACING_NS = 1_000_000_000
ACTIVE_WITHIN_S = 45.0
STANDSTILL_WITHIN_S = 12.0
SURE_S = 1.0
"""From standstill to letting go: the machine, too, must be sure that it stands."""
LET_GO_WITHIN_S = 2.0
STANDSTILL_MPS = 0.05
UNDER_WAY_MPS = 2.0
SCREEN_BEAT_S = 0.05
"""A page that paints says so this often, whether or not a new picture has come."""
TRUTH_MAX_AGE_NS = 200_000_000
OFFER_AGAIN_S = 1.0
ANSWER_WITHIN_S = 5.0
STRAIGHT_ON = 0.05
"""Steering less than this, of full lock, is straight on."""
SEQUENCE, SOURCE_STAMP = slice(16, 20), slice(28, 36)
"""Where they stand in a command frame."""


class DriveError(RuntimeError):
    """Raised when the drive does not come about; one line that says why."""


class Truth:
    """The newest truth of the simulator, and whether it is young enough to steer by."""

    def __init__(self, directory: Path) -> None:
        self._socket = DatagramFanout(directory, f"driver-{os.getpid()}")
        self.newest: Json | None = None
        self._received_ns = 0

    def fileno(self) -> int:
        """The descriptor to wait on."""
        return self._socket.fileno()

    def drain(self) -> Json | None:
        """Take what came; return the newest."""
        data: bytes | None = None
        while (newer := self._socket.recv()) is not None:
            data = newer
        if data is not None:
            self.newest = json.loads(data)
            self._received_ns = monotonic_ns()
        return self.newest

    def pose(self) -> Pose | None:
        """Where the machine is, None when nothing young is known."""
        truth = self.newest
        if truth is None or monotonic_ns() - self._received_ns > TRUTH_MAX_AGE_NS:
            return None
        return Pose(
            truth["x_m"],
            truth["y_m"],
            truth["heading_rad"],
            truth["speed_mps"],
            truth["curvature_per_m"],
        )

    def close(self) -> None:
        """Leave the fan-out."""
        self._socket.close()


class Driver:
    """One drive over one WebSocket."""

    def __init__(
        self,
        socket: aiohttp.ClientWebSocketResponse,
        truth: Truth,
        pursuit: Pursuit,
        *,
        starts_once: bool = False,
        habit: Habit = Habit.NONE,
    ) -> None:
        self.log = DriveLog()
        self.seat = Seat()
        self.active = asyncio.Event()
        self._begun_or_ending = asyncio.Event()
        self._ending = asyncio.Event()
        self.phase = Phase.DRIVING
        self._standing = asyncio.Event()
        self._let_go = asyncio.Event()
        self._socket = socket
        self._truth = truth
        self._pursuit = pursuit
        self._starts_once = starts_once
        self._habit = habit
        self._held: dict[str, Any] | None = None
        self._was_under_way = False
        self._controls = Controls(0.0, 0.0, 0.0)
        self._sequence = 0
        self._asked_ns = 0
        self._offers = 0
        self._answers: dict[str, asyncio.Future[str]] = {}
        self._view: ViewedFrame | None = None
        self._view_came = asyncio.Event()
        self._drives = True
        self._latest_ms = 0.0
        self._ages = CommandAges()

    # -- what comes in

    async def read(self) -> None:
        """Take in the console's messages until it ends.

        Raises:
            DriveError: the console closed the socket.
        """
        async for message in self._socket:
            if message.type is aiohttp.WSMsgType.TEXT:
                content = json.loads(message.data)
                self._take(content)
                if content["t"] == "state":
                    await self._say({"t": "seen", "n": content["n"]})
        if self.phase is Phase.DRIVING:
            raise DriveError("the console closed the page's socket")

    def _take(self, message: Json) -> None:
        if message["t"] == "state":
            before, self.seat = self.seat, read_seat(message)
            if before.mode in DRIVING and self.seat.mode in STOPPED:
                _note_stop(self.seat, message["console"], self._latest_ms)
            if self.seat.mode is not None:
                self.log.state(self.seat.mode, self.seat.cause)
            if self.phase is Phase.LETTING_GO and self.seat.mode not in DRIVING:
                self._let_go.set()
            if self.seat.mode == "ACTIVE" and not self.active.is_set():
                self.log.running = not self._ending.is_set()
                self.active.set()
                self._begun_or_ending.set()
        elif message["t"] == "answer":
            waiting = self._answers.pop(message["id"], None)
            if waiting is not None and not waiting.done():
                waiting.set_result(message["sdp"])
        elif message["t"] == "role":
            self._drives = bool(message["drives"])

    def take_truth(self) -> None:
        """Take in the simulator's datagrams."""
        truth = self._truth.drain()
        if truth is None:
            return
        self.log.truth(float(truth["distance_m"]), int(truth["contacts"]))
        self._was_under_way = self._was_under_way or truth["speed_mps"] > UNDER_WAY_MPS
        if abs(truth["speed_mps"]) < STANDSTILL_MPS:
            self._standing.set()
        else:
            self._standing.clear()

    def overhear(self, topics: Topics, topic: str, payload: bytes) -> None:
        """Take in what passes at the broker: control figures, commands, and states.

        Raises:
            ProtocolError: it is no state frame.
        """
        if topic == topics.telemetry("control"):
            self.log.telemetry(int(json.loads(payload)["accepted"]))
        elif topic == topics.state:
            frame = decode_state(payload, {}).frame
            state = parse_state(frame.json)
            held_us = state.accepted_hold_us or 0
            newest = max((each for each in state.accepted if each is not None), default=None)
            age_ms = self._ages.accepted(newest, frame.stamp_us - held_us)
            if age_ms is not None:
                self.log.command_age(age_ms)
        elif len(payload) == COMMAND_BYTES:
            self._ages.sent(_number(payload, SEQUENCE), _number(payload, SOURCE_STAMP))

    def _on_frame(self, frame: ViewedFrame) -> None:
        self.log.picture(frame.capture_stamp_us, frame.received_us)
        self._view = frame
        self._view_came.set()

    # -- what goes out

    async def show_pictures(self) -> None:
        """Keep a video session up for ever; a lost one is begun again."""
        while True:
            async with HeadlessViewer(self._on_frame, ice_addresses=(HOST,)) as viewer:
                answer = await self._exchange(await viewer.offer())
                if answer is not None:
                    await viewer.accept(answer)
                    await viewer.ended.wait()
            await asyncio.sleep(OFFER_AGAIN_S)

    async def _exchange(self, sdp: str) -> str | None:
        self._offers += 1
        offer_id = f"driver-{self._offers}"
        waiting: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._answers[offer_id] = waiting
        await self._say({"t": "offer", "id": offer_id, "sdp": sdp, "cameras": [0]})
        try:
            async with asyncio.timeout(ANSWER_WITHIN_S):
                return await waiting
        except TimeoutError:
            self._answers.pop(offer_id, None)
            return None

    async def tell_views(self) -> None:
        """Tell the console which picture is on the screen: a new one at once, else on a beat.

        The beat says that the screen lives; how old its picture is says the capture stamp.
        """
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(SCREEN_BEAT_S):
                    await self._view_came.wait()
            self._view_came.clear()
            frame = self._view
            if frame is None:
                continue
            await self._say(
                {
                    "t": "view",
                    "camera": frame.camera,
                    "frame": frame.frame,
                    "capture_us": frame.capture_stamp_us,
                    "visible": True,
                }
            )

    async def use_hands(self) -> None:
        """Send hands and feet on a 20 ms grid; missed slots are skipped."""
        due_ns = monotonic_ns()
        while True:
            now_ns = monotonic_ns()
            self._latest_ms = max(self._latest_ms, (now_ns - due_ns) / 1e6)
            due_ns = max(due_ns + INPUT_PERIOD_NS, now_ns)
            pose = self._truth.pose()
            if pose is not None and self.phase is Phase.DRIVING:
                self._controls = self._pursuit.controls(pose)
            elif pose is not None:
                self._controls = self._pursuit.stopping(pose)
            self._sequence += 1
            await self._say(self._hands_and_feet())
            await self._press(now_ns)
            await asyncio.sleep(max(0.0, (due_ns - monotonic_ns()) / 1e9))

    def _hands_and_feet(self) -> dict[str, Any]:
        message = input_message(self._sequence, self.seat, self._controls, self.phase)
        straight_on = abs(message["steer"]) < STRAIGHT_ON and message["throttle"] > 0.0
        if self._held is None and self._was_under_way and straight_on:
            self._held = message
        return by_habit(self._habit, message, self.seat, self._held)

    def give_up_habit(self) -> None:
        """Drive well from now on."""
        self._habit = Habit.NONE

    async def _press(self, now_ns: int) -> None:
        if not self._drives:
            raise DriveError("another page drives already")
        action = next_action(self.seat)
        if self._habit is Habit.HEAVY_FOOT and self.seat.mode == "STOPPED":
            action = "reset"
        if (
            self.phase is not Phase.DRIVING
            or action is None
            or (self._starts_once and self._was_under_way)
            or now_ns - self._asked_ns < ACTION_SPACING_NS
        ):
            return
        self._asked_ns = now_ns
        if action == "arm":
            gc.collect()
            gc.freeze()  # what was built until now is kept: no long pauses with enable held
        await self.act(action)

    async def act(self, action: str) -> None:
        """Press a button."""
        await self._say({"t": "action", "do": action})

    async def _say(self, message: Json) -> None:
        await self._socket.send_str(json.dumps(message))

    # -- the drive

    def end(self) -> None:
        """Drive no longer: bring the machine to a stand, or leave it standing."""
        self._ending.set()
        self._begun_or_ending.set()

    async def drive(self, seconds: float) -> None:
        """Drive for ``seconds`` from the moment the machine is ACTIVE, then stand still.

        Raises:
            DriveError: the machine does not become ACTIVE; says where it stands.
        """
        try:
            async with asyncio.timeout(ACTIVE_WITHIN_S):
                await self._begun_or_ending.wait()
        except TimeoutError as error:
            seat = self.seat
            raise DriveError(
                f"not ACTIVE within {ACTIVE_WITHIN_S:g} s: mode {seat.mode}, cause {seat.cause}, "
                f"blockers {', '.join(seat.blockers) or 'none'}, lease {seat.leased}, "
                f"pictures {'seen' if self._view else 'none'}"
            ) from error
        if self.active.is_set():
            _print("ready")
            await _wait(self._ending, seconds)
        self.log.interrupted = self._ending.is_set()
        self.log.running = False
        if self.active.is_set():
            self.phase = Phase.BRAKING
            await _wait(self._standing, STANDSTILL_WITHIN_S)
            await asyncio.sleep(SURE_S)
        self.phase = Phase.LETTING_GO
        await _wait(self._let_go, LET_GO_WITHIN_S)
        await self.act("release")


async def _wait(event: asyncio.Event, seconds: float) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()


def _note_stop(seat: Seat, console: Json, latest_ms: float) -> None:
    """Write into the log what console and driver know of a stop."""
    why = (console.get("why") or {}).get("en", "the console knows no more")
    sys.stderr.write(
        f"driver: stopped by {seat.cause}: {why}; the console's longest gap of input "
        f"{console.get('input_gap_longest_ms', 0.0):.0f} ms, his hands late by at most "
        f"{latest_ms:.0f} ms\n"
    )
    sys.stderr.flush()


def _number(frame: bytes, place: slice) -> int:
    return int.from_bytes(frame[place], "little")


async def _overhear(driver: Driver, port: int, topics: Topics) -> None:
    """Listen at the broker for figures; a broker that goes is tried again and ends no drive."""
    wanted = (topics.telemetry("control"), topics.state, topics.all_of("cmd"))
    while True:
        with contextlib.suppress(aiomqtt.MqttError):
            async with aiomqtt.Client(HOST, port, identifier=f"driver-{os.getpid()}") as client:
                await client.subscribe([(topic, 0) for topic in wanted])
                async for message in client.messages:
                    if isinstance(message.payload, bytes):
                        with contextlib.suppress(ProtocolError):
                            driver.overhear(topics, message.topic.value, message.payload)
        await asyncio.sleep(OFFER_AGAIN_S)


@dataclass(frozen=True, slots=True)
class Order:
    """The command line: where the page is, what to drive on, and for how long.

    Attributes:
        starts_once: press no button once the machine was under way: hands and feet go on
            asking for motion, and a machine that was stopped must stay so.
        habit: what the driver does wrong, until SIGUSR1.
    """

    url: str
    site: Path
    machine: Path
    truth: Path
    mqtt_port: int
    topics: Topics
    seconds: float
    starts_once: bool
    habit: Habit = Habit.NONE


def _websocket_address(url: str) -> tuple[str, str]:
    """The address of the page's WebSocket, and its origin."""
    parts = urlsplit(url)
    return f"ws://{parts.netloc}/ws?{parts.query}", f"http://{parts.netloc}"


async def drive(order: Order) -> dict[str, object]:
    """Carry out one drive and return its figures.

    Raises:
        DriveError: it did not come about.
    """
    loop = asyncio.get_running_loop()
    profile = parse_profile(order.machine.read_text(encoding="utf-8"), str(order.machine))
    pursuit = Pursuit(load_site(order.site), profile.limits)
    address, origin = _websocket_address(order.url)
    with contextlib.closing(Truth(order.truth)) as truth:
        async with (
            aiohttp.ClientSession() as session,
            session.ws_connect(address, origin=origin, max_msg_size=0) as socket,
        ):
            driver = Driver(
                socket, truth, pursuit, starts_once=order.starts_once, habit=order.habit
            )
            for number in (signal.SIGINT, signal.SIGTERM):
                loop.add_signal_handler(number, driver.end)
            loop.add_signal_handler(signal.SIGUSR1, driver.give_up_habit)
            loop.add_reader(truth.fileno(), driver.take_truth)
            try:
                await _attended(driver, order)
            finally:
                loop.remove_reader(truth.fileno())
            return driver.log.result()


async def _attended(driver: Driver, order: Order) -> None:
    async with asyncio.TaskGroup() as group:
        tasks = [
            group.create_task(work, name=name)
            for name, work in (
                ("read", driver.read()),
                ("hands", driver.use_hands()),
                ("views", driver.tell_views()),
                ("pictures", driver.show_pictures()),
                ("figures", _overhear(driver, order.mqtt_port, order.topics)),
            )
        ]
        await driver.drive(order.seconds)
        for task in tasks:
            task.cancel()


def _print(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def _order(arguments: Sequence[str] | None) -> Order:
    parser = argparse.ArgumentParser(prog="sim.driver", description="drives by itself")
    parser.add_argument("--url", required=True, help="address of the console's page")
    parser.add_argument("--site", required=True, type=Path)
    parser.add_argument("--machine", required=True, type=Path)
    parser.add_argument("--truth", required=True, type=Path)
    parser.add_argument("--mqtt-port", required=True, type=int)
    parser.add_argument("--site-id", required=True, help="of the vehicle's MQTT topics")
    parser.add_argument("--vehicle", required=True, help="of the vehicle's MQTT topics")
    parser.add_argument("--seconds", default=60.0, type=float)
    parser.add_argument("--starts-once", action="store_true", help="press no button after a stop")
    parser.add_argument(
        "--habit", type=Habit, choices=list(Habit), default=Habit.NONE, help="what he does wrong"
    )
    chosen = parser.parse_args(arguments)
    return Order(
        chosen.url,
        chosen.site,
        chosen.machine,
        chosen.truth,
        chosen.mqtt_port,
        Topics(chosen.site_id, chosen.vehicle),
        chosen.seconds,
        chosen.starts_once,
        chosen.habit,
    )


def _first_error(group: BaseExceptionGroup[BaseException]) -> BaseException:
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point of ``python -m sim.driver``: one JSON line, or one line on stderr and 1."""
    order = _order(arguments)
    ask_priority(PRIORITY)
    try:
        result = asyncio.run(drive(order))
    except BaseExceptionGroup as group:
        error = _first_error(group)
        if not isinstance(error, DriveError | OSError | aiohttp.ClientError | aiomqtt.MqttError):
            raise
        sys.stderr.write(f"headframe: {error}\n")
        return 1
    except (DriveError, OSError, ValueError, aiohttp.ClientError) as error:
        sys.stderr.write(f"headframe: {error}\n")
        return 1
    _print(json.dumps(result))
    return 0


if __name__ == "__main__":
    sys.exit(main())
