"""The bridge between namespaces itself: what it adds, and whether a link does what it says.

One-way delay of UDP datagrams of 172 bytes at 200 Hz between two network namespaces, over the
bridge at zero impairment; and beside it, in the notes, a link of 20 ms and one that loses 2 %.
Needs root and /dev/net/tun.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.common import Measurement, percentiles, run
from sim.network.bridged import bridged

FULL_N, QUICK_N = 6000, 1500
LINGER_S = 0.3
TEMPLATE = '[link]\nname = "bench"\ntitle = "bench"\n[up]\n{0}\n[down]\n{0}\n'


def delays(direction: str, count: int) -> list[float]:
    """Return the delays in ms of the datagrams that arrived over a link of such directions."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "bench.toml")
        path.write_text(TEMPLATE.format(direction), encoding="utf-8")
        with bridged(str(path)) as (machine, surface):
            probe = (sys.executable, "-m", "sim.network.probe")
            receiver = subprocess.Popen(
                surface.command(*probe, "receive", "--address", surface.address),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            assert receiver.stdout is not None
            receiver.stdout.readline()
            words = ("send", "--address", surface.address, "--count", f"{count}")
            subprocess.run(machine.command(*probe, *words), check=True)
            try:
                receiver.wait(LINGER_S)  # what is still on its way arrives meanwhile
            except subprocess.TimeoutExpired:
                out, _ = receiver.communicate("")
    found: dict[str, float] = json.loads(out)
    return list(found.values())


def measure(quick: bool) -> Measurement:
    """Delay that the bridge adds at zero impairment; 20 ms and 2 % beside it."""
    count = QUICK_N if quick else FULL_N
    added = delays("", count)
    fixed = percentiles(delays("delay_ms = 20.0", count))
    lost = 1.0 - len(delays("loss = 0.02", count)) / count
    return Measurement(
        name="bridge",
        unit="ms",
        samples=added,
        notes=(
            f"one-way UDP over the bridge at zero impairment, {len(added)} of {count} arrived; "
            f"a link of 20 ms: p50 {fixed.p50:.3f}, p99 {fixed.p99:.3f} ms; "
            f"a link that loses 2 %: {100 * lost:.2f} % of {count}"
        ),
    )


if __name__ == "__main__":
    sys.exit(run(measure))
