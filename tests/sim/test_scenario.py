"""Scenario files: what is refused, what varies, how a run is judged and told."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest

import headframe
from recording.reader import open_log
from sim.runner.rolling import Rolled, rolled_share
from sim.runner.run import Run
from sim.runner.watch import Row, Stop
from sim.scenario.file import (
    Limit,
    Quantity,
    Scenario,
    ScenarioError,
    load_scenario,
    scenario_names,
)
from sim.scenario.judge import Check, Outcome, run_scenario
from sim.scenario.plot import plot
from sim.scenario.report import as_junit, as_text

SHORT = """
title: A few metres
seconds: 2.0
expect:
  starts: {equal: 1}
never: [contact, stop]
"""


def written(folder: Path, text: str) -> Path:
    path = folder / "odd.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def outcome(**changes: Any) -> Outcome:
    values: dict[str, Any] = {
        "scenario": "made_up",
        "title": "Made up",
        "seed": 7,
        "drawn": {},
        "checks": (Check("stops", True, "wanted exactly 1, seen 1"),),
        "figures": {Quantity.STOPS: 1},
        "stops": (Stop(4.0, "L102", True, 3.0, -0.1, 90.0, 0.0, 250.0, 1.0, 2.0, 5.0, 4.0),),
        "refusals": {},
        "digest": "ab" * 32,
        "simulated_s": 9.0,
        "rows": (
            Row(0.0, "ACTIVE", 24.0, 0.0, 24.0, 0.0, 0.0, 5.5, "zone", 0.0, 90.0, 60.0),
            Row(4.0, "ACTIVE", 40.0, 0.0, 40.0, 0.1, 3.0, 2.0, "loop", 0.0, 290.0, None),
        ),
        "faults": ((3.9, "cut_link begins"),),
    }
    return Outcome(**{**values, **changes})


@pytest.mark.parametrize("name", scenario_names())
def test_shipped_scenario__every_expectation_holds(name: str) -> None:
    result = run_scenario(load_scenario(Path("configs/scenarios") / f"{name}.yaml"), seed=1)

    assert [check for check in result.checks if not check.held] == []


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (SHORT + "wings: 2\n", "wings: there is no such setting"),
        (
            SHORT + "machine: rigid_truck_55t\n",
            "mine_drift: the machine is 5.4 m wide and the way narrows to 5.6 m at station",
        ),
        (SHORT.replace("seconds", "secnds"), "secnds: there is no such setting"),
        (SHORT.replace("2.0", "-1.0"), "seconds: Input should be greater than 0"),
        (SHORT.replace("2.0", ".nan"), "seconds: Input should be a finite number"),
        (SHORT.replace("2.0", '"2"'), "seconds: Input should be a valid number"),
        (
            SHORT + "site: atlantis\n",
            "no site 'atlantis'; there are: farm_field, haul_road, mine_drift",
        ),
        (SHORT + "machine: submarine\n", "no machine 'submarine'; there are: "),
        (SHORT + "link: string\n", "no link 'string'; there are: "),
        (
            SHORT + "link: {up: {}, down: {loss: 2.0}}\n",
            "link.inline.down.loss: Input should be less than or equal to 1",
        ),
        (SHORT + "start_station_m: 9000.0\n", "start_station_m: 9000 m lies past the site's end"),
        (SHORT + "title: again\n", "key 'title' stands twice, line 7"),
        (SHORT.replace("starts", "luck"), "expect.luck"),
        (SHORT.replace("{equal: 1}", "{}"), "needs min, max or equal"),
        (SHORT.replace("{equal: 1}", "{min: 2, max: 1}"), "min is above max"),
        (SHORT.replace("contact,", "boredom,"), "never.0: "),
        (SHORT + "events: [{do: cut_link}]\n", "needs at_s or at_station_m, and not both"),
        (SHORT + "events: [{at_s: 1.0, do: sing}]\n", "events.0.mishap.do: "),
        (
            SHORT + "events: [{at_s: 1.0, do: change_link, link: string}]\n",
            "no link 'string'; there are: ",
        ),
        (
            SHORT + "events: [{at_s: 1.0, do: delay_link}]\n",
            "events.0.delay_link.delay_ms: is missing",
        ),
        (
            SHORT + "events: [{at_s: 1.0, do: machine_fault, fault: {kind: rust}}]\n",
            "events.0.machine_fault.fault: ",
        ),
        (SHORT + "vary: {link: []}\n", "link has nothing to draw from"),
        (SHORT + "vary: {link: [fibre-5g, string]}\n", "vary.link: no link 'string'"),
        (SHORT + "vary: {seconds: {from: 2.0, to: 1.0}}\n", "from is above to"),
        (SHORT + "vary: {events.0.at_s: [1.0]}\n", "vary.events.0.at_s: "),
        ("- a list\n", "no keys in it"),
        ("title: [\n", "not YAML: "),
    ],
)
def test_scenario_that_does_not_fit__one_line_names_file_key_and_reason(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, reason: str
) -> None:
    path = written(tmp_path, text)

    assert headframe.main(["sim", "run", str(path)]) == 1

    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert err.startswith(f"headframe: {path}: ")
    assert reason in err


def test_scenario_that_is_not_there__one_line_names_the_known_ones(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert headframe.main(["sim", "run", "flight"]) == 1
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert "no scenario 'flight'; there are: across_the_pacific" in err


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("fly",),
        ("run",),
        ("run", "good_link", "--seed", "-1"),
        ("sweep", "good_link"),
        ("sweep", "good_link", "--runs", "0"),
    ],
)
def test_wrong_usage__one_line_and_exit_2(
    capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...]
) -> None:
    assert headframe.main(["sim", *arguments]) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)


def test_list__names_every_scenario_with_its_title(capsys: pytest.CaptureFixture[str]) -> None:
    assert headframe.main(["sim", "list", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)["scenarios"]
    assert list(listed) == scenario_names()
    assert len(listed) >= 8
    assert listed["stop_pressed"] == "The driver presses STOP"


def test_run__prints_one_object_and_writes_log_junit_and_plot(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = written(tmp_path, SHORT)
    files = {name: tmp_path / f"out.{name}" for name in ("log", "junit", "plot")}
    options = [word for name, file in files.items() for word in (f"--{name}", str(file))]

    assert headframe.main(["sim", "run", str(path), "--json", *options]) == 0

    result = json.loads(capsys.readouterr().out)
    assert result["passed"] is True
    assert result["figures"]["starts"] == 1
    log = open_log(files["log"])
    assert {"/wd/in", "/event", "/sim/truth"} <= {message.topic for message in log.messages()}
    assert log.lost == []
    assert ElementTree.parse(files["junit"]).getroot().tag == "testsuites"
    assert ElementTree.parse(files["plot"]).getroot().tag.endswith("svg")


def test_expectation_that_does_not_hold__exit_1_and_the_text_says_what_was_seen(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = written(tmp_path, SHORT + "causes: [L102]\n")

    assert headframe.main(["sim", "run", str(path)]) == 1

    out, err = capsys.readouterr()
    assert "FAIL causes: wanted L102, seen no stop" in out
    assert err == ""


def test_machine_that_never_becomes_active__the_run_fails_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sim.runner.run.ACTIVE_WITHIN_NS", 1_000_000_000)
    text = SHORT.replace("  starts: {equal: 1}\n", "  stops: {equal: 0}\n") + "link: dead\n"
    result = run_scenario(load_scenario(written(tmp_path, text)), seed=1)
    assert [check.name for check in result.checks if not check.held] == ["drive begins"]


def test_vary__same_seed_draws_the_same_and_seeds_differ(tmp_path: Path) -> None:
    text = SHORT + "vary: {driver.speed_mps: {from: 1.0, to: 4.0}, link: [fibre-5g, lte-loaded]}\n"
    scenario = load_scenario(written(tmp_path, text))

    draws = [scenario.draw(seed) for seed in (1, 1, 2, 3, 4, 5)]

    assert draws[0].drawn == draws[1].drawn
    assert len({draw.file.driver.speed_mps for draw in draws}) == 5
    assert {draw.link.name for draw in draws} == {"fibre-5g", "lte-loaded"}
    assert all(1.0 <= (draw.file.driver.speed_mps or 0.0) <= 4.0 for draw in draws)


def test_vary_that_names_no_key__is_refused(tmp_path: Path) -> None:
    text = SHORT + "vary: {driver.wings: [1]}\n"
    with pytest.raises(ScenarioError, match=r"driver\.wings"):
        load_scenario(written(tmp_path, text))


def test_limit__both_ends_count_as_within() -> None:
    limit = Limit(min=1.0, max=2.0)
    assert [limit.holds(value) for value in (0.99, 1.0, 2.0, 2.01)] == [False, True, True, False]


def test_load__is_the_plants_share_of_its_payload() -> None:
    raw = {"title": "x", "seconds": 1.0, "load": 0.25}
    run = Run(Scenario("light", raw, "light.yaml"), 1)
    assert run.machine.simulated.plant.state.payload_share == 0.25


def test_machine_fault__is_the_machines_while_it_lasts() -> None:
    fault = {"kind": "weak", "actuator": "brake", "share": 0.5}
    event = {"at_s": 0.1, "for_s": 0.5, "do": "machine_fault", "fault": fault}
    run = Run(Scenario("weak", {"title": "x", "seconds": 1.0, "events": [event]}, "weak.yaml"), 1)
    broken: list[int] = []
    run.machine.simulated.set_faults = lambda faults: broken.append(len(list(faults)))  # type: ignore[method-assign]
    run.finish()
    assert broken == [1, 0]


ROLLED = Rolled("Lane 1", np.array([[0, 1], [2, 2]], np.int32))


def test_rolled_mats__are_in_text_object_and_plot_by_their_passes() -> None:
    made = outcome(rolled=(ROLLED, Rolled("Lane 2", np.zeros((2, 2), np.int32))))
    assert made.as_dict()["rolled"][0] == {
        "mat": "Lane 1",
        "cell_m": 0.25,
        "share_by_passes": {"1": 0.75, "2": 0.5},
    }
    assert "Lane 1 rolled at least: 75.0 % 1x, 50.0 % 2x" in as_text(made)
    assert "Lane 2 rolled at least: nowhere" in as_text(made)
    site = Scenario("x", {"title": "x", "seconds": 1.0}, "x.yaml").site
    drawn = plot(made, site)
    assert "50.0 % rolled 2x or more" in drawn
    assert drawn.count('fill-opacity="0.90"') == 2


def test_share_of_all_mats__counts_every_cell_and_is_unknown_without_a_mat() -> None:
    assert rolled_share([ROLLED, Rolled("x", np.zeros((2, 2), np.int32))]) == 3 / 8
    assert rolled_share([]) is None


def test_text__names_the_stop_its_cause_and_its_distance() -> None:
    text = as_text(outcome())
    assert "stop at 4.00 s: L102 Commands lost" in text
    assert "brake 250.0 ms after the last command" in text
    assert "5.0 m" not in text.splitlines()[0]


def test_junit__a_check_that_failed_is_a_failure_with_its_text() -> None:
    failed = outcome(checks=(Check("contacts", False, "wanted 0, seen 2"),))
    root = ElementTree.fromstring(as_junit([outcome(), failed], 1.5))
    suites = root.findall("testsuite")
    assert [suite.get("failures") for suite in suites] == ["0", "1"]
    failure = suites[1].find("testcase/failure")
    assert failure is not None
    assert failure.get("message") == "wanted 0, seen 2"


def test_plot__shows_path_speed_cap_and_its_reason_and_the_stop() -> None:
    site = Scenario("x", {"title": "x", "seconds": 1.0}, "x.yaml").site
    words = {
        element.text
        for element in ElementTree.fromstring(plot(outcome(), site)).iter()
        if element.tag.endswith("text")
    }
    assert {"L102", "cap by loop", "speed", "cap", "loop time", "cut_link begins"} <= words
