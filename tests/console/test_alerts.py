"""The words that stand: what matters most first, and one next step."""

from __future__ import annotations

from dataclasses import replace

import pytest

from operator_console.core.alerts import (
    AFTER_CAUSE,
    BEFORE_CAUSE,
    Level,
    Situation,
    Step,
    catalogue_message,
    explanation,
    next_step,
    standing_message,
)
from operator_console.core.desk import Fault
from operator_console.core.engagement import Engagement
from operator_console.core.hands import fault_words
from operator_console.core.letgo import Away, LetGo
from operator_console.core.steps import TO_DO
from protocol.events import EVENTS
from protocol.state import VehicleMode

DRIVING = Situation(
    engagement=Engagement.ENABLED,
    link_up=True,
    state_known=True,
    mode=VehicleMode.ACTIVE,
    warning_ms=None,
    lease_lost=False,
    cause=None,
    stop_unconfirmed=False,
    input_ok=True,
    input_barred=False,
    display_ok=True,
    picture_seen=True,
    must_release=False,
    held=True,
    estop="closed",
    blockers=(),
    neutral=False,
    gear=1,
    park=False,
)
LEASED = replace(
    DRIVING, engagement=Engagement.LEASED, mode=VehicleMode.LEASED, held=False, neutral=True
)


def code(**changes: object) -> str | None:
    message = standing_message(replace(DRIVING, **changes))  # type: ignore[arg-type]
    return None if message is None else message.code


def step(base: Situation, **changes: object) -> str | None:
    found = next_step(replace(base, **changes))  # type: ignore[arg-type]
    return None if found is None else found.action


def test_all_well__no_message() -> None:
    assert code() is None


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"stop_unconfirmed": True, "link_up": False}, "C101"),
        ({"cause": "G104", "state_known": True}, "C102"),
        ({"link_up": False, "state_known": False}, "C104"),
        ({"state_known": False, "mode": None}, "C105"),
        ({"lease_lost": True}, "C106"),
        ({"mode": VehicleMode.STOPPED, "cause": "D105"}, "D105"),
        ({"mode": VehicleMode.DEGRADED, "cause": "L103"}, "L103"),
        ({"mode": VehicleMode.ESTOP, "estop": "open"}, "C103"),
        ({"mode": VehicleMode.ESTOP, "estop": "unknown"}, "C117"),
        ({"waiting": "op-2"}, "S108"),
        ({"waiting": "op-2", "must_release": True}, "S108"),
        ({"waiting": "op-2", "mode": VehicleMode.STOPPED, "cause": "D105"}, "D105"),
        ({"mode": VehicleMode.FAULT}, "C107"),
        ({"mode": VehicleMode.STOPPING}, "C108"),
        ({"display_ok": False}, "C109"),
        ({"display_ok": False, "page_behind": True}, "C127"),
        ({"mode": VehicleMode.STOPPED}, "C110"),
        ({"input_ok": False}, "C111"),
        ({"mode": VehicleMode.DEGRADED}, "C112"),
        ({"fault": Fault.CONFLICT, "desk_fault": ("let go", "松开")}, "C125"),
        ({"fault": Fault.CONFLICT, "mode": VehicleMode.DEGRADED, "cause": "L103"}, "C125"),
        (
            {
                "fault": Fault.CONFLICT,
                "desk_fault": ("let go", "松开"),
                "mode": VehicleMode.ARMED,
            },
            "C126",
        ),
        (
            {
                "fault": Fault.SEAT,
                "desk_fault": ("sit down", "请就座"),
                "mode": VehicleMode.DEGRADED,
            },
            "C126",
        ),
        ({"fault": Fault.BARRED, "desk_fault": ("let go", "松开"), "held": False}, "C113"),
        ({"must_release": True}, "C113"),
        ({"mode": VehicleMode.LEASED, "display_ok": False, "picture_seen": False}, "C114"),
        ({"mode": VehicleMode.LEASED, "display_ok": False, "page_behind": True}, "C128"),
        ({"mode": VehicleMode.LOCAL}, "C115"),
        ({"engagement": Engagement.OTHER}, "C116"),
    ],
)
def test_situation__what_matters_most_stands(changes: dict[str, object], expected: str) -> None:
    assert code(**changes) == expected


@pytest.mark.parametrize(
    ("fault", "level"), [(Fault.CONFLICT, Level.ALARM), (Fault.SEAT, Level.WARNING)]
)
def test_desk_at_fault_while_driving__calls_as_loud_as_it_matters(
    fault: Fault, level: Level
) -> None:
    message = standing_message(replace(DRIVING, fault=fault, desk_fault=fault_words(fault, "")))

    assert message is not None
    assert message.level is level


@pytest.mark.parametrize("engagement", [Engagement.FREE, Engagement.OTHER, Engagement.ASKING])
@pytest.mark.parametrize("fault", [Fault.CONFLICT, Fault.SEAT, Fault.BARRED])
def test_desk_at_fault_without_the_lease__calls_nobody(
    engagement: Engagement, fault: Fault
) -> None:
    words = fault_words(fault, "")

    assert code(engagement=engagement, fault=fault, desk_fault=words) in (None, "C116")


def test_every_row__has_a_code_of_its_own_and_both_languages() -> None:
    messages = [row.message for row in (*BEFORE_CAUSE, *AFTER_CAUSE)]

    assert len({message.code for message in messages}) == len(messages)
    assert not {message.code for message in messages} & set(EVENTS)
    assert all(message.en and message.zh for message in messages)


def test_no_row__calls_a_software_stop_an_e_stop() -> None:
    unconfirmed = standing_message(replace(DRIVING, stop_unconfirmed=True))

    assert unconfirmed is not None
    assert unconfirmed.en.startswith("STOP ")


