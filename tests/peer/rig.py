"""Both ends of the control peer connection in one process, their signals handed over directly."""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from joserfc.jwk import OKPKey

from operator_console.core.session import Outgoing
from operator_console.shell.control_peer import ControlPath
from protocol.messages import (
    SignalClaims,
    generate_identity,
    load_private_key,
    load_trust,
    sign_claims,
)
from protocol.topics import Topics
from tests.console.fakes import ManualClock
from vehicle_agent.shell.control_peer import ControlPeers

VEHICLE, DRIVER, OTHER = "truck-1", "console-1", "console-2"
ROLES = {
    VEHICLE: "vehicle",
    DRIVER: "driver",
    OTHER: "driver",
    "chief": "supervisor",
    "gate": "stop_only",
    "watcher": "observer",
}
TOPICS = Topics("mine", VEHICLE)
LOOPBACK = ["127.0.0.1"]
WAIT_S = 20.0


class Keys:
    """Private keys of everybody, and the trust in all of them."""

    def __init__(self) -> None:
        self.private: dict[str, OKPKey] = {}
        identities = []
        for name, role in ROLES.items():
            private, public = generate_identity()
            self.private[name] = load_private_key(json.dumps(private))
            identities.append({"id": name, "role": role, "public": public})
        self.trust = load_trust(json.dumps({"identities": identities}))


class Rig:
    """A vehicle's peers, and any number of consoles.

    Attributes:
        commands, stops: what the guardian would get. answers: what the vehicle signed, by operator.
    """

    def __init__(self) -> None:
        self.keys = Keys()
        self.commands: asyncio.Queue[bytes] = asyncio.Queue()
        self.stops: asyncio.Queue[tuple[str, bytes]] = asyncio.Queue()
        self.answers: list[tuple[str, bytes]] = []
        self.answered = asyncio.Event()
        self.consoles: dict[str, list[ControlPath]] = {}
        self.peers = ControlPeers(
            VEHICLE,
            self.keys.private[VEHICLE],
            self.keys.trust,
            LOOPBACK,
            self.commands.put_nowait,
            lambda author, token: self.stops.put_nowait((author, token)),
            self._say,
        )

    def _say(self, operator: str, token: bytes) -> None:
        self.answers.append((operator, token))
        self.answered.set()
        for console in self.consoles.get(operator, []):
            console.hear_signal(token)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        task = asyncio.create_task(self.peers.run())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    def offer(self, sdp: str, issuer: str = DRIVER, **changes: Any) -> bytes:
        """Return a signed offer."""
        key = self.keys.private[changes.pop("key", issuer)]
        content: dict[str, Any] = {
            "iss": issuer,
            "aud": VEHICLE,
            "role": "offer",
            "peer": "control",
            "session": secrets.token_hex(16),
            "sdp": sdp,
        }
        return sign_claims(SignalClaims.model_validate(content | changes), key)


class Console:
    """One console's end.

    Attributes:
        states: what came down. changes: the path came (True) or went. deaf: it hears no signals.
    """

    def __init__(self, rig: Rig, operator: str = DRIVER) -> None:
        self.rig = rig
        self.operator = operator
        self.clock = ManualClock()
        self.states: asyncio.Queue[bytes] = asyncio.Queue()
        self.changes: asyncio.Queue[bool] = asyncio.Queue()
        self.posted: list[Outgoing] = []
        self.lets_through = True
        self.path = ControlPath(
            operator,
            TOPICS,
            rig.keys.private[operator],
            rig.keys.trust,
            ("127.0.0.1",),
            self._post,
            self.states.put_nowait,
            self.changes.put_nowait,
            self.clock,
        )
        rig.consoles.setdefault(operator, []).append(self.path)

    def _post(self, message: Outgoing) -> bool:
        self.posted.append(message)
        if self.lets_through:
            self.rig.peers.take(self.operator, message.payload)
        return self.lets_through

    async def changed(self) -> bool:
        async with asyncio.timeout(WAIT_S):
            return await self.changes.get()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Run it inside, from the moment its path is up."""
        task = asyncio.create_task(self.path.run())
        try:
            assert await self.changed()
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


async def within(work: Any) -> Any:
    async with asyncio.timeout(WAIT_S):
        return await work
