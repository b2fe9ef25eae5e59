"""Something fails at the cockpit while the driver holds 60 % throttle: when the machine brakes.

    python -m benchmarks.cockpit_drills [--json] [--quick] [--fault F] [--n N]

The real demo, driven by keys in a real Chromium. At 60 % throttle one of the faults befalls the
cockpit; the time counts from just before it to the stamp of the first state, said 50 times a
second, in which the machine demands its brakes. Of a device that is pulled out it ends where a
command without enable is on the wire. All clocks are this computer's monotonic one. Afterwards the
fault is healed, and the machine must still be stopped: only reset, arming and enable drive again.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from random import Random
from typing import Any

import aiomqtt
import psutil
from playwright.async_api import BrowserContext, Page, async_playwright

from benchmarks._cockpit_end import PRESSED, RELEASED
from benchmarks._cockpit_end import THROTTLE as PEDAL
from benchmarks.chains.browser import CHROMIUM, FLAGS
from benchmarks.cockpit import SETTLE_S, Hand, broker
from benchmarks.common import machine_facts, percentiles
from operator_console.core.evdev import EV_ABS
from protocol.frames import decode_state
from protocol.state import VehicleMode, VehicleState
from protocol.topics import Topics
from sim import demo

TOPICS = Topics(demo.SITE_ID, demo.VEHICLE_ID)
READY_MS, STEP_MS, STOP_S, GRACE_S = 60_000, 15_000, 15.0, 20.0
TRIES = 8
THROTTLE = 0.6
BRAKES_MPS2 = 0.05
"""Demanded deceleration that counts as braking: a fiftieth of the stop's."""
BLOCK_MS = 2000
FULL_N, QUICK_N = 20, 1
ARM_KEYS = ("BracketLeft", "BracketRight", "Backslash")
STOPPED = frozenset({VehicleMode.STOPPING, VehicleMode.STOPPED})
BLOCK = f"() => setTimeout(() => {{ const end = performance.now() + {BLOCK_MS}; "
BLOCK += "while (performance.now() < end); }, 0)"


class Fault(StrEnum):
    """What befalls the cockpit."""

    UNPLUGGED = "device of the desk pulled out"

    BLOCKED = "main thread blocked for 2 s"
    MINIMISED = "window minimised"
    RELOADED = "page reloaded"
    RENDERER = "renderer killed"
    SENDER = "sender of the pictures paused"
    CAMERA = "camera paused"
    CONSOLE = "console killed"


@dataclass(slots=True)
class Heard:
    """The machine's states as they come: stamp in µs, and what it says."""

    newest: VehicleState | None = None
    states: list[tuple[int, VehicleState]] = field(default_factory=list)
    more: asyncio.Event = field(default_factory=asyncio.Event)

    def take(self, payload: bytes) -> None:
        """Take in one state."""
        frame = decode_state(payload, {}).frame
        self.newest = VehicleState.model_validate_json(frame.json)
        self.states.append((frame.stamp_us, self.newest))
        self.more.set()

    def braking_us(self, since_us: int) -> int | None:
        """Return the stamp of the first state since then that demands the brakes."""
        return next(
            (
                stamp_us
                for stamp_us, state in self.states
                if stamp_us > since_us and (state.brake_commanded_mps2 or 0.0) > BRAKES_MPS2
            ),
            None,
        )


