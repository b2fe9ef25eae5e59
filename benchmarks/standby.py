"""A connection that is cut for good: when the next picture is there, with a standby and without.

    python -m benchmarks.standby [--json] [--quick]

Camera, media process and viewer as they are, 720p30, a line of 20 ms one way for each connection.
The cut comes at a moment of chance; from it on the line carries nothing in either direction. With a
standby the viewer turns to that; without one it begins a new session after a second without a
picture, as the page does, but its offer goes straight to the media process and over no broker.
"""

from __future__ import annotations

import asyncio
import random
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from benchmarks.chains.conductor import Sender, our_sender, part
from benchmarks.chains.pictures import draw
from benchmarks.chains.relay import Impairment, Line
from benchmarks.common import Measurement, Peer, percentiles, run
from benchmarks.video import HD
from operator_console.core import standby
from operator_console.shell.picture_peer import ViewedFrame
from operator_console.shell.viewer import HeadlessViewer
from sim.run_folder import run_folder
from vehicle_agent.shell import clock

CUTS, QUICK_CUTS = 20, 4
CUT_FOR_GOOD = Impairment(one_way_s=0.02, rates=((0.0, 0.0),))
SETTLED_S = 0.5
IDLE_S, QUICK_IDLE_S = 10.0, 3.0
NEW_SESSION_AFTER_S = 1.0
"""Without a picture (operator_console/ui/video.js)."""
PICTURE_WITHIN_S = 20.0


class Watcher:
    """What a viewer has seen."""

    def __init__(self) -> None:
        self.newest: ViewedFrame | None = None
        self.came = asyncio.Event()

    def on_frame(self, frame: ViewedFrame) -> None:
        """Take a picture."""
        self.newest = frame
        self.came.set()

    async def picture_from(self, moment_us: int) -> ViewedFrame:
        """Return the first picture that was taken after a moment and has come."""
        async with asyncio.timeout(PICTURE_WITHIN_S):
            while self.newest is None or self.newest.capture_stamp_us <= moment_us:
                self.came.clear()
                await self.came.wait()
        return self.newest


class Wires:
    """The lines of one viewer, one for each of its connections in their order."""

    def __init__(self, sender: Sender) -> None:
        self._sender = sender
        self.lines: list[Line] = []

    async def exchange(self, sdp: str, *, standby: bool = True) -> str:
        """Lead an offer and its answer over a new line."""
        line = Line(CUT_FOR_GOOD)
        await line.open()
        self.lines.append(line)
        answer = await self._sender.answer(line.disguise(sdp, 0), standby=standby)
        return line.disguise(answer, 1)

    def close(self) -> None:
        """Close all lines."""
        for line in self.lines:
            line.close()


@asynccontextmanager
async def sending(pictures: Path, folder: Path) -> AsyncIterator[Sender]:
    """Run camera and media process."""
    buffer = folder / "camera"
    camera = ("--pictures", str(pictures), "--buffer", str(buffer), "--fps", str(HD.fps))
    async with part("benchmarks.chains.pictures", *camera) as source:
        await source.until_ready()
        async with our_sender(folder, buffer, HD) as sender:
            yield sender


async def at_a_moment_of_chance(dice: random.Random) -> None:
    """Let pictures settle, and some part of a second pass."""
    await asyncio.sleep(SETTLED_S + dice.random() / 2)


