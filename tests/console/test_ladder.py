"""The arming ladder: every rung names what is missing, and nothing is armed before all stand."""

from __future__ import annotations

import dataclasses

import pytest

from operator_console.core.desk import Fault
from operator_console.core.inputs import DriverInput
from operator_console.core.ladder import (
    ALIGNED,
    RUNGS,
    EnableCycle,
    LadderFacts,
    climb,
    first_missing,
)

READY = DriverInput(1, brake=0.3, steer_rest=0.0, steer_slack=ALIGNED)
FACTS = LadderFacts("truck-07", True, (), Fault.NONE, "", READY, cycled=True)


def missing(facts: LadderFacts) -> tuple[str, str] | None:
    rung = first_missing(climb(facts))
    return None if rung is None or rung.missing is None else (rung.code, rung.missing[0])


def with_driver(**changes: object) -> LadderFacts:
    driver = READY._replace(**changes)  # type: ignore[arg-type]
    return dataclasses.replace(FACTS, driver=driver)


def test_everything_done__nothing_is_missing() -> None:
    assert missing(FACTS) is None
    assert len(climb(FACTS)) == len(RUNGS)


@pytest.mark.parametrize(
    ("facts", "code", "words"),
    [
        (
            dataclasses.replace(FACTS, picture_live=False),
            "A1",
            "Wait for the live image of truck-07",
        ),
        (
            dataclasses.replace(FACTS, blockers=(("B102", ("", "")), ("B105", ("ECU", "")))),
            "A2",
            "ECU",
        ),
        (
            dataclasses.replace(FACTS, fault=Fault.ABSENT, device="wheel"),
            "A3",
            "Wheel is not plugged in",
        ),
        (dataclasses.replace(FACTS, driver=None), "A3", "Desk is silent – wait"),
        (
            dataclasses.replace(FACTS, driver=None, keeps_ending=True),
            "A3",
            "Desk program keeps ending: tried again each minute – tell the engineer",
        ),
        (with_driver(unproven=("throttle:press",)), "A4", "Press the throttle fully"),
        (with_driver(unproven=("brake:release",)), "A4", "Let go of the brake"),
        (with_driver(unproven=("steering:move",)), "A5", "Move the wheel"),
        (with_driver(unproven=("stick:rest",)), "A5", "Let go of the steering stick"),
        (with_driver(steer_rest=None), "A5", "Wait: the machine's steering is unknown"),
        (
            with_driver(unproven=("steering:unknown",)),
            "A5",
            "Wait: the machine's steering is unknown",
        ),
        (
            with_driver(steer=0.1, steer_rest=0.25),
            "A5",
            "Turn the wheel 15 % to the left, where the machine's steering is",
        ),
        (
            with_driver(steer=ALIGNED),
            "A5",
            "Turn the wheel 4 % to the right, where the machine's steering is",
        ),
        (with_driver(gear=1), "A6", "Gear to N"),
        (with_driver(throttle=0.02), "A6", "Let go of the throttle"),
        (
            dataclasses.replace(FACTS, cycled=False),
            "A7",
            "Press the enable switch once, and let go",
        ),
        (with_driver(enable=True), "A7", "Let go of the enable switch"),
        (with_driver(brake=0.29), "A8", "Hold the brake"),
    ],
)
def test_one_thing_missing__its_rung_names_it(facts: LadderFacts, code: str, words: str) -> None:
    assert missing(facts) == (code, words)


def test_blockers_about_the_controls__are_left_to_the_rungs_that_say_more() -> None:
    facts = dataclasses.replace(FACTS, blockers=(("B102", ("x", "")), ("D102", ("y", ""))))

    assert missing(facts) is None


def test_wheel_just_within_its_slack__is_where_the_machine_is() -> None:
    assert missing(with_driver(steer=ALIGNED - 1e-6)) is None


def test_no_driver__every_rung_about_hands_and_feet_is_missing() -> None:
    rungs = climb(dataclasses.replace(FACTS, driver=None, cycled=False))

    assert [rung.code for rung in rungs if rung.missing is None] == ["A1", "A2"]


def test_every_rung__has_words_in_both_languages() -> None:
    facts = LadderFacts("x", False, (("B101", ("e", "z")),), Fault.SEAT, "box", None, False)

    assert all(
        all(rung.title) and all(rung.asks) and rung.missing and all(rung.missing)
        for rung in climb(facts)
    )


# ---- enable cycled ------------------------------------------------------------------------


def cycle(*held: bool | None) -> bool:
    watch = EnableCycle()
    for each in held:
        watch.see(each)
    return watch.done


@pytest.mark.parametrize(
    ("held", "done"),
    [
        ((), False),
        ((True,), False),
        ((False,), False),
        ((False, False), False),
        ((True, False), True),
        ((True, False, True), True),
        ((True, None, False), False),
        ((True, False, None), False),
    ],
)
def test_enable__is_cycled_when_it_was_pressed_and_let_go(
    held: tuple[bool | None, ...], done: bool
) -> None:
    assert cycle(*held) is done
