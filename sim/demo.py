"""``headframe demo``: one machine, one mine and one cockpit on this computer, as real processes.

broker, machine (ECU and plant), sensors, camera, agent and console each run as a process of
their own, as they would on three computers; this program starts them, watches them and ends
them.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import shutil
import socket
import sys
import webbrowser
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from operator_console.shell.desk_config import load_desk
from protocol.messages import Role, generate_identity
from recording.reader import logs_under
from sim.children import Child, ChildError, Children, ChildSpec, Interrupted, last_words
from sim.load import Accounts, accounts, core_shares, family, process_shares
from sim.machines.cameras import CameraName
from sim.machines.parameters import load_machine
from sim.network.files import find_link
from sim.network.parameters import LinkParameters
from sim.radio.files import find_coverage
from sim.replay.cut import join
from sim.run_folder import keep_logs, run_folder
from sim.sensors.lookout import SCANNER
from sim.world.drift import Drift, check_width
from sim.world.site import load_site
from vehicle_agent.core.record import FIRST
from vehicle_agent.shell.store import create_record

CONFIGS = Path(__file__).resolve().parents[1] / "configs"
DEFAULT_MACHINE = "ug_truck_60t"
DEFAULT_SITE = "mine_drift"
DEFAULT_PORT = 8700
HOST = "127.0.0.1"
SITE_ID = "demo"
VEHICLE_ID = "truck-1"
OPERATORS = ("console-1", "console-2")
SCRIPTED_SECONDS = 60.0
DRIVER_GRACE_S = 16.0
"""The driver's own times to stand still and to let go, and a little more."""
REAR_CAMERA = 1
SOUND = "sim:engine"
CONSOLE_LOST = (
    "its page is gone, the machine stops by itself; to drive on: Ctrl-C, then start the demo anew"
)
SENSORS_LOST = "nothing is known of the way ahead, and the machine goes at walking pace"
LINK_CHILD = "link"
LINK_LOG = "link.jsonl"
"""Every decision of the link, in the run's folder."""
LINK_GRACE_S = 3.0
LOG_QUOTA_MB = 2048

Settings = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class DemoCamera:
    """One simulated camera: how the machine's file names it, and what is sent of it.

    Attributes:
        faces: where it looks, as the agent's settings have it.
    """

    name: CameraName
    faces: str
    width_px: int = 640
    height_px: int = 360
    fps: int = 15
    bit_rate_bps: int = 600_000


CAMERAS = (
    DemoCamera("front", "front", 1280, 720, 30, 4_000_000),
    DemoCamera("rear", "rear"),
    DemoCamera("left", "side"),
    DemoCamera("right", "side"),
)
"""By id. What a small computer cannot draw and code besides the front is left out by default."""


class DemoError(RuntimeError):
    """Raised when the demo cannot start or go on; its text is one line for a person."""


@dataclass(frozen=True, slots=True)
class DemoOptions:
    """What the command line asks.

    Attributes:
        machine, site: a name in configs/, or a file; without a site the machine's own.
        scripted: a program drives instead of a person.
        seconds: end after this long; a scripted drive counts from the moment it is ACTIVE.
            None goes on until Ctrl-C (a scripted drive ends after 60 s).
        port: of the console's page; 0 takes a free one.
        browser: open the page when there is a desktop.
        as_json: print one JSON object on stdout instead of text.
        cameras: how many: the front, the rear, both sides.
        link: between cockpit and machine, a name in configs/links or a file; None: nothing
            is between them. seed: of the link's chances.
        log: keep the machine's log in this file, which must not be there yet.
        evidence: keep the logs of machine and cockpit, as they were written, in this new folder.
        desk: file of a driver's desk, which drives in place of the page's keyboard.
    """

    machine: str = DEFAULT_MACHINE
    site: str | None = None
    link: str | None = None
    seed: int = 1
    scripted: bool = False
    seconds: float | None = None
    port: int = DEFAULT_PORT
    browser: bool = True
    as_json: bool = False
    cameras: int = 1
    log: Path | None = None
    evidence: Path | None = None
    desk: Path | None = None


def find_config(kind: str, name: str) -> Path:
    """Return the settings file that ``name`` means: a file's path, or a name in configs/.

    Raises:
        DemoError: there is none; the text names those that there are.
    """
    folder = CONFIGS / kind
    shipped = folder / f"{name}.toml"
    if Path(name).name == name and shipped.is_file():
        return shipped
    if name.endswith(".toml") and Path(name).is_file():
        return Path(name).resolve()
    known = ", ".join(sorted(path.stem for path in folder.glob("*.toml")))
    raise DemoError(f"no {kind.removesuffix('s')} {name!r}; there are: {known}")


