"""Whether the media process grows or slows down over time, with viewers that come and go.

    python -m benchmarks.soak [--minutes N] [--json] [--quick]

Four cameras as in benchmarks.cameras, over loopback; every 20 s a new viewer takes the place of the
one before. At the end of each one's time: the media process's resident memory, how many tasks it
has, and the p95 of the front picture's time from capture to decoded. The samples are those p95; the
notes have the slopes of all three with their 95 % confidence (least squares; the first third, at
most 5 minutes, in which buffers find their size, is left out). It holds when memory and tasks do
not surely grow by more than the limits.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import psutil

from benchmarks.chains.conductor import (
    OTHER_FPS,
    OTHER_HEIGHT,
    OTHER_PICTURES,
    OTHER_WIDTH,
    Scenario,
    Sender,
    our_sender,
    part,
)
from benchmarks.chains.pictures import draw
from benchmarks.common import Measurement, percentiles, run
from benchmarks.video import HD
from sim.run_folder import run_folder

OTHERS = 3
SESSION_S = 20.0
SETTLES_S = 2.0
MINUTES, QUICK_MINUTES = 5.0, 0.5
WARM_UP_SESSIONS = 15
SURE = 1.96
"""Standard errors of a 95 % confidence, normal distribution."""
MEMORY_MIB_PER_H, TASKS_PER_H = 20.0, 2.0


@dataclass(frozen=True, slots=True)
class Sample:
    """The media process at the end of one viewer's time.

    Attributes:
        at_h: since the start. rss_mib: resident memory. tasks: asyncio's. age_p95_ms: see above.
    """

    at_h: float
    rss_mib: float
    tasks: int
    age_p95_ms: float


@dataclass(frozen=True, slots=True)
class Slope:
    """Growth per hour, and how far wrong it may be with 95 % confidence; None for too few."""

    per_h: float
    within: float | None

    def surely_above(self, limit: float) -> bool:
        """Return whether even the lowest slope that fits is above the limit."""
        return self.within is not None and self.per_h - self.within > limit

    def __str__(self) -> str:
        within = "?" if self.within is None else f"{self.within:.2f}"
        return f"{self.per_h:+.2f} ± {within}"


def slope(at_h: list[float], values: list[float]) -> Slope:
    """Return the least squares slope of values over hours."""
    if len(values) < 3:
        return Slope(0.0, None)
    times = np.asarray(at_h) - np.mean(at_h)
    spread = float((times**2).sum())
    per_h = float((times * values).sum()) / spread
    rest = np.asarray(values) - np.mean(values) - per_h * times
    error = float(np.sqrt((rest**2).sum() / (len(values) - 2) / spread))
    return Slope(per_h, SURE * error)


async def one_viewer(sender: Sender) -> float:
    """Let a viewer watch for its time; return its p95 from capture to decoded, ms."""
    cameras = ("--cameras", str(1 + OTHERS))
    async with part("benchmarks.chains.ours", *cameras) as viewer:
        viewer.say({"sdp": await sender.answer((await viewer.hear())["sdp"])})
        await asyncio.sleep(SESSION_S)
        viewer.say({})
        seen = (await viewer.hear())["seen"]
    if not seen:
        raise RuntimeError("a viewer saw nothing")
    from_us = seen[0][1] + SETTLES_S * 1e6
    return percentiles([(at - stamp) / 1000 for stamp, at in seen if at >= from_us]).p95


async def soak(folder: Path, scenario: Scenario, minutes: float) -> list[Sample]:
    """Run viewers one after the other; return a sample for each."""
    loop = asyncio.get_running_loop()
    sources = [(folder / "camera", folder / "pictures.npy", scenario.fps)]
    sources += [
        (folder / f"other{number}", folder / OTHER_PICTURES, OTHER_FPS)
        for number in range(1, OTHERS + 1)
    ]
    samples = []
    async with AsyncExitStack() as stack:
        for buffer, pictures, fps in sources:
            words = ("--pictures", str(pictures), "--buffer", str(buffer), "--fps", str(fps))
            source = await stack.enter_async_context(part("benchmarks.chains.pictures", *words))
            await source.until_ready()
        sending = our_sender(folder, folder / "camera", scenario)
        sender = await stack.enter_async_context(sending)
        process = psutil.Process(sender.process.pid)
        begun_s = loop.time()
        while loop.time() - begun_s < minutes * 60:
            age_ms = await one_viewer(sender)
            at_h = (loop.time() - begun_s) / 3600
            rss_mib = process.memory_info().rss / 2**20
            samples.append(Sample(at_h, rss_mib, sender.telemetry["tasks"], age_ms))
            sys.stderr.write(f"{samples[-1]}\n")
    return samples


def measure(quick: bool, minutes: float = MINUTES) -> Measurement:
    """Watch memory, tasks and age of the media process over time."""
    scenario = replace(HD, others=OTHERS)
    with run_folder() as folder:
        draw(folder / "pictures.npy", scenario.width, scenario.height)
        draw(folder / OTHER_PICTURES, OTHER_WIDTH, OTHER_HEIGHT)
        samples = asyncio.run(soak(folder, scenario, QUICK_MINUTES if quick else minutes))
    counted = samples[min(WARM_UP_SESSIONS, len(samples) // 3) :]
    at_h = [each.at_h for each in counted]
    memory = slope(at_h, [each.rss_mib for each in counted])
    tasks = slope(at_h, [each.tasks for each in counted])
    age = slope(at_h, [each.age_p95_ms for each in counted])
    last = samples[-1]
    return Measurement(
        name="soak",
        unit="ms",
        samples=[each.age_p95_ms for each in counted],
        held=not memory.surely_above(MEMORY_MIB_PER_H) and not tasks.surely_above(TASKS_PER_H),
        notes=f"p95 of each of {len(counted)} viewers, {60 * last.at_h:.0f} min. an hour: memory"
        f" {memory} MiB (at the end {last.rss_mib:.0f}), tasks {tasks} (at the end {last.tasks}),"
        f" age p95 {age} ms",
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--minutes", type=float, default=MINUTES)
    own, others = parser.parse_known_args()
    sys.exit(run(partial(measure, minutes=own.minutes), others))
