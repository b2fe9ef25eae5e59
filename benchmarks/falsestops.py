"""Stops that a link alone causes, per hour: MQTT alone, data channel alone, both together.

    python -m benchmarks.falsestops [--json] [--quick]

Links lte-loaded and wifi-drift, 50 commands and 50 states a second, the guardian's own acceptance
and times, in lock-step under a simulated clock over the pure link model. TCP is modelled in it as a
stream that waits for what was lost (sim/network/stream_model.py: repeats after a round trip and
20 ms, then doubling). What that model is worth shows beside it: as root, the same frames cross the
bridge between namespaces for some minutes over the kernel's own TCP and UDP (retransmission floor
20 ms), and the same judges judge them. Pictures do not cross; they would share the link's rate.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

from benchmarks._crossings import CHANNEL, MQTT, Drive, Way, drive, simulated
from benchmarks.common import Measurement, Peer, percentiles, run
from sim.network.bridge import Place, usable
from sim.network.bridged import bridged
from sim.network.files import find_link

LINKS = ("lte-loaded", "wifi-drift")
CONFIGURATIONS = {"MQTT alone": (MQTT,), "data channel alone": (CHANNEL,), "both": (MQTT, CHANNEL)}
FULL_H, QUICK_H = 2.0, 0.1
FULL_BRIDGE_S, QUICK_BRIDGE_S = 180.0, 8.0
SLICE_H = 0.5
"""Hours are simulated in slices of this length, each with a seed of its own."""
FLOOR_US = 20_000
SETTLE = 50
"""Frames at the begin that do not count: until both ends hear each other."""


def hours(link: str, count_h: float) -> dict[str, list[Drive]]:
    """Return the drives of a simulated time, by configuration."""
    slice_h = min(SLICE_H, count_h)
    found: dict[str, list[Drive]] = {name: [] for name in CONFIGURATIONS}
    for seed in range(1, 1 + round(count_h / slice_h)):
        up, down = simulated(find_link(link), seed, slice_h * 3600)
        for name, paths in CONFIGURATIONS.items():
            found[name].append(drive(up, down, paths))
    return found


def together(drives: list[Drive]) -> Drive:
    """Return several drives as one."""
    return Drive(
        seconds=sum(each.seconds for each in drives),
        stops=sum(each.stops for each in drives),
        degraded=sum(each.degraded for each in drives),
        silence_ms=max(each.silence_ms for each in drives),
        refused=sum(each.refused for each in drives),
        oldest_ms=max(each.oldest_ms for each in drives),
    )


def over_the_bridge(link: str, seconds: float) -> dict[str, Drive]:
    """Return the drives over the kernel's own TCP and UDP, by configuration."""
    with bridged(link) as (machine, surface):
        for place in (machine, surface):
            script = f"echo {FLOOR_US} > /proc/sys/net/ipv4/tcp_rto_min_us"
            subprocess.run(place.command("sh", "-c", script), check=True)
        ends = [_end(surface, "surface", surface), _end(machine, "machine", surface)]
        try:
            ends[0].wait(seconds)
        except subprocess.TimeoutExpired:
            surface_told, machine_told = (_told(end) for end in ends)
    up, down = _way(machine_told, surface_told), _way(surface_told, machine_told)
    return {name: drive(up, down, paths) for name, paths in CONFIGURATIONS.items()}


def _end(place: Place, side: str, surface: Place) -> subprocess.Popen[str]:
    words = (sys.executable, "-m", "benchmarks._both_ways", side, surface.address)
    end = subprocess.Popen(
        place.command(*words), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert end.stdout is not None
    end.stdout.readline()
    return end


def _told(end: subprocess.Popen[str]) -> dict[str, Any]:
    out, _ = end.communicate("", timeout=30.0)
    told: dict[str, Any] = json.loads(out)
    return told


def _way(sender: dict[str, Any], receiver: dict[str, Any]) -> Way:
    sent_ns = sender["sent_ns"][SETTLE:]
    arrived: dict[str, Sequence[int | None]] = {
        path: [times.get(f"{number + SETTLE}") for number in range(len(sent_ns))]
        for path, times in receiver["arrived_ns"].items()
    }
    return Way(sent_ns, arrived)


def measure(quick: bool) -> Measurement:
    """False stops an hour over both paths on lte-loaded, MQTT alone beside it; all in the notes."""
    notes: list[str] = []
    found: dict[str, dict[str, list[Drive]]] = {}
    for link in LINKS:
        found[link] = hours(link, QUICK_H if quick else FULL_H)
        for name, drives in found[link].items():
            whole = together(drives)
            notes.append(f"[{link}, {name}, {whole.seconds / 3600:.1f} h simulated] {whole.line()}")
            sys.stderr.write(notes[-1] + "\n")
        if usable():
            seconds = QUICK_BRIDGE_S if quick else FULL_BRIDGE_S
            for name, real in over_the_bridge(link, seconds).items():
                notes.append(
                    f"[{link}, {name}, {real.seconds:.0f} s over the bridge] {real.line()}"
                )
                sys.stderr.write(notes[-1] + "\n")
    headline = found[LINKS[0]]
    ours, alone = (
        [each.per_hour(each.stops) for each in headline[name]] for name in ("both", "MQTT alone")
    )
    oldest_ms = max(each.oldest_ms for by in found.values() for d in by.values() for each in d)
    return Measurement(
        name="falsestops",
        unit="stops per hour",
        samples=ours,
        peer=Peer("MQTT alone", percentiles(alone)),
        notes=" ".join(notes),
        held=oldest_ms <= 250.0,
    )


if __name__ == "__main__":
    sys.exit(run(measure))
