"""The machine's connection to a telemetry broker, where a site has one beside the control broker.

A control broker keeps nothing (``retain_available false``), so presence and factsheet, which are
retained by contract, live here, with slow values and a copy of the events. Nothing that moves or
stops the machine comes this way: it subscribes to nothing.
"""

from __future__ import annotations

import asyncio
import secrets
import sys

import aiomqtt

from protocol.broker_settings import BrokerSettings
from vehicle_agent.shell.mqtt_client import connected, new_client, serve
from vehicle_agent.shell.outbox import Outbox
from vehicle_agent.shell.presence import Presence

RECONNECT_MIN_S, RECONNECT_MAX_S = 1.0, 3.0


class TelemetryLink:
    """Publishes what is put into :attr:`outbox`, and presence.

    Args:
        broker: the telemetry broker. vehicle: names the client. presence: what to say of it.
    """

    def __init__(self, broker: BrokerSettings, vehicle: str, presence: Presence) -> None:
        self._broker = broker
        self._vehicle = vehicle
        self._presence = presence
        self.outbox = Outbox()
        self.ready = asyncio.Event()

    async def run(self) -> None:
        """Serve, and connect again, until cancelled."""
        dice = secrets.SystemRandom()
        while True:
            try:
                await serve(self._serve_once())
            except* (aiomqtt.MqttError, OSError) as group:
                sys.stderr.write(f"link: telemetry broker lost: {group.exceptions[0]}\n")
            self.outbox.clear()
            await asyncio.sleep(dice.uniform(RECONNECT_MIN_S, RECONNECT_MAX_S))

    async def _serve_once(self) -> None:
        client = new_client(self._broker, f"vehicle-{self._vehicle}", self._presence.will())
        async with connected(client):
            self.outbox.clear()
            self.ready.set()
            async with asyncio.TaskGroup() as group:
                group.create_task(self.outbox.publish_newest(client), name="telemetry.newest")
                group.create_task(self.outbox.publish_others(client), name="telemetry.others")
                group.create_task(self._presence.tell(client), name="telemetry.presence")
                group.create_task(_notice_end(client), name="telemetry.end")


async def _notice_end(client: aiomqtt.Client) -> None:
    """Raise when the connection ends; nothing is subscribed to, so nothing comes."""
    async for _ in client.messages:
        pass
