"""The wheel is drawn to the machine's steering: capped, faded by delay, nothing without a drive."""

from __future__ import annotations

import dataclasses
import math

import pytest

from operator_console.core.desk import Feedback
from operator_console.core.force import (
    CAP,
    FF_AUTOCENTRE,
    FF_CONSTANT,
    FF_SPRING,
    NOTHING,
    ForceBy,
    ForceLoop,
    Pull,
    best_way,
    cap_of,
    trust,
)
from operator_console.core.force_effects import (
    EFFECT_BYTES,
    GAIN_MAX,
    LEVEL_MAX,
    constant_effect,
    effect_id_of,
    gain,
    spring_effect,
)
from tests.console.fakes import MS

DRIVEN = Feedback(0, speed_mps=2.0, steer=0.1, movable=True, active=True, state_age_ms=40.0)


def settled(wheel: float | None, feedback: Feedback | None = DRIVEN, cap: float = CAP) -> Pull:
    """Hold the wheel for a second; return what it feels by then."""
    loop, pull = ForceLoop(cap), NOTHING
    for turn in range(1, 101):
        now_ns = turn * 10 * MS
        newest = None if feedback is None else dataclasses.replace(feedback, at_ns=now_ns)
        pull = loop.step(wheel, newest, now_ns)
    return pull


def test_wheel_right_of_the_machine__is_drawn_to_the_left() -> None:
    assert settled(0.0).level == pytest.approx(0.15)


def test_wheel_left_of_the_machine__is_drawn_to_the_right() -> None:
    assert settled(0.2).level == pytest.approx(-0.15)


def test_wheel_where_the_machine_is__feels_nothing() -> None:
    assert settled(0.1).level == 0.0


@pytest.mark.parametrize("wheel", [-1.0, 1.0])
def test_wheel_far_off__the_force_is_capped(wheel: float) -> None:
    assert abs(settled(wheel).level) == CAP
    assert abs(settled(wheel, cap=0.2).level) == 0.2


def test_cap_above_the_limit__is_the_limit() -> None:
    assert abs(settled(-1.0, cap=0.9).level) == CAP


@pytest.mark.parametrize(
    "feedback",
    [
        None,
        dataclasses.replace(DRIVEN, active=False),
        dataclasses.replace(DRIVEN, state_age_ms=None),
        dataclasses.replace(DRIVEN, state_age_ms=501.0),
    ],
)
def test_machine_not_driven_or_silent__there_is_no_force(feedback: Feedback | None) -> None:
    assert settled(-1.0, feedback) == NOTHING


def test_hand_unknown__there_is_no_force() -> None:
    assert settled(None) == NOTHING


def test_nan__there_is_no_force() -> None:
    assert settled(math.nan).level == 0.0


def test_word_from_the_future__there_is_no_force() -> None:
    assert ForceLoop().step(-1.0, dataclasses.replace(DRIVEN, at_ns=2), 1) == NOTHING


def test_word_kept_too_long__grows_old_here_as_well() -> None:
    loop = ForceLoop()
    loop.step(-1.0, DRIVEN, 0)

    assert loop.step(-1.0, DRIVEN, 460 * MS).level > 0.0
    assert loop.step(-1.0, DRIVEN, 460 * MS + 1) == NOTHING


@pytest.mark.parametrize(
    ("age_ms", "share"), [(0, 1.0), (100, 1.0), (150, 0.5), (200, 0.0), (400, 0.0)]
)
def test_delay__takes_the_machines_lead_away(age_ms: float, share: float) -> None:
    assert trust(age_ms) == share


def test_machine_heard_late__the_wheel_is_only_centred() -> None:
    late = dataclasses.replace(DRIVEN, steer=1.0, state_age_ms=250.0)

    assert settled(0.1, late).level == pytest.approx(-0.05)
    assert settled(0.1, late).centre == 0.0
    assert settled(0.1, late).strength == pytest.approx(0.15)


def test_steering_unknown__the_wheel_is_only_centred() -> None:
    assert settled(0.1, dataclasses.replace(DRIVEN, steer=None)).level == pytest.approx(-0.05)


def test_spring__rests_where_the_machine_is_and_is_capped() -> None:
    assert (settled(0.0).centre, settled(0.0).strength) == (0.1, CAP)


