"""``headframe replay``: what is done with a log."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

if TYPE_CHECKING:
    from recording.reader import Log

app = typer.Typer(
    help="Logs: re-run, ask what if, explain, cut, verify, play, export, report.",
    rich_markup_mode=None,
    no_args_is_help=False,
)
LogArgument = Annotated[Path, typer.Argument(metavar="LOG", help="file, or a session's folder")]
JsonOption = Annotated[bool, typer.Option("--json", help="print one JSON object")]
FAILED = 1


@app.command("rerun")
def rerun(
    log: LogArgument,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", help="what if: signals.command.stop_ms=200; may be repeated"),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Run the supervisor again over a log's inputs; exit 1 when a decision differs.

    With --set it compares the settings of the log with others instead: LOG may be a folder of
    many logs then.
    """
    from sim.replay import settings as replay_settings
    from sim.replay.whatif_table import as_text, over

    if settings:
        changes = replay_settings.changes_of(settings)
        table = over(log, changes)
        typer.echo(json.dumps(table) if as_json else as_text(table))
        return
    result = _rerun(log)
    typer.echo(json.dumps(result) if as_json else _rerun_text(result))
    raise typer.Exit(0 if result["equal"] else FAILED)


def _rerun(path: Path) -> dict[str, Any]:
    from recording.reader import open_log
    from recording.software import software
    from sim.replay.rerun import rerun as run_again
    from sim.replay.ticks import Steps
    from vehicle_agent.shell.clock import monotonic_ns

    log = open_log(path)
    begun_ns = monotonic_ns()
    result = run_again(Steps(log))
    wall_s = (monotonic_ns() - begun_ns) / 1e9
    session = log.session()
    return {
        **result.as_dict(),
        "lost": log.lost,
        "commit_of_log": session.get("commit", "unknown"),
        "commit": software()["commit"],
        "wall_s": round(wall_s, 3),
        "times_real": round(result.ticks * 0.01 / wall_s, 1),
    }


def _rerun_text(result: dict[str, Any]) -> str:
    word = "the same, bit for bit" if result["equal"] else "NOT the same"
    lines = [
        f"{result['ticks']} ticks run again, {result['compared']} compared: {word}",
        f"  log of {result['commit_of_log'][:12]}, run by {result['commit'][:12]},"
        f" {result['times_real']:g} x real time",
    ]
    if result["differences"]:
        lines.append(f"  {result['differences']} ticks differ; first: {result['first']}")
    if result["key_state_differences"]:
        lines.append(f"  {result['key_state_differences']} key states differ")
    if result["broken_key_states"]:
        lines.append(f"  {result['broken_key_states']} key states are not whole")
    if result["missing_ticks"] or result["skipped_ticks"]:
        lines.append(
            f"  {result['missing_ticks']} ticks are missing,"
            f" {result['skipped_ticks']} could not be run"
        )
    lines += [f"  lost: {words}" for words in result["lost"]]
    causes = ", ".join(str(cause) for cause in result["stops"]) or "none"
    lines.append(f"  stops: {causes}")
    return "\n".join(lines)


AtOption = Annotated[
    str | None, typer.Option("--at", help="seconds since the log's beginning, or ISO 8601")
]
StopOption = Annotated[
    int | None, typer.Option("--stop", min=1, help="number of a stop of the log, from 1")
]