class Drill:
    """One demo with its page."""

    def __init__(self, context: BrowserContext, url: str, heard: Heard, root: int) -> None:
        self._context, self._url = context, url
        self.heard = heard
        self._root = psutil.Process(root)
        self.page: Page | None = None

    def process(self, module: str) -> psutil.Process:
        """Return the demo's process that runs a module."""
        return next(
            each for each in self._root.children(recursive=True) if module in each.cmdline()
        )

    async def opened(self) -> Page:
        """Return the page, opened anew where it is gone, with its picture live."""
        if self.page is None or self.page.is_closed():
            self.page = await self._context.new_page()
            await self.page.goto(self._url)
        await self.page.wait_for_selector("#stage[data-live=live]", timeout=READY_MS)
        return self.page

    async def drive(self) -> Page:
        """Take control, reset, arm and enable as it is needed, then hold 60 % throttle."""
        page = await self.opened()
        for _ in range(TRIES):
            with suppress(TimeoutError):
                await self._to_active(page)
                break
        else:
            raise RuntimeError(f"never driven: {await page.text_content('#step-words')}")
        await page.keyboard.down("KeyS")
        await asyncio.sleep(0.4)
        await page.keyboard.press("KeyE")
        await asyncio.sleep(0.4)
        await page.keyboard.up("KeyS")
        await page.keyboard.down("KeyW")
        await asyncio.sleep(THROTTLE / 0.4)
        return page

    async def _to_active(self, page: Page) -> None:
        """Do what the machine's mode asks for next, until it is driven."""
        async with asyncio.timeout(STEP_MS / 1000):
            while True:
                mode = None if self.heard.newest is None else self.heard.newest.mode
                if mode is VehicleMode.ACTIVE:
                    return
                await self._step(page, mode)
                await asyncio.sleep(0.1)

    async def _step(self, page: Page, mode: VehicleMode | None) -> None:
        for action in ("lease", "reset"):
            button = page.locator(f"[data-do={action}].next")
            if await button.count() and await button.is_enabled():
                await button.click()
                await asyncio.sleep(0.3)
        if mode is VehicleMode.LEASED:
            await page.keyboard.up("ShiftLeft")
            for key in ARM_KEYS:
                await page.keyboard.down(key)
            await asyncio.sleep(1.8)
            for key in ARM_KEYS:
                await page.keyboard.up(key)
        elif mode is VehicleMode.ARMED:
            await page.keyboard.up("ShiftLeft")
            await asyncio.sleep(0.2)
            await page.keyboard.down("ShiftLeft")
            await asyncio.sleep(3.6)

    async def sample(self, fault: Fault) -> float:
        """Drive, let the fault befall, and return the time to the brakes' demand, ms."""
        page = await self.drive()
        self.heard.states.clear()
        if self.heard.newest is None or self.heard.newest.mode is not VehicleMode.ACTIVE:
            return await self.sample(fault)
        heal, since_us = await self._befall(page, fault)
        async with asyncio.timeout(STOP_S):
            while (braking_us := self.heard.braking_us(since_us)) is None:
                await self.heard.more.wait()
                self.heard.more.clear()
        await asyncio.sleep(0.5)
        await heal()
        await self._rest(fault)
        return (braking_us - since_us) / 1000

    async def _rest(self, fault: Fault) -> None:
        """Let go of all keys; the machine must be stopped, whatever came back."""
        state = self.heard.newest
        if state is None or state.mode not in STOPPED:
            raise RuntimeError(f"{fault}: the machine is not stopped: {state}")
        page = self.page
        if page is None or page.is_closed():
            return
        with suppress(Exception):  # a page that crashed takes no keys
            for key in ("KeyW", "ShiftLeft"):
                await page.keyboard.up(key)

    async def _befall(self, page: Page, fault: Fault) -> tuple[Any, int]:
        """Return how to heal it, and the time just before it in µs."""
        devtools = await self._context.new_cdp_session(page)
        if fault is Fault.MINIMISED:
            window = (await devtools.send("Browser.getWindowForTarget"))["windowId"]

            async def show(state: str) -> None:
                bounds = {"windowId": window, "bounds": {"windowState": state}}
                await devtools.send("Browser.setWindowBounds", bounds)

            since_us = _now_us()
            await show("minimized")
            return (lambda: show("normal")), since_us
        if fault in (Fault.SENDER, Fault.CAMERA):
            module = "vehicle_agent.shell.media" if fault is Fault.SENDER else "sim.camera_process"
            process = self.process(module)
            since_us = _now_us()
            os.kill(process.pid, signal.SIGSTOP)
            return _later(process.pid), since_us
        if fault is Fault.CONSOLE:
            process = self.process("operator_console.shell.web")
            since_us = _now_us()
            os.kill(process.pid, signal.SIGKILL)
            return _nothing, since_us
        since_us = _now_us()
        if fault is Fault.BLOCKED:
            await page.evaluate(BLOCK)
            return (lambda: asyncio.sleep(BLOCK_MS / 1000)), since_us
        if fault is Fault.RELOADED:
            await page.reload()
            return _nothing, since_us
        crash = asyncio.create_task(devtools.send("Page.crash"), name="crash")
        await asyncio.sleep(0.2)
        crash.cancel()
        return page.close, since_us


def _now_us() -> int:
    return time.monotonic_ns() // 1000


def _later(pid: int) -> Any:
    async def go_on() -> None:
        os.kill(pid, signal.SIGCONT)

    return go_on


async def _nothing() -> None:
    """It heals by itself, or not at all."""


