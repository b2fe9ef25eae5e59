"""``headframe hil``: lists the cases, and runs them on a bench."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

REPEATS = 20
ALL_PASSED, NOT_PASSED = 0, 1

app = typer.Typer(
    help="Hardware in the loop: cases on a bench, with evidence.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
JsonOption = Annotated[bool, typer.Option("--json", help="print one JSON object")]


@app.command("list")
def list_cases(as_json: JsonOption = False) -> None:
    """List the cases: id, suite, what they need of a bench, what they show."""
    from hil.case import every_case

    cases = every_case()
    if as_json:
        rows = [
            {"id": c.id, "suite": c.suite, "title": c.title, "requires": sorted(c.requires)}
            for c in cases
        ]
        typer.echo(json.dumps({"cases": rows}, ensure_ascii=False))
        return
    for case in cases:
        needs = ", ".join(sorted(case.requires)) or "-"
        typer.echo(f"{case.id}  {case.suite:<10} {case.title}  [{needs}]")


@app.command("run")
def run_bench(
    bench: Annotated[Path, typer.Option("--bench", help="bench file (YAML)")],
    report: Annotated[Path, typer.Option("--report", help="folder of the report")],
    suite: Annotated[
        list[str] | None, typer.Option(help="only this suite; may be repeated")
    ] = None,
    case: Annotated[list[str] | None, typer.Option(help="only this case; may be repeated")] = None,
    repeat: Annotated[int, typer.Option(min=1, help="runs of each case")] = REPEATS,
    mutants: Annotated[bool, typer.Option(help="first try every case on defective parts")] = True,
    as_json: JsonOption = False,
) -> None:
    """Run cases on a bench: 0 when all that could be run passed, 1 otherwise."""
    from hil.judge import Verdict
    from hil.report import write
    from hil.runner import Options, run

    options = Options(bench, report, tuple(suite or ()), tuple(case or ()), repeat, mutants, True)
    result = run(options, _progress)
    content = write(result)
    if as_json:
        short = {key: content[key] for key in ("verdict", "verdicts", "stopped")}
        typer.echo(json.dumps({**short, "report": str(report / "report.html")}))
    else:
        _tell(content)
        typer.echo(f"{content['verdict']}: {report / 'report.html'}")
    raise typer.Exit(ALL_PASSED if result.verdict is Verdict.PASS else NOT_PASSED)


def _progress(text: str) -> None:
    sys.stderr.write(f"hil: {text}\n")
    sys.stderr.flush()


def _tell(content: dict[str, object]) -> None:
    cases = content["cases"]
    assert isinstance(cases, list)
    for case in cases:
        spreads = [v["reaction_ms"] for v in case["variants"] if v["reaction_ms"]]
        worst = max(spreads, key=lambda s: s["max"], default=None)
        times = "" if worst is None else f"  p99 {worst['p99']:.1f} ms, max {worst['max']:.1f} ms"
        why = f"  {case['why']}" if case["why"] else _left_out(case)
        typer.echo(f"{case['id']}  {case['verdict']:<12} {case['title']}{times}{why}")
    mutants = content["mutants"]
    assert isinstance(mutants, list)
    if mutants:
        caught = sum(bool(m["caught_by"]) for m in mutants)
        missed = [m["name"] for m in mutants if not m["caught_by"]]
        typer.echo(f"defective parts noticed: {caught} of {len(mutants)}" + _missed(missed))


def _left_out(case: dict[str, Any]) -> str:
    """Say what of a case was not run: a pass that is one in part."""
    names = [v["name"] for v in case["variants"] if v["verdict"] == "not-run"]
    return f"  not run: {', '.join(names)}" if names else ""


def _missed(names: list[str]) -> str:
    return f"; not noticed: {', '.join(names)}" if names else ""