@app.command("explain")
def explain(
    log: LogArgument,
    at: AtOption = None,
    stop: StopOption = None,
    plot: Annotated[Path | None, typer.Option(help="a picture of the same, SVG")] = None,
    cockpit: Annotated[
        Path | None, typer.Option("--with", help="the cockpit's log: hands, screen, what left")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Tell what led to what round a moment: picture, command, verdict, decision, bus, motion."""
    from recording.reader import open_log
    from sim.replay import explain_plot
    from sim.replay.explain import explain as chain_of_causes

    opened = open_log(log)
    moment_ns = _moment(opened, at, stop)
    beside = None if cockpit is None else open_log(cockpit)
    lines = chain_of_causes(opened, moment_ns, beside)
    if plot is not None:
        plot.write_text(explain_plot.plot(opened, moment_ns), encoding="utf-8")
    typer.echo(json.dumps({"chain": lines}) if as_json else "\n".join(lines))


def _moment(log: Log, at: str | None, stop: int | None) -> int:
    from sim.replay import times

    if (at is None) == (stop is None):
        raise typer.BadParameter("one of --at and --stop is needed")
    return times.stop_ns(log, stop) if stop is not None else times.moment(log, str(at))


@app.command("cut")
def cut(
    log: LogArgument,
    out: Annotated[Path | None, typer.Option(help="the new log")] = None,
    begin: Annotated[
        str | None, typer.Option("--from", help="seconds since the beginning, or ISO 8601")
    ] = None,
    until: Annotated[
        str | None, typer.Option("--until", help="seconds since the beginning, or ISO 8601")
    ] = None,
    stop: StopOption = None,
    before: Annotated[float, typer.Option(min=0.0, help="seconds before the stop")] = 10.0,
    after: Annotated[float, typer.Option(min=0.0, help="seconds after the stop")] = 10.0,
    as_test: Annotated[
        str | None,
        typer.Option(help="make a golden log of this name for the tests: no pictures, digests"),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Cut a part out of a log that can be run again by itself, by time or round a stop."""
    from recording.reader import open_log
    from sim.replay import cut as cutting
    from sim.replay import times

    opened = open_log(log)
    if stop is not None:
        at_ns = times.stop_ns(opened, stop)
        from_ns, until_ns = at_ns - round(before * 1e9), at_ns + round(after * 1e9)
    elif begin is not None and until is not None:
        from_ns, until_ns = times.moment(opened, begin), times.moment(opened, until)
    else:
        raise typer.BadParameter("--stop, or both --from and --until are needed")
    if (out is None) == (as_test is None):
        raise typer.BadParameter("one of --out and --as-test is needed")
    if as_test is not None:
        written = cutting.golden(opened, cutting.golden_path(as_test), from_ns, until_ns)
    else:
        assert out is not None
        written = cutting.cut(opened, out, from_ns, until_ns)
    result = {"log": str(written.path), "messages": written.messages, "ticks": written.ticks}
    typer.echo(
        json.dumps(result)
        if as_json
        else f"{written.path}: {written.ticks} ticks, {written.messages} messages"
    )


@app.command("verify")
def verify(
    log: LogArgument,
    key: Annotated[Path | None, typer.Option(help="trust.json that holds the public keys")] = None,
    other: Annotated[
        Path | None, typer.Option("--with", help="the other side's log: cockpit's or machine's")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Prove that nothing in a log was altered, taken out or moved; exit 1 when something was.

    With the other side's log both are proven by each other too: what was cut off, replaced, or
    altered and chained anew afterwards.
    """
    from recording.reader import open_log
    from sim.replay import verify as proving

    opened = open_log(log)
    if other is not None:
        _verify_both(opened, open_log(other), key, as_json=as_json)
    proof = proving.verify(opened, None if key is None else proving.recorder_key(key, opened))
    typer.echo(json.dumps(proof.as_dict()) if as_json else proving.as_text(proof))
    raise typer.Exit(0 if proof.holds else FAILED)


def _verify_both(log: Log, other: Log, key: Path | None, *, as_json: bool) -> NoReturn:
    from protocol.messages import BEFORE_ALL, load_trust
    from sim.replay.exchange import both_as_text, verify_both

    trust = None if key is None else load_trust(key.read_text(encoding="utf-8"), BEFORE_ALL)
    found = verify_both(log, other, trust)
    typer.echo(json.dumps(found.as_dict()) if as_json else both_as_text(found))
    raise typer.Exit(0 if found.holds else FAILED)


OutOption = Annotated[Path, typer.Option("--out", help="the page, one HTML file")]


@app.command("report")
def report(log: LogArgument, out: OutOption, as_json: JsonOption = False) -> None:
    """Write a shift's report: distance, stops, refusals, ages over time and over the map.

    LOG may be a folder: its logs are taken one after the other.
    """
    from recording.reader import logs_under
    from sim.replay.shift import shift_of
    from sim.replay.shift_page import shift_page

    shift = shift_of(logs_under(log))
    out.write_text(shift_page(shift), encoding="utf-8")
    if as_json:
        typer.echo(json.dumps(shift.as_dict() | {"page": str(out)}))
        return
    stops = ", ".join(f"{count} x {cause}" for cause, count in shift.causes().most_common())
    typer.echo(
        f"{out}: {shift.distance_m:.0f} m in {shift.driven_s:.0f} s, stops: {stops or 'none'},"
        f" {shift.false_stops} of them false"
    )


@app.command("compare")
def compare(
    log: LogArgument,
    new: Annotated[
        Path | None, typer.Argument(metavar="[NEW]", help="another drive, beside the first one")
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", help="new: signals.command.stop_ms=200; may be repeated"),
    ] = None,
    commit: Annotated[
        str | None, typer.Option(help="old: another revision; new: the code that runs this")
    ] = None,
    scheduler: Annotated[
        str | None,
        typer.Option(help="address of a running Dask scheduler, with --set; else these cores"),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="a page, one HTML file")] = None,
    as_json: JsonOption = False,
) -> None:
    """Compare two settings or two revisions over a log or a folder of logs, or two drives.

    Exit 1 when a stop was gained, lost or moved, or a tick was decided otherwise; of two drives,
    when they were not stopped by the same causes as often.
    """
    from recording.software import software
    from sim.replay import compare as comparing
    from sim.replay import settings as replay_settings
    from sim.replay.compare_page import compare_page
    from sim.replay.whatif_table import as_text

    if [bool(settings), commit is not None, new is not None].count(True) != 1:
        raise typer.BadParameter("one of --set, --commit and a second log is needed")
    if new is not None:
        _compare_drives(log, new, out, as_json=as_json)
    if settings:
        changes = replay_settings.changes_of(settings)
        table = comparing.with_settings(log, changes, scheduler)
    else:
        table = comparing.with_revision(log, str(commit), software()["commit"][:12])
    if out is not None:
        out.write_text(compare_page(table), encoding="utf-8")
    typer.echo(json.dumps(table) if as_json else as_text(table))
    raise typer.Exit(0 if table["same"] else FAILED)


def _compare_drives(old: Path, new: Path, out: Path | None, *, as_json: bool) -> NoReturn:
    from recording.reader import logs_under
    from sim.replay.shift import shift_of
    from sim.replay.shift_diff import diff_page, diff_text, differences

    found = differences(shift_of(logs_under(old)), shift_of(logs_under(new)))
    if out is not None:
        out.write_text(diff_page(str(old), str(new), found), encoding="utf-8")
    typer.echo(json.dumps(found) if as_json else diff_text(found))
    raise typer.Exit(0 if found["same"] else FAILED)


@app.command("export")
def export(
    log: LogArgument,
    form: Annotated[
        str, typer.Option("--to", help="csv, parquet, mp4, asc or blf", metavar="FORM")
    ],
    out: Annotated[Path, typer.Option(help="new folder (csv, parquet) or file")],
    camera: Annotated[int, typer.Option(min=0, help="of the film")] = 0,
    as_json: JsonOption = False,
) -> None:
    """Write a log in a form of others: tables, a film with what was told, a bus log."""
    from recording.reader import open_log
    from sim.replay import bus_log, film, tables

    opened = open_log(log)
    counts: dict[str, int]
    match form:
        case "csv":
            counts = tables.write_csv(opened, out)
        case "parquet":
            counts = tables.write_parquet(opened, out)
        case "mp4":
            counts = {"pictures": film.write_mp4(opened, out, camera)}
        case "asc":
            counts = {"frames": bus_log.write_asc(opened, out)}
        case "blf":
            counts = {"frames": bus_log.write_blf(opened, out)}
        case _:
            raise typer.BadParameter(f"--to {form}: csv, parquet, mp4, asc or blf is wanted")
    told = ", ".join(f"{count} {name}" for name, count in counts.items())
    typer.echo(
        json.dumps({"out": str(out), "counts": counts, "lost": opened.lost})
        if as_json
        else f"{out}: {told}"
    )


@app.command("play")
def play(
    log: LogArgument,
    port: Annotated[int, typer.Option(min=0, max=65535, help="of the page; 0: any")] = 0,
    begin: Annotated[float, typer.Option("--from", min=0.0, help="seconds of the log")] = 0.0,
    speed: Annotated[float, typer.Option(help="0.1 to 10")] = 1.0,
) -> None:
    """Play a log into the real console page; nothing can reach a machine. Ends with Ctrl-C."""
    import asyncio

    from recording.reader import open_log
    from sim.replay import play as playing

    asyncio.run(playing.play(playing.prepared(open_log(log)), port, begin, speed))


@app.command("resim")
def resim(
    log: LogArgument,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", help="changed: signals.command.stop_ms=200; may be repeated"),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Run a simulated log again in closed loop: its commands and link, and the machine anew.

    Without --set exit 1 when one tick is not as recorded.
    """
    from recording.reader import open_log
    from sim.replay import resim as closed
    from sim.replay import settings as replay_settings

    opened = open_log(log)
    then = closed.resim(opened)
    now = None
    if settings:
        change = replay_settings.changing(replay_settings.changes_of(settings))
        now = closed.resim(opened, change)
    told = {"as_it_was": then.as_dict(), "changed": None if now is None else now.as_dict()}
    typer.echo(json.dumps(told) if as_json else closed.as_text(then, now))
    raise typer.Exit(0 if now is not None or then.as_recorded else FAILED)
