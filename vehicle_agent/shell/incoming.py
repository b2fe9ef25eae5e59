"""What waits between the broker and this program: the newest commands, and never many messages."""

from __future__ import annotations

import asyncio
from collections import OrderedDict

import aiomqtt

INCOMING_KEPT = 256
"""Messages from the broker that may wait for this program; the oldest go first."""


class IncomingQueue(asyncio.Queue[aiomqtt.Message]):
    """What came from the broker: of each operator's commands only the newest, and never many.

    aiomqtt's own queue has no end: after a pause of this program it would hand on every command
    that came meanwhile, one after the other.

    Attributes:
        dropped: messages that made way for newer ones.
    """

    def _init(self, maxsize: int) -> None:
        del maxsize
        self._waiting: OrderedDict[object, aiomqtt.Message] = OrderedDict()
        self.dropped = 0

    def qsize(self) -> int:
        """Return how many wait."""
        return len(self._waiting)

    def empty(self) -> bool:
        """Return whether none waits."""
        return not self._waiting

    def _put(self, item: aiomqtt.Message) -> None:
        topic = item.topic.value
        # What a broker kept is no command of now: it must not take the place of one.
        newest_only = "/cmd/" in topic and not item.retain
        key: object = topic if newest_only else object()
        self.dropped += self._waiting.pop(key, None) is not None
        self._waiting[key] = item
        if len(self._waiting) > INCOMING_KEPT:
            self._waiting.popitem(last=False)
            self.dropped += 1

    def _get(self) -> aiomqtt.Message:
        return self._waiting.popitem(last=False)[1]
