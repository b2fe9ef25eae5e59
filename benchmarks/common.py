"""What every benchmark shares: percentiles, facts of the machine, and the one output object.

``python -m benchmarks.NAME --json`` prints one JSON object::

    {"name", "unit", "n", "ours": {"p50", "p95", "p99", "max"},
     "peer": {"name", "p50", "p95", "p99", "max"} | null,
     "ratio": {"p50", "p95"} | null, "machine": {...}, "notes"}

and ``"rows"``, a list of objects, where it measures one thing under several conditions.
``ratio`` is ours divided by the peer's. A benchmark that counts gives its count as the one sample
and what it tried as ``n``. ``--quick`` takes fewer samples (at most 40 s) and prints
the same keys.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from sim.ranks import nearest_rank


@dataclass(frozen=True, slots=True)
class Percentiles:
    """Values below which 50, 95 and 99 % of the samples lie, and the largest sample."""

    p50: float
    p95: float
    p99: float
    max: float

    def as_dict(self) -> dict[str, float]:
        """The four values with six significant digits, as they are printed."""
        return {
            name: float(f"{value:.6g}")
            for name, value in (
                ("p50", self.p50),
                ("p95", self.p95),
                ("p99", self.p99),
                ("max", self.max),
            )
        }


def percentiles(samples: Sequence[float]) -> Percentiles:
    """Return nearest-rank percentiles: each is a sample that was really seen.

    Raises:
        ValueError: there is no sample, or one is not finite.
    """
    if not samples:
        raise ValueError("no samples")
    if not all(math.isfinite(sample) for sample in samples):
        raise ValueError("a sample is not finite")
    ordered = sorted(samples)
    return Percentiles(*(nearest_rank(ordered, percent) for percent in (50, 95, 99, 100)))


@dataclass(frozen=True, slots=True)
class Peer:
    """What ours is compared with: a name with version, and its figures from the same run."""

    name: str
    figures: Percentiles


@dataclass(frozen=True, slots=True)
class Measurement:
    """What a benchmark hands back.

    Attributes:
        name: the benchmark's name, as in ``python -m benchmarks.NAME``.
        unit: unit of every sample (``ms``, ``x real time`` …).
        samples: ours, at least one.
        peer: what it is compared with, None when there is nothing to compare.
        notes: what was measured, between which two points, under which load.
        n: how many things were tried, where ``samples`` is a count of some of them; else None.
        rows: figures under each condition, where there are several.
        held: False when a limit was broken that must hold: the exit code is 1 then.
    """

    name: str
    unit: str
    samples: Sequence[float]
    peer: Peer | None = None
    notes: str = ""
    n: int | None = None
    rows: Sequence[Mapping[str, object]] = ()
    held: bool = True

    @property
    def number(self) -> int:
        """How many were measured."""
        return len(self.samples) if self.n is None else self.n


def _first_field(path: str, key: str) -> str:
    try:
        lines = Path(path).read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith(key)), "")


def machine_facts() -> dict[str, str | int | float]:
    """What the figures depend on: processor, usable cores, load, kernel, Python."""
    return {
        "cpu": _first_field("/proc/cpuinfo", "model name") or platform.processor() or "unknown",
        "cores": len(os.sched_getaffinity(0)),
        "load_1min": round(os.getloadavg()[0], 2),
        "kernel": platform.release(),
        "python": platform.python_version(),
    }


def _ratio(ours: float, peer: float) -> float | None:
    return float(f"{ours / peer:.4g}") if peer else None


def report(measurement: Measurement) -> dict[str, object]:
    """Return the output object of the module's docstring."""
    ours = percentiles(measurement.samples)
    peer = measurement.peer
    return {
        "name": measurement.name,
        "unit": measurement.unit,
        "n": measurement.number,
        "ours": ours.as_dict(),
        "peer": None if peer is None else {"name": peer.name, **peer.figures.as_dict()},
        "ratio": None
        if peer is None
        else {"p50": _ratio(ours.p50, peer.figures.p50), "p95": _ratio(ours.p95, peer.figures.p95)},
        "machine": machine_facts(),
        "notes": measurement.notes,
    } | ({"rows": list(measurement.rows)} if measurement.rows else {})


def as_text(measurement: Measurement) -> str:
    """The same result as lines for a person."""
    ours = percentiles(measurement.samples)
    rows = [("ours", ours)]
    if measurement.peer is not None:
        rows.append((measurement.peer.name, measurement.peer.figures))
    width = max(len(name) for name, _ in rows)
    lines = [f"{measurement.name} [{measurement.unit}], n = {measurement.number}"]
    lines += [
        f"  {name:<{width}}  p50 {row.p50:10.4g}  p95 {row.p95:10.4g}"
        f"  p99 {row.p99:10.4g}  max {row.max:10.4g}"
        for name, row in rows
    ]
    if measurement.notes:
        lines.append(f"  {measurement.notes}")
    return "\n".join(lines)


def run(measure: Callable[[bool], Measurement], arguments: Sequence[str] | None = None) -> int:
    """Run one benchmark as a program: ``sys.exit(run(measure))``.

    Args:
        measure: called with True for a quick run.
        arguments: the command line without the program's name.

    Returns:
        0; 1 when a limit did not hold, or, after one line on stderr, when the benchmark could
        not run; 130 when it was interrupted.
    """
    parser = argparse.ArgumentParser(description=measure.__doc__)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--quick", action="store_true", help="fewer samples, at most 40 s")
    chosen = parser.parse_args(arguments)
    try:
        measurement = measure(chosen.quick)
        text = json.dumps(report(measurement)) if chosen.json else as_text(measurement)
    except (OSError, RuntimeError, ValueError) as error:
        print(f"benchmark: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("benchmark: interrupted", file=sys.stderr)
        return 130
    print(text, flush=True)
    return 0 if measurement.held else 1
