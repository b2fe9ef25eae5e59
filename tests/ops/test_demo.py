"""What the demo settles before its first process starts, and what it says when it cannot."""

from __future__ import annotations

import contextlib
import errno
import json
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import tomllib
import webbrowser
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from operator_console.shell.config import load_settings
from protocol.messages import Role, load_private_key, load_trust
from sim import demo
from sim.children import ChildSpec
from sim.demo import (
    DemoError,
    DemoOptions,
    Plan,
    find_config,
    toml_text,
    write_keys,
    write_settings,
)
from sim.sensors.lookout import SCANNER
from vehicle_agent.shell.config import load_agent_config

ROOT = Path(__file__).parents[2]
demo_stages = demo.stages
STAYS = "import signal; print('ready', flush=True); signal.pause()"


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    return Plan(
        tmp_path,
        find_config("machines", "ug_truck_60t"),
        find_config("sites", "mine_drift"),
        8700,
        18830,
    )


def test_agent_settings__load_in_the_agent(plan: Plan) -> None:
    write_keys(plan.run)
    write_settings(plan)
    settings = load_agent_config(plan.agent_config)
    assert settings.vehicle.simulated
    assert settings.mqtt.port == plan.mqtt_port
    assert settings.range_finder_m == SCANNER.range_m
    assert settings.cameras[0].source == f"sim:{plan.run}/camera0"
    assert load_private_key(settings.keys.device.read_text(encoding="utf-8"))


def test_demo_with_four_cameras__each_is_drawn_sent_and_shown_in_its_place(plan: Plan) -> None:
    four = replace(plan, cameras=4)
    write_keys(four.run)
    write_settings(four)
    agent, console = load_agent_config(four.agent_config), load_settings(four.console_config)
    specs = [spec for spec in demo.stages(four)[0] if spec.name.startswith("camera")]
    drawn = [spec.command[spec.command.index("--camera") + 1] for spec in specs]
    assert drawn == [camera.name for camera in agent.cameras] == ["front", "rear", "left", "right"]
    assert [camera.faces for camera in agent.cameras] == ["front", "rear", "side", "side"]
    seat = console.console
    assert seat.cameras == (0, 1, 2, 3)
    assert (seat.rear_camera, seat.left_camera, seat.right_camera) == (1, 2, 3)


def test_demo__records_in_the_cockpit_too(plan: Plan) -> None:
    write_settings(plan)

    recorder = load_settings(plan.console_config).recorder
    assert recorder is not None
    assert recorder.dir == plan.cockpit_log_folder


