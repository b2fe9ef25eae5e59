"""A link that carries nothing for a while: how soon after its return a fresh picture is there.

    python -m benchmarks.outage [--json] [--quick]

The outages are shorter than the time after which ICE gives a peer up, so that nothing is set up
again: what is measured is how the receiver gets out of the hole. Stock aiortc beside it.
"""

from __future__ import annotations

import asyncio
import math
import sys
from collections.abc import Sequence
from dataclasses import replace
from importlib.metadata import version

from benchmarks.chains.conductor import AGE_EVERY_US, run_chain
from benchmarks.chains.pictures import draw
from benchmarks.chains.relay import Impairment
from benchmarks.common import Measurement, Peer, percentiles, run
from benchmarks.video import HD
from sim.run_folder import run_folder

OUTAGES_S = (0.3, 1.0, 2.0, 5.0)
QUICK_OUTAGES_S = (0.3, 1.0)
BETWEEN_S = 4.0
FRESH_MS = 150.0


def line(outages_s: Sequence[float]) -> tuple[Impairment, list[float], float]:
    """Return the line, the moments at which it comes back, and how long it all takes."""
    rates, backs, now_s = [(0.0, math.inf)], [], 0.0
    for outage_s in outages_s:
        now_s += BETWEEN_S
        rates += [(now_s, 0.0), (now_s + outage_s, math.inf)]
        now_s += outage_s
        backs.append(now_s)
    return Impairment(one_way_s=0.02, rates=tuple(rates)), backs, now_s + BETWEEN_S


def fresh_after_ms(ages_ms: Sequence[float], back_s: float) -> float:
    """Return how long after a moment the age was good first; the rest of the ride if never."""
    first = round(back_s * 1e6 / AGE_EVERY_US)
    ages = ages_ms[first:]
    waited = next((n for n, age in enumerate(ages) if age <= FRESH_MS), len(ages))
    return waited * AGE_EVERY_US / 1000


def measure(quick: bool) -> Measurement:
    """Measure how soon after an outage a fresh picture is there."""
    outages_s = QUICK_OUTAGES_S if quick else OUTAGES_S
    impairment, backs_s, total_s = line(outages_s)
    scenario = replace(HD, seconds=total_s, impairment=impairment)
    waits: dict[str, list[float]] = {}
    with run_folder() as folder:
        pictures = folder / "pictures.npy"
        draw(pictures, scenario.width, scenario.height)
        for name in ("ours", "stock"):
            place = folder / name
            place.mkdir()
            done = asyncio.run(run_chain(name == "ours", pictures, place, scenario))
            waits[name] = [fresh_after_ms(done.ages_ms, back_s) for back_s in backs_s]
    each = "; ".join(
        f"{name} {'/'.join(f'{wait:.0f}' for wait in found)}" for name, found in waits.items()
    )
    return Measurement(
        name="outage",
        unit="ms",
        samples=waits["ours"],
        peer=Peer(f"aiortc {version('aiortc')} stock", percentiles(waits["stock"])),
        notes="from the return of the link to a decoded picture younger than"
        f" {FRESH_MS:.0f} ms; 720p30, 20 ms one way, after"
        f" {'/'.join(f'{outage:g}' for outage in outages_s)} s without a link: {each} ms",
    )


if __name__ == "__main__":
    sys.exit(run(measure))
