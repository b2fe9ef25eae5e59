"""The one command line of Headframe; each command hands over to the part that does the work."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any


def _complain(text: str) -> None:
    line = " ".join(text.split()) or "failed without a word"
    sys.stderr.write(f"headframe: {line}\n")


def _plain(error: Exception) -> str:
    """Return an error's text without what only a programmer reads."""
    if isinstance(error, OSError) and error.strerror and str(error).startswith("[Errno"):
        where = " and ".join(str(name) for name in (error.filename, error.filename2) if name)
        return f"{where}: {error.strerror}" if where else error.strerror
    if "pydantic" in sys.modules:  # else it is none of its errors
        from pydantic import ValidationError

        from protocol.profiles import first_problem

        if isinstance(error, ValidationError):
            return first_problem(error)
    return str(error)


def _without(package: str | None, arguments: Sequence[str]) -> int:
    """Say what is missing; the doctor needs no package to say more."""
    if list(arguments[:1]) == ["doctor"]:
        from vehicle_agent.shell.doctor import run

        return run(None, DEFAULT_PORT, "--json" in arguments)
    _complain(f"missing package {package}; run: make setup")
    return 1


USAGE_ERROR = 2
DEFAULT_PORT = 8700
LINK_TEST_S = 30.0

try:
    import typer

    from hil.cli import app as hil_app
    from sim.cli import app as sim_app
    from sim.replay.cli import app as replay_app
except ModuleNotFoundError as missing:
    sys.exit(_without(missing.name, sys.argv[1:]))

