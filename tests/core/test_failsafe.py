"""The fail-safe table as published, and its engine over every row, mode and latch."""

from __future__ import annotations

import itertools
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from protocol.state import VehicleMode
from vehicle_agent.core import failsafe
from vehicle_agent.core.conditions import CONDITION_NAMES
from vehicle_agent.core.failsafe import (
    AFTER_RESET,
    LATCHED_EVENTS,
    TABLE,
    Action,
    Clear,
    FailSafe,
    Row,
    Verdict,
    checked,
)

M = VehicleMode
PUBLISHED = Path(__file__).parents[2] / "docs" / "failsafe.md"
WORDS = {
    "warn": Action.WARN,
    "slow": Action.CAP,
    "coast": Action.DEGRADE,
    "STOP": Action.STOP,
    "HARD": Action.ESTOP,
}
ROW = {row.condition: row for row in TABLE}
STOPS = [row for row in TABLE if row.action >= Action.STOP]
PASSING = [row for row in TABLE if row.action < Action.STOP]


def published_rows() -> list[tuple[str, frozenset[VehicleMode], Action, str, str]]:
    """The table of the published page: condition, scope, action, when it ends, event."""
    text = PUBLISHED.read_text(encoding="utf-8").partition("\n## The table\n")[2]
    lines = [
        line.split(" | ") for line in text.splitlines() if re.search(r" \| [A-Z]\d{3}: ", line)
    ]
    modes = {mode.value: frozenset({mode}) for mode in M} | {"every mode": frozenset(M)}
    return [
        (
            condition.removeprefix("| ").replace(" ", "_"),
            frozenset().union(*(modes[word] for word in scope.split(", "))),
            WORDS[action],
            ends,
            event[:4],
        )
        for condition, _, scope, action, ends, event in lines
    ]


def test_table__is_the_published_one_row_by_row() -> None:
    rows = [(row.condition, row.scope, row.action, row.clear.value, row.event) for row in TABLE]

    assert rows == published_rows()
    assert len(rows) == len(CONDITION_NAMES)


def test_actions__stricter_ones_are_higher() -> None:
    assert [action.name for action in sorted(Action)] == [
        "NONE",
        "WARN",
        "CAP",
        "DEGRADE",
        "STOP",
        "ESTOP",
    ]
    assert [action.value for action in Action] == [0, 1, 2, 3, 4, 5]


def test_sets_of_modes__are_those_of_the_design() -> None:
    assert set(M) == failsafe.ANY
    assert {M.ACTIVE, M.DEGRADED} == failsafe.DRIVING
    assert {M.ACTIVE, M.DEGRADED, M.ARMED} == failsafe.POWERED
    assert {M.ACTIVE, M.DEGRADED, M.ARMED, M.LEASED} == failsafe.HELD
    assert {M.STANDBY, M.LEASED, M.ARMED, M.STOPPED, M.FAULT} == failsafe.PARKED


def test_stops_that_wait_for_their_own_reset__are_these() -> None:
    assert set(failsafe.AFTER_RESET) == {"ecu_stopped", "ecu_latched", "relay_open"}


def test_latched_events__are_those_of_stops() -> None:
    assert {row.event for row in STOPS} == LATCHED_EVENTS


# --- checks of the table ------------------------------------------------------------------------


def changed(**changes: Any) -> tuple[Row, ...]:
    """The table with its first row changed."""
    return (replace(TABLE[0], **changes), *TABLE[1:])


@pytest.mark.parametrize(
    ("table", "problem"),
    [
        (TABLE[1:], "fail-safe table and conditions differ: ['estop_open']"),
        (
            changed(condition="wings"),
            "fail-safe table and conditions differ: ['estop_open', 'wings']",
        ),
        ((*TABLE, TABLE[0]), "fail-safe table and conditions differ: []"),
        (changed(event="G999"), "estop_open: event G999 is not in the catalogue"),
        (changed(scope=frozenset()), "estop_open: counts in no mode"),
        (changed(action=Action.DEGRADE), "estop_open: stops latch, and nothing else does"),
        (
            changed(action=Action.ESTOP, clear=Clear.SELF),
            "estop_open: stops latch, and nothing else does",
        ),
        (changed(clear=Clear.SELF), "estop_open: stops latch, and nothing else does"),
        (changed(event="V101"), "estop_open: a stop is told as an alarm, not as V101"),
        (
            (*TABLE[:-1], replace(TABLE[-1], action=Action.STOP, clear=Clear.RESET, event="V101")),
            "park_not_set: a stop is told as an alarm, not as V101",
        ),
    ],
)
def test_wrong_table__refused_with_the_row_and_the_reason(
    table: tuple[Row, ...], problem: str
) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(problem)}$"):
        checked(table)


def test_good_table__comes_back_as_it_is() -> None:
    assert checked(TABLE) is TABLE


# --- the engine ---------------------------------------------------------------------------------


def test_nothing_wrong__no_action() -> None:
    assert {FailSafe().decide(mode, ()) for mode in M} == {Verdict(Action.NONE, None, ())}


def test_one_condition__acts_in_its_modes_and_in_no_other() -> None:
    for row, mode in itertools.product(TABLE, M):
        engine = FailSafe()
        inside = mode in row.scope

        verdict = engine.decide(mode, [row.condition])

        acting = Verdict(row.action, row.event, (row.event,))
        assert verdict == (acting if inside else Verdict(Action.NONE, None, ())), (row, mode)
        assert engine.latched == (row.event if inside and row in STOPS else None), (row, mode)


def test_condition_of_no_row__no_action() -> None:
    assert FailSafe().decide(M.ACTIVE, ["wings"]) == Verdict(Action.NONE, None, ())


