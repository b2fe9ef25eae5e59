"""Reverse gear as a driver has it: from the lever to commands that vouch for the rear picture.

    python -m benchmarks.reverse [--json] [--quick] [--shots FOLDER]

The demo with a front and a rear camera, its page in Chromium, driven by keys: take control, arm,
enable, shift to reverse and drive backwards, stop, shift to drive. Heard at the broker: every
command, with the camera and the capture stamp that it vouches for, and the media process's
telemetry. The samples are the times from the first command in reverse gear to the first that
vouches for the rear picture: until then the machine stands, and counts the picture as not seen. It
holds when the machine moved backwards, every later command in reverse vouched for the rear picture
under stamps that do not go back, the rear camera then had the share of the direction of travel, and
the front one had both back afterwards. A drive that the console breaks off, as a page that is held
up for 60 ms makes it, is begun anew.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import struct
import sys
import tempfile
import tomllib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from itertools import groupby, pairwise
from pathlib import Path

import aiomqtt
from playwright.async_api import Page, async_playwright

from benchmarks.chains.browser import CHROMIUM, FLAGS
from benchmarks.common import Measurement, run
from protocol.frames import COMMAND_BYTES, decode_state
from protocol.state import VehicleState
from protocol.topics import Topics
from sim.demo import REAR_CAMERA, SITE_ID, VEHICLE_ID
from vehicle_agent.core.viewing import MAIN_WEIGHT, OTHER_WEIGHT
from vehicle_agent.shell import clock

TOPICS = Topics(SITE_ID, VEHICLE_ID)
RIDES, QUICK_RIDES = 3, 1
READY_WITHIN_MS = 40_000
GRACE_S = 10.0
BRAKE_S, BACKWARDS_S, TELEMETRY_S = 0.5, 4.0, 2.5
BACKWARDS_MPS = 0.3
ARM_TRIES, ARM_S = 6, 2.5
ENABLE_TRIES, ENABLE_S = 5, 4.0
ARM_KEYS = ("BracketLeft", "BracketRight", "Backslash")
REVERSE, DRIVE_TRIES = -1, 4
TAKEN = "() => document.getElementById('mode-words').textContent === 'CONTROL TAKEN'"
STANDS = "() => document.getElementById('speed').textContent === '0.0'"
ENABLED = ("REMOTE ACTIVE", "DEGRADED")
VIEW = struct.Struct("<Q6xbB")
VIEW_AT = 44
"""Capture stamp of the main view, gear and camera in a command frame."""


@dataclass(frozen=True, slots=True)
class Command:
    """What a command says of the view: when it was heard, µs, and its fields."""

    heard_us: int
    view_stamp_us: int
    gear: int
    camera: int


@dataclass(slots=True)
class Heard:
    """What was heard at the broker.

    Attributes:
        commands: of the console, in order.
        slowest_mps: the machine's least speed; backwards is negative.
        weights: by camera, newest.
    """

    commands: list[Command] = field(default_factory=list)
    slowest_mps: float = 0.0
    weights: dict[int, int] = field(default_factory=dict)

    def take(self, topic: str, payload: bytes) -> None:
        """Take in one message."""
        if topic == TOPICS.state:
            state = VehicleState.model_validate_json(decode_state(payload, {}).frame.json)
            self.slowest_mps = min(self.slowest_mps, state.speed_mps or 0.0)
        elif topic == TOPICS.telemetry("media"):
            cameras = json.loads(payload)["cameras"]
            self.weights = {each["id"]: each["weight"] for each in cameras}
        elif len(payload) == COMMAND_BYTES:
            fields = VIEW.unpack_from(payload, VIEW_AT)
            self.commands.append(Command(clock.monotonic_us(), *fields))


@dataclass(frozen=True, slots=True)
class Ride:
    """One ride's figures.

    Attributes:
        swaps_ms: each time that reverse gear was asked for, until a command vouched for the rear.
        in_reverse: commands after that. wrong: of these, those that vouch for another camera or
            whose stamp goes back.
        front_after: the last command vouches for the front picture.
        slowest_mps: backwards is negative.
        weights_reverse, weights_after: shares of front and rear camera.
    """

    swaps_ms: list[float]
    in_reverse: int
    wrong: int
    front_after: bool
    slowest_mps: float
    weights_reverse: tuple[int, int]
    weights_after: tuple[int, int]

    @property
    def held(self) -> bool:
        """Whether everything was as it must be."""
        return (
            self.in_reverse > 0
            and self.wrong == 0
            and self.front_after
            and self.slowest_mps < -BACKWARDS_MPS
            and self.weights_reverse == (OTHER_WEIGHT, MAIN_WEIGHT)
            and self.weights_after == (MAIN_WEIGHT, OTHER_WEIGHT)
        )


@asynccontextmanager
async def demo(folder: Path) -> AsyncIterator[tuple[str, int]]:
    """Run the demo while the block runs; gives the page's address and the broker's port."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "headframe", "demo", "--no-browser", "--port", "0", "--json", "--cameras", "2"),
        stdout=asyncio.subprocess.PIPE,
        env=os.environ | {"TMPDIR": str(folder)},
    )
    try:
        assert process.stdout is not None
        line = await process.stdout.readline()
        if not line:
            raise RuntimeError("the demo did not start")
        yield json.loads(line)["url"], await asyncio.to_thread(broker_port, folder)
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGINT)
        await asyncio.wait_for(process.wait(), GRACE_S)


