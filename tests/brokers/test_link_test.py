"""A link test over a real Mosquitto with the shipped files: TLS, access lists, pinned ids."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from operator_console.shell import link_test as measuring
from operator_console.shell.config import (
    ConsoleSettings,
    ControlPeerSettings,
    KeySettings,
    SeatSettings,
)
from tests.brokers import rig
from tests.brokers.rig import OTHER, SITE, VEHICLE, Broker
from vehicle_agent.shell import ipc
from vehicle_agent.shell.config import AgentSettings
from vehicle_agent.shell.config import ControlPeerSettings as MachinePeer
from vehicle_agent.shell.config import KeySettings as MachineKeys
from vehicle_agent.shell.link_test import MachineInService, Reflector

pytestmark = [pytest.mark.system, rig.needs_mosquitto]


def console_settings(broker: Broker, site: Path) -> ConsoleSettings:
    """The settings of a cockpit that has its own certificate for such tests."""
    return ConsoleSettings(
        console=SeatSettings(operator=OTHER, site=SITE, vehicle=VEHICLE),
        mqtt=broker.settings(OTHER),
        keys=KeySettings(device=site / OTHER / "device.jwk", trust=site / "trust.json"),
        control_peer=ControlPeerSettings(ice_addresses=(rig.HOST,)),
    )


def machine_settings(broker: Broker, site: Path, folder: Path) -> AgentSettings:
    """The settings of a machine with both paths; nothing of it runs but the test's side."""
    keys = MachineKeys(device=site / VEHICLE / "device.jwk", trust=site / "trust.json")
    return rig.agent_settings(folder, broker.settings(VEHICLE)).model_copy(
        update={"keys": keys, "control_peer": MachinePeer(ice_addresses=[rig.HOST])}
    )


async def test_both_sides_over_tls__each_path_and_the_whole_is_measured(
    control: Broker, site: Path, sockets: Path
) -> None:
    reflector = await asyncio.to_thread(Reflector, machine_settings(control, site, sockets))
    paths = await asyncio.to_thread(measuring.paths_of, console_settings(control, site))
    answering = asyncio.create_task(reflector.run())
    try:
        test, result = await measuring.measure(paths, VEHICLE, 1.0, lambda: None)
    finally:
        answering.cancel()
        await asyncio.gather(answering, return_exceptions=True)
    assert result["drive"]["accepted"] > 20
    assert set(result["paths"]) == {"mqtt", "channel"}
    assert all(path["heard_there"] > 20 for path in result["paths"].values())
    assert all(path["round_trip_ms"]["p50"] > 0.0 for path in result["paths"].values())
    assert result["speed"]["zone_mps"] > 0.0
    assert len(test.samples) > 20


async def test_nobody_answers__says_what_to_run_on_the_machine(
    control: Broker, site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(measuring, "ANSWER_WITHIN_S", 0.5)
    path = measuring.MqttPath(console_settings(control, site))
    with pytest.raises(measuring.LinkTestError, match=r"nobody answers .*link-test --config AGENT"):
        await measuring.measure((path,), VEHICLE, 1.0, lambda: None)


async def test_agent_runs__nothing_is_reflected(control: Broker, site: Path, sockets: Path) -> None:
    reflector = await asyncio.to_thread(Reflector, machine_settings(control, site, sockets))
    guardian = await asyncio.to_thread(ipc.Mailbox, sockets, ipc.GUARDIAN)
    try:
        with pytest.raises(MachineInService, match="end the agent first"):
            await reflector.run()
    finally:
        await asyncio.to_thread(guardian.close)