def test_machine_stands_already__alarm_of_its_cause_becomes_a_warning() -> None:
    message = standing_message(replace(DRIVING, mode=VehicleMode.STOPPED, cause="D101"))

    assert message is not None
    assert message.level is Level.WARNING
    assert "machine stopped" in message.en


def test_event_of_a_newer_catalogue__is_shown_by_its_id() -> None:
    assert catalogue_message("X999").en == "X999"


@pytest.mark.parametrize(
    ("base", "changes", "action"),
    [
        (DRIVING, {"engagement": Engagement.FREE, "mode": VehicleMode.STANDBY}, "lease"),
        (LEASED, {}, "arm"),
        (LEASED, {"display_ok": False}, ""),
        (LEASED, {"blockers": ("B103",)}, ""),
        (LEASED, {"mode": VehicleMode.STOPPED}, "reset"),
        (LEASED, {"mode": VehicleMode.STOPPED, "held": True}, ""),
        (LEASED, {"mode": VehicleMode.STOPPED, "fault": Fault.BARRED}, ""),
        (LEASED, {"mode": VehicleMode.STOPPED, "estop": "open"}, ""),
        (LEASED, {"mode": VehicleMode.STOPPED, "blockers": ("B101",)}, ""),
        (LEASED, {"mode": VehicleMode.ARMED}, "enable"),
        (LEASED, {"mode": VehicleMode.ARMED, "warning_ms": 2100}, ""),
        (LEASED, {"mode": VehicleMode.ARMED, "blockers": ("B102",)}, ""),
        (DRIVING, {"gear": 0}, "gear"),
        (DRIVING, {"park": True}, "park"),
    ],
)
def test_next_step__names_the_button_that_does_it(
    base: Situation, changes: dict[str, object], action: str
) -> None:
    assert step(base, **changes) == action


@pytest.mark.parametrize(
    "changes",
    [{"state_known": False}, {"link_up": False}, {"engagement": Engagement.STOPPING}],
)
def test_nothing_to_be_done__no_step(changes: dict[str, object]) -> None:
    assert step(DRIVING, **changes) is None


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"mode": VehicleMode.STOPPED, "estop": "open"}, "Release the E-stop at the machine"),
        ({"mode": VehicleMode.ESTOP, "estop": "unknown"}, "By-wire ECU does not report"),
        ({"mode": VehicleMode.ESTOP, "estop": "discrepancy"}, "channels differ"),
        ({"mode": VehicleMode.STOPPED, "blockers": ("D101",)}, "Hold Shift again"),
        ({"mode": VehicleMode.ARMED, "blockers": ("V102",)}, "Wait for a live picture"),
        ({"mode": VehicleMode.STOPPING, "engagement": Engagement.FREE}, "Wait for standstill"),
        ({"mode": VehicleMode.STOPPING}, "Wait for standstill"),
        ({"blockers": ("B102",), "not_neutral": ("gear", "steering")}, "gear to N"),
        ({"blockers": ("B102",), "held": True}, "Let go of Shift"),
        ({"blockers": ("B102",), "input_ok": False}, "Controls are silent"),
        ({"blockers": ("X999",)}, "X999"),
    ],
)
def test_next_step__says_what_the_driver_does(changes: dict[str, object], words: str) -> None:
    found = next_step(replace(LEASED, **changes))  # type: ignore[arg-type]

    assert found is not None
    assert words in found.en


@pytest.mark.parametrize(
    ("holder", "english", "chinese"),
    [
        ("op-2", "Asked – op-2 decides", "已请求 – 等待 op-2 决定"),
        (None, "Asked – the machine decides", "已请求 – 等待机器决定"),
    ],
)
def test_request_waits__each_language_names_in_its_own_words_who_decides(
    holder: str | None, english: str, chinese: str
) -> None:
    asked = replace(LEASED, engagement=Engagement.ASKING, queued=True, holder=holder)

    assert next_step(asked) == Step("", english, chinese)


def test_no_wording_of_a_blocker__says_that_a_standing_machine_stops() -> None:
    assert not [words for words in TO_DO.values() if "stopping" in words[0]]
    assert set(TO_DO) <= set(EVENTS)


def test_somebody_waits__holder_is_told_who() -> None:
    asked = standing_message(replace(DRIVING, waiting="op-2"))
    taken = standing_message(replace(DRIVING, waiting="chief", takes_over=True))

    assert asked is not None
    assert asked.en.startswith("op-2 asks")
    assert taken is not None
    assert taken.en.startswith("chief TAKES OVER")


@pytest.mark.parametrize(
    ("let_go", "words"),
    [
        (LetGo(Away.SILENT, 83.4), "Page did not report for 83 ms"),
        (LetGo(Away.GONE), "Page hidden or left"),
        (LetGo(Away.BLURRED), "Window lost focus"),
        (LetGo(Away.OPENED), "Shift was let go"),
    ],
)
def test_enable_fell__stop_is_explained(let_go: LetGo, words: str) -> None:
    stopped = replace(DRIVING, mode=VehicleMode.STOPPED, cause="D101", let_go=let_go)
    found = explanation(stopped)

    assert found is not None
    assert words in found.en
    assert explanation(replace(stopped, cause="M101")) is None
    assert explanation(replace(stopped, mode=VehicleMode.ACTIVE)) is None


def test_warning_runs__step_counts_down() -> None:
    found = next_step(replace(LEASED, mode=VehicleMode.ARMED, warning_ms=2140))

    assert found is not None
    assert "2.1 s" in found.en