async def with_standby(
    sender: Sender, cuts: int, idle_s: float
) -> tuple[list[float], tuple[float, float]]:
    """Return the waits after each cut, ms, and the bit/s of an idle standby, both directions."""
    watcher, wires, dice = Watcher(), Wires(sender), random.Random(1)
    waits_ms: list[float] = []
    async with AsyncExitStack() as stack:
        stack.callback(wires.close)
        group = await stack.enter_async_context(asyncio.TaskGroup())
        viewer = HeadlessViewer(watcher.on_frame, ice_addresses=("127.0.0.1",))
        await stack.enter_async_context(viewer)
        await viewer.accept(await wires.exchange(await viewer.offer(), standby=False))
        keeping = group.create_task(viewer.keep_standby(wires.exchange), name="standby")
        await ready(viewer, watcher)
        before = list(wires.lines[-1].heard_bytes)
        await asyncio.sleep(idle_s)
        idle = [new - old for new, old in zip(wires.lines[-1].heard_bytes, before, strict=True)]
        for number in range(cuts):
            await ready(viewer, watcher)
            await at_a_moment_of_chance(dice)
            wires.lines[number].begin()
            cut_us = clock.monotonic_us()
            waits_ms.append(((await watcher.picture_from(cut_us)).received_us - cut_us) / 1000)
        keeping.cancel()
    return waits_ms, (8 * idle[1] / idle_s, 8 * idle[0] / idle_s)


async def ready(viewer: HeadlessViewer, watcher: Watcher) -> None:
    """Look at pictures until a standby is there."""
    async with asyncio.timeout(PICTURE_WITHIN_S):
        while not viewer.stands_by:
            await watcher.picture_from(clock.monotonic_us())


async def without_standby(sender: Sender, cuts: int) -> list[float]:
    """Return the waits after each cut, ms, where a new session is begun after a second."""
    watcher, wires, dice = Watcher(), Wires(sender), random.Random(1)
    waits_ms: list[float] = []
    async with AsyncExitStack() as stack:
        stack.callback(wires.close)
        cut_us = clock.monotonic_us()
        for number in range(cuts + 1):
            viewer = HeadlessViewer(watcher.on_frame, ice_addresses=("127.0.0.1",))
            await stack.enter_async_context(viewer)
            await viewer.accept(await wires.exchange(await viewer.offer(), standby=False))
            waits_ms.append(((await watcher.picture_from(cut_us)).received_us - cut_us) / 1000)
            await at_a_moment_of_chance(dice)
            wires.lines[number].begin()
            cut_us = clock.monotonic_us()
            assert watcher.newest is not None
            silent_s = (cut_us - watcher.newest.received_us) / 1e6
            await asyncio.sleep(NEW_SESSION_AFTER_S - silent_s)
    return waits_ms[1:]


async def both(pictures: Path, folder: Path, quick: bool) -> Measurement:
    """Measure one after the other, each with a media process of its own."""
    cuts, idle_s = (QUICK_CUTS, QUICK_IDLE_S) if quick else (CUTS, IDLE_S)
    places = [folder / name for name in ("with", "without")]
    for place in places:
        place.mkdir()
    async with sending(pictures, places[0]) as sender:
        ours, (down_bps, up_bps) = await with_standby(sender, cuts, idle_s)
        key_frames = sender.reports[-1]["key_causes"]
    async with sending(pictures, places[1]) as sender:
        bare = await without_standby(sender, cuts)
    return Measurement(
        name="standby",
        unit="ms",
        samples=ours,
        peer=Peer("a new session after 1 s of silence", percentiles(bare)),
        notes="from the cut of a connection to a decoded picture that was taken after it; 720p30,"
        f" 20 ms one way; the least {min(ours):.0f} ms with a standby, {min(bare):.0f} without."
        f" An idle standby: {down_bps / 1000:.1f} kbit/s from the machine,"
        f" {up_bps / 1000:.1f} kbit/s to it. Key frames: {key_frames}",
    )


def measure(quick: bool) -> Measurement:
    """Measure how soon after a cut the next picture is there, with a standby and without."""
    # How long the next standby takes to be set up is not in question here.
    standby.STEADY_US = 300_000
    with run_folder() as folder:
        pictures = folder / "pictures.npy"
        draw(pictures, HD.width, HD.height)
        return asyncio.run(both(pictures, folder, quick))


if __name__ == "__main__":
    sys.exit(run(measure))
