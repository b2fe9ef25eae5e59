"""The shift report: what is counted, and a page that needs nothing else."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from headframe import main
from recording.reader import open_log
from sim.replay.shift import SLICES_MAX, UPLINK, Ages, Shift, ShiftStop, Timeline, shift_of
from sim.replay.shift_page import shift_page
from sim.replay.shift_plot import classes, over_the_map


@pytest.fixture(scope="module")
def shift(stopped: Path) -> Shift:
    return shift_of([open_log(stopped), open_log(stopped)])


def test_shift__distance_is_that_of_the_truth(shift: Shift, stopped: Path) -> None:
    truths = [message.json() for message in open_log(stopped).messages({"/sim/truth"})]
    path_m = truths[-1]["distance_m"] - truths[0]["distance_m"]

    assert shift.distance_m == pytest.approx(2 * path_m, abs=0.3)


def test_shift_of_two_logs__stops_of_both_are_counted_with_their_places(shift: Shift) -> None:
    assert shift.causes() == {"D101": 2}
    assert [stop.number for stop in shift.stops] == [1, 1]
    assert all(stop.place_m for stop in shift.stops)
    assert shift.stops[1].at_s > shift.begins_s[1] > shift.stops[0].at_s


def test_shift__commands_that_counted_are_in_every_table(shift: Shift) -> None:
    of_slices = sum(each.ages[UPLINK].by_ms.total() for each in shift.timeline.slices.values())

    assert shift.accepted == shift.ages[UPLINK].by_ms.total() == of_slices > 0


@pytest.mark.parametrize(
    ("cause", "scripted", "false"),
    [
        ("L102", False, True),
        ("V102", False, True),
        ("L102", True, False),
        ("D101", False, False),
        ("M105", False, False),
        ("M101", False, False),
        (None, False, False),
    ],
)
def test_stop__is_false_when_the_link_brought_it_about_and_nobody_else(
    cause: str | None, scripted: bool, false: bool
) -> None:
    assert ShiftStop("log", 1, 0, 0.0, cause, 1.0, None, scripted).false is false


def test_ages__percentile_is_the_nearest_rank() -> None:
    ages = Ages()
    for age_ms in range(1, 101):
        ages.take(age_ms * 1000)

    assert ages.summary() == {"p50": 50, "p95": 95, "p99": 99, "max": 100}
    assert Ages().percentile(50) is None


def test_timeline_of_a_long_shift__slices_are_widened_and_keep_all() -> None:
    timeline = Timeline()
    for second in range(3 * SLICES_MAX):
        timeline.at(float(second)).ages[UPLINK].take(second)

    assert len(timeline.slices) <= SLICES_MAX
    assert timeline.width_s == 4.0
    assert sum(each.ages[UPLINK].by_ms.total() for _, each in timeline.rows()) == 3 * SLICES_MAX


def test_classes_of_ages__rise_even_where_all_are_the_same() -> None:
    assert classes([7, 7, 7]) == [7, 8, 9, 10]


def test_page__needs_nothing_else_and_has_its_plots(shift: Shift) -> None:
    page = shift_page(shift)

    assert page.count("<svg") == 3
    assert not re.search(r"(?:src|href)=|url\(|@import", page)
    assert "D101" in page


def test_shift_without_a_place__has_no_map(shift: Shift) -> None:
    assert over_the_map(Shift(), UPLINK) is None


def test_report_on_the_command_line__writes_the_page_and_says_what_came_of_it(
    stopped: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "shift.html"

    code = main(["replay", "report", str(stopped), "--out", str(page), "--json"])

    assert code == 0
    assert page.read_text(encoding="utf-8").startswith("<!doctype html>")
    assert json.loads(capsys.readouterr().out)["stops"] == {"D101": 1}