def test_force_comes_up_slowly_and_goes_at_once() -> None:
    loop = ForceLoop()
    forces = []
    for turn in range(1, 4):
        newest = dataclasses.replace(DRIVEN, at_ns=turn * 10 * MS)
        forces.append(loop.step(-1.0, newest, turn * 10 * MS).level)
    gone = loop.step(0.1, dataclasses.replace(DRIVEN, at_ns=40 * MS), 40 * MS).level

    assert forces == pytest.approx([0.02, 0.04, 0.06])
    assert gone <= 0.0


def test_force_that_turns_over__comes_up_from_nothing() -> None:
    loop = ForceLoop()
    for turn in range(1, 30):
        loop.step(-1.0, dataclasses.replace(DRIVEN, at_ns=turn * 10 * MS), turn * 10 * MS)
    turned = loop.step(1.0, dataclasses.replace(DRIVEN, at_ns=300 * MS), 300 * MS)

    assert turned.level == pytest.approx(-0.02)


def test_stop__the_next_drive_begins_from_nothing() -> None:
    loop = ForceLoop()
    for turn in range(1, 30):
        loop.step(-1.0, dataclasses.replace(DRIVEN, at_ns=turn * 10 * MS), turn * 10 * MS)
    assert loop.step(-1.0, None, 300 * MS) == NOTHING

    again = loop.step(-1.0, dataclasses.replace(DRIVEN, at_ns=310 * MS), 310 * MS)
    assert 0.0 < again.level <= 0.04


def test_wheel_that_turns__is_held_back_by_how_fast_it_turns() -> None:
    loop, level = ForceLoop(), 0.0
    for turn in range(1, 101):
        newest = dataclasses.replace(DRIVEN, steer=0.0, at_ns=turn * 10 * MS)
        level = loop.step(0.001 * turn, newest, turn * 10 * MS).level

    assert level == pytest.approx(-0.15 - 0.01, abs=1e-4)


def driven_from(wheel: float, turn: int, loop: ForceLoop) -> float:
    """Return the force of the 10 ms with this number, the machine straight ahead."""
    now_ns = turn * 10 * MS
    return loop.step(wheel, dataclasses.replace(DRIVEN, steer=0.0, at_ns=now_ns), now_ns).level


def test_wheel_begins_to_turn__a_quarter_of_its_rate_is_believed_after_10_ms() -> None:
    loop = ForceLoop()
    levels = [driven_from(wheel, turn, loop) for turn, wheel in ((1, 0.0), (2, 0.004))]

    assert levels == pytest.approx([0.0, -1.5 * 0.004 - 0.1 * 0.4 / 4])


def test_second_step_at_the_same_moment__the_rate_is_kept() -> None:
    loop = ForceLoop()
    levels = [driven_from(wheel, turn, loop) for turn, wheel in ((1, 0.0), (2, 0.004), (2, 0.004))]

    assert levels[2] == levels[1] < -0.01


def test_wheel_turned_before_a_pause__starts_from_rest_after_it() -> None:
    loop = ForceLoop()
    driven_from(0.0, 1, loop)
    driven_from(0.1, 2, loop)
    loop.step(None, DRIVEN, 30 * MS)

    assert driven_from(0.0, 4, loop) == 0.0


def test_first_step__the_force_rises_by_the_time_since_zero() -> None:
    assert driven_from(-1.0, 1, ForceLoop()) == 0.02


def test_step_that_comes_late__the_force_rises_as_in_100_ms() -> None:
    assert driven_from(-1.0, 100, ForceLoop()) == pytest.approx(0.2)


def test_wheel_let_go__settles_where_the_machine_is_without_swinging() -> None:
    """A wheel of 0.05 kg m2 with bearings on a base of 10 Nm, whose lock is 4.7 rad."""
    loop, angle, rate, highest = ForceLoop(), 0.5, 0.0, 0.0
    lowest = angle
    for turn in range(1, 1001):
        now_ns = turn * 10 * MS
        newest = dataclasses.replace(DRIVEN, steer=0.0, at_ns=now_ns)
        torque_nm = 10.0 * loop.step(angle, newest, now_ns).level
        for _ in range(10):
            rate += (torque_nm - 0.3 * rate * 4.7) / (0.05 * 4.7) * 0.001
            angle += rate * 0.001
        lowest, highest = min(lowest, angle), max(highest, abs(angle) if turn > 700 else 0.0)

    assert lowest > -0.05
    assert highest < 0.02