def own_site(machine: str) -> str:
    """Return the shipped site that is made for a machine; the mine drift if none says so."""
    for path in sorted((CONFIGS / "sites").glob("*.toml")):
        if machine in load_site(path).machines:
            return path.stem
    return DEFAULT_SITE


def toml_text(tables: Mapping[str, Settings | Sequence[Settings]]) -> str:
    """Return TOML of tables and arrays of tables with strings, numbers, booleans and lists."""
    lines: list[str] = []
    for name, content in tables.items():
        tables_here: Sequence[Settings] = [content] if isinstance(content, Mapping) else content
        heading = f"[{name}]" if isinstance(content, Mapping) else f"[[{name}]]"
        for table in tables_here:
            lines.append(heading)
            lines += [
                f"{key} = {json.dumps(value, ensure_ascii=False)}" for key, value in table.items()
            ]
            lines.append("")
    return "\n".join(lines)


def free_port(wanted: int, option: str) -> int:
    """Return ``wanted`` when it can be listened on; a free port for 0."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, wanted))
        except OSError as error:
            why = "in use" if error.errno == errno.EADDRINUSE else "not to be had"
            raise DemoError(
                f"port {wanted} on {HOST} is {why}; choose another with {option}, "
                f"or {option} 0 for any free one ({error.strerror})"
            ) from error
        return int(probe.getsockname()[1])


def _write_private(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")
    path.chmod(0o600)


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything that is known before the first process starts.

    Attributes:
        mqtt_port: the broker's, at the cockpit. link: name or file; None for none.
        link_port: where the machine reaches the broker; the broker's own port without a link.
        cameras: how many of CAMERAS.
    """

    run: Path
    machine: Path
    site: Path
    port: int
    mqtt_port: int
    link: str | None = None
    link_port: int = 0
    seed: int = 1
    cameras: int = 1
    desk: Path | None = None

    @property
    def agent_config(self) -> Path:
        """Settings of the machine's computer."""
        return self.run / "agent.toml"

    @property
    def console_config(self) -> Path:
        """Settings of the cockpit."""
        return self.run / "console.toml"

    def buffer(self, camera: int) -> Path:
        """Where a camera's pictures lie."""
        return self.run / f"camera{camera}"

    @property
    def log_folder(self) -> Path:
        """Where the machine's recorder writes."""
        return self.run / "log"

    @property
    def cockpit_log_folder(self) -> Path:
        """Where the cockpit's recorder writes."""
        return self.run / "cockpit_log"

    @property
    def relay_port(self) -> Path:
        """The watchdog relay's serial line."""
        return self.run / "relay"

    @property
    def address_file(self) -> Path:
        """Where the console writes the address of its page, this run's token included."""
        return self.run / "address"


def write_keys(run: Path) -> None:
    """Write throw-away keys: NAME.jwk for the vehicle and both operators, and trust.json."""
    trusted = []
    roles = {VEHICLE_ID: Role.VEHICLE} | dict.fromkeys(OPERATORS, Role.DRIVER)
    for name, role in roles.items():
        private, public = generate_identity()
        _write_private(run / f"{name}.jwk", json.dumps(private))
        trusted.append({"id": name, "role": role.value, "public": public})
    _write_private(run / "trust.json", json.dumps({"identities": trusted}))


