"""Comparisons: other settings and other revisions over folders of logs."""

from __future__ import annotations

import json
import shutil
from contextlib import nullcontext
from pathlib import Path

import pytest

from headframe import main
from recording.software import ROOT
from sim.replay import compare, revision
from sim.replay.compare_page import compare_page
from sim.replay.decisions import decisions


@pytest.fixture
def other(tmp_path: Path) -> Path:
    """Another revision: there, enable let go has another cause."""
    for name in ("protocol", "vehicle_agent", "sim"):
        ignored = shutil.ignore_patterns("__pycache__", "render", "world", "*.json")
        shutil.copytree(ROOT / name, tmp_path / name, ignore=ignored)
    rows = tmp_path / "vehicle_agent" / "core" / "failsafe.py"
    rows.write_text(rows.read_text(encoding="utf-8").replace('"D101"', '"D103"'), encoding="utf-8")
    return tmp_path


def test_decisions_over_a_log__are_the_same_twice(part: Path) -> None:
    assert decisions(part) == decisions(part)


def test_place_of_a_tick_that_differs__is_found_and_so_are_missing_ticks() -> None:
    old, new = {"digests": "aaaaaaaabbbbbbbb"}, {"digests": "aaaaaaaacccccccceeeeeeee"}

    assert compare.differing_places(old, new) == [1, 2]
    assert compare.differing_places(old, old) == []


def test_shorter_deadline__moves_the_stop_and_exits_1(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "page.html"
    log = ROOT / "tests" / "golden" / "sim_truck_link_cut.mcap"

    code = main(
        [
            *("replay", "compare", str(log), "--set", "signals.command.stop_ms=150"),
            *("--out", str(page), "--json"),
        ]
    )
    table = json.loads(capsys.readouterr().out)

    assert code == 1
    assert table["sum"]["earlier"] == 1
    assert "decisions differ" in page.read_text(encoding="utf-8")


def test_same_deadline__is_the_same_and_exits_0(
    part: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = main(["replay", "compare", str(part), "--set", "signals.command.stop_ms=250"])

    assert code == 0
    assert "the same decisions" in capsys.readouterr().out


def test_other_revision__first_tick_decided_otherwise_is_named_with_both_sides(
    part: Path, other: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compare, "checked_out", lambda _: nullcontext(other))

    table = compare.with_revision(part, "old", "new")
    first = table["logs"][0]["first"]["fields"]

    assert table["same"] is False
    assert first["latched"] == ["D103", "D101"]
    assert "D103" in compare_page(table)


def test_revision_that_there_is_not__is_said() -> None:
    with pytest.raises(ValueError, match="git worktree add"), revision.checked_out("no-such"):
        pass


def test_two_drives__what_stopped_them_and_how_old_things_were_stand_beside_each_other(
    stopped: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    link_cut = ROOT / "tests" / "golden" / "sim_truck_link_cut.mcap"
    page = tmp_path / "drives.html"

    same = main(["replay", "compare", str(stopped), str(stopped)])
    other = main(["replay", "compare", str(stopped), str(link_cut), "--out", str(page), "--json"])
    found = json.loads(capsys.readouterr().out.splitlines()[-1])

    assert (same, other) == (0, 1)
    assert found["stops"] == {"D101": [1, 0], "L102": [0, 1]}
    assert "other stops" in page.read_text(encoding="utf-8")


def test_compare_with_nothing_to_compare_with__is_wrong_usage(stopped: Path) -> None:
    assert main(["replay", "compare", str(stopped)]) == 2
    assert main(["replay", "compare", str(stopped), str(stopped), "--commit", "HEAD"]) == 2
