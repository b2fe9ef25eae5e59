"""Which requirement is spoken to by which layer of fault, and what it came to."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hil.judge import Verdict
from hil.runner import ORDER, CaseResult, Result

REQUIREMENTS = Path(__file__).resolve().parents[1] / "docs" / "requirements.md"
LAYERS: dict[str, tuple[str, ...]] = {
    "frame content": ("corrupt", "value", "masquerade"),
    "frame timing": ("drop", "delay", "duplicate", "catch_up"),
    "counter": ("counter",),
    "bus": ("second_sender", "flood", "bus_off", "bus_off_told", "line"),
    "serial": ("serial_noise", "serial_cut", "wrong_answers", "adapter_noise", "replug"),
    "node, supply": ("stall", "kill", "supply"),
    "sensor, actuator": ("machine",),
    "safety input": ("pin", "weld_relay"),
    "driver, link": ("silent_console", "drive_off"),
}
"""Layers of the fault catalogue, and the kinds of fault of each."""
NO_FAULT, PROCEDURE, OTHER = "no fault", "by procedure", "other"
ORDER_OF_LAYERS = (NO_FAULT, PROCEDURE, *LAYERS, OTHER)
NOT_FAULTS = frozenset({"wait", "resume"})
ON_A_BENCH = ("HF-BUS-", "HF-ECU-", "HF-GUARD-")
"""What a bench can speak to; the rest is the tests' and the benchmarks' (docs/trace.md)."""


def coverage(result: Result) -> list[dict[str, Any]]:
    """Say what speaks to each requirement, by layer of fault, and what it came to.

    A variant counts in the layer of each of its faults. The verdict of a case in a layer is the
    worst of its variants there.
    """
    rows: dict[str, list[CaseResult]] = {}
    for case in result.cases:
        for requirement in case.case.verifies:
            rows.setdefault(requirement, []).append(case)
    texts = requirement_texts()
    return [
        {
            "requirement": requirement,
            "text": texts.get(requirement, ""),
            "cases": [{"id": c.case.id, "verdict": str(c.verdict)} for c in rows[requirement]],
            "faults": sorted({kind for c in rows[requirement] for kind in _kinds(c)}),
            "layers": _by_layer(rows[requirement]),
        }
        for requirement in sorted(rows)
    ]


def uncovered(result: Result) -> list[dict[str, str]]:
    """Return the requirements of bus, ECU and guardian that no case of the run speaks to."""
    spoken = {requirement for case in result.cases for requirement in case.case.verifies}
    return [
        {"requirement": requirement, "text": text}
        for requirement, text in requirement_texts().items()
        if requirement.startswith(ON_A_BENCH) and requirement not in spoken
    ]


def requirement_texts(path: Path = REQUIREMENTS) -> dict[str, str]:
    """Return the requirements' sentences by their ids; none where the file is not there."""
    if not path.is_file():
        return {}
    cells = [line.split("|") for line in path.read_text(encoding="utf-8").splitlines()]
    return {c[1].strip(): c[2].strip() for c in cells if len(c) == 4 and "HF-" in c[1]}


def _by_layer(cases: list[CaseResult]) -> dict[str, list[dict[str, str]]]:
    found: dict[str, dict[str, Verdict]] = {}
    for case in cases:
        for name, _, outcome in case.runs:
            for layer in _layers_of(case, name):
                row = found.setdefault(layer, {})
                before = row.get(case.case.id, Verdict.PASS)
                row[case.case.id] = min(before, outcome.verdict, key=ORDER.index)
    return {
        layer: [{"id": case_id, "verdict": str(v)} for case_id, v in found[layer].items()]
        for layer in ORDER_OF_LAYERS
        if layer in found
    }


def _layers_of(case: CaseResult, variant_name: str) -> set[str]:
    if case.case.procedure is not None:
        return {PROCEDURE}
    kinds = {
        str(fault["kind"])
        for variant in case.case.variants
        if variant.name == variant_name
        for fault in (*variant.before, *variant.faults)
    } - NOT_FAULTS
    layer_of = {kind: layer for layer, kinds_ in LAYERS.items() for kind in kinds_}
    return {layer_of.get(kind, OTHER) for kind in kinds} or {NO_FAULT}


def _kinds(result: CaseResult) -> set[str]:
    return {str(f["kind"]) for v in result.case.variants for f in v.faults} - NOT_FAULTS