# ---- words --------------------------------------------------------------------------------


def test_ways__are_told_by_these_words() -> None:
    assert {each.name: each.value for each in ForceBy} == {
        "CONSTANT": "constant",
        "SPRING": "spring",
        "AUTOCENTRE": "autocentre",
        "NONE": "none",
    }


def test_effects__have_the_codes_of_input_h() -> None:
    assert (FF_CONSTANT, FF_SPRING, FF_AUTOCENTRE) == (0x52, 0x53, 0x61)


def test_nothing__is_no_force_at_all() -> None:
    assert Pull(level=0.0, centre=0.0, strength=0.0) == NOTHING


# ---- what a device can do -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("effects", "way"),
    [
        ({FF_CONSTANT, FF_SPRING, FF_AUTOCENTRE}, ForceBy.CONSTANT),
        ({FF_SPRING, FF_AUTOCENTRE}, ForceBy.SPRING),
        ({FF_AUTOCENTRE}, ForceBy.AUTOCENTRE),
        ({0x50}, ForceBy.NONE),
    ],
)
def test_device__is_driven_the_best_way_that_it_has(effects: set[int], way: ForceBy) -> None:
    assert best_way(frozenset(effects)) is way


@pytest.mark.parametrize(
    ("cap", "torque_nm", "share"),
    [(0.3, None, 0.3), (0.5, None, 0.3), (0.1, None, 0.1), (0.3, 20.0, 0.15), (0.3, 2.5, 0.3)],
)
def test_direct_drive__never_gives_more_than_3_newton_metres(
    cap: float, torque_nm: float | None, share: float
) -> None:
    assert cap_of(cap, torque_nm) == pytest.approx(share)


# ---- as the kernel takes it ---------------------------------------------------------------


def test_constant_effect__is_laid_out_as_in_input_h() -> None:
    effect = constant_effect(-1, Pull(0.5))

    assert len(effect) == EFFECT_BYTES
    assert effect[:14] == bytes([0x52, 0, 0xFF, 0xFF, 0, 0x40, 0, 0, 0, 0, 200, 0, 0, 0])
    assert int.from_bytes(effect[16:18], "little", signed=True) == round(0.5 * LEVEL_MAX)
    assert effect[18:] == bytes(30)


def test_constant_effect_of_a_reversed_device__pushes_the_other_way() -> None:
    effect = constant_effect(3, Pull(1.0), reversed_=True)

    assert int.from_bytes(effect[16:18], "little", signed=True) == -LEVEL_MAX
    assert effect_id_of(effect) == 3


@pytest.mark.parametrize("level", [-9.0, 9.0])
def test_level_beyond_the_whole__is_the_whole(level: float) -> None:
    effect = constant_effect(0, Pull(level))

    assert abs(int.from_bytes(effect[16:18], "little", signed=True)) == LEVEL_MAX


@pytest.mark.parametrize(("reversed_", "centre"), [(False, -8192), (True, 8192)])
def test_spring_effect__rests_where_it_should_with_its_strength(
    reversed_: bool, centre: int
) -> None:
    effect = spring_effect(2, Pull(0.0, 0.25, 0.5), reversed_=reversed_)
    words = [int.from_bytes(effect[at : at + 2], "little") for at in range(16, 28, 2)]

    assert len(effect) == EFFECT_BYTES
    assert effect[0] == FF_SPRING
    assert words[:5] == [32768, 32768, 16384, 16384, 0]
    assert int.from_bytes(effect[26:28], "little", signed=True) == centre
    assert effect[28:] == bytes(20)


@pytest.mark.parametrize(
    ("share", "value"), [(0.0, 0), (0.5, 32768), (1.0, GAIN_MAX), (2.0, GAIN_MAX), (-1.0, 0)]
)
def test_gain__is_a_share_of_the_whole(share: float, value: int) -> None:
    assert gain(share) == value
