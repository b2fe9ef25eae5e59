"""Capture to presented picture in Chromium: ours, beside Chromium to Chromium and stock aiortc.

    python -m benchmarks.browser [--json] [--quick]

720p30 at 3 Mbit/s over loopback, the same pictures from the same kind of pacer, one Chromium for
every chain, by turns. Presented is requestVideoFrameCallback's presentationTime: when the picture
was handed to the compositor; the display comes after that, for each chain alike.
"""

from __future__ import annotations

import asyncio
import sys
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

from benchmarks.chains.browser import chromium, chromium_sender, python_sender
from benchmarks.chains.pictures import draw
from benchmarks.common import Measurement, Peer, percentiles, run
from benchmarks.video import HD
from sim.run_folder import run_folder

ROUNDS, QUICK_ROUNDS = 2, 1
QUICK_S = 5.0
OURS, CHROMIUM, STOCK = "ours", "chromium", "aiortc"


async def measure_all(folder: Path, rounds: int, seconds: float) -> dict[str, list[float]]:
    """Run every chain by turns; return its latencies in ms."""
    scenario = replace(HD, seconds=seconds)
    pictures = folder / "pictures.npy"
    await asyncio.to_thread(draw, pictures, scenario.width, scenario.height)
    samples: dict[str, list[float]] = {OURS: [], CHROMIUM: [], STOCK: []}
    async with chromium(pictures) as (browser, address):
        for number in range(rounds):
            for name in samples:
                if name == CHROMIUM:
                    got = await chromium_sender(browser, address, scenario)
                else:
                    place = folder / f"{name}-{number}"
                    place.mkdir()
                    got = await python_sender(
                        browser, address, name == OURS, pictures, place, scenario
                    )
                samples[name] += got
                sys.stderr.write(f"{name} {number}: {described(got)}\n")
    return samples


def described(samples_ms: list[float]) -> str:
    """Return one chain's figures in a line."""
    found = percentiles(samples_ms)
    return (
        f"p50 {found.p50:.1f} p95 {found.p95:.1f} p99 {found.p99:.1f} max {found.max:.0f} ms,"
        f" n = {len(samples_ms)}"
    )


def measure(quick: bool) -> Measurement:
    """Compare capture to presented picture in a browser."""
    rounds, seconds = (QUICK_ROUNDS, QUICK_S) if quick else (ROUNDS, HD.seconds)
    with run_folder() as folder:
        samples = asyncio.run(measure_all(folder, rounds, seconds))
    return Measurement(
        name="browser",
        unit="ms",
        samples=samples[OURS],
        peer=Peer("Chromium to Chromium", percentiles(samples[CHROMIUM])),
        notes="720p30, capture to presented (handed to the compositor). stock aiortc"
        f" {version('aiortc')} to Chromium: {described(samples[STOCK])}",
    )


if __name__ == "__main__":
    sys.exit(run(measure))
