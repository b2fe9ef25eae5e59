"""What a run hands over: JUnit for machines, JSON with a schema, and one page for people."""

from __future__ import annotations

import hashlib
import json
import math
import platform
import subprocess
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element, ElementTree, SubElement, indent

from hil.benchfile import sha256
from hil.case import every_case
from hil.coverage import coverage, uncovered
from hil.judge import Verdict
from hil.report_page import page
from hil.runner import ORDER, CaseResult, Result
from vehicle_agent.shell.clock import wall_label

SCHEMA_ID = "headframe-hil-report/1"
ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True, slots=True)
class Spread:
    """A sample of times: number, quantiles (nearest rank) and the longest, ms."""

    n: int
    p50: float
    p95: float
    p99: float
    max: float

    @classmethod
    def of(cls, values: list[float]) -> Spread:
        """Return the spread of at least one value."""
        ordered = sorted(values)

        def rank(share: float) -> float:
            return round(ordered[max(0, math.ceil(share * len(ordered)) - 1)], 3)

        return cls(len(ordered), rank(0.5), rank(0.95), rank(0.99), round(ordered[-1], 3))


def write(result: Result) -> dict[str, Any]:
    """Write junit.xml, report.json and report.html into the report's folder; return the content."""
    folder = result.options.report
    folder.mkdir(parents=True, exist_ok=True)
    content = as_json(result)
    text = json.dumps(content, indent=1, ensure_ascii=False)
    (folder / "report.json").write_text(text, encoding="utf-8")
    (folder / "report.html").write_text(page(content), encoding="utf-8")
    _write_junit(result, folder / "junit.xml")
    return content


def as_json(result: Result) -> dict[str, Any]:
    """Return the whole report as docs/schema/hil-report.json has it."""
    verdicts = Counter(str(c.verdict) for c in result.cases)
    return {
        "schema": SCHEMA_ID,
        "verdict": str(result.verdict),
        "stopped": result.stopped,
        "when": wall_label(),
        "table": len(every_case()),
        "verdicts": {str(v): verdicts[str(v)] for v in Verdict},
        "bench": _bench(result),
        "cases": [_case(c) for c in result.cases],
        "mutants": _mutants(result),
        "coverage": coverage(result),
        "uncovered": uncovered(result),
    }


def _bench(result: Result) -> dict[str, Any]:
    bench, path = result.bench, result.options.bench
    names = ("machine", "site", "dbc")
    return {
        "id": bench.bench.id,
        "site": bench.bench.site,
        "owner": bench.bench.owner,
        "file": path.name,
        "file_sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "hashes": {key: sha256(path, getattr(bench, key), key) for key in names},
        "machine": Path(bench.machine.path).stem,
        "emulated": list(bench.emulate),
        "capabilities": list(bench.capabilities),
        "clock": bench.clock.source,
        "clock_error_us": bench.clock.error_us,
        "slower": bench.clock.slower,
        "seed": bench.seed,
        "repeat": result.options.repeat,
        "revision": _revision(),
        "system": platform.platform(),
        "python": platform.python_version(),
    }


def _revision() -> str:
    """Return the commit, marked when the tree differs from it; "unknown" outside a clone."""
    call = ["git", "-C", str(ROOT), "describe", "--always", "--dirty", "--abbrev=12"]
    try:
        done = subprocess.run(call, capture_output=True, text=True, check=False)
    except OSError:
        return "unknown"
    return done.stdout.strip() or "unknown"


def _case(result: CaseResult) -> dict[str, Any]:
    case = result.case
    names = list(dict.fromkeys(name for name, _, _ in result.runs))
    return {
        "id": case.id,
        "title": case.title,
        "suite": case.suite,
        "verifies": list(case.verifies),
        "requires": sorted(case.requires),
        "verdict": str(result.verdict),
        "why": result.why,
        "variants": [_variant(result, name) for name in names],
    }


def _variant(result: CaseResult, name: str) -> dict[str, Any]:
    runs = [(seed, outcome) for run_name, seed, outcome in result.runs if run_name == name]
    outcomes = [outcome for _, outcome in runs]
    times = [o.reaction_ms for o in outcomes if o.reaction_ms is not None]
    figures: dict[str, list[float]] = {}
    for outcome in outcomes:
        for key, values in outcome.figures.items():
            figures.setdefault(key, []).extend(values)
    causes = Counter(o.first_cause for o in outcomes if o.first_cause)
    return {
        "name": name,
        "verdict": str(min((o.verdict for o in outcomes), key=ORDER.index)),
        "runs": len(runs),
        "passed": sum(o.verdict is Verdict.PASS for o in outcomes),
        "limit_ms": next((o.limit_ms for o in outcomes if o.limit_ms is not None), None),
        "reaction_of": next((o.reaction_of for o in outcomes if o.reaction_of), ""),
        "reaction_ms": _spread(times),
        "samples_ms": [round(t, 3) for t in times],
        "first_causes": dict(causes),
        "figures_ms": {key: _spread(values) for key, values in figures.items()},
        "not_passed": [
            {
                "seed": seed,
                "verdict": str(o.verdict),
                "why": o.why,
                "first_cause": o.first_cause,
                "log": o.slice_path,
                "story": list(o.story),
            }
            for seed, o in runs
            if o.verdict is not Verdict.PASS
        ],
    }


def _spread(values: list[float]) -> dict[str, float] | None:
    if not values:
        return None
    s = Spread.of(values)
    return {"n": s.n, "p50": s.p50, "p95": s.p95, "p99": s.p99, "max": s.max}


def _mutants(result: Result) -> list[dict[str, Any]]:
    """Say for each mutant which cases noticed it: a fail does, nothing else."""
    return [
        {
            "name": name,
            "caught_by": [case for case, verdict in row.items() if verdict is Verdict.FAIL],
            "verdicts": {case: str(verdict) for case, verdict in row.items()},
        }
        for name, row in result.caught.items()
    ]


def _write_junit(result: Result, path: Path) -> None:
    """One element for each suite; not-run is skipped, inconclusive an error: neither passes."""
    root = Element("testsuites", name=f"headframe hil {result.bench.bench.id}")
    suites: dict[str, Element] = {}
    for case in result.cases:
        suite = suites.setdefault(
            case.case.suite, SubElement(root, "testsuite", name=case.case.suite)
        )
        row = SubElement(
            suite,
            "testcase",
            classname=f"hil.{case.case.suite}",
            name=f"{case.case.id} {case.case.title}",
        )
        properties = SubElement(row, "properties")
        for requirement in case.case.verifies:
            SubElement(properties, "property", name="req", value=requirement)
        tag = _JUNIT.get(case.verdict)
        if tag is not None:
            SubElement(row, tag, message=f"{case.verdict}: {case.why}"[:1000])
    for suite in suites.values():
        for name, tag in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
            suite.set(name, str(len(suite.findall(f"testcase/{tag}"))))
        suite.set("tests", str(len(suite.findall("testcase"))))
    indent(root)
    ElementTree(root).write(path, encoding="utf-8", xml_declaration=True)


_JUNIT = {
    Verdict.FAIL: "failure",
    Verdict.BENCH_ERROR: "error",
    Verdict.INCONCLUSIVE: "error",
    Verdict.NOT_RUN: "skipped",
}