def write_settings(plan: Plan) -> None:
    """Write agent.toml and console.toml, and make the folders that they name."""
    run = plan.run
    buffers = [plan.buffer(number) for number in range(plan.cameras)]
    for folder in (*(run / name for name in ("agent", "can", "truth", "wires")), *buffers):
        folder.mkdir(mode=0o700)
    mqtt = {"host": HOST, "port": plan.mqtt_port}
    machine_mqtt = mqtt if plan.link is None else mqtt | {"port": plan.link_port}
    agent: dict[str, Settings | Sequence[Settings]] = {
        "vehicle": {
            "site": SITE_ID,
            "name": VEHICLE_ID,
            "machine": str(plan.machine),
            "simulated": True,
        },
        "runtime": {"dir": str(run / "agent"), "record": str(run / "guardian.record")},
        "keys": {"device": f"{VEHICLE_ID}.jwk", "trust": "trust.json"},
        "mqtt": machine_mqtt,
        "can": {"interface": "headframe_local", "channel": str(run / "can")},
        "relay": {"port": str(plan.relay_port)},
        "range_finder": {"range_m": SCANNER.range_m},
        "locator": {"fitted": True},
        "cameras": [
            {
                "id": number,
                "name": camera.name,
                "faces": camera.faces,
                "source": f"sim:{plan.buffer(number)}",
                "width": camera.width_px,
                "height": camera.height_px,
                "fps": camera.fps,
                "bit_rate_bps": camera.bit_rate_bps,
            }
            for number, camera in enumerate(CAMERAS[: plan.cameras])
        ],
        "sound": {"source": SOUND},
        "media": {"ice_addresses": [HOST]},
        "control_peer": {"ice_addresses": [HOST]},
        "recorder": {"dir": str(plan.log_folder), "quota_mb": LOG_QUOTA_MB},
    }
    console: dict[str, Settings | Sequence[Settings]] = {
        "console": {
            "operator": OPERATORS[0],
            "site": SITE_ID,
            "vehicle": VEHICLE_ID,
            "port": plan.port,
            "token_file": str(plan.address_file),
            "simulated": True,
            "cameras": list(range(plan.cameras)),
            "sound": True,
        }
        | {
            f"{camera.name}_camera": number
            for number, camera in enumerate(CAMERAS[: plan.cameras])
            if number
        },
        "mqtt": mqtt,
        "keys": {"device": f"{OPERATORS[0]}.jwk", "trust": "trust.json"},
        "control_peer": {"ice_addresses": [HOST]},
        "recorder": {"dir": str(plan.cockpit_log_folder), "quota_mb": LOG_QUOTA_MB},
    }
    if plan.desk is not None:
        console["desk"] = {"file": str(plan.desk)}
    create_record(run / "guardian.record", FIRST)
    _write_private(plan.agent_config, toml_text(agent))
    _write_private(plan.console_config, toml_text(console))


def _module(name: str, *arguments: str) -> tuple[str, ...]:
    return (sys.executable, "-m", name, *arguments)


def stages(plan: Plan) -> tuple[tuple[ChildSpec, ...], ...]:
    """The processes in the order of their start; those of one stage start together."""
    truth = str(plan.run / "truth")
    world = ("--site", str(plan.site), "--machine", str(plan.machine), "--truth", truth)
    return (
        (
            *link_specs(plan),
            ChildSpec(
                "broker", _module("vehicle_agent.shell.broker", "--port", f"{plan.mqtt_port}")
            ),
            ChildSpec(
                "machine",
                _module(
                    "sim.machine_process",
                    *world,
                    *("--can", str(plan.run / "can"), "--wires", str(plan.run / "wires")),
                ),
            ),
            ChildSpec(
                "sensors",
                _module("sim.sensor_process", *world, "--guardian", str(plan.run / "agent")),
                if_lost=SENSORS_LOST,
            ),
            ChildSpec(
                "relay",
                _module(
                    "sim.relay_process",
                    *("--link", str(plan.relay_port), "--wires", str(plan.run / "wires")),
                ),
            ),
            *(camera_spec(plan, number, world) for number in range(plan.cameras)),
        ),
        (
            ChildSpec(
                "agent", _module("vehicle_agent.shell.agent", "--config", f"{plan.agent_config}")
            ),
            ChildSpec(
                "console",
                _module("operator_console.shell.web", "--config", f"{plan.console_config}"),
                if_lost=CONSOLE_LOST,
            ),
        ),
    )


def camera_spec(plan: Plan, number: int, world: Sequence[str]) -> ChildSpec:
    """One camera's process."""
    camera = CAMERAS[number]
    command = _module(
        "sim.camera_process",
        *world,
        *("--buffer", str(plan.buffer(number)), "--camera", camera.name, "--lamps"),
        *("--width", f"{camera.width_px}", "--height", f"{camera.height_px}"),
        *("--fps", f"{camera.fps}"),
    )
    name = "camera" if number == 0 else f"camera-{camera.name}"
    return ChildSpec(name, command, ready_within_s=60.0)


def link_specs(plan: Plan) -> tuple[ChildSpec, ...]:
    """The link between cockpit and machine, if there is one."""
    if plan.link is None:
        return ()
    command = _module(
        "sim.network",
        *("crossing", "--link", plan.link, "--seed", f"{plan.seed}", "--keys", str(plan.run)),
        *("--port", f"{plan.link_port}", "--to", f"{plan.mqtt_port}"),
        *("--log", str(plan.run / LINK_LOG)),
        *("--site", str(plan.site), "--truth", str(plan.run / "truth")),
    )
    return (ChildSpec(LINK_CHILD, command),)


