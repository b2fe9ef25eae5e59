"""Reverse gear as a driver has it: from the lever to commands that vouch for the rear picture.

    python -m benchmarks.reverse [--json] [--quick] [--shots FOLDER]

The demo with a front and a rear camera, its page in Chromium, driven by keys: take control, arm,
enable, shift to reverse and drive backwards, stop, shift to drive. Heard at the broker: every
command, with the camera and the capture stamp that it vouches for, and the media process's
telemetry. The samples are the times from the key that shifts to the first command whose main view
is the rear camera (one a ride). It holds when the machine moved backwards, every command in reverse
after the swap vouched for the rear camera under rising stamps, the rear camera then had the share
of the direction of travel, and the front one had both back afterwards.
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
from itertools import pairwise
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
ARM_KEYS = ("BracketLeft", "BracketRight", "Backslash")
ENABLED = "REMOTE ACTIVE"
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
        swapped_ms, back_ms: from the key to the first command of the other camera; None: none came.
        in_reverse: commands between. wrong: of these, those that vouch for another camera or whose
            stamp goes back.
        slowest_mps: backwards is negative.
        weights_reverse, weights_after: shares of front and rear camera.
    """

    swapped_ms: float | None
    back_ms: float | None
    in_reverse: int
    wrong: int
    slowest_mps: float
    weights_reverse: tuple[int, int]
    weights_after: tuple[int, int]

    @property
    def held(self) -> bool:
        """Whether everything was as it must be."""
        return (
            self.swapped_ms is not None
            and self.back_ms is not None
            and self.in_reverse > 0
            and self.wrong == 0
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
            done = await drive(page, heard, shots)
            await browser.close()
            listening.cancel()
            with suppress(asyncio.CancelledError):
                await listening
    return done


async def drive(page: Page, heard: Heard, shots: Path | None) -> Ride:
    """Do what a driver does, by keys."""
    await page.wait_for_selector("#stage[data-live=live]", timeout=READY_WITHIN_MS)
    await page.click("[data-do=lease]")
    await mode(page, "CONTROL TAKEN")
    await arm(page)
    await page.keyboard.down("ShiftLeft")
    await mode(page, ENABLED)
    await page.keyboard.down("KeyS")
    await asyncio.sleep(BRAKE_S)
    swap_us = clock.monotonic_us()
    await page.keyboard.press("KeyQ")
    await page.wait_for_selector("#picture.reverse", timeout=READY_WITHIN_MS)
    await page.keyboard.up("KeyS")
    await page.keyboard.down("KeyW")
    await asyncio.sleep(BACKWARDS_S)
    if shots is not None:
        await page.screenshot(path=shots / "reverse.png")
    weights_reverse = shares(heard)
    await page.keyboard.up("KeyW")
    await page.keyboard.down("KeyS")
    await page.wait_for_function("document.getElementById('speed').textContent === '0.0'")
    await asyncio.sleep(BRAKE_S)
    back_us = clock.monotonic_us()
    for _ in range(2):
        await page.keyboard.press("KeyE")
    await page.wait_for_selector("#picture:not(.reverse)", timeout=READY_WITHIN_MS)
    await asyncio.sleep(TELEMETRY_S)
    if shots is not None:
        await page.screenshot(path=shots / "forwards.png")
    await page.keyboard.up("ShiftLeft")
    return judged(heard, swap_us, back_us, weights_reverse)


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
        if await page.text_content("#mode-en") == "ARMED":
            return
    words = [await page.text_content(each) for each in ("#mode-en", "#step-en", "#answer")]
    raise RuntimeError(f"not armed: {words}")


async def mode(page: Page, words: str) -> None:
    """Wait until the screen says that mode."""
    await page.wait_for_function(
        "words => document.getElementById('mode-en').textContent === words",
        arg=words,
        timeout=READY_WITHIN_MS,
    )


def shares(heard: Heard) -> tuple[int, int]:
    """Return the shares of front and rear camera as last told."""
    return heard.weights.get(0, 0), heard.weights.get(REAR_CAMERA, 0)


def judged(heard: Heard, swap_us: int, back_us: int, weights_reverse: tuple[int, int]) -> Ride:
    """Return the figures of a ride."""
    first = first_of(heard.commands, REAR_CAMERA, swap_us)
    last = first_of(heard.commands, 0, back_us)
    begun_us, ended_us = first or back_us, back_us
    reverse = [each for each in heard.commands if begun_us <= each.heard_us < ended_us]
    stamps_us = [each.view_stamp_us for each in reverse]
    wrong = sum(each.camera != REAR_CAMERA for each in reverse)
    wrong += sum(later < earlier for earlier, later in pairwise(stamps_us))
    return Ride(
        swapped_ms=None if first is None else (first - swap_us) / 1000,
        back_ms=None if last is None else (last - back_us) / 1000,
        in_reverse=len(reverse),
        wrong=wrong,
        slowest_mps=heard.slowest_mps,
        weights_reverse=weights_reverse,
        weights_after=shares(heard),
    )


def first_of(commands: list[Command], camera: int, from_us: int) -> int | None:
    """Return when the first command of a camera was heard since a moment; None: never."""
    heard = (each.heard_us for each in commands if each.camera == camera)
    return next((at_us for at_us in heard if at_us >= from_us), None)


def measure(quick: bool, shots: Path | None = None) -> Measurement:
    """Time the swap of the main view with the gear, in a driven demo."""
    rides = []
    for _ in range(QUICK_RIDES if quick else RIDES):
        rides.append(asyncio.run(ride(shots)))
        sys.stderr.write(f"{rides[-1]}\n")
    swapped_ms = [each.swapped_ms for each in rides if each.swapped_ms is not None]
    if not swapped_ms:
        raise RuntimeError("no command vouched for the rear picture")
    back = "/".join("-" if each.back_ms is None else f"{each.back_ms:.0f}" for each in rides)
    return Measurement(
        name="reverse",
        unit="ms",
        samples=swapped_ms,
        held=all(each.held for each in rides),
        notes="from the key that shifts to the first command that vouches for the rear picture;"
        f" back to the front one in {back} ms;"
        f" {sum(each.in_reverse for each in rides)} commands in reverse,"
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
