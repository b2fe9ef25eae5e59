"""The shape of report.json; ``docs/schema/hil-report.json`` is made from it."""

from __future__ import annotations

import json
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

_STRICT = ConfigDict(extra="forbid", allow_inf_nan=False)
Word = Literal["bench-error", "fail", "inconclusive", "not-run", "pass"]


class SpreadRow(BaseModel):
    """A sample of times, ms; quantiles by nearest rank."""

    model_config = _STRICT
    n: int
    p50: float
    p95: float
    p99: float
    max: float


class FailedRun(BaseModel):
    """One run that did not pass.

    ``log``: file in logs/, Vector ASCII, 2 s to each side, with a ``.blf`` of the same name beside
    it. ``story``: what happened in it, ms from when the fault took effect.
    """

    model_config = _STRICT
    seed: int
    verdict: Word
    why: str
    first_cause: str
    log: str
    story: list[str]


class VariantRow(BaseModel):
    """All runs of one variant of a case."""

    model_config = _STRICT
    name: str
    verdict: Word
    runs: int
    passed: int
    limit_ms: float | None
    reaction_of: str
    reaction_ms: SpreadRow | None
    samples_ms: list[float]
    first_causes: dict[str, int]
    figures_ms: dict[str, SpreadRow | None]
    not_passed: list[FailedRun]


class CaseRow(BaseModel):
    """One case; its verdict is the worst of its runs."""

    model_config = _STRICT
    id: str
    title: str
    suite: str
    verifies: list[str]
    requires: list[str]
    verdict: Word
    why: str
    variants: list[VariantRow]


class BenchRow(BaseModel):
    """What it was run on."""

    model_config = _STRICT
    id: str
    site: str
    owner: str
    file: str
    file_sha256: str
    hashes: dict[str, str]
    machine: str
    emulated: list[str]
    capabilities: list[str]
    clock: str
    clock_error_us: int
    slower: int
    seed: int
    repeat: int
    revision: str
    system: str
    python: str


class MutantRow(BaseModel):
    """One named defect, and what each case came to on it. A fail notices it."""

    model_config = _STRICT
    name: str
    caught_by: list[str]
    verdicts: dict[str, Word]


class CoverageCase(BaseModel):
    """A case that speaks to a requirement."""

    model_config = _STRICT
    id: str
    verdict: Word


class CoverageRow(BaseModel):
    """One requirement; ``layers``: what speaks to it, by the fault catalogue's layers."""

    model_config = _STRICT
    requirement: str
    text: str
    cases: list[CoverageCase]
    faults: list[str]
    layers: dict[str, list[CoverageCase]]


class UncoveredRow(BaseModel):
    """A requirement of bus, ECU or guardian that no case of the run speaks to."""

    model_config = _STRICT
    requirement: str
    text: str


class Report(BaseModel):
    """The whole file.

    ``when`` is a label; no figure is made from it. ``table``: how many cases there are.
    """

    model_config = _STRICT
    schema_: Annotated[Literal["headframe-hil-report/1"], Field(alias="schema")]
    verdict: Word
    stopped: str
    when: str
    table: int
    verdicts: dict[str, int]
    bench: BenchRow
    cases: list[CaseRow]
    mutants: list[MutantRow]
    coverage: list[CoverageRow]
    uncovered: list[UncoveredRow]


def schema_text() -> str:
    """Return the JSON schema as it stands in docs/schema."""
    return json.dumps(Report.model_json_schema(), indent=2, sort_keys=True) + "\n"