def driver_spec(plan: Plan, url: str, seconds: float) -> ChildSpec:
    """The scripted driver's process."""
    return ChildSpec(
        "driver",
        _module(
            "sim.driver",
            *("--url", url, "--site", str(plan.site), "--machine", str(plan.machine)),
            *("--truth", str(plan.run / "truth"), "--mqtt-port", f"{plan.mqtt_port}"),
            *("--site-id", SITE_ID, "--vehicle", VEHICLE_ID),
            *("--seconds", f"{seconds:g}"),
        ),
        ready_within_s=60.0,
    )


def page_url(plan: Plan) -> str:
    """The address of the console's page, as it wrote it when it started."""
    return plan.address_file.read_text(encoding="utf-8").strip()


def _say(text: str) -> None:
    sys.stderr.write(f"headframe: {text}\n")
    sys.stderr.flush()


def _print(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def _open_browser(url: str) -> None:
    """Open the page where there is a desktop; a text browser would take the terminal.

    Python's webbrowser knows text browsers as plain GenericBrowser: they run in the foreground.
    """
    if not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        return
    opened = False
    with contextlib.suppress(webbrowser.Error):
        browser = webbrowser.get()
        opened = type(browser) is not webbrowser.GenericBrowser and browser.open(url)
    if not opened:
        _say("no browser could be opened; open the address by hand")


def _check_files(options: DemoOptions) -> tuple[Path, Path, LinkParameters | None]:
    """Find and read every file before anything starts, so that a mistake costs nothing."""
    machine = find_config("machines", options.machine)
    parts = load_machine(machine)
    site = find_config("sites", options.site or own_site(parts.profile.machine.name))
    place = load_site(site)
    Drift(place, parts.body)
    check_width(place, parts.body)
    name = parts.profile.machine.name
    if place.machines and name not in place.machines:
        _say(f"{place.name} is made for {', '.join(place.machines)}: {name} may not fit everywhere")
    link = None if options.link is None else find_link(options.link)
    if link is not None and link.radio is not None:
        find_coverage(link.radio, place)
    return machine, site, link


def _checked_desk(options: DemoOptions) -> Path | None:
    """Return the desk's file by its whole path; None where the page's keyboard drives."""
    if options.desk is None:
        return None
    if options.scripted:
        raise DemoError("a scripted driver has no hands for --desk")
    load_desk(options.desk, simulated=True)
    return options.desk.resolve()


def run(options: DemoOptions) -> int:
    """Run the demo until it is over.

    Returns:
        0 after a normal end (by Ctrl-C too), 1 when a scripted drive did not come about.

    Raises:
        DemoError, ValueError: it cannot start or go on; one line for a person.
    """
    machine, site, link = _check_files(options)
    for path in (options.log, options.evidence):
        if path is not None and path.exists():
            raise DemoError(f"{path} is there already")
    desk = _checked_desk(options)
    port, mqtt_port, link_port = (free_port(n, "--port") for n in (options.port, 0, 0))
    if link is not None:
        _say(f"between cockpit and machine: {link.name}, {link.title} (seed {options.seed})")
    with run_folder() as folder:
        named = None if options.link is None else _absolute(options.link)
        ports = (port, mqtt_port, named, link_port)
        plan = Plan(folder, machine, site, *ports, options.seed, options.cameras, desk)
        write_keys(folder)
        write_settings(plan)
        children = Children(folder, _say)
        code = 1
        try:
            with children:
                code, figures = _drive(options, plan, children)
                stepped = children.named("machine")
            if figures is not None:
                _tell(options, _timed(figures, stepped))
        except ChildError as error:
            raise DemoError(str(error)) from error
        finally:
            if options.log is not None:
                keep_recording(plan.log_folder, options.log)
            if options.evidence is not None:
                keep_evidence(plan, options.evidence)
            if code or children.lost or link is not None:
                _say(f"logs of this run: {keep_logs(folder)}")
        return code


def keep_recording(folder: Path, target: Path) -> None:
    """Join the segments of a run's recording into one file outside of its folder, and say so."""
    try:
        log = logs_under(folder)[0]
        written = join(log, target)
    except (ValueError, OSError) as error:
        _say(f"no log: {error}")
        return
    for words in log.lost:
        _say(f"log: {words}")
    _say(f"log: {target}, {written.messages} messages, {target.stat().st_size / 1e6:.1f} MB")


def keep_evidence(plan: Plan, target: Path) -> None:
    """Copy what both recorders wrote, signed as it is, out of a run's folder."""
    for name, folder in (("machine", plan.log_folder), ("cockpit", plan.cockpit_log_folder)):
        try:
            session = logs_under(folder)[0].files[0].path.parent
            shutil.copytree(session, target / name)
        except (ValueError, OSError) as error:
            _say(f"no log of the {name}: {error}")
        else:
            _say(f"log of the {name}: {target / name}")


def _absolute(link: str) -> str:
    """Return a link's file by its whole path, a name as it is."""
    return str(Path(link).resolve()) if link.endswith(".toml") else link


Figures = dict[str, Any]


def _drive(options: DemoOptions, plan: Plan, children: Children) -> tuple[int, Figures | None]:
    """Exit code, and the figures of a scripted drive."""
    try:
        for stage in stages(plan):
            for spec in stage:
                children.start(spec)
            children.wait_ready()
        url = page_url(plan)
        if options.scripted:
            return _drive_scripted(options, plan, children, url)
        named = {} if plan.link is None else {"link": plan.link}
        _print(json.dumps({"url": url} | named) if options.as_json else url)
        _say("Ctrl-C ends everything")
        if options.browser:
            _open_browser(url)
        children.wait_end(None, options.seconds)
    except Interrupted:
        _say("ending")
    for line in link_summary(link_figures(children)):
        _say(line)
    return 0, None


def _drive_scripted(
    options: DemoOptions, plan: Plan, children: Children, url: str
) -> tuple[int, Figures]:
    seconds = SCRIPTED_SECONDS if options.seconds is None else options.seconds
    driver = children.start(driver_spec(plan, url, seconds))
    _say(f"the page, to watch: {url}")
    interrupted = False
    began = accounts()
    try:
        children.wait_ready()
        _say(f"driving for {seconds:g} s")
        began = accounts()
        children.wait_end(driver)
    except Interrupted:
        interrupted = True
        _say("interrupted: bringing the machine to a stand; once more ends everything at once")
    load = _load(began, children)
    code = children.finish(driver, DRIVER_GRACE_S)
    result = next((line for line in reversed(driver.lines) if line.startswith("{")), None)
    if result is None and interrupted:
        result, code = json.dumps({"interrupted": True}), 0
    if result is None:
        raise DemoError(f"driver ended with code {code} and no result{last_words(driver)}")
    figures, link = json.loads(result) | load, link_figures(children)
    if link is not None:
        figures["link"] = link
    return 0 if code == 0 else 1, figures


def _load(began: Accounts, children: Children) -> Figures:
    """What each core and each process was busy since."""
    now = accounts()
    processes = process_shares(began, now, family(now, children.running))
    return {"busy_cores": core_shares(began, now), "cores_taken": processes}


def _timed(figures: Figures, machine: Child | None) -> Figures:
    """``figures`` with how late the machine's steps were, as it says when it has ended."""
    lines = [] if machine is None else machine.lines
    told = next((line for line in reversed(lines) if line.startswith("{")), None)
    return figures if told is None else figures | {"real_time": json.loads(told)}


def _tell(options: DemoOptions, figures: Figures) -> None:
    """Print the result of a scripted drive."""
    if options.as_json:
        _print(json.dumps(figures))
        return
    shown = {name: value for name, value in figures.items() if name != "link"}
    _print("\n".join((summary(shown), *link_summary(figures.get("link")))))


def link_figures(children: Children) -> dict[str, Any] | None:
    """End the link, and return what it did; None where there is none."""
    link = children.named(LINK_CHILD)
    if link is None:
        return None
    children.finish(link, LINK_GRACE_S)
    told = next((line for line in reversed(link.lines) if line.startswith("{")), None)
    if told is None:
        return None
    figures: dict[str, Any] = json.loads(told)
    return figures


def link_summary(figures: Mapping[str, Any] | None) -> Iterator[str]:
    """What the link did, as lines for a person."""
    if figures is None:
        return
    for way, words in (("up", "from the machine"), ("down", "to the machine")):
        for kind, name in (("mqtt", "MQTT"), ("webrtc", "WebRTC")):
            given = figures[way][kind]
            lost = given["packets"] - given["carried"] - given["repeated"]
            delay = {name: f"{ms:.0f}" for name, ms in given["delay_ms"].items() if ms is not None}
            late = "; delay {p50} ms, p99 {p99}, most {max}".format(**delay) if delay else ""
            yield (
                f"link {figures['name']} {words}, {name}: {given['packets']} packets, "
                f"{lost} lost, {given['repeated']} sent again{late}"
            )
    if figures["dead"]:
        yield f"link {figures['name']}: dead at the end"


def summary(result: Mapping[str, object]) -> str:
    """The scripted drive's result as lines for a person."""

    def figure(value: object) -> str:
        if isinstance(value, Mapping):
            return "  ".join(f"{name} {item}" for name, item in value.items())
        return str(value)

    return "\n".join(f"{name:<20} {figure(value)}" for name, value in result.items())