def broker_port(folder: Path) -> int:
    """Return the port in the cockpit's settings of the run in `folder`."""
    settings = next(folder.glob("*/console.toml")).read_text(encoding="utf-8")
    return int(tomllib.loads(settings)["mqtt"]["port"])


async def listen(port: int, heard: Heard) -> None:
    """Hear commands, states and telemetry until cancelled."""
    async with aiomqtt.Client("127.0.0.1", port) as client:
        for topic in (TOPICS.all_of("cmd"), TOPICS.state, TOPICS.telemetry("media")):
            await client.subscribe(topic)
        async for message in client.messages:
            heard.take(message.topic.value, bytes(message.payload))


async def ride(shots: Path | None) -> Ride:
    """Drive once, backwards and not forwards."""
    heard = Heard()
    with tempfile.TemporaryDirectory() as folder:
        async with demo(Path(folder)) as (url, port), async_playwright() as playwright:
            listening = asyncio.create_task(listen(port, heard), name="listen")
            browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
            page = await browser.new_page(viewport={"width": 1366, "height": 768})
            await page.goto(url)
            try:
                return await drive(page, heard, shots)
            finally:
                await browser.close()
                listening.cancel()
                with suppress(asyncio.CancelledError):
                    await listening


async def drive(page: Page, heard: Heard, shots: Path | None) -> Ride:
    """Do what a driver does, by keys.

    Raises:
        RuntimeError: the console broke every drive off.
    """
    await page.wait_for_selector("#stage[data-live=live]", timeout=READY_WITHIN_MS)
    await page.click("[data-do=lease]")
    await page.wait_for_function(TAKEN, timeout=READY_WITHIN_MS)
    await arm(page)
    for _ in range(DRIVE_TRIES):
        await enable(page)
        await page.keyboard.down("KeyS")
        await asyncio.sleep(BRAKE_S)
        if await backwards(page, heard):
            break
        for key in ("KeyW", "KeyS", "ShiftLeft"):
            await page.keyboard.up(key)
        await asyncio.sleep(BRAKE_S)
    else:
        raise RuntimeError(f"every drive was broken off: {await page.text_content('#events')}")
    if shots is not None:
        await page.screenshot(path=shots / "reverse.png")
    weights_reverse = shares(heard)
    await page.keyboard.up("KeyW")
    await page.keyboard.down("KeyS")
    await page.wait_for_function(STANDS, timeout=READY_WITHIN_MS)
    for _ in range(2):
        await page.keyboard.press("KeyE")
    await asyncio.sleep(TELEMETRY_S)
    if shots is not None:
        await page.screenshot(path=shots / "forwards.png")
    return judged(heard, weights_reverse)


