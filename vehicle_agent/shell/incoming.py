"""What waits between the broker and this program: the newest commands and stops, and never
many messages."""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque

import aiomqtt

INCOMING_KEPT = 256
"""Messages from the broker that may wait for this program; the oldest go first."""
OF_ONE_TOPIC_KEPT = 32
"""Of these, on the topic of one author: his flood throws out nobody else's."""
NEWEST_ONLY = ("/cmd/", "/stop/")
"""Said again and again: of each author only the newest waits."""


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
        self._keys_of: dict[str, deque[object]] = {}
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
        newest_only = any(name in topic for name in NEWEST_ONLY) and not item.retain
        key: object = topic if newest_only else object()
        if key in self._waiting:
            self._drop(key)
        self._waiting[key] = item
        keys = self._keys_of.setdefault(topic, deque())
        keys.append(key)
        if len(keys) > OF_ONE_TOPIC_KEPT:
            self._drop(keys[0])
        if len(self._waiting) > INCOMING_KEPT:
            self._drop(next(iter(self._waiting)))

    def _drop(self, key: object) -> None:
        self._take(key)
        self.dropped += 1

    def _take(self, key: object) -> aiomqtt.Message:
        item = self._waiting.pop(key)
        topic = item.topic.value
        keys = self._keys_of[topic]
        keys.remove(key)
        if not keys:
            del self._keys_of[topic]
        return item

    def _get(self) -> aiomqtt.Message:
        return self._take(next(iter(self._waiting)))
