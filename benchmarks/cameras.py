"""Four cameras at once: the front picture's age, and what the media process costs.

    python -m benchmarks.cameras [--json] [--quick]

Front 720p30 at 3 Mbit/s, three more at 640x360, 15 Hz and 0.6 Mbit/s, over loopback to one
viewer. The samples are the front picture's time from capture to decoded; there is no peer, the
notes have the same with the front camera alone.
"""

from __future__ import annotations

import asyncio
import sys
from dataclasses import replace

from benchmarks.chains.conductor import OTHER_HEIGHT, OTHER_PICTURES, OTHER_WIDTH, run_chain
from benchmarks.chains.pictures import draw
from benchmarks.common import Measurement, run
from benchmarks.video import HD, QUICK_S, described
from sim.run_folder import run_folder

OTHERS = 3


def measure(quick: bool) -> Measurement:
    """Measure the front picture and the processor time with four cameras."""
    alone = replace(HD, seconds=QUICK_S) if quick else HD
    with run_folder() as folder:
        pictures = folder / "pictures.npy"
        draw(pictures, alone.width, alone.height)
        draw(folder / OTHER_PICTURES, OTHER_WIDTH, OTHER_HEIGHT)
        done = {}
        for name, scenario in (("one", alone), ("four", replace(alone, others=OTHERS))):
            place = folder / name
            place.mkdir()
            done[name] = asyncio.run(run_chain(True, pictures, place, scenario))
    return Measurement(
        name="cameras",
        unit="ms",
        samples=done["four"].latencies_ms,
        notes="front camera, capture to decoded. "
        + "; ".join(
            f"{name}: media process {each.sender_cpu_s:.2f} cores, front {described(each)}"
            for name, each in done.items()
        ),
    )


if __name__ == "__main__":
    sys.exit(run(measure))
