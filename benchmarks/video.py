"""Capture to decoded picture, Python to Python on one computer: ours, and stock aiortc beside it.

    python -m benchmarks.video [--json] [--quick]

The same pictures at the same bit rate through both chains, by turns, each chain of processes of
its own. The samples are those of 720p30 over loopback; the notes have processor time, 1080p30,
and a line that loses 2 % and takes 40 ms each way.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

from benchmarks.chains.conductor import Run, Scenario, run_chain
from benchmarks.chains.pictures import draw
from benchmarks.chains.relay import Impairment
from benchmarks.common import Measurement, Peer, percentiles, run
from sim.run_folder import run_folder

HD = Scenario(1280, 720, 30, 3_000_000, 15.0)
FULL_HD = replace(HD, width=1920, height=1080)
LOSSY = Impairment(one_way_s=0.040, loss=0.02, seed=7)
ROUNDS, QUICK_ROUNDS = 2, 1
QUICK_S = 5.0


class Rounds:
    """The runs of both chains in one scenario."""

    def __init__(self, ours: Sequence[Run], stock: Sequence[Run]) -> None:
        self.ours = joined(ours)
        self.stock = joined(stock)

    @property
    def cpu_ratio(self) -> float:
        """Our processor time by stock's."""
        return self.ours.cpu_s / self.stock.cpu_s


def joined(runs: Sequence[Run]) -> Run:
    """Return several runs as one."""
    count = len(runs)
    return Run(
        latencies_ms=[sample for each in runs for sample in each.latencies_ms],
        ages_ms=[sample for each in runs for sample in each.ages_ms],
        cpu_s=sum(each.cpu_s for each in runs) / count,
        sender_cpu_s=sum(each.sender_cpu_s for each in runs) / count,
        shown=sum(each.shown for each in runs) / count,
        decoded=sum(each.decoded for each in runs) / count,
        rate_bps=sum(each.rate_bps for each in runs) / count,
    )


def compare(folder: Path, name: str, scenario: Scenario, rounds: int) -> Rounds:
    """Run both chains by turns, so that what else this computer does meets both."""
    pictures = folder / f"{scenario.height}.npy"
    if not pictures.exists():
        draw(pictures, scenario.width, scenario.height)
    runs: dict[bool, list[Run]] = {True: [], False: []}
    for number in range(rounds):
        for ours in (True, False):
            place = folder / f"{name}-{number}-{'ours' if ours else 'stock'}"
            place.mkdir()
            runs[ours].append(asyncio.run(run_chain(ours, pictures, place, scenario)))
            sys.stderr.write(f"{place.name}: {described(runs[ours][-1])}\n")
    return Rounds(runs[True], runs[False])


def described(done: Run) -> str:
    """Return one chain's figures in a line."""
    latency, age = percentiles(done.latencies_ms), percentiles(done.ages_ms)
    return (
        f"latency p50 {latency.p50:.1f} p95 {latency.p95:.1f} max {latency.max:.0f} ms,"
        f" age p95 {age.p95:.0f} max {age.max:.0f} ms, {done.cpu_s:.2f} cores,"
        f" {100 * done.decoded:.0f} % decoded, {100 * done.shown:.0f} % handed out,"
        f" {done.rate_bps / 1e6:.2f} Mbit/s"
    )


def beside(name: str, rounds: Rounds) -> str:
    """Return both chains' figures of one scenario."""
    return (
        f"{name}: ours {described(rounds.ours)}; stock {described(rounds.stock)};"
        f" processor time {rounds.cpu_ratio:.2f} of stock's"
    )


def measure(quick: bool) -> Measurement:
    """Compare our video chain with stock aiortc's, receiver in Python."""
    rounds = QUICK_ROUNDS if quick else ROUNDS
    base = replace(HD, seconds=QUICK_S) if quick else HD
    with run_folder() as folder:
        plain = compare(folder, "720p30", base, rounds)
        notes = [beside("720p30 loopback", plain)]
        lossy = replace(base, impairment=LOSSY)
        notes.append(beside("2 % loss, 40 ms one way", compare(folder, "lossy", lossy, 1)))
        if not quick:
            notes.append(beside("1080p30 loopback", compare(folder, "1080p30", FULL_HD, 1)))
    return Measurement(
        name="video",
        unit="ms",
        samples=plain.ours.latencies_ms,
        peer=Peer(f"aiortc {version('aiortc')} stock", percentiles(plain.stock.latencies_ms)),
        notes="capture to decoded picture in Python. " + ". ".join(notes),
    )


if __name__ == "__main__":
    sys.exit(run(measure))
