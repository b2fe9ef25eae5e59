"""The cockpit benchmarks' own reckoning: which by-wire frame carries which move of the hand."""

from __future__ import annotations

from typing import Any

import pytest

from benchmarks._cockpit_end import PRESSED, RELEASED
from benchmarks._cockpit_hands import SAW_CODES, UP_CODES, Marks, Posture, pedal, raw_of, share_of
from benchmarks._cockpit_whole import LOST_AFTER_NS, delays_ms, page_row
from benchmarks.cockpit_drills import DRILLS, Sample, row

MS = 1_000_000


def value_of(code: int) -> int:
    """The traction on the bus, 1e-3 m/s², that a pedal's code asks of a machine with 1 m/s²."""
    return round(share_of(code) * 1000)


def test_move_seen__is_the_time_to_its_first_frame() -> None:
    written = [(100 * MS, 250), (140 * MS, 247)]
    seen = [(90 * MS, value_of(247)), (111 * MS, value_of(250)), (147 * MS, value_of(247))]

    assert delays_ms(written, seen, 1000) == [11.0, 7.0]


def test_move_that_the_next_code_stands_for__is_not_taken_for_it() -> None:
    assert delays_ms([(0, 250)], [(MS, value_of(249)), (2 * MS, value_of(251))], 1000) == []


def test_move_seen_too_late__is_left_out() -> None:
    late = [(LOST_AFTER_NS - 1, value_of(250)), (LOST_AFTER_NS, value_of(251))]

    assert delays_ms([(0, 250), (0, 251)], late, 1000) == [(LOST_AFTER_NS - 1) / 1e6]


def test_move_seen_after_another_with_its_code__is_that_ones() -> None:
    written = [(0, 250), (30 * MS, 247), (60 * MS, 250)]

    assert delays_ms(written, [(65 * MS, value_of(250))], 1000) == [5.0]


@pytest.mark.parametrize(
    ("code", "step", "wished", "moved"),
    [
        (200, 0, 100, 200 - UP_CODES),
        (200, 1, 201, 199),
        (200, 1, 202, 201),
        (200, SAW_CODES - 1, 230, 230),
        (PRESSED, 0, PRESSED, PRESSED + 1),
        (RELEASED, 0, RELEASED - 1, RELEASED - 2),
    ],
)
def test_throttle_moved__goes_on_by_little_back_by_any_and_never_stays(
    code: int, step: int, wished: int, moved: int
) -> None:
    marks = Marks((0.0, 0.0), code=code, step=step)
    marks.move(wished)

    assert marks.code == moved


def test_throttle_wished_steady__no_code_comes_again_within_a_tooth() -> None:
    marks = Marks((0.0, 0.0), code=150)
    codes = []
    for _ in range(3 * SAW_CODES):
        marks.move(150)
        codes.append(marks.code)

    assert all(len(set(codes[n : n + SAW_CODES])) == SAW_CODES for n in range(2 * SAW_CODES))


def test_pedal__is_its_share() -> None:
    assert (pedal(0.0), pedal(1.0), share_of(pedal(0.6))) == (RELEASED, PRESSED, 0.6)
    assert (raw_of(10_000), raw_of(-10_000)) == (0, 65536)


def test_posture__opens_one_enable_contact_and_closes_the_other() -> None:
    codes = [Posture(enable=enable).codes() for enable in (True, False)]
    changed = {key for key in codes[0] if codes[0][key] != codes[1][key]}

    assert len(changed) == 2


def test_page__is_counted_between_two_looks() -> None:
    before: dict[str, Any] = {"videos": {"video": [100, 1]}}
    watched = {
        "ms": 2000.0,
        "frames": 120,
        "longestFrame": 33.3,
        "tasks": 1,
        "longestTask": 60.0,
        "videos": {"video": [160, 3]},
    }
    found = page_row(watched, before)

    assert found["frames_per_s"] == 60.0
    assert found["longest_task_ms"] == 60.0
    assert found["pictures"] == {"video": {"fps": 30.0, "dropped": 2}}


@pytest.mark.parametrize(("late_ms", "held"), [(300.0, True), (300.1, False)])
def test_drill_that_brakes_later_than_its_limit__is_not_held(late_ms: float, held: bool) -> None:
    found = row("unplug", [Sample(20.0, "D101"), Sample(late_ms, "D101")])

    assert (found["n"], found["max"], found["held"]) == (2, late_ms, held)
    assert found["causes"] == ["D101"]


def test_drills__are_all_that_befalls_a_cockpit_and_every_way_to_stop() -> None:
    befalls = {"unplug", "hidden", "minimised", "reloaded", "left", "closed", "renderer"}
    befalls |= {"blocked", "frozen", "repeated", "console"}
    stops = {f"stop-{way}" for way in ("space", "escape", "mouse", "desk")}

    assert set(DRILLS) == befalls | stops
