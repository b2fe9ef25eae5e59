"""One MQTT connection to the control broker, made again at once and for ever.

Every connection is a new client with a clean session: what an old one still held must never
come out of a new one.
"""

from __future__ import annotations

import asyncio
import math
import secrets
import sys
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

import aiomqtt

from protocol.broker_settings import BrokerSettings
from protocol.reconnect import STOOD_S, next_try
from vehicle_agent.shell.mqtt_client import connected, new_client, raise_if_cancelled, serve
from vehicle_agent.shell.outbox import Outbox
from vehicle_agent.shell.presence import Presence

MessageHandler = Callable[[str, bytes, bool], None]


class LineBroken(Exception):
    """Raised to leave a connection that no longer carries anything."""


class Line:
    """One connection, kept up until cancelled.

    Args:
        broker: whom to reach, and as whom. name: what its client ids begin with.
        subscriptions: topic filters with their QoS.
        on_message: called in the loop with topic, content and whether it was retained.
        presence: told on this connection, with its Will; None where another one does that.
        beside: what runs while a connection stands.

    Attributes:
        outbox: what waits to leave. ready: set once the first connection stands.
    """

    def __init__(
        self,
        broker: BrokerSettings,
        name: str,
        subscriptions: Sequence[tuple[str, int]],
        on_message: MessageHandler,
        presence: Presence | None = None,
        beside: Callable[[], Coroutine[Any, Any, None]] | None = None,
    ) -> None:
        self._broker = broker
        self._name = name
        self._subscriptions = subscriptions
        self._on_message = on_message
        self._presence = presence
        self._beside = beside
        self._said = ""
        self._failed = 0
        self._up_since_s = math.inf
        self.outbox = Outbox()
        self.ready = asyncio.Event()

    async def run(self) -> None:
        """Serve, and connect again, until cancelled."""
        dice = secrets.SystemRandom()
        broker = f"broker {self._broker.host}:{self._broker.port}"
        while True:
            attempt = next_try(self._failed, dice.random())
            await asyncio.sleep(attempt.wait_s)
            self._failed += 1
            self._up_since_s = math.inf
            try:
                await serve(self._serve_once(attempt.connect_within_s))
            except* (aiomqtt.MqttError, OSError, LineBroken) as group:
                self._say_once(f"{broker} does not answer, trying on: {group.exceptions[0]}")
            if asyncio.get_running_loop().time() - self._up_since_s > STOOD_S:
                self._failed = 0
            self.outbox.clear()

    def _say_once(self, text: str) -> None:
        """Say what is wrong, and the same only after it was well in between."""
        if text != self._said:
            sys.stderr.write(f"link: {text}\n")
        self._said = text

    async def _serve_once(self, connect_within_s: float) -> None:
        will = None if self._presence is None else self._presence.will()
        client = new_client(self._broker, self._name, will, connect_within_s)
        async with connected(client):
            for topic, qos in self._subscriptions:
                await client.subscribe(topic, qos=qos)
            raise_if_cancelled()
            self.outbox.clear()
            self._said = ""
            self._up_since_s = asyncio.get_running_loop().time()
            self.ready.set()
            async with asyncio.TaskGroup() as group:
                group.create_task(self.outbox.publish_newest(client), name="line.newest")
                group.create_task(self.outbox.publish_others(client), name="line.others")
                group.create_task(self._receive(client), name="line.receive")
                if self._presence is not None:
                    group.create_task(self._presence.tell(client), name="line.presence")
                if self._beside is not None:
                    group.create_task(self._beside(), name="line.beside")

    async def _receive(self, client: aiomqtt.Client) -> None:
        async for message in client.messages:
            if isinstance(message.payload, bytes):
                self._on_message(message.topic.value, message.payload, message.retain)
        raise LineBroken("the broker ended the stream")
