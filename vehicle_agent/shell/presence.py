"""Presence and factsheet of a machine: retained, for screens, and never for safety."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
from dataclasses import asdict
from importlib.metadata import version

import aiomqtt

from protocol.frames import VERSION
from protocol.messages import BEFORE_ALL, load_trust
from protocol.profiles import parse_profile
from protocol.signals import tightened
from protocol.state import VehicleState
from protocol.topics import Topics
from vehicle_agent.core.approval import settings_sha256
from vehicle_agent.shell.config import AgentSettings
from vehicle_agent.shell.mqtt_client import publish

FAREWELL_WITHIN_S = 0.5


class Presence:
    """Says ONLINE with the guardian's boot, OFFLINE at the end, and by a Will that it broke.

    The boot tells a late Will of an earlier life from one of this.
    """

    def __init__(self, settings: AgentSettings) -> None:
        self._topics = Topics(settings.vehicle.site, settings.vehicle.name)
        self._boot: int | None = None
        self._facts = _facts(settings)
        self._news = asyncio.Event()

    def note_boot(self, authority: bytes) -> None:
        """Take the boot tag of an authority message."""
        boot = json.loads(authority)["boot"]
        if boot != self._boot:
            self._boot = boot
            self._news.set()

    def will(self) -> aiomqtt.Will:
        """Return what the broker says when this program is lost."""
        return aiomqtt.Will(
            self._topics.connection, self._state("CONNECTION_BROKEN"), qos=1, retain=True
        )

    async def tell(self, client: aiomqtt.Client) -> None:
        """Say it now and whenever the guardian has booted, for ever; OFFLINE when cancelled."""
        self._news.set()
        try:
            while True:
                await self._news.wait()
                self._news.clear()
                for topic, payload in (
                    (self._topics.connection, self._state("ONLINE")),
                    (self._topics.factsheet, self._factsheet()),
                ):
                    await publish(client, topic, payload, 1, retain=True)
        finally:
            with contextlib.suppress(aiomqtt.MqttError, TimeoutError):
                async with asyncio.timeout(FAREWELL_WITHIN_S):
                    offline = self._state("OFFLINE")
                    await client.publish(self._topics.connection, offline, qos=1, retain=True)

    def _factsheet(self) -> bytes:
        return json.dumps({"v": 1, "boot": self._boot, **self._facts}).encode()

    def _state(self, state: str) -> bytes:
        return json.dumps({"v": 1, "state": state, "boot": self._boot}).encode()


def _facts(settings: AgentSettings) -> dict[str, object]:
    """Return what does not change while this program runs."""
    machine = settings.vehicle.machine
    profile = parse_profile(machine.read_text(encoding="utf-8"), str(machine))
    timing = tightened(settings.vehicle.timing)
    trust = load_trust(settings.keys.trust.read_text(encoding="utf-8"), BEFORE_ALL)
    schema = json.dumps(VehicleState.model_json_schema(), sort_keys=True).encode()
    return {
        "software": version("headframe"),
        "frame_version": VERSION,
        "state_schema_sha256": hashlib.sha256(schema).hexdigest(),
        "machine": profile.machine.model_dump(),
        "limits": profile.limits.model_dump(),
        "timing": asdict(timing),
        "settings_sha256": settings_sha256(
            settings.vehicle.name,
            profile.limits,
            timing,
            trust,
            settings.command_paths,
            settings.range_finder_m,
            profile.adapter,
        ),
        "cameras": [
            camera.model_dump(include={"id", "name", "width", "height", "fps"})
            for camera in settings.cameras
        ],
        "simulated": settings.vehicle.simulated,
    }
