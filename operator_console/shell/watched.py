"""The other machines of a site that this console watches: who drives each, its STOP, its cameras.

A watched machine has a session of its own that never asks for its lease: from here it can be
looked at and stopped, and to drive it is another console's or this one's with other settings.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from operator_console.core.screen import machine_line
from operator_console.core.session import ConsoleSession
from operator_console.shell.config import Keys
from operator_console.shell.link import Transport
from operator_console.shell.pump import Pump
from operator_console.shell.signalling import Answered, Signalling
from protocol.topics import Topics


@dataclass(frozen=True, slots=True)
class Watched:
    """One machine that is watched."""

    topics: Topics
    session: ConsoleSession
    pump: Pump
    signalling: Signalling

    @property
    def subscriptions(self) -> tuple[tuple[str, int], ...]:
        """What is heard of it, with its QoS."""
        operator = self.session.operator
        return (
            (self.topics.state, 0),
            (self.topics.authority, 0),
            (self.topics.signal(operator), 1),
        )

    def hear(self, topic: str, payload: bytes, now_ns: int) -> Answered | None:
        """Take in one message; return a video answer where it is one that a page waits for."""
        if topic == self.topics.state:
            self.session.hear_state(payload, now_ns)
        elif topic == self.topics.authority:
            self.session.hear_authority(payload, now_ns)
        elif topic == self.topics.signal(self.session.operator):
            return self.signalling.take(payload)
        return None

    def line(self, now_ns: int) -> dict[str, Any]:
        """Return what a supervisor's page shows of it."""
        return machine_line(self.session, now_ns)

    def stop(self, now_ns: int) -> None:
        """Somebody at a page pressed its STOP."""
        self.session.act("stop", now_ns)
        self.pump.acted()


def watch(
    operator: str,
    topics: Topics,
    keys: Keys,
    transport: Transport,
    clock_ns: Callable[[], int],
    words: Transport | None,
) -> Watched:
    """Return one machine to watch.

    Args:
        operator: own identity. topics: of the machine. keys: own key and trusted identities.
        transport: a line of its own. words: a second one that carries its stops as well.
    """
    session = ConsoleSession(operator, topics, keys.device, keys.trust, simulated=False)
    return Watched(
        topics,
        session,
        Pump(session, transport, clock_ns, words),
        Signalling(operator, topics, keys.device, keys.trust),
    )
