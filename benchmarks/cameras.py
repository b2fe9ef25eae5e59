"""Four cameras at once: the front picture's age, and what they cost the media process and control.

    python -m benchmarks.cameras [--json] [--quick]

Front 720p30 at 3 Mbit/s, three more at 640x360, 15 Hz and 0.6 Mbit/s, over loopback to one
viewer. The samples are the front picture's time from capture to decoded; there is no peer, the
notes have the same with the front camera alone. Then the guardian drives the simulated truck, as
in benchmarks.guardian, without cameras and with all four beside it, from the start of their
processes on: how far each of its commands on the by-wire bus is from its 10 ms.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from threading import Thread

from benchmarks import guardian
from benchmarks.chains.conductor import (
    OTHER_HEIGHT,
    OTHER_PICTURES,
    OTHER_WIDTH,
    WARM_UP_S,
    Run,
    Scenario,
    run_chain,
)
from benchmarks.chains.pictures import draw
from benchmarks.common import Measurement, percentiles, run
from benchmarks.video import HD, QUICK_S, described
from sim.run_folder import run_folder

OTHERS = 3
GUARDIAN_S = 30.0
STARTS_WITHIN_S = 5.0
"""What the processes of a chain need to start and to end, on a busy computer."""


def watched(folder: Path, name: str, scenario: Scenario) -> Run:
    """Run cameras, media process and viewer once, in a folder of their own."""
    place = folder / name
    place.mkdir()
    return asyncio.run(run_chain(True, folder / "pictures.npy", place, scenario))


@contextmanager
def cameras(folder: Path, scenario: Scenario) -> Iterator[None]:
    """Run cameras, media process and viewer beside the block, which ends before they do."""
    running = Thread(target=watched, args=(folder, "beside", scenario))
    running.start()
    try:
        yield
    finally:
        running.join()


def beats(folder: Path, scenario: Scenario, seconds: float) -> str:
    """Return how even the guardian's commands are without the cameras and with them."""
    longer = replace(scenario, seconds=seconds - WARM_UP_S + STARTS_WITHIN_S)
    with guardian.rig() as rig:
        parts = {
            "without cameras": rig.listen(seconds, guardian.idle()),
            "with four cameras": rig.listen(seconds, cameras(folder, longer)),
        }
    return f"guardian's commands off their 10 ms, {seconds:g} s each: " + ", ".join(
        f"{name} p50 {off.p50:.3f} p95 {off.p95:.3f} p99 {off.p99:.3f} max {off.max:.2f} ms"
        for name, off in ((name, percentiles(part.off_ms)) for name, part in parts.items())
    )


def measure(quick: bool) -> Measurement:
    """Measure the front picture, the processor time and the guardian's beat with four cameras."""
    alone = replace(HD, seconds=QUICK_S) if quick else HD
    four = replace(alone, others=OTHERS)
    with run_folder() as folder:
        draw(folder / "pictures.npy", alone.width, alone.height)
        draw(folder / OTHER_PICTURES, OTHER_WIDTH, OTHER_HEIGHT)
        done = {
            name: watched(folder, name, each) for name, each in (("one", alone), ("four", four))
        }
        even = beats(folder, four, QUICK_S if quick else GUARDIAN_S)
    return Measurement(
        name="cameras",
        unit="ms",
        samples=done["four"].latencies_ms,
        notes="front camera, capture to decoded. "
        + "; ".join(
            f"{name}: media process {each.sender_cpu_s:.2f} cores, front {described(each)}"
            for name, each in done.items()
        )
        + f"; {even}",
    )


if __name__ == "__main__":
    sys.exit(run(measure))
