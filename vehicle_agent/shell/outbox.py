"""What waits to be published: the newest of each state, and the rest in order, bounded."""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass, field

import aiomqtt

from vehicle_agent.shell.mqtt_client import publish

KEPT_MESSAGES = 64


@dataclass(frozen=True, slots=True)
class Out:
    """One message to publish."""

    topic: str
    payload: bytes
    qos: int = 0


@dataclass(slots=True)
class Outbox:
    """Of each state only the newest waits; the rest waits in order, and the oldest go.

    The two leave by tasks of their own: a QoS 1 message waits for its receipt, and a state must
    not wait for anything.
    """

    newest: dict[str, bytes] = field(default_factory=dict)
    others: deque[Out] = field(default_factory=lambda: deque(maxlen=KEPT_MESSAGES))
    ready: asyncio.Event = field(default_factory=asyncio.Event)
    others_ready: asyncio.Event = field(default_factory=asyncio.Event)
    replaced: int = 0

    def put_newest(self, topic: str, payload: bytes) -> None:
        """Let ``payload`` take the place of what waits under ``topic``."""
        self.replaced += topic in self.newest
        self.newest[topic] = payload
        self.ready.set()

    def put(self, out: Out) -> None:
        """Add a message that must not be replaced; the oldest goes when there are too many."""
        self.others.append(out)
        self.others_ready.set()

    def take(self) -> Out | None:
        """Return the next of the newest-only messages, or None when none waits."""
        if self.newest:
            topic = next(iter(self.newest))
            return Out(topic, self.newest.pop(topic))
        self.ready.clear()
        return None

    def take_other(self) -> Out | None:
        """Return the next of the messages in order, or None when none waits."""
        if self.others:
            return self.others.popleft()
        self.others_ready.clear()
        return None

    def clear(self) -> None:
        """Forget all: nothing of one connection is sent on the next."""
        self.newest.clear()
        self.others.clear()

    async def publish_newest(self, client: aiomqtt.Client) -> None:
        """Publish states as they come, for ever; the next waits until the last has left."""
        while True:
            await self.ready.wait()
            out = self.take()
            if out is not None:
                await publish(client, out.topic, out.payload, out.qos, retain=False)

    async def publish_others(self, client: aiomqtt.Client) -> None:
        """Publish the other messages in their order, for ever."""
        while True:
            await self.others_ready.wait()
            out = self.take_other()
            if out is not None:
                await publish(client, out.topic, out.payload, out.qos, retain=False)
