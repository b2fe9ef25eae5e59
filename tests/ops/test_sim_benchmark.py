"""The simulator's benchmark: every part gives its object, and a target that is missed fails."""

from __future__ import annotations

import json

import pytest

from benchmarks import sim


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sim, "QUICK", (2, 0.2))


def test_every_part_that_steps__gives_its_samples_with_the_step_cost(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sim, "PLANT_TARGET", 0.001)
    stepping = [f"--part={name}" for name in ("plant", "drift", "machine")]
    assert sim.main(["--quick", "--json", *stepping]) == 0
    said = json.loads(capsys.readouterr().out)
    names = [part["name"] for part in said["parts"]]
    assert names[:2] == ["plant electric_tractor", "plant electric_tractor_trailer"]
    assert names[-2:] == ["drift ug_truck_60t", "machine ug_truck_60t"]
    assert said["held"] is True
    assert all(part["n"] == 2 and part["ours"]["p50"] > 0.0 for part in said["parts"])
    assert "us a step of 10 ms" in said["parts"][0]["notes"]


def test_target_that_is_missed__is_said_and_fails(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sim, "PLANT_TARGET", 1e9)
    assert sim.main(["--quick", "--json", "--part", "plant"]) == 1
    assert json.loads(capsys.readouterr().out)["held"] is False


def test_one_part_for_a_person__is_lines(capsys: pytest.CaptureFixture[str]) -> None:
    assert sim.main(["--quick", "--part", "machine"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "machine ug_truck_60t [x real time], n = 2"


def test_part_that_is_none__is_wrong_usage() -> None:
    with pytest.raises(SystemExit) as caught:
        sim.main(["--part", "wings"])
    assert caught.value.code == 2
