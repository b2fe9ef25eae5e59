"""A link test over a real Mosquitto with the shipped files: TLS, access lists, pinned ids."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from operator_console.shell import link_test as measuring
from operator_console.shell.config import ConsoleSettings, KeySettings, SeatSettings
from tests.brokers import rig
from tests.brokers.rig import OTHER, SITE, VEHICLE, Broker
from vehicle_agent.shell import ipc
from vehicle_agent.shell import link_test as reflecting

pytestmark = [pytest.mark.system, rig.needs_mosquitto]


def console_settings(broker: Broker, folder: Path) -> ConsoleSettings:
    """The settings of a cockpit that has its own certificate for such tests."""
    return ConsoleSettings(
        console=SeatSettings(operator=OTHER, site=SITE, vehicle=VEHICLE),
        mqtt=broker.settings(OTHER),
        keys=KeySettings(device=folder / "none", trust=folder / "trust.json"),
    )


async def test_both_sides_over_tls__the_link_is_measured(control: Broker, sockets: Path) -> None:
    machine = rig.agent_settings(sockets, control.settings(VEHICLE))
    mirror = await asyncio.to_thread(reflecting.make_mirror, machine)
    answering = asyncio.create_task(reflecting.reflect(machine, mirror))
    path = measuring.MqttPath(console_settings(control, sockets))
    try:
        test, result = await measuring.measure((path,), VEHICLE, 1.0, lambda: None)
    finally:
        answering.cancel()
        await asyncio.gather(answering, return_exceptions=True)
    assert result["drive"]["accepted"] > 20
    assert result["paths"]["mqtt"]["round_trip_ms"]["p50"] > 0.0
    assert result["speed"]["zone_mps"] > 0.0
    assert len(test.samples) > 20


async def test_nobody_answers__says_what_to_run_on_the_machine(
    control: Broker, sockets: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(measuring, "ANSWER_WITHIN_S", 0.5)
    path = measuring.MqttPath(console_settings(control, sockets))
    with pytest.raises(measuring.LinkTestError, match=r"nobody answers .*link-test --config AGENT"):
        await measuring.measure((path,), VEHICLE, 1.0, lambda: None)


async def test_agent_runs__nothing_is_reflected(control: Broker, sockets: Path) -> None:
    machine = rig.agent_settings(sockets, control.settings(VEHICLE))
    mirror = await asyncio.to_thread(reflecting.make_mirror, machine)
    guardian = await asyncio.to_thread(ipc.Mailbox, sockets, ipc.GUARDIAN)
    try:
        with pytest.raises(reflecting.MachineInService, match="end the agent first"):
            await reflecting.reflect(machine, mirror)
    finally:
        await asyncio.to_thread(guardian.close)
