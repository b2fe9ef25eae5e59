"""Whether the programs that carry the pictures grow or slow down over time.

    python -m benchmarks.soak [--minutes N] [--json] [--quick]

Four cameras as in benchmarks.cameras, over loopback, through the media process to one viewer that
stays and to others that come and go: every 20 s a new one takes the place of the one before. At the
end of each one's time: the resident memory of the media process and of the viewer that stays, how
many tasks the media process has, and the p95 of the front picture's time from capture to decoded
with the viewer that leaves. The samples are those p95; the notes have the slopes with their 95 %
confidence (least squares), and the rows what was found each minute. The first third, at most 10
minutes, is left out of the slopes: buffers, the allocator and the collector's thresholds find their
size then. It holds when memory and tasks do not surely grow by more than the limits.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
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
    Part,
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
LAST = "100"
"""Pictures that the viewer that stays remembers."""
MINUTES, QUICK_MINUTES = 5.0, 0.5
WARM_UP_H = 10 / 60
SURE = 1.96
"""Standard errors of a 95 % confidence, normal distribution."""
MEMORY_MIB_PER_H, TASKS_PER_H = 20.0, 2.0


@dataclass(frozen=True, slots=True)
class Sample:
    """What was found at the end of one viewer's time.

    Attributes:
        at_h: since the start. media_mib, viewer_mib: resident memory of the media process and of
            the viewer that stays. tasks: of the media process. age_p95_ms: see above.
    """

    at_h: float
    media_mib: float
    viewer_mib: float
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


CAMERAS = ("--cameras", str(1 + OTHERS))


@asynccontextmanager
async def watching(sender: Sender, screen: str, *words: str) -> AsyncIterator[Part]:
    """Let a viewer watch while the block runs."""
    async with part("benchmarks.chains.ours", *CAMERAS, *words) as viewer:
        viewer.say({"sdp": await sender.answer((await viewer.hear())["sdp"], screen)})
        yield viewer


async def one_viewer(sender: Sender) -> float:
    """Let a viewer watch for its time; return its p95 from capture to decoded, ms."""
    async with watching(sender, "comes") as viewer:
        await asyncio.sleep(SESSION_S)
        viewer.say({})
        seen = (await viewer.hear())["seen"]
    if not seen:
        raise RuntimeError("a viewer saw nothing")
    from_us = seen[0][1] + SETTLES_S * 1e6
    return percentiles([(at - stamp) / 1000 for stamp, at, _ in seen if at >= from_us]).p95


def rss_mib(process: Part) -> float:
    """Return the resident memory of a process."""
    return float(psutil.Process(process.pid).memory_info().rss / 2**20)


async def soak(folder: Path, scenario: Scenario, minutes: float) -> list[Sample]:
    """Run viewers one after the other beside one that stays; return a sample for each."""
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
        staying = await stack.enter_async_context(watching(sender, "stays", "--last", LAST))
        begun_s = loop.time()
        while loop.time() - begun_s < minutes * 60:
            age_ms = await one_viewer(sender)
            at_h = (loop.time() - begun_s) / 3600
            memory_mib = (rss_mib(sender.process), rss_mib(staying))
            samples.append(Sample(at_h, *memory_mib, sender.telemetry["tasks"], age_ms))
            sys.stderr.write(f"{samples[-1]}\n")
    return samples


def settled(samples: list[Sample]) -> list[Sample]:
    """Return the samples after the warm-up."""
    from_h = min(WARM_UP_H, samples[-1].at_h / 3)
    return [each for each in samples if each.at_h > from_h]


def each_minute(samples: list[Sample]) -> list[dict[str, object]]:
    """Return the last sample of each minute as a row."""
    by_minute = {int(each.at_h * 60): each for each in samples}
    return [
        {
            "minute": minute,
            "media_mib": round(each.media_mib, 1),
            "viewer_mib": round(each.viewer_mib, 1),
            "tasks": each.tasks,
            "age_p95_ms": round(each.age_p95_ms, 1),
        }
        for minute, each in by_minute.items()
    ]


def measure(quick: bool, minutes: float = MINUTES) -> Measurement:
    """Watch memory, tasks and age over time, viewers coming and going."""
    scenario = replace(HD, others=OTHERS)
    with run_folder() as folder:
        draw(folder / "pictures.npy", scenario.width, scenario.height)
        draw(folder / OTHER_PICTURES, OTHER_WIDTH, OTHER_HEIGHT)
        samples = asyncio.run(soak(folder, scenario, QUICK_MINUTES if quick else minutes))
    counted, last = settled(samples), samples[-1]
    at_h = [each.at_h for each in counted]
    media = slope(at_h, [each.media_mib for each in counted])
    viewer = slope(at_h, [each.viewer_mib for each in counted])
    tasks = slope(at_h, [each.tasks for each in counted])
    age = slope(at_h, [each.age_p95_ms for each in counted])
    grows = [each.surely_above(MEMORY_MIB_PER_H) for each in (media, viewer)]
    return Measurement(
        name="soak",
        unit="ms",
        samples=[each.age_p95_ms for each in counted],
        rows=each_minute(samples),
        held=not any(grows) and not tasks.surely_above(TASKS_PER_H),
        notes=f"p95 of each of {len(counted)} viewers in the last"
        f" {60 * (last.at_h - at_h[0]):.0f} of {60 * last.at_h:.0f} min. Slopes an hour over that"
        f" time: memory of the media process {media} MiB (at the end {last.media_mib:.0f}), of the"
        f" viewer that stays {viewer} MiB (at the end {last.viewer_mib:.0f}), tasks {tasks} (at the"
        f" end {last.tasks}), age p95 {age} ms",
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--minutes", type=float, default=MINUTES)
    own, others = parser.parse_known_args()
    sys.exit(run(partial(measure, minutes=own.minutes), others))
