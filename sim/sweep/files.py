"""What a sweep leaves in its folder: verdicts, summary, picture, and the logs of failed runs."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sim.sweep.plot import plot
from sim.sweep.runs import Verdict
from sim.sweep.table import as_markdown


def write(folder: Path, title: str, verdicts: Sequence[Verdict], result: Mapping[str, Any]) -> None:
    """Write verdicts.jsonl, summary.json, sweep.svg, table.md, and failed/SEED.jsonl."""
    lines = (json.dumps(verdict.as_dict()) + "\n" for verdict in verdicts)
    (folder / "verdicts.jsonl").write_text("".join(lines), encoding="utf-8")
    (folder / "summary.json").write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    (folder / "sweep.svg").write_text(plot(title, verdicts, result), encoding="utf-8")
    table = as_markdown(title, result["table"])
    (folder / "table.md").write_text(table, encoding="utf-8")
    logged = [verdict for verdict in verdicts if verdict.log]
    if logged:
        (folder / "failed").mkdir()
    for verdict in logged:
        path = folder / "failed" / f"{verdict.seed}.jsonl"
        path.write_text("".join(f"{line}\n" for line in verdict.log), encoding="utf-8")
