"""A sweep keeps seeds and verdicts, repeats itself, and counts what it must."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

import headframe
from sim.scenario.file import Scenario, load_scenario
from sim.sweep import files as sweep_files
from sim.sweep.plot import plot
from sim.sweep.runs import (
    Job,
    Verdict,
    as_text,
    do,
    grade_class,
    headline,
    in_this_process,
    jobs_of,
    summary,
    sweep,
)
from sim.sweep.table import as_markdown

ROOT = Path(__file__).parents[2]
SHORT: dict[str, Any] = {
    "title": "A few metres",
    "seconds": 0.5,
    "never": ["stop"],
    "vary": {"link": ["fibre-5g", "transpacific"], "load": [0.0, 1.0]},
}


def jobs(runs: int, seed: int = 1, *, keep_log: bool = False, **changes: Any) -> list[Job]:
    return jobs_of(Scenario("short", {**SHORT, **changes}, "short"), runs, seed, keep_log=keep_log)


def ignore(_: Verdict) -> None:
    """Nobody watches the progress."""


def stop(distance_m: float, speed_mps: float = 3.0, **changes: Any) -> dict[str, Any]:
    values = {
        "speed_mps": speed_mps,
        "grade": 0.0,
        "stop_distance_m": distance_m,
        "brake_distance_m": distance_m - 1.0,
        "false": False,
    }
    return {**values, **changes}


def verdict(seed: int, link: str, *stops: dict[str, Any], **changes: Any) -> Verdict:
    factors = {"machine": "truck", "link": link, "load": 0.5}
    values: dict[str, Any] = {"passed": True, "starts": 1, **changes}
    return Verdict(seed, factors=factors, stops=stops, **values)


def test_same_seeds_twice__same_verdicts() -> None:
    first, second = (sweep(jobs(2), in_this_process, ignore) for _ in range(2))
    assert first == second
    assert [found.seed for found in first] == [1, 2]
    assert all(found.passed for found in first)


def test_job__travels_as_plain_values_and_repeats_the_seed_of_one_run() -> None:
    job = jobs(3)[2]
    copy = Job(**json.loads(json.dumps({name: getattr(job, name) for name in Job.__slots__})))
    assert do(copy).digest == do(jobs(1, seed=3)[0]).digest


def test_verdicts_that_come_in_any_order__are_kept_by_seed() -> None:
    def backwards(given: Sequence[Job]) -> list[Verdict]:
        return [Verdict(job.seed, passed=True) for job in reversed(given)]

    seen: list[int] = []
    found = sweep(jobs(3), backwards, lambda one: seen.append(one.seed))
    assert [one.seed for one in found] == [1, 2, 3]
    assert seen == [3, 2, 1]


def test_run_that_fails__keeps_what_failed_and_its_whole_log() -> None:
    found = do(jobs(1, keep_log=True, causes=["L102"])[0])
    assert found.failed == ("causes: wanted L102, seen no stop",)
    assert {"event", "truth"} <= {key for line in found.log for key in json.loads(line)}


def test_run_that_passes__keeps_no_log() -> None:
    assert do(jobs(1, keep_log=True)[0]).log == ()


def test_run_that_cannot_be_made__is_a_verdict_with_its_reason() -> None:
    found = do(jobs(1, start_station_m=1185.0)[0])
    assert found.passed is False
    assert found.error is not None
    assert "does not fit at the start" in found.error


def test_summary__distances_and_false_stops_by_link() -> None:
    false = stop(9.0, false=True)
    found = summary(
        [
            verdict(1, "a", stop(4.0)),
            verdict(2, "a", false, passed=False, failed=("stops: 1",), false_stops=1),
            verdict(3, "b", stop(2.0), stop(0.1, speed_mps=0.2)),
            Verdict(4, passed=False, error="ValueError: odd"),
        ],
        wall_s=2.0,
    )
    assert (found["runs"], found["passed"], found["false_stops"]) == (4, 2, 1)
    assert found["failed_seeds"] == [2, 4]
    assert found["errors"] == {4: "ValueError: odd"}
    assert found["failures"] == {"stops": 1}
    rows = {row["link"]: row for row in found["by_link"]}
    assert (rows["a"]["stops"], rows["a"]["max"], rows["a"]["runs_with_false_stop"]) == (2, 9.0, 1)
    assert (rows["b"]["stops"], rows["b"]["max"]) == (1, 2.0)


@pytest.mark.parametrize(
    ("stops", "told"),
    [(1, ["p50", "max"]), (19, ["p50", "max"]), (20, ["p50", "p95", "max"]),
     (99, ["p50", "p95", "max"]), (100, ["p50", "p95", "p99", "max"]),
     (999, ["p50", "p95", "p99", "max"]), (1000, ["p50", "p95", "p99", "p99.9", "max"])],
)  # fmt: skip
def test_percentile_of_too_few_stops__is_none(stops: int, told: list[str]) -> None:
    found = summary([verdict(1, "a", *[stop(1.0 + n / 1000) for n in range(stops)])], 1.0)
    (row,) = found["by_link"]
    names = ("p50", "p95", "p99", "p99.9", "max")
    assert [name for name in names if row[name] is not None] == told


def test_thousand_stops_in_a_cell__have_a_p99_9() -> None:
    found = [verdict(1, "a", *[stop(1.0 + number / 1000) for number in range(1000)])]
    line = as_markdown("Stops", summary(found, 1.0)["table"]).splitlines()[-1]
    assert line == "| truck | 0.5 | level | 2-4 | p99.9 2.00, n 1000 |"


def test_table_as_text__one_column_for_each_link_and_rows_from_down_to_up() -> None:
    found = [
        verdict(1, "b", stop(4.0), stop(5.0)),
        verdict(2, "a", stop(7.0, grade=0.14), stop(6.0, grade=-0.14, speed_mps=11.0)),
        verdict(3, "a", stop(8.0, grade=-0.14)),
    ]
    lines = as_markdown("Stops", summary(found, 1.0)["table"]).splitlines()
    assert lines[0] == "# Stops"
    assert "5 stops in 4 cells, 1 to 2 in each." in lines[3]
    assert lines[5:] == [
        "| machine | load | grade | speed, m/s | a | b |",
        "|---|---|---|---|---:|---:|",
        "| truck | 0.5 | down | 2-4 | max 8.00, n 1 | – |",
        "| truck | 0.5 | down | 10-12 | max 6.00, n 1 | – |",
        "| truck | 0.5 | level | 2-4 | – | max 5.00, n 2 |",
        "| truck | 0.5 | up | 2-4 | max 7.00, n 1 | – |",
    ]


@pytest.mark.parametrize(
    ("runs", "false_stops", "words"),
    [(1, 1, "1 run, 0 passed, 1 false stop"), (2, 0, "2 runs, 0 passed, 0 false stops")],
)
def test_headline__one_is_one_and_more_are_more(runs: int, false_stops: int, words: str) -> None:
    assert headline({"runs": runs, "passed": 0, "false_stops": false_stops}) == words


def test_picture__a_bar_for_each_link_with_its_name_under_it() -> None:
    found = [verdict(1, "a-link", stop(4.0), false_stops=1), verdict(2, "b-link", stop(5.0))]
    picture = plot("Stops", found, summary(found, 1.0))
    texts = [each.text for each in ElementTree.fromstring(picture).iter() if each.text]
    assert texts[-4:] == ["1 of 1", "a-link", "0 of 1", "b-link"]


def test_table__is_by_machine_link_load_speed_and_grade() -> None:
    slow, down = stop(1.0, speed_mps=1.5), stop(6.0, grade=-0.14)
    table = summary([verdict(1, "a", slow), verdict(2, "a", down)], 1.0)["table"]
    keys = [(row["link"], row["load"], row["speed_mps"], row["grade"]) for row in table]
    assert keys == [("a", 0.5, "0-2", "level"), ("a", 0.5, "2-4", "down")]


@pytest.mark.parametrize(
    ("grade", "name"), [(-0.1, "down"), (-0.02, "level"), (0.03, "level"), (0.14, "up")]
)
def test_grade_class(grade: float, name: str) -> None:
    assert grade_class(grade) == name


def test_files__verdicts_summary_picture_and_failed_logs(tmp_path: Path) -> None:
    verdicts = [verdict(1, "a", stop(4.0)), verdict(2, "b", stop(5.0), passed=False, log=("{}",))]
    sweep_files.write(tmp_path, "Stops", verdicts, summary(verdicts, 1.0))
    lines = (tmp_path / "verdicts.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["seed"] for line in lines] == [1, 2]
    assert json.loads((tmp_path / "summary.json").read_text(encoding="utf-8"))["runs"] == 2
    assert ElementTree.parse(tmp_path / "sweep.svg").getroot().tag.endswith("svg")
    assert (tmp_path / "table.md").read_text(encoding="utf-8").startswith("# ")
    assert (tmp_path / "failed" / "2.jsonl").read_text(encoding="utf-8") == "{}\n"


def test_picture_of_a_sweep_without_a_stop__is_drawn_all_the_same(tmp_path: Path) -> None:
    verdicts = [verdict(1, "a")]
    sweep_files.write(tmp_path, "Nothing", verdicts, summary(verdicts, 1.0))
    assert ElementTree.parse(tmp_path / "sweep.svg").getroot().tag.endswith("svg")


def test_text__has_a_line_for_each_link() -> None:
    text = as_text(summary([verdict(1, "a", stop(4.0)), verdict(2, "b")], 1.0))
    assert "a                      1       0       1    4.00" in text
    assert "b                      1       0       0       -" in text


def test_command__prints_the_summary_and_exits_1_when_a_run_failed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "short.yaml"
    path.write_text("title: x\nseconds: 0.1\ncauses: [L102]\n", encoding="utf-8")
    monkeypatch.setattr("sim.sweep.cluster.on_dask", lambda _: in_this_process)
    out = tmp_path / "out"

    code = headframe.main(["sim", "sweep", str(path), "--runs", "1", "--out", str(out), "--json"])

    assert code == 1
    assert json.loads(capsys.readouterr().out)["failures"] == {"causes": 1}
    assert (out / "failed" / "1.jsonl").stat().st_size > 1000


def test_folder_that_exists__one_line_and_nothing_is_overwritten(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = headframe.main(["sim", "sweep", "good_link", "--runs", "1", "--out", str(tmp_path)])
    assert code == 1
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.system
def test_sweep_on_a_cluster_of_this_computer__same_digests_as_here(tmp_path: Path) -> None:
    path = tmp_path / "short.yaml"
    path.write_text("title: x\nseconds: 0.1\n", encoding="utf-8")
    out = tmp_path / "out"
    command = [sys.executable, "-m", "headframe", "sim", "sweep", str(path), "--runs", "2"]

    subprocess.run([*command, "--out", str(out)], cwd=ROOT, check=True, capture_output=True)

    lines = (out / "verdicts.jsonl").read_text(encoding="utf-8").splitlines()
    here = sweep(jobs_of(load_scenario(path), 2, 1, keep_log=False), in_this_process, ignore)
    assert [json.loads(line)["digest"] for line in lines] == [found.digest for found in here]
