"""A link that narrows from 3 to 0.5 Mbit/s and widens again: the age of what a viewer has.

    python -m benchmarks.steps [--json] [--quick] [--plot FILE]

The samples are the age of the newest decoded picture, looked at each 10 ms over the whole ride,
so freezes count. Stock aiortc, in the same ride, beside it.
"""

from __future__ import annotations

import asyncio
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from benchmarks.chains.conductor import AGE_EVERY_US, Run, run_chain
from benchmarks.chains.pictures import draw
from benchmarks.chains.relay import Impairment
from benchmarks.common import Measurement, Peer, percentiles, run
from benchmarks.video import HD
from sim.run_folder import run_folder
from vehicle_agent.shell.picture_encoder import KeyCause

WIDE_BPS, NARROW_BPS = 3_000_000.0, 500_000.0
FULL_S, QUICK_S = (8.0, 12.0, 16.0), (4.0, 6.0, 6.0)
"""Wide, narrow, wide again."""
GOOD_AGE_MS = 150.0
GOOD_FOR = 100
"""Recovered is when a second of samples is good."""
TOP_MS = 1000.0


def ride(parts_s: Sequence[float]) -> Impairment:
    """Return the line of a ride."""
    wide_s, narrow_s, _ = parts_s
    rates = ((0.0, WIDE_BPS), (wide_s, NARROW_BPS), (wide_s + narrow_s, WIDE_BPS))
    return Impairment(one_way_s=0.02, rates=rates)


def recovered_s(ages_ms: Sequence[float], from_s: float) -> float | None:
    """Return how long after a moment the age began to be good for a second; None: it never did."""
    first = round(from_s * 1e6 / AGE_EVERY_US)
    good = 0
    for place in range(first, len(ages_ms)):
        good = good + 1 if ages_ms[place] <= GOOD_AGE_MS else 0
        if good == GOOD_FOR:
            return (place + 1 - GOOD_FOR - first) * AGE_EVERY_US / 1e6
    return None


def key_frames(done: Run) -> str:
    """Return how many key frames each cause made during the ride; "none" stands for no cause."""
    first, last = (Counter(done.reports[at]["key_causes"]) for at in (0, -1))
    made = {cause: last[cause] - first[cause] for cause in KeyCause}
    return ", ".join(f"{cause} {number}" for cause, number in made.items())


def described(done: Run, parts_s: Sequence[float]) -> str:
    """Return one chain's figures in a line."""
    edges = [round(sum(parts_s[:count]) * 1e6 / AGE_EVERY_US) for count in range(4)]
    parts = [done.ages_ms[edges[n] : edges[n + 1]] for n in range(3)]
    ages = "/".join(f"{percentiles(part).p95:.0f}" for part in parts if part)
    back = recovered_s(done.ages_ms, parts_s[0])
    text = f"age p95 wide/narrow/wide {ages} ms, good again after the cut in "
    text += "never" if back is None else f"{back:.2f} s"
    if done.reports:
        text += f", key frames {key_frames(done)}, last step {done.reports[-1]['step']}"
    return text


def plot(path: Path, rides: dict[str, Run], parts_s: Sequence[float]) -> None:
    """Draw both ages, 0 to 1 s, over the ride; and below what our sender was told and sent."""
    width, height, margin = 1200, 360, 40
    canvas: np.ndarray[Any, np.dtype[np.uint8]] = np.full((2 * height, width, 3), 255, np.uint8)
    total_s = sum(parts_s)

    def across(at_s: float) -> int:
        return margin + int((width - 2 * margin) * at_s / total_s)

    def line(values: Sequence[tuple[float, float]], top: float, base: int, colour: Any) -> None:
        scale = (height - 2 * margin) / top
        points = [(across(at), base - int(min(value, top) * scale)) for at, value in values]
        cv2.polylines(canvas, [np.array(points, np.int32)], False, colour, 1, cv2.LINE_AA)

    for edge_s in (parts_s[0], parts_s[0] + parts_s[1]):
        cv2.line(canvas, (across(edge_s), 0), (across(edge_s), 2 * height), (200, 200, 200), 1)
    for (name, done), colour in zip(rides.items(), ((180, 80, 0), (0, 0, 200)), strict=True):
        ages = [(n * AGE_EVERY_US / 1e6, age) for n, age in enumerate(done.ages_ms)]
        line(ages, TOP_MS, height - margin, colour)
        place = (margin, 20 + 18 * list(rides).index(name))
        cv2.putText(canvas, f"age {name}, 0-1 s", place, 0, 0.5, colour, 1, cv2.LINE_AA)
        for key, shade in (("target_bps", (0, 140, 0)), ("sent_bps", (200, 0, 200))):
            told = [(float(n + 1), float(each[key])) for n, each in enumerate(done.reports)]
            if told:
                line(told, WIDE_BPS, 2 * height - margin, shade)
    label = "ours: told (green), sent (magenta), 0-3 Mbit/s"
    cv2.putText(canvas, label, (margin, height + 20), 0, 0.5, (0, 0, 0), 1, cv2.LINE_AA)
    cv2.imwrite(str(path), canvas)


def measure(quick: bool, picture: Path | None = None) -> Measurement:
    """Compare how both chains take a link that narrows and widens again."""
    parts_s = QUICK_S if quick else FULL_S
    scenario = replace(HD, seconds=sum(parts_s), impairment=ride(parts_s))
    rides: dict[str, Run] = {}
    with run_folder() as folder:
        pictures = folder / "pictures.npy"
        draw(pictures, scenario.width, scenario.height)
        for name in ("ours", "stock"):
            place = folder / name
            place.mkdir()
            rides[name] = asyncio.run(run_chain(name == "ours", pictures, place, scenario))
            sys.stderr.write(f"{name}: {described(rides[name], parts_s)}\n")
    if picture is not None:
        plot(picture, rides, parts_s)
    return Measurement(
        name="steps",
        unit="ms",
        samples=rides["ours"].ages_ms,
        peer=Peer(f"aiortc {version('aiortc')} stock", percentiles(rides["stock"].ages_ms)),
        notes="age of the newest decoded picture; 720p30, 20 ms one way, "
        f"{WIDE_BPS / 1e6:g} - {NARROW_BPS / 1e6:g} - {WIDE_BPS / 1e6:g} Mbit/s."
        + "".join(f" {name}: {described(done, parts_s)}." for name, done in rides.items()),
    )


def main() -> int:
    """Run as a program; ``--plot FILE`` also draws the ride."""
    arguments = sys.argv[1:]
    picture = None
    if "--plot" in arguments:
        at = arguments.index("--plot")
        if len(arguments) < at + 2:
            sys.stderr.write("benchmark: --plot needs a file\n")
            return 2
        picture = Path(arguments[at + 1])
        del arguments[at : at + 2]
    return run(lambda quick: measure(quick, picture), arguments)


if __name__ == "__main__":
    sys.exit(main())