@asynccontextmanager
async def drill() -> AsyncIterator[Drill]:
    """Run the demo and a browser while the block runs."""
    with tempfile.TemporaryDirectory() as folder:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", "headframe", "demo", "--no-browser", "--port", "0", "--json"),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            env=os.environ | {"TMPDIR": folder},
        )
        heard = Heard()
        try:
            assert process.stdout is not None
            line = await process.stdout.readline()
            if not line:
                raise RuntimeError("the demo did not start")
            port = await asyncio.to_thread(_broker_port, Path(folder))
            listening = asyncio.create_task(_listen(port, heard), name="listen")
            async with async_playwright() as playwright:
                browser = await playwright.chromium.launch(
                    executable_path=CHROMIUM, args=list(FLAGS)
                )
                context = await browser.new_context(viewport={"width": 1366, "height": 768})
                yield Drill(context, json.loads(line)["url"], heard, process.pid)
                await browser.close()
            listening.cancel()
            await asyncio.wait({listening})
        finally:
            if process.returncode is None:
                process.send_signal(signal.SIGINT)
            await asyncio.wait_for(process.wait(), GRACE_S)


def _broker_port(folder: Path) -> int:
    settings = next(folder.glob("*/console.toml")).read_text(encoding="utf-8")
    return int(tomllib.loads(settings)["mqtt"]["port"])


async def _listen(port: int, heard: Heard) -> None:
    async with aiomqtt.Client("127.0.0.1", port) as client:
        await client.subscribe(TOPICS.state)
        async for message in client.messages:
            heard.take(bytes(message.payload))


def unplugged(dice: Random) -> float:
    """Pull the desk's device out at 60 % throttle; return the time to a command without enable, ms.

    The real input process and console, the device a FIFO: until the command is on the wire.
    """
    with tempfile.TemporaryDirectory(prefix="hf-") as name, broker(Path(name)) as port:
        fifo = Path(name) / "desk"
        os.mkfifo(fifo)
        into = os.open(fifo, os.O_RDWR)
        command = [sys.executable, "-m", "benchmarks._cockpit_end", "console", str(fifo), str(port)]
        with subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as console:
            assert console.stdout is not None
            hand = Hand(into)
            console.stdout.readline()
            hand.prepare()
            console.stdout.readline()
            pressed = RELEASED + round(THROTTLE * (PRESSED - RELEASED))
            hand.report((EV_ABS, PEDAL, pressed))
            time.sleep(SETTLE_S + dice.uniform(0, SETTLE_S))
            since_ns = time.monotonic_ns()
            os.close(into)
            time.sleep(2 * SETTLE_S)
            out, _ = console.communicate("", timeout=20.0)
    return (int(json.loads(out)["open_ns"]) - since_ns) / 1e6


async def samples(fault: Fault, number: int) -> list[float]:
    """Return as many times, ms; a console that was killed needs a new demo for each."""
    found: list[float] = []
    if fault is Fault.UNPLUGGED:
        return [await asyncio.to_thread(unplugged, dice) for dice in map(Random, range(number))]
    at_once = 1 if fault is Fault.CONSOLE else number
    while len(found) < number:
        async with drill() as running:
            for _ in range(at_once):
                found.append(await running.sample(fault))
                sys.stderr.write(f"{fault}: {found[-1]:.0f} ms\n")
    return found


def main() -> int:
    """Run the benchmark; 1 when a machine did not brake, or was not stopped afterwards."""
    parser = argparse.ArgumentParser(prog="benchmarks.cockpit_drills", description=__doc__)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--quick", action="store_true", help="one of each")
    parser.add_argument("--fault", choices=[each.name.lower() for each in Fault], action="append")
    parser.add_argument("--n", type=int, help=f"of each, {FULL_N} unless told")
    chosen = parser.parse_args()
    number = chosen.n or (QUICK_N if chosen.quick else FULL_N)
    faults = [Fault[name.upper()] for name in chosen.fault or ()] or list(Fault)
    rows = []
    try:
        for fault in faults:
            found = asyncio.run(samples(fault, number))
            rows.append({"fault": fault.value, "n": len(found), **percentiles(found).as_dict()})
    except (OSError, RuntimeError, TimeoutError) as error:
        sys.stderr.write(f"benchmark: {error}\n")
        return 1
    if chosen.json:
        print(
            json.dumps({"name": "drills", "unit": "ms", "rows": rows, "machine": machine_facts()})
        )
    else:
        for each in rows:
            print(each)
    return 0


if __name__ == "__main__":
    sys.exit(main())
