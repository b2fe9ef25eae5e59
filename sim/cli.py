"""``headframe sim``: run scenarios, list them, sweep them."""

from __future__ import annotations

import json
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sim.runner.pace import RealTime

if TYPE_CHECKING:
    from sim.replay.sim_log import SimLog
    from sim.runner.run import Run

app = typer.Typer(
    help="Scenarios in lock-step: the whole chain under a simulated clock.",
    rich_markup_mode=None,
    no_args_is_help=False,
)
ScenarioArgument = Annotated[str, typer.Argument(help="name in configs/scenarios, or a file")]
JsonOption = Annotated[bool, typer.Option("--json", help="print one JSON object")]
SeedOption = Annotated[int, typer.Option(min=0, help="of everything random; repeats a run exactly")]
FAILED = 1


@app.command("list")
def list_scenarios(as_json: JsonOption = False) -> None:
    """List the scenarios that are shipped."""
    from sim.scenario.file import find_scenario, scenario_names

    titles = {name: find_scenario(name).file.title for name in scenario_names()}
    if as_json:
        typer.echo(json.dumps({"scenarios": titles}))
        return
    width = max(map(len, titles), default=0)
    for name, title in titles.items():
        typer.echo(f"{name:<{width}}  {title}")


@app.command("run")
def run(
    name: ScenarioArgument,
    fast: Annotated[
        bool, typer.Option("--fast/--realtime", help="as fast as it goes, or paced by the clock")
    ] = True,
    seed: SeedOption = 1,
    log: Annotated[
        Path | None,
        typer.Option(help="write the whole run to a new log, for headframe replay"),
    ] = None,
    junit: Annotated[Path | None, typer.Option(help="write the verdicts as JUnit XML")] = None,
    plot: Annotated[Path | None, typer.Option(help="write a picture of the run, SVG")] = None,
    as_json: JsonOption = False,
) -> None:
    """Run a scenario once and judge it; exit 1 when an expectation did not hold."""
    from sim.scenario import plot as scenario_plot
    from sim.scenario import report as scenario_report
    from sim.scenario.file import find_scenario
    from sim.scenario.judge import run_scenario
    from vehicle_agent.shell.clock import monotonic_ns

    scenario = find_scenario(name)
    begun_ns = monotonic_ns()
    pacer = None if fast else RealTime()
    outcome = run_scenario(
        scenario,
        seed,
        pace=None if pacer is None else pacer.wait,
        attend=None if log is None else partial(_logged, log),
    )
    wall_s = (monotonic_ns() - begun_ns) / 1e9
    if junit is not None:
        junit.write_bytes(scenario_report.as_junit([outcome], wall_s))
    if plot is not None:
        plot.write_text(scenario_plot.plot(outcome, scenario.site), encoding="utf-8")
    timing = {"wall_s": round(wall_s, 3), "times_real": round(outcome.simulated_s / wall_s, 1)}
    if pacer is not None:
        timing["lateness_p99_ms"] = pacer.lateness_p99_ms
    if as_json:
        typer.echo(json.dumps(outcome.as_dict() | timing))
    else:
        words = ", ".join(f"{key} {value:g}" for key, value in timing.items())
        typer.echo(f"{scenario_report.as_text(outcome)}\n  {words}")
    raise typer.Exit(0 if outcome.passed else FAILED)


def _logged(path: Path, run: Run) -> SimLog:
    from sim.replay.sim_log import SimLog

    return SimLog(path, run)


@app.command("sweep")
def sweep(
    name: ScenarioArgument,
    runs: Annotated[int, typer.Option(min=1, max=1_000_000, help="how many")],
    seed: SeedOption = 1,
    scheduler: Annotated[
        str | None,
        typer.Option(
            help="address of a running Dask scheduler; without one, this computer's cores"
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="new folder for verdicts, summary, picture and the logs of failed runs"),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Run a scenario with many seeds; exit 1 when a run failed.

    What ``vary`` names is drawn for each seed; ``sim run --seed`` repeats a run exactly.
    """
    from sim.scenario.file import find_scenario
    from sim.sweep import files as sweep_files
    from sim.sweep import runs as sweeps
    from sim.sweep.cluster import on_dask
    from vehicle_agent.shell.clock import monotonic_ns

    scenario = find_scenario(name)
    if out is not None:
        out.mkdir(parents=True)
    jobs = sweeps.jobs_of(scenario, runs, seed, keep_log=out is not None)
    begun_ns = monotonic_ns()
    with typer.progressbar(length=runs, label=scenario.name, file=sys.stderr) as bar:
        verdicts = sweeps.sweep(jobs, on_dask(scheduler), lambda _: bar.update(1))
    result = sweeps.summary(verdicts, (monotonic_ns() - begun_ns) / 1e9)
    if out is not None:
        sweep_files.write(out, scenario.file.title, verdicts, result)
    typer.echo(json.dumps(result) if as_json else sweeps.as_text(result))
    raise typer.Exit(FAILED if result["failed_seeds"] else 0)