def test_evidence_kept__both_logs_are_copied_as_they_were_written(
    plan: Plan, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    session = plan.cockpit_log_folder / "20260101T000000Z-console-1"
    session.mkdir(parents=True)
    (session / "00001.mcap").write_bytes(b"signed")

    demo.keep_evidence(plan, tmp_path / "kept")

    assert (tmp_path / "kept" / "cockpit" / "00001.mcap").read_bytes() == b"signed"
    assert "no log of the machine" in capsys.readouterr().err


def test_desk_given__the_console_drives_by_it(plan: Plan, tmp_path: Path) -> None:
    desk = tmp_path / "desk.toml"
    write_settings(replace(plan, desk=desk))

    settings = load_settings(plan.console_config).desk
    assert settings is not None
    assert settings.file == desk


def test_desk_that_is_not_there__is_said_before_anything_starts() -> None:
    with pytest.raises(ValueError, match=r"none\.toml: .*--calibrate"):
        demo.run(DemoOptions(desk=Path("none.toml"), port=0, browser=False))


def test_desk_for_a_scripted_driver__is_refused() -> None:
    with pytest.raises(DemoError, match="scripted driver has no hands"):
        demo.run(DemoOptions(desk=Path("none.toml"), scripted=True, port=0, browser=False))


def test_keys__are_private_files_and_trusted_in_their_roles(plan: Plan) -> None:
    write_keys(plan.run)
    trust = load_trust((plan.run / "trust.json").read_text(encoding="utf-8"))
    assert {name: entry.role for name, entry in trust.items()} == {
        "truck-1": Role.VEHICLE,
        "console-1": Role.DRIVER,
        "console-2": Role.DRIVER,
    }
    assert all(path.stat().st_mode & 0o077 == 0 for path in plan.run.glob("*.jwk"))


def test_toml_text__reads_back_as_it_was() -> None:
    tables: dict[str, Any] = {
        "a": {"text": 'q"\\é', "yes": True, "n": 3},
        "b": [{"x": 1.5}, {"list": ["u"]}],
    }
    assert tomllib.loads(toml_text(tables)) == tables


def test_every_process__is_a_module_that_is_there(plan: Plan) -> None:
    modules = [
        spec.command[2]
        for stage in (*demo.stages(plan), (demo.driver_spec(plan, "http://x", 1.0),))
        for spec in stage
    ]
    missing = [name for name in modules if not (ROOT / f"{name.replace('.', '/')}.py").is_file()]
    assert missing == []


def test_unknown_machine__error_names_the_known_ones() -> None:
    with pytest.raises(DemoError, match=r"no machine 'submarine'; there are: .*ug_truck_60t"):
        find_config("machines", "submarine")


def test_config_name_with_a_path_that_is_not_toml__is_refused() -> None:
    with pytest.raises(DemoError, match="no site"):
        find_config("sites", "../machines/ug_truck_60t")


@pytest.mark.parametrize(
    ("machine", "site"),
    [("roller_13t", "road_section"), ("electric_tractor", "farm_field"), ("a_raft", "mine_drift")],
)
def test_machine_without_a_site__gets_the_one_made_for_it(machine: str, site: str) -> None:
    assert demo.own_site(machine) == site


def test_missing_site__error_names_the_known_ones() -> None:
    with pytest.raises(DemoError, match=r"^no site 'moon'; there are: farm_field, haul_road, .*$"):
        demo.run(DemoOptions(site="moon", port=0, browser=False))


@pytest.mark.parametrize(
    ("site", "old", "new", "said"),
    [
        (
            "road_section",
            "friction =",
            "mud =",
            r"own\.toml: defaults\.mud: there is no such setting",
        ),
        ("road_section", 'kind = "cone"', 'kind = "cat"', r"own\.toml: obstacles\.0\.kind: "),
        ("mine_drift", "width_m = 6.5", "width_m = 3.0", "does not fit at the start"),
    ],
    ids=["wrong_key", "wrong_thing", "too_narrow"],
)
def test_site_that_cannot_be_driven_in__is_one_line_before_anything_starts(
    site: str, old: str, new: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(demo, "run_folder", lambda: pytest.fail("half-started"))
    text = find_config("sites", site).read_text(encoding="utf-8")
    own = tmp_path / "own.toml"
    own.write_text(text.replace(old, new, 2), encoding="utf-8")
    with pytest.raises(ValueError, match=said) as caught:
        demo.run(DemoOptions(site=str(own), port=0, browser=False))
    assert "\n" not in str(caught.value)


def test_machine_too_wide_for_a_drift__is_one_line_before_anything_starts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(demo, "run_folder", lambda: pytest.fail("half-started"))
    with pytest.raises(ValueError, match=r"^mine_drift: the machine is 5\.4 m wide and the way"):
        demo.run(DemoOptions(machine="rigid_truck_55t", site="mine_drift", port=0, browser=False))


def _far_enough() -> None:
    raise DemoError("far enough")


def test_machine_in_another_machines_site__is_told(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(demo, "run_folder", _far_enough)
    with pytest.raises(DemoError, match="far enough"):
        demo.run(DemoOptions(machine="roller_13t", site="mine_drift", port=0, browser=False))
    said = "mine_drift is made for ug_truck_60t: roller_13t may not fit everywhere"
    assert said in capsys.readouterr().err


def test_own_machine_file__is_taken(tmp_path: Path) -> None:
    own = tmp_path / "mine.toml"
    own.touch()
    assert find_config("machines", str(own)) == own


def test_port_in_use__error_names_port_and_remedy_before_anything_starts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(demo, "run_folder", lambda: pytest.fail("half-started"))
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(DemoError, match=rf"port {port} .* in use; choose another with --port"):
            demo.run(DemoOptions(port=port, browser=False))


@pytest.mark.parametrize(
    ("number", "why"), [(errno.EADDRINUSE, "in use"), (errno.EACCES, "not to be had")]
)
def test_port_refused__error_says_why(
    number: int, why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def bind(*_: object) -> None:
        raise OSError(number, "refused")

    monkeypatch.setattr(socket, "socket", lambda: _Socket(bind))
    with pytest.raises(DemoError, match=rf"port 80 on 127\.0\.0\.1 is {why}"):
        demo.free_port(80, "--port")


class _Socket(contextlib.nullcontext[Any]):
    """A socket that cannot be bound."""

    def __init__(self, bind: Callable[..., None]) -> None:
        super().__init__(self)
        self.bind = bind

    def setsockopt(self, *_: object) -> None:
        """Nothing to set."""


def test_machine_file_that_is_not_text__error_names_it(tmp_path: Path) -> None:
    broken = tmp_path / "broken.toml"
    broken.write_bytes(b"\xff\xfe")
    with pytest.raises(ValueError, match=r"broken\.toml: not UTF-8"):
        demo.run(DemoOptions(machine=str(broken), port=0, browser=False))


def test_machine_file_whose_plant_is_broken__error_comes_before_anything_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(demo, "run_folder", lambda: pytest.fail("half-started"))
    broken = tmp_path / "broken.toml"
    text = find_config("machines", "ug_truck_60t").read_text(encoding="utf-8")
    broken.write_text(text.replace("empty_kg = ", "empty_kg = -"), encoding="utf-8")
    with pytest.raises(ValueError, match=r"broken\.toml: plant: empty_kg"):
        demo.run(DemoOptions(machine=str(broken), port=0, browser=False))


class _Page:
    """A graphical browser."""

    def __init__(self, opens: bool) -> None:
        self.opens = opens

    def open(self, _url: str) -> bool:
        return self.opens


@pytest.mark.parametrize(
    ("browser", "told"),
    [
        (_Page(opens=True), False),
        (_Page(opens=False), True),
        (webbrowser.GenericBrowser("w3m"), True),
    ],
)
def test_browser__is_asked_and_told_of_when_it_does_not_open(
    browser: Any, told: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DISPLAY", ":0")
    monkeypatch.setattr(webbrowser, "get", lambda: browser)
    monkeypatch.setattr(subprocess, "Popen", lambda *_: pytest.fail("a terminal browser ran"))
    demo._open_browser("http://x")
    assert ("open the address by hand" in capsys.readouterr().err) is told


def test_broken_machine_file__error_names_file_key_and_reason(tmp_path: Path) -> None:
    broken = tmp_path / "broken.toml"
    text = find_config("machines", "ug_truck_60t").read_text(encoding="utf-8")
    broken.write_text(text.replace("[limits]", "[limits]\nwings = 2"), encoding="utf-8")
    with pytest.raises(ValueError, match=r"broken\.toml: limits\.wings"):
        demo.run(DemoOptions(machine=str(broken), port=0, browser=False))


@pytest.fixture
def stubbed(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Two processes that only stay; the page's token as the console would write it."""
    temporary = Path(tempfile.mkdtemp(prefix="t-"))
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))

    def stages(plan: Plan) -> tuple[tuple[ChildSpec, ...], ...]:
        plan.address_file.write_text("http://127.0.0.1:1/?token=T0KEN\n", encoding="ascii")
        command = (sys.executable, "-c", STAYS)
        return ((ChildSpec("one", command),), (ChildSpec("two", command),))

    monkeypatch.setattr(demo, "stages", stages)
    yield temporary
    shutil.rmtree(temporary)


def test_human_drive__prints_one_address_and_leaves_nothing(
    stubbed: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert demo.run(DemoOptions(port=0, browser=False, seconds=0.1)) == 0
    printed = capfd.readouterr().out.splitlines()
    assert len(printed) == 1
    assert printed[0].startswith("http://127.0.0.1:")
    assert printed[0].endswith("/?token=T0KEN")
    assert list(stubbed.iterdir()) == []


def test_human_drive_as_json__prints_one_object(
    stubbed: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    demo.run(DemoOptions(port=0, browser=False, seconds=0.1, as_json=True))
    assert set(json.loads(capfd.readouterr().out)) == {"url"}


def test_driver_result__is_printed_and_its_code_returned(
    stubbed: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    code = "print('ready'); print('{\"stops\": 0}'); raise SystemExit(1)"
    monkeypatch.setattr(
        demo, "driver_spec", lambda *_: ChildSpec("driver", (sys.executable, "-c", code))
    )
    assert demo.run(DemoOptions(port=0, scripted=True, as_json=True)) == 1
    figures = json.loads(capfd.readouterr().out)
    assert figures["stops"] == 0
    assert set(figures) == {"stops", "busy_cores", "cores_taken"}
    assert set(figures["cores_taken"]) == {"one", "two", "driver"}
    assert all(0.0 <= share <= 1.0 for share in figures["busy_cores"].values())


def test_machine_that_says_how_late_it_was__stands_in_the_result(
    stubbed: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def stages(plan: Plan) -> tuple[tuple[ChildSpec, ...], ...]:
        plan.address_file.write_text("http://x\n", encoding="ascii")
        return ((ChildSpec("machine", (sys.executable, "-c", TELLS_AT_ITS_END)),),)

    monkeypatch.setattr(demo, "stages", stages)
    drives = (sys.executable, "-c", "print('ready'); print('{\"stops\": 0}')")
    monkeypatch.setattr(demo, "driver_spec", lambda *_: ChildSpec("driver", drives))
    assert demo.run(DemoOptions(port=0, scripted=True)) == 0
    lines = capfd.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines][:4] == [
        "stops", "busy_cores", "cores_taken", "real_time",
    ]  # fmt: skip


def test_driver_without_result__error_carries_its_last_words(
    stubbed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = "import sys; print('ready'); sys.exit('headframe: never ACTIVE')"
    monkeypatch.setattr(
        demo, "driver_spec", lambda *_: ChildSpec("driver", (sys.executable, "-c", code))
    )
    with pytest.raises(DemoError, match=r"driver ended with code 1.*: never ACTIVE"):
        demo.run(DemoOptions(port=0, scripted=True))


def test_child_that_fails__its_log_is_kept_and_said_where(
    stubbed: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    code = "import sys; sys.exit('headframe: no such bus')"
    command = (sys.executable, "-c", code)
    monkeypatch.setattr(demo, "stages", lambda _plan: ((ChildSpec("bus", command),),))
    with pytest.raises(DemoError, match="no such bus"):
        demo.run(DemoOptions(port=0, browser=False))
    (kept,) = stubbed.iterdir()
    assert f"logs of this run: {kept}" in capsys.readouterr().err
    assert [(log.name, log.read_text(encoding="utf-8")) for log in kept.iterdir()] == [
        ("bus.log", "headframe: no such bus\n")
    ]


def test_ctrl_c__ends_the_demo_as_asked() -> None:
    code = (
        "import sys\n"
        "from sim import demo\n"
        "from sim.children import ChildSpec\n"
        "def stages(plan):\n"
        "    plan.address_file.write_text('http://x')\n"
        f"    return ((ChildSpec('one', (sys.executable, '-c', {STAYS!r})),),)\n"
        "demo.stages = stages\n"
        "sys.exit(demo.run(demo.DemoOptions(port=0, browser=False)))\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stderr is not None
    with process.stdout, process.stderr:
        assert process.stdout.readline() == "http://x\n"
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 0
        assert "Traceback" not in process.stderr.read()


OBEYS = (
    "import signal\n"
    "signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})\n"
    "print('ready', flush=True)\n"
    "signal.sigwait({signal.SIGTERM})\n"
    'print(\'{"interrupted": true, "stops": 0}\', flush=True)\n'
)
STILL_LOADING = "import signal\nsignal.pause()\n"


def _interrupt_scripted(driver: str, after: str) -> tuple[int, str, str]:
    """A scripted demo with such a driver, interrupted once it has said ``after``."""
    code = (
        "import sys\n"
        "from sim import demo\n"
        "from sim.children import ChildSpec\n"
        "def stages(plan):\n"
        "    plan.address_file.write_text('http://x')\n"
        f"    return ((ChildSpec('one', (sys.executable, '-c', {STAYS!r})),),)\n"
        "demo.stages = stages\n"
        f"command = (sys.executable, '-c', {driver!r})\n"
        "demo.driver_spec = lambda *_: ChildSpec('driver', command)\n"
        "sys.exit(demo.run(demo.DemoOptions(port=0, scripted=True, as_json=True)))\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stderr is not None
    with process.stdout, process.stderr:
        heard = next(line for line in process.stderr if after in line)
        process.send_signal(signal.SIGINT)
        errors = heard + process.stderr.read()
        return process.wait(20), process.stdout.read(), errors


def test_ctrl_c_in_a_scripted_drive__figures_say_so_and_exit_0() -> None:
    code, out, errors = _interrupt_scripted(OBEYS, "driving for")
    figures = json.loads(out)
    assert (code, figures["interrupted"], figures["stops"]) == (0, True, 0)
    assert "Traceback" not in errors


def test_ctrl_c_before_the_driver_is_ready__is_no_error() -> None:
    code, out, errors = _interrupt_scripted(STILL_LOADING, "the page, to watch")
    assert (code, json.loads(out)["interrupted"]) == (0, True)
    assert "Traceback" not in errors


def test_unknown_link__error_names_the_known_ones_before_anything_starts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(demo, "run_folder", lambda: pytest.fail("half-started"))
    with pytest.raises(ValueError, match=r"no link 'rope'; there are: .*dead.*lte-loaded"):
        demo.run(DemoOptions(link="rope", port=0, browser=False))


def test_link_between__only_the_machine_reaches_the_broker_over_it(plan: Plan) -> None:
    linked = replace(plan, link="lte-loaded", link_port=18831)
    write_keys(linked.run)
    write_settings(linked)
    console = tomllib.loads(linked.console_config.read_text(encoding="utf-8"))
    assert load_agent_config(linked.agent_config).mqtt.port == 18831
    assert console["mqtt"]["port"] == linked.mqtt_port
    assert [spec.name for spec in demo.stages(linked)[0]][:2] == ["link", "broker"]


LINK_FIGURES = {
    "name": "lte-loaded",
    "dead": False,
    **{
        way: {
            kind: {
                "packets": 10,
                "carried": 7,
                "repeated": 1,
                "delay_ms": {"p50": 35.0, "p95": 40.0, "p99": 80.0, "max": 90.2},
            }
            for kind in ("mqtt", "webrtc")
        }
        for way in ("up", "down")
    },
}
TELLS_AT_ITS_END = (
    "import signal\n"
    "signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})\n"
    "print('ready', flush=True)\n"
    "signal.sigwait({signal.SIGTERM})\n"
    f"print('{json.dumps(LINK_FIGURES)}', flush=True)\n"
)


def test_link_figures__stand_in_the_result_and_its_decisions_are_kept(
    stubbed: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def linked(plan: Plan) -> tuple[tuple[ChildSpec, ...], ...]:
        plan.address_file.write_text("http://x\n", encoding="ascii")
        (plan.run / demo.LINK_LOG).write_text("decision\n", encoding="ascii")
        return ((ChildSpec("link", (sys.executable, "-c", TELLS_AT_ITS_END)),),)

    monkeypatch.setattr(demo, "stages", linked)
    drives = (sys.executable, "-c", "print('ready'); print('{\"stops\": 0}')")
    monkeypatch.setattr(demo, "driver_spec", lambda *_: ChildSpec("driver", drives))
    options = DemoOptions(link="lte-loaded", port=0, scripted=True, as_json=True)
    assert demo.run(options) == 0
    printed = capfd.readouterr()
    figures = json.loads(printed.out)
    assert (figures["stops"], figures["link"]) == (0, LINK_FIGURES)
    assert "lte-loaded, LTE, loaded cell (seed 1)" in printed.err
    (kept,) = stubbed.iterdir()
    assert (kept / demo.LINK_LOG).read_text(encoding="ascii") == "decision\n"


def test_link_figures_for_a_person__say_what_was_lost_and_how_late_the_rest_was() -> None:
    lines = list(demo.link_summary(LINK_FIGURES))
    assert lines[0] == (
        "link lte-loaded from the machine, MQTT: 10 packets, 2 lost, 1 sent again; "
        "delay 35 ms, p99 80, most 90"
    )
    assert len(lines) == 4


def test_console_that_ends_by_itself__terminal_says_how_to_go_on(
    stubbed: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], plan: Plan
) -> None:
    told = {spec.name: spec.if_lost for stage in demo_stages(plan) for spec in stage}

    def stages(plan: Plan) -> tuple[tuple[ChildSpec, ...], ...]:
        plan.address_file.write_text("http://x\n", encoding="ascii")
        ends = (sys.executable, "-c", "print('ready', flush=True); raise SystemExit(3)")
        return ((ChildSpec("console", ends, if_lost=told["console"]),),)

    monkeypatch.setattr(demo, "stages", stages)
    assert demo.run(DemoOptions(port=0, browser=False, seconds=1.0)) == 0
    assert "console ended with code 3; its page is gone" in capfd.readouterr().err
    assert "to drive on: Ctrl-C, then start the demo anew" in told["console"]
