"""The small tables: timing, topics, state JSON, events, machine files."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

import pytest

from protocol.errors import ProtocolError
from protocol.events import EVENTS
from protocol.profiles import parse_profile
from protocol.signals import CEILINGS, DEFAULT_TIMING, WAITING_TIMES, Timing, tightened
from protocol.state import VehicleMode, VehicleState, parse_state
from protocol.topics import Topics
from tests.rig import MACHINE_FILE

MACHINES = sorted(MACHINE_FILE.parent.glob("*.toml"))


def test_site_may_tighten__and_gets_its_row() -> None:
    assert tightened({"command_stop_ms": 200}).command_stop_ms == 200


@pytest.mark.parametrize("name", [field.name for field in fields(Timing)])
@pytest.mark.requirement("HF-GUARD-08")
def test_site_may_never_loosen_a_row(name: str) -> None:
    value = getattr(DEFAULT_TIMING, name)
    looser = value - 1 if name in WAITING_TIMES else CEILINGS.get(name, value) + 1

    with pytest.raises(ValueError, match=name):
        tightened({name: looser})


def test_timing_row_unknown_or_not_positive__refused_by_name() -> None:
    with pytest.raises(ValueError, match="no such row"):
        tightened({"comand_stop_ms": 100})
    with pytest.raises(ValueError, match="not positive"):
        tightened({"command_stop_ms": 0})


def test_topics__are_those_of_the_contract() -> None:
    topics = Topics("mine-a", "TRUCK-07")

    assert topics.cmd("c1") == "headframe/v1/mine-a/TRUCK-07/cmd/c1"
    assert topics.state == "headframe/v1/mine-a/TRUCK-07/state"
    assert topics.all_of("req") == "headframe/v1/mine-a/TRUCK-07/req/+"
    assert topics.author("headframe/v1/mine-a/TRUCK-07/stop/c1", "stop") == "c1"


@pytest.mark.parametrize(
    "topic",
    [
        "headframe/v1/mine-a/TRUCK-07/stop/a/b",
        "headframe/v1/mine-a/TRUCK-07/stop/",
        "headframe/v1/mine-a/TRUCK-08/stop/c1",
        "headframe/v1/mine-a/TRUCK-07/cmd/c1",
    ],
)
def test_foreign_topic__has_no_author(topic: str) -> None:
    assert Topics("mine-a", "TRUCK-07").author(topic, "stop") is None


@pytest.mark.parametrize("name", ["", "a/b", "a+", "#", "a b", "x" * 65])
def test_illegal_id__refused(name: str) -> None:
    with pytest.raises(ValueError, match="allowed"):
        Topics("mine-a", name)


def test_state__round_trips_with_two_letter_keys() -> None:
    state = VehicleState(mode=VehicleMode.ACTIVE, speed_mps=1.5, accepted=(7, None))

    assert b'"sv":1.5' in state.to_json()
    assert parse_state(state.to_json()) == state


@pytest.mark.parametrize(
    "text",
    [b"", b"[]", b"{}", b'{"st":"FLYING"}', b'{"st":"ACTIVE","sv":NaN}', b'{"st":"ACTIVE","x":1}'],
)
def test_state_that_does_not_fit__refused_and_never_a_default(text: bytes) -> None:
    with pytest.raises(ProtocolError):
        parse_state(text)


def test_every_event__says_what_happened_and_what_the_machine_does_in_both_languages() -> None:
    for event in EVENTS.values():
        assert re.fullmatch(r"[A-Z]\d{3}", event.id)
        assert event.en
        assert re.search(r"[\u4e00-\u9fff]", event.zh)


@pytest.mark.parametrize("path", MACHINES, ids=lambda path: path.stem)
def test_shipped_machine_file__loads_and_is_named_after_its_file(path: Path) -> None:
    assert parse_profile(path.read_text(encoding="utf-8"), path.name).machine.name == path.stem


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (("speed_max_mps = 8.0", "speed_max_mps = nan"), "limits.speed_max_mps"),
        (("speed_max_mps = 8.0", "speed_max_mps = -1.0"), "limits.speed_max_mps"),
        (("speed_max_mps = 8.0", ""), "limits.speed_max_mps"),
        (("speed_max_mps = 8.0", 'speed_max_mps = "8"'), "limits.speed_max_mps"),
        (("[limits]", "[limits]\nwings = 2"), "limits.wings"),
        (("[limits]", "[limits"), "not TOML"),
    ],
)
def test_wrong_machine_file__names_file_key_and_reason(
    change: tuple[str, str], reason: str
) -> None:
    text = MACHINE_FILE.read_text(encoding="utf-8").replace(*change)

    with pytest.raises(ValueError, match=f"truck.toml: .*{re.escape(reason)}"):
        parse_profile(text, "truck.toml")