async def backwards(page: Page, heard: Heard) -> bool:
    """Shift to reverse with the brake held, and drive; return whether it is being driven still."""
    await page.keyboard.press("KeyQ")
    await asyncio.sleep(BRAKE_S)
    await page.keyboard.up("KeyS")
    await page.keyboard.down("KeyW")
    await asyncio.sleep(BACKWARDS_S)
    drives = await page.text_content("#mode-words") in ENABLED
    return drives and heard.slowest_mps < -BACKWARDS_MPS


async def arm(page: Page) -> None:
    """Hold the keys that arm, again while something still stands against it.

    Raises:
        RuntimeError: it was refused each time, with what the screen says.
    """
    for _ in range(ARM_TRIES):
        for key in ARM_KEYS:
            await page.keyboard.down(key)
        await asyncio.sleep(ARM_S)
        for key in ARM_KEYS:
            await page.keyboard.up(key)
        if await page.text_content("#mode-words") == "ARMED":
            return
    words = [await page.text_content(each) for each in ("#mode-words", "#step-words", "#answer")]
    raise RuntimeError(f"not armed: {words}")


async def enable(page: Page) -> None:
    """Hold the dead-man through the warning before motion, anew where that was broken off.

    Raises:
        RuntimeError: it was each time, with what the screen says.
    """
    for _ in range(ENABLE_TRIES):
        await page.keyboard.down("ShiftLeft")
        await asyncio.sleep(ENABLE_S)
        if await page.text_content("#mode-words") in ENABLED:
            return
        await page.keyboard.up("ShiftLeft")
        await asyncio.sleep(BRAKE_S)
    raise RuntimeError(f"not enabled: {await page.text_content('#step-words')}")


def shares(heard: Heard) -> tuple[int, int]:
    """Return the shares of front and rear camera as last told."""
    return heard.weights.get(0, 0), heard.weights.get(REAR_CAMERA, 0)


def judged(heard: Heard, weights_reverse: tuple[int, int]) -> Ride:
    """Return the figures of a ride."""
    swaps_ms: list[float] = []
    vouched: list[Command] = []
    wrong = 0
    for gear, run_of in groupby(heard.commands, key=lambda each: each.gear):
        commands = list(run_of)
        rear = [n for n, each in enumerate(commands) if each.camera == REAR_CAMERA]
        if gear != REVERSE or not rear:
            continue
        if rear[0] > 0:  # or else it was the main view already
            swaps_ms.append((commands[rear[0]].heard_us - commands[0].heard_us) / 1000)
        after = commands[rear[0] :]
        wrong += sum(each.camera != REAR_CAMERA for each in after)
        wrong += sum(b.view_stamp_us < a.view_stamp_us for a, b in pairwise(after))
        vouched += after
    return Ride(
        swaps_ms=swaps_ms,
        in_reverse=len(vouched),
        wrong=wrong,
        front_after=bool(heard.commands) and heard.commands[-1].camera == 0,
        slowest_mps=heard.slowest_mps,
        weights_reverse=weights_reverse,
        weights_after=shares(heard),
    )


def measure(quick: bool, shots: Path | None = None) -> Measurement:
    """Time the swap of the main view with the gear, in a driven demo."""
    rides = []
    for _ in range(QUICK_RIDES if quick else RIDES):
        rides.append(asyncio.run(ride(shots)))
        sys.stderr.write(f"{rides[-1]}\n")
    swaps_ms = [ms for each in rides for ms in each.swaps_ms]
    if not swaps_ms:
        raise RuntimeError("no command vouched for the rear picture")
    return Measurement(
        name="reverse",
        unit="ms",
        samples=swaps_ms,
        held=all(each.held for each in rides),
        notes="from the first command in reverse gear to the first that vouches for the rear"
        f" picture; {sum(each.in_reverse for each in rides)} commands after it,"
        f" {sum(each.wrong for each in rides)} with another camera or an older stamp;"
        f" backwards at up to {-min(each.slowest_mps for each in rides):.1f} m/s;"
        f" shares of front and rear in reverse {rides[-1].weights_reverse},"
        f" afterwards {rides[-1].weights_after}",
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--shots", type=Path)
    own, others = parser.parse_known_args()
    sys.exit(run(partial(measure, shots=own.shots), others))