app = typer.Typer(
    help="Open remote-driving stack for mining and agricultural machines.",
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

ConfigOption = Annotated[Path, typer.Option("--config", help="settings file (TOML)")]
JsonOption = Annotated[bool, typer.Option("--json", help="print one JSON object")]
app.add_typer(sim_app, name="sim")
app.add_typer(replay_app, name="replay")
app.add_typer(hil_app, name="hil")


class Driver(StrEnum):
    """Who drives in the demo."""

    HUMAN = "human"
    SCRIPTED = "scripted"


def _finite(seconds: float | None) -> float | None:
    if seconds is not None and not math.isfinite(seconds):
        raise typer.BadParameter("must be a finite number")
    return seconds


@app.command()
def demo(
    machine: Annotated[str, typer.Option(help="name in configs/machines, or a file")] = (
        "ug_truck_60t"
    ),
    site: Annotated[
        str | None,
        typer.Option(help="name in configs/sites, or a file; without it the machine's own"),
    ] = None,
    link: Annotated[
        str | None,
        typer.Option(help="between cockpit and machine: name in configs/links, or a file"),
    ] = None,
    driver: Annotated[Driver, typer.Option(help="who drives")] = Driver.HUMAN,
    seconds: Annotated[
        float | None,
        typer.Option(
            min=1.0,
            callback=_finite,
            help="end after this time; scripted: time of driving, default 60",
        ),
    ] = None,
    no_browser: Annotated[bool, typer.Option("--no-browser", help="open no browser")] = False,
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="port of the page; 0 takes a free one")
    ] = DEFAULT_PORT,
    seed: Annotated[int, typer.Option(help="of the link's chances")] = 1,
    cameras: Annotated[
        int, typer.Option(min=1, max=4, help="the front one, the rear one, left, right")
    ] = 1,
    log: Annotated[
        Path | None,
        typer.Option(help="keep the machine's log in this new file, for headframe replay"),
    ] = None,
    evidence: Annotated[
        Path | None,
        typer.Option(help="keep both logs as written in this new folder, for replay verify"),
    ] = None,
    desk: Annotated[
        Path | None,
        typer.Option(help="file of a driver's desk, which drives in place of the keyboard"),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Drive a simulated machine from a simulated cockpit, all on this computer."""
    from sim.demo import DemoOptions, run

    options = DemoOptions(
        machine=machine,
        site=site,
        scripted=driver is Driver.SCRIPTED,
        seconds=seconds,
        port=port,
        browser=not no_browser,
        as_json=as_json,
        cameras=cameras,
        link=link,
        seed=seed,
        log=log,
        evidence=evidence,
        desk=desk,
    )
    raise typer.Exit(run(options))


@app.command()
def agent(config: ConfigOption) -> None:
    """Run the machine's side: guardian, link, media and recorder."""
    from vehicle_agent.shell.agent import main

    raise typer.Exit(main(["--config", str(config)]))


@app.command()
def console(
    config: ConfigOption,
    calibrate: Annotated[
        bool, typer.Option("--calibrate", help="learn the driver's desk, and write its file")
    ] = False,
) -> None:
    """Run the cockpit's side and serve its page on this computer."""
    if calibrate:
        from operator_console.shell import calibrate as wizard

        raise typer.Exit(wizard.main(config))
    from operator_console.shell.realtime import CONSOLE_PRIORITY, ask_ahead
    from operator_console.shell.web import main

    ask_ahead(CONSOLE_PRIORITY)
    raise typer.Exit(main(config))


@app.command()
def broker(
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free one")] = 1883,
) -> None:
    """Run the embedded MQTT broker, for trials on one computer."""
    from vehicle_agent.shell.broker import run

    run(port=port)


keys_app = typer.Typer(
    help="A site's authority: device keys, certificates, roles, revocation.",
    rich_markup_mode=None,
)
app.add_typer(keys_app, name="keys")
KeysDirOption = Annotated[Path, typer.Option("--dir", help="folder of the site's authority")]
KEYS_DIR = Path("keys")


@keys_app.command("init")
def keys_init(
    site: Annotated[str, typer.Option(help="the site's id, as in topics")],
    folder: KeysDirOption = KEYS_DIR,
    as_json: JsonOption = False,
) -> None:
    """Make a site's authority in a new folder."""
    from vehicle_agent.shell import clock, keys

    _print_keys(keys.init(folder, site, clock.wall_now()), as_json)


@keys_app.command("issue")
def keys_issue(
    name: Annotated[str, typer.Argument(help="of the machine, console or broker")],
    role: Annotated[str, typer.Option(help="driver, supervisor, ..., vehicle or broker")],
    folder: KeysDirOption = KEYS_DIR,
    days: Annotated[int, typer.Option(help="how long it counts")] = 365,
    host: Annotated[
        list[str] | None, typer.Option(help="name or address of a broker; may be repeated")
    ] = None,
    replace: Annotated[
        bool, typer.Option("--replace", help="revoke what it holds, and make new")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Issue a device its keys and its certificate."""
    from vehicle_agent.shell import clock, keys

    wanted = keys.Wanted(name, role, days, tuple(host or ()), replace)
    _print_keys(keys.issue(folder, wanted, clock.wall_now()), as_json)


@keys_app.command("revoke")
def keys_revoke(
    name: Annotated[str, typer.Argument(help="whose keys count no more")],
    folder: KeysDirOption = KEYS_DIR,
    reason: Annotated[str, typer.Option(help="for people, at most 80 characters")] = "",
    as_json: JsonOption = False,
) -> None:
    """Revoke a device's keys; then bring trust.json and crl.pem to machines and brokers."""
    from vehicle_agent.shell import clock, keys

    _print_keys(keys.revoke(folder, name, reason, clock.wall_now()), as_json)


@keys_app.command("show")
def keys_show(folder: KeysDirOption = KEYS_DIR, as_json: JsonOption = False) -> None:
    """List what was issued, and how it stands; never a private key."""
    from vehicle_agent.shell import clock, keys

    _print_keys(keys.show(folder, clock.wall_now()), as_json)


def _print_keys(result: dict[str, Any], as_json: bool) -> None:
    from vehicle_agent.shell import keys

    typer.echo(json.dumps(result) if as_json else keys.as_text(result))


@app.command()
def doctor(
    config: Annotated[
        Path | None, typer.Option("--config", help="also check what this agent file names")
    ] = None,
    port: Annotated[int, typer.Option(min=1, max=65535, help="the page's port")] = DEFAULT_PORT,
    as_json: JsonOption = False,
) -> None:
    """Check this computer: what is missing, and what to do about it."""
    from vehicle_agent.shell.doctor import run

    raise typer.Exit(run(config, port, as_json))


@app.command("link-test")
def link_test(
    config: ConfigOption,
    seconds: Annotated[
        float | None,
        typer.Option(min=1.0, callback=_finite, help="how long; measuring: 30 unless told"),
    ] = None,
    plot: Annotated[
        Path | None, typer.Option(help="draw it: a page (.html) or a picture (.svg)")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Measure the command link: with a cockpit's file here, with the machine's file there.

    Moves nothing: the machine's agent must be ended, and no machine obeys its frames.
    """
    if _is_machine(config):
        from vehicle_agent.shell.link_test import run as reflect

        raise typer.Exit(reflect(config, seconds))
    from operator_console.shell.link_test import run as measure

    raise typer.Exit(measure(config, LINK_TEST_S if seconds is None else seconds, as_json, plot))


def _is_machine(config: Path) -> bool:
    """Whether a settings file is a machine's; what is no TOML is left to whoever reads it."""
    import tomllib

    try:
        return "vehicle" in tomllib.loads(config.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line: 0, 1 for an error (one line on stderr), 2 for wrong usage."""
    try:
        code = app(args=arguments, prog_name="headframe", standalone_mode=False)
    except typer.TyperException as error:
        hint = "; see headframe --help" if error.exit_code == USAGE_ERROR else ""
        _complain(error.format_message().rstrip(".") + hint)
        return error.exit_code
    except typer.Abort:
        return 130
    except ModuleNotFoundError as error:
        return _without(error.name, ())
    except (OSError, RuntimeError, ValueError) as error:
        _complain(_plain(error))
        return 1
    return code if isinstance(code, int) else 0


if __name__ == "__main__":
    sys.exit(main())
