"""Which command paths the guardian hears: those that the settings name, and no other."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from protocol.control_peer import CommandPath
from protocol.errors import Refusal
from protocol.profiles import parse_profile
from protocol.signals import DEFAULT_TIMING
from sim import demo
from vehicle_agent.core.clearance import encode
from vehicle_agent.shell import ipc
from vehicle_agent.shell.config import (
    AgentSettings,
    ControlPeerSettings,
    RangeFinderSettings,
    load_agent_config,
)
from vehicle_agent.shell.guardian import Guardian
from vehicle_agent.shell.store import RecordStore

FORBIDDEN = ("aiortc", "aioice", "av", "aiomqtt", "paho")


@pytest.fixture
def settings(tmp_path: Path) -> AgentSettings:
    machine = demo.find_config("machines", demo.DEFAULT_MACHINE)
    plan = demo.Plan(tmp_path, machine, demo.find_config("sites", demo.DEFAULT_SITE), 1, 1)
    demo.write_keys(tmp_path)
    demo.write_settings(plan)
    return load_agent_config(plan.agent_config).model_copy(update={"relay": None})


class Machine:
    """A guardian, and the link's end of its socket."""

    def __init__(self, settings: AgentSettings) -> None:
        machine = settings.vehicle.machine
        profile = parse_profile(machine.read_text(encoding="utf-8"), machine.name)
        self._store = RecordStore(settings.runtime.record)
        self.guardian = Guardian(settings, profile, DEFAULT_TIMING, self._store, got={})
        self.link = ipc.Mailbox(settings.runtime.dir, ipc.LINK)

    def refused_after(self, path: int) -> tuple[int, list[int]]:
        """Hand in a short command; return malformed datagrams and what each path refused."""
        self.link.send(ipc.GUARDIAN, ipc.TO_GUARDIAN_COMMAND + bytes([path]) + b"short")
        self.guardian.tick()
        paths = self.guardian.supervisor._acceptance.paths
        return self.guardian._malformed, [each.refused.get(Refusal.SHORT, 0) for each in paths]

    def close(self) -> None:
        self.guardian.close()
        self.link.close()
        self._store.close()


@pytest.fixture
def both(settings: AgentSettings) -> Iterator[Machine]:
    made = Machine(settings)
    yield made
    made.close()


@pytest.fixture
def mqtt_alone(settings: AgentSettings) -> Iterator[Machine]:
    made = Machine(settings.model_copy(update={"control_peer": None}))
    yield made
    made.close()


@pytest.mark.parametrize(("path", "expected"), [(0, (0, [1, 0])), (1, (0, [0, 1]))])
def test_control_peer_configured__commands_of_both_paths_are_judged(
    both: Machine, path: int, expected: tuple[int, list[int]]
) -> None:
    assert both.refused_after(path) == expected


@pytest.mark.parametrize("path", [CommandPath.DATA_CHANNEL, 2, 255])
def test_path_that_is_not_configured__its_commands_are_not_even_judged(
    mqtt_alone: Machine, path: int
) -> None:
    assert mqtt_alone.refused_after(path) == (1, [0, 0])


def test_settings__name_the_paths(settings: AgentSettings) -> None:
    alone = settings.model_copy(update={"control_peer": None})

    assert settings.command_paths == frozenset({0, 1})
    assert alone.command_paths == frozenset({0})


def _digest(settings: AgentSettings, peer: ControlPeerSettings | None) -> str:
    made = Machine(settings.model_copy(update={"control_peer": peer}))
    made.close()
    return made.guardian._settings_sha256


def test_second_path_taken_away__settings_are_others_than_the_approved(
    settings: AgentSettings,
) -> None:
    assert _digest(settings, settings.control_peer) != _digest(settings, None)


def test_other_addresses_of_a_path__are_no_other_settings(settings: AgentSettings) -> None:
    elsewhere = ControlPeerSettings(ice_addresses=["10.0.0.21"])

    assert _digest(settings, settings.control_peer) == _digest(settings, elsewhere)


def test_guardian__loads_neither_media_nor_mqtt() -> None:
    told = subprocess.run(
        (
            sys.executable,
            "-c",
            "import sys, vehicle_agent.shell.guardian; print(*sys.modules)",
        ),
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()

    assert "vehicle_agent.shell.guardian" in told
    assert not set(FORBIDDEN) & set(told)


def test_scan_by_datagram__reaches_the_supervisor_of_a_machine_with_a_range_finder(
    settings: AgentSettings,
) -> None:
    made = Machine(settings.model_copy(update={"range_finder": RangeFinderSettings(range_m=40.0)}))
    data = encode(1, -1.5, 0.02, [7.0] * 151)
    try:
        for _ in range(2):
            made.link.send(ipc.GUARDIAN, ipc.TO_GUARDIAN_SCAN + data)
        made.guardian.tick()
        clearance = made.guardian.supervisor._clearance
        assert clearance is not None
        assert clearance.refused == 1
        assert clearance.sight(2, 0.0).sectors_m[0] == 7.0
        assert made.guardian._malformed == 0
    finally:
        made.close()
