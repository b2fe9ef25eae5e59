"""A scenario many times with one seed after the other: verdicts, and the spread of what came of it.

The work of one run is a plain function of plain values, so that it runs here, in processes, or on
another computer (sim/sweep/cluster.py) with the same result.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from protocol.sums import in_turn
from sim.ranks import nearest_rank
from sim.scenario.file import Quantity, Scenario
from sim.scenario.judge import run_scenario

SPEED_CLASS_MPS = 2.0
GRADE_LEVEL = 0.03
"""Less than this is level."""
PERCENTILES = {"p50": 50.0, "p95": 95.0, "p99": 99.0, "p99.9": 99.9, "max": 100.0}
LEAST = {"p50": 1, "p95": 20, "p99": 100, "p99.9": 1000, "max": 1}
"""Stops that a percentile needs: of fewer its rank is the longest, and ``max`` says that."""
SLOWEST_MPS = 0.5
"""Stops from less than this say nothing about stopping distance."""


@dataclass(frozen=True, slots=True)
class Job:
    """One run to do, as plain values that travel.

    Attributes:
        name, raw, source: of the scenario. seed: of the run.
        keep_log: a run that fails is repeated with its full log.
    """

    name: str
    raw: Mapping[str, Any]
    source: str
    seed: int
    keep_log: bool


@dataclass(frozen=True, slots=True)
class Verdict:
    """What came of one run, as plain values.

    Attributes:
        failed: name and text of each expectation that did not hold; with ``error`` none.
        error: the run could not be made; one line. factors: machine, link, load and what varied.
        stops: as in the run's JSON. false_stops: how many nobody asked for.
        log: of a failed run, one JSON object a line.
    """

    seed: int
    passed: bool
    failed: tuple[str, ...] = ()
    error: str | None = None
    factors: dict[str, Any] = field(default_factory=dict)
    stops: tuple[dict[str, Any], ...] = ()
    false_stops: int = 0
    starts: int = 0
    simulated_s: float = 0.0
    digest: str = ""
    log: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """For a line of verdicts.jsonl; the log has a file of its own."""
        content = asdict(self)
        del content["log"]
        return content


Mapper = Callable[[Sequence[Job]], Iterable[Verdict]]
"""Does every job, in any order."""


def do(job: Job) -> Verdict:
    """Do one run; what goes wrong is a verdict too, so that a sweep always ends."""
    try:
        scenario = Scenario(job.name, job.raw, job.source)
        drawn = scenario.draw(job.seed)
        outcome = run_scenario(scenario, job.seed)
    except (ArithmeticError, AssertionError, LookupError, TypeError, ValueError) as error:
        return Verdict(job.seed, passed=False, error=f"{type(error).__name__}: {error}")
    log: list[str] = []
    if job.keep_log and not outcome.passed:
        run_scenario(scenario, job.seed, log=lambda row: log.append(json.dumps(row)))
    return Verdict(
        seed=job.seed,
        passed=outcome.passed,
        failed=tuple(f"{check.name}: {check.text}" for check in outcome.checks if not check.held),
        factors={
            "machine": drawn.file.machine,
            "link": drawn.link.name,
            "load": drawn.file.load,
            **outcome.drawn,
        },
        stops=tuple({**stop.as_dict(), "false": stop.false} for stop in outcome.stops),
        false_stops=sum(stop.false for stop in outcome.stops),
        starts=int(outcome.figures[Quantity.STARTS] or 0),
        simulated_s=round(outcome.simulated_s, 2),
        digest=outcome.digest,
        log=tuple(log),
    )


def in_this_process(jobs: Sequence[Job]) -> Iterator[Verdict]:
    """Do the jobs one after the other."""
    return map(do, jobs)


def jobs_of(scenario: Scenario, runs: int, seed: int, *, keep_log: bool) -> list[Job]:
    """One job for each seed from ``seed`` on: ``sim run --seed`` repeats any of them."""
    return [
        Job(scenario.name, scenario.raw, scenario.name, number, keep_log)
        for number in range(seed, seed + runs)
    ]


def sweep(jobs: Sequence[Job], mapper: Mapper, done: Callable[[Verdict], None]) -> list[Verdict]:
    """Do the jobs and return their verdicts in the order of their seeds.

    Args:
        jobs: what to do. mapper: who does it. done: told of each verdict as it comes.
    """
    verdicts = []
    for verdict in mapper(jobs):
        verdicts.append(verdict)
        done(verdict)
    return sorted(verdicts, key=lambda verdict: verdict.seed)


def summary(verdicts: Sequence[Verdict], wall_s: float) -> dict[str, Any]:
    """The one JSON object of ``headframe sim sweep --json``."""
    return {
        "runs": len(verdicts),
        "passed": sum(verdict.passed for verdict in verdicts),
        "failed_seeds": [verdict.seed for verdict in verdicts if not verdict.passed],
        "errors": {v.seed: v.error for v in verdicts if v.error is not None},
        "failures": _counted(
            text.partition(":")[0] if not text.startswith("never") else text.rpartition(":")[0]
            for verdict in verdicts
            for text in verdict.failed
        ),
        "false_stops": sum(verdict.false_stops for verdict in verdicts),
        "simulated_s": round(in_turn(verdict.simulated_s for verdict in verdicts), 1),
        "wall_s": round(wall_s, 2),
        "by_link": [{"link": link} | _row(group) for (link,), group in grouped(verdicts, _by_link)],
        "table": [
            dict(zip(("machine", "link", "load", "speed_mps", "grade"), key, strict=True))
            | _distances(group)
            for key, group in grouped_stops(verdicts)
        ],
    }


def _counted(names: Iterable[str]) -> dict[str, int]:
    counts: dict[str, int] = defaultdict(int)
    for name in names:
        counts[name] += 1
    return dict(sorted(counts.items()))


Key = tuple[Any, ...]


def _by_link(verdict: Verdict) -> Key:
    return (verdict.factors["link"],)


def grouped(
    verdicts: Sequence[Verdict], key: Callable[[Verdict], Key]
) -> list[tuple[Key, list[Verdict]]]:
    """Verdicts of runs that were made, by ``key``, in its order."""
    groups: dict[Key, list[Verdict]] = defaultdict(list)
    for verdict in verdicts:
        if verdict.error is None:
            groups[key(verdict)].append(verdict)
    return sorted(groups.items())


def grouped_stops(verdicts: Sequence[Verdict]) -> list[tuple[Key, list[dict[str, Any]]]]:
    """Stops by machine, link, load, speed class and grade."""
    groups: dict[Key, list[dict[str, Any]]] = defaultdict(list)
    for verdict in verdicts:
        for stop in measured(verdict):
            factors = verdict.factors
            low = int(stop["speed_mps"] // SPEED_CLASS_MPS * SPEED_CLASS_MPS)
            key = (
                factors["machine"],
                factors["link"],
                factors["load"],
                f"{low}-{low + SPEED_CLASS_MPS:.0f}",
                grade_class(stop["grade"]),
            )
            groups[key].append(stop)
    return sorted(groups.items())


def measured(verdict: Verdict) -> list[dict[str, Any]]:
    """Its stops that say something about stopping distance."""
    return [
        stop
        for stop in verdict.stops
        if stop["stop_distance_m"] is not None and stop["speed_mps"] >= SLOWEST_MPS
    ]


def grade_class(grade: float) -> str:
    """Down, level or up."""
    if grade < -GRADE_LEVEL:
        return "down"
    return "up" if grade > GRADE_LEVEL else "level"


def _row(verdicts: Sequence[Verdict]) -> dict[str, Any]:
    stops = [stop for verdict in verdicts for stop in measured(verdict)]
    return {
        "runs": len(verdicts),
        "failed": sum(not verdict.passed for verdict in verdicts),
        "never_active": sum(verdict.starts == 0 for verdict in verdicts),
        "runs_with_false_stop": sum(verdict.false_stops > 0 for verdict in verdicts),
        **_distances(stops),
    }


def _distances(stops: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    distances = sorted(float(stop["stop_distance_m"]) for stop in stops)
    if not distances:
        return {"stops": 0} | dict.fromkeys(PERCENTILES)
    ranks = {
        name: round(nearest_rank(distances, p), 2) if len(distances) >= LEAST[name] else None
        for name, p in PERCENTILES.items()
    }
    return {"stops": len(distances)} | ranks


def headline(result: Mapping[str, Any]) -> str:
    """How many runs, how many of them passed, and how many false stops there were."""
    runs, false_stops = result["runs"], result["false_stops"]
    return (
        f"{runs} run{'' if runs == 1 else 's'}, {result['passed']} passed, "
        f"{false_stops} false stop{'' if false_stops == 1 else 's'}"
    )


def as_number(distance_m: float | None) -> str:
    """A distance for a table; a dash where there is none, or too few for the percentile."""
    return "-" if distance_m is None else f"{distance_m:.2f}"


def as_text(result: Mapping[str, Any]) -> str:
    """The summary for a person: what failed, and stopping distance and false stops by link."""
    lines = [
        f"{headline(result)}, {result['simulated_s']:.0f} s simulated in {result['wall_s']:.1f} s"
    ]
    lines += [f"  {number} x {name}" for name, number in result["failures"].items()]
    lines += [f"  seed {seed}: {error}" for seed, error in result["errors"].items()]
    if result["failed_seeds"]:
        some = ", ".join(map(str, result["failed_seeds"][:20]))
        lines.append(f"  failed seeds: {some}{' …' if len(result['failed_seeds']) > 20 else ''}")
    lines.append("stopping distance in m, from the last command or the scripted event:")
    head = ("link", "runs", "false", "stops", *PERCENTILES)
    lines.append("  " + f"{head[0]:<16}" + "".join(f"{name:>8}" for name in head[1:]))
    for row in result["by_link"]:
        cells = (row["runs"], row["runs_with_false_stop"], row["stops"])
        distances = (row[name] for name in PERCENTILES)
        lines.append(
            f"  {row['link']:<16}"
            + "".join(f"{cell:>8}" for cell in cells)
            + "".join(f"{as_number(distance):>8}" for distance in distances)
        )
    return "\n".join(lines)