def test_several_conditions__the_strictest_acts_and_all_are_named_strictest_first() -> None:
    verdict = FailSafe().decide(M.ACTIVE, ["command_late", "loop_slow", "estop_open", "view_stale"])

    assert verdict == Verdict(Action.ESTOP, "M105", ("M105", "V102", "L101", "L103"))


def test_equally_strict_conditions__the_upper_row_is_the_cause() -> None:
    verdict = FailSafe().decide(M.ACTIVE, ["command_stale", "guardian_late"])

    assert verdict == Verdict(Action.STOP, "G101", ("G101", "L102"))


def test_condition_below_a_stop_gone__action_gone() -> None:
    for row in PASSING:
        engine = FailSafe()
        engine.decide(M.ACTIVE, [row.condition])

        assert engine.decide(M.ACTIVE, ()) == Verdict(Action.NONE, None, ()), row


def test_condition_of_a_stop_gone__stop_stands_in_every_mode() -> None:
    for row, mode in itertools.product(STOPS, M):
        engine = FailSafe()
        engine.decide(min(row.scope), [row.condition])

        assert engine.decide(mode, ()) == Verdict(row.action, row.event, ()), (row, mode)


def test_equally_hard_stop_after_a_stop__does_not_replace_the_first_cause() -> None:
    engine = FailSafe()
    engine.decide(M.ACTIVE, ["view_stale"])

    verdict = engine.decide(M.ACTIVE, ["clock_trouble"])

    assert verdict == Verdict(Action.STOP, "V102", ("G102",))
    assert engine.latched == "V102"


def test_hard_stop_after_a_stop__hard_from_then_on_and_the_cause() -> None:
    engine = FailSafe()
    engine.decide(M.ACTIVE, ["view_stale"])

    assert engine.decide(M.ACTIVE, ["estop_open"]) == Verdict(Action.ESTOP, "M105", ("M105",))
    assert engine.decide(M.ACTIVE, ["loop_slow"]) == Verdict(Action.ESTOP, "M105", ("L103",))
    assert engine.latched == "M105"


def test_hard_stop_that_the_first_cause_explains__does_not_replace_it() -> None:
    engine = FailSafe()
    engine.decide(M.ACTIVE, ["ecu_silent"])

    verdict = engine.decide(M.STOPPING, ["stop_ineffective"])

    assert verdict == Verdict(Action.ESTOP, "M101", ("M118",))


def test_hard_stop_after_each_stop__is_the_cause_unless_the_first_stands_above_it() -> None:
    order = [row.event for row in TABLE]
    soft = [row for row in STOPS if row.action is Action.STOP]
    hard = [row for row in STOPS if row.action is Action.ESTOP]
    for first, second in itertools.product(soft, hard):
        engine = FailSafe()
        engine.decide(min(first.scope), [first.condition])

        cause = engine.decide(min(second.scope), [second.condition]).cause

        above = order.index(first.event) < TABLE.index(second)
        assert cause == (first.event if above else second.event), (first, second)


def test_button_pressed_after_any_stop__is_the_cause() -> None:
    for row in STOPS:
        engine = FailSafe()
        engine.decide(min(row.scope), [row.condition])

        cause = engine.decide(M.STOPPED, ["estop_open"]).cause

        assert cause == ("M105" if row.action is Action.STOP else row.event), row


def test_second_hard_stop__does_not_replace_the_cause_of_the_first() -> None:
    engine = FailSafe()
    engine.decide(M.ACTIVE, ["estop_discrepancy"])

    verdict = engine.decide(M.ACTIVE, ["estop_open"])

    assert verdict == Verdict(Action.ESTOP, "M106", ("M105",))


def test_latched_hard_from_the_start__its_cause_stays() -> None:
    engine = FailSafe("M106", hard=True)

    assert engine.decide(M.ACTIVE, ["estop_open"]).cause == "M106"


@pytest.mark.parametrize(("hard", "action"), [(False, Action.STOP), (True, Action.ESTOP)])
def test_latched_from_the_start__stops_without_any_condition(hard: bool, action: Action) -> None:
    engine = FailSafe("G105", hard=hard)

    assert engine.latched == "G105"
    assert engine.decide(M.STANDBY, ()) == Verdict(action, "G105", ())


def test_latched_from_the_start__not_hard_unless_told() -> None:
    assert FailSafe("G105").decide(M.STANDBY, ()).action is Action.STOP


def test_reset__takes_the_latch_and_its_hardness_off() -> None:
    engine = FailSafe()
    engine.decide(M.ACTIVE, ["estop_open"])

    engine.reset()

    assert engine.latched is None
    assert engine.decide(M.ACTIVE, ()) == Verdict(Action.NONE, None, ())
    assert engine.decide(M.ACTIVE, ["view_stale"]).action is Action.STOP


# --- what a reset must wait for -----------------------------------------------------------------


def test_condition_that_still_holds__blocks_a_reset_when_it_stops_in_that_mode() -> None:
    for row, mode in itertools.product(TABLE, M):
        blocks = row in STOPS and mode in row.scope

        found = FailSafe().blocking(mode, [row.condition])

        assert found == ((row.event,) if blocks else ()), (row, mode)


def test_latched_cause_that_still_holds__blocks_a_reset_in_any_mode_except_after_reset() -> None:
    for row in STOPS:
        engine = FailSafe(row.event)

        found = engine.blocking(M.STOPPED, [row.condition])

        assert found == ((row.event,) if row.condition not in AFTER_RESET else ()), row
        assert engine.blocking(M.STOPPED, ()) == (), row


def test_several_stops_hold__all_block_in_the_order_of_the_table() -> None:
    present = ["view_stale", "loop_slow", "clock_trouble"]

    assert FailSafe().blocking(M.ACTIVE, present) == ("G102", "V102")
